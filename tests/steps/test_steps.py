"""Each step's main() on small files: what it writes, and what it refuses."""

import contextlib
import json
import shutil

import made_up_bundle
import numpy as np
import pandas as pd
import pyBigWig
import pytest
import toy_models
from sklearn.metrics import matthews_corrcoef, roc_auc_score
from workflow_tools import step

from regdna.alphabet import encode
from regdna.certificate import digest as split_digest
from regdna.genome import Genome
from regdna.haplotypes import edits
from regdna.ledger import Ledger
from regdna.models.classifier import Classifier
from regdna.sources.alleles import MISMATCH
from regdna.step import InputError
from regdna.targets import Targets, pack
from regdna.variants import read_scores, score

SITES = 240
READING = {
    "files": [{"file": "toy/sites-1.npz"}], "columns": {"sequence": "sequence", "labels": ["label"]}, "length": 0, "assay": "DNase",
    "target": "", "shuffled": False, "seed": 0,
}  # fmt: skip
RULE = {"rule": "chromosomes", "test": ["chr1"], "validation": ["chr2"], "gap": 0, "seed": 0}
ENTRY = {
    "architecture": "kmer-logistic", "parameters": {"k": 3, "l2": 1.0}, "regime": "full", "initialisation": "random", "context": 0,
    "training": {"batch_size": 32},
}  # fmt: skip
NETWORK = ENTRY | {
    "architecture": "basset",
    "parameters": {"filters": [8, 8, 8], "widths": [7, 5, 3], "pools": [4, 4, 2], "hidden": 8, "dropout": 0.1},
    "training": toy_models.SETTINGS | {"epochs": 2, "batch_size": 32, "weight_decay": 0.0, "patience": 2},
}  # fmt: skip


def unpack(folder, files, reading, kind="multilabel", **more):
    """The files of labelled sequences that a dataset comes as, read into ``folder``."""
    places = [folder / name for name in ("sequences.npy", "records.parquet", "labels.npy", "labels.tsv", "labels.known.npy")]
    step("unpack").main(files, *places, reading, kind, **more)


def from_sequences(folder, files, reading, rule, kind="multilabel", **more):
    """A dataset that comes as sequences, from its files to its split, in ``folder``."""
    unpack(folder, files, reading, kind, **more)
    own = {"sequences": folder / "sequences.npy"}
    step("tile").main(folder / "candidates.parquet", 1000, records=folder / "records.parquet", **own)
    label(folder, kind, labels=folder / "labels.npy", names=folder / "labels.tsv", labels_known=folder / "labels.known.npy")
    step("split").main(folder / "labelled.parquet", folder / "windows.parquet", folder / "splits.json", rule, **own)


def label(folder, *arguments, **more):
    """Label the candidates in ``folder``; what is written lies there too."""
    places = [folder / name for name in ("candidates.parquet", "targets.npy", "targets.tsv", "labelled.parquet", "targets.known.npy")]
    step("label").main(*places, *arguments, **more)


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """A dataset of sites from shard to split: class 1 is rich in G and C, so that a model can learn it."""
    folder = tmp_path_factory.mktemp("sites")
    draw = np.random.default_rng(5)
    label = draw.integers(2, size=SITES).astype(np.uint8)
    weak, strong = draw.choice([0, 3], (SITES, 200)), draw.integers(4, size=(SITES, 200))
    codes = np.where((label == 1)[:, None] | (draw.random((SITES, 200)) < 0.3), strong, weak).astype(np.uint8)
    quads = codes.reshape(SITES, 50, 4)
    np.savez(
        folder / "sites-1.npz", chrom=np.sort(draw.integers(3, size=SITES)).astype(np.uint8),
        start=(np.arange(SITES) * 1000).astype(np.int32), label=label,
        sequence=quads[..., 0] << 6 | quads[..., 1] << 4 | quads[..., 2] << 2 | quads[..., 3],
        chromosomes=np.array(["chr1", "chr2", "chr3"]), targets=np.array(["one", "two"]),
    )  # fmt: skip
    from_sequences(folder, [folder / "sites-1.npz"], READING, RULE, "exclusive")
    assert np.array_equal(np.load(folder / "sequences.npy"), codes)
    assert np.array_equal(Targets(folder / "targets.npy", folder / "targets.tsv")[np.arange(SITES)].argmax(1), label)
    return folder


def train(folder, out, entry=ENTRY, **changed):
    arguments = dict(
        windows=folder / "windows.parquet", splits=folder / "splits.json", targets=folder / "targets.npy", table=folder / "targets.tsv",
        checkpoint=out / "checkpoint", compute=out / "compute.json", entry=entry, labels="exclusive", model="toy", seed=1,
        store=out / "store", sequences=folder / "sequences.npy", known=folder / "targets.known.npy",
    )  # fmt: skip
    step("train").main(**(arguments | changed))


def predict(folder, out, **changed):
    arguments = dict(
        windows=folder / "windows.parquet", splits=folder / "splits.json", checkpoint=out / "checkpoint",
        validation=out / "validation.npy", test=out / "test.npy", about=out / "about.json", sequences=folder / "sequences.npy",
    )  # fmt: skip
    step("predict").main(**(arguments | changed))


def evaluate(folder, out, **changed):
    arguments = dict(
        windows=folder / "windows.parquet", splits=folder / "splits.json", targets=folder / "targets.npy", names=folder / "targets.tsv",
        predictions=[out / "test.npy"], validation=[out / "validation.npy"], about=[out / "about.json"], metrics=out / "metrics.parquet",
        replicates=out / "replicates.npz", curves=out / "curves.parquet", model="toy", replicate_count=100,
        known=folder / "targets.known.npy", labels="exclusive",
    )  # fmt: skip
    step("evaluate").main(**(arguments | changed))


@pytest.fixture(scope="module")
def trained(sites, tmp_path_factory):
    """A model trained, predicted and evaluated on the sites."""
    out = tmp_path_factory.mktemp("results") / "tiny" / "sites" / "toy"
    out.mkdir(parents=True)
    train(sites, out)
    predict(sites, out)
    evaluate(sites, out)
    return out


def test_the_chain_learns_what_is_there_to_learn(trained):
    table = pd.read_parquet(trained / "metrics.parquet")
    mean = table.query("part == 'test' and metric == 'auroc' and target == -1 and seed == -1").iloc[0]
    assert mean["value"] > 0.95
    assert mean["low"] <= mean["value"] <= mean["high"]


def test_a_warm_store_gives_the_same_bytes_as_a_cold_one(sites, tmp_path):
    """A state left by an attempt that finished training but died before its job ended."""
    first, second = tmp_path / "first", tmp_path / "second"
    train(sites, first, NETWORK)

    def die(*_):
        raise OSError("the job dies here")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="dies here"):
        patch.setattr(Ledger, "write", die)
        train(sites, second, NETWORK)
    shutil.rmtree(second / "checkpoint")  # as Snakemake does with outputs of a failed job
    train(sites, second, NETWORK)
    one, other = (folder / "checkpoint/model.safetensors" for folder in (first, second))
    assert one.read_bytes() == other.read_bytes()
    cost, again = (json.loads((folder / "compute.json").read_text()) for folder in (first, second))
    assert cost["resumed_from"] is None and again["resumed_from"] == {"epoch": 3, "step": 0}
    assert cost["attempts"] == 1 and again["attempts"] == 2
    assert [one["outcome"] for one in again["attempt_log"]] == ["finished"] * 2
    for folder in (first, second):  # what nobody needs any more is gone
        assert not list((folder / "store").iterdir())


def test_another_split_is_refused_by_every_later_step(sites, trained, tmp_path):
    splits = json.loads((sites / "splits.json").read_text()) | {"digest": "0" * 16}
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    with pytest.raises(InputError, match="split"):
        predict(
            sites, trained, splits=tmp_path / "splits.json", test=tmp_path / "t.npy", validation=tmp_path / "v.npy", about=tmp_path / "a"
        )
    with pytest.raises(InputError, match="split"):
        evaluate(sites, trained, splits=tmp_path / "splits.json", metrics=tmp_path / "m.parquet")
    assert not (tmp_path / "t.npy").exists()
    assert not (tmp_path / "m.parquet").exists()


def test_moved_windows_are_noticed(sites, trained, tmp_path):
    frame = pd.read_parquet(sites / "windows.parquet")
    frame.loc[0, "split"] = "train" if frame.loc[0, "split"] != "train" else "test"
    frame.to_parquet(tmp_path / "windows.parquet")
    with pytest.raises(InputError, match="windows.parquet: belongs to split .* delete both"):
        predict(sites, trained, windows=tmp_path / "windows.parquet", test=tmp_path / "t.npy")
    with pytest.raises(InputError, match="windows.parquet: belongs to split .* delete both"):
        train(sites, tmp_path / "run", windows=tmp_path / "windows.parquet")


