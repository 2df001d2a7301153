"""The models of a study: completed from registry, weights and the study's settings, and checked, before any job starts."""

import copy
from collections.abc import Callable

from regdna import tuning
from regdna.manifest import nearest, validate
from regdna.step import InputError

Limits = Callable[[str, dict], tuple[int, int | None]]


def complete_models(study: dict, architectures: dict, sources: dict, limits: Limits, schema: dict, name: str, spaces: dict) -> dict:
    """Give every model its architecture, parameters, start, limits and training settings, check them, and put its controls behind it.

    A model's ``limits`` are the shortest and the longest sequence in bp that it takes, None for no limit. Its ``tuning`` is trials,
    share and the space of its own, or {} where nothing is tuned. A control is a model as any other: ``control`` says which, ``base`` of
    which model; it has one seed and the settings that its base was given or is tuned to.

    Args:
        study: a validated study.
        architectures: name to an object with sizes, parameters, regimes and family.
        sources: every source, completed.
        limits: limits of an architecture with these parameters.
        schema: of a study.
        name: file to name in messages.
        spaces: where settings are looked for, as ``tuning.check`` gives them.

    Raises:
        InputError: an unknown architecture, source of weights, parameter or setting, one of the wrong type or without effect, a
            regime or start that the model has not, a draw that it cannot have, or a control that says nothing of it.
    """
    study = copy.deepcopy(study)
    for model, entry in study["models"].items():
        key = f"{name}: models.{model}"
        checkpoint = _checkpoint(entry, sources, key)
        if entry["architecture"] not in architectures:
            place = f"{key}.architecture" if checkpoint is None else f"{key}.weights: source {entry['weights']}: checkpoint.architecture"
            raise InputError(f"{place}: {entry['architecture']!r} is not known{nearest(entry['architecture'], architectures)}")
        known = architectures[entry["architecture"]]
        if entry["regime"] not in known.regimes:
            raise InputError(f"{key}.regime: {entry['architecture']} has {', '.join(known.regimes)}, not {entry['regime']}")
        if checkpoint is None:
            entry["parameters"] = _override(known.sizes | known.parameters, entry["parameters"], f"{key}.parameters")
            entry["limits"] = _limits(limits, entry, key)
        else:
            size = next((one for one in entry["parameters"] if one in known.sizes), None)
            if size:
                raise InputError(f"{key}.parameters.{size}: a size, and sizes are those of the weights; take it out")
            entry["parameters"] = _override(known.parameters, entry["parameters"], f"{key}.parameters")
            shortest = checkpoint["context"] if known.family == "cnn" else 1
            entry["limits"] = [shortest, checkpoint["context"] or None]
        for one, values in known.choices.items():
            if entry["parameters"][one] not in values:
                raise InputError(f"{key}.parameters.{one}: {entry['parameters'][one]!r} is not one of {', '.join(values)}")
        if entry["regime"] == "probe" and entry["parameters"].get("pooling") == "attention":
            raise InputError(f"{key}.parameters.pooling: attention has weights of its own, and a probe trains none; choose another")
        entry["training"] = _override(study["training"], entry["training"], f"{key}.training", sizes=False)  # the schema has their limits
        validate(entry["training"], {**schema["$defs"]["training"], "$defs": schema["$defs"]}, name, f"models.{model}.training.")
        # Row zero and a probe on published weights draw no random numbers: further seeds would repeat the first.
        drawn = known.family != "row zero" and (entry["regime"], entry["initialisation"]) != ("probe", "published")
        entry["seeds"] = list(study["seeds"]) if drawn else study["seeds"][:1]
        for dataset in entry["datasets"]:
            if dataset not in study["datasets"]:
                raise InputError(f"{key}.datasets: {dataset!r} is not a dataset of the study{nearest(dataset, study['datasets'])}")
        entry["datasets"] = entry["datasets"] or list(study["datasets"])
        without = [one for one in entry["datasets"] if entry["architecture"] == "position" and not _placed(study["datasets"][one])]
        if without:
            raise InputError(
                f"{key}: it tells labels from where windows lie, and sequences of {without[0]} have no coordinates; list other datasets in "
                "its 'datasets'"
            )
        entry["tuning"] = _tuning(study, entry, known.family, spaces, schema, f"{name}: models.{model}")
    study["models"] = {one: entry for model in study["models"] for one, entry in _with_controls(study, model, name)}
    return study


def _placed(dataset: dict) -> bool:
    """Whether the windows of a dataset have coordinates, as far as its entry tells."""
    sequences = dataset.get("sequences", {"columns": {"chrom": ""}, "files": []})
    ends = (".npz", ".bed", ".bed.gz")
    return "chrom" in sequences["columns"] or "positions" in sequences or any(one["file"].endswith(ends) for one in sequences["files"])


def _tuning(study: dict, entry: dict, family: str, spaces: dict, schema: dict, key: str) -> dict:
    """Trials, share and space of a model that is tuned, after a look at what each trial draws."""
    space = tuning.fitting(spaces, family, entry) if "tuning" in study else {}
    for trial in range(study["tuning"]["trials"] if space else 0):
        drawn = tuning.draw(space, entry, trial)
        place = f"{key}: tuning, trial {trial}, space {space['name']} of resources/tuning.yaml"
        _override(entry["parameters"], drawn.get("parameters", {}), f"{place}: parameters")
        validate(drawn.get("training", {}), {**schema["$defs"]["training"], "$defs": schema["$defs"]}, place, "training.")
    return {**study["tuning"], "space": space} if space else {}


