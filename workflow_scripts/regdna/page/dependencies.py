"""Dependencies on the page: how much context skill needs, what tokenisers make of the same bases, and which motifs interact."""

import numpy as np
import pandas as pd

from regdna.contexts import enough
from regdna.page.figures import looks
from regdna.page.results import MEAN, Beside, Job, Results, pick
from regdna.page.text import DASH, between, cell, estimate, figure, number, remake, table, words
from regdna.plots.dependencies import ARROWS
from regdna.plots.dependencies import contexts as draw_contexts
from regdna.plots.dependencies import epistasis as draw_epistasis
from regdna.tokenisers import KmerBlocks, OverlappingKmers

LEVEL = 0.05
SHOWN_PAIRS = 3  # of substitutions, of each locus and model


def show(results: Results, dataset: str) -> dict | None:
    """What the page shows of one dataset, for ``dependencies.html.j2``; None where there is nothing."""
    narrowed, paired = ([one for one in results.beside.get(kind, []) if one.dataset == dataset] for kind in ("contexts", "interactions"))
    tokens = tokenisers(results, dataset)
    if not (narrowed or paired or tokens):
        return None
    return {
        "contexts": contexts(results, narrowed) if narrowed else None,
        "tokenisers": tokens,
        "pairs": [pair(results, paired, motifs) for motifs in pairs_of(paired)],
        "loci": loci(results, paired),
    }


def contexts(results: Results, some: list[Beside]) -> dict:
    """A sentence a model, the figure and the table of skill against context."""
    rows = pd.concat([pick(one.table, target=MEAN) for one in some], ignore_index=True)
    auroc = pick(rows, metric="auroc")
    alt = "Mean AUROC by context: " + "; ".join(
        f"{model} " + ", ".join(f"{number(row.value)} with {row.context:,} bp" for row in mine.itertuples())
        for model, mine in auroc.groupby("model", sort=False)
    )
    caption = (
        "Mean AUROC when only so many bases in the middle of each test window are left as they are and the flanks’ dinucleotides are in "
        "another order; the last point is the whole window. Bars: 95 % intervals; hollow: too small to judge."
    )
    svg = draw_contexts(auroc, looks(results), name=f"contexts-{some[0].dataset}", alt=alt)
    command = remake([one.path for one in some])
    return {
        "sentences": [needed(one, results.study["evaluation"]["margin"]) for one in some],
        "figure": figure(svg, caption, command),
        "table": table_of_contexts(results, rows, command),
    }


def needed(one: Beside, margin: float) -> str:
    """How much context a model's skill needs, in words."""
    mean = pick(one.table, metric="auroc", target=MEAN).sort_values("context")
    whole, narrowest = mean.iloc[-1], mean.iloc[0]
    if len(mean) == 1:
        return f"{one.model} sees {whole.context:,} bp, no more than the narrowest context that was asked for; nothing was shuffled."
    said = f"mean AUROC {number(whole.value)} with all {whole.context:,} bp, {number(narrowest.value)} with {narrowest.context:,}"
    if whole.verdict or mean["verdict"].any():
        return f"{one.model}: {whole.verdict or 'too small to judge'}; {said}."
    gap = f"{number(narrowest.difference, 3, True)} {between(narrowest.difference_low, narrowest.difference_high, True)}"
    least = enough(one.table, margin)
    if least is None:
        return (
            f"{one.model}: {said} (difference {gap}). No narrower context of those tried is shown to be equivalent to the whole window "
            f"(90\u00a0% interval within ±{margin:g})."
        )
    return (
        f"{one.model}: {least:,} bp in the middle do as well as the whole window (90\u00a0% interval within ±{margin:g}); {said} ({gap})."
    )


def table_of_contexts(results: Results, rows: pd.DataFrame, command: str) -> dict:
    """One row a model and context, mean over targets."""
    out = []
    for (model, context), mine in rows.groupby(["model", "context"], sort=False):
        at = mine.set_index("metric")
        row = [words(*results.label(model).split(" · ", 1)), cell(float(context), f"{context:,}")]
        for metric in ("auroc", "average_precision"):
            one = at.loc[metric]
            row += [cell(one.value, f"{estimate(one.value, one.low, one.high)} {one.verdict}".rstrip()),
                    cell(one.difference, estimate(one.difference, one.difference_low, one.difference_high, True))]  # fmt: skip
        out.append([*row, cell(at.loc["auroc"].prevalence)])
    columns = ["model", "bases left", "mean AUROC [95\u00a0%]", "AUROC minus that of the whole [95\u00a0%]", "mean AP [95\u00a0%]",
               "AP minus that of the whole [95\u00a0%]", "prevalence"]  # fmt: skip
    return table("Skill against context, test part, mean over targets", columns, out, command)