def test_predictions_that_are_not_numbers_or_too_few_are_refused(sites, trained, tmp_path):
    values = np.load(trained / "test.npy")
    np.save(tmp_path / "short.npy", values[:-1])
    with pytest.raises(InputError, match=r"short.npy: shape"):
        evaluate(sites, trained, predictions=[tmp_path / "short.npy"], metrics=tmp_path / "m.parquet")
    np.save(tmp_path / "odds.npy", values - 2)
    with pytest.raises(InputError, match=r"odds.npy: holds values from -\S+ to -\S+, no probabilities"):
        evaluate(sites, trained, predictions=[tmp_path / "odds.npy"], metrics=tmp_path / "m.parquet")
    values[0, 0] = np.nan
    np.save(tmp_path / "nan.npy", values)
    with pytest.raises(InputError, match=r"nan.npy: holds 1 values"):
        evaluate(sites, trained, predictions=[tmp_path / "nan.npy"], metrics=tmp_path / "m.parquet")


def test_every_seed_is_judged_by_its_own_predictions(sites, trained, tmp_path):
    """Three seeds that are known apart: the model's, the same turned round, and one between."""
    first = np.load(trained / "test.npy")
    several = [first, 1 - first, np.where(np.arange(len(first))[:, None] % 2, first, 1 - first).astype(np.float32)]
    about = json.loads((trained / "about.json").read_text())
    for seed, values in enumerate(several, start=1):
        np.save(tmp_path / f"{seed}.npy", values)
        (tmp_path / f"{seed}.json").write_text(json.dumps(about | {"seed": seed}))
    evaluate(
        sites, trained, predictions=[tmp_path / f"{seed}.npy" for seed in (1, 2, 3)], validation=[trained / "validation.npy"] * 3,
        about=[tmp_path / f"{seed}.json" for seed in (1, 2, 3)], metrics=tmp_path / "m.parquet", replicates=tmp_path / "r.npz",
        curves=tmp_path / "c.parquet",
    )  # fmt: skip
    rows = pd.read_parquet(sites / "windows.parquet")["split"].to_numpy() == "test"
    labels = Targets(sites / "targets.npy", sites / "targets.tsv")[np.flatnonzero(rows)]
    found = pd.read_parquet(tmp_path / "m.parquet").query("part == 'test' and metric == 'auroc' and target == 0").set_index("seed")["value"]
    expected = [roc_auc_score(labels[:, 0], values[:, 0]) for values in several]
    assert [found[seed] for seed in (1, 2, 3)] == pytest.approx(expected) and len(set(np.round(expected, 3))) == 3
    assert found[-1] == pytest.approx(np.mean(expected))


def test_validation_alone_decides_thresholds_and_temperatures_and_test_alone_is_judged(sites, trained, tmp_path):
    """Validation is known by a threshold and a temperature that the test part would not choose; its own values are perfect."""
    frame = pd.read_parquet(sites / "windows.parquet")
    rows = {part: np.flatnonzero(frame["split"].to_numpy() == part) for part in ("validation", "test")}
    labels = {part: Targets(sites / "targets.npy", sites / "targets.tsv")[at].astype(bool) for part, at in rows.items()}
    draw = np.random.default_rng(0)
    # Probabilities of validation are right and all below a half, those of the test part right in four of five and about a half.
    held = np.where(labels["validation"], 0.3, 0.1).astype(np.float32)
    right = draw.random(len(rows["test"])) < 0.8
    judged = np.where(labels["test"] == right[:, None], 0.7, 0.2).astype(np.float32)
    np.save(tmp_path / "validation.npy", held)
    np.save(tmp_path / "test.npy", judged)
    made = {"metrics": tmp_path / "m.parquet", "replicates": tmp_path / "r.npz", "curves": tmp_path / "c.parquet"}
    evaluate(sites, trained, predictions=[tmp_path / "test.npy"], validation=[tmp_path / "validation.npy"], labels="multilabel", **made)
    table = pd.read_parquet(made["metrics"]).query("target == 0 and seed == -1").set_index(["part", "metric"])
    assert table.loc[("validation", "auroc"), "value"] == 1 and table.loc[("validation", "mcc"), "value"] == 1
    # At validation's threshold, between .1 and .3, every test window is called.
    called = judged[:, 0] >= 0.3
    assert table.loc[("test", "mcc"), "value"] == pytest.approx(matthews_corrcoef(labels["test"][:, 0], called))
    auroc = table.loc[("test", "auroc")]
    assert (
        auroc["value"] == pytest.approx(roc_auc_score(labels["test"][:, 0], judged[:, 0]))
        and auroc["low"] < auroc["value"] < auroc["high"] < 1
    )
    drawn = pd.read_parquet(made["curves"])
    assert np.nanmax(np.load(made["replicates"])["auroc"]) < 1
    reliable = drawn[(drawn["target"] == 0) & (drawn["curve"] == "reliability")]
    assert reliable["x"].to_numpy() == pytest.approx([0.2, 0.7]) and reliable["windows"].sum() == len(rows["test"])
    assert table.loc[("test", "brier"), "value"] == pytest.approx(
        np.mean((labels["test"][:, 0] - judged[:, 0].astype(float)) ** 2), abs=1e-6
    )


def test_each_window_is_predicted_where_it_lies_and_strands_are_those_of_the_test_part(sites, trained, tmp_path, monkeypatch):
    module, asked = step("predict"), []

    def ask(classifier, codes, rows, position, strands=None):
        asked.append((rows, position.middle, strands))
        return np.full((len(rows), len(classifier.about["targets"])), 0.5, np.float32)

    monkeypatch.setattr(module, "predict", ask)
    made = {name: tmp_path / f"{name}.npy" for name in ("validation", "test")}
    module.main(
        windows=sites / "windows.parquet", splits=sites / "splits.json", checkpoint=trained / "checkpoint", about=tmp_path / "about.json",
        sequences=sites / "sequences.npy", **made,
    )  # fmt: skip
    frame = pd.read_parquet(sites / "windows.parquet")
    for (rows, middle, strands), part in zip(asked, ("validation", "test"), strict=True):
        assert np.array_equal(rows, np.flatnonzero(frame["split"].to_numpy() == part))
        assert np.array_equal(middle, ((frame["start"] + frame["end"]) / 2).to_numpy()[rows]) and (strands is not None) == (part == "test")


def test_models_of_different_splits_are_not_compared(trained, tmp_path):
    other = tmp_path / "tiny/sites/other"
    shutil.copytree(trained, other)
    rename(other, "other")
    table = pd.read_parquet(other / "metrics.parquet")
    table.attrs["split_digest"] = "0" * 16
    with np.load(trained / "replicates.npz") as drawn:
        np.savez(other / "replicates.npz", **(dict(drawn) | {"split_digest": "0" * 16, "model": "other"}))
    with pytest.raises(InputError, match="of another split than"):
        step("compare").main(
            *[[folder / name for folder in (trained, other)] for name in ("metrics.parquet", "replicates.npz")], tmp_path / "c"
        )
    table.to_parquet(other / "metrics.parquet")
    pairs = [[folder / name for folder in (trained, other)] for name in ("metrics.parquet", "replicates.npz")]
    with pytest.raises(InputError, match="different splits"):
        step("compare").main(*pairs, tmp_path / "comparison.parquet")


def rename(folder, model):
    """Have results be of another model."""
    table = pd.read_parquet(folder / "metrics.parquet")
    attributes, table = table.attrs, table.assign(model=model)
    table.attrs = attributes
    table.to_parquet(folder / "metrics.parquet")
    with np.load(folder / "replicates.npz") as drawn:
        held = dict(drawn)
    np.savez(folder / "replicates.npz", **(held | {"model": model}))


def test_a_model_equals_itself(trained, tmp_path):
    other = tmp_path / "tiny/sites/other"
    shutil.copytree(trained, other)
    rename(other, "other")
    pairs = [[folder / name for folder in (trained, other)] for name in ("metrics.parquet", "replicates.npz")]
    step("compare").main(*pairs, tmp_path / "comparison.parquet")
    comparison = pd.read_parquet(tmp_path / "comparison.parquet")
    assert set(comparison["verdict"]) == {"equivalent"}
    assert (comparison[["difference", "low", "high"]] == 0).all(axis=None)
    assert set(comparison["metric"]) == {"auroc", "average_precision", "mcc"}
    assert (comparison["p"] == 1).all()


def test_files_of_two_models_in_another_order_are_refused(trained, tmp_path):
    other = tmp_path / "tiny/sites/other"
    shutil.copytree(trained, other)
    rename(other, "other")
    metrics = [trained / "metrics.parquet", other / "metrics.parquet"]
    with pytest.raises(InputError, match="give both in one order"):
        step("compare").main(metrics, [trained / "replicates.npz", trained / "replicates.npz"], tmp_path / "comparison.parquet")


def test_training_sites_are_drawn_and_the_rest_is_unused(sites, tmp_path, caplog):
    def counted(wanted):
        made = tmp_path / "windows.parquet", tmp_path / "splits.json"
        step("split").main(sites / "labelled.parquet", *made, RULE, wanted, sequences=sites / "sequences.npy")
        return pd.read_parquet(made[0])["split"].value_counts()

    counts, before = counted(20), pd.read_parquet(sites / "windows.parquet")["split"].value_counts()
    with caplog.at_level("WARNING", "regdna"):
        assert counted(10_000).equals(before) and "10000 were asked for" in caplog.text
    assert counts["train"] == 20
    assert counts["unused"] == before["train"] - 20
    assert counts["test"] == before["test"]


