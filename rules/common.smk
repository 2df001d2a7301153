"""Functions that rules look things up with, over studies that are validated before any rule exists."""

import re
import sys
from pathlib import Path

import pandas as pd
from snakemake.exceptions import WorkflowError

SCRIPTS = Path(workflow.basedir) / "workflow_scripts"
sys.path.insert(0, str(SCRIPTS))

from regdna.models import ARCHITECTURES, modules
from regdna.provenance import code_digest
from regdna.step import InputError
from regdna.study import read_studies, read_yaml, validate

SCHEMAS = Path(workflow.basedir) / "rules/schemas"
SOURCES = read_yaml(Path("resources/sources.yaml"))
ASSEMBLIES = pd.read_csv("resources/assemblies.tsv", sep="\t")
LOCI = pd.read_csv("resources/loci.tsv", sep="\t", index_col="locus")

try:
    validate(config, read_yaml(SCHEMAS / "config.schema.yaml"), "config.yaml")
    STUDIES = read_studies(
        Path(config["studies"]),
        config["study"],
        read_yaml(SCHEMAS / "study.schema.yaml"),
        ARCHITECTURES,
        SOURCES,
        ASSEMBLIES,
        LOCI,
    )
except InputError as error:
    raise WorkflowError(str(error)) from None

DATASETS = sorted({name for study in STUDIES.values() for name in study["datasets"]})
MODELS = sorted({name for study in STUDIES.values() for name in study["models"]})
VARIANTS = sorted({name for study in STUDIES.values() for one in study["datasets"].values() for name in one["variants"]})
FILES = sorted({file for source in SOURCES.values() for file in source["files"]})


def code(script):
    """Digest of what a script and its local imports say."""
    return code_digest(SCRIPTS / script)


def model_code(script):
    """The same for a script that runs a model: the chosen architecture is followed, the others are not."""

    def digest(wildcards):
        return code_digest(SCRIPTS / script, modules(model(wildcards)["architecture"]))

    return digest


def dataset(wildcards):
    """The dataset's entry in its study."""
    return STUDIES[wildcards.study]["datasets"][wildcards.dataset]


def model(wildcards):
    """The model's entry in its study."""
    return STUDIES[wildcards.study]["models"][wildcards.model]


def source_file(path):
    """Where a `source/file` of a study lies once fetched."""
    return f"results/sources/{path}"


def origin(wildcards):
    """The embedded file that a source's file is taken from."""
    return SOURCES[wildcards.source]["files"][wildcards.file]["path"]


def material(wildcards):
    """What a dataset's windows are made from: the shards of its sites, or the index of its genome."""
    entry = dataset(wildcards)
    if "sites" in entry:
        return {"sites": [source_file(f"{entry['sites']}/{file}") for file in SOURCES[entry["sites"]]["files"]]}
    return {"genome": genome_files(entry)}


def genome_files(entry):
    """Codes and index of a dataset's genome."""
    return [f"results/sources/{entry['genome']}/genome.{suffix}" for suffix in ("npy", "tsv")]


def sequence_files(wildcards):
    """What a dataset's sequences are read from: an array of its own, or its genome."""
    entry = dataset(wildcards)
    if "sites" in entry:
        return {"sequences": f"results/{wildcards.study}/{wildcards.dataset}/sequences.npy"}
    return {"genome": genome_files(entry)}


def annotation(wildcards):
    """Transcription start sites of a dataset, if it names some."""
    entry = dataset(wildcards)
    return {"tss": source_file(entry["tss"])} if "tss" in entry else {}


def interval_files(wildcards):
    """What a dataset's windows are labelled from, in the order of its targets."""
    entry = dataset(wildcards)
    if "sites" in entry:
        return material(wildcards)
    return {"intervals": [source_file(one["intervals"]) for one in entry["targets"].values()]}


def gpus(wildcards):
    """One GPU for a network, none for row zero."""
    return 0 if ARCHITECTURES[model(wildcards)["architecture"]].family == "row zero" else 1


def models_of(study, dataset):
    """Ids of the models that run on a dataset, in the study's order."""
    return [name for name, one in STUDIES[study]["models"].items() if dataset in one["datasets"]]


def results_of(study, models=None):
    """`results/study/dataset/model` of every dataset and model, or of those models that `models` holds for."""
    entries = STUDIES[study]["models"]
    return [
        f"results/{study}/{dataset}/{model}"
        for dataset in STUDIES[study]["datasets"]
        for model in models_of(study, dataset)
        if models is None or models(entries[model])
    ]


def runs_of(study, dataset=None):
    """`results/study/dataset/model/seed1` and so on, of one dataset or all."""
    folders = [path for path in results_of(study) if dataset in (None, Path(path).parts[2])]
    return [f"{path}/seed{seed}" for path in folders for seed in STUDIES[study]["models"][Path(path).parts[3]]["seeds"]]


def runs_of_model(wildcards):
    """Runs of one model on one dataset, one a seed."""
    seeds = model(wildcards)["seeds"]
    return [f"results/{wildcards.study}/{wildcards.dataset}/{wildcards.model}/seed{seed}" for seed in seeds]


def checkpoints(wildcards):
    """Checkpoints of one model on one dataset, one a seed."""
    return [f"{run}/checkpoint" for run in runs_of_model(wildcards)]


def effects_of(study):
    """Mutagenesis and variant scores of the models that ask for them."""
    paths = []
    for folder in results_of(study, lambda entry: entry["mutagenesis"]):
        entry = STUDIES[study]["datasets"][Path(folder).parts[2]]
        paths += [f"{folder}/mutagenesis/{locus}.npz" for locus in entry["loci"]]
        paths += [f"{folder}/variants/{variants}.parquet" for variants in entry["variants"]]
    return paths


def sources_of(study):
    """Every fetched file that a study reads."""
    paths = set()
    for entry in STUDIES[study]["datasets"].values():
        for source in (entry[use] for use in ("sites", "genome") if use in entry):
            paths |= {source_file(f"{source}/{file}") for file in SOURCES[source]["files"]}
        named = [entry.get("tss"), *entry["variants"].values(), *(one["intervals"] for one in entry.get("targets", {}).values())]
        paths |= {source_file(path) for path in named if path}
    return sorted(paths)


PHASES = {
    "sources": sources_of,
    "windows": lambda study: [
        f"results/{study}/{name}/{file}" for name in STUDIES[study]["datasets"] for file in ("splits.json", "targets.tsv")
    ],
    "train": lambda study: [f"{run}/checkpoint" for run in runs_of(study)],
    "variants": effects_of,
    "evaluate": lambda study: [f"results/{study}/comparison.parquet", *(f"{path}/metrics.parquet" for path in results_of(study))],
    "report": lambda study: [f"results/{study}/report.html", f"results/{study}/ledger.tsv"],
}


def every(study, *phases):
    """Results of one or more phases of a study."""
    return [path for phase in phases for path in PHASES[phase](study)]
