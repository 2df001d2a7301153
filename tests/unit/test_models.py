import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
import toy_models
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from regdna.alphabet import N, decode, encode, reverse_complement
from regdna.models import ARCHITECTURES, composition, family, kmer_logistic, linear, module, modules, network
from regdna.models.basset import Basset
from regdna.models.classifier import Classifier, log_odds, probability
from regdna.models.dnabert2 import alibi_slopes
from regdna.models.heads import EncoderClassifier
from regdna.step import InputError

LENGTH = 60


def random_codes(seed, rows=9, length=LENGTH, unknown=0.0):
    draw = np.random.default_rng(seed)
    codes = draw.integers(0, 4, (rows, length)).astype(np.uint8)
    codes[draw.random(codes.shape) < unknown] = N
    return codes


SIZES = {
    "basset": toy_models.BASSET,
    "deepsea": {"filters": [4, 4], "widths": [5, 3], "pools": [3, 1], "dropouts": [0.2, 0.5], "hidden": 8},
    "basenji": {"filters": [8, 8], "widths": [7, 5], "pools": [4, 2], "dilated": 4, "blocks": 2, "rate": 2.0, "dropout": 0.2,
                "hidden": 8, "hidden_dropout": 0.1},
    "nucleotide-transformer": toy_models.NT,
    "dnabert2": toy_models.DNABERT2,
    "dnabert": toy_models.DNABERT,
}  # fmt: skip
NETWORKS = list(SIZES)
ENCODERS = ["nucleotide-transformer", "dnabert2", "dnabert"]


def entry(name, **more):
    """What ``about.json`` of a small network says."""
    return toy_models.about(name, SIZES[name], LENGTH, 3, **more)


def built(about, **more):
    """The network of an entry, with fresh weights."""
    return family(about["architecture"]).build({**about, **more}, lambda: random_codes(0, 40))


def saved(folder, about, net):
    """The entry's folder."""
    family(about["architecture"]).save(folder, about, net)
    return folder


class TestRegistry:
    def test_naming_an_architecture_imports_none(self):
        code = "import sys; import regdna.models; sys.exit(bool({'torch', 'sklearn', 'transformers'} & set(sys.modules)))"
        assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0

    @pytest.mark.parametrize("name", ARCHITECTURES)
    def test_every_entry_can_be_imported_and_says_what_it_is(self, name):
        one = ARCHITECTURES[name]
        needed = {"row zero": "learn" if name in ("position", "nearest") else "features", "cnn": "build", "transformer": "classes"}
        assert hasattr(module(name), needed[one.family])
        assert one.module in modules(name) and one.regimes and one.citation
        assert one.family in ("row zero", "cnn", "transformer")


class TestLogOdds:
    def exact(self, logits):
        """By the direct formula in 128 bits: ln p_t - ln of the sum of all others."""
        wide = np.asarray(logits, np.longdouble)
        out = np.empty(wide.shape, np.longdouble)
        for row, target in np.ndindex(wide.shape):
            others = np.delete(wide[row], target)
            out[row, target] = wide[row, target] - (others.max() + np.log(np.exp(others - others.max()).sum()))
        return out.astype(float)

    @pytest.mark.parametrize("scale", [0, 1e-3, 1, 10, 100, 300])
    @pytest.mark.parametrize("targets", [2, 4, 30])
    def test_exclusive_log_odds_equal_the_direct_formula(self, scale, targets):
        logits = np.random.default_rng(targets).normal(size=(40, targets)) * scale
        assert log_odds(logits, True) == pytest.approx(self.exact(logits), rel=1e-11, abs=1e-11)

    @pytest.mark.parametrize("lead", [700, 740, 800, 5000])
    def test_a_target_far_ahead_has_finite_log_odds(self, lead):
        logits = np.array([[0.0, lead, 1.0, -3.0]])
        found = log_odds(logits, True)
        assert np.isfinite(found).all()
        assert found == pytest.approx(self.exact(logits), rel=1e-12)

    def test_a_constant_added_to_all_logits_changes_nothing(self):
        logits = np.random.default_rng(0).normal(size=(5, 4))
        assert log_odds(logits + 1000, True) == pytest.approx(log_odds(logits, True), abs=1e-10)

    def test_exclusive_probabilities_sum_to_one(self):
        logits = np.random.default_rng(1).normal(size=(20, 5)) * 4
        assert probability(log_odds(logits, True)).sum(1) == pytest.approx(np.ones(20), abs=1e-12)

    def test_multilabel_log_odds_are_the_logits(self):
        logits = np.random.default_rng(2).normal(size=(20, 5))
        assert np.array_equal(log_odds(logits, False), logits)

    def test_probability_is_the_logistic_function_without_overflow(self):
        odds = np.array([-1e4, -745.0, -30.0, -1.0, 0.0, 1.0, 30.0, 745.0, 1e4])
        with np.errstate(over="raise"):
            found = probability(odds)
        expected = [0, math.exp(-745), 1 / (1 + math.exp(30)), 1 / (1 + math.e), 0.5, 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-30)), 1, 1]
        assert found == pytest.approx(expected, rel=1e-12)
        assert (np.diff(found) >= 0).all()


