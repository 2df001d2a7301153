"""Published sets of variants with what was measured of them: saturation MPRA, and DeepSEA's eQTL and GWAS sets."""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.manifest import read_table
from regdna.step import InputError

RELEASES = {"hg19": "GRCh37", "hg38": "GRCh38"}
MPRA = ["Chrom", "Pos", "Ref", "Alt", "Barcodes", "Coefficient", "pValue", "Element", "Release"]
DEEPSEA = ["chr", "pos", "ref", "alt", "fold", "label"]
# ASSUME: at chr1:109,817,590 of hg19 (rs12740374) the MPRA construct of SORT1 carries T, not the reference's G: the numbers of
# barcodes of the three experiments are those of a T template. Effects there are relative to T, so the site is left out.
DOUBTFUL = {("hg19", "chr1", 109817589), ("hg38", "chr1", 109274967)}


def read_mpra(path: Path, assembly: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Saturation mutagenesis of regulatory elements by massively parallel reporter assay.

    Source: Kircher et al. 2019, Nat Commun 10:3583.

    Returns:
        chrom, position (0-based), id (the element), ref, alt ('-' for a deletion of the reference base), measured (log2 effect
        on expression), p_value, barcodes; and reason to number of rows left out.

    Raises:
        InputError: the file is another, or holds nothing of this assembly.
    """
    table = read_table(path, dict.fromkeys(MPRA, str))
    table = table[table["Release"] == RELEASES.get(assembly)]
    if table.empty:
        raise InputError(f"{path}: holds no variant of {assembly}; it has {', '.join(RELEASES)}")
    known = table["Chrom"].ne("NA") & table["Pos"].str.fullmatch(r"\d+")
    kept = table[known]
    out = pd.DataFrame(
        {
            "chrom": "chr" + kept["Chrom"],
            "position": kept["Pos"].astype(np.int64) - 1,
            "id": kept["Element"],
            "ref": kept["Ref"],
            "alt": kept["Alt"],
            "measured": pd.to_numeric(kept["Coefficient"]),
            "p_value": pd.to_numeric(kept["pValue"]),
            "barcodes": pd.to_numeric(kept["Barcodes"]).astype(np.int64),
        }
    ).reset_index(drop=True)
    doubtful = np.array([(assembly, chrom, position) in DOUBTFUL for chrom, position in zip(out["chrom"], out["position"], strict=True)])
    counts = {"without a place": int((~known).sum()), "reference of the construct in doubt": int(doubtful.sum())}
    return out[~doubtful].reset_index(drop=True), counts


def read_deepsea_set(path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """A set of eQTL or GWAS SNPs with negatives, tables S5 and S6 of Zhou and Troyanskaya 2015; coordinates are of hg19.

    Returns:
        chrom, position (0-based), id, ref, alt, fold and measured (1 for an eQTL or GWAS SNP, 0 for a negative); and reason
        to number of rows left out. A negative that is also a positive is none.

    Raises:
        InputError: the file is another.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = text.splitlines(keepends=True)
    head = next((at for at, line in enumerate(lines[:10]) if {"chr", "pos", "ref", "alt"} <= set(line.strip().lower().split(","))), None)
    if head is None:
        raise InputError(f"{path}: no line names the columns {', '.join(DEEPSEA)}; give table S5 or S6 of the paper as csv")
    table = pd.read_csv(io.StringIO("".join(lines[head:])), dtype=str, keep_default_na=False).rename(columns=str.lower)
    missing = [name for name in DEEPSEA if name not in table]
    if missing:
        raise InputError(f"{path}: line {head + 1}: column {', '.join(missing)} is missing; give table S5 or S6 of the paper as csv")
    wrong = np.flatnonzero(~table["pos"].str.fullmatch(r"\d+") | ~table["label"].isin(["0", "1"]))
    if len(wrong):
        raise InputError(f"{path}: line {head + 2 + wrong[0]}: pos must be a whole number and label 0 or 1; mend or remove it")
    key = table["chr"] + ":" + table["pos"] + table["ref"] + ">" + table["alt"]
    positive = table["label"] == "1"
    both = ~positive & key.isin(key[positive])
    kept = table[~both]
    out = pd.DataFrame(
        {
            "chrom": kept["chr"],
            "position": kept["pos"].astype(np.int64) - 1,
            "id": ".",
            "ref": kept["ref"].str.upper(),
            "alt": kept["alt"].str.upper(),
            "fold": kept["fold"],
            "measured": kept["label"].astype(float),
        }
    ).reset_index(drop=True)
    return out, {"negative that is also a positive": int(both.sum())}
