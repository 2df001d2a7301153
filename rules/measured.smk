"""Scores held against measurement. Makes results/{study}/{dataset}/variants/{variants}.elements/, {model}/variants/{variants}.measured.parquet"""


rule rebuild_elements:
    """The sequences of the elements of a saturation MPRA, from the reference alleles in its file, in the form of a genome."""
    input:
        variants=variant_file,
    output:
        genome="results/{study}/{dataset}/variants/{variants}.elements/genome.npy",
        index="results/{study}/{dataset}/variants/{variants}.elements/genome.tsv",
        mask="results/{study}/{dataset}/variants/{variants}.elements/genome.mask.npy",
    log:
        "results/{study}/logs/rebuild_elements/{dataset}.{variants}.log",
    benchmark:
        "results/{study}/benchmarks/rebuild_elements/{dataset}.{variants}.jsonl"
    localrule: True
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("rebuild.py"),
        assembly=said(STUDIES, "{study}/datasets/{dataset}/assembly"),
    script:
        "../workflow_scripts/rebuild.py"


rule judge_variants:
    """What was measured of a set's variants, held against their scores: correlations with ceilings, or ranking and enrichment of labels."""
    input:
        scores="results/{study}/{dataset}/{model}/variants/{variants}.parquet",
        elements="resources/elements.tsv",
    output:
        measured="results/{study}/{dataset}/{model}/variants/{variants}.measured.parquet",
    log:
        "results/{study}/logs/judge_variants/{dataset}.{model}.{variants}.log",
    benchmark:
        "results/{study}/benchmarks/judge_variants/{dataset}.{model}.{variants}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory(4000, 10),
        runtime=minutes(60),
    params:
        code=code("judge.py"),
        against=said(STUDIES, "{study}/datasets/{dataset}/variants/{variants}/against"),
        replicate_count=said(STUDIES, "{study}/evaluation/replicates"),
    script:
        "../workflow_scripts/judge.py"
