"""Whether everything is there for a run: `snakemake --profile slurm preflight`, in a minute, before days of queueing."""


rule preflight:
    """What was found on the login node and on a node of each kind that jobs run on, in one table; fails if a run would."""
    input:
        surveys=[f"results/preflight/{config['study']}/{place}.json" for place in places(config["study"])],
    log:
        "results/preflight/logs/preflight.log",
    benchmark:
        "results/preflight/benchmarks/preflight.jsonl"
    retries: 0
    localrule: True
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("preflight.py"),
    script:
        "../workflow_scripts/preflight.py"


rule survey_login:
    """What is there where Snakemake runs: files of the study, room on the disk, and whether Slurm would take its jobs."""
    output:
        survey=temp("results/preflight/{study}/login.json"),
    log:
        "results/preflight/logs/{study}/login.log",
    benchmark:
        "results/preflight/benchmarks/{study}/login.jsonl"
    retries: 0
    localrule: True
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("survey.py"),
        study="{study}",
        missing=lambda wildcards: [path for path in [*sources_of(wildcards.study), *vaults_of(wildcards.study)] if not Path(path).is_file()],
        needed=lambda wildcards: disk(STUDIES[wildcards.study], SOURCES, ASSEMBLIES.groupby("assembly")["length"].sum().to_dict()),
        gpus=lambda wildcards: max(
            [gpus(SimpleNamespace(study=wildcards.study, model=model)) for model in STUDIES[wildcards.study]["models"]], default=0
        ),
    script:
        "../workflow_scripts/survey.py"


rule survey_node:
    """What a job finds on a node: torch and its GPU, bedtools, the shared disk and the node's own."""
    input:
        login="results/preflight/{study}/login.json",
    output:
        survey=temp("results/preflight/{study}/{place}.json"),
    log:
        "results/preflight/logs/{study}/{place}.log",
    benchmark:
        "results/preflight/benchmarks/{study}/{place}.jsonl"
    wildcard_constraints:
        place="cpu|gpu",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **on(lambda wildcards: int(wildcards.place == "gpu")),
        mem_mb=memory(4000, 0.0, lambda wildcards: int(wildcards.place == "gpu")),
        runtime=minutes(10, lambda wildcards: int(wildcards.place == "gpu")),
    params:
        code=code("survey.py"),
        place="{place}",
    script:
        "../workflow_scripts/survey.py"
