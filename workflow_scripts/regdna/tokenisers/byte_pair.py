"""Byte pairs: tokens of many lengths that were learned from sequence (DNABERT-2)."""

import json
from pathlib import Path

import numpy as np

from regdna.alphabet import N, decode
from regdna.step import InputError
from regdna.tokenisers import vocabulary_files
from regdna.tokenisers.definition import open_library, read
from regdna.tokenisers.rows import check_edits, pad_rows, spans, spell

PROBE = 2000  # bp on which every definition that is opened is compared with the library


class BytePair:
    """Byte-pair encoding in DNABERT-2's layout: [CLS] tokens [SEP], each N one [UNK].

    Ids are those of the tokenizers library, which every opening checks on a sequence; nothing is cut off.

    Args:
        definition: the text of a ``tokenizer.json``.
        source: what messages call it.

    Raises:
        InputError: the definition is none of byte pairs over DNA, or asks for what is not followed here.

    Source: Zhou et al. 2024 (ICLR, arXiv:2306.15006).
    """

    specials = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")  # ids 0 to 4 of what is learned here, as published

    def __init__(self, definition: str, source: str | Path = vocabulary_files.DEFINITION):
        self.definition = definition
        self._defined = read(definition, str(source))
        self.pad = self._defined.pad
        self.vocabulary = max(self._defined.ids.values()) + 1
        self._texts = [""] * self.vocabulary
        for token, one in self._defined.ids.items():
            self._texts[one] = token if token.isalpha() else ""
        self._texts[self._defined.unknown] = "N"
        self._widths = np.array([len(text) for text in self._texts])
        self._compare(str(source))

    @classmethod
    def learn(cls, codes: np.ndarray, vocabulary: int, piece: int = 64) -> "BytePair":
        """Learn ``vocabulary`` tokens (specials included) from sequences, uint8 (n, L).

        Sequences are cut into pieces of ``piece`` bp: pair counts hardly change, and learning stays linear in bases.
        """
        from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

        tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary, special_tokens=list(cls.specials), initial_alphabet=list("ACGT"), show_progress=False
        )
        texts = (decode(row[at : at + piece]).replace("N", " ") for row in codes for at in range(0, len(row), piece))
        tokenizer.train_from_iterator(texts, trainer)
        ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
        tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
        return cls(tokenizer.to_str())

    def encode(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids, int64 (n, T), padded to the longest row, and mask, bool (n, T), false at padding; codes are uint8 (n, L)."""
        flat, count = self._defined.merges.apply(codes, self._defined.letters, self._defined.prefix, self._defined.suffix)
        return pad_rows(flat, count, self.pad)

    def edits(self, codes: np.ndarray, where: np.ndarray, bases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What ``encode`` gives of a sequence's mutants, (m, T) padded to the longest. Arguments as of ``Tokeniser.edits``."""
        check_edits(codes, where, bases)
        defined = self._defined
        flat, count = defined.merges.apply_edits(codes, where, bases, defined.letters, defined.prefix, defined.suffix)
        return pad_rows(flat, count, self.pad)

    def offsets(self, ids: np.ndarray) -> np.ndarray:
        """Bases [start, end) of each token, 0-based, int32 (n, T, 2); [UNK] covers one, other specials and padding none."""
        return spans(ids, self._widths)

    def decode(self, ids: np.ndarray) -> np.ndarray:
        """Codes, uint8 (L,), of ids, (T,)."""
        return spell(ids, self._texts)

    def tokens(self, length: int) -> None:
        """Nothing: how many tokens ``length`` bases make depends on them."""
        return None

    def files(self) -> dict[str, str]:
        """``tokenizer.json`` and ``tokenizer_config.json`` for transformers' PreTrainedTokenizerFast."""
        names = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
        config = {"tokenizer_class": "PreTrainedTokenizerFast"}
        config |= {name: token for name, token in names.items() if token in self._defined.ids}
        return {vocabulary_files.DEFINITION: self.definition, "tokenizer_config.json": json.dumps(config, indent=1) + "\n"}

    def check(self, folder: Path) -> None:
        """Compare with the tokenizer files of a folder.

        Raises:
            InputError: there is no ``tokenizer.json``, or it is of another vocabulary or of other merges.
        """
        vocabulary_files.check(folder, self._defined.ids, "this model's byte pairs")
        path = folder / vocabulary_files.DEFINITION
        if not path.exists():
            raise InputError(f"{path} is not there, and without it no byte-pair model can be read; put the published one there")
        if not self._defined.merges.equals(read(path.read_text(encoding="utf-8"), str(path)).merges):
            raise InputError(f"{path} has other merges than this model's byte pairs; fetch the published file again")

    def _compare(self, source: str) -> None:
        """Refuse a definition of which the library makes other ids on a sequence with N in it."""
        draw = np.random.default_rng(0)
        codes = draw.integers(0, 4, PROBE).astype(np.uint8)
        codes[draw.random(PROBE) < 0.01] = N
        expected = open_library(self.definition, source).encode(decode(codes)).ids
        if self.encode(codes[None])[0][0].tolist() != expected:
            raise InputError(f"{source} asks for something that is not followed here: the tokenizers library makes other ids of a sequence")
