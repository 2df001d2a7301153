"""Several processes of one job over gloo, on CPUs. Each starts anew and imports torch: the tests are few."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_models
from safetensors.torch import load_file
from torch import nn

from regdna import models
from regdna.step import InputError
from regdna.train import descent, job, several
from regdna.train import team as team_module
from regdna.train.descent import Run
from regdna.train.team import Team

ROOT = Path(__file__).parents[2]
FOLDERS = [str(ROOT / name) for name in ("workflow_scripts", "tests", "tests/unit")]
SETTINGS = toy_models.SETTINGS | {"epochs": 3, "batch_size": 12}  # the last batch of 60 windows is a whole one
PARAMETERS = {"deepsea": toy_models.DEEPSEA, "basset": toy_models.BASSET | {"dropout": 0.0}, "dnabert2": toy_models.DNABERT2}


@pytest.fixture(autouse=True)
def paths(monkeypatch):
    """Processes that are started find the modules that they run."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(FOLDERS))


def about(architecture="deepsea", **more):
    return toy_models.about(architecture, PARAMETERS[architecture], 60, 3, **more)


def alone(material, folder, architecture="deepsea", settings=SETTINGS):
    folder.mkdir()
    cost = descent.fit(about(architecture), material.open(), folder, settings, folder.parent / f"{folder.name}.pt")
    return cost, load_file(folder / "model.safetensors")


def together(material, folder, architecture="deepsea", settings=SETTINGS, processes=2, **more):
    folder.mkdir()
    state = folder.parent / f"{folder.name}.pt"
    cost = several.fit(processes, 1, about(architecture), material, folder, settings, state, **more)
    return cost, load_file(folder / "model.safetensors")


def near(one, two, tolerance):
    assert one.keys() == two.keys()
    for name in one:
        assert two[name].numpy() == pytest.approx(one[name].numpy(), abs=tolerance), name


def without_dropout(*arguments):
    """``several.work`` of a network that draws nothing."""
    nn.Dropout.forward = lambda self, x: x
    real = models.family("dnabert2").build

    def build(*given):
        net = real(*given)
        net.encoder.config.attention_probs_dropout_prob = 0.0
        return net

    models.family("dnabert2").build = build
    return several.work(*arguments)


def test_two_processes_make_the_updates_of_one(tmp_path):
    material = toy_models.material(tmp_path / "data", unknown=0.3)
    settings = SETTINGS | {"balance": True, "layer_decay": 0.8}
    (cost, whole), (shared, found) = (fit(material, tmp_path / fit.__name__, settings=settings) for fit in (alone, together))
    near(whole, found, 1e-4)
    assert shared["validation_ap"] == pytest.approx(cost["validation_ap"], abs=1e-3)
    for name in ("steps", "epochs", "sequences", "parameters", "trained_parameters", "flops", "initial_digest"):
        assert shared[name] == cost[name], name
    assert (cost["processes"], shared["processes"], shared["micro_batch"]) == (1, 2, 6)
    one, two = (json.loads((tmp_path / name / "about.json").read_text())["history"] for name in ("alone", "together"))
    assert [row["loss"] for row in two] == pytest.approx([row["loss"] for row in one], rel=1e-4)


def test_two_processes_share_windows_of_unequal_lengths(tmp_path, monkeypatch):
    material = toy_models.material(tmp_path / "data")
    monkeypatch.setattr(several, "work", without_dropout)
    with monkeypatch.context() as patch:
        patch.setattr(nn.Dropout, "forward", lambda self, x: x)
        real = models.family("dnabert2").build

        def build(*given):
            net = real(*given)
            net.encoder.config.attention_probs_dropout_prob = 0.0
            return net

        patch.setattr(models.family("dnabert2"), "build", build)
        cost, whole = alone(material, tmp_path / "alone", "dnabert2")
    shared, found = together(material, tmp_path / "together", "dnabert2")
    near(whole, found, 1e-4)
    assert shared["validation_ap"] == pytest.approx(cost["validation_ap"], abs=1e-3)
    assert shared["tokens"] == cost["tokens"] > 60 * 3 * 10


