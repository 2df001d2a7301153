"""Whether a bgzipped file is whole."""

from pathlib import Path

from regdna.step import InputError

END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # the last, empty block of bgzip (SAMv1, section 4.1)


def check_end(path: Path, name: str) -> None:
    """Refuse a bgzipped file without its last, empty block: it may have been cut between two others, where gzip sees no fault.

    Args:
        path: any file.
        name: what to call it in a message.

    Raises:
        InputError: it is bgzipped, and ends otherwise.
    """
    with open(path, "rb") as handle:
        start = handle.read(32)
        if start.startswith(b"\x1f\x8b") and len(start) > 3 and start[3] & 4 and b"BC\x02\x00" in start[10:]:
            handle.seek(max(path.stat().st_size - len(END), 0))
            if handle.read() != END:
                raise InputError(
                    f"{name}: cut short: the last block of bgzip is missing; fetch it again, or state its sha256 if it is whole"
                )
