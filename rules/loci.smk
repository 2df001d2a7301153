"""Loci: mutagenesis by every model, and a page each. Makes results/{study}/{dataset}/{model}/mutagenesis/..., {dataset}/loci/..."""


rule mutagenise_locus:
    """The effect of every substitution at a locus, averaged over strands and seeds."""
    input:
        unpack(sequence_files),
        windows="results/{study}/{dataset}/windows.parquet",
        checkpoints=trained,
    output:
        effects="results/{study}/{dataset}/{model}/mutagenesis/{locus}.npz",
        track="results/{study}/{dataset}/{model}/mutagenesis/{locus}.bw",
    log:
        "results/{study}/logs/mutagenise_locus/{dataset}.{model}.{locus}.log",
    benchmark:
        "results/{study}/benchmarks/mutagenise_locus/{dataset}.{model}.{locus}.jsonl"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **ON_GPU,
        mem_mb=memory(8000, 2, gpu),
        runtime=minutes(240, gpu),
    params:
        code=model_code("mutagenise.py"),
        place=place,
        assembly=said(STUDIES, "{study}/datasets/{dataset}/assembly"),
        shifts=said(STUDIES, "{study}/effects/shifts"),
        deletions=said(STUDIES, "{study}/effects/deletions"),
    script:
        "../workflow_scripts/mutagenise.py"


rule document_locus:
    """The dossier of a locus: logos of all models side by side, what was measured there, motifs made and broken."""
    input:
        unpack(beside_effects),
        effects=mutagenised,
        metrics=lambda wildcards: [f"{Path(path).parents[1]}/metrics.parquet" for path in mutagenised(wildcards)],
        windows="results/{study}/{dataset}/windows.parquet",
        loci="resources/loci.tsv",
    output:
        page=report(
            "results/{study}/{dataset}/loci/{locus}.html", category="Loci", labels={"locus": "{locus}"}, caption="captions/locus.rst"
        ),
    log:
        "results/{study}/logs/document_locus/{dataset}.{locus}.log",
    benchmark:
        "results/{study}/benchmarks/document_locus/{dataset}.{locus}.jsonl"
    localrule: True
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("document.py"),
        title=said(STUDIES, "{study}/datasets/{dataset}/title"),
        invocation=invocation,
    script:
        "../workflow_scripts/document.py"
