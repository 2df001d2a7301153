"""Jobs of this folder on a Slurm cluster: which are there, ending them, and what they used."""

import os
import re
import shutil
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from regdna.slurm.ask import rows, seconds

LEAVE_SECONDS = 180  # that jobs get to save their state and go
OURS = re.compile(r"(group|rule)_")  # how the comment of a job that Snakemake sent begins
USED = ("queue_seconds", "slurm_seconds", "cpu_share", "memory_share")
WAITING = "PENDING,RUNNING,SUSPENDED"  # not those that are on their way out
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def of_folder(folder: Path, states: str = "") -> list[str] | None:
    """Numbers of this user's jobs that Snakemake sent from a folder; none where there is no Slurm, None where it does not answer.

    Args:
        states: names of states, with commas; empty: all but those of jobs that have ended.
    """
    if not shutil.which("squeue"):
        return []
    wanted = [f"--states={states}"] if states else []
    found = rows(["squeue", "--noheader", f"--user={os.getuid()}", "--format=%A|%Z|%k", *wanted])
    if found is None:
        return None
    return sorted({row[0] for row in found if len(row) == 3 and Path(row[1]).resolve() == folder.resolve() and OURS.match(row[2])})


def is_there(job: str) -> bool | None:
    """Whether a job waits or runs; None where Slurm does not answer."""
    found = rows(["squeue", "--noheader", "--format=%A", f"--user={os.getuid()}"])
    return None if found is None else [job] in found


def end(jobs: list[str], folder: Path) -> bool:
    """Cancel jobs and wait until they have gone; gives whether Slurm says so within three minutes."""
    rows(["scancel", *jobs])
    deadline = time.monotonic() + LEAVE_SECONDS
    while (left := of_folder(folder)) is None or set(left) & set(jobs):
        if time.monotonic() > deadline:
            return False
        time.sleep(2)
    return True


def used(jobs: Iterable[str]) -> dict[str, dict]:
    """What ended jobs asked for and used, as Slurm's accounting has it.

    Returns:
        Of each job that is known, by ``USED``: seconds in the queue and at work (of the last attempt, where Slurm made several), the share
        of the time of its CPUs that they were busy, and its peak memory as a share of what it asked for; None where nobody measured.
        Empty where there is no accounting.
    """
    asked = sorted(set(jobs))
    if not asked:
        return {}
    fields = "JobIDRaw,Submit,Start,ElapsedRaw,CPUTimeRAW,TotalCPU,ReqMem,MaxRSS,NCPUS"
    lines = rows(["sacct", "--noheader", "--parsable2", "--duplicates", f"--format={fields}", f"--jobs={','.join(asked)}"]) or []
    found: dict[str, dict] = {}
    for job, submit, start, wall, reserved, busy, memory, peak, cpus in (line for line in lines if len(line) == 9):
        number, _, step = job.partition(".")
        if not step:  # the job itself; of one that was preempted the last attempt
            found[number] = {
                "queue_seconds": _apart(submit, start),
                "slurm_seconds": int(wall or 0),
                "cpu_share": (seconds(busy) or 0.0) / int(reserved) if int(reserved or 0) else None,
                "memory_share": None,
                "asked": _bytes(memory, int(cpus or 1)),
            }
        elif number in found and peak:
            one = found[number]
            share = _bytes(peak) / one["asked"] if one["asked"] else None
            if share is not None:
                one["memory_share"] = max(share, one["memory_share"] or 0.0)
    return {job: {key: value for key, value in one.items() if key != "asked"} for job, one in found.items()}


def _apart(first: str, last: str) -> float | None:
    """Seconds between two times as ``sacct`` prints them."""
    try:
        return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    except ValueError:  # Unknown: it never began
        return None


def _bytes(text: str, cpus: int = 1) -> float:
    """Bytes of ``16G``, ``16Gn`` (a node) or ``4Gc`` (a CPU)."""
    match = re.fullmatch(r"([\d.]+)([KMGT]?)([cn]?)", text)
    return float(match[1]) * UNITS[match[2]] * (cpus if match[3] == "c" else 1) if match else 0.0
