"""What is put on an encoder: a pooling of one of its layers, and a linear layer."""

import numpy as np
import torch
from torch import nn

from regdna.alphabet import N
from regdna.models.outputs import Output
from regdna.models.pooling import pooling as make_pooling
from regdna.models.precision import full
from regdna.tokenisers import Tokeniser
from regdna.tokenisers.rows import mutants

PROBE = 16  # N, of which it is read how a tokeniser takes them: more than any of its words has bases


class EncoderClassifier(nn.Module):
    """An encoder, a pooling of one of its hidden states, dropout, a linear layer.

    Attributes:
        layer: the hidden state that is pooled: None for the last, 0 for the embedding, k for what the k-th layer gives.

    Args:
        encoder: called with ``input_ids`` and ``attention_mask``, (n, T); its answer has ``last_hidden_state``, float (n, T, width), and
            ``hidden_states`` where ``output_hidden_states`` asks for them.
        tokeniser: makes those from codes.
        width: of the hidden state.
        outputs: number of targets.
        pooling: a name in ``regdna.models.pooling.POOLINGS``.
        layer: as the attribute.
    """

    def __init__(self, encoder: nn.Module, tokeniser: Tokeniser, width: int, outputs: int, pooling: str = "mean", layer: int | None = None):
        super().__init__()
        self.encoder, self.tokeniser, self.layer = encoder, tokeniser, layer
        self.pooling = make_pooling(pooling, width)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(width, outputs)

    def encode(self, codes: np.ndarray) -> dict[str, torch.Tensor]:
        """What ``forward`` takes, from codes, uint8 (n, L): ids, mask, and the bases of each token where the pooling needs them.

        Padded to the longest row that is left when N at the ends are cut off.
        """
        return self._batch(codes, *self.tokeniser.encode(codes))

    def edits(self, codes: np.ndarray, where: np.ndarray, bases: np.ndarray) -> dict[str, torch.Tensor]:
        """What ``encode`` gives of the mutants of one sequence, whose tokens are made anew only around the base that is replaced.

        Args:
            codes: uint8 (L,).
            where: the base that each mutant changes, 0-based, int64 (m,).
            bases: code of its new base, uint8 (m,); N is one.

        Raises:
            ValueError: a base that the sequence has not, or a code that is none.
        """
        return self._batch(mutants(codes, where, bases), *self.tokeniser.edits(codes, where, bases))

    def _batch(self, codes: np.ndarray, ids: np.ndarray, mask: np.ndarray) -> dict[str, torch.Tensor]:
        # ASSUME: N at the two ends of a window are no sequence (short sequences filled up, windows shifted or beyond a chromosome's end):
        # transformers do not see them. Of a window that is N throughout they see one.
        ids, mask = without_ends(self.tokeniser, codes, ids, mask)
        batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        return {**batch, "bases": self._bases(batch["input_ids"])} if self.pooling.needs_bases else batch

    def embed(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, bases: torch.Tensor | None = None) -> torch.Tensor:
        """The pooled hidden state, float (n, width). Arguments as of ``forward``."""
        return self._pooled(self._hidden(input_ids, attention_mask), input_ids, attention_mask, bases)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, bases: torch.Tensor | None = None) -> Output:
        """``logits``, float (n, outputs), and as ``last_hidden_state`` that of the chosen layer, float (n, T, width).

        Args:
            input_ids: int64 (n, T).
            attention_mask: (n, T), not zero at tokens that are not padding.
            bases: of each token, float (n, T); taken from the tokeniser where the pooling needs them and they are not given.
        """
        hidden = self._hidden(input_ids, attention_mask)
        pooled = self._pooled(hidden, input_ids, attention_mask, bases).to(self.head.weight.dtype)
        with full(pooled.device):
            return Output(logits=self.head(self.dropout(pooled)), last_hidden_state=hidden)

    def embed_layers(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, bases: torch.Tensor | None = None) -> torch.Tensor:
        """Every hidden state pooled, the embedding first: float (n, layers + 1, poolings, width). Arguments as of ``forward``.

        The pooling is the network's own, or every untrained one where it has ``pooling.Several``.
        """
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True).hidden_states
        pooled = [self._pooled(one, input_ids, attention_mask, bases) for one in states]
        return torch.stack([one.reshape(len(one), -1, one.shape[-1]) for one in pooled], 1)

    def _hidden(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        if self.layer is None:
            return self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self.encoder(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True).hidden_states[self.layer]

    def _pooled(
        self, hidden: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor, bases: torch.Tensor | None
    ) -> torch.Tensor:
        if self.pooling.needs_bases and bases is None:
            bases = self._bases(input_ids)
        return self.pooling(hidden, attention_mask, bases)

    def _bases(self, input_ids: torch.Tensor) -> torch.Tensor:
        ends = self.tokeniser.offsets(input_ids.cpu().numpy())
        return torch.from_numpy(np.asarray(ends[..., 1] - ends[..., 0], np.float32)).to(input_ids.device)


def without_ends(tokeniser: Tokeniser, codes: np.ndarray, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask as of sequences without the N at their two ends, padded to the longest row that is left.

    Tokens that mark the ends stay, and so does one of an N where nothing else would be left. Tokens of which an N is a part of a longer
    word stay too; no vocabulary that was published has any.

    Args:
        tokeniser: one that takes each N in a row of them as a token, always the same.
        codes: uint8 (n, L).
        ids, mask: what the tokeniser made of them, int64 and bool (n, T).
    """
    if not codes.size or not ((codes[:, 0] == N) | (codes[:, -1] == N)).any():
        return ids, mask
    prefix, suffix, unknown = _ends(tokeniser)
    known = codes < N
    lead = np.where(known.any(1), known.argmax(1), codes.shape[1])
    trail = np.where(known.any(1), known[:, ::-1].argmax(1), codes.shape[1])
    count = mask.sum(1)
    inner = count - prefix - suffix
    lead = np.clip(lead, 0, np.maximum(inner - 1, 0))
    trail = np.clip(trail, 0, np.maximum(inner - 1 - lead, 0))
    at = np.arange(ids.shape[1])
    cut = ((at >= prefix) & (at < (prefix + lead)[:, None])) | (
        (at >= (count - suffix - trail)[:, None]) & (at < (count - suffix)[:, None])
    )
    odd = (cut & (ids != unknown)).any(1)
    cut[odd] = False
    kept = mask & ~cut
    out = np.full((len(ids), int(kept.sum(1).max())), tokeniser.pad, np.int64)
    left = np.arange(out.shape[1]) < kept.sum(1)[:, None]
    out[left] = ids[kept]
    return out, left


def _ends(tokeniser: Tokeniser) -> tuple[int, int, int]:
    """How many tokens stand before and behind every sequence, and the id of an N."""
    row = tokeniser.encode(np.full((1, PROBE), N, np.uint8))[0][0]
    unknown = int(row[len(row) // 2])
    inner = np.flatnonzero(row == unknown)
    return int(inner[0]), int(len(row) - 1 - inner[-1]), unknown
