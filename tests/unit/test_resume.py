"""Going on after a kill: a run that may be going on elsewhere is left alone."""

import pytest
from workflow_tools import step

from regdna.store import whoami, write_json

HERE = {**whoami(), "submits": True}
OTHER = {**HERE, "host": "another-login-node", "job": None, "arguments": ["all"]}


@pytest.fixture
def resume(tmp_path, monkeypatch):
    """The script in a folder whose lock is held, and what it would do recorded instead of done."""
    module = step("resume")
    monkeypatch.chdir(tmp_path)
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").touch()
    module.done = []
    monkeypatch.setattr(module, "processes", lambda here: ([], []))
    monkeypatch.setattr(module.cluster, "of_folder", lambda folder: ["5", "6"])
    monkeypatch.setattr(module.cluster, "end", lambda jobs, folder: module.done.append(jobs) or module.gone)
    monkeypatch.setattr(
        module.subprocess, "run", lambda command, **_: module.done.append(command[3:]) or module.subprocess.CompletedProcess([], 0)
    )
    # It becomes Snakemake at the end.
    monkeypatch.setattr(module.os, "execv", lambda program, command: module.done.append(command[3:]))
    (tmp_path / "Snakefile").touch()
    module.gone = True
    return module


def last(folder, run):
    write_json(folder / "results/store/last-run.json", run)


def test_a_run_of_another_login_node_is_not_ended(resume, tmp_path, capsys):
    last(tmp_path, OTHER)
    assert resume.main([]) == 1 and not resume.done
    assert "started on another-login-node" in capsys.readouterr().err


@pytest.mark.parametrize(("there", "code"), [(True, 1), (None, 1), (False, 0)])
def test_a_master_that_was_a_job_is_known_to_have_ended_if_slurm_says_so(resume, tmp_path, monkeypatch, there, code):
    last(tmp_path, OTHER | {"job": "99"})
    monkeypatch.setattr(resume.cluster, "is_there", lambda job: there if job == "99" else pytest.fail(job))
    assert (resume.main([]) or 0) == code and bool(resume.done) == (code == 0)


def test_a_folder_that_nobody_locks_is_free(resume, tmp_path):
    last(tmp_path, OTHER)
    (tmp_path / ".snakemake/locks/0.input.lock").unlink()
    assert not resume.main([])


def test_jobs_on_the_cluster_are_ended_before_the_run_goes_on_as_it_was_started(resume, tmp_path):
    last(tmp_path, {**HERE, "arguments": ["--profile", "slurm", "all"]})
    assert not resume.main([])
    assert resume.done == [["5", "6"], ["--unlock", "--profile", "slurm", "all"], ["--profile", "slurm", "all"]]


def test_jobs_that_do_not_end_keep_it_from_going_on(resume, tmp_path, capsys):
    last(tmp_path, {**HERE, "arguments": ["all"]})
    resume.gone = False
    assert resume.main([]) == 1 and resume.done == [["5", "6"]] and "jobs 5, 6 do not end" in capsys.readouterr().err


def test_a_slurm_that_does_not_answer_keeps_it_from_going_on(resume, tmp_path, monkeypatch, capsys):
    last(tmp_path, {**HERE, "arguments": ["all"]})
    monkeypatch.setattr(resume.cluster, "of_folder", lambda folder: None)
    assert resume.main([]) == 1 and not resume.done and "Slurm does not say" in capsys.readouterr().err
    last(tmp_path, {**HERE, "submits": False, "arguments": ["all"]})  # a run that sent no jobs, on a machine with Slurm's commands alone
    assert not resume.main([]) and resume.done[-1] == ["all"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": "x"}', "3"])
def test_a_broken_record_of_the_last_run_is_one_line(resume, tmp_path, content, capsys):
    (tmp_path / "results/store").mkdir(parents=True)
    (tmp_path / "results/store/last-run.json").write_text(content)
    assert resume.main([]) == 1 and not resume.done
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "last-run.json" in said and "make resume TARGETS=" in said


def test_without_a_last_run_it_is_told_what_to_run(resume, capsys):
    assert resume.main([]) == 1 and not resume.done and "no run is known here" in capsys.readouterr().err
    assert not resume.main(["--profile", "slurm"]) and resume.done[-1] == ["--profile", "slurm"]


def test_another_folder_is_refused(resume, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path / ".snakemake")
    assert resume.main([]) == 1 and "is not the root of the repository" in capsys.readouterr().err
