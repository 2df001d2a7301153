"""What a dry run says of GPU-hours, and that a budget holds before any job."""

import re

import pytest
import yaml
from workflow_tools import ROOT, clone, snakemake


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A clone in which nothing was run, with studies of its own."""
    folder = clone(tmp_path_factory.mktemp("costs") / "regdna")
    (folder / "studies").mkdir()
    large = yaml.safe_load((ROOT / "resources/studies/encode.yaml").read_text())
    for name, budget in (("free", None), ("rich", 10_000), ("poor", 0.5)):
        content = large | ({"budget": {"gpu_hours": budget}} if budget else {})
        (folder / f"studies/{name}.yaml").write_text(yaml.safe_dump(content))
    return folder


def test_a_study_of_minutes_says_nothing(fresh):
    result = snakemake(fresh, "-n", "--quiet=rules", "train", study=None)
    assert result.returncode == 0 and "GPU-hours" not in result.stderr, result.stderr


@pytest.mark.parametrize("study", ["free", "rich"])
def test_a_large_study_says_its_gpu_hours_once(fresh, study):
    result = snakemake(fresh, "-n", "--quiet=rules", "train", study=study, studies="studies")
    assert result.returncode == 0, result.stderr
    said = re.findall(r"^regdna: study (\w+): about (\d+) GPU-hours on an A100 \((.*)\)$", result.stderr, flags=re.MULTILINE)
    assert [(one, counts.endswith(" trials, 0 from past runs")) for one, _, counts in said] == [(study, True)]
    assert 5 < int(said[0][1]) < 100


def test_a_study_over_its_budget_is_refused_in_one_line(fresh):
    result = snakemake(fresh, "-n", "--quiet=rules", "train", study="poor", studies="studies")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    [line] = [line for line in result.stderr.splitlines() if "budget" in line]
    assert line.startswith("regdna: studies/poor.yaml: budget.gpu_hours: 0.5, but the study takes about ")
    assert "most of it nt-v2-500m;" in line and line.endswith("or raise the budget")
