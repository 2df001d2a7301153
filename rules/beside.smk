"""What stands beside the metrics: strata, transfer, dependencies, published values - which a study asks for, and what they are made from."""


def transfers_of(study):
    """Transfer of every model on the datasets that ask for it; of controls that of the one which is made for it."""
    paths = results_of(study, lambda entry: entry["control"] in ("", "held-out-cells"))
    return [f"{path}/transfer.parquet" for path in paths if "transfer" in STUDIES[study]["datasets"][Path(path).parts[2]]]


def contexts_of(study):
    """Skill against context, of every model that sees more than the narrowest one."""
    return [f"{path}/contexts.parquet" for path in results_of(study) if narrowed(STUDIES[study], *Path(path).parts[2:4])]


def interactions_of(study):
    """Epistasis of motif pairs and at loci, of every model that is asked for it."""
    folders = [path for path in results_of(study) if paired(STUDIES[study], Path(path).parts[3])]
    return [f"{path}/interactions.parquet" for path in folders] if "interactions" in STUDIES[study] else []


def beside_models(study):
    """Tables beside the metrics of each model, for the page: those that the study asks for."""
    return [
        *(f"{path}/{kind}.parquet" for kind in ("strata", "explained") for path in results_of(study, lambda entry: not entry["control"])),
        *transfers_of(study),
        *contexts_of(study),
        *interactions_of(study),
    ]


@cache
def row_zero(study, dataset):
    """Results of every model of row zero on a dataset, controls left out."""
    folders = results_of(study, lambda entry: ARCHITECTURES[entry["architecture"]].family == "row zero" and not entry["control"])
    return [path for path in folders if Path(path).parts[2] == dataset]


def row_zero_of(wildcards, file):
    """A file of every model of row zero on a dataset, controls left out."""
    return [f"{path}/{file}" for path in row_zero(wildcards.study, wildcards.dataset)]


def held_out(wildcards):
    """Cell types that a dataset holds out; the dataset must ask for transfer."""
    entry = dataset(wildcards)
    if "transfer" not in entry:
        raise WorkflowError(f"{wildcards.study}: dataset {wildcards.dataset} has no 'transfer'; give it one to ask for this table")
    return entry["transfer"]["held_out"]


def locus_effects(wildcards):
    """Effects at the dataset's loci, which say where a model's pairs of substitutions are tried; nothing where it has none."""
    some = model(wildcards)["mutagenesis"] and STUDIES[wildcards.study].get("interactions", {}).get("positions", 0)
    folder = f"results/{wildcards.study}/{wildcards.dataset}/{wildcards.model}/mutagenesis"
    return {"effects": [f"{folder}/{locus}.npz" for locus in dataset(wildcards)["loci"]]} if some and dataset(wildcards)["loci"] else {}


def benchmarks_of(study):
    """Datasets of a study that are published benchmarks, with the benchmark that each is."""
    return {name: entry["literature"] for name, entry in STUDIES[study]["datasets"].items() if "literature" in entry}


def literature_of(study):
    """Published results beside ours, where a dataset of the study is a benchmark."""
    return [f"results/{study}/literature.parquet"] if benchmarks_of(study) else []


def cited_models(study):
    """What decides of each model, controls left out, whether it is the one of a paper."""
    names = ("architecture", "weights", "initialisation", "regime", "context", "parameters")
    return {
        model: {name: entry[name] for name in names if name in entry}
        for model, entry in STUDIES[study]["models"].items()
        if not entry["control"] and set(entry["datasets"]) & set(benchmarks_of(study))
    }


def cited(wildcards, file):
    """A file of every model, controls left out, on the datasets that are benchmarks."""
    known = benchmarks_of(wildcards.study)
    if not known:
        raise WorkflowError(f"{wildcards.study}: no dataset names its 'literature'; give it to one to ask for this table")
    folders = results_of(wildcards.study, lambda entry: not entry["control"])
    return [f"{path}/{file}" for path in folders if Path(path).parts[2] in known]
