"""Two finished studies side by side. Makes results/compare/{before}+{after}/..."""

from regdna.contrast import Finished, common, named, stamp


def evaluated(name):
    """What lies in a folder of results; of a study that is written down, all of its models."""
    return Finished.read(Path("results") / name, results_of(name) if name in STUDIES else None)


def compared(wildcards):
    """The page of the two studies that the config names."""
    if not config["studies"]:
        raise WorkflowError("compare: name two folders of results, the older first: snakemake --config studies=OLD,NEW -- compare")
    return "results/compare/{}+{}/comparison.html".format(*named(config["studies"]))


def contrasted(wildcards):
    """Digest of the code and of which results there are: these are no input, or Snakemake might make them again."""
    return f"{code('contrast.py')} {stamp(Path('results') / wildcards.before, Path('results') / wildcards.after)}"


def strictest(wildcards):
    """The smaller margin of the two studies, of those that are written down."""
    known = [STUDIES[name]["evaluation"]["margin"] for name in (wildcards.before, wildcards.after) if name in STUDIES]
    return min(known, default=SCHEMA["study"]["$defs"]["evaluation"]["properties"]["margin"]["default"])


if config["studies"]:
    try:
        common(*map(evaluated, named(config["studies"])))
    except InputError as error:
        print(f"regdna: {error}", file=sys.stderr)
        sys.exit(1)


rule compare:
    """The two finished studies of `--config studies=OLD,NEW` side by side."""
    input:
        compared,


rule contrast_studies:
    """Paired differences between two finished studies of the same windows; nothing of either is made again."""
    output:
        comparison="results/compare/{before}+{after}/comparison.parquet",
        page=report(
            "results/compare/{before}+{after}/comparison.html",
            category="Results",
            labels={"table": "two studies"},
            caption="captions/contrast.rst",
        ),
    log:
        "results/compare/logs/contrast_studies/{before}+{after}.log",
    benchmark:
        "results/compare/benchmarks/contrast_studies/{before}+{after}.jsonl"
    wildcard_constraints:
        before=r"[A-Za-z0-9._-]+",
        after=r"[A-Za-z0-9._-]+",
    localrule: True
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=contrasted,
        old="results/{before}",
        new="results/{after}",
        margin=strictest,
    script:
        "../workflow_scripts/contrast.py"
