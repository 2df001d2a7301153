"""Backgrounds of scores, and DeepSEA's published weights beside a study's models. Makes {variants}.background.npz, .published.parquet, ..."""


rule tally_background:
    """How often variants of a background set score as high, target by target: the ground of E-values."""
    input:
        unpack(variant_genome),
        scores="results/{study}/{dataset}/{model}/variants/{variants}.parquet",
    output:
        background="results/{study}/{dataset}/{model}/variants/{variants}.background.npz",
    log:
        "results/{study}/logs/tally_background/{dataset}.{model}.{variants}.log",
    benchmark:
        "results/{study}/benchmarks/tally_background/{dataset}.{model}.{variants}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        # Of 919 targets in nine strata, counts take 0.9 GB, twice while they are gathered.
        mem_mb=memory(4000, 4),
        runtime=minutes(60),
    params:
        code=code("tally.py"),
    script:
        "../workflow_scripts/tally.py"


rule consult_published:
    """Scores of a set of variants by DeepSEA's published weights, for comparison."""
    input:
        unpack(variant_genome),
        unpack(published_weights),
        variants="results/{study}/{dataset}/variants/{variants}.parquet",
    output:
        scores="results/{study}/{dataset}/variants/{variants}.published.parquet",
    log:
        "results/{study}/logs/consult_published/{dataset}.{variants}.log",
    benchmark:
        "results/{study}/benchmarks/consult_published/{dataset}.{variants}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 4
    resources:
        **on(lambda wildcards: 1),
        mem_mb=memory(12000, 2, lambda wildcards: 1),
        runtime=minutes(480, lambda wildcards: 1),
    params:
        code=code("consult.py", *modules("deepsea")),
    script:
        "../workflow_scripts/consult.py"


rule relate_published:
    """How far a model's scores of variants agree with those of DeepSEA's published weights, per matched target."""
    input:
        scores="results/{study}/{dataset}/{model}/variants/{variants}.parquet",
        published="results/{study}/{dataset}/variants/{variants}.published.parquet",
        targets="results/{study}/{dataset}/targets.tsv",
    output:
        agreement="results/{study}/{dataset}/{model}/variants/{variants}.agreement.parquet",
    log:
        "results/{study}/logs/relate_published/{dataset}.{model}.{variants}.log",
    benchmark:
        "results/{study}/benchmarks/relate_published/{dataset}.{model}.{variants}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory(8000, 4),
        runtime=minutes(240),
    params:
        code=code("relate.py"),
        replicate_count=said(STUDIES, "{study}/evaluation/replicates"),
    script:
        "../workflow_scripts/relate.py"
