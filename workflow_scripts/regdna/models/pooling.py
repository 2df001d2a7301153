"""From the last hidden state of every token to one vector a sequence."""

import torch
from torch import nn


class Pooling(nn.Module):
    """One way to read a sequence; a subclass gives ``read``. Whatever stands at padding changes nothing."""

    needs_bases = False

    def forward(self, hidden: torch.Tensor, attention_mask: torch.Tensor, bases: torch.Tensor | None = None) -> torch.Tensor:
        """One vector a sequence, (n, width): float32, or float64 where ``hidden`` is.

        Args:
            hidden: last hidden state, float (n, T, width).
            attention_mask: (n, T), not zero at tokens that are not padding; each row has one.
            bases: how many bases each token covers, float (n, T), 0 for special tokens; only where ``needs_bases``.
        """
        mask = attention_mask.bool()
        # Filled, not multiplied: zero times NaN is NaN, in the gradient too.
        wide = hidden.to(torch.promote_types(hidden.dtype, torch.float32)).masked_fill(~mask[..., None], 0)
        return self.read(wide, mask, bases)


class Weighted(Pooling):
    """A mean over tokens by ``weights``, float (n, T), zero at padding. Products and sums, which autocast leaves in float32."""

    def read(self, hidden: torch.Tensor, mask: torch.Tensor, bases: torch.Tensor | None) -> torch.Tensor:
        """The weighted mean, float (n, width)."""
        weight = self.weights(hidden, mask, bases).to(hidden.dtype)
        return (hidden * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)


class Mean(Weighted):
    """The mean over all tokens that are not padding."""

    # ASSUME: the mean of hidden states is over all tokens but padding, [CLS] and [SEP] among them (as DNABERT-2's authors do).

    def weights(self, hidden: torch.Tensor, mask: torch.Tensor, bases: torch.Tensor | None) -> torch.Tensor:
        """One each."""
        return mask


class Bases(Weighted):
    """The mean over bases: tokens by the number of bases that they cover, so special tokens have no say."""

    needs_bases = True

    def weights(self, hidden: torch.Tensor, mask: torch.Tensor, bases: torch.Tensor | None) -> torch.Tensor:
        """The bases of each token."""
        return torch.where(mask, bases, 0)


class Attention(Weighted):
    """A mean by attention: softmax over tokens of a learned query's scaled products with them. It starts as the plain mean.

    Source: Yang et al. 2016, NAACL-HLT 1480, less its hidden layer.
    """

    def __init__(self, width: int):
        super().__init__()
        self.query = nn.Parameter(torch.zeros(width))

    def weights(self, hidden: torch.Tensor, mask: torch.Tensor, bases: torch.Tensor | None) -> torch.Tensor:
        """The softmax."""
        score = (hidden * self.query).sum(-1) * len(self.query) ** -0.5
        return score.masked_fill(~mask, -torch.inf).softmax(-1)


class First(Pooling):
    """The first token: [CLS], where a tokeniser has one."""

    def read(self, hidden: torch.Tensor, mask: torch.Tensor, bases: torch.Tensor | None) -> torch.Tensor:
        """Token 0, float (n, width)."""
        return hidden[:, 0]


class Max(Pooling):
    """The largest value of each unit, over the tokens that the mean is over."""

    def read(self, hidden: torch.Tensor, mask: torch.Tensor, bases: torch.Tensor | None) -> torch.Tensor:
        """The maximum, float (n, width)."""
        return hidden.masked_fill(~mask[..., None], -torch.inf).amax(1)


POOLINGS = ("mean", "cls", "max", "attention", "bases")
LEARNED = ("attention",)  # of no use on a frozen network before their parameters are trained


def pooling(name: str, width: int) -> Pooling:
    """The pooling of a name in ``POOLINGS``.

    Args:
        width: of the hidden state.

    Raises:
        ValueError: another name.
    """
    if name == "attention":
        return Attention(width)
    kinds = {"mean": Mean, "cls": First, "max": Max, "bases": Bases}
    if name not in kinds:
        raise ValueError(f"no pooling is called {name!r}; there are {', '.join(POOLINGS)}")
    return kinds[name]()


class Several(Pooling):
    """Every pooling that needs no training, so that one pass over the data serves to choose among them.

    Args:
        width: of the hidden state.
    """

    needs_bases = True

    def __init__(self, width: int):
        super().__init__()
        self.each = nn.ModuleDict({name: pooling(name, width) for name in POOLINGS if name not in LEARNED})

    def forward(self, hidden: torch.Tensor, attention_mask: torch.Tensor, bases: torch.Tensor | None = None) -> torch.Tensor:
        """float (n, poolings, width), in the order of ``names``."""
        return torch.stack([one(hidden, attention_mask, bases) for one in self.each.values()], 1)

    @property
    def names(self) -> list[str]:
        """The poolings, in the order of ``POOLINGS``."""
        return list(self.each)
