"""What a study will cost before it costs it: bytes to download and disk to hold."""

from collections.abc import Iterable

from regdna.study import references

ROW_BYTES = 80  # of a window in the tables of windows, compressed
HELD_OUT = 0.2  # share of windows that are predicted


def size(entry: dict) -> int:
    """Bytes of a source's file as stated, exactly or about; 0 if nobody knows."""
    return entry.get("bytes", entry.get("about", 0))


def downloads(paths: Iterable[str], sources: dict) -> tuple[int, int, int]:
    """How many of these files come over the network, their bytes, and how many of them nobody knows the size of.

    Args:
        paths: ``source/file``.
        sources: every source, completed.
    """
    wanted = set(paths)
    for path in list(wanted):
        source, _, file = path.partition("/")
        if "archive" in sources[source]["files"][file]:
            wanted.add(f"{source}/{sources[source]['files'][file]['archive']}")
    entries = [sources[source]["files"][file] for source, _, file in (path.partition("/") for path in wanted)]
    remote = [one for one in entries if "url" in one]
    return len(remote), sum(map(size, remote)), sum(not size(one) for one in remote)


def disk(study: dict, sources: dict, lengths: dict[str, int]) -> int:
    """About how many bytes a study's downloads, genomes, windows and predictions take, without its models' checkpoints.

    Args:
        study: validated.
        sources: every source, completed.
        lengths: bases of each assembly.
    """
    paths, total = set(), 0
    for name, entry in study["datasets"].items():
        paths |= {path for _, path in references(entry)}
        if "genome" in entry:
            paths |= {f"{entry['genome']}/{file}" for file in sources[entry["genome"]]["files"]}
        if "sequences" in entry:
            for one in entry["sequences"]["files"]:
                source, _, file = one["file"].partition("/")
                # Packed files hold about four bases a byte; a MATLAB file of one-hot sequences four bytes a base, twice.
                total += size(sources[source]["files"][file]) * 4 if not file.endswith(".mat") else size(sources[source]["files"][file]) // 8
            continue
        held = sum(end - start for _, start, end in sources[entry["genome"]].get("regions", [])) or lengths[entry["assembly"]]
        windows = held // (entry["windows"]["stride"] or entry["windows"]["bin"])
        runs = sum(len(model["seeds"]) for model in study["models"].values() if name in model["datasets"])
        total += int(windows * (ROW_BYTES + len(entry["targets"]) * (1 / 4 + 4 * HELD_OUT * runs)))
    genomes = {entry["genome"] for entry in study["datasets"].values() if "genome" in entry}
    for source in genomes:
        held = sum(end - start for _, start, end in sources[source].get("regions", []))
        total += int(1.125 * (held or lengths[sources[source]["assembly"]]))
    for path in list(paths):
        source, _, file = path.partition("/")
        if "archive" in sources[source]["files"][file]:
            paths.add(f"{source}/{sources[source]['files'][file]['archive']}")
    return total + sum(size(sources[source]["files"][file]) for source, _, file in (path.partition("/") for path in paths))


def words(count: int) -> str:
    """A number of bytes as a person says it."""
    for unit, step in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{count / step:.3g} {unit}"
    return f"{count} B"
