"""Functions that rules look things up with, over studies that are validated before any rule exists."""

import re
import shlex
import sys
from functools import cache
from pathlib import Path

SCRIPTS = Path(workflow.basedir) / "workflow_scripts"
sys.path.insert(0, str(SCRIPTS))

from snakemake.exceptions import WorkflowError

from regdna.manifest import read_table, read_yaml, validate
from regdna.models import ARCHITECTURES, modules
from regdna.models.limits import context
from regdna.papers import check_benchmarks, read_papers
from regdna.plan import absent, disk, downloads, reachable, restricted, size, words
from regdna.provenance import code_digest, fingerprint
from regdna.sources.catalogue import check_at_hand, complete
from regdna.step import InputError
from regdna.store import whoami, write_json
from regdna.roster import complete_models
from regdna.shelf import read_studies, read_study
from regdna.study import LOCUS, PUBLISHED_TARGETS, check_datasets, check_loci, references, shared_files, weight_files
from regdna.train import module_of, modules_of
from regdna.tuning import check, draw

SCHEMA = {kind: read_yaml(SCRIPTS.parent / f"rules/schemas/{kind}.schema.yaml") for kind in ("config", "sources", "study", "tuning")}


def checked(path, others):
    """A study, completed, with all that can be checked before any job; ``others`` are there already."""
    study = read_study(path, SCHEMA["study"], PRESETS)
    sources = complete(SOURCES, others | {path.stem: study}, SCHEMA["sources"], set(ASSEMBLIES["assembly"]))
    study = complete_models(study, ARCHITECTURES, sources, context, SCHEMA["study"], str(path), SPACES)
    check_datasets(study, sources, ASSEMBLIES, LOCI, str(path))
    check_benchmarks(study, list(PAPERS["benchmark"].unique()), str(path))
    return study


try:
    config |= validate(config, SCHEMA["config"], "config.yaml")
    SOURCES = validate(read_yaml(Path("resources/sources.yaml")), SCHEMA["sources"], "resources/sources.yaml")
    ASSEMBLIES = read_table(Path("resources/assemblies.tsv"), {"assembly": str, "chrom": str, "length": int})
    LOCI = read_table(Path("resources/loci.tsv"), LOCUS, key=["locus", "assembly"])
    check_loci(LOCI, "resources/loci.tsv")
    PAPERS = read_papers(Path("resources/literature.tsv"), ARCHITECTURES)
    PRESETS = read_yaml(Path("resources/splits.yaml"))
    SPACES = validate(read_yaml(Path("resources/tuning.yaml")), SCHEMA["tuning"], "resources/tuning.yaml")
    check(SPACES, ARCHITECTURES, SCHEMA["study"]["$defs"]["training"], "resources/tuning.yaml")
    STUDIES, WRONG = read_studies(Path(config["study_folder"]), config["study"], checked)
    SOURCES = complete(SOURCES, STUDIES, SCHEMA["sources"], set(ASSEMBLIES["assembly"]))
    check_at_hand(config["study"], STUDIES[config["study"]], SOURCES, Path("results/sources"))
except InputError as error:
    # Not a WorkflowError: that would wrap the one line in where it was raised, which is not where it must be mended.
    print(f"regdna: {error}", file=sys.stderr)
    sys.exit(1)

DATASETS = sorted({name for study in STUDIES.values() for name in study["datasets"]})
MODELS = sorted({name for study in STUDIES.values() for name in study["models"]})
VARIANTS = sorted({name for study in STUDIES.values() for one in study["datasets"].values() for name in one["variants"]})
FILES = sorted({file for source in SOURCES.values() for file in source["files"]})
WEIGHTS = [source for source, entry in SOURCES.items() if "checkpoint" in entry]


wildcard_constraints:
    study="|".join(STUDIES),
    dataset="|".join(DATASETS),
    model="|".join(MODELS),
    seed=r"\d+",
    trial=r"\d+",
    source="|".join(SOURCES),
    file="|".join(re.escape(file) for file in FILES),
    locus="|".join(LOCI.index.unique("locus")),
    variants="|".join(VARIANTS) or "none",


@cache
def code(script, *extra):
    """Digest of what a script, its local imports and further modules say."""
    return code_digest(SCRIPTS / script, extra)


def model_code(script):
    """The same for a script that runs a model: the chosen architecture and, if it trains, its trainer are followed, the others are not."""

    def digest(wildcards):
        entry = model(wildcards)
        trainer = modules_of(entry) if script in ("train.py", "tune.py") else []
        return code(script, *modules(entry["architecture"]), *trainer)

    return digest


def dataset(wildcards):
    """The dataset's entry in its study."""
    return STUDIES[wildcards.study]["datasets"][wildcards.dataset]


def model(wildcards):
    """The model's entry in its study."""
    return STUDIES[wildcards.study]["models"][wildcards.model]


def recipe(wildcards):
    """What decides a model's weights, and nothing else: a change of anything else in the entry must not retrain it."""
    entry = model(wildcards)
    names = ("architecture", "weights", "parameters", "regime", "initialisation", "context", "limits", "control")
    kept = {name: entry[name] for name in names if name in entry}
    if entry["control"] in ("flank-only", "centre-only"):
        kept["centre"] = dataset(wildcards).get("windows", {}).get("bin", 0)
    kept |= {"held_out": dataset(wildcards)["transfer"]["held_out"]} if entry["control"] == "held-out-cells" else {}
    read = {"regdna.train.features": ("batch_size",), "regdna.train.probe": ("batch_size", "precision")}
    used = read.get(module_of(entry["architecture"], entry["regime"]), tuple(entry["training"]))
    return kept | {"training": {name: entry["training"][name] for name in used}}


include: "keys.smk"
include: "machine.smk"
