"""Where things lie: files that rules read, the path grammar of results, and what each phase target asks for."""


def source_file(path):
    """Where a `source/file` of a study lies once fetched."""
    return f"results/sources/{path}"


def origin(wildcards):
    """The embedded file that a source's file is taken from, if it has one."""
    entry = SOURCES[wildcards.source]["files"][wildcards.file]
    return {"origin": entry["path"]} if "path" in entry else {}


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


def variant_file(wildcards):
    """The fetched file of a dataset's variant set."""
    sets = dataset(wildcards)["variants"]
    if wildcards.variants not in sets:
        raise WorkflowError(f"{wildcards.study}: dataset {wildcards.dataset} lists no variants {wildcards.variants!r}")
    return source_file(sets[wildcards.variants])


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


def invocation(wildcards):
    """How Snakemake is called for results of this study, for the commands on its page."""
    default = read_yaml(Path(workflow.basedir) / "config.yaml")["studies"]
    if config["studies"] == default:
        return "snakemake"
    return f"snakemake --config study={wildcards.study} studies={config['studies']} --"


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
