"""Embeddings of frozen networks, which models share. Makes results/{study}/{dataset}/{model}/seed{seed}/embeddings/."""


rule embed_windows:
    """What every layer of a network before training makes of windows of training and validation; read by probes and by the pooling `best`."""
    input:
        unpack(sequence_files),
        unpack(weights),
        windows="results/{study}/{dataset}/windows.parquet",
        splits="results/{study}/{dataset}/splits.json",
    output:
        embeddings=directory("results/{study}/{dataset}/{model}/seed{seed}/embeddings"),
    log:
        "results/{study}/logs/embed_windows/{dataset}.{model}.seed{seed}.log",
    benchmark:
        "results/{study}/benchmarks/embed_windows/{dataset}.{model}.seed{seed}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **ON_GPU,
        mem_mb=memory(6000, 2, gpu),
        runtime=minutes(240, gpu),
    params:
        code=model_code("embed.py"),
        entry=frozen,
    script:
        "../workflow_scripts/embed.py"
