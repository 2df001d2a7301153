"""The page says what the tables say: every number, the verdict, what is random, and how to make it again."""

import dataclasses
import json
import re
import shlex
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from made_up_study import COLLAPSED, CONTROLS, MEAN, MODELS, TARGETS, TUNED, VALUES, study, write

import render
from regdna import controls, measured
from regdna.page import answer, kind, methods, tables, text, training
from regdna.page.controls import MEANINGS
from regdna.step import InputError
from regdna.study import references


class Page(HTMLParser):
    """Tables as rows of (text, full value), by caption; ids; text of the sections; addresses."""

    def __init__(self, content: str):
        super().__init__()
        self.tables, self.ids, self.said, self.addresses, self.commands = [], [], [], [], []
        self.inside = []
        self.feed(content)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        self.addresses += [given[name] for name in ("src", "href", "xlink:href") if name in given]
        if tag == "table":
            self.tables.append({"caption": "", "heads": [], "rows": []})
        elif tag == "tr" and "tbody" in self.inside:
            self.tables[-1]["rows"].append([])
        elif tag in ("td", "th") and "tbody" in self.inside:
            self.tables[-1]["rows"][-1].append(["", given.get("data-value")])
        elif tag == "button":
            self.tables[-1]["heads"].append("")
        elif tag == "code" and "tabindex" in given:
            self.commands.append("")
        elif tag == "wbr":  # stands behind a space, which the text before it loses
            self.tables[-1]["rows"][-1][-1][0] += " "
        if tag not in ("meta", "link", "image", "path", "use", "rect", "wbr"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data):
        self.said.append(data)
        if "tbody" in self.inside and "small" not in self.inside and self.tables[-1]["rows"] and self.tables[-1]["rows"][-1]:
            self.tables[-1]["rows"][-1][-1][0] += data.strip()
        elif "caption" in self.inside:
            self.tables[-1]["caption"] += data
        elif "button" in self.inside:
            self.tables[-1]["heads"][-1] += data
        elif self.inside and self.inside[-1] == "code" and self.commands and "p" in self.inside:
            self.commands[-1] += data

    def find(self, caption: str) -> list[pd.DataFrame]:
        """Tables whose caption starts so: full values where a cell has one, else the text."""
        out = []
        for table in self.tables:
            if table["caption"].startswith(caption):
                rows = [[float(value) if value else word for word, value in row] for row in table["rows"]]
                out.append(pd.DataFrame(rows, columns=table["heads"]))
        return out


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return {**write(folder), "page": folder / "report.html"}


@pytest.fixture
def results(given, monkeypatch, tmp_path):
    """What the page is made from, as render.py gathers it."""
    gathered = []
    monkeypatch.setattr(render.pages, "render", lambda one: gathered.append(one) or "")
    render.main(**{**given, "page": tmp_path / "unused.html"})
    return gathered[0]


@pytest.fixture(scope="module")
def html(given):
    render.main(**given)
    return given["page"].read_text()


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_the_leaderboard_equals_the_metrics(page, given):
    for dataset, shown in zip(TARGETS, page.find("Leaderboard"), strict=True):
        assert set(shown["model"]) == {*MODELS, *CONTROLS}
        for row in shown.to_dict("records"):
            [path] = [path for path in given["metrics"] if path.parts[-3:-1] == (dataset, row["model"])]
            table = pd.read_parquet(path)
            mean = table[(table["target"] == MEAN) & (table["seed"] == MEAN)].set_index(["part", "metric"])
            assert row["mean AUROC"] == mean.at[("test", "auroc"), "value"]
            assert row["AUROC, validation"] == mean.at[("validation", "auroc"), "value"]
            assert row["mean AP"] == mean.at[("test", "average_precision"), "value"]
            assert row["prevalence"] == mean.at[("test", "average_precision"), "prevalence"]
            assert row["lift"] == mean.at[("test", "average_precision"), "lift"]
            cost = pd.read_csv(given["ledger"], sep="\t").query("dataset == @dataset and model == @row['model'] and kind == 'run'")
            assert row["training, s"] == cost["wall_seconds"].mean()
            assert row["parameters"] == 12345


