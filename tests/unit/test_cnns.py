import copy
import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from regdna.alphabet import N, encode, reverse_complement
from regdna.models import ARCHITECTURES, basenji, basset, deepsea, kipoi
from regdna.models.basenji import Dilated, SamePool, convolution
from regdna.models.cnn import SequenceNetwork
from regdna.models.deepsea import DeepSEA
from regdna.step import InputError

LENGTH = 70
MODULES = {"basset": basset, "deepsea": deepsea, "basenji": basenji}
SMALL = {
    "basset": {"filters": [5, 6], "widths": [5, 4], "pools": [3, 2], "hidden": 7, "dropout": 0.3},
    "deepsea": {"filters": [5, 6, 4], "widths": [6, 3, 2], "pools": [3, 2, 1], "dropouts": [0.2, 0.2, 0.5], "hidden": 7},
    "basenji": {
        "filters": [6, 8],
        "widths": [5, 4],
        "pools": [4, 3],
        "dilated": 3,
        "blocks": 3,
        "rate": 1.5,
        "dropout": 0.25,
        "hidden": 5,
        "hidden_dropout": 0.05,
    },
}


def defaults(name):
    return {**ARCHITECTURES[name].sizes, **ARCHITECTURES[name].parameters}


def random_codes(seed, rows=6, length=LENGTH, unknown=0.05):
    draw = np.random.default_rng(seed)
    codes = draw.integers(0, 4, (rows, length)).astype(np.uint8)
    codes[draw.random(codes.shape) < unknown] = N
    return codes


