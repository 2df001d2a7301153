"""Scores of variants held against what was measured of them: effects in a reporter assay, or labels 1 and 0.

What is computed is fixed beforehand and said in ``RULES``: which score, with which sign, of which target.
"""

import re
from collections.abc import Iterator

import numba
import numpy as np
import pandas as pd
from scipy.special import ndtri

from regdna.bootstrap import FEWEST_BLOCKS, draw_counts, interval, replicate, too_small
from regdna.manifest import nearest
from regdna.metrics import METRICS
from regdna.step import InputError

# ASSUME: an effect measured with fewer than 10 barcodes says too little to hold a score against (Kircher et al. 2019 ask for 10).
FEWEST_BARCODES = 10
# ASSUME: a variant of a reporter assay is significant where p < 1e-5 (Kircher et al. 2019).
SIGNIFICANT = 1e-5
# ASSUME: variants of a reporter assay within 10 bp share a binding site, and blocks of 10 bp are independent of each other.
SITE = 10
# ASSUME: labelled variants within 1 Mb are linked, and blocks of 1 Mb are independent of each other.
REGION = 1_000_000
SHARES = (0.01, 0.05, 0.10, 0.25)
TOGETHER = -1  # as target: several targets together, or none
NAMED, SAME, NO_MATCH, EVERY = "named by the study", "same cell type", "no matching cell type", "all targets"
OTHERS = "others"  # variants whose id is no experiment
COLUMNS = [
    "experiment", "group", "edits", "target", "name", "match", "headline", "score", "statistic", "share", "value", "low", "high", "n",
    "positives", "prevalence", "blocks", "verdict",
]  # fmt: skip
RULES = {
    "effects": {
        "score": "logit of the target, with sign +1: what raises the model's output is held to raise expression",
        "target": "that of the study's 'against', or all of the experiment's cell type, by the mean of their logits",
        "interval": f"95 %, percentile bootstrap over blocks of {SITE} bp of the element; none under {FEWEST_BLOCKS} blocks",
        "ceiling": "sqrt(reliability), reliability = 1 - mean(se^2) / var(measured), se = |measured|/z, z the normal quantile of 1 - p/2; "
        "se is not defined where p is 0 or 1, and is held to be the mean there; no ceiling where reliability is not above 0",
        "significant": f"p < {SIGNIFICANT:g}; ranked by |logit|",
        "replicate": "correlation of the substitutions that two experiments on one element have both measured",
    },
    "labels": {
        "score": "the largest over targets of |logit|, |diff| and deepsea_effect; the mean over targets of -ln E-value",
        "interval": "95 %, percentile bootstrap over blocks of 1 Mb; of an odds ratio Woolf's, which holds variants to be independent",
        "enrichment": "odds of a positive in the top share of all variants by score over those in the rest; ties at its end are in it, "
        "and 0.5 is added to all four counts where one is 0",
    },
}  # fmt: skip


