"""What jobs ask of a machine."""

import pytest
import yaml
from snakemake.api import SnakemakeApi
from snakemake.iocontainers import InputFiles, Wildcards
from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings
from workflow_tools import clone

JOB = {"study": "tiny", "dataset": "dhs", "model": "basset", "seed": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return clone(tmp_path_factory.mktemp("machine") / "regdna")


class Read(InputFiles):
    """Input files of a size that is said, not measured."""

    size_mb = 0.0


def resources(folder, site):
    """A function that gives what a rule's job asks for, in a clone with this site file."""
    path = folder / "profiles/slurm/site.yaml"
    path.write_text(yaml.safe_dump(site)) if site else path.unlink(missing_ok=True)
    chosen = ConfigSettings(config={"study": "tiny", "study_folder": "tests/studies"})
    with pytest.MonkeyPatch.context() as patch, SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        patch.chdir(folder)
        workflow = api.workflow(ResourceSettings(cores=1), chosen, snakefile=folder / "Snakefile")._workflow
        rules = {rule.name: rule for rule in workflow.rules}

    def asked(name, attempt=1, reads=0.0, **changes):
        read = Read([])
        read.size_mb = reads
        found = rules[name].expand_resources(Wildcards(fromdict=JOB | changes), read, attempt)
        return {key: value for key, value in found.items() if not key.startswith("_")}

    asked.submitted = [name for name, rule in rules.items() if rule.script and name not in workflow._localrules]
    return asked


def test_every_submitted_job_asks_for_more_memory_and_time_when_it_is_tried_again(folder):
    asked = resources(folder, {})
    assert len(asked.submitted) > 20
    for name in asked.submitted:
        others = {"place": "cpu", "source": "demo-chr22", "trial": "0", "locus": "k562-dhs", "variants": "none"}
        first, second = (asked(name, attempt, **others) for attempt in (1, 2))
        assert second["mem_mb"] == 2 * first["mem_mb"] >= 8000 and second["runtime"] == min(2 * first["runtime"], 2880), name


def test_memory_grows_with_what_is_read(folder):
    asked = resources(folder, {})
    assert asked("train_model")["mem_mb"] == 8000 and asked("train_model", reads=2000.0)["mem_mb"] == 12000
    assert asked("train_model", attempt=2, reads=2000.0)["mem_mb"] == 24000


@pytest.mark.parametrize(
    ("site", "network", "row_zero"),
    [({}, {"processes": 1, "gpu": 1}, {"processes": 0, "gpu": 0}),
     ({"gpu_model": "a100"}, {"processes": 1, "gpu": 1, "gpu_model": "a100"}, {"processes": 0, "gpu": 0}),
     ({"gpu_request": "gres"}, {"processes": 1, "gres": "gpu:1"}, {"processes": 0, "gpu": 0}),
     ({"gpu_request": "gres", "gpu_model": "a100"}, {"processes": 1, "gres": "gpu:a100:1"}, {"processes": 0, "gpu": 0})],
)  # fmt: skip
def test_gpus_are_asked_for_as_the_site_wants_it_and_by_networks_alone(folder, site, network, row_zero):
    asked = resources(folder, site)
    names = ("processes", "gpu", "gpu_model", "gres")
    for rule in ("train_model", "predict_windows"):
        for model, wanted in (("basset", network), ("composition", row_zero)):
            assert {key: value for key, value in asked(rule, model=model).items() if key in names} == wanted


def test_no_job_asks_for_more_time_than_the_longest_partition_gives(folder):
    asked = resources(folder, {"partitions": {"short": {"max_runtime": 90}, "long": {"max_runtime": 100}}})
    assert asked("train_model", attempt=3)["runtime"] == 100 and asked("evaluate_model")["runtime"] == 60


def test_training_asks_for_the_time_that_its_size_takes(folder):
    asked = resources(folder, {})
    small, none = asked("train_model")["runtime"], asked("train_model", model="composition")["runtime"]
    assert none == 60 <= small < 120
