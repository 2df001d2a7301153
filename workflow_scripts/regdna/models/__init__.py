"""The registry of architectures (``registry.yaml``): names and what they need, with nothing imported until one is built."""

import importlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import yaml

# Weights come from the vault alone: no library that is imported below may ask a hub for anything.
os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
# What builds, saves and opens the members of a family. By name: the code of one family is no matter of the others'.
FAMILIES = {"row zero": "regdna.models.linear", "cnn": "regdna.models.convolutional", "transformer": "regdna.models.encoders"}


@dataclass(frozen=True)
class Architecture:
    """One entry of the registry.

    Attributes:
        module: where it is built; imported when asked for.
        family: ``row zero`` (no network: logistic regression on features, or a look-up of training windows), ``cnn`` or ``transformer``.
        summary: one line for tables and methods.
        sizes: what a study may set of a network that begins with random weights, with defaults; published ones bring theirs.
        parameters: what a study may set of any, with defaults.
        choices: the values that a parameter may have, where they are names.
        regimes: how it may be trained; the first is the default.
        citation: where it comes from.
    """

    module: str
    family: str
    summary: str
    regimes: list[str]
    citation: str
    sizes: dict = field(default_factory=dict)
    parameters: dict = field(default_factory=dict)
    choices: dict = field(default_factory=dict)


def _read() -> dict[str, Architecture]:
    entries = yaml.safe_load(Path(__file__).with_name("registry.yaml").read_text(encoding="utf-8"))
    return {name: Architecture(**entry) for name, entry in entries.items()}


ARCHITECTURES = _read()


def module(architecture: str) -> ModuleType:
    """The module that builds an architecture."""
    return importlib.import_module(ARCHITECTURES[architecture].module)


def family(architecture: str) -> ModuleType:
    """The module that builds, saves and opens members of an architecture's family."""
    return importlib.import_module(FAMILIES[ARCHITECTURES[architecture].family])


def modules(architecture: str) -> list[str]:
    """Names of the modules whose code decides what an architecture computes; for the digest of a step that uses it."""
    known = ARCHITECTURES[architecture]
    shared = [] if known.family == "row zero" else ["regdna.models.network"]
    layouts = ["regdna.models.kipoi"] if known.family == "cnn" else []
    return [known.module, FAMILIES[known.family], *shared, *layouts]


def load(folder: Path, initialisation: str = "published", seed: int = 0, attention: str = "sdpa") -> tuple:
    """The model and tokeniser of any checkpoint folder in a published layout, or of one of ours: ``regdna.models.door.load``."""
    return importlib.import_module("regdna.models.door").load(Path(folder), initialisation, seed, attention)
