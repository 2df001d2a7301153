"""What a paired difference lets us say."""

import numpy as np

from regdna.bootstrap import interval


def judge(difference: np.ndarray, margin: float, small: bool) -> dict:
    """The verdict on one model against another.

    Args:
        difference: bootstrap replicates of the paired difference, float (replicates,).
        margin: differences no larger than this are of no practical matter.
        small: the test windows are too few to judge.

    Returns:
        low, high (95 % interval; NaN if small); verdict: ``better`` or ``worse`` if the interval excludes 0,
        ``equivalent`` if the 90 % interval lies within the margin, else ``cannot tell``; and the smallest difference that
        the data would have shown (half the width of the 95 % interval).
    """
    low, high = interval(difference)
    if small or np.isnan(low):  # no interval either where positives lie in so few blocks that many resamples draw none
        nothing = float("nan")
        return {"low": nothing, "high": nothing, "verdict": "too small to judge", "smallest_detectable": nothing}
    near_low, near_high = interval(difference, 0.90)
    if low > 0 or high < 0:
        word = "better" if low > 0 else "worse"
    elif -margin < near_low and near_high < margin:
        word = "equivalent"
    else:
        word = "cannot tell"
    return {"low": low, "high": high, "verdict": word, "smallest_detectable": (high - low) / 2}
