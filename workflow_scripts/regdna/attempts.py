"""Attempts at a job, in a file of JSON lines that a kill leaves readable: each says when it began, how far it came, how it ended.

One process at a time writes, the one that holds the job's lease.
"""

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path


def begin(path: Path) -> list[dict]:
    """Write down that an attempt begins, on disk before this returns; gives the earlier ones, as ``all`` does."""
    earlier = all(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _append(path, {"started": datetime.now(UTC).isoformat(timespec="seconds"), "host": socket.gethostname(), "job": _job()})
    return earlier


def note(path: Path, seconds: float, epoch: int, step: int) -> None:
    """Write down how far the attempt that runs has come.

    Args:
        seconds: of training, of all attempts together.
        epoch, step: as the saved state has them.
    """
    _append(path, {"seconds": round(seconds, 3), "epoch": epoch, "step": step})


def finish(path: Path, outcome: str) -> None:
    """Write down how the attempt that runs ended: ``finished``, ``failed``, ..."""
    _append(path, {"outcome": outcome})


def all(path: Path) -> list[dict]:
    """Every attempt, first to last: started (UTC, ISO 8601), host, job (of Slurm, or None), seconds, epoch, step, outcome.

    ``seconds``, ``epoch`` and ``step`` are the last that were noted, None if none were; ``outcome`` is ``killed`` where none was
    written down and a later attempt began, None for the one that runs.
    """
    attempts: list[dict] = []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            said = json.loads(line)
        except ValueError:  # its writer was killed in the middle of it
            continue
        if "started" in said:
            if attempts:
                attempts[-1]["outcome"] = attempts[-1]["outcome"] or "killed"
            attempts.append({**said, "seconds": None, "epoch": None, "step": None, "outcome": None})
        elif attempts:
            attempts[-1] |= said
    return attempts


def _append(path: Path, said: dict) -> None:
    """Add a line and flush it to disk; a half-written one before it is closed first."""
    with open(path, "a+b") as handle:
        if handle.tell():
            handle.seek(-1, os.SEEK_END)
            if handle.read(1) != b"\n":
                handle.write(b"\n")
        handle.write(json.dumps(said).encode() + b"\n")
        handle.flush()
        os.fsync(handle.fileno())


def _job() -> str | None:
    return os.environ.get("SLURM_JOB_ID")
