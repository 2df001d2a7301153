"""Tokens of k bases: overlapping ones (DNABERT), and blocks one after the other (Nucleotide Transformer)."""

import itertools
import json
from pathlib import Path

import numba
import numpy as np

from regdna.alphabet import N
from regdna.tokenisers import vocabulary_files
from regdna.tokenisers.rows import check_edits, pad_rows, spans, spell

ORDER = "ATCG"  # of both vocabularies
RANK = np.array([0, 2, 3, 1, 4], np.int64)  # of the codes A, C, G, T, N in A, T, C, G, N
CODE = np.array([0, 3, 1, 2, 4], np.uint8)  # and back


def words(k: int) -> list[str]:
    """All k-mers in the vocabularies' order."""
    return ["".join(word) for word in itertools.product(ORDER, repeat=k)]


class OverlappingKmers:
    """DNABERT's tokens: [CLS], every k-mer from one base to the next, [SEP]; a k-mer with N is [UNK].

    A sequence shorter than k has no k-mer.

    Args:
        k: 3 to 6.

    Source: Ji, Zhou, Liu and Davuluri 2021, Bioinformatics 37:2112, and the published vocabularies' order.
    """

    specials = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
    pad, unknown, cls, sep = 0, 1, 2, 3

    def __init__(self, k: int):
        if k not in (3, 4, 5, 6):
            raise ValueError(f"k of overlapping k-mers is 3, 4, 5 or 6, not {k}")
        self.k = k
        self._texts = [*self.specials, *words(k)]
        self.vocabulary = len(self._texts)

    def encode(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids, int64 (n, T), and mask, bool (n, T), all true, of codes, uint8 (n, L); T is L - k + 3, at least 2."""
        ids = np.empty((len(codes), self.tokens(codes.shape[1])), np.int64)
        _overlapping(np.ascontiguousarray(codes), self.k, len(self.specials), ids)
        ids[:, 0], ids[:, -1] = self.cls, self.sep
        return ids, np.ones(ids.shape, bool)

    def edits(self, codes: np.ndarray, where: np.ndarray, bases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What ``encode`` gives of a sequence's mutants, (m, L - k + 3). Arguments as of ``Tokeniser.edits``."""
        check_edits(codes, where, bases)
        ids = np.repeat(self.encode(codes[None])[0], len(where), 0)
        _overlapping_edits(codes.copy(), where, bases, self.k, len(self.specials), ids)
        return ids, np.ones(ids.shape, bool)

    def offsets(self, ids: np.ndarray) -> np.ndarray:
        """Bases [start, end) of each token, 0-based, int32 (n, T, 2): k of them, [UNK] too; 0 to 0 for other specials."""
        start = np.arange(-1, ids.shape[1] - 1, dtype=np.int32)
        found = np.broadcast_to(np.stack([start, start + self.k], 1), (*ids.shape, 2))
        return np.where(self._covers(ids)[..., None], found, 0).astype(np.int32)

    def decode(self, ids: np.ndarray) -> np.ndarray:
        """Codes, uint8 (L,), of ids, (T,). A base that no known k-mer covers is N: so are known ones between N closer than k."""
        words = ids[self._covers(ids)] - len(self.specials)
        codes = np.full(len(words) + self.k - 1 if len(words) else 0, N, np.uint8)
        known = np.flatnonzero(words >= 0)
        for place in range(self.k):
            codes[known + place] = CODE[words[known] >> 2 * (self.k - 1 - place) & 3]
        return codes

    def tokens(self, length: int) -> int:
        """Tokens of ``length`` bases."""
        return max(length - self.k + 1, 0) + 2

    def files(self) -> dict[str, str]:
        """``vocab.txt`` and ``tokenizer_config.json`` for transformers' BertTokenizer, which takes k-mers with spaces between."""
        names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
        config = {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "model_max_length": 512}
        config |= dict(zip(names, self.specials, strict=True))
        return {vocabulary_files.LIST: "\n".join(self._texts), "tokenizer_config.json": json.dumps(config, indent=1) + "\n"}

    def check(self, folder: Path) -> None:
        """Compare with the tokenizer files of a folder, whichever are there.

        Raises:
            InputError: one of them is of another vocabulary.
        """
        ids = {token: one for one, token in enumerate(self._texts)}
        vocabulary_files.check(folder, ids, f"DNABERT's {self.k}-mers")

    def _covers(self, ids: np.ndarray) -> np.ndarray:
        """Where a token stands for bases, bool: not where a sequence begins, ends or is padded."""
        return (ids != self.pad) & (ids != self.cls) & (ids != self.sep)


class KmerBlocks:
    """Nucleotide Transformer's tokens: <cls>, then k-mers that do not overlap.

    Greedy from the left: k known bases make one token, else the next base alone makes one; so an N, and up to k - 1
    bases before it or at the end, are tokens of their own, and blocks begin anew after it. No token at the end.

    Args:
        k: 6; 3 for one of the published models of version 2.
        version: 1 or 2, of the published vocabulary. The first's file ends with <eos> and <bos>, for which the model has no
            rows; ``vocabulary`` is the model's.

    Source: Dalla-Torre et al. 2024 (Nature Methods 22:287) and the published vocabularies' order.
    """

    pad, mask, cls = 1, 2, 3

    def __init__(self, k: int, version: int):
        if version not in (1, 2) or not 1 < k < 7:
            raise ValueError(f"k is 2 to 6 and the version 1 or 2, not {k} and {version}")
        self.k, self.version = k, version
        specials, ends = ["<unk>", "<pad>", "<mask>", "<cls>"], ["<eos>", "<bos>"]
        front = specials if version == 1 else specials + ends
        bases = [*words(k), *ORDER, "N"]
        self._first = len(front)
        self._listed = [*front, *bases, *(ends if version == 1 else [])]
        self._texts = [""] * self._first + bases
        self._widths = np.array([len(text) for text in self._texts])
        self.vocabulary = len(self._texts)

    def encode(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids, int64 (n, T), padded to the longest row, and mask, bool (n, T), false at padding; codes are uint8 (n, L)."""
        flat = np.empty(len(codes) * (codes.shape[1] + 1), np.int32)
        count = np.empty(len(codes), np.int64)
        _blocks(np.ascontiguousarray(codes), self.k, self.cls, self._first, flat, count)
        return pad_rows(flat, count, self.pad)

    def edits(self, codes: np.ndarray, where: np.ndarray, bases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What ``encode`` gives of a sequence's mutants, (m, T) padded to the longest. Arguments as of ``Tokeniser.edits``."""
        check_edits(codes, where, bases)
        flat = np.empty(len(where) * (len(codes) + 1), np.int32)
        count = np.empty(len(where), np.int64)
        _blocks_edits(codes.copy(), where, bases, self.k, self.cls, self._first, flat, count)
        return pad_rows(flat, count, self.pad)

    def offsets(self, ids: np.ndarray) -> np.ndarray:
        """Bases [start, end) of each token, 0-based, int32 (n, T, 2); specials and padding cover none."""
        return spans(ids, self._widths)

    def decode(self, ids: np.ndarray) -> np.ndarray:
        """Codes, uint8 (L,), of ids, (T,)."""
        return spell(ids, self._texts)

    def tokens(self, length: int) -> int:
        """Tokens of ``length`` known bases, <cls> included."""
        return 1 + length // self.k + length % self.k

    def files(self) -> dict[str, str]:
        """``vocab.txt``, ``tokenizer_config.json`` and ``special_tokens_map.json`` for transformers' EsmTokenizer."""
        names = {"unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>", "cls_token": "<cls>"}
        # The class would add an end token of its own were its name not null.
        config = {"tokenizer_class": "EsmTokenizer", "eos_token": None, "model_max_length": 1000 if self.version == 1 else 2048}
        return {
            vocabulary_files.LIST: "\n".join(self._listed),
            "tokenizer_config.json": json.dumps(config | names, indent=1) + "\n",
            "special_tokens_map.json": json.dumps(names, indent=1) + "\n",
        }

    def check(self, folder: Path) -> None:
        """Compare with the tokenizer files of a folder, whichever are there.

        Raises:
            InputError: one of them is of another vocabulary.
        """
        ids = {token: one for one, token in enumerate(self._listed)}
        vocabulary_files.check(folder, ids, f"Nucleotide Transformer v{self.version}'s {self.k}-mers", self._listed[self.vocabulary :])


@numba.njit(cache=True, nogil=True)
def _overlapping_row(codes, k, first, ids):
    """Fill ``ids`` with the k-mers of one row, the first at 0; 1 is [UNK]."""
    within = 4**k - 1
    word, since = 0, 0  # the last k bases, and how many of them follow the last N
    for at in range(len(codes)):
        code = codes[at]
        word = (word << 2 | RANK[code] & 3) & within
        since = since + 1 if code < N else 0
        if at >= k - 1:
            ids[at - k + 1] = first + word if since >= k else 1


@numba.njit(cache=True, nogil=True)
def _overlapping(codes, k, first, ids):
    """Fill ``ids`` between its first and last column."""
    for row in range(len(codes)):
        _overlapping_row(codes[row], k, first, ids[row, 1:])


@numba.njit(cache=True, nogil=True)
def _overlapping_edits(codes, where, bases, k, first, ids):
    """Change the k-mers of each row that hold its edit; every row comes as the reference's."""
    for row in range(len(where)):
        at = where[row]
        begin, old = max(at - k + 1, 0), codes[at]
        codes[at] = bases[row]
        _overlapping_row(codes[begin : at + k], k, first, ids[row, 1 + begin :])
        codes[at] = old


@numba.njit(cache=True, nogil=True)
def _blocks_row(codes, k, first, flat, out):
    """Ids of one row in ``flat`` from ``out`` on; gives where they end."""
    length, single, at = len(codes), first + 4**k, 0
    while at + k <= length:
        word, seen = 0, 0  # no branch in here: N is the one code with the bit 4
        for base in range(at, at + k):
            word = word << 2 | RANK[codes[base]]
            seen |= codes[base]
        if seen & N:  # the bases up to the N, and it, one by one
            while codes[at] < N:
                flat[out] = single + RANK[codes[at]]
                out += 1
                at += 1
            flat[out] = single + N
            out += 1
            at += 1
        else:
            flat[out] = first + word
            out += 1
            at += k
    for base in range(at, length):
        flat[out] = single + RANK[codes[base]]
        out += 1
    return out


@numba.njit(cache=True, nogil=True)
def _blocks(codes, k, cls, first, flat, count):
    """Ids of all rows one after the other in ``flat``, and how many each has in ``count``."""
    out = 0
    for row in range(len(codes)):
        begin = out
        flat[out] = cls
        out = _blocks_row(codes[row], k, first, flat, out + 1)
        count[row] = out - begin


@numba.njit(cache=True, nogil=True)
def _blocks_edits(codes, where, bases, k, cls, first, flat, count):
    """The same of mutants. A base for a base changes its own token; an N that comes or goes, all between the N around it.

    For blocks begin anew after an N, and how the bases before it are cut depends on none behind it.
    """
    length, single = len(codes), first + 4**k
    reference, start = np.empty(length + 1, np.int32), np.empty(length + 2, np.int64)
    holder = np.empty(length + 1, np.int64)  # of each base the token, and of the end one more than there are
    reference[0] = cls
    total = _blocks_row(codes, k, first, reference, 1)
    at = 0
    for token in range(1, total):
        start[token] = at
        for _ in range(k if reference[token] < single else 1):
            holder[at] = token
            at += 1
    start[total], holder[length] = length, total
    out = 0
    for row in range(len(where)):
        at = where[row]
        old = codes[at]
        begin, end = start[holder[at]], start[holder[at] + 1]
        if old == N or bases[row] == N:
            begin, end = at, at + 1
            while begin > 0 and codes[begin - 1] < N:
                begin -= 1
            while end < length and codes[end] < N:
                end += 1
        before, after = holder[begin], holder[end]
        stop = out + before
        flat[out:stop] = reference[:before]
        codes[at] = bases[row]
        stop = _blocks_row(codes[begin:end], k, first, flat, stop)
        codes[at] = old
        flat[stop : stop + total - after] = reference[after:total]
        stop += total - after
        count[row] = stop - out
        out = stop
