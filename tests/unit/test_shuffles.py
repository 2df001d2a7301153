import math

import numpy as np
import pytest
from pyfaidx import Fasta
from scipy.stats import chisquare

from regdna.alphabet import N, decode, encode
from regdna.shuffles import TREES, _draw_tree, dinucleotide_shuffle


def pair_counts(row):
    """Dinucleotide counts, (5, 5); pairs with N too, which holds each stretch to its neighbours."""
    counts = np.zeros((5, 5), int)
    np.add.at(counts, (row[:-1], row[1:]), 1)
    return counts


def all_with_the_same_pairs(sequence):
    """Every string that begins as ``sequence`` does and uses each of its dinucleotides as often, by trying all ways."""

    def extend(made, left):
        if not any(left.values()):
            yield made
        for pair, count in left.items():
            if count and pair[0] == made[-1]:
                yield from extend(made + pair[1], {**left, pair: count - 1})

    pairs = [sequence[i : i + 2] for i in range(len(sequence) - 1)]
    return sorted(extend(sequence[0], {pair: pairs.count(pair) for pair in pairs}))


def random_codes(draw, rows, length, unknown=0.0):
    codes = draw.integers(0, 4, (rows, length), dtype=np.uint8)
    codes[draw.random((rows, length)) < unknown] = N
    return codes


@pytest.mark.parametrize(
    "sequence",
    [
        "ACGTCAGTA",
        "ACAGATACGA",
        "AACAACAAGAAT",
        "AAAAACCCCCA",
        "CGCGCTATCGC",
        "TTGCAAGCTTG",
        "ACACACGTGTC",
        "CAACACATAACT",
        "ACTGTCTGGGCA",
        "GAGAGCACAACC",
    ],
)
def test_every_sequence_with_the_same_dinucleotides_is_as_likely(sequence):
    ways = all_with_the_same_pairs(sequence)
    assert len(ways) > 2
    shuffled = dinucleotide_shuffle(np.tile(encode(sequence), (20_000, 1)), seed=5)
    seen = dict.fromkeys(ways, 0)
    for row in shuffled:
        seen[decode(row)] += 1
    assert chisquare(list(seen.values())).pvalue > 0.001


def test_stretches_between_n_are_drawn_apart():
    left, right = all_with_the_same_pairs("ACGTCAGTA"), all_with_the_same_pairs("AAACACAA")
    shuffled = dinucleotide_shuffle(np.tile(encode("ACGTCAGTANNAAACACAA"), (20_000, 1)), seed=6)
    seen = {f"{one}NN{two}": 0 for one in left for two in right}
    for row in shuffled:
        seen[decode(row)] += 1
    assert chisquare(list(seen.values())).pvalue > 0.001


@pytest.mark.parametrize(("length", "unknown"), [(1000, 0.0), (1000, 0.02), (300, 0.3), (5, 0.0)])
def test_counts_and_n_are_kept_in_every_stretch(length, unknown):
    codes = random_codes(np.random.default_rng(1), 100, length, unknown)
    shuffled = dinucleotide_shuffle(codes, seed=1)
    assert np.array_equal(shuffled == N, codes == N)
    for before, after in zip(codes, shuffled, strict=True):
        cuts = np.flatnonzero(before == N)
        for one, two in zip(np.split(before, cuts), np.split(after, cuts), strict=True):
            assert np.array_equal(pair_counts(one), pair_counts(two))
    if length == 1000:  # about a quarter stays by chance
        assert ((codes == shuffled) & (codes < N)).mean() < 0.3


