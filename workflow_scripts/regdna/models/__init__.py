"""The registry of architectures: names and what they need, with nothing imported until one is built."""

import importlib
from dataclasses import dataclass
from types import ModuleType


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
    regimes: tuple[str, ...]
    citation: str


ARCHITECTURES = {
    "kmer-logistic": Architecture(
        "regdna.models.kmer_logistic",
        "row zero",
        "logistic regression on k-mer counts of both strands",
        {"k": 5, "l2": 1.0},
        ("full",),
        "Ghandi et al. 2014, PLoS Comput Biol 10:e1003711 (k-mer features)",
    ),
    "composition": Architecture(
        "regdna.models.composition",
        "row zero",
        "logistic regression on GC, CpG, N and position",
        {"l2": 1.0},
        ("full",),
        "Gardiner-Garden and Frommer 1987, J Mol Biol 196:261 (CpG ratio)",
    ),
    "basset": Architecture(
        "regdna.models.basset",
        "cnn",
        "Basset: three convolutions and two dense layers",
        {"filters": [300, 200, 200], "widths": [19, 11, 7], "pools": [3, 4, 4], "hidden": 1000, "dropout": 0.3},
        ("full",),
        "Kelley, Snoek and Rinn 2016, Genome Res 26:990",
    ),
    "nucleotide-transformer": Architecture(
        "regdna.models.nucleotide_transformer",
        "transformer",
        "Nucleotide Transformer v2: rotary encoder on non-overlapping 6-mers",
        {"hidden": 512, "layers": 12, "heads": 16, "intermediate": 2048, "dropout": 0.0, "l2": 1.0},
        ("full", "probe"),
        "Dalla-Torre et al. 2024, Nat Methods 22:287",
    ),
    "dnabert2": Architecture(
        "regdna.models.dnabert2",
        "transformer",
        "DNABERT-2: ALiBi encoder on byte pairs",
        {"hidden": 768, "layers": 12, "heads": 12, "intermediate": 3072, "dropout": 0.1, "vocabulary": 4096, "l2": 1.0},
        ("full", "probe"),
        "Zhou et al. 2024, ICLR, arXiv:2306.15006",
    ),
}


def module(architecture: str) -> ModuleType:
    """The module that builds an architecture."""
    return importlib.import_module(ARCHITECTURES[architecture].module)


def modules(architecture: str) -> list[str]:
    """Names of the modules whose code decides what an architecture computes; for the digest of a step that uses it."""
    shared = "linear" if ARCHITECTURES[architecture].family == "row zero" else "network"
    return [ARCHITECTURES[architecture].module, f"regdna.models.{shared}"]
