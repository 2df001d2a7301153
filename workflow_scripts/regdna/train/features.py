"""Row zero: a logistic regression on features of the sequence, or a look-up of training windows."""

from pathlib import Path

import numpy as np

from regdna import models
from regdna.models import linear
from regdna.models.classifier import log_odds
from regdna.train.data import Data
from regdna.train.measure import mean_ap
from regdna.windows import Places


def fit(about: dict, data: Data, folder: Path) -> dict:
    """Fit a row-zero model and save it to ``folder``; gives what to add to the ledger.

    Raises:
        InputError: a look-up by position of windows that have none.
    """
    rows, checks = data.rows("train"), data.rows("validation")
    kind, parameters = models.module(about["architecture"]), about["parameters"]
    known = data.targets.known(rows)
    if hasattr(kind, "learn"):
        everywhere = Places.of(data.windows)
        tensors = kind.learn(data.sequences[rows], data.position(rows), data.targets[rows], known, parameters, everywhere)
        logits = kind.opened(tensors, about)(data.sequences[checks], data.position(checks))
    else:
        seen = kind.features(data.sequences[rows], data.position(rows), parameters)
        weight, bias = linear.fit_logistic(seen, data.targets[rows], data.exclusive, parameters["l2"], known)
        tensors = {"weight": weight, "bias": bias}
        logits = kind.features(data.sequences[checks], data.position(checks), parameters) @ weight.T + bias
    ap = mean_ap(data.targets[checks], log_odds(logits, data.exclusive), data.targets.known(checks))
    linear.save_tensors(folder, {**about, "validation_ap": ap}, tensors)
    size = int(sum(np.size(one) for one in tensors.values()))
    return {"parameters": size, "trained_parameters": size, "sequences": len(rows), "steps": 0, "epochs": 0, "validation_ap": ap}