def disturb(net, seed):
    """Give every weight and every running mean and variance a random value, so that no layer does nothing."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=draw) + 0.5)
            elif tensor.is_floating_point():
                scale = math.sqrt(2 / tensor[0].numel()) if tensor.ndim > 1 else 0.3
                tensor.copy_(torch.randn(tensor.shape, generator=draw) * scale + (tensor.ndim == 1 and name.endswith("weight")))
    return net


def small(name, outputs=3, seed=1):
    return disturb(MODULES[name].build(SMALL[name], LENGTH, outputs), seed).eval()


def by_hand(codes, order):
    """One-hot in a loop, float32 (n, 4, L)."""
    out = np.zeros((len(codes), 4, codes.shape[1]), np.float32)
    for row, at in np.ndindex(codes.shape):
        letter = "ACGTN"[codes[row, at]]
        if letter != "N":
            out[row, order.index(letter), at] = 1
    return torch.from_numpy(out)


@pytest.fixture(params=MODULES)
def name(request):
    return request.param


class TestSizes:
    @pytest.mark.parametrize(("name", "length", "outputs", "count"), [("basset", 600, 164, 4_135_064), ("deepsea", 1000, 919, 52_843_119)])
    def test_the_published_sizes_have_the_published_number_of_parameters(self, name, length, outputs, count):
        with torch.device("meta"):
            net = MODULES[name].build(defaults(name), length, outputs)
        assert sum(one.numel() for one in net.parameters()) == count

    def test_the_small_basenji_has_the_parameters_of_its_layers(self):
        with torch.device("meta"):
            net = basenji.build(defaults("basenji"), 1000, 7)
        trunk = 4 * 64 * 15 + 64 * 64 * 5 + 64 * 72 * 5 + 2 * (64 + 64 + 72)
        blocks = 6 * (72 * 32 * 3 + 32 * 72 + 2 * (32 + 72))
        # 1000 / 8 = 125, / 4 = 31.25 or 32, / 4 = 8 bins of 64
        head = 72 * 64 + 2 * 64 + 8 * 64 * 7 + 7
        assert sum(one.numel() for one in net.parameters()) == trunk + blocks + head
        dilations = [one.layers[1].dilation[0] for one in net.layers if isinstance(one, Dilated)]
        assert dilations == [1, 2, 4, 8, 16, 32]

    @pytest.mark.parametrize("length", [200, 600, 1000, 2001])
    def test_registry_sizes_fit_usual_contexts(self, name, length):
        with torch.device("meta"):
            net = MODULES[name].build(defaults(name), length, 5).eval()
            found = net(torch.zeros(2, length, dtype=torch.uint8))
        assert found.logits.shape == found.probabilities.shape == (2, 5)

    @pytest.mark.parametrize("name", ["basset", "deepsea"])
    def test_basset_and_deepsea_are_plain_layers(self, name):
        plain = {nn.Conv1d, nn.BatchNorm1d, nn.ReLU, nn.Threshold, nn.MaxPool1d, nn.Flatten, nn.Linear, nn.Dropout}
        assert {type(one) for one in small(name).layers} <= plain

    def test_layers_come_in_the_published_order(self):
        kinds = [type(one).__name__.removesuffix("1d") for one in small("basset").layers]
        dense = ["Linear", "BatchNorm", "ReLU", "Dropout"]
        assert kinds == ["Conv", "BatchNorm", "ReLU", "MaxPool"] * 2 + ["Flatten"] + dense * 2 + ["Linear"]
        layers = small("deepsea").layers
        kinds = [type(one).__name__.removesuffix("1d") for one in layers]
        block = ["Conv", "Threshold", "MaxPool", "Dropout"]
        assert kinds == block * 2 + ["Conv", "Threshold", "Dropout", "Flatten", "Linear", "Threshold", "Linear"]
        assert {(one.threshold, one.value) for one in layers if isinstance(one, nn.Threshold)} == {(0, 1e-6)}
        assert [one.p for one in layers if isinstance(one, nn.Dropout)] == [0.2, 0.2, 0.5]

    @pytest.mark.parametrize("name", ["basset", "deepsea"])
    def test_one_convolution_too_few_is_refused(self, name):
        with pytest.raises(ValueError, match=r"filters, widths.* entries; give one a convolution"):
            MODULES[name].build({**SMALL[name], "pools": [2]}, LENGTH, 1)

    def test_too_short_contexts_are_refused_with_numbers(self):
        # DeepSEA: 1 + 3 = 4, * 2 + 2 = 10, * 3 + 5 = 35. Basset: 1 * 2 + 7 = 9, * 3 + 4 = 31
        parameters = {**SMALL["deepsea"], "widths": [6, 3, 4]}
        assert deepsea.build(parameters, 35, 1).last.in_features == 7
        with pytest.raises(ValueError, match=r"34 bp are too short for DeepSEA .* need 35; "):
            deepsea.build(parameters, 34, 1)
        with pytest.raises(ValueError, match=r"30 bp are too short for Basset .* need 31; "):
            basset.build({**SMALL["basset"], "widths": [5, 8]}, 30, 1)
        with pytest.raises(ValueError, match="0 bp are too short for Basenji"):
            basenji.build(SMALL["basenji"], 0, 1)

    def test_dilations_that_would_shrink_are_refused(self):
        with pytest.raises(ValueError, match="rate is 0.5"):
            basenji.build({**SMALL["basenji"], "rate": 0.5}, LENGTH, 1)


class TestForward:
    def test_logits_are_the_layers_on_one_hot_and_probabilities_their_sigmoid(self, name):
        net, codes = small(name), random_codes(0)
        codes[2] = N
        with torch.inference_mode():
            found = net(**net.encode(codes))
            expected = net.layers(by_hand(codes, "AGCT" if name == "deepsea" else "ACGT"))
        assert found.logits.numpy() == pytest.approx(expected.numpy(), abs=2e-6) and found.logits.dtype == torch.float32
        assert found.probabilities.numpy() == pytest.approx(1 / (1 + np.exp(-expected.numpy())), abs=1e-6)

    def test_exclusive_probabilities_are_a_softmax(self, name):
        net = small(name)
        net.exclusive = True
        found = net(random_codes(1))
        assert found.probabilities.sum(1).tolist() == pytest.approx([1] * 6, abs=1e-6)
        odds = found.logits.exp()
        assert torch.allclose(found.probabilities, odds / odds.sum(1, keepdim=True), atol=1e-6)

    @pytest.mark.parametrize("exclusive", [False, True])
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int64])
    def test_averaged_probabilities_are_the_mean_over_strands_and_logits_of_the_strand_given(self, name, exclusive, dtype):
        net, codes = small(name), random_codes(2)
        net.exclusive = exclusive
        one, two = net(codes), net(reverse_complement(codes))
        net.average_strands = True
        found = net(torch.from_numpy(codes).to(dtype))
        assert torch.equal(found.logits, one.logits)
        assert torch.allclose(found.probabilities, (one.probabilities + two.probabilities) / 2, atol=1e-6)
        assert (one.probabilities - two.probabilities).abs().max() > 0.01

    def test_outputs_do_not_depend_on_the_batch(self, name, device):
        net, codes = small(name).to(device), random_codes(3)
        codes[1] = N
        with torch.inference_mode():
            whole = net(codes).logits
            for rows in ([0], [1], [4, 2], [5, 4, 3, 2, 1, 0]):
                assert net(codes[rows]).logits.cpu().numpy() == pytest.approx(whole[rows].cpu().numpy(), abs=2e-6)
            assert net(codes[:0]).logits.shape == (0, 3)

    @pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
    def test_any_integers_do_from_numpy_or_torch(self, name, dtype):
        net, codes = small(name), random_codes(4)
        net.average_strands = True
        expected, averaged = net(codes).logits, net(codes).probabilities
        assert torch.equal(net(codes.astype(dtype)).logits, expected)
        assert torch.equal(net(codes.astype(dtype)).probabilities, averaged)
        assert torch.equal(net(torch.from_numpy(codes.astype(dtype))).logits, expected)
        assert torch.allclose(net(np.asfortranarray(codes)[::-1]).logits.flip(0), expected, atol=2e-6)

    def test_unknown_bases_are_zeros_whatever_their_code(self, name):
        net, codes = small(name), random_codes(5).astype(int)
        other = np.where(codes == N, np.where(np.arange(LENGTH) % 2, -1, 99), codes)
        assert torch.equal(net(other).logits, net(codes).logits)
        assert not torch.equal(net(np.where(codes == N, 0, codes)).logits, net(codes).logits)

    @pytest.mark.parametrize("shape", [(2, 69), (2, 71), (2, 4, 70), (70,)])
    def test_another_shape_is_refused_with_both(self, name, shape):
        with pytest.raises(ValueError, match=rf"codes of 70 bp.*{'.*'.join(map(str, shape))}"):
            small(name)(torch.zeros(shape, dtype=torch.uint8))

    def test_one_hot_input_of_the_right_last_axis_is_refused_as_no_integers(self, name):
        for dtype in (torch.float32, torch.bool):
            with pytest.raises(TypeError, match="codes are integers"):
                small(name)(torch.zeros(2, LENGTH, dtype=dtype))

    def test_half_precision_weights_get_half_precision_input(self, name):
        net = small(name).to(torch.bfloat16)
        assert net(random_codes(6)).logits.dtype == torch.bfloat16

    def test_a_new_last_layer_has_other_targets_and_leaves_the_rest(self, name):
        net, codes = small(name).double(), random_codes(7)
        before = copy.deepcopy(net)
        net.replace_last(5)
        assert isinstance(net.last, nn.Linear) and net.last is net.layers[-1]
        assert net(codes).logits.shape == (6, 5) and net.last.weight.dtype == torch.float64
        assert torch.equal(net.layers[:-1](net.one_hot(torch.from_numpy(codes))), before.layers[:-1](net.one_hot(torch.from_numpy(codes))))
        assert isinstance(net, SequenceNetwork)

    def test_its_sizes_build_the_same_network(self, name):
        net, codes = small(name), random_codes(8)
        assert net.sizes == SMALL[name]
        again = MODULES[name].build(json.loads(json.dumps(net.sizes)), net.length, 3).eval()
        again.load_state_dict(net.state_dict(), strict=True)
        assert torch.equal(again(codes).logits, net(codes).logits)

    def test_every_weight_learns(self, name):
        torch.manual_seed(0)
        net = MODULES[name].build(SMALL[name], LENGTH, 3).train()
        optimiser = torch.optim.SGD(net.parameters(), lr=1.0)
        before = {key: one.detach().clone() for key, one in net.named_parameters()}
        for step in range(2):  # what lies behind a scale of 0 learns from the second step on
            optimiser.zero_grad()
            net(**net.encode(random_codes(step, 32))).logits.square().sum(1).mean().backward()
            optimiser.step()
        assert all(not torch.equal(one, before[key]) for key, one in net.named_parameters())


def slow_block(x, weight, norm, dilation):
    """Activation, "same" convolution and normalisation of one sequence by the formula; x is float64 (C, L)."""
    x = x / (1 + np.exp(-1.702 * x))
    filters, channels, width = weight.shape
    total = (width - 1) * dilation
    out = np.zeros((filters, x.shape[1]))
    for f, at, tap in np.ndindex(filters, x.shape[1], width):
        source = at - total // 2 + tap * dilation
        if 0 <= source < x.shape[1]:
            out[f, at] += weight[f, :, tap] @ x[:, source]
    scale, shift, mean, variance = norm
    return (out - mean[:, None]) / np.sqrt(variance[:, None] + 1e-3) * scale[:, None] + shift[:, None]


def slow_pool(x, pool):
    """Max over windows laid out as TensorFlow's "same": ceil(L / pool) of them, the shortage split, less of it in front."""
    count = math.ceil(x.shape[1] / pool)
    front = (count * pool - x.shape[1]) // 2
    return np.stack([x[:, max(0, i * pool - front) : (i + 1) * pool - front].max(1) for i in range(count)], 1)


