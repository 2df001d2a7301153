"""Tuning: every model of a study gets the same number of random draws of its settings; the best on the validation windows is used."""

import hashlib

from regdna.manifest import validate
from regdna.step import InputError


def check(spaces: dict, architectures: dict, training: dict, name: str) -> dict:
    """The spaces themselves, after a look at what their own schema cannot say.

    Args:
        spaces: content of ``resources/tuning.yaml``, validated.
        architectures: name to an object with family, sizes and parameters.
        training: schema of training settings.
        name: file to name in messages.

    Raises:
        InputError: a key that no model of the family has, a range without width, a value that the setting may not have.
    """
    for space, content in spaces.items():
        family = [one for one in architectures.values() if one.family == content["family"]]
        known = {"training": set(training["properties"]), "parameters": {key for one in family for key in (one.sizes | one.parameters)}}
        for part, keys in known.items():
            for key, choice in content[part].items():
                place = f"{name}: {space}.{part}.{key}"
                if key not in keys:
                    raise InputError(f"{place}: no model of family {content['family']} has such a setting; take it out")
                if isinstance(choice, dict) and not choice["low"] < choice["high"]:
                    raise InputError(f"{place}: low {choice['low']} is not below high {choice['high']}; mend it")
                if isinstance(choice, dict) and choice["scale"] == "log" and choice["low"] <= 0:
                    raise InputError(f"{place}: a log scale begins above 0, not at {choice['low']}; mend it")
                if part == "training":
                    for value in choice if isinstance(choice, list) else (choice["low"], choice["high"]):
                        validate({key: value}, training, name, f"{space}.training.")
    return spaces


def fitting(spaces: dict, family: str, entry: dict) -> dict:
    """The first space that is for such a model, less what the model has not: name, training, parameters; {} if nothing is left.

    Args:
        spaces: as of ``check``.
        family: of the model's architecture.
        entry: the model's entry, with all of its parameters and training settings.
    """
    for name, space in spaces.items():
        if space["family"] == family and entry["regime"] in space["regimes"] and entry["initialisation"] in space["starts"]:
            kept = {part: {key: one for key, one in space[part].items() if key in entry[part]} for part in ("training", "parameters")}
            return {"name": name, **kept} if any(kept.values()) else {}
    return {}


def draw(space: dict, entry: dict, trial: int) -> dict:
    """What a trial sets otherwise than the study does: ``training`` and ``parameters``; {} for trial 0, which keeps the study's.

    Where between its bounds a value lies depends on the trial and the key's name alone, so that no model is luckier than another
    and a further trial leaves the earlier ones as they are. Values have three significant digits.

    Args:
        space: as of ``fitting``.
        entry: the model's entry; where its value is a list of numbers, a range is of factors for all of them.
        trial: from 0.

    Source: Bergstra and Bengio 2012, J Mach Learn Res 13:281 (random search).
    """
    if trial == 0:
        return {}
    return {
        part: {key: _value(choice, entry[part][key], _chance(trial, key)) for key, choice in space[part].items()}
        for part in ("training", "parameters")
    }


def _chance(trial: int, key: str) -> float:
    """A number from 0 to below 1."""
    return (int.from_bytes(hashlib.sha256(f"{trial} {key}".encode()).digest()[:8]) >> 11) / 2**53


def _value(choice: list | dict, written: object, chance: float) -> object:
    if isinstance(choice, list):
        return choice[int(chance * len(choice))]
    low, high = choice["low"], choice["high"]
    drawn = low * (high / low) ** chance if choice["scale"] == "log" else low + (high - low) * chance
    # Only rates come in lists and in ranges (dropout of each layer): one that is scaled stays below 1.
    return [_short(min(one * drawn, 0.9)) for one in written] if isinstance(written, list) else _short(drawn)


def _short(number: float) -> float:
    return float(f"{number:.3g}")


def apply(entry: dict, chosen: dict) -> dict:
    """A model's entry with what was drawn in place of what the study says.

    Args:
        chosen: as ``draw`` gives it, or the content of ``tuning.json``: any of ``training`` and ``parameters``; more keys do not matter.
    """
    return {**entry, **{part: {**entry[part], **chosen.get(part, {})} for part in ("training", "parameters")}}


def choose(trials: list[dict]) -> dict:
    """The trial with the highest validation AP, of equal ones the first.

    Args:
        trials: each with trial, validation_ap (None where it failed) and message (why).

    Raises:
        InputError: all failed.
    """
    done = [one for one in trials if one["validation_ap"] is not None]
    if not done:
        raise InputError(f"none of {len(trials)} trials ended; the first says: {trials[0]['message']}")
    return min(done, key=lambda one: (-one["validation_ap"], one["trial"]))
