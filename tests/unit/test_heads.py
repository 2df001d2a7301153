from types import SimpleNamespace

import numpy as np
import pytest
import torch
import toy_models
from torch import nn

from regdna.alphabet import N
from regdna.models import encoders, family
from regdna.models.heads import EncoderClassifier, without_ends
from regdna.models.pooling import LEARNED, POOLINGS, Several, pooling
from regdna.tokenisers import BytePair, KmerBlocks, OverlappingKmers, SingleBase

WIDTH = 6
GARBAGE = [0.0, 1e30, float("inf"), float("-inf"), float("nan")]


class Words:
    """A tokeniser of words of 1 to 4 bases, as long as their first base's code plus one, between two special tokens.

    Ids: 0 padding, 1 special, 1 + length else.
    """

    pad = 0

    def encode(self, codes):
        rows = []
        for row in codes:
            ids, at = [1], 0
            while at < len(row):
                length = min(int(row[at]) % 4 + 1, len(row) - at)
                ids.append(1 + length)
                at += length
            rows.append([*ids, 1])
        ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
        return ids, ids != 0

    def offsets(self, ids):
        length = np.maximum(ids - 1, 0)
        end = length.cumsum(1)
        return np.stack([end - length, end], -1).astype(np.int32)


class Lookup(nn.Module):
    """An encoder that knows neither neighbours nor padding; its hidden states are a table's cube, square and the table itself."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(6, WIDTH)

    def forward(self, input_ids, attention_mask, output_hidden_states=False):
        last = self.table(input_ids)
        states = (last**3, last**2, last) if output_hidden_states else None
        return SimpleNamespace(last_hidden_state=last, hidden_states=states)


def codes(rows=5, length=30, seed=0):
    return np.random.default_rng(seed).integers(0, 4, (rows, length)).astype(np.uint8)


def batch(seed=0):
    """Hidden states (4, 7, WIDTH), a mask with rows of 7, 5, 3 and 1 tokens, and bases with a special token at either end."""
    draw = torch.Generator().manual_seed(seed)
    counts = torch.tensor([7, 5, 3, 1])
    at = torch.arange(7)
    mask = at < counts[:, None]
    bases = torch.randint(1, 9, (4, 7), generator=draw).float()
    bases[:, 0] = 0
    bases[at == counts[:, None] - 1] = 0
    bases[3, 0] = 2  # a row of one token has bases, or there would be nothing to read
    return torch.randn(4, 7, WIDTH, generator=draw), mask, bases * mask


def filled(name):
    """A pooling whose parameters are not at their start."""
    net = pooling(name, WIDTH)
    for parameter in net.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(3))
    return net


def by_hand(name, net, hidden, mask, bases):
    """Each row on its own, in float64 loops."""
    out = []
    for row, kept, covered in zip(hidden.double().numpy(), mask.numpy().astype(bool), bases.double().numpy(), strict=True):
        tokens = [row[i] for i in range(len(row)) if kept[i]]
        lengths = [covered[i] for i in range(len(row)) if kept[i]]
        if name == "mean":
            out.append(sum(tokens) / len(tokens))
        elif name == "cls":
            out.append(tokens[0])
        elif name == "max":
            out.append([max(token[unit] for token in tokens) for unit in range(WIDTH)])
        elif name == "bases":
            out.append(sum(length * token for length, token in zip(lengths, tokens, strict=True)) / sum(lengths))
        else:
            query = net.query.detach().double().numpy()
            share = [np.exp(token @ query / np.sqrt(WIDTH)) for token in tokens]
            out.append(sum(one * token for one, token in zip(share, tokens, strict=True)) / sum(share))
    return np.array(out)


class TestPooling:
    @pytest.mark.parametrize("name", POOLINGS)
    @pytest.mark.parametrize("integer", [False, True], ids=["boolean mask", "integer mask"])
    def test_equals_a_loop_over_tokens(self, name, integer):
        hidden, mask, bases = batch()
        net = filled(name)
        found = net(hidden, mask.long() if integer else mask, bases)
        assert found.shape == (4, WIDTH) and found.dtype == torch.float32
        assert found.detach().numpy() == pytest.approx(by_hand(name, net, hidden, mask, bases), abs=1e-6)

    @pytest.mark.parametrize("name", POOLINGS)
    @pytest.mark.parametrize("garbage", GARBAGE)
    def test_what_stands_at_padding_changes_nothing(self, name, garbage):
        hidden, mask, bases = batch()
        net = filled(name)
        clean = net(hidden, mask, bases)
        hidden[~mask], bases[~mask] = garbage, garbage
        hidden.requires_grad_()
        found = net(hidden, mask, bases)
        assert torch.equal(found, clean)
        (found**2).sum().backward()
        assert not hidden.grad[~mask].any()
        assert all(torch.isfinite(one.grad).all() for one in [hidden, *net.parameters()])

    @pytest.mark.parametrize("name", POOLINGS)
    def test_more_padding_changes_nothing(self, name):
        hidden, mask, bases = batch()
        net = filled(name)
        longer = [torch.cat([one, torch.ones(4, 3, *one.shape[2:]).to(one.dtype) * fill], 1) for one, fill in
                  ((hidden, 5), (mask, False), (bases, 7))]  # fmt: skip
        assert torch.allclose(net(*longer), net(hidden, mask, bases), atol=1e-7)

    @pytest.mark.parametrize("name", POOLINGS)
    def test_gradients_are_those_of_finite_differences(self, name):
        hidden, mask, bases = batch()
        net = filled(name).double()
        hidden = hidden.double().requires_grad_()
        assert torch.autograd.gradcheck(lambda given: net(given, mask, bases), hidden)
        for parameter in net.parameters():
            assert torch.autograd.gradcheck(lambda _: net(hidden.detach(), mask, bases), parameter)

    @pytest.mark.parametrize("name", POOLINGS)
    def test_every_token_that_counts_gets_a_gradient(self, name):
        hidden, mask, bases = batch()
        hidden.requires_grad_()
        (filled(name)(hidden, mask, bases) ** 2).sum().backward()
        reached = hidden.grad.abs().sum(-1) > 0
        counts = {"cls": mask & (torch.arange(7) == 0), "bases": bases > 0}.get(name, mask)
        assert not (reached & ~counts).any()
        assert torch.equal(reached, counts) or name == "max" and reached.any(1).all()

    @pytest.mark.parametrize("name", POOLINGS)
    @pytest.mark.parametrize("autocast", [False, True])
    def test_half_precision_is_pooled_in_float32(self, name, autocast):
        draw = torch.Generator().manual_seed(1)
        hidden = (torch.randn(2, 900, WIDTH, generator=draw) + 10).bfloat16()
        mask, bases = torch.ones(2, 900, dtype=torch.bool), torch.randint(1, 9, (2, 900), generator=draw).float()
        net = filled(name)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            found = net(hidden, mask, bases)
        assert found.dtype == torch.float32
        assert found.detach().numpy() == pytest.approx(by_hand(name, net, hidden, mask, bases), rel=1e-5)

    def test_attention_starts_as_the_mean_and_can_learn(self):
        hidden, mask, bases = batch()
        net = pooling("attention", WIDTH)
        found = net(hidden, mask, bases)
        assert torch.allclose(found, pooling("mean", WIDTH)(hidden, mask), atol=1e-6)
        (found**2).sum().backward()
        assert net.query.grad.abs().min() > 0

    @pytest.mark.parametrize("name", POOLINGS)
    def test_only_learned_poolings_have_parameters_and_only_one_needs_bases(self, name):
        net = pooling(name, WIDTH)
        assert bool(list(net.parameters())) == (name in LEARNED)
        assert net.needs_bases == (name == "bases")

    def test_several_gives_each_that_needs_no_training_under_its_name(self):
        hidden, mask, bases = batch()
        net = Several(WIDTH)
        found = net(hidden, mask, bases)
        assert net.needs_bases and net.names == [name for name in POOLINGS if name not in LEARNED]
        assert found.shape == (4, len(net.names), WIDTH)
        for place, name in enumerate(net.names):
            assert torch.equal(found[:, place], pooling(name, WIDTH)(hidden, mask, bases))

    def test_another_name_is_refused_with_those_there_are(self):
        with pytest.raises(ValueError, match="no pooling is called 'median'; there are mean, cls, max, attention, bases"):
            pooling("median", WIDTH)


class TestEncoderClassifier:
    def net(self, name="mean", **more):
        torch.manual_seed(2)
        return EncoderClassifier(Lookup(), Words(), WIDTH, 3, name, **more).eval()

    def test_its_words_cover_the_sequence_once(self):
        given = codes()
        ids, mask = Words().encode(given)
        offsets = Words().offsets(ids)
        assert (offsets[..., 1] - offsets[..., 0]).sum(1).tolist() == [30] * 5
        assert not mask.all()

    @pytest.mark.parametrize("name", POOLINGS)
    def test_logits_are_a_linear_map_of_what_is_pooled(self, name):
        net = self.net(name)
        given = net.encode(codes())
        with torch.no_grad():
            out, embedding = net(**given), net.embed(**given)
            hidden = net.encoder.table(given["input_ids"])
        ids, mask = Words().encode(codes())
        lengths = torch.from_numpy(np.maximum(ids - 1, 0))
        assert embedding.numpy() == pytest.approx(by_hand(name, net.pooling, hidden, torch.from_numpy(mask), lengths), abs=1e-6)
        assert out.logits.shape == (5, 3)
        assert torch.allclose(out.logits, embedding @ net.head.weight.T + net.head.bias, atol=1e-6)
        assert torch.equal(out.last_hidden_state, hidden)

    @pytest.mark.parametrize("name", POOLINGS)
    def test_ids_and_mask_are_enough(self, name):
        net = self.net(name)
        given = net.encode(codes())
        assert ("bases" in given) == (name == "bases")
        with torch.no_grad():
            short = net(given["input_ids"], given["attention_mask"])
            assert torch.equal(short.logits, net(**given).logits)
            assert torch.equal(net.embed(given["input_ids"], given["attention_mask"]), net.embed(**given))

    def test_given_bases_are_taken(self):
        net = self.net("bases")
        given = net.encode(codes())
        given["bases"] = (torch.arange(given["input_ids"].shape[1]) == 2).float().expand(5, -1)
        with torch.no_grad():
            assert torch.allclose(net.embed(**given), net.encoder.table(given["input_ids"][:, 2]), atol=1e-6)

    @pytest.mark.parametrize("name", POOLINGS)
    def test_a_row_does_not_depend_on_its_batch(self, name):
        net = self.net(name)
        with torch.no_grad():
            whole = net(**net.encode(codes())).logits
            for row in range(5):
                assert torch.allclose(net(**net.encode(codes()[row : row + 1])).logits[0], whole[row], atol=1e-6)

    def test_dropout_is_on_what_is_pooled_and_only_in_training(self):
        net = self.net()
        given = net.encode(codes(40))
        net.train()
        assert torch.equal(net.embed(**given), net.embed(**given))
        torch.manual_seed(0)
        assert not torch.equal(net(**given).logits, net(**given).logits)

    def test_the_mean_adds_no_key_to_a_checkpoint_and_attention_one(self):
        plain = ["encoder.table.weight", "head.weight", "head.bias"]
        assert sorted(self.net().state_dict()) == sorted(plain)
        assert sorted(self.net("attention").state_dict()) == sorted([*plain, "pooling.query"])

    @pytest.mark.parametrize("name", POOLINGS)
    def test_a_network_in_half_precision_answers_in_it(self, name):
        net = self.net(name).bfloat16()
        assert net(**net.encode(codes())).logits.dtype == torch.bfloat16

    @pytest.mark.parametrize("layer", [None, 0, 1, 2])
    def test_the_chosen_layer_is_what_is_read(self, layer):
        net = self.net(layer=layer)
        given = net.encode(codes())
        power = {None: 1, 0: 3, 1: 2, 2: 1}[layer]
        with torch.no_grad():
            hidden = net.encoder.table(given["input_ids"]) ** power
            expected = pooling("mean", WIDTH)(hidden, given["attention_mask"])
            assert torch.allclose(net.embed(**given), expected, atol=1e-7)
            assert torch.allclose(net(**given).logits, net.head(expected), atol=1e-6)
            assert torch.equal(net(**given).last_hidden_state, hidden)

    @pytest.mark.parametrize("name", [*POOLINGS, "several"])
    def test_all_layers_at_once_are_each_layer_on_its_own(self, name):
        net = self.net("mean" if name == "several" else name)
        if name == "several":
            net.pooling = Several(WIDTH)
        given = net.encode(codes())
        with torch.no_grad():
            found = net.embed_layers(**given)
            assert found.shape == (5, 3, 4 if name == "several" else 1, WIDTH)
            for layer in range(3):
                net.layer = layer
                assert torch.equal(found[:, layer].squeeze(1), net.embed(**given))

    def test_bases_are_found_for_all_layers_too(self):
        net = self.net("bases")
        given = net.encode(codes())
        with torch.no_grad():
            assert torch.equal(net.embed_layers(given["input_ids"], given["attention_mask"]), net.embed_layers(**given))


ENCODERS = {
    "nt-v1": ("nucleotide-transformer", toy_models.NT | {"version": 1, "layers": 3}),
    "nt-v2": ("nucleotide-transformer", toy_models.NT | {"version": 2, "layers": 3}),
    "dnabert2": ("dnabert2", toy_models.DNABERT2 | {"layers": 3}),
    "dnabert": ("dnabert", toy_models.DNABERT | {"layers": 3}),
}


@pytest.mark.parametrize("name", ENCODERS)
class TestLayersOfEncoders:
    def entry(self, name, **parameters):
        architecture, sizes = ENCODERS[name]
        return toy_models.about(architecture, sizes | parameters, 60, 2)

    def net(self, name, **parameters):
        about = self.entry(name, **parameters)
        return family(about["architecture"]).build(about, lambda: codes(40, 60)).eval()

    def test_layers_are_what_its_layers_give(self, name):
        """The hidden states by hooks; the last one is what the encoder ends with."""
        net = self.net(name)
        given, seen = net.encode(codes(4, 60)), []
        for layer in net.encoder.encoder.layer:
            layer.register_forward_hook(lambda module, inputs, out: seen.append(out[0] if isinstance(out, tuple) else out))
        with torch.no_grad():
            last = net.embed(**given)
            found = net.embed_layers(**given).squeeze(2)
        assert found.shape == (4, 4, 16)
        assert torch.equal(found[:, -1], last)
        for layer in (1, 2):
            assert torch.allclose(found[:, layer], pooling("mean", 16)(seen[layer - 1], given["attention_mask"]), atol=1e-6)
        assert not torch.allclose(found[:, 0], found[:, 1], atol=1e-3)

    @pytest.mark.parametrize("layer", [0, 2])
    def test_a_checkpoint_keeps_its_layer(self, name, layer, tmp_path):
        about = self.entry(name, layer=layer)
        net = self.net(name)
        encoders.set_pooling(net, "max", layer)
        about["parameters"]["pooling"] = "max"
        encoders.save(tmp_path, about, net)
        opened = encoders.load(tmp_path, about, "sdpa").eval()
        given = net.encode(codes(3, 60))
        with torch.no_grad():
            assert opened.layer == layer
            assert torch.allclose(opened(**given).logits, net(**given).logits, atol=1e-6)
            encoders.set_pooling(net, "max")
            assert not torch.allclose(opened(**given).logits, net(**given).logits, atol=1e-3)

    def test_n_at_the_ends_are_not_seen(self, name):
        net = self.net(name)
        short = codes(3, 40)
        long = np.full((3, 60), N, np.uint8)
        long[:, 7:47] = short
        with torch.no_grad():
            assert torch.equal(net(**net.encode(long)).logits, net(**net.encode(short)).logits)

    def test_a_window_of_nothing_but_n_has_an_answer(self, name):
        net = self.net(name)
        given = codes(2, 60)
        given[0] = N
        for pool in POOLINGS:
            encoders.set_pooling(net, pool)
            with torch.no_grad():
                assert torch.isfinite(net(**net.encode(given)).logits).all()


TOKENISERS = {
    "single": SingleBase,
    "kmers-v1": lambda: KmerBlocks(6, 1),
    "kmers-v2": lambda: KmerBlocks(6, 2),
    "3mers": lambda: KmerBlocks(3, 2),
    **{f"overlapping-{k}": lambda k=k: OverlappingKmers(k) for k in (3, 4, 5, 6)},
    "byte-pairs": lambda: BytePair.learn(codes(60, 100), 200),
}


def stripped(row, least):
    """A row less the N at its ends, but of ``least`` bases or more: the last ones are spared first."""
    lead, trail = 0, 0
    while lead < len(row) - least and row[lead] == N:
        lead += 1
    while trail < len(row) - least - lead and row[len(row) - 1 - trail] == N:
        trail += 1
    return row[lead : len(row) - trail]


def ragged(seed, rows=80, length=50):
    """Rows with runs of N at either end, both or none, N within, and two of nothing but N."""
    draw = np.random.default_rng(seed)
    given = draw.integers(0, 4, (rows, length)).astype(np.uint8)
    given[draw.random(given.shape) < 0.06] = N
    for row in given:
        row[: draw.choice([0, 0, 1, 2, 6, 20])] = N
        row[length - draw.choice([0, 0, 1, 3, 7, 25]) :] = N
    given[-1] = given[5] = N
    given[7], given[9] = N, N
    given[7, 20:22], given[9, -1] = [0, 3], 2  # shorter than a word
    return given


class TestWithoutEnds:
    def check(self, tokeniser, least):
        given = ragged(3)
        ids, mask = without_ends(tokeniser, given, *tokeniser.encode(given))
        assert ids.shape == mask.shape and ids.dtype == np.int64 and mask.dtype == bool
        longest = 0
        for row, one, kept in zip(given, ids, mask, strict=True):
            expected = tokeniser.encode(stripped(row, least)[None])[0][0]
            assert one[kept].tolist() == expected.tolist()
            assert kept[: len(expected)].all() and (one[len(expected) :] == tokeniser.pad).all()
            longest = max(longest, len(expected))
        assert ids.shape[1] == longest

    @pytest.mark.parametrize("name", TOKENISERS)
    def test_it_is_as_if_the_rest_were_tokenised_alone(self, name):
        self.check(TOKENISERS[name](), int(name[-1]) if "overlapping" in name else 1)

    def test_so_it_is_with_the_published_byte_pairs(self, shared):
        self.check(BytePair((shared / "data/tokenizers/dnabert2_tokenizer.json").read_text()), 1)

    @pytest.mark.parametrize("end", [0, -1])
    def test_n_at_one_end_are_enough_to_be_cut(self, end):
        given = codes(3, 50)
        given[1, end] = N
        ids, mask = without_ends(SingleBase(), given, *SingleBase().encode(given))
        assert mask.sum(1).tolist() == [50, 49, 50]
        assert ids[1, :49].tolist() == given[1][given[1] < N].tolist()

    @pytest.mark.parametrize("name", TOKENISERS)
    def test_windows_without_n_at_the_ends_are_left_as_they_are(self, name):
        tokeniser, given = TOKENISERS[name](), codes(6, 50)
        given[2, 20:23] = N
        ids, mask = tokeniser.encode(given)
        found = without_ends(tokeniser, given, ids, mask)
        assert found[0] is ids and found[1] is mask

    def test_a_token_of_n_and_a_base_is_kept(self):
        class Odd(SingleBase):
            """The first two bases are one token, 7."""

            def encode(self, codes):
                ids = codes[:, 1:].astype(np.int64)
                ids[(codes[:, 0] == N) & (codes[:, 1] < N), 0] = 7
                return ids, np.ones(ids.shape, bool)

        given = codes(2, 30)
        given[0, 0] = given[1, -1] = N
        ids, mask = without_ends(Odd(), given, *Odd().encode(given))
        assert ids[0].tolist() == Odd().encode(given)[0][0].tolist()
        assert mask[0].all() and mask[1].sum() == 28
