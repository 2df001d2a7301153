"""DeepSEA: three convolutions and one dense layer on one-hot sequence.

Source: Zhou and Troyanskaya 2015, Nature Methods 12:931; layer sizes of the published model are the registry's defaults.
"""

from torch import nn

from regdna.models import geometry
from regdna.models.cnn import SequenceNetwork

FLOOR = 1e-6  # what the published network puts where a ReLU has 0


class DeepSEA(SequenceNetwork):
    """Unpadded convolutions on channels in the order A, G, C, T, as published.

    Args:
        length: context in bp.
        outputs: number of targets.
        filters, widths, pools, dropouts: of the convolutions, first to last; a pool of 1 is none.
        hidden: units of the dense layer.

    Raises:
        ValueError: the length is too short for the layers, or they are not as many.
    """

    def __init__(
        self, length: int, outputs: int, filters: list[int], widths: list[int], pools: list[int], dropouts: list[float], hidden: int,
    ):  # fmt: skip
        sizes = {"filters": filters, "widths": widths, "pools": pools, "dropouts": dropouts, "hidden": hidden}
        super().__init__(length, sizes, "AGCT")
        geometry.one_each(filters=filters, widths=widths, pools=pools, dropouts=dropouts)
        left = geometry.fit("DeepSEA", length, widths, pools)
        layers: list[nn.Module] = []
        channels = 4
        for count, width, pool, dropout in zip(filters, widths, pools, dropouts, strict=True):
            layers += [nn.Conv1d(channels, count, width), nn.Threshold(0, FLOOR)]
            if pool > 1:
                layers.append(nn.MaxPool1d(pool))
            layers.append(nn.Dropout(dropout))
            channels = count
        layers += [nn.Flatten(), nn.Linear(channels * left, hidden), nn.Threshold(0, FLOOR)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, outputs))


def build(parameters: dict, length: int, outputs: int) -> DeepSEA:
    """A DeepSEA with fresh weights, drawn from torch's generator."""
    return DeepSEA(length, outputs, **parameters)
