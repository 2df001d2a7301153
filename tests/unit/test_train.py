import json

import numpy as np
import pytest
import torch
import toy_models
from safetensors.torch import load_file
from sklearn.metrics import average_precision_score

from regdna import models, train
from regdna.alphabet import N, reverse_complement
from regdna.models import network, weights
from regdna.models.classifier import Classifier
from regdna.step import InputError
from regdna.train import Data, augment, fit_features, fit_network, fit_probe, forward_flops, groups, loss_of, mean_ap, sample, warm_cosine
from regdna.windows import Sequences

PARAMETERS = {
    "basset": toy_models.BASSET,
    "nucleotide-transformer": toy_models.NT,
    "dnabert2": toy_models.DNABERT2,
    "dnabert": toy_models.DNABERT,
}
OFF = {"reverse_complement": False, "shift": 0}


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def data(tmp_path):
    return toy_models.data(tmp_path / "data")


def entry(data, architecture="basset", **more):
    labels = "exclusive" if data.exclusive else "multilabel"
    about = toy_models.about(architecture, PARAMETERS[architecture], data.sequences.length, len(data.targets.names), labels)
    return {**about, **more}


def trained(data, folder, settings=None, architecture="basset", state=None, **more):
    """Ledger entries and weights after training to a folder."""
    folder.mkdir()
    settings = {**toy_models.SETTINGS, **(settings or {})}
    cost = fit_network(entry(data, architecture, **more), data, folder, settings, state or folder / "state.pt")
    return cost, load_file(folder / "model.safetensors")


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def kill_after(monkeypatch, batches):
    """Have training end, as if killed, when it has taken so many steps."""
    taken = 0

    def dying(*arguments):
        nonlocal taken
        taken += 1
        if taken > batches:
            raise Killed
        return loss_of(*arguments)

    monkeypatch.setattr(train, "loss_of", dying)


class TestResume:
    # 60 training rows in batches of 16 are four steps an epoch
    @pytest.mark.parametrize(("batches", "epochs"), [(2, 0), (4, 1), (7, 1), (12, 3)])
    def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(self, data, tmp_path, monkeypatch, batches, epochs):
        _, whole = trained(data, tmp_path / "whole")
        state = tmp_path / "state.pt"
        with monkeypatch.context() as patch:
            kill_after(patch, batches)
            with pytest.raises(Killed):
                trained(data, tmp_path / "killed", state=state)
        assert not list((tmp_path / "killed").iterdir())
        assert state.is_file() == (epochs > 0)
        torch.manual_seed(99)
        cost, resumed = trained(data, tmp_path / "resumed", state=state)
        assert same(whole, resumed)
        assert cost["resumed_from"] == (epochs or None) and cost["attempts"] == (2 if epochs else 1)
        one, two = (json.loads((tmp_path / name / "about.json").read_text()) for name in ("whole", "resumed"))
        assert one == two and len(one["history"]) == 4

    @pytest.mark.parametrize("architecture", ["nucleotide-transformer", "dnabert2"])
    def test_a_transformer_resumes_bit_for_bit_too(self, data, tmp_path, monkeypatch, architecture):
        settings = {"epochs": 3}
        _, whole = trained(data, tmp_path / "whole", settings, architecture)
        state = tmp_path / "state.pt"
        with monkeypatch.context() as patch:
            kill_after(patch, 6)
            with pytest.raises(Killed):
                trained(data, tmp_path / "killed", settings, architecture, state)
        assert same(whole, trained(data, tmp_path / "resumed", settings, architecture, state)[1])

    def test_two_kills_count_as_three_attempts(self, data, tmp_path, monkeypatch):
        _, whole = trained(data, tmp_path / "whole")
        for attempt in range(2):
            with monkeypatch.context() as patch, pytest.raises(Killed):
                kill_after(patch, 5)
                trained(data, tmp_path / f"killed{attempt}", state=tmp_path / "state.pt")
        cost, resumed = trained(data, tmp_path / "resumed", state=tmp_path / "state.pt")
        assert same(whole, resumed) and (cost["attempts"], cost["resumed_from"]) == (3, 2)
        assert cost["earlier_seconds"] > 0

    def test_a_finished_state_is_only_saved_again(self, data, tmp_path, monkeypatch):
        _, whole = trained(data, tmp_path / "whole", state=tmp_path / "state.pt")
        kill_after(monkeypatch, 0)
        assert same(whole, trained(data, tmp_path / "again", state=tmp_path / "state.pt")[1])

    def test_the_seed_decides_everything(self, data, tmp_path):
        runs = [trained(data, tmp_path / f"{i}", {"epochs": 1}, seed=seed)[1] for i, seed in enumerate((1, 1, 2))]
        assert same(runs[0], runs[1]) and not same(runs[0], runs[2])


