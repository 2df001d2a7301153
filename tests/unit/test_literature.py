"""Published values beside ours: what is read of papers, the same statistic of our targets, and each reason not to compare the two."""

import dataclasses
import json
import re
import shutil

import jsonschema
import numpy as np
import pandas as pd
import pytest
import yaml
from made_up_study import write
from sklearn.metrics import roc_auc_score
from test_page import Page
from workflow_tools import ROOT, step

import render
from regdna import page as pages
from regdna.certificate import digest
from regdna.literature import COLUMNS, Data, differences, remarks, statistic
from regdna.models import ARCHITECTURES
from regdna.paired import Judged
from regdna.papers import check_benchmarks, read_papers
from regdna.step import InputError
from regdna.targets import all_known, pack

PAPERS = ROOT / "resources/literature.tsv"
PAPER = {"benchmark": "made-up", "model": "DeepSEA", "architecture": "deepsea", "weights": "random", "regime": "full", "metric": "auroc",
         "statistic": "median", "group": "TF", "value": 0.9, "targets": 3, "test_windows": 400, "training_windows": 400, "length": 1000,
         "chromosomes": "chr8 chr9", "split": "chr8 and chr9", "source": "Somebody 2015", "evidence": "two sources",
         "remark": ""}  # fmt: skip
SIZES = ARCHITECTURES["deepsea"].sizes
ENTRY = {"architecture": "deepsea", "initialisation": "random", "regime": "full", "context": 0, "parameters": SIZES}
DATA = Data("given", {"train": 400, "validation": 400, "test": 400}, {"chr8", "chr9"}, {1000})
ASSAYS = ["TF", "DNase", "TF", "histone", "TF", "TF"]
EMPTY = 4  # a target, of TF, that no test window has


def reasons(paper=None, entry=None, data=None, targets=3):
    return differences(PAPER | (paper or {}), ENTRY | (entry or {}), dataclasses.replace(DATA, **(data or {})), targets)


def test_the_same_data_and_network_are_comparable():
    assert reasons() == []
    assert reasons({"chromosomes": ""}) == []  # parts that came with the data


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data": {"counts": {**DATA.counts, "train": 50}}}, "trained on 50 of 400 windows"),
        ({"data": {"counts": {**DATA.counts, "train": 500}}}, "trained on 500 windows, the paper on 400"),
        ({"data": {"counts": {**DATA.counts, "test": 399}}}, "judged on 399 of 400 test windows"),
        ({"data": {"chromosomes": {"chr8", "chr20"}}}, "test windows on chr20 chr8, in the paper on chr8 chr9"),
        ({"data": {"chromosomes": {str(one) for one in range(400)}}}, "test windows on 400 chromosomes, in the paper on chr8 chr9"),
        ({"data": {"rule": "chromosomes"}, "paper": {"chromosomes": "", "split": "at random"}},
         "the parts were drawn here by the rule chromosomes, in the paper they are: at random"),
        ({"data": {"lengths": {600}}}, "the model sees 600 bp, in the paper 1,000"),
        ({"data": {"lengths": {600, 1000}}}, "the model sees 600 to 1,000 bp, in the paper 1,000"),
        ({"entry": {"context": 500}}, "the model sees 500 bp, in the paper 1,000"),
        ({"targets": 2}, "median over 2 TF targets, in the paper over 3"),
        ({"paper": {"targets": 0}}, "how many TF targets the paper has is not recorded"),
        ({"paper": {"test_windows": 0}}, "how many test windows the paper has is not recorded"),
        ({"paper": {"training_windows": 0}}, "how many training windows the paper has is not recorded"),
        ({"paper": {"length": 0}}, "how long the paper's windows are is not recorded"),
        ({"paper": {"weights": "hub-dnabert2"}}, "begins with random weights, in the paper with the weights hub-dnabert2"),
        ({"entry": {"initialisation": "published", "weights": "kipoi"}}, "begins with the weights kipoi, in the paper with random weights"),
        ({"entry": {"initialisation": "published", "weights": "one"}, "paper": {"weights": "other"}},
         "begins with the weights one, in the paper with the weights other"),
        ({"entry": {"parameters": {**ENTRY["parameters"], "hidden": 64}}}, "another size of network: hidden 64 instead of 925"),
        ({"entry": {"regime": "probe"}}, "trained are a linear layer on frozen weights, in the paper all weights"),
        ({"paper": {"regime": ""}}, "trained are all weights, in the paper what is not recorded"),
    ],
)  # fmt: skip
def test_each_difference_forbids_the_comparison_by_itself(changed, said):
    assert reasons(**changed) == [said]


