"""Jobs on a Slurm cluster, through commands that answer as Slurm's do."""

import os
import stat
from pathlib import Path

import pytest

from regdna.slurm import jobs
from regdna.slurm.ask import rows, seconds


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Puts a command of Slurm on the PATH, a shell script, and nothing else of Slurm."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "cat", "rm", "touch", "sleep"):
        (folder / name).symlink_to(next(path for path in (Path("/bin") / name, Path("/usr/bin") / name) if path.exists()))
    monkeypatch.setenv("PATH", str(folder))

    def put(name, script):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return put


def test_without_slurm_there_are_no_jobs(slurm, tmp_path):
    assert rows(["squeue"]) is None
    assert jobs.of_folder(tmp_path) == [] and jobs.used(["1"]) == {} and jobs.is_there("1") is None


def test_a_command_that_fails_is_no_answer(slurm):
    slurm("squeue", "echo '1|x|y'; exit 1")
    assert rows(["squeue"]) is None


def test_only_jobs_that_snakemake_sent_from_this_folder_are_its_own(slurm, tmp_path):
    slurm(
        "squeue",
        f"""[ "$2" = --user={os.getuid()} ] || exit 1
        echo '11|{tmp_path}|rule_train_model_wildcards_a'; echo '12|{tmp_path}/|group_judgement'
        echo '13|{tmp_path}/other|rule_train_model'; echo '14|{tmp_path}|my own job'; echo '15|{tmp_path}|(null)'""",
    )
    assert jobs.of_folder(tmp_path) == ["11", "12"]


def test_a_queue_that_does_not_answer_is_not_an_empty_one(slurm, tmp_path, monkeypatch):
    slurm("squeue", "exit 1")
    slurm("scancel", "true")
    monkeypatch.setattr(jobs, "LEAVE_SECONDS", 1)
    assert jobs.of_folder(tmp_path) is None and not jobs.end(["11"], tmp_path)


def test_only_some_states_are_asked_for(slurm, tmp_path):
    slurm("squeue", f"""case "$*" in *--states=PENDING,RUNNING,SUSPENDED*) ;; *) echo '11|{tmp_path}|rule_x';; esac""")
    assert jobs.of_folder(tmp_path) == ["11"] and jobs.of_folder(tmp_path, jobs.WAITING) == []


def test_ended_jobs_are_waited_for(slurm, tmp_path, monkeypatch):
    (tmp_path / "there").touch()
    slurm("squeue", f"[ -e {tmp_path}/there ] && echo '11|{tmp_path}|rule_x'; rm -f {tmp_path}/leaving && true")
    slurm("scancel", f"[ $1 = 11 ] && rm {tmp_path}/there")
    assert jobs.end(["11"], tmp_path)
    (tmp_path / "there").touch()
    slurm("scancel", "true")
    monkeypatch.setattr(jobs, "LEAVE_SECONDS", 1)
    assert not jobs.end(["11"], tmp_path)


def test_whether_a_job_is_there_is_known_only_if_slurm_answers(slurm):
    slurm("squeue", "echo 7; echo 77")
    assert jobs.is_there("7") and not jobs.is_there("70")


def test_what_jobs_used_is_read_from_the_accounts(slurm):
    slurm("sacct", """case "$*" in *--jobs=7,8,9*) ;; *) exit 1;; esac
cat <<'END'
7|2026-11-20T10:00:00|2026-11-20T10:02:00|100|400|00:03:20|8000M||4
7.batch|2026-11-20T10:02:00|2026-11-20T10:02:00|100|400|00:00:10||500M|4
7.0|2026-11-20T10:02:00|2026-11-20T10:02:00|100|400|00:03:10||4000M|4
8|2026-11-20T10:00:00|2026-11-20T11:00:00|3600|3600|1-00:00:00|2Gc||2
8|2026-11-21T10:00:00|2026-11-21T10:00:30|10|20|00:05.500|2Gc||2
8.0|2026-11-21T10:00:00|2026-11-21T10:00:30|10|20|00:05.500||1G|2
9|2026-11-21T10:00:00|Unknown|0|0|00:00:00|4G||1
END""")  # fmt: skip
    found = jobs.used(["9", "7", "8", "7"])
    assert found["7"] == {"queue_seconds": 120.0, "slurm_seconds": 100, "cpu_share": 0.5, "memory_share": 0.5}
    assert found["8"] == {"queue_seconds": 30.0, "slurm_seconds": 10, "cpu_share": 0.275, "memory_share": 0.25}
    assert found["9"] == {"queue_seconds": None, "slurm_seconds": 0, "cpu_share": None, "memory_share": None}
    assert set(found["7"]) == set(jobs.USED)


def test_without_jobs_nothing_is_asked(slurm):
    slurm("sacct", "echo asked >&2; exit 1")
    assert jobs.used([]) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1-02:03:04", 93784), ("02:03:04", 7384), ("30:00", 1800), ("00:01.500", 1.5), ("45", 45), ("infinite", None), ("", None),
     ("n/a", None), ("2-", None)],
)  # fmt: skip
def test_times_are_read_as_slurm_prints_them(text, expected):
    assert seconds(text) == expected
