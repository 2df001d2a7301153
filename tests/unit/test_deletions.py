"""Deleting bases, against windows that are put together one by one."""

import numpy as np
import pytest

from regdna.alphabet import encode, reverse_complement
from regdna.mutagenesis.deletions import delete

TEXT = "ACGTTTTGACCATGNACGGATTACATTGC"


class Weighed:
    """A classifier whose log-odds depend on every base, its place, the strand, and where the window lies."""

    def __init__(self, length, targets=2):
        self.weights = np.random.default_rng(1).normal(size=(targets, length, 5))

    def log_odds(self, codes, position):
        return self.weights[:, np.arange(codes.shape[1]), codes].sum(2).T ** 3 + position[:, None] / 100

    def strands(self, codes, position):
        return np.stack([self.log_odds(codes, position), self.log_odds(reverse_complement(codes), position)])


def slow(classifier, codes, starts, length, first, last, begin):
    """Each base, window, end and strand by itself."""
    out = []
    for at in range(first, last):
        effects = []
        for start in starts:
            edited = np.concatenate([codes[:at], codes[at + 1 :]])
            position = np.array([begin + start + length / 2])
            reference = classifier.strands(codes[None, start : start + length], position)
            for left in (start, start - 1):  # the edited sequence from the same base, and from the one before
                effects.append((classifier.strands(edited[None, left : left + length], position) - reference)[:, 0].mean(0))
        out.append(np.mean(effects, 0) if codes[at] < 4 else np.full(2, np.nan))
    return np.array(out)


@pytest.mark.parametrize("starts", [[3], [1, 5], [2, 3, 4]])
def test_effects_are_those_of_windows_put_together_one_by_one(starts):
    classifier, codes = Weighed(20), encode(TEXT)
    found = delete(classifier, codes, starts, 20, 6, 18, 1000)
    assert found == pytest.approx(slow(classifier, codes, starts, 20, 6, 18, 1000), nan_ok=True)
    assert np.isnan(found[14 - 6]).all() and np.isfinite(np.delete(found, 14 - 6, 0)).all()


def test_bases_of_a_run_have_one_effect():
    found = delete(Weighed(20), encode(TEXT), [3], 20, 3, 7, 0)
    assert found == pytest.approx(np.repeat(found[:1], 4, 0))


def test_many_bases_are_computed_in_parts(monkeypatch):
    classifier, codes = Weighed(20), encode(TEXT)
    whole = delete(classifier, codes, [3], 20, 5, 14, 0)
    monkeypatch.setattr("regdna.mutagenesis.deletions.ROWS", 4)
    assert delete(classifier, codes, [3], 20, 5, 14, 0) == pytest.approx(whole)