def test_several_differences_are_all_named():
    assert len(reasons(data={"counts": {"train": 50, "test": 3}, "lengths": {500}}, targets=1)) == 4


def test_dropout_is_a_setting_and_no_size():
    assert reasons(entry={"parameters": {**ENTRY["parameters"], "dropouts": [0.1, 0.1, 0.1]}}) == []


def test_a_random_twin_of_published_weights_is_not_the_published_model():
    twin = {"architecture": "dnabert2", "initialisation": "random", "weights": "hub-dnabert2"}
    assert reasons({"weights": "hub-dnabert2"}, twin) == ["begins with random weights, in the paper with the weights hub-dnabert2"]


def test_what_does_not_forbid_is_remarked():
    ours = {"targets": 690, "undefined": 2}
    assert remarks(PAPER, ours) == ["2 of our 690 targets have no value, since the test windows have one class of them"]
    told = remarks(PAPER | {"metric": "mcc", "remark": "by hand"}, ours | {"undefined": 0})
    assert told[0] == "by hand" and "threshold that is best on validation" in told[1] and len(told) == 2


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A dataset of 400 windows a part in blocks of ten, judged by the step for a model of two seeds; and what `cite` is given."""
    root = tmp_path_factory.mktemp("study")
    folder = root / "results/made-up/bundle"
    model = folder / "deepsea"
    model.mkdir(parents=True)
    draw = np.random.default_rng(0)
    n = 1200
    frame = pd.DataFrame({"chrom": np.where(np.arange(n) % 400 < 200, "chr8", "chr9"), "start": np.arange(n) * 1000,
                          "end": np.arange(n) * 1000 + 1000, "split": np.repeat(["train", "validation", "test"], 400),
                          "block": np.arange(n) // 10})  # fmt: skip
    frame.to_parquet(folder / "windows.parquet")
    certificate = {"digest": digest(frame), "rule": {"rule": "given"}, "counts": DATA.counts}
    (folder / "splits.json").write_text(json.dumps(certificate))
    odds = draw.normal(size=(n, len(ASSAYS)))
    labels = odds + 0.5 * np.arange(1, 7) * draw.normal(size=odds.shape) > 0.5
    labels[800:, EMPTY] = False
    np.save(folder / "targets.npy", pack(labels))
    np.save(folder / "known.npy", all_known(len(ASSAYS)))
    table = pd.DataFrame({"cell_type": "", "assay": ASSAYS, "target": "t", "source": "s", "positives": 1, "known": 1})
    table.rename_axis("index").to_csv(folder / "targets.tsv", sep="\t")
    files = {"predictions": [], "validation": [], "about": []}
    scores = {}
    for seed in (1, 2):
        scores[seed] = (1 / (1 + np.exp(-odds - 0.3 * draw.normal(size=odds.shape)))).astype(np.float32)
        for name, part in (("predictions", slice(800, 1200)), ("validation", slice(400, 800))):
            files[name].append(model / f"{name}{seed}.npy")
            np.save(files[name][-1], scores[seed][part])
        files["about"].append(model / f"about{seed}.json")
        said = {"split_digest": certificate["digest"], "seed": seed, "control": "", "initialisation": "random"}
        files["about"][-1].write_text(json.dumps(said))
    step("evaluate").main(
        folder / "windows.parquet", folder / "splits.json", folder / "targets.npy", folder / "targets.tsv", **files,
        metrics=model / "metrics.parquet", replicates=model / "replicates.npz", curves=model / "curves.parquet", model="deepsea",
        replicate_count=200, known=folder / "known.npy",
    )  # fmt: skip
    papers = [
        PAPER | {"targets": 4}, PAPER | {"group": "DNase", "targets": 125}, PAPER | {"group": "all", "statistic": "mean", "targets": 6},
        PAPER | {"metric": "mcc", "group": "TF", "statistic": "mean", "targets": 4},
        PAPER | {"group": "signal"}, PAPER | {"model": "gkm-SVM", "architecture": ""}, PAPER | {"benchmark": "another"},
    ]  # fmt: skip
    pd.DataFrame(papers).to_csv(root / "papers.tsv", sep="\t", index=False)
    given = {"papers": root / "papers.tsv", "metrics": [model / "metrics.parquet"], "replicates": [model / "replicates.npz"],
             "windows": [folder / "windows.parquet"], "splits": [folder / "splits.json"], "literature": root / "literature.parquet",
             "benchmarks": {"bundle": "made-up"}, "models": {"deepsea": ENTRY}}  # fmt: skip
    step("cite").main(**given)
    values = {seed: [roc_auc_score(labels[800:, one], each[800:, one]) for one in (0, 2, 5)] for seed, each in scores.items()}
    return given, pd.read_parquet(given["literature"]), values


def judged(given):
    scores = pd.read_parquet(given["metrics"][0])
    seeds = scores[(scores["part"] == "test") & (scores["target"] >= 0) & (scores["seed"] >= 0)]
    return Judged.read(given["metrics"][0], given["replicates"][0]), seeds


def test_ours_is_the_median_over_targets_of_the_group_of_each_seed(study):
    _, table, values = study
    row = table.iloc[0]
    assert row["value"] == pytest.approx(np.mean([np.median(some) for some in values.values()]), abs=1e-9)
    assert row["value"] != pytest.approx(np.mean(list(values.values())), abs=1e-3)  # the mean is another number
    assert row["low"] < row["value"] < row["high"] and row["verdict"] == ""
    assert row["difference"] == row["value"] - 0.9 and (row["targets"], row["undefined"]) == (4, 1)
    assert row["comparable"] and row["reasons"] == ""
    assert row["remarks"] == "1 of our 4 targets have no value, since the test windows have one class of them"


def test_a_row_stands_for_each_published_value_of_the_architecture_and_of_no_other(study):
    _, table, _ = study
    assert list(table.columns) == COLUMNS and len(table) == 5
    assert table["group"].tolist() == ["TF", "DNase", "all", "TF", "signal"] and set(table["benchmark"]) == {"made-up"}
    others = table.attrs["without"]["bundle"]
    assert [one["model"] for one in others] == ["gkm-SVM"]
    assert table["comparable"].tolist() == [True, False, True, True, False]
    assert table["reasons"][1] == "median over 1 DNase targets, in the paper over 125"


def test_each_dataset_has_its_own_models_and_papers(study, tmp_path):
    given, _, _ = study
    first = given["windows"][0].parent
    for name in ("other", "bare"):
        shutil.copytree(first, first.parent / name, dirs_exist_ok=True)
    both = {
        key: [*given[key], *(first.parent / "other" / path.relative_to(first) for path in given[key])] for key in ("metrics", "replicates")
    }
    three = {key: [first.parent / name / given[key][0].name for name in ("bundle", "other", "bare")] for key in ("windows", "splits")}
    named = {"bundle": "made-up", "other": "another", "bare": "another"}
    step("cite").main(**given | both | three | {"benchmarks": named, "literature": tmp_path / "literature.parquet"})
    table = pd.read_parquet(tmp_path / "literature.parquet")
    assert table["dataset"].tolist() == ["bundle"] * 5 + ["other"]
    without = {name: [one["model"] for one in some] for name, some in table.attrs["without"].items()}
    assert without == {"bundle": ["gkm-SVM"], "other": [], "bare": ["DeepSEA"]}  # the study has DeepSEA, but not on it


def test_a_mean_is_that_of_the_metrics(study):
    given, table, _ = study
    metrics = pd.read_parquet(given["metrics"][0])
    rows = metrics[(metrics["part"] == "test") & (metrics["seed"] == -1) & (metrics["average"] == "macro")]
    for at, metric, group in ((2, "auroc", "all"), (3, "mcc", "TF")):
        expected = rows[(rows["metric"] == metric) & (rows["group"] == group)].iloc[0]
        for name in ("value", "low", "high"):
            assert table[name][at] == expected[name] or np.isnan([table[name][at], expected[name]]).all()


def test_a_group_without_targets_is_undefined_and_not_comparable(study):
    _, table, _ = study
    row = table.iloc[4]
    assert np.isnan(row["value"]) and row["verdict"] == "undefined" and not row["comparable"]
    assert row["reasons"] == "median over 0 signal targets, in the paper over 3"


def test_one_seed_has_a_narrower_interval_than_seeds_that_differ(study):
    one, seeds = judged(study[0])
    both = statistic(one, seeds, "auroc", "median", "TF")
    apart = seeds.assign(value=seeds["value"] + 0.05 * (seeds["seed"] == 2))
    moved = statistic(one, apart, "auroc", "median", "TF")
    assert moved["high"] - moved["low"] > both["high"] - both["low"] > 0
    alone = statistic(one, seeds[seeds["seed"] == 1], "auroc", "median", "TF")
    assert alone["high"] - alone["low"] < moved["high"] - moved["low"]
    columns = np.isin(one.drawn["targets"], [0, 2, 5])
    drawn = np.quantile(np.median(one.drawn["auroc"][:, columns], axis=1), [0.025, 0.975])
    assert alone["high"] - alone["low"] == pytest.approx(drawn[1] - drawn[0], rel=0.15)  # resamples, stretched to Student's t


def test_too_few_blocks_have_no_interval(study):
    one, seeds = judged(study[0])
    small = statistic(one, seeds.assign(blocks=19), "auroc", "median", "TF")
    assert small["verdict"] == "too small to judge" and np.isnan(small["low"]) and np.isfinite(small["value"])


def test_results_of_another_split_are_refused(study, tmp_path):
    given, _, _ = study
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(json.loads(given["splits"][0].read_text()) | {"digest": "other"}))
    with pytest.raises(InputError, match="belongs to split .*, .*splits.json certifies other; delete both"):
        step("cite").main(**given | {"splits": [path], "literature": tmp_path / "out.parquet"})
    assert not (tmp_path / "out.parquet").exists()


def test_the_shipped_table_holds_the_known_values():
    table = read_papers(PAPERS, ARCHITECTURES).set_index(["benchmark", "model", "metric", "group"])["value"]
    medians = [table["deepsea-919", "DeepSEA", "auroc", group] for group in ("TF", "DNase", "histone")]
    assert medians == [0.958, 0.923, 0.856]
    assert table["basset-164", "Basset", "auroc", "all"] == 0.895
    assert table["basset-164", "Basset", "average_precision", "all"] == 0.561
    # Means over tasks that the paper gives beside them.
    assert table.xs("DNABERT-2", level="model").filter(like="gue-tf-").mean() == pytest.approx(0.7010, abs=2e-4)
    core = [table[f"gue-core-promoter-{one}", "DNABERT-2", "mcc", "all"] for one in ("all", "notata", "tata")]
    assert np.mean(core) == pytest.approx(0.7052, abs=2e-4)


def test_every_shipped_row_has_a_model_that_is_known_here_and_its_weights():
    table = read_papers(PAPERS, ARCHITECTURES)
    sources = yaml.safe_load((ROOT / "resources/sources.yaml").read_text())
    assert set(table["architecture"]) - {""} <= set(ARCHITECTURES)
    for row in table[table["weights"].str.startswith("hub-")].itertuples():
        assert sources[row.weights]["checkpoint"]["architecture"] == row.architecture
    for _, some in table.groupby("benchmark"):
        assert all(some[name].nunique() == 1 for name in ("test_windows", "length", "chromosomes"))
    targets = table[(table["benchmark"] == "deepsea-919") & (table["model"] == "DeepSEA")]["targets"]
    assert targets.sum() == 919


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("metric", "aurocc", "metric is 'aurocc', none of auroc, average_precision, mcc; did you mean 'auroc'?"),
        ("statistic", "medium", "statistic is 'medium', none of mean, median; did you mean 'median'?"),
        (
            "architecture",
            "deepsee",
            "architecture is 'deepsee', none of {known}; did you mean 'deepsea'?".format(known=", ".join(ARCHITECTURES)),
        ),
        ("regime", "fully", "regime is 'fully', none of full, lora, ia3, probe; did you mean 'full'?"),
        ("chromosomes", "chr8,chr9", "chromosomes are 'chr8,chr9'; write them with blanks between, as chr8 chr9"),
        ("value", "77.4", "value is '77.4', but auroc is at most 1; a percentage is written as 0.77"),
        ("value", "", "value is '', but auroc"),
        ("targets", "many", "targets is 'many', not a whole number; mend it, or leave it empty if it is not known"),
        ("source", "", "source or evidence is empty"),
    ],
)
def test_a_wrong_cell_is_named_by_its_line(tmp_path, column, value, said):
    path = tmp_path / "literature.tsv"
    pd.DataFrame([PAPER, PAPER | {"group": "all", column: value}]).to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match=re.escape(f"{path}: line 3: {said}")):
        read_papers(path, ARCHITECTURES)


def test_a_row_twice_and_a_missing_column_are_refused_and_an_empty_count_is_not(tmp_path):
    path = tmp_path / "literature.tsv"
    pd.DataFrame([PAPER | {"targets": ""}]).to_csv(path, sep="\t", index=False)
    assert read_papers(path, ARCHITECTURES)["targets"].tolist() == [0]
    pd.DataFrame([PAPER, PAPER | {"statistic": "mean"}]).to_csv(path, sep="\t", index=False)
    assert read_papers(path, ARCHITECTURES)["statistic"].tolist() == ["median", "mean"]
    pd.DataFrame([PAPER, PAPER]).to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match="line 3: this benchmark, model, metric, statistic and group are there twice"):
        read_papers(path, ARCHITECTURES)
    pd.DataFrame([PAPER]).drop(columns="split").to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match="column split is missing"):
        read_papers(path, ARCHITECTURES)


def test_an_unknown_benchmark_is_one_line_with_the_nearest():
    study = {"datasets": {"a": {}, "b": {"literature": "gue-tf-9"}}}
    known = list(read_papers(PAPERS, ARCHITECTURES)["benchmark"].unique())
    with pytest.raises(InputError) as error:
        check_benchmarks(study, known, "mine.yaml")
    said = "mine.yaml: datasets.b.literature: 'gue-tf-9' is not in resources/literature.tsv; did you mean 'gue-tf-"
    assert str(error.value).startswith(said) and "\n" not in str(error.value)
    check_benchmarks({"datasets": {"b": {"literature": "gue-tf-0"}}}, known, "mine.yaml")


@pytest.fixture(scope="module")
def page(study, tmp_path_factory):
    """The made-up study's page and report, with one of its datasets a benchmark; and its results without any."""
    folder = tmp_path_factory.mktemp("page")
    given = write(folder) | {"page": folder / "page.html"}
    plain = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "render", lambda results: plain.append(results) or "")
        render.main(**given)
    table = study[1].assign(dataset="large", model="basset")
    table.attrs = {"without": {"large": study[1].attrs["without"]["bundle"]}}
    table.to_parquet(folder / "literature.parquet")
    entry = given["study"]["datasets"]["large"]
    whole = given["study"] | {"datasets": given["study"]["datasets"] | {"large": entry | {"literature": "made-up"}}}
    render.main(**given | {"study": whole, "literature": [folder / "literature.parquet"]})
    return Page(given["page"].read_text()), plain[0], table, json.loads(given["machine"].read_text())


