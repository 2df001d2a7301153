"""Transfer from cell type to cell type: outputs for one cell judged by another's labels, beside what measured labels alone would say.

Most loci are open, or closed, in all cells, so that the mean over cells is a good guess of any cell, and a model that has learnt
nothing else looks skilled. Source: Schreiber, Singh, Bilmes and Noble 2020, Genome Biology 21:282.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from regdna.assess import each, judgeable, mean_of
from regdna.bootstrap import interval, over_seeds, replicate, resampled, too_small
from regdna.cell_types import EXCLUSIVE, Group
from regdna.intervals import count_separate
from regdna.metrics import RANKING, ranking
from regdna.targets import PIECE, Targets

PEARSON = "pearson"
# Kinds of rows that are averaged over cells; a pair of cells is not.
AVERAGED = ("same-cell", "mean-of-others", "nearest-output", "mean-activity", "nearest-cell", "over-mean-activity", "deviation")
COLUMNS = ["kind", "assay", "target", "trained_on", "tested_on", "metric", "subset", "seen", "value", "low", "high", "verdict", "n",
           "positives", "prevalence", "blocks", "independent_positives", "cells"]  # fmt: skip


@dataclass(frozen=True)
class Cells:
    """One group of targets at the test windows whose label is known in all of its cell types.

    Attributes:
        group: K cell types.
        frame: chrom, start, end of the windows, (n,) rows.
        block: index of each window's block, int (n,).
        labels: bool (n, K).
        outputs: of every seed, float32 (n, K).
        alike: Pearson's coefficient of the labels of two cells on training windows, float (K, K); -2 where it is undefined.
        together: windows of any part that are positive in two cells or more.
    """

    group: Group
    frame: pd.DataFrame
    block: np.ndarray
    labels: np.ndarray
    outputs: list[np.ndarray]
    alike: np.ndarray
    together: int

    @property
    def names(self) -> list[str]:
        """The cell types, in the order of the columns."""
        return list(self.group.cells)

    @property
    def varying(self) -> np.ndarray:
        """Rows of the windows that are positive in some cell and negative in another."""
        return np.flatnonzero(self.labels.any(1) & ~self.labels.all(1))


@dataclass(frozen=True)
class Question:
    """One thing to judge: what it is, whose labels, by which scores, where.

    Attributes:
        facts: columns of its rows that are known beforehand.
        truth: bool (n,); for ``pearson`` float.
        scores: gives an array (n,) a seed; made when needed, so that few are held at once.
        at: rows of the group's windows, int (n,).
        metrics: of the table.
    """

    facts: dict
    truth: np.ndarray
    scores: Callable[[], list[np.ndarray]]
    at: np.ndarray
    metrics: tuple[str, ...] = RANKING


@dataclass(frozen=True)
class Judged:
    """Facts of a question with a metric's value of every seed, float (S,), and its replicates over blocks, float (S, count)."""

    facts: dict
    metric: str
    values: np.ndarray
    drawn: np.ndarray


def gather(targets: Targets, frame: pd.DataFrame, block: np.ndarray, scores: list[np.ndarray], group: Group) -> Cells:
    """The labels and outputs of a group.

    Args:
        targets: of every window.
        frame: split, chrom, start, end of every window.
        block: index of the block of each test window, int.
        scores: predictions for the test windows of every seed, float32 (n, T).
    """
    columns = np.array(list(group.cells.values()))
    labels, whole = _labels(targets, columns)
    part = frame["split"].to_numpy()
    test = np.flatnonzero(part == "test")
    kept = whole[test]
    some = labels[(part == "train") & whole].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):  # a cell that is nowhere positive is like none
        alike = np.atleast_2d(np.corrcoef(some.T)) if len(some) > 1 else np.full((len(columns),) * 2, np.nan)
    return Cells(
        group,
        frame.iloc[test[kept]],
        block[kept],
        labels[test[kept]],
        [np.ascontiguousarray(one[:, columns])[kept] for one in scores],
        np.nan_to_num(alike, nan=-2.0),
        int((labels[whole].sum(1) > 1).sum()),
    )


