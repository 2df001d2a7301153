import numpy as np
import pytest

from regdna.verdict import judge


def spread(low, high):
    return np.linspace(low, high, 1001)


@pytest.mark.parametrize(
    ("difference", "word"),
    [
        (spread(0.01, 0.05), "better"),
        (spread(-0.05, -0.01), "worse"),
        (spread(0.001, 0.003), "better"),
        (spread(-0.004, 0.004), "equivalent"),
        # 95 % interval within 0.0105, 90 % within 0.00995
        (spread(-0.01105, 0.01105), "equivalent"),
        (spread(-0.0112, 0.0112), "cannot tell"),
        (spread(-0.002, 0.05), "cannot tell"),
        (spread(-0.05, 0.05), "cannot tell"),
        (spread(0, 0), "equivalent"),
    ],
)
def test_verdict_by_where_the_interval_lies(difference, word):
    found = judge(difference, 0.01, False)
    assert found["verdict"] == word
    width = difference[-1] - difference[0]
    assert found["low"] == pytest.approx(difference[0] + 0.025 * width)
    assert found["high"] == pytest.approx(difference[0] + 0.975 * width)
    assert found["smallest_detectable"] == pytest.approx(0.475 * width)


def test_swapping_the_models_swaps_better_and_worse():
    one, two = judge(spread(0.01, 0.02), 0.01, False), judge(-spread(0.01, 0.02), 0.01, False)
    assert (one["verdict"], two["verdict"]) == ("better", "worse")
    assert one["low"] == pytest.approx(-two["high"])


@pytest.mark.parametrize(("difference", "small"), [(spread(1, 2), True), (np.full(9, np.nan), False), (np.array([]), False)])
def test_too_little_is_not_judged(difference, small):
    found = judge(difference, 0.01, small)
    assert found["verdict"] == "too small to judge"
    assert np.isnan([found["low"], found["high"], found["smallest_detectable"]]).all()


def test_many_undefined_replicates_are_no_evidence_either_way():
    found = judge(np.r_[spread(1, 2), np.full(200, np.nan)], 0.01, False)
    assert found["verdict"] not in ("better", "worse", "equivalent")
    assert np.isnan(found["low"])
