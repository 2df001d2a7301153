import json
from datetime import UTC, datetime, timedelta

import pytest

from regdna import attempts


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state/attempts"


def test_the_first_attempt_has_none_before_it(path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    assert attempts.all(path) == []
    assert attempts.begin(path) == []
    [only] = attempts.all(path)
    assert abs(datetime.fromisoformat(only["started"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert only["host"] and only["job"] == "12"
    assert [only[name] for name in ("seconds", "epoch", "step", "outcome")] == [None] * 4


def test_an_attempt_that_said_no_end_was_killed_where_it_was_last_noted(path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    attempts.begin(path)
    attempts.note(path, seconds=10.00049, epoch=1, step=0)
    attempts.note(path, seconds=25, epoch=2, step=7)
    [earlier] = attempts.begin(path)
    assert (earlier["seconds"], earlier["epoch"], earlier["step"], earlier["job"]) == (25, 2, 7, None)
    attempts.finish(path, "collapsed")
    attempts.begin(path)
    attempts.note(path, seconds=30.12345, epoch=3, step=0)
    attempts.finish(path, "finished")
    told = attempts.all(path)
    assert [one["outcome"] for one in told] == ["killed", "collapsed", "finished"]
    assert [(one["seconds"], one["epoch"], one["step"]) for one in told] == [(25, 2, 7), (None, None, None), (30.123, 3, 0)]


@pytest.mark.parametrize("left", ['{"seconds": 9, "epo', '{"sta', "{", '{"outcome": "finished"'])
def test_a_line_that_a_kill_left_half_written_is_passed_over(path, left):
    attempts.begin(path)
    attempts.note(path, seconds=5, epoch=1, step=2)
    with open(path, "a") as handle:
        handle.write(left)
    assert [one["seconds"] for one in attempts.all(path)] == [5]
    assert len(attempts.begin(path)) == 1
    attempts.note(path, 6, 1, 3)
    assert [(one["seconds"], one["outcome"]) for one in attempts.all(path)] == [(5, "killed"), (6, None)]


def test_what_is_written_is_on_disk_before_the_call_returns(path, monkeypatch):
    synced = []
    monkeypatch.setattr(attempts.os, "fsync", lambda number: synced.append(path.read_bytes()))
    attempts.begin(path)
    attempts.note(path, seconds=1, epoch=1, step=0)
    assert [len(one.splitlines()) for one in synced] == [1, 2]
    assert json.loads(synced[1].splitlines()[1]) == {"seconds": 1, "epoch": 1, "step": 0}
