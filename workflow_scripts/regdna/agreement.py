"""How far a model's scores of variants agree with those of DeepSEA's published weights, target by target.

Intervals come from resampling whole blocks of 1 Mb; ranks are taken anew in every resample. Which scores are compared, and that agreement
means a positive correlation, is fixed beforehand; DeepSEA is another model, not a measurement.
"""

from pathlib import Path

import numba
import numpy as np
import pandas as pd

from regdna.bootstrap import draw_counts, interval, too_small
from regdna.step import InputError
from regdna.variants import read_blocks, read_scores

KEY = ["chrom", "position", "ref", "alt"]
COMPARED = ("logit", "diff")
TOPS = (0.01, 0.05)
BLOCK = 1_000_000
QUANTILES = 60
# ASSUME: of more than 100,000 variants that both models have scored, evenly spaced ones are compared; more would not narrow an interval.
MOST = 100_000
# A row of the result that says nothing; its keys are the columns.
BLANK = {
    **{"what": "", "target": -1, "name": "", "published": -1, "published_name": "", "group": "", "score": "", "statistic": ""},
    **{"share": np.nan, "value": np.nan, "against": np.nan, "low": np.nan, "high": np.nan, "verdict": ""},
}


def plain(text: str) -> str:
    """A name as it is compared: letters and digits, in lower case."""
    return "".join(one for one in text.casefold() if one.isalnum())


