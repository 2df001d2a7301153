"""What a study asks about dependencies: contexts and pairs of motifs, and of which models."""

from regdna.manifest import nearest
from regdna.step import InputError


def view(study: dict, dataset: str, model: str) -> int:
    """Bases of a dataset's windows that a model sees; 0 where only the dataset's files tell."""
    entry = study["datasets"][dataset]
    length = entry["windows"]["context"] if "windows" in entry else entry["sequences"]["length"]
    return int(study["models"][model]["context"] or length)


def narrowed(study: dict, dataset: str, model: str) -> bool:
    """Whether a model's skill is measured against context: it reads sequence, is no control, and sees more than the narrowest."""
    entry, contexts, length = study["models"][model], study["evaluation"]["contexts"], view(study, dataset, model)
    return bool(contexts) and not entry["control"] and entry["architecture"] != "position" and (not length or min(contexts) < length)


def paired(study: dict, model: str) -> bool:
    """Whether motifs are planted for a model: its effects are scored, or it adds up k-mers, which shows what no interaction looks like."""
    entry = study["models"][model]
    return not entry["control"] and (entry["mutagenesis"] or entry["architecture"] == "kmer-logistic")


def check_dependencies(study: dict, name: str) -> None:
    """Refuse contexts, motifs and positions that no model could be asked about.

    Args:
        study: validated, its models completed.
        name: file to name in messages.

    Raises:
        InputError: one line on the first thing that does not fit.
    """
    runs = [(dataset, model) for dataset in study["datasets"] for model, one in study["models"].items() if dataset in one["datasets"]]
    contexts = study["evaluation"]["contexts"]
    if contexts and not any(narrowed(study, *run) for run in runs):
        raise InputError(f"{name}: evaluation.contexts: no model sees more than {min(contexts)} bp; give a narrower one")
    asked, key = study.get("interactions"), f"{name}: interactions"
    if asked is None:
        return
    for pair in asked["pairs"]:
        for motif in pair:
            if motif not in asked["motifs"]:
                raise InputError(f"{key}.pairs: {motif!r} is not among the motifs{nearest(motif, asked['motifs'])}")
    idle = sorted(set(asked["motifs"]) - {motif for pair in asked["pairs"] for motif in pair})
    if idle:
        raise InputError(f"{key}.motifs: {idle[0]!r} is in no pair; add one to 'pairs', or take it out")
    if not asked["pairs"] and not asked["positions"]:
        raise InputError(f"{key}: nothing is asked; give 'motifs' and 'pairs', or 'positions'")
    mine = [(dataset, model) for dataset, model in runs if paired(study, model)]
    if asked["pairs"] and not mine:
        raise InputError(f"{key}.pairs: no model has 'mutagenesis: true', nor is one a kmer-logistic; give it to one")
    for dataset, model in mine:
        for pair in asked["pairs"]:
            width, length = sum(len(asked["motifs"][motif]) for motif in pair) + min(asked["spacings"]), view(study, dataset, model)
            if length and width > length:
                said = f"{' and '.join(pair)} take {width} bp or more, but {model} sees {length} of {dataset}"
                raise InputError(f"{key}.spacings: {said}; give a shorter one")
    scored = [dataset for dataset, model in mine if study["models"][model]["mutagenesis"] and study["datasets"][dataset]["loci"]]
    if asked["positions"] and not scored:
        raise InputError(f"{key}.positions: no dataset has 'loci' and a model with 'mutagenesis: true'; give both, or take it out")