def test_what_tuning_took_is_a_sum_beside_the_runs(page):
    [caption] = [one["caption"] for one in page.tables if one["caption"].startswith("Every training run")]
    assert "2 trials of tuning took 800,000 s, and 600,000 s of GPUs" in caption
    [shown] = page.find("Every training run")
    assert len(shown) == len(TARGETS) * (len(MODELS) * 2 + len(CONTROLS)) and set(shown["parameters"]) == {12345}


def test_differences_equal_the_comparison_each_pair_once(page, given):
    truth = pd.read_parquet(given["comparison"]).query("metric == 'auroc'").set_index(["dataset", "model", "against"])
    for dataset, shown in zip(TARGETS, page.find("Paired differences"), strict=True):
        assert len(shown) == len(MODELS) * (len(MODELS) - 1) // 2
        for row in shown.to_dict("records"):
            one = truth.loc[(dataset, row["model"].split(" ")[0], row["against"].split(" ")[0])]
            assert row["AUROC difference [95\u00a0%]"] == one["difference"] >= 0
            assert row["verdict on AUROC"] == one["verdict"]


def test_shown_text_is_the_rounded_value(page):
    for table in page.tables:
        for row in table["rows"]:
            for word, value in row:
                shown = re.match(r"[−+]?\d+\.\d+(?=$| \[)", word)
                if value and shown:
                    digits = len(shown[0].partition(".")[2])
                    assert abs(float(shown[0].replace("−", "-")) - float(value)) <= 0.5 * 10**-digits + 1e-9, (word, value)


def test_intervals_stand_beside_what_they_belong_to(html):
    value = VALUES["basset"]
    assert f"[{value - 0.01234:.3f}, {value + 0.01357:.3f}]" in html


def test_the_verdict_compares_what_validation_chose(html):
    said = re.sub(r"\s+", " ", html)
    assert "the CNN to beat, basset (random weights, no pretraining), at 0.877" in said
    assert "the CNN to beat, wide-basset" not in said  # better on test, not on validation
    assert "The CNN (basset · random weights) wins." in said
    assert "is worse than the CNN to beat" in said and "0 lies outside" in said
    assert "No pretrained weights are in this study." in said


def test_a_small_dataset_has_no_winner_and_no_interval(page, html):
    assert "Too small to judge." in html
    assert "holds 3 blocks, and the middle one of its targets has 200 positives" in re.sub(r"\s+", " ", html)
    [_, shown] = [table for table in page.tables if table["caption"].startswith("Each target")]
    assert all("too small to judge" in row[2][0] for row in shown["rows"])
    assert len(shown["rows"]) == len(MODELS) + len(CONTROLS)


def test_one_class_reads_undefined(page):
    table = next(one for one in page.tables if one["caption"].startswith("Each target"))
    rows = [row for row in table["rows"] if row[0][0].startswith("HepG2")]
    assert rows and all(row[2][0] == "undefined" and row[2][1] == "" for row in rows)


def test_random_networks_are_called_so_wherever_they_are_named(page):
    for caption in (
        "Each target",
        "Paired differences",
        "Every training run",
        "Variants scored",
        "The 10 variants",
        "Every trial",
    ):
        for table in page.find(caption):
            for name in table["model"]:
                assert name == "kmer-logistic" or name.endswith("random weights")
    for table in page.find("Leaderboard"):
        assert set(table.loc[table["model"] != "kmer-logistic", "initialisation"]) == {"random weights"}


def test_nothing_is_called_pretrained(html):
    words = re.findall(r"\b(?:no |No )?pretrain\w*", re.sub(r"<style>.*?</style>", "", html, flags=re.S))
    assert {word for word in words if not word.lower().startswith("no ")} <= {"pretraining"}
    assert "what pretraining would bring" in html


