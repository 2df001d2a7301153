import copy
import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy_models
from safetensors.torch import load_file
from sklearn.metrics import average_precision_score
from torch import nn

from regdna import embed, models
from regdna.models import network, weights
from regdna.models.classifier import Classifier
from regdna.step import InputError
from regdna.store import Lease
from regdna.targets import Targets
from regdna.train import descent, features, job, module_of, probe
from regdna.train.data import Data
from regdna.train.descent import Run, loss_of, positive_weight
from regdna.train.measure import chance_ap, count, forward_flops, mean_ap
from regdna.train.team import Team
from regdna.windows import Sequences

PARAMETERS = {
    "basset": toy_models.BASSET,
    "deepsea": toy_models.DEEPSEA,
    "nucleotide-transformer": toy_models.NT,
    "dnabert2": toy_models.DNABERT2,
    "dnabert": toy_models.DNABERT,
}
PLAIN = {"reverse_complement": False, "shift": 0, "clip": 1e9}


@pytest.fixture
def data(tmp_path):
    return toy_models.data(tmp_path / "data")


def entry(data, architecture="basset", **more):
    labels = "exclusive" if data.exclusive else "multilabel"
    about = toy_models.about(architecture, PARAMETERS[architecture], data.sequences.length, len(data.targets.names), labels)
    return {**about, **more}


def trained(data, folder, settings=None, architecture="basset", start=None, **more):
    """Ledger entries and weights after training to a folder."""
    folder.mkdir()
    settings = {**toy_models.SETTINGS, **(settings or {})}
    cost = descent.fit(entry(data, architecture, **more), data, folder, settings, folder.parent / f"{folder.name}.pt", start)
    return cost, load_file(folder / "model.safetensors")


def about(folder):
    return json.loads((folder / "about.json").read_text())


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def running(data, architecture="deepsea", settings=None, dtype=torch.float64):
    """A network in training that draws nothing, so that only arithmetic is left; doubled, so that little of that is."""
    net = models.family(architecture).build(entry(data, architecture), data.sample)
    for one in net.modules():
        if isinstance(one, nn.Dropout):
            one.p = 0.0
    net.train().to(dtype)
    if hasattr(net, "encoder"):
        net.encoder.config.attention_probs_dropout_prob = 0.0
    return Run(net, data, {**toy_models.SETTINGS, **PLAIN, **(settings or {})}, 1, Team("float32"))


def epochs(run, count=1):
    """Weights after some epochs of updates."""
    for epoch in range(1, count + 1):
        for batch in run.batches.epoch(epoch):
            run.update(batch, epoch)
    return dict(run.net.named_parameters())


def near(one, two, tolerance):
    assert one.keys() == two.keys()
    for name in one:
        assert one[name].detach().numpy() == pytest.approx(two[name].detach().numpy(), abs=tolerance), name


class TestLoss:
    LOGITS = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    LABELS = torch.tensor([[True, False], [True, False]])

    def test_losses_by_hand(self):
        softmax = np.log1p(np.exp(-2)) + np.log1p(np.exp(1))
        binary = np.log1p(np.exp(-2)) + np.log(2) + np.log(2) + np.log1p(np.exp(1))
        assert loss_of(self.LOGITS, self.LABELS, True).item() == pytest.approx(softmax, abs=1e-6)
        assert loss_of(self.LOGITS, self.LABELS, False).item() == pytest.approx(binary, abs=1e-6)

    def test_a_label_that_is_not_known_has_no_part_in_it(self):
        known = torch.tensor([[True, False], [True, True]])
        logits = self.LOGITS.clone().requires_grad_()
        loss = loss_of(logits, self.LABELS, False, known)
        assert loss.item() == pytest.approx(np.log1p(np.exp(-2)) + np.log(2) + np.log1p(np.exp(1)), abs=1e-6)
        loss.backward()
        assert (logits.grad == 0).tolist() == [[False, True], [False, False]]

    def test_positives_weigh_what_they_are_said_to(self):
        loss = loss_of(self.LOGITS, self.LABELS, False, None, torch.tensor([3.0, 5.0]))
        assert loss.item() == pytest.approx(3 * np.log1p(np.exp(-2)) + np.log(2) + 3 * np.log(2) + np.log1p(np.exp(1)), abs=1e-6)

    def test_positives_weigh_the_known_negatives_over_the_positives_of_the_training_windows(self, tmp_path):
        data = toy_models.data(tmp_path, unknown=0.3)
        rows = data.rows("train")
        truth, known = data.targets[rows], data.targets.known(rows)
        expected = [((~truth[:, i]) & known[:, i]).sum() / truth[:, i].sum() for i in range(3)]
        found = positive_weight(data)
        assert found.tolist() == pytest.approx(expected, rel=1e-6) and found.dtype == torch.float32

    def test_a_target_without_a_positive_in_training_weighs_one(self, data):
        frame = data.windows.copy()
        frame.loc[data.targets[np.arange(90)][:, 0], "split"] = "validation"
        found = positive_weight(Data(data.sequences, data.targets, frame, False))
        assert found[:2].tolist() == [1.0, 0.0]


