"""Sources: every file fetched and verified, every genome indexed, weights opened. Makes results/sources/{source}/..."""


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
        content=content,
        expected=said(SOURCES, "{source}/files/{file}"),
        lock="resources/sources.lock.tsv",
    script:
        "../workflow_scripts/fetch.py"


rule index_genome:
    """The sequence of an assembly, or of a part of it, as one array of codes, and the bits of its repeats."""
    input:
        fasta=lambda wildcards: files_of(wildcards.source),
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
        mem_mb=memory(4000, 2),
        runtime=minutes(60),
    params:
        code=code("index.py"),
        assembly=said(SOURCES, "{source}/assembly"),
    script:
        "../workflow_scripts/index.py"


rule verify_weights:
    """Published weights opened and, if whole, written down: digests, licence, and what they make of two short sequences."""
    input:
        files=lambda wildcards: files_of(wildcards.source),
    output:
        vault="results/sources/{source}/vault.json",
    log:
        "results/sources/logs/verify_weights/{source}.log",
    benchmark:
        "results/sources/benchmarks/verify_weights/{source}.jsonl"
    wildcard_constraints:
        source="|".join(WEIGHTS) or "none",
    localrule: True
    conda:
        "../envs/torch.yaml"
    resources:
        # The file and the network side by side, and room for torch.
        mem_mb=lambda wildcards: 2000 + 2 * sum(map(size, SOURCES[wildcards.source]["files"].values())) // 1_000_000,
        runtime=60,
    params:
        code=lambda wildcards: code("verify.py", *modules(SOURCES[wildcards.source]["checkpoint"]["architecture"])),
        about=lambda wildcards: {name: SOURCES[wildcards.source][name] for name in ("origin", "licence", "citation", "checkpoint")},
    script:
        "../workflow_scripts/verify.py"


include: "preflight.smk"
