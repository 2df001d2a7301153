import subprocess
import sys

import pytest

from regdna.models import ARCHITECTURES, geometry
from regdna.models.limits import context

TOWERS = [([19, 11, 7], [3, 4, 4]), ([8, 8, 8], [4, 4, 1]), ([1], [1]), ([5], [7]), ([2, 9], [3, 1])]


def defaults(name):
    return {**ARCHITECTURES[name].sizes, **ARCHITECTURES[name].parameters}


def build(architecture, parameters, length):
    import torch

    from regdna.models import module

    with torch.device("meta"):
        net = module(architecture).build(parameters, length, 2).eval()
        return net(torch.zeros(1, length, dtype=torch.uint8)).logits


def test_asking_imports_no_torch():
    code = "import sys; from regdna.models import limits; sys.exit(bool({'torch', 'numpy', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_of_the_registry_has_limits(name):
    shortest, longest = context(name, defaults(name))
    assert shortest >= 1 and (longest is None or longest > shortest)


def test_published_sizes_by_hand():
    basset, deepsea = (defaults(name) for name in ("basset", "deepsea"))
    # 1 * 4 + 6 = 10, * 4 + 10 = 50, * 3 + 18 = 168
    assert context("basset", basset) == (168, None)
    # 1 * 1 + 7 = 8, * 4 + 7 = 39, * 4 + 7 = 163
    assert context("deepsea", deepsea) == (163, None)
    assert context("basenji", defaults("basenji")) == (1, None)


@pytest.mark.parametrize("name", ["basset", "deepsea", "basenji"])
def test_the_shortest_context_can_be_built_and_one_bp_less_cannot(name):
    parameters = defaults(name)
    shortest, _ = context(name, parameters)
    assert build(name, parameters, shortest).shape == (1, 2)
    with pytest.raises(ValueError, match=rf"^{shortest - 1} bp are too short for .*need.* {shortest}\b"):
        build(name, parameters, shortest - 1)


@pytest.mark.parametrize(("version", "k", "longest"), [(1, 6, 5994), (2, 6, 12282), (2, 3, 6141)])
def test_nucleotide_transformers_end_with_their_positions(version, k, longest):
    assert context("nucleotide-transformer", {"version": version, "k": k, "hidden": 512}) == (1, longest)


@pytest.mark.parametrize(("k", "longest"), [(3, 512), (6, 515)])
def test_dnabert_takes_510_overlapping_kmers(k, longest):
    assert context("dnabert", {"k": k}) == (k, longest)


def test_features_need_a_word_and_byte_pairs_nothing():
    assert context("kmer-logistic", {"k": 5, "l2": 1.0}) == (5, None)
    assert context("composition", {"l2": 1.0}) == context("dnabert2", {"hidden": 768}) == (1, None)


def test_an_unknown_architecture_is_refused():
    with pytest.raises(ValueError, match="'bassett'"):
        context("bassett", {})


@pytest.mark.parametrize("name", ["basset", "deepsea", "basenji"])
def test_lists_that_are_not_as_long_are_refused(name):
    with pytest.raises(ValueError, match=r"filters, widths(,| and) pools.* have 3, 3(,| and) 2.* entries; give one a convolution"):
        context(name, {**defaults(name), "pools": [2, 2]})


@pytest.mark.parametrize(("widths", "pools"), TOWERS)
@pytest.mark.parametrize("left", [1, 2, 5])
def test_the_least_length_is_the_first_that_leaves_so_many_positions(widths, pools, left):
    def remaining(length):
        """By counting the starts of windows that lie within the sequence."""
        for width, pool in zip(widths, pools, strict=True):
            starts = sum(start + width <= length for start in range(length))
            length = sum(start + pool <= starts for start in range(0, starts, pool))
        return length

    found = geometry.least(left, widths, pools)
    assert remaining(found) == left > remaining(found - 1)
    for length in range(found, found + 9):
        assert geometry.unpadded(length, widths, pools) == remaining(length)


def test_padded_layers_keep_a_part():
    assert geometry.padded(1000, [8, 4, 4]) == 8
    assert [geometry.padded(length, [4]) for length in (1, 4, 5, 8, 9)] == [1, 1, 2, 2, 3]
    assert geometry.padded(17, []) == 17
