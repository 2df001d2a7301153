"""Large files on the node's own disk."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from regdna import staging
from regdna.arrays import read_array
from regdna.staging import Scratch, near


@pytest.fixture
def large(tmp_path, monkeypatch):
    """An array on the shared disk that counts as large."""
    monkeypatch.setattr(staging, "LARGE_BYTES", 1000)
    (tmp_path / "node").mkdir()
    path = tmp_path / "shared/codes.npy"
    path.parent.mkdir()
    np.save(path, np.arange(5000))
    return path


def test_without_a_disk_a_file_is_read_where_it_is(large):
    with Scratch(None):
        assert near(large) == large


def test_a_large_file_is_copied_once_and_the_folder_goes_with_the_job(large, tmp_path, monkeypatch):
    monkeypatch.setenv("NODE_DISK", str(tmp_path / "node"))
    with Scratch("$NODE_DISK") as scratch:
        array = read_array(large, "r")
        assert (array == np.arange(5000)).all() and Path(array.filename).parent == scratch.folder
        copy = near(large)
        stamp = copy.stat().st_mtime_ns
        assert copy.is_relative_to(tmp_path / f"node/regdna-{os.getuid()}") and near(large) == copy and copy.stat().st_mtime_ns == stamp
        assert [path.name for path in scratch.folder.iterdir()] == [copy.name]  # no lease, nothing temporary
        assert not isinstance(read_array(large), np.memmap)
    assert not scratch.folder.exists() and near(large) == large


def test_a_file_that_changed_is_copied_again(large, tmp_path):
    with Scratch(str(tmp_path / "node")):
        first = near(large)
        np.save(large, np.arange(6000))
        assert near(large) != first and len(read_array(large, "r")) == 6000


def test_small_files_stay(tmp_path):
    np.save(tmp_path / "small.npy", np.zeros(10))
    with Scratch(str(tmp_path / "node")):
        assert near(tmp_path / "small.npy") == tmp_path / "small.npy"


def test_processes_of_the_job_share_its_folder(large, tmp_path):
    with Scratch(str(tmp_path / "node")) as scratch:
        code = f"from pathlib import Path; from regdna import staging; staging.LARGE_BYTES = 1; print(staging.near(Path({str(large)!r})))"
        library = str(Path(staging.__file__).parents[1])
        child = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": library}
        )
        assert Path(child.stdout.strip()) == near(large) and near(large).parent == scratch.folder


def test_without_room_the_file_is_read_where_it_is(large, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, large.stat().st_size))
    with Scratch(str(tmp_path / "node")):
        assert near(large) == large


def test_where_a_quota_ends_a_copy_the_file_is_read_where_it_is(large, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with Scratch(str(tmp_path / "node")) as scratch:
        assert near(large) == large and not list(scratch.folder.iterdir())


@pytest.mark.parametrize("disk", ["a file", "none", "$REGDNA_NO_SUCH_VARIABLE", "relative"])
def test_a_disk_that_is_not_there_costs_only_its_speed(large, tmp_path, monkeypatch, disk):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").touch()
    (tmp_path / "relative").mkdir()
    before = set(tmp_path.rglob("*"))
    with Scratch(disk if disk.startswith(("$", "rel")) else str(tmp_path / disk)) as scratch:
        assert scratch.folder is None and near(large) == large
    assert set(tmp_path.rglob("*")) == before, "nothing was made in its place"


def test_what_a_killed_job_left_on_the_node_is_removed_and_a_living_one_is_not(tmp_path):
    with Scratch(str(tmp_path)) as living:
        gone = living.folder.with_name(living.folder.name.rpartition(".")[0] + ".4194305")  # above the kernel's largest pid
        elsewhere = living.folder.with_name("another-host.4194305")
        for folder in (gone, elsewhere):
            folder.mkdir()
        with Scratch(str(tmp_path)):
            assert not gone.exists() and elsewhere.exists() and living.folder.exists()