def slow_loss(run, batch):
    """The mean over the labels that count, of the whole batch, and its gradient; without a micro-batch."""
    net = copy.deepcopy(run.net)
    logits, labels = net(**batch.inputs).logits, batch.labels.numpy()
    odds = logits.log_softmax(1) if run.data.exclusive else None
    losses = []
    for row, target in np.ndindex(labels.shape):
        if batch.known is not None and not batch.known[row, target]:
            continue
        one, positive = logits[row, target], labels[row, target]
        if run.data.exclusive:
            losses += [-odds[row, target]] if positive else []
        else:
            weight = run.weight[target] if positive and run.weight is not None else 1
            losses.append(-weight * (one.sigmoid() if positive else 1 - one.sigmoid()).log())
    loss = torch.stack(losses).mean()
    loss.backward()
    return loss.item(), {name: one.grad for name, one in net.named_parameters()}


class TestUpdate:
    @pytest.mark.parametrize("settings", [{}, {"micro_batch": 5}, {"balance": True}, {"balance": True, "micro_batch": 3}], ids=str)
    @pytest.mark.parametrize("kind", ["all known", "some unknown", "exclusive"])
    def test_loss_and_gradient_are_the_mean_over_the_labels_that_count(self, tmp_path, kind, settings):
        data = toy_models.data(tmp_path, exclusive=kind == "exclusive", unknown=0.4 * (kind == "some unknown"))
        run = running(data, settings=settings)
        for batch in run.batches.epoch(1):
            loss, gradients = slow_loss(run, batch)
            found, tokens = run.update(batch, 1)
            assert float(found) == pytest.approx(loss, rel=1e-5) and tokens == 0
            near({name: one.grad for name, one in run.net.named_parameters()}, gradients, 1e-7)

    def test_what_is_stored_of_a_label_that_is_not_known_changes_nothing(self, tmp_path):
        data = toy_models.data(tmp_path, unknown=0.4)
        plain = epochs(running(data))
        flipped = toy_models.data(tmp_path, unknown=0.4)
        flipped.targets.packed = flipped.targets.packed | ~flipped.targets.mask
        assert (flipped.targets[np.arange(90)] != data.targets[np.arange(90)]).any()
        assert same(plain, epochs(running(flipped)))

    @pytest.mark.parametrize("clip", [1e-3, 0.05, 1e9])
    def test_gradients_are_no_longer_than_clip_says(self, data, clip):
        run, free = running(data, settings={"clip": clip}), running(data)
        batch = next(run.batches.epoch(1))
        for one in (run, free):
            one.update(batch, 1)
        length, whole = (float(torch.cat([one.grad.flatten() for one in part.trained]).norm()) for part in (run, free))
        assert 0.05 < whole < 1e9 and length == pytest.approx(min(clip, whole), rel=1e-4)

    def test_every_update_has_the_next_rate_of_the_schedule_for_every_layer(self, data):
        run = running(data, settings={"epochs": 2, "warmup": 0.5, "layer_decay": 0.5, "schedule": "linear"})
        rates = []
        run.optimiser.register_step_pre_hook(lambda adam, *_: rates.append([group["lr"] for group in adam.param_groups]))
        epochs(run, 2)
        factors = [0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25]
        assert [one[0] for one in rates] == pytest.approx([0.01 * factor for factor in factors])
        assert all(one[-1] == pytest.approx(one[0] * 0.5**4) for one in rates)

    @pytest.mark.parametrize("micro_batch", [1, 3, 7, 15])
    @pytest.mark.parametrize("architecture", ["deepsea", "dnabert2", "nucleotide-transformer"])
    def test_micro_batches_of_any_size_end_with_the_same_weights(self, tmp_path, architecture, micro_batch):
        data = toy_models.data(tmp_path, unknown=0.3)
        whole, cut = (running(data, architecture, {"micro_batch": one, "shift": 2}) for one in (0, micro_batch))
        if architecture != "deepsea":
            lengths = [set(batch.lengths) for batch in whole.batches.epoch(1) if batch.lengths is not None]
            assert max(map(len, lengths)) > 1  # words, or N at the ends that are no tokens
        near(epochs(whole), epochs(cut), 1e-6)

    @pytest.mark.parametrize("micro_batch", [0, 4])
    def test_tokens_are_those_of_the_windows_whatever_they_are_padded_to(self, data, micro_batch):
        run = running(data, "dnabert2", {"micro_batch": micro_batch})
        batch = next(run.batches.epoch(1))
        expected = int(batch.inputs["attention_mask"].sum())
        assert int(run.update(batch, 1)[1]) == expected < batch.inputs["input_ids"].numel()


def out_of_memory(monkeypatch, net, most=10**9, calls=()):
    """Have a network run out of memory above ``most`` windows, and at its calls of some numbers; gives the sizes that it was asked for."""
    real, asked = net.forward, []

    def forward(**inputs):
        size = len(next(iter(inputs.values())))
        asked.append(size)
        answer = real(**inputs)
        if size > most or len(asked) in calls:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return answer

    monkeypatch.setattr(net, "forward", forward)
    return asked


