"""Encoders with a head: what the head reads off the last hidden state is added to the encoder's answer."""

import torch
from torch import nn
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertPooler

from regdna.models.outputs import Output


class WithHead:
    """Goes before a ``PreTrainedModel`` whose ``base_model`` is the encoder; a subclass gives ``read``."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **more) -> Output:
        """The encoder's answer, ``last_hidden_state`` float (n, T, H), and ``logits``, from int64 (n, T)."""
        out = self.base_model(input_ids, attention_mask, **more)
        out.logits = self.read(out.last_hidden_state)
        return out


class BertMaskedLM(WithHead):
    """A masked-language-model head called ``cls``, as BERT's descendants have it."""

    def get_output_embeddings(self) -> nn.Linear:
        """The matrix that is tied to the word embeddings."""
        return self.cls.predictions.decoder

    def read(self, hidden: torch.Tensor) -> torch.Tensor:
        """float (n, T, vocabulary) from (n, T, H)."""
        return self.cls(hidden)


class BertClassifier(WithHead):
    """A pooler on the first token, in the encoder, and a linear classifier, as BERT's descendants are fine-tuned."""

    def add_head(self, config: BertConfig) -> None:
        """Make the layers."""
        self.base_model.pooler = BertPooler(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def read(self, hidden: torch.Tensor) -> torch.Tensor:
        """float (n, labels) from (n, T, H)."""
        return self.classifier(self.dropout(self.base_model.pooler(hidden)))