def parts(layers, at=0):
    """Weight of the convolution and the four vectors of the normalisation of the block that begins at ``at``."""
    conv, norm = layers[at + 1], layers[at + 2]
    vectors = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return conv.weight.detach().numpy(), [one.detach().numpy() for one in vectors]


class TestBasenji:
    @pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 15])
    @pytest.mark.parametrize("dilation", [1, 2, 3])
    def test_a_convolution_equals_its_formula_for_even_and_odd_widths(self, width, dilation):
        block = disturb(nn.Sequential(*convolution(3, 4, width, dilation, 0.5)), width).double().eval()
        x = np.random.default_rng(dilation).normal(size=(2, 3, 13))
        expected = np.stack([slow_block(one, *parts(block), dilation) for one in x])
        assert block(torch.from_numpy(x)).detach().numpy() == pytest.approx(expected, abs=1e-12)

    @pytest.mark.parametrize("pool", [1, 2, 3, 4, 8])
    @pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 10, 31])
    def test_pools_keep_a_part_as_tensorflow_does(self, pool, length):
        x = np.random.default_rng(length).normal(size=(2, 3, length)) - 5  # all below zero: padding must not win
        expected = np.stack([slow_pool(one, pool) for one in x])
        assert np.array_equal(SamePool(pool)(torch.from_numpy(x)).numpy(), expected)

    @pytest.mark.parametrize("dilation", [1, 4, 40])
    def test_a_residual_block_equals_its_formula(self, dilation):
        block = disturb(Dilated(4, 3, dilation, 0.5), dilation).double().eval()
        x = np.random.default_rng(0).normal(size=(2, 4, 11))
        inner = [slow_block(one, *parts(block.layers), dilation) for one in x]
        expected = x + np.stack([slow_block(one, *parts(block.layers, 4), 1) for one in inner])
        assert block(torch.from_numpy(x)).detach().numpy() == pytest.approx(expected, abs=1e-12)

    def test_a_fresh_residual_block_changes_nothing(self):
        x, block = torch.randn(5, 4, 11), Dilated(4, 3, 2, 0.5).train()
        assert torch.equal(block(x), x)
        scales = [one.weight.tolist() for one in block.layers if isinstance(one, nn.BatchNorm1d)]
        assert scales == [[1] * 3, [0] * 4]

    def test_the_network_is_its_blocks_in_order(self):
        net, codes = small("basenji").double(), random_codes(8, 2)
        x = by_hand(codes, "ACGT").double().numpy()
        for at, pool in ((0, 4), (5, 3)):
            x = np.stack([slow_pool(slow_block(one, *parts(net.layers, at), 1), pool) for one in x])
        for at, dilation in ((10, 1), (11, 2), (12, 2)):  # 1.5 and 2.25, rounded
            assert net.layers[at].layers[1].dilation == (dilation,)
            x = net.layers[at](torch.from_numpy(x)).detach().numpy()
        x = np.stack([slow_block(one, *parts(net.layers, 13), 1) for one in x])
        x = (x / (1 + np.exp(-1.702 * x))).reshape(2, -1)
        expected = x @ net.last.weight.detach().numpy().T + net.last.bias.detach().numpy()
        assert net(codes).logits.detach().numpy() == pytest.approx(expected, abs=1e-10)


