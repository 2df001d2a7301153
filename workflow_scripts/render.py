"""Stub."""
from pathlib import Path
from regdna.step import run
def main(comparison: Path, ledger: Path, metrics: list[Path], curves: list[Path], splits: list[Path], sources: Path, loci: Path, page: Path, study: dict, name: str, effects: list[Path] | None = None) -> None:
    page.write_text("x")
if __name__ == "__main__":
    run(main)
