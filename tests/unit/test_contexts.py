"""Skill against context: only flanks change, on the same draws for all, and differences are those of the same resamples."""

import numpy as np
import pandas as pd
import pytest

from regdna.assess import MEAN, Part, describe
from regdna.bootstrap import draw_counts, over_seeds
from regdna.contexts import Narrowed, enough, skill, table
from regdna.metrics import auroc, average_precision
from regdna.targets import Targets, all_known, pack

ROWS, BLOCKS, COUNT, DIGEST = 240, 24, 60, "digest"


class Windows:
    """Random codes with the interface of ``regdna.windows.Sequences``."""

    def __init__(self, rows: int, length: int, seed: int = 0):
        self.codes = np.random.default_rng(seed).integers(0, 4, (rows, length)).astype(np.uint8)
        self.length = length

    def __len__(self):
        return len(self.codes)

    def __getitem__(self, rows):
        return self.codes[rows]


def pairs_in(codes):
    """Counts of all dinucleotides of a sequence."""
    return np.bincount(codes[:-1] * 4 + codes[1:], minlength=16)


@pytest.mark.parametrize("context", [1, 10, 11, 39])
def test_the_middle_stays_and_each_flank_keeps_its_dinucleotides(context):
    whole = Windows(30, 40)
    seen = Narrowed(whole, context, seed=3)[np.arange(30)]
    first = (40 - context) // 2
    assert np.array_equal(seen[:, first : first + context], whole.codes[:, first : first + context])
    for flank in (slice(0, first), slice(first + context, 40)):
        for mine, given in zip(seen[:, flank], whole.codes[:, flank], strict=True):
            assert np.array_equal(pairs_in(mine), pairs_in(given))
    if context < 20:
        changed = (seen != whole.codes).any(0)
        assert changed[1 : first - 1].all() and changed[first + context + 1 : -1].all()


def test_a_window_has_one_shuffle_whatever_the_batch_and_another_with_another_seed():
    whole = Windows(50, 60)
    seen = Narrowed(whole, 20, seed=1)
    apart = np.concatenate([seen[np.array([at])] for at in (7, 3, 49)])
    assert np.array_equal(seen[np.array([7, 3, 49])], apart) and len(seen) == 50 and seen.length == 60
    assert (Narrowed(whole, 20, seed=2)[np.arange(50)] != seen[np.arange(50)]).any(1).all()
    assert np.array_equal(whole.codes, Windows(50, 60).codes)


def test_the_two_flanks_are_drawn_apart():
    whole = Windows(20, 60)
    whole.codes[:, 40:] = whole.codes[:, :20]
    seen = Narrowed(whole, 20, seed=1)[np.arange(20)]
    assert (seen[:, :20] != seen[:, 40:]).any(1).sum() > 15


@pytest.fixture(scope="module", params=[False, True], ids=["all known", "some unknown"])
def judged(request, tmp_path_factory):
    """Three targets, the last of one class, with two seeds; and the same with worse scores."""
    folder, draw = tmp_path_factory.mktemp("targets"), np.random.default_rng(4)
    labels = draw.random((ROWS, 3)) < [0.4, 0.5, 0]
    known = draw.random(labels.shape) < 0.8
    np.save(folder / "targets.npy", pack(labels & known if request.param else labels))
    np.save(folder / "known.npy", pack(known) if request.param else all_known(3))
    pd.DataFrame({"cell_type": "", "assay": "toy", "target": list("abc"), "source": "toy"}).rename_axis("index").to_csv(
        folder / "targets.tsv", sep="\t"
    )
    held = Targets(folder / "targets.npy", folder / "targets.tsv", folder / "known.npy")
    start = np.arange(ROWS) * 1000
    frame = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 200, "block": np.arange(ROWS) // (ROWS // BLOCKS) + 7})
    rows = np.arange(ROWS)
    parts = []
    for noise in (1.0, 2.0):
        scores = [(labels + draw.normal(0, noise, labels.shape)).round(1).astype(np.float32) for _ in range(2)]
        parts.append(Part(frame, held[rows], held.known(rows), scores))
    facts = describe(parts[0], held)
    counts = draw_counts(BLOCKS, COUNT, DIGEST)
    return [skill(part, facts, counts, 2) for part in parts], parts, facts, counts


def slow(part, target, counts):
    """Mean over seeds of both metrics of every replicate, rows repeated as their blocks are drawn."""
    block = part.frame["block"].to_numpy() - 7
    at = np.ones(ROWS, bool) if part.known is None else part.known[:, target]
    out = np.zeros((counts.shape[1], 2))
    for one in range(counts.shape[1]):
        rows = np.repeat(np.flatnonzero(at), counts[block[at], one])
        values = [
            [metric(part.labels[rows, target], score[rows, target]) for metric in (auroc, average_precision)] for score in part.scores
        ]
        out[one] = np.mean(values, 0)
    return out