class TestRowZero:
    @pytest.mark.parametrize("k", [1, 2, 3, 5])
    def test_canonical_columns_are_shared_by_both_strands(self, k):
        column, columns = kmer_logistic.canonical(k)
        words = np.stack(np.meshgrid(*[np.arange(4)] * k, indexing="ij"), -1).reshape(-1, k).astype(np.uint8)
        other = reverse_complement(words).astype(int) @ (4 ** np.arange(k)[::-1])
        assert np.array_equal(column, column[other])
        palindromes = (other == np.arange(4**k)).sum()
        assert columns == len(set(column)) == (4**k + palindromes) // 2

    @pytest.mark.parametrize("k", [1, 3, 4])
    @pytest.mark.parametrize("unknown", [0, 0.05, 1])
    def test_kmer_shares_equal_finite_loops(self, k, unknown):
        codes = random_codes(k, 6, 40, unknown)
        column, columns = kmer_logistic.canonical(k)
        expected = np.zeros((6, columns))
        for row in range(6):
            words = [decode(codes[row, at : at + k]) for at in range(41 - k)]
            words = [word for word in words if "N" not in word]
            for word in words:
                expected[row, column[int(word.translate(str.maketrans("ACGT", "0123")), 4)]] += 1 / len(words)
        assert kmer_logistic.features(codes, np.zeros(6), {"k": k}) == pytest.approx(expected, abs=1e-12)

    def test_kmer_shares_do_not_depend_on_the_strand(self):
        codes = random_codes(5, unknown=0.02)
        one, two = (kmer_logistic.features(part, np.zeros(9), {"k": 4}) for part in (codes, reverse_complement(codes)))
        assert one == pytest.approx(two, abs=1e-15)

    def test_composition_by_hand(self):
        codes = np.stack([encode("CGCGAATTNN"), encode("NNNNNNNNNN")])
        found = composition.features(codes, np.array([2e6, 0]), {})
        # whole 4/8; thirds CGCG, AAT, TNN; CpG 2 * 10 / (2 * 2); N 2/10; position in Mb
        base = [[0.5, 1, 0, 0, 5, 0.2, 2], [0.5, 0.5, 0.5, 0.5, 0, 1, 0]]
        assert found[:, :7] == pytest.approx(np.array(base))
        assert found[:, 7:] == pytest.approx(found[:, :7] ** 2)