class View(nn.Module):
    def forward(self, x):
        return x.view(x.size(0), -1)


def published(layout, filters=(6, 5, 4), widths=(7, 4, 3), hidden=(8, 9), outputs=5, left=3):
    """The network of a Kipoi file as its authors wrote it, random; on one-hot with a dummy axis, to probabilities."""
    if layout == "basset":
        layers, channels = [], 4
        for count, width, pool in zip(filters, widths, (3, 4, 4), strict=True):
            layers += [nn.Conv2d(channels, count, (width, 1)), nn.BatchNorm2d(count), nn.ReLU(), nn.MaxPool2d((pool, 1), (pool, 1))]
            channels = count
        layers.append(View())
        inputs = channels * left
        for units in hidden:
            layers += [nn.Sequential(View(), nn.Linear(inputs, units)), nn.BatchNorm1d(units), nn.ReLU(), nn.Dropout(0.3)]
            inputs = units
        net = nn.Sequential(*layers, nn.Sequential(View(), nn.Linear(inputs, outputs)), nn.Sigmoid())
    else:
        first, second, third = (
            nn.Conv2d(channels, count, (1, width)) for channels, count, width in zip((4, *filters), filters, widths, strict=False)
        )
        net = nn.Sequential(
            *(first, nn.Threshold(0, 1e-6), nn.MaxPool2d((1, 4), (1, 4)), nn.Dropout(0.2)),
            *(second, nn.Threshold(0, 1e-6), nn.MaxPool2d((1, 4), (1, 4)), nn.Dropout(0.2)),
            *(third, nn.Threshold(0, 1e-6), nn.Dropout(0.5), View()),
            *(nn.Sequential(View(), nn.Linear(filters[-1] * left, hidden[0])), nn.Threshold(0, 1e-6)),
            *(nn.Sequential(View(), nn.Linear(hidden[0], outputs)), nn.Sigmoid()),
        )
        before = [nn.Identity()] * (2 if layout == "deepsea-predict" else 1)
        net = nn.Sequential(*before, net)
    return disturb(net, 3).eval()


