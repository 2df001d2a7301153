"""The report page from plain data. Here it is put together; the template decides what stands where."""

import numpy as np

from regdna import plots
from regdna.models import ARCHITECTURES
from regdna.page import (
    agreement,
    answer,
    controls,
    cost,
    dependencies,
    figures,
    findings,
    literature,
    measured,
    methods,
    skill,
    strata,
    tables,
    training,
    transfer,
)
from regdna.page.results import Beside, Compared, Job, Locus, Results, Variants
from regdna.page.template import engine
from regdna.step import InputError

__all__ = ["Beside", "Compared", "Job", "Locus", "Results", "Variants", "render"]


def render(results: Results) -> str:
    """The whole page as HTML; the same results give the same text.

    Raises:
        InputError: a model of the study has no result.
    """
    check(results)
    contenders = [one for one, entry in results.study["models"].items() if not entry["control"]]
    return (
        engine()
        .get_template("report.html.j2")
        .render(
            study=results.study,
            name=results.name,
            invocation=results.invocation,
            root=results.root,
            palette=plots.PALETTE,
            datasets=[dataset(results, one) for one in results.study["datasets"]],
            loci=loci(results),
            variants=variant_sets(results),
            measured=[
                measured.show(some, figures.looks(results)) for some in sets_of(results.judged) if some[0].about["kind"] != "nothing"
            ],
            agreement=[agreement.show(some, figures.looks(results)) for some in sets_of(results.agreed)],
            controls=controls.meanings(results),
            transfer=transfers(results),
            training={"tuned": "tuning" in results.study, "runs": training.runs(results)},
            cost=cost.show(results),
            sources=[
                {"id": source, **results.source(source), "table": tables.files(results, source, files)}
                for source, files in tables.used_sources(results).items()
            ],
            models=[model(results, one) for one in contenders],
            pretrained=[one for one in contenders if results.weights(one).startswith("published")],
            random=[one for one in contenders if results.weights(one).startswith("random")],
            methods=methods.training(results),
            replicates=int(results.scores["replicates"].iloc[0]),
            least={"blocks": answer.FEWEST_BLOCKS, "positives": answer.FEWEST_POSITIVES},
            assumptions=results.assumptions,
            versions=results.versions,
        )
    )


def check(results: Results) -> None:
    """Raise InputError if a model of the study has no scores, no cost or no runs on one of its datasets."""
    for one in results.study["datasets"]:
        there = {
            what: set(frame[frame["dataset"] == one]["model"])
            for what, frame in (("metrics", results.scores), ("ledger rows", results.runs))
        }
        there["runs"] = {job.model for job in results.jobs if job.dataset == one}
        for what, models in there.items():
            missing = [model for model in results.models(one) if model not in models]
            if missing:
                command = f"snakemake {results.root}/report.html"
                raise InputError(f"{results.root}: {one} has no {what} of {', '.join(missing)}; make them: {command}")


def used(parameters: dict, regime: str, family: str) -> dict:
    """Those parameters that a regime reads: adapters have theirs, and only a regression has a penalty."""
    idle = set() if regime == "lora" else {"rank", "alpha", "adapter_dropout"}
    if family != "row zero" and regime != "probe" and parameters.get("pooling") != "best":
        idle.add("l2")
    return {name: value for name, value in parameters.items() if name not in idle}


def dataset(results: Results, name: str) -> dict:
    """What the page shows of one dataset."""
    said = answer.verdict(results, name)
    return {
        "id": name,
        **results.study["datasets"][name],
        "kind": kind(results.study["datasets"][name]),
        "verdict": said,
        "findings": findings.findings(results, name),
        "checked": findings.checked(results, name),
        "forest": figures.forest(results, name, said["chosen"]),
        "leaderboard": tables.leaderboard(results, name, said["chosen"]),
        "controls": controls.tables(results, name),
        "strata": strata.show(results, name),
        "dependencies": dependencies.show(results, name),
        "literature": literature.show(results, name),
        "tuning": training.tuning(results, name),
        "probes": training.probes(results, name),
        "groups": skill.groups(results, name, said["chosen"]),
        "calibration": skill.calibration(results, name),
        "reliability": skill.curves(results, name),
        "per_target": tables.per_target(results, name),
        "differences": tables.differences(results, name),
        "curves": figures.curves(results, name),
        "certificate": results.certificates[name],
        "similarity": tables.similarity(results, name),
    }


