"""The dossier of a locus: every model's effects side by side, what was measured there, and which motifs a variant makes or breaks."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from regdna import plots
from regdna.alphabet import encode
from regdna.models import ARCHITECTURES
from regdna.motifs import Motif, changed
from regdna.page.results import Locus
from regdna.page.template import engine
from regdna.page.text import DASH, cell, figure, number, remake, table, words

LARGEST = 5  # substitutions of each model, and of the assay, that are listed beside those that the locus is known for
SHOWN_MOTIFS = 3
MOST_TARGETS = 6  # of which a figure is drawn


@dataclass(frozen=True)
class Dossier:
    """All that the page of a locus is made from.

    Attributes:
        study, dataset: ids; title of the dataset.
        path, invocation: where the page lies, and how Snakemake is called up to it.
        place: chrom, start, end (0-based, half-open), variants, title and why of the locus.
        loci: effects of every model there.
        measured: position (0-based), ref, alt, measured, set and experiment of variants in the locus.
        motifs: those that are looked for; none where the study names no file of them.
        nearest: bp to the nearest training window, 0 where one overlaps; None where the chromosome has none.
        skill: by model the AUROC of each target on the test windows, mean over seeds; NaN where it is undefined.
    """

    study: str
    dataset: str
    title: str
    path: str
    invocation: str
    place: pd.Series
    loci: list[Locus]
    measured: pd.DataFrame
    motifs: list[Motif]
    nearest: int | None
    skill: dict[str, list[float]]


def render(dossier: Dossier) -> str:
    """The page as HTML; the same dossier gives the same text."""
    about = dossier.loci[0].about
    return (
        engine()
        .get_template("locus.html.j2")
        .render(
            dossier=dossier,
            about=about,
            place=dossier.place,
            where=f"{dossier.place.chrom}:{dossier.place.start + 1:,}–{dossier.place.end:,}",
            invocation=dossier.invocation,
            palette=plots.PALETTE,
            nearest=_nearest(dossier.nearest, dossier.place.chrom),
            variants=variants(dossier),
            misplaced=misplaced(dossier),
            figures=[_figure(dossier, target) for target in shown(dossier)],
            targets=len(about["targets"]),
            experiments=sorted(set(dossier.measured["experiment"])),
        )
    )


def _nearest(distance: int | None, chrom: str) -> str:
    if distance is None:
        return f"no training window lies on {chrom}"
    return "a training window overlaps it: its reference sequence was seen" if distance == 0 else f"{distance:,} bp away"


def shown(dossier: Dossier) -> list[int]:
    """The targets that are drawn: the one that the locus is named after, or those that the models find likeliest, at most six."""
    names = dossier.loci[0].about["targets"]
    title = dossier.place.title.lower().split()
    named = [target for target, name in enumerate(names) if name.lower().split()[0] in title]
    likeliest = np.argsort(-np.mean([one.reference for one in dossier.loci], 0), kind="stable").tolist()
    return list(dict.fromkeys(named + likeliest))[:MOST_TARGETS]


def looks(loci: list[Locus]) -> dict[str, plots.Series]:
    """The look of every model at the locus; one from random weights is called so."""
    found = {}
    for one in loci:
        family = ARCHITECTURES[one.about["architecture"]].family
        untaught = family != "row zero" and one.about["initialisation"] == "random"
        found[one.model] = (family, f"{one.model} · random weights" if untaught else one.model, "")
    return plots.series(found)


def _figure(dossier: Dossier, target: int) -> dict:
    about, look = dossier.loci[0].about, looks(dossier.loci)
    name = about["targets"][target]
    substitutions = dossier.measured[(dossier.measured["ref"].str.len() == 1) & (dossier.measured["alt"].str.len() == 1)]
    svg = plots.locus(
        [(look[one.model], one.drawn(target)) for one in dossier.loci],
        dossier.loci[0].codes,
        about["start"],
        about["chrom"],
        substitutions,
        name=f"target-{target}",
        alt=f"Effects of all substitutions on {name} by {', '.join(one.model for one in dossier.loci)}",
    )
    odds = "; ".join(f"{one.model} {number(float(one.reference[target]), 2, True)}" for one in dossier.loci)
    skill = "; ".join(f"{one.model} {number(dossier.skill[one.model][target])}" for one in dossier.loci)
    lost = "; row −: the base is deleted" if any(one.deletion is not None for one in dossier.loci) else ""
    caption = (
        f"{name}. Letters: minus the mean effect of a base's three substitutions. Below: effect of each substitution in log-odds, mutant "
        f"minus reference; blue lowers, orange raises, grey dots mark the reference{lost}. "
        f"Log-odds of the reference: {odds}. AUROC on the test windows: {skill}. Each model has its own scale."
    )
    return figure(svg, caption, remake([one.path for one in dossier.loci]))


def variants(dossier: Dossier) -> dict:
    """One row a substitution: those that the locus is known for, the largest of each model and of the assay."""
    target = shown(dossier)[0]
    about, codes = dossier.loci[0].about, dossier.loci[0].codes
    rows = []
    for at, base, why in chosen(dossier, target):
        before = "ACGTN"[codes[at]]
        row = [words(f"{about['chrom']}:{about['start'] + at + 1:,} {before}>{'ACGT'[base]}", ", ".join(why))]
        for one in dossier.loci:
            effect, views = float(one.effect[at, base, target]), float(one.views[at, base, target])
            frail = "below its spread over views" if abs(effect) <= views else ""
            row.append(cell(effect, number(effect, 3, True), detail=frail))
        there = dossier.measured.query(
            "position == @place and alt == @letter", local_dict={"place": about["start"] + at, "letter": "ACGT"[base]}
        )
        values = "; ".join(f"{number(one.measured, 2, True)} {one.experiment}" for one in there.itertuples())
        row.append(cell(float(there["measured"].mean()), digits=2, detail=values) if len(there) else cell(float("nan"), DASH))
        row.append(words(_motifs(dossier, at, base)))
        rows.append(row)
    columns = ["substitution", *(one.model for one in dossier.loci), "measured", "motifs made (+) or broken (−)"]
    caption = f"Substitutions: effect on {about['targets'][target]} in log-odds by each model"
    return table(caption, columns, rows, remake([one.path for one in dossier.loci]))


def chosen(dossier: Dossier, target: int) -> list[tuple[int, int, list[str]]]:
    """Substitutions to list, by place and new base, and why each is."""
    about, codes = dossier.loci[0].about, dossier.loci[0].codes
    why: dict[tuple[int, int], list[str]] = {}
    for text in dossier.place.variants.split():
        at, _, alt = text.rpartition(":")[2].rpartition(">")
        place = int(at[:-1]) - 1 - about["start"]
        if 0 <= place < len(codes) and codes[place] == encode(at[-1])[0]:
            why.setdefault((place, int(encode(alt)[0])), []).append("known")
    for one in dossier.loci:
        size = np.nan_to_num(np.abs(one.effect[:, :, target]))
        for flat in np.argsort(-size, axis=None, kind="stable")[:LARGEST].tolist():
            if size.flat[flat]:
                why.setdefault(divmod(flat, 4), []).append(f"among the largest of {one.model}")
    single = dossier.measured[(dossier.measured["ref"].str.len() == 1) & (dossier.measured["alt"].str.len() == 1)]
    for row in single.loc[single["measured"].abs().sort_values(ascending=False, kind="stable").index[:LARGEST]].itertuples():
        why.setdefault((row.position - about["start"], int(encode(row.alt)[0])), []).append("among the largest measured")
    return [(at, base, list(dict.fromkeys(reasons))) for (at, base), reasons in sorted(why.items())]


def misplaced(dossier: Dossier) -> list[str]:
    """The variants that the locus is known for whose reference base is not what the dataset's sequence holds there."""
    codes, start = dossier.loci[0].codes, dossier.loci[0].about["start"]
    places = [(text, text.rpartition(":")[2].partition(">")[0]) for text in dossier.place.variants.split()]
    return [text for text, at in places if codes[int(at[:-1]) - 1 - start] != encode(at[-1])[0]]


def _motifs(dossier: Dossier, at: int, base: int) -> str:
    """The motifs that a substitution makes or breaks, those of the largest change."""
    codes = dossier.loci[0].codes
    after = codes.copy()
    after[at] = base
    found = changed(dossier.motifs, codes, after, at, at + 1)
    said = [f"{'+' if high > low else '−'}{name.split()[-1]} ({number(low, 1)} to {number(high, 1)} bits)" for name, low, high in found]
    more = f" and {len(said) - SHOWN_MOTIFS} more" if len(said) > SHOWN_MOTIFS else ""
    return ", ".join(said[:SHOWN_MOTIFS]) + more if said else DASH
