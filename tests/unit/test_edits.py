"""Mutants of one sequence: their tokens made anew only around the edit, and what a transformer says of them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import toy_models

from regdna.alphabet import N, encode
from regdna.models import family, network
from regdna.models.heads import EncoderClassifier
from regdna.mutagenesis import tokens
from regdna.tokenisers import BytePair, KmerBlocks, OverlappingKmers, SingleBase
from regdna.tokenisers.rows import mutants

ENCODERS = {
    "nucleotide-transformer": toy_models.NT | {"layers": 2, "pooling": "bases"},
    "dnabert2": toy_models.DNABERT2 | {"layers": 2},
    "dnabert": toy_models.DNABERT,
}


def sequence(length, share=0.0, seed=0):
    draw = np.random.default_rng((seed, length))
    codes = draw.integers(0, 4, length).astype(np.uint8)
    codes[draw.random(length) < share] = N
    return codes


def every_edit(codes):
    """All places with all codes, the own one and N too."""
    return np.repeat(np.arange(len(codes)), 5), np.tile(np.arange(5, dtype=np.uint8), len(codes))


def substitutions(codes):
    """The three other bases at every known one."""
    where = np.repeat(np.flatnonzero(codes < N), 3)
    return where, ((codes[where] + np.tile([1, 2, 3], len(where) // 3)) % 4).astype(np.uint8)


def by_hand(codes, where, bases):
    rows = []
    for at, base in zip(where, bases, strict=True):
        rows.append(np.concatenate([codes[:at], [base], codes[at + 1 :]]).astype(np.uint8))
    return np.stack(rows) if rows else np.empty((0, len(codes)), np.uint8)


def same(found, expected):
    return all(
        one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other)
        for one, other in zip(found, expected, strict=True)
    )


@pytest.fixture(scope="module")
def learned():
    return BytePair.learn(np.random.default_rng(0).integers(0, 4, (20, 400)).astype(np.uint8), 200)


NAMES = ["bases", "3-mers", "6-mers", "blocks v1", "blocks v2", "blocks of 3", "byte pairs"]


@pytest.fixture(params=NAMES)
def tokeniser(request, learned):
    made = [SingleBase(), OverlappingKmers(3), OverlappingKmers(6), KmerBlocks(6, 1), KmerBlocks(6, 2), KmerBlocks(3, 2), learned]
    return made[NAMES.index(request.param)]


@pytest.mark.parametrize("length", [1, 2, 5, 6, 7, 12, 13, 61, 200])
@pytest.mark.parametrize("share", [0, 0.03, 0.3, 1])
def test_edits_are_what_encode_makes_of_the_mutants(tokeniser, length, share):
    codes = sequence(length, share)
    where, bases = every_edit(codes)
    before = codes.copy()
    rows = by_hand(codes, where, bases)
    assert np.array_equal(mutants(codes, where, bases), rows)
    assert same(tokeniser.edits(codes, where, bases), tokeniser.encode(rows))
    assert np.array_equal(codes, before)
    # Padded to the longest of those that are asked for, in their order.
    some = np.random.default_rng(length).permutation(len(where))[: length // 2 + 1]
    assert same(tokeniser.edits(codes, where[some], bases[some]), tokeniser.encode(rows[some]))


def test_windows_that_are_views_are_taken_and_no_edits_give_no_rows(tokeniser):
    codes = sequence(120, 0.02)
    where, bases = every_edit(codes[::-2])
    assert same(tokeniser.edits(codes[::-2], where, bases), tokeniser.encode(by_hand(codes[::-2], where, bases)))
    ids, mask = tokeniser.edits(codes, where[:0], bases[:0])
    assert len(ids) == len(mask) == 0 and ids.shape == mask.shape


@pytest.mark.parametrize(
    ("where", "bases", "said"),
    [
        ([3, 40], [0, 1], "edits at 3 to 40, but the sequence has 40 bases"),
        ([-1, 2], [0, 1], "edits at -1 to 2, but the sequence has 40 bases"),
        ([1, 2], [0], "2 places, but 1 bases"),
        ([1], [5], "codes of bases are 0 to 4, not 5 to 5"),
    ],
)
def test_edits_of_what_is_not_there_are_refused(tokeniser, where, bases, said):
    with pytest.raises(ValueError, match=said):
        tokeniser.edits(sequence(40), np.array(where), np.array(bases, np.uint8))


def genome(shared):
    for name in ("hg19_chr20_1000001-2000000.fa", "hg19_chr22_20000001-21000000.fa", "hg38_chr22_32000000-32300000.fa"):
        yield encode("".join((shared / "data/genome" / name).read_text().split("\n")[1:]))


def test_published_byte_pairs_are_repaired_exactly_on_real_sequence(shared):
    ours, count, changed = BytePair((shared / "data/tokenizers/dnabert2_tokenizer.json").read_text()), 0, 0
    for seed, codes in enumerate(genome(shared)):
        for at in np.random.default_rng(seed).integers(0, len(codes) - 600, 12):
            window = codes[at : at + 600]
            where, bases = substitutions(window)
            found = ours.edits(window, where, bases)
            assert same(found, ours.encode(by_hand(window, where, bases)))
            count, changed = count + len(where), changed + (found[1].sum(1) != ours.encode(window[None])[1].sum()).sum()
    assert count > 50_000 and 0.1 < changed / count < 0.5  # many mutants have more or fewer tokens than the reference


def test_published_byte_pairs_of_repeats_are_repaired_exactly(shared):
    ours = BytePair((shared / "data/tokenizers/dnabert2_tokenizer.json").read_text())
    for text in ("A" * 300, "AT" * 150, "CAG" * 100, "TTAGGG" * 50, "GATA" * 40 + "N" + "GATA" * 34, "ACGTTGCA" * 38):
        where, bases = every_edit(encode(text))
        assert same(ours.edits(encode(text), where, bases), ours.encode(by_hand(encode(text), where, bases))), text[:9]


def net(name, length=60, **parameters):
    about = toy_models.about(name, ENCODERS[name] | parameters, length, 3)
    return family(name).build(about, lambda: np.stack([sequence(length, seed=one) for one in range(40)])).eval()


def with_ends(length, lead, trail):
    codes = sequence(length, seed=5)
    codes[:lead] = N
    codes[length - trail :] = N
    return codes


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize(("lead", "trail"), [(0, 0), (1, 0), (0, 7), (13, 2), (30, 30), (29, 30)])
def test_a_network_takes_edits_as_it_takes_the_mutants(name, lead, trail):
    ours, codes = net(name), with_ends(60, lead, trail)
    where, bases = every_edit(codes)
    found, expected = ours.edits(codes, where, bases), ours.encode(by_hand(codes, where, bases))
    assert found.keys() == expected.keys() and ("bases" in found) == (name == "nucleotide-transformer")
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key], value), key


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("held", [1, 400, 2**22])
def test_logits_of_substitutions_are_those_of_the_mutants(name, held, monkeypatch):
    monkeypatch.setattr(tokens, "HELD", held)
    ours, codes = net(name), with_ends(60, 2, 5)
    where, bases = substitutions(codes)
    where, bases = where[::4], bases[::4]
    found = tokens.substitutions(ours, codes, where, bases, 7, "float32")
    assert found.dtype == np.float32 and found.shape == (len(where), 3)
    with torch.no_grad():
        expected = torch.cat([ours(**ours.encode(row[None])).logits for row in by_hand(codes, where, bases)])
    assert found == pytest.approx(expected.numpy(), abs=2e-6)
    assert np.abs(np.diff(found, axis=0)).max() > 1e-4  # else any order would do


def test_no_more_tokens_are_held_than_are_allowed(monkeypatch):
    monkeypatch.setattr(tokens, "HELD", 1000)
    ours, codes, seen = net("dnabert"), sequence(60), []
    real = EncoderClassifier.edits

    def edits(self, *given):
        seen.append(real(self, *given)["input_ids"].numel())
        return real(self, *given)

    monkeypatch.setattr(EncoderClassifier, "edits", edits)
    tokens.substitutions(ours, codes, *substitutions(codes), 16, "float32")
    assert len(seen) == 12 and max(seen) <= 1000 and sum(seen) == 180 * 60


def test_of_no_substitutions_there_is_nothing():
    none = np.empty(0, np.int64)
    assert len(tokens.substitutions(net("dnabert2"), sequence(60), none, none.astype(np.uint8), 4, "float32")) == 0


@pytest.mark.parametrize("name", ENCODERS)
def test_half_precision_rounds_no_logits(name):
    """The head computes in float32: logits that came of a product in bf16 would have 8 bits, and effects of variants fewer."""
    ours, codes = net(name), sequence(60)
    found = tokens.substitutions(ours, codes, *substitutions(codes), 16, "bf16")
    rounded = torch.from_numpy(found).bfloat16().float().numpy()
    assert (found != rounded).mean() > 0.9


class TestRunInputs:
    def test_what_encode_gave_is_run_as_the_codes_are(self):
        ours, codes = net("dnabert2"), np.stack([with_ends(60, 0, one) for one in range(0, 40, 3)])
        inputs = ours.encode(codes)
        assert len(set(inputs["attention_mask"].sum(1).tolist())) > 3
        for what in ("logits", "embed", "embed_layers"):
            assert network.run_inputs(ours, inputs, 4, what) == pytest.approx(network.run(ours, codes, 4, what), abs=2e-6)

    def test_after_memory_was_full_once_no_larger_batch_is_tried(self, monkeypatch):
        ours, codes = net("nucleotide-transformer"), np.stack([sequence(60, seed=one) for one in range(40)])
        real, sizes = ours.forward, []

        def forward(**inputs):
            sizes.append(len(inputs["input_ids"]))
            if sizes[-1] > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return real(**inputs)

        monkeypatch.setattr(ours, "forward", forward)
        network.run_inputs(ours, ours.encode(codes), 16)
        assert sizes == [16, 8, 4, *[2] * 20]

    def test_the_mode_is_put_back_and_no_rows_give_none(self):
        ours = net("dnabert2").train()
        assert len(network.run_inputs(ours, ours.encode(sequence(60)[None][:0]), 4)) == 0 and ours.training
        assert len(network.run_inputs(ours, ours.encode(sequence(60)[None]), 4)) == 1 and ours.training


class TestAtOnce:
    def on_a_gpu(self, monkeypatch, gib, **parts):
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda where: SimpleNamespace(total_memory=gib * 2**30 + 5))
        return SimpleNamespace(parameters=lambda: iter([SimpleNamespace(device=torch.device("cuda:0"))]), **parts)

    @pytest.mark.parametrize(
        ("gib", "length", "least", "expected"),
        [(16, 1000, 32, 16 * 1024 // 171), (139, 1000, 32, 832), (16, 12000, 32, 32), (1, 5, 9, 170)],
    )
    def test_a_transformer_on_a_gpu_gets_batches_of_as_many_tokens_as_its_memory_has_room_for(
        self, gib, length, least, expected, monkeypatch
    ):
        ours = self.on_a_gpu(monkeypatch, gib, tokeniser=KmerBlocks(6, 2))
        assert network.at_once(ours, length, least) == expected

    def test_byte_pairs_are_taken_to_be_of_four_bases(self, monkeypatch, learned):
        assert network.at_once(self.on_a_gpu(monkeypatch, 16, tokeniser=learned), 1000, 32) == 16 * 1024 // 250
        assert network.at_once(self.on_a_gpu(monkeypatch, 16, tokeniser=learned), 2, 1) == 16 * 1024

    def test_all_else_gets_the_batches_of_training(self, monkeypatch):
        assert network.at_once(self.on_a_gpu(monkeypatch, 16), 1000, 5) == 5
        assert network.at_once(net("nucleotide-transformer"), 1000, 5) == 5

    def test_an_opened_network_is_called_in_those_batches(self, monkeypatch, tmp_path):
        about = toy_models.about("dnabert", ENCODERS["dnabert"], 60, 3, training={"precision": "float32"})
        ours, asked = family("dnabert").build(about, lambda: None), []
        family("dnabert").save(tmp_path, about, ours)
        monkeypatch.setattr(network, "at_once", lambda net, length, least: asked.append((length, least)) or 3)
        found = network.opened(tmp_path, about)
        assert asked == [(60, 4)] and (found.batch_size, found.precision) == (3, "float32")
        codes = np.stack([sequence(60, seed=one) for one in range(7)])
        logits = found(codes, np.zeros(7))
        assert logits.dtype == np.float64 and logits == pytest.approx(network.run(ours, codes, 5), abs=2e-6)
