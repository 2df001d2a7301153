from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import nn

from regdna.models import linear
from regdna.models.classifier import log_odds
from regdna.models.heads import EncoderClassifier, choose_pooling
from regdna.models.pooling import LEARNED, POOLINGS, Several, pooling

WIDTH = 6
GARBAGE = [0.0, 1e30, float("inf"), float("-inf"), float("nan")]


class Words:
    """A tokeniser of words of 1 to 4 bases, as long as their first base's code plus one, between two special tokens.

    Ids: 0 padding, 1 special, 1 + length else.
    """

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
    """An encoder that knows neither neighbours nor padding."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(6, WIDTH)

    def forward(self, input_ids, attention_mask):
        return SimpleNamespace(last_hidden_state=self.table(input_ids))


def codes(rows=5, length=30, seed=0):
    return np.random.default_rng(seed).integers(0, 5, (rows, length)).astype(np.uint8)


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
        found = net.parts(net(hidden, mask, bases).numpy())
        assert net.needs_bases and set(found) == set(POOLINGS) - set(LEARNED)
        for name, part in found.items():
            assert np.array_equal(part, pooling(name, WIDTH)(hidden, mask, bases).numpy())

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


class TestChoosePooling:
    """Two poolings see the label through little and much noise; the third is the first again."""

    def data(self, exclusive, seed=0):
        draw = np.random.default_rng(seed)
        parts = []
        for rows in (160, 90):
            labels = np.eye(3, dtype=bool)[draw.integers(0, 3, rows)] if exclusive else draw.random((rows, 3)) < [0.5, 0.2, 0.7]
            noisy = labels + draw.normal(size=(rows, 3)) * 2
            clear = labels + draw.normal(size=(rows, 3)) * 0.7
            parts.append((labels, {"max": noisy.astype(np.float32), "cls": clear.astype(np.float32), "bases": clear.astype(np.float32)}))
        return parts

    @pytest.mark.parametrize("exclusive", [False, True])
    def test_the_clearer_one_is_chosen_and_scores_are_mean_average_precision(self, exclusive):
        (labels, train), (checks, validation) = self.data(exclusive)
        name, scores = choose_pooling(train, validation, labels, checks, exclusive, 1.0)
        assert name == "cls"
        for one in train:
            weight, bias = linear.fit_logistic(train[one].astype(float), labels, exclusive, 1.0)
            odds = log_odds(validation[one] @ weight.T + bias, exclusive)
            expected = np.mean([average_precision_score(checks[:, target], odds[:, target]) for target in range(3)])
            assert scores[one] == pytest.approx(expected, abs=1e-9)
        assert scores["max"] < scores["cls"] == scores["bases"]

    def test_ties_go_to_the_first_of_the_list_however_given(self):
        (labels, train), (checks, validation) = self.data(False)
        swapped = {name: train[name] for name in ("bases", "max", "cls")}
        assert choose_pooling(swapped, validation, labels, checks, False, 1.0)[0] == "cls"
        two = {"bases": train["bases"], "mean": train["cls"]}
        assert choose_pooling(two, {"bases": validation["bases"], "mean": validation["cls"]}, labels, checks, False, 1.0)[0] == "mean"

    def test_validation_decides_not_training(self):
        """A pooling that knows the training labels by heart and nothing else loses."""
        (labels, train), (checks, validation) = self.data(False)
        train["mean"] = labels * 10.0
        validation["mean"] = np.random.default_rng(5).normal(size=(90, 3))
        assert choose_pooling(train, validation, labels, checks, False, 1.0)[0] == "cls"

    def test_a_target_of_one_class_in_validation_does_not_count(self):
        (labels, train), (checks, validation) = self.data(False)
        some, none = checks.copy(), checks.copy()
        some[:, 0], none[:] = True, False
        _, scores = choose_pooling(train, validation, labels, some, False, 1.0)
        _, whole = choose_pooling(train, validation, labels[:, 1:], checks[:, 1:], False, 1.0)
        assert scores == pytest.approx(whole, abs=1e-9)
        with pytest.raises(ValueError, match="no target has both classes"):
            choose_pooling(train, validation, labels, none, False, 1.0)

    @pytest.mark.parametrize(
        "names", [([], []), (["attention"], ["attention"]), (["mean"], ["max"]), (["mean", "median"], ["mean", "median"])]
    )
    def test_poolings_that_cannot_be_compared_are_refused(self, names):
        (labels, train), (checks, validation) = self.data(False)
        given = [dict.fromkeys(part, one["cls"]) for part, one in zip(names, (train, validation), strict=True)]
        with pytest.raises(ValueError, match="give the same of mean, cls, max, bases in both"):
            choose_pooling(*given, labels, checks, False, 1.0)
