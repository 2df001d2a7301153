"""What a step cost: time, memory, energy, how well the device was used, versions."""

import csv
import os
import platform
import re
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path

import psutil

from regdna.store import write_json

PACKAGES = ("numpy", "scikit-learn", "torch", "transformers", "tokenizers", "peft", "snakemake")
# Data, not code: a further GPU trains nothing again. Peaks in TFLOP/s without sparsity: of bf16 (of float16 where there is no bf16),
# and of float32 (of TF32 where there is that), by the name that torch gives, less the maker's.
GPUS = Path(__file__).with_name("gpus.tsv")
MAKER = re.compile(r"^(NVIDIA |Tesla |GeForce )+")


class Ledger:
    """Measure from construction to ``write``.

    Attributes:
        entries: what the step adds: parameters, attempts, resumed_from, earlier_seconds (wall seconds of attempts that were
            killed), ... Of these four figures are reckoned: sequences, tokens and flops (of ``seconds`` of training, those of
            all attempts), processes (one a GPU) and precision (``bf16`` or ``float32``).
    """

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._energy = energy()
        self.entries: dict = {"attempts": 1, "resumed_from": None}

    def write(self, path: Path) -> None:
        """Write ``compute.json``: seconds (those of earlier, killed attempts counted in), bytes, device, rates, versions, ``entries``.

        ``joules`` is the energy of the job's GPUs since construction. A figure that nobody can know is null.
        """
        count = self.entries.get("processes", 1)
        cuda = _cuda(count)
        seconds = round(time.perf_counter() - self._started + self.entries.get("earlier_seconds", 0.0), 3)
        content = {
            "device": cuda["device"] if cuda else processor(),
            "wall_seconds": seconds,
            "cpu_seconds": round(sum(psutil.Process().cpu_times()[:2]), 3),
            "gpu_seconds": round(seconds * count, 3) if cuda else 0.0,
            "peak_host_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "peak_gpu_bytes": cuda["bytes"] if cuda else 0,
            "joules": spent(self._energy, energy(), cuda["uuids"]) if cuda else None,
            **rates(self.entries, peak(cuda["device"], self.entries.get("precision")) if cuda else None),
            "job": os.environ.get("SLURM_JOB_ID"),
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            **self.entries,
        }
        write_json(path, content)


def rates(entries: dict, most: float | None) -> dict:
    """Sequences and tokens a second, and the share of the devices' peak that was used; None where it cannot be known.

    Args:
        entries: sequences, tokens, flops, seconds and processes, any of them absent or None.
        most: FLOP/s that one device can do; None if unknown.
    """
    seconds = entries.get("seconds")
    each = {name: entries[name] / seconds if entries.get(name) and seconds else None for name in ("sequences", "tokens", "flops")}
    return {
        "sequences_per_second": each["sequences"] and round(each["sequences"], 3),
        "tokens_per_second": each["tokens"] and round(each["tokens"], 3),
        "utilisation": round(each["flops"] / (most * entries.get("processes", 1)), 5) if most and each["flops"] else None,
    }


def peak(device: str, precision: str | None) -> float | None:
    """FLOP/s that a GPU can do at most by its data sheet, of dense matrices; None if the GPU, or the precision, is not known.

    Args:
        device: as torch calls it. A slice of a GPU (MIG) has another name, and no figure.
        precision: ``bf16`` or ``float32``.
    """
    column = {"bf16": "half", "float32": "float32"}.get(precision or "")
    with open(GPUS, newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    found = [row for row in rows if re.fullmatch(row["name"], MAKER.sub("", device))]
    return float(found[0][column]) * 1e12 if column and found else None


def energy() -> dict[str, int]:
    """Millijoules that each GPU of this machine has used since its driver was loaded, by UUID; without those that do not count them.

    NVML: nvmlDeviceGetTotalEnergyConsumption, of Volta and later.
    """
    try:
        import pynvml
    except ImportError:
        return {}
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver
        return {}
    counters = {}
    try:
        for at in range(pynvml.nvmlDeviceGetCount()):
            try:
                device = pynvml.nvmlDeviceGetHandleByIndex(at)
                counters[pynvml.nvmlDeviceGetUUID(device)] = pynvml.nvmlDeviceGetTotalEnergyConsumption(device)
            except pynvml.NVMLError:  # one that has no counter, or that this process may not ask
                continue
    finally:
        pynvml.nvmlShutdown()
    return counters


def spent(before: dict[str, int], after: dict[str, int], uuids: list[str]) -> float | None:
    """Joules that these GPUs used between two readings of ``energy``; None if one of them was not read, or began anew."""
    used = [after[one] - before[one] for one in uuids if one in before and one in after]
    return sum(used) / 1000 if len(used) == len(uuids) and all(one > 0 for one in used) else None


def processor() -> str:
    """The processor's name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _cuda(count: int) -> dict | None:
    """Name and peak memory of the GPU, and the UUIDs of the first ``count``, if torch was imported by the step and sees one.

    Torch counts those alone that CUDA_VISIBLE_DEVICES leaves it, in CUDA's order, which need not be NVML's.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    uuids = [f"GPU-{torch.cuda.get_device_properties(at).uuid}" for at in range(min(count, torch.cuda.device_count()))]
    return {"device": torch.cuda.get_device_name(), "bytes": torch.cuda.max_memory_allocated(), "uuids": uuids}
