"""The tables of the page, from the tables of the results."""

import numpy as np
import pandas as pd

from regdna.page.answer import KINDS
from regdna.page.results import MEAN, Results, Variants, pick
from regdna.page.text import DASH, between, cell, detectable, estimate, number, remake, table, words
from regdna.study import references
from regdna.verdict import ranks

SHOWN_TARGETS, SHOWN_VARIANTS = 24, 10
LONGEST_ALLELE = 12
METRICS = {"auroc": "AUROC", "average_precision": "AP", "mcc": "MCC"}


def leaderboard(results: Results, dataset: str, chosen: dict[str, str]) -> dict:
    """One row a model: skill with interval, rank, seeds, cost, size; controls behind all others."""
    rank = ranking(results, dataset)
    mean, validation = results.mean(dataset), results.mean(dataset, part="validation")
    precision = results.mean(dataset, "average_precision")
    seeds = pick(results.scores, dataset=dataset, metric="auroc", part="test", target=MEAN).query("seed >= 0")
    rows = []
    for model in results.ranked(dataset):
        one, ap, entry = mean.loc[model], precision.loc[model], results.study["models"][model]
        each = seeds[seeds["model"] == model]["value"]
        cost = pick(results.runs, dataset=dataset, model=model)
        spread = f"sd {number(each.std(ddof=1), 4)}" if len(each) > 1 else "one seed"
        rows.append([
            words(model, standing(results, model, chosen), results.collapsed(dataset, model)),
            words(KINDS[results.family(model)], entry["regime"]), words(results.weights(model).partition(",")[0]),
            cell(one.value, detail=between(one.low, one.high) or one.verdict), rank.get(model, cell(np.nan)),
            cell(each.mean(), ", ".join(number(value) for value in each), detail=spread),
            cell(validation.at[model, "value"]), cell(ap.value, detail=between(ap.low, ap.high) or ap.verdict),
            cell(ap.prevalence), cell(ap.lift, digits=2), cell(results.seconds(dataset, model), digits=1),
            memory(cost), cell(float(cost["parameters"].max()), f"{cost['parameters'].max():,.0f}"),
        ])  # fmt: skip
    columns = ["model", "family, regime", "initialisation", "mean AUROC", "rank [95\u00a0%]", "AUROC by seed", "AUROC, validation",
               "mean AP", "prevalence", "lift", "training, s", "peak memory, MB", "parameters"]  # fmt: skip
    paths = [f"{results.root}/{dataset}/{model}/metrics.parquet" for model in results.models(dataset)]
    caption = "Leaderboard: test part, mean over targets and seeds, 95 % intervals below"
    return table(caption, columns, rows, f"{remake(paths)} {results.root}/ledger.tsv")


def ranking(results: Results, dataset: str) -> dict[str, dict]:
    """The ranks that each contender may have by mean AUROC, by what was shown of all pairs at once; nothing where none can be judged."""
    contenders = results.contenders(dataset)
    pairs = pick(results.comparison, dataset=dataset, metric="auroc", target=MEAN)
    pairs = pairs[pairs["model"].isin(contenders) & pairs["against"].isin(contenders)]
    if not len(pairs) or pairs["verdict"].eq("too small to judge").any():
        return {}
    better = pairs[pairs["verdict"] == "better"]
    found = ranks(contenders, set(zip(better["model"], better["against"], strict=True)))
    return {model: cell(low + high / 1000, f"{low}" if low == high else f"{low} to {high}") for model, (low, high) in found.items()}


def standing(results: Results, model: str, chosen: dict[str, str]) -> str:
    """What a model is in the leaderboard: the best of its family, a control of another, or neither."""
    if results.base(model):
        return f"control of {results.base(model)}"
    return "best of its family" if model in chosen.values() else ""


def memory(cost: pd.DataFrame) -> dict:
    """Peak memory of a model's runs in MB: of the host, and of the GPU where one was used."""
    host, gpu = float(cost["peak_host_bytes"].max()) / 1e6, float(cost["peak_gpu_bytes"].max()) / 1e6
    return cell(host, digits=0, detail=f"GPU {number(gpu, 0)}" if gpu > 0 else "")


