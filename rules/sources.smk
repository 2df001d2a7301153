"""Sources: every file fetched and verified, every genome indexed. Makes results/sources/{source}/..."""


rule fetch_source:
    """One file of a source, verified before it gets its name."""
    input:
        unpack(origin),
    output:
        file="results/sources/{source}/{file}",
    log:
        "results/sources/logs/fetch_source/{source}.{file}.log",
    benchmark:
        "results/sources/benchmarks/fetch_source/{source}.{file}.jsonl"
    localrule: True
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        code=code("fetch.py"),
        expected=lookup(within=SOURCES, dpath="{source}/files/{file}"),
        lock="resources/sources.lock.tsv",
    script:
        "../workflow_scripts/fetch.py"


rule index_genome:
    """The sequence of an assembly, or of a part of it, as one array of codes, and the bits of its repeats."""
    input:
        fasta=lambda wildcards: [source_file(f"{wildcards.source}/{file}") for file in SOURCES[wildcards.source]["files"]],
        assemblies=ancient("resources/assemblies.tsv"),
    output:
        genome="results/sources/{source}/genome.npy",
        index="results/sources/{source}/genome.tsv",
        mask="results/sources/{source}/genome.mask.npy",
    log:
        "results/sources/logs/index_genome/{source}.log",
    benchmark:
        "results/sources/benchmarks/index_genome/{source}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code("index.py"),
        assembly=lookup(within=SOURCES, dpath="{source}/assembly"),
    script:
        "../workflow_scripts/index.py"
