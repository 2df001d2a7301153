"""How many positions a stack of convolutions and pools leaves of a sequence. No torch: Snakemake asks while it parses."""


def one_each(**lists: list) -> None:
    """Check that every list has one entry a convolution.

    Raises:
        ValueError: they differ in length.
    """
    if len({len(one) for one in lists.values()}) > 1:
        *names, last = lists
        *sizes, final = (str(len(one)) for one in lists.values())
        raise ValueError(f"{', '.join(names)} and {last} have {', '.join(sizes)} and {final} entries; give one a convolution")


def unpadded(length: int, widths: list[int], pools: list[int]) -> int:
    """Positions left of ``length`` after unpadded convolutions, each followed by a pool that drops a part; below 1: too short."""
    for width, pool in zip(widths, pools, strict=True):
        length = (length - width + 1) // pool
    return length


def least(left: int, widths: list[int], pools: list[int]) -> int:
    """Fewest bp of which ``unpadded`` leaves ``left`` positions."""
    for width, pool in zip(reversed(widths), reversed(pools), strict=True):
        left = left * pool + width - 1
    return left


def padded(length: int, pools: list[int]) -> int:
    """Positions left after convolutions that keep the length, each followed by a pool that keeps a part."""
    for pool in pools:
        length = -(-length // pool)
    return length


def fit(architecture: str, length: int, widths: list[int], pools: list[int]) -> int:
    """Positions that unpadded convolutions leave, as ``unpadded``.

    Raises:
        ValueError: none is left.
    """
    left = unpadded(length, widths, pools)
    if left < 1:
        raise ValueError(
            f"{length} bp are too short for {architecture} with widths {widths} and pools {pools}, which need {least(1, widths, pools)};"
            " pool less or give more context"
        )
    return left
