"""A network as training finds it: built, its pooling chosen, adapters on."""

from pathlib import Path

import numpy as np

from regdna import models
from regdna.models import weights
from regdna.train.data import Data


def begin(about: dict, data: Data, start: Path | None, embeddings: Path | None = None) -> tuple:
    """The network on the CPU, and ``about`` with the pooling chosen and a digest of its weights.

    Where the entry asks for the ``best`` pooling, probes on the frozen network choose it on the validation windows.

    Args:
        start: folder of published weights; None begins with random ones.
        embeddings: of the frozen network, where a pooling is chosen.
    """
    family = models.family(about["architecture"])
    net = family.build(about, lambda: sample(data, data.rows("train")), start)
    about = {**about, "initial_digest": weights.digest(dict(net.named_parameters()))}
    if about["parameters"].get("pooling") == "best":
        import torch

        from regdna.models.pooling import pooling
        from regdna.train import probe

        name, scores = probe.best_pooling(embeddings, data)
        torch.manual_seed(about["seed"])
        net.pooling = pooling(name, net.head.in_features)
        about = {**about, "parameters": {**about["parameters"], "pooling": name}, "pooling_ap": scores}
    if about["regime"] in ("lora", "ia3"):
        family.adapt(net, about)
    return net, about


def sample(data: Data, rows: np.ndarray) -> np.ndarray:
    """Evenly spaced training windows of about five million bases in all, uint8 (n, L); what a tokeniser is learned from."""
    return data.sequences[rows[:: max(1, len(rows) * data.sequences.length // 5_000_000)]]
