"""The studies of a folder: each is a file, called by its name."""

import re
from collections.abc import Callable
from pathlib import Path

from regdna.manifest import nearest, read_yaml, validate
from regdna.step import InputError
from regdna.study import apply_preset

RESERVED_NAMES = ("sources", "store", "logs", "compare", "slurm", "preflight")
NAME = re.compile(r"^[a-z0-9-]+$")


def read_study(path: Path, schema: dict, presets: dict) -> dict:
    """A study: read, validated, with the rules of published splits; its models are not yet completed.

    Args:
        path: its YAML file, by whose name it is called.
        schema: of a study.
        presets: published splits by name.

    Raises:
        InputError: the first thing wrong with it.
    """
    name = path.stem
    if name in RESERVED_NAMES or not NAME.match(name):
        raise InputError(
            f"{path}: a study may not be called {name!r} (small letters, digits, hyphens, and not a folder of results); rename it"
        )
    study = validate(read_yaml(path), schema, str(path))
    for dataset, entry in study["datasets"].items():
        entry["split"] = apply_preset(entry["split"], presets, f"{path}: datasets.{dataset}.split")
    return study


def read_studies(folder: Path, chosen: str, read: Callable[[Path, dict], dict]) -> tuple[dict[str, dict], dict[str, str]]:
    """The studies of a folder by name, and of those that are not right what is wrong.

    The chosen one must be right. Another may be half written, by whoever shares the folder, and must not stop this one.

    Args:
        folder: of one YAML file a study.
        chosen: the study that must be among them.
        read: a study of its file and of the studies that were read before it.

    Raises:
        InputError: what is wrong with ``chosen``, or it is none of them.
    """
    if not folder.is_dir():
        raise InputError(f"config: study_folder: {folder} is not a folder; give the folder that holds the study's YAML file")
    paths = {path.stem: path for path in sorted(folder.glob("[!.]*.yaml"))}
    if chosen not in paths:
        raise InputError(
            f"config: study {chosen!r} is not in {folder}{nearest(chosen, paths)} "
            "(a study in another folder wants `--config study=NAME study_folder=FOLDER --`)"
        )
    studies, wrong = {chosen: read(paths.pop(chosen), {})}, {}
    for name, path in paths.items():
        try:
            studies[name] = read(path, studies)
        except InputError as error:
            wrong[name] = str(error)
    return studies, wrong
