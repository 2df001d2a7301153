"""The report page, and the same for programs. Makes results/{study}/report.html and report.json."""


rule render_report:
    """One self-contained page: the verdict, the tables, the figures, what it cost and how it was made."""
    input:
        comparison="results/{study}/comparison.parquet",
        ledger="results/{study}/ledger.tsv",
        metrics=lambda wildcards: [f"{path}/metrics.parquet" for path in results_of(wildcards.study)],
        curves=lambda wildcards: [f"{path}/curves.parquet" for path in results_of(wildcards.study)],
        splits=lambda wildcards: [f"results/{wildcards.study}/{name}/splits.json" for name in STUDIES[wildcards.study]["datasets"]],
        compute=lambda wildcards: [f"{run}/compute.json" for run in runs_of(wildcards.study)],
        checkpoints=lambda wildcards: [f"{run}/checkpoint" for run in runs_of(wildcards.study)],
        trials=lambda wildcards: [f"{path}/trials.tsv" for path in results_of(wildcards.study, lambda entry: entry["tuning"])],
        beside=lambda wildcards: beside_models(wildcards.study),
        literature=lambda wildcards: literature_of(wildcards.study),
        effects=lambda wildcards: effects_of(wildcards.study),
        measured=lambda wildcards: beside_variants(wildcards.study, "measured"),
        agreement=lambda wildcards: beside_variants(wildcards.study, "agreement"),
        loci="resources/loci.tsv",
    output:
        page=report("results/{study}/report.html", category="Results", labels={"table": "report page"}, caption="captions/report.rst"),
        machine="results/{study}/report.json",
    log:
        "results/{study}/logs/render_report.log",
    benchmark:
        "results/{study}/benchmarks/render_report.jsonl"
    localrule: True
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("render.py"),
        study=lambda wildcards: STUDIES[wildcards.study] | {"sources": sources_read(wildcards.study)},
        name="{study}",
        invocation=invocation,
    script:
        "../workflow_scripts/render.py"


onsuccess:
    for job in workflow.dag.finished_jobs:
        if job.rule.name == "render_report":
            print(f"regdna: open {job.output.page}", file=sys.stderr)


include: "compare.smk"