class TestMemory:
    @pytest.mark.parametrize(("most", "end"), [(15, 8), (8, 8), (5, 4), (1, 1)])
    @pytest.mark.parametrize("architecture", ["deepsea", "dnabert2"])
    def test_running_out_ends_with_the_weights_of_not_having_run_out(self, data, monkeypatch, caplog, architecture, most, end):
        caplog.set_level(logging.WARNING)
        whole, short = running(data, architecture), running(data, architecture)
        asked = out_of_memory(monkeypatch, short.net, most)
        near(epochs(whole), epochs(short), 1e-6)
        assert short.micro_batch == end and f"{end} windows at a time from here on; updates stay of 16" in caplog.text
        assert max(asked[8:]) <= end

    def test_gradients_of_the_try_that_failed_are_forgotten(self, data, monkeypatch):
        whole, short = running(data, settings={"micro_batch": 4}), running(data, settings={"micro_batch": 4})
        out_of_memory(monkeypatch, short.net, calls={3, 12})
        near(epochs(whole), epochs(short), 1e-6)
        assert short.micro_batch == 1

    def test_memory_of_the_host_counts_too_and_other_errors_are_not_hidden(self, data, monkeypatch):
        run = running(data)
        real, said = run.net.forward, ["DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes"]

        def forward(**inputs):
            if said:
                raise RuntimeError(said.pop())
            return real(**inputs)

        monkeypatch.setattr(run.net, "forward", forward)
        batch = next(run.batches.epoch(1))
        run.update(batch, 1)
        assert run.micro_batch == 8
        said.append("mat1 and mat2 shapes cannot be multiplied")
        with pytest.raises(RuntimeError, match="mat1 and mat2"):
            run.update(batch, 1)
        assert run.micro_batch == 8

    def test_one_window_that_does_not_fit_is_an_error(self, data, monkeypatch):
        run = running(data)
        out_of_memory(monkeypatch, run.net, 0)
        with pytest.raises(ValueError, match="out of memory: one window does not fit; lower training.batch_size or context"):
            epochs(run)

    def test_a_network_that_normalises_over_its_batch_says_so(self, data, monkeypatch):
        run = running(data, "basset")
        out_of_memory(monkeypatch, run.net, 15)
        with pytest.raises(ValueError, match="out of memory: it normalises over its batch, which cannot be cut"):
            epochs(run)
        with pytest.raises(ValueError, match="training.micro_batch 4: it normalises over its batches"):
            running(data, "basset", {"micro_batch": 4})
        assert running(data, "basset", {"micro_batch": 16}).micro_batch == 16

    def test_the_ledger_says_how_many_went_at_a_time(self, data, tmp_path, monkeypatch):
        real = descent.begin

        def begin(*arguments):
            net, said = real(*arguments)
            out_of_memory(monkeypatch, net, 5)
            return net, said

        monkeypatch.setattr(descent, "begin", begin)
        assert trained(data, tmp_path / "run", {"epochs": 1}, "deepsea")[0]["micro_batch"] == 4


