import errno
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import toy_models
from safetensors.torch import load_file
from torch import nn

from regdna import attempts, store
from regdna.step import InputError
from regdna.train import descent, job, state
from regdna.train.descent import Run

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join(str(ROOT / name) for name in ("workflow_scripts", "tests"))
PARAMETERS = {
    "basset": toy_models.BASSET,
    "nucleotide-transformer": toy_models.NT,
    "dnabert2": toy_models.DNABERT2,
}
OTHER = {"schedule": "linear", "layer_decay": 0.7, "balance": True, "shift": 5}
NEVER, ALWAYS = 1e9, -1.0  # seconds between two saved states


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def data(tmp_path):
    return toy_models.data(tmp_path / "data")


def trained(data, folder, settings=None, architecture="basset", path=None, save_seconds=NEVER, start=None, diary=None, **more):
    """Ledger entries and weights after training to a folder."""
    folder.mkdir()
    about = toy_models.about(architecture, PARAMETERS[architecture], data.sequences.length, len(data.targets.names), **more)
    settings = {**toy_models.SETTINGS, **(settings or {})}
    cost = descent.fit(about, data, folder, settings, path or folder / "state.pt", start, save_seconds=save_seconds, diary=diary)
    return cost, load_file(folder / "model.safetensors")


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def kill_after(patch, updates, signal_number=0):
    """Have training end, as if killed, in the update after so many; or send itself a signal in that one."""
    taken, real = [], Run.update

    def update(run, batch, epoch):
        taken.append(1)
        if len(taken) > updates:
            if not signal_number:
                raise Killed
            signal.raise_signal(signal_number)
        return real(run, batch, epoch)

    patch.setattr(Run, "update", update)


