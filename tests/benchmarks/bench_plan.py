"""`snakemake -n -q all` of a study of about 2,000 jobs against one of 20; row plan of the benchmarks.

Many small networks and seeds on the demo's sites, in a fresh copy of the checkout; wall time, medians of alternations. Where the time
goes is from cProfile, which makes everything slower, but leaves the shares about as they are. Prints one JSON object a line.
"""

import json
import pstats
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from workflow_tools import clone, command, environment, planned, write_many

FEW, MANY = (2, 1), (78, 10)  # models and seeds
ALTERNATIONS = 3
CHECKS = ("/common.smk", "/costs.smk", "/finished.smk", "/machine.smk")  # read studies, say what they cost


def plan(folder: Path, study: str, *profiled: str) -> float:
    """Seconds of a dry run that says nothing."""
    python, *arguments = command("-n", "--quiet=all", "all", study=study)
    begun = time.perf_counter()
    subprocess.run([python, *profiled, *arguments], cwd=folder, env=environment(), capture_output=True, check=True)
    return time.perf_counter() - begun


def shares(path: Path) -> dict[str, float]:
    """Of the profiled time: functions of ours that Snakemake asks about jobs, reading and checking of studies, and all else, its own."""
    profile = pstats.Stats(str(path))
    spent = {"functions": 0.0, "studies": 0.0}
    for (file, _, name), (*_, callers) in profile.stats.items():
        ours = file.endswith(".smk") or "/regdna/" in file
        for (caller, _, within), (*_, seconds) in callers.items():
            if ours and name != "<module>" and "/snakemake/" in caller:
                spent["functions"] += seconds
            elif "/regdna/" in file + name and caller.endswith(CHECKS) and within == "<module>":
                spent["studies"] += seconds
    return {name: seconds / profile.total_tt for name, seconds in spent.items()}


def bench(folder: Path) -> dict:
    """The row: how many times as long the many jobs take; 4 is the most that is wanted."""
    studies = [write_many(folder, *FEW), write_many(folder, *MANY)]
    short, long = (sum(planned(folder, "all", study=study).values()) for study in studies)
    few, many = np.median([[plan(folder, study) for study in studies] for _ in range(ALTERNATIONS)], axis=0)
    plan(folder, studies[1], "-m", "cProfile", "-o", str(folder / "plan.prof"))
    spent = shares(folder / "plan.prof")
    rest = 1 - sum(spent.values())
    note = (
        f"{few:.1f} s for {short} jobs, {many:.1f} s for {long:,}; of the latter {spent['functions']:.0%} in our functions of jobs, "
        f"{spent['studies']:.0%} in reading and checking studies, {rest:.0%} in Snakemake, its start included"
    )
    return {"name": "plan", "peer": f"{short} jobs", "ratio": round(many / few, 1), "error": None, "note": note}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(bench(clone(Path(folder) / "regdna"))), flush=True)
