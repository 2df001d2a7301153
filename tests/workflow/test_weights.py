"""Published weights in a study: what is planned, what is refused before a job, and what a run without a network says first."""

import json
import os
import re
import socket
import subprocess

import pytest
import yaml
from toy_models import published
from workflow_tools import ROOT, clone, command, environment, planned, snakemake

HUB = "hub-nt-v2-50m"
MODELS = {
    "composition": {"architecture": "composition"},
    "nt": {"weights": HUB, "regime": "probe"},
    "nt-random": {"weights": HUB, "regime": "lora", "initialisation": "random"},
}


def write(folder, name, models, **more):
    """The smallest study, on its sites alone, with other models."""
    study = yaml.safe_load((ROOT / "tests/studies/tiny.yaml").read_text())
    del study["datasets"]["chr22"]
    (folder / f"tests/studies/{name}.yaml").write_text(yaml.safe_dump(study | {"models": models} | more))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A clone with a study of published weights in which nothing was run."""
    folder = clone(tmp_path_factory.mktemp("weights") / "regdna")
    write(folder, "weighty", MODELS)
    return folder


@pytest.fixture
def alone(monkeypatch):
    """A port of this machine that nothing listens on, and no proxy that could answer instead."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def own_weights(folder, name="mine", port=None):
    """A source of made-up weights in a published layout: files in the clone, or behind a port."""
    files = [path.name for path in published(folder / name, "nt-v2").iterdir()]
    place = {file: {"path": f"{name}/{file}"} if port is None else {"url": f"http://127.0.0.1:{port}/{file}", "about": 9} for file in files}
    return {name: {"title": "Made up", "licence": "MIT", "files": place,
                   "checkpoint": {"architecture": "nucleotide-transformer", "context": 12282}}}  # fmt: skip


def test_a_plan_lists_the_weights_files_the_vault_and_the_runs(fresh):
    plan = planned(fresh, "all", study="weighty")
    assert plan["fetch_source"] == 4 + 5 and plan["verify_weights"] == 1
    assert plan["train_model"] == 1 + 1 + 2 and plan["embed_windows"] == 1  # a frozen network has no seed


def test_the_first_phases_fetch_and_open_weights(fresh):
    assert planned(fresh, "sources", "vault", study="weighty") == {"fetch_source": 9, "verify_weights": 1, "sources": 1, "vault": 1}


def test_a_study_without_weights_has_an_empty_vault(fresh):
    assert set(planned(fresh, "vault")) <= {"vault"}


def test_only_a_model_of_weights_waits_for_them(fresh):
    assert planned(fresh, "results/weighty/dhs/nt-random/seed1/checkpoint", study="weighty")["verify_weights"] == 1
    assert "verify_weights" not in planned(fresh, "results/weighty/dhs/composition/seed1/checkpoint", study="weighty")


def test_the_plan_says_bytes_and_licence(fresh):
    said = snakemake(fresh, "-n", "--quiet=rules", study="weighty").stderr
    assert re.search(r"regdna: study weighty: 5 files to download, about 224 MB; about \S+ MB of disk", said), said
    assert "regdna: study weighty: weights hub-nt-v2-50m: CC BY-NC-SA 4.0: not for commercial use" in said
    assert "weights" not in "".join(line for line in snakemake(fresh, "-n", "--quiet=rules").stderr.splitlines() if "regdna" in line)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"weights": "hub-nt-v2-5m"}, ["models.nt.weights: source 'hub-nt-v2-5m'", "did you mean 'hub-nt-v2-50m'"]),
        ({"weights": "kipoi-basset"}, ["models.nt.context", "200 bp of the windows of dhs", "exactly 600 bp"]),
    ],
)
def test_weights_that_do_not_fit_are_one_clear_line(fresh, model, said):
    write(fresh, "broken", {"nt": model})
    try:
        result = snakemake(fresh, "-n", study="broken")
    finally:
        (fresh / "tests/studies/broken.yaml").unlink()
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("regdna: ")]
    assert len(lines) == 1 and all(part in lines[0] for part in ["tests/studies/broken.yaml", *said]), result.stderr
    assert "Traceback" not in result.stderr


def test_a_longer_context_than_the_limit_is_an_error_that_names_the_limit(fresh):
    study = yaml.safe_load((ROOT / "tests/studies/tiny.yaml").read_text())
    del study["datasets"]["dhs"]
    study["datasets"]["chr22"]["windows"]["context"] = 12_400
    study["datasets"]["chr22"]["split"] |= {"gap": 12_400}
    study["datasets"]["chr22"]["loci"] = []
    (fresh / "tests/studies/long.yaml").write_text(yaml.safe_dump(study | {"models": {"nt": {"weights": HUB}}}))
    try:
        result = snakemake(fresh, "-n", study="long")
    finally:
        (fresh / "tests/studies/long.yaml").unlink()
    assert result.returncode == 1
    assert "models.nt.context: the model sees 12400 bp of the windows of chr22" in result.stderr
    assert "take at most 12282 bp; set it to 12282 or less" in result.stderr