class TestFitLogistic:
    @pytest.fixture
    def features(self):
        return np.random.default_rng(0).normal(size=(300, 4)) * [1, 10, 0.1, 1] + [0, 5, 3, 0]

    def test_multilabel_equals_a_pipeline_of_scikit_learn(self, features):
        labels = np.stack([features[:, 0] > 0.5, features[:, 1] + features[:, 0] > 5], 1)
        weight, bias = linear.fit_logistic(features, labels, False, 2.0)
        for target in range(2):
            peer = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=300)).fit(features, labels[:, target])
            assert features @ weight[target] + bias[target] == pytest.approx(peer.decision_function(features), abs=1e-9)

    @pytest.mark.parametrize("classes", [2, 3])
    def test_exclusive_equals_scikit_learn(self, features, classes):
        labels = np.digitize(features[:, 0], [-0.3, 0.6][: classes - 1])
        weight, bias = linear.fit_logistic(features, labels[:, None] == np.arange(classes), True, 1.0)
        peer = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(features, labels)
        found = probability(log_odds(features @ weight.T + bias, True))
        assert found == pytest.approx(peer.predict_proba(features), abs=1e-9)

    @pytest.mark.parametrize("present", [[0, 2], [1, 3], [0, 1, 3]])
    def test_a_class_that_never_occurs_is_improbable_and_the_others_are_right(self, features, present):
        labels = np.array(present)[np.digitize(features[:, 0], [-0.3, 0.6][: len(present) - 1])]
        weight, bias = linear.fit_logistic(features, labels[:, None] == np.arange(4), True, 1.0)
        found = probability(log_odds(features @ weight.T + bias, True))
        assert found[:, np.setdiff1d(np.arange(4), present)].max() < 0.05
        assert (found.argmax(1) == labels).mean() > 0.9

    def test_one_class_alone_is_predicted(self, features):
        weight, bias = linear.fit_logistic(features, np.ones((300, 1), int) == np.arange(3), True, 1.0)
        found = probability(log_odds(features @ weight.T + bias, True))
        assert found[:, 1].min() > 0.95

    def test_a_target_of_one_class_gets_its_smoothed_prevalence(self, features):
        labels = np.stack([np.ones(300, bool), np.zeros(300, bool), features[:, 0] > 0], 1)
        weight, bias = linear.fit_logistic(features, labels, False, 1.0)
        assert not weight[:2].any() and weight[2].any()
        assert bias[:2] == pytest.approx([np.log(300.5 / 0.5), -np.log(300.5 / 0.5)])

    @pytest.mark.parametrize("constant", [0, 1, 0.1, 1 / 3])
    def test_a_constant_feature_has_no_say_on_rows_where_it_differs(self, features, constant):
        labels = (features[:, :1] > 0.8).repeat(2, 1)
        features[:, 3] = constant
        weight, bias = linear.fit_logistic(features, labels, False, 1.0)
        changed = features.copy()
        changed[:, 3] += 1
        assert changed @ weight.T + bias == pytest.approx(features @ weight.T + bias, abs=1e-6)


class TestBasset:
    def test_a_motif_detector_answers_as_set(self, tmp_path):
        folder = toy_models.motif_checkpoint(tmp_path / "c", 40, [3.0, -1.0], [-2.0, 0.5])
        codes = np.stack([encode("ACGT" * 10), encode("C" * 33 + "GATTACA"), encode("GATTACA" + "C" * 33), encode("C" * 33 + "TGTAATC")])
        forward, backward = Classifier(folder).strands(codes, np.zeros(4))
        without, having = [-2, 0.5], [1, -0.5]
        assert forward == pytest.approx(np.array([without, having, having, without]), abs=1e-5)
        assert backward == pytest.approx(np.array([without, without, without, having]), abs=1e-5)

    def test_unknown_bases_match_nothing(self, tmp_path):
        folder = toy_models.motif_checkpoint(tmp_path / "c", 40, [3.0], [-2.0])
        codes = encode("C" * 20 + "GATTACA" + "C" * 13)
        codes[21] = N
        assert Classifier(folder).log_odds(codes[None], np.zeros(1))[0, 0] == pytest.approx(-2, abs=1e-5)

    def test_published_sizes_fit_600_bp_and_200_do_too(self):
        for length in (600, 200):
            net = Basset(length, 2, **ARCHITECTURES["basset"].sizes).eval()
            assert net(torch.zeros(2, length, dtype=torch.uint8)).logits.shape == (2, 2)

    @pytest.mark.parametrize(("length", "fits"), [(17, False), (18, True)])
    def test_too_short_a_window_is_refused_with_numbers(self, length, fits):
        # 18 - 6 = 12, / 3 = 4, - 2 = 2, / 2 = 1
        def build():
            return Basset(length, 1, [2, 2], [7, 3], [3, 2], 4, 0.0)

        if fits:
            assert build().eval()(torch.zeros(1, length, dtype=torch.uint8)).logits.shape == (1, 1)
        else:
            with pytest.raises(ValueError, match="17 bp are too short"):
                build()


