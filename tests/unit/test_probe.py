import json

import numpy as np
import pytest
import torch
import toy_models
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from regdna import embed, models
from regdna.embed import Embeddings
from regdna.models.classifier import Classifier, probability
from regdna.models.logistic import fit_path
from regdna.step import InputError
from regdna.train import probe
from regdna.train.measure import mean_ap

LENGTH, LAYERS = 60, 2


def about(targets=3, pooling="best", exclusive=False, **more):
    sizes = toy_models.NT | {"layers": LAYERS, "pooling": pooling}
    labels = "exclusive" if exclusive else "multilabel"
    return toy_models.about("nucleotide-transformer", sizes, LENGTH, targets, labels, regime="probe", **more)


def network(entry):
    return models.family(entry["architecture"]).build(entry, lambda: None).eval()


def embedded(folder, entry, data, rows=None, **said):
    """Embeddings of a toy dataset as the step makes them."""
    folder.mkdir()
    net = network(entry)
    rows = embed.choose_rows(data.windows["split"].to_numpy(dtype=object)) if rows is None else rows
    held = {"split_digest": entry["split_digest"], "length": LENGTH, **said}
    embed.write(folder, net, getattr(net.pooling, "names", [entry["parameters"]["pooling"]]), data.sequences, rows, held)
    return folder


def planted(folder, entry, data, make):
    """Embeddings in which ``make(pooling, layer, labels)`` says what each reading is, float (rows, 16)."""
    path = embedded(folder, entry, data)
    held = Embeddings(path)
    for name in held.poolings:
        array = np.stack([make(name, layer, data.targets[held.rows]) for layer in range(LAYERS + 1)], 1)
        np.save(path / f"{name}.npy", array.astype(np.float32))
    return path


class Given:
    """Labels as an array holds them, all known."""

    def __init__(self, labels):
        self.labels, self.names = labels, [str(at) for at in range(labels.shape[1])]

    def __getitem__(self, rows):
        return self.labels[rows]

    def known(self, rows):
        return None


def noise(seed, rows):
    return np.random.default_rng(seed).normal(size=(rows, 16))


def telling(seed, labels, spread):
    """Noise, but of its first columns each says what a label is."""
    found = noise(seed, len(labels)) * spread
    found[:, : labels.shape[1]] += labels
    return found


def only(where, spread=0.3):
    """What says something in one (pooling, layer) and nothing elsewhere."""
    seeds = {name: at for at, name in enumerate(("mean", "cls", "max", "bases"))}

    def make(name, layer, labels):
        seed = 10 * seeds[name] + layer
        return telling(seed, labels, spread) if (name, layer) == where else noise(seed, len(labels))

    return make


@pytest.fixture
def data(tmp_path):
    return toy_models.data(tmp_path / "data", rows=240)


def read(folder):
    return json.loads((folder / "about.json").read_text())


def fitted(tmp_path, entry, data, path):
    out = tmp_path / f"checkpoint{len(list(tmp_path.iterdir()))}"
    out.mkdir()
    return probe.fit(entry, data, out, path), out