def tokenisers(results: Results, dataset: str) -> dict | None:
    """One row a network, those that see as many bases together; None where there is no language model to ask this of."""
    models = [model for model in results.contenders(dataset) if results.family(model) != "row zero"]
    if not any(results.family(model) == "transformer" for model in models):
        return None
    first = {job.model: job for job in reversed(results.jobs) if job.dataset == dataset}
    auroc, ap = results.mean(dataset), results.mean(dataset, "average_precision")
    rows = []
    for model in sorted(models, key=lambda model: (first[model].about["length"], -np.nan_to_num(auroc.at[model, "value"]))):
        length = first[model].about["length"]
        name, tokens = tokeniser(results, first[model])
        rows.append([
            cell(float(length), f"{length:,}"), words(*results.label(model).split(" · ", 1)), words(name),
            cell(tokens, digits=1), cell(length / tokens if tokens else np.nan, digits=1),
            *(cell(at.value, f"{estimate(at.value, at.low, at.high)} {at.verdict}".rstrip()) for at in (auroc.loc[model], ap.loc[model])),
        ])  # fmt: skip
    columns = ["bases seen", "model", "tokeniser", "tokens a window", "bases a token", "mean AUROC [95\u00a0%]", "mean AP [95\u00a0%]"]
    metrics = remake([f"{results.root}/{dataset}/{model}/metrics.parquet" for model in models])
    caption = "Skill by tokeniser, test part, models that see as many bases together; special tokens are counted"
    return table(caption, columns, rows, f"{metrics} {results.root}/ledger.tsv")


def tokeniser(results: Results, job: Job) -> tuple[str, float]:
    """What a network's tokens are, and how many a window has; NaN where no training run counted them."""
    architecture, length = results.study["models"][job.model]["architecture"], job.about["length"]
    if results.family(job.model) == "cnn":
        return "single bases", float(length)
    k = job.about["parameters"].get("k")  # sizes of published weights are not among what a study gives
    if architecture == "nucleotide-transformer":
        return f"{k or 6}-mers side by side", float(KmerBlocks(k or 6, 2).tokens(length))
    if architecture == "dnabert" and k:
        return f"{k}-mers, overlapping", float(OverlappingKmers(k).tokens(length))
    # A probe's tokens are those of all windows that it embeds, and it says of fewer that it was trained on them.
    run = pick(results.runs, dataset=job.dataset, model=job.model, seed=job.seed).iloc[0]
    counted = results.study["models"][job.model]["regime"] != "probe" and np.isfinite(run["tokens"])
    tokens = float(run["tokens"] / run["sequences"]) if counted else np.nan
    return "k-mers, overlapping" if architecture == "dnabert" else "byte pairs", tokens


def pairs_of(some: list[Beside]) -> list[tuple[str, str]]:
    """The pairs of motifs that were planted for any model, in their order."""
    planted = [pick(one.table, kind="planted") for one in some]
    return list(dict.fromkeys(pair for one in planted for pair in zip(one["a"], one["b"], strict=True)))


def pair(results: Results, some: list[Beside], motifs: tuple[str, str]) -> dict:
    """A sentence a model on one pair of motifs, and its figure and table at the target where it does most."""
    held = {one.model: pick(one.table, kind="planted", a=motifs[0], b=motifs[1]) for one in some}
    held = {model: rows.assign(model=model) for model, rows in held.items() if len(rows)}
    whole = pd.concat(held.values(), ignore_index=True)
    target = whole.loc[whole["epistasis"].abs().idxmax(), "target"]
    shown = pick(whole, target=target)
    name = shown["name"].iloc[0]
    alt = f"Epistasis of {' and '.join(motifs)} on {name}, largest in size: " + ", ".join(
        f"{model} {number(mine.loc[mine['epistasis'].abs().idxmax(), 'epistasis'], 3, True)}"
        for model, mine in shown.groupby("model", sort=False)
    )
    count = int(shown["backgrounds"].iloc[0])
    caption = (
        f"Epistasis of {' and '.join(motifs)} on {name}, where any model’s is largest: what both motifs change beyond the sum of either "
        f"alone, mean over {count} shuffled test windows, strands and seeds. Arrows: strands of the motifs. Bars: 95 % intervals over "
        "windows and seeds. A model whose output merely bends has much the same epistasis in every arrangement; what depends on spacing "
        "and orientation is grammar."
    )
    svg = draw_epistasis(shown, looks(results), motifs, name=f"epistasis-{some[0].dataset}-{'-'.join(motifs)}", alt=alt)
    command = remake([one.path for one in some if one.model in held])
    spelt = some[0].about["motifs"]
    return {
        "title": " and ".join(f"{motif} ({spelt[motif]})" for motif in motifs),
        "sentences": [told(model, rows, motifs) for model, rows in held.items()],
        "figure": figure(svg, caption, command),
        "table": arrangements(results, shown, motifs, name, command),
    }


