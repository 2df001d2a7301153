"""Mutants of one window under a transformer: tokens are made anew only around each edit, and run in batches of like length."""

import numpy as np
from torch import nn

from regdna.models.network import run_inputs

HELD = 2**22  # tokens that are held at once, at most; 40 MB of ids and mask


def substitutions(
    network: nn.Module, codes: np.ndarray, where: np.ndarray, bases: np.ndarray, batch_size: int, precision: str
) -> np.ndarray:
    """Logits of the mutants of a window, one base replaced in each, float32 (m, T).

    Args:
        network: has ``edits``, as ``regdna.models.heads.EncoderClassifier``; on the device where it shall run.
        codes: the window, uint8 (L,).
        where: index into it of the base that each mutant changes, int64 (m,).
        bases: code of its new base, uint8 (m,).
        batch_size, precision: as of ``regdna.models.network.run_inputs``.

    Raises:
        ValueError: a base that the window has not, or a code that is none.
    """
    # No tokeniser makes more tokens than bases and two ends.
    step = max(1, HELD // (len(codes) + 2))
    blocks = [slice(at, at + step) for at in range(0, max(1, len(where)), step)]
    found = [run_inputs(network, network.edits(codes, where[block], bases[block]), batch_size, precision=precision) for block in blocks]
    return np.concatenate(found)