@pytest.mark.parametrize(
    ("rule", "training_sites", "said"),
    [
        (RULE | {"test": ["chr9"]}, 0, "no window is in test"),
        (RULE | {"rule": "blocks", "block": 1_000_000, "test": 2, "validation": 2}, 0, "none is left to train"),
    ],
)
def test_a_split_that_cannot_be_is_refused(sites, tmp_path, rule, training_sites, said):
    with pytest.raises(InputError, match=said):
        step("split").main(
            sites / "labelled.parquet", tmp_path / "w", tmp_path / "s", rule, training_sites, sequences=sites / "sequences.npy"
        )
    assert not (tmp_path / "w").exists()


def test_overlapping_windows_of_two_parts_fail_the_step(tmp_path):
    pd.DataFrame({"chrom": "chr1", "start": np.arange(8) * 50, "end": np.arange(8) * 50 + 200}).to_parquet(tmp_path / "candidates.parquet")
    np.save(tmp_path / "sequences.npy", np.random.default_rng(1).integers(4, size=(8, 200)).astype(np.uint8))
    rule = {"rule": "blocks", "block": 100, "test": 1, "validation": 1, "gap": 0, "seed": 0}
    room = step("split")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(InputError, match="overlap"):
        patch.setattr(room.rules, "open_gap", lambda table, part, gap: part)
        room.main(tmp_path / "candidates.parquet", tmp_path / "w", tmp_path / "s", rule, sequences=tmp_path / "sequences.npy")


def test_a_state_of_other_sequences_is_not_continued(sites, tmp_path):
    def die(*_):
        raise OSError("the job dies here")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="dies here"):
        patch.setattr(Ledger, "write", die)
        train(sites, tmp_path, NETWORK)
    certificate = json.loads((sites / "splits.json").read_text()) | {"sequence_digest": "0" * 16}
    (tmp_path / "splits.json").write_text(json.dumps(certificate))
    train(sites, tmp_path, NETWORK, splits=tmp_path / "splits.json")
    assert json.loads((tmp_path / "compute.json").read_text())["resumed_from"] is None


def test_validation_without_a_usable_target_is_refused_before_training(sites, tmp_path):
    frame = pd.read_parquet(sites / "windows.parquet")
    labels = Targets(sites / "targets.npy", sites / "targets.tsv")[np.arange(SITES)].argmax(1)
    frame.loc[(frame["split"] == "validation") & (labels == 1), "split"] = "unused"
    frame.to_parquet(tmp_path / "windows.parquet")
    certificate = json.loads((sites / "splits.json").read_text()) | {"digest": split_digest(frame)}
    (tmp_path / "splits.json").write_text(json.dumps(certificate))
    with pytest.raises(InputError, match="no target has both classes among the validation windows"):
        train(sites, tmp_path, NETWORK, windows=tmp_path / "windows.parquet", splits=tmp_path / "splits.json")


def test_a_test_part_of_one_class_is_undefined_not_a_crash(sites, trained, tmp_path):
    frame = pd.read_parquet(sites / "windows.parquet")
    labels = Targets(sites / "targets.npy", sites / "targets.tsv")[np.arange(SITES)].argmax(1)
    frame.loc[(frame["split"] == "test") & (labels == 1), "split"] = "unused"
    frame.to_parquet(tmp_path / "windows.parquet")
    digest = split_digest(frame)
    certificate = json.loads((sites / "splits.json").read_text()) | {"digest": digest}
    (tmp_path / "splits.json").write_text(json.dumps(certificate))
    (tmp_path / "about.json").write_text(json.dumps(json.loads((trained / "about.json").read_text()) | {"split_digest": digest}))
    np.save(tmp_path / "test.npy", np.full(((frame["split"] == "test").sum(), 2), 0.5, np.float32))
    evaluate(
        sites, trained, windows=tmp_path / "windows.parquet", splits=tmp_path / "splits.json", predictions=[tmp_path / "test.npy"],
        about=[tmp_path / "about.json"], metrics=tmp_path / "m.parquet", replicates=tmp_path / "r.npz", curves=tmp_path / "c.parquet",
    )  # fmt: skip
    table = pd.read_parquet(tmp_path / "m.parquet").query("part == 'test'")
    assert set(table["verdict"]) == {"undefined"}
    assert table["value"].isna().all()
    assert pd.read_parquet(tmp_path / "c.parquet").empty


