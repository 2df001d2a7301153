"""Two finished studies side by side: what is compared, on which resamples, and what is refused in one line."""

import json
import os
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from made_up_pair import finished
from workflow_tools import step

from regdna.contrast import Finished, champion, common, named, stamp
from regdna.page.contrast import headline
from regdna.step import InputError

OLD = {"cnn": 1.0, "net": 1.0, "gone": 0.5}
NEW = {"cnn": 1.0, "net": 2.5, "fresh": 0.4}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Results of two studies in which one model is the same and one became better; the newer with more replicates."""
    folder = tmp_path_factory.mktemp("two")
    return finished(folder / "old", OLD), finished(folder / "new", NEW, replicates=150)


def contrasted(old, new, folder, **options):
    """The table and the page of two studies."""
    step("contrast").main(old, new, folder / "comparison.parquet", folder / "comparison.html", **options)
    return pd.read_parquet(folder / "comparison.parquet"), (folder / "comparison.html").read_text()


def of(table, model, against, metric="auroc", target=-1):
    found = table.query("model == @model and against == @against and metric == @metric and target == @target")
    assert len(found) == 1
    return found.iloc[0]


def test_a_model_that_did_not_change_is_equivalent_and_one_that_did_is_better(two, tmp_path):
    table, _ = contrasted(*two, tmp_path)
    same, better = of(table, "cnn", "cnn"), of(table, "net", "net")
    assert same["difference"] == 0 and same["verdict"] in ("equivalent", "cannot tell") and same["pair"] == "same model"
    assert better["difference"] > 0.2 and better["verdict"] == "better" and better["low"] > 0
    assert set(table["dataset"]) == {"own"}
    assert set(table.loc[table["pair"] == "same model", "model"]) == {"cnn", "net"}


def test_differences_are_new_minus_old_and_turn_with_the_order(two, tmp_path):
    value = {}
    for root in two:
        found = pd.read_parquet(root / "own/net/metrics.parquet")
        value[root.name] = found.query("part == 'test' and seed == -1 and target == -1 and metric == 'auroc'")["value"].iloc[0]
    forth, _ = contrasted(*two, tmp_path)
    back, _ = contrasted(*two[::-1], tmp_path)
    assert of(forth, "net", "net")["difference"] == pytest.approx(value["new"] - value["old"])
    assert of(back, "net", "net")["difference"] == pytest.approx(value["old"] - value["new"])
    assert of(back, "net", "net")["verdict"] == "worse"


def test_the_best_of_each_is_chosen_on_validation_and_is_no_control(tmp_path):
    old = finished(tmp_path / "old", {"cnn": 1.5, "control": 4.0}, controls=("control",))
    new = finished(tmp_path / "new", {"net": 3.0, "other": 0.2}, noise=1)
    best = [champion(Finished.read(root).judged("own")) for root in (old, new)]
    assert [one.model for one in best] == ["cnn", "net"]
    table, page = contrasted(old, new, tmp_path)
    assert set(table["pair"]) == {"best of each"} and of(table, "net", "cnn")["verdict"] == "better"
    assert "No model is in both old and new." in page
    assert "By its validation part the best of new is net. It is better than the best of old, cnn" in page


def test_the_test_part_has_no_say_in_which_is_best(two, tmp_path):
    root = tmp_path / "turned"
    shutil.copytree(two[1], root)
    path = root / "own/fresh/metrics.parquet"  # the worst of the three
    table = pd.read_parquet(path)
    table.loc[table["part"] == "validation", "value"] = 0.999
    table.to_parquet(path)
    assert champion(Finished.read(two[1]).judged("own")).model == "net"
    assert champion(Finished.read(root).judged("own")).model == "fresh"


def test_pairs_share_their_resamples(tmp_path):
    # Outputs with the same noise, and one seed: only what is paired tells a small change from none.
    # The newer has more of them.
    old, new = (
        finished(tmp_path / name, {"cnn": strength}, seeds=(1,), replicates=count)
        for name, strength, count in (("old", 1.0, 100), ("new", 1.05, 170))
    )
    table, _ = contrasted(old, new, tmp_path)
    row, single = of(table, "cnn", "cnn"), pd.read_parquet(new / "own/cnn/metrics.parquet")
    alone = single.query("part == 'test' and seed == -1 and target == -1 and metric == 'auroc'").iloc[0]
    assert row["verdict"] == "better" and row["high"] - row["low"] < 0.2 * (alone["high"] - alone["low"])
    drawn = [np.load(root / "own/cnn/replicates.npz") for root in (old, new)]
    at = drawn[0]["targets"].tolist().index(-1)
    gaps = drawn[1]["auroc"][:100, at] - drawn[0]["auroc"][:, at]
    assert row["low"] < np.median(gaps) < row["high"]


def test_the_page_says_what_the_table_says(two, tmp_path):
    table, page = contrasted(*two, tmp_path, margin=0.02)
    said = re.sub(r"\s+", " ", page)
    assert "From old to new" in said and "In new against old: net is better" in said and "±0.02" in said
    values = set(re.findall(r'data-value="([^"]+)"', page))
    for model in ("cnn", "net"):
        row = of(table, model, model)
        assert repr(float(row["difference"])) in values and repr(float(row["smallest_detectable"])) in values
    for model, study in (("gone", "old"), ("fresh", "new")):
        assert re.search(rf'<th scope="row">{model}</th>\s*<td>{study}</td>', page)
    assert "snakemake --config studies=old,new -- compare" in page
    assert not re.search(r'(src|href)="(?!#|data:)', page) and "Content-Security-Policy" in page
    assert page.count("<table") == 3  # pairs, models of one study alone, targets


def test_datasets_of_one_study_alone_are_said(two, tmp_path):
    new = tmp_path / "new"
    shutil.copytree(two[1], new)
    finished(tmp_path / "more", {"cnn": 1.0}, dataset="more")
    shutil.move(tmp_path / "more/more", new / "more")
    _, page = contrasted(two[0], new, tmp_path)
    assert "Datasets of one study alone: more (new)." in page


def test_another_split_is_refused_with_both_digests(two, tmp_path):
    other = finished(tmp_path / "moved", OLD, at=100)
    digests = [json.loads((root / "own/splits.json").read_text())["digest"] for root in (two[0], other)]
    with pytest.raises(InputError) as refused:
        contrasted(two[0], other, tmp_path)
    line = str(refused.value)
    assert "\n" not in line and "dataset own" in line and all(one in line for one in digests)


def test_other_labels_of_the_same_windows_are_refused(two, tmp_path):
    other = finished(tmp_path / "relabelled", OLD, labels=5)
    with pytest.raises(InputError, match="dataset own: labels differ .*open: .* of 300"):
        contrasted(two[0], other, tmp_path)


def test_studies_without_a_common_dataset_are_refused(two, tmp_path):
    other = finished(tmp_path / "other", {"cnn": 1.0}, dataset="another")
    with pytest.raises(InputError, match=r"no dataset in common \(own; another\)"):
        common(Finished.read(two[0]), Finished.read(other))


@pytest.mark.parametrize("gone", ["own/net/metrics.parquet", "own/net/replicates.npz", "own/splits.json", "comparison.parquet"])
def test_an_unfinished_study_is_named_with_what_is_missing(two, tmp_path, gone):
    broken = tmp_path / "broken"
    shutil.copytree(two[0], broken)
    (broken / gone).unlink()
    with pytest.raises(InputError, match=f"broken is not finished: it lacks {re.escape(gone)}; finish it .*study=broken -- evaluate"):
        Finished.read(broken)


def test_what_a_study_asks_for_must_be_there(two):
    with pytest.raises(InputError, match=r"it lacks own/later/metrics.parquet, own/later/replicates.npz; "):
        Finished.read(two[0], [f"{two[0]}/own/net", f"{two[0]}/own/later"])
    with pytest.raises(InputError, match="nowhere is not there"):
        Finished.read(two[0].parent / "nowhere")


def test_results_of_an_earlier_version_are_refused(two, tmp_path):
    early = tmp_path / "early"
    shutil.copytree(two[0], early)
    path = early / "own/cnn/replicates.npz"
    with np.load(path) as arrays:
        kept = {name: arrays[name] for name in arrays.files if name != "auroc_error"}
    np.savez(path, **kept)
    with pytest.raises(InputError, match=r"own/cnn: written by an earlier version, without auroc_error"):
        Finished.read(early).judged("own")


@pytest.mark.parametrize("text", ["a", "a,a", "a,b,c", "a,", "a,../b", "a,..", "a b,c", ""])
def test_names_that_are_not_two_folders_are_refused(text):
    with pytest.raises(InputError, match="studies: .* does not name two folders"):
        named(text)
    assert named("demo-2025,demo") == ("demo-2025", "demo") and named("v1.0,B_2") == ("v1.0", "B_2")


def test_it_is_made_again_where_results_changed_and_only_then(two, tmp_path):
    root = tmp_path / "new"
    shutil.copytree(two[1], root)
    before = stamp(two[0], root)
    (root / "report.html").write_text("another page")
    assert stamp(two[0], root) == before
    os.utime(root / "own/net/metrics.parquet", ns=(1, 1))
    assert stamp(two[0], root) != before


def test_the_headline_names_every_model_once():
    means = pd.DataFrame({"pair": "same model", "model": ["a", "b", "c"], "verdict": ["better", "cannot tell", "better"]})
    assert headline("x", "y", means) == "In y against x: a, c are better; b is not to be told apart."
