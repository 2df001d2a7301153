"""What a machine offers a run, looked at before the run: each finding says what, whether it will do, and what to do if not."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from regdna.slurm.ask import rows
from regdna.staging import of_node

OK, NOTE, FAILS = "ok", "note", "fails"
CLOSED = {"down", "drained", "draining", "fail", "failing", "maint", "unknown", "inval"}  # states of nodes that take no job
SKEW_SECONDS = 60  # leases are believed by their age on the shared disk (store.STALE_SECONDS)
PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: in two words.
        state: ``ok``, ``note`` (a run goes on) or ``fails``.
        says: what was found, and what to do.
    """

    what: str
    state: str
    says: str


def files(missing: list[str], study: str) -> Finding:
    """Whether what the study reads has been fetched.

    Args:
        missing: files that were not.
    """
    if not missing:
        return Finding("sources", OK, "every file of the study is there")
    return Finding(
        "sources",
        NOTE,
        f"{len(missing)} files of {study} are still to be fetched; run `snakemake sources vault` here first, with the same --config",
    )


def room(folder: Path, needed: int) -> Finding:
    """Whether a folder's disk, and the user's quota on it where ``quota`` tells one, have room.

    Args:
        needed: bytes.
    """
    free = shutil.disk_usage(folder).free
    left = quota_left(folder)
    least, whose = (left, "of your quota") if left is not None and left < free else (free, "on the disk")
    says = f"{least / 1e9:,.1f} GB free {whose}; the study takes about {needed / 1e9:,.1f} GB without checkpoints"
    return Finding("disk", OK, says) if least > needed else Finding("disk", FAILS, f"{says}: make room, or put the folder elsewhere")


def quota_left(folder: Path) -> int | None:
    """Bytes left of the user's quota on the disk of a folder; None where ``quota`` knows none."""
    try:
        told = subprocess.run(["quota", "-w", "-p", "-v"], capture_output=True, text=True, timeout=PATIENCE_SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    return read_quota(
        told, [Path(one.device) for one in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(one.mountpoint)]
    )


def read_quota(told: str, devices: list[Path]) -> int | None:
    """Bytes left on one of these devices as ``quota -w -p -v`` prints it, in KiB: device, used, soft limit, hard limit."""
    left = []
    for line in told.splitlines():
        parts = line.split()
        if len(parts) >= 4 and Path(parts[0]) in devices:
            used, *limits = (int(one.rstrip("*")) for one in parts[1:4])
            left += [1024 * max(0, limit - used) for limit in limits if limit]
    return min(left, default=None)


def unavailable(partition: str) -> str:
    """Why no job begins in a partition now; empty where one can, or nobody says."""
    there = [row for row in rows(["sinfo", "--noheader", f"--partition={partition}", "--format=%a|%T"]) or [] if len(row) == 2]
    if there and all(row[0] != "up" for row in there):
        return f"partition {partition} is {there[0][0]}"
    states = sorted({row[1].rstrip("*") for row in there})
    return f"all nodes of partition {partition} are {' or '.join(states)}" if states and set(states) <= CLOSED else ""


def queue(request: list[str], place: str, partitions: list[str]) -> Finding:
    """Whether Slurm would take a small job, as ``sbatch --test-only`` says.

    Args:
        request: options that say where such jobs go.
        partitions: names of those that they may go to; empty: the default one.
    """
    closed = [said for said in map(unavailable, partitions) if said]
    if partitions and len(closed) == len(partitions):
        return Finding(f"queue ({place})", FAILS, f"{'; '.join(closed)}: wait, or ask the cluster's people")
    command = ["sbatch", "--test-only", "--time=10", "--mem=4000", *request, "--wrap=true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return Finding(f"queue ({place})", FAILS, "sbatch does not answer within a minute; try again later")
    said = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in done.stderr.splitlines() if line.strip()]
    if done.returncode:
        return Finding(f"queue ({place})", FAILS, f"sbatch {' '.join(request)}: {' '.join(said[-1:])}; mend profiles/slurm/site.yaml")
    return Finding(f"queue ({place})", OK, said[-1] if said else "a job would be taken")


def torch_build(asked: int) -> list[Finding]:
    """Whether torch computes on the GPUs that the job was given.

    Args:
        asked: GPUs of the job; 0 for a job without.
    """
    import torch

    name = f"torch {torch.__version__}"
    if not asked:
        return [Finding("torch", OK, f"{name} on {os.cpu_count()} CPUs, {len(os.sched_getaffinity(0))} of them this job's")]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if torch.version.cuda is None and torch.version.hip is None:
        says = f"{name} is built for CPUs, but networks run on GPUs; install the build for your CUDA (https://pytorch.org/get-started)"
        return [Finding("torch", FAILS, says)]
    if not torch.cuda.is_available():
        says = f"{name} sees no GPU (CUDA_VISIBLE_DEVICES: {visible}); the driver may be older than CUDA {torch.version.cuda}"
        return [Finding("GPU", FAILS, f"{says}, or the partition have none")]
    if torch.cuda.device_count() != asked:
        return [Finding("GPU", FAILS, f"{asked} asked for, {torch.cuda.device_count()} seen (CUDA_VISIBLE_DEVICES: {visible})")]
    card = torch.cuda.get_device_properties(0)
    ones = torch.ones(256, 256, device="cuda")
    if float((ones @ ones).sum()) != 256.0**3:
        return [Finding("GPU", FAILS, f"{card.name}: a product of matrices of ones is wrong; tell the cluster's people")]
    half = "bf16" if torch.cuda.is_bf16_supported() else "no bf16: networks run in float32"
    return [Finding("torch", OK, name), Finding("GPU", OK, f"{card.name}, {card.total_memory / 2**30:.0f} GiB, {half}")]


def tools() -> Finding:
    """Whether programs that steps call are there."""
    if shutil.which("bedtools"):
        return Finding("bedtools", OK, "found")
    return Finding(
        "bedtools", FAILS, "not on PATH; start Snakemake from the environment of `make setup`, or load the cluster's module first"
    )


def shared(folder: Path) -> Finding:
    """Whether files can be written to the shared disk, and its clock is this machine's."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".preflight.") as handle:
            handle.write(b"1")
            handle.flush()
            os.fsync(handle.fileno())
            skew = os.stat(handle.name).st_mtime - time.time()
    except OSError as error:
        return Finding("shared disk", FAILS, f"{folder}: {error.strerror}; results must lie on a disk that nodes can write to")
    if abs(skew) > SKEW_SECONDS:
        return Finding("shared disk", FAILS, f"its clock and this node's are {abs(skew):.0f} s apart; tell the cluster's people")
    return Finding("shared disk", OK, f"{folder} can be written to")


def own_disk(scratch: str | None) -> list[Finding]:
    """Whether the folder that the site names on the node's own disk is there."""
    if not scratch:
        return []
    path = of_node(scratch)
    if not path or not os.access(path, os.W_OK):
        says = (
            f"{scratch} is {os.path.expandvars(scratch)} here, no folder that can be written to; large files are read from the shared disk"
        )
        return [Finding("scratch", NOTE, says)]
    return [Finding("scratch", OK, f"{path}, {shutil.disk_usage(path).free / 1e9:,.0f} GB free")]


def machine() -> Finding:
    """Where this is."""
    import socket

    return Finding(
        "machine", OK, f"{socket.gethostname()}, Python {sys.version.split()[0]}, {psutil.virtual_memory().total / 2**30:.0f} GiB"
    )