def test_normalisation_sees_a_process_s_own_windows_and_ends_near(tmp_path):
    """On CPUs: each process normalises over its half of a batch, where GPUs do over the whole; so the two are not the same network."""
    material = toy_models.material(tmp_path / "data", rows=300)
    settings = SETTINGS | {"epochs": 6, "batch_size": 40, "patience": 6, "shift": 0, "reverse_complement": False}
    (cost, whole), (shared, found) = (fit(material, tmp_path / fit.__name__, "basset", settings) for fit in (alone, together))
    assert shared["steps"] == cost["steps"] == 30
    # Three targets, one by chance: 0.83 is what the motif alone gives, and what both were seen to come to, 0.003 apart.
    assert min(cost["validation_ap"], shared["validation_ap"]) > 0.75
    assert shared["validation_ap"] == pytest.approx(cost["validation_ap"], abs=0.05)


class TestTeam:
    """What a process of two makes of what the other one tells it."""

    @pytest.fixture
    def team(self):
        team = object.__new__(Team)
        team.rank, team.size, team.device = 0, 2, torch.device("cpu")
        return team

    def told(self, monkeypatch, others):
        """Have the other process tell tensors, in turn, in every sum or maximum."""
        others = iter(others)

        def reduce(mine, how=torch.distributed.ReduceOp.SUM):
            other = next(others)
            mine.copy_(torch.maximum(mine, other) if how == torch.distributed.ReduceOp.MAX else mine + other)

        monkeypatch.setattr(torch.distributed, "all_reduce", reduce)

    def test_the_highest_number_of_any_process_counts(self, team, monkeypatch):
        self.told(monkeypatch, [torch.tensor([0, 15])])
        assert team.highest(3, 0) == [3, 15]

    def test_gradients_are_summed_where_one_process_had_none_too(self, team, monkeypatch):
        some = [nn.Parameter(torch.zeros(size)) for size in (2, 3)]
        some[0].grad = torch.tensor([1.0, 2.0])
        self.told(monkeypatch, [torch.tensor([10.0, 20.0, 1.0, 2.0, 3.0])])
        team.sum_gradients(some)
        assert [one.grad.tolist() for one in some] == [[11.0, 22.0], [1.0, 2.0, 3.0]]

    def test_gradients_travel_in_bundles_of_one_type_and_a_size(self):
        tensors = [torch.zeros(size, dtype=dtype) for size in (30, 60, 200) for dtype in (torch.float32, torch.bfloat16)]
        bundles = team_module._bundles(tensors, 400)
        assert sorted(id(one) for bundle in bundles for one in bundle) == sorted(map(id, tensors))
        for bundle in bundles:
            assert len({one.dtype for one in bundle}) == 1 and (len(bundle) == 1 or sum(one.nbytes for one in bundle) <= 400)
        assert len(bundles) == 4

    def test_running_statistics_become_the_mean_and_counts_stay(self, team, monkeypatch):
        net = nn.BatchNorm1d(2)
        net.running_mean.copy_(torch.tensor([1.0, 2.0]))
        net.num_batches_tracked += 4
        self.told(monkeypatch, [torch.tensor([3.0, 6.0]), torch.tensor([3.0, 5.0])])
        team.average_buffers(net)
        assert net.running_mean.tolist() == [2.0, 4.0] and net.running_var.tolist() == [2.0, 3.0] and net.num_batches_tracked == 4

    def test_rows_come_back_in_their_order(self, team, monkeypatch):
        rows = np.arange(10).reshape(5, 2)

        def gather(parts, mine):
            parts[:] = [mine, rows[1::2]]

        monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
        assert np.array_equal(team.whole(rows[team.share(np.arange(5))], 5), rows)


PARENT = """
import json, sys, logging
from pathlib import Path
import toy_models
from regdna.step import InputError
from regdna.train import job

def main():
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    folder = Path(sys.argv[1])
    entry = {"architecture": "deepsea", "parameters": toy_models.DEEPSEA, "regime": "full", "initialisation": "random", "context": 0,
             "training": json.loads(sys.argv[2])}
    (folder / sys.argv[3]).mkdir()
    job.fit(toy_models.material(folder / "data"), entry, "toy", 1, folder / sys.argv[3], folder / "store", threads=2, processes=2,
            save_minutes=1e-9)

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_the_job_has_its_processes_save_and_a_second_job_goes_on(tmp_path, number):
    settings = SETTINGS | {"epochs": 8, "patience": 8, "batch_size": 6}
    (tmp_path / "parent.py").write_text(PARENT)
    command = [sys.executable, str(tmp_path / "parent.py"), str(tmp_path), json.dumps(settings), "ended"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not list((tmp_path / "store").glob("*/seed1.pt")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    begun = time.monotonic()
    process.send_signal(number)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 128 + number and time.monotonic() - begun < 15, said
    assert f"ended by signal {int(number)}; saved after" in said
    assert not list((tmp_path / "store").glob("*/lease")) and not list((tmp_path / "ended").iterdir())
    if number == signal.SIGUSR1:
        return  # going on is as after the other

    entry = {
        "architecture": "deepsea", "parameters": toy_models.DEEPSEA, "regime": "full", "initialisation": "random", "context": 0,
        "training": settings,
    }  # fmt: skip
    (tmp_path / "resumed").mkdir()
    material = toy_models.material(tmp_path / "data")
    cost = job.fit(material, entry, "toy", 1, tmp_path / "resumed", tmp_path / "store", threads=2, processes=2)
    said_epoch = f"updates of epoch {cost['resumed_from']['epoch']}"
    assert f"saved after {cost['resumed_from']['step']} {said_epoch}" in said and cost["epochs"] == 8
    assert [one["outcome"] for one in cost["attempt_log"]] == ["stopped by a signal", "finished"]
    _, whole = alone(material, tmp_path / "whole", settings=settings)
    near(whole, load_file(tmp_path / "resumed/model.safetensors"), 2e-2)


def children(parent):
    """Processes whose parent this is, by /proc, without multiprocessing's own helper."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
            if int(fields["PPid"]) == parent and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="processes are found by Linux's /proc")
