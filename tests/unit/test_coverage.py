"""Intervals and tests hold what they promise, in simulation: 2,000 made-up studies each, with blocks, positives and seeds as few as judged.

What an interval must cover is the mean over such studies: average precision depends on how many windows there are.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from regdna.bootstrap import Seeds, accelerated, acceleration, draw_counts, influence, interval, over_seeds, replicate, with_seeds
from regdna.metrics import ranking
from regdna.verdict import max_t, welch

RUNS, REPLICATES, SEEDS = 2000, 400, 5
KINDS = {  # blocks, windows a block, prevalence, spread between blocks, sd of skill over seeds
    "independent": (1000, 1, 0.05, 0.0, 0.10),
    "blocked": (100, 15, 0.034, 0.5, 0.10),
    "seeds differ much": (400, 1, 0.3, 0.0, 0.30),
}


def study(draw, kind, models=1, gap=0.0):
    """Labels (n,), scores (models, seeds, n) that share much, block (n,): positives come in clusters where blocks differ."""
    blocks, rows, prevalence, spread, apart = KINDS[kind]
    block = np.repeat(np.arange(blocks), rows)
    chance = draw.beta(2, 2 / prevalence - 2, blocks)[block] if spread else prevalence
    labels = draw.random(len(block)) < chance
    common = spread * draw.normal(size=blocks)[block] + 0.7 * draw.normal(size=len(block))
    skill = 1 + gap * np.arange(models)[:, None] + apart * draw.normal(size=(models, SEEDS))
    return labels, common + 0.7 * draw.normal(size=(models, SEEDS, len(block))) + skill[..., None] * labels, block


@cache
def simulated(kind):
    """Of each run and metric: mean over seeds, percentile and BCa bounds; float (runs, 2, 5)."""
    draw, out = np.random.default_rng(1), np.empty((RUNS, 2, 5))
    for run in range(RUNS):
        labels, scores, block = study(draw, kind)
        counts = draw_counts(KINDS[kind][0], REPLICATES, f"{kind} {run}")
        values = np.array([ranking(labels, one) for one in scores[0]])
        drawn = np.array([replicate(labels, one, block, counts) for one in scores[0]])
        moved = np.mean([influence(labels, one, block, len(counts)) for one in scores[0]], 0)
        for at, value in enumerate(values.mean(0)):
            some = over_seeds(drawn[:, at], values[:, at], str(run), len(counts))
            fallen = some - value + drawn[:, at].mean()
            out[run, at] = [value, *interval(some), *accelerated(fallen, value, acceleration(moved[at]))]
    return out


@pytest.mark.parametrize("metric", ["auroc", "average precision"])
@pytest.mark.parametrize("kind", KINDS)
def test_ninety_five_percent_intervals_cover(kind, metric):
    found = simulated(kind)[:, ["auroc", "average precision"].index(metric)]
    truth = found[:, 0].mean()
    assert 0.93 <= ((found[:, 1] <= truth) & (truth <= found[:, 2])).mean() <= 0.97


@pytest.mark.parametrize("kind", KINDS)
def test_bca_intervals_cover_what_many_more_windows_would_give(kind):
    """Average precision of few positives lies above that of many; BCa intervals take that bias off."""
    draw, (blocks, rows, *rest) = np.random.default_rng(8), KINDS[kind]
    KINDS["wide"] = (40 * blocks, rows, *rest)
    truth = np.mean([[ranking(labels, one) for one in scores[0]] for labels, scores, _ in (study(draw, "wide") for _ in range(40))], (0, 1))
    found = simulated(kind)
    inside = [((found[:, at, 3] <= truth[at]) & (truth[at] <= found[:, at, 4])).mean() for at in range(2)]
    assert min(inside) >= 0.92 and max(inside) <= 0.98


@cache
def paired(kind, gap, runs):
    """p of two models that differ by ``gap``, by Student's t and by max-T among the three pairs of three models; (runs,) each."""
    draw, single, joint = np.random.default_rng(2), [], []
    for run in range(runs):
        labels, scores, block = study(draw, kind, 3 if gap == 0 else 2, gap)
        counts = draw_counts(KINDS[kind][0], REPLICATES, f"pair {kind} {run}")
        values = np.array([[ranking(labels, one)[0] for one in model] for model in scores])
        drawn = np.array([[replicate(labels, one, block, counts)[0] for one in model] for model in scores])
        seeds = [Seeds.of(f"{run} {at}", *some) for at, some in enumerate(zip(values, drawn, strict=True))]
        mean, plain = values.mean(1), drawn.mean(1)
        pairs = [(one, other) for other in range(len(scores)) for one in range(other)]
        moved = [
            with_seeds(plain[one] - plain[other], mean[one] - mean[other], [seeds[one], replace(seeds[other], weight=-1.0)], len(counts))
            for one, other in pairs
        ]
        joint.append(max_t(np.array([mean[one] - mean[other] for one, other in pairs]), np.stack(moved, 1)).p.min())
        single.append(float(welch(mean[0] - mean[1], plain[0] - plain[1], [seeds[0], replace(seeds[1], weight=-1.0)], len(counts))))
    return np.array(single), np.array(joint)


@pytest.mark.parametrize("kind", ["independent", "blocked"])
def test_equal_models_are_called_different_five_times_in_a_hundred(kind):
    single, joint = paired(kind, 0.0, RUNS)
    assert 0.03 <= (single < 0.05).mean() <= 0.065
    assert 0.02 <= (joint < 0.05).mean() <= 0.065, "any of the three pairs of three equal models"


def test_power_rises_with_the_difference():
    power = [(paired("independent", gap, 300)[1] < 0.05).mean() for gap in (0.1, 0.25, 0.5)]
    assert power[0] < power[1] < power[2] and power[2] > 0.9
