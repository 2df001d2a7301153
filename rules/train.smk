"""Tuning, training and prediction. Makes results/{study}/{dataset}/{model}/trials/..., tuning.json, seed{seed}/..."""


rule tune_model:
    """One trial of a model's settings: trained with the first seed on a share of the training windows, and judged on validation."""
    input:
        unpack(sequence_files),
        unpack(weights),
        unpack(embedded),
        windows="results/{study}/{dataset}/windows.parquet",
        splits="results/{study}/{dataset}/splits.json",
        targets="results/{study}/{dataset}/targets.npy",
        table="results/{study}/{dataset}/targets.tsv",
        known="results/{study}/{dataset}/targets.known.npy",
    output:
        result="results/{study}/{dataset}/{model}/trials/{trial}/trial.json",
    log:
        "results/{study}/logs/tune_model/{dataset}.{model}.trial{trial}.log",
    benchmark:
        "results/{study}/benchmarks/tune_model/{dataset}.{model}.trial{trial}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **ON_GPUS,
        mem_mb=memory(8000, 2, gpus),
        runtime=training_minutes,
    params:
        code=model_code("tune.py"),
        entry=recipe,
        drawn=drawn,
        share=said(STUDIES, "{study}/tuning/share"),
        labels=said(STUDIES, "{study}/datasets/{dataset}/labels"),
        seed=said(STUDIES, "{study}/seeds/0"),
        store="results/store",
    script:
        "../workflow_scripts/tune.py"


checkpoint choose_settings:
    """The settings of the trial with the highest validation AP; models are trained again only if they are others than before."""
    input:
        trials=trials,
    output:
        tuning="results/{study}/{dataset}/{model}/tuning.json",
        table="results/{study}/{dataset}/{model}/trials.tsv",
    log:
        "results/{study}/logs/choose_settings/{dataset}.{model}.log",
    benchmark:
        "results/{study}/benchmarks/choose_settings/{dataset}.{model}.jsonl"
    localrule: True
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("choose.py"),
    script:
        "../workflow_scripts/choose.py"


rule train_model:
    """One model trained on one dataset with one seed; a killed job goes on from where it last saved."""
    input:
        unpack(sequence_files),
        unpack(weights),
        unpack(embedded),
        unpack(settings),
        windows="results/{study}/{dataset}/windows.parquet",
        splits="results/{study}/{dataset}/splits.json",
        targets="results/{study}/{dataset}/targets.npy",
        table="results/{study}/{dataset}/targets.tsv",
        known="results/{study}/{dataset}/targets.known.npy",
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
        **ON_GPUS,
        mem_mb=memory(8000, 2, gpus),
        runtime=training_minutes,
    params:
        code=model_code("train.py"),
        entry=recipe,
        labels=said(STUDIES, "{study}/datasets/{dataset}/labels"),
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
        **ON_GPU,
        mem_mb=memory(6000, 2, gpu),
        runtime=minutes(240, gpu),
    params:
        code=model_code("predict.py"),
    script:
        "../workflow_scripts/predict.py"
