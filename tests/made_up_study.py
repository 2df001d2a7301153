"""A made-up study, written as the steps write one, to render a page from without running anything."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.variants.table import write_scores

MEAN = -1
MODELS = {"kmer-logistic": "kmer-logistic", "basset": "basset", "wide-basset": "basset", "nt-random": "nucleotide-transformer",
          "nt-probe": "nucleotide-transformer"}  # fmt: skip
CONTROLS = {"basset-shuffled-labels": "basset", "basset-flank-only": "basset"}  # the second beats all that are no controls
VALUES = {"kmer-logistic": 0.81234, "basset": 0.87654, "wide-basset": 0.88123, "nt-random": 0.83456, "nt-probe": 0.80987,
          "basset-shuffled-labels": 0.50123, "basset-flank-only": 0.91357}  # fmt: skip
# wide-basset is best on test alone
VALIDATED = {"kmer-logistic": 0.80, "basset": 0.90, "wide-basset": 0.85, "nt-random": 0.82, "nt-probe": 0.81, "basset-shuffled-labels": 0.5,
             "basset-flank-only": 0.99}  # fmt: skip
TUNED = {"kmer-logistic": 1, "basset": 2}  # and the trial that was chosen
COLLAPSED = ("nt-random", 2)  # a model and seed, on ``large``
TARGETS = {"large": ["K562 <open>", "HepG2 & open"], "small": ["promoter"]}


def study() -> dict:
    """Two datasets, one of them too small to judge, five models and two controls."""
    training = {"epochs": 2, "batch_size": 8, "learning_rate": 0.001, "weight_decay": 0.01, "warmup": 0.1, "schedule": "cosine",
                "layer_decay": 1.0, "precision": "auto", "micro_batch": 0, "balance": False, "clip": 1.0, "patience": 3, "retries": 1,
                "reverse_complement": True, "shift": 0}  # fmt: skip
    dataset = {"note": "Read <this> first.", "assembly": "hg19", "labels": "multilabel", "block": 1000, "variants": {}, "loci": []}
    return {
        "title": "Made up", "question": "Does <anything> win?", "seeds": [1, 2],
        "datasets": {
            "large": {**dataset, "title": "Large", "sequences": {"files": [{"file": "sites/a.npz"}, {"file": "own/b.csv"}], "length": 200},
                      "loci": ["here"]},
            "small": {**dataset, "title": "Small", "genome": "genome", "tss": "marks/tss.bed", "repeats": "marks/rmsk.txt.gz",
                      "windows": {"bin": 200, "context": 1000, "stride": 50, "exclude": ["marks/gaps.bed"]},
                      "targets": {"open": {"intervals": "marks/open.bed"}, "high": {"signal": "marks/high.bigWig"}},
                      "negatives": {"per_positive": 2.0, "match": ["gc", "repeat_fraction"], "seed": 0},
                      "variants": {"some": {"file": "marks/some.vcf", "mismatch": "drop"}}},
        },
        "sources": {"own": {"title": "Own <sequences>", "assembly": "hg19", "licence": "", "citation": "", "origin": "",
                            "files": {"b.csv": {"path": "my/b.csv"}}}},
        "models": models(training),
        "training": training, "tuning": {"trials": 3, "share": 0.3}, "evaluation": {"replicates": 100, "margin": 0.01},
    }  # fmt: skip


def models(training: dict) -> dict:
    """The models, controls behind their base, as the workflow completes them."""
    space = {"name": "any", "training": {"learning_rate": {"low": 1e-4, "high": 0.01, "scale": "log"}}, "parameters": {"k": [4, 5]}}
    found = {}
    for model, architecture in MODELS.items():
        found[model] = {
            "architecture": architecture, "parameters": {"hidden": 4}, "regime": "probe" if model == "nt-probe" else "full",
            "initialisation": "random", "context": 0, "datasets": ["large", "small"], "training": training, "mutagenesis": True,
            "seeds": [1, 2], "control": "", "tuning": {"trials": 3, "share": 0.3, "space": space} if model in TUNED else {},
            "controls": [one.removeprefix(f"{model}-") for one, base in CONTROLS.items() if base == model],
        }  # fmt: skip
        for one in found[model]["controls"]:
            twin = {"control": one, "base": model, "controls": [], "tuning": {}, "mutagenesis": False, "seeds": [1]}
            found[f"{model}-{one}"] = {**found[model], **twin}
    found["wide-basset"]["training"] = {**training, "learning_rate": 0.0005}
    return found


def write(folder: Path) -> dict:
    """Write the files of the study below ``folder``; gives the arguments of ``render.main`` less ``page``."""
    root = folder / "results" / "made-up"
    metrics, curves, effects, compute, checkpoints, trials = [], [], [], [], [], []
    for dataset in TARGETS:
        for model, entry in study()["models"].items():
            place = root / dataset / model
            (place / "mutagenesis").mkdir(parents=True)
            (place / "variants").mkdir()
            metrics.append(place / "metrics.parquet")
            curves.append(place / "curves.parquet")
            scores(dataset, model).to_parquet(metrics[-1])
            shapes(dataset, model).to_parquet(curves[-1])
            for seed in entry["seeds"]:
                checkpoints.append(place / f"seed{seed}" / "checkpoint")
                compute.append(place / f"seed{seed}" / "compute.json")
                checkpoints[-1].mkdir(parents=True)
                cost, about = run(dataset, model, seed)
                compute[-1].write_text(json.dumps(cost))
                (checkpoints[-1] / "about.json").write_text(json.dumps(about))
            if model in TUNED:
                trials.append(place / "trials.tsv")
                tried(model).to_csv(trials[-1], sep="\t", index=False)
        (root / dataset / "splits.json").write_text(json.dumps(certificate(dataset)))
    for model in ("basset", "nt-random"):
        effects.append(root / "large" / model / "mutagenesis" / "here.npz")
        locus(effects[-1])
        effects.append(root / "small" / model / "variants" / "some.parquet")
        variants(effects[-1])
    comparison().to_parquet(root / "comparison.parquet")
    ledger().to_csv(root / "ledger.tsv", sep="\t", index=False)
    file = {"path": "x", "bytes": 1234, "sha256": "ab" * 32}
    fetched = {"url": "https://example.org/high.bigWig", "about": 5_000_000}
    packed = {"member": "deep/open.bed", "archive": "all.tar.gz", "md5": "cd" * 16}
    about = {"title": "A source", "assembly": "hg19", "licence": "MIT", "citation": "Nobody 2020", "origin": "made up"}
    marks = ["tss.bed", "rmsk.txt.gz", "gaps.bed", "some.vcf", "unused.bed"]
    names = {"sites": ["a.npz"], "genome": ["b.fa", "c.fa"], "marks": marks}
    sources = {source: {**about, "files": dict.fromkeys(some, file)} for source, some in names.items()}
    sources["marks"]["files"] |= {"high.bigWig": fetched, "open.bed": packed, "all.tar.gz": file, "other.tar.gz": file}
    whole = study()
    (folder / "loci.tsv").write_text(
        "locus\tassembly\tchrom\tstart\tend\tvariants\ttitle\twhy\nhere\thg19\tchr1\t99\t107\t\tA K562 site\tmade up\n"
    )
    return {"comparison": root / "comparison.parquet", "ledger": root / "ledger.tsv", "metrics": metrics, "curves": curves,
            "compute": compute, "checkpoints": checkpoints, "trials": trials,
            "splits": [root / dataset / "splits.json" for dataset in TARGETS], "loci": folder / "loci.tsv",
            "study": whole | {"sources": sources | whole["sources"]}, "name": "made-up", "effects": effects,
            "machine": folder / "report.json"}  # fmt: skip


def scores(dataset: str, model: str) -> pd.DataFrame:
    """metrics.parquet of one model; the second target of ``large`` has one class only."""
    rows = []
    few = "too small to judge" if dataset == "small" else ""
    lower = {"average_precision": 0.3, "mcc": 0.2, "brier": 0.7, "brier_scaled": 0.71, "ece": 0.78, "ece_scaled": 0.79}
    rows += [{"model": model, "part": "validation", "metric": "temperature", "seed": seed, "target": MEAN, "average": "macro",
              "group": "all", "value": 1.2 + seed / 10} for seed in (1, 2)]  # fmt: skip
    for part, metric in [(part, metric) for part in ("test", "validation") for metric in ("auroc", *lower)]:
        for target, name in [*enumerate(TARGETS[dataset]), (MEAN, "mean")]:
            for seed in (1, 2, MEAN):
                middle = (VALUES if part == "test" else VALIDATED)[model] - lower.get(metric, 0)
                value = np.nan if target == 1 else middle + {1: 0.002, 2: -0.002, MEAN: 0.0}[seed]
                judged = part == "test" and seed == MEAN and not few and target != 1
                rows.append({
                    "model": model, "part": part, "metric": metric, "seed": seed, "target": target, "name": name, "n": 1000,
                    "group": "all" if target == MEAN else "", "average": "macro" if target == MEAN else "",
                    "undefined": 1.0 if target == MEAN else np.nan,
                    "positives": 0 if target == 1 else 250, "prevalence": 0.0 if target == 1 else 0.25, "blocks": 3 if few else 60,
                    "independent_positives": 200, "value": value, "verdict": "undefined" if target == 1 else few,
                    "lift": value / 0.25 if metric == "average_precision" else np.nan,
                    "low": value - 0.01234 if judged else np.nan, "high": value + 0.01357 if judged else np.nan,
                })  # fmt: skip
    out = pd.DataFrame(rows)
    out.attrs = {"split_digest": f"digest-{dataset}", "replicates": 100, "initialisation": "random"}
    return out


def run(dataset: str, model: str, seed: int) -> tuple[dict, dict]:
    """compute.json and about.json of one run; one of them collapsed, after another seed was given up, and one was resumed."""
    fallen = (dataset, model, seed) == ("large", *COLLAPSED)
    resumed = {"epoch": 2, "step": 1234} if model == "wide-basset" else None
    gpu = model == "nt-random"
    cost = {
        "device": "cpu", "epochs": 2, "steps": 2468, "validation_ap": 0.26 if fallen else VALIDATED[model] - 0.3, "seconds": 9.75,
        "precision": "bf16" if gpu else "float32", "micro_batch": 4, "resumed_from": resumed, "attempts": 2 if resumed else 1,
        "attempt_log": [{"outcome": "killed"}] * bool(resumed) + [{"outcome": "finished"}], "sequences_per_second": 102.564,
        "tokens_per_second": 2051.5 if gpu else None, "utilisation": 0.3125 if gpu else None, "joules": 4321.0 if gpu else None,
        "collapsed": fallen or model == "basset-shuffled-labels",
        "failures": [{"seed": seed, "validation_ap": 0.25, "seconds": 1.5}] if fallen else [],
    }  # fmt: skip
    about = {"history": [], "best_epoch": 1, "validation_ap": cost["validation_ap"], "parameters": {"hidden": 4}, "length": 200}
    if model == "nt-probe":
        sweep = [
            {"layer": layer, "pooling": name, "l2": 0.1, "validation_ap": 0.4 + 0.05 * (layer == 2) - 0.02 * at - 0.001 * seed}
            for layer in range(4)
            for at, name in enumerate(("mean", "max"))
        ]
        about |= {"sweep": sweep, "parameters": {"layer": 2, "pooling": "mean", "l2": 0.1}}
        cost |= {"epochs": 0, "steps": 0}
    if model == "kmer-logistic":
        cost |= {"epochs": 0, "steps": 0, "precision": None, "micro_batch": None}
        del about["best_epoch"]
    return cost, about


def tried(model: str) -> pd.DataFrame:
    """trials.tsv of one model: trial 0 as written, the last one diverged unless it was chosen."""
    best = TUNED[model]
    rows = [
        {"trial": trial, "validation_ap": np.nan if trial == 2 != best else 0.4 + 0.1 * (trial == best), "chosen": trial == best,
         "seconds": 1.5 + trial, "learning_rate": rate, "dropouts": [0.1, 0.2], "message": "" if trial < 2 else "the loss is nan"}
        for trial, rate in enumerate((0.001, 0.00234, 0.0003))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def shapes(dataset: str, model: str) -> pd.DataFrame:
    """curves.parquet of one model."""
    x = np.linspace(0, 1, 20)
    kinds = {"roc": x ** (1 / (10 * VALUES[model])), "pr": 1 - VALUES[model] * x**2}
    kinds |= {"reliability": x**2, "reliability, scaled": x}
    return pd.concat(
        [pd.DataFrame({"target": 0, "curve": kind, "x": x, "y": y, "windows": 50.0, "model": model}) for kind, y in kinds.items()]
    )


GC = {"mean_positive": 0.51, "mean_negative": 0.5, "mean_candidates": 0.4, "difference": 0.01, "difference_before": 1.2}


def certificate(dataset: str) -> dict:
    """splits.json."""
    share = {"identical": 0, "reverse_complement": 1, "similar": 7, "similar_by_share": {"0.1": 9, "0.3": 7, "1.0": 0}}
    return {
        "rule": {"rule": "chromosomes", "test": ["chr1"], "validation": ["chr2"]},
        "counts": {"test": 1000, "train": 5000, "validation": 900},
        "smallest_distance_bp": None,
        "overlapping_windows": 0,
        "shared_with_training": {"test": share, "validation": share},
        "similar_means": "made up",
        "informative_words": {
            "k": 21,
            "sampled_one_in": 4 if dataset == "large" else 1,
            "frequent_more_than": 10,
            "median_per_window": 80.0,
        },
        "clusters": None if dataset == "large" else {"count": 7, "largest": 3, "curve": {}, "warning": "one is a giant"},
        "shared_by_validation_and_test": {"identical": 3, "reverse_complement": 0, "examples": []},
        "verdict": "similar" if dataset == "large" else "known",
        "known": None if dataset == "large" else "published with parts that touch",
        "digest": f"digest-{dataset}",
        **({"negatives": {"gc": GC}} if dataset == "small" else {}),
    }


def comparison() -> pd.DataFrame:
    """comparison.parquet: 0.03 decides."""
    rows = []
    for dataset in TARGETS:
        for model in VALUES:
            for against in VALUES:
                gap = VALUES[model] - VALUES[against]
                word = "cannot tell" if abs(gap) < 0.03 else "better" if gap > 0 else "worse"
                small = dataset == "small"
                for metric in ("auroc", "average_precision", "mcc"):
                    if model != against:
                        rows.append({
                            "dataset": dataset, "model": model, "against": against, "metric": metric, "target": MEAN, "name": "mean",
                            "difference": gap, "low": np.nan if small else gap - 0.0301, "high": np.nan if small else gap + 0.0299,
                            "joint_low": np.nan if small else gap - 0.0351, "joint_high": np.nan if small else gap + 0.0349,
                            "p": np.nan if small else 0.01, "p_adjusted": np.nan if small else 0.0123, "q": np.nan,
                            "average": "macro", "group": "all",
                            "verdict": "too small to judge" if small else word, "smallest_detectable": np.nan if small else 0.03,
                        })  # fmt: skip
    return pd.DataFrame(rows)


def ledger() -> pd.DataFrame:
    """ledger.tsv; one model ran on two GPUs; one was tuned by two trials, the costs of which are no run's."""
    rows = []
    for dataset in TARGETS:
        runs = [(one, seed) for one in VALUES for seed in ((1,) if one in CONTROLS else (1, 2))]
        for at, (model, seed) in enumerate(runs):
            gpu, wall = model == "nt-random", 10.25 * (at + 1)
            rows.append({
                "dataset": dataset, "model": model, "kind": "run", "seed": seed, "device": "A card" if gpu else "cpu", "cpu_seconds": 9.5,
                "wall_seconds": wall, "gpu_seconds": 2 * wall if gpu else 0.0, "processes": 2 if gpu else np.nan,
                "joules": 4321.0 if gpu else np.nan, "peak_host_bytes": 3.5e8, "peak_gpu_bytes": 5e9 + seed if gpu else 0,
                "parameters": 12345, "trained_parameters": 678, "sequences": 1000, "tokens": 40_000 if gpu else np.nan, "epochs": 2,
                "flops": np.nan if at < 2 else 1.5e9, "attempts": 1,
            })  # fmt: skip
    tried = {"dataset": "large", "model": "basset", "kind": "trial", "seed": 1, "wall_seconds": 4e5, "gpu_seconds": 3e5, "parameters": 9}
    rows += [tried | {"trial": trial, "trained_parameters": 9, "peak_host_bytes": 1e12, "peak_gpu_bytes": 1e12} for trial in range(2)]
    return pd.DataFrame(rows)


