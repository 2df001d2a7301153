"""How models were trained, in sentences, from the settings that the study has and the runs that were made of them."""

from regdna.page.results import Results
from regdna.page.training import descends

SCHEDULES = {"cosine": "falls along half a cosine to 0", "linear": "falls in a straight line to 0", "constant": "stays"}


def training(results: Results) -> list[str]:
    """Paragraphs on descent, tuning, probes and seeds; each only where the study has some."""
    models = {model: entry for model, entry in results.study["models"].items() if not entry["control"]}
    networks = [model for model in models if descends(results, model)]
    probes = any(entry["regime"] == "probe" for entry in models.values())
    return [*(descent(results, networks) if networks else []), *(tuning(results) if results.tuned else []), *([PROBES] if probes else []),
            seeds(results)]  # fmt: skip


def descent(results: Results, networks: list[str]) -> list[str]:
    """How networks descend, and which of them do so otherwise."""
    say = results.study["training"]
    ran = sorted({job.cost["precision"] for job in results.jobs if job.model in networks})
    decay = f", and each layer has {say['layer_decay']:g} times the rate of the one above" if say["layer_decay"] < 1 else ""
    warm = f"rises over the first {say['warmup']:.0%} of updates to" if say["warmup"] else "begins at"
    shift = f", all are shifted by up to {say['shift']} bp" if say["shift"] else ""
    changed = (
        "half of the windows of each update are shown on the other strand" if say["reverse_complement"] else "windows are shown as they are"
    )
    retries = f"; up to {many(say['retries'], 'further seed')} in its place, and each is told" if say["retries"] else ""
    kept = ", with weights kept in float32" if "bf16" in ran else ""
    balance = " Positives weigh as much as the negatives of their target." if say["balance"] else ""
    sentences = [
        f"Networks descend by AdamW (weight decay {say['weight_decay']:g}, on matrices alone) in updates of {say['batch_size']:,} windows. "
        f"The learning rate {warm} {say['learning_rate']:g} and then {SCHEDULES[say['schedule']]}{decay}; the gradient’s norm is held to "
        f"{say['clip']:g}; {changed}{shift}.{balance} Computed in {' and '.join(ran)}{kept}.",
        f"Mean AP on the validation windows is taken after every epoch. Training ends after {many(say['epochs'], 'epoch')}, or after "
        f"{say['patience']} without a better one, and the weights of the best epoch are kept. A run whose best validation AP is within "
        f"three standard deviations of that of its scores in random order has collapsed{retries}.",
    ]
    others = {model: otherwise(say, results.study["models"][model]["training"]) for model in networks}
    said = "; ".join(f"{model}: {words}" for model, words in others.items() if words)
    return [*sentences, *([f"Otherwise by the study: {said}."] if said else [])]


def many(count: int, what: str) -> str:
    """A number of things."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def otherwise(study: dict, model: dict) -> str:
    """The settings that a model has otherwise than the study."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in model.items() if value != study[name])


def tuning(results: Results) -> list[str]:
    """How settings were looked for, and where."""
    whole = results.study["tuning"]
    spaces: dict[str, dict] = {}
    for model in dict.fromkeys(model for _, model in results.tuned):
        space = results.study["models"][model]["tuning"]["space"]
        held = spaces.setdefault(space["name"], {"models": [], "settings": {}})
        held["models"].append(model)
        held["settings"] |= space["training"] | space["parameters"]
    said = "; ".join(
        f"{name} ({', '.join(held['models'])}): {', '.join(choice(*one) for one in held['settings'].items())}"
        for name, held in spaces.items()
    )
    return [
        f"Settings were sought at random (Bergstra and Bengio 2012): {many(whole['trials'], 'trial')} of each model and dataset, with seed "
        f"{results.study['seeds'][0]} and {whole['share']:.0%} of the training windows, the same ones for all. Trial 0 keeps the settings "
        f"as the study writes them; where in its range a value of another lies depends on the trial and the setting alone. The trial with "
        f"the highest mean AP on validation windows gives the settings of every seed and control. Spaces: {said}."
    ]


def choice(name: str, values: list | dict) -> str:
    """A setting and where it was sought."""
    name = name.replace("_", " ")
    if isinstance(values, list):
        return f"{name} {' or '.join(str(value) for value in values)}"
    return f"{name} {values['low']:g} to {values['high']:g}{' (log)' if values['scale'] == 'log' else ''}"


PROBES = (
    "Probes are logistic regressions on the pooled states of a layer of the frozen network. Every layer is tried with every pooling that "
    "the model has and every penalty; the layer, pooling and penalty with the highest mean AP on validation windows are kept."
)


def seeds(results: Results) -> str:
    """Which seeds there are and who has them."""
    listed = results.study["seeds"]
    entries = results.study["models"]
    once = ["row zero"] * any(results.family(model) == "row zero" for model in entries)
    once += ["probes on published weights"] * any(
        (one["regime"], one["initialisation"]) == ("probe", "published") for one in entries.values()
    )
    once += ["controls"] * any(one["control"] for one in entries.values())
    many = f"Seeds: {', '.join(map(str, listed))}; a seed decides first weights, order of windows, augmentation and dropout."
    return f"{many} The first alone is that of {' and '.join(once)}." if once and len(listed) > 1 else many