def test_no_process_trains_on_when_the_job_is_killed(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    settings = SETTINGS | {"epochs": 10_000, "patience": 10_000, "batch_size": 6}
    command = [sys.executable, str(tmp_path / "parent.py"), str(tmp_path), json.dumps(settings), "killed"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not list((tmp_path / "store").glob("*/seed1.pt")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    workers = children(process.pid)
    assert len(workers) == 2
    process.kill()
    process.wait()
    until = time.monotonic() + 30
    left = workers
    while left and time.monotonic() < until:
        time.sleep(0.1)
        left = [one for one in workers if Path(f"/proc/{one}").exists() and "zombie" not in Path(f"/proc/{one}/status").read_text()]
    for one in left:
        os.kill(one, signal.SIGKILL)
    assert not left


def test_what_a_process_says_is_one_line(tmp_path):
    entry = {
        "architecture": "deepsea", "parameters": toy_models.DEEPSEA | {"widths": [6, 3, 40]}, "regime": "full", "initialisation": "random",
        "context": 0, "training": SETTINGS,
    }  # fmt: skip
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError) as error:
        job.fit(toy_models.material(tmp_path / "data"), entry, "toy", 1, tmp_path / "run", tmp_path / "store", threads=2, processes=2)
    said = str(error.value)
    assert said.startswith("models.toy: a process of 2 failed: ValueError: 60 bp are too short for DeepSEA") and "\n" not in said
    assert "Traceback" not in said and "extraInfo" not in said


@pytest.mark.parametrize("there", [1, 3])
def test_fewer_gpus_than_processes_are_refused(tmp_path, monkeypatch, there):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    with pytest.raises(InputError, match=f"gpu: 4 GPUs are asked for, but this job sees {there}; ask the scheduler"):
        together(toy_models.material(tmp_path / "data"), tmp_path / "run", processes=4)


def test_processes_that_leave_each_too_few_windows_to_normalise_are_refused(tmp_path):
    team = object.__new__(Team)
    team.rank, team.size, team.device = 0, 4, torch.device("cpu")
    net = models.family("basset").build(about("basset"), lambda: None)
    with pytest.raises(ValueError, match="an update of 4 windows .60 train., but it needs 8: raise training.batch_size"):
        Run(net, toy_models.data(tmp_path), SETTINGS | {"batch_size": 4}, 1, team)


def test_the_job_of_several_processes_has_a_state_of_its_own(tmp_path, monkeypatch):
    states = []

    def fit(*arguments, **more):
        states.append(arguments[-1])
        (tmp_path / "run/about.json").write_text("{}")
        return {"collapsed": False, "validation_ap": 0.5, "seconds": 1.0}

    monkeypatch.setattr(several, "fit", fit)
    monkeypatch.setattr(descent, "fit", fit)
    entry = {
        "architecture": "deepsea", "parameters": toy_models.DEEPSEA, "regime": "full", "initialisation": "random", "context": 0,
        "training": SETTINGS,
    }  # fmt: skip
    material = replace(toy_models.material(tmp_path / "data"), seed=1)
    (tmp_path / "run").mkdir()
    for processes in (1, 2, 3):
        job.fit(material, entry, "toy", 1, tmp_path / "run", tmp_path / "store", processes=processes)
    assert len({state.parent for state in states}) == 3