def spearman(one: np.ndarray, other: np.ndarray, block: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Rank correlation of every replicate, float64 (replicates,); NaN where either does not vary.

    Ranks are taken anew in each replicate, tied rows at their middle rank; all sums are exact.

    Args:
        one, other: float (n,).
        block: index of each row's block, int (n,).
        counts: how often each block is drawn, from ``draw_counts``, (blocks, replicates).

    Source: Spearman 1904, Am J Psychol 15:72.
    """
    drawn = np.ascontiguousarray(counts.T, np.int64)
    return _rank_products(*_ranking(one), *_ranking(other), np.asarray(block, np.int64), drawn)


def _ranking(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows by rising value, and whether each ends a run of equal ones."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    return order, np.r_[ranked[1:] != ranked[:-1], True][: len(ranked)]


@numba.njit(cache=True, nogil=True)
def _rank_products(order, ends, other_order, other_ends, block, drawn):
    """Pearson's coefficient of the ranks, from twice each rank less the mean of all: whole numbers."""
    out = np.empty(len(drawn))
    for at in range(len(drawn)):
        weight = drawn[at][block]
        total = weight.sum()
        one, other = _centred(order, ends, weight, total), _centred(other_order, other_ends, weight, total)
        both = own = others = 0
        for row in range(len(weight)):
            both += weight[row] * one[row] * other[row]
            own += weight[row] * one[row] * one[row]
            others += weight[row] * other[row] * other[row]
        out[at] = both / (np.sqrt(own) * np.sqrt(others)) if own and others else np.nan
    return out


@numba.njit(cache=True, nogil=True)
def _centred(order, ends, weight, total):
    """Twice the middle rank of each row less total + 1, where a row stands as often as it weighs."""
    out = np.empty(len(order), np.int64)
    before = first = 0
    for last in range(len(order)):
        if ends[last]:
            tied = 0
            for at in range(first, last + 1):
                tied += weight[order[at]]
            for at in range(first, last + 1):
                out[order[at]] = 2 * before + tied - total
            before += tied
            first = last + 1
    return out


def pearson(one: np.ndarray, other: np.ndarray, block: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Product-moment correlation of every replicate, float64 (replicates,); arguments and NaN as of ``spearman``."""
    if not len(one):
        return np.full(counts.shape[1], np.nan)
    x, y = one - one.mean(), other - other.mean()
    sums = np.stack([np.bincount(block, part, len(counts)) for part in (np.ones(len(x)), x, y, x * x, y * y, x * y)])
    n, sx, sy, sxx, syy, sxy = sums @ counts
    own, others = n * sxx - sx * sx, n * syy - sy * sy
    # A variance that is rounding alone is none.
    varies = (own > 1e-12 * n * n * max(sums[3].sum() / len(x), 1e-300)) & (others > 1e-12 * n * n * max(sums[4].sum() / len(x), 1e-300))
    product = np.sqrt(np.where(varies, own, 1)) * np.sqrt(np.where(varies, others, 1))
    return np.where(varies, (n * sxy - sx * sy) / product, np.nan)


CORRELATIONS = {"spearman": spearman, "pearson": pearson}


def reliability(measured: np.ndarray, p_value: np.ndarray) -> tuple[float, int]:
    """Share of the variance of measured effects that is no sampling error, and how many have a standard error.

    ``1 - mean(se^2) / var(measured)`` with ``se = |measured| / z(p)``; its root bounds the correlation with the effects that any
    prediction can have in expectation. NaN where there is no standard error or no variance.

    Args:
        measured: float (n,).
        p_value: two-sided, of an effect of 0, float (n,).

    Source: Spearman 1904 (attenuation); Lord and Novick 1968, ch. 3.
    """
    # ASSUME: effects of a reporter assay whose p is 0 or 1 have the mean sampling variance of the others.
    good = (p_value > 0) & (p_value < 1)
    if not good.any() or len(measured) < 2 or not measured.var():
        return float("nan"), int(good.sum())
    error = measured[good] / ndtri(p_value[good] / 2)
    return float(1 - (error**2).mean() / measured.var(ddof=1)), int(good.sum())


def usable(table: pd.DataFrame) -> tuple[np.ndarray, dict[str, int]]:
    """Which rows are held against a score, bool (n,), and reason to number of the others."""
    known = table["measured"].notna().to_numpy()
    barcodes = table["barcodes"].to_numpy(float) if "barcodes" in table else np.full(len(table), np.inf)
    few, unknown = known & (barcodes < FEWEST_BARCODES), known & np.isnan(barcodes)
    counts = {"nothing measured": ~known, f"fewer than {FEWEST_BARCODES} barcodes": few, "number of barcodes not known": unknown}
    return known & ~few & ~unknown, {reason: int(which.sum()) for reason, which in counts.items() if which.any()}


def canonical(cell_type: str) -> str:
    """A cell type as it is compared: small letters and digits alone."""
    return re.sub(r"[\W_]+", "", cell_type.lower())


def check_against(against: dict[str, str], ids: pd.Series | None, about: dict, where: str) -> None:
    """Raise InputError where the study names an experiment or a target that is not there.

    Args:
        against: experiment (or, of labels, anything) to the name of a target.
        ids: of the variants; None: not looked at.
        about: metadata of the scores: targets.
        where: what to begin messages with.
    """
    for experiment, target in against.items():
        if ids is not None and experiment != OTHERS and not (ids == experiment).any():
            known = [OTHERS, *ids.value_counts().index[:100]]
            raise InputError(f"{where}: against: no variant's id is {experiment!r}{nearest(experiment, known)}")
        if target not in about["targets"]:
            raise InputError(f"{where}: against: {experiment}: no target is called {target!r}{nearest(target, about['targets'])}")


def choose(experiment: str, about: dict, elements: pd.DataFrame, against: dict[str, str]) -> tuple[list[int], str]:
    """The targets that an experiment is held against, and why.

    Args:
        about: metadata of the scores: targets and cell_types.
        elements: resources/elements.tsv by experiment.
    """
    if experiment in against:
        return [target for target, name in enumerate(about["targets"]) if name == against[experiment]], NAMED
    cells = canonical(elements.at[experiment, "cell_type"]) if experiment in elements.index else ""
    same = [target for target, one in enumerate(about["cell_types"]) if cells and canonical(one) == cells]
    return (same, SAME) if same else (list(range(len(about["targets"]))), NO_MATCH)


def experiments_of(table: pd.DataFrame, elements: pd.DataFrame, against: dict[str, str]) -> pd.Series:
    """The experiment of each variant: its id, where that is one, else ``OTHERS``."""
    return table["id"].where(table["id"].isin([*elements.index, *against]), OTHERS)


def judge_effects(
    table: pd.DataFrame, logit: np.ndarray, about: dict, elements: pd.DataFrame, against: dict[str, str], replicates: int
) -> pd.DataFrame:
    """Correlations of logits with measured effects and their ceilings, and how well |logit| ranks significant variants.

    Args:
        table: chrom, position (0-based), id, ref, alt, kind, measured (log2 effect), and p_value where there is one.
        logit: float32 (n, T).
        about: metadata of the scores: targets, cell_types, variants.
        elements: resources/elements.tsv by experiment: element, cell_type.
        against: experiment to the name of a target.

    Returns:
        a row an experiment, kind of edits, target and statistic; ``headline`` marks those that were fixed beforehand as the result.
    """
    rows, of = [], experiments_of(table, elements, against)
    for experiment, at in of.groupby(of, sort=False).indices.items():
        some = table.iloc[at]
        block = blocks(some, SITE)
        drawn = draw_counts(block.max() + 1, replicates, f"{about['variants']} {experiment}")
        targets, match = choose(experiment, about, elements, against)
        scores = [(target, about["targets"][target], logit[at, target].astype(np.float64)) for target in targets]
        if match != NO_MATCH and len(targets) > 1:
            scores.append((TOGETHER, f"mean of {len(targets)} targets", logit[at][:, targets].astype(np.float64).mean(1)))
        for edits, inside in kinds(some):
            fact = {"experiment": experiment, "edits": edits, "n": int(inside.sum()), "blocks": len(np.unique(block[inside]))}
            if "p_value" in some:
                rows += ceiling(some[inside], fact)
            for target, name, score in scores:
                mine = fact | {"target": target, "name": name, "match": match, "headline": match != NO_MATCH and target == scores[-1][0]}
                rows += correlated(some[inside], score[inside], block[inside], drawn, mine)
                if edits == "all" and "p_value" in some:
                    found = (some["p_value"] < SIGNIFICANT).to_numpy()
                    rows += ranked(some, found, np.abs(score), block, drawn, mine | {"score": "|logit|"})
    return as_table([*rows, *between_replicates(table.assign(experiment=of), elements)])


def blocks(table: pd.DataFrame, size: int) -> np.ndarray:
    """Index of the block of each row: stretches of ``size`` bp from the first position of each chromosome on, int (n,)."""
    start = table.groupby("chrom")["position"].transform("min")
    return pd.factorize(pd.MultiIndex.from_arrays([table["chrom"], (table["position"] - start) // size]))[0]


def kinds(table: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Kinds of edits with their rows, bool (n,): all, and substitutions and deletions where there are some of both."""
    deleted = (table["kind"] == "deletion").to_numpy()
    changed = table["kind"].isin(["snv", "mnv"]).to_numpy()
    yield "all", np.ones(len(table), bool)
    if deleted.any() and changed.any():
        yield "substitution", changed
        yield "deletion", deleted


def ceiling(table: pd.DataFrame, fact: dict) -> list[dict]:
    """How much of what was measured could be foretold at all."""
    share, known = reliability(table["measured"].to_numpy(), table["p_value"].to_numpy())
    bound = float(np.sqrt(share)) if share > 0 else np.nan
    return [fact | {"n": known, "statistic": name, "value": value} for name, value in (("reliability", share), ("ceiling", bound))]


def correlated(table: pd.DataFrame, score: np.ndarray, block: np.ndarray, drawn: np.ndarray, fact: dict) -> list[dict]:
    """Both correlations of a score with what was measured."""
    measured, rows = table["measured"].to_numpy(), []
    for name, function in CORRELATIONS.items():
        value = float(function(score, measured, block, np.ones((len(drawn), 1), np.uint16))[0])
        verdict = "undefined" if np.isnan(value) else "too small to judge" if fact["blocks"] < FEWEST_BLOCKS else ""
        row = fact | {"score": "logit", "statistic": name, "value": value, "verdict": verdict}
        rows.append(bounded(row, lambda function=function: function(score, measured, block, drawn)))
    return rows


def bounded(row: dict, draw) -> dict:
    """A row with its interval, drawn only where there is enough to judge and the target was fixed beforehand."""
    if row["verdict"] == "" and row["match"] == NO_MATCH:
        return row | {"verdict": NO_MATCH}
    if row["verdict"]:
        return row
    low, high = interval(draw())
    return row | {"low": low, "high": high, "verdict": "too small to judge" if np.isnan(low) else ""}


def ranked(table: pd.DataFrame, positive: np.ndarray, size: np.ndarray, block: np.ndarray, drawn: np.ndarray, fact: dict) -> list[dict]:
    """AUROC and average precision of positives by a score."""
    places = int((~table.loc[positive, ["chrom", "position"]].duplicated()).sum())
    facts = fact | {"positives": int(positive.sum()), "prevalence": float(positive.mean())}
    small = "too small to judge" if too_small(fact["blocks"], places) else ""
    rows, both = [], positive.any() and not positive.all()
    resamples = replicate(positive, size, block, drawn) if both and not small and fact["match"] != NO_MATCH else ()
    for at, (name, function) in enumerate(METRICS.items()):
        row = facts | {"statistic": name, "value": function(positive, size), "verdict": small if both else "undefined"}
        rows.append(bounded(row, lambda at=at: resamples[at]))
    return rows


def between_replicates(table: pd.DataFrame, elements: pd.DataFrame) -> list[dict]:
    """Correlation of the substitutions that two experiments on one element have both measured; ``name`` is the other experiment."""
    rows = []
    there = elements.loc[[one for one in elements.index if (table["experiment"] == one).any()]]
    single = table[table["kind"] == "snv"].groupby("experiment")
    for _, some in there.groupby("element", sort=False):
        for first, one in enumerate(some.index):
            for other in some.index[first + 1 :]:
                if not {one, other} <= set(single.groups):
                    continue
                pair = single.get_group(one).merge(single.get_group(other), on=["chrom", "position", "ref", "alt"], suffixes=("", "_2"))
                same = elements.at[one, "cell_type"] == elements.at[other, "cell_type"]
                fact = {
                    "experiment": one,
                    "edits": "substitution",
                    "name": other,
                    "n": len(pair),
                    "match": "same cells" if same else "other cells",
                }
                values, block = (pair["measured"].to_numpy(), pair["measured_2"].to_numpy()), np.zeros(len(pair), np.int64)
                for name, function in CORRELATIONS.items():
                    value = float(function(*values, block, np.ones((1, 1), np.uint16))[0])
                    rows.append(fact | {"statistic": f"replicate_{name}", "value": value, "blocks": len(np.unique(blocks(pair, SITE)))})
    return rows


def strength(values: dict[str, np.ndarray], targets: list[int]) -> dict[str, np.ndarray]:
    """How strongly each variant acts by each score, over some targets: float64 (n,) by name.

    Args:
        values: logit, diff, deepsea_effect and, with a background, evalue_2015 and evalue_diff, float32 (n, T).
    """
    out = {name: np.abs(values[name][:, targets].astype(np.float64)).max(1) for name in ("logit", "diff", "deepsea_effect")}
    for name in ("evalue_2015", "evalue_diff"):
        if name in values:
            out[name] = -np.log(values[name][:, targets].astype(np.float64)).mean(1)
    return out


def judge_labels(table: pd.DataFrame, sizes: dict[str, np.ndarray], match: str, name: str, key: str, replicates: int) -> pd.DataFrame:
    """How well scores rank labelled variants, and how far positives gather at the top, against all negatives and each group of them.

    Args:
        table: chrom, position (0-based), measured (1 or 0), and group (of a negative) where the file has one.
        sizes: from ``strength``.
        match, name: which targets the scores are of.
        key: of the draws: sets of one key and number of blocks are resampled alike.
    """
    rows, positive = [], (table["measured"] == 1).to_numpy()
    for group, inside in negatives(table, positive):
        some, truth = table[inside], positive[inside]
        block = pd.factorize(pd.MultiIndex.from_arrays([some["chrom"], some["position"] // REGION]))[0]
        drawn = draw_counts(block.max() + 1, replicates, f"{key} {group}")
        for score, size in sizes.items():
            fact = {"group": group, "name": name, "match": match, "headline": score == "logit", "score": score, "n": len(some),
                    "blocks": int(block.max()) + 1}  # fmt: skip
            metrics = ranked(some, truth, size[inside], block, drawn, fact)
            rows += metrics
            for share in SHARES:
                rows.append(metrics[0] | {"statistic": "odds_ratio", "share": share} | enriched(truth, size[inside], share))
                if rows[-1]["verdict"]:
                    rows[-1] |= {"low": np.nan, "high": np.nan}
    return as_table(rows)


def negatives(table: pd.DataFrame, positive: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """All positives with all negatives, then with each group of them where there are several: name and rows, bool (n,)."""
    yield "all", np.ones(len(table), bool)
    if "group" in table:
        groups = table["group"].astype(str)
        several = sorted(set(groups[~positive]))
        for group in several if len(several) > 1 else []:
            yield group, positive | (groups == group).to_numpy()


def enriched(positive: np.ndarray, size: np.ndarray, share: float) -> dict:
    """Odds ratio of positives in the top share by a score against the rest: value, low and high (95 %), n in the top and positives there.

    NaN where one class is absent or nothing is left below the top.

    Source: Woolf 1955, Ann Hum Genet 19:251; Haldane 1956, ibid. 20:309, where a count is 0.
    """
    count = max(1, round(share * len(size)))
    top = size >= np.partition(size, len(size) - count)[len(size) - count]
    cells = np.array([(top & positive).sum(), (top & ~positive).sum(), (~top & positive).sum(), (~top & ~positive).sum()], float)
    fact = {"n": int(top.sum()), "positives": int(cells[0]), "prevalence": cells[0] / top.sum()}
    if top.all() or positive.all() or not positive.any():
        return fact | {"value": np.nan, "low": np.nan, "high": np.nan, "verdict": "undefined"}
    cells += 0.5 * (cells == 0).any()
    middle, spread = np.log(cells[0] * cells[3] / (cells[1] * cells[2])), -ndtri(0.025) * np.sqrt((1 / cells).sum())
    return fact | {"value": np.exp(middle), "low": np.exp(middle - spread), "high": np.exp(middle + spread)}


def as_table(rows: list[dict]) -> pd.DataFrame:
    """Rows as a table with all of its columns, each of its type."""
    empty = {"experiment": "", "group": "", "edits": "", "target": TOGETHER, "name": "", "match": "", "headline": False, "score": "",
             "statistic": "", "share": np.nan, "value": np.nan, "low": np.nan, "high": np.nan, "n": 0, "positives": 0,
             "prevalence": np.nan, "blocks": 0, "verdict": ""}  # fmt: skip
    kinds = {name: type(value) for name, value in empty.items()}
    return pd.DataFrame([empty | row for row in rows], columns=COLUMNS).astype(kinds)
