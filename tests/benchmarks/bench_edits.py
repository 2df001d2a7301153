"""Tokens of all substitutions of a sequence, made anew only around each; rows bpe-incremental and nt-patch of the benchmarks.

The sequence is a window of 1 kb in the middle of the demo's megabase. Ours begin with it and the edits and end with padded arrays,
on one thread; the peers begin with the mutants' texts, as they do in the benchmark of tokenisers, which says more.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
from bench_tokenisers import PUBLISHED, SOME, VOCABULARY, compare, windows
from transformers import EsmTokenizer, PreTrainedTokenizerFast

from regdna.alphabet import N, decode
from regdna.tokenisers import BytePair, KmerBlocks
from regdna.tokenisers.rows import mutants


def substitutions(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places, int64 (3L,), and codes, uint8 (3L,), of the other three bases at each."""
    where = np.repeat(np.arange(len(codes)), 3)
    return where, ((codes[where] + np.tile([1, 2, 3], len(codes))) % 4).astype(np.uint8)


def byte_pairs(rows: np.ndarray, codes: np.ndarray, folder: Path, published: Path | None) -> dict:
    """Byte pairs against the fast tokenizer of the same definition."""
    tokeniser = BytePair(published.read_text()) if published else BytePair.learn(rows, VOCABULARY)
    for name, text in tokeniser.files().items():
        (folder / name).write_text(text)
    reference, edits = PreTrainedTokenizerFast.from_pretrained(folder), substitutions(codes)
    texts = [decode(row) for row in mutants(codes, *edits)]

    def differ(ids: np.ndarray, mask: np.ndarray, expected: dict) -> int:
        return int((ids != expected["input_ids"]).sum() + (mask != expected["attention_mask"]).sum())

    note = f"{tokeniser.vocabulary} tokens, {'as published' if published else 'learned from the demo'}"
    peer = lambda: reference(texts, padding=True, return_tensors="np")  # noqa: E731
    return compare("bpe-incremental", "hf-fast", lambda: tokeniser.edits(codes, *edits), peer, 1, differ, note)


def blocks(codes: np.ndarray, folder: Path) -> dict:
    """Blocks of six against EsmTokenizer."""
    tokeniser = KmerBlocks(6, 2)
    for name, text in tokeniser.files().items():
        (folder / name).write_text(text)
    reference, edits = EsmTokenizer.from_pretrained(folder), substitutions(codes)
    texts = [decode(row) for row in mutants(codes, *edits)]
    some = texts[:: len(texts) // SOME]

    def differ(ids: np.ndarray, mask: np.ndarray, _: object) -> int:
        return int((ids != np.array(reference(texts)["input_ids"])).sum() + (~mask).sum())

    note = f"the peer timed on {len(some)} windows and scaled"
    ours, peer = lambda: tokeniser.edits(codes, *edits), lambda: reference(some)
    return compare("nt-patch", "esmtokenizer", ours, peer, len(texts) / len(some), differ, note)


if __name__ == "__main__":
    rows = windows()
    rows = rows[(rows < N).all(1)]
    window = rows[len(rows) // 2]
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(byte_pairs(rows, window, Path(folder), PUBLISHED if PUBLISHED.is_file() else None)), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(blocks(window, Path(folder))), flush=True)
