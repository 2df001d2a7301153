"""What is put on an encoder: a pooling and one linear layer; and which pooling a frozen encoder is read best with."""

import numpy as np
import torch
from torch import nn

from regdna.models.classifier import log_odds
from regdna.models.outputs import Output
from regdna.models.pooling import LEARNED, POOLINGS
from regdna.models.pooling import pooling as make_pooling
from regdna.tokenisers import Tokeniser


class EncoderClassifier(nn.Module):
    """An encoder, a pooling of its last hidden state, dropout, a linear layer.

    Args:
        encoder: called with ``input_ids`` and ``attention_mask``, (n, T); its answer has ``last_hidden_state``, float (n, T, width).
        tokeniser: makes those from codes.
        width: of the hidden state.
        outputs: number of targets.
        pooling: a name in ``regdna.models.pooling.POOLINGS``.
    """

    def __init__(self, encoder: nn.Module, tokeniser: Tokeniser, width: int, outputs: int, pooling: str = "mean"):
        super().__init__()
        self.encoder, self.tokeniser = encoder, tokeniser
        self.pooling = make_pooling(pooling, width)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(width, outputs)

    def encode(self, codes: np.ndarray) -> dict[str, torch.Tensor]:
        """What ``forward`` takes, from codes, uint8 (n, L): ids, mask, and the bases of each token where the pooling needs them."""
        ids, mask = self.tokeniser.encode(codes)
        batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        return {**batch, "bases": self._bases(batch["input_ids"])} if self.pooling.needs_bases else batch

    def embed(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, bases: torch.Tensor | None = None) -> torch.Tensor:
        """The pooled hidden state, float (n, width). Arguments as of ``forward``."""
        return self._pooled(self._hidden(input_ids, attention_mask), input_ids, attention_mask, bases)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, bases: torch.Tensor | None = None) -> Output:
        """``logits``, float (n, outputs), and ``last_hidden_state``, float (n, T, width).

        Args:
            input_ids: int64 (n, T).
            attention_mask: (n, T), not zero at tokens that are not padding.
            bases: of each token, float (n, T); taken from the tokeniser where the pooling needs them and they are not given.
        """
        hidden = self._hidden(input_ids, attention_mask)
        pooled = self._pooled(hidden, input_ids, attention_mask, bases).to(self.head.weight.dtype)
        return Output(logits=self.head(self.dropout(pooled)), last_hidden_state=hidden)

    def _hidden(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    def _pooled(
        self, hidden: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor, bases: torch.Tensor | None
    ) -> torch.Tensor:
        if self.pooling.needs_bases and bases is None:
            bases = self._bases(input_ids)
        return self.pooling(hidden, attention_mask, bases)

    def _bases(self, input_ids: torch.Tensor) -> torch.Tensor:
        ends = self.tokeniser.offsets(input_ids.cpu().numpy())
        return torch.from_numpy(np.asarray(ends[..., 1] - ends[..., 0], np.float32)).to(input_ids.device)


def choose_pooling(
    embeddings: dict[str, np.ndarray],
    validation: dict[str, np.ndarray],
    labels: np.ndarray,
    validation_labels: np.ndarray,
    exclusive: bool,
    l2: float,
) -> tuple[str, dict[str, float]]:
    """The pooling whose probe ranks the validation windows best, and every candidate's mean validation average precision.

    A logistic regression is fitted on each candidate's training embeddings. Ties go to the first of ``POOLINGS``.

    Args:
        embeddings: of the training windows by pooling, each float (n, width).
        validation: of the validation windows under the same names, each float (m, width).
        labels: of the training windows, bool (n, T).
        validation_labels: bool (m, T); the mean is over targets that have both classes here.
        exclusive, l2: as of ``linear.fit_logistic``.

    Raises:
        ValueError: no candidate, an unknown or untrained one, names that differ, or no target with both classes.
    """
    # sklearn's, not regdna.metrics': a change of how results are judged must not change how models are made.
    from sklearn.metrics import average_precision_score

    from regdna.models.linear import fit_logistic

    # ASSUME: a frozen network is read with the pooling whose probe has the highest mean average precision on validation windows.
    names = [name for name in POOLINGS if name in embeddings and name not in LEARNED]
    if not names or set(names) != set(embeddings) or set(names) != set(validation):
        raise ValueError(
            f"poolings {sorted(embeddings)} and {sorted(validation)} for validation; "
            f"give the same of {', '.join(name for name in POOLINGS if name not in LEARNED)} in both"
        )
    both = [target for target, share in enumerate(validation_labels.mean(0)) if 0 < share < 1]
    if not both:
        raise ValueError("no target has both classes among the validation windows, so no pooling can be chosen")
    scores = {}
    for name in names:
        weight, bias = fit_logistic(embeddings[name].astype(np.float64), labels, exclusive, l2)
        odds = log_odds(validation[name] @ weight.T + bias, exclusive)
        scores[name] = float(np.mean([average_precision_score(validation_labels[:, target], odds[:, target]) for target in both]))
    return max(names, key=scores.__getitem__), scores
