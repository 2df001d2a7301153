import copy
import json
import logging
import time

import numpy as np
import pandas as pd
import pytest
from workflow_tools import step

from regdna.manifest import read_yaml, validate
from regdna.models import ARCHITECTURES
from regdna.step import InputError
from regdna.tuning import apply, check, choose, draw, fitting

SPACE = {
    "name": "made-up",
    "training": {"learning_rate": {"low": 1e-4, "high": 1e-2, "scale": "log"}, "batch_size": [32, 64, 128]},
    "parameters": {"dropout": {"low": 0.0, "high": 0.5, "scale": "linear"}, "dropouts": {"low": 0.5, "high": 2.0, "scale": "linear"}},
}
ENTRY = {
    "regime": "full",
    "initialisation": "random",
    "training": {"learning_rate": 0.5, "batch_size": 7, "epochs": 3},
    "parameters": {"dropout": 0.1, "dropouts": [0.1, 0.6], "hidden": 4},
}


@pytest.fixture
def shipped(request):
    folder = request.config.rootpath
    return validate(read_yaml(folder / "resources/tuning.yaml"), read_yaml(folder / "rules/schemas/tuning.schema.yaml"), "tuning.yaml")


@pytest.fixture
def training(request):
    return read_yaml(request.config.rootpath / "rules/schemas/study.schema.yaml")["$defs"]["training"]


def test_the_first_trial_keeps_what_the_study_says():
    assert draw(SPACE, ENTRY, 0) == {}
    assert apply(ENTRY, {}) == ENTRY


def test_a_draw_stays_in_its_space_and_covers_it():
    drawn = [draw(SPACE, ENTRY, trial) for trial in range(1, 400)]
    rates = np.array([one["training"]["learning_rate"] for one in drawn])
    assert rates.min() >= 1e-4 and rates.max() <= 1e-2
    # Evenly over the exponents, not over the numbers: half of the rates lie below the geometric mean.
    assert 0.42 < (rates < 1e-3).mean() < 0.58
    dropout = np.array([one["parameters"]["dropout"] for one in drawn])
    assert dropout.min() >= 0 and dropout.max() <= 0.5 and 0.42 < (dropout < 0.25).mean() < 0.58
    sizes = [one["training"]["batch_size"] for one in drawn]
    assert all(0.25 < sizes.count(size) / len(sizes) < 0.42 for size in (32, 64, 128)) and set(sizes) == {32, 64, 128}
    lists = np.array([one["parameters"]["dropouts"] for one in drawn])
    assert np.allclose(lists[:, 1], np.minimum(lists[:, 0] * 6, 0.9), atol=0.005) and lists[:, 0].min() >= 0.05 and lists.max() == 0.9


def test_values_have_three_digits():
    for trial in range(1, 50):
        found = draw(SPACE, ENTRY, trial)
        for value in [found["training"]["learning_rate"], found["parameters"]["dropout"], *found["parameters"]["dropouts"]]:
            assert value == float(f"{value:.3g}")


def test_a_draw_hangs_on_the_trial_and_the_name_of_the_key_alone():
    other = {"name": "b", "training": {"weight_decay": [0.0], "learning_rate": SPACE["training"]["learning_rate"]}, "parameters": {}}
    entry = {"training": {"learning_rate": 3.0, "weight_decay": 0.1}, "parameters": {}}
    rates = [draw(SPACE, ENTRY, trial)["training"]["learning_rate"] for trial in range(1, 20)]
    assert [draw(other, entry, trial)["training"]["learning_rate"] for trial in range(1, 20)] == rates
    assert len(set(rates)) == 19
    # Written down once: no other version of Python, and no other machine, may draw otherwise.
    assert rates[:2] == [0.00277, 0.000623]


def test_two_keys_of_one_range_are_drawn_apart():
    space = {"name": "c", "training": {}, "parameters": dict.fromkeys(("one", "two"), {"low": 0.0, "high": 1.0, "scale": "linear"})}
    drawn = [draw(space, {"training": {}, "parameters": {"one": 0.0, "two": 0.0}}, trial)["parameters"] for trial in range(1, 60)]
    assert abs(np.corrcoef([list(one.values()) for one in drawn], rowvar=False)[0, 1]) < 0.4


