"""After a kill: end what is left of this folder's run, unlock it, and go on.

    python workflow_scripts/resume.py [what would be given to snakemake]

Without arguments the last run is gone on with, as it was started.

The one script here that no rule runs (`make resume` does). A master that was killed leaves jobs behind which go on
writing, on this machine and on a cluster; they are asked to stop (training saves its state), their temporary files are
removed, the folder is unlocked and Snakemake is started again with what was given.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import psutil

from regdna.slurm import jobs as cluster
from regdna.store import sweep, whoami

PATIENCE_SECONDS = 30


def main(arguments: list[str]) -> int | None:
    """End leftovers, unlock and become Snakemake with ``arguments``; gives an exit code where it comes to nothing."""
    here = Path.cwd()
    if not (here / "Snakefile").is_file():
        return refuse(f"{here} is not the root of the repository; go there first")
    masters, leftovers = processes(here)
    if masters:
        pids = ", ".join(str(one.pid) for one in masters)
        return refuse(f"a run is going on here (process {pids}); stop it first, or wait for it")
    last = Path("results/store/last-run.json")
    try:
        run = json.loads(last.read_text()) if last.is_file() else {}
        run = {"submits": True} | run if run else {}
        run = {key: run[key] for key in ("host", "pid", "job", "submits", "arguments")} if run else {}
    except (ValueError, TypeError, KeyError):
        return refuse(f"{last} is broken; delete it, and say what snakemake was given: make resume TARGETS='...'")
    if not run and not arguments:
        return refuse(f"no run is known here ({last} is missing); say what snakemake was given: make resume TARGETS='...'")
    if elsewhere(run, here):
        again = shlex.quote(shlex.join(run["arguments"]))
        return refuse(
            f"the last run was started on {run['host']} (process {run['pid']}); run `make resume` there, or, if it has ended, "
            f"delete {last} and run `make resume TARGETS={again}` here"
        )
    waiting = cluster.of_folder(here)
    if waiting is None and run.get("submits", True):
        return refuse("Slurm does not say which jobs of this folder there are; run `make resume` again when it answers")
    if waiting:
        print(f"ending {len(waiting)} jobs of a killed run on the cluster", file=sys.stderr)
        if not cluster.end(waiting, here):
            return refuse(f"jobs {', '.join(waiting)} do not end; see squeue, and run `make resume` when they have")
    stop([one for one in leftovers if one.is_running()])
    sweep(here / "results")
    if not arguments and run:
        arguments = run["arguments"]
        print(f"going on with: snakemake {shlex.join(arguments)}", file=sys.stderr)
    snakemake = [sys.executable, "-m", "snakemake"]
    unlocked = subprocess.run([*snakemake, "--unlock", *arguments], capture_output=True, text=True)
    if unlocked.returncode:
        print(unlocked.stderr, file=sys.stderr)
        return unlocked.returncode
    sys.stderr.flush()
    os.execv(sys.executable, [*snakemake, *arguments])  # not as a child: Ctrl-C shall reach Snakemake alone, which cancels its jobs


def refuse(why: str) -> int:
    """Say in one line why it does not go on; gives the exit code."""
    print(f"regdna: {why}", file=sys.stderr)
    return 1


def elsewhere(run: dict, here: Path) -> bool:
    """Whether a run was started on a machine that cannot be looked at from here, and may go on there: its lock is still held."""
    if not run or run["host"] == whoami()["host"] or not any((here / ".snakemake/locks").glob("*")):
        return False
    return run["job"] is None or cluster.is_there(run["job"]) is not False


def processes(here: Path) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """Snakemake masters that run in ``here``, and job processes that a dead master left behind."""
    mine = {psutil.Process().pid, *(parent.pid for parent in psutil.Process().parents())}
    masters, jobs = [], []
    for process in psutil.process_iter():
        try:
            if process.pid in mine or Path(process.cwd()) != here or process.status() == psutil.STATUS_ZOMBIE:
                continue
            command = process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if any(".snakemake/scripts/" in part for part in command) or "--mode" in command:
            jobs.append(process)
        elif any(Path(part).name in ("snakemake", "resume.py") for part in before_targets(command)):
            masters.append(process)
    living = {one.pid for one in masters}
    return masters, [job for job in jobs if not living & {parent.pid for parent in parents(job)}]


def before_targets(command: list[str]) -> list[str]:
    """The interpreter, its options and the program: what comes before the program's own arguments."""
    names = [at for at, part in enumerate(command) if Path(part).name in ("snakemake", "resume.py")]
    return command[: names[0] + 1] if names else []


def parents(process: psutil.Process) -> list[psutil.Process]:
    """Living ancestors of a process; none if it has just ended."""
    try:
        return process.parents()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def stop(leftovers: list[psutil.Process]) -> None:
    """Ask processes to end, wait, and kill those that do not."""
    for process in leftovers:
        print(f"ending process {process.pid}, left over from a killed run", file=sys.stderr)
        process.terminate()
    _, stubborn = psutil.wait_procs(leftovers, timeout=PATIENCE_SECONDS)
    for process in stubborn:
        process.kill()
    psutil.wait_procs(stubborn, timeout=PATIENCE_SECONDS)
    time.sleep(0.1)  # children of the ended processes are reaped


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
