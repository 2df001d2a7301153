"""What a window is made of, without its order: the shortcuts that a model may be living on."""

import numpy as np

from regdna.alphabet import N, cpg_ratio, gc_content

THIRDS = 3


def features(codes: np.ndarray, position: np.ndarray, parameters: dict) -> np.ndarray:
    """GC of the whole window and of its thirds, CpG ratio, N, position and their squares, float64 (n, 14).

    Args:
        codes: uint8 (n, L).
        position: centre of each window on its chromosome in bp, float (n,).
        parameters: not used.
    """
    # ASSUME: distance to a TSS is no feature of row zero, since promoter targets are defined by it.
    gc = np.nan_to_num(gc_content(codes), nan=0.5)
    parts = [np.nan_to_num(gc_content(part), nan=0.5) for part in np.array_split(codes, THIRDS, axis=1)]
    columns = [gc, *parts, cpg_ratio(codes), (codes == N).mean(1), np.asarray(position, float) / 1e6]
    base = np.stack(columns, 1)
    return np.concatenate([base, base**2], 1)
