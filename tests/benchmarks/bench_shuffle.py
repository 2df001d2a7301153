"""Dinucleotide shuffle against tangermeme, 1,000 sequences of 1 kb, one thread, side by side. Prints one JSON object.

The peer is given one-hot sequences, as it wants them, and its checks are part of its time.
"""

import json
import time
from collections.abc import Callable

import numpy as np
import torch
from tangermeme.ersatz import dinucleotide_shuffle as peer_shuffle

from regdna.shuffles import dinucleotide_shuffle

ROWS, LENGTH = 1000, 1000
ALTERNATIONS = 15


def seconds(shuffle: Callable, sequences: object) -> float:
    """Seconds of one call."""
    begun = time.perf_counter()
    shuffle(sequences)
    return time.perf_counter() - begun


def pairs(codes: np.ndarray) -> np.ndarray:
    """Dinucleotide counts of each row, int (n, 16)."""
    return np.stack([np.bincount(row[:-1] * 4 + row[1:], minlength=16) for row in codes.astype(int)])


def bench() -> dict:
    """The median ratio over alternations, and the largest difference of a dinucleotide count from that of the sequence."""
    codes = np.random.default_rng(1).integers(0, 4, (ROWS, LENGTH), dtype=np.uint8)
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(codes).long(), 4).transpose(1, 2).to(torch.int8).contiguous()
    torch.set_num_threads(1)

    def ours(sequences: np.ndarray) -> np.ndarray:
        return dinucleotide_shuffle(sequences, seed=1)

    def peers(sequences: torch.Tensor) -> torch.Tensor:
        return peer_shuffle(sequences, n=1, random_state=1)

    error = int(np.abs(pairs(ours(codes)) - pairs(codes)).max())
    peers(one_hot)
    times = np.array([(seconds(ours, codes), seconds(peers, one_hot)) for _ in range(ALTERNATIONS)])
    here, there = np.median(times, axis=0)
    note = f"{here * 1e3:.1f} ms against {there * 1e3:.1f} ms for {ROWS:,} sequences of {LENGTH:,} bp, one thread"
    ratio = round(float(np.median(times[:, 1] / times[:, 0])), 1)
    return {"name": "dinucleotide-shuffle", "peer": "tangermeme", "ratio": ratio, "error": error, "note": note}


if __name__ == "__main__":
    print(json.dumps(bench()), flush=True)