class TestSweep:
    @pytest.mark.parametrize("where", [("cls", 1), ("mean", 0), ("bases", 2)])
    def test_what_only_one_layer_and_pooling_hold_is_found(self, where, tmp_path, data):
        entry = about()
        cost, out = fitted(tmp_path, entry, data, planted(tmp_path / "embeddings", entry, data, only(where)))
        said = read(out)
        assert (said["parameters"]["pooling"], said["parameters"]["layer"]) == where
        assert len(said["sweep"]) == 3 * 4 and {tuple(sorted(row)) for row in said["sweep"]} == {
            ("l2", "layer", "pooling", "validation_ap")
        }
        best = max(said["sweep"], key=lambda row: row["validation_ap"])
        assert (best["pooling"], best["layer"], best["l2"]) == (*where, said["parameters"]["l2"])
        assert cost["validation_ap"] == said["validation_ap"] == best["validation_ap"] > 0.9
        assert max(row["validation_ap"] for row in said["sweep"] if row is not best) < best["validation_ap"] - 0.1

    def test_of_equal_readings_the_lowest_layer_is_taken_and_of_its_poolings_the_first(self):
        table = [{"layer": layer, "pooling": name, "validation_ap": ap} for layer, name, ap in
                 [(0, "mean", 0.5), (0, "cls", 0.4), (1, "mean", 0.6), (1, "cls", 0.7), (1, "max", 0.7), (2, "mean", 0.7)]]  # fmt: skip
        assert probe.choose(table) is table[3]

    @pytest.mark.parametrize("exclusive", [False, True])
    def test_penalty_and_score_are_those_of_a_search_by_scikit_learn(self, exclusive, tmp_path):
        data = toy_models.data(tmp_path / "data", rows=300, exclusive=exclusive)
        entry = about(2 if exclusive else 3, "mean", exclusive)
        path = planted(tmp_path / "embeddings", entry, data, lambda name, layer, labels: telling(layer, labels, 1.2))
        held = Embeddings(path)
        places, checks = held.places(data.rows("train")), held.places(data.rows("validation"))
        found = probe.sweep(held, data, [(layer, "mean") for layer in range(3)])
        for layer, row in enumerate(found):
            seen, checked = held.read("mean", layer, places).astype(float), held.read("mean", layer, checks).astype(float)
            mean, scale = seen.mean(0), seen.std(0)
            labels, truth = data.targets[held.rows[places]], data.targets[held.rows[checks]]
            scores = []
            for l2 in probe.STRENGTHS:
                columns = []
                for target in range(1 if exclusive else 3):
                    model = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=10_000).fit((seen - mean) / scale, labels[:, target])
                    columns.append(model.decision_function((checked - mean) / scale))
                odds = np.stack([columns[0], -columns[0]] if exclusive else columns, 1)
                scores.append(np.mean([average_precision_score(truth[:, target], odds[:, target]) for target in range(truth.shape[1])]))
            assert row["validation_ap"] == pytest.approx(max(scores), abs=1e-9)
            # Of penalties that rank alike, the strongest.
            assert row["l2"] == max(l2 for l2, score in zip(probe.STRENGTHS, scores, strict=True) if score > max(scores) - 1e-9)

    def test_of_three_classes_biases_have_a_say(self, tmp_path, data):
        """Common and rare classes are ranked by odds against all others, in which the biases of the others stand."""
        draw = np.random.default_rng(3)
        labels = np.eye(3, dtype=bool)[draw.choice(3, 240, p=[0.8, 0.15, 0.05])]
        path = planted(tmp_path / "embeddings", about(pooling="mean"), data, lambda name, layer, given: noise(layer, len(given)))
        held = Embeddings(path)
        array = np.load(path / "mean.npy")
        array[:, 1, :3] += labels[held.rows]
        np.save(path / "mean.npy", array)
        data.exclusive, data.targets = True, Given(labels)
        rows, checks = (held.places(data.rows(part)) for part in ("train", "validation"))
        weights, biases = fit_path(held.read("mean", 1, rows), labels[held.rows[rows]], None, True, probe.STRENGTHS)
        logits = held.read("mean", 1, checks) @ weights.transpose(0, 2, 1) + biases[:, None]
        shares = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
        truth = labels[held.rows[checks]]
        expected = max(np.mean([average_precision_score(truth[:, t], share[:, t]) for t in range(3)]) for share in shares)
        assert probe.sweep(held, data, [(1, "mean")])[0]["validation_ap"] == pytest.approx(expected, abs=1e-9)

    def test_of_penalties_that_rank_alike_the_strongest_is_taken(self, tmp_path, data):
        path = planted(tmp_path / "embeddings", about(pooling="mean"), data, lambda name, layer, labels: telling(layer, labels, 1e-3))
        assert all(
            row["validation_ap"] == 1 and row["l2"] == 1e4 for row in probe.sweep(Embeddings(path), data, [(0, "mean"), (2, "mean")])
        )

    def test_validation_windows_decide_nothing_but_the_choice(self, tmp_path, data, monkeypatch):
        """With one reading and one penalty there is no choice: other validation windows leave the weights as they are."""
        monkeypatch.setattr(probe, "STRENGTHS", (1.0,))
        entry = about(pooling="mean")
        make = only(("mean", 1))
        path = planted(tmp_path / "embeddings", entry, data, make)
        held = Embeddings(path)
        checks = held.places(data.rows("validation"))
        heads = []
        for factor in (1, 50):
            array = np.array(np.load(path / "mean.npy"))
            array[checks, 1] = array[checks, 1] * factor + (factor - 1)
            np.save(path / "mean.npy", array)
            _, out = fitted(tmp_path, entry, data, path)
            heads.append(models.load(out)[0].head.state_dict())
            assert read(out)["parameters"]["layer"] == 1
        assert all(torch.equal(heads[0][key], heads[1][key]) for key in heads[0])

    def test_labels_that_are_not_known_count_nowhere(self, tmp_path, data):
        entry = about(pooling="mean")
        path = planted(tmp_path / "embeddings", entry, data, only(("mean", 1), 0.8))
        known = np.random.default_rng(0).random((240, 3)) < 0.7
        labels = data.targets[np.arange(240)]

        class Partly:
            names = data.targets.names

            def __init__(self, wrong):
                self.wrong = wrong

            def __getitem__(self, rows):
                return labels[rows] ^ (~known[rows] & self.wrong)

            def known(self, rows):
                return known[rows]

        tables = []
        for wrong in (False, True):
            data.targets = Partly(wrong)
            tables.append(probe.sweep(Embeddings(path), data, [(layer, "mean") for layer in range(3)]))
        assert tables[0] == tables[1]
        assert tables[0][1]["validation_ap"] > tables[0][0]["validation_ap"]


