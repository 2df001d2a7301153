"""The two finished studies that `compare` reads: where they lie, and whether they can be compared."""

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
