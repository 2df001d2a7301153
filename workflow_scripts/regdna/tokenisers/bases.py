"""One token a base."""

from pathlib import Path

import numpy as np

from regdna.alphabet import LETTERS, N
from regdna.tokenisers import vocabulary_files
from regdna.tokenisers.rows import mutants


class SingleBase:
    """The codes themselves as ids, A 0, C 1, G 2, T 3, N 4; no specials. Padding is N: it reads as unknown bases."""

    vocabulary, pad = len(LETTERS), N

    def encode(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids, int64 (n, L), and mask, bool (n, L), all true, of codes, uint8 (n, L)."""
        return codes.astype(np.int64), np.ones(codes.shape, bool)

    def edits(self, codes: np.ndarray, where: np.ndarray, bases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What ``encode`` gives of a sequence's mutants, (m, L). Arguments as of ``Tokeniser.edits``."""
        return self.encode(mutants(codes, where, bases))

    def offsets(self, ids: np.ndarray) -> np.ndarray:
        """Bases [start, end) of each token, 0-based, int32 (n, L, 2)."""
        start = np.arange(ids.shape[1], dtype=np.int32)
        return np.broadcast_to(np.stack([start, start + 1], 1), (*ids.shape, 2)).copy()

    def decode(self, ids: np.ndarray) -> np.ndarray:
        """Codes, uint8 (L,), of ids, (L,)."""
        return ids.astype(np.uint8)

    def tokens(self, length: int) -> int:
        """Tokens of ``length`` known bases: as many."""
        return length

    def files(self) -> dict[str, str]:
        """A ``vocab.txt`` with a letter a line."""
        return {vocabulary_files.LIST: "\n".join(LETTERS)}

    def check(self, folder: Path) -> None:
        """Compare with the tokenizer files of a folder, whichever are there.

        Raises:
            InputError: one of them is of another vocabulary.
        """
        vocabulary_files.check(folder, {letter: code for code, letter in enumerate(LETTERS)}, "single bases")
