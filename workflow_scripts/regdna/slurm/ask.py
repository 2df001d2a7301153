"""One question to Slurm's own commands."""

import re
import subprocess

PATIENCE_SECONDS = 20


def rows(command: list[str]) -> list[list[str]] | None:
    """Lines that a command of Slurm prints, cut at ``|``; None if it is not there, fails, or does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return [line.strip().split("|") for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else None


def seconds(text: str) -> float | None:
    """Seconds of ``[days-][[hours:]minutes:]seconds[.fraction]``; None for what is no such time, as ``infinite``."""
    if not re.fullmatch(r"(\d+-)?\d+(:\d+){0,2}(\.\d+)?", text):
        return None
    days, _, rest = text.rpartition("-")
    return int(days or 0) * 86400 + sum(float(part) * 60**power for power, part in enumerate(reversed(rest.split(":"))))
