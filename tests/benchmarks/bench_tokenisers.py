"""Tokenising against transformers, on real sequence in windows of 1 kb; rows kmer6 and bpe of the benchmarks.

The windows are those of the demo's megabase that hold a known base; the byte pairs are DNABERT-2's where its tokenizer.json lies
beside the checkout, else as many learned from the demo. Ours begin with codes and end with padded arrays, on one thread;
the peers begin with texts. EsmTokenizer is asked for lists without padding, which it makes fastest, on part of the windows; the
fast tokenizer for padded arrays, on as many threads as it takes. Prints one JSON object a line.
"""

import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from transformers import EsmTokenizer, PreTrainedTokenizerFast

from regdna.alphabet import N, decode, encode
from regdna.tokenisers.byte_pair import BytePair
from regdna.tokenisers.kmers import KmerBlocks

DEMO = Path(__file__).parents[2] / "resources/demo/chr22/sequence.fa.gz"
WIDTH, ALTERNATIONS, REPEATS, SOME = 1000, 7, 5, 100
VOCABULARY = 4096
PUBLISHED = Path(__file__).parents[3] / "shared/data/tokenizers/dnabert2_tokenizer.json"  # beside the project's own checkout alone


def windows() -> np.ndarray:
    """Codes of the windows, uint8 (n, 1000)."""
    codes = encode("".join(gzip.decompress(DEMO.read_bytes()).decode().split("\n")[1:]))
    rows = codes[: len(codes) // WIDTH * WIDTH].reshape(-1, WIDTH)
    return np.ascontiguousarray(rows[(rows < N).any(1)])


def clocks(function: Callable) -> tuple[np.ndarray, object]:
    """Seconds by the wall and of CPU time, and what the function gives."""
    begun, used = time.perf_counter(), time.process_time()
    found = function()
    return np.array([time.perf_counter() - begun, time.process_time() - used]), found


def compare(name: str, peer: str, ours: Callable, theirs: Callable, scale: float, differ: Callable, note: str) -> dict:
    """One row: the median ratio over alternations.

    Args:
        name, peer, note: of the row.
        ours, theirs: what is timed.
        scale: what the peer's seconds are multiplied with to stand for all windows.
        differ: number of ids that differ between what both give.
    """
    _, (ids, mask) = clocks(ours)
    _, expected = clocks(theirs)
    error = differ(ids, mask, expected)
    assert error == 0, f"{name}: {error} ids differ"
    here, there = [], []
    for _ in range(ALTERNATIONS):
        there.append(clocks(theirs)[0] * scale)
        here.append(np.median([clocks(ours)[0] for _ in range(REPEATS)], axis=0))
    seconds, peers, (ratio, by_cpu) = np.median(here, 0), np.median(there, 0), np.median(np.divide(there, here), 0)
    note = (
        f"{seconds[0] * 1e3:.1f} ms on one thread ({seconds[0] * 1e9 / mask.sum():.0f} ns a token) against {peers[0] * 1e3:.0f} ms for "
        f"{len(ids)} windows of {WIDTH} bp; by CPU time the ratio is {by_cpu:.1f}; {note}; error: ids that differ"
    )
    return {"name": name, "peer": peer, "ratio": round(float(ratio), 1), "error": error, "note": note}


def kmers(codes: np.ndarray, folder: Path) -> dict:
    """Blocks of six against EsmTokenizer."""
    tokeniser = KmerBlocks(6, 2)
    for name, text in tokeniser.files().items():
        (folder / name).write_text(text)
    reference, texts = EsmTokenizer.from_pretrained(folder), [decode(row) for row in codes]
    some = texts[:: len(texts) // SOME]

    def differ(ids: np.ndarray, mask: np.ndarray, _: object) -> int:
        found = [one[kept].tolist() for one, kept in zip(ids, mask, strict=True)]
        return sum(one != other for one, other in zip(found, reference(texts)["input_ids"], strict=True))

    note = f"the peer timed on {len(some)} windows and scaled"
    return compare("kmer6", "esmtokenizer", lambda: tokeniser.encode(codes), lambda: reference(some), len(texts) / len(some), differ, note)


def byte_pairs(codes: np.ndarray, published: Path | None) -> dict:
    """Byte pairs against the fast tokenizer of the same definition."""
    tokeniser = BytePair(published.read_text()) if published else BytePair.learn(codes, VOCABULARY)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in tokeniser.files().items():
            (Path(folder) / name).write_text(text)
        reference = PreTrainedTokenizerFast.from_pretrained(folder)
    texts = [decode(row) for row in codes]

    def differ(ids: np.ndarray, mask: np.ndarray, expected: dict) -> int:
        return int((ids != expected["input_ids"]).sum() + (mask != expected["attention_mask"]).sum())

    note = f"{tokeniser.vocabulary} tokens, {'as published' if published else 'learned from the demo'}"
    peer = lambda: reference(texts, padding=True, return_tensors="np")  # noqa: E731
    return compare("bpe", "hf-fast", lambda: tokeniser.encode(codes), peer, 1, differ, note)


if __name__ == "__main__":
    rows = windows()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(kmers(rows, Path(folder))), flush=True)
    print(json.dumps(byte_pairs(rows, PUBLISHED if PUBLISHED.is_file() else None)), flush=True)
