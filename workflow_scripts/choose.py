"""Choose a model's settings: those of the trial with the highest validation AP."""

import json
import logging
from pathlib import Path

import pandas as pd

from regdna.step import InputError, run
from regdna.store import atomic, write_json
from regdna.tuning import choose

log = logging.getLogger("regdna")


def main(trials: list[Path], tuning: Path, table: Path, model: str) -> None:
    """Write the chosen settings to ``tuning`` and a row a trial to ``table``.

    The table is a file of its own: a further trial that changes no choice must leave ``tuning`` as it was, or the model trains again.

    Args:
        trials: trial.json of each.
        tuning: what is written: trial; training and parameters, those that the trial set otherwise than the study.
        table: what is written: trial, validation_ap, chosen, seconds, the settings that differ, message.

    Raises:
        InputError: all trials failed.
    """
    done = [json.loads(path.read_text()) for path in trials]
    try:
        best = choose(done)
    except InputError as error:
        raise InputError(f"models.{model}: {error}; narrow the model's space in resources/tuning.yaml or lower its learning rate") from None
    write_json(tuning, {"trial": best["trial"], "training": {}, "parameters": {}, **best["drawn"]})
    keys = [(part, key) for part in ("training", "parameters") for key in best["settings"][part]]
    varied = [(part, key) for part, key in keys if any(key in one["drawn"].get(part, {}) for one in done)]
    rows = [
        {"trial": one["trial"], "validation_ap": one["validation_ap"], "chosen": one is best, "seconds": one["compute"]["wall_seconds"]}
        | {key: one["settings"][part][key] for part, key in varied}
        | {"message": one["message"] or ""}
        for one in done
    ]
    with atomic(table) as temporary:
        pd.DataFrame(rows).to_csv(temporary, sep="\t", index=False)
    said = ", ".join(f"{key} {best['settings'][part][key]}" for part, key in varied) or "nothing was varied"
    log.info("%s: trial %d of %d, validation AP %.4f: %s", model, best["trial"], len(done), best["validation_ap"], said)


if __name__ == "__main__":
    run(main)
