"""What papers have published of the same benchmarks. Makes literature.parquet of studies that name one."""


rule cite_literature:
    """Our results beside published ones, each with its metric, split and source, and why they may not be compared."""
    input:
        papers="resources/literature.tsv",
        metrics=lambda wildcards: cited(wildcards, "metrics.parquet"),
        replicates=lambda wildcards: cited(wildcards, "replicates.npz"),
        windows=lambda wildcards: [f"results/{wildcards.study}/{name}/windows.parquet" for name in benchmarks_of(wildcards.study)],
        splits=lambda wildcards: [f"results/{wildcards.study}/{name}/splits.json" for name in benchmarks_of(wildcards.study)],
    output:
        literature="results/{study}/literature.parquet",
    log:
        "results/{study}/logs/cite_literature.log",
    benchmark:
        "results/{study}/benchmarks/cite_literature.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory(4000, 2),
        runtime=minutes(30),
    params:
        code=code("cite.py"),
        benchmarks=lambda wildcards: benchmarks_of(wildcards.study),
        models=lambda wildcards: cited_models(wildcards.study),
    script:
        "../workflow_scripts/cite.py"