def match(mine: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """The published target of each of a model's: the same cell type and target, or DNase, whatever it is called in detail.

    Of several with one name, the first goes with the first, and so on.

    Args:
        mine, published: cell_type, assay, target of each target in order; published assays are DNase, TF and histone.

    Returns:
        one row a target of ``mine``: published (index, -1 for none), group (the published assay, or ""), reason (why there is none).
    """
    names = [(plain(row.cell_type), _what(row)) for row in published.itertuples()]
    cells = {cell for cell, _ in names}
    waiting: dict[tuple[str, str], list[int]] = {}
    for at, name in enumerate(names):
        waiting.setdefault(name, []).append(at)
    rows = []
    for row in mine.itertuples():
        name = plain(row.cell_type), _what(row)
        if waiting.get(name):
            at = waiting[name].pop(0)
            rows.append((at, published["assay"].iloc[at], ""))
        elif not name[0]:
            rows.append((-1, "", "its cell type is not stated"))
        elif name[0] not in cells:
            rows.append((-1, "", f"no published target is of {row.cell_type}"))
        elif name in waiting:
            rows.append((-1, "", "there are fewer published targets of that name"))
        else:
            rows.append((-1, "", f"no published target of {row.cell_type} is {row.target or row.assay}"))
    return pd.DataFrame(rows, columns=["published", "group", "reason"])


def _what(row: object) -> str:
    """What is measured: DNase, or the factor or mark with its treatment."""
    return "dnase" if plain(row.assay).startswith("dnase") else plain(row.target)


def join(mine: pd.DataFrame, published: pd.DataFrame, most: int = MOST) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Rows of the same variants in two tables of scores, int64 (n,) each, in order; and how many there are.

    Args:
        mine, published: chrom, position, ref, alt; a variant that is there twice counts once.
        most: variants to keep, evenly spaced.
    """
    sides = [table[KEY].assign(row=np.arange(len(table))).drop_duplicates(KEY) for table in (mine, published)]
    both = sides[0].merge(sides[1], on=KEY, suffixes=("", "_published"))
    kept = np.unique(np.linspace(0, len(both) - 1, min(most, len(both))).astype(np.int64)) if len(both) else np.empty(0, np.int64)
    counts = {"scored": len(sides[0]), "scored_published": len(sides[1]), "scored_by_both": len(both), "compared": len(kept)}
    return both["row"].to_numpy()[kept], both["row_published"].to_numpy()[kept], counts


def gather(path: Path, rows: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """The compared scores of some variants and targets, by name, float32 (n, targets); the table is read a block at a time.

    Args:
        rows: of the table, int (n,), ascending or not.
        targets: indices, int (m,).
    """
    out = {name: np.empty((len(rows), len(targets)), np.float32) for name in COMPARED}
    before = 0
    for block in read_blocks(path, COMPARED):
        here = np.flatnonzero((rows >= before) & (rows < before + len(block.table)))
        for name, values in out.items():
            values[here] = block.values[name][np.ix_(rows[here] - before, targets)]
        before += len(block.table)
    return out


def compare(scores: Path, published: Path, targets: pd.DataFrame, known: pd.DataFrame, replicates: int, most: int = MOST) -> pd.DataFrame:
    """Agreement of two tables of scores of the same variants.

    Args:
        scores, published: tables of scores (``regdna.variants.write_scores``).
        targets, known: cell_type, assay, target of each target of the first and of the second.
        replicates: resamples for an interval.
        most: variants to compare.

    Returns:
        one row a number, of the columns ``BLANK``. what: ``correlation`` of a target's logit or diff (spearman, pearson; with
        interval), ``overlap`` of the top ``share`` by |logit| (as a share of it; ``against``: by chance), ``quantile`` of |diff| or
        |log2_odds| over a group's targets (``value``: the model's, ``against``: the published), ``unmatched`` (``verdict``: why).
        ``attrs``: counts of variants and blocks.

    Raises:
        InputError: the tables share no variant, or have other targets than said.
    """
    one, other = (read_scores(path, ()) for path in (scores, published))
    for path, table, names in ((scores, one, targets), (published, other, known)):
        if len(table.about["targets"]) != len(names):
            raise InputError(f"{path}: {len(table.about['targets'])} targets, but {len(names)} are described; make it again")
    pairs = match(targets, known).assign(target=np.arange(len(targets)), name=one.about["targets"])
    rows, rows_published, counts = join(one.table, other.table, most)
    if not len(rows):
        raise InputError(f"{published}: has no variant in common with {scores}; score the same set with both")
    found = pairs[pairs["published"] >= 0]
    mine = gather(scores, rows, found["target"].to_numpy())
    theirs = gather(published, rows_published, found["published"].to_numpy())
    place = one.table.iloc[rows]
    block, names = pd.factorize(place["chrom"].astype(str) + ":" + (place["position"] // BLOCK).astype(str))
    draws = draw_counts(len(names), replicates, f"agreement {len(names)}")
    out = [
        {"what": "unmatched", "target": row.target, "name": row.name, "verdict": row.reason}
        for row in pairs[pairs["published"] < 0].itertuples(index=False)
    ]
    for at, row in enumerate(found.itertuples(index=False)):
        said = {"target": row.target, "name": row.name, "published": row.published, "group": row.group}
        said["published_name"] = other.about["targets"][row.published]
        for score in COMPARED:
            values = mine[score][:, at].astype(np.float64), theirs[score][:, at].astype(np.float64)
            out += [{"what": "correlation", "score": score, **said, **part} for part in correlations(*values, block, draws)]
        out += [
            {"what": "overlap", "score": "logit", "statistic": "overlap", "share": share, "against": share, "verdict": "", **said,
             "value": overlap(np.abs(mine["logit"][:, at]), np.abs(theirs["logit"][:, at]), share)}
            for share in TOPS
        ]  # fmt: skip
    out += quantiles(mine, theirs, found["group"].to_numpy())
    table = pd.DataFrame([BLANK | row for row in out], columns=list(BLANK))
    table.attrs = counts | {"blocks": len(names), "replicates": replicates}
    return table


def correlations(x: np.ndarray, y: np.ndarray, block: np.ndarray, draws: np.ndarray) -> list[dict]:
    """Spearman's and Pearson's correlation with 95 % intervals.

    Args:
        x, y: float64 (n,).
        block: index of each row's block, int (n,).
        draws: from ``regdna.bootstrap.draw_counts``.
    """
    whole = np.ones((len(draws), 1), draws.dtype)
    out = []
    for name, method in (("spearman", spearman), ("pearson", pearson)):
        value = float(method(x, y, block, whole)[0])
        verdict = "undefined" if np.isnan(value) else "too small to judge" if too_small(len(draws), len(x)) else ""
        low, high = interval(method(x, y, block, draws)) if not verdict else (np.nan, np.nan)
        out.append({"statistic": name, "value": value, "low": low, "high": high, "verdict": verdict})
    return out


def pearson(x: np.ndarray, y: np.ndarray, block: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each resample, float64 (replicates,); NaN where one side is constant.

    Args:
        counts: how often each block is drawn, int (blocks, replicates).
    """
    x, y = x - x.mean(), y - y.mean()
    parts = [np.bincount(block, part, len(counts)) @ counts for part in (np.ones(len(x)), x, y, x * x, y * y, x * y)]
    return _correlation(*parts)