class TestResume:
    # 60 training rows in batches of 16 are four updates an epoch
    @pytest.mark.parametrize(
        ("updates", "save_seconds", "saved"),
        [
            (2, NEVER, None),
            (4, NEVER, (2, 0)),
            (7, NEVER, (2, 0)),
            (12, NEVER, (4, 0)),
            (1, ALWAYS, (1, 1)),
            (6, ALWAYS, (2, 2)),
            (8, ALWAYS, (3, 0)),
            (15, ALWAYS, (4, 3)),
        ],
    )
    @pytest.mark.parametrize("settings", [{}, OTHER], ids=["usual", "other"])
    def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(self, data, tmp_path, settings, updates, save_seconds, saved):
        undisturbed, whole = trained(data, tmp_path / "whole", settings)
        path = tmp_path / "state.pt"
        with pytest.MonkeyPatch.context() as patch:
            kill_after(patch, updates)
            with pytest.raises(Killed):
                trained(data, tmp_path / "killed", settings, path=path, save_seconds=save_seconds)
        assert not list((tmp_path / "killed").iterdir()) and path.is_file() == (saved is not None)
        torch.manual_seed(99)
        cost, resumed = trained(data, tmp_path / "resumed", settings, path=path)
        assert same(whole, resumed)
        assert cost["resumed_from"] == (saved and {"epoch": saved[0], "step": saved[1]})
        assert (cost["earlier_seconds"] > 0) == (saved is not None) and cost["seconds"] > cost["earlier_seconds"]
        one, two = (Path(tmp_path / name / "about.json").read_text() for name in ("whole", "resumed"))
        assert one == two
        for name in ("epochs", "steps", "sequences", "validation_ap", "collapsed", "flops"):
            assert cost[name] == undisturbed[name]

    def test_several_kills_in_one_epoch_change_nothing_either(self, data, tmp_path):
        whole = trained(data, tmp_path / "whole")[1]
        path = tmp_path / "state.pt"
        for attempt, updates in enumerate((1, 1, 3, 2)):
            with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
                kill_after(patch, updates)
                trained(data, tmp_path / f"killed{attempt}", path=path, save_seconds=ALWAYS)
        cost, resumed = trained(data, tmp_path / "resumed", path=path)
        assert same(whole, resumed) and cost["resumed_from"] == {"epoch": 2, "step": 3}

    @pytest.mark.parametrize("architecture", ["nucleotide-transformer", "dnabert2"])
    def test_a_transformer_resumes_bit_for_bit_and_counts_every_token(self, data, tmp_path, architecture):
        settings, path = {"epochs": 3, "micro_batch": 6}, tmp_path / "state.pt"
        undisturbed, whole = trained(data, tmp_path / "whole", settings, architecture)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            kill_after(patch, 6)
            trained(data, tmp_path / "killed", settings, architecture, path, ALWAYS)
        cost, resumed = trained(data, tmp_path / "resumed", settings, architecture, path)
        assert same(whole, resumed) and cost["resumed_from"] == {"epoch": 2, "step": 2}
        assert cost["tokens"] == undisturbed["tokens"] > 60 * 3 * 5

    @pytest.mark.parametrize("regime", ["lora", "ia3"])
    def test_of_adapters_only_what_is_trained_is_saved_and_they_resume_bit_for_bit(self, data, tmp_path, regime):
        start = toy_models.published(tmp_path / "hub", "nt-v2")
        given = {"pooling": "mean", "rank": 1, "alpha": 2, "adapter_dropout": 0.1}
        more = {"start": start, "regime": regime, "initialisation": "published", "weights": "hub", "parameters": given}
        architecture, path = "nucleotide-transformer", tmp_path / "state.pt"
        undisturbed, whole = _trained(data, tmp_path / "whole", architecture, **more)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            kill_after(patch, 6)
            _trained(data, tmp_path / "killed", architecture, path, ALWAYS, **more)
        saved = torch.load(path, weights_only=True)
        own = {name: one for name, one in saved["network"].items() if re.search(r"lora_|ia3_|^head\.", name)}
        assert sum(one.numel() for one in own.values()) == undisturbed["trained_parameters"] < 0.01 * undisturbed["parameters"]
        assert all(re.search("inv_freq|position_ids", name) for name in saved["network"].keys() - own.keys())  # buffers
        assert path.stat().st_size < undisturbed["parameters"]  # bytes; weights alone would be four times as many
        cost, resumed = _trained(data, tmp_path / "resumed", architecture, path, **more)
        assert same(whole, resumed) and cost["resumed_from"] == {"epoch": 2, "step": 2}

    def test_a_finished_state_is_only_saved_again(self, data, tmp_path):
        first, whole = trained(data, tmp_path / "whole", path=tmp_path / "state.pt")
        with pytest.MonkeyPatch.context() as patch:
            kill_after(patch, 0)
            cost, again = trained(data, tmp_path / "again", path=tmp_path / "state.pt")
        assert same(whole, again)
        for name in ("seconds", "validation_ap", "collapsed", "epochs", "micro_batch"):
            assert cost[name] == first[name]

    def test_the_micro_batch_that_memory_took_is_remembered(self, data, tmp_path):
        real = Run._accumulate

        def short(run, batch):
            if run.micro_batch > 4:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return real(run, batch)

        path, settings = tmp_path / "state.pt", {"epochs": 1}
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Run, "_accumulate", short)
            kill_after(patch, 2)
            trained(data, tmp_path / "killed", settings, "nucleotide-transformer", path, ALWAYS)
        assert trained(data, tmp_path / "resumed", settings, "nucleotide-transformer", path)[0]["micro_batch"] == 4

    def test_the_diary_says_how_far_each_save_came(self, data, tmp_path):
        diary = tmp_path / "attempts.jsonl"
        attempts.begin(diary)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            kill_after(patch, 6)
            trained(data, tmp_path / "killed", save_seconds=ALWAYS, diary=diary)
        [attempt] = attempts.all(diary)
        assert (attempt["epoch"], attempt["step"]) == (2, 2) and attempt["seconds"] > 0

    def test_states_are_saved_as_often_as_asked(self, data, tmp_path, monkeypatch):
        saves, now, real = [], [0.0], state.save

        def save(path, content):
            saves.append((content["now"]["epoch"], content["now"]["step"]))
            real(path, content)

        monkeypatch.setattr(state, "save", save)
        monkeypatch.setattr(descent.time, "monotonic", lambda: now[0])
        update = Run.update

        def minute_long(run, batch, epoch):
            now[0] += 60
            return update(run, batch, epoch)

        monkeypatch.setattr(Run, "update", minute_long)
        trained(data, tmp_path / "run", {"epochs": 2}, save_seconds=100)
        assert saves == [(1, 2), (1, 4), (2, 0), (2, 2), (2, 4), (3, 0)]

    @pytest.mark.parametrize("in_the_middle", [False, True])
    def test_a_kill_while_a_state_is_saved_leaves_the_one_before(self, data, tmp_path, in_the_middle):
        whole = trained(data, tmp_path / "whole")[1]
        path, saves, real = tmp_path / "state.pt", [], torch.save

        def dying(content, file):
            saves.append(1)
            if len(saves) < 6:
                return real(content, file)
            real(content, file)
            if in_the_middle:
                os.truncate(file, Path(file).stat().st_size // 2)
            raise Killed

        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            patch.setattr(torch, "save", dying)
            trained(data, tmp_path / "killed", path=path, save_seconds=ALWAYS)
        cost, resumed = trained(data, tmp_path / "resumed", path=path)
        assert same(whole, resumed) and cost["resumed_from"] == {"epoch": 2, "step": 0}  # four updates and the end of an epoch


def _trained(data, folder, architecture, path=None, save_seconds=NEVER, start=None, **more):
    folder.mkdir()
    about = toy_models.about(architecture, {}, data.sequences.length, len(data.targets.names)) | more
    cost = descent.fit(about, data, folder, toy_models.SETTINGS | {"epochs": 3}, path or folder / "s.pt", start, save_seconds=save_seconds)
    return cost, load_file(folder / "model.safetensors")


class TestSignals:
    @pytest.mark.parametrize("number", state.SIGNALS)
    def test_a_signal_saves_the_update_that_was_at_work_and_ends_with_its_code(self, data, tmp_path, number):
        whole = trained(data, tmp_path / "whole")[1]
        path, before = tmp_path / "state.pt", [signal.getsignal(one) for one in state.SIGNALS]
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
            kill_after(patch, 5, number)
            trained(data, tmp_path / "ended", path=path)
        assert ended.value.code == 128 + number and not list((tmp_path / "ended").iterdir())
        assert [signal.getsignal(one) for one in state.SIGNALS] == before
        cost, resumed = trained(data, tmp_path / "resumed", path=path)
        assert same(whole, resumed) and cost["resumed_from"] == {"epoch": 2, "step": 2}

    def test_a_signal_that_comes_in_the_last_update_loses_nothing(self, data, tmp_path):
        whole = trained(data, tmp_path / "whole")[1]
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
            kill_after(patch, 15, signal.SIGTERM)
            trained(data, tmp_path / "ended", path=tmp_path / "state.pt")
        cost, resumed = trained(data, tmp_path / "resumed", path=tmp_path / "state.pt")
        assert same(whole, resumed) and cost["resumed_from"] == {"epoch": 4, "step": 4}

    def test_the_diary_of_a_job_says_that_a_signal_ended_it(self, tmp_path):
        entry = {
            "architecture": "basset", "parameters": toy_models.BASSET, "regime": "full", "initialisation": "random", "context": 0,
            "training": toy_models.SETTINGS,
        }  # fmt: skip
        material = toy_models.material(tmp_path / "data")
        (tmp_path / "run").mkdir()
        arguments = (material, entry, "toy", 1, tmp_path / "run", tmp_path / "store")
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
            kill_after(patch, 5, signal.SIGUSR1)
            job.fit(*arguments)
        log = job.fit(*arguments)["attempt_log"]
        assert [one["outcome"] for one in log] == ["stopped by a signal", "finished"]
        assert (log[0]["epoch"], log[0]["step"]) == (2, 2)

    @pytest.mark.parametrize("number", state.SIGNALS)
    def test_a_real_job_that_gets_one_ends_in_time_and_goes_on_where_it_was(self, tmp_path, number):
        files = toy_models.material(tmp_path / "data")
        settings = toy_models.SETTINGS | {"epochs": 12, "batch_size": 4, "patience": 12}
        entry = {
            "architecture": "basset", "parameters": toy_models.BASSET, "regime": "full", "initialisation": "random", "context": 0,
            "training": settings,
        }  # fmt: skip
        given = {
            "windows": files.windows, "splits": files.splits, "targets": files.targets, "table": files.table, "known": files.known,
            "sequences": files.sequences, "entry": entry, "labels": "multilabel", "model": "toy", "seed": 1, "store": tmp_path / "store",
            "checkpoint": tmp_path / "out/checkpoint", "compute": tmp_path / "out/compute.json", "save-minutes": 1e-9,
        }  # fmt: skip
        options = [text for name, value in given.items() for text in (f"--{name}", str(value))]
        command = [sys.executable, ROOT / "workflow_scripts/train.py", *options]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": PATHS})
        until = time.monotonic() + 120
        while not list((tmp_path / "store").glob("*/seed1.pt")) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        begun = time.monotonic()
        process.send_signal(number)
        said = process.communicate(timeout=120)[1]
        assert time.monotonic() - begun < 10 and process.returncode == 128 + number, said
        assert f"ended by signal {int(number)}; saved after" in said and "Traceback" not in said
        assert not (tmp_path / "out/checkpoint").exists() and not list((tmp_path / "store").glob("*/lease"))

        arguments = (replace(files, seed=1), entry, "toy", 1)
        (tmp_path / "resumed").mkdir()
        (tmp_path / "whole").mkdir()
        cost = job.fit(*arguments, tmp_path / "resumed", tmp_path / "store")
        epoch, step = cost["resumed_from"]["epoch"], cost["resumed_from"]["step"]
        assert f"saved after {step} updates of epoch {epoch}" in said and epoch < 12
        job.fit(*arguments, tmp_path / "whole", tmp_path / "another store")
        assert same(*(load_file(tmp_path / name / "model.safetensors") for name in ("whole", "resumed")))


KILLS = """
import os, random, signal, sys, time
from pathlib import Path
import sklearn.metrics, torch._inductor  # what training imports on its way: once here, not in every process
import toy_models
from regdna import models
from regdna.train import descent

models.family("basset"), models.module("basset")
folder, seed, kills = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
data = toy_models.data(folder / "data")
about = toy_models.about("basset", toy_models.BASSET, 60, 3)
settings = toy_models.SETTINGS | {"epochs": 10, "batch_size": 4, "patience": 10}

def start(out, state, save_seconds):
    child = os.fork()  # a process of its own, without the seconds that importing takes
    if child == 0:
        try:
            out.mkdir()
            cost = descent.fit(about, data, out, settings, state, save_seconds=save_seconds)
            (out / "resumed").write_text(str(cost["resumed_from"]))
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
    return child

begun = time.monotonic()
assert os.waitpid(start(folder / "whole", folder / "whole.pt", 1e9), 0)[1] == 0
longest = time.monotonic() - begun
draw = random.Random(seed)
for attempt in range(kills):
    child = start(folder / f"killed{attempt}", folder / "state.pt", 0.005)
    time.sleep(draw.uniform(0.1, 0.6) * longest)
    os.kill(child, signal.SIGKILL)
    code = os.waitpid(child, 0)[1]
    print("killed" if os.WIFSIGNALED(code) else f"ended {code}", flush=True)
assert os.waitpid(start(folder / "end", folder / "state.pt", 0.005), 0)[1] == 0
"""


def test_a_process_killed_at_ten_random_moments_ends_with_the_weights_of_an_undisturbed_one(tmp_path):
    seed = random.SystemRandom().randrange(10**6)
    command = [sys.executable, "-c", KILLS, str(tmp_path), str(seed), "10"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": PATHS}, timeout=120)
    assert done.returncode == 0, (seed, done.stdout, done.stderr)
    ways = done.stdout.split("\n")[:10]
    assert set(ways) <= {"killed", "ended 0"} and ways.count("killed") >= 2, (seed, ways)
    whole, end = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "end"))
    assert same(whole, end), seed
    assert (tmp_path / "end/resumed").read_text() != "None", seed
    assert (tmp_path / "end/about.json").read_text() == (tmp_path / "whole/about.json").read_text(), seed


