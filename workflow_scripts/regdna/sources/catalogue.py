"""The catalogue of sources: what resources/sources.yaml and the studies state, completed to one entry a file."""

import os
import re
from pathlib import Path

import pandas as pd

from regdna.manifest import validate
from regdna.sources.encode import file_name, files, read_frozen
from regdna.step import InputError
from regdna.study import references, shared_files

GENOME = ("genome.npy", "genome.tsv", "genome.mask.npy")  # what index_genome makes of a source, beside its files


def complete(sources: dict, studies: dict[str, dict], schema: dict, assemblies: set[str]) -> dict:
    """Every source with an entry for every file that can be asked for.

    A study's own sources join those of ``resources/sources.yaml``; sources with a table get its rows as files; of sources
    whose files are known by the look of their names, those become entries that a study names.

    Args:
        sources: content of ``resources/sources.yaml``, validated.
        studies: studies by name, validated.
        schema: of sources.
        assemblies: names of the known assemblies.

    Raises:
        InputError: a source is stated twice or is of an unknown assembly, one of its files has a name that is a path or is in an
            archive that is not among them, or the look of its files' names cannot be read.
    """
    complete = {name: dict(entry) for name, entry in sources.items()}
    stated = dict.fromkeys(sources, "resources/sources.yaml")
    for study, content in studies.items():
        own = validate(content["sources"], schema, f"study {study}", "sources.")
        for name, entry in own.items():
            if complete.setdefault(name, entry) != entry:
                raise InputError(f"study {study}: sources.{name}: {stated[name]} has another source of this name; rename one")
            stated.setdefault(name, f"study {study}")
    tables: dict[str, pd.DataFrame] = {}
    for name, entry in complete.items():
        if name in ("logs", "benchmarks"):
            raise InputError(f"source {name}: this is a folder of results; rename the source")
        if entry["assembly"] and entry["assembly"] not in assemblies:
            raise InputError(f"source {name}: assembly {entry['assembly']!r} is not in resources/assemblies.tsv; add its chromosomes there")
        if ("names" in entry) != ("url" in entry):
            raise InputError(f"source {name}: give both 'names' and 'url', or neither")
        _check_pattern(name, entry.get("names", ""))
        entry["files"] = dict(entry["files"])
        if "table" in entry:
            table = tables.setdefault(entry["table"], read_frozen(Path(entry["table"])))
            about = {"about": entry["about"]} if "about" in entry else {}
            entry["files"] |= {file: about | one for file, one in files(table, entry["assembly"]).items()}
            # What nobody has confirmed yet is asked of the portal before it is downloaded.
            for row in table[(table["assembly"] == entry["assembly"]) & (table["verified"] == "false")].to_dict("records"):
                entry["files"][file_name(row)]["frozen"] = row
        for file, one in entry["files"].items():
            if "/" in file:
                raise InputError(f"source {name}: file {file!r} is a path; give it a name without '/'")
            if file == "vault.json" or file.startswith(".") or file in GENOME or set(file) & set("{}\n"):
                raise InputError(f"source {name}: file {file!r} has a name that is kept for the workflow, or braces; give it another name")
            archive = one.get("archive")
            if archive is not None and (archive not in entry["files"] or "archive" in entry["files"][archive]):
                raise InputError(f"source {name}: {file} is in {archive}, which is not among the files that it downloads; list it there")
    for content in studies.values():
        for dataset in content["datasets"].values():
            for _, path in references(dataset):
                _name(complete, path)
    return complete


def _check_pattern(source: str, names: str) -> None:
    try:
        re.compile(names)
    except re.error as error:
        raise InputError(f"source {source}: names: {names!r} is no regular expression ({error}); mend it") from None


def check_at_hand(study: str, content: dict, sources: dict, fetched: Path) -> None:
    """Refuse a study of which a file at hand is neither there nor fetched.

    Args:
        study: its name.
        content: validated.
        sources: every source, completed.
        fetched: folder of fetched files, as ``source/file``.
    """
    used = {path.partition("/")[0] for dataset in content["datasets"].values() for _, path in references(dataset)}
    used |= {dataset["genome"] for dataset in content["datasets"].values() if "genome" in dataset}
    used |= {path.partition("/")[0] for path in shared_files(content, sources)}
    for name in sorted(used):
        for file, one in sources[name]["files"].items():
            if "path" in one and not os.path.isfile(one["path"]) and not (fetched / name / file).is_file():
                raise InputError(
                    f"study {study}: sources.{name}.files.{file}.path: {one['path']} is not there; give its path in full, "
                    "or from the folder that Snakemake runs in"
                )


def _name(sources: dict, path: str) -> None:
    """Make the file an entry of its source, if its name looks like one of that source's."""
    source, _, file = path.partition("/")
    entry = sources.get(source, {})
    if "names" in entry and file not in entry["files"] and "/" not in file and re.fullmatch(entry["names"], file):
        about = {"about": entry["about"]} if "about" in entry else {}
        entry["files"][file] = {"url": entry["url"].replace("{file}", file), **about}
