"""Bring one file of a source to its place, whole and verified: from git, from a folder of downloads, or over the network."""

import gzip
import hashlib
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from regdna.manifest import read_table
from regdna.sources import bgzip
from regdna.sources.http import download
from regdna.step import InputError, progress
from regdna.store import Lease, atomic

CHUNK = 1 << 20
CHECKSUMS = ("sha256", "sha1", "md5")
# What is sent or kept in place of a file, by its first letters, and what to do.
INSTEAD = {
    b"<!doctype html": "is a web page, such as a server sends with an error or to log in; fetch it again",
    b"<html": "is a web page, such as a server sends with an error or to log in; fetch it again",
    b"version https://git-lfs.github.com/spec/": "is git-LFS's pointer to the file, not the file; get it with `git lfs pull`",
}
LOCK = ["source", "file", "bytes", "sha256", "url"]


def checksum(path: Path, kind: str = "sha256") -> str:
    """Checksum of a file's bytes as hex digits; ``kind`` is sha256, sha1 or md5."""
    digest = hashlib.new(kind, usedforsecurity=False)
    with open(path, "rb") as handle:
        while block := handle.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def verify(path: Path, expected: dict, name: str, stated: str = "resources/sources.yaml", gzipped: bool | None = None) -> None:
    """Check a file against what is stated of it: bytes and checksums; and that it is one, whole if it is gzipped.

    Args:
        path: the file as it lies on disk.
        expected: its entry; of the keys bytes, sha256, sha1 and md5, those that are there are checked.
        name: what to call it in a message.
        stated: where the entry stands.
        gzipped: whether it must be a whole gzip stream; by default if the name ends in .gz.

    Raises:
        InputError: it differs, with both values; or it is a web page or a pointer in place of a file, or cut short.
    """
    with open(path, "rb") as handle:
        start = handle.read(512)
    for letters, told in INSTEAD.items():
        if start.lstrip().lower().startswith(letters):
            raise InputError(f"{name}: {told}")
    size = path.stat().st_size
    if size != expected.get("bytes", size):
        raise InputError(f"{name}: {size:,} bytes, but {stated} states {expected['bytes']:,}; restore or fetch it again")
    for kind in CHECKSUMS:
        if kind in expected and (found := checksum(path, kind)) != expected[kind]:
            raise InputError(f"{name}: {kind} {found[:12]}..., but {stated} states {expected[kind][:12]}...; restore or fetch it again")
    if name.endswith(".gz") if gzipped is None else gzipped:
        try:
            with gzip.open(path) as handle:
                while handle.read(CHUNK):
                    pass
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{name}: not a whole gzip file ({error}); fetch it again") from None


def check_end(path: Path, expected: dict, name: str) -> None:
    """Refuse a bgzipped file without its end, unless a checksum says that this is how it was published."""
    if not any(kind in expected for kind in CHECKSUMS):
        bgzip.check_end(path, name)


def take(origin: Path, expected: dict, destination: Path) -> None:
    """Copy a file that is at hand to ``destination``; it is verified before it gets that name.

    Raises:
        InputError: it is absent or differs from its entry.
    """
    if not origin.is_file():
        raise InputError(f"{origin}: not found; restore it with `git checkout {origin}`, or mend its 'path' if it is your own")
    with atomic(destination) as temporary:
        shutil.copyfile(origin, temporary)
        verify(temporary, expected, str(origin))
        check_end(temporary, expected, str(origin))


def extract(archive: Path, member: str, expected: dict, destination: Path) -> None:
    """Take one file out of a tar archive (plain or compressed) to ``destination``; nothing else of it is unpacked.

    The archive's own paths are never followed: what is asked for must be a plain file of exactly that name (a leading
    ``./`` aside), so that no path leads out of the folder and no link to another file.

    Raises:
        InputError: the archive is cut short or is none, has no such file, or it differs from its entry.
    """
    try:
        with tarfile.open(archive, "r|*") as opened:
            for one in opened:
                if one.name.removeprefix("./") != member.removeprefix("./"):
                    continue
                if not one.isreg():
                    raise InputError(f"{archive}: {member} is a link or folder, not a file; fetch another copy of the archive")
                with atomic(destination) as temporary:
                    _write(opened.extractfile(one), one.size, temporary, f"unpacking {destination.name}")
                    verify(temporary, expected, f"{member} in {archive}", gzipped=destination.name.endswith(".gz"))
                    check_end(temporary, expected, f"{member} in {archive}")
                return
    except tarfile.TarError as error:
        raise InputError(f"{archive}: cut short or no tar archive ({error}); fetch it again") from None
    raise InputError(
        f"{archive}: holds no {member}; mend its 'member' in resources/sources.yaml, or fetch the archive again if it is cut short"
    )


