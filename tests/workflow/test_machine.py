"""What jobs ask of a machine."""

import os

import pytest
import yaml
from snakemake.api import SnakemakeApi
from snakemake.iocontainers import InputFiles, Wildcards
from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings
from workflow_tools import clone, snakemake

JOB = {"study": "tiny", "dataset": "dhs", "model": "basset", "seed": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return clone(tmp_path_factory.mktemp("machine") / "regdna")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No cluster is asked for its limits, where the tests run on one."""
    monkeypatch.setattr("regdna.slurm.site.rows", lambda command: None)


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


def test_no_job_asks_for_more_than_the_partitions_give_that_it_can_go_to(folder):
    table = {"cpu": {"max_runtime": 100, "max_mem_mb": 9000}, "gpu": {"max_runtime": 90, "max_mem_mb": 7000, "max_gpu": 1}}
    asked = resources(folder, {"partitions": table})
    assert [asked("train_model", attempt=3)[key] for key in ("runtime", "mem_mb")] == [90, 7000]
    row_zero = asked("train_model", attempt=3, model="composition")
    assert [row_zero[key] for key in ("runtime", "mem_mb")] == [100, 9000]
    assert asked("evaluate_model")["runtime"] == 60


def test_training_asks_for_the_time_that_its_size_takes(folder):
    asked = resources(folder, {})
    small, none = asked("train_model")["runtime"], asked("train_model", model="composition")["runtime"]
    assert none == 60 <= small < 120


def test_jobs_that_a_killed_run_left_in_the_queue_keep_a_new_one_from_beginning(tmp_path, monkeypatch):
    folder = clone(tmp_path / "regdna")
    commands = tmp_path / "bin"
    commands.mkdir()
    squeue = commands / "squeue"
    squeue.write_text(f"#!/bin/sh\necho '77|{folder}|rule_train_model_wildcards_x'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    wanted = "results/sources/demo-annotation/tss.bed"
    refused = snakemake(folder, wanted)
    assert refused.returncode and "regdna: jobs 77 of an earlier run from here are in the queue" in refused.stderr
    assert not (folder / wanted).exists() and not (folder / "results/store/last-run.json").exists()
    squeue.write_text("#!/bin/sh\ntrue\n")
    assert snakemake(folder, wanted).returncode == 0 and (folder / "results/store/last-run.json").is_file()