def told(model: str, rows: pd.DataFrame, motifs: tuple[str, str]) -> str:
    """Whether a model lets two motifs interact, in words: the arrangement that shows it best, or the largest epistasis if none does."""
    names = " and ".join(motifs)
    found = rows["p_adjusted"] < LEVEL
    some = rows[rows["p_adjusted"] == rows["p_adjusted"].min()] if found.any() else rows
    best = rows.loc[some["epistasis"].abs().idxmax()]
    if not best["epistasis"]:
        return f"{model}: none. What {names} do in its logits adds up in every arrangement."
    count = f"{len(rows[['spacing', 'orientation']].drop_duplicates())} arrangements and {rows['target'].nunique()} targets"
    where = f"{arranged(motifs, best['orientation'])}, {best['spacing']} bp apart, on {best['name']}"
    size = f"{estimate(best['epistasis'], best['low'], best['high'], True)}, p {probability(best['p_adjusted'])} over {count}"
    if not found.any():
        return f"{model}: none shown. The largest epistasis is that of {where}: {size}."
    sums = (
        f"together {number(best['effect_joint'], 3, True)}, the sum of either alone {number(best['effect_a'] + best['effect_b'], 3, True)}"
    )
    grammar = rows["p_arrangement"].min()
    more = ""
    if np.isfinite(grammar):
        more = f" It {'depends' if grammar < LEVEL else 'is not shown to depend'} on spacing or orientation (p {probability(grammar)})."
    return f"{model}: found. Clearest for {where}: {sums}; epistasis {size}.{more}"


def probability(p: float) -> str:
    """A p as it is said."""
    return f"{p:.2g}"


def arranged(motifs: tuple[str, str], orientation: str) -> str:
    """Two motifs with their strands as arrows."""
    return " ".join(f"{motif} {ARROWS[strand]}" for motif, strand in zip(motifs, orientation, strict=True))


def arrangements(results: Results, rows: pd.DataFrame, motifs: tuple[str, str], name: str, command: str) -> dict:
    """One row a model and arrangement at one target."""
    out = []
    for row in rows.itertuples():
        out.append([
            words(results.label(row.model)), words(arranged(motifs, row.orientation)), cell(float(row.spacing), digits=0),
            cell(row.effect_a), cell(row.effect_b), cell(row.effect_joint),
            cell(row.epistasis, estimate(row.epistasis, row.low, row.high, True)),
            cell(row.p_adjusted, probability(row.p_adjusted)),
            cell(row.p_arrangement, probability(row.p_arrangement) if np.isfinite(row.p_arrangement) else DASH),
        ])  # fmt: skip
    columns = ["model", "arrangement", "bp between", f"effect of {motifs[0]}", f"effect of {motifs[1]}", "of both", "epistasis [95\u00a0%]",
               "p, all arrangements and targets", "p that it differs between arrangements"]  # fmt: skip
    return table(f"Every arrangement of {' and '.join(motifs)}, on {name}, in log-odds", columns, out, command)


def loci(results: Results, some: list[Beside]) -> dict | None:
    """The pairs of substitutions with the largest epistasis at each locus; None where no pairs were made."""
    rows, used = [], []
    for one in some:
        held = pick(one.table, kind="locus")
        used += [one.path] if len(held) else []
        for locus, mine in held.groupby("locus", sort=False):
            for row in mine.loc[mine["epistasis"].abs().sort_values(ascending=False).index].head(SHOWN_PAIRS).itertuples():
                rows.append([
                    words(locus), words(results.label(one.model)), words(f"{row.a} and {row.b}"), cell(float(row.spacing), digits=0),
                    words(row.name), cell(row.effect_a), cell(row.effect_b), cell(row.effect_joint),
                    cell(row.epistasis, estimate(row.epistasis, row.low, row.high, True)),
                ])  # fmt: skip
    if not rows:
        return None
    columns = ["locus", "model", "substitutions", "bp between", "target", "effect of the first", "effect of the second", "of both",
               "epistasis [95\u00a0% over seeds]"]  # fmt: skip
    return table(f"Substitutions in pairs, the {SHOWN_PAIRS} with the largest epistasis of each locus and model, in log-odds",
                 columns, sorted(rows, key=lambda row: row[0]["text"]), remake(used))  # fmt: skip