class TestSaving:
    def content(self, value=1.0, size=1000):
        return {"network": {"a": torch.full((size,), value)}, "now": {"epoch": 1}}

    @pytest.mark.parametrize(
        ("raised", "reason"),
        [
            (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device"),
            (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), os.strerror(errno.EDQUOT)),
            (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 640 vs 534"), "no space, or a quota reached"),
        ],
        ids=["space", "quota", "torch"],
    )
    def test_a_full_disk_is_one_line_and_what_was_saved_last_is_whole(self, tmp_path, monkeypatch, raised, reason):
        path, real = tmp_path / "state/seed1.pt", torch.save
        state.save(path, self.content())

        def full(content, file):
            real(content, file)
            os.truncate(file, 100)
            raise raised

        monkeypatch.setattr(torch, "save", full)
        with pytest.raises(InputError) as error:
            state.save(path, self.content(2.0))
        expected = f"the training state could not be saved ({reason}); free some space and run again: what was saved last is whole"
        assert str(error.value) == f"{path}: {expected}"
        assert [one.name for one in path.parent.iterdir()] == ["seed1.pt"]
        assert state.load(path, torch.device("cpu"))["network"]["a"][0] == 1

    def test_a_training_whose_disk_is_full_goes_on_where_it_last_saved(self, data, tmp_path):
        whole = trained(data, tmp_path / "whole")[1]
        path, saves, real = tmp_path / "state.pt", [], torch.save

        def full(content, file):
            saves.append(1)
            if len(saves) > 5:
                raise RuntimeError("unexpected pos 640 vs 534")
            real(content, file)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(InputError, match="could not be saved"):
            patch.setattr(torch, "save", full)
            trained(data, tmp_path / "full", path=path, save_seconds=ALWAYS)
        cost, resumed = trained(data, tmp_path / "resumed", path=path)
        assert same(whole, resumed) and cost["resumed_from"] == {"epoch": 2, "step": 0}

    def test_a_file_that_really_cannot_grow_is_the_same_line(self, tmp_path):
        body = """
import resource, signal, sys
from pathlib import Path
import torch
from regdna.step import InputError
from regdna.train import state
path = Path(sys.argv[1])
state.save(path, {"a": torch.zeros(1000)})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    state.save(path, {"a": torch.ones(1_000_000)})
except InputError as error:
    print(error)
print(state.load(path, torch.device("cpu"))["a"].sum().item(), [one.name for one in path.parent.iterdir()])
"""
        command = [sys.executable, "-c", body, str(tmp_path / "state/one.pt")]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": PATHS})
        lines = done.stdout.splitlines()
        assert len(lines) == 2 and "one.pt: the training state could not be saved (" in lines[0], (done.stdout, done.stderr)
        assert lines[1] == "0.0 ['one.pt']"

    @pytest.mark.parametrize("harm", ["cut", "empty", "text", "turned", "another pickle"])
    def test_a_damaged_state_is_named_with_what_to_do(self, data, tmp_path, harm):
        path = tmp_path / "state.pt"
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            kill_after(patch, 5)
            trained(data, tmp_path / "killed", path=path)
        whole = path.read_bytes()
        if harm == "another pickle":
            torch.save({"now": Path("a/path")}, path)
        else:
            path.write_bytes({"cut": whole[:-2000], "empty": b"", "text": b"no state\n", "turned": whole[::-1]}[harm])
        with pytest.raises(InputError, match=r"state.pt: a damaged training state \(\w+\); remove it to begin anew"):
            trained(data, tmp_path / "resumed", path=path)

    def test_nothing_is_executed_that_a_state_says(self, tmp_path):
        class Harm:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "harm"),)

        torch.save({"now": Harm()}, tmp_path / "state.pt")
        with pytest.raises(InputError, match="a damaged training state"):
            state.load(tmp_path / "state.pt", torch.device("cpu"))
        assert not (tmp_path / "harm").exists()

    def test_what_is_kept_is_what_is_trained_and_buffers(self):
        net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
        net[0].requires_grad_(False)
        found = state.kept(net)
        assert set(found) == {"1.weight", "1.bias", "2.weight", "2.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"}
        before = {name: one.clone() for name, one in found.items()}
        with torch.no_grad():
            for one in found.values():
                one += 1
        assert not same(before, state.kept(net))
        state.put(net, before)
        assert same(before, state.kept(net))
        with pytest.raises(KeyError, match="2.bias: in one of network and state only"):
            state.put(net, {name: one for name, one in before.items() if name != "2.bias"})


def test_a_job_that_dies_with_its_disk_full_leaves_no_lease(tmp_path, monkeypatch):
    entry = {
        "architecture": "basset", "parameters": toy_models.BASSET, "regime": "full", "initialisation": "random", "context": 0,
        "training": toy_models.SETTINGS,
    }  # fmt: skip
    material = toy_models.material(tmp_path / "data")
    (tmp_path / "run").mkdir()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match=r"seed1.pt: the training state could not be saved \(No space left on device\)"):
        job.fit(material, entry, "toy", 1, tmp_path / "run", tmp_path / "store")
    assert not list((tmp_path / "store").glob("*/lease"))
    assert store.sweep(tmp_path / "store") == 0 and not list((tmp_path / "store").rglob("*.pt"))
