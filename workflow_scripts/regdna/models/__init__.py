"""The registry of architectures (``registry.yaml``): names and what they need, with nothing imported until one is built."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import yaml


@dataclass(frozen=True)
class Architecture:
    """One entry of the registry.

    Attributes:
        module: where it is built; imported when asked for.
        family: ``row zero`` (features and logistic regression), ``cnn`` or ``transformer``.
        summary: one line for tables and methods.
        parameters: what a study may set, with defaults.
        regimes: how it may be trained; the first is the default.
        citation: where it comes from.
    """

    module: str
    family: str
    summary: str
    parameters: dict
    regimes: list[str]
    citation: str


def _read() -> dict[str, Architecture]:
    entries = yaml.safe_load(Path(__file__).with_name("registry.yaml").read_text(encoding="utf-8"))
    return {name: Architecture(**entry) for name, entry in entries.items()}


ARCHITECTURES = _read()


def module(architecture: str) -> ModuleType:
    """The module that builds an architecture."""
    return importlib.import_module(ARCHITECTURES[architecture].module)


def modules(architecture: str) -> list[str]:
    """Names of the modules whose code decides what an architecture computes; for the digest of a step that uses it."""
    shared = "linear" if ARCHITECTURES[architecture].family == "row zero" else "network"
    return [ARCHITECTURES[architecture].module, f"regdna.models.{shared}"]
