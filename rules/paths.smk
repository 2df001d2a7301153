"""Where things lie: the files that rules read, by what a study says."""

import os
from types import SimpleNamespace


def source_file(path):
    """Where a `source/file` of a study lies once fetched."""
    return f"results/sources/{path}"


def origin(wildcards):
    """What a source's file is taken from, if not from an address: a file at hand, or the archive that holds it."""
    entry = SOURCES[wildcards.source]["files"][wildcards.file]
    if "archive" in entry:
        return {"archive": source_file(f"{wildcards.source}/{entry['archive']}")}
    return {"origin": entry["path"]} if "path" in entry else {}


def content(wildcards):
    """What a file at hand holds: one that is put in its place may be older. Of one that cannot be read the step says so."""
    path = SOURCES[wildcards.source]["files"][wildcards.file].get("path", "")
    return fingerprint(Path(path)) if os.path.isfile(path) and os.access(path, os.R_OK) else ""


def genome_files(entry):
    """Codes, index and mask of a dataset's genome."""
    return [f"results/sources/{entry['genome']}/genome.{suffix}" for suffix in ("npy", "tsv", "mask.npy")]


def genome(wildcards):
    """The genome of a dataset that has one."""
    entry = dataset(wildcards)
    return {"genome": genome_files(entry)} if "genome" in entry else {}


def own_files(wildcards):
    """What a dataset of sequences is read from."""
    entry = dataset(wildcards)["sequences"]
    named = {name: source_file(entry[name]) for name in ("positions", "names") if name in entry}
    return {"files": [source_file(one["file"]) for one in entry["files"]], **named, **genome(wildcards)}


def material(wildcards):
    """What a dataset's windows are made from: its sequences, or its genome and what decides where on it."""
    entry, folder = dataset(wildcards), f"results/{wildcards.study}/{wildcards.dataset}"
    named = {name: source_file(entry[name]) for name in ("tss", "repeats") if name in entry}
    if "sequences" in entry:
        return {"records": f"{folder}/records.parquet", "sequences": f"{folder}/sequences.npy", **named}
    centres = {"centres": source_file(entry["windows"]["centres"])} if "centres" in entry["windows"] else {}
    exclude = [source_file(path) for path in entry["windows"]["exclude"]]
    return {"genome": genome_files(entry), **centres, **({"exclude": exclude} if exclude else {}), **named}


def sequence_files(wildcards):
    """What a dataset's sequences are read from: an array of its own, or its genome."""
    if "sequences" in dataset(wildcards):
        return {"sequences": f"results/{wildcards.study}/{wildcards.dataset}/sequences.npy"}
    return genome(wildcards)


def label_files(wildcards):
    """What a dataset's windows are labelled from, in the order of its targets."""
    entry, folder = dataset(wildcards), f"results/{wildcards.study}/{wildcards.dataset}"
    if "sequences" in entry:
        return {"labels": f"{folder}/labels.npy", "names": f"{folder}/labels.tsv"}
    intervals = [source_file(one["intervals"]) for one in entry["targets"].values() if "intervals" in one]
    signals = {"signals": f"{folder}/signals.npy"} if any("signal" in one for one in entry["targets"].values()) else {}
    return {**({"intervals": intervals} if intervals else {}), **signals, "assemblies": ancient("resources/assemblies.tsv")}


def files_of(source):
    """Every fetched file of a source."""
    return [source_file(f"{source}/{file}") for file in SOURCES[source]["files"]]


def weights(wildcards):
    """The published weights that a model has its sizes from and what was found in them; nothing for sizes of its own."""
    source = model(wildcards).get("weights")
    # Fetched again they are what they were, or vault.json is another.
    return {"vault": f"results/sources/{source}/vault.json", "weights": ancient(files_of(source))} if source else {}


def drawn(wildcards):
    """What a trial sets otherwise than the study does."""
    entry = model(wildcards)
    if not entry["tuning"] or int(wildcards.trial) >= entry["tuning"]["trials"]:
        raise WorkflowError(
            f"{wildcards.study}: model {wildcards.model} has no trial {wildcards.trial}; the study's 'tuning' says how many"
        )
    return draw(entry["tuning"]["space"], entry, int(wildcards.trial))


def settings(wildcards):
    """The settings chosen for a model that is tuned, or whose base is; nothing for others.

    Asked of the checkpoint, not named: only so does Snakemake look again, once the choice is made, whether it is another than before.
    """
    base = model(wildcards).get("base", wildcards.model)
    if not STUDIES[wildcards.study]["models"][base]["tuning"]:
        return {}
    chosen = checkpoints.choose_settings.get(study=wildcards.study, dataset=wildcards.dataset, model=base)
    return {"tuning": chosen.output.tuning}


def frozen(wildcards):
    """What decides the embeddings of a model's network before training, and nothing else; nothing where it needs none.

    A probe is fitted on them, and the pooling `best` is chosen by them.
    """
    entry = model(wildcards)
    known, kept = ARCHITECTURES[entry["architecture"]], recipe(wildcards)
    if known.family != "transformer" or (entry["regime"] != "probe" and entry["parameters"]["pooling"] != "best"):
        return {}
    sizes = {name: value for name, value in entry["parameters"].items() if name in known.sizes or name == "pooling"}
    names = ("architecture", "weights", "initialisation", "context")
    return {name: kept[name] for name in names if name in kept} | {
        "parameters": sizes,
        # The others change weights and labels, not what is seen.
        "control": "" if entry["control"] in ("random-init", "shuffled-labels", "held-out-cells") else entry["control"],
        "centre": kept.get("centre", 0),
        "precision": entry["training"]["precision"],
    }


@cache
def networks(study, dataset):
    """The models of a dataset, each with its seeds and what decides its embeddings: looked up once, not by each job for all others."""
    look = lambda model: SimpleNamespace(study=study, dataset=dataset, model=model)
    return [(model, STUDIES[study]["models"][model]["seeds"], frozen(look(model))) for model in models_of(study, dataset)]


def embedded(wildcards):
    """The embeddings that a model's training reads: those of the first model of the study whose network is the same before training."""
    wanted, study = frozen(wildcards), STUDIES[wildcards.study]
    if not wanted:
        return {}
    # A network that is published and frozen has no seed; a trial has the first.
    seed = study["seeds"][0] if wanted["initialisation"] == "published" else int(wildcards.get("seed", study["seeds"][0]))
    for first, seeds, network in networks(wildcards.study, wildcards.dataset):
        if seed in seeds and network == wanted:
            break
    return {"embeddings": f"results/{wildcards.study}/{wildcards.dataset}/{first}/seed{seed}/embeddings"}


def signal_files(wildcards):
    """The bigWig files of a dataset's targets, in their order."""
    return [source_file(one["signal"]) for one in dataset(wildcards)["targets"].values() if "signal" in one]
