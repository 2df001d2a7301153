"""Large studies: what planning one costs, counted, not timed; tests/benchmarks/bench_plan.py times it."""

import re
import sys
from collections import Counter

import pytest
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings
from workflow_tools import clone, write_many

LOOKS = {"open", "stat", "lstat", "scandir", "listdir"}


def ours(frame) -> bool:
    """Whether code of the rules or of the library asks; not if it is Snakemake, for the size of a job's input."""
    while frame and not re.search(r"\.smk$|/(workflow_scripts|snakemake)/", frame.f_code.co_filename):
        frame = frame.f_back
    return frame is not None and "/snakemake/" not in frame.f_code.co_filename


def planning(folder, study) -> Counter:
    """Jobs of a study, calls while they are planned and their parameters and resources found, and files that code of ours looks at."""
    counts = Counter()

    def count(frame, event, what):
        counts["calls"] += event == "call"
        counts["our calls"] += event == "call" and frame.f_code.co_filename.endswith(".smk")
        counts["files"] += event == "c_call" and what.__name__ in LOOKS and ours(frame)

    chosen = ConfigSettings(config={"study": study, "study_folder": "tests/studies"})
    with pytest.MonkeyPatch.context() as patch, SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        patch.chdir(folder)
        workflow = api.workflow(ResourceSettings(cores=1), chosen, snakefile=folder / "Snakefile")
        plan = workflow.dag(DAGSettings(targets={"all"}))
        read = workflow._workflow  # private, as in test_house.py: the rules are read here, jobs are not yet made
        sys.setprofile(count)
        try:
            plan.printrulegraph()
            for job in read.dag.jobs:
                counts["jobs"] += 1
                assert job.params is not None and job.resources
        finally:
            sys.setprofile(None)
    return counts


def test_a_plan_takes_as_many_calls_a_job_for_many_jobs_and_looks_at_no_more_files(tmp_path, capsys):
    folder = clone(tmp_path / "many")
    few, many = (planning(folder, write_many(folder, models, seeds=2)) for models in (6, 24))
    assert (few["jobs"], many["jobs"]) == (52, 172)
    assert 0 < many["files"] <= few["files"], (few, many)
    for kind in ("calls", "our calls"):
        assert many[kind] / many["jobs"] < 1.1 * few[kind] / few["jobs"], (kind, few, many)