def per_target(results: Results, dataset: str) -> dict:
    """One row a target and model."""
    shown, cut = results.targets(dataset, SHOWN_TARGETS)
    at = pick(results.scores, dataset=dataset, part="test", seed=MEAN).set_index(["metric", "target", "model"])
    rows = []
    for target in shown.itertuples():
        for model in results.models(dataset):
            one, ap = at.loc["auroc", target.target, model], at.loc["average_precision", target.target, model]
            skill = "undefined" if one.verdict == "undefined" else f"{estimate(one.value, one.low, one.high)} {one.verdict}".rstrip()
            rows.append([
                words(target.name), words(results.label(model)), cell(one.value, skill),
                cell(ap.value, estimate(ap.value, ap.low, ap.high)), cell(ap.prevalence), cell(ap.lift, digits=2),
                cell(float(one.positives), digits=0), cell(float(one.independent_positives), digits=0), cell(float(one.blocks), digits=0),
            ])  # fmt: skip
    columns = ["target", "model", "AUROC [95\u00a0%]", "AP [95\u00a0%]", "prevalence", "lift", "positives", "independent positives",
               "blocks"]  # fmt: skip
    paths = [f"{results.root}/{dataset}/{model}/metrics.parquet" for model in results.models(dataset)]
    return table(f"Each target, test part, mean over seeds{cut}", columns, rows, remake(paths))


def differences(results: Results, dataset: str) -> dict:
    """One row a pair of models, the one with the higher mean AUROC first; controls are compared with their own model alone, elsewhere."""
    order = [model for model in results.ranked(dataset) if not results.base(model)]
    at = pick(results.comparison, dataset=dataset, target=MEAN).set_index(["metric", "model", "against"])
    rows = []
    for first, model in enumerate(order):
        for against in order[first + 1 :]:
            row = [words(results.label(model)), words(results.label(against))]
            for metric in METRICS:
                if (metric, model, against) not in at.index:
                    row += [cell(np.nan, "undefined"), words("undefined"), *[cell(np.nan)] * (metric == "auroc")]
                    continue
                one = at.loc[metric, model, against]
                joint = f"together {between(one.joint_low, one.joint_high, True)}" if np.isfinite(one.joint_low) else ""
                size = estimate(one.difference, one.low, one.high, True)
                row += [cell(one.difference, size, detail=joint), words(one.verdict, f"p {number(one.p_adjusted)}" if joint else "")]
                if metric == "auroc":
                    row.append(detectable(one.smallest_detectable))
            rows.append(row)
    columns = ["model", "against"]
    for metric, name in METRICS.items():
        columns += [f"{name} difference [95\u00a0%]", f"verdict on {name}"]
        columns += ["smallest detectable"] * (metric == "auroc")
    caption = (
        "Paired differences of the means over targets, same resamples. Together: 95 % intervals that hold for all pairs at once; p is "
        "adjusted for all pairs"
    )
    return table(caption, columns, rows, f"snakemake {results.root}/comparison.parquet")


def variant_counts(results: Results, some: list[Variants]) -> dict:
    """One row a model and set: how many were scored, and how many left out for which reason."""
    reasons = list(dict.fromkeys(reason for one in some for reason in one.about["left_out"]))
    rows = []
    for one in some:
        out = [cell(float(one.about["left_out"].get(reason, 0)), digits=0) for reason in reasons]
        rows.append([words(results.label(one.model)), words(one.name), cell(float(len(one.table)), f"{len(one.table):,}"), *out])
    columns = ["model", "variants", "scored", *(f"left out: {reason}" for reason in reasons)]
    return table("Variants scored and left out", columns, rows, remake([one.path for one in some]))


