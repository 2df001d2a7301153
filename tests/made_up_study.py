"""A made-up study, written as the steps write one, to render a page from without running anything."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

MEAN = -1
MODELS = {"kmer-logistic": "kmer-logistic", "basset": "basset", "wide-basset": "basset", "nt-random": "nucleotide-transformer"}
VALUES = {"kmer-logistic": 0.81234, "basset": 0.87654, "wide-basset": 0.88123, "nt-random": 0.83456}
VALIDATED = {"kmer-logistic": 0.80, "basset": 0.90, "wide-basset": 0.85, "nt-random": 0.82}  # wide-basset is best on test alone
TARGETS = {"large": ["K562 <open>", "HepG2 & open"], "small": ["promoter"]}


def study() -> dict:
    """Two datasets, one of them too small to judge, and four models."""
    training = {"epochs": 2, "batch_size": 8, "learning_rate": 0.001, "reverse_complement": True}
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
                      "variants": {"some": "marks/some.vcf"}},
        },
        "sources": {"own": {"title": "Own <sequences>", "assembly": "hg19", "licence": "", "citation": "", "origin": "",
                            "files": {"b.csv": {"path": "my/b.csv"}}}},
        "models": {
            model: {"architecture": architecture, "parameters": {"hidden": 4}, "regime": "full", "initialisation": "random", "context": 0,
                    "datasets": ["large", "small"], "training": training, "mutagenesis": True, "seeds": [1, 2]}
            for model, architecture in MODELS.items()
        },
        "training": training, "evaluation": {"replicates": 100, "margin": 0.01},
    }  # fmt: skip


def write(folder: Path) -> dict:
    """Write the files of the study below ``folder``; gives the arguments of ``render.main`` less ``page``."""
    root = folder / "results" / "made-up"
    metrics, curves, effects = [], [], []
    for dataset in TARGETS:
        for model in MODELS:
            place = root / dataset / model
            (place / "mutagenesis").mkdir(parents=True)
            (place / "variants").mkdir()
            metrics.append(place / "metrics.parquet")
            curves.append(place / "curves.parquet")
            scores(dataset, model).to_parquet(metrics[-1])
            shapes(dataset, model).to_parquet(curves[-1])
        (root / dataset / "splits.json").write_text(json.dumps(certificate(dataset)))
    for model in ("basset", "nt-random"):
        effects.append(root / "large" / model / "mutagenesis" / "here.npz")
        locus(effects[-1])
        effects.append(root / "small" / model / "variants" / "some.parquet")
        variants().to_parquet(effects[-1])
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
    (folder / "loci.tsv").write_text("locus\tassembly\tchrom\tstart\tend\ttitle\twhy\nhere\thg19\tchr1\t99\t107\tA K562 site\tmade up\n")
    return {"comparison": root / "comparison.parquet", "ledger": root / "ledger.tsv", "metrics": metrics, "curves": curves,
            "splits": [root / dataset / "splits.json" for dataset in TARGETS], "loci": folder / "loci.tsv",
            "study": whole | {"sources": sources | whole["sources"]}, "name": "made-up", "effects": effects}  # fmt: skip


def scores(dataset: str, model: str) -> pd.DataFrame:
    """metrics.parquet of one model; the second target of ``large`` has one class only."""
    rows = []
    few = "too small to judge" if dataset == "small" else ""
    for part, metric in [(part, metric) for part in ("test", "validation") for metric in ("auroc", "average_precision")]:
        for target, name in [*enumerate(TARGETS[dataset]), (MEAN, "mean")]:
            for seed in (1, 2, MEAN):
                middle = (VALUES if part == "test" else VALIDATED)[model] - 0.3 * (metric == "average_precision")
                value = np.nan if target == 1 else middle + {1: 0.002, 2: -0.002, MEAN: 0.0}[seed]
                judged = part == "test" and seed == MEAN and not few and target != 1
                rows.append({
                    "model": model, "part": part, "metric": metric, "seed": seed, "target": target, "name": name, "group": "", "n": 1000,
                    "positives": 0 if target == 1 else 250, "prevalence": 0.0 if target == 1 else 0.25, "blocks": 3 if few else 60,
                    "independent_positives": 200, "value": value, "verdict": "undefined" if target == 1 else few,
                    "lift": value / 0.25 if metric == "average_precision" else np.nan,
                    "low": value - 0.01234 if judged else np.nan, "high": value + 0.01357 if judged else np.nan,
                })  # fmt: skip
    out = pd.DataFrame(rows)
    out.attrs = {"split_digest": f"digest-{dataset}", "replicates": 100, "initialisation": "random"}
    return out


def shapes(dataset: str, model: str) -> pd.DataFrame:
    """curves.parquet of one model."""
    x = np.linspace(0, 1, 20)
    kinds = {"roc": x ** (1 / (10 * VALUES[model])), "pr": 1 - VALUES[model] * x**2}
    return pd.concat([pd.DataFrame({"target": 0, "curve": kind, "x": x, "y": y, "model": model}) for kind, y in kinds.items()])


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
        for model in MODELS:
            for against in MODELS:
                gap = VALUES[model] - VALUES[against]
                word = "cannot tell" if abs(gap) < 0.03 else "better" if gap > 0 else "worse"
                small = dataset == "small"
                for metric in ("auroc", "average_precision"):
                    if model != against:
                        rows.append({
                            "dataset": dataset, "model": model, "against": against, "metric": metric, "target": MEAN, "name": "mean",
                            "difference": gap, "low": np.nan if small else gap - 0.0301, "high": np.nan if small else gap + 0.0299,
                            "verdict": "too small to judge" if small else word, "smallest_detectable": np.nan if small else 0.03,
                        })  # fmt: skip
    return pd.DataFrame(rows)


def ledger() -> pd.DataFrame:
    """ledger.tsv; one model was tuned by two trials, the costs of which are no run's."""
    rows = []
    for dataset in TARGETS:
        for at, (model, seed) in enumerate((model, seed) for model in MODELS for seed in (1, 2)):
            rows.append({
                "dataset": dataset, "model": model, "kind": "run", "seed": seed, "device": "cpu", "cpu_seconds": 9.5,
                "wall_seconds": 10.25 * (at + 1),
                "gpu_seconds": 0.0, "peak_host_bytes": 3.5e8, "peak_gpu_bytes": 0, "parameters": 12345, "trained_parameters": 678,
                "sequences": 1000, "epochs": 2,
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
    np.savez(path, effect=effect, spread=np.abs(effect) / 3, reference=reference, codes=codes, about=json.dumps(about))


def variants() -> pd.DataFrame:
    """Scores of three variants at one target."""
    table = pd.DataFrame({
        "chrom": "chr1", "position": [99, 1234, 5000], "id": ["rs1", "rs2", "rs3"], "ref": ["A", "AC", "G"], "alt": ["T", "A", "G" * 30],
        "target": 0, "name": "promoter", "diff": [0.1, -0.2, 0.01], "logit": [0.5, -1.5, 0.05], "logit_spread": np.nan,
        "deepsea_effect": [0.05, 0.3, 0.0005],
    })  # fmt: skip
    table.attrs = {"definitions": {"diff": "p_alt - p_ref"}, "left_out": {"not held": 4}, "ref_mismatch_policy": "drop",
                   "strands": "averaged", "shifts": "none", "seeds": [1], "initialisation": "random"}  # fmt: skip
    return table
