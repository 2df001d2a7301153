"""Training: features are fitted, networks descend a gradient, probes are put on frozen ones."""

from regdna.models import ARCHITECTURES

PROBE = "regdna.train.probe"


def module_of(architecture: str, regime: str) -> str:
    """Name of the module whose ``fit`` trains such a model. By name: an edit of one kind of training is no matter of the others'."""
    if ARCHITECTURES[architecture].family == "row zero":
        return "regdna.train.features"
    return PROBE if regime == "probe" else "regdna.train.descent"


def modules_of(entry: dict) -> list[str]:
    """Names of the modules whose code decides how a model of a study is trained: the trainer, and what chooses its pooling."""
    chooses = [PROBE] if entry["parameters"].get("pooling") == "best" else []
    return [module_of(entry["architecture"], entry["regime"]), *chooses]