# With the roundest length that leaves ``published`` three positions:
# Basset 200 - 6 = 194, / 3 = 64, - 3 = 61, / 4 = 15, - 2 = 13, / 4 = 3; DeepSEA 100 - 6 = 94, / 4 = 23, - 3 = 20, / 4 = 5, - 2 = 3.
LAYOUTS = {"basset": 200, "deepsea-predict": 100, "deepsea-variant-effects": 100}


def answer(net, layout, codes):
    """Probabilities of a ``published`` network; what Kipoi's first and last modules do is done here."""
    with torch.inference_mode():
        if layout == "basset":
            return net(by_hand(codes, "ACGT")[..., None]).numpy()
        x = by_hand(codes, "AGCT")[:, :, None]
        one = net(x).numpy()
        return one if layout == "deepsea-variant-effects" else (one + net(x.flip(1, 3)).numpy()) / 2


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return request.param


def shapes(tensors):
    return {key: tuple(one.shape) for key, one in tensors.items()}


class TestKipoi:
    def test_a_file_answers_as_its_authors_network(self, layout):
        peer, codes = published(layout), random_codes(9, 4, LAYOUTS[layout])
        net = kipoi.open(peer.state_dict(), layout, "weights.pth")
        assert not net.training and net.average_strands == (layout == "deepsea-predict") and net.length == LAYOUTS[layout]
        assert net(codes).probabilities.detach().numpy() == pytest.approx(answer(peer, layout, codes), abs=1e-6)

    @pytest.mark.parametrize(
        "sizes",
        [
            {},
            {"outputs": 1},
            {"outputs": 32, "filters": (2, 3, 7)},
            {"widths": (1, 2, 5)},
            {"hidden": (3, 4)},
            {"left": 1},
            {"left": 20},
        ],
        ids=str,
    )
    def test_other_sizes_in_the_same_layout_are_read_off_the_weights(self, layout, sizes):
        peer = published(layout, **sizes)
        tensors = peer.state_dict()
        assert kipoi.recognise(shapes(tensors)) == layout
        net = kipoi.open(tensors, layout, "weights.pth")
        codes = random_codes(10, 3, net.length)
        assert net(codes).probabilities.detach().numpy() == pytest.approx(answer(peer, layout, codes), abs=1e-6)

    @pytest.mark.parametrize("left", [1, 2, 9, 10, 18, 53])
    def test_the_length_is_the_roundest_that_fits_the_first_dense_layer(self, left):
        pools, widths = (3, 4, 4), (19, 11, 7)

        def remaining(length):
            for width, pool in zip(widths, pools, strict=True):
                length = (length - width + 1) // pool
            return length

        fitting = [length for length in range(4000) if remaining(length) == left]
        zeros = [len(str(length)) - len(str(length).rstrip("0")) for length in fitting]
        tensors = published("basset", widths=widths, left=left).state_dict()
        assert kipoi.open(tensors, "basset", "x").length == fitting[zeros.index(max(zeros))]

    def test_published_sizes_give_published_lengths(self, layout):
        sizes = {
            "basset": ((300, 200, 200), (19, 11, 7), (1000, 1000), 164, 10, 600, 4_135_064),
            "deepsea-predict": ((320, 480, 960), (8, 8, 8), (925,), 919, 53, 1000, 52_843_119),
            "deepsea-variant-effects": ((320, 480, 960), (8, 8, 8), (925,), 919, 53, 1000, 52_843_119),
        }
        *given, length, count = sizes[layout]
        with torch.device("meta"):
            tensors = published_on_meta(layout, *given)
        net = kipoi.open(tensors, layout, "x")
        assert net.length == length and sum(one.numel() for one in net.parameters()) == count
        hidden = [1000, 1000] if layout == "basset" else 925
        assert net.sizes == {**defaults(layout.split("-")[0]), "hidden": hidden}

    def test_every_key_of_a_layout_is_asked_for(self, layout):
        tensors = published(layout).state_dict()
        for key in tensors:
            rest = {name: one for name, one in tensors.items() if name != key}
            if key.endswith("num_batches_tracked"):
                assert kipoi.open(rest, layout, "w.pth").state_dict().keys() == kipoi.open(tensors, layout, "w.pth").state_dict().keys()
            else:
                with pytest.raises(InputError, match=rf"^w\.pth: {key} is missing; [^\n]+$"):
                    kipoi.open(rest, layout, "w.pth")

    def test_files_of_an_old_pytorch_have_no_counters(self):
        tensors = published("basset").state_dict()
        old = {key: one for key, one in tensors.items() if not key.endswith("num_batches_tracked")}
        assert len(old) == len(tensors) - 5 and kipoi.recognise(shapes(old)) == "basset"
        codes = random_codes(11, 2, 200)
        one, two = (kipoi.open(some, "basset", "x")(codes).logits for some in (old, tensors))
        assert torch.equal(one, two)

    def test_weights_of_another_precision_become_single(self, layout):
        tensors = {key: one.double() for key, one in published(layout).state_dict().items()}
        net = kipoi.open(tensors, layout, "x")
        assert {one.dtype for one in net.parameters()} == {torch.float32}
        assert {one.dtype for key, one in net.state_dict().items() if key.endswith("num_batches_tracked")} <= {torch.int64}

    def test_a_key_too_many_is_refused(self, layout):
        tensors = {**published(layout).state_dict(), "99.weight": torch.zeros(2), "98.bias": torch.zeros(2)}
        with pytest.raises(InputError, match=r"^w\.pth: 99\.weight is unknown \(and 1 more\); [^\n]+$"):
            kipoi.open(tensors, layout, "w.pth")

    @pytest.mark.parametrize("axis", [0, 1])
    def test_every_shape_is_checked(self, layout, axis):
        tensors = published(layout).state_dict()
        for key, one in tensors.items():
            if axis == 1 and one.ndim == 4:
                wrong = one.transpose(2, 3)
            else:
                wrong = (
                    torch.zeros(3)
                    if one.ndim == 0
                    else torch.cat([one, one.narrow(min(axis, one.ndim - 1), 0, 1)], min(axis, one.ndim - 1))
                )
            last = key.startswith({"basset": "21.1", "deepsea-predict": "2.14.1"}.get(layout, "1.14.1"))
            with pytest.raises(InputError, match=r"^w\.pth: \S+ (is \(|takes )[^\n]+; give the published file$") as caught:
                kipoi.open({**tensors, key: wrong}, layout, "w.pth")
            # A longer weight makes its bias or the next layer the odd one out; those that decide no size are named themselves.
            if one.ndim == 1 and not last:
                assert f" {key} is {tuple(wrong.shape)}" in str(caught.value)

    def test_a_dense_layer_that_fits_no_length_is_refused(self, layout):
        tensors = published(layout).state_dict()
        key = next(key for key, one in tensors.items() if one.ndim == 2)
        with pytest.raises(InputError, match=rf"^w\.pth: {key} takes 11 numbers, no multiple of the 4 filters; [^\n]+$"):
            kipoi.open({**tensors, key: tensors[key][:, :11]}, layout, "w.pth")

    def test_what_is_no_kipoi_layout_is_not_recognised(self, layout):
        known = shapes(published(layout).state_dict())
        assert kipoi.recognise({}) is None
        assert kipoi.recognise({f"model.{key}": shape for key, shape in known.items()}) is None
        assert kipoi.recognise({key: shape[:3] if len(shape) == 4 else shape for key, shape in known.items()}) is None
        assert kipoi.recognise({key: shape for key, shape in known.items() if len(shape) != 2}) is None
        first = next(iter(known))
        assert kipoi.recognise({**known, first: (6, 5, *known[first][2:])}) is None
        assert kipoi.recognise(shapes(small("basset").state_dict())) is None

    def test_opening_draws_no_random_numbers(self, layout):
        tensors = published(layout).state_dict()
        before = torch.get_rng_state()
        kipoi.open(tensors, layout, "x")
        assert torch.equal(torch.get_rng_state(), before)

    def test_an_opened_network_can_be_trained_and_saved(self, layout):
        net = kipoi.open({key: one.clone() for key, one in published(layout).state_dict().items()}, layout, "x").train()
        net.replace_last(2)
        net(random_codes(12, 8, net.length)).logits.sum().backward()
        assert all(one.grad is not None for one in net.parameters())
        again = MODULES[layout.split("-")[0]].build(net.sizes, net.length, 2)
        again.load_state_dict(net.state_dict(), strict=True)
        assert [str(one) for one in again.layers] == [str(one) for one in net.layers]

    @pytest.mark.parametrize("folder", ["deepsea_predict", "deepsea_variant_effects", "basset"])
    def test_published_files_answer_as_the_reference_implementation(self, shared, folder):
        tensors = {}
        rows = (shared / "golden" / folder / "keys.tsv").read_text().splitlines()[1:]
        for i, row in enumerate(rows):
            key, text = row.split("\t")
            shape, draw = tuple(int(part) for part in text.strip("()").split(",") if part.strip()), torch.Generator().manual_seed(1000 + i)
            if key.endswith("num_batches_tracked"):
                tensors[key] = torch.tensor(0)
            elif key.endswith("running_var"):
                tensors[key] = torch.rand(shape, generator=draw) + 0.5
            elif len(shape) > 1:
                tensors[key] = torch.randn(shape, generator=draw) * math.sqrt(2 / math.prod(shape[1:]))
            else:
                tensors[key] = 0.1 * torch.randn(shape, generator=draw) + (1.0 if key.endswith("weight") else 0.0)
        layout = kipoi.recognise(shapes(tensors))
        assert layout == folder.replace("_", "-")
        golden = np.load(shared / "golden" / folder / "io.npz")
        net = kipoi.open(tensors, layout, folder)
        with torch.inference_mode():
            found = net(golden["codes"])
        assert np.abs(found.probabilities.numpy() - golden["probabilities"]).max() < 1e-5


