"""What a step cost: time, memory, device, versions."""

import os
import platform
import resource
import time
from importlib.metadata import version
from pathlib import Path

import psutil

from regdna.store import write_json

PACKAGES = ("numpy", "scikit-learn", "torch", "transformers", "tokenizers", "peft", "snakemake")


class Ledger:
    """Measure from construction to ``write``.

    Attributes:
        entries: what the step adds: sequences, parameters, flops, resumed_from, ...
    """

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.entries: dict = {"attempts": 1, "resumed_from": None}

    def write(self, path: Path) -> None:
        """Write ``compute.json``: seconds (those of earlier, killed attempts counted in), bytes, device, versions, ``entries``."""
        cuda = _cuda()
        seconds = round(time.perf_counter() - self._started + self.entries.get("earlier_seconds", 0.0), 3)
        content = {
            "device": cuda["device"] if cuda else processor(),
            "wall_seconds": seconds,
            "cpu_seconds": round(sum(psutil.Process().cpu_times()[:2]), 3),
            "gpu_seconds": seconds if cuda else 0.0,
            "peak_host_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "peak_gpu_bytes": cuda["bytes"] if cuda else 0,
            "job": os.environ.get("SLURM_JOB_ID"),
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            **self.entries,
        }
        write_json(path, content)


def processor() -> str:
    """The processor's name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _cuda() -> dict | None:
    """Name and peak memory of the GPU, if torch was imported by the step and sees one."""
    import sys

    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return {"device": torch.cuda.get_device_name(), "bytes": torch.cuda.max_memory_allocated()}
