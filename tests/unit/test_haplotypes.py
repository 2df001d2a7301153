import gzip

import numpy as np
import pandas as pd
import pytest
import toy_models

from regdna.alphabet import decode
from regdna.haplotypes import FRAMES, alternates, begins, edits, fits, framed, held, keeps_length, references

SIZE = 4000
FIRST = 1000
KINDS = ["snv", "insertion", "deletion", "mnv", "complex"]


@pytest.fixture(scope="module")
def text():
    return toy_models.letters(np.random.default_rng(0), SIZE)


@pytest.fixture(scope="module")
def genome(tmp_path_factory, text):
    record = {f"chr1:{FIRST + 1}-{FIRST + SIZE}": text, "chr2": "ACGTNNGT" * 20}
    return toy_models.genome(tmp_path_factory.mktemp("genome"), record, {"chr1": 10_000, "chr2": 160})


def table(*rows):
    return pd.DataFrame(rows, columns=["contig", "position", "ref", "alt"])


def variant(draw, kind, body):
    """A random variant of a kind at a random place of the text: position in it, REF and ALT."""
    at = int(draw.integers(0, len(body) - 60))
    size = {"snv": 1, "insertion": 1, "deletion": int(draw.integers(2, 50)), "mnv": int(draw.integers(2, 12)), "complex": 7}[kind]
    ref = body[at : at + size]
    if kind == "insertion":
        return at, ref, ref + toy_models.letters(draw, int(draw.integers(1, 150)))
    if kind == "deletion":
        return at, ref, ref[: int(draw.integers(1, size))]
    length, alt = (int(draw.integers(2, 30)) if kind == "complex" else size), ref
    while alt == ref:
        alt = toy_models.letters(draw, length)
    return at, ref, alt


def changed(at, ref, alt):
    """First changed base, and what goes out and comes in: equal bases at the end, then at the beginning, are taken off one by one."""
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        at, ref, alt = at + 1, ref[1:], alt[1:]
    return at, ref, alt


