"""Rows of tokens: padding them, what they cover and spell, and the mutants that they are made of."""

import numba
import numpy as np

from regdna.alphabet import N, encode


def pad_rows(flat: np.ndarray, count: np.ndarray, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids, int64 (n, T), padded to the longest row, and mask, bool (n, T).

    Args:
        flat: ids of all rows one after the other, int32; what follows the last row is not looked at.
        count: tokens of each row, int64 (n,).
        pad: the id that fills short rows.
    """
    ids = np.empty((len(count), int(count.max(initial=0))), np.int64)
    _lay_out(flat, count, pad, ids)
    return ids, np.arange(ids.shape[1]) < count[:, None]


@numba.njit(cache=True, nogil=True)
def _lay_out(flat, count, pad, ids):
    """Fill ``ids`` row by row."""
    begin = 0
    for row in range(len(count)):
        for at in range(count[row]):
            ids[row, at] = flat[begin + at]
        ids[row, count[row] :] = pad
        begin += count[row]


def spans(ids: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Bases [start, end) of tokens that follow each other without gap or overlap, int32 (n, T, 2).

    Args:
        ids: (n, T).
        widths: bases of each id, int (vocabulary,); 0 for specials.
    """
    width = widths[ids]
    end = width.cumsum(1)
    return np.stack([end - width, end], 2).astype(np.int32)


def spell(ids: np.ndarray, texts: list[str]) -> np.ndarray:
    """Codes, uint8 (L,), of ids, (T,), each read as its text."""
    return encode("".join([texts[one] for one in ids.tolist()]))


def mutants(codes: np.ndarray, where: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """Copies of a sequence with one base replaced in each, uint8 (m, L).

    Args:
        codes: uint8 (L,).
        where: the base that each copy changes, 0-based, int (m,).
        bases: code of its new base, int (m,); N is one.

    Raises:
        ValueError: a base that the sequence has not, or a code that is none.
    """
    check_edits(codes, where, bases)
    rows = np.repeat(codes[None], len(where), 0)
    rows[np.arange(len(where)), where] = bases
    return rows


def check_edits(codes: np.ndarray, where: np.ndarray, bases: np.ndarray) -> None:
    """Refuse edits of what is not there; arguments as of ``mutants``.

    Raises:
        ValueError: a base that the sequence has not, or a code that is none.
    """
    if len(where) != len(bases):
        raise ValueError(f"{len(where)} places, but {len(bases)} bases to put there")
    if len(where) and (np.min(where) < 0 or np.max(where) >= len(codes)):
        raise ValueError(f"edits at {np.min(where)} to {np.max(where)}, but the sequence has {len(codes)} bases")
    if len(bases) and (np.min(bases) < 0 or np.max(bases) > N):
        raise ValueError(f"codes of bases are 0 to {N}, not {np.min(bases)} to {np.max(bases)}")
