"""Study presets: a dry run of a fresh clone, without a network, says what will run, what it will fetch and what it will hold."""

import re

import numpy as np
import pytest
import torch
import yaml
from workflow_tools import ROOT, clone, snakemake

from regdna import models
from regdna.models import ARCHITECTURES
from regdna.models.limits import context

PRESETS = sorted(path.stem for path in (ROOT / "resources/studies").glob("*.yaml"))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A clone in which nothing was run."""
    return clone(tmp_path_factory.mktemp("presets") / "regdna")


def test_the_four_presets_and_the_demo_are_there():
    assert set(PRESETS) == {"demo", "encode", "roadmap", "deepsea", "sequences"}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_dry_run_shows_jobs_bytes_and_disk(fresh, preset):
    (fresh / "config.yaml").write_text((ROOT / "config.yaml").read_text().replace("study: demo", f"study: {preset}"))
    result = snakemake(fresh, "-n", "--quiet=host", "all", study=None)
    assert result.returncode == 0, result.stderr
    said = result.stdout + result.stderr
    assert ("cite_literature" in said) == (preset in ("deepsea", "sequences")), "published values, where a dataset is a benchmark"
    assert "render_report" in said and re.search(r"^total +\d+$", said, flags=re.MULTILINE)
    plan = re.search(rf"study {preset}: (\d+) files to download, about (\S+ \S+); about (\S+ \S+) of disk", said)
    assert (plan is None) == (preset == "demo"), said
    if plan:
        fetched = int(re.search(r"^fetch_source +(\d+)$", said, flags=re.MULTILINE)[1])
        # Members of archives are unpacked, not downloaded.
        assert int(plan[1]) == fetched - (4 if preset == "deepsea" else 0)
        assert "weights hub-nt-v2-500m: CC BY-NC-SA 4.0" in said and "verify_weights" in said
        row = next(line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| `{preset}` |"))
        jobs = re.search(r"^total +(\d+)$", said, flags=re.MULTILINE)[1]
        cells = [cell.strip() for cell in row.split("|")]
        assert cells[3:6] == [jobs, plan[2], plan[3]], "the README says other numbers"
        assert f"study {preset}: about {cells[7]} GPU-hours on an A100" in said, "the README says another number of GPU-hours"


FULL = [preset for preset in PRESETS if preset != "demo"]


def models_of(preset):
    """The models of a preset, with the architecture where it is that of weights."""
    study = yaml.safe_load((ROOT / f"resources/studies/{preset}.yaml").read_text())
    sources = yaml.safe_load((ROOT / "resources/sources.yaml").read_text())
    return {
        name: entry | {"architecture": entry.get("architecture") or sources[entry["weights"]]["checkpoint"]["architecture"]}
        for name, entry in study["models"].items()
    }


@pytest.mark.parametrize("preset", FULL)
def test_language_models_stand_beside_cnns_and_row_zero(preset):
    entries = models_of(preset)
    used = {entry["architecture"] for entry in entries.values()}
    # Sequences of GUE have no coordinates.
    assert used == set(ARCHITECTURES) - {"dnabert"} - ({"position"} if preset == "sequences" else set())
    assert {entry["weights"] for entry in entries.values() if "weights" in entry} == {"hub-dnabert2", "hub-nt-v2-50m", "hub-nt-v2-500m"}
    for name, entry in entries.items():
        if entry.get("regime") == "probe":
            assert entry["parameters"] == {"pooling": "best"}, name
        elif "weights" in entry:
            # A rate for a network from scratch would undo what was learnt.
            assert isinstance(entry["training"]["learning_rate"], float) and entry["training"]["learning_rate"] <= 1e-4, name


@pytest.mark.parametrize("preset", FULL)
def test_a_published_model_has_its_random_twin_and_a_cnn_its_controls_and_all_are_tuned(preset):
    study = yaml.safe_load((ROOT / f"resources/studies/{preset}.yaml").read_text())
    controls = {name: entry["controls"] for name, entry in study["models"].items() if "controls" in entry}
    assert controls["nt-v2-50m"] == ["random-init"] and {"shuffled-labels", "shuffled-sequences"} <= set(controls["basset"])
    assert study["tuning"]["trials"] == 8 and study["tuning"]["share"] <= 0.25


def test_a_core_promoter_is_long_enough_for_the_cnns():
    """The lengths of files of sequences are not known before a run, so no plan would say so."""
    for name, entry in models_of("sequences").items():
        known = ARCHITECTURES[entry["architecture"]]
        if "weights" not in entry:
            assert context(entry["architecture"], known.sizes | known.parameters | entry.get("parameters", {}))[0] <= 70, name


GUE = 70  # bp, the shorter of its two lengths
OWN = [
    (preset, name, dataset)
    for preset in PRESETS
    for study in [yaml.safe_load((ROOT / f"resources/studies/{preset}.yaml").read_text())]
    for name, entry in study["models"].items()
    if "weights" not in entry and ARCHITECTURES[entry["architecture"]].family != "row zero"
    for dataset in entry.get("datasets", list(study["datasets"])[:1])
]


@pytest.mark.parametrize(("preset", "name", "dataset"), OWN)
def test_every_network_of_a_preset_is_built_and_answers_windows_of_its_dataset(preset, name, dataset):
    """Those of published weights are built in their published sizes by tests/unit/test_door.py."""
    study = yaml.safe_load((ROOT / f"resources/studies/{preset}.yaml").read_text())
    entry, data = study["models"][name], study["datasets"][dataset]
    known = ARCHITECTURES[entry["architecture"]]
    length = entry.get("context") or data.get("windows", {}).get("context") or data["sequences"].get("length", GUE)
    codes = np.random.default_rng(0).integers(0, 4, (8, length), np.uint8)
    about = {"architecture": entry["architecture"], "parameters": known.sizes | known.parameters | entry.get("parameters", {}), "seed": 1,
             "initialisation": "random", "length": length, "labels": "multilabel", "targets": ["a", "b", "c"], "weights": ""}  # fmt: skip
    net = models.family(entry["architecture"]).build(about, lambda: codes).eval()
    with torch.no_grad():
        found = net(**net.encode(codes[:2]))
    assert found.logits.shape == (2, 3) and torch.isfinite(found.logits).all()
