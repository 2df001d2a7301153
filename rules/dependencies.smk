"""Dependencies: skill against context, and interactions. Makes results/{study}/{dataset}/{model}/contexts.parquet, interactions.parquet"""


rule narrow_context:
    """What one model is worth when it sees no more than the middle of each test window; the flanks are shuffled."""
    input:
        unpack(sequence_files),
        windows="results/{study}/{dataset}/windows.parquet",
        splits="results/{study}/{dataset}/splits.json",
        targets="results/{study}/{dataset}/targets.npy",
        names="results/{study}/{dataset}/targets.tsv",
        known="results/{study}/{dataset}/targets.known.npy",
        checkpoints=trained,
        predictions=lambda wildcards: [f"{run}/predictions/test.npy" for run in runs_of_model(wildcards)],
    output:
        table_of_contexts="results/{study}/{dataset}/{model}/contexts.parquet",
    log:
        "results/{study}/logs/narrow_context/{dataset}.{model}.log",
    benchmark:
        "results/{study}/benchmarks/narrow_context/{dataset}.{model}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        **ON_GPU,
        mem_mb=memory(6000, 2, gpu),
        runtime=minutes(480, gpu),
    params:
        code=model_code("narrow.py"),
        model="{model}",
        contexts=said(STUDIES, "{study}/evaluation/contexts"),
        replicate_count=said(STUDIES, "{study}/evaluation/replicates"),
    script:
        "../workflow_scripts/narrow.py"


rule pair_motifs:
    """Epistasis in one model's logits: of motif pairs planted into shuffled windows, and of substitutions in pairs at loci."""
    input:
        unpack(sequence_files),
        unpack(locus_effects),
        windows="results/{study}/{dataset}/windows.parquet",
        splits="results/{study}/{dataset}/splits.json",
        checkpoints=trained,
    output:
        table="results/{study}/{dataset}/{model}/interactions.parquet",
    log:
        "results/{study}/logs/pair_motifs/{dataset}.{model}.log",
    benchmark:
        "results/{study}/benchmarks/pair_motifs/{dataset}.{model}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **ON_GPU,
        mem_mb=memory(6000, 1, gpu),
        runtime=minutes(240, gpu),
    params:
        code=model_code("pair.py"),
        asked=said(STUDIES, "{study}/interactions"),
        replicate_count=said(STUDIES, "{study}/evaluation/replicates"),
    script:
        "../workflow_scripts/pair.py"