class TestEarlyStopping:
    def scripted(self, monkeypatch, values):
        """Have validation give these values, and keep each epoch's weights."""
        kept, script = [], iter(values)

        def run(net, codes, batch_size, what="logits", precision="float32"):
            kept.append({name: value.clone() for name, value in net.state_dict().items()})
            return np.zeros((len(codes), 3))

        monkeypatch.setattr(network, "run", run)
        monkeypatch.setattr(descent, "mean_ap", lambda labels, scores, known: next(script))
        return kept

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
        kept = self.scripted(monkeypatch, values)
        cost, found = trained(data, tmp_path / "run", {"epochs": 6, "patience": patience})
        config = about(tmp_path / "run")
        assert cost["epochs"] == len(config["history"]) == epochs and cost["steps"] == 4 * epochs
        assert config["best_epoch"] == best and config["validation_ap"] == cost["validation_ap"] == values[best - 1]
        assert [one["validation_ap"] for one in config["history"]] == values[:epochs]
        assert same(found, {name: value.contiguous() for name, value in kept[best - 1].items()})

    @pytest.mark.parametrize("exclusive", [False, True])
    def test_the_validation_value_is_that_of_the_saved_models_predictions(self, tmp_path, exclusive):
        data = toy_models.data(tmp_path / "data", exclusive=exclusive)
        cost, _ = trained(data, tmp_path / "run", {"epochs": 3})
        rows = data.rows("validation")
        odds = Classifier(tmp_path / "run").log_odds(data.sequences[rows], data.position(rows))
        labels = data.targets[rows]
        expected = np.mean([average_precision_score(labels[:, target], odds[:, target]) for target in range(labels.shape[1])])
        assert cost["validation_ap"] == pytest.approx(expected, abs=1e-9)

    def test_labels_that_are_not_known_do_not_judge_an_epoch(self, tmp_path):
        data = toy_models.data(tmp_path / "data", unknown=0.4)
        cost, _ = trained(data, tmp_path / "run", {"epochs": 3})
        rows = data.rows("validation")
        odds = Classifier(tmp_path / "run").log_odds(data.sequences[rows], data.position(rows))
        labels, known = data.targets[rows], data.targets.known(rows)
        scores = [average_precision_score(labels[known[:, i], i], odds[known[:, i], i]) for i in range(3)]
        assert cost["validation_ap"] == pytest.approx(np.mean(scores), abs=1e-9)
        assert cost["validation_ap"] != pytest.approx(mean_ap(labels, odds), abs=1e-3)

    @pytest.mark.parametrize("positives", ["none", "all known"])
    def test_validation_by_which_nothing_can_be_chosen_is_refused(self, tmp_path, positives):
        data = toy_models.data(tmp_path / "data", unknown=0.3)
        rows = data.rows("validation")
        data.targets.packed, data.targets.mask = (np.array(one) for one in (data.targets.packed, data.targets.mask))
        data.targets.packed[rows] = 0 if positives == "none" else data.targets.mask[rows]
        with pytest.raises(ValueError, match="no target has both classes among the validation windows"):
            trained(data, tmp_path / "run")
        assert not list((tmp_path / "run").iterdir())


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
        assert cost["flops"] > 0 and cost["earlier_seconds"] == 0 and cost["seconds"] > 0
        assert (cost["collapsed"], cost["precision"], cost["processes"], cost["micro_batch"]) == (False, "float32", 1, 16)
        assert cost["tokens"] is None and cost["resumed_from"] is None

    def test_the_history_has_the_mean_loss_of_each_epochs_updates(self, data, tmp_path, monkeypatch):
        losses, real = [], Run.update

        def update(run, batch, epoch):
            loss, tokens = real(run, batch, epoch)
            losses.append(float(loss))
            return loss, tokens

        monkeypatch.setattr(Run, "update", update)
        trained(data, tmp_path / "run", {"epochs": 2})
        history = about(tmp_path / "run")["history"]
        assert [one["epoch"] for one in history] == [1, 2]
        assert [one["loss"] for one in history] == pytest.approx([np.mean(losses[:4]), np.mean(losses[4:])], rel=1e-6)

    def test_the_ledger_counts_tokens_of_all_epochs_and_flops_by_what_is_trained(self, data, tmp_path):
        cost, _ = trained(data, tmp_path / "run", {"epochs": 2, "shift": 0, "reverse_complement": False}, "nucleotide-transformer")
        assert cost["tokens"] == 2 * 60 * 11  # 60 bp in words of six, and one token before them
        net = models.load(tmp_path / "run")[0]
        assert cost["flops"] == pytest.approx(3 * forward_flops(net, data.sequences[np.arange(2)]) * 120)

    def test_the_seed_decides_everything(self, data, tmp_path):
        runs = [trained(data, tmp_path / f"{i}", {"epochs": 1}, seed=seed)[1] for i, seed in enumerate((1, 1, 2))]
        assert same(runs[0], runs[1]) and not same(runs[0], runs[2])

    def test_what_was_drawn_before_does_not_matter(self, data, tmp_path):
        runs = []
        for at in range(2):
            torch.manual_seed(at)
            np.random.seed(at)
            runs.append(trained(data, tmp_path / f"{at}", {"epochs": 1})[1])
        assert same(*runs)

    def test_dropout_is_drawn_anew_for_every_update(self, data):
        run = Run(models.family("basset").build(entry(data), None).train(), data, toy_models.SETTINGS, 1, Team("float32"))
        drawn = []
        handle = run.net.layers[-2].register_forward_hook(lambda layer, inputs, output: drawn.append((output == 0).numpy().tobytes()))
        assert isinstance(run.net.layers[-2], nn.Dropout)
        batch = next(run.batches.epoch(1))
        states = []
        for seed, epoch, number in ((1, 1, 0), (1, 1, 1), (1, 2, 0), (2, 1, 0), (1, 1, 0)):
            run.seed, batch.number = seed, number
            run.update(batch, epoch)
            states.append(torch.get_rng_state().numpy().tobytes())
        handle.remove()
        assert len(set(states)) == 4 and states[0] == states[-1]

    def test_a_last_batch_of_one_row_is_no_error(self, tmp_path):
        data = toy_models.data(tmp_path / "data", rows=72)  # 48 rows train
        cost, _ = trained(data, tmp_path / "run", {"epochs": 1, "batch_size": 47})
        assert cost["epochs"] == 1 and cost["steps"] == 1

    def test_a_loss_that_is_no_number_says_what_to_lower(self, data, tmp_path, monkeypatch):
        monkeypatch.setattr(descent, "loss_of", lambda logits, *more: logits.sum() * float("nan"))
        with pytest.raises(FloatingPointError, match="the loss is nan in epoch 1; lower training.learning_rate"):
            trained(data, tmp_path / "run")

    def test_a_last_update_that_spoils_the_weights_says_so_too(self, data, tmp_path):
        settings = {"epochs": 1, "batch_size": 60, "learning_rate": 1e38, "warmup": 0.0}
        with pytest.raises(FloatingPointError, match="lower training.learning_rate"):
            trained(data, tmp_path / "run", settings, "deepsea")

    def test_autocast_leaves_weights_and_logits_in_float32(self, data, tmp_path):
        cost, found = trained(data, tmp_path / "run", {"epochs": 1, "precision": "bf16"}, "deepsea")
        exact = trained(data, tmp_path / "exact", {"epochs": 1, "precision": "float32"}, "deepsea")[1]
        assert cost["precision"] == "bf16" and {one.dtype for one in found.values()} == {torch.float32}
        assert not same(found, exact)
        near(found, exact, 0.1)