def _with_controls(study: dict, model: str, name: str) -> list[tuple[str, dict]]:
    """A model and its controls, by id."""
    entry = study["models"][model]
    key = f"{name}: models.{model}.controls"
    found = [(model, {**entry, "control": ""})]
    for control in entry["controls"]:
        one = f"{model}-{control}"
        if one in study["models"]:
            raise InputError(f"{key}: {control} would be called {one!r}, which is a model of the study; rename that")
        if control == "random-init" and entry["initialisation"] != "published":
            raise InputError(
                f"{key}: random-init is a model without what its weights learnt, but this one begins with random ones; take it out"
            )
        apart = [dataset for dataset in entry["datasets"] if study["datasets"][dataset].get("transfer", {}).get("held_out")]
        if control == "held-out-cells" and not apart:
            raise InputError(f"{key}: held-out-cells needs cell types to hold out; give one of its datasets transfer: {{held_out: [...]}}")
        for dataset in entry["datasets"] if control in ("flank-only", "centre-only") else ():
            windows = study["datasets"][dataset].get("windows")
            view = windows and (entry["context"] or windows["context"])
            if windows and view <= windows["bin"]:
                raise InputError(
                    f"{key}: {control} needs a flank, but of {dataset} the model sees {view} bp and the bin has {windows['bin']}"
                )
        twin = {"control": control, "base": model, "controls": [], "seeds": entry["seeds"][:1], "tuning": {}, "mutagenesis": False}
        twin |= {"initialisation": "random"} if control == "random-init" else {}
        twin |= {"datasets": apart} if control == "held-out-cells" else {}
        found.append((one, copy.deepcopy(entry) | twin))
    return found


def _checkpoint(entry: dict, sources: dict, key: str) -> dict | None:
    """What a model's weights are, None without any; its architecture and its start are put into the entry where they are left out."""
    entry.setdefault("initialisation", "published" if "weights" in entry else "random")
    if "weights" not in entry:
        if "architecture" not in entry:
            raise InputError(f"{key}: 'architecture' is missing; add it, or 'weights'")
        if entry["initialisation"] == "published":
            raise InputError(f"{key}.initialisation: published weights need 'weights', the source of them; add it, or say random")
        return None
    held = {name: source["checkpoint"] for name, source in sources.items() if "checkpoint" in source}
    if entry["weights"] not in held:
        why = "has no 'checkpoint'" if entry["weights"] in sources else "is neither in resources/sources.yaml nor in the study"
        raise InputError(f"{key}.weights: source {entry['weights']!r} {why}{nearest(entry['weights'], held)}")
    checkpoint = held[entry["weights"]]
    if entry.setdefault("architecture", checkpoint["architecture"]) != checkpoint["architecture"]:
        raise InputError(
            f"{key}.architecture: {entry['architecture']}, but source {entry['weights']} is {checkpoint['architecture']}; take it out"
        )
    return checkpoint


def _limits(limits: Limits, entry: dict, key: str) -> list[int | None]:
    try:
        return list(limits(entry["architecture"], entry["parameters"]))
    except ValueError as error:  # sizes that no network can have
        raise InputError(f"{key}.parameters: {error}") from None


def _override(defaults: dict, given: dict, key: str, sizes: bool = True) -> dict:
    for name, value in given.items():
        if name not in defaults:
            raise InputError(f"{key}.{name}: unknown key{nearest(name, defaults)}")
        default = defaults[name]
        kinds = f"{type(default).__name__} of {type(default[0]).__name__}" if isinstance(default, list) else type(default).__name__
        if not _alike(value, default):
            raise InputError(f"{key}.{name}: {value!r} is not of type {kinds}; write {_hint(value)}")
        if sizes and any(number < (1 if isinstance(number, int) else 0) for number in _numbers(value, default)):
            raise InputError(f"{key}.{name}: {value!r} is too small; sizes are at least 1, rates at least 0")
    return {**defaults, **given}


def _hint(value: object) -> str:
    # YAML reads 3e-5 as text: a number needs a point before its exponent.
    try:
        return f"{float(value):.1e}" if isinstance(value, str) else "one"
    except ValueError:
        return "one"


def _alike(value: object, default: object) -> bool:
    """Whether a value has its default's type; whole numbers do for fractions, lists must be of the same things."""
    if isinstance(default, list):
        return isinstance(value, list) and bool(value) and all(_alike(one, default[0]) for one in value)
    if isinstance(value, bool) or isinstance(default, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    return isinstance(value, type(default)) or (isinstance(default, float) and isinstance(value, int))


def _numbers(value: object, default: object) -> list:
    """The numbers in a parameter, as its default's type; none where 0 is a setting (shift)."""
    if isinstance(default, list):
        return [number for one in value for number in _numbers(one, default[0])]
    if isinstance(default, bool) or not isinstance(default, int | float) or default == 0:
        return []
    return [type(default)(value)]
