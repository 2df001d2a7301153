import math

import numpy as np
import pytest
import torch
import toy_models

from regdna import models
from regdna.train.measure import count
from regdna.train.optimiser import depth, groups, optimiser, schedule

SETTINGS = {"learning_rate": 0.1, "weight_decay": 0.3, "layer_decay": 0.5}
BASENJI = {
    "filters": [6, 8], "widths": [5, 4], "pools": [4, 3], "dilated": 3, "blocks": 2, "rate": 1.5, "dropout": 0.25, "hidden": 5,
    "hidden_dropout": 0.05,
}  # fmt: skip
SIZES = {
    "basset": toy_models.BASSET,
    "deepsea": toy_models.DEEPSEA,
    "basenji": BASENJI,
    "nucleotide-transformer": toy_models.NT | {"layers": 3},
    "dnabert2": toy_models.DNABERT2 | {"layers": 3},
    "dnabert": toy_models.DNABERT | {"layers": 3},
}


def network(name, **more):
    about = toy_models.about(name, SIZES[name] | more, 60, 3)
    return models.family(name).build(about, lambda: np.random.default_rng(0).integers(0, 4, (40, 60)).astype(np.uint8))


def rates(net, settings=SETTINGS):
    """The rate of every parameter, by name."""
    names = {id(one): name for name, one in net.named_parameters()}
    return {names[id(one)]: group["lr"] for group in groups(net, settings) for one in group["params"]}


def test_the_schedules_by_hand():
    # 100 steps, 10 of them warm: the middle of the other 90 is step 55.
    for kind, middle, last in (("cosine", 0.5, 0.5 * (1 + math.cos(math.pi * 89 / 90))), ("linear", 0.5, 1 / 90), ("constant", 1, 1)):
        factor = schedule(kind, 0.1, 100)
        assert [factor(step) for step in (0, 4, 9, 10)] == pytest.approx([0.1, 0.5, 1, 1])
        assert (factor(55), factor(99)) == pytest.approx((middle, last))
    assert schedule("cosine", 0.1, 100)(32) == pytest.approx(0.5 * (1 + math.cos(math.pi * 22 / 90)))
    assert schedule("linear", 0.1, 100)(32) == pytest.approx(1 - 22 / 90)


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant"])
@pytest.mark.parametrize("steps", [1, 10, 1000])
@pytest.mark.parametrize("warmup", [0, 0.1, 1])
def test_the_rate_rises_then_falls_and_stays_within_one(warmup, steps, kind):
    factor = [schedule(kind, warmup, steps)(step) for step in range(steps)]
    top = max(1, round(warmup * steps))
    assert min(factor) > 0 and max(factor) == pytest.approx(1)
    assert factor[:top] == pytest.approx((np.arange(top) + 1) / top)
    fall = np.diff(factor[top:])
    assert (fall == 0).all() if kind == "constant" else (fall < 0).all()
    assert 0 <= schedule(kind, warmup, steps)(steps) <= 1  # asked for once after the last step


@pytest.mark.parametrize("name", SIZES)
def test_without_decay_by_layer_all_have_one_rate_and_only_matrices_decay(name):
    net = network(name)
    wide, flat = groups(net, SETTINGS | {"layer_decay": 1.0})
    assert wide["lr"] == flat["lr"] == 0.1 and wide["weight_decay"] == 0.3 and flat["weight_decay"] == 0
    assert all(one.ndim > 1 for one in wide["params"]) and all(one.ndim == 1 for one in flat["params"])
    assert count(net) == sum(one.numel() for one in wide["params"] + flat["params"])


@pytest.mark.parametrize("name", SIZES)
def test_with_it_too_every_parameter_is_in_one_group_and_only_matrices_decay(name):
    net = network(name)
    found = groups(net, SETTINGS)
    assert sorted(id(one) for group in found for one in group["params"]) == sorted(map(id, net.parameters()))
    assert all((one.ndim > 1) == (group["weight_decay"] == 0.3) for group in found for one in group["params"])


@pytest.mark.parametrize("name", ["nucleotide-transformer", "dnabert2", "dnabert"])
@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_each_block_of_an_encoder_has_its_rate_and_the_embeddings_the_lowest(name, pooling):
    found = rates(network(name, pooling=pooling))
    for parameter, rate in found.items():
        below = next((3 - at for at in range(3) if f".layer.{at}." in parameter), 4 if ".embeddings." in parameter else 0)
        assert rate == pytest.approx(0.1 * 0.5**below), parameter
    assert set(found.values()) == {0.1 * 0.5**below for below in range(5)}
    assert found["head.weight"] == found["head.bias"] == 0.1 and found.get("pooling.query", 0.1) == 0.1


def test_norms_behind_the_last_block_are_the_heads():
    found = depth(network("nucleotide-transformer"))
    assert {below for name, below in found.items() if "emb_layer_norm_after" in name} == {0}


@pytest.mark.parametrize("name", ["basset", "deepsea", "basenji"])
def test_each_convolution_and_dense_layer_of_a_stack_has_its_rate_and_its_normalisation_the_same(name):
    net = network(name)
    numbers = sorted({int(parameter.split(".")[1]) for parameter, one in net.named_parameters() if one.ndim > 1}, reverse=True)
    assert len(numbers) > 3
    for parameter, rate in rates(net).items():
        own = max(number for number in numbers if number <= int(parameter.split(".")[1]))
        assert rate == pytest.approx(0.1 * 0.5 ** numbers.index(own)), parameter
    assert rates(net)[f"layers.{numbers[0]}.weight"] == 0.1


@pytest.mark.parametrize("regime", ["lora", "ia3"])
def test_adapters_have_the_rate_of_their_block_and_what_is_frozen_has_none(regime):
    net = network("nucleotide-transformer")
    models.family("nucleotide-transformer").adapt(net, toy_models.about("nucleotide-transformer", toy_models.NT, 60, regime=regime))
    found = rates(net)
    assert set(found) == {name for name, one in net.named_parameters() if one.requires_grad} and len(found) < len(list(net.parameters()))
    for parameter, rate in found.items():
        below = next((3 - at for at in range(3) if f".layer.{at}." in parameter), 0)
        assert rate == pytest.approx(0.1 * 0.5**below), parameter


def test_an_update_moves_each_layer_by_its_own_rate():
    net = network("deepsea")
    before = {name: one.detach().clone() for name, one in net.named_parameters()}
    adam = optimiser(net, SETTINGS | {"weight_decay": 0.0})
    for one in net.parameters():
        one.grad = torch.ones_like(one)
    adam.step()
    # The first step of Adam is the rate itself, whatever the gradient.
    for name, rate in rates(net).items():
        assert (before[name] - dict(net.named_parameters())[name].detach()).numpy() == pytest.approx(rate, rel=1e-3, abs=1e-7), name
