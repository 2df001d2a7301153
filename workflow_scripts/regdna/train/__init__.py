"""Training: features are fitted, networks descend a gradient, probes are put on frozen ones."""

from regdna.models import ARCHITECTURES


def module_of(architecture: str, regime: str) -> str:
    """Name of the module whose ``fit`` trains such a model. By name: an edit of one kind of training is no matter of the others'."""
    if ARCHITECTURES[architecture].family == "row zero":
        return "regdna.train.features"
    return "regdna.train.probe" if regime == "probe" else "regdna.train.descent"
