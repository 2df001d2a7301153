"""Where skill lies: strata of the test windows, strands, what row zero explains. Makes strata.parquet and explained.parquet."""


rule stratify_skill:
    """A model's skill within strata of the test windows, how its strands agree, and how much of its skill row zero has too."""
    input:
        windows="results/{study}/{dataset}/windows.parquet",
        targets="results/{study}/{dataset}/targets.npy",
        names="results/{study}/{dataset}/targets.tsv",
        known="results/{study}/{dataset}/targets.known.npy",
        predictions=lambda wildcards: [f"{run}/predictions/test.npy" for run in runs_of_model(wildcards)],
        about=lambda wildcards: [f"{run}/predictions/about.json" for run in runs_of_model(wildcards)],
        metrics="results/{study}/{dataset}/{model}/metrics.parquet",
        replicates="results/{study}/{dataset}/{model}/replicates.npz",
        row_zero=lambda wildcards: row_zero_of(wildcards, "metrics.parquet"),
        row_zero_replicates=lambda wildcards: row_zero_of(wildcards, "replicates.npz"),
    output:
        strata="results/{study}/{dataset}/{model}/strata.parquet",
        explained="results/{study}/{dataset}/{model}/explained.parquet",
    log:
        "results/{study}/logs/stratify_skill/{dataset}.{model}.log",
    benchmark:
        "results/{study}/benchmarks/stratify_skill/{dataset}.{model}.jsonl"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000, 10),
        runtime=minutes(120),
    params:
        code=code("stratify.py"),
        model="{model}",
        replicate_count=said(STUDIES, "{study}/evaluation/replicates"),
    script:
        "../workflow_scripts/stratify.py"