def test_published_weights_are_named_with_their_licence_and_their_twin_is_called_random(given, tmp_path):
    changed = json.loads(json.dumps(given["study"]))
    changed["sources"]["hub"] = changed["sources"]["sites"] | {"title": "Weights", "licence": "not for commercial use"}
    changed["models"]["nt-random"] |= {"weights": "hub", "initialisation": "random"}
    changed["models"]["wide-basset"] |= {"weights": "hub", "initialisation": "published", "regime": "lora"}
    render.main(**{**given, "study": changed, "page": tmp_path / "report.html"})
    said = re.sub(r"\s+", " ", " ".join(Page((tmp_path / "report.html").read_text()).said))
    assert "published weights, hub licence of the weights not for commercial use regime lora: low-rank adapters" in said
    assert said.count("licence of the weights") == 1
    assert "12,345, of them trained 678" in said and "source hub" in said
    assert "random weights, no pretraining; sizes of hub" in said
    assert "Pretrained: wide-basset." in said and "No pretrained weights" not in said


def test_every_figure_and_table_says_how_to_make_it_again(html, page, given):
    assert html.count("<figure") == html.count('class="remake"') - 1  # and one for the page
    root = given["comparison"].parent.as_posix()
    for command in page.commands:
        program, *targets = shlex.split(command)
        assert program == "snakemake" and targets
        assert all(target.startswith((root, root.replace("made-up", "sources"))) for target in targets), command


def test_commands_expand_to_the_files_shown(page, given):
    listed = {path for command in page.commands for target in command.split()[1:] for path in expand(target)}
    curves = [path for path in given["curves"] if path.parts[-2] not in CONTROLS]
    read = [*given["metrics"], *curves, *given["effects"], *given["trials"], given["comparison"], given["ledger"]]
    assert {path.as_posix() for path in read} <= listed


def expand(target: str) -> list[str]:
    """Braces as a shell expands them."""
    match = re.match(r"(.*)\{(.*)\}(.*)", target)
    return [match[1] + part + match[3] for part in match[2].split(",")] if match else [target]


def test_the_page_asks_nothing_of_the_network(html, page):
    # But for the pages of its loci, which lie beside it.
    assert set(one for one in page.addresses if not one.startswith(("#", "data:"))) == {"large/loci/here.html"}
    assert not re.search(r"url\((?!#|&quot;#)", html) and "@import" not in html
    assert len(html) < 5_000_000


def test_ids_are_unique(page):
    assert len(page.ids) == len(set(page.ids))


def test_the_same_inputs_give_the_same_bytes(html, given):
    render.main(**given)
    assert given["page"].read_text() == html


def test_what_a_user_writes_is_escaped(html):
    assert "Does &lt;anything&gt; win?" in html and "K562 &lt;open&gt;" in html
    assert "<anything>" not in html and "<open>" not in html and "<this>" not in html


def test_every_file_that_the_study_names_is_listed_and_no_other(page, html):
    shown = {
        row["file"] for caption in ("sites", "own", "genome", "marks") for row in page.find(f"Files of {caption}")[0].to_dict("records")
    }
    named = {path.partition("/")[2] for entry in study()["datasets"].values() for _, path in references(entry)}
    assert shown == named | {"b.fa", "c.fa", "all.tar.gz"}  # and all of the genome, and what one of them is packed in
    assert "unused.bed" not in html and "other.tar.gz" not in html


def test_a_file_says_what_it_must_be_and_where_it_comes_from(page):
    marks = page.find("Files of marks")[0].set_index("file")
    assert marks.loc["tss.bed"].tolist() == [1234, "sha256 " + "ab" * 32, "x"]
    assert marks.loc["open.bed"].tolist() == ["–", "md5 " + "cd" * 16, "deep/open.bed in all.tar.gz"]
    assert marks.loc["high.bigWig"].tolist() == [5e6, "not published; pinned on the first download", "https://example.org/high.bigWig"]
    assert page.find("Files of own")[0].loc[0].tolist() == ["b.csv", "–", "not stated", "my/b.csv"]


