import copy

import numpy as np
import pytest
import torch
from test_cnns import LENGTH, MODULES, random_codes, small
from torch import nn

from regdna.models import wide

NAMES = list(MODULES)


def both(name, training):
    """The same network twice, and one-hot sequence for each that wants a gradient."""
    net = small(name)
    for one in net.modules():
        if isinstance(one, nn.Dropout):
            one.p = 0.0
    net.train(training)
    x = net.one_hot(torch.from_numpy(random_codes(0, 6)))
    # Not one-hot: a network's first layer alone would not tell one channel from another where codes repeat.
    x = x + torch.rand(x.shape, generator=torch.Generator().manual_seed(0))
    return (net, x.clone().requires_grad_()), (copy.deepcopy(net), x.clone().requires_grad_())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_values_gradients_and_running_statistics_are_those_of_the_layers(name, training):
    (one, x), (two, y) = both(name, training)
    found, expected = wide.run(one.layers, x), two.layers(y)
    assert found.shape == expected.shape and found.detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-5)
    direction = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    (found * direction).sum().backward()
    (expected * direction).sum().backward()
    assert x.grad.numpy() == pytest.approx(y.grad.numpy(), abs=2e-5) and x.grad.abs().max() > 1e-3
    for (key, mine), theirs in zip(one.named_parameters(), two.parameters(), strict=True):
        assert mine.grad is not None and mine.grad.numpy() == pytest.approx(theirs.grad.numpy(), rel=1e-4, abs=1e-4), key
    for (key, mine), theirs in zip(one.named_buffers(), two.buffers(), strict=True):
        assert mine.numpy() == pytest.approx(theirs.numpy(), abs=1e-6), key


@pytest.mark.parametrize("name", ["basset", "basenji"])
def test_running_statistics_move_in_training_alone(name):
    for training in (False, True):
        (net, x), (before, _) = both(name, training)
        wide.run(net.layers, x)
        moved = [not torch.equal(one, old) for one, old in zip(net.buffers(), before.buffers(), strict=True)]
        assert moved == [training] * len(moved)


@pytest.mark.parametrize("name", NAMES)
def test_dropout_draws_in_training_alone(name):
    net, x = small(name), torch.rand(4, 4, LENGTH)
    assert torch.equal(wide.run(net.layers, x), wide.run(net.layers, x))
    net.train()
    assert not torch.equal(wide.run(net.layers, x), wide.run(net.layers, x))


def test_double_precision_takes_the_layers_as_they_are():
    net, x = small("basset").double(), torch.rand(4, 4, LENGTH, dtype=torch.float64)
    assert torch.equal(wide.run(net.layers, x), net.layers(x))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv1d(4, 6, 5, stride=2, padding=3),
        nn.Conv1d(4, 6, 3, dilation=4, padding="same", bias=False),
        nn.Conv1d(4, 6, 4, groups=2),
        nn.MaxPool1d(3),
        nn.MaxPool1d(4, stride=2, padding=1),
        nn.MaxPool1d(3, ceil_mode=True),
        nn.Flatten(),
        nn.Threshold(0.2, 1e-6),
        nn.GELU(),
    ],
    ids=str,
)
def test_every_kind_of_layer_is_the_one_dimensional_one(layer):
    x = torch.randn(3, 4, 31, generator=torch.Generator().manual_seed(0))
    found, expected = wide.forward(nn.Sequential(layer), x.unsqueeze(2)), layer(x)
    found = found if found.ndim < 4 else found.squeeze(2)
    assert found.shape == expected.shape and found.detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_under_autocast_logits_are_float32_and_near(name):
    net = small(name)
    codes = random_codes(1, 8)
    with torch.inference_mode():
        exact = net(codes).logits
        with torch.autocast("cpu", torch.bfloat16):
            found = net(codes).logits
    assert found.dtype == torch.float32 and not torch.equal(found, exact)
    # The last layer itself is not rounded to bfloat16: its outputs would be multiples of 2**-8 of themselves.
    assert np.abs((found - exact).numpy()).max() < 0.1 * np.abs(exact.numpy()).max()
    assert not torch.equal(found, found.to(torch.bfloat16).float())