def by_hand(body, at, ref, alt, frame, length, shift):
    """Reference and alternate window of one variant out of two whole chromosomes; None where one does not hold it."""
    edited = body[:at] + alt + body[at + len(ref) :]
    first, gone, added = changed(at, ref, alt)
    middle = length // 2 + shift  # index of the base that a frame holds in place
    place = {"left": (first, first), "right": (first + len(gone) - 1, first + len(added) - 1),
             "centre": (first + len(gone) // 2, first + len(added) // 2)}[frame]  # fmt: skip
    windows = []
    for whole, where in zip((body, edited), place, strict=True):
        start = where - middle
        if start < 0 or start + length > len(whole):
            return None
        windows.append(whole[start : start + length])
    return tuple(windows)


def check(genome, contig, start, body, variants, length, shift, align):
    """Compare every window with the one cut out by hand; gives the number of windows."""
    rows = [(contig, start + at, ref, alt) for at, ref, alt in variants]
    some = edits(table(*rows))
    ok = held(genome, some, length, [shift], align)
    done = 0
    missing = np.zeros(len(rows), bool)
    for frame, which, _ in framed(some, align):
        expected = [by_hand(body, *variants[row], frame, length, shift) for row in which]
        missing[which] |= np.array([one is None for one in expected], bool)
        inside = which[ok[which]]
        begin, edited = begins(some[inside], frame, length, shift)
        found = references(genome, some[inside], begin, length), alternates(genome, some[inside], edited, length)
        for row, reference, alternate in zip(inside, *found, strict=True):
            assert (decode(reference), decode(alternate)) == expected[np.flatnonzero(which == row)[0]]
            done += 1
    return done, ok, missing


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("length", "shift", "align"), [(1, 0, "ends"), (64, 0, "centre"), (101, 3, "ends"), (101, -7, "centre")])
def test_windows_are_substrings_of_the_chromosome_and_of_the_edited_one(genome, text, kind, length, shift, align):
    draw = np.random.default_rng(length)
    variants = [variant(draw, kind, text) for _ in range(300)]
    done, ok, missing = check(genome, "chr1", FIRST, text, variants, length, shift, align)
    assert done > 240
    # What is said to be held is; and what is not held lacks a window, but where an insertion alone fills it.
    assert not (ok & missing).any()
    if length > 1:
        long = np.array([len(alt) > length for _, _, alt in variants])
        assert (ok | missing | long).all()


def test_the_windows_of_real_variants_are_substrings_of_the_edited_chromosome(shared, tmp_path):
    body = "".join((shared / "data/genome/hg19_chr20_1000001-2000000.fa").read_text().split("\n")[1:]).upper()
    genome = toy_models.genome(tmp_path, {"chr20:1000001-2000000": body}, {"chr20": 63_025_520})
    with gzip.open(shared / "data/variants/hg19_chr20_1-2M.1000G.vcf.gz", "rt") as file:
        lines = [line.split("\t")[:5] for line in file if not line.startswith("#")]
    letters = set("ACGT")
    variants = [
        (int(position) - 1, ref, alt) for _, position, _, ref, alts in lines for alt in alts.split(",") if alt and set(alt) <= letters
    ]
    assert len(variants) > 29_000
    for at, ref, _ in variants:
        assert body[at : at + len(ref)] == ref
    rows = [("chr20", 1_000_000 + at, ref, alt) for at, ref, alt in variants]
    some = edits(table(*rows))
    inside = np.flatnonzero(held(genome, some, 600, [0], "ends"))
    assert len(inside) > 29_000
    picked = some[inside]
    begin, edited = begins(picked, "left", 600, 0)
    reference, alternate = references(genome, picked, begin, 600), alternates(genome, picked, edited, 600)
    for row, one, other in zip(inside, reference, alternate, strict=True):
        at, ref, alt = variants[row]
        first, _, _ = changed(at, ref, alt)
        left = body[first - 300 : at + len(ref)]
        assert decode(one) == body[first - 300 : first + 300]
        whole = (left[: at - first + 300] + alt + body[at + len(ref) : at + len(ref) + 700])[:600]
        assert decode(other) == whole
    indels = [variants[row] for row in np.flatnonzero(~keeps_length(some))[::4]] + variants[:200]
    done, _, _ = check(genome, "chr20", 1_000_000, body, indels, 600, 2, "ends")
    assert done > 400
    assert check(genome, "chr20", 1_000_000, body, indels, 601, 0, "centre")[0] > 400


def test_thousands_of_random_variants_on_real_sequence(shared, tmp_path):
    body = "".join((shared / "data/genome/hg19_chr22_20000001-21000000.fa").read_text().split("\n")[1:]).upper()[:300_000]
    genome = toy_models.genome(tmp_path, {"chr22:20000001-20300000": body}, {"chr22": 51_304_566})
    draw = np.random.default_rng(3)
    variants = [variant(draw, kind, body) for kind in KINDS for _ in range(700)]
    variants = [one for one in variants if "N" not in one[1]]
    # A few hundred bases around each are chromosome enough.
    for align in FRAMES:
        done = 0
        for at, ref, alt in variants[:: 1 if align == "ends" else 5]:
            start = max(at - 700, 0)
            part = body[start : at + 1400]
            done += check_one(genome, 20_000_000 + start, part, (at - start, ref, alt), align)
        assert done > 500


def check_one(genome, start, part, one, align):
    some = edits(table(("chr22", start + one[0], *one[1:])))
    if not held(genome, some, 200, [0], align).all():
        return 0
    for frame, rows, _ in framed(some, align):
        for _ in rows:
            begin, edited = begins(some, frame, 200, 0)
            found = decode(references(genome, some, begin, 200)[0]), decode(alternates(genome, some, edited, 200)[0])
            assert found == by_hand(part, *one, frame, 200, 0)
    return 1


@pytest.mark.parametrize("align", FRAMES)
def test_what_keeps_its_length_has_one_frame_and_the_first_changed_base_in_the_middle(genome, text, align):
    ref = text[500:504]
    alt = ref[0] + "".join("ACGT"["CGTA".index(base)] for base in ref[1:])
    some = edits(table(("chr1", FIRST + 500, ref, alt), ("chr1", FIRST + 600, text[600], "A" if text[600] != "A" else "C")))
    assert [frame for frame, rows, _ in framed(some, align) if len(rows)] == ["left"]
    begin, edited = begins(some, "left", 50, 4)
    assert begin.tolist() == edited.tolist() == [FIRST + 501 - 29, FIRST + 600 - 29]
    windows = references(genome, some, begin, 50), alternates(genome, some, edited, 50)
    differs = windows[0] != windows[1]
    assert np.flatnonzero(differs[0]).tolist() == [29, 30, 31] and np.flatnonzero(differs[1]).tolist() == [29]


@pytest.mark.parametrize(("ref", "alt"), [("ACGTA", "A"), ("A", "AGGG"), ("ACC", "ATTTTTT")])
def test_one_flank_stays_in_place_in_each_frame_of_ends(tmp_path, ref, alt):
    body = toy_models.letters(np.random.default_rng(5), 100) + ref + toy_models.letters(np.random.default_rng(6), 100)
    genome = toy_models.genome(tmp_path, {"chr1": body})
    some = edits(table(("chr1", 100, ref, alt)))
    windows = {}
    for frame in FRAMES["ends"]:
        begin, edited = begins(some, frame, 40, 0)
        windows[frame] = references(genome, some, begin, 40)[0], alternates(genome, some, edited, 40)[0]
    assert np.array_equal(windows["left"][0][:20], windows["left"][1][:20])
    assert np.array_equal(windows["right"][0][21:], windows["right"][1][21:])
    assert not np.array_equal(windows["right"][0][:20], windows["right"][1][:20])


@pytest.mark.parametrize(("ref", "alt"), [("A", "C"), ("AC", "A"), ("A", "AC"), ("ACGT", "A")])
@pytest.mark.parametrize("length", [20, 21])
def test_a_window_is_held_exactly_where_both_chromosomes_hold_it(tmp_path, ref, alt, length):
    body = "ACGT" * 12
    genome = toy_models.genome(tmp_path, {"chr1": body})
    some = edits(table(*(("chr1", at, ref, alt) for at in range(0, len(body), 4))))
    for align in FRAMES:
        expected = np.ones(len(some), bool)
        for frame, rows, _ in framed(some, align):
            for row in rows:
                expected[row] &= by_hand(body, 4 * row, ref, alt, frame, length, 0) is not None
        assert held(genome, some, length, [0], align).tolist() == expected.tolist()
        both = [held(genome, some, length, [shift], align) for shift in (-3, 2)]
        assert held(genome, some, length, [-3, 2], align).tolist() == (both[0] & both[1]).tolist()


def test_a_window_beyond_what_is_held_is_refused(genome):
    some = edits(table(("chr2", 155, "T", "TG")))
    with pytest.raises(IndexError, match="chr2:15"):
        alternates(genome, some, begins(some, "left", 20, 0)[1], 20)
    with pytest.raises(KeyError):
        held(genome, edits(table(("chr3", 5, "A", "C"))), 4, [0], "ends")


def test_an_insertion_fits_a_window_of_its_own_length(genome):
    some = edits(table(("chr1", FIRST + 900, "A", "A" + "CG" * 5), ("chr1", FIRST + 900, "A" * 30, "A")))
    assert fits(some, 10).tolist() == [True, True] and fits(some, 9).tolist() == [False, True]


def test_rows_can_be_picked_in_any_order(genome, text):
    draw = np.random.default_rng(9)
    rows = [("chr1", FIRST + at, ref, alt) for at, ref, alt in (variant(draw, kind, text) for kind in KINDS for _ in range(4))]
    some, order = edits(table(*rows)), np.array([7, 3, 3, 19, 0])
    picked, again = some[order], edits(table(*(rows[row] for row in order)))
    for name in ("contig", "first", "removed", "added", "bounds"):
        assert np.array_equal(getattr(picked, name), getattr(again, name)), name


def test_changing_the_alternate_leaves_the_reference_alone(genome, text):
    some = edits(table(("chr1", FIRST + 500, text[500], "A" if text[500] != "A" else "C")))
    begin, edited = begins(some, "left", 30, 0)
    reference, alternate = references(genome, some, begin, 30), alternates(genome, some, edited, 30)
    alternate[:] = 0
    assert decode(reference[0]) == text[485:515] == decode(references(genome, some, begin, 30)[0])