@pytest.mark.parametrize("name", ["sequences.npy", "targets.npy"])
def test_a_truncated_array_is_named(sites, tmp_path, name):
    folder = shutil.copytree(sites, tmp_path / "cut")
    (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{name}: cut short"):
        train(folder, tmp_path)


def test_a_truncated_checkpoint_is_named(sites, trained, tmp_path):
    folder = shutil.copytree(trained / "checkpoint", tmp_path / "checkpoint") / "model.safetensors"
    folder.write_bytes(folder.read_bytes()[:-10])
    with pytest.raises(InputError, match="model.safetensors: cut short"):
        Classifier(tmp_path / "checkpoint")


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """A genome of one short chromosome, indexed."""
    folder = tmp_path_factory.mktemp("genome")
    letters = "".join(np.random.default_rng(3).choice(list("ACGT"), 5000))
    (folder / "a.fa").write_text(f">chr1\n{letters}\n>chrM\nACGT\n")
    (folder / "assemblies.tsv").write_text("assembly\tchrom\tlength\nhg38\tchr1\t5000\n")
    files = [folder / name for name in ("genome.npy", "genome.tsv", "genome.mask.npy")]
    step("index").main([folder / "a.fa"], folder / "assemblies.tsv", *files, "hg38")
    assert np.array_equal(Genome(*files).fetch("chr1", 10, 60), encode(letters[10:60]))
    return files


def test_variants_and_loci_of_a_genome(sites, trained, genome, tmp_path):
    base = "ACGT"[Genome(*genome).fetch("chr1", 2000, 2001)[0]]
    edge = "ACGT"[Genome(*genome).fetch("chr1", 4, 5)[0]]
    other, beside = ("A" if one != "A" else "C" for one in (base, edge))
    lines = [f"2001\tone\t{base}\t{other}", f"2001\twrong\t{other}\t{base}", f"5\tedge\t{edge}\t{beside}"]
    (tmp_path / "v.vcf").write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n" + "".join(f"chr1\t{one}\n" for one in lines))
    assemblies = genome[0].parent / "assemblies.tsv"
    outputs = [tmp_path / name for name in ("s.parquet", "s.tsv", "s.vcf.gz", "s.vcf.gz.tbi", "s.left-out.tsv")]
    step("read").main(tmp_path / "v.vcf", genome, assemblies, tmp_path / "v.parquet", tmp_path / "out.tsv", "hg38")
    step("score").main(
        tmp_path / "v.parquet", [trained / "checkpoint"], sites / "targets.tsv", assemblies, *outputs, "some", "hg38", genome, [0], "ends"
    )  # fmt: skip
    scores = read_scores(tmp_path / "s.parquet")
    assert scores.table["id"].tolist() == ["one"]
    assert (tmp_path / "s.left-out.tsv").read_text().splitlines()[1:] == [
        f"5\tchr1\t5\t{edge}\t{beside}\ttoo close to the end of what is held"
    ]
    assert scores.about["left_out"][MISMATCH] == 1 and scores.about["left_out"]["too close to the end of what is held"] == 1

    place = {"assembly": "hg38", "chrom": "chr1", "start": 1990, "end": 2010}
    mutagenise = step("mutagenise").main
    outputs = (tmp_path / "x.npz", tmp_path / "x.bw", "x")
    mutagenise(sites / "windows.parquet", [trained / "checkpoint"], *outputs, place, "hg38", genome=genome)
    with pytest.raises(InputError, match="x is on hg38, the dataset on hg19"):
        mutagenise(sites / "windows.parquet", [trained / "checkpoint"], *outputs, place, "hg19", genome=genome)
    with pytest.raises(InputError, match="reaches beyond the 200 bp that the model sees"):
        mutagenise(sites / "windows.parquet", [trained / "checkpoint"], *outputs, place | {"end": 2300}, "hg38", genome=genome)
    with np.load(tmp_path / "x.npz") as saved:
        effect, about = saved["effect"], json.loads(str(saved["about"]))
    assert effect.shape == (20, 4, 2)
    assert (about["start"], about["end"]) == (1990, 2010)
    # The same edit by the other road: the variant's window begins 100 bp before it, so does the locus' with its centre at 2000.
    assert np.allclose(effect[10, "ACGT".index(other)], scores.values["logit"][0], atol=1e-6)


def test_effects_at_a_locus_are_means_over_shifts_and_seeds_with_their_spreads(sites, genome, tmp_path):
    train(sites, tmp_path, NETWORK)
    place = {"assembly": "hg38", "chrom": "chr1", "start": 1990, "end": 2010}

    def mutagenised(checkpoints, **more):
        paths = tmp_path / "x.npz", tmp_path / "x.bw"
        step("mutagenise").main(sites / "windows.parquet", checkpoints, *paths, "x", place, "hg38", genome=genome, **more)
        with np.load(paths[0]) as saved:
            return dict(saved)

    one = [tmp_path / "checkpoint"]
    apart = [mutagenised(one, shifts=[shift]) for shift in (0, 3, -2)]
    both = mutagenised(one * 2, shifts=[0, 3, -2], deletions=True)
    assert np.allclose(both["effect"], np.mean([each["effect"] for each in apart], 0), atol=1e-6)
    assert np.allclose(both["reference"], np.mean([each["reference"] for each in apart], 0), atol=1e-6)
    assert np.abs(apart[1]["effect"] - apart[0]["effect"]).max() > 1e-4
    # A shift is the same in mutagenesis and in a score: the base lies that many bp to the right of the middle.
    base = int(Genome(*genome).fetch("chr1", 2000, 2001)[0])
    other = (base + 1) % 4
    variant = edits(pd.DataFrame({"contig": ["chr1"], "position": [2000], "ref": ["ACGT"[base]], "alt": ["ACGT"[other]]}))
    for shift, each in zip((0, 3, -2), apart, strict=True):
        scored = score([Classifier(one[0])], Genome(*genome), variant, [shift])
        assert np.allclose(each["effect"][10, other], scored["logit"][0], atol=1e-5)
        assert np.allclose(each["views"][10, other], scored["logit_views"][0], atol=1e-5)
    assert (both["spread"] == 0).all() and np.isnan(apart[0]["spread"]).all()
    # Of one shift there are two strands, whose sd is half their difference times the root of 2.
    substituted = both["effect"] != 0
    assert (apart[0]["views"][substituted] > 0).any() and both["views"].shape == (20, 4, 2)
    squares = [each["effect"] ** 2 + each["views"] ** 2 / 2 for each in apart]  # the mean square over two views
    assert np.allclose(both["views"] ** 2 * 5 / 6, np.mean(squares, 0) - both["effect"] ** 2, atol=1e-5)
    assert both["deletion"].shape == (20, 2) and np.isfinite(both["deletion"]).all() and "deletion" not in apart[0]
    assert json.loads(str(both["about"]))["shifts"] == [0, 3, -2]


def test_a_locus_that_is_no_site_is_refused(sites, trained, tmp_path):
    place = {"assembly": "hg38", "chrom": "chr7", "start": 10, "end": 20}
    with pytest.raises(InputError, match="chr7:10-20 is no site"):
        step("mutagenise").main(
            sites / "windows.parquet", [trained / "checkpoint"], tmp_path / "x.npz", tmp_path / "x.bw", "x", place, "hg38",
            sequences=sites / "sequences.npy",
        )  # fmt: skip


def test_a_model_that_does_not_fit_the_windows_is_named(sites, tmp_path):
    entry = NETWORK | {"parameters": NETWORK["parameters"] | {"pools": [40, 4, 4]}}
    with pytest.raises(InputError, match="models.toy: 200 bp are too short"):
        train(sites, tmp_path, entry)
    assert not (tmp_path / "checkpoint").exists()


def test_the_ledger_has_a_row_a_run(trained, tmp_path):
    run = tmp_path / "tiny/sites/toy/seed1"
    run.mkdir(parents=True)
    shutil.copy(trained / "compute.json", run)
    step("account").main([run / "compute.json"], tmp_path / "ledger.tsv")
    row = pd.read_csv(tmp_path / "ledger.tsv", sep="\t").iloc[0]
    assert (row["dataset"], row["model"], row["seed"]) == ("sites", "toy", 1)
    assert row["peak_host_bytes"] > 50_000_000


def test_the_ledger_has_a_row_a_trial_and_counts_what_failed(tmp_path):
    def put(name, content):
        path = tmp_path / "tiny/sites/toy" / name
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
        return path

    cost = {"seed": 4, "wall_seconds": 2.5, "attempts": 3, "joules": None, "utilisation": 0.25, "control": "", "family": "cnn",
            "failures": [{"seed": 4, "validation_ap": 0.1, "seconds": 1.0}], "collapsed": False}  # fmt: skip
    run = put("seed4/compute.json", cost)
    tried = {0: cost | {"wall_seconds": 7.5, "validation_ap": 0.5}, 11: None}
    trials = [put(f"trials/{at}/trial.json", {"trial": at, "compute": some}) for at, some in tried.items()]
    step("account").main([run], tmp_path / "ledger.tsv", trials)
    rows = pd.read_csv(tmp_path / "ledger.tsv", sep="\t")
    assert list(rows["kind"]) == ["run", "trial", "trial"] and set(rows["dataset"]) == {"sites"} and set(rows["model"]) == {"toy"}
    assert (tmp_path / "ledger.tsv").read_text().splitlines()[2].startswith("sites\ttoy\ttrial\t4\t0\t")  # whole numbers stay whole
    assert list(rows["trial"].fillna(-1)) == [-1, 0, 11] and list(rows["seed"].fillna(-1)) == [4, 4, -1]
    assert list(rows["wall_seconds"].fillna(-1)) == [2.5, 7.5, -1] and list(rows["failures"]) == [1, 1, 0]
    assert list(rows["attempts"].fillna(-1)) == [3, 3, -1] and rows["validation_ap"][1] == 0.5
    assert rows["joules"].isna().all() and rows["utilisation"][0] == 0.25


def test_the_ledger_has_what_slurm_s_accounts_say_of_a_job(tmp_path, monkeypatch):
    module = step("account")
    told = {"queue_seconds": 3.0, "slurm_seconds": 9, "cpu_share": 0.5, "memory_share": 0.25}
    monkeypatch.setattr(module, "used", lambda jobs: {"77": told} if jobs == ["77", "78"] else pytest.fail(str(jobs)))
    paths = [tmp_path / f"tiny/sites/toy/seed{seed}/compute.json" for seed in (1, 2, 3)]
    for path, job in zip(paths, ("77", None, "78"), strict=True):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"job": job}))
    module.main(paths, tmp_path / "ledger.tsv")
    rows = pd.read_csv(tmp_path / "ledger.tsv", sep="\t")
    assert rows.iloc[0][list(told)].to_dict() == told and rows.iloc[1:][list(told)].isna().all(axis=None)


def test_an_opened_checkpoint_tells_its_strands_apart(sites, trained):
    codes = np.load(sites / "sequences.npy")[:4]
    odds = Classifier(trained / "checkpoint").strands(codes, np.zeros(4))
    # k-mers are counted with their reverse complements, so both strands agree.
    assert np.allclose(odds[0], odds[1])


WINDOW = {"bin": 20, "stride": 0, "context": 60, "edges": "drop", "max_n_fraction": 0.0}


