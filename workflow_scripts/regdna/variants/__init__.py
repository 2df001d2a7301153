"""Variant effects: scores by name and definition, and the tables that hold them."""

from regdna.variants.scores import score
from regdna.variants.table import (
    SCORES,
    Scores,
    block_rows,
    read_blocks,
    read_scores,
    read_variants,
    strongest,
    write_scores,
    write_variants,
)

__all__ = [
    "SCORES", "Scores", "block_rows", "read_blocks", "read_scores", "read_variants", "score", "strongest", "write_scores", "write_variants",
]  # fmt: skip