class TestCollapse:
    def test_labels_by_chance_collapse_and_labels_of_a_motif_do_not(self, tmp_path):
        data = toy_models.data(tmp_path / "data", rows=240)
        rows = np.arange(240)
        data.targets.packed = data.targets.packed.copy()
        settings = {"epochs": 6, "patience": 6, "shift": 0, "reverse_complement": False}
        assert not trained(data, tmp_path / "motif", settings)[0]["collapsed"]
        data.targets.packed[:] = np.random.default_rng(0).permutation(np.asarray(data.targets.packed)[rows])
        cost, _ = trained(data, tmp_path / "chance", settings)
        assert cost["collapsed"] and 0.3 < cost["validation_ap"] < 0.7

    def test_scores_that_are_all_alike_are_a_collapse(self, data, tmp_path, monkeypatch):
        monkeypatch.setattr(network, "run", lambda net, codes, *rest, **more: np.full((len(codes), 3), 0.3))
        assert trained(data, tmp_path / "run", {"epochs": 1})[0]["collapsed"]

    def test_chance_is_what_scores_in_random_order_get(self):
        draw = np.random.default_rng(1)
        labels, odds = draw.random((400, 3)) < [0.1, 0.5, 0.9], draw.normal(size=(400, 3))
        mean, spread = chance_ap(labels, odds)
        assert mean == pytest.approx(0.5, abs=0.03) and 0.003 < spread < 0.03
        assert (mean, spread) == chance_ap(labels, odds)
        known = draw.random(labels.shape) < 0.5
        labels[~known] = False
        assert chance_ap(labels, odds, known)[0] == pytest.approx(0.5, abs=0.05)


def material_entry(architecture="basset", **training):
    return {
        "architecture": architecture, "parameters": PARAMETERS.get(architecture, {}), "regime": "full", "initialisation": "random",
        "context": 0, "training": toy_models.SETTINGS | training,
    }  # fmt: skip


