"""Basset: three convolutions and two dense layers on one-hot sequence.

Source: Kelley, Snoek and Rinn 2016, Genome Research 26:990; layer sizes of the published model are the registry's defaults.
"""

from torch import nn

from regdna.models import geometry
from regdna.models.cnn import SequenceNetwork


class Basset(SequenceNetwork):
    """Unpadded convolutions, as the published weights have them.

    Args:
        length: context in bp.
        outputs: number of targets.
        filters, widths, pools: of the convolutions, first to last.
        hidden: units of the two dense layers: one number for both, or one each.
        dropout: after each dense layer.

    Raises:
        ValueError: the length is too short for the layers, or they are not as many.
    """

    def __init__(
        self, length: int, outputs: int, filters: list[int], widths: list[int], pools: list[int], hidden: int | list[int], dropout: float
    ):
        sizes = {"filters": filters, "widths": widths, "pools": pools, "hidden": hidden, "dropout": dropout}
        super().__init__(length, sizes)
        geometry.one_each(filters=filters, widths=widths, pools=pools)
        left = geometry.fit("Basset", length, widths, pools)
        layers: list[nn.Module] = []
        channels = 4
        for count, width, pool in zip(filters, widths, pools, strict=True):
            layers += [nn.Conv1d(channels, count, width), nn.BatchNorm1d(count), nn.ReLU(), nn.MaxPool1d(pool)]
            channels = count
        layers.append(nn.Flatten())
        inputs = channels * left
        for units in [hidden, hidden] if isinstance(hidden, int) else hidden:
            layers += [nn.Linear(inputs, units), nn.BatchNorm1d(units), nn.ReLU(), nn.Dropout(dropout)]
            inputs = units
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, outputs))


def build(parameters: dict, length: int, outputs: int) -> Basset:
    """A Basset with fresh weights, drawn from torch's generator."""
    return Basset(length, outputs, **parameters)
