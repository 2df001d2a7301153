"""What a study needs before it runs: bytes to download and a network for them, disk to hold, licences to keep."""

import queue
import re
import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from regdna.study import references, shared_files, weight_files

ROW_BYTES = 80  # of a window in the tables of windows, compressed
HELD_OUT = 0.2  # share of windows that are predicted
LINE_BYTES = 25  # of an interval in a BED file
PACKED = (".gz", ".npz", ".parquet")  # about four letters a byte
PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
NON_COMMERCIAL = re.compile(r"\bnon-?commercial|\bnot for commercial|\bBY-NC\b|\bacademic use\b", re.IGNORECASE)


def size(entry: dict) -> int:
    """Bytes of a source's file as stated, exactly or about; 0 if nobody knows."""
    return entry.get("bytes", entry.get("about", 0))


def downloads(paths: Iterable[str], sources: dict) -> tuple[int, int, int]:
    """How many of these files come over the network, their bytes, and how many of them nobody knows the size of.

    Args:
        paths: ``source/file``; of a file in an archive the archive is downloaded.
        sources: every source, completed.
    """
    remote = [one for path in _with_archives(paths, sources) if "url" in (one := _entry(sources, path))]
    return len(remote), sum(map(size, remote)), sum(not size(one) for one in remote)


def absent(paths: Iterable[str], sources: dict, folder: Path | None) -> dict[str, str]:
    """Those of these files that come over the network and are not in a folder of downloads, with their addresses.

    Args:
        paths: ``source/file``.
        sources: every source, completed.
        folder: files fetched by hand, as ``source/file`` or ``file``; None for none.
    """
    found = {}
    for path in paths:
        source, _, file = path.partition("/")
        url = sources[source]["files"][file].get("url")
        by_hand = folder is not None and ((folder / path).is_file() or (folder / file).is_file())
        if url and not by_hand:
            found[path] = url
    return found


def restricted(study: dict, sources: dict) -> dict[str, str]:
    """Sources of a study's weights that may not be used commercially, with their licences.

    Args:
        study: validated.
        sources: every source, completed.
    """
    used = [path.partition("/")[0] for path in weight_files(study, sources)]
    return {source: sources[source]["licence"] for source in used if NON_COMMERCIAL.search(sources[source]["licence"])}


def reachable(urls: Iterable[str], seconds: float = 5.0) -> bool:
    """Whether any of the hosts of these addresses, or the proxy that the environment names for it, takes a TCP connection.

    All are tried at once, and none for longer than ``seconds``; nothing is asked of them.
    """
    hosts = {f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, urls)}
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def knock(host: str) -> None:
        try:
            socket.create_connection(_place(host), seconds).close()
            answers.put(True)
        except (OSError, ValueError):  # ValueError: an address that is none
            answers.put(False)

    for host in hosts:
        # A name is looked up without a limit on time: a thread left behind with it must not hold the process.
        threading.Thread(target=knock, args=(host,), daemon=True).start()
    end = time.monotonic() + seconds
    try:
        return any(answers.get(timeout=max(0.0, end - time.monotonic())) for _ in hosts)
    except queue.Empty:
        return False


def _place(url: str) -> tuple[str, int]:
    """Host and port that a download of this address connects to first."""
    from requests.utils import get_environ_proxies, select_proxy

    asked = select_proxy(url, get_environ_proxies(url)) or url
    parts = urlsplit(asked if "://" in asked else f"http://{asked}")
    return parts.hostname or "", parts.port or PORTS[parts.scheme]


def disk(study: dict, sources: dict, lengths: dict[str, int]) -> int:
    """About how many bytes a study's sources, genomes, sequences, windows and predictions take, less the checkpoints that it trains.

    Windows and predictions are counted of genomes alone: how many rows a file of sequences has is not known beforehand.

    Args:
        study: validated.
        sources: every source, completed.
        lengths: bases of each assembly.
    """
    paths, genomes, total = set(shared_files(study, sources)), {}, 0
    for name, entry in study["datasets"].items():
        paths |= {path for _, path in references(entry)}
        if "genome" in entry:
            source = sources[entry["genome"]]
            genomes[entry["genome"]] = _genome(source, lengths)
            paths |= {f"{entry['genome']}/{file}" for file in source["files"]}
        count, bases = extent(entry, sources, lengths)
        if "sequences" in entry:
            total += bases
        else:
            runs = sum(len(model["seeds"]) for model in study["models"].values() if name in model["datasets"])
            signals = sum("signal" in target for target in entry["targets"].values())
            # A window's row, its labels (twice, in bits), its signals, and a float32 of each target for each prediction.
            total += int(count * (ROW_BYTES + 4 * signals + len(entry["targets"]) * (1 / 4 + 4 * HELD_OUT * runs)))
    # A byte a base, and a bit for its repeats.
    total += sum(int(1.125 * bases) for bases in genomes.values())
    return total + sum(size(_entry(sources, path)) for path in _with_archives(paths, sources))


def extent(entry: dict, sources: dict, lengths: dict[str, int]) -> tuple[int | None, int]:
    """About how many windows a dataset begins with, before any are left out, and how many bases they are together.

    The number is None where sequences are taken at a length that their files alone know.

    Args:
        entry: of a dataset, validated.
        sources: every source, completed.
        lengths: bases of each assembly.
    """
    if "sequences" in entry:
        files, length = [one["file"] for one in entry["sequences"]["files"]], entry["sequences"]["length"]
        bases = sum(_bases(file, size(_entry(sources, file)), length) for file in files)
        return bases // length if length else None, bases
    windows = entry["windows"]
    if "centres" in windows:
        count = _lines(windows["centres"], size(_entry(sources, windows["centres"])))
    else:
        count = _genome(sources[entry["genome"]], lengths) // (windows["stride"] or windows["bin"])
    return count, count * windows["context"]


def _genome(source: dict, lengths: dict[str, int]) -> int:
    """Bases of a genome, or of those regions of it that the source holds."""
    return sum(end - start for _, start, end in source.get("regions", [])) or lengths[source["assembly"]]


def _entry(sources: dict, path: str) -> dict:
    source, _, file = path.partition("/")
    return sources[source]["files"][file]


def _with_archives(paths: Iterable[str], sources: dict) -> set[str]:
    """These files and the archives that hold them."""
    wanted = set(paths)
    inside = [(path.partition("/")[0], _entry(sources, path).get("archive")) for path in wanted]
    return wanted | {f"{source}/{archive}" for source, archive in inside if archive}


def _lines(file: str, size: int) -> int:
    """About how many intervals a BED file of so many bytes holds."""
    return (4 * size if file.endswith(PACKED) else size) // LINE_BYTES


def _bases(file: str, size: int, length: int) -> int:
    """About how many bases of sequence a file of so many bytes gives."""
    if file.endswith(".mat"):
        return size // 8  # one-hot, four bytes a base, and every sequence again on the other strand, which is left out
    if file.removesuffix(".gz").endswith(".bed"):
        return _lines(file, size) * length
    return 4 * size if file.endswith(PACKED) else size


def words(count: int) -> str:
    """A number of bytes as a person says it."""
    for unit, step in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= 0.9995 * step:  # 999.9 kB are 1 MB
            return f"{count / step:.3g} {unit}"
    return f"{count} B"
