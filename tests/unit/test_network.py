import numpy as np
import pytest
import torch
import toy_models

from regdna.alphabet import N
from regdna.models import family, network
from regdna.models.precision import autocast, full, ran_out, resolve

SIZES = {
    "basset": toy_models.BASSET,
    "nucleotide-transformer": toy_models.NT | {"layers": 2, "pooling": "bases"},
    "dnabert2": toy_models.DNABERT2 | {"layers": 2},
}
ENCODERS = ["nucleotide-transformer", "dnabert2"]


def codes(rows=40, length=60, seed=0):
    """Sequences of many lengths, filled up with N at their end."""
    draw = np.random.default_rng(seed)
    out = draw.integers(0, 4, (rows, length)).astype(np.uint8)
    for row in out[::2]:
        row[draw.integers(20, length) :] = N
    return out


def built(name):
    about = toy_models.about(name, SIZES[name], 60, 3)
    return family(name).build(about, lambda: codes(seed=9)).eval()


def one_by_one(net, sequences, what="logits"):
    answers = []
    with torch.no_grad():
        for row in sequences:
            inputs = net.encode(row[None])
            answers.append(net(**inputs).logits if what == "logits" else getattr(net, what)(**inputs))
    return torch.cat(answers).numpy()


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_rows_of_many_lengths_come_back_in_their_order(name, batch_size, monkeypatch):
    monkeypatch.setattr(network, "READ", 2)
    net, sequences = built(name), codes()
    found = network.run(net, sequences, batch_size)
    assert found.dtype == np.float32 and found == pytest.approx(one_by_one(net, sequences), abs=2e-6)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("what", ["embed", "embed_layers"])
def test_methods_are_called_by_name_and_may_give_any_shape(name, what):
    net, sequences = built(name), codes(9)
    found = network.run(net, sequences, 4, what)
    assert found.shape == ((9, 16) if what == "embed" else (9, 3, 1, 16))
    assert found == pytest.approx(one_by_one(net, sequences, what), abs=2e-6)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_batch_is_padded_no_further_than_its_longest(name, monkeypatch):
    net, sequences, seen = built(name), codes(), []
    real = net.forward

    def forward(**inputs):
        lengths = inputs["attention_mask"].sum(1)
        seen.append((inputs["input_ids"].shape[1], int(lengths.max()), int(lengths.min())))
        return real(**inputs)

    monkeypatch.setattr(net, "forward", forward)
    network.run(net, sequences, 8)
    assert len(seen) == 5 and all(wide == longest for wide, longest, _ in seen)
    assert all(one[1] <= other[2] for one, other in zip(seen, seen[1:], strict=False))  # side by side by length


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("most", [1, 3, 5])
def test_a_batch_that_memory_does_not_take_is_halved_until_it_does(name, most, monkeypatch):
    net, sequences = built(name), codes(21)
    expected, real, sizes = network.run(net, sequences, 8), net.forward, []

    def forward(**inputs):
        sizes.append(len(next(iter(inputs.values()))))
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(**inputs)

    monkeypatch.setattr(net, "forward", forward)
    assert network.run(net, sequences, 8) == pytest.approx(expected, abs=2e-6)
    assert max(sizes) == 8 and sum(size for size in sizes if size <= most) == 21


def test_one_sequence_that_does_not_fit_and_other_errors_are_not_hidden(monkeypatch):
    net, said = built("basset"), ["CUDA out of memory", "a bug"]

    def forward(**inputs):
        raise RuntimeError(said[0])

    monkeypatch.setattr(net, "forward", forward)
    for text in list(said):
        with pytest.raises(RuntimeError, match=text):
            network.run(net, codes(4), 4)
        said.pop(0)


def test_of_no_sequences_there_is_nothing_and_the_mode_is_put_back():
    net = built("basset").train()
    assert network.run(net, codes(0), 4).shape[0] == 0 and net.training


@pytest.mark.parametrize("name", SIZES)
def test_half_precision_is_near_and_comes_as_float32(name):
    net, sequences = built(name), codes()
    exact, found = network.run(net, sequences, 8), network.run(net, sequences, 8, precision="bf16")
    assert found.dtype == np.float32 and not np.array_equal(found, exact)
    assert np.abs(found - exact).max() < 0.1 * np.abs(exact).max() + 0.02
    assert np.array_equal(network.run(net, sequences, 8, precision="float32"), exact)


class TestPrecision:
    def test_auto_is_bf16_where_a_gpu_computes_with_it(self, monkeypatch):
        for there, able, expected in ((False, False, "float32"), (True, False, "float32"), (True, True, "bf16")):
            monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
            monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, able=able: able and not including_emulation)
            assert resolve("auto") == expected
            assert (resolve("bf16"), resolve("float32")) == ("bf16", "float32")

    def test_products_are_rounded_within_and_not_within_full(self):
        one, where = torch.rand(3, 3), torch.device("cpu")
        with autocast(where, "bf16"):
            assert (one @ one).dtype == torch.bfloat16
            with full(where):
                assert (one @ one).dtype == torch.float32
        with autocast(where, "float32"):
            assert (one @ one).dtype == torch.float32

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
            (RuntimeError("CUDA error: out of memory"), True),
            (
                RuntimeError(
                    "[enforce fail at alloc_cpu.cpp:128] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
                ),
                True,
            ),
            (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."), True),
            (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        ],
        ids=str,
    )
    def test_memory_that_was_not_there_is_told_from_other_errors(self, error, expected):
        assert ran_out(error) == expected
