"""Score a set of variants by name and definition, averaged over strands and seeds."""

import logging
from pathlib import Path

import numpy as np

from regdna.genome import Genome
from regdna.models.classifier import Classifier
from regdna.step import InputError, run
from regdna.store import atomic
from regdna.tracks import write_vcf
from regdna.variants import SCORES, anchor, read_variants, score, spell

log = logging.getLogger("regdna")


def main(
    variants: Path,
    checkpoints: list[Path],
    scores: Path,
    vcf: Path,
    assembly: str,
    genome: list[Path],
) -> None:
    """Write one row a variant and target to ``scores`` (parquet) and one record a variant to ``vcf`` (bgzipped).

    Columns: chrom, position (0-based), id, ref, alt, target (index), name, then each score of ``SCORES`` and its spread
    over seeds. Variants that cannot be scored are counted in the log and in the file's metadata, by reason.
    """
    table, left_out = read_variants(variants, assembly)
    held = Genome(*genome)
    table["chrom"] = [f"chr{name}" if name not in held and f"chr{name}" in held else name for name in table["chrom"]]
    table = anchor(table, held)
    classifiers = [Classifier(path) for path in checkpoints]
    about = classifiers[0].about
    rows, reference, alternate, unspelled = spell(table, held, about["length"])
    left_out |= unspelled
    log.info("%d of %d variants scored; left out: %s", len(rows), len(table), left_out)
    if not len(rows):
        raise InputError(f"{variants}: none of {len(table)} variants can be scored ({left_out}); is it the dataset's assembly and region?")
    kept = table.iloc[rows].reset_index(drop=True)
    position = kept["position"].to_numpy(float)
    runs = [score(one, reference, alternate, position) for one in classifiers]
    targets = len(about["targets"])
    out = kept.loc[kept.index.repeat(targets)].reset_index(drop=True)
    out["target"] = np.tile(np.arange(targets), len(kept))
    out["name"] = np.tile(about["targets"], len(kept))
    for name in SCORES:
        every = np.stack([one[name] for one in runs])
        out[name] = every.mean(0).ravel()
        out[f"{name}_spread"] = every.std(0, ddof=1).ravel() if len(runs) > 1 else np.nan
    out.attrs = {
        "definitions": SCORES,
        "left_out": left_out,
        "ref_mismatch_policy": "drop",
        "strands": "each by itself, then averaged; deepsea_effect multiplies the averaged parts",
        "shifts": "none",
        "split_digest": about["split_digest"],
        "seeds": [one.about["seed"] for one in classifiers],
        "initialisation": about["initialisation"],
    }
    with atomic(scores) as temporary:
        out.to_parquet(temporary, index=False)
    write_vcf(vcf, kept, {name: np.stack([one[name] for one in runs]).mean(0) for name in SCORES}, about["targets"], assembly)


if __name__ == "__main__":
    run(main)