def _correlation(n: np.ndarray, x: np.ndarray, y: np.ndarray, xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Correlation from sums; a variance that is rounding alone is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        own, other = xx - x * x / n, yy - y * y / n
        return np.where((own > 1e-12 * xx) & (other > 1e-12 * yy), (xy - x * y / n) / np.sqrt(own * other), np.nan)


def spearman(x: np.ndarray, y: np.ndarray, block: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each resample, float64 (replicates,): Pearson's of ranks within the resample, ties at their mean rank."""
    sides = []
    for values in (x, y):
        order = np.argsort(values, kind="stable")
        ranked = values[order]
        sides += [order, np.r_[ranked[1:] != ranked[:-1], True]]
    return _correlation(*_rank_sums(*sides, np.asarray(block, np.int64), counts))


@numba.njit(cache=True, nogil=True)
def _rank_sums(order, ends, other_order, other_ends, block, counts):
    """Sums of 1, x, y, x^2, y^2 and xy over each resample, where x and y are ranks less their mean, float64 (6, replicates)."""
    rows = len(order)
    x, y = np.empty(rows), np.empty(rows)
    sums = np.zeros((6, counts.shape[1]))
    for replicate in range(counts.shape[1]):
        _ranks(order, ends, block, counts[:, replicate], x)
        _ranks(other_order, other_ends, block, counts[:, replicate], y)
        for row in range(rows):
            drawn = np.float64(counts[block[row], replicate])
            sums[0, replicate] += drawn
            sums[1, replicate] += drawn * x[row]
            sums[2, replicate] += drawn * y[row]
            sums[3, replicate] += drawn * x[row] * x[row]
            sums[4, replicate] += drawn * y[row] * y[row]
            sums[5, replicate] += drawn * x[row] * y[row]
    return sums


@numba.njit(cache=True, nogil=True)
def _ranks(order, ends, block, drawn, out):
    """Mean rank of each row, less that of all, where rows count as often as their block is drawn."""
    total = 0.0
    for row in order:
        total += drawn[block[row]]
    before, first, tied = 0.0, 0, 0.0
    for at in range(len(order)):
        tied += drawn[block[order[at]]]
        if ends[at]:
            for member in range(first, at + 1):
                out[order[member]] = before + (tied - total) / 2
            before += tied
            first, tied = at + 1, 0.0


def overlap(x: np.ndarray, y: np.ndarray, share: float) -> float:
    """How many of the top ``share`` by x are in that by y too, as a share of them; at least one row is taken, the first of equals first."""
    count = max(1, round(share * len(x)))
    tops = [set(np.argsort(-values, kind="stable")[:count].tolist()) for values in (x, y)]
    return len(tops[0] & tops[1]) / count


def quantiles(mine: dict[str, np.ndarray], theirs: dict[str, np.ndarray], group: np.ndarray) -> list[dict]:
    """Quantiles of |diff| and |log2_odds| over the targets of each group, more of them towards the largest.

    Args:
        mine, theirs: logit and diff, float (n, m), of matched targets.
        group: of each target, (m,).
    """
    out = []
    for name in dict.fromkeys(group):
        for score, source, scale in (("diff", "diff", 1), ("log2_odds", "logit", 1 / np.log(2))):
            sides = [np.abs(values[source][:, group == name]).ravel() * scale for values in (mine, theirs)]
            shares = 1 - np.geomspace(1, 1 / len(sides[0]), QUANTILES)
            found = [np.quantile(values.astype(np.float64), shares) for values in sides]
            out += [
                {"what": "quantile", "group": name, "score": score, "statistic": "quantile", "share": share, "value": own, "against": other}
                for share, own, other in zip(shares, *found, strict=True)
            ]
    return out
