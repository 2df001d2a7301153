"""Tables of variants and of their scores: Parquet, written and read a block of rows at a time."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from regdna.step import InputError
from regdna.store import atomic

ABOUT = b"regdna"  # key of the metadata, JSON
SCORES = {
    "diff": "p_alt - p_ref",
    "logit": "ln(p_alt / (1 - p_alt)) - ln(p_ref / (1 - p_ref))",
    "log2_odds": "logit / ln 2",
    "deepsea_effect": "|logit| * |diff| (Zhou and Troyanskaya 2015)",
    "logit_seeds": "standard deviation (n - 1) of logit over seeds; not a number with one seed",
    "logit_views": "standard deviation (n - 1) of logit over shifts and strands: what framing alone does; an effect below it is no finding",
    "evalue_2015": "(1 + n) / (1 + N), n of N background variants with |diff| * |log2_odds| at least as large (Zhou and Troyanskaya 2015)",
    "evalue_diff": "(1 + n) / (1 + N), n of N background variants with |diff| at least as large",
    "percentile": "percent of background variants whose |log2_odds| is smaller",
}


@dataclass(frozen=True)
class Scores:
    """Scores of variants.

    Attributes:
        table: one row a variant and what is known of it: line, chrom, contig, position (0-based), id, ref, alt, kind, ...
        values: name to float32 (n, T), T targets.
        about: targets, cell_types, definitions, shifts, align, strands, seeds, left_out and so on.
    """

    table: pd.DataFrame
    values: dict[str, np.ndarray]
    about: dict


def write_variants(path: Path, table: pd.DataFrame, about: dict) -> None:
    """Write a table of variants with its metadata as Parquet."""
    whole = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata({ABOUT: json.dumps(about)})
    with atomic(path) as temporary:
        pq.write_table(whole, temporary, compression="zstd")


def read_variants(path: Path) -> tuple[pd.DataFrame, dict]:
    """A table of variants and its metadata.

    Raises:
        InputError: it is no table that ``write_variants`` wrote.
    """
    with _opened(path) as file:
        return file.read().to_pandas(), _about(path, file)


def write_scores(path: Path, table: pd.DataFrame, blocks: Iterable[dict[str, np.ndarray]], about: dict) -> None:
    """Write scores of variants as Parquet, a row group a block: never more than one block is held.

    Args:
        table: one row a variant, in the order of the blocks.
        blocks: name to float (rows, T) of consecutive rows of ``table``, every row in one block; the same names in each.
        about: ``Scores.about``.

    Raises:
        ValueError: blocks and table do not have the same number of rows.
    """
    scalars = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    at, writer = 0, None
    with atomic(path) as temporary:
        try:
            for block in blocks:
                count = len(next(iter(block.values())))
                part = scalars.slice(at, count)
                for name, values in block.items():
                    part = part.append_column(name, _lists(values))
                if writer is None:
                    schema = part.schema.with_metadata({ABOUT: json.dumps(about)})
                    writer = pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=scalars.column_names)
                writer.write_table(part, row_group_size=max(count, 1))
                at += count
        finally:
            if writer is not None:
                writer.close()
        if not at or at != len(table):
            raise ValueError(f"{at} rows of scores for {len(table)} variants")


def block_rows(targets: int) -> int:
    """Variants that are scored and written at a time: about a million values, at most 16,384 variants."""
    return max(1, min(16384, 2**20 // targets))


def _lists(values: np.ndarray) -> pa.Array:
    """Rows of an array, float (n, T), as lists of T float32."""
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values, np.float32).ravel()), values.shape[1])


def read_scores(path: Path, names: Iterable[str] | None = None) -> Scores:
    """A table of scores, whole; of many variants and targets take ``read_blocks``.

    Args:
        names: scores to read; all that are there if left out.

    Raises:
        InputError: it is no table that ``write_scores`` wrote, or a score is not in it.
    """
    with _opened(path) as file:
        about = _about(path, file)
        columns, scores = _columns(path, file, names)
        return _scores(file.read(columns), scores, about)


def read_blocks(path: Path, names: Iterable[str] | None = None) -> Iterator[Scores]:
    """The same, a block of consecutive rows at a time, as they were written.

    Raises:
        InputError: as ``read_scores``.
    """
    with _opened(path) as file:
        about = _about(path, file)
        columns, scores = _columns(path, file, names)
        for group in range(file.num_row_groups):
            yield _scores(file.read_row_group(group, columns), scores, about)


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: cut short or no Parquet file ({error}); delete it and run again") from None


def _about(path: Path, file: pq.ParquetFile) -> dict:
    metadata = file.schema_arrow.metadata or {}
    if ABOUT not in metadata:
        raise InputError(f"{path}: does not say what it holds; make it again: snakemake --force {path}")
    return json.loads(metadata[ABOUT])


def _columns(path: Path, file: pq.ParquetFile, names: Iterable[str] | None) -> tuple[list[str], list[str]]:
    """Columns to read, and those of them that are scores."""
    there = [field.name for field in file.schema_arrow if pa.types.is_fixed_size_list(field.type)]
    scores = there if names is None else list(names)
    missing = [name for name in scores if name not in there]
    if missing:
        raise InputError(f"{path}: score {', '.join(missing)} is missing; it has {', '.join(there) or 'none'}")
    return [name for name in file.schema_arrow.names if name not in there or name in scores], scores


def _scores(part: pa.Table, names: list[str], about: dict) -> Scores:
    values = {}
    for name in names:
        column = part.column(name)
        flat = [chunk.flatten().to_numpy() for chunk in column.chunks]
        values[name] = np.concatenate([np.zeros(0, np.float32), *flat]).reshape(-1, column.type.list_size)
    return Scores(part.drop_columns(names).to_pandas(), values, about)


def strongest(scores: Scores) -> pd.DataFrame:
    """Each variant at the target with its largest ``|logit|``, in order.

    Returns:
        the columns of ``scores.table``, then target (index), name, each score there, and below_views: whether ``|logit|`` is
        no larger than ``logit_views``, so that the framing alone may have made it.
    """
    target = np.nan_to_num(np.abs(scores.values["logit"])).argmax(1)
    rows = np.arange(len(target))
    out = scores.table.assign(target=target, name=np.array(scores.about["targets"], object)[target])
    for name, values in scores.values.items():
        out[name] = values[rows, target]
    return out.assign(below_views=np.abs(out["logit"]) <= out["logit_views"])
