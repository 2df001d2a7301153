"""Sets of variants and their scores. Makes results/{study}/{dataset}/variants/..., {model}/variants/..."""


rule read_variants:
    """A set of variants held against the genome: one row an allele that can be scored, all others listed by line and reason."""
    input:
        unpack(variant_genome),
        source=variant_file,
        assemblies=ancient("resources/assemblies.tsv"),
    output:
        variants="results/{study}/{dataset}/variants/{variants}.parquet",
        left_out="results/{study}/{dataset}/variants/{variants}.left-out.tsv",
    log:
        "results/{study}/logs/read_variants/{dataset}.{variants}.log",
    benchmark:
        "results/{study}/benchmarks/read_variants/{dataset}.{variants}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        # A million variants take 1 GB.
        mem_mb=memory(4000, 4),
        runtime=minutes(60),
    params:
        code=code("read.py"),
        assembly=said(STUDIES, "{study}/datasets/{dataset}/assembly"),
        mismatch=said(STUDIES, "{study}/datasets/{dataset}/variants/{variants}/mismatch"),
        broken=said(STUDIES, "{study}/datasets/{dataset}/variants/{variants}/broken"),
        place_on=said(STUDIES, "{study}/datasets/{dataset}/variants/{variants}/genome"),
    script:
        "../workflow_scripts/read.py"


rule score_variants:
    """Scores of a set of variants by name and definition, averaged over strands, shifts and seeds."""
    input:
        unpack(variant_genome),
        unpack(tallied),
        table="results/{study}/{dataset}/variants/{variants}.parquet",
        targets="results/{study}/{dataset}/targets.tsv",
        assemblies=ancient("resources/assemblies.tsv"),
        checkpoints=trained,
    output:
        scores="results/{study}/{dataset}/{model}/variants/{variants}.parquet",
        summary="results/{study}/{dataset}/{model}/variants/{variants}.tsv",
        vcf="results/{study}/{dataset}/{model}/variants/{variants}.vcf.gz",
        index="results/{study}/{dataset}/{model}/variants/{variants}.vcf.gz.tbi",
        left_out="results/{study}/{dataset}/{model}/variants/{variants}.left-out.tsv",
    log:
        "results/{study}/logs/score_variants/{dataset}.{model}.{variants}.log",
    benchmark:
        "results/{study}/benchmarks/score_variants/{dataset}.{model}.{variants}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **ON_GPU,
        mem_mb=memory(8000, 2, gpu),
        runtime=minutes(240, gpu),
    params:
        code=model_code("score.py"),
        assembly=said(STUDIES, "{study}/datasets/{dataset}/assembly"),
        shifts=said(STUDIES, "{study}/effects/shifts"),
        align=said(STUDIES, "{study}/effects/align"),
    script:
        "../workflow_scripts/score.py"
