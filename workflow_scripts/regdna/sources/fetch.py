"""Bring one file of a source to its place, whole and verified."""

import gzip
import hashlib
import shutil
import zlib
from pathlib import Path

from regdna.step import InputError
from regdna.store import atomic

CHUNK = 1 << 20


def sha256(path: Path) -> str:
    """sha256 of a file's bytes as hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def verify(path: Path, expected: dict, name: str) -> None:
    """Check a file against what ``resources/sources.yaml`` states of it: bytes, sha256, and a whole gzip stream.

    Args:
        path: the file as it lies on disk.
        expected: its entry; keys bytes and sha256.
        name: what to call it in a message.

    Raises:
        InputError: it differs, with both values.
    """
    size = path.stat().st_size
    if size != expected["bytes"]:
        raise InputError(f"{name}: {size:,} bytes, but resources/sources.yaml states {expected['bytes']:,}; restore or fetch it again")
    digest = sha256(path)
    if digest != expected["sha256"]:
        raise InputError(
            f"{name}: sha256 {digest[:12]}..., but resources/sources.yaml states {expected['sha256'][:12]}...; restore or fetch it again"
        )
    if name.endswith(".gz"):
        try:
            with gzip.open(path) as handle:
                while handle.read(CHUNK):
                    pass
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{name}: not a whole gzip file ({error}); fetch it again") from None


def take(origin: Path, expected: dict, destination: Path) -> None:
    """Copy an embedded file to ``destination``; it is verified before it gets that name.

    Raises:
        InputError: it is absent or differs from its entry.
    """
    if not origin.is_file():
        raise InputError(f"{origin}: not found; restore it with `git checkout {origin}`")
    with atomic(destination) as temporary:
        shutil.copyfile(origin, temporary)
        verify(temporary, expected, str(origin))
