"""Variant effects: reading variants, putting them into sequence, scoring them by definition."""

import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.alphabet import decode
from regdna.genome import Genome
from regdna.haplotypes import window
from regdna.models.classifier import Classifier, probability
from regdna.sources.variant_sets import read_deepsea_set, read_mpra
from regdna.step import InputError, progress

BASES = re.compile(r"^[ACGT]+$")
ROWS = 512
ALIASES = {
    "hg19": ("hg19", "grch37", "hs37", "b37"),
    "hg38": ("hg38", "grch38", "hs38"),
    "another": ("hg18", "ncbi36", "t2t", "chm13", "mm10", "mm39"),
}
SCORES = {
    "diff": "p_alt - p_ref",
    "logit": "ln(p_alt / (1 - p_alt)) - ln(p_ref / (1 - p_ref))",
    "log2_odds": "logit / ln 2",
    "deepsea_effect": "|logit| * |diff| (Zhou and Troyanskaya 2015)",
}


def read_variants(path: Path, assembly: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Variants of a VCF (``.vcf``), of the saturation MPRA (``.tsv``) or of DeepSEA's sets (``.csv``), each also gzipped.

    Returns:
        chrom, position (0-based), id, ref, alt, and where there are some measured and what belongs to it; and reason to number
        left out.

    Raises:
        InputError: the file is not of its kind, or of another assembly.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix == ".tsv":
        return read_mpra(path, assembly)
    if suffix == ".csv":
        if assembly != "hg19":
            raise InputError(f"{path}: DeepSEA's sets are of hg19, the dataset is {assembly}; give that assembly's variants")
        return read_deepsea_set(path)
    return read_vcf(path, assembly)


def anchor(table: pd.DataFrame, genome: Genome) -> pd.DataFrame:
    """Deletions written as ``-`` in the words of VCF: both alleles begin with the base before."""
    out = table.copy()
    gone = np.flatnonzero(table["alt"] == "-")
    before = [
        decode(genome.fetch(chrom, at - 1, at)) if chrom in genome else "N"
        for chrom, at in table.loc[gone, ["chrom", "position"]].to_numpy()
    ]
    out.loc[gone, "ref"] = np.array(before, object) + table.loc[gone, "ref"].to_numpy(object)
    out.loc[gone, "alt"] = before
    out.loc[gone, "position"] -= 1
    return out


def read_vcf(path: Path, assembly: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Variants of a VCF (plain or gzipped) with one row per alternate allele, and counts of what was left out and why.

    Returns:
        chrom, position (0-based), id, ref, alt; and reason to number of alleles left out.

    Raises:
        InputError: a line is not VCF, or the header names another assembly.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    rows, out = [], {"symbolic or not A, C, G, T": 0}
    with opener(path, "rt", encoding="utf-8-sig", errors="replace") as handle:
        for number, line in enumerate(handle, start=1):
            if line.startswith("##reference=") and names_another(line.lower(), assembly):
                raise InputError(
                    f"{path}: line {number} says {line.strip()[2:]}, but the dataset is {assembly}; give that assembly's variants"
                )
            if line.startswith("#") or not line.strip():
                continue
            fields = line.rstrip("\n").split("\t")
            if len(fields) < 5 or not fields[1].isdecimal():
                raise InputError(f"{path}: line {number} is not VCF (CHROM, POS, ID, REF, ALT with tabs); mend or remove it")
            for alt in fields[4].upper().split(","):
                if BASES.match(fields[3].upper()) and BASES.match(alt):
                    rows.append((fields[0], int(fields[1]) - 1, fields[2], fields[3].upper(), alt))
                else:
                    out["symbolic or not A, C, G, T"] += 1
    return pd.DataFrame(rows, columns=["chrom", "position", "id", "ref", "alt"]), out


def names_another(text: str, assembly: str) -> bool:
    """Whether a header line (in small letters) names another assembly and not this one."""
    named = {name for name, aliases in ALIASES.items() if any(alias in text for alias in aliases)}
    return bool(named) and assembly not in named


def spell(table: pd.DataFrame, genome: Genome, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, int]]:
    """Reference and alternate windows of variants, and which rows have them.

    Returns:
        rows (indices into the table, int64 (n,)), reference and alternate codes, uint8 (n, length), and reason to number
        of variants left out.
    """
    kept, pairs = [], []
    out = {"chromosome not held": 0, "too close to the end of what is held": 0, "REF is not what the assembly holds": 0}
    for row, one in enumerate(table.itertuples()):
        if one.chrom not in genome:
            out["chromosome not held"] += 1
            continue
        try:
            pairs.append(window(genome, one.chrom, one.position, one.ref, one.alt, length))
            kept.append(row)
        except IndexError:
            out["too close to the end of what is held"] += 1
        except ValueError:
            out["REF is not what the assembly holds"] += 1
    stacked = np.array(pairs, np.uint8).reshape(len(pairs), 2, length)
    return np.array(kept, np.int64), stacked[:, 0], stacked[:, 1], out


def score(classifier: Classifier, reference: np.ndarray, alternate: np.ndarray, position: np.ndarray) -> dict[str, np.ndarray]:
    """Scores by name, float64 (n, T) each; defined in ``SCORES``.

    Each is computed per strand and then averaged; ``deepsea_effect`` is the product of the averaged parts. Log-odds come
    from logits and are differenced in float64.

    Args:
        reference, alternate: codes, uint8 (n, L).
        position: of the variants in bp, float (n,).
    """
    diff, logit = [], []
    show = progress(len(reference), "scoring", "variants")
    for at in range(0, len(reference), ROWS):
        part = slice(at, at + ROWS)
        ref = classifier.strands(reference[part], position[part])
        alt = classifier.strands(alternate[part], position[part])
        diff.append((probability(alt) - probability(ref)).mean(0))
        logit.append((alt - ref).mean(0))
        show(min(at + ROWS, len(reference)))
    nothing = np.zeros((0, len(classifier.about["targets"])))
    one, two = np.concatenate([nothing, *diff]), np.concatenate([nothing, *logit])
    return {"diff": one, "logit": two, "log2_odds": two / np.log(2), "deepsea_effect": np.abs(two) * np.abs(one)}