class TestEarlyStopping:
    def scripted(self, monkeypatch, values):
        """Have validation give these values, and keep each epoch's weights."""
        weights, script = [], iter(values)

        def run(net, codes, batch_size, what="forward"):
            weights.append({name: value.clone() for name, value in net.state_dict().items()})
            return np.zeros((len(codes), 3))

        monkeypatch.setattr(network, "run", run)
        monkeypatch.setattr(train, "mean_ap", lambda labels, scores: next(script))
        return weights

    @pytest.mark.parametrize(
        ("values", "patience", "epochs", "best"),
        [
            ([0.5, 0.6, 0.55, 0.59, 0.9], 2, 4, 2),
            ([0.5, 0.6, 0.6, 0.7, 0.1, 0.1], 2, 6, 4),
            ([0.9, 0.1, 0.1, 0.1, 0.1, 0.1], 6, 6, 1),
            ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 1, 6, 6),
            ([0.0, 0.0, 0.0], 2, 3, 1),
        ],
    )
    def test_the_best_epoch_is_kept_and_patience_ends_training(self, data, tmp_path, monkeypatch, values, patience, epochs, best):
        weights = self.scripted(monkeypatch, values)
        cost, found = trained(data, tmp_path / "run", {"epochs": 6, "patience": patience})
        config = json.loads((tmp_path / "run/about.json").read_text())
        assert cost["epochs"] == len(config["history"]) == epochs
        assert config["best_epoch"] == best
        assert same(found, {name: value.contiguous() for name, value in weights[best - 1].items()})

    @pytest.mark.parametrize("exclusive", [False, True])
    def test_the_validation_value_is_that_of_the_saved_models_predictions(self, tmp_path, exclusive):
        data = toy_models.data(tmp_path / "data", exclusive=exclusive)
        trained(data, tmp_path / "run", {"epochs": 3})
        config = json.loads((tmp_path / "run/about.json").read_text())
        rows = data.rows("validation")
        odds = Classifier(tmp_path / "run").log_odds(data.sequences[rows], data.position(rows))
        labels = data.targets[rows]
        expected = np.mean([average_precision_score(labels[:, target], odds[:, target]) for target in range(labels.shape[1])])
        assert config["history"][config["best_epoch"] - 1]["validation_ap"] == pytest.approx(expected, abs=1e-9)


