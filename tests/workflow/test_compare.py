"""`snakemake compare`: two finished studies side by side, of which nothing is made again."""

import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from made_up_pair import finished
from workflow_tools import ROOT, clone, environment

pytestmark = pytest.mark.slow


def compare(folder, studies: str | None, *options: str, target: str = "compare") -> subprocess.CompletedProcess[str]:
    """Run `snakemake compare` in a clone."""
    named = [f"studies={studies}"] if studies else []
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores=1",
        *options,
        "--config",
        "study=tiny",
        "study_folder=tests/studies",
        *named,
        "--",
    ]
    return subprocess.run([*command, target], cwd=folder, env=environment(), capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A clone with made-up results of the tiny study, whose code and inputs Snakemake has never seen, and those of an older version."""
    folder = clone(tmp_path_factory.mktemp("compare") / "regdna")
    models = yaml.safe_load((ROOT / "tests/studies/tiny.yaml").read_text())["models"]
    results = folder / "results"
    for dataset, at in (("dhs", 0), ("chr22", 7)):
        mine = {name: 1.0 for name, one in models.items() if dataset in one.get("datasets", [dataset])}
        finished(results / f"{dataset}-now", mine, dataset=dataset, at=at)
        finished(results / f"{dataset}-then", {name: 0.3 if name == "basset" else 1.0 for name in mine}, dataset=dataset, at=at)
    for now, study in (("now", "tiny"), ("then", "tiny-2025")):
        shutil.move(results / f"dhs-{now}", results / study)
        shutil.move(results / f"chr22-{now}/chr22", results / study / "chr22")
        shutil.rmtree(results / f"chr22-{now}")
    return folder


def refused(result, *parts) -> bool:
    """Whether a run ended with one line, before any job."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("regdna: ")]
    assert result.returncode == 1 and len(lines) == 1 and "Traceback" not in result.stderr, result.stderr
    assert all(part in lines[0] for part in parts), lines[0]
    return True


def test_two_versions_of_a_study_stand_side_by_side_and_nothing_is_made_again(folder):
    dry = compare(folder, "tiny-2025,tiny", "-n", "--quiet=host")
    assert dry.returncode == 0, dry.stderr
    said = dry.stdout + dry.stderr
    assert "contrast_studies" in said and not any(
        rule in said for rule in ("evaluate_model", "train_model", "split_windows", "fetch_source")
    )
    before = {path: path.stat().st_mtime_ns for path in (folder / "results/tiny").rglob("*") if path.is_file()}

    done = compare(folder, "tiny-2025,tiny")
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in (folder / "results/tiny").rglob("*") if path.is_file()} == before
    table = pd.read_parquet(folder / "results/compare/tiny-2025+tiny/comparison.parquet")
    means = table.query("target == -1 and metric == 'auroc' and dataset == 'dhs' and pair == 'same model'").set_index("model")
    assert means.loc["basset", "verdict"] == "better" and means.loc["composition", "difference"] == 0
    page = (folder / "results/compare/tiny-2025+tiny/comparison.html").read_text()
    assert "From tiny-2025 to tiny" in page and page.count("Split digest") == 2

    again = compare(folder, "tiny-2025,tiny", "-n")
    assert "Nothing to be done" in again.stdout + again.stderr
    path = folder / "results/tiny/dhs/basset/metrics.parquet"
    os.utime(path)
    renewed = compare(folder, "tiny-2025,tiny", "-n", "--quiet=host")
    assert "contrast_studies" in renewed.stdout + renewed.stderr and "evaluate_model" not in renewed.stdout + renewed.stderr


def test_the_page_can_be_asked_for_by_its_path(folder):
    dry = compare(folder, None, "-n", "--quiet=host", target="results/compare/tiny+tiny-2025/comparison.html")
    assert dry.returncode == 0 and "contrast_studies" in dry.stdout + dry.stderr, dry.stderr


def test_what_cannot_be_compared_is_one_line(folder):
    path = folder / "results/tiny/chr22/basset/metrics.parquet"
    path.rename(path.with_suffix(".away"))
    try:
        assert refused(compare(folder, "tiny-2025,tiny", "-n"), "results/tiny is not finished: it lacks chr22/basset/metrics.parquet;")
    finally:
        path.with_suffix(".away").rename(path)
    assert refused(compare(folder, "tiny,nothing", "-n"), "results/nothing is not there")
    assert refused(compare(folder, "tiny", "-n"), "'tiny' does not name two folders", "'study_folder'")
    finished(folder / "results/moved", {"basset": 1.0}, dataset="dhs", at=500)
    assert refused(compare(folder, "tiny,moved", "-n"), "dataset dhs", "judged on split")
    result = compare(folder, None, "-n")
    assert result.returncode == 1 and "compare: name two folders of results" in result.stdout + result.stderr
