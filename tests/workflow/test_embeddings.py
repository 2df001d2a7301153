"""Which models share the embeddings of a network before training."""

import re

import pytest
import yaml
from workflow_tools import ROOT, clone, snakemake

OWN = {"hidden": 32, "layers": 1, "heads": 2, "intermediate": 32}
MODELS = {
    # Published: one seed, and its controls but one have embeddings of their own.
    "nt": {"weights": "hub-nt-v2-50m", "regime": "probe", "controls": ["random-init", "shuffled-labels", "flank-only"]},
    "nt-twin": {"weights": "hub-nt-v2-50m", "regime": "probe", "initialisation": "random"},  # with the first seed that is the control
    "nt-lora": {"weights": "hub-nt-v2-50m", "regime": "lora"},
    "nt-lora-best": {"weights": "hub-nt-v2-50m", "regime": "lora", "parameters": {"pooling": "best"}},
    "nt-probe-best": {"weights": "hub-nt-v2-50m", "regime": "probe", "parameters": {"pooling": "best"}},
    # Of its own sizes: one of each seed, shared by what only adapters, penalties or labels tell apart.
    "own": {"architecture": "nucleotide-transformer", "regime": "probe", "parameters": OWN, "controls": ["shuffled-labels"]},
    "own-again": {"architecture": "nucleotide-transformer", "regime": "probe", "parameters": OWN | {"rank": 4}},
    "own-cls": {"architecture": "nucleotide-transformer", "regime": "probe", "parameters": OWN | {"pooling": "cls"}},
    "own-500": {"architecture": "nucleotide-transformer", "regime": "probe", "parameters": OWN, "context": 500},
    "own-full": {"architecture": "nucleotide-transformer", "parameters": OWN},
    "kmer-logistic": {"architecture": "kmer-logistic"},
}
MADE = {
    "nt": [1], "nt-random-init": [1], "nt-flank-only": [1], "nt-twin": [2], "nt-lora-best": [1],
    "own": [1, 2], "own-cls": [1, 2], "own-500": [1, 2],
}  # fmt: skip


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """What a dry run of training says; by rule, dataset, model and seed."""
    folder = clone(tmp_path_factory.mktemp("embeddings") / "regdna")
    study = yaml.safe_load((ROOT / "tests/studies/tiny.yaml").read_text())
    study["datasets"].pop("dhs")
    study["datasets"]["chr22"] |= {"loci": [], "variants": {}}  # no model here asks for effects
    (folder / "studies").mkdir()
    (folder / "studies/shared.yaml").write_text(yaml.safe_dump(study | {"models": MODELS}))
    result = snakemake(folder, "-n", "train", study="shared", studies="studies")
    assert result.returncode == 0, result.stdout + result.stderr
    jobs = re.findall(r"^rule (\w+):\n(.*?)^\s*output: (\S+)", result.stdout + result.stderr, flags=re.MULTILINE | re.DOTALL)
    return [(rule, given, *re.findall(r"shared/chr22/([a-z0-9-]+)/seed(\d)", out)) for rule, given, out in jobs]


def test_a_network_is_embedded_once(plan):
    made = {}
    for rule, _, *where in plan:
        if rule == "embed_windows":
            made.setdefault(where[0][0], []).append(int(where[0][1]))
    assert {name: sorted(seeds) for name, seeds in made.items()} == MADE


@pytest.mark.parametrize(
    ("model", "seed", "read"),
    [
        ("nt", 1, "nt/seed1"), ("nt-shuffled-labels", 1, "nt/seed1"), ("nt-flank-only", 1, "nt-flank-only/seed1"),
        ("nt-twin", 1, "nt-random-init/seed1"), ("nt-twin", 2, "nt-twin/seed2"), ("nt-lora", 2, None),
        ("nt-lora-best", 2, "nt-lora-best/seed1"), ("nt-probe-best", 1, "nt-lora-best/seed1"), ("own-again", 2, "own/seed2"),
        ("own-shuffled-labels", 1, "own/seed1"), ("own-500", 2, "own-500/seed2"), ("own-full", 1, None), ("kmer-logistic", 1, None),
    ],
)  # fmt: skip
def test_training_reads_those_of_the_first_model_with_the_network(plan, model, seed, read):
    [given] = [given for rule, given, *where in plan if rule == "train_model" and where == [(model, str(seed))]]
    assert re.findall(r"chr22/(\S+)/embeddings", given) == ([read] if read else [])


def test_a_probe_on_published_weights_has_one_seed(plan):
    assert [where[0][1] for rule, _, *where in plan if rule == "train_model" and where and where[0][0] == "nt"] == ["1"]
