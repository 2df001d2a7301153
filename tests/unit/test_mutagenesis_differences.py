import copy

import numpy as np
import pytest
import torch
from test_cnns import MODULES, SMALL, disturb, random_codes
from torch import nn

from regdna.alphabet import N
from regdna.models.cnn import SequenceNetwork
from regdna.models.geometry import least
from regdna.mutagenesis import differences, kernels, stack
from regdna.mutagenesis.gathered import Gathered


class Layers(SequenceNetwork):
    """Any layers."""

    def __init__(self, layers, length, order="ACGT"):
        super().__init__(length, {}, order)
        self.layers = nn.Sequential(*layers)


def drawn(seed, dtype=torch.float64):
    """A stack of sizes that the seed draws: with or without normalisation, pools, padding, pool before or after the activation."""
    draw = np.random.default_rng(seed)
    depth = int(draw.integers(1, 4))
    widths, pools = draw.integers(1, 7, depth), draw.integers(1, 5, depth)
    length = least(int(draw.integers(1, 4)), widths.tolist(), pools.tolist()) + int(draw.integers(0, 9))
    layers, channels, left = [], 4, length
    for width, pool in zip(widths.tolist(), pools.tolist(), strict=True):
        filters, padding = int(draw.integers(1, 20)), int(draw.integers(0, 3)) if seed % 3 == 0 else 0
        layers.append(nn.Conv1d(channels, filters, width, padding=padding, bias=bool(draw.integers(2))))
        if draw.integers(2):
            layers.append(nn.BatchNorm1d(filters, affine=bool(draw.integers(2))))
        cut = nn.ReLU() if draw.integers(2) else nn.Threshold(0.1, 0.1 + draw.choice([-0.3, 0.2]))
        pooled = [nn.MaxPool1d(pool)] if pool > 1 else []
        first = pooled if isinstance(cut, nn.ReLU) and draw.integers(2) else []
        layers += [*first, cut, *([] if first else pooled), nn.Dropout(0.5)]
        left, channels = (left + 2 * padding - width + 1) // pool, filters
    layers.append(nn.Flatten())
    inputs = channels * left
    for units in draw.integers(1, 9, draw.integers(0, 3)).tolist():
        norm = [nn.BatchNorm1d(units)] if draw.integers(2) else []
        layers += [nn.Linear(inputs, units, bias=bool(draw.integers(2))), *norm, nn.ReLU() if draw.integers(2) else nn.Threshold(0.0, 1e-6)]
        inputs = units
    net = Layers([*layers, nn.Linear(inputs, 3)], length, str(draw.choice(["ACGT", "AGCT"])))
    return disturb(net, seed).eval().to(dtype)


def every_edit(codes):
    """All substitutions of windows by another base, in no order."""
    window, where, base = np.nonzero((codes[..., None] != np.arange(4)) & (codes[..., None] != N))
    order = np.random.default_rng(0).permutation(len(window))
    return window[order], where[order], base[order].astype(np.uint8)


def by_loop(net, codes, window, where, base):
    """The change of the logits, every mutant by itself, float64; computed in the type of the weights."""
    mutants = codes[window]
    mutants[np.arange(len(window)), where] = base
    with torch.inference_mode():
        return (net(mutants).logits - net(codes).logits[window]).double().numpy()


def in_double(net):
    """The same network with weights in float64, computed as its layers are written."""
    return copy.deepcopy(net).double()


def found(net, codes, edits, half=False):
    layers = stack.read(net)
    out = np.full((len(edits[0]), net.last.out_features), np.nan)
    with torch.inference_mode():
        held = layers.refer(codes)
    for some, change in differences.changes(layers, held, codes, *edits, half):
        out[some] = change
    return out


def gathered(net, codes, edits, half=False):
    layers = stack.read(net)
    return Gathered(layers, layers.refer(codes), codes, half).carry(*edits)


@pytest.fixture(params=[found, gathered], ids=["processor", "gathered"])
def engine(request):
    return request.param


@pytest.mark.parametrize("seed", range(60))
def test_any_stack_equals_its_mutants_one_by_one(engine, seed):
    net = drawn(seed)
    codes = random_codes(seed, 3, net.length, 0.1)
    codes[2] = codes[1]
    edits = every_edit(codes)
    expected = by_loop(net, codes, *edits)
    assert engine(net, codes, edits) == pytest.approx(expected, abs=1e-12)
    assert stack.read(net).refer(codes).logits.detach().numpy() == pytest.approx(net(codes).logits.detach().numpy(), abs=1e-12)


