import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from regdna.models import linear, logistic
from regdna.models.classifier import log_odds, probability
from regdna.models.logistic import fit_path

STRENGTHS = [10.0**power for power in range(-4, 5)]


def data(rows=400, width=12, targets=3, seed=0, exclusive=False, prevalence=0.2):
    """Correlated features of unlike means and spreads, and labels that they say something of."""
    draw = np.random.default_rng(seed)
    plain = draw.normal(size=(rows, width))
    features = plain @ draw.normal(size=(width, width)) * np.exp(draw.normal(size=width)) + 5 * draw.normal(size=width)
    logits = plain @ draw.normal(size=(width, targets)) * 0.7
    if exclusive:
        return features, np.eye(targets, dtype=bool)[(logits + draw.gumbel(size=logits.shape)).argmax(1)]
    return features, draw.random(logits.shape) < probability(logits + np.log(prevalence / (1 - prevalence)))


def scikit(features, labels, l2, exclusive=False, known=None):
    """Probabilities, (n, T), by scikit-learn at its most careful, one target after the other."""
    scaled = (features - features.mean(0)) / features.std(0)
    if exclusive:
        model = LogisticRegression(C=1 / l2, max_iter=100_000, tol=1e-10, solver="newton-cg").fit(scaled, labels.argmax(1))
        found = np.zeros(labels.shape)
        found[:, model.classes_] = model.predict_proba(scaled)
        return found
    columns = []
    for target in range(labels.shape[1]):
        rows = slice(None) if known is None else known[:, target]
        model = LogisticRegression(C=1 / l2, max_iter=100_000, tol=1e-10, solver="newton-cg").fit(scaled[rows], labels[rows, target])
        columns.append(model.predict_proba(scaled)[:, 1])
    return np.stack(columns, 1)


def ours(features, weights, biases, exclusive=False):
    return probability(log_odds(features @ weights.T + biases, exclusive))


class TestAgainstScikitLearn:
    def test_targets_of_their_own_under_every_penalty(self):
        features, labels = data()
        weights, biases = fit_path(features, labels, None, False, STRENGTHS)
        assert weights.shape == (9, 3, 12) and biases.shape == (9, 3) and weights.dtype == biases.dtype == np.float64
        for at, l2 in enumerate(STRENGTHS):
            assert ours(features, weights[at], biases[at]) == pytest.approx(scikit(features, labels, l2), abs=2e-5)

    @pytest.mark.parametrize("targets", [2, 4])
    def test_classes(self, targets):
        features, labels = data(targets=targets, exclusive=True)
        weights, biases = fit_path(features, labels, None, True, STRENGTHS)
        for at, l2 in enumerate(STRENGTHS):
            assert ours(features, weights[at], biases[at], True) == pytest.approx(scikit(features, labels, l2, True), abs=2e-5)

    def test_more_features_than_rows_where_classes_are_all_but_separable(self):
        features, labels = data(rows=60, width=90, targets=5)
        weights, biases = fit_path(features, labels, None, False, STRENGTHS)
        for at, l2 in enumerate(STRENGTHS):
            assert ours(features, weights[at], biases[at]) == pytest.approx(scikit(features, labels, l2), abs=1e-4)

    def test_rare_targets_beside_common_ones_end_where_they_would_alone(self):
        features, labels = data(rows=2000, targets=4, prevalence=np.array([0.003, 0.02, 0.5, 0.99]))
        weights, biases = fit_path(features, labels, None, False, [0.1, 10.0])
        assert labels.sum(0).min() < 60
        for at, l2 in enumerate([0.1, 10.0]):
            assert ours(features, weights[at], biases[at]) == pytest.approx(scikit(features, labels, l2), abs=2e-5)

    def test_labels_that_are_not_known_count_nowhere(self):
        features, labels = data(rows=600)
        known = np.random.default_rng(1).random(labels.shape) < [0.9, 0.5, 0.2]
        for given in (labels, labels ^ ~known):
            weights, biases = fit_path(features, given, known, False, [0.01, 1.0, 100.0])
            for at, l2 in enumerate([0.01, 1.0, 100.0]):
                assert ours(features, weights[at], biases[at]) == pytest.approx(scikit(features, labels, l2, known=known), abs=2e-5)

    def test_rows_of_unknown_classes_are_left_out(self):
        features, labels = data(targets=3, exclusive=True)
        known = np.ones(labels.shape, bool)
        known[::4] = False
        changed = labels.copy()
        changed[::4] = np.roll(labels[::4], 1, 1)
        found = fit_path(features, changed, known, True, [1.0])
        expected = fit_path(features[known.all(1)], labels[known.all(1)], None, True, [1.0])
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))

    def test_it_is_what_linear_fits(self):
        for exclusive in (False, True):
            features, labels = data(exclusive=exclusive)
            weights, biases = fit_path(features, labels, None, exclusive, [1.0])
            weight, bias = linear.fit_logistic(features, labels, exclusive, 1.0)
            found, expected = features @ weights[0].T + biases[0], features @ weight.T + bias
            assert found == pytest.approx(expected, abs=0.02)  # that one ends earlier
            assert probability(found) == pytest.approx(probability(expected), abs=3e-3)