def published_on_meta(layout, filters, widths, hidden, outputs, left):
    """The tensors of a published network, of their sizes but without values."""
    dummy = (lambda width: (width, 1)) if layout == "basset" else (lambda width: (1, width))
    prefix = {"basset": "", "deepsea-predict": "2.", "deepsea-variant-effects": "1."}[layout]
    sizes = {}
    for number, taken, count, width in zip((0, 4, 8), (4, *filters), filters, widths, strict=False):
        sizes |= {f"{number}.weight": (count, taken, *dummy(width)), f"{number}.bias": (count,)}
    taken = filters[-1] * left
    for number, count in zip((13, 17, 21) if layout == "basset" else (12, 14), (*hidden, outputs), strict=True):
        sizes |= {f"{number}.1.weight": (count, taken), f"{number}.1.bias": (count,)}
        taken = count
    if layout == "basset":
        for number, count in zip((1, 5, 9, 14, 18), (*filters, *hidden), strict=True):
            sizes |= {f"{number}.{name}": (count,) for name in ("weight", "bias", "running_mean", "running_var")}
    return {prefix + key: torch.empty(shape) for key, shape in sizes.items()}


def test_deepsea_reads_its_channels_as_a_g_c_t():
    net = DeepSEA(4, 1, [1], [1], [1], [0.0], 1)
    assert net.one_hot(torch.from_numpy(encode("ACGT"))[None])[0].tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
