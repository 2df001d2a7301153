"""What a run will cost, said before it begins; it stops here where it may not or cannot be."""

from regdna.estimate import SPEEDS, check_budget, estimate, known_counts, past_runs
from regdna.slurm.jobs import WAITING, of_folder


def say_plan(study):
    """Say before a run, dry or not, what it will download and hold."""
    if not workflow.is_main_process:  # a job looks at no file but its own
        return
    for name, reason in WRONG.items():
        print(f"regdna: {reason} (study {name} is left out of this run)", file=sys.stderr)
    for source, entry in sorted(sources_read(study).items()):
        for file, one in entry["files"].items():
            if "path" in one and not os.path.isfile(one["path"]):  # refused above, unless there is a copy
                print(f"regdna: {one['path']} is not there; the copy of {source}/{file} is used", file=sys.stderr)
    missing = [path.removeprefix("results/sources/") for path in sources_of(study) if not Path(path).is_file()]
    files, total, unknown = downloads(missing, SOURCES)
    if config["downloaded"]:
        for path, url in absent(missing, SOURCES, Path(config["downloaded"])).items():
            print(f"regdna: {config['downloaded']}: {path} is not there; fetch {url}", file=sys.stderr)
    elif files:
        held = disk(STUDIES[study], SOURCES, ASSEMBLIES.groupby("assembly")["length"].sum().to_dict())
        more = f", and {unknown} files of unknown size" if unknown else ""
        print(
            f"regdna: study {study}: {files} files to download, about {words(total)}{more}; "
            f"about {words(held)} of disk without checkpoints",
            file=sys.stderr,
        )
    for source, licence in restricted(STUDIES[study], SOURCES).items():
        print(f"regdna: study {study}: weights {source}: {licence}", file=sys.stderr)


def say_cost(study):
    """Say what is left to train will take; stop where a study would take more than its budget."""
    if not workflow.is_main_process:
        return
    bases = ASSEMBLIES.groupby("assembly")["length"].sum().to_dict()
    counts = known_counts(Path(f"results/{study}"), STUDIES[study]["datasets"])
    try:
        table = read_table(Path("resources/speed.tsv"), SPEEDS, key="name")
        found = estimate(STUDIES[study], SOURCES, bases, table, past_runs(Path("results")), counts)
        check_budget(STUDIES[study], found, f"{config['study_folder']}/{study}.yaml")
    except InputError as error:
        print(f"regdna: {error}", file=sys.stderr)
        sys.exit(1)
    left = any(not Path(f"{run}/compute.json").is_file() for run in runs_of(study))
    if left and (found.busy >= 0.05 or None in found.hours.values()):  # less is a matter of a laptop, and its start-ups
        print(f"regdna: study {study}: {found.words()}", file=sys.stderr)


def check_network():
    """Stop before any job where this run must download and cannot."""
    paths = [f"{job.wildcards.source}/{job.wildcards.file}" for job in workflow.dag.needrun_jobs() if job.rule.name == "fetch_source"]
    by_hand = config["downloaded"]
    missing = absent(paths, SOURCES, Path(by_hand) if by_hand else None)
    if workflow.touch or not missing or (not by_hand and reachable(missing.values())):
        return
    given = [f"{key}={value}" for key, value in workflow.config_settings.overwrite_config.items() if key != "downloaded"]
    command = shlex.join(["snakemake", "sources", "vault", *(["--config", *given] if given else [])])
    print(
        f"regdna: {f'{by_hand} does not hold' if by_hand else 'no network to download'} {len(missing)} of the files that this run needs, "
        f"such as {min(missing)}; run `{command}` where there is a network, or fetch them by hand and give `--config downloaded=FOLDER` "
        "(docs/downloads.md)",
        file=sys.stderr,
    )
    sys.exit(1)


STARTED = whoami()  # here, since the Slurm executor forgets which job it was started in before onstart


if not config["studies"]:  # to compare two finished ones takes neither
    say_plan(config["study"])
    say_cost(config["study"])


def check_left():
    """Stop where jobs that a killed run sent from here are in the queue; not where another run, which holds a lock, may wait for them."""
    left = of_folder(Path.cwd(), WAITING) or []
    if left and len(list(Path(".snakemake/locks").glob("*.output.lock"))) < 2:
        said = f"jobs {', '.join(left)} of an earlier run from here are in the queue; wait for them, or end them with `make resume`"
        print(f"regdna: {said}", file=sys.stderr)
        sys.exit(1)


onstart:
    check_network()
    check_gpus(config["study"])
    check_left()
    if not {job.rule.name for job in workflow.dag.needrun_jobs()} <= {"preflight", "survey_login", "survey_node"}:
        # For `make resume`.
        about = {**STARTED, "submits": workflow.non_local_exec, "arguments": sys.argv[1:]}
        write_json(Path("results/store/last-run.json"), about)