class TestJob:
    def fit(self, tmp_path, given=None, model="toy", seed=1, name="run", material=None, **more):
        material = material or toy_models.material(tmp_path / "data")
        (tmp_path / name).mkdir(exist_ok=True)
        return job.fit(material, given or material_entry(epochs=2), model, seed, tmp_path / name, tmp_path / "store", **more)

    def test_the_ledger_and_the_checkpoint_have_all_that_was_agreed(self, tmp_path):
        cost = self.fit(tmp_path)
        assert {
            "validation_ap", "seconds", "epochs", "steps", "sequences", "tokens", "flops", "parameters", "trained_parameters", "failures",
            "collapsed", "precision", "processes", "micro_batch", "attempts", "attempt_log", "control", "threads", "split_digest", "model",
            "seed", "family", "trained_seed", "initial_digest", "resumed_from", "earlier_seconds",
        } <= set(cost)  # fmt: skip
        assert (cost["failures"], cost["seed"], cost["trained_seed"], cost["family"], cost["epochs"]) == ([], 1, 1, "cnn", 2)
        json.dumps({name: value for name, value in cost.items() if name != "state"})
        said = about(tmp_path / "run")
        assert (said["control"], said["centre"], said["seed"], said["split_digest"]) == ("", 0, 1, cost["split_digest"])
        assert said["training"] == toy_models.SETTINGS | {"epochs": 2} and said["validation_ap"] == cost["validation_ap"]
        assert said["batch_size"] == 16 and said["model"] == "toy"
        [attempt] = cost["attempt_log"]
        assert (attempt["outcome"], attempt["epoch"], attempt["step"]) == ("finished", 3, 0) and attempt["seconds"] > 0

    @pytest.mark.parametrize("exclusive", [False, True])
    def test_row_zero_says_what_it_scored(self, tmp_path, exclusive):
        given = material_entry("kmer-logistic") | {"parameters": {"k": 3, "l2": 1.0}}
        material = toy_models.material(tmp_path / "data", exclusive=exclusive)
        cost = self.fit(tmp_path, given, material=material)
        data = material.open()
        rows = data.rows("validation")
        odds = Classifier(tmp_path / "run").log_odds(data.sequences[rows], data.position(rows))
        assert cost["validation_ap"] == about(tmp_path / "run")["validation_ap"] == pytest.approx(mean_ap(data.targets[rows], odds))
        assert not cost["collapsed"] and cost["failures"] == [] and cost["seconds"] > 0 and cost["epochs"] == 0

    def scripted(self, monkeypatch, collapses):
        """Have trainings collapse, or not, in turn; gives the seeds that they began with."""
        seeds = []

        def fit(said, data, folder, settings, state, **more):
            seeds.append(said["seed"])
            assert not list(folder.iterdir())
            (folder / "about.json").write_text(json.dumps(said))
            ap = 0.1 * len(seeds)
            return {"collapsed": collapses[len(seeds) - 1], "validation_ap": ap, "seconds": float(len(seeds))}

        monkeypatch.setattr(descent, "fit", fit)
        return seeds

    @pytest.mark.parametrize(
        ("collapses", "retries", "tried"),
        [
            ([False], 3, [1]),
            ([True], 0, [1]),
            ([True, False], 3, [1, 1001]),
            ([True, True, True], 2, [1, 1001, 2001]),
            ([True, True, False], 2, [1, 1001, 2001]),
        ],
    )
    def test_a_run_that_collapses_is_tried_with_further_seeds_and_each_failure_is_told(
        self, tmp_path, monkeypatch, collapses, retries, tried
    ):
        seeds = self.scripted(monkeypatch, collapses)
        cost = self.fit(tmp_path, material_entry(retries=retries))
        assert seeds == tried and cost["trained_seed"] == tried[-1] and cost["seed"] == 1
        assert cost["collapsed"] == collapses[-1]
        expected = [{"seed": seed, "validation_ap": pytest.approx(0.1 * (i + 1)), "seconds": i + 1.0} for i, seed in enumerate(tried[:-1])]
        assert cost["failures"] == expected
        assert about(tmp_path / "run")["seed"] == 1 and about(tmp_path / "run")["trained_seed"] == tried[-1]

    def test_a_job_that_is_killed_in_a_later_try_tells_the_same_failures(self, tmp_path):
        material = toy_models.material(tmp_path / "data", rows=240)
        np.save(material.targets, np.random.default_rng(0).permutation(np.load(material.targets)))
        given = material_entry(epochs=1, retries=1)
        whole = self.fit(tmp_path, given, material=material)
        real = Run.update
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):

            def update(run, batch, epoch):
                if run.seed == 1001 and batch.number == 3:
                    raise KeyboardInterrupt
                return real(run, batch, epoch)

            patch.setattr(Run, "update", update)
            self.fit(tmp_path, given, name="killed", material=material, code="another")
        cost = job.fit(material, given, "toy", 1, _new(tmp_path / "again"), tmp_path / "store", code="another")
        assert [one["validation_ap"] for one in cost["failures"]] == [one["validation_ap"] for one in whole["failures"]]
        assert same(*(load_file(tmp_path / name / "model.safetensors") for name in ("run", "again")))

    def test_a_real_run_that_collapses_is_tried_again(self, tmp_path):
        material = toy_models.material(tmp_path / "data", rows=240)
        packed = np.load(material.targets)
        np.save(material.targets, np.random.default_rng(0).permutation(packed))
        cost = self.fit(tmp_path, material_entry(epochs=1, retries=1), material=material)
        [failure] = cost["failures"]
        assert failure["seed"] == 1 and 0.3 < failure["validation_ap"] < 0.7 and failure["seconds"] > 0
        assert (cost["trained_seed"], about(tmp_path / "run")["seed"]) == (1001, 1)
        other = job.fit(material, material_entry(epochs=1), "toy", 1001, _new(tmp_path / "b"), tmp_path / "store")
        assert same(load_file(tmp_path / "run/model.safetensors"), load_file(tmp_path / "b/model.safetensors"))
        assert other["validation_ap"] == cost["validation_ap"]

    @pytest.mark.parametrize(
        ("raised", "said"),
        [
            (ValueError("34 bp are too short"), "models.toy: 34 bp are too short"),
            (FloatingPointError("the loss is nan"), "models.toy: the loss is nan"),
        ],
    )
    def test_what_a_user_can_mend_is_one_line_that_names_the_model(self, tmp_path, monkeypatch, raised, said):
        def fit(*arguments, **more):
            raise raised

        monkeypatch.setattr(descent, "fit", fit)
        with pytest.raises(InputError, match=said):
            self.fit(tmp_path)
        self.scripted(monkeypatch, [False])
        log = self.fit(tmp_path)["attempt_log"]
        assert [one["outcome"] for one in log] == ["failed", "finished"]

    def test_entries_that_are_not_whole_and_lengths_that_do_not_fit_are_refused(self, tmp_path):
        given = material_entry()
        del given["training"], given["regime"]
        with pytest.raises(InputError, match="entry: regime, training missing"):
            self.fit(tmp_path, given)
        for limits, said in (([61, None], "takes at least 61; widen"), ([1, 59], "takes at most 59; set its context to 59")):
            with pytest.raises(InputError, match=f"models.toy: it sees 60 bp, but {said}"):
                self.fit(tmp_path, material_entry() | {"limits": limits})
        with pytest.raises(InputError, match="models.toy: a context of 61 bp was asked for"):
            self.fit(tmp_path, material=replace(toy_models.material(tmp_path / "data"), context=61))

    def test_a_state_is_gone_on_with_only_where_all_that_matters_is_the_same(self, tmp_path, monkeypatch):
        states = []

        def fit(said, data, folder, settings, state, **more):
            states.append(state)
            (folder / "about.json").write_text("{}")
            return {"collapsed": False, "validation_ap": 0.5, "seconds": 1.0}

        monkeypatch.setattr(descent, "fit", fit)
        material, given = toy_models.material(tmp_path / "data"), material_entry()
        self.fit(tmp_path, material=material)
        self.fit(tmp_path, material=material, save_minutes=3.0)
        assert states[0] == states[1]
        changes = [
            {"given": material_entry(epochs=5)}, {"seed": 2}, {"model": "other"}, {"code": "abc"}, {"threads": 2},
            {"material": replace(material, share=0.5)}, {"material": replace(material, control="shuffled-labels")},
            {"material": replace(material, context=50)}, {"given": given | {"regime": "lora"}},
        ]  # fmt: skip
        for change in changes:
            self.fit(tmp_path, **({"material": material} | change))
        certificate = json.loads(material.splits.read_text())
        material.splits.write_text(json.dumps(certificate | {"sequence_digest": "2" * 16}))
        self.fit(tmp_path, material=material)
        material.splits.write_text(json.dumps(certificate))
        packed = np.load(material.targets)
        packed[0] ^= 128
        np.save(material.targets, packed)
        self.fit(tmp_path, material=material)
        assert len(set(states)) == len(states) - 1

    def test_a_second_copy_of_the_job_waits_for_the_first(self, tmp_path, monkeypatch):
        taken = []

        class Seen(Lease):
            def __enter__(self):
                taken.append(self.path)
                return super().__enter__()

        monkeypatch.setattr(job, "Lease", Seen)
        state = self.fit(tmp_path)["state"]
        assert taken == [state / "lease"] and not (state / "lease").exists()
        (tmp_path / "second").mkdir()
        monkeypatch.setattr(job, "Lease", lambda path: Lease(path, wait_seconds=0.1))
        with Lease(state / "lease"), pytest.raises(TimeoutError, match="held by process"):
            self.fit(tmp_path, name="second")
        assert not list((tmp_path / "second").iterdir())

    def test_threads_are_those_of_the_job(self, tmp_path, monkeypatch):
        seen = []
        monkeypatch.setattr(torch, "set_num_threads", seen.append)
        self.fit(tmp_path, threads=1)
        assert seen == [1]

    def test_each_kind_of_training_has_its_module(self):
        assert module_of("kmer-logistic", "full") == "regdna.train.features" == module_of("composition", "full")
        assert module_of("dnabert2", "probe") == "regdna.train.probe"
        assert {module_of(*one) for one in (("dnabert2", "lora"), ("basset", "full"), ("dnabert", "ia3"))} == {"regdna.train.descent"}