@pytest.fixture(scope="module")
def patchy(tmp_path_factory):
    """A genome of a chromosome and a part of one, with stretches of N and of lower case: its files and its letters by place."""
    draw = np.random.default_rng(11)
    texts = {}
    for name, first, size in (("chr1", 0, 900), ("chr2", 300, 500)):
        letters = np.array(list(toy_models.letters(draw, size)))
        letters[np.repeat(draw.random(size // 20) < 0.1, 20)] = "N"
        letters = np.where(np.repeat(draw.random(size // 10) < 0.3, 10), np.char.lower(letters), letters)
        texts[name] = (first, "".join(letters))
    records = {"chr1": texts["chr1"][1], "chr2:301-800": texts["chr2"][1]}
    files = toy_models.genome_files(tmp_path_factory.mktemp("patchy"), records, {"chr1": 900, "chr2": 2000})
    return files, texts


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """What a step needs to check an assembly: chromosomes of 5,000 bp."""
    path = tmp_path_factory.mktemp("assemblies") / "assemblies.tsv"
    path.write_text("assembly\tchrom\tlength\n" + "".join(f"hg38\tchr{i}\t5000\n" for i in (1, 2, 3)))
    return {"assemblies": path, "assembly": "hg38"}


def bed(path, draw, chroms=("chr1", "chr2", "chr3"), count=12, longest=60, columns=3):
    """A BED file of random intervals, and the places that they cover."""
    chrom, start = draw.choice(chroms, count), draw.integers(0, 850, count)
    end = start + draw.integers(1, longest, count)
    strand = draw.choice(["+", "-"], count)
    rows = [f"{a}\t{b}\t{c}" + (f"\tx\t0\t{d}" if columns > 3 else "") for a, b, c, d in zip(chrom, start, end, strand, strict=True)]
    path.write_text("\n".join(rows) + "\n")
    return {name: {at for i in np.flatnonzero(chrom == name) for at in range(start[i], end[i])} for name in chroms}


def slow_tiles(texts, windows, block, middles=None, excluded=(), repeats=None, tss=None):
    """What tile.py writes, window by window and base by base."""
    rows, size, context = [], windows["bin"], windows["context"]
    flank, stride = (context - size) // 2, windows["stride"] or windows["bin"]
    for chrom, (first, text) in texts.items():
        last = first + len(text)
        places = range(0, last, stride) if middles is None else sorted({middle - size // 2 for middle in middles[chrom]})
        reach = 0 if windows["edges"] == "pad" else flank
        for at in places:
            if at - reach < first or at + size + reach > last:
                continue
            start, end = at - flank, at + size + flank
            letters = "".join(text[i - first] if first <= i < last else "N" for i in range(start, end))
            known = len(letters) - letters.upper().count("N")
            if 1 - known / context > windows["max_n_fraction"] + 1e-12 or any(set(range(at, at + size)) & one[chrom] for one in excluded):
                continue
            covered = sum(i in repeats[chrom] for i in range(start, end)) if repeats else sum(map(str.islower, letters))
            middle = (start + end) // 2
            rows.append({
                "chrom": chrom, "start": start, "end": end, "block": f"{chrom}:{middle // block}",
                "gc": sum(letters.upper().count(base) for base in "GC") / known, "n_fraction": 1 - known / context,
                "tss_distance": min(abs(middle - site) for site in tss[chrom]) if tss else np.nan, "repeat_fraction": covered / context,
            })  # fmt: skip
    return pd.DataFrame(rows)


def assert_tiles(path, expected):
    found = pd.read_parquet(path)
    assert len(found) == len(expected) > 0
    assert list(found["cluster"]) == list(range(len(found)))
    for name in expected:
        if expected[name].dtype == float:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-12, err_msg=name)
        else:
            assert found[name].tolist() == expected[name].tolist(), name


@pytest.mark.parametrize("edges", ["drop", "pad"])
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"stride": 7},
        {"max_n_fraction": 0.4},
        {"bin": 21, "context": 21},
        {"stride": 50, "max_n_fraction": 0.99},
        {"bin": 1, "context": 9},
    ],
    ids=str,
)
def test_windows_along_a_genome_equal_a_slow_listing(patchy, tmp_path, edges, changed):
    files, texts = patchy
    windows = WINDOW | {"edges": edges} | changed
    step("tile").main(tmp_path / "c.parquet", 100, windows, genome=files)
    assert_tiles(tmp_path / "c.parquet", slow_tiles(texts, windows, 100))


def test_what_is_excluded_is_left_out_where_it_touches_the_bin(patchy, known, tmp_path):
    files, texts = patchy
    draw = np.random.default_rng(4)
    windows = WINDOW | {"stride": 5, "max_n_fraction": 0.5}
    excluded = [bed(tmp_path / f"{name}.bed", draw) for name in ("gaps", "blacklist")]
    step("tile").main(
        tmp_path / "c.parquet", 100, windows, genome=files, exclude=[tmp_path / "gaps.bed", tmp_path / "blacklist.bed"], **known
    )
    expected = slow_tiles(texts, windows, 100, excluded=excluded)
    assert len(expected) < len(slow_tiles(texts, windows, 100))
    assert_tiles(tmp_path / "c.parquet", expected)


@pytest.mark.parametrize("edges", ["drop", "pad"])
def test_windows_on_the_middle_of_intervals_equal_a_slow_listing(patchy, known, tmp_path, edges):
    files, texts = patchy
    windows = WINDOW | {"edges": edges, "max_n_fraction": 0.9}
    rows = [("chr1", start, start + 1) for start in (0, 9, 10, 11, 30, 29, 880, 889, 890, 891, 450)]
    rows += [("chr2", 300, 340), ("chr2", 310, 330), ("chr2", 500, 533), ("chr2", 10, 20), ("chr3", 5, 9), ("chr1", 445, 456)]
    (tmp_path / "centres.bed").write_text("".join(f"{chrom}\t{start}\t{end}\n" for chrom, start, end in rows))
    middles = {name: [(start + end) // 2 for chrom, start, end in rows if chrom == name] for name in texts}
    step("tile").main(tmp_path / "c.parquet", 100, windows, genome=files, centres=tmp_path / "centres.bed", **known)
    assert_tiles(tmp_path / "c.parquet", slow_tiles(texts, windows, 100, middles))


def test_repeats_come_from_lower_case_or_from_a_table_and_distances_from_sites(patchy, known, tmp_path):
    files, texts = patchy
    draw = np.random.default_rng(6)
    windows = WINDOW | {"edges": "pad", "stride": 3, "max_n_fraction": 0.9}
    repeats = bed(tmp_path / "repeats.bed", draw, count=30)
    sites = {"chr1": [100, 420], "chr2": [7, 701]}
    (tmp_path / "tss.bed").write_text("".join(f"{chrom}\t{at}\t{at + 1}\tg\t0\t+\n" for chrom, some in sites.items() for at in some))
    step("tile").main(
        tmp_path / "c.parquet", 70, windows, genome=files, repeats=tmp_path / "repeats.bed", tss=tmp_path / "tss.bed", **known
    )
    assert_tiles(tmp_path / "c.parquet", slow_tiles(texts, windows, 70, repeats=repeats, tss=sites))
    genes = "".join(
        f'{chrom}\tHAVANA\ttranscript\t{at + 1}\t{at + 50}\t.\t+\t.\tgene_type "protein_coding";\n'
        for chrom, some in sites.items()
        for at in some
    )
    (tmp_path / "genes.gtf").write_text(f"##description\n{genes}")
    (tmp_path / "rmsk.txt").write_text(
        "".join(f"1\t2\t3\t4\t5\t{chrom}\t{at}\t{at + 1}\t-9\t+\tL1\n" for chrom, some in repeats.items() for at in sorted(some))
    )
    step("tile").main(tmp_path / "d.parquet", 70, windows, genome=files, repeats=tmp_path / "rmsk.txt", tss=tmp_path / "genes.gtf", **known)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "d.parquet"), pd.read_parquet(tmp_path / "c.parquet"))


def test_a_genome_without_lower_case_has_no_known_repeats(genome, tmp_path):
    step("tile").main(tmp_path / "c.parquet", 100, WINDOW, genome=genome)
    found = pd.read_parquet(tmp_path / "c.parquet")
    assert len(found) == 5000 // 20 - 2
    assert found[["repeat_fraction", "tss_distance"]].isna().all(axis=None)


def test_a_genome_of_which_nothing_is_left_is_refused(genome, known, tmp_path):
    (tmp_path / "all.bed").write_text("chr1\t0\t5000\n")
    (tmp_path / "none.bed").write_text("chr2\t0\t5000\n")
    for more in ({"exclude": [tmp_path / "all.bed"]}, {"centres": tmp_path / "none.bed"}):
        with pytest.raises(InputError, match="no window is left; .*exclude less"):
            step("tile").main(tmp_path / "c.parquet", 100, WINDOW, genome=genome, **more, **known)
    files = toy_models.genome_files(tmp_path, {"chr1": "N" * 200})
    with pytest.raises(InputError, match="no window is left; .*max_n_fraction"):
        step("tile").main(tmp_path / "c.parquet", 100, WINDOW, genome=files)
    assert not (tmp_path / "c.parquet").exists()


@pytest.mark.parametrize("use", ["exclude", "centres", "repeats", "tss"])
def test_intervals_of_another_assembly_make_no_windows(genome, known, tmp_path, use):
    path = tmp_path / "far.bed"
    for text, said in (("chr1\t10\t5001\n", "ends at chr1:5,001, but hg38 has 5,000"), ("1\t10\t20\n", "names must look like chr1, not 1")):
        path.write_text(text)
        with pytest.raises(InputError, match=said):
            step("tile").main(tmp_path / "c.parquet", 100, WINDOW, genome=genome, **{use: [path] if use == "exclude" else path}, **known)


TARGET = {"cell_type": "", "assay": ""}
ASSEMBLY = {"chr1": 5000, "chr2": 3000}


@pytest.fixture
def bins(tmp_path):
    """300 candidates of 60 bp around bins of 20 bp, in no order, with what is known of them; what it gives labels them."""
    draw = np.random.default_rng(21)
    start = np.r_[np.arange(0, 3600, 20), np.arange(0, 2400, 20)]
    frame = pd.DataFrame({"chrom": np.repeat(["chr1", "chr2"], [180, 120]), "start": start, "end": start + 60})
    frame["gc"] = np.round(draw.uniform(0.2, 0.8, 300), 2)
    frame["repeat_fraction"] = np.round(draw.beta(1, 3, 300), 1)
    frame["tss_distance"] = frame["n_fraction"] = np.nan
    frame = frame.sample(frac=1, random_state=2).reset_index(drop=True)
    frame.to_parquet(tmp_path / "candidates.parquet")
    (tmp_path / "assemblies.tsv").write_text("".join(["assembly\tchrom\tlength\n", *(f"hg38\t{a}\t{b}\n" for a, b in ASSEMBLY.items())]))
    return frame


def define(folder, definitions, kind="multilabel", **more):
    """Label the bins; files lie in ``folder`` by the name that a definition gives."""
    intervals = [folder / one["intervals"] for one in definitions.values() if "intervals" in one]
    full = {name: TARGET | one for name, one in definitions.items()}
    more = {"assemblies": folder / "assemblies.tsv", "assembly": "hg38", "intervals": intervals or None} | more
    label(folder, kind, {"bin": 20, "context": 60}, full, **more)
    return Targets(folder / "targets.npy", folder / "targets.tsv")


def overlaps(frame, places):
    """Whether each window's bin, in the middle third, shares a base with ``places``."""
    return np.array(
        [bool(set(range(at + 20, at + 40)) & places.get(name, set())) for name, at in zip(frame["chrom"], frame["start"], strict=True)]
    )


def test_intervals_and_signals_in_any_order_keep_the_order_of_the_study(bins, tmp_path):
    draw = np.random.default_rng(8)
    definitions, expected, signals = {}, {}, []
    for at in range(19):
        name = f"t{at}"
        if at % 3 == 1 or at == 0:
            signals.append(draw.choice([0.0, 0.5, 1.25, 2.0, np.nan], len(bins)).astype(np.float32))
            definitions[name] = {"signal": f"s/{name}.bw", "threshold": [0.5, 1.25, 1.3][at % 3], "cell_type": f"cell{at}"}
            expected[name] = np.nan_to_num(signals[-1], nan=-1) >= np.float32(definitions[name]["threshold"])
        else:
            expected[name] = overlaps(bins, bed(tmp_path / f"{name}.bed", draw, count=5))
            definitions[name] = {"intervals": f"{name}.bed", "rule": "any_overlap", "assay": f"assay{at}"}
    np.save(tmp_path / "signals.npy", np.stack(signals, 1))
    found = define(tmp_path, definitions, signals=tmp_path / "signals.npy", threads=2)
    assert np.array_equal(found[np.arange(len(bins))], np.stack(list(expected.values()), 1))
    assert found.table["target"].tolist() == list(definitions)
    assert found.table["positives"].tolist() == [one.sum() for one in expected.values()]
    assert found.table["source"].tolist() == [one.get("intervals") or one["signal"] for one in definitions.values()]
    assert found.table["cell_type"][4] == "cell4" and found.table["assay"][5] == "assay5"
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "labelled.parquet"), bins)


def test_signals_alone_label_too(bins, tmp_path):
    values = np.random.default_rng(3).random((len(bins), 2)).astype(np.float32)
    np.save(tmp_path / "signals.npy", values)
    found = define(tmp_path, {name: {"signal": "s/x.bw", "threshold": 0.6} for name in "ab"}, signals=tmp_path / "signals.npy")
    assert np.array_equal(found[np.arange(len(bins))], values >= np.float32(0.6))


def test_some_kinds_of_a_files_intervals_are_taken(bins, tmp_path):
    rows = [("chr1", 30, 50, "PLS"), ("chr1", 300, 350, "pELS"), ("chr1", 700, 750, "dELS,CTCF-bound"), ("chr2", 90, 95, "PLS,CTCF-bound")]
    (tmp_path / "ccre.bed").write_text("".join(f"{a}\t{b}\t{c}\tEH38E{b}\t{d}\n" for a, b, c, d in rows))
    chosen = {"promoter": ["PLS"], "enhancer": ["pELS", "dELS"], "ctcf": ["CTCF-bound"]}
    definitions = {name: {"intervals": "ccre.bed", "rule": "any_overlap", "column": 5, "values": values} for name, values in chosen.items()}
    found = define(tmp_path, definitions)[np.arange(len(bins))]
    for at, values in enumerate(chosen.values()):
        places = {
            name: {i for a, b, c, d in rows if a == name and set(d.split(",")) & set(values) for i in range(b, c)} for name in ASSEMBLY
        }
        assert np.array_equal(found[:, at], overlaps(bins, places))
    definitions["promoter"]["values"] = ["ELS"]
    with pytest.raises(InputError, match=r"ccre.bed: column 5 .*ELS.*it holds .*PLS"):
        define(tmp_path, definitions)
    definitions["promoter"]["column"] = 6
    with pytest.raises(InputError, match=r"ccre.bed: line 1 has no column 6"):
        define(tmp_path, definitions)


def test_points_are_widened_along_their_strand(bins, tmp_path):
    (tmp_path / "tss.bed").write_text("chr1\t1000\t1001\ta\t0\t+\nchr2\t1000\t1001\tb\t0\t-\n")
    found = define(tmp_path, {"p": {"intervals": "tss.bed", "rule": "any_overlap", "upstream": 100, "downstream": 30}})
    places = {"chr1": set(range(900, 1030)), "chr2": set(range(971, 1101))}
    assert np.array_equal(found[np.arange(len(bins))][:, 0], overlaps(bins, places))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("chr2\t2990\t3001", r"far.bed: an interval ends at chr2:3,001, but hg38 has 3,000 bp there; is it another assembly\?"),
        ("1\t50\t90", r"far.bed: no interval is on a chromosome of hg38; names must look like chr1, not 1"),
    ],
)
def test_intervals_of_another_assembly_are_refused(bins, tmp_path, row, said):
    (tmp_path / "far.bed").write_text(f"{row}\n")
    with pytest.raises(InputError, match=said):
        define(tmp_path, {"far": {"intervals": "far.bed", "rule": "any_overlap"}})
    assert not (tmp_path / "targets.npy").exists()