class TestLearning:
    @pytest.mark.parametrize("exclusive", [False, True])
    def test_a_planted_motif_is_learned(self, tmp_path, exclusive):
        data = toy_models.data(tmp_path / "data", rows=300, exclusive=exclusive)
        settings = {"epochs": 10, "patience": 10, "shift": 0, "reverse_complement": False}
        cost, _ = trained(data, tmp_path / "run", settings)
        rows = data.rows("validation")
        labels = data.targets[rows]
        odds = Classifier(tmp_path / "run").log_odds(data.sequences[rows], data.position(rows))
        assert mean_ap(labels[:, :2], odds[:, :2]) > 0.9
        assert cost["sequences"] == 200 * cost["epochs"] and cost["steps"] == 13 * cost["epochs"]
        assert cost["flops"] > 0 and cost["earlier_seconds"] == 0

    def test_every_epoch_shows_each_training_row_once_in_an_order_of_its_own(self, data, tmp_path, monkeypatch):
        shown = []
        monkeypatch.setattr(train, "augment", lambda codes, draw, settings: shown.extend(codes) or codes)
        trained(data, tmp_path / "run", {"epochs": 2, "batch_size": 20})
        one, two = ([row.tobytes() for row in part] for part in (shown[:60], shown[60:]))
        rows = [row.tobytes() for row in data.sequences[data.rows("train")]]
        assert sorted(one) == sorted(two) == sorted(rows)
        assert one != two and one != rows

    def test_a_last_batch_of_one_row_is_no_error(self, tmp_path):
        data = toy_models.data(tmp_path / "data", rows=72)  # 48 rows train
        cost, _ = trained(data, tmp_path / "run", {"epochs": 1, "batch_size": 47})
        assert cost["epochs"] == 1

    def test_a_loss_that_is_no_number_says_what_to_lower(self, data, tmp_path, monkeypatch):
        monkeypatch.setattr(train, "loss_of", lambda logits, labels, exclusive: logits.sum() * float("nan"))
        with pytest.raises(FloatingPointError, match="lower training.learning_rate"):
            trained(data, tmp_path / "run")

    @pytest.mark.parametrize("architecture", ["kmer-logistic", "composition"])
    @pytest.mark.parametrize("exclusive", [False, True])
    def test_row_zero_is_fitted_on_training_rows_alone(self, tmp_path, architecture, exclusive):
        parameters = {"kmer-logistic": {"k": 3, "l2": 1.0}, "composition": {"l2": 1.0}}[architecture]
        runs = []
        for folder in ("a", "b"):
            data = toy_models.data(tmp_path / folder, exclusive=exclusive)
            if folder == "b":
                codes = np.load(tmp_path / "b/sequences.npy")
                codes[data.rows("validation")] = 2
                np.save(tmp_path / "b/sequences.npy", codes)
                sequences = Sequences(data.windows, tmp_path / "b/sequences.npy")
                data = Data(sequences, data.targets, data.windows, exclusive)
            (tmp_path / folder / "out").mkdir()
            labels = "exclusive" if exclusive else "multilabel"
            about = toy_models.about(architecture, parameters, 60, len(data.targets.names), labels)
            cost = fit_features(about, data, tmp_path / folder / "out")
            assert cost["sequences"] == 60
            runs.append(load_file(tmp_path / folder / "out/model.safetensors"))
        assert same(*runs)

    @pytest.mark.parametrize("architecture", ["nucleotide-transformer", "dnabert2"])
    def test_a_probe_changes_the_head_and_nothing_else(self, data, tmp_path, architecture):
        about = entry(data, architecture, regime="probe")
        cost = fit_probe(about, data, tmp_path)
        found = load_file(tmp_path / "model.safetensors")
        saved = json.loads((tmp_path / "about.json").read_text())
        net = models.family(architecture).build(saved, lambda: sample(data, data.rows("train")))
        prefix = net.encoder.base_model_prefix
        fresh = {name.replace("encoder", prefix, 1) if name.startswith("encoder") else name: one for name, one in net.state_dict().items()}
        assert {name for name in fresh if not torch.equal(fresh[name], found[name])} == {"head.weight", "head.bias"}
        assert cost["trained_parameters"] == 3 * 16 + 3 < cost["parameters"]
        rows = data.rows("train")
        odds = Classifier(tmp_path).log_odds(data.sequences[rows], data.position(rows))
        assert mean_ap(data.targets[rows], odds) > 0.75


LAYOUTS = {"nt-v1": "nucleotide-transformer", "nt-v2": "nucleotide-transformer", "dnabert2": "dnabert2", "dnabert": "dnabert"}
ON_WEIGHTS = {"pooling": "mean", "l2": 1.0, "rank": 1, "alpha": 2, "adapter_dropout": 0.0}


