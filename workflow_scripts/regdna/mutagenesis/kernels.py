"""Differences on the CPU: through activation and pool of a convolution, and through the activation of a dense layer.

A row is the difference of one pooled position of one edit, all filters; the rows of an edit are those of consecutive positions.
"""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def _keep(best, relative, low, gap):
    """Raise the highest so far by a position of the pool that has not changed."""
    for c in range(best.size):
        x = relative[c]
        x = x if x > low[c] else low[c] + gap
        best[c] = x if x > best[c] else best[c]


@numba.njit(cache=True, nogil=True)
def _keep_changed(best, relative, change, low, gap):
    """The same of one that has."""
    for c in range(best.size):
        x = relative[c] + change[c]
        x = x if x > low[c] else low[c] + gap
        best[c] = x if x > best[c] else best[c]


@numba.njit(cache=True, nogil=True)
def _add(total, more):
    for c in range(total.size):
        total[c] += more[c]


@numba.njit(cache=True, nogil=True)
def begin(codes, window, where, base, table, padding, relative, low, gap, pool, at, count, target, out):
    """Rows of the first convolution, from edits of the sequence.

    Args:
        codes: uint8 (s, L).
        window, where, base: of each edit, int64, int64 and uint8 (n,).
        table: change of the product by tap, reference base and new base, (width, 4, 4, filters).
        padding, gap, pool: of the layer.
        relative, low: of the reference, (s, positions, filters) and (s, pooled positions, filters).
        at, count: first pooled position that may change and number of them, int64 (n,).
        target: where in ``out`` each row goes, in the order of edits and positions, int64 (rows,).
        out: filled in, (rows, filters).
    """
    row = 0
    for i in range(len(where)):
        s = window[i]
        old, new = codes[s, where[i]], base[i]
        for place in range(at[i], at[i] + count[i]):
            best = out[target[row]]
            best[:] = -np.inf
            for q in range(place * pool, (place + 1) * pool):
                tap = where[i] - q + padding
                if 0 <= tap < table.shape[0]:
                    _keep_changed(best, relative[s, q], table[tap, old, new], low[s, place], gap)
                else:
                    _keep(best, relative[s, q], low[s, place], gap)
            row += 1


@numba.njit(cache=True, nogil=True)
def carry(window, before_at, before_count, products, padding, relative, low, gap, pool, at, count, target, out):
    """Rows of a later convolution, from those of the layer before times its weight.

    Args:
        before_at, before_count: first position and number of the rows before of each edit, int64 (n,).
        products: of each row before and each tap, (rows before, width, filters).
        others: as of ``begin``.
    """
    width = products.shape[1]
    total = np.empty(products.shape[2], products.dtype)
    row, source = 0, 0
    for i in range(len(window)):
        s = window[i]
        for place in range(at[i], at[i] + count[i]):
            best = out[target[row]]
            best[:] = -np.inf
            for q in range(place * pool, (place + 1) * pool):
                # Position a of the layer before meets tap a - q + padding of position q.
                first = max(before_at[i], q - padding)
                last = min(before_at[i] + before_count[i], q - padding + width)
                if first >= last:
                    _keep(best, relative[s, q], low[s, place], gap)
                    continue
                total[:] = products[source + first - before_at[i], first - q + padding]
                for a in range(first + 1, last):
                    _add(total, products[source + a - before_at[i], a - q + padding])
                _keep_changed(best, relative[s, q], total, low[s, place], gap)
            row += 1
        source += before_count[i]


@numba.njit(cache=True, nogil=True)
def cut(change, window, relative, low, gap):
    """Differences through the activation of a dense layer, in place; gives which units any edit changes, bool (units,).

    Args:
        change: before it, (n, units); after it.
        window: of each edit, int64 (n,).
        relative, low: of the reference, (s, units).
        gap: of the activation.
    """
    alive = np.zeros(change.shape[1], np.bool_)
    for i in range(len(window)):
        s = window[i]
        for c in range(change.shape[1]):
            x = relative[s, c] + change[i, c]
            x = x if x > low[s, c] else low[s, c] + gap
            change[i, c] = x
            alive[c] |= x != 0
    return alive


@numba.njit(cache=True, nogil=True)
def split(weight, first, out):
    """A dense layer's weights by position: of (units, channels * positions) those from ``first`` on, (some, units, channels)."""
    places, channels = weight.shape[1] // out.shape[2], out.shape[2]
    for unit in range(len(weight)):
        # So few channels at a time that they stay at hand for all positions.
        for begin in range(0, channels, 16):
            for x in range(len(out)):
                for c in range(begin, min(begin + 16, channels)):
                    out[x, unit, c] = weight[unit, c * places + first + x]