def test_replicates_equal_metrics_of_rows_that_are_drawn_again(judged):
    found, parts, _, counts = judged
    for one, part in zip(found, parts, strict=True):
        for target in (0, 1):
            expected = slow(part, target, counts)
            for at, metric in enumerate(("auroc", "average_precision")):
                assert np.allclose(one.drawn[metric][:, :, target].mean(0), expected[:, at], atol=1e-12, rtol=0)
        for values in (one.values, one.drawn):
            assert np.isnan(values["auroc"][..., 2]).all()
            assert np.allclose(values["auroc"][..., 3], values["auroc"][..., :2].mean(-1), atol=1e-12, rtol=0)


def test_a_difference_is_that_of_the_same_resamples_and_seeds(judged):
    (whole, narrow), _, facts, _ = judged
    made = table("toy", 50, narrow, whole, facts, DIGEST).set_index(["metric", "target"])
    assert len(made) == 8
    for metric in ("auroc", "average_precision"):
        for at, target in ((0, 0), (3, MEAN)):
            row = made.loc[metric, target]
            gaps = narrow.values[metric][:, at] - whole.values[metric][:, at]
            apart = narrow.drawn[metric][:, :, at] - whole.drawn[metric][:, :, at]
            drawn = over_seeds(apart, gaps, f"{DIGEST} toy 50", BLOCKS)
            assert row["difference"] == pytest.approx(gaps.mean(), abs=1e-12) and row["value"] == narrow.values[metric][:, at].mean()
            assert np.allclose([row["difference_low"], row["difference_high"]], np.quantile(drawn, [0.025, 0.975]), atol=1e-12)
            assert np.allclose([row["within_low"], row["within_high"]], np.quantile(drawn, [0.05, 0.95]), atol=1e-12)
            values = narrow.values[metric][:, at]
            own = over_seeds(narrow.drawn[metric][:, :, at], values, f"{DIGEST} toy", BLOCKS)
            assert np.allclose([row["low"], row["high"]], np.quantile(own, [0.025, 0.975]).clip(0, 1), atol=1e-12)
    undefined = made.loc["auroc", 2]
    assert undefined["verdict"] == "undefined" and np.isnan(undefined[["value", "low", "difference_low"]].astype(float)).all()
    assert made.loc["auroc", MEAN]["verdict"] == "" and made.loc["auroc", MEAN]["difference"] < 0


def test_the_whole_window_differs_from_itself_by_nothing(judged):
    (whole, _), _, facts, _ = judged
    made = table("toy", 200, whole, whole, facts, DIGEST)
    rows = made[made["verdict"] == ""]
    assert len(rows) == 6 and (rows[["difference", "difference_low", "difference_high", "within_low"]] == 0).all(axis=None)


def test_with_too_few_blocks_there_is_no_interval(judged):
    (whole, narrow), _, facts, _ = judged
    few = [{**fact, "blocks": 19} for fact in facts]
    made = table("toy", 50, narrow, whole, few, DIGEST).query("metric == 'auroc'").set_index("target")
    assert made["verdict"].to_dict() == {0: "too small to judge", 1: "too small to judge", 2: "undefined", MEAN: "too small to judge"}
    assert made[["low", "difference_low", "within_low"]].isna().all(axis=None) and np.isfinite(made.loc[MEAN, "difference"])


@pytest.mark.parametrize(
    ("within", "least"),
    [
        ([(-0.2, -0.1), (-0.005, 0.002), (-0.003, 0.003)], 200),
        ([(-0.2, -0.1), (-0.015, 0.002), (-0.003, 0.003)], 400),
        ([(-0.2, -0.1), (-0.3, -0.2), (-0.03, 0.003)], None),
        ([(-0.001, 0.001), (-0.02, 0.002), (-0.003, 0.003)], 400),  # a wider one is not equivalent, so neither is enough
        ([(-0.001, 0.001), (-0.002, 0.002), (0.0, 0.02)], None),
        ([(np.nan, np.nan)] * 3, None),
    ],
)
def test_enough_is_the_narrowest_from_which_on_all_are_equivalent(within, least):
    rows = pd.DataFrame({"metric": "auroc", "target": MEAN, "context": [100, 200, 400, 1000]})
    rows[["within_low", "within_high"]] = [*within, (0.0, 0.0)]
    assert enough(rows.sample(frac=1, random_state=1), 0.01) == least
