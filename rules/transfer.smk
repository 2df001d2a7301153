"""Transfer from cell type to cell type. Makes transfer.parquet of every model on the datasets that ask for it."""


rule transfer_model:
    """What a model's outputs for one cell type are worth for another, beside mean activity, nearest cell and the cell itself."""
    input:
        windows="results/{study}/{dataset}/windows.parquet",
        splits="results/{study}/{dataset}/splits.json",
        targets="results/{study}/{dataset}/targets.npy",
        names="results/{study}/{dataset}/targets.tsv",
        known="results/{study}/{dataset}/targets.known.npy",
        predictions=lambda wildcards: [f"{run}/predictions/test.npy" for run in runs_of_model(wildcards)],
        about=lambda wildcards: [f"{run}/predictions/about.json" for run in runs_of_model(wildcards)],
    output:
        transfer="results/{study}/{dataset}/{model}/transfer.parquet",
    log:
        "results/{study}/logs/transfer_model/{dataset}.{model}.log",
    benchmark:
        "results/{study}/benchmarks/transfer_model/{dataset}.{model}.jsonl"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000, 10),
        runtime=minutes(60),
    params:
        code=code("transfer.py"),
        model="{model}",
        labels=said(STUDIES, "{study}/datasets/{dataset}/labels"),
        held_out=held_out,
        replicate_count=said(STUDIES, "{study}/evaluation/replicates"),
    script:
        "../workflow_scripts/transfer.py"