def test_the_page_says_what_the_windows_of_each_dataset_are(html):
    assert "sequences of 200 bp (longer ones lose their ends, shorter ones are filled with N) from 2 files, hg19" in html
    assert (
        "windows of 1,000 bp of genome, hg19, each around a bin of 200 bp, every 50 bp; those with a target are kept, "
        "and for each 2 without with alike gc and repeat fraction"
    ) in html


def test_windows_in_words_by_hand():
    entry = {"assembly": "", "sequences": {"files": [{"file": "a/b.csv"}], "length": 0}}
    assert kind(entry) == "sequences from 1 file"
    entry = {"assembly": "hg38", "genome": "g", "windows": {"bin": 200, "context": 2000, "stride": 0}}
    assert kind(entry) == "windows of 2,000 bp of g, hg38, each around a bin of 200 bp, every 200 bp; all are kept"
    entry = {**entry, "windows": {**entry["windows"], "centres": "a/b_c.bed"}, "negatives": {"per_positive": 0.0, "match": []}}
    assert kind(entry).endswith("on the middle of each interval of a/b_c.bed; those with a target are kept, and for each 0 without")


def test_a_published_split_whose_parts_touch_says_so(html):
    said = re.sub(r"<.*?>", "", html)
    assert "known: published with parts that touch" in said
    assert "similar: some test or validation windows resemble training windows" in said


def test_the_locus_shows_the_target_that_it_is_named_after(html):
    assert "Target: K562 &lt;open&gt;, which the locus is named after" in html
    assert "likeliest to it is HepG2 &amp; open, +1.50" in html


def test_a_study_without_effects_has_no_empty_sections(given):
    render.main(**{**given, "effects": None})
    content = given["page"].read_text()
    assert 'id="loci"' not in content and 'id="variants"' not in content and 'id="cost"' in content


def test_scores_of_another_split_are_refused(given, tmp_path):
    path = tmp_path / "splits.json"
    content = json.loads(given["splits"][0].read_text())
    other = tmp_path / "results" / "large" / "splits.json"
    other.parent.mkdir(parents=True)
    other.write_text(json.dumps({**content, "digest": "other"}))
    with pytest.raises(InputError, match="belongs to split digest-large.*certifies other; evaluate again"):
        render.main(**{**given, "splits": [other, given["splits"][1]], "page": path})


def test_a_model_without_scores_is_named(given, tmp_path):
    with pytest.raises(InputError, match="small has no metrics of nt-probe"):
        render.main(**{**given, "metrics": given["metrics"][:-1], "page": tmp_path / "page.html"})


@pytest.mark.parametrize(
    ("word", "low", "high", "text"),
    [
        ("better", 0.01, 0.03, "is better than {} (difference +0.020, 95\u00a0% interval +0.010 to +0.030: 0 lies outside)"),
        ("cannot tell", -0.01, 0.05, "cannot be told apart from {} (difference +0.020"),
        ("equivalent", -0.001, 0.002, "is equivalent to {} (difference +0.020"),
    ],
)
def test_a_difference_in_words(word, low, high, text):
    row = pd.Series({"verdict": word, "difference": 0.02, "joint_low": low, "joint_high": high})
    assert answer.difference(row, 0.01).startswith(text)


def test_a_real_but_tiny_difference_is_called_tiny():
    row = pd.Series({"verdict": "worse", "difference": -0.004, "joint_low": -0.006, "joint_high": -0.002})
    assert "though by less than the 0.01 that matters in practice" in answer.difference(row, 0.01)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.12345, "0.123"),
        (-0.5, "−0.500"),
        (0.0, "0.000"),
        (-0.0, "0.000"),
        (-0.0004, "−0.0004"),
        (np.nan, "–"),
        (None, "–"),
        (1234.5, "1,234.500"),
    ],
)
def test_numbers(value, shown):
    assert text.number(value) == shown


