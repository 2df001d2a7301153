"""Read a dataset that comes as labelled sequences: tables, FASTA or BED files, packed sites, or the DeepSEA bundle."""

from pathlib import Path

import numpy as np
import pandas as pd

from regdna.genome import Genome
from regdna.sources import deepsea, labelled
from regdna.step import InputError, run
from regdna.store import atomic
from regdna.targets import all_known, pack


def main(
    files: list[Path],
    sequences: Path,
    records: Path,
    labels: Path,
    table: Path,
    known: Path,
    reading: dict,
    kind: str,
    positions: Path | None = None,
    names: Path | None = None,
    genome: list[Path] | None = None,
) -> None:
    """Write one row of codes a sequence, where each came from, its labels, and what the labels mean.

    Args:
        files: what to read, in the order of ``reading``'s files.
        sequences: .npy of codes, uint8 (n, L).
        records: .parquet with chrom, start, end, part, file, row.
        labels: .npy of bits packed along targets, uint8 (n, ceil(T / 8)).
        table: .tsv with index, cell_type, assay, target, source.
        known: .npy of which labels are known, packed as they are; no row where all are.
        reading: the dataset's ``sequences`` as the study says it: files, columns, length, assay, target, shuffled.
        kind: ``exclusive`` if every sequence has one class and no more, else ``multilabel``.
        positions: for the DeepSEA bundle, the BED file of its bins.
        names: for the DeepSEA bundle, the names of its targets.
        genome: codes, index and mask, for files of intervals.
    """
    with atomic(sequences) as codes_file, atomic(labels) as labels_file:
        if files[0].suffix == ".mat":
            found, targets = deepsea.convert(files, positions, names, codes_file, labels_file)
            measured = None
        else:
            found, codes, truth, measured, targets = by_rows(files, reading, kind, genome)
            np.save(codes_file, codes)
            np.save(labels_file, pack(truth))
        with atomic(records) as temporary:
            found.to_parquet(temporary, index=False)
        with atomic(known) as temporary:
            np.save(temporary, all_known(len(targets)) if measured is None else pack(measured))
        with atomic(table) as temporary:
            targets.rename_axis("index").to_csv(temporary, sep="\t")


def by_rows(
    files: list[Path], reading: dict, kind: str, genome: list[Path] | None
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray | None, pd.DataFrame]:
    """Of everything but the DeepSEA bundle: records, codes, labels and which are known (None: all), bool (n, T), and what they mean."""
    length, held = reading["length"] or None, Genome(*genome) if genome else None
    parts = [labelled.read(path, entry, reading["columns"], held, length) for path, entry in zip(files, reading["files"], strict=True)]
    records, codes, texts = labelled.join(parts, length)
    truth, known, found = labelled.matrix(records, texts, kind == "exclusive")
    if not found:
        raise InputError(f"{files[0]}: no sequence has a label; name the label columns, or each file's class")
    labelled.check_bases(records, codes)
    labelled.warn_of_contradictions(records, codes, truth, known)
    if reading["shuffled"]:
        records, codes, truth, known = labelled.add_shuffled(records, codes, truth, known, reading["seed"])
    # Where labels name cell types, what was measured in each is the target.
    named = {"cell_type": found, "target": reading["target"]} if reading["target"] else {"cell_type": "", "target": found}
    targets = pd.DataFrame({**named, "assay": reading["assay"], "source": files[0].parent.name}, index=range(len(found)))
    return records, codes, truth, known, targets[["cell_type", "assay", "target", "source"]]


if __name__ == "__main__":
    run(main)