def test_the_page_shows_ours_beside_theirs_and_why_not(page):
    shown, plain, table, _ = page
    [rows] = [one["rows"] for one in shown.tables if one["caption"].startswith("Published values beside ours")]
    assert len(rows) == 5
    first, second = rows[0], rows[1]
    assert first[2][0] == "median AUROC over TF targets" and first[3][1] == repr(float(table["value"][0])) and first[4] == ["0.900", "0.9"]
    assert first[5][1] == repr(float(table["difference"][0])) and first[6][0] == "comparable"
    assert second[5] == ["–", ""] and second[6][0] == "not comparable"  # no difference where it would mean nothing
    text = " ".join(shown.said)
    assert "Of 5 pairs of a model of ours and a published value 3 may be compared." in text
    assert "median over 1 DNase targets, in the paper over 125" in text
    assert "gkm-SVM: median AUROC over TF targets 0.900 (Somebody 2015)" in text and "chr8 and chr9" in text and "two sources" in text
    assert "#literature" in shown.addresses and "literature" in shown.ids
    assert [pages.literature.show(plain, one) for one in ("large", "small")] == [None, None]


def test_the_report_for_programs_has_the_rows_and_its_schema(page):
    _, _, table, told = page
    schema = yaml.safe_load((ROOT / "rules/schemas/report.schema.yaml").read_text())
    jsonschema.validate(told, schema)
    found = told["datasets"]["large"]["literature"]
    assert [one["comparable"] for one in found] == table["comparable"].tolist() and found[4]["value"] is None
    assert found[0]["value"] == table["value"][0] and told["datasets"]["small"]["literature"] == []