class TestPublishedWeights:
    def run(self, data, folder, layout, regime, initialisation="published", **parameters):
        """Ledger entries, what ``about.json`` says, the starting folder and the saved tensors."""
        start = folder.parent / "hub"
        if not start.is_dir():
            toy_models.published(start, layout)
        folder.mkdir()
        about = entry(
            data, LAYOUTS[layout], regime=regime, initialisation=initialisation, weights="hub", parameters=ON_WEIGHTS | parameters
        )
        if regime == "probe":
            cost = fit_probe(about, data, folder, start)
        else:
            cost = fit_network(about, data, folder, {**toy_models.SETTINGS, "epochs": 1}, folder / "state.pt", start)
        return cost, json.loads((folder / "about.json").read_text()), start, load_file(folder / "model.safetensors")

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_a_probe_keeps_the_published_encoder(self, data, tmp_path, layout):
        _, about, start, found = self.run(data, tmp_path / "run", layout, "probe")
        published = dict(load_file(start / "model.safetensors"))
        encoder = [key for key in found if key in published]
        assert len(encoder) > 10 and all(torch.equal(found[key], published[key]) for key in encoder)
        assert about["initialisation"] == "published"
        reopened, tokeniser = models.load(tmp_path / "run")
        ids, mask = tokeniser.encode(data.sequences[data.rows("validation")])
        with torch.no_grad():
            logits = reopened(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits.numpy()
        odds = Classifier(tmp_path / "run").log_odds(data.sequences[data.rows("validation")], data.position(data.rows("validation")))
        assert odds == pytest.approx(logits, abs=1e-5)

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("regime", ["full", "lora", "ia3"])
    def test_every_regime_trains_its_share_and_saves_a_whole_model(self, data, tmp_path, layout, regime):
        cost, about, start, found = self.run(data, tmp_path / "run", layout, regime)
        published = load_file(start / "model.safetensors")
        changed = {key for key in found if key in published and not torch.equal(found[key], published[key])}
        head = sum(found[key].numel() for key in found if key.startswith("head."))
        if regime == "full":
            assert cost["trained_parameters"] == cost["parameters"] and any("embeddings" in key for key in changed)
        else:
            assert head < cost["trained_parameters"] < 0.2 * cost["parameters"]
            assert changed and all(".attention.self." in key or ".wo." in key or ".output.dense." in key for key in changed)
        assert not [key for key in found if "lora" in key or "ia3" in key]
        assert Classifier(tmp_path / "run").log_odds(data.sequences[:5], np.zeros(5)).shape == (5, 3)

    def test_a_twin_begins_elsewhere_and_its_digest_says_so(self, data, tmp_path):
        (one, _, start, found), (two, _, _, other) = (
            self.run(data, tmp_path / name, "nt-v2", "probe", name) for name in ("published", "random")
        )
        assert one["initial_digest"] != two["initial_digest"]
        published = load_file(start / "model.safetensors")
        key = "esm.encoder.layer.0.attention.self.query.weight"
        assert torch.equal(found[key], published[key]) and not torch.equal(other[key], published[key])
        assert {name: value.shape for name, value in found.items()} == {name: value.shape for name, value in other.items()}

    def test_weights_that_are_not_the_verified_ones_are_refused(self, data, tmp_path):
        toy_models.published(tmp_path / "hub", "nt-v2")
        model, _ = models.load(tmp_path / "hub")
        about = entry(data, "nucleotide-transformer", initialisation="published", weights="hub", parameters=ON_WEIGHTS)
        build = models.family("nucleotide-transformer").build
        build(about | {"weights_digest": weights.digest(model.state_dict())}, None, tmp_path / "hub")
        with pytest.raises(InputError, match="hub: its weights are not those that vault.json there describes"):
            build(about | {"weights_digest": "0" * 16}, None, tmp_path / "hub")

    def test_what_was_trained_here_may_be_where_another_begins(self, data, tmp_path):
        self.run(data, tmp_path / "run", "dnabert2", "full")
        about = entry(data, "dnabert2", initialisation="published", weights="own", parameters=ON_WEIGHTS)
        net = models.family("dnabert2").build(about, None, tmp_path / "run")
        first = load_file(tmp_path / "run/model.safetensors")["bert.encoder.layer.0.attention.self.Wqkv.weight"]
        assert torch.equal(net.encoder.encoder.layer[0].attention.self.Wqkv.weight, first)

    @pytest.mark.parametrize("regime", ["probe", "full"])
    def test_the_best_pooling_is_chosen_on_validation_and_kept(self, data, tmp_path, regime):
        _, about, _, _ = self.run(data, tmp_path / "run", "dnabert2", regime, pooling="best")
        assert set(about["pooling_ap"]) == {"mean", "cls", "max", "bases"}
        assert about["parameters"]["pooling"] == max(about["pooling_ap"], key=about["pooling_ap"].get)
        assert models.load(tmp_path / "run")[0].pooling.__class__.__name__ in ("Mean", "First", "Max", "Bases")

    def test_a_killed_lora_run_ends_with_the_weights_of_an_undisturbed_one(self, data, tmp_path, monkeypatch):
        toy_models.published(tmp_path / "hub", "nt-v2")
        about = entry(data, "nucleotide-transformer", regime="lora", initialisation="published", weights="hub", parameters=ON_WEIGHTS)
        ends = []
        for name in ("whole", "killed"):
            (tmp_path / name).mkdir()
            arguments = (about, data, tmp_path / name, toy_models.SETTINGS, tmp_path / name / "state.pt", tmp_path / "hub")
            if name == "killed":
                real, calls = train._epoch, []

                def dies(*given, real=real, calls=calls):
                    calls.append(1)
                    if len(calls) == 3:
                        raise Killed
                    return real(*given)

                monkeypatch.setattr(train, "_epoch", dies)
                with pytest.raises(Killed):
                    fit_network(*arguments)
                monkeypatch.setattr(train, "_epoch", real)
            cost = fit_network(*arguments)
            ends.append(weights.digest(load_file(tmp_path / name / "model.safetensors")))
        assert cost["resumed_from"] == 2 and ends[0] == ends[1]

    def test_published_convolutions_get_a_new_last_layer(self, tmp_path):
        data = toy_models.data(tmp_path / "data", rows=24, length=200)
        (tmp_path / "hub").mkdir()
        torch.manual_seed(0)
        parts = {"0": (6, 4, 19, 1), "4": (5, 6, 11, 1), "8": (5, 5, 7, 1), "13.1": (7, 5), "17.1": (7, 7), "21.1": (9, 7)}
        tensors = {}
        for number, shape in parts.items():
            tensors |= {f"{number}.weight": torch.randn(shape) * 0.3, f"{number}.bias": torch.randn(shape[0]) * 0.1}
        for number, width in {"1": 6, "5": 5, "9": 5, "14": 7, "18": 7}.items():
            for name in ("weight", "bias", "running_mean", "running_var"):
                tensors[f"{number}.{name}"] = torch.rand(width) + 0.5
        torch.save(tensors, tmp_path / "hub/basset.pth")
        net, _ = models.load(tmp_path / "hub")
        about = entry(data, regime="full", initialisation="published", weights="hub", parameters={}) | {"length": net.length}
        start = models.family("basset").build(about, lambda: None, tmp_path / "hub")
        assert torch.equal(start.layers[0].weight, tensors["0.weight"][..., 0]) and start.last.out_features == 3
        with pytest.raises(ValueError, match=f"takes {net.length} bp, not 60"):
            models.family("basset").build(about | {"length": 60}, lambda: None, tmp_path / "hub")


class TestAugment:
    @pytest.fixture
    def codes(self):
        return np.random.default_rng(0).integers(0, 4, (400, 30)).astype(np.uint8)

    def test_nothing_asked_nothing_done(self, codes):
        assert np.array_equal(augment(codes, np.random.default_rng(1), OFF), codes)

    def test_about_half_of_the_rows_turn_and_no_other_thing_happens(self, codes):
        found = augment(codes, np.random.default_rng(1), {**OFF, "reverse_complement": True})
        kept = (found == codes).all(1)
        assert 150 < kept.sum() < 250 and found.dtype == np.uint8
        assert np.array_equal(found[~kept], reverse_complement(codes)[~kept])

    def test_shifts_move_the_content_and_fill_with_n(self, codes):
        found = augment(codes, np.random.default_rng(1), {**OFF, "shift": 3})
        padded = np.pad(codes, ((0, 0), (3, 3)), constant_values=N)
        seen = []
        for row, one in enumerate(found):
            moves = [move for move in range(-3, 4) if np.array_equal(one, padded[row, 3 + move : 33 + move])]
            assert len(moves) == 1
            seen += moves
        assert set(seen) == set(range(-3, 4)) and found.dtype == np.uint8

    def test_the_input_is_left_alone(self, codes):
        before = codes.copy()
        augment(codes, np.random.default_rng(1), {"reverse_complement": True, "shift": 3})
        assert np.array_equal(codes, before)


def test_losses_by_hand():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    labels = torch.tensor([[True, False], [True, False]])
    softmax = (np.log1p(np.exp(-2)) + np.log1p(np.exp(1))) / 2
    binary = (np.log1p(np.exp(-2)) + np.log(2) + np.log(2) + np.log1p(np.exp(1))) / 4
    assert loss_of(logits, labels, True).item() == pytest.approx(softmax, abs=1e-6)
    assert loss_of(logits, labels, False).item() == pytest.approx(binary, abs=1e-6)


def test_mean_ap_leaves_out_targets_of_one_class():
    labels = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 0]], bool)
    scores = np.array([[0.9, 0, 0], [0.8, 0, 0], [0.1, 0, 0]])
    assert mean_ap(labels, scores) == pytest.approx((1 + 2 / 3) / 2)
    assert mean_ap(labels[:, 1:], scores[:, 1:]) == 0


