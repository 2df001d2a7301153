"""Windows: which pieces of sequence, with which labels, in which part. Makes results/{study}/{dataset}/..."""


rule tile_windows:
    """The dataset's windows in their final order, and what is known of each; not yet split."""
    input:
        unpack(material),
        assemblies=ancient("resources/assemblies.tsv"),
    output:
        candidates="results/{study}/{dataset}/candidates.parquet",
    log:
        "results/{study}/logs/tile_windows/{dataset}.log",
    benchmark:
        "results/{study}/benchmarks/tile_windows/{dataset}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory(8000, 3),
        runtime=minutes(60),
    params:
        code=code("tile.py"),
        windows=said(STUDIES, "{study}/datasets/{dataset}/windows", default=None),
        block=said(STUDIES, "{study}/datasets/{dataset}/block"),
        assembly=said(STUDIES, "{study}/datasets/{dataset}/assembly"),
    script:
        "../workflow_scripts/tile.py"


rule unpack_sequences:
    """The sequences and labels of a dataset that comes as sequences, one row a window, and which of the labels are known."""
    input:
        unpack(own_files),
    output:
        sequences="results/{study}/{dataset}/sequences.npy",
        records="results/{study}/{dataset}/records.parquet",
        labels="results/{study}/{dataset}/labels.npy",
        table="results/{study}/{dataset}/labels.tsv",
        known="results/{study}/{dataset}/labels.known.npy",
    log:
        "results/{study}/logs/unpack_sequences/{dataset}.log",
    benchmark:
        "results/{study}/benchmarks/unpack_sequences/{dataset}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory(4000, 8),
        runtime=minutes(60),
    params:
        code=code("unpack.py"),
        reading=said(STUDIES, "{study}/datasets/{dataset}/sequences"),
        kind=said(STUDIES, "{study}/datasets/{dataset}/labels"),
    script:
        "../workflow_scripts/unpack.py"


rule measure_signals:
    """The mean of every signal over every bin."""
    input:
        candidates="results/{study}/{dataset}/candidates.parquet",
        files=signal_files,
        assemblies=ancient("resources/assemblies.tsv"),
    output:
        signals="results/{study}/{dataset}/signals.npy",
    log:
        "results/{study}/logs/measure_signals/{dataset}.log",
    benchmark:
        "results/{study}/benchmarks/measure_signals/{dataset}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory(8000, 1),
        runtime=minutes(240),
    params:
        code=code("measure.py"),
        windows=said(STUDIES, "{study}/datasets/{dataset}/windows"),
        assembly=said(STUDIES, "{study}/datasets/{dataset}/assembly"),
    script:
        "../workflow_scripts/measure.py"


rule label_windows:
    """The labels of every window and which are known, eight targets a byte, the table of targets, and the windows that are kept."""
    input:
        unpack(label_files),
        unpack(
            lambda wildcards: (
                {"labels_known": f"results/{wildcards.study}/{wildcards.dataset}/labels.known.npy"}
                if "sequences" in dataset(wildcards)
                else {}
            )
        ),
        candidates="results/{study}/{dataset}/candidates.parquet",
    output:
        targets="results/{study}/{dataset}/targets.npy",
        table="results/{study}/{dataset}/targets.tsv",
        labelled="results/{study}/{dataset}/labelled.parquet",
        known="results/{study}/{dataset}/targets.known.npy",
    log:
        "results/{study}/logs/label_windows/{dataset}.log",
    benchmark:
        "results/{study}/benchmarks/label_windows/{dataset}.jsonl"
    conda:
        "../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=memory(8000, 4),
        runtime=minutes(60),
    params:
        code=code("label.py"),
        windows=said(STUDIES, "{study}/datasets/{dataset}/windows", default=None),
        definitions=said(STUDIES, "{study}/datasets/{dataset}/targets", default=None),
        negatives=said(STUDIES, "{study}/datasets/{dataset}/negatives", default=None),
        assembly=said(STUDIES, "{study}/datasets/{dataset}/assembly"),
        kind=said(STUDIES, "{study}/datasets/{dataset}/labels"),
    script:
        "../workflow_scripts/label.py"


rule split_windows:
    """The part of every window, and a certificate of what the parts share."""
    input:
        unpack(sequence_files),
        candidates="results/{study}/{dataset}/labelled.parquet",
    output:
        windows="results/{study}/{dataset}/windows.parquet",
        splits="results/{study}/{dataset}/splits.json",
    log:
        "results/{study}/logs/split_windows/{dataset}.log",
    benchmark:
        "results/{study}/benchmarks/split_windows/{dataset}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory(12000, 4),
        runtime=minutes(60),
    params:
        code=code("split.py"),
        rule=said(STUDIES, "{study}/datasets/{dataset}/split"),
        training_sites=said(STUDIES, "{study}/datasets/{dataset}/training_sites"),
    script:
        "../workflow_scripts/split.py"