def test_the_stacks_that_are_drawn_are_of_every_kind():
    kinds = [[type(one) for one in drawn(seed).layers] for seed in range(60)]
    pairs = {pair for one in kinds for pair in zip(one, one[1:], strict=False)}
    conv, norm, relu, cut, pool = nn.Conv1d, nn.BatchNorm1d, nn.ReLU, nn.Threshold, nn.MaxPool1d
    assert {(conv, norm), (conv, relu), (conv, cut), (conv, pool), (norm, pool), (pool, relu), (cut, pool), (relu, pool)} <= pairs
    assert {(nn.Flatten, nn.Linear), (nn.Linear, norm), (nn.Linear, cut)} <= pairs
    assert {sum(kind is conv for kind in one) for one in kinds} == {1, 2, 3}


@pytest.mark.parametrize("size", [1, 7, "half", 10_000])
@pytest.mark.parametrize("held", [1, 500])
def test_blocks_and_threads_change_nothing(monkeypatch, size, held):
    net = drawn(7)
    codes = random_codes(7, 2, net.length, 0.1)
    edits = every_edit(codes)
    monkeypatch.setattr(differences, "EDITS", len(edits[0]) // 2 + 1 if size == "half" else size)
    monkeypatch.setattr(differences, "HELD", held)
    monkeypatch.setattr(differences, "PARTS", 2)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert found(net, codes, edits) == pytest.approx(by_loop(net, codes, *edits), abs=1e-12)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_part_of_the_bases_is_the_same_part_of_all(engine):
    net = in_double(disturb(MODULES["basset"].build(SMALL["basset"], 70, 3), 2).eval())
    codes = random_codes(3, 2)
    edits = every_edit(codes)
    for some in (edits[1] < 5, edits[1] > 64, (edits[1] > 30) & (edits[1] < 33), edits[1] < 0):
        part = [one[some] for one in edits]
        if some.any() or engine is found:
            assert engine(net, codes, part) == pytest.approx(by_loop(net, codes, *part), abs=1e-12)


def test_equal_heights_in_a_pool_are_no_matter(engine):
    # Weights of 1 and sequence in repeats: many positions are as high as each other.
    net = Layers([nn.Conv1d(4, 3, 3), nn.ReLU(), nn.MaxPool1d(4), nn.Flatten(), nn.Linear(3 * 9, 2)], 40).double().eval()
    disturb(net, 0)
    with torch.no_grad():
        net.layers[0].weight.copy_(torch.randint(-1, 2, net.layers[0].weight.shape, generator=torch.Generator().manual_seed(1)))
        net.layers[0].bias.zero_()
    codes = np.tile(np.array([0, 0, 1, 1], np.uint8), 10)[None]
    edits = every_edit(codes)
    assert engine(net, codes, edits) == pytest.approx(by_loop(net, codes, *edits), abs=1e-12)


def test_units_that_are_off_throughout_leave_zeros(engine):
    net = drawn(7)
    dense = [one for one in net.layers if isinstance(one, nn.Conv1d)][-1]
    with torch.no_grad():
        dense.weight.zero_()
    codes = random_codes(1, 2, net.length)
    assert not engine(net, codes, every_edit(codes)).any()
    net = Layers([nn.Conv1d(4, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 8, 5), nn.ReLU(), nn.Linear(5, 2)], 10).eval()
    with torch.no_grad():
        net.layers[3].bias.fill_(-1e6)
    for one in (net, in_double(net)):
        codes = random_codes(1, 2, 10)
        assert not engine(one, codes, every_edit(codes)).any()


def big(name, dtype=torch.float32):
    """A network of published widths, with fewer filters, and activations of unit size."""
    sizes = {
        "basset": {"filters": [60, 40, 40], "widths": [19, 11, 7], "pools": [3, 4, 4], "hidden": 100, "dropout": 0.3},
        "deepsea": {"filters": [64, 96, 100], "widths": [8, 8, 8], "pools": [4, 4, 1], "dropouts": [0.2, 0.2, 0.5], "hidden": 90},
    }
    return disturb(MODULES[name].build(sizes[name], 400, 20), 5).eval().to(dtype)


@pytest.mark.parametrize("name", ["basset", "deepsea"])
def test_the_error_is_no_larger_than_that_of_a_plain_loop(engine, name):
    net = big(name)
    codes = random_codes(4, 2, 400, 0)
    edits = [one[::7] for one in every_edit(codes)]
    exact, plain, ours = by_loop(in_double(net), codes, *edits), by_loop(net, codes, *edits), engine(net, codes, edits)
    assert np.abs(exact).max() > 0.01
    assert np.abs(ours - exact).max() <= np.abs(plain - exact).max()
    assert np.sqrt(((ours - exact) ** 2).mean()) < 0.5 * np.sqrt(((plain - exact) ** 2).mean())


@pytest.mark.parametrize("name", ["basset", "deepsea"])
def test_in_bfloat16_the_error_is_a_small_part_of_a_plain_loops(engine, name):
    net = big(name)
    codes = random_codes(4, 2, 400, 0)
    edits = [one[::7] for one in every_edit(codes)]
    exact, ours = by_loop(in_double(net), codes, *edits), engine(net, codes, edits, True)
    with torch.autocast("cpu", torch.bfloat16):
        plain = by_loop(net, codes, *edits)
    # A twentieth at the published sizes (tests/benchmarks/bench_mutagenesis.py), where one base of 1,000 matters less.
    assert 0 < np.sqrt(((ours - exact) ** 2).mean()) <= np.sqrt(((plain - exact) ** 2).mean()) / 10
    # Not what float32 gives: products are in half precision.
    assert np.abs(ours - exact).max() > 20 * np.abs(engine(net, codes, edits) - exact).max()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["basset", "deepsea"])