def _write(inner: BinaryIO, size: int, path: Path, what: str) -> None:
    """Copy ``size`` bytes to a file, with progress."""
    show, done = progress(size, what, "bytes"), 0
    with open(path, "wb") as out:
        while block := inner.read(CHUNK):
            out.write(block)
            done += len(block)
            show(done)


def bring(source: str, file: str, entry: dict, destination: Path, lock: Path, downloaded: Path | None) -> None:
    """Bring a file that has addresses to ``destination``.

    What has no published checksum is pinned: its size and sha256 are written to the lock file on the first download, and
    every later one must equal them.

    Args:
        source, file: its names in ``resources/sources.yaml``.
        entry: its entry there: url, mirrors, and of bytes, sha256, sha1, md5 what is published.
        lock: table of pinned files; made if absent.
        downloaded: folder of files fetched by hand, as ``{source}/{file}`` or ``{file}``; with it nothing is downloaded.

    Raises:
        InputError: no address gives it, or what came is not what was stated or pinned.
    """
    pinned = read_lock(lock).get((source, file), {})
    if downloaded is not None:
        places = [downloaded / source / file, downloaded / file]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise InputError(f"{places[0]}: not found; download {entry['url']} there, or run without 'downloaded'")
        with atomic(destination) as temporary:
            shutil.copyfile(found, temporary)
            check(temporary, entry, pinned, file, found, lock)
            pin(lock, source, file, temporary, entry, str(found))
        return
    part = destination.with_name(f".{file}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    bar: list = []

    def show(got: int, total: int | None) -> None:
        if not bar:
            bar.append(progress(total or entry.get("bytes", 0) or got, f"fetching {file}", "bytes"))
        bar[0](got)

    url = download([entry["url"], *entry.get("mirrors", [])], part, show)
    try:
        check(part, entry, pinned, file, url, lock)
    except InputError:
        part.unlink()  # continuing it could never make it right
        raise
    pin(lock, source, file, part, entry, url)
    with atomic(destination) as temporary:
        part.rename(temporary)
    part.with_name(part.name + ".json").unlink(missing_ok=True)


def check(path: Path, entry: dict, pinned: dict, file: str, origin: object, lock: Path) -> None:
    """Verify against the published entry and against the lock file."""
    name = f"{file} from {origin}"
    verify(path, entry, name, gzipped=file.endswith(".gz"))
    check_end(path, entry | pinned, name)
    if pinned:
        verify(path, {"bytes": pinned["bytes"], "sha256": pinned["sha256"]}, name, str(lock), gzipped=False)


def read_lock(lock: Path) -> dict[tuple[str, str], dict]:
    """Pinned files by source and file; empty if nothing was pinned yet."""
    if not lock.is_file():
        return {}
    table = read_table(lock, dict.fromkeys(LOCK, str) | {"bytes": int})
    return {(row["source"], row["file"]): row for row in table.to_dict("records")}


def pin(lock: Path, source: str, file: str, path: Path, entry: dict, url: str) -> None:
    """Write a file without a published checksum into the lock file, once."""
    if any(kind in entry for kind in CHECKSUMS):
        return
    with Lease(lock.with_name(f".{lock.name}.lease")):
        rows = read_lock(lock)
        if (source, file) in rows:
            return
        rows[source, file] = dict(zip(LOCK, (source, file, path.stat().st_size, checksum(path), url), strict=True))
        with atomic(lock) as temporary:
            pd.DataFrame([rows[key] for key in sorted(rows)], columns=LOCK).to_csv(temporary, sep="\t", index=False)