def locus(path: Path) -> None:
    """Effects at eight bases, the fourth of them N."""
    draw = np.random.default_rng(0)
    codes = np.array([0, 1, 2, 4, 3, 0, 1, 2], np.uint8)
    effect = draw.normal(size=(8, 4, 2)).astype(np.float32)
    effect[np.arange(8)[codes < 4], codes[codes < 4]] = 0
    effect[3] = np.nan
    about = {
        "locus": "here",
        "assembly": "hg19",
        "chrom": "chr1",
        "start": 99,
        "end": 107,
        "targets": TARGETS["large"],
        "seeds": [1, 2],
        "part": "test",
    }
    reference = np.array([0.5, 1.5], np.float32)
    np.savez(
        path, effect=effect, spread=np.abs(effect) / 3, views=np.abs(effect) / 5, reference=reference, codes=codes, about=json.dumps(about)
    )


def variants(path: Path) -> None:
    """Scores of three variants at one target."""
    table = pd.DataFrame({
        "chrom": "chr1", "position": [99, 1234, 5000], "id": ["rs1", "rs2", "rs3"], "ref": ["A", "AC", "G"], "alt": ["T", "A", "G" * 30],
    })  # fmt: skip
    scores = {"diff": [0.1, -0.2, 0.01], "logit": [0.5, -1.5, 0.05], "deepsea_effect": [0.05, 0.3, 0.0005],
              "logit_seeds": [np.nan] * 3, "logit_views": [0.1, 0.2, 0.3]}  # fmt: skip
    about = {"targets": ["promoter"], "definitions": {"diff": "p_alt - p_ref"}, "left_out": {"not held": 4}, "ref_mismatch_policy": "drop",
             "strands": "averaged", "shifts": [0], "align": "ends",
             "background": {"variants": "all", "offered": 12345, "matched": ""}, "seeds": [1], "initialisation": "random"}  # fmt: skip
    write_scores(path, table, [{name: np.array(values)[:, None] for name, values in scores.items()}], about)
