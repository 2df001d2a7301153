"""The page says what the tables say: every number, the verdict, what is random, and how to make it again."""

import dataclasses
import json
import re
import shlex
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from made_up_study import MEAN, MODELS, TARGETS, VALUES, study, write

import render
from regdna.page import answer, kind, text
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
        if tag not in ("meta", "link", "image", "path", "use", "rect"):
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
        assert set(shown["model"]) == set(MODELS)
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
    assert len(shown) == len(TARGETS) * len(MODELS) * 2 and set(shown["parameters"]) == {12345}


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
    shown = page.find("Each target")[1]
    assert all("too small to judge" in row[2][0] for row in page.tables[4]["rows"])
    assert len(shown) == len(MODELS)


def test_one_class_reads_undefined(page):
    rows = [row for row in page.tables[1]["rows"] if row[0][0].startswith("HepG2")]
    assert rows and all(row[2][0] == "undefined" and row[2][1] == "" for row in rows)


def test_random_networks_are_called_so_wherever_they_are_named(page):
    for caption in ("Each target", "Paired differences", "Every training run", "Variants scored", "The 10 variants"):
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
    read = [*given["metrics"], *given["curves"], *given["effects"], given["comparison"], given["ledger"]]
    assert {path.as_posix() for path in read} <= listed


def expand(target: str) -> list[str]:
    """Braces as a shell expands them."""
    match = re.match(r"(.*)\{(.*)\}(.*)", target)
    return [match[1] + part + match[3] for part in match[2].split(",")] if match else [target]


def test_the_page_asks_nothing_of_the_network(html, page):
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
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
    assert page.find("Files of own")[0]["from"].tolist() == ["my/b.csv"]


def test_the_page_says_what_the_windows_of_each_dataset_are(html):
    assert "sequences of 200 bp from 2 files, hg19" in html
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
    with pytest.raises(InputError, match="small has no metrics of nt-random"):
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
    row = pd.Series({"verdict": word, "difference": 0.02, "low": low, "high": high})
    assert answer.difference(row, 0.01).startswith(text)


def test_a_real_but_tiny_difference_is_called_tiny():
    row = pd.Series({"verdict": "worse", "difference": -0.004, "low": -0.006, "high": -0.002})
    assert "though by less than the 0.01 that matters in practice" in answer.difference(row, 0.01)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.12345, "0.123"), (-0.5, "−0.500"), (0.0, "0.000"), (-0.0004, "−0.0004"), (np.nan, "–"), (None, "–"), (1234.5, "1,234.500")],
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


def test_the_certificate_says_what_was_sampled_grouped_and_matched(html):
    assert "estimated from one 21-mer in 4" in html
    assert "7, the largest of 3 windows; one is a giant" in html
    assert "test windows found in validation</dt><dd>identical 3" in html
    assert "standardised difference 0.010 (before matching 1.200)" in html
