"""Published weights through the whole chain: from a checkpoint in its published layout to the page, in every regime."""

import json
import shutil

import pandas as pd
import pytest
import toy_models
import yaml
from safetensors.numpy import load_file
from workflow_tools import ROOT, clone, compute, planned, snakemake

pytestmark = pytest.mark.slow

LAYOUTS = {"nt-v2": ("nucleotide-transformer", 12282), "nt-v1": ("nucleotide-transformer", 5994),
           "dnabert2": ("dnabert2", 0), "dnabert": ("dnabert", 512)}  # fmt: skip
MODELS = {
    "nt-v2-lora": {"weights": "own-nt-v2", "regime": "lora", "parameters": {"rank": 1}, "mutagenesis": True},
    "nt-v1-probe": {"weights": "own-nt-v1", "regime": "probe", "parameters": {"pooling": "best"}},
    "nt-v1-twin": {"weights": "own-nt-v1", "regime": "probe", "initialisation": "random"},
    "dnabert2-full": {"weights": "own-dnabert2", "controls": ["random-init"]},
    "dnabert-ia3": {"weights": "own-dnabert", "regime": "ia3"},
    "kmer-logistic": {"architecture": "kmer-logistic", "parameters": {"k": 3}},
}
OWN = {"study": "own", "studies": "own"}


def study() -> dict:
    """A study on 200-bp sites whose models begin with checkpoints of its own."""
    sources = {}
    for layout, (architecture, context) in LAYOUTS.items():
        files = ["config.json", "model.safetensors", *(["tokenizer.json"] if layout == "dnabert2" else [])]
        sources[f"own-{layout}"] = {
            "title": f"A checkpoint in the layout of {layout}", "licence": "CC BY-NC-SA 4.0: not for commercial use", "citation": "made up",
            "origin": "made up", "checkpoint": {"architecture": architecture, "context": context},
            "files": {name: {"path": f"own/{layout}/{name}"} for name in files},
        }  # fmt: skip
    dataset = yaml.safe_load((ROOT / "tests/studies/tiny.yaml").read_text())["datasets"]["dhs"]
    return {
        "title": "Published layouts", "question": "Do published weights go through the chain?", "sources": sources,
        "datasets": {"dhs": dataset | {"training_sites": 300, "loci": ["k562-dhs"]}}, "models": MODELS,
        "training": {"epochs": 1, "batch_size": 32, "learning_rate": 0.001},
        "evaluation": {"replicates": 100},
    }  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A clone in which the study was run to its report."""
    folder = clone(tmp_path_factory.mktemp("published") / "regdna")
    for layout in LAYOUTS:
        toy_models.published(folder / "own" / layout, layout)
    (folder / "own/own.yaml").write_text(yaml.safe_dump(study()))
    plan = snakemake(folder, "-n", "all", **OWN)
    assert plan.returncode == 0, plan.stderr
    assert "verify_weights" in plan.stdout + plan.stderr
    result = snakemake(folder, "all", **OWN)
    assert result.returncode == 0, result.stderr[-3000:]
    return folder


def compute_of(folder, model):
    return compute(folder / f"results/own/dhs/{model}/seed1")


@pytest.mark.xdist_group("published")
class TestFinished:
    def test_every_regime_ends_in_the_comparison_and_on_the_page(self, finished):
        table = pd.read_parquet(finished / "results/own/comparison.parquet")
        assert set(table["model"]) | set(table["against"]) == {*MODELS, "dnabert2-full-random-init"}
        page = (finished / "results/own/report.html").read_text()
        assert "own-nt-v2" in page and "not for commercial use" in page
        assert (finished / "results/own/dhs/nt-v2-lora/mutagenesis/k562-dhs.npz").is_file()

    def test_the_vault_says_what_the_weights_are(self, finished):
        for layout, (architecture, context) in LAYOUTS.items():
            vault = json.loads((finished / f"results/sources/own-{layout}/vault.json").read_text())
            assert (vault["architecture"], vault["context"]) == (architecture, context)
            assert vault["licence"].startswith("CC BY-NC-SA 4.0")

    def test_a_frozen_encoder_is_the_published_one_and_the_twin_is_not(self, finished):
        published = load_file(finished / "own/nt-v1/model.safetensors")
        key = "esm.encoder.layer.0.attention.self.query.weight"
        probe, twin = (
            load_file(finished / f"results/own/dhs/{name}/seed1/checkpoint/model.safetensors") for name in ("nt-v1-probe", "nt-v1-twin")
        )
        assert (probe[key] == published[key]).all() and not (twin[key] == published[key]).any()
        digests = [compute_of(finished, name)["initial_digest"] for name in ("nt-v1-probe", "nt-v1-twin")]
        assert digests[0] != digests[1]

    def test_the_control_without_what_weights_learnt_is_trained_from_random_ones(self, finished):
        whole, control = (compute_of(finished, name) for name in ("dnabert2-full", "dnabert2-full-random-init"))
        assert whole["initial_digest"] != control["initial_digest"] and whole["parameters"] == control["parameters"]
        about = json.loads((finished / "results/own/dhs/dnabert2-full-random-init/seed1/checkpoint/about.json").read_text())
        assert (about["initialisation"], about["control"]) == ("random", "random-init")

    def test_adapters_train_a_small_share(self, finished):
        for name in ("nt-v2-lora", "dnabert-ia3"):
            cost = compute_of(finished, name)
            assert 0 < cost["trained_parameters"] < 0.2 * cost["parameters"]
        cost = compute_of(finished, "dnabert2-full")
        assert cost["trained_parameters"] == cost["parameters"]

    def test_nothing_runs_again_and_touched_weights_change_nothing(self, finished):
        assert planned(finished, "all", **OWN) == {}

    def test_other_weights_retrain_their_models_and_no_others(self, finished):
        kept = finished / "kept"
        shutil.copytree(finished / "own", kept)
        try:
            shutil.rmtree(finished / "own/dnabert")
            toy_models.published(finished / "own/dnabert", "dnabert", seed=1)
            plan = planned(finished, "train", **OWN)
        finally:
            shutil.rmtree(finished / "own")
            shutil.move(kept, finished / "own")
        assert plan["verify_weights"] == 1 and plan["train_model"] == 1

    def test_a_broken_checkpoint_is_refused_in_the_vault_before_anything_trains(self, finished):
        path = finished / "own/nt-v1/model.safetensors"
        content = path.read_bytes()
        try:
            path.write_bytes(content[:-1000])
            result = snakemake(finished, "vault", **OWN)
        finally:
            path.write_bytes(content)
        assert result.returncode == 1
        assert "model.safetensors: cut short or no .safetensors file" in result.stdout + result.stderr
