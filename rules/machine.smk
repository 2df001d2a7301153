"""What jobs ask of a machine: memory by what they read, time by what they train, GPUs by the model; more of it with every attempt."""

from regdna.estimate import SPEEDS, estimate
from regdna.slurm.site import SITE, limits, partitions_of, read_site

UNKNOWN_MINUTES = 720  # of a training whose cost nobody knows
LONGEST_MINUTES = 2880

try:
    HERE = read_site(SITE)
except InputError as error:
    print(f"regdna: {error}", file=sys.stderr)
    sys.exit(1)


def no_gpu(wildcards):
    """GPUs of a job that runs no network."""
    return 0


def memory(least, share=0.0, number=no_gpu):
    """MB: `least`, and `share` of what the job reads; as much again with every attempt, as far as partitions allow."""

    def asked(wildcards, input, attempt):
        wanted = round(least + (share * input.size_mb if share else 0)) * attempt
        return min(wanted, most(number(wildcards))[1] or wanted)

    return asked


def minutes(first, number=no_gpu):
    """Minutes that a job on so many GPUs may take; as many again with every attempt, as far as partitions allow."""

    def asked(wildcards, attempt):
        return within(first * attempt, number(wildcards))

    return asked


def training_minutes(wildcards, attempt):
    """Minutes of one training: three times what it is estimated to take, and an hour. A training that is ended goes on in the next attempt."""
    hours = one_training(wildcards.study, wildcards.dataset, wildcards.model)
    first = UNKNOWN_MINUTES if hours is None else round(60 + 3 * 60 * hours)
    return within(first * attempt, gpus(wildcards))


@cache
def most(number):
    """Minutes and MB that partitions give a job with so many GPUs, None where nobody says; a job itself does not ask again."""
    return limits(HERE, number, None if workflow.is_main_process else [])


def within(asked, number):
    """As many minutes as asked for, as far as partitions that take so many GPUs allow."""
    return min(asked, most(number)[0] or LONGEST_MINUTES)


@cache
def speeds():
    """Bases of each assembly and the table of speeds, read once."""
    return ASSEMBLIES.groupby("assembly")["length"].sum().to_dict(), read_table(Path("resources/speed.tsv"), SPEEDS, key="name")


@cache
def one_training(study, dataset, model):
    """Hours on a GPU that a model's training on a dataset with one seed is estimated to take; 0 without a GPU, None where nobody knows."""
    content = STUDIES[study]
    entry = content["models"][model] | {"datasets": [dataset], "tuning": {}}
    alone = content | {"datasets": {dataset: content["datasets"][dataset]}, "models": {model: entry | {"seeds": entry["seeds"][:1]}}}
    return estimate(alone, SOURCES, *speeds()).hours[model]


def gpus(wildcards):
    """GPUs that share the training of a network; one for a probe, none for row zero."""
    entry = model(wildcards)
    trainer = module_of(entry["architecture"], entry["regime"])
    return {"regdna.train.features": 0, "regdna.train.probe": 1}.get(trainer, entry["gpu"])


def gpu(wildcards):
    """One GPU for a network that is run; none for row zero."""
    return min(1, gpus(wildcards))


def check_gpus(study):
    """Stop before any job where no partition of the site's table takes as many GPUs as a model is to be trained on."""
    for model in STUDIES[study]["models"] if "partitions" in HERE else []:
        number = gpus(SimpleNamespace(study=study, model=model))
        if number and not partitions_of(HERE, number):
            key = f"models.{model}.gpu of study {study}"
            print(
                f"regdna: {SITE}: partitions: none takes {number} GPUs, which {key} asks for; raise a max_gpu, or lower it", file=sys.stderr
            )
            sys.exit(1)


def places(study):
    """Kinds of machine that a study's jobs run on: `login` is where Snakemake was started."""
    wanted = [SimpleNamespace(study=study, model=model) for model in STUDIES[study]["models"]]
    return ["login", "cpu", *(["gpu"] if any(map(gpus, wanted)) else [])]


def on(number):
    """Resources of a job on so many GPUs, asked for as the site wants it; `processes` is what the step is told."""
    gres = HERE["gpu_request"] == "gres"
    kind = HERE.get("gpu_model")
    return {
        "processes": number,
        "gpu": lambda wildcards: None if gres and number(wildcards) else number(wildcards),
        "gpu_model": lambda wildcards: kind if number(wildcards) and not gres else None,
        "gres": lambda wildcards: (
            ":".join(["gpu", *([kind] if kind else []), str(number(wildcards))]) if gres and number(wildcards) else None
        ),
    }


ON_GPU, ON_GPUS = on(gpu), on(gpus)
