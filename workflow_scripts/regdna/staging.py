"""Large files on the node's own disk: a job copies there once what it reads at random, where the site has such a disk."""

import hashlib
import logging
import os
import re
import shutil
import socket
from pathlib import Path

import psutil

from regdna.store import Lease, atomic

VARIABLE = "REGDNA_SCRATCH"  # the processes that a job starts share its folder
LARGE_BYTES = 64_000_000  # less is in the node's memory after one reading
SPARE = 1.1  # of a file's size must be free
log = logging.getLogger("regdna")


class Scratch:
    """A job's folder on the node's disk, removed when the job ends; nothing if the site names no such disk.

    Args:
        disk: a folder on it, which must be there; ``$NAME`` is what the variable is on this node.
    """

    def __init__(self, disk: str | None):
        self.folder = None
        parent = of_node(disk) if disk else None
        if parent:
            # A folder of one's own: a node is shared with other users.
            self.folder = parent / f"regdna-{os.getuid()}" / f"{socket.gethostname()}.{os.getpid()}"
        elif disk:
            log.warning("scratch: %s is no folder of this node; large files are read where they are", disk)

    def __enter__(self) -> "Scratch":
        if self.folder is None:
            return self
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            log.warning("%s: %s; large files are read where they are", error.filename, error.strerror)
            self.folder = None
            return self
        for left in self.folder.parent.iterdir():  # by jobs that were killed here
            match = re.fullmatch(rf"{re.escape(socket.gethostname())}\.(\d+)", left.name)
            if match and not psutil.pid_exists(int(match[1])):
                shutil.rmtree(left, ignore_errors=True)
        os.environ[VARIABLE] = str(self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        if self.folder is not None:
            os.environ.pop(VARIABLE, None)
            shutil.rmtree(self.folder, ignore_errors=True)


def of_node(disk: str) -> Path | None:
    """The folder that the site calls the node's own disk, as it is called here; None if there is none."""
    path = Path(os.path.expandvars(disk))
    return path if "$" not in str(path) and path.is_absolute() and path.is_dir() else None


def near(path: Path) -> Path:
    """A large file's copy on the node's disk, made if there is none yet; the file itself without such a disk or without room there."""
    folder = os.environ.get(VARIABLE)
    state = path.stat() if folder else None
    if state is None or state.st_size < LARGE_BYTES:
        return path
    digest = hashlib.sha256(f"{path.resolve()} {state.st_mtime_ns} {state.st_size}".encode()).hexdigest()[:16]
    copy = Path(folder) / f"{digest}{path.suffix}"
    try:
        with Lease(copy.with_suffix(".lease")):
            if copy.is_file():
                return copy
            if shutil.disk_usage(folder).free < SPARE * state.st_size:
                log.warning("%s: no room for %s; it is read where it is", folder, path)
                return path
            with atomic(copy) as temporary:
                shutil.copyfile(path, temporary)
    except OSError as error:  # a quota, or other jobs that copy at the same time
        log.warning("%s: %s; %s is read where it is", folder, error.strerror, path)
        return path
    return copy
