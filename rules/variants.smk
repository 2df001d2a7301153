"""Sets of variants and their scores. Makes results/{study}/{dataset}/variants/..., {model}/variants/..."""


rule score_variants:
    """Scores of a set of variants by name and definition, averaged over strands and seeds."""
    input:
        unpack(genome),
        variants=variant_file,
        checkpoints=trained,
    output:
        scores="results/{study}/{dataset}/{model}/variants/{variants}.parquet",
        vcf="results/{study}/{dataset}/{model}/variants/{variants}.vcf.gz",
    log:
        "results/{study}/logs/score_variants/{dataset}.{model}.{variants}.log",
    benchmark:
        "results/{study}/benchmarks/score_variants/{dataset}.{model}.{variants}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=240,
        gpu=gpu,
    params:
        code=model_code("score.py"),
        assembly=lookup(within=STUDIES, dpath="{study}/datasets/{dataset}/assembly"),
    script:
        "../workflow_scripts/score.py"