def top_variants(results: Results, some: list[Variants]) -> dict:
    """The variants with the largest ``deepsea_effect`` of each model and set, each at its target with the largest ``|logit|``."""
    rows = []
    for one in some:
        ordered = one.table.sort_values("deepsea_effect", ascending=False, kind="stable")
        for row in ordered.drop_duplicates(["chrom", "position", "ref", "alt"]).head(SHOWN_VARIANTS).itertuples():
            rows.append([
                words(results.label(one.model)), words(row.id), cell(float(row.position), f"{row.chrom}:{row.position + 1:,}"),
                words(f"{allele(row.ref)} → {allele(row.alt)}"), words(row.name), cell(row.diff), cell(row.logit),
                cell(row.logit_views, detail="no smaller than the effect" if row.below_views else ""), cell(row.logit_seeds),
                cell(row.deepsea_effect, digits=4),
            ])  # fmt: skip
    columns = ["model", "id", "position, from\u00a01", "change", "target", "diff", "logit", "sd of logit over framings",
               "sd of logit over seeds", "deepsea_effect"]  # fmt: skip
    caption = f"The {SHOWN_VARIANTS} variants with the largest deepsea_effect of each model, each at the target with its largest |logit|"
    return table(caption, columns, rows, remake([one.path for one in some]))


def allele(bases: str) -> str:
    """An allele, cut where it is long."""
    return bases if len(bases) <= LONGEST_ALLELE else f"{bases[:LONGEST_ALLELE]}… ({len(bases)} bp)"


def used_sources(results: Results) -> dict[str, list[str]]:
    """Sources that a study reads, each with the files that it reads: all of a genome or of weights, else those named and their archives."""
    used: dict[str, list[str]] = {}
    for entry in results.study["datasets"].values():
        genome = [f"{entry['genome']}/{file}" for file in results.source(entry["genome"])["files"]] if "genome" in entry else []
        for source, file in (path.split("/", 1) for path in [*genome, *(path for _, path in references(entry))]):
            archive = results.source(source)["files"][file].get("archive")
            files = used.setdefault(source, [])
            files += [one for one in (file, archive) if one and one not in files]
    return used | {source: list(results.source(source)["files"]) for source in results.published()}


def files(results: Results, source: str, chosen: list[str]) -> dict:
    """One row a file of a source: bytes, checksum and where it comes from."""
    rows = []
    for file in chosen:
        entry = results.source(source)["files"][file]
        size = f"{entry['bytes']:,}" if "bytes" in entry else f"about {entry['about']:,}" if "about" in entry else DASH
        stated = [f"{kind} {entry[kind]}" for kind in ("sha256", "sha1", "md5") if kind in entry]
        origin = entry.get("path") or entry.get("url") or f"{entry['member']} in {entry['archive']}"
        unstated = "not stated" if "path" in entry else "not published; pinned on the first download"
        checked = stated[0] if stated else unstated
        rows.append([words(file), cell(float(entry.get("bytes", entry.get("about", np.nan))), size), words(checked), words(origin)])
    folder = f"{results.root.rpartition('/')[0]}/sources/{source}"
    return table(f"Files of {source}", ["file", "bytes", "checksum", "from"], rows, remake([f"{folder}/{file}" for file in chosen]))


def similarity(results: Results, dataset: str) -> dict:
    """One row a share of 21-mers: how many test and validation windows share at least that much with training windows."""
    certificate = results.certificates[dataset]
    parts = certificate["shared_with_training"]
    rows = []
    for share in next(iter(parts.values()))["similar_by_share"]:
        row = [cell(float(share), f"{float(share):.0%}")]
        for part, facts in parts.items():
            count, whole = facts["similar_by_share"][share], certificate["counts"][part]
            row += [cell(float(count), f"{count:,}"), cell(count / whole, f"{count / whole:.1%}")]
        rows.append(row)
    columns = ["share of 21-mers", *(name for part in parts for name in (f"{part} windows", f"of all {part}"))]
    caption = "Windows that share at least so many of their 21-mers with training windows"
    return table(caption, columns, rows, f"snakemake {results.root}/{dataset}/splits.json")