def _new(folder):
    folder.mkdir()
    return folder


class TestRowZero:
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
            labels = "exclusive" if exclusive else "multilabel"
            said = toy_models.about(architecture, parameters, 60, len(data.targets.names), labels)
            cost = features.fit(said, data, _new(tmp_path / folder / "out"))
            assert cost["sequences"] == 60
            runs.append(load_file(tmp_path / folder / "out/model.safetensors"))
        assert same(*runs)

    def test_labels_that_are_not_known_are_not_learned_from(self, tmp_path):
        said = toy_models.about("kmer-logistic", {"k": 2, "l2": 1.0}, 60, 3)
        runs = []
        for folder in ("a", "b"):
            data = toy_models.data(tmp_path / folder, unknown=0.4)
            if folder == "b":
                np.save(tmp_path / "b/targets.npy", data.targets.packed | ~data.targets.mask)
                targets = Targets(tmp_path / "b/targets.npy", tmp_path / "b/targets.tsv", tmp_path / "b/targets.known.npy")
                data = Data(data.sequences, targets, data.windows, False)
            features.fit(said, data, _new(tmp_path / folder / "out"))
            runs.append(load_file(tmp_path / folder / "out/model.safetensors"))
        assert same(*runs)


LAYOUTS = {"nt-v1": "nucleotide-transformer", "nt-v2": "nucleotide-transformer", "dnabert2": "dnabert2", "dnabert": "dnabert"}
ON_WEIGHTS = {"pooling": "mean", "l2": 1.0, "rank": 1, "alpha": 2, "adapter_dropout": 0.0}


