"""What is looked at before a run."""

import os
import shutil
import stat
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from workflow_tools import step

from regdna import survey
from regdna.step import InputError
from regdna.store import write_json

QUOTA = """Disk quotas for user lab (uid 1000):
     Filesystem   blocks   quota   limit   grace   files   quota   limit   grace
    /dev/home  1000  2000*  3000       0     10       0       0       0
server:/data  500*   400    900   6days     10       0       0       0
     /dev/free    10      0      0       0     10       0       0       0
"""


def test_what_is_not_fetched_is_a_note_with_the_command():
    assert survey.files([], "demo").state == "ok"
    found = survey.files(["results/sources/a/b"], "mine")
    assert found.state == "note" and "1 files" in found.says and "of mine are" in found.says and "`snakemake sources vault`" in found.says


def test_room_is_what_the_disk_or_the_quota_leaves(tmp_path, monkeypatch):
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(survey, "quota_left", lambda folder: None)
    assert survey.room(tmp_path, free // 2).state == "ok" and "on the disk" in survey.room(tmp_path, 0).says
    assert survey.room(tmp_path, free * 2).state == "fails"
    monkeypatch.setattr(survey, "quota_left", lambda folder: 1000)
    found = survey.room(tmp_path, 2000)
    assert found.state == "fails" and "of your quota" in found.says


@pytest.mark.parametrize(("device", "left"), [("/dev/home", 1000), ("server:/data", 0), ("/dev/free", None), ("/dev/other", None)])
def test_a_quota_is_read_as_it_is_printed(device, left):
    found = survey.read_quota(QUOTA, [Path(device)])
    assert found == (None if left is None else left * 1024)


def test_without_quota_none_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert survey.quota_left(tmp_path) is None


def command(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_the_queue_is_asked_with_the_site_s_options(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    command(
        tmp_path,
        "sbatch",
        'case "$*" in *--test-only*--partition=p*) echo "sbatch: Job 5 to start now" >&2;; *) echo "no" >&2; exit 1;; esac',
    )
    assert survey.queue(["--partition=p"], "cpu", ["p"]) == survey.Finding("queue (cpu)", "ok", "Job 5 to start now")
    command(tmp_path, "sbatch", 'echo "sbatch: error: Batch job submission failed: no such node" >&2; exit 1')
    found = survey.queue(["--gpus=9"], "gpu", [])
    said = "sbatch --gpus=9: Batch job submission failed: no such node; mend profiles/slurm/site.yaml"
    assert (found.state, found.says) == ("fails", said)


@pytest.mark.parametrize(
    ("said", "closed"),
    [("down|idle", "partition p is down"), ("inact|idle", "partition p is inact"),
     ("up|drained*\nup|down", "all nodes of partition p are down or drained"), ("up|drained\nup|idle", ""), ("up|mixed", ""), ("", "")],
)  # fmt: skip
def test_a_partition_in_which_nothing_begins_is_not_the_site_files_fault(tmp_path, monkeypatch, said, closed):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    command(tmp_path, "sbatch", 'echo "sbatch: Job 5 to start in a year" >&2')
    command(tmp_path, "sinfo", f"""case "$*" in *--partition=p*) printf '{said}\n';; *) exit 1;; esac""")
    found = survey.queue(["--partition=p"], "cpu", ["p"])
    assert (found.state == "fails" and found.says.startswith(closed) and "site.yaml" not in found.says) if closed else found.state == "ok"
    assert survey.queue(["--partition=p"], "cpu", ["p", "other"]).state == "ok"


def test_a_queue_that_does_not_answer_is_said(tmp_path, monkeypatch):
    def late(*_, **__):
        raise survey.subprocess.TimeoutExpired("sbatch", 60)

    monkeypatch.setattr(survey.subprocess, "run", late)
    found = survey.queue([], "cpu", [])
    assert found.state == "fails" and "does not answer" in found.says


class Cuda(SimpleNamespace):
    """torch.cuda of a node with GPUs."""

    def get_device_properties(self, at):
        return SimpleNamespace(name="NVIDIA X", total_memory=80 * 2**30)


def torch(cuda="12.8", there=True, count=1, product=256.0**3):
    class Ones:
        def __matmul__(self, other):
            return SimpleNamespace(sum=lambda: product)

    return SimpleNamespace(
        __version__="2.13.0",
        version=SimpleNamespace(cuda=cuda, hip=None),
        cuda=Cuda(is_available=lambda: there, device_count=lambda: count, is_bf16_supported=lambda: True),
        ones=lambda *sizes, device: Ones(),
    )


@pytest.mark.parametrize(
    ("kind", "asked", "state", "says"),
    [({"cuda": None}, 0, "ok", "CPUs"), ({"cuda": None}, 1, "fails", "built for CPUs"), ({"there": False}, 1, "fails", "sees no GPU"),
     ({}, 2, "fails", "2 asked for, 1 seen"), ({"product": 1.0}, 1, "fails", "wrong"), ({}, 1, "ok", "NVIDIA X, 80 GiB, bf16")],
)  # fmt: skip
def test_torch_is_seen_to_compute_on_what_was_asked_for(monkeypatch, kind, asked, state, says):
    monkeypatch.setitem(sys.modules, "torch", torch(**kind))
    found = survey.torch_build(asked)[-1]
    assert found.state == state and says in found.says


def test_a_shared_disk_is_written_to_and_its_clock_compared(tmp_path, monkeypatch):
    assert survey.shared(tmp_path).state == "ok" and not list(tmp_path.iterdir())
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 300)
    assert "300 s apart" in survey.shared(tmp_path).says
    assert survey.shared(tmp_path / "gone").state == "fails"


def test_the_node_s_own_disk_is_looked_for_where_the_variable_points_here(tmp_path, monkeypatch):
    monkeypatch.setenv("NODE_DISK", str(tmp_path))
    assert survey.own_disk(None) == []
    assert survey.own_disk("$NODE_DISK")[0].state == "ok"
    assert survey.own_disk("$NODE_DISK/none")[0].state == "note"


def test_a_missing_tool_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert survey.tools().state == "fails"
    command(tmp_path, "bedtools", "true")
    assert survey.tools().state == "ok"


class TestSteps:
    def test_the_login_node_stops_where_no_job_could_run_and_a_node_writes_what_it_found(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PATH", str(tmp_path))
        main = step("survey").main
        main(tmp_path / "results/login.json", "demo", missing=["a"], needed=1)
        with pytest.raises(InputError, match="^preflight: disk: "):
            main(tmp_path / "results/login.json", "demo", needed=10**18)
        main(tmp_path / "results/cpu.json", "demo", place="cpu", login=tmp_path / "results/login.json")
        with pytest.raises(InputError, match="cpu: bedtools: not on PATH"):
            step("preflight").main([tmp_path / "results/login.json", tmp_path / "results/cpu.json"])
        assert os.listdir(tmp_path / "results") == []  # the next time all is looked at anew

    def test_what_was_found_is_printed_a_line_each(self, tmp_path, monkeypatch, capfd):
        write_json(tmp_path / "a.json", [{"what": "disk", "state": "ok", "says": "fine", "place": "login"}])
        monkeypatch.setattr(sys, "__stderr__", sys.stderr)
        step("preflight").main([tmp_path / "a.json"])
        assert capfd.readouterr().err == "ok    login  disk           fine\na run can begin\n"
