import numpy as np
import pytest
import toy_models

from regdna.alphabet import decode
from regdna.haplotypes import window

SIZE = 4000
FIRST = 1000


@pytest.fixture(scope="module")
def text():
    return toy_models.letters(np.random.default_rng(0), SIZE)


@pytest.fixture(scope="module")
def genome(tmp_path_factory, text):
    record = {f"chr1:{FIRST + 1}-{FIRST + SIZE}": text, "chr2": "ACGTNNGT" * 20}
    return toy_models.genome(tmp_path_factory.mktemp("genome"), record, {"chr1": 10_000, "chr2": 160})


def variant(draw, kind, body):
    """A random variant of a kind at a random place of the text: position in it, REF and ALT."""
    at = int(draw.integers(0, SIZE - 60))
    ref_length = {"snv": 1, "insertion": 1, "deletion": int(draw.integers(2, 50)), "mnv": int(draw.integers(2, 12))}[kind]
    ref = body[at : at + ref_length]
    if kind == "insertion":
        return at, ref, ref + toy_models.letters(draw, int(draw.integers(1, 150)))
    if kind == "deletion":
        return at, ref, ref[: int(draw.integers(1, ref_length))]
    alt = ref
    while alt == ref:
        alt = toy_models.letters(draw, ref_length)
    return at, ref, alt


@pytest.mark.parametrize("kind", ["snv", "insertion", "deletion", "mnv"])
@pytest.mark.parametrize("length", [1, 64, 101])
def test_windows_are_substrings_of_the_edited_chromosome(genome, text, kind, length):
    draw = np.random.default_rng(length)
    done = 0
    for _ in range(500):
        at, ref, alt = variant(draw, kind, text)
        edited = text[:at] + alt + text[at + len(ref) :]
        begin = at - length // 2
        whole = begin >= 0 and begin + length <= min(len(text), len(edited)) and at + len(ref) <= len(text)
        try:
            reference, alternate = window(genome, "chr1", FIRST + at, ref, alt, length)
        except IndexError:
            assert not whole
            continue
        done += 1
        assert decode(reference) == text[begin : begin + length]
        assert decode(alternate) == edited[begin : begin + length]
        assert decode(reference[length // 2 :][:1]) == ref[0]
    assert done > 400


@pytest.mark.parametrize(("ref", "alt"), [("A", "C"), ("AC", "A"), ("A", "AC"), ("ACGT", "A")])
@pytest.mark.parametrize("length", [20, 21])
def test_a_window_is_given_exactly_as_long_as_the_edited_chromosome_holds_it(tmp_path, ref, alt, length):
    body = "ACGT" * 12
    genome = toy_models.genome(tmp_path, {"chr1": body})
    for at in range(0, len(body), 4):
        begin, edited = at - length // 2, len(body) - len(ref) + len(alt)
        if begin >= 0 and begin + length <= min(len(body), edited):
            window(genome, "chr1", at, ref, alt, length)
        else:
            with pytest.raises(IndexError):
                window(genome, "chr1", at, ref, alt, length)


@pytest.mark.parametrize(("ref", "position"), [("C", 40), ("AG", 40), ("N", 44), ("TN", 43)])
def test_a_ref_that_the_genome_does_not_hold_is_refused(genome, ref, position):
    with pytest.raises(ValueError, match="REF"):
        window(genome, "chr2", position, ref, "A", 20)


def test_changing_the_alternate_leaves_the_reference_alone(genome, text):
    reference, alternate = window(genome, "chr1", FIRST + 500, text[500], "A", 30)
    alternate[:] = 0
    assert decode(reference) == text[485:515]
