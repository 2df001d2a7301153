import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from regdna import store
from regdna.store import Lease, atomic, atomic_folder, describe, read_lease, whoami, write_json, write_text

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"


def child(code, *arguments):
    """A Python process that can talk back through its output and is told to go on through its input."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={"PYTHONPATH": str(SCRIPTS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


class TestAtomic:
    def test_the_file_appears_whole_with_its_folder(self, tmp_path):
        path = tmp_path / "deep/er/a.txt"
        with atomic(path) as temporary:
            assert temporary.parent == path.parent and temporary.suffix == ".txt" and temporary.name.startswith(".")
            temporary.write_text("all")
            assert not path.exists()
        assert path.read_text() == "all" and list(path.parent.iterdir()) == [path]

    @pytest.mark.parametrize("before", [None, "old"])
    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_an_error_leaves_what_was_there_and_nothing_else(self, tmp_path, before, error):
        path = tmp_path / "a.txt"
        if before:
            path.write_text(before)
        with pytest.raises(error), atomic(path) as temporary:
            temporary.write_text("half")
            raise error
        assert [one.read_text() for one in tmp_path.iterdir()] == ([before] if before else [])

    def test_a_reader_sees_old_or_new_never_a_part(self, tmp_path):
        path = tmp_path / "a.txt"
        versions = [str(i) * 200_000 for i in range(10)]
        write_text(path, versions[0])
        seen, stop = set(), threading.Event()

        def read():
            while not stop.is_set():
                seen.add(path.read_text())

        reader = threading.Thread(target=read)
        reader.start()
        for version in versions * 3:
            write_text(path, version)
        stop.set()
        reader.join()
        assert seen <= set(versions)

    def test_a_process_killed_while_writing_leaves_the_old_file(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text("old")
        code = (
            "import os, sys; from pathlib import Path; from regdna.store import atomic\n"
            "with atomic(Path(sys.argv[1])) as t: t.write_text('half'); os.kill(os.getpid(), 9)"
        )
        assert child(code, path).wait() == -signal.SIGKILL
        assert path.read_text() == "old"

    def test_forgetting_to_write_is_an_error(self, tmp_path):
        with pytest.raises(FileNotFoundError), atomic(tmp_path / "a.txt"):
            pass
        assert not list(tmp_path.iterdir())

    def test_json_is_sorted_and_ends_with_a_newline(self, tmp_path):
        write_json(tmp_path / "a.json", {"b": 1, "a": [1.5, None]})
        text = (tmp_path / "a.json").read_text()
        assert json.loads(text) == {"b": 1, "a": [1.5, None]}
        assert text.index('"a"') < text.index('"b"') and text.endswith("}\n")


class TestAtomicFolder:
    def test_a_folder_is_replaced_whole(self, tmp_path):
        path = tmp_path / "checkpoint"
        path.mkdir()
        (path / "old").write_text("old")
        with atomic_folder(path) as temporary:
            (temporary / "new").write_text("new")
            assert (path / "old").exists()
        assert [one.name for one in path.iterdir()] == ["new"]
        assert list(tmp_path.iterdir()) == [path]

    def test_an_error_leaves_what_was_there(self, tmp_path):
        path = tmp_path / "checkpoint"
        path.mkdir()
        (path / "old").write_text("old")
        with pytest.raises(ValueError), atomic_folder(path) as temporary:
            (temporary / "new").write_text("half")
            raise ValueError
        assert [one.name for one in path.iterdir()] == ["old"] and list(tmp_path.iterdir()) == [path]


def test_a_sweep_takes_what_dead_writers_left_and_nothing_else(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from regdna.store import atomic, atomic_folder\n"
        "with atomic(Path(sys.argv[1]) / 'a.txt') as one, atomic_folder(Path(sys.argv[1]) / 'deep/b') as two:\n"
        "    one.write_text('half'); (two / 'c').write_text('half'); os.kill(os.getpid(), 9)"
    )
    process = child(code, tmp_path)
    process.communicate()
    kept = [tmp_path / "whole.txt", tmp_path / ".hidden", tmp_path / ".a.txt.some-other-host.1.0123abcd.tmp.txt"]
    for path in kept:
        path.write_text("kept")
    with atomic(tmp_path / "living.txt") as temporary:
        temporary.write_text("now")
        assert store.sweep(tmp_path) == 2
        assert {path for path in tmp_path.rglob("*") if path.is_file()} == {*kept, temporary}
    assert store.sweep(tmp_path) == 0


HOLD = (
    "import sys; from pathlib import Path; from regdna.store import Lease\n"
    "with Lease(Path(sys.argv[1]), 5): print('held', flush=True); sys.stdin.readline()"
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state/lease"


@pytest.fixture
def holder(path):
    """A process that holds the lease until it is told to end."""
    process = child(HOLD, path)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def written(path, content, age=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (time.time() - age,) * 2)


def elsewhere():
    return {**whoami(), "host": "some-other-host"}


class TestLease:
    def test_it_names_its_holder_and_goes_away(self, path):
        with Lease(path):
            assert read_lease(path) == whoami()
        assert list(path.parent.iterdir()) == []

    def test_it_goes_away_after_an_error(self, path):
        with pytest.raises(ValueError), Lease(path):
            raise ValueError
        assert not path.exists()

    def test_a_second_process_is_refused_while_the_first_works(self, path, holder):
        with pytest.raises(TimeoutError, match=f"held by process {holder.pid}.*end that job"), Lease(path, 0):
            pass
        assert read_lease(path)["pid"] == holder.pid

    def test_a_second_process_waits_until_the_first_is_done(self, path, holder, capsys):
        threading.Timer(0.7, lambda: (holder.stdin.write("\n"), holder.stdin.flush())).start()
        begun = time.monotonic()
        with Lease(path, 10):
            assert time.monotonic() - begun > 0.6
            assert read_lease(path) == whoami()
        assert f"waiting for process {holder.pid}" in capsys.readouterr().out

    @pytest.mark.parametrize("reaped", [True, False])
    def test_a_killed_holder_is_succeeded_at_once(self, path, holder, reaped):
        holder.kill()
        if reaped:
            holder.wait()
        else:
            time.sleep(0.2)
        with Lease(path, 2):
            assert read_lease(path) == whoami()
        assert list(path.parent.iterdir()) == []

    def test_another_process_that_was_given_the_same_number_is_not_the_holder(self, path):
        written(path, json.dumps({**whoami(), "started": whoami()["started"] - 100}))
        with Lease(path, 0):
            assert read_lease(path) == whoami()

    def test_a_fresh_lease_of_another_host_is_respected(self, path):
        written(path, json.dumps(elsewhere()), store.STALE_SECONDS - 60)
        with pytest.raises(TimeoutError, match="some-other-host"), Lease(path, 0):
            pass
        assert read_lease(path) == elsewhere()

    def test_a_job_that_was_preempted_does_not_wait_for_itself(self, path, monkeypatch):
        monkeypatch.setenv("SLURM_JOB_ID", "12")
        written(path, json.dumps(elsewhere()))
        with Lease(path, 0):
            assert read_lease(path) == whoami()
        written(path, json.dumps(elsewhere() | {"job": "13"}))
        with pytest.raises(TimeoutError), Lease(path, 0):
            pass

    def test_a_stale_lease_of_another_host_is_taken(self, path):
        written(path, json.dumps(elsewhere()), store.STALE_SECONDS + 60)
        with Lease(path, 0):
            assert read_lease(path) == whoami()

    @pytest.mark.parametrize("content", ["", '{"host": "some'])
    def test_a_lease_that_was_never_filled_in_is_taken_after_a_while(self, path, content):
        written(path, content)
        with pytest.raises(TimeoutError, match="unknown process"), Lease(path, 0):
            pass
        written(path, content, store.UNWRITTEN_SECONDS + 5)
        with Lease(path, 0):
            assert read_lease(path) == whoami()
        assert list(path.parent.iterdir()) == []

    def test_the_heart_beats(self, path, monkeypatch):
        monkeypatch.setattr(store, "HEARTBEAT_SECONDS", 0.05)
        with Lease(path):
            os.utime(path, (0, 0))
            time.sleep(0.4)
            assert path.stat().st_mtime > time.time() - 5
        os.close(os.open(path, os.O_CREAT))
        os.utime(path, (0, 0))
        time.sleep(0.2)
        assert path.stat().st_mtime == 0

    def test_a_lease_can_be_held_again(self, path, monkeypatch):
        monkeypatch.setattr(store, "HEARTBEAT_SECONDS", 0.05)
        lease = Lease(path)
        for _ in range(2):
            with lease:
                os.utime(path, (0, 0))
                time.sleep(0.4)
                assert path.stat().st_mtime > 0

    def test_a_lease_that_somebody_took_over_is_left_to_them(self, path):
        with Lease(path):
            written(path, json.dumps(elsewhere()))
        assert read_lease(path) == elsewhere()

    def test_contenders_for_a_stale_lease_work_one_at_a_time(self, path, monkeypatch):
        monkeypatch.setattr(store.time, "sleep", lambda seconds, sleep=time.sleep: sleep(0.002))
        written(path, json.dumps({**whoami(), "started": 0}))
        inside, most = [], []

        def work():
            for _ in range(5):
                with Lease(path, 20):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert max(most) == 1 and len(most) == 30


def test_a_holder_in_words():
    assert describe(None) == "an unknown process"
    assert describe({"pid": 3, "host": "h", "job": None}) == "process 3 on h"
    assert describe({"pid": 3, "host": "h", "job": "77"}) == "process 3 on h, job 77"


def test_a_lease_knows_the_clusters_job(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    assert whoami()["job"] == "4711"
