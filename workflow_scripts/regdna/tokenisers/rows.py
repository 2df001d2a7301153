"""Rows of tokens: padding them, and what they cover and spell."""

import numba
import numpy as np

from regdna.alphabet import encode


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