def test_intervals_to_the_end_of_a_chromosome_and_beside_the_assembly_are_taken(bins, tmp_path):
    (tmp_path / "near.bed").write_text("chr2\t2000\t3000\nchrUn_1\t5\t10\n")
    found = define(tmp_path, {"near": {"intervals": "near.bed", "rule": "any_overlap"}})
    assert np.array_equal(found[np.arange(len(bins))][:, 0], overlaps(bins, {"chr2": set(range(2000, 3000))}))


def test_exclusive_targets_that_do_not_exclude_each_other_are_refused(bins, tmp_path):
    (tmp_path / "a.bed").write_text("chr1\t0\t5000\n")
    (tmp_path / "b.bed").write_text("chr1\t40\t60\n")
    definitions = {name: {"intervals": f"{name}.bed", "rule": "any_overlap"} for name in "ab"}
    with pytest.raises(InputError, match="120 windows have no target and 1 have several, so they exclude nothing"):
        define(tmp_path, definitions, "exclusive")
    assert not (tmp_path / "targets.npy").exists()


def test_exclusive_targets_that_do_are_taken(bins, tmp_path):
    (tmp_path / "a.bed").write_text("chr1\t0\t5000\n")
    (tmp_path / "b.bed").write_text("chr2\t0\t3000\n")
    found = define(tmp_path, {name: {"intervals": f"{name}.bed", "rule": "any_overlap"} for name in "ab"}, "exclusive")
    assert (found[np.arange(len(bins))].sum(1) == 1).all()


@pytest.mark.parametrize(("row", "positives"), [("chr1\t4500\t4600", 0), ("chr1\t0\t5000\nchr2\t0\t3000", 300)])
def test_a_defined_target_of_one_class_is_refused(bins, tmp_path, row, positives):
    (tmp_path / "fine.bed").write_text("chr1\t0\t600\n")
    (tmp_path / "far.bed").write_text(f"{row}\n")
    definitions = {name: {"intervals": f"{name}.bed", "rule": "any_overlap"} for name in ("fine", "far")}
    with pytest.raises(InputError, match=f"target far: {positives} of 300 windows are positive"):
        define(tmp_path, definitions)
    assert not (tmp_path / "labelled.parquet").exists()


def given_labels(folder, truth):
    """Labels that came with their sequences, and candidates to go with them."""
    np.save(folder / "labels.npy", pack(truth))
    table = pd.DataFrame({"cell_type": "", "assay": "", "target": [f"t{at}" for at in range(truth.shape[1])], "source": "s"})
    table.rename_axis("index").to_csv(folder / "labels.tsv", sep="\t")
    start = np.arange(len(truth)) * 10
    pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 10}).to_parquet(folder / "candidates.parquet")
    return {"labels": folder / "labels.npy", "names": folder / "labels.tsv"}


def test_a_given_target_of_one_class_is_said_and_kept_where_others_can_be_learnt(tmp_path, caplog):
    truth = np.zeros((6, 10), bool)
    truth[:3, 1], truth[:, 9] = True, True
    label(tmp_path, **given_labels(tmp_path, truth))
    found = Targets(tmp_path / "targets.npy", tmp_path / "targets.tsv")
    assert np.array_equal(found[np.arange(6)], truth)
    assert found.table["positives"].tolist() == truth.sum(0).tolist() and set(found.table["known"]) == {6}
    assert np.load(tmp_path / "targets.known.npy").shape == (0, 2)
    said = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert len(said) == 9
    assert "target t0: 0 of 6 windows are positive; its metrics will be undefined" in said
    assert "target t9: 6 of 6 windows are positive; its metrics will be undefined" in said


def test_given_targets_that_are_all_of_one_class_are_refused(tmp_path):
    truth = np.zeros((6, 2), bool)
    truth[:, 1] = True
    with pytest.raises(InputError, match="target t0: 0 of 6 windows are positive"):
        label(tmp_path, **given_labels(tmp_path, truth))


@pytest.mark.parametrize(("none", "several"), [(1, 1), (2, 0), (0, 2)])
def test_given_classes_that_do_not_exclude_each_other_are_refused(tmp_path, none, several):
    truth = np.eye(3, dtype=bool)[np.arange(6) % 3]
    truth[:none] = False
    truth[none : none + several] = True
    with pytest.raises(InputError, match=f"{none} windows have no target and {several} have several"):
        label(tmp_path, "exclusive", **given_labels(tmp_path, truth))


