"""Two finished studies side by side. Makes results/compare/{before}+{after}/..."""


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