def test_a_gpu_gives_the_same(name):
    net = in_double(big(name))
    codes = random_codes(4, 2, 400, 0.02)
    edits = every_edit(codes)
    assert found(net.cuda(), codes, edits) == pytest.approx(by_loop(net.cpu(), codes, *edits), abs=1e-10)


@pytest.mark.parametrize(
    "net",
    [
        disturb(MODULES["basenji"].build(SMALL["basenji"], 70, 3), 1).eval(),
        Layers([nn.Flatten(), nn.Linear(40, 3)], 10).eval(),
        Layers([nn.Conv1d(4, 3, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)], 10).eval(),
        Layers([nn.Conv1d(4, 3, 3, dilation=2), nn.ReLU(), nn.Flatten(), nn.Linear(18, 3)], 10).eval(),
        Layers([nn.Conv1d(4, 4, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)], 10).eval(),
        Layers([nn.Conv1d(4, 3, 3, padding=1, padding_mode="circular"), nn.ReLU(), nn.Flatten(), nn.Linear(30, 3)], 10).eval(),
        Layers([nn.Conv1d(4, 3, 3, padding="same"), nn.ReLU(), nn.Flatten(), nn.Linear(30, 3)], 10).eval(),
        Layers([nn.Conv1d(4, 3, 3), nn.GELU(), nn.Flatten(), nn.Linear(24, 3)], 10).eval(),
        Layers([nn.Conv1d(4, 3, 3), nn.Flatten(), nn.Linear(24, 3)], 10).eval(),
        Layers([nn.Conv1d(4, 3, 3), nn.ReLU(), nn.BatchNorm1d(3), nn.Flatten(), nn.Linear(24, 3)], 10).eval(),
        Layers([nn.Conv1d(4, 3, 3), nn.ReLU(), nn.MaxPool1d(3, 2), nn.Flatten(), nn.Linear(9, 3)], 10).eval(),
        Layers([nn.Conv1d(4, 3, 3), nn.ReLU(), nn.MaxPool1d(3, ceil_mode=True), nn.Flatten(), nn.Linear(9, 3)], 10).eval(),
        Layers([nn.Conv1d(4, 3, 3), nn.ReLU(), nn.MaxPool1d(2, padding=1), nn.Flatten(), nn.Linear(15, 3)], 10).eval(),
        Layers([nn.Conv1d(4, 3, 3), nn.MaxPool1d(2), nn.Threshold(0, 1e-6), nn.Flatten(), nn.Linear(12, 3)], 10).eval(),
        Layers([nn.Conv1d(4, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 5), nn.Linear(5, 3)], 10).eval(),
        Layers([nn.Conv1d(4, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)], 10).eval().bfloat16(),
        Layers([nn.Conv1d(4, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)], 10).train(),
    ],
)
def test_networks_with_other_layers_are_left_to_the_loop(net):
    assert stack.read(net) is None


@pytest.mark.parametrize("name", ["basset", "deepsea"])
def test_the_networks_of_the_registry_are_taken(name):
    taken = stack.read(disturb(MODULES[name].build(SMALL[name], 70, 3), 1).eval())
    assert [one.pool for one in taken.convolutions] == SMALL[name]["pools"]
    assert len(taken.dense) == (3 if name == "basset" else 2)


def test_weights_are_laid_out_by_position():
    weight = np.arange(2 * 35 * 5, dtype=np.float32).reshape(2, 175)
    out = np.empty((3, 2, 35), np.float32)
    kernels.split(weight, 1, out)
    assert np.array_equal(out, weight.reshape(2, 35, 5).transpose(2, 0, 1)[1:4])