# --- no network ---


@pytest.fixture
def away(fresh, alone):
    """The clone with a study whose weights are behind a closed port."""
    write(fresh, "away", {"composition": MODELS["composition"], "nt": {"weights": "gone"}}, sources=own_weights(fresh, "gone", alone))
    yield fresh
    (fresh / "tests/studies/away.yaml").unlink()
    for path in sorted((fresh / "gone").iterdir()):
        path.unlink()
    (fresh / "gone").rmdir()


def stops(result, *parts):
    """Whether a run ended with one line, before any job."""
    lines = [
        line for line in result.stderr.splitlines() if line.startswith("regdna: ") and not re.search(" to download, about|GPU-hours", line)
    ]
    assert result.returncode == 1 and len(lines) == 1, result.stderr
    assert all(part in lines[0] for part in parts), lines[0]
    assert not re.search(r"^(local)?rule fetch_source|steps \(", result.stdout + result.stderr, flags=re.MULTILINE)
    assert "Traceback" not in result.stderr
    return True


def test_a_run_that_must_download_and_cannot_stops_first_with_the_command(away):
    files = len(list((away / "gone").iterdir()))
    dry = planned(away, "all", study="away")
    assert dry["fetch_source"] == 4 + files and dry["verify_weights"] == 1
    result = snakemake(away, "all", study="away")
    assert stops(result, f"no network to download {files} of the files", "such as gone/config.json",
                 "`snakemake sources vault --config study=away study_folder=tests/studies`", "`--config downloaded=FOLDER`")  # fmt: skip
    assert not (away / "results/sources/demo-dhs").exists(), "a job ran"
    # What stopped holds no lock: the next says the same.
    assert stops(snakemake(away, "vault", study="away"), "no network")


def test_the_command_that_it_names_is_one_that_works(away):
    result = snakemake(away, "all", study="away")
    said = re.search(r"`snakemake (sources vault [^`]+)`", result.stderr)[1]
    arguments = [*command("-n", "--quiet=host", study=None)[:-1], *said.split()]
    dry = subprocess.run(arguments, cwd=away, env=environment(), capture_output=True, text=True)
    assert dry.returncode == 0 and "verify_weights" in dry.stdout + dry.stderr, dry.stderr


def test_files_fetched_by_hand_need_no_network_but_must_be_there(away):
    by_hand = away / "hand/gone"
    by_hand.mkdir(parents=True)
    for path in (away / "gone").iterdir():
        (by_hand / path.name).write_bytes(path.read_bytes())
    (by_hand / "config.json").rename(by_hand.parent / "config.json")
    config = away / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace('downloaded: ""', "downloaded: hand"))
    try:
        (by_hand / "model.safetensors").rename(away / "elsewhere")
        result = snakemake(away, "vault", study="away")
        assert (
            result.returncode == 1 and "regdna: hand does not hold 1 of the files that this run needs, such as gone/model" in result.stderr
        )
        assert not (away / "results/sources/gone").exists(), "a job ran"
        (away / "elsewhere").rename(by_hand / "model.safetensors")
        result = snakemake(away, "vault", study="away")
        assert result.returncode == 0, result.stderr
    finally:
        config.write_text(text)
    assert json.loads((away / "results/sources/gone/vault.json").read_text())["licence"] == "MIT"
    # All is there now: neither a network nor the folder is asked for.
    assert snakemake(away, "vault", study="away").returncode == 0


def test_a_run_that_downloads_nothing_asks_for_no_network(away):
    """The study names weights that are out of reach; this result does not need them."""
    result = snakemake(away, "results/sources/demo-dhs/sites-1.npz", study="away")
    assert result.returncode == 0, result.stderr


# --- the vault ---


def test_own_weights_are_opened_and_a_broken_file_is_refused_by_name(tmp_path):
    folder = clone(tmp_path / "regdna")
    write(folder, "own", {"nt": {"weights": "mine", "regime": "probe"}}, sources=own_weights(folder))
    result = snakemake(folder, "vault", study="own")
    assert result.returncode == 0, result.stderr
    found = json.loads((folder / "results/sources/mine/vault.json").read_text())
    assert found["architecture"] == "nucleotide-transformer" and found["source"] == "mine" and found["golden"]["what"] == "logits"
    assert planned(folder, "vault", study="own") == {}
    # The files look new but are not: what was trained from them would stay.
    os.utime(folder / "results/sources/mine/model.safetensors")
    plan = planned(folder, "results/own/dhs/nt/seed1/checkpoint", study="own")
    assert "verify_weights" not in plan and plan["train_model"] == 1
    path = folder / "mine/model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    (folder / "results/sources/mine/model.safetensors").unlink()
    (folder / "results/sources/mine/vault.json").unlink()
    result = snakemake(folder, "vault", study="own")
    assert result.returncode == 1
    assert "regdna: results/sources/mine/model.safetensors: cut short" in result.stderr
    assert not (folder / "results/sources/mine/vault.json").exists()
