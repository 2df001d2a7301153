"""A network as training finds it: built, its pooling chosen, adapters on."""

import importlib
from pathlib import Path

from regdna import models
from regdna.models import weights
from regdna.train import PROBE
from regdna.train.data import Data


def begin(about: dict, data: Data, start: Path | None, embeddings: Path | None = None) -> tuple:
    """The network on the CPU, and ``about`` with the pooling chosen and a digest of its weights.

    Where the entry asks for the ``best`` pooling, probes on the frozen network choose it on the validation windows.

    Args:
        start: folder of published weights; None begins with random ones.
        embeddings: of the frozen network, where a pooling is chosen.
    """
    family = models.family(about["architecture"])
    net = family.build(about, data.sample, start)
    about = {**about, "initial_digest": weights.digest(dict(net.named_parameters()))}
    if about["parameters"].get("pooling") == "best":
        import torch

        from regdna.models.pooling import pooling

        # By name: an edit of it trains only those networks again whose pooling it chooses.
        name, scores = importlib.import_module(PROBE).best_pooling(embeddings, data)
        torch.manual_seed(about["seed"])
        net.pooling = pooling(name, net.head.in_features)
        about = {**about, "parameters": {**about["parameters"], "pooling": name}, "pooling_ap": scores}
    if about["regime"] in ("lora", "ia3"):
        family.adapt(net, about)
    return net, about