def test_what_was_drawn_stands_in_for_what_the_study_says_and_nothing_else():
    before = copy.deepcopy(ENTRY)
    found = apply(ENTRY, {"trial": 2, "training": {"learning_rate": 0.1}, "parameters": {"dropouts": [0.2, 0.2]}})
    assert found["training"] == {"learning_rate": 0.1, "batch_size": 7, "epochs": 3}
    assert found["parameters"] == {"dropout": 0.1, "dropouts": [0.2, 0.2], "hidden": 4}
    assert (found["regime"], before) == ("full", ENTRY)


def test_the_first_space_that_fits_is_used_less_what_the_model_has_not():
    spaces = {
        "elsewhere": {"family": "cnn", "regimes": ["full"], "starts": ["published"], "training": {"epochs": [1]}, "parameters": {}},
        "mine": {"family": "cnn", "regimes": ["lora", "full"], "starts": ["random"], "training": {"epochs": [2], "nothing": [1]},
                 "parameters": {"hidden": [8], "k": [3]}},
        "later": {"family": "cnn", "regimes": ["full"], "starts": ["random"], "training": {"epochs": [3]}, "parameters": {}},
    }  # fmt: skip
    assert fitting(spaces, "cnn", ENTRY) == {"name": "mine", "training": {"epochs": [2]}, "parameters": {"hidden": [8]}}
    assert fitting(spaces, "transformer", ENTRY) == {}
    assert fitting(spaces, "cnn", {**ENTRY, "regime": "probe"}) == {}
    assert fitting(spaces, "cnn", {**ENTRY, "training": {}, "parameters": {}}) == {}


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("start", ["random", "published"])
def test_every_model_that_is_trained_is_tuned_and_probes_are_not(shipped, training, name, start):
    known = ARCHITECTURES[name]
    parameters = known.parameters if start == "published" else known.sizes | known.parameters
    entry = {
        "initialisation": start,
        "parameters": parameters,
        "training": {key: one["default"] for key, one in training["properties"].items()},
    }
    for regime in known.regimes:
        space = fitting(shipped, known.family, {**entry, "regime": regime})
        # A look-up of training windows fits nothing.
        assert bool(space) == (regime != "probe" and name not in ("position", "nearest")), regime
        if regime != "probe" and known.family != "row zero":
            assert {"learning_rate", "weight_decay", "batch_size", "warmup"} <= set(space["training"])
        assert not (known.family == "cnn" and start == "random") or {"dropout", "dropouts"} & set(space["parameters"])


def test_the_shipped_spaces_are_sound_and_keep_to_what_was_published(shipped, training):
    check(shipped, ARCHITECTURES, training, "tuning.yaml")
    for space, rates in {"transformer": (1e-5, 1e-4), "transformer-random": (1e-4, 3e-3)}.items():
        assert tuple(shipped[space]["training"]["learning_rate"][end] for end in ("low", "high")) == rates


@pytest.mark.parametrize(
    ("part", "content", "said"),
    [
        ("training", {"learning_rat": [0.1]}, "cnn.training.learning_rat: no model of family cnn has such a setting"),
        ("parameters", {"k": [3]}, "cnn.parameters.k: no model of family cnn"),
        ("training", {"warmup": {"low": 0.2, "high": 0.1, "scale": "linear"}}, "cnn.training.warmup: low 0.2 is not below high 0.1"),
        ("training", {"warmup": {"low": 0.0, "high": 0.1, "scale": "log"}}, "cnn.training.warmup: a log scale begins above 0"),
        ("training", {"warmup": [0.1, 2.0]}, "cnn.training.warmup: 2.0"),
        ("training", {"learning_rate": {"low": -1.0, "high": 0.1, "scale": "linear"}}, "cnn.training.learning_rate: -1.0"),
    ],
)
def test_a_space_that_says_what_cannot_be_is_refused(shipped, training, part, content, said):
    shipped["cnn"][part] = content
    with pytest.raises(InputError) as error:
        check(shipped, ARCHITECTURES, training, "tuning.yaml")
    assert str(error.value).startswith(f"tuning.yaml: {said}")


