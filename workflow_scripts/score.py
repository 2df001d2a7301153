"""Score a set of variants by name and definition, averaged over strands, shifts and seeds."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.background import Background, strata
from regdna.genome import Genome, read_lengths
from regdna.haplotypes import edits, fits, held
from regdna.models.classifier import Classifier
from regdna.step import InputError, progress, run
from regdna.store import write_text
from regdna.variants import SCORES, block_rows, read_variants, score, write_scores
from regdna.variants.records import write_summary, write_vcf

log = logging.getLogger("regdna")
LONG, NEAR = "inserts more than the model sees", "too close to the end of what is held"


def main(
    table: Path,
    checkpoints: list[Path],
    targets: Path,
    assemblies: Path,
    scores: Path,
    summary: Path,
    vcf: Path,
    index: Path,
    left_out: Path,
    variants: str,
    assembly: str,
    genome: list[Path],
    shifts: list,
    align: str,
    background: Path | None = None,
) -> None:
    """Write scores of every target to ``scores`` (parquet), of the strongest target to ``summary`` (TSV), and both to ``vcf``.

    Variants without a whole window in what the genome holds are listed in ``left_out`` (TSV: line, chrom, pos from 1, ref, alt, reason)
    and counted, with what was left out before, in the file's metadata.

    Args:
        table: of variants, from ``read.py``.
        targets: the dataset's targets.tsv, for their cell types.
        assemblies: lengths of chromosomes, for the header of the VCF.
        index: of the VCF (tabix).
        variants: id of the set.
        assembly: of the dataset.
        genome: codes, index and mask that windows are cut from.
        shifts: bp by which variants are moved from the middle of the windows; effects are averaged over them.
        align: frames of insertions and deletions: ends or centre.
        background: tally of another set's scores by the same model, for E-values; left out: none.

    Raises:
        InputError: no variant can be scored, or the background is of other targets.
    """
    listed, said = read_variants(table)
    sequence, classifiers = Genome(*genome), [Classifier(path) for path in checkpoints]
    about = classifiers[0].about
    some = edits(listed)
    short = fits(some, about["length"])
    inside = held(sequence, some, about["length"], shifts, align)
    reasons = np.select([~short, ~inside], [LONG, NEAR], "")
    counts = said["left_out"] | {reason: int((reasons == reason).sum()) for reason in (LONG, NEAR)}
    rows = np.flatnonzero(reasons == "")
    log.info("%s: %d of %d variants scored; left out: %s", variants, len(rows), len(listed), counts)
    if not len(rows):
        raise InputError(
            f"{table}: none of {len(listed):,} variants has {about['length']:,} bp around it in what is held; is it the dataset's region?"
        )
    kept, some = listed.iloc[rows].reset_index(drop=True), some[rows]
    compared = Background.open(background) if background else None
    if compared and compared.about["targets"] != about["targets"]:
        raise InputError(f"{background}: was counted over other targets than the model's; make it again: snakemake --force {background}")
    matched = strata(kept, sequence) if compared else None

    def blocks() -> Iterator[dict[str, np.ndarray]]:
        show, size = progress(len(kept), "scoring", "variants"), block_rows(len(about["targets"]))
        for at in range(0, len(kept), size):
            part = slice(at, at + size)
            values = score(classifiers, sequence, some[np.arange(len(kept))[part]], shifts, align)
            if compared:
                values |= compared.columns(values["diff"], values["log2_odds"], matched[part])
            yield values
            show(min(at + size, len(kept)))

    names = [name for name in SCORES if compared or name not in ("evalue_2015", "evalue_diff", "percentile")]
    described = {
        "variants": variants,
        "targets": about["targets"],
        "cell_types": cell_types(targets, about["targets"]),
        "labels": about["labels"],
        "definitions": {name: SCORES[name] for name in names},
        "shifts": list(shifts),
        "align": align,
        "strands": "each by itself, then averaged with shifts and seeds; deepsea_effect multiplies the averaged parts",
        "seeds": [one.about["seed"] for one in classifiers],
        "background": {name: compared.about[name] for name in ("variants", "offered", "matched")} if compared else {},
        **{name: about[name] for name in ("split_digest", "initialisation", "architecture", "length")},
        **{name: said[name] for name in ("assembly", "flipped", "ref_mismatch_policy", "repeated")},
        "left_out": counts,
    }
    away = listed.assign(pos=listed["position"] + 1, reason=reasons)[reasons != ""]
    write_text(left_out, away[["line", "chrom", "pos", "ref", "alt", "reason"]].to_csv(sep="\t", index=False))
    write_scores(scores, kept, blocks(), described)
    write_summary(summary, scores)
    write_vcf(vcf, index, scores, read_lengths(assemblies, assembly))


def cell_types(table: Path, targets: list[str]) -> list[str]:
    """Cell type of each target, in order."""
    found = pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False)["cell_type"].tolist()
    if len(found) != len(targets):
        raise InputError(f"{table}: has {len(found)} targets, the model {len(targets)}; train the model again")
    return found


if __name__ == "__main__":
    run(main)
