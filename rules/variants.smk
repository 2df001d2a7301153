"""Effects: mutagenesis of loci and scores of variants. Makes results/{study}/{dataset}/{model}/{mutagenesis,variants}/..."""


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