class TestPublishedWeights:
    def run(self, data, folder, layout, regime, initialisation="published", **parameters):
        """Ledger entries, what ``about.json`` says, the starting folder and the saved tensors."""
        start = folder.parent / "hub"
        if not start.is_dir():
            toy_models.published(start, layout)
        given = ON_WEIGHTS | parameters
        said = entry(data, LAYOUTS[layout], regime=regime, initialisation=initialisation, weights="hub", parameters=given)
        embeddings = None
        if regime == "probe" or given["pooling"] == "best":
            embeddings = _new(folder.parent / f"{folder.name}.embeddings")
            frozen = models.family(LAYOUTS[layout]).build(said, None, start).eval()
            names = getattr(frozen.pooling, "names", [given["pooling"]])
            held = {"split_digest": said["split_digest"], "length": data.sequences.length}
            embed.write(embeddings, frozen, names, data.sequences, embed.choose_rows(data.windows["split"].to_numpy(dtype=object)), held)
        folder.mkdir()
        if regime == "probe":
            cost = probe.fit(said, data, folder, embeddings, start)
        else:
            settings = {**toy_models.SETTINGS, "epochs": 1}
            cost = descent.fit(said, data, folder, settings, folder.parent / f"{folder.name}.pt", start, embeddings)
        return cost, about(folder), start, load_file(folder / "model.safetensors")

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_a_probe_keeps_the_published_encoder(self, data, tmp_path, layout):
        cost, said, start, found = self.run(data, tmp_path / "run", layout, "probe")
        published = dict(load_file(start / "model.safetensors"))
        encoder = [key for key in found if key in published]
        assert len(encoder) > 10 and all(torch.equal(found[key], published[key]) for key in encoder)
        assert said["initialisation"] == "published" and cost["trained_parameters"] == 3 * 16 + 3 < cost["parameters"]
        reopened, tokeniser = models.load(tmp_path / "run")
        ids, mask = tokeniser.encode(data.sequences[data.rows("validation")])
        with torch.no_grad():
            logits = reopened(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits.numpy()
        odds = Classifier(tmp_path / "run").log_odds(data.sequences[data.rows("validation")], data.position(data.rows("validation")))
        assert odds == pytest.approx(logits, abs=1e-5)

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("regime", ["full", "lora", "ia3"])
    def test_every_regime_trains_its_share_and_saves_a_whole_model(self, data, tmp_path, layout, regime):
        cost, said, start, found = self.run(data, tmp_path / "run", layout, regime)
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
        said = entry(data, "nucleotide-transformer", initialisation="published", weights="hub", parameters=ON_WEIGHTS)
        build = models.family("nucleotide-transformer").build
        build(said | {"weights_digest": weights.digest(model.state_dict())}, None, tmp_path / "hub")
        with pytest.raises(InputError, match="hub: its weights are not those that vault.json there describes"):
            build(said | {"weights_digest": "0" * 16}, None, tmp_path / "hub")

    def test_what_was_trained_here_may_be_where_another_begins(self, data, tmp_path):
        self.run(data, tmp_path / "run", "dnabert2", "full")
        said = entry(data, "dnabert2", initialisation="published", weights="own", parameters=ON_WEIGHTS)
        net = models.family("dnabert2").build(said, None, tmp_path / "run")
        first = load_file(tmp_path / "run/model.safetensors")["bert.encoder.layer.0.attention.self.Wqkv.weight"]
        assert torch.equal(net.encoder.encoder.layer[0].attention.self.Wqkv.weight, first)

    @pytest.mark.parametrize("regime", ["lora", "full"])
    def test_the_best_pooling_is_chosen_on_validation_and_kept(self, data, tmp_path, regime):
        _, said, _, _ = self.run(data, tmp_path / "run", "dnabert2", regime, pooling="best")
        assert set(said["pooling_ap"]) == {"mean", "cls", "max", "bases"}
        assert said["parameters"]["pooling"] == max(said["pooling_ap"], key=said["pooling_ap"].get)
        kinds = {"mean": "Mean", "cls": "First", "max": "Max", "bases": "Bases"}
        assert models.load(tmp_path / "run")[0].pooling.__class__.__name__ == kinds[said["parameters"]["pooling"]]

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
        said = entry(data, regime="full", initialisation="published", weights="hub", parameters={}) | {"length": net.length}
        start = models.family("basset").build(said, lambda: None, tmp_path / "hub")
        assert torch.equal(start.layers[0].weight, tensors["0.weight"][..., 0]) and start.last.out_features == 3
        with pytest.raises(ValueError, match=f"takes {net.length} bp, not 60"):
            models.family("basset").build(said | {"length": 60}, lambda: None, tmp_path / "hub")


class TestMeasure:
    def test_mean_ap_leaves_out_targets_of_one_class(self):
        labels = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 0]], bool)
        scores = np.array([[0.9, 0, 0], [0.8, 0, 0], [0.1, 0, 0]])
        assert mean_ap(labels, scores) == pytest.approx((1 + 2 / 3) / 2)
        assert mean_ap(labels[:, 1:], scores[:, 1:]) == 0

    def test_mean_ap_leaves_out_labels_that_are_not_known(self):
        labels = np.array([[1, 1], [0, 0], [1, 0], [0, 0]], bool)
        scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.3], [0.0, 0.9]])
        known = np.array([[1, 1], [0, 0], [1, 0], [1, 0]], bool)  # what is left of the second is of one class
        assert mean_ap(labels, scores, known) == 1.0 < 1 / mean_ap(labels, scores)

    def test_forward_flops_by_hand(self):
        net = models.family("basset").build(
            toy_models.about("basset", {"filters": [2], "widths": [3], "pools": [4], "hidden": 5, "dropout": 0.1}, 10, 3), lambda: None
        )
        net.train()
        # 8 places of 2 x 4 x 3; 2 x 2 pooled to 5; 5 to 5; 5 to 3
        assert forward_flops(net, np.zeros((2, 10), np.uint8)) == 2 * (8 * 24 + 20 + 25 + 15)
        assert net.training

    def test_parameters_are_counted_all_or_trained(self):
        net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        net[0].weight.requires_grad_(False)
        assert (count(net), count(net, trained=True)) == (12 + 4 + 8 + 2, 4 + 8 + 2)
