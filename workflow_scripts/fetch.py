"""Bring one file of a source to its place, verified against resources/sources.yaml."""

from pathlib import Path

from regdna.sources.fetch import bring, take
from regdna.step import run


def main(file: Path, expected: dict, lock: Path, source: str, downloaded: str = "", origin: Path | None = None) -> None:
    """Copy or download to ``file`` what has the bytes and checksums that ``expected`` states.

    Args:
        expected: the file's entry in resources/sources.yaml.
        lock: table that pins what has no published checksum.
        source: id of the source.
        downloaded: folder of files fetched by hand; with it nothing is downloaded.
        origin: the file in git; else it is downloaded.
    """
    if origin is not None:
        take(origin, expected, file)
    else:
        bring(source, file.name, expected, file, lock, Path(downloaded) if downloaded else None)


if __name__ == "__main__":
    run(main)
