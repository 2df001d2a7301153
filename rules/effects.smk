"""Effects at loci and of variants, contexts, interactions: where they lie, what they are made from, which of them a study asks for."""

from regdna.dependencies import narrowed, paired


def variant_set(wildcards):
    """A set of variants of a dataset."""
    sets = dataset(wildcards)["variants"]
    if wildcards.variants not in sets:
        raise WorkflowError(f"{wildcards.study}: dataset {wildcards.dataset} lists no variants {wildcards.variants!r}")
    return sets[wildcards.variants]


def variant_genome(wildcards):
    """The sequence that windows around a set's variants are cut from: the dataset's genome, or that of the elements themselves."""
    if variant_set(wildcards)["genome"] == "dataset":
        return genome(wildcards)
    folder = f"results/{wildcards.study}/{wildcards.dataset}/variants/{wildcards.variants}.elements"
    return {"genome": [f"{folder}/genome.{suffix}" for suffix in ("npy", "tsv", "mask.npy")]}


def variant_file(wildcards):
    """The fetched file of a dataset's variant set."""
    return source_file(variant_set(wildcards)["file"])


def tallied(wildcards):
    """The background that a set's E-values are counted in; nothing for the background itself, or where the study names none."""
    background = STUDIES[wildcards.study]["effects"].get("background", "")
    if background in ("", wildcards.variants) or background not in dataset(wildcards)["variants"]:
        return {}
    return {"background": f"results/{wildcards.study}/{wildcards.dataset}/{wildcards.model}/variants/{background}.background.npz"}


def published_weights(wildcards):
    """The published DeepSEA that a study names, what was found in it, and the names of its targets."""
    source = STUDIES[wildcards.study]["effects"].get("published", "")
    if not source:
        raise WorkflowError(f"{wildcards.study}: names no published weights to compare with; add effects.published")
    # Fetched again they are what they were, or vault.json is another.
    files = {"vault": f"results/sources/{source}/vault.json", "weights": ancient(files_of(source))}
    return {**files, "names": source_file(PUBLISHED_TARGETS)}


def place(wildcards):
    """Where a locus lies on the dataset's assembly; its title and reason change nothing."""
    assembly = dataset(wildcards)["assembly"]
    if (wildcards.locus, assembly) not in LOCI.index:
        raise WorkflowError(f"resources/loci.tsv has no {wildcards.locus} on {assembly or 'no assembly'}; add it")
    row = LOCI.loc[wildcards.locus, assembly]
    return {"assembly": assembly, "chrom": row["chrom"], "start": int(row["start"]), "end": int(row["end"])}


def mutagenised(wildcards):
    """Effects at a locus of every model that asks for them."""
    folders = results_of(wildcards.study, lambda entry: entry["mutagenesis"])
    paths = [f"{folder}/mutagenesis/{wildcards.locus}.npz" for folder in folders if Path(folder).parts[2] == wildcards.dataset]
    if not paths:
        raise WorkflowError(f"{wildcards.study}: no model of {wildcards.dataset} has 'mutagenesis: true'; set it for one")
    return paths


def beside_effects(wildcards):
    """What a locus' effects are held against: the dataset's sets of variants, and motifs where the study names some."""
    folder, effects = f"results/{wildcards.study}/{wildcards.dataset}/variants", STUDIES[wildcards.study]["effects"]
    sets = [f"{folder}/{variants}.parquet" for variants in dataset(wildcards)["variants"]]
    return {**({"variants": sets} if sets else {}), **({"motifs": source_file(effects["motifs"])} if "motifs" in effects else {})}


def effects_of(study):
    """Mutagenesis and variant scores of the models that ask for them."""
    paths = []
    for folder in results_of(study, lambda entry: entry["mutagenesis"]):
        entry = STUDIES[study]["datasets"][Path(folder).parts[2]]
        paths += [f"{folder}/mutagenesis/{locus}.npz" for locus in entry["loci"]]
        paths += [f"{folder}/variants/{variants}.parquet" for variants in entry["variants"]]
    return paths


def forms_of(study):
    """Effects in the other forms that they are written in, for browsers and variant tools."""
    forms = {".npz": [".bw"], ".parquet": [".tsv", ".vcf.gz", ".vcf.gz.tbi", ".left-out.tsv"]}
    paths = [Path(path) for path in effects_of(study)]
    return [str(path.with_suffix(form)) for path in paths for form in forms[path.suffix]]


def beside_variants(study, suffix):
    """What is made from each table of scores: `measured`, and `agreement` where the study names published weights."""
    tables = [path.removesuffix(".parquet") for path in effects_of(study) if path.endswith(".parquet")]
    wanted = suffix != "agreement" or "published" in STUDIES[study]["effects"]
    return [f"{path}.{suffix}.parquet" for path in tables] if wanted else []


def dossiers_of(study):
    """A page of every locus of a dataset where a model asks for effects."""
    folders = {Path(folder).parent for folder in results_of(study, lambda entry: entry["mutagenesis"])}
    loci = {folder: STUDIES[study]["datasets"][folder.name]["loci"] for folder in sorted(folders)}
    return [f"{folder}/loci/{locus}.html" for folder, some in loci.items() for locus in some]