@pytest.mark.parametrize("content", [[], {"low": 1}, {"low": 1, "high": 2, "scale": "cubic"}, 3])
def test_neither_a_list_nor_a_range_is_refused(request, content):
    schema = read_yaml(request.config.rootpath / "rules/schemas/tuning.schema.yaml")
    with pytest.raises(InputError, match=r"tuning\.yaml: cnn\.training\.epochs"):
        validate({"cnn": {"family": "cnn", "regimes": ["full"], "training": {"epochs": content}}}, schema, "tuning.yaml")


def trial(number, ap, drawn=None, message=None, seconds=2.0):
    """The content of a trial.json."""
    settings = apply({key: ENTRY[key] for key in ("training", "parameters")}, drawn or {})
    return {"trial": number, "drawn": drawn or {}, "settings": settings, "validation_ap": ap, "message": message,
            "compute": {"wall_seconds": seconds}}  # fmt: skip


def test_the_highest_validation_ap_wins_and_of_equal_ones_the_first():
    assert choose([trial(0, 0.3), trial(1, 0.5), trial(2, 0.4)])["trial"] == 1
    assert choose([trial(2, 0.5), trial(1, 0.5), trial(0, 0.3)])["trial"] == 1
    assert choose([trial(0, None, message="nan"), trial(1, 0.0)])["trial"] == 1


def test_when_all_trials_failed_the_first_says_why():
    with pytest.raises(InputError, match="none of 2 trials ended; the first says: the loss is nan"):
        choose([trial(0, None, message="the loss is nan"), trial(1, None, message="other")])


def written(tmp_path, trials):
    """The step's files from these trials."""
    paths = []
    for one in trials:
        paths.append(tmp_path / f"{one['trial']}.json")
        paths[-1].write_text(json.dumps(one))
    step("choose").main(paths, tmp_path / "tuning.json", tmp_path / "trials.tsv", "basset")
    return (tmp_path / "tuning.json").read_text(), pd.read_csv(tmp_path / "trials.tsv", sep="\t")


def test_the_choice_is_printed_and_written_apart_from_the_table(tmp_path, caplog):
    drawn = {"training": {"learning_rate": 0.002}, "parameters": {"dropouts": [0.05, 0.3]}}
    some = [
        trial(0, 0.3),
        trial(1, 0.6, drawn),
        trial(2, None, {"training": {"learning_rate": 9.0}, "parameters": {}}, "the loss is nan", 1.0),
    ]
    with caplog.at_level(logging.INFO):
        content, table = written(tmp_path, some)
    assert json.loads(content) == {"trial": 1, **drawn}
    assert apply(ENTRY, json.loads(content))["training"] == {"learning_rate": 0.002, "batch_size": 7, "epochs": 3}
    assert list(table) == ["trial", "validation_ap", "chosen", "seconds", "learning_rate", "dropouts", "message"]
    assert list(table["chosen"]) == [False, True, False] and list(table["learning_rate"]) == [0.5, 0.002, 9.0]
    assert list(table["seconds"]) == [2, 2, 1] and np.isnan(table["validation_ap"][2]) and table["message"][2] == "the loss is nan"
    assert "basset: trial 1 of 3, validation AP 0.6000: learning_rate 0.002, dropouts [0.05, 0.3]" in caplog.text


def test_a_further_trial_that_changes_no_choice_leaves_the_choice_as_it_was(tmp_path):
    drawn = {"training": {"learning_rate": 0.002}, "parameters": {}}
    before, _ = written(tmp_path, [trial(0, 0.3), trial(1, 0.6, drawn)])
    more = {"training": {"learning_rate": 0.001}, "parameters": {}}
    after, table = written(tmp_path, [trial(0, 0.3), trial(1, 0.6, drawn), trial(2, 0.5, more)])
    assert (before, len(table)) == (after, 3)
    changed, _ = written(tmp_path, [trial(0, 0.3), trial(1, 0.6, drawn), trial(2, 0.7, more)])
    assert changed != before