def test_a_study_without_any_model_of_a_paper_has_an_empty_table_and_says_so(study, tmp_path):
    given, _, _ = study
    other = {"deepsea": {**ENTRY, "architecture": "kmer-logistic"}}
    step("cite").main(**given | {"models": other, "literature": tmp_path / "literature.parquet"})
    table = pd.read_parquet(tmp_path / "literature.parquet")
    assert len(table) == 0 and list(table.columns) == COLUMNS and len(table.attrs["without"]["bundle"]) == 6
    assert pages.literature.sentences(table) == ["No model here is one of a paper."]


def test_a_number_that_nobody_confirmed_is_called_so():
    row = {"model": "m", "paper_model": "M", "metric": "mcc", "statistic": "mean", "group": "all", "targets": 1, "value": 0.7, "low": 0.6,
           "high": 0.8, "published": 0.71, "difference": -0.01, "comparable": True, "evidence": "not confirmed"}  # fmt: skip
    [_, said] = pages.literature.sentences(pd.DataFrame([row]))
    assert said.startswith("m: MCC 0.700 [") and said.endswith("That number is not confirmed.")
    assert pages.literature.by_source([row | {"source": "S"}] * 2) == {"S": ["m: MCC 0.700, not confirmed"] * 2}
    assert "the difference is −0.010 [−0.110, +0.090]" in said
