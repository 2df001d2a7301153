"""Sets of variants: any file of them, and the published ones - saturation MPRA, DeepSEA's eQTL and GWAS sets."""

from pathlib import Path

import pandas as pd

from regdna.sources.variant_files import Lines, read_lines, typed
from regdna.step import InputError

RELEASES = {"hg19": "GRCh37", "hg38": "GRCh38"}
MPRA = {"barcodes", "coefficient", "pvalue", "element", "release"}
DEEPSEA = {"fold", "label"}
# ASSUME: at chr1:109,817,590 of hg19 (rs12740374) the MPRA construct of SORT1 carries T, not the reference's G: the numbers of
# barcodes of the three experiments are those of a T template. Effects there are relative to T, so the site is left out.
DOUBTFUL = {"hg19": "1:109817590", "hg38": "1:109274968"}
UNPLACED, RELEASE, DOUBT = "without a place", "of another release", "reference of the construct in doubt"


def read_set(path: Path, assembly: str, lengths: dict[str, int]) -> tuple[Lines, bool]:
    """Any set of variants, and whether it is the saturation MPRA, whose ids are experiments.

    Args:
        lengths: bp of the assembly's chromosomes.

    Returns:
        lines as ``regdna.sources.variant_files.typed`` gives them.

    Raises:
        InputError: the file cannot be read, or is of another assembly.
    """
    lines = read_lines(path, assembly, lengths)
    names = set(lines.kept)
    if names >= MPRA:
        return _mpra(path, lines, assembly), True
    if names >= DEEPSEA and assembly != "hg19":
        raise InputError(f"{path}: DeepSEA's sets are of hg19, the dataset is {assembly}; give that assembly's variants")
    return typed(lines), False


def _mpra(path: Path, lines: Lines, assembly: str) -> Lines:
    """The rows of one assembly of the saturation MPRA of Kircher et al. 2019, Nat Commun 10:3583.

    Columns: id is the experiment, measured the log2 effect on expression; alt is '-' where the reference base is deleted.
    """
    table, out = lines.kept, list(lines.out)
    other = table["release"] != RELEASES.get(assembly)
    if other.all():
        raise InputError(f"{path}: holds no variant of {assembly}; it has {', '.join(RELEASES)}")
    nowhere = ~other & (table["chrom"].eq("NA") | table["pos"].eq("NA"))
    doubtful = ~other & (table["chrom"] + ":" + table["pos"]).eq(DOUBTFUL[assembly])
    for which, reason in ((other, RELEASE), (nowhere, UNPLACED), (doubtful, DOUBT)):
        out += [(line, reason, text) for line, text in zip(table["line"][which], table["text"][which], strict=True)]
    kept = table[~(other | nowhere | doubtful)]
    kept = pd.DataFrame(
        {
            "line": kept["line"],
            "text": kept["text"],
            "chrom": "chr" + kept["chrom"],
            "pos": kept["pos"],
            "id": kept["element"],
            "ref": kept["ref"],
            "alt": kept["alt"],
            "measured": kept["coefficient"],
            "p_value": kept["pvalue"],
            "barcodes": kept["barcodes"],
        }
    )
    return typed(Lines(path, kept, out, lines.notes))


def kind_of(measured: pd.Series) -> str:
    """What was measured: ``labels`` if 0 and 1 alone, ``effects`` if other numbers, else ``nothing``."""
    known = measured.dropna()
    return "nothing" if known.empty else "labels" if known.isin([0, 1]).all() else "effects"
