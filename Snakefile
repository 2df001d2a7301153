"""regdna: does a DNA language model beat a CNN on regulatory data, by how much, at what cost, and what does a variant do?"""

from snakemake.utils import min_version

min_version("9.20")


configfile: "config.yaml"


report: "rules/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/paths.smk"
include: "rules/effects.smk"
include: "rules/phases.smk"


rule all:
    """Everything of the configured study: results, report, ledger."""
    input:
        every(config["study"], "sources", "vault", "windows", "train", "variants", "evaluate", "report"),


rule sources:
    """Every file the study reads, fetched and verified; run this where there is a network."""
    input:
        every(config["study"], "sources"),


rule vault:
    """Every model's published weights, opened once and written down: digests, licence, what they compute."""
    input:
        every(config["study"], "vault"),


rule windows:
    """Windows, targets and certified splits of every dataset."""
    input:
        every(config["study"], "windows"),


rule train:
    """Every model on every dataset with every seed."""
    input:
        every(config["study"], "train"),


rule variants:
    """Effects of every substitution at the loci, a page of each, and scores of the sets of variants."""
    input:
        every(config["study"], "variants"),


rule evaluate:
    """Metrics of every model and the paired comparison of all."""
    input:
        every(config["study"], "evaluate"),


rule report:
    """The report page, the pages of the loci, and the ledger."""
    input:
        every(config["study"], "report"),


include: "rules/sources.smk"
include: "rules/windows.smk"
include: "rules/embed.smk"
include: "rules/train.smk"
include: "rules/loci.smk"
include: "rules/variants.smk"
include: "rules/measured.smk"
include: "rules/published.smk"
include: "rules/evaluate.smk"
include: "rules/strata.smk"
include: "rules/transfer.smk"
include: "rules/dependencies.smk"
include: "rules/report.smk"