class TestFit:
    def test_the_checkpoint_answers_as_the_probe_did(self, tmp_path, data):
        entry = about()
        path = embedded(tmp_path / "embeddings", entry, data)
        cost, out = fitted(tmp_path, entry, data, path)
        classifier, checks = Classifier(out), data.rows("validation")
        odds = classifier.log_odds(data.sequences[checks], data.position(checks))
        assert mean_ap(data.targets[checks], odds) == pytest.approx(cost["validation_ap"], abs=0.01)
        # A bias without penalty brings the mean probability of the training windows to their share of positives.
        rows = data.rows("train")
        shares = probability(classifier.log_odds(data.sequences[rows], data.position(rows))).mean(0)
        assert shares == pytest.approx(data.targets[rows].mean(0), abs=0.01)
        assert cost["sequences"] == len(data.rows("train")) and cost["epochs"] == cost["steps"] == 0
        assert cost["tokens"] == Embeddings(path).about["tokens"] and cost["flops"] > 0
        assert cost["trained_parameters"] == 3 * 17 and cost["parameters"] > cost["trained_parameters"]
        assert cost["initial_digest"] == read(out)["initial_digest"] and cost["precision"] == "float32"

    def test_its_weights_are_the_frozen_ones(self, tmp_path, data):
        entry = about(pooling="mean")
        _, out = fitted(tmp_path, entry, data, embedded(tmp_path / "embeddings", entry, data))
        before, after = network(entry).encoder.state_dict(), models.load(out)[0].encoder.state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before)

    @pytest.mark.parametrize("part", ["train", "validation"])
    def test_windows_that_were_not_embedded_are_embedded_for_the_reading_that_was_chosen(self, part, tmp_path, data, monkeypatch):
        entry = about(pooling="mean")
        cost, whole = fitted(tmp_path, entry, data, embedded(tmp_path / "whole", entry, data))
        layer = read(whole)["parameters"]["layer"]
        monkeypatch.setattr(embed, "MOST", embed.MOST | {part: 40})
        monkeypatch.setattr(probe, "choose", lambda table: table[layer])  # on fewer windows it may be another
        some = embedded(tmp_path / "some", entry, data)
        assert len(Embeddings(some).rows) < len(Embeddings(tmp_path / "whole").rows)
        other, partly = fitted(tmp_path, entry, data, some)
        codes = data.sequences[np.arange(20)]
        found, expected = (probability(Classifier(out).log_odds(codes, np.zeros(20))) for out in (partly, whole))
        assert found == pytest.approx(expected, abs=0.02)  # half precision
        assert other["validation_ap"] == pytest.approx(cost["validation_ap"], abs=0.01)
        assert other["sequences"] == cost["sequences"] and other["flops"] == cost["flops"] and other["tokens"] > cost["tokens"]

    def test_only_windows_of_the_training_part_are_fitted_on(self, tmp_path, data):
        entry = about(pooling="mean")
        path = planted(tmp_path / "embeddings", entry, data, only(("mean", 1)))
        rows = data.rows("train")
        data.windows.loc[rows[::2], "split"] = ""
        cost, out = fitted(tmp_path, entry, data, path)
        assert cost["sequences"] == len(rows) - len(rows[::2])
        head = models.load(out)[0].head.state_dict()
        array = np.array(np.load(path / "mean.npy"))
        array[Embeddings(path).places(rows[::2])] = 77
        np.save(path / "mean.npy", array)
        _, again = fitted(tmp_path, entry, data, path)
        assert all(torch.equal(value, models.load(again)[0].head.state_dict()[key]) for key, value in head.items())

    @pytest.mark.parametrize(
        ("said", "changed", "message"),
        [
            ({"split_digest": "another"}, {}, "made for split another"),
            ({"length": 50}, {}, "made of windows of 50 bp"),
            ({}, {"seed": 2}, "made with another network than toy is"),
        ],
    )
    def test_embeddings_of_something_else_are_refused(self, said, changed, message, tmp_path, data):
        entry = about(pooling="mean")
        path = embedded(tmp_path / "embeddings", entry, data, **said)
        with pytest.raises(InputError, match=message):
            fitted(tmp_path, entry | changed, data, path)

    def test_without_embeddings_it_says_where_they_come_from(self, tmp_path, data):
        with pytest.raises(InputError, match="embed_windows"):
            fitted(tmp_path, about(), data, None)

    def test_a_probe_that_nothing_can_be_chosen_by_is_refused(self, tmp_path):
        data = toy_models.data(tmp_path / "data", rows=120)
        entry = about(pooling="mean")
        path = embedded(tmp_path / "embeddings", entry, data)
        checks = data.rows("validation")
        data.windows.loc[checks[1:], "split"] = ""
        with pytest.raises(ValueError, match="no target has both classes among the validation windows"):
            fitted(tmp_path, entry, data, path)


