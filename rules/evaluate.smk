"""Judgement: metrics with intervals, paired comparison, costs. Makes metrics.parquet, comparison.parquet and ledger.tsv."""


rule evaluate_model:
    """What one model's predictions on one dataset are worth: a row a metric, target or average, seed and part, with intervals."""
    input:
        windows="results/{study}/{dataset}/windows.parquet",
        splits="results/{study}/{dataset}/splits.json",
        targets="results/{study}/{dataset}/targets.npy",
        names="results/{study}/{dataset}/targets.tsv",
        known="results/{study}/{dataset}/targets.known.npy",
        predictions=lambda wildcards: [f"{run}/predictions/test.npy" for run in runs_of_model(wildcards)],
        validation=lambda wildcards: [f"{run}/predictions/validation.npy" for run in runs_of_model(wildcards)],
        about=lambda wildcards: [f"{run}/predictions/about.json" for run in runs_of_model(wildcards)],
    output:
        metrics="results/{study}/{dataset}/{model}/metrics.parquet",
        replicates="results/{study}/{dataset}/{model}/replicates.npz",
        curves="results/{study}/{dataset}/{model}/curves.parquet",
    log:
        "results/{study}/logs/evaluate_model/{dataset}.{model}.log",
    benchmark:
        "results/{study}/benchmarks/evaluate_model/{dataset}.{model}.jsonl"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000, 10),
        runtime=minutes(60),
    params:
        code=code("evaluate.py"),
        model="{model}",
        labels=said(STUDIES, "{study}/datasets/{dataset}/labels"),
        replicate_count=said(STUDIES, "{study}/evaluation/replicates"),
    script:
        "../workflow_scripts/evaluate.py"


rule compare_models:
    """Paired differences between all models of every dataset on the same resamples, with verdicts."""
    input:
        metrics=lambda wildcards: [f"{path}/metrics.parquet" for path in results_of(wildcards.study)],
        replicates=lambda wildcards: [f"{path}/replicates.npz" for path in results_of(wildcards.study)],
    output:
        comparison=report(
            "results/{study}/comparison.parquet",
            category="Results",
            labels={"table": "paired differences"},
            caption="captions/comparison.rst",
        ),
    log:
        "results/{study}/logs/compare_models.log",
    benchmark:
        "results/{study}/benchmarks/compare_models.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory(4000, 4),
        runtime=minutes(60),
    params:
        code=code("compare.py"),
        margin=said(STUDIES, "{study}/evaluation/margin"),
    script:
        "../workflow_scripts/compare.py"


rule account_costs:
    """What every training run and every trial cost: time, memory, energy, parameters, operations."""
    input:
        compute=lambda wildcards: [f"{run}/compute.json" for run in runs_of(wildcards.study)],
        trials=lambda wildcards: trials_of(wildcards.study),
    output:
        ledger=report("results/{study}/ledger.tsv", category="Cost", labels={"table": "ledger"}, caption="captions/ledger.rst"),
    log:
        "results/{study}/logs/account_costs.log",
    benchmark:
        "results/{study}/benchmarks/account_costs.jsonl"
    localrule: True
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("account.py"),
    script:
        "../workflow_scripts/account.py"


include: "literature.smk"
