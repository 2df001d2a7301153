"""One question to Slurm's own commands."""

import subprocess

PATIENCE_SECONDS = 20


def rows(command: list[str]) -> list[list[str]] | None:
    """Lines that a command of Slurm prints, cut at ``|``; None if it is not there, fails, or does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return [line.strip().split("|") for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else None