class TestBestPooling:
    @pytest.mark.parametrize("best", ["cls", "bases"])
    def test_the_last_layer_decides(self, best, tmp_path, data):
        entry = about()
        helpful = {"mean": ("mean", 1), best: (best, 2)}

        def make(name, layer, labels):
            return only(helpful.get(name))(name, layer, labels)

        path = planted(tmp_path / "embeddings", entry, data, make)
        name, scores = probe.best_pooling(path, data)
        assert name == best and list(scores) == ["mean", "cls", "max", "bases"]
        assert scores[best] == max(scores.values()) > 0.9

    def test_scores_are_mean_average_precision_of_the_best_penalty(self, tmp_path, data):
        entry = about()
        path = embedded(tmp_path / "embeddings", entry, data)
        _, scores = probe.best_pooling(path, data)
        table = probe.sweep(Embeddings(path), data, [(LAYERS, name) for name in scores])
        assert [row["validation_ap"] for row in table] == list(scores.values())

    def test_of_equal_poolings_the_first_is_taken(self, tmp_path, data):
        entry = about()
        path = planted(tmp_path / "embeddings", entry, data, lambda name, layer, labels: telling(0 if name != "mean" else 1, labels, 1.5))
        name, scores = probe.best_pooling(path, data)
        assert scores["cls"] == scores["max"] == scores["bases"]
        assert name == ("cls" if scores["cls"] > scores["mean"] else "mean")

    def test_validation_decides_not_training(self, tmp_path, data):
        """A pooling that knows the training labels by heart and nothing else loses."""
        entry = about()
        path = planted(tmp_path / "embeddings", entry, data, only(("cls", 2), 0.8))
        held = Embeddings(path)
        places = held.places(data.rows("train"))
        array = np.array(np.load(path / "mean.npy"))
        array[places, 2, :3] = data.targets[held.rows[places]] * 10.0
        np.save(path / "mean.npy", array)
        assert probe.best_pooling(path, data)[0] == "cls"