MATCHED = {"per_positive": 1.0, "match": ["gc"], "seed": 1}


def rich(bins, tmp_path, share):
    """A target of windows that are rich in G and C: ``share`` of those above one half, every third place on its chromosome."""
    apart = bins["start"] % 180 == 0
    chosen = bins[apart & (bins["gc"] > 0.5)].sample(frac=share, random_state=1)
    rows = [f"{chrom}\t{start + 25}\t{start + 35}\n" for chrom, start in zip(chosen["chrom"], chosen["start"], strict=True)]
    (tmp_path / "rich.bed").write_text("".join(rows))
    places = {name: {at + i for at in chosen.loc[chosen["chrom"] == name, "start"] for i in range(25, 35)} for name in ASSEMBLY}
    return {"rich": {"intervals": "rich.bed", "rule": "any_overlap"}}, overlaps(bins, places)


def test_matched_negatives_are_kept_beside_every_positive_window(bins, tmp_path):
    definitions, positive = rich(bins, tmp_path, 0.9)
    found = define(tmp_path, definitions, negatives=MATCHED | {"per_positive": 2.0})
    kept = pd.read_parquet(tmp_path / "labelled.parquet")
    labels = found[np.arange(len(found))][:, 0]
    assert len(kept) == len(found) == 3 * positive.sum()
    # Rows are candidates in their order, and each keeps its own label.
    known = ["chrom", "start", "end", "gc"]
    at = bins.reset_index().merge(kept[known], on=known, how="inner")["index"].to_numpy()
    pd.testing.assert_frame_equal(bins.loc[at].reset_index(drop=True), kept, check_flags=False)
    assert np.array_equal(positive[at], labels) and labels.sum() == positive.sum() == found.table["positives"][0]
    for chrom in ASSEMBLY:
        covered = {place for start in kept.loc[labels & (kept["chrom"] == chrom), "start"] for place in range(start, start + 60)}
        others = kept.loc[~labels & (kept["chrom"] == chrom), "start"]
        assert not any(covered & set(range(start, start + 60)) for start in others)
    balance = kept.attrs["negatives"]["gc"]
    assert abs(balance["difference"]) <= 0.1 < abs(balance["difference_before"])
    assert balance["mean_negative"] == pytest.approx(kept.loc[~labels, "gc"].mean())
    # The certificate of the split says it.
    np.save(tmp_path / "sequences.npy", np.random.default_rng(1).integers(0, 4, (len(kept), 60)).astype(np.uint8))
    rule = {"rule": "chromosomes", "test": ["chr2:1-1,200"], "validation": ["chr2:1,201-3,000"], "gap": 60}
    assert split(tmp_path, rule)[1]["negatives"] == kept.attrs["negatives"]


def test_all_windows_are_kept_where_no_negatives_are_asked_for(bins, tmp_path):
    definitions, positive = rich(bins, tmp_path, 1.0)
    found = define(tmp_path, definitions)
    assert np.array_equal(found[np.arange(300)][:, 0], positive)
    assert len(pd.read_parquet(tmp_path / "labelled.parquet")) == 300


def test_none_but_positive_windows_can_be_kept(bins, tmp_path):
    (tmp_path / "a.bed").write_text("chr1\t0\t600\n")
    (tmp_path / "b.bed").write_text("chr1\t300\t900\n")
    definitions = {name: {"intervals": f"{name}.bed", "rule": "any_overlap"} for name in "ab"}
    found = define(tmp_path, definitions, negatives=MATCHED | {"per_positive": 0.0})
    kept = pd.read_parquet(tmp_path / "labelled.parquet")
    assert np.array_equal(found[np.arange(len(found))].any(1), np.ones(len(kept), bool))
    assert len(kept) == overlaps(bins, {"chr1": set(range(900))}).sum()


def test_negatives_that_cannot_be_matched_stop_the_step(bins, tmp_path):
    definitions, positive = rich(bins, tmp_path, 1.0)
    bins["gc"] = np.where(positive, 0.8, bins["gc"] * 0.5)
    bins.to_parquet(tmp_path / "candidates.parquet")
    with pytest.raises(InputError, match="negatives.match: gc is not matched: mean 0.8 of positive windows"):
        define(tmp_path, definitions, negatives=MATCHED)
    assert not [path for name in ("targets.npy", "targets.tsv", "labelled.parquet") if (path := tmp_path / name).exists()]


def test_negatives_cannot_match_what_is_not_known(bins, tmp_path):
    definitions, _ = rich(bins, tmp_path, 1.0)
    with pytest.raises(InputError, match="negatives.match: tss_distance is not known"):
        define(tmp_path, definitions, negatives=MATCHED | {"match": ["gc", "tss_distance"]})


def test_a_bundle_keeps_its_parts_labels_and_places(tmp_path):
    bundle = made_up_bundle.write(tmp_path)
    reading = READING | {"files": [{"file": f"deepsea/{path.name}"} for path in bundle.files]}
    from_sequences(tmp_path, bundle.files, reading, {"rule": "given"}, positions=bundle.positions, names=bundle.names)
    windows = pd.read_parquet(tmp_path / "windows.parquet")
    assert windows["split"].tolist() == bundle.part.tolist()
    assert windows["chrom"].tolist() == bundle.chrom.tolist()
    assert (windows["start"] + 400).tolist() == bundle.start.tolist() and (windows["end"] - windows["start"] == 1000).all()
    assert np.array_equal(np.load(tmp_path / "sequences.npy"), bundle.codes)
    found = Targets(tmp_path / "targets.npy", tmp_path / "targets.tsv")
    assert np.array_equal(found[np.arange(len(windows))], bundle.labels)
    assert found.table["positives"].tolist() == bundle.labels.sum(0).tolist()
    assert np.load(tmp_path / "targets.known.npy").shape == (0, np.load(tmp_path / "targets.npy").shape[1])
    assert set(found.table["cell_type"]) == {"HepG2", "K562"}
    assert not {"part", "file", "row"} & set(windows)
    assert json.loads((tmp_path / "splits.json").read_text())["counts"] == pd.Series(bundle.part).value_counts().to_dict()