def kind(entry: dict) -> str:
    """What the windows of a dataset are, in words."""
    assembly = f", {entry['assembly']}" if entry["assembly"] else ""
    if "sequences" in entry:
        given = entry["sequences"]
        length = f" of {given['length']:,} bp (longer ones lose their ends, shorter ones are filled with N)" if given["length"] else ""
        number = len(given["files"])
        return f"sequences{length} from {number} file{'s' if number > 1 else ''}{assembly}"
    windows = entry["windows"]
    bins = f"windows of {windows['context']:,} bp of {entry['genome']}{assembly}, each around a bin of {windows['bin']:,} bp"
    where = (
        f"on the middle of each interval of {windows['centres']}"
        if "centres" in windows
        else f"every {windows['stride'] or windows['bin']:,} bp"
    )
    if "negatives" not in entry:
        return f"{bins}, {where}; all are kept"
    some = entry["negatives"]
    matched = f" with alike {' and '.join(some['match'])}".replace("_", " ") if some["match"] else ""
    return f"{bins}, {where}; those with a target are kept, and for each {some['per_positive']:g} without{matched}"


def transfers(results: Results) -> list[dict]:
    """What the page shows of transfer across cell types, of each dataset that asks for it."""
    shown = {name: transfer.show(results, name) for name in results.study["datasets"]}
    return [{"title": results.study["datasets"][name]["title"], **one} for name, one in shown.items() if one]


def loci(results: Results) -> list[dict]:
    """What the page shows of each locus of each dataset, in the study's order."""
    out = []
    for name, entry in results.study["datasets"].items():
        for locus in entry["loci"]:
            some = [one for one in results.loci if one.dataset == name and one.about["locus"] == locus]
            if some:
                place = results.places.loc[locus, entry["assembly"]]
                where = f"{place.chrom}:{place.start + 1:,}–{place.end:,}"
                out.append({"id": locus, "dataset": entry["title"], "title": place.title, "why": place.why, "where": where,
                            "part": some[0].about["part"] or "not split",
                            "assembly": entry["assembly"], "dossier": f"{name}/loci/{locus}.html",
                            "figure": figures.locus(results, some)})  # fmt: skip
    return out


def sets_of(some: list) -> list[list]:
    """What belongs to the same set of variants of the same dataset, in the order of the first of each."""
    found: dict[tuple[str, str], list] = {}
    for one in some:
        found.setdefault((one.dataset, one.name), []).append(one)
    return list(found.values())


def variant_sets(results: Results) -> list[dict]:
    """What the page shows of each set of variants of each dataset."""
    out = []
    for name, entry in results.study["datasets"].items():
        for variants in entry["variants"]:
            some = [one for one in results.variants if one.dataset == name and one.name == variants]
            if some:
                out.append({"id": variants, "dataset": entry["title"], "note": entry["note"], "about": some[0].about,
                            "counts": tables.variant_counts(results, some), "figure": figures.variants(results, some),
                            "top": tables.top_variants(results, some)})  # fmt: skip
    return out


def model(results: Results, name: str) -> dict:
    """What the methods say of one model: what it is, how it was trained, where it comes from."""
    entry = results.study["models"][name]
    known = ARCHITECTURES[entry["architecture"]]
    costs = results.runs[results.runs["model"] == name]
    return {"id": name, **entry, "family": answer.KINDS[known.family], "summary": known.summary, "citation": known.citation,
            "weights": results.weights(name), "licence": results.licence(name),
            "settings": entry["training"] if training.descends(results, name) else {},
            "parameters": used(entry["parameters"], entry["regime"], known.family),
            "count": " to ".join(f"{int(one):,}" for one in np.unique(costs["parameters"])),
            "trained": " to ".join(f"{int(one):,}" for one in np.unique(costs["trained_parameters"]))}  # fmt: skip
