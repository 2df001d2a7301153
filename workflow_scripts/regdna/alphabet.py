"""DNA as uint8 codes: A 0, C 1, G 2, T 3, anything else 4 (N)."""

import numpy as np

LETTERS = "ACGTN"
N = 4
_ENCODE = np.full(256, N, np.uint8)
for _code, _letter in enumerate("ACGT"):
    _ENCODE[ord(_letter)] = _ENCODE[ord(_letter.lower())] = _code
_DECODE = np.frombuffer(LETTERS.encode(), np.uint8)
_COMPLEMENT = np.array([3, 2, 1, 0, N], np.uint8)


def encode(sequence: str | bytes) -> np.ndarray:
    """Codes of a sequence, uint8 (L,). Case is ignored; IUPAC letters other than A, C, G, T become N."""
    data = sequence.encode("ascii") if isinstance(sequence, str) else sequence
    return _ENCODE[np.frombuffer(data, np.uint8)]


def decode(codes: np.ndarray) -> str:
    """The upper-case string of codes, uint8 (L,)."""
    return _DECODE[codes].tobytes().decode("ascii")


def reverse_complement(codes: np.ndarray) -> np.ndarray:
    """Reverse complement along the last axis; N stays N. Shape and dtype are kept."""
    return _COMPLEMENT[codes[..., ::-1]]


def unpack_two_bits(packed: np.ndarray, length: int) -> np.ndarray:
    """Codes uint8 (n, length) from bytes (n, ceil(length / 4)) that hold four bases each, the first in the highest bits."""
    shifts = np.array([6, 4, 2, 0], np.uint8)
    codes = (packed[..., None] >> shifts) & 3
    return codes.reshape(*packed.shape[:-1], -1)[..., :length]


def gc_content(codes: np.ndarray) -> np.ndarray:
    """Share of G and C among the bases that are not N, float64 over the last axis; NaN where all are N."""
    known = (codes < N).sum(-1)
    strong = ((codes == 1) | (codes == 2)).sum(-1)
    return np.divide(strong, known, out=np.full(known.shape, np.nan), where=known > 0)


def cpg_ratio(codes: np.ndarray) -> np.ndarray:
    """Observed over expected CpG, float64 over the last axis: n(CG) * L / (n(C) * n(G)); 0 where C or G is absent.

    Source: Gardiner-Garden and Frommer 1987, J Mol Biol 196:261.
    """
    c, g = (codes == 1).sum(-1), (codes == 2).sum(-1)
    pairs = ((codes[..., :-1] == 1) & (codes[..., 1:] == 2)).sum(-1)
    expected = c * g / codes.shape[-1]
    return np.divide(pairs, expected, out=np.zeros(expected.shape), where=expected > 0)