def test_a_choice_of_what_the_study_says_sets_nothing(tmp_path):
    content, _ = written(tmp_path, [trial(0, 0.9), trial(1, 0.6, {"training": {"learning_rate": 0.002}, "parameters": {}})])
    assert json.loads(content) == {"trial": 0, "training": {}, "parameters": {}}


def test_when_nothing_could_be_chosen_the_model_is_named(tmp_path):
    with pytest.raises(InputError, match=r"models\.basset: none of 1 trials ended.*resources/tuning\.yaml"):
        written(tmp_path, [trial(0, None, message="the loss is nan")])


@pytest.fixture
def tune(tmp_path, monkeypatch):
    """The step ``tune`` with training in the hands of the test: a function of what training does."""
    module = step("tune")

    def run(fit):
        def trained(material, entry, model, seed, folder, store, **more):
            assert folder.is_dir() and not list(folder.iterdir()) and folder.is_relative_to(store)
            (folder / "model.safetensors").write_text("weights")
            (store / "state").mkdir()
            return {**fit(material, entry), "state": store / "state", "processes": more["processes"]}

        monkeypatch.setattr(module.job, "fit", trained)
        entry = {**ENTRY, "context": 100}
        files = [tmp_path / name for name in ("windows", "splits", "targets", "table", "known")]
        drawn = {"training": {"learning_rate": 0.25}, "parameters": {}}
        module.main(*files, tmp_path / "trial.json", entry, drawn, 0.3, "multilabel", "basset", 4, 7, tmp_path / "store", processes=2)
        return json.loads((tmp_path / "trial.json").read_text())

    return run


def test_a_trial_trains_with_what_it_drew_on_its_share_and_leaves_nothing_but_its_result(tune, tmp_path):
    seen = {}

    def fit(material, entry):
        seen.update(material=material, entry=entry)
        return {"validation_ap": 0.4, "epochs": 2}

    found = tune(fit)
    assert (seen["material"].share, seen["material"].seed, seen["material"].control, seen["material"].context) == (0.3, 7, "", 100)
    assert seen["entry"]["training"] == {"learning_rate": 0.25, "batch_size": 7, "epochs": 3}
    assert (found["trial"], found["share"], found["validation_ap"], found["message"]) == (4, 0.3, 0.4, None)
    assert found["drawn"] == {"training": {"learning_rate": 0.25}, "parameters": {}}
    assert found["settings"] == {"training": seen["entry"]["training"], "parameters": ENTRY["parameters"]}
    assert found["compute"]["epochs"] == 2 and found["compute"]["wall_seconds"] > 0 and found["compute"]["processes"] == 2
    assert "state" not in found["compute"]
    assert not list((tmp_path / "store").iterdir())


@pytest.mark.parametrize("processes", ["one", "several"])
def test_a_trial_that_diverged_is_a_result(tune, tmp_path, processes):
    def fit(material, entry):
        time.sleep(0.02)  # the ledger counts thousandths of a second
        said = InputError("models.basset: the loss is nan" if processes == "one" else "models.basset: FloatingPointError: the loss is nan")
        raise said from (FloatingPointError("the loss is nan") if processes == "one" else ValueError("a process failed"))

    found = tune(fit)
    assert found["validation_ap"] is None and "the loss is nan" in found["message"]
    assert found["compute"]["wall_seconds"] > 0
    assert not list((tmp_path / "store").iterdir())


def test_any_other_mistake_ends_the_trial(tune, tmp_path):
    def fit(material, entry):
        raise InputError("models.basset: it sees 100 bp, but takes at least 200") from ValueError("sizes")

    with pytest.raises(InputError, match="at least 200"):
        tune(fit)
    assert not (tmp_path / "trial.json").exists()
