"""Published values are in the plan of studies that name a benchmark, and a benchmark that is none is refused."""

import pytest
import yaml
from workflow_tools import ROOT, clone, planned, snakemake


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A clone in which nothing was run."""
    return clone(tmp_path_factory.mktemp("literature") / "regdna")


def test_the_table_resolves_as_a_path_and_leaves_controls_out(folder):
    jobs = planned(folder, "results/deepsea/literature.parquet", study=None)
    models = yaml.safe_load((ROOT / "resources/studies/deepsea.yaml").read_text())["models"]
    runs = sum(len(entry.get("datasets", ["bundle", "bundle-50k"])) for entry in models.values())
    assert jobs["cite_literature"] == 1 and jobs["evaluate_model"] == runs


def test_a_study_without_a_benchmark_has_no_such_table(folder):
    refused = snakemake(folder, "-n", "results/demo/literature.parquet", study=None)
    assert refused.returncode and "demo: no dataset names its 'literature'" in refused.stdout + refused.stderr


def test_an_unknown_benchmark_is_refused_before_any_job(folder):
    study = yaml.safe_load((folder / "tests/studies/tiny.yaml").read_text())
    study["datasets"]["dhs"]["literature"] = "gue-tf-00"
    (folder / "tests/studies/typo.yaml").write_text(yaml.safe_dump(study))
    refused = snakemake(folder, "-n", study="typo")
    said = "datasets.dhs.literature: 'gue-tf-00' is not in resources/literature.tsv; did you mean 'gue-tf-0'?"
    assert refused.returncode and f"regdna: tests/studies/typo.yaml: {said}" in refused.stderr.splitlines()