def test_real_sequence_keeps_its_dinucleotides_and_loses_its_order(shared):
    fasta = Fasta(str(shared / "data/genome/hg19_chr20_1000001-2000000.fa"), as_raw=True)
    codes = encode(str(fasta[0][:200_000])).reshape(200, 1000)
    shuffled = dinucleotide_shuffle(codes, seed=3)
    for before, after in zip(codes, shuffled, strict=True):
        assert np.array_equal(pair_counts(before), pair_counts(after)) and before[0] == after[0] and before[-1] == after[-1]
    words = [np.lib.stride_tricks.sliding_window_view(rows, 3, axis=1) @ [16, 4, 1] for rows in (codes, shuffled)]
    before, after = (np.bincount(one.ravel(), minlength=64) for one in words)
    assert np.abs(before - after).sum() > 0.02 * codes.size  # triplets are not held


def test_repeats_that_can_hardly_be_left_are_drawn_at_once():
    letters = "A" * 5000 + "C" * 5000 + "GT"
    shuffled = dinucleotide_shuffle(np.tile(encode(letters), (20, 1)), seed=0)
    assert {decode(row) for row in shuffled} == {letters}


def test_batches_in_any_order_give_the_same_rows():
    codes = random_codes(np.random.default_rng(2), 50, 200, 0.01)
    whole = dinucleotide_shuffle(codes, seed=9)
    parts = [dinucleotide_shuffle(codes[begin : begin + 7], seed=9, first=begin) for begin in range(49, -1, -7)]
    assert np.array_equal(np.concatenate(parts[::-1]), whole)
    assert np.array_equal(dinucleotide_shuffle(codes, seed=9), whole)
    chosen = np.array([40, 3, 3, 0])
    assert np.array_equal(dinucleotide_shuffle(codes[chosen], seed=9, first=chosen), whole[chosen])


def test_seeds_and_rows_draw_apart():
    codes = np.tile(random_codes(np.random.default_rng(3), 1, 500), (30, 1))
    rows = np.concatenate([dinucleotide_shuffle(codes, seed=seed) for seed in (0, 1, 2**64 - 1)])
    assert len({row.tobytes() for row in rows}) == 90
    same = (rows[:, None] == rows[None]).mean(-1)[~np.eye(90, dtype=bool)]
    assert same.max() < 0.4


def test_what_is_given_is_left_alone():
    codes = random_codes(np.random.default_rng(4), 3, 100)
    kept = codes.copy()
    codes.setflags(write=False)
    shuffled = dinucleotide_shuffle(codes, seed=1)
    assert np.array_equal(codes, kept) and shuffled.dtype == np.uint8
    assert np.array_equal(dinucleotide_shuffle(codes[:, ::-1], 1), dinucleotide_shuffle(codes[:, ::-1].copy(), 1))


@pytest.mark.parametrize("shape", [(0, 10), (3, 0), (3, 1), (3, 3)])
def test_nothing_and_too_little_come_back_as_they_are(shape):
    codes = random_codes(np.random.default_rng(5), *shape)
    assert np.array_equal(dinucleotide_shuffle(codes, seed=1), codes)


def test_the_trees_are_all_and_lead_to_their_root():
    assert TREES.shape[1] == 4 ** (4 - 2)  # Cayley's formula
    for root in range(4):
        assert len({tuple(tree) for tree in TREES[root]}) == 16
        for tree in TREES[root]:
            assert tree[root] == root and math.prod(int(tree[one] != one) for one in range(4) if one != root)
            assert (tree[tree[tree]] == root).all()


def test_a_tree_is_as_likely_as_there_are_edges_to_make_it():
    counts = np.array([[9, 0, 3, 1], [3, 0, 5, 1], [0, 0, 0, 0], [1, 4, 0, 2]])  # no G but at the end; the first tree has no edges
    weight = {tuple(tree): int(np.prod(counts[[0, 1, 3], tree[[0, 1, 3]]])) for tree in TREES[2]}
    total = sum(weight.values())
    drawn = [tuple(_draw_tree(counts, 2, (at + 0.5) / total)) for at in range(total)]
    assert {tree: drawn.count(tree) for tree in weight} == weight
    assert weight[tuple(_draw_tree(counts, 2, 0.0))] and weight[tuple(_draw_tree(counts, 2, 1 - 2.0**-53))]
