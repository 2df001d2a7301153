"""A ``tokenizer.json`` of byte pairs over DNA: what it must hold, and what may not be in it."""

import json
from dataclasses import dataclass

import numpy as np

from regdna.alphabet import LETTERS
from regdna.step import InputError
from regdna.tokenisers.merges import NOTHING, Merges

# Cuttings that leave a run of letters whole.
HARMLESS = {"Whitespace", "WhitespaceSplit", "BertPreTokenizer"}


@dataclass(frozen=True)
class Definition:
    """What a ``tokenizer.json`` says.

    Attributes:
        ids: token to id, specials included.
        merges: the pairs of tokens that become one, in order of rank.
        pad: id of [PAD].
        unknown: id of [UNK].
        letters: id of each code, int32 (5,); N is [UNK] unless it has a token of its own.
        prefix, suffix: ids before and after every sequence, int32.
    """

    ids: dict[str, int]
    merges: Merges
    pad: int
    unknown: int
    letters: np.ndarray
    prefix: np.ndarray
    suffix: np.ndarray


def read(text: str, source: str) -> Definition:
    """Read the text of a ``tokenizer.json``.

    Args:
        text: the definition.
        source: what messages call it.

    Raises:
        InputError: no byte-pair encoding, one that changes or cuts its text in ways that are not followed here, tokens that
            are not of A, C, G, T and N, or none for padding, for the unknown or for a base.
    """
    tokenizer = open_library(text, source)
    content = json.loads(tokenizer.to_str())  # as the library understands it: defaults filled in, one spelling
    model, added = content["model"], {one["content"]: one["id"] for one in content["added_tokens"]}
    if model["type"] != "BPE":
        raise InputError(f"{source} defines a tokenizer of type {model['type']}, not BPE; take an architecture with such tokens")
    _refuse_settings(content, source)
    ids = {**model["vocab"], **added}
    for name, meaning in (("[PAD]", "padding"), ("[UNK]", "what is unknown")):
        if name not in ids:
            raise InputError(f"{source} has no token {name}, which stands for {meaning}; fetch the published file again")
    if model["unk_token"] != "[UNK]":
        raise InputError(f"{source} gives unk_token as {model['unk_token']!r}; it must be '[UNK]'")
    _refuse_tokens(model["vocab"], added, source)
    letters = [ids.get(letter, ids["[UNK]"]) for letter in LETTERS]
    empty, base = tokenizer.encode("").ids, tokenizer.encode("A").ids
    at = base.index(letters[0]) if letters[0] in base else -1
    if at < 0 or base[:at] + base[at + 1 :] != empty:
        raise InputError(f"{source}: a sequence's first and last tokens depend on it; a post_processor must add the same ones to all")
    pairs = [(ids[left], ids[right], ids[left + right]) for left, right in model["merges"]]
    left, right, made = np.array(pairs, np.int64).reshape(-1, 3).T
    first, last, codes = (np.array(one, np.int32) for one in (base[:at], base[at + 1 :], letters))
    return Definition(ids, Merges.of(left, right, made), ids["[PAD]"], ids["[UNK]"], codes, first, last)


def open_library(text: str, source: str) -> object:
    """The tokenizers library's own tokenizer, which neither cuts nor pads.

    Raises:
        InputError: the library cannot open it.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library has no class of its own for what it cannot read
        reason = " ".join(str(error).split())
        raise InputError(f"{source} is no tokenizer that the library can open ({reason}); fetch it again") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _refuse_settings(content: dict, source: str) -> None:
    """Refuse what changes the text, cuts it inside a run of letters, or merges by other rules."""
    cutting = content["pre_tokenizer"] or {"type": "Whitespace"}
    harmless = cutting["type"] in HARMLESS or (cutting["type"] == "ByteLevel" and not cutting["add_prefix_space"])
    settings = {"pre_tokenizer": None if harmless else cutting["type"], "normalizer": (content["normalizer"] or {}).get("type")}
    names = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "fuse_unk", "ignore_merges")
    settings |= {name: content["model"].get(name) for name in names}
    for name, value in settings.items():
        if value:
            raise InputError(
                f"{source} sets {name} to {value!r}; byte pairs of DNA are read without it: take a tokenizer.json that has none"
            )


def _refuse_tokens(vocabulary: dict[str, int], added: dict[str, int], source: str) -> None:
    """Refuse tokens that are not of bases, added ones that are, missing bases, and ids too large for the table of merges."""
    for token, one in {**vocabulary, **added}.items():
        is_dna = bool(token) and set(token) <= set(LETTERS)
        if token in added and is_dna:
            raise InputError(f"{source} adds the token {token!r} (id {one}) beside its merges; DNA must be tokenised by merges alone")
        if token not in added and not is_dna and token not in ("[PAD]", "[UNK]"):
            raise InputError(f"{source} has the token {token!r} (id {one}), which is not of A, C, G, T and N: it is no tokenizer of DNA")
        if one >= NOTHING:
            raise InputError(f"{source} gives the token {token!r} the id {one}; only those below {NOTHING} can be read")
    for letter in "ACGT":
        if letter not in vocabulary:
            raise InputError(f"{source} has no token for the base {letter}; it is no tokenizer of DNA")