def test_commands_write_what_paths_share_once():
    assert text.remake(["a/b/c"]) == "snakemake a/b/c"
    assert text.remake(["a/x/c", "a/y/c"]) == "snakemake a/{x,y}/c"
    assert text.remake(["a/x/c", "b/y/c"]) == "snakemake a/x/c b/y/c"


def test_seeds_that_disagree_and_metrics_that_decide_otherwise_are_said(results):
    dataset, name = "large", answer.champions(results, "large")["cnn"]
    assert not [said for said in answer.cautions(results, dataset, {"cnn": name}, []) if "with care" in said]
    scores = results.scores.copy()
    mine = scores.query(
        "dataset == @dataset and model == @name and part == 'test' and metric == 'auroc' and target == @MEAN and seed != @MEAN"
    )
    scores.loc[mine.index[0], "value"] = mine["value"].iloc[-1] - 0.3
    said = answer.cautions(dataclasses.replace(results, scores=scores), dataset, {"cnn": name}, [])
    assert len(said) == 1
    assert said[0].startswith(f"Read {name} with care")

    chosen = answer.champions(results, dataset)
    pair = tuple(list(chosen)[:2])
    table = results.comparison.copy()
    match = (table["dataset"] == dataset) & (table["model"] == chosen[pair[0]]) & (table["against"] == chosen[pair[1]])
    ap = match & (table["metric"] == "average_precision") & (table["target"] == -1)
    table.loc[ap, "verdict"] = "better" if table.loc[ap, "verdict"].iloc[0] != "better" else "worse"
    said = answer.cautions(dataclasses.replace(results, comparison=table), dataset, chosen, [pair])
    assert any("By mean average precision it reads otherwise" in one for one in said)

    same = results.comparison.copy()
    same.loc[match, "verdict"] = "better"
    same.loc[match & (same["metric"] == "mcc"), "verdict"] = "cannot tell"
    said = answer.cautions(dataclasses.replace(results, comparison=same), dataset, chosen, [pair])
    assert not any("reads otherwise" in one for one in said), "what MCC says is not what average precision says"


def test_where_no_target_is_defined_the_tables_still_stand(results):
    undefined = results.scores.assign(value=np.nan, low=np.nan, high=np.nan, verdict="undefined")
    nothing = dataclasses.replace(results, scores=undefined, comparison=results.comparison.iloc[:0])
    assert answer.verdict(nothing, "large")["headline"] == "No families to compare."
    shown = tables.differences(nothing, "large")
    assert {len(row) for row in shown["rows"]} == {len(shown["columns"])}


def test_why_nothing_is_judged_is_what_the_numbers_show(results):
    chosen = answer.champions(results, "small")
    assert "The test part holds 3 blocks" in answer.too_small(results, "small", chosen)[0]
    assert "With fewer than 20 blocks" in answer.too_small(results, "small", chosen)[0]
    many = results.scores.assign(blocks=60)
    said = answer.too_small(dataclasses.replace(results, scores=many), "small", chosen)[0]
    assert "holds 60 blocks" in said and "fewer than" not in said and "in so few of the blocks" in said


def test_the_certificate_says_what_was_sampled_grouped_and_matched(html):
    assert "estimated from one 21-mer in 4" in html
    assert "7, the largest of 3 windows; one is a giant" in html
    assert "test windows found in validation</dt><dd>identical 3" in html
    assert "standardised difference 0.010 (before matching 1.200)" in html


# --- what training did ---


def words_of(html: str) -> str:
    """What the page says, in one line."""
    return re.sub(r"\s+", " ", " ".join(Page(html).said))


