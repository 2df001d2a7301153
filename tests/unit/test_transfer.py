"""Transfer across cell types: against loops that are obvious, and truths that are planted."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from regdna.bootstrap import draw_counts
from regdna.cell_types import Group, check_transfer, groups, measured
from regdna.controls import without_cells
from regdna.step import InputError
from regdna.transfer import AVERAGED, average, deviation, gather, judge, questions, table, unfit

CELLS = ("A", "B", "C")
GROUP = Group("DNase", "", {"A": 0, "B": 2, "C": 3})  # target 1 is of another assay


class Labels:
    """Targets held in memory."""

    def __init__(self, labels, known=None):
        self.labels, self.mask = labels, known
        self.names = [f"target {at}" for at in range(labels.shape[1])]
        self.table = pd.DataFrame({"cell_type": ["A", "", "B", "C"][: labels.shape[1]]})

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, rows):
        return self.labels[rows]

    def known(self, rows):
        return None if self.mask is None else self.mask[rows]


def made(n=900, specific=1.0, own=1.0, seeds=1, noise=0.3, random=0):
    """Windows of which the first third trains; labels that share an activity and have ``specific`` of their own.

    Outputs know the activity, and ``own`` of what is a cell's. Gives targets, frame, block of the test windows, outputs, and the group.
    """
    draw = np.random.default_rng(random)
    common, apart = draw.normal(size=(n, 1)), draw.normal(size=(n, 4))
    labels = common + specific * apart + 0.7 * draw.normal(size=(n, 4)) > 0.5
    part = np.repeat(["train", "test"], [n // 3, n - n // 3])
    frame = pd.DataFrame({"split": part, "chrom": "chr1", "start": np.arange(n) * 500, "end": np.arange(n) * 500 + 200})
    test = part == "test"
    scores = [(common + own * apart + noise * draw.normal(size=(n, 4)))[test] for _ in range(seeds)]
    scores = [(1 / (1 + np.exp(-one))).astype(np.float32) for one in scores]
    block = np.arange(test.sum()) // 12
    targets = Labels(labels)
    return SimpleNamespace(targets=targets, frame=frame, block=block, scores=scores, test=test,
                           cells=gather(targets, frame, block, scores, GROUP))  # fmt: skip


def result(one, held_out=(), replicates=200):
    """Table of a group with its averages."""
    found = judge(one.cells, set(held_out), draw_counts(one.block.max() + 1, replicates, "k"))
    return table([*found, *average(found, GROUP), *average(found, None)], "k model")


def only(frame, **equal):
    """The one row that has these values."""
    for name, value in equal.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1, frame
    return frame.iloc[0]


@pytest.mark.parametrize(
    ("cell", "target", "expected"),
    [("IMR-90", "imr90-dnase", "dnase"), ("K562", "k562", ""), ("H1", "h1x-ctcf", "h1x-ctcf"), ("liver", "dnase-liver", "dnase"),
     ("K562", "specific DHS", "specific DHS"), ("", "dnase", "dnase"), ("HepG2", "HepG2 CTCF (none)", "CTCF (none)")],
)  # fmt: skip
def test_what_was_measured_is_the_target_without_its_cell_type(cell, target, expected):
    assert measured(cell, target) == expected


def test_groups_are_of_one_assay_and_name_and_of_two_cell_types_or_more():
    rows = [("", "promoter", "promoter"), ("A", "DNase", "a-dnase"), ("B", "TF", "b-ctcf"), ("B", "DNase", "B-DNase"),
            ("A", "TF", "a-gata1"), ("A", "DNase", "a-dnase"), ("C", "DNase", "c-dnase")]  # fmt: skip
    (found,) = groups(rows)
    assert (found.assay, found.target, found.cells, found.label) == ("DNase", "dnase", {"A": 1, "B": 3, "C": 6}, "DNase")
    assert Group("histone", "h3k27ac", {}).label == "histone h3k27ac"
    assert groups([("A", "", "a"), ("B", "", "b")]) == []  # nothing says that they are of one kind


ENTRY = {"labels": "multilabel", "transfer": {"held_out": []},
         "targets": {f"{cell}-dnase": {"cell_type": cell, "assay": "DNase"} for cell in CELLS}}  # fmt: skip


def entry(held_out=(), labels="multilabel", **targets):
    """A dataset that asks for transfer."""
    return {"labels": labels, "transfer": {"held_out": list(held_out)}, "targets": targets or ENTRY["targets"]}


def test_a_dataset_that_asks_for_transfer_is_looked_at_before_any_job():
    check_transfer(ENTRY, "d")
    check_transfer(entry(["A", "B"]), "d")
    check_transfer({"labels": "exclusive"}, "d")  # asks for none
    check_transfer({"labels": "multilabel", "transfer": {"held_out": ["A"]}, "sequences": {}}, "d")  # its files say what its cells are
    alone = {"a-dnase": {"cell_type": "A", "assay": "DNase"}, "b-ctcf": {"cell_type": "B", "assay": "TF"}}
    for bad, said in (
        (entry(labels="exclusive"), "d.transfer: labels are exclusive: each window has one label"),
        (entry(**alone), "d.transfer: no two cell types share an assay and a target"),
        (entry(["D"]), "d.transfer.held_out: 'D' shares no assay and target with another cell type"),
        (entry(CELLS), "d.transfer.held_out: of what A has no cell type is left"),
    ):
        with pytest.raises(InputError, match=said):
            check_transfer(bad, "d")


def test_hidden_cells_are_nowhere_known_and_nowhere_positive():
    draw = np.random.default_rng(1)
    labels, known, rows = draw.random((20, 4)) < 0.5, draw.random((20, 4)) < 0.5, np.array([3, 0, 19, 3])
    for mask in (None, known):
        held = without_cells(Labels(labels, mask), ["A", "C"])
        assert (len(held), held.names) == (20, Labels(labels).names)
        assert np.array_equal(held[rows][:, 1:3], labels[rows][:, 1:3]) and not held[rows][:, [0, 3]].any()
        assert not held.known(rows)[:, [0, 3]].any()
        assert np.array_equal(held.known(rows)[:, 1:3], np.ones((4, 2), bool) if mask is None else known[rows][:, 1:3])
    with pytest.raises(InputError, match="no target is of cell type 'D'"):
        without_cells(Labels(labels), ["A", "D"])
    with pytest.raises(InputError, match="no cell type is held out"):
        without_cells(Labels(labels), [])
    with pytest.raises(InputError, match="nothing is left to learn"):
        without_cells(Labels(labels[:, [0]]), ["A"])


def test_every_pair_and_reference_equals_scikit_learn():
    one = made(seeds=2)
    held, truth = result(one), one.targets.labels[one.test]
    outputs = [scores[:, list(GROUP.cells.values())] for scores in one.scores]
    mine = truth[:, list(GROUP.cells.values())]
    train = np.corrcoef(one.targets.labels[~one.test][:, list(GROUP.cells.values())].T)
    for metric, of in (("auroc", roc_auc_score), ("average_precision", average_precision_score)):
        for at, cell in enumerate(CELLS):
            others = [other for other in range(3) if other != at]
            near = max(others, key=lambda other, at=at: train[other, at])

            def value(kind, metric=metric, cell=cell, **more):
                return only(held, kind=kind, tested_on=cell, metric=metric, **more)["value"]

            for other in others:
                expected = np.mean([of(mine[:, at], scores[:, other]) for scores in outputs])
                assert value("pair", trained_on=CELLS[other]) == pytest.approx(expected, abs=1e-12)
            means = np.mean([of(mine[:, at], scores[:, others].astype(float).mean(1)) for scores in outputs])
            measured_mean = of(mine[:, at], mine[:, others].mean(1))
            assert value("same-cell") == pytest.approx(np.mean([of(mine[:, at], scores[:, at]) for scores in outputs]), abs=1e-12)
            assert value("mean-of-others") == pytest.approx(means, abs=1e-12)
            assert value("mean-activity") == pytest.approx(measured_mean, abs=1e-12)
            assert value("over-mean-activity") == pytest.approx(means - measured_mean, abs=1e-12)
            assert value("nearest-cell", trained_on=CELLS[near]) == pytest.approx(of(mine[:, at], mine[:, near]), abs=1e-12)
            assert value("nearest-output", trained_on=CELLS[near]) == value("pair", trained_on=CELLS[near])
    assert held["seen"].all() and set(held["kind"]) == {"pair", *AVERAGED}


def test_deviation_is_of_ranks_less_their_mean_and_is_judged_where_cells_differ():
    one = made(seeds=2)
    held, columns = result(one), list(GROUP.cells.values())
    mine = one.targets.labels[one.test][:, columns]
    differ = mine.any(1) & ~mine.all(1)
    for at, cell in enumerate(CELLS):
        away = []
        for scores in one.scores:
            ranks = pd.DataFrame(scores[:, columns]).rank().to_numpy()
            away.append(ranks[:, at] - ranks.mean(1))
        expected = np.mean([roc_auc_score(mine[differ, at], score[differ].round(6)) for score in away])
        row = only(held, kind="deviation", tested_on=cell, metric="auroc")
        assert row["value"] == pytest.approx(expected, abs=1e-12)
        assert (row["subset"], row["n"], row["positives"]) == ("varying", differ.sum(), mine[differ, at].sum())
        follows = np.mean([np.corrcoef(score, mine[:, at] - mine.mean(1))[0, 1] for score in away])
        assert only(held, kind="deviation", tested_on=cell, metric="pearson")["value"] == pytest.approx(follows, abs=1e-6)


@pytest.mark.parametrize("cells", [2, 3, 7])
def test_what_says_the_same_of_all_cells_has_no_deviation_whatever_its_scale(cells):
    common = np.random.default_rng(2).random((501, 1)).astype(np.float32).round(2)
    outputs = common ** np.arange(1, cells + 1)
    assert not deviation(outputs).any()
    assert deviation(np.concatenate([outputs, 1 - common], 1)).any()


def test_intervals_are_those_of_rows_drawn_by_blocks():
    one = made()
    counts = draw_counts(one.block.max() + 1, 60, "k")
    found = {
        (row.facts["kind"], row.facts["trained_on"], row.facts["tested_on"], row.metric): row for row in judge(one.cells, set(), counts)
    }
    cells = one.cells
    differ = cells.varying
    away = deviation(cells.outputs[0])
    lies = cells.labels - cells.labels.mean(1, keepdims=True)
    for replicate in (0, 17, 59):
        drawn = np.repeat(np.arange(len(cells.block)), counts[cells.block, replicate])
        pair = roc_auc_score(cells.labels[drawn, 1], cells.outputs[0][drawn, 0])
        assert found["pair", "A", "B", "auroc"].drawn[0, replicate] == pytest.approx(pair, abs=1e-12)
        inside = drawn[np.isin(drawn, differ)]
        apart = roc_auc_score(cells.labels[inside, 1], away[inside, 1])
        assert found["deviation", "B", "B", "auroc"].drawn[0, replicate] == pytest.approx(apart, abs=1e-12)
        follows = np.corrcoef(away[drawn, 1], lies[drawn, 1])[0, 1]
        assert found["deviation", "B", "B", "pearson"].drawn[0, replicate] == pytest.approx(follows, abs=1e-9)
        gap = roc_auc_score(cells.labels[drawn, 1], cells.outputs[0][drawn][:, [0, 2]].astype(float).mean(1))
        gap -= roc_auc_score(cells.labels[drawn, 1], cells.labels[drawn][:, [0, 2]].sum(1))
        assert found["over-mean-activity", "", "B", "auroc"].drawn[0, replicate] == pytest.approx(gap, abs=1e-12)


def test_averages_are_means_over_cells_and_their_replicates_too():
    one = made(seeds=2)
    found = judge(one.cells, set(), draw_counts(one.block.max() + 1, 50, "k"))
    mean = next(row for row in average(found, GROUP) if (row.facts["kind"], row.metric) == ("deviation", "auroc"))
    some = [row for row in found if (row.facts["kind"], row.metric) == ("deviation", "auroc")]
    assert mean.facts["cells"] == 3 == len(some) and (mean.facts["tested_on"], mean.facts["assay"]) == ("", "DNase")
    assert np.allclose(mean.drawn, np.mean([row.drawn for row in some], axis=0), atol=1e-12)
    assert np.allclose(mean.values, np.mean([row.values for row in some], axis=0), atol=1e-12) and mean.values.shape == (2,)


def test_several_seeds_widen_what_a_model_says_and_nothing_that_was_measured():
    one = made(seeds=2)
    one.cells.outputs[1][:] = 0.8 * one.cells.outputs[1] + 0.2 * np.random.default_rng(5).random(one.cells.outputs[1].shape)  # a worse seed
    counts = draw_counts(one.block.max() + 1, 400, "k")
    found = judge(one.cells, set(), counts)
    both = table(found, "k")
    alone = table(
        [row.__class__(row.facts, row.metric, row.values.mean(keepdims=True), row.drawn.mean(0, keepdims=True)) for row in found], "k"
    )
    width = lambda frame, kind: (lambda row: row["high"] - row["low"])(only(frame, kind=kind, tested_on="A", metric="auroc"))  # noqa: E731
    assert width(both, "same-cell") > 1.05 * width(alone, "same-cell")
    assert width(both, "mean-activity") == width(alone, "mean-activity")


def test_a_model_that_never_saw_a_cell_is_judged_there_by_the_others_alone():
    one = made()
    held = result(one, ["B"])
    assert not held["seen"].any() and set(held["tested_on"]) == {"B", ""} and "B" not in set(held["trained_on"])
    assert set(held["kind"]) == {"pair", "mean-of-others", "mean-activity", "nearest-cell", "over-mean-activity"}
    whole = result(one)
    for kind in ("mean-of-others", "mean-activity", "over-mean-activity"):
        pair = [only(frame, kind=kind, tested_on="B", metric="auroc") for frame in (held, whole)]
        assert pair[0]["value"] == pair[1]["value"]
    two = result(one, ["B", "C"])
    assert set(two["trained_on"]) == {"A", ""} and set(two["tested_on"]) == {"B", "C", ""}
    assert (
        only(two, kind="mean-of-others", tested_on="B", metric="auroc")["value"]
        == only(two, kind="pair", tested_on="B", metric="auroc")["value"]
    )


def test_windows_count_that_are_known_in_all_cells_of_a_group():
    one = made()
    known = np.ones_like(one.targets.labels)
    known[400:500, 2] = False
    known[600:, 1] = False  # of no cell of the group
    cells = gather(Labels(one.targets.labels & known, known), one.frame, one.block, one.scores, GROUP)
    kept = np.r_[0:100, 200:600]
    assert np.array_equal(cells.labels, one.cells.labels[kept]) and np.array_equal(cells.outputs[0], one.cells.outputs[0][kept])
    assert np.array_equal(cells.block, one.block[kept]) and len(cells.frame) == 500
    nothing = np.ones_like(known)
    nothing[np.arange(900), np.array([0, 2, 3])[np.arange(900) % 3]] = False
    cells = gather(Labels(one.targets.labels & nothing, nothing), one.frame, one.block, one.scores, GROUP)
    assert unfit(cells, set()) == "no test window has a known label in all of its cell types"


def test_labels_that_exclude_each_other_are_refused_with_the_reason():
    one = made()
    labels = np.zeros_like(one.targets.labels)
    labels[np.arange(900), np.array([0, 2, 3])[np.arange(900) % 3]] = True
    cells = gather(Labels(labels), one.frame, one.block, one.scores, GROUP)
    assert unfit(cells, set()).startswith("no window is positive in two of its cell types, so the labels exclude each other")
    assert unfit(one.cells, set()) == unfit(one.cells, {"B"}) == ""
    assert unfit(one.cells, {"Z"}) == "none of its cell types was held out"
    assert unfit(one.cells, {*CELLS, "Z"}) == "all of its cell types were held out"


def test_a_cell_of_one_class_is_undefined_and_few_blocks_are_too_small_to_judge():
    one = made()
    labels = one.targets.labels.copy()
    labels[one.test, 2] = False
    cells = gather(Labels(labels), one.frame, one.block, one.scores, GROUP)
    found = judge(cells, set(), draw_counts(one.block.max() + 1, 50, "k"))
    held = table([*found, *average(found, None)], "k")
    assert (held[held["tested_on"] == "B"]["verdict"] == "undefined").all() and held[held["tested_on"] == "B"]["value"].isna().all()
    assert only(held, kind="same-cell", tested_on="", metric="auroc")["cells"] == 2
    coarse = SimpleNamespace(block=one.block // 5, cells=gather(one.targets, one.frame, one.block // 5, one.scores, GROUP))
    held = result(coarse)
    assert (held["verdict"] == "too small to judge").all() and held["low"].isna().all() and held["value"].notna().all()


def test_the_nearest_cell_is_chosen_on_training_windows_and_a_constant_one_is_like_none():
    one = made()
    labels = one.targets.labels.copy()
    labels[~one.test, 0] = labels[~one.test, 3]  # in training C is A, on test windows B is
    labels[one.test, 0] = labels[one.test, 2]
    cells = gather(Labels(labels), one.frame, one.block, one.scores, GROUP)
    near = [asked.facts["trained_on"] for asked in questions(cells, set()) if asked.facts["kind"] == "nearest-cell"]
    assert near[0] == "C" and near[2] == "A"
    labels[~one.test, 3] = False
    cells = gather(Labels(labels), one.frame, one.block, one.scores, GROUP)
    near = [asked.facts["trained_on"] for asked in questions(cells, set()) if asked.facts["kind"] == "nearest-cell"]
    assert near[:2] == ["B", "A"]


def test_planted_truths_are_told_apart():
    """A model that knows each cell deviates rightly; one that knows the mean alone does not, however well it seems to transfer."""
    knows, mean = (result(made(3000, own=own, noise=0.2, random=3)) for own in (1.0, 0.0))
    rows = [only(held, kind="deviation", tested_on="", metric="auroc", assay="") for held in (knows, mean)]
    assert rows[0]["low"] > 0.7 and rows[1]["low"] < 0.5 < rows[1]["high"] < 0.55
    assert only(mean, kind="mean-of-others", tested_on="", metric="auroc", assay="")["low"] > 0.7
    follows = [only(held, kind="deviation", tested_on="", metric="pearson", assay="") for held in (knows, mean)]
    assert follows[0]["low"] > 0.3 and follows[1]["low"] < 0 < follows[1]["high"]
