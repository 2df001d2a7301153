"""Bring one file of a source to its place, verified against resources/sources.yaml."""

from pathlib import Path

from regdna.sources.fetch import take
from regdna.step import run


def main(origin: Path, file: Path, expected: dict) -> None:
    """Copy ``origin`` to ``file`` if it has the bytes and sha256 that ``expected`` states."""
    take(origin, expected, file)


if __name__ == "__main__":
    run(main)
