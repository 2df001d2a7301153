"""Tokenisers over batches of uint8 codes."""

import numpy as np

from regdna.alphabet import N, decode


class SixMer:
    """Non-overlapping 6-mers with the published vocabulary of Nucleotide Transformer v2, after one <cls>.

    Greedy from the left: six known bases make one token, else the next base alone makes one; so an N, and up to five
    bases at the end, are tokens of their own. Only <cls> is added.

    Source: Dalla-Torre et al. 2024 (Nature Methods 22:287) and the published vocabulary's order.
    """

    vocabulary = 4107
    pad, cls = 1, 3
    _first, _single = 6, 4102
    _order = np.array([0, 2, 3, 1, 4])  # rank of A, C, G, T, N in the vocabulary's order A, T, C, G, N

    def encode(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Token ids, int64 (n, T), padded to the longest, and mask, bool (n, T), of codes, uint8 (n, L)."""
        rank = self._order[codes]
        clean = ~(codes == N).any(1)
        if clean.all():
            ids = self._fixed_frame(rank)
            return ids, np.ones(ids.shape, bool)
        rows = [self._fixed_frame(row[None])[0] if whole else self._greedy(row) for row, whole in zip(rank, clean, strict=True)]
        ids = np.full((len(rows), max(map(len, rows))), self.pad, np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
        return ids, ids != self.pad

    def _fixed_frame(self, rank: np.ndarray) -> np.ndarray:
        whole = rank.shape[1] // 6
        words = rank[:, : whole * 6].reshape(len(rank), whole, 6) @ (4 ** np.arange(5, -1, -1))
        start = np.full((len(rank), 1), self.cls)
        return np.concatenate([start, words + self._first, rank[:, whole * 6 :] + self._single], 1).astype(np.int64)

    def _greedy(self, rank: np.ndarray) -> np.ndarray:
        ids, at = [self.cls], 0
        while at < len(rank):
            word = rank[at : at + 6]
            if len(word) == 6 and (word < 4).all():
                ids.append(self._first + int(word @ (4 ** np.arange(5, -1, -1))))
                at += 6
            else:
                ids.append(self._single + int(rank[at]))
                at += 1
        return np.array(ids, np.int64)


class BytePair:
    """Byte-pair encoding in DNABERT-2's layout: [CLS] tokens [SEP], each N one [UNK].

    Args:
        definition: the text of a ``tokenizer.json``.
    """

    specials = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")  # ids 0 to 4, as published

    def __init__(self, definition: str):
        from tokenizers import Tokenizer

        self.definition = definition
        self._tokenizer = Tokenizer.from_str(definition)
        self.pad = self._tokenizer.token_to_id("[PAD]")
        self.vocabulary = self._tokenizer.get_vocab_size()
        self._tokenizer.enable_padding(pad_id=self.pad, pad_token="[PAD]")
        self._tokenizer.no_truncation()

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
        """Token ids, int64 (n, T), padded to the longest, and mask, bool (n, T), of codes, uint8 (n, L)."""
        found = self._tokenizer.encode_batch_fast([decode(row) for row in codes])
        ids = np.array([one.ids for one in found], np.int64)
        return ids, np.array([one.attention_mask for one in found], bool)
