"""Row zero: a logistic regression on features of the sequence."""

from pathlib import Path

from regdna import models
from regdna.models import linear
from regdna.models.classifier import log_odds
from regdna.train.data import Data
from regdna.train.measure import mean_ap


def fit(about: dict, data: Data, folder: Path) -> dict:
    """Fit a row-zero model and save it to ``folder``; gives what to add to the ledger."""
    rows, checks = data.rows("train"), data.rows("validation")
    features = models.module(about["architecture"]).features
    seen = features(data.sequences[rows], data.position(rows), about["parameters"])
    known = data.targets.known(rows)
    weight, bias = linear.fit_logistic(seen, data.targets[rows], data.exclusive, about["parameters"]["l2"], known)
    odds = log_odds(features(data.sequences[checks], data.position(checks), about["parameters"]) @ weight.T + bias, data.exclusive)
    ap = mean_ap(data.targets[checks], odds, data.targets.known(checks))
    linear.save(folder, {**about, "validation_ap": ap}, weight, bias)
    size = int(weight.size + bias.size)
    return {"parameters": size, "trained_parameters": size, "sequences": len(rows), "steps": 0, "epochs": 0, "validation_ap": ap}
