"""What each phase target asks for."""


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


def trials(wildcards):
    """Every trial of a model on a dataset."""
    folder = f"results/{wildcards.study}/{wildcards.dataset}/{wildcards.model}/trials"
    return [f"{folder}/{trial}/trial.json" for trial in range(model(wildcards)["tuning"].get("trials", 0))]


def trials_of(study):
    """Trials of every model that is tuned, on every dataset."""
    tuned = {path: STUDIES[study]["models"][Path(path).parts[3]]["tuning"] for path in results_of(study)}
    return [f"{path}/trials/{trial}/trial.json" for path, tuning in tuned.items() for trial in range(tuning.get("trials", 0))]


def trained(wildcards):
    """Checkpoints of one model on one dataset, one a seed; whose effects are scored, so that a control has none."""
    if model(wildcards)["control"]:
        raise WorkflowError(f"{wildcards.study}: {wildcards.model} is a control; effects are those of {model(wildcards)['base']}")
    return [f"{run}/checkpoint" for run in runs_of_model(wildcards)]


def sources_of(study):
    """Every fetched file that a study reads."""
    paths = set()
    for entry in STUDIES[study]["datasets"].values():
        if "genome" in entry:
            paths |= {source_file(f"{entry['genome']}/{file}") for file in SOURCES[entry["genome"]]["files"]}
        paths |= {source_file(path) for _, path in references(entry)}
    return sorted(paths | {source_file(path) for path in shared_files(STUDIES[study], SOURCES)})


def vaults_of(study):
    """What was found in the published weights that a study's models name."""
    return sorted({f"results/sources/{path.partition('/')[0]}/vault.json" for path in weight_files(STUDIES[study], SOURCES)})


def sources_read(study):
    """What is stated of every source and file that a study reads, for its page."""
    read = {}
    for source, _, file in (path.removeprefix("results/sources/").partition("/") for path in sources_of(study)):
        files = SOURCES[source]["files"]
        held = read.setdefault(source, SOURCES[source] | {"files": {}})["files"]
        held |= {name: files[name] for name in (file, files[file].get("archive")) if name}
    return read


def invocation(wildcards):
    """How Snakemake is called for results of this study, for the commands on its page."""
    default = read_yaml(Path(workflow.basedir) / "config.yaml")["study_folder"]
    if config["study_folder"] == default:
        return "snakemake"
    return f"snakemake --config study={wildcards.study} study_folder={config['study_folder']} --"


PHASES = {
    "sources": sources_of,
    "vault": vaults_of,
    "windows": lambda study: [
        f"results/{study}/{name}/{file}" for name in STUDIES[study]["datasets"] for file in ("splits.json", "targets.tsv")
    ],
    "train": lambda study: [f"{run}/checkpoint" for run in runs_of(study)],
    "variants": lambda study: [
        *effects_of(study),
        *forms_of(study),
        *beside_variants(study, "measured"),
        *beside_variants(study, "agreement"),
        *dossiers_of(study),
    ],
    "evaluate": lambda study: [
        f"results/{study}/comparison.parquet",
        *(f"{path}/metrics.parquet" for path in results_of(study)),
        *beside_models(study),
        *literature_of(study),
    ],
    "report": lambda study: [f"results/{study}/report.html", f"results/{study}/ledger.tsv", *dossiers_of(study)],
}


def every(study, *phases):
    """Results of one or more phases of a study."""
    return [path for phase in phases for path in PHASES[phase](study)]


include: "beside.smk"
include: "costs.smk"
include: "finished.smk"