def test_a_control_is_called_one_and_is_never_the_model_to_beat(page, html, results):
    said = words_of(html)
    for dataset in TARGETS:
        best = results.mean(dataset, part="validation")["value"]
        assert best.idxmax() == "basset-flank-only" and results.mean(dataset)["value"].idxmax() == "basset-flank-only"
        assert answer.champions(results, dataset)["cnn"] == "basset"
    assert "The CNN (basset · random weights) wins." in said and "CNN to beat, basset-" not in said
    for shown in page.find("Leaderboard"):
        assert shown["model"].tolist()[-2:] == ["basset-flank-only", "basset-shuffled-labels"]
    for caption in ("Each target", "Every training run"):
        for shown in page.find(caption):
            named = {name for name in shown["model"] if name.startswith("basset-")}
            assert named == {f"{control} · control of basset · random weights" for control in CONTROLS}
    assert html.count("<small>control of basset</small>") == 2 * len(CONTROLS)  # of each leaderboard
    assert html.count("<small>control of basset · random weights") == 2 * 2 * len(CONTROLS)  # beside their model, and of each run
    for caption in ("Paired differences", "Every trial"):
        assert not [name for shown in page.find(caption) for name in shown["model"] if "control" in name]


def test_controls_stand_beside_their_model_with_their_paired_difference(page, given):
    truth = pd.read_parquet(given["comparison"]).query("metric == 'auroc' and model == 'basset'").set_index(["dataset", "against"])
    shown = page.find("basset and its controls")
    assert len(shown) == len(TARGETS)
    for dataset, table in zip(TARGETS, shown, strict=True):
        assert table["model"].tolist() == ["basset", *CONTROLS]
        for row in table.to_dict("records"):
            assert row["mean AUROC [95\u00a0%]"] == pytest.approx(VALUES[row["model"]])
            assert row["mean AP [95\u00a0%]"] == pytest.approx(VALUES[row["model"]] - 0.3)
            if row["model"] != "basset":
                one = truth.loc[(dataset, row["model"])]
                assert row["drop: basset minus this, AUROC [95\u00a0%]"] == one["difference"] and row["basset is"] == one["verdict"]


def test_every_control_of_the_study_says_what_it_means_and_no_other(html):
    assert set(MEANINGS) == set(controls.CONTROLS)
    said = words_of(html)
    for control, (_, meaning) in MEANINGS.items():
        assert (meaning in said) == (f"basset-{control}" in CONTROLS), control


def test_curves_and_costs_show_no_controls_and_say_so(html):
    labels = re.findall(r'aria-label="((?:ROC|Precision-recall) curves|Mean AP against training hours)([^"]*)"', html)
    assert len(labels) == 3 * len(TARGETS) and not [one for _, one in labels if "basset-" in one]
    assert html.count("Controls are left out.") == len(labels)


def test_a_study_without_controls_and_trials_says_so_and_has_no_empty_section(given, tmp_path):
    plain = json.loads(json.dumps(given["study"]))
    plain["models"] = {model: {**one, "controls": [], "tuning": {}} for model, one in plain["models"].items() if not one["control"]}
    del plain["tuning"]
    kept = {name: [path for path in given[name] if not set(CONTROLS) & set(path.parts)] for name in ("metrics", "curves")}
    runs = [at for at, path in enumerate(given["compute"]) if not set(CONTROLS) & set(path.parts)]
    kept |= {name: [given[name][at] for at in runs] for name in ("compute", "checkpoints")}
    ledger = pd.read_csv(given["ledger"], sep="\t")
    ledger[~ledger["model"].isin(CONTROLS)].to_csv(tmp_path / "ledger.tsv", sep="\t", index=False)
    other = {"study": plain, "trials": None, "ledger": tmp_path / "ledger.tsv", "page": tmp_path / "page.html"}
    render.main(**{**given, **kept, **other})
    html = (tmp_path / "page.html").read_text()
    assert 'id="controls"' not in html and not re.search("control of|Controls are| and its controls", html)
    assert "No model was tuned" in html and "Every trial" not in html and "Settings were sought" not in html


