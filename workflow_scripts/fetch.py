"""Bring one file of a source to its place, verified against resources/sources.yaml."""

from pathlib import Path

from regdna.sources.encode import vouch
from regdna.sources.fetch import bring, extract, take
from regdna.step import run


def main(
    file: Path,
    expected: dict,
    lock: Path,
    source: str,
    downloaded: str = "",
    origin: Path | None = None,
    archive: Path | None = None,
) -> None:
    """Copy, unpack or download to ``file`` what has the bytes and checksums that ``expected`` states.

    Args:
        expected: the file's entry in resources/sources.yaml, or in a table of ENCODE files.
        lock: table that pins what has no published checksum.
        source: id of the source.
        downloaded: folder of files fetched by hand; with it nothing is downloaded.
        origin: the file at hand; else it is unpacked or downloaded.
        archive: the archive that holds it; else it is downloaded.
    """
    if origin is not None:
        take(origin, expected, file)
    elif archive is not None:
        extract(archive, expected["member"], expected, file)
    else:
        if "frozen" in expected and not downloaded:
            expected = expected | vouch(expected["frozen"], file.parent.parent)
        bring(source, file.name, expected, file, lock, Path(downloaded) if downloaded else None)


if __name__ == "__main__":
    run(main)
