"""Real peaks and sequence as somebody brings their own: labels against bedtools, and the motif where it must be."""

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from workflow_tools import clone, environment, snakemake

from regdna.alphabet import reverse_complement
from regdna.targets import Targets
from regdna.windows import Sequences

RECORDS = {"hg19_chr20_1000001-2000000.fa": "chr20:1000001-2000000", "hg19_chr22_20000001-21000000.fa": "chr22:20000001-21000000"}
RULES = ("bin_half_covered", "union_half_covered", "any_overlap")


@pytest.fixture(scope="module")
def peaks(tmp_path_factory):
    """Two megabases of hg19 with every peak file under each rule, labelled by the workflow: the dataset's folder and its files."""
    shared = Path(__file__).resolve().parents[3] / "shared"
    if not shared.is_dir():
        pytest.skip(f"{shared} is not there: real data lie only beside the project's own checkout")
    if shutil.which("bedtools", path=environment()["PATH"]) is None:
        pytest.skip("bedtools is not installed")
    folder = clone(tmp_path_factory.mktemp("real") / "regdna")
    files = sorted((shared / "data/annotation/encode_hg19").glob("*.bed.gz"))
    assert len(files) == 34
    for name, record in RECORDS.items():
        body = (shared / "data/genome" / name).read_text().partition("\n")[2]
        (folder / name).write_text(f">{record}\n{body}")
    ids = {re.sub(r"[^a-z0-9-]+", "-", file.name.removesuffix(".bed.gz").lower()): file for file in files}
    targets = {
        f"{name}--{rule.replace('_', '-')}": {"intervals": f"peaks/{file.name}", "rule": rule, "assay": "peaks"}
        for name, file in ids.items()
        for rule in RULES
    }
    study = {
        "title": "Real peaks", "question": "Are labels what bedtools says?",
        "sources": {
            "two-megabases": {
                "title": "hg19", "assembly": "hg19", "files": {name: {"path": name} for name in RECORDS},
                "regions": [["chr20", 1_000_000, 2_000_000], ["chr22", 20_000_000, 21_000_000]],
            },
            "peaks": {"title": "ENCODE", "assembly": "hg19", "files": {file.name: {"path": str(file)} for file in files}},
        },
        "datasets": {
            "peaks": {
                "title": "Peaks", "assembly": "hg19", "genome": "two-megabases", "labels": "multilabel",
                "windows": {"bin": 200, "context": 600, "max_n_fraction": 1.0}, "targets": targets,
                "split": {
                    "rule": "chromosomes", "test": ["chr22:20,500,001-21,000,000"], "validation": ["chr22:20,000,001-20,500,000"],
                    "gap": 600,
                },
            }
        },
        "models": {"composition": {"architecture": "composition"}}, "training": {},
    }  # fmt: skip
    (folder / "own").mkdir()
    (folder / "own/real.yaml").write_text(yaml.safe_dump(study))
    result = snakemake(folder, "windows", study="real", studies="own")
    assert result.returncode == 0, result.stderr
    return folder / "results/real/peaks", ids


@pytest.mark.xdist_group("peaks")
def test_labels_of_every_peak_file_are_what_bedtools_says(peaks, tmp_path):
    folder, ids = peaks
    windows = pd.read_parquet(folder / "labelled.parquet")
    bins = windows.assign(start=windows["start"] + 200, end=windows["end"] - 200)[["chrom", "start", "end"]]
    bins.assign(row=range(len(bins))).sort_values(["chrom", "start"]).to_csv(tmp_path / "bins.bed", sep="\t", header=False, index=False)
    labels = Targets(folder / "targets.npy", folder / "targets.tsv")
    truth, names = labels[np.arange(len(bins))], labels.table["target"].tolist()
    assert len(bins) > 9900
    seen = 0
    for name, file in ids.items():
        with gzip.open(file, "rt") as handle:
            lines = sorted((line.split("\t")[:3] for line in handle), key=lambda row: (row[0], int(row[1])))
        (tmp_path / "peaks.bed").write_text("".join("\t".join(row) + "\n" for row in lines))
        for rule, command in {
            "bin_half_covered": "bedtools intersect -a bins.bed -b peaks.bed -f 0.505 -u",
            "any_overlap": "bedtools intersect -a bins.bed -b peaks.bed -u",
            "union_half_covered": "bedtools merge -i peaks.bed | bedtools coverage -a bins.bed -b - | awk '$6 > 100'",
        }.items():
            found = subprocess.run(command, shell=True, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True).stdout
            expected = np.zeros(len(bins), bool)
            expected[[int(line.split("\t")[3]) for line in found.splitlines()]] = True
            assert np.array_equal(truth[:, names.index(f"{name}--{rule.replace('_', '-')}")], expected), (file.name, rule)
            seen += expected.sum()
    assert seen > 10_000


@pytest.mark.xdist_group("peaks")
def test_ctcf_peaks_hold_the_ctcf_motif_far_above_background(peaks, shared):
    folder, ids = peaks
    text = (shared / "data/motifs/JASPAR2022_vertebrates.pfm").read_text()
    rows = text.partition(">MA0139.1_MA0139.1.CTCF\n")[2].partition(">")[0].split("\n")
    counts = np.array([row.split("\t") for row in rows if row], float)
    weights = np.log2((counts + 1) / (counts + 1).sum(1, keepdims=True) / 0.25)
    windows = pd.read_parquet(folder / "labelled.parquet")
    genome = [folder.parents[1] / f"sources/two-megabases/genome.{suffix}" for suffix in ("npy", "tsv", "mask.npy")]
    codes = Sequences(windows, genome=genome, length=200)[np.arange(len(windows))]
    best = np.full(len(codes), -np.inf)
    padded = np.c_[weights, np.full(len(weights), -10.0)]  # N fits nowhere
    for strand in (codes, reverse_complement(codes)):
        score = sum(padded[at][strand[:, at : at + 200 - len(weights) + 1]] for at in range(len(weights)))
        best = np.maximum(best, score.max(1))
    has = best > 12
    labels = Targets(folder / "targets.npy", folder / "targets.tsv")
    truth, names = labels[np.arange(len(windows))], labels.table["target"].tolist()
    name = next(name for name in ids if "gm12878" in name and name.startswith("ctcf"))
    peak = truth[:, names.index(f"{name}--bin-half-covered")]
    any_ctcf = truth[:, [at for at, one in enumerate(names) if one.startswith("ctcf") and one.endswith("any-overlap")]].any(1)
    assert peak.sum() > 50
    assert has[peak].mean() > 0.3
    assert has[peak].mean() > 15 * has[~any_ctcf].mean()