class TestNetworks:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_outputs_do_not_depend_on_the_batch(self, name, device):
        net = built(entry(name)).to(device)
        codes = random_codes(3, unknown=0.03)
        codes[4] = N
        whole = network.run(net, codes, 9)
        assert whole.shape == (9, 3) and whole.dtype == np.float32 and np.isfinite(whole).all()
        for batch_size in (1, 2, 4, 100):
            assert network.run(net, codes, batch_size) == pytest.approx(whole, abs=2e-6)

    @pytest.mark.parametrize("name", NETWORKS)
    def test_running_puts_the_mode_back_and_drops_nothing_out(self, name):
        net = built(entry(name)).train()
        codes = random_codes(4)
        assert np.array_equal(network.run(net, codes, 9), network.run(net, codes, 9))
        assert net.training
        network.run(net.eval(), codes, 9)
        assert not net.training

    @pytest.mark.parametrize("name", NETWORKS)
    def test_the_seed_decides_the_weights(self, name):
        one, same, other = (built(entry(name), seed=seed).state_dict() for seed in (1, 1, 2))
        assert all(torch.equal(one[key], same[key]) for key in one)
        assert any(not torch.equal(one[key], other[key]) for key in one)

    @pytest.mark.parametrize("name", NETWORKS)
    def test_a_checkpoint_is_opened_as_it_was_saved(self, name, tmp_path):
        about = entry(name)
        net = built(about, seed=7)
        for parameter in net.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        saved(tmp_path, about, net)
        codes = random_codes(5)
        assert json.loads((tmp_path / "about.json").read_text()) == about
        found = Classifier(tmp_path).log_odds(codes, np.zeros(9))
        assert found.dtype == np.float64
        assert found == pytest.approx(network.run(net, codes, about["batch_size"]), abs=1e-6)

    def test_a_checkpoint_with_other_keys_is_refused(self, tmp_path):
        saved(tmp_path, entry("basset"), built(entry("basset")))
        about = json.loads((tmp_path / "about.json").read_text())
        (tmp_path / "about.json").write_text(json.dumps(about | {"parameters": about["parameters"] | {"hidden": 9}}))
        with pytest.raises(InputError, match=r"key 'layers.10.bias' is \(8,\), the configuration asks for \(9,\)"):
            Classifier(tmp_path)

    def test_a_linear_checkpoint_is_opened_as_it_was_saved(self, tmp_path):
        folder = toy_models.gc_checkpoint(tmp_path / "c", 8, [4.0, -2.0], [1.0, 0.0])
        found = Classifier(folder).log_odds(np.stack([encode("GGCCAATT"), encode("AAAAAAAA")]), np.zeros(2))
        assert found == pytest.approx(np.array([[3, -1], [1, 0]]))

    def test_exclusive_checkpoints_give_odds_against_all_others(self, tmp_path):
        folder = toy_models.gc_checkpoint(tmp_path / "c", 8, [4.0, 0.0, 0.0], [0.0, 0.0, 0.0], "exclusive")
        found = Classifier(folder).log_odds(encode("GGCCAATT")[None], np.zeros(1))
        others = math.exp(2) + 1
        assert found[0] == pytest.approx([2 - math.log(2), -math.log(others), -math.log(others)])

    @pytest.mark.parametrize("name", ENCODERS)
    def test_embeddings_are_the_mean_over_tokens_that_are_not_padding(self, name):
        net = built(entry(name)).eval()
        codes = random_codes(6, 4)
        codes[1, :22] = N
        batch = net.encode(codes)
        with torch.no_grad():
            hidden = net.encoder(**batch).last_hidden_state
        expected = [hidden[i, batch["attention_mask"][i]].mean(0).numpy() for i in range(4)]
        assert not batch["attention_mask"].all()
        assert network.run(net, codes, 4, "embed") == pytest.approx(np.stack(expected), abs=1e-6)
        assert isinstance(net, EncoderClassifier)


def test_alibi_slopes_by_hand():
    assert alibi_slopes(8).tolist() == pytest.approx([2**-i for i in range(1, 9)])
    # 12 heads: 8 of a series by half steps of 8, then 4 from the series of 16
    assert alibi_slopes(12).tolist() == pytest.approx([2**-i for i in range(1, 9)] + [2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5])