@pytest.mark.parametrize("steps", [1, 10, 1000])
@pytest.mark.parametrize("warmup", [0, 0.1, 1])
def test_the_rate_rises_then_falls_and_stays_within_one(warmup, steps):
    factor = [warm_cosine(warmup, steps)(step) for step in range(steps)]
    top = max(1, round(warmup * steps))
    assert min(factor) > 0 and max(factor) == pytest.approx(1)
    assert factor[:top] == pytest.approx((np.arange(top) + 1) / top)
    assert (np.diff(factor[top:]) < 0).all()
    if steps == 1000 and warmup == 0.1:
        assert factor[550] == pytest.approx(0.5) and factor[-1] < 1e-4


def test_only_matrices_decay():
    net = models.family("basset").build(toy_models.about("basset", toy_models.BASSET, 60), lambda: None)
    wide, flat = groups(net, 0.3)
    assert wide["weight_decay"] == 0.3 and flat["weight_decay"] == 0
    assert all(one.ndim > 1 for one in wide["params"]) and all(one.ndim == 1 for one in flat["params"])
    assert train.count(net) == sum(one.numel() for one in wide["params"] + flat["params"])


def test_forward_flops_by_hand():
    net = models.family("basset").build(
        toy_models.about("basset", {"filters": [2], "widths": [3], "pools": [4], "hidden": 5, "dropout": 0.1}, 10, 3), lambda: None
    )
    # 8 places of 2 x 4 x 3; 2 x 2 pooled to 5; 5 to 5; 5 to 3
    assert forward_flops(net, np.zeros((2, 10), np.uint8)) == 2 * (8 * 24 + 20 + 25 + 15)