def _labels(targets: Targets, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels of some targets at every window, bool (N, K), and where all of them are known, bool (N,)."""
    labels, whole = np.empty((len(targets), len(columns)), bool), np.ones(len(targets), bool)
    for begin in range(0, len(targets), PIECE):
        rows = np.arange(begin, min(begin + PIECE, len(targets)))
        labels[rows] = targets[rows][:, columns]
        known = targets.known(rows)
        if known is not None:
            whole[rows] = known[:, columns].all(1)
    return labels, whole


def unfit(cells: Cells, held_out: set[str]) -> str:
    """Why a group cannot be judged, or nothing.

    Args:
        held_out: cell types that the model was not trained on; none: it was on all.
    """
    if not len(cells.labels):
        return "no test window has a known label in all of its cell types"
    if not cells.together:
        return f"no window is positive in two of its cell types, so the labels exclude each other: {EXCLUSIVE}"
    if held_out and not held_out & set(cells.names):
        return "none of its cell types was held out"
    return "all of its cell types were held out" if held_out >= set(cells.names) else ""


def questions(cells: Cells, held_out: set[str]) -> list[Question]:
    """What is judged of a group: every cell by its own output and by those of others, and the references by measured labels.

    Args:
        held_out: cell types that the model was not trained on. Where there are some they alone are tested, by the others alone: they have
            no output of their own, and the output for the nearest cell is left out, since to choose it takes their labels.
    """
    names, everything = cells.names, np.arange(len(cells.labels))
    learnt = [at for at, name in enumerate(names) if name not in held_out]
    group = {"assay": cells.group.assay, "target": cells.group.target, "cells": 1}
    varying, deviations = cells.varying, None
    if not held_out:
        deviations = [deviation(one) for one in cells.outputs]
        away = cells.labels - cells.labels.mean(1, keepdims=True)
    asked = []
    for cell, name in enumerate(names):
        if held_out and name not in held_out:
            continue
        others = [at for at in learnt if at != cell]
        near = max(others, key=lambda at, cell=cell: cells.alike[at, cell])
        truth = cells.labels[:, cell]

        def ask(kind: str, source: str, scores: Callable, truth: np.ndarray = truth, at: np.ndarray = everything,
                name: str = name, **more: object) -> None:  # fmt: skip
            subset = "varying" if at is varying else "all"
            facts = {"kind": kind, **group, "trained_on": source, "tested_on": name, "subset": subset, "seen": not held_out}
            asked.append(Question(facts, truth, scores, at, **more))

        for other in others:
            ask("pair", names[other], lambda other=other: [one[:, other] for one in cells.outputs])
        ask("mean-of-others", "", lambda others=others: [one[:, others].mean(1, dtype=np.float64) for one in cells.outputs])
        ask("mean-activity", "", lambda others=others: [cells.labels[:, others].sum(1).astype(np.float64)])
        ask("nearest-cell", names[near], lambda near=near: [cells.labels[:, near].astype(np.float64)])
        if held_out:
            continue
        ask("same-cell", name, lambda cell=cell: [one[:, cell] for one in cells.outputs])
        ask("nearest-output", names[near], lambda near=near: [one[:, near] for one in cells.outputs])
        ask("deviation", name, lambda cell=cell: [one[varying, cell] for one in deviations], truth[varying], varying)
        ask("deviation", name, lambda cell=cell: [one[:, cell] for one in deviations], away[:, cell], metrics=(PEARSON,))
    return asked


def deviation(outputs: np.ndarray) -> np.ndarray:
    """How far the output for each cell lies from the mean over cells, float32 (n, K).

    Args:
        outputs: float (n, K).
    """
    # ASSUME: before the mean over cells is taken off, each cell's outputs are replaced by their ranks among the test windows, so that a
    # cell with more open sites, or outputs of another scale, is not taken for one with sites of its own.
    ranks, cells = rankdata(outputs, axis=0), outputs.shape[1]
    # Whole and half numbers up to the division: outputs that are alike in all cells must give 0, and nothing near it.
    return ((cells * ranks - ranks.sum(1, keepdims=True)) / (cells * max(len(outputs), 1))).astype(np.float32)


def judge(cells: Cells, held_out: set[str], counts: np.ndarray, threads: int = 1) -> list[Judged]:
    """Values and replicates of all that is asked of a group, and the paired difference of transfer to the mean activity.

    Args:
        held_out: cell types that the model was not trained on; none: it was on all.
        counts: from ``bootstrap.draw_counts``, for the blocks of the test part.
    """
    asked = questions(cells, held_out)
    found = [one for some in each(len(asked), lambda at: _answer(cells, asked[at], counts), threads) for one in some]
    by_kind = {(one.facts["kind"], one.facts["tested_on"], one.metric): one for one in found if one.facts["kind"] != "pair"}
    for (kind, cell, metric), one in list(by_kind.items()):
        if kind == "mean-of-others":
            other = by_kind["mean-activity", cell, metric]
            facts = one.facts | {"kind": "over-mean-activity"}
            found.append(Judged(facts, metric, one.values - other.values, one.drawn - other.drawn))
    return found


def _answer(cells: Cells, asked: Question, counts: np.ndarray) -> list[Judged]:
    """Values and replicates of one question, a metric each."""
    block, scores = cells.block[asked.at], asked.scores()
    # Of a deviation from the mean label those are positive that lie above it: windows of the cell that are not those of all cells.
    facts = asked.facts | _facts(cells, asked.at, asked.truth > 0)
    work = _pearson if asked.metrics == (PEARSON,) else _ranked
    size = (len(asked.metrics), len(scores))
    values, drawn = np.full(size, np.nan), np.full((*size, counts.shape[1]), np.nan)
    if facts["verdict"] != "undefined":
        found = [work(asked.truth, one, block, counts) for one in scores]
        values, drawn = np.array([value for value, _ in found]).T, np.array([some for _, some in found]).swapaxes(0, 1)
    return [Judged(facts, *one) for one in zip(asked.metrics, values, drawn, strict=True)]


def _facts(cells: Cells, at: np.ndarray, truth: np.ndarray) -> dict:
    """What stands beside a result: windows, positives, their share, blocks, independent positives, and whether it can be judged."""
    mine, count = cells.frame.iloc[at[truth]], int(truth.sum())
    facts = {"n": len(at), "positives": count, "prevalence": count / len(at) if len(at) else np.nan,
             "blocks": len(np.unique(cells.block[at])),
             "independent_positives": count_separate(mine["chrom"], mine["start"], mine["end"])}  # fmt: skip
    return facts | {"verdict": judgeable(facts)}


def _ranked(truth: np.ndarray, scores: np.ndarray, block: np.ndarray, counts: np.ndarray) -> tuple[tuple, tuple]:
    """AUROC and average precision of the windows as they are, and of every resample of blocks, float64 (count,) each."""
    return ranking(truth, scores), replicate(truth, scores, block, counts)


def _pearson(truth: np.ndarray, scores: np.ndarray, block: np.ndarray, counts: np.ndarray) -> tuple[tuple, tuple]:
    """Pearson's coefficient of the windows as they are, and of every resample, float64 (count,); NaN where one side is constant."""
    x, y = truth - truth.mean(), scores.astype(np.float64) - scores.mean(dtype=np.float64)
    parts = (np.ones(len(x)), x, y, x * x, y * y, x * y)
    sums = np.stack([np.bincount(block, some, len(counts)) for some in parts], 1)

    def coefficient(n: np.ndarray, x: np.ndarray, y: np.ndarray, xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return (xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n))

    return (float(coefficient(*sums.sum(0))),), (coefficient(*resampled(sums, counts).T),)


def average(found: list[Judged], group: Group | None) -> list[Judged]:
    """Means over the cells of a group, or over all cells of all groups, of every kind of result that is defined there."""
    out = []
    for kind in AVERAGED:
        for metric in (*RANKING, PEARSON):
            some = [one for one in found if (one.facts["kind"], one.metric) == (kind, metric) and one.facts["verdict"] != "undefined"]
            some = [one for one in some if group is None or (one.facts["assay"], one.facts["target"]) == (group.assay, group.target)]
            if not some:
                continue
            # ASSUME: a mean over cells is judged where the middle one of them can be.
            small = {key: int(np.median([one.facts[key] for one in some])) for key in ("blocks", "independent_positives")}
            where = {"assay": group.assay, "target": group.target} if group else {"assay": "", "target": ""}
            facts = {
                **some[0].facts, **where, "trained_on": "", "tested_on": "", "cells": len(some), **small,
                "n": max(one.facts["n"] for one in some), "positives": sum(one.facts["positives"] for one in some),
                "prevalence": float(np.mean([one.facts["prevalence"] for one in some])),
                "verdict": "too small to judge" if too_small(**small) else "",
            }  # fmt: skip
            weights = np.full(len(some), 1 / len(some))
            drawn = [mean_of(np.stack(seed, 1), weights) for seed in zip(*(one.drawn for one in some), strict=True)]
            out.append(Judged(facts, metric, np.mean([one.values for one in some], axis=0), np.stack(drawn)))
    return out


def table(found: list[Judged], key: str) -> pd.DataFrame:
    """A row each, with the mean over seeds and its 95 % interval over blocks and seeds where it is large enough to judge.

    Args:
        key: of the draws of seeds.
    """
    rows = []
    for one in found:
        row = one.facts | {"metric": one.metric, "value": float(one.values.mean()), "low": np.nan, "high": np.nan}
        if row["verdict"] == "" and np.isfinite(row["value"]):
            least = -1.0 if one.metric == "pearson" or row["kind"] == "over-mean-activity" else 0.0
            row["low"], row["high"] = np.clip(interval(over_seeds(one.drawn, one.values, key, row["blocks"])), least, 1.0)
            row["verdict"] = "" if np.isfinite(row["low"]) else "too small to judge"
        elif not np.isfinite(row["value"]):
            row["verdict"] = "undefined"
        rows.append(row)
    return pd.DataFrame(rows)[COLUMNS]
