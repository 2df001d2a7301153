"""Files that are whole or absent, leases that one process holds, and the training state that outlives a killed job."""

import contextlib
import json
import os
import re
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil

HEARTBEAT_SECONDS = 20
STALE_SECONDS = 600
UNWRITTEN_SECONDS = 30  # a lease that was created but never filled in: its holder died in between


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; on success flush it to disk and rename it to ``path``.

    A reader sees the old file or the whole new one, never a part. After an error the temporary file is removed and
    ``path`` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path, path.suffix)
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _beside(path: Path, suffix: str = "") -> Path:
    """A temporary name in the same folder that says who writes it."""
    return path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp{suffix}")


def sweep(folder: Path) -> int:
    """Remove temporary files and folders below ``folder`` that dead processes of this host left; gives their number."""
    writer = re.compile(rf"\..+\.{re.escape(socket.gethostname())}\.(\d+)\.[0-9a-f]{{8}}\.tmp")
    left = [path for path in folder.rglob(".*.tmp*") if (match := writer.match(path.name)) and not psutil.pid_exists(int(match[1]))]
    for path in left:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return len(left)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """As ``atomic`` for a folder: yield a new one beside ``path`` that replaces it whole on success."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.iterdir():
            with open(file, "rb") as handle:
                os.fsync(handle.fileno())
        if path.exists():
            shutil.rmtree(path)
        os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    """Write ``content`` as indented JSON with sorted keys, atomically."""
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


class Lease:
    """One process at a time: a file created with O_EXCL that names its holder (host, pid, start time, job id).

    The file's age is the holder's heartbeat. A lease is stale, and taken over, when its holder ran on this host and is
    gone, or when it ran elsewhere and its heartbeat is older than ``STALE_SECONDS``. ``flock`` is not used: on Lustre
    and NFS it may be per node or off.

    Args:
        path: the lease file; its folder is made if absent.
        wait_seconds: how long to wait for another holder to finish.

    Raises:
        TimeoutError: another process held the lease for all of ``wait_seconds``.
    """

    def __init__(self, path: Path, wait_seconds: float = 7 * 86400):
        self.path, self.wait_seconds = path, wait_seconds
        self._stop = threading.Event()

    def __enter__(self) -> "Lease":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self.wait_seconds
        said = False
        while not self._take():
            holder = read_lease(self.path)
            if not alive(holder, self.path):
                self._clear(holder)
                continue
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.path}: held by {describe(holder)}; end that job or wait for it")
            if holder is not None and not said:
                print(f"waiting for {describe(holder)}, which is at work on the same output", flush=True)
                said = True
            time.sleep(0.5)
        self._stop.clear()
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._mine():
            self.path.unlink(missing_ok=True)

    def _mine(self) -> bool:
        """Whether the lease still names this process: after a long standstill somebody else may hold it."""
        return read_lease(self.path) == whoami()

    def _take(self) -> bool:
        try:
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w") as file:
            json.dump(whoami(), file)
        return True

    def _clear(self, holder: dict | None) -> None:
        """Rename a stale lease aside (only one contender can) and remove it."""
        aside = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.stale")
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.path, aside)
            if read_lease(aside) != holder:  # somebody took it over between our look and our rename: put it back
                with contextlib.suppress(FileExistsError):
                    os.link(aside, self.path)
            aside.unlink()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS) and self._mine():
            with contextlib.suppress(FileNotFoundError):
                os.utime(self.path)


def whoami() -> dict:
    """The record that identifies this process: host, pid, process start time and, on a cluster, the job id."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "job": os.environ.get("SLURM_JOB_ID"),
    }


def read_lease(path: Path) -> dict | None:
    """The holder written in a lease file; None if it is gone or not yet fully written."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def alive(holder: dict | None, path: Path) -> bool:
    """Whether the holder of the lease at ``path`` still works, as far as can be seen from this host."""
    if holder is not None and holder["host"] == socket.gethostname():
        try:
            process = psutil.Process(holder["pid"])
            return abs(process.create_time() - holder["started"]) < 2 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
    if holder is not None and holder.get("job") and holder["job"] == os.environ.get("SLURM_JOB_ID"):
        return False  # this very job, before it was preempted and begun anew on another node
    patience = UNWRITTEN_SECONDS if holder is None else STALE_SECONDS
    try:
        return time.time() - path.stat().st_mtime < patience
    except FileNotFoundError:
        return False


def describe(holder: dict | None) -> str:
    """The holder of a lease in words."""
    if holder is None:
        return "an unknown process"
    job = f", job {holder['job']}" if holder.get("job") else ""
    return f"process {holder['pid']} on {holder['host']}{job}"
