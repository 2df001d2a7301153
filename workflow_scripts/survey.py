"""Look at the machine that this runs on, before a study does."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from regdna import survey as look
from regdna.slurm.site import partitions_of, read_site, request
from regdna.step import InputError, run
from regdna.store import write_json


def main(
    survey: Path,
    study: str,
    place: str = "login",
    login: Path | None = None,
    missing: list[str] | None = None,
    needed: int = 0,
    gpus: int = 0,
    processes: int = 0,
) -> None:
    """Write what was found to ``survey``.

    Args:
        place: ``login`` (where Snakemake runs), ``cpu`` or ``gpu`` (a node).
        login: on a node, what was found on the login node: to read it says that they share a disk.
        missing: files of the study that were not fetched.
        needed: bytes that the study takes.
        gpus: most that a job of the study asks for.
        processes: GPUs of this job.

    Raises:
        InputError: on the login node, where no job could run.
    """
    here = read_site()
    survey.parent.mkdir(parents=True, exist_ok=True)
    found = [look.machine(), look.shared(survey.parent)]
    if login:
        json.loads(login.read_text())
    if place == "login":
        found += [look.files(missing or [], study), look.room(survey.parent, needed)]
        if shutil.which("sbatch"):
            kinds = {"cpu": 0, **({"gpu": gpus} if gpus else {})}
            found += [look.queue(request(here, number), kind, partitions_of(here, number)) for kind, number in kinds.items()]
    else:
        found += [*look.torch_build(processes), look.tools(), *look.own_disk(here.get("scratch"))]
    failed = [f"{one.what}: {one.says}" for one in found if one.state == look.FAILS]
    if place == "login" and failed:
        raise InputError("preflight: " + "; ".join(failed))
    write_json(survey, [asdict(one) | {"place": place} for one in found])


if __name__ == "__main__":
    run(main)
