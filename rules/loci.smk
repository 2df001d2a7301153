"""Mutagenesis of loci. Makes results/{study}/{dataset}/{model}/mutagenesis/..."""


rule mutagenise_locus:
    """The effect of every substitution at a locus, averaged over strands and seeds."""
    input:
        unpack(sequence_files),
        windows="results/{study}/{dataset}/windows.parquet",
        checkpoints=trained,
    output:
        effects="results/{study}/{dataset}/{model}/mutagenesis/{locus}.npz",
        track="results/{study}/{dataset}/{model}/mutagenesis/{locus}.bw",
    log:
        "results/{study}/logs/mutagenise_locus/{dataset}.{model}.{locus}.log",
    benchmark:
        "results/{study}/benchmarks/mutagenise_locus/{dataset}.{model}.{locus}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=240,
        gpu=gpu,
    params:
        code=model_code("mutagenise.py"),
        place=place,
        assembly=lookup(within=STUDIES, dpath="{study}/datasets/{dataset}/assembly"),
    script:
        "../workflow_scripts/mutagenise.py"