def test_tuning_equals_its_trials(page, given, html):
    for dataset, chosen, every in zip(TARGETS, page.find("Settings, chosen"), page.find("Every trial"), strict=True):
        assert [name.split(" ")[0] for name in chosen["model"]] == list(TUNED)
        assert len(every) == 3 * len(TUNED)
        for row in chosen.to_dict("records"):
            model = row["model"].split(" ")[0]
            [path] = [path for path in given["trials"] if path.parts[-3:-1] == (dataset, model)]
            trials = pd.read_csv(path, sep="\t").set_index("trial")
            best = trials.loc[TUNED[model]]
            assert row["trials"] == 3 and row["chosen trial"] == TUNED[model]
            assert row["validation AP as written"] == trials.loc[0, "validation_ap"]
            assert row["validation AP as chosen"] == best["validation_ap"]
            assert row["its settings"] == f"learning rate {best['learning_rate']}, dropouts [0.1, 0.2]"
            assert row["diverged"] == trials["validation_ap"].isna().sum() == (1 if model == "kmer-logistic" else 0)
    said = words_of(html)
    assert said.count("Every model of this table had 3 trials.") == len(TARGETS)
    assert "Layer, pooling and penalty of nt-probe were chosen on validation windows: nothing else to tune." in said
    assert "resources/tuning.yaml has nothing to tune for wide-basset and nt-random." in said


def test_a_trial_that_diverged_reads_so_even_if_it_is_the_one_as_written(results):
    trials = results.tuned["large", "basset"].copy()
    trials.loc[0, "validation_ap"] = np.nan
    changed = dataclasses.replace(results, tuned=results.tuned | {("large", "basset"): trials})
    [_, row] = training.tuning(changed, "large")["table"]["rows"]
    assert [cell["text"] for cell in row[2:6]] == ["1", "30%", "diverged", "0.5000"]


def test_a_probe_says_which_layer_it_reads(html):
    said = words_of(html)
    for seed in (1, 2):
        assert f"seed {seed}: layer 2 of 3, mean, penalty 0.1, validation AP 0.5100" in said
    assert html.count('aria-label="Validation AP of nt-probe by layer') == len(TARGETS)
    assert "Validation AP of nt-random by layer" not in html


def test_every_run_says_how_it_went(page, given):
    [shown] = page.find("How every run went")
    assert len(shown) == len(given["compute"])
    for path, row in zip(given["compute"], shown.to_dict("records"), strict=True):
        cost = json.loads(path.read_text())
        assert (row["dataset"], row["model"].split(" ")[0], f"seed{row['seed']:.0f}") == path.parts[-4:-1]
        assert row["validation AP"] == cost["validation_ap"] and row["seconds"] == cost["seconds"] and row["attempts"] == cost["attempts"]
        assert row["epochs"] == (cost["epochs"] or "–") and row["updates"] == (cost["steps"] or "–")
        assert row["precision"] == (cost["precision"] or "–")
        assert row["best epoch"] == (1 if cost["precision"] else "–") and row["windows at a time"] == (cost["micro_batch"] or "–")
        assert row["energy, J"] == (cost["joules"] or "not measured")
        assert row["share of the GPU’s peak"] == (cost["utilisation"] or "not measured")
        wide = row["model"].startswith("wide-basset")
        assert row["resumed"] == ("in epoch 2" if wide else "–")


def test_a_collapsed_run_cannot_be_overlooked(html, results):
    model, seed = COLLAPSED
    said = words_of(html)
    assert results.collapsed("large", model) == "1 of 2 seeds collapsed, 1 collapsed run given up for another seed"
    assert f"Collapsed runs. {model}: 1 of 2 seeds collapsed, 1 collapsed run given up for another seed." in said
    assert said.count("Collapsed runs.") == 1  # not of the other dataset
    assert f"Read {model} with care: 1 of 2 seeds collapsed" in said
    flags = re.findall(r'<small class="flag">(.*?)</small>', html)
    assert flags == [
        results.collapsed("large", model),
        f"seed {seed} collapsed at validation AP 0.2500, given up; collapsed: no better than chance",
    ]