class TestClassesThatAreMissing:
    def test_a_target_of_one_class_has_its_smoothed_prevalence(self):
        features, labels = data(rows=100)
        labels[:, 0], labels[:, 2] = False, True
        known = np.ones(labels.shape, bool)
        known[:40, 2] = False
        weights, biases = fit_path(features, labels, known, False, [0.1, 1.0])
        assert not weights[:, [0, 2]].any() and weights[:, 1].any()
        assert biases[:, 0] == pytest.approx(np.log(0.5 / 100.5)) and biases[:, 2] == pytest.approx(np.log(60.5 / 0.5))
        alone = fit_path(features, labels[:, 1:2], None, False, [0.1, 1.0])
        assert np.allclose(weights[:, 1], alone[0][:, 0]) and np.allclose(biases[:, 1], alone[1][:, 0])

    @pytest.mark.parametrize("present", [1, 2, 3])
    def test_missing_classes_are_as_in_linear(self, present):
        features, labels = data(rows=150, targets=5, exclusive=True)
        labels = np.eye(5, dtype=bool)[labels.argmax(1) % present + 1]
        weights, biases = fit_path(features, labels, None, True, [1.0])
        weight, bias = linear.fit_logistic(features, labels, True, 1.0)
        assert features @ weights[0].T + biases[0] == pytest.approx(features @ weight.T + bias, abs=0.02)

    def test_logits_of_the_classes_that_are_there_add_up_to_nothing(self):
        """So lies scikit-learn's solution, beside which the missing classes are put."""
        features, labels = data(rows=150, targets=5, exclusive=True)
        labels = np.eye(5, dtype=bool)[np.array([0, 1, 1, 3, 3])[labels.argmax(1)]]
        weights, biases = fit_path(features, labels, None, True, [0.001, 1.0])
        assert (features @ weights[:, [0, 1, 3]].transpose(0, 2, 1) + biases[:, None, [0, 1, 3]]).sum(2) == pytest.approx(0, abs=1e-9)
        assert biases[:, [2, 4]] == pytest.approx(-np.log(300))


class TestFeatures:
    def test_a_constant_feature_gets_no_weight_and_harms_none(self):
        features, labels = data()
        more = np.concatenate([features, np.full((len(features), 1), 3.3), np.zeros((len(features), 1))], 1)
        weights, biases = fit_path(more, labels, None, False, [0.01, 1.0])
        expected = fit_path(features, labels, None, False, [0.01, 1.0])
        assert np.allclose(weights[..., :12], expected[0], atol=1e-6) and np.allclose(biases, expected[1], atol=1e-5)
        assert np.abs(weights[..., 12:]).max() < 1e-9

    def test_of_what_a_network_computes_rounding_is_no_feature(self):
        features, labels = data()
        noise = np.float32(40) * (1 + np.float32(2e-7) * np.random.default_rng(0).integers(-1, 2, (len(features), 1)).astype(np.float32))
        weights, _ = fit_path(np.concatenate([features.astype(np.float32), noise], 1), labels, None, False, [0.0001])
        assert np.abs(weights[..., -1]).max() < 1

    def test_scale_and_shift_of_a_feature_change_nothing(self):
        features, labels = data()
        weights, biases = fit_path(features, labels, None, False, [0.1, 10.0])
        moved = fit_path(features * 1000 - 7, labels, None, False, [0.1, 10.0])
        for at in range(2):
            assert ours(features * 1000 - 7, moved[0][at], moved[1][at]) == pytest.approx(ours(features, weights[at], biases[at]), abs=1e-6)

    def test_half_precision_is_read_as_it_is(self):
        features, labels = data()
        narrow = features.astype(np.float16)
        found, expected = (fit_path(one, labels, None, False, [1.0]) for one in (narrow, narrow.astype(np.float64)))
        assert all(np.allclose(one, other, atol=1e-9) for one, other in zip(found, expected, strict=True))


class TestPath:
    def test_penalties_come_back_in_the_order_given(self):
        features, labels = data()
        some = [1.0, 100.0, 0.01]
        weights, biases = fit_path(features, labels, None, False, some)
        for at, l2 in enumerate(some):
            alone = fit_path(features, labels, None, False, [l2])
            assert np.allclose(weights[at], alone[0][0], atol=1e-5) and np.allclose(biases[at], alone[1][0], atol=1e-4)

    @pytest.mark.parametrize("bytes_", [8 * 400, 2 * 8 * 400])
    def test_blocks_of_targets_and_pieces_of_rows_change_nothing(self, bytes_, monkeypatch):
        features, labels = data(targets=5)
        expected = fit_path(features, labels, None, False, [0.1, 10.0])
        monkeypatch.setattr(logistic, "BLOCK_BYTES", bytes_)
        monkeypatch.setattr(logistic, "PIECE", 33)
        found = fit_path(features, labels, None, False, [0.1, 10.0])
        for at in range(2):
            assert ours(features, found[0][at], found[1][at]) == pytest.approx(ours(features, expected[0][at], expected[1][at]), abs=5e-6)

    @pytest.mark.parametrize("given", [[], [0.0], [1.0, -1.0]])
    def test_no_penalty_is_no_path(self, given):
        features, labels = data(rows=30)
        with pytest.raises(ValueError, match="give at least one, and all above 0"):
            fit_path(features, labels, None, False, given)

    def test_what_stops_short_is_told(self, monkeypatch, caplog):
        features, labels = data(rows=60, width=90, targets=5)
        monkeypatch.setattr(logistic, "MOST_STEPS", 3)
        with caplog.at_level("INFO", "regdna"):
            fit_path(features, labels, None, False, [0.0001])
        assert "5 of 5 regressions with l2 0.0001 stopped after 3 steps" in caplog.text


@pytest.mark.parametrize("exclusive", [False, True])
def test_in_single_precision_on_a_gpu_it_is_the_same(exclusive):
    if not torch.cuda.is_available():
        pytest.skip("no GPU that this torch can use")
    features, labels = data(rows=3000, width=40, exclusive=exclusive)
    here, there = (fit_path(features, labels, None, exclusive, STRENGTHS, device) for device in ("cpu", "cuda"))
    for at in range(9):
        expected = ours(features, here[0][at], here[1][at], exclusive)
        assert ours(features, there[0][at], there[1][at], exclusive) == pytest.approx(expected, abs=1e-4)
