"""Tuning and controls as nodes of the DAG: what is planned, with what, and what a further trial makes run again."""

import json
import re

import pandas as pd
import pytest
import yaml
from workflow_tools import clone, planned, snakemake

from regdna.manifest import read_yaml
from regdna.models import ARCHITECTURES
from regdna.tuning import draw

TRIALS = "results/tuned/chr22/composition/trials"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A clone in which nothing was built."""
    return clone(tmp_path_factory.mktemp("fresh") / "regdna")


@pytest.fixture
def edit(tmp_path):
    """A clone, and a function that writes an edited study beside the others and gives its name."""
    folder = clone(tmp_path / "regdna")

    def write(change) -> str:
        study = yaml.safe_load((folder / "tests/studies/tuned.yaml").read_text())
        change(study)
        (folder / "tests/studies/own.yaml").write_text(yaml.safe_dump(study))
        return "own"

    return folder, write


def jobs(folder, *targets, study="tuned", rule="train_model"):
    """Wildcards of the planned jobs of a rule, and the input and resources that the plan prints, by job."""
    result = snakemake(folder, "-n", *targets, study=study)
    assert result.returncode == 0, result.stderr
    blocks = re.findall(rf"^(?:rule|checkpoint) {rule}:\n((?:    .*\n)+)", result.stdout + result.stderr, flags=re.MULTILINE)
    return [{key: value for key, value in re.findall(r"^    (\w+): (.*)$", block, flags=re.MULTILINE)} for block in blocks]


def test_trials_and_controls_are_planned_once_each(fresh):
    plan = planned(fresh, "all", study="tuned")
    wanted = {"tune_model": 6, "choose_settings": 3, "train_model": 11, "predict_windows": 11, "evaluate_model": 9, "mutagenise_locus": 1}
    assert {rule: plan.get(rule) for rule in wanted} == wanted


def test_a_model_is_tuned_before_it_is_trained_and_its_control_is_not(fresh):
    plan = planned(fresh, "results/tuned/chr22/basset/seed1/checkpoint", study="tuned")
    assert (plan["tune_model"], plan["choose_settings"], plan["train_model"]) == (2, 1, 1)
    plan = planned(fresh, "results/tuned/chr22/basset-flank-only/seed1/checkpoint", study="tuned")
    assert (plan["tune_model"], plan["choose_settings"], plan["train_model"]) == (2, 1, 1)
    tuned = jobs(fresh, "results/tuned/chr22/basset-flank-only/seed1/checkpoint", rule="tune_model")
    assert {job["wildcards"] for job in tuned} == {f"study=tuned, dataset=chr22, model=basset, trial={trial}" for trial in (0, 1)}


def test_a_probe_is_not_tuned(fresh):
    assert "tune_model" not in planned(fresh, "results/tuned/dhs/nt-random-probe/seed2/checkpoint", study="tuned")


def test_one_trial_is_a_target_and_one_that_the_study_has_not_is_refused(fresh):
    plan = planned(fresh, f"{TRIALS}/1/trial.json", study="tuned")
    assert plan["tune_model"] == 1 and "train_model" not in plan
    result = snakemake(fresh, "-n", f"{TRIALS}/2/trial.json", study="tuned")
    assert result.returncode == 1 and "model composition has no trial 2" in result.stdout + result.stderr
    result = snakemake(fresh, "-n", "results/tuned/dhs/nt-random-probe/trials/0/trial.json", study="tuned")
    assert result.returncode == 1 and "model nt-random-probe has no trial 0" in result.stdout + result.stderr


def test_effects_of_a_control_are_refused(fresh):
    result = snakemake(fresh, "-n", "results/tuned/chr22/basset-flank-only/mutagenesis/dgcr8-promoter.npz", study="tuned")
    assert result.returncode == 1 and "basset-flank-only is a control" in result.stdout + result.stderr


def test_training_takes_the_gpus_that_are_asked_for_and_all_else_one(edit):
    folder, write = edit

    def more(study):
        for model in ("basset", "composition", "nt-random-probe"):
            study["models"][model]["gpu"] = 4

    study = write(more)
    found = {}
    for rule in ("tune_model", "train_model", "predict_windows", "mutagenise_locus"):
        for job in jobs(folder, "all", study=study, rule=rule):
            model = re.search(r"model=([\w-]+)", job["wildcards"])[1]
            found.setdefault(rule, {})[model] = int(re.search(r"gpu=(\d+)", job["resources"])[1])
    assert {model: found["train_model"][model] for model in ("basset", "basset-flank-only", "composition", "nt-random-probe")} == {
        "basset": 4, "basset-flank-only": 4, "composition": 0, "nt-random-probe": 1,
    }  # fmt: skip
    assert found["tune_model"] == {"basset": 4, "composition": 0}
    assert set(found["predict_windows"].values()) == {0, 1} and found["mutagenise_locus"] == {"basset": 1}


def test_a_mistake_in_the_spaces_is_one_clear_line(edit):
    folder, _ = edit
    path = folder / "resources/tuning.yaml"
    path.write_text(path.read_text().replace("learning_rate:", "learnin_rate:", 1))
    result = snakemake(folder, "-n", study="tuned")
    lines = [line for line in result.stderr.splitlines() if line.startswith("regdna: ")]
    assert result.returncode == 1 and len(lines) == 1 and "Traceback" not in result.stderr
    assert lines[0].startswith("regdna: resources/tuning.yaml: cnn.training.learnin_rate: no model of family cnn")


@pytest.mark.slow
def test_a_further_trial_trains_again_only_what_chooses_otherwise(edit):
    folder, write = edit
    names = ("composition", "composition-shuffled-labels", "composition-flank-only")
    targets = [f"results/own/chr22/{model}/seed1/predictions/about.json" for model in names]

    def with_trials(number):
        def change(study):
            study["tuning"]["trials"] = number
            study["models"]["composition"]["controls"] = ["shuffled-labels", "flank-only"]
            del study["models"]["nt-random-probe"], study["datasets"]["dhs"]

        study = write(change)
        result = snakemake(folder, *targets, study=study)
        assert result.returncode == 0, result.stderr[-3000:]
        table = pd.read_csv(folder / "results/own/chr22/composition/trials.tsv", sep="\t")
        runs = [folder / f"results/own/chr22/{model}/seed1" for model in names]
        about = [json.loads((run / "checkpoint/about.json").read_text()) for run in runs]
        assert [(one["control"], one["centre"]) for one in about] == [("", 0), ("shuffled-labels", 0), ("flank-only", 400)]
        return table, [one["parameters"]["l2"] for one in about], [(run / "compute.json").stat().st_mtime_ns for run in runs]

    table, penalty, trained = with_trials(2)
    chosen = table[table["chosen"]].iloc[0]
    assert penalty == [chosen["l2"]] * 3
    entry = {"training": {}, "parameters": {"l2": 1.0}}
    space = {"training": {}, "parameters": {"l2": read_yaml(folder / "resources/tuning.yaml")["row-zero"]["parameters"]["l2"]}}
    assert "l2" in ARCHITECTURES["composition"].parameters
    assert table["l2"].tolist() == [1.0, draw(space, entry, 1)["parameters"]["l2"]]
    first = {path: path.stat().st_mtime_ns for path in folder.glob("results/own/chr22/composition/trials/*/trial.json")}
    # Every further trial until the choice changes trains nothing again; the one that changes it trains them all.
    for number in range(3, 6):
        table, penalty, again = with_trials(number)
        assert len(table) == number and all(path.stat().st_mtime_ns == when for path, when in first.items())
        other = table[table["chosen"]].iloc[0]["trial"] != chosen["trial"]
        assert penalty == [table[table["chosen"]].iloc[0]["l2"]] * 3
        assert (again != trained) == other and (not other or all(one != two for one, two in zip(again, trained, strict=True)))
        chosen, trained = table[table["chosen"]].iloc[0], again
    assert not [path for path in (folder / "results/store").iterdir() if path.name != "last-run.json"]