def test_a_control_that_learns_nothing_is_a_finding_and_no_failure(html, results):
    assert all(job.cost["collapsed"] for job in results.jobs if job.model == "basset-shuffled-labels")
    assert not results.collapsed("large", "basset-shuffled-labels")
    assert html.count("<small>control of basset · random weights; no better than chance</small>") == len(TARGETS)


def test_the_methods_say_the_settings_of_this_study(results, html):
    said = words_of(html)
    assert (
        "Networks descend by AdamW (weight decay 0.01, on matrices alone) in updates of 8 windows. The learning rate rises over the first "
        "10% of updates to 0.001 and then falls along half a cosine to 0; the gradient’s norm is held to 1; half of the windows of each "
        "update are shown on the other strand. Computed in bf16 and float32, with weights kept in float32."
    ) in said
    assert (
        "Training ends after 2 epochs, or after 3 without a better one" in said
        and "up to 1 further seed in its place, and each is told" in said
    )
    assert "Otherwise by the study: wide-basset: learning rate 0.0005." in said
    assert "3 trials of each model and dataset, with seed 1 and 30% of the training windows" in said
    assert "any (kmer-logistic, basset): learning rate 0.0001 to 0.01 (log), k 4 or 5." in said
    assert "Seeds: 1, 2;" in said and "The first alone is that of row zero and controls." in said

    other = {
        "layer_decay": 0.9,
        "schedule": "constant",
        "warmup": 0.0,
        "shift": 3,
        "balance": True,
        "reverse_complement": False,
        "retries": 0,
    }
    study = results.study | {"training": results.study["training"] | other}
    [first, second, *_] = methods.descent(dataclasses.replace(results, study=study), ["nt-random"])
    assert "learning rate begins at 0.001 and then stays, and each layer has 0.9 times the rate of the one above;" in first
    assert "windows are shown as they are, all are shifted by up to 3 bp. Positives weigh as much" in first
    assert "Computed in bf16, with weights" in first and second.endswith("has collapsed.")


def test_methods_speak_of_what_the_study_has(results):
    rest = {model: entry for model, entry in results.study["models"].items() if model == "kmer-logistic"}
    alone = dataclasses.replace(results, study=results.study | {"models": rest}, tuned={})
    assert [one.split(" ")[0] for one in methods.training(alone)] == ["Seeds:"]
    assert [one.split(" ")[0] for one in methods.training(results)] == ["Networks", "Mean", "Otherwise", "Settings", "Probes", "Seeds:"]


def test_runs_of_a_model_that_are_missing_are_named(given, tmp_path):
    short = {name: given[name][:-2] for name in ("compute", "checkpoints")}
    with pytest.raises(InputError, match="small has no runs of nt-probe"):
        render.main(**{**given, **short, "page": tmp_path / "page.html"})


def test_sets_of_which_nothing_was_measured_have_no_section_and_others_have(given, tmp_path):
    place = tmp_path / "results/made-up/small/basset/variants"
    place.mkdir(parents=True)
    paths = [place / f"{name}.measured.parquet" for name in ("some", "other")]
    empty, full = measured.as_table([]), measured.as_table([])
    empty.attrs = {"kind": "nothing", "rules": {}, "not_judged": {}, "used": 0}
    full.attrs = {"kind": "effects", "rules": {"score": "fixed"}, "not_judged": {}, "used": 7}
    for table, path in zip((empty, full), paths, strict=True):
        table.to_parquet(path)
    render.main(**given | {"measured": paths})
    html = given["page"].read_text()
    assert "some held against measurement" not in html and "other held against measurement" in html and "7 variants held" in html
