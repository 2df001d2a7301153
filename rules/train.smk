"""Training and prediction: one job a model, dataset and seed. Makes results/{study}/{dataset}/{model}/seed{seed}/..."""


rule train_model:
    """One model trained on one dataset with one seed; a killed job goes on from its last epoch."""
    input:
        unpack(sequence_files),
        unpack(weights),
        windows="results/{study}/{dataset}/windows.parquet",
        splits="results/{study}/{dataset}/splits.json",
        targets="results/{study}/{dataset}/targets.npy",
        table="results/{study}/{dataset}/targets.tsv",
    output:
        checkpoint=directory("results/{study}/{dataset}/{model}/seed{seed}/checkpoint"),
        compute="results/{study}/{dataset}/{model}/seed{seed}/compute.json",
    log:
        "results/{study}/logs/train_model/{dataset}.{model}.seed{seed}.log",
    benchmark:
        "results/{study}/benchmarks/train_model/{dataset}.{model}.seed{seed}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=720,
        gpu=gpus,
    params:
        code=model_code("train.py"),
        entry=recipe,
        labels=lookup(within=STUDIES, dpath="{study}/datasets/{dataset}/labels"),
        store="results/store",
    script:
        "../workflow_scripts/train.py"


rule predict_windows:
    """Probabilities of validation and test windows; the only rule that opens the test part to a model."""
    input:
        unpack(sequence_files),
        windows="results/{study}/{dataset}/windows.parquet",
        splits="results/{study}/{dataset}/splits.json",
        checkpoint="results/{study}/{dataset}/{model}/seed{seed}/checkpoint",
    output:
        validation="results/{study}/{dataset}/{model}/seed{seed}/predictions/validation.npy",
        test="results/{study}/{dataset}/{model}/seed{seed}/predictions/test.npy",
        about="results/{study}/{dataset}/{model}/seed{seed}/predictions/about.json",
    log:
        "results/{study}/logs/predict_windows/{dataset}.{model}.seed{seed}.log",
    benchmark:
        "results/{study}/benchmarks/predict_windows/{dataset}.{model}.seed{seed}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=240,
        gpu=gpus,
    params:
        code=model_code("predict.py"),
    script:
        "../workflow_scripts/predict.py"
