"""Tokenisers: codes of DNA to the token ids that a language model takes, and back."""

from pathlib import Path
from typing import Protocol

import numpy as np

from regdna.tokenisers.bases import SingleBase
from regdna.tokenisers.byte_pair import BytePair
from regdna.tokenisers.kmers import KmerBlocks, OverlappingKmers

__all__ = ["BytePair", "KmerBlocks", "OverlappingKmers", "SingleBase", "Tokeniser"]


class Tokeniser(Protocol):
    """What every tokeniser can do. None cuts a sequence short.

    Attributes:
        vocabulary: ids that the model's embedding must hold; every id is below it.
        pad: the id that fills short rows.
    """

    vocabulary: int
    pad: int

    def encode(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids, int64 (n, T), padded to the longest row, and mask, bool (n, T), false at padding; codes are uint8 (n, L)."""

    def edits(self, codes: np.ndarray, where: np.ndarray, bases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What ``encode`` gives of the mutants of one sequence, one base replaced in each; made anew only around that base.

        Args:
            codes: uint8 (L,).
            where: the base that each mutant changes, 0-based, int64 (m,).
            bases: code of its new base, uint8 (m,); N is one.

        Raises:
            ValueError: a base that the sequence has not, or a code that is none.
        """

    def offsets(self, ids: np.ndarray) -> np.ndarray:
        """Bases [start, end) that each token covers, 0-based, int32 (n, T, 2), of ids (n, T); specials and padding cover none."""

    def decode(self, ids: np.ndarray) -> np.ndarray:
        """Codes, uint8 (L,), of one row of ids, (T,), specials and padding included; what became unknown is N."""

    def tokens(self, length: int) -> int | None:
        """Tokens of ``length`` known bases, specials included; None where that depends on the bases."""

    def files(self) -> dict[str, str]:
        """The tokenizer files of the published layout, name to text; transformers' own tokenizers open them."""

    def check(self, folder: Path) -> None:
        """Compare with the ``vocab.txt`` and ``tokenizer.json`` of a folder, whichever are there.

        Raises:
            InputError: one of them is of another vocabulary.
        """