def test_a_table_of_ones_own_is_read_split_and_labelled_as_it_says(tmp_path):
    draw = np.random.default_rng(12)
    texts = [toy_models.letters(draw, size) for size in draw.integers(45, 60, 30)]
    part, cell = np.resize(["Train", "dev", "test"], 30), draw.choice(["HepG2", "K562", ""], 30)
    rows = "".join(f"{p},{s},{c}\n" for p, s, c in zip(part, texts, cell, strict=True))
    (tmp_path / "own.csv").write_text("fold,dna,cell\n" + rows)
    columns = {"sequence": "dna", "labels": ["cell"], "part": "fold"}
    reading = READING | {"files": [{"file": "mine/own.csv", "class": "open"}], "columns": columns, "length": 50, "target": "open"}
    unpack(tmp_path, [tmp_path / "own.csv"], reading)
    assert pd.read_csv(tmp_path / "labels.tsv", sep="\t")["cell_type"].tolist() == ["open"]  # the file's own class goes before the column

    reading["files"] = [{"file": "mine/own.csv"}]
    (tmp_path / "own.csv").write_text("fold,dna,cell\n" + rows.replace(",\n", ",GM12878\n"))
    from_sequences(tmp_path, [tmp_path / "own.csv"], reading, {"rule": "given"}, "exclusive")
    windows, codes = pd.read_parquet(tmp_path / "windows.parquet"), np.load(tmp_path / "sequences.npy")
    assert windows["split"].tolist() == np.resize(["train", "validation", "test"], 30).tolist()
    for row, text in zip(codes, texts, strict=True):
        spare = abs(len(text) - 50)
        held = [text[cut : cut + 50] if len(text) > 50 else ("N" * cut + text).ljust(50, "N") for cut in range(spare + 1)]
        assert row.tolist() in [encode(one).tolist() for one in held[spare // 2 : spare // 2 + 2]]
    found = Targets(tmp_path / "targets.npy", tmp_path / "targets.tsv")
    assert found.names == ["GM12878 open", "HepG2 open", "K562 open"] and set(found.table["assay"]) == {"DNase"}
    names = [one or "GM12878" for one in cell]
    assert [found.table["cell_type"][at] for at in found[np.arange(30)].argmax(1)] == names


def test_files_that_are_a_class_each_lie_beside_each_other_and_their_shuffles(patchy, tmp_path):
    files, texts = patchy
    for name, start in (("open", 100), ("closed", 500)):
        (tmp_path / f"{name}.bed").write_text("".join(f"chr1\t{start + 9 * at}\t{start + 9 * at + 2}\n" for at in range(20)))
    paths = [tmp_path / "open.bed", tmp_path / "closed.bed"]
    reading = READING | {"files": [{"file": f"own/{path.name}", "class": path.stem} for path in paths], "length": 40, "shuffled": True}
    unpack(tmp_path, paths, reading, genome=files)
    codes, records = np.load(tmp_path / "sequences.npy"), pd.read_parquet(tmp_path / "records.parquet")
    assert codes.shape == (80, 40) and len(records) == 80
    middle = np.r_[100 + 9 * np.arange(20), 500 + 9 * np.arange(20)] + 1
    assert records["start"].tolist() == np.tile(middle - 20, 2).tolist()
    assert np.array_equal(codes[:40], [encode(texts["chr1"][1][at - 20 : at + 20]) for at in middle])
    assert np.array_equal(np.sort(codes[40:], 1), np.sort(codes[:40], 1)) and not np.array_equal(codes[40:], codes[:40])
    records.to_parquet(tmp_path / "candidates.parquet")
    label(tmp_path, labels=tmp_path / "labels.npy", names=tmp_path / "labels.tsv")
    truth = Targets(tmp_path / "targets.npy", tmp_path / "targets.tsv")
    at = {name: truth.table["target"].tolist().index(name) for name in ("open", "closed")}
    expected = np.zeros((80, 2), bool)
    expected[:20, at["open"]] = expected[20:40, at["closed"]] = True
    assert np.array_equal(truth[np.arange(80)], expected)


@pytest.mark.parametrize(
    ("chrom", "start", "said"),
    [
        ("2", 100, r"own.csv: '2' is called 'chr2' in toy; give it that name"),
        ("chr2", 990, r"own.csv: an interval ends at chr2:1,010, but toy has 1,000 bp there"),
        ("chrUn", 100, ""),
        (None, None, ""),
    ],
)
def test_coordinates_in_a_table_are_those_of_the_assembly(tmp_path, chrom, start, said):
    draw = np.random.default_rng(0)
    rows = [f"{'ACGT'[at % 4]}{''.join(draw.choice([*'ACGT'], 39))},{at % 2},chr1,{at}" for at in range(8)]
    rows = [*rows, f"{'ACGT' * 10},1,{chrom},{start}"] if chrom else [row.rsplit(",", 2)[0] for row in rows]
    (tmp_path / "own.csv").write_text("\n".join(["sequence,label,chrom,start" if chrom else "sequence,label", *rows]))
    (tmp_path / "assemblies.tsv").write_text("assembly\tchrom\tlength\ntoy\tchr1\t1000\ntoy\tchr2\t1000\n")
    columns = {"sequence": "sequence", "labels": ["label"]} | ({"chrom": "chrom", "start": "start"} if chrom else {})
    unpack(tmp_path, [tmp_path / "own.csv"], READING | {"files": [{"file": "mine/own.csv"}], "columns": columns})
    given = {"records": tmp_path / "records.parquet", "sequences": tmp_path / "sequences.npy", "assembly": "toy"}
    with pytest.raises(InputError, match=said) if said else contextlib.nullcontext():
        step("tile").main(tmp_path / "candidates.parquet", 1000, assemblies=tmp_path / "assemblies.tsv", **given)


def test_sequences_without_a_base_are_counted_and_none_else_is_refused(tmp_path, caplog):
    reading = READING | {"files": [{"file": "mine/own.csv"}], "columns": {"sequence": "sequence", "labels": ["label"]}}
    (tmp_path / "own.csv").write_text("sequence,label\nACGT,1\nNNNN,0\n....,1\nNNNA,0\n")
    unpack(tmp_path, [tmp_path / "own.csv"], reading)
    assert f"2 of 4 sequences have no base A, C, G or T, first {tmp_path / 'own.csv'}: row 3" in caplog.text
    (tmp_path / "own.csv").write_text("sequence,label\n....,1\n....,0\n")
    with pytest.raises(InputError, match="own.csv: row 2: this and all other sequences are without a base"):
        unpack(tmp_path, [tmp_path / "own.csv"], reading)


def test_sequences_without_a_label_are_refused(tmp_path):
    (tmp_path / "own.fa").write_text(">a\nACGT\n>b\nACGA\n")
    with pytest.raises(InputError, match="own.fa: no sequence has a label"):
        unpack(tmp_path, [tmp_path / "own.fa"], READING | {"files": [{"file": "mine/own.fa"}]})
    assert not (tmp_path / "labels.npy").exists() and not (tmp_path / "sequences.npy").exists()


@pytest.fixture
def families(tmp_path):
    """Forty families of three sequences that differ at two places, one of each in the file after the other."""
    draw = np.random.default_rng(14)
    founders = draw.integers(0, 4, (40, 300))
    codes = np.tile(founders, (3, 1))
    for row in codes:
        row[draw.integers(0, 300, 2)] = draw.integers(0, 4, 2)
    np.save(tmp_path / "sequences.npy", codes.astype(np.uint8))
    start = np.arange(120) * 1000
    frame = pd.DataFrame({"chrom": np.repeat(["chr1", "chr2", "chr3"], 40), "start": start, "end": start + 300, "cluster": np.arange(120)})
    frame.to_parquet(tmp_path / "labelled.parquet")
    return tmp_path


def split(folder, rule):
    """Windows and certificate of a split of the families."""
    places = [folder / name for name in ("labelled.parquet", "windows.parquet", "splits.json")]
    step("split").main(*places, rule, sequences=folder / "sequences.npy")
    return pd.read_parquet(places[1]), json.loads(places[2].read_text())


def test_families_are_split_whole_by_homology_and_certified_clean(families):
    windows, certificate = split(families, {"rule": "homology", "test": 0.2, "validation": 0.2, "threshold": 0.3, "seed": 3})
    assert (windows.groupby("cluster").size() == 3).all() and windows["cluster"].nunique() == 40
    assert (windows.groupby("cluster")["split"].nunique() == 1).all()
    assert windows["cluster"].tolist()[:40] == windows["cluster"].tolist()[40:80] == windows["cluster"].tolist()[80:]
    assert windows["split"].value_counts().to_dict() == {"train": 72, "test": 24, "validation": 24}
    assert certificate["verdict"] == "clean"


def test_families_across_chromosomes_are_told_and_can_be_left_out(families):
    rule = {"rule": "chromosomes", "test": ["chr1"], "validation": ["chr2:1-60,000"]}
    windows, certificate = split(families, rule)
    assert windows["cluster"].is_unique
    assert certificate["verdict"] == "similar"
    assert certificate["shared_with_training"]["test"]["similar"] == 40
    assert windows["split"].value_counts().to_dict() == {"train": 60, "test": 40, "validation": 20}
    with pytest.raises(InputError, match="no window is in train"):
        split(families, rule | {"drop_similar": True})
    rule["test"] = ["chr1:1-10,000"]
    windows, certificate = split(families, rule | {"validation": ["chr1:10,001-20,000"], "drop_similar": True})
    # Both kin of each of the twenty held-out families have left training.
    assert windows["split"].value_counts().to_dict() == {"train": 60, "similar": 40, "test": 10, "validation": 10}
    assert certificate["verdict"] == "clean" and certificate["counts"]["similar"] == 40


def test_parts_that_the_data_do_not_say_are_asked_for(families):
    with pytest.raises(InputError, match="split.rule: given, but the data say no part"):
        split(families, {"rule": "given"})


def write_bigwig(path, values, lengths=ASSEMBLY):
    """A bigWig that holds ``values`` by chromosome and base, NaN where it holds none."""
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(lengths.items()))
        for name in lengths:
            at = np.flatnonzero(~np.isnan(values[name]))
            file.addEntries([name] * len(at), at.tolist(), ends=(at + 1).tolist(), values=values[name][at].tolist())


def test_signals_are_averaged_over_each_bin_in_the_order_of_the_windows(bins, tmp_path):
    draw = np.random.default_rng(9)
    files, expected = [], []
    for name in ("one", "two", "three"):
        values = {chrom: np.where(draw.random(size) < 0.2, np.nan, draw.gamma(1, 3, size)) for chrom, size in ASSEMBLY.items()}
        files.append(tmp_path / f"{name}.bigWig")
        write_bigwig(files[-1], values)
        # What a bigWig does not hold is no signal.
        places = zip(bins["chrom"], bins["start"] + 20, strict=True)
        expected.append([np.nan_to_num(values[chrom][at : at + 20]).mean() for chrom, at in places])
    arguments = dict(windows={"bin": 20, "context": 60}, assembly="hg38")
    step("measure").main(tmp_path / "candidates.parquet", files, tmp_path / "assemblies.tsv", tmp_path / "signals.npy", **arguments)
    found = np.load(tmp_path / "signals.npy")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.stack(expected, 1), rtol=1e-5)

    definitions = {path.stem: {"signal": path.name, "threshold": 2.4} for path in files}
    labels = define(tmp_path, definitions, signals=tmp_path / "signals.npy")
    assert np.array_equal(labels[np.arange(len(bins))], np.stack(expected, 1) >= 2.4)


def test_a_signal_of_another_assembly_is_refused(bins, tmp_path):
    for name, lengths in (("other.bw", ASSEMBLY | {"chr2": 3001}), ("named.bw", {"1": 5000, "2": 3000})):
        write_bigwig(tmp_path / name, {chrom: np.ones(size) for chrom, size in lengths.items()}, lengths)
        with pytest.raises(InputError, match=name):
            step("measure").main(
                tmp_path / "candidates.parquet", [tmp_path / name], tmp_path / "assemblies.tsv", tmp_path / "signals.npy",
                {"bin": 20, "context": 60}, "hg38",
            )  # fmt: skip
    assert not (tmp_path / "signals.npy").exists()
