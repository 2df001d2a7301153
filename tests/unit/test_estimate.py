import json

import pandas as pd
import pytest
from workflow_tools import ROOT

from regdna.estimate import SPEEDS, START_SECONDS, check_budget, estimate, forward_flops, known_counts, past_runs
from regdna.manifest import read_table
from regdna.models import ARCHITECTURES
from regdna.step import InputError

NT = {"version": 2, "k": 6, "hidden": 512, "layers": 12, "heads": 16, "intermediate": 2048, "dropout": 0.0, "pooling": "mean", "rank": 8}
TABLE = pd.DataFrame(
    {"mflop_per_kb": [0, 0, 1000, 500], "tokens_per_kb": [0, 200, 200, 0], "tflops": [0, 1, 1, 2]},
    index=["composition", "net", "hub", "cnn"],
)
SOURCES = {
    "genome": {"assembly": "hg19", "files": {}},
    "given": {"assembly": "", "files": {name: {"path": name, "bytes": 1000 * at} for at, name in enumerate(["", "a-train.csv", "a-dev.csv",
                                                                                                   "a-test.csv", "b.csv"])}},
}  # fmt: skip
LENGTHS = {"hg19": 1_000_000}
WHOLE = {"genome": "genome", "windows": {"bin": 500, "stride": 0, "context": 1000}, "training_sites": 0, "split": {"rule": "blocks"}}
# 2,000 windows of 1 kb: 1,600 train, 200 choose, 200 test.
HOUR = 3600.0


def entry(**changed):
    begun = {"architecture": "net", "weights": "hub", "parameters": {"rank": 8}, "regime": "full", "context": 0, "seeds": [1],
             "datasets": ["d"], "training": {"epochs": 1, "precision": "auto"}}  # fmt: skip
    return begun | changed


def cost(one, dataset=WHOLE, past=(), counts=None, table=TABLE):
    """GPU-seconds of a model without start-ups, and the estimate."""
    names = one["datasets"]
    found = estimate({"datasets": dict.fromkeys(names, dataset), "models": {"m": one}}, SOURCES, LENGTHS, table, past, counts)
    return found.busy * HOUR, found


def run(**changed):
    """A past run of ``entry``: 3 GPU-seconds for each sequence of 1 kb that was seen."""
    begun = {"architecture": "net", "weights": "hub", "parameters": {"rank": 8}, "regime": "full", "length": 1000, "precision": "bf16",
             "device": "H", "sequences": 100, "gpu_seconds": 300.0}  # fmt: skip
    return begun | changed


def test_training_choosing_and_predicting_take_their_passes():
    # 1 GFLOP a kb at 1 TFLOP/s: a millisecond a window. Three passes of 1,600, one of 200; both strands of 400.
    assert cost(entry())[0] == pytest.approx(3 * 1.6 + 0.2 + 2 * 0.4)
    assert cost(entry(regime="lora"))[0] == cost(entry(regime="ia3"))[0] == pytest.approx(2 * 1.6 + 0.2 + 2 * 0.4)
    assert cost(entry(regime="probe"))[0] == pytest.approx(1.6 + 0.2 + 2 * 0.4)
    assert cost(entry(training={"epochs": 5}))[0] == pytest.approx(5 * (3 * 1.6 + 0.2) + 2 * 0.4)
    assert cost(entry(seeds=[1, 2, 3]))[0] == pytest.approx(3 * 5.8)
    assert cost(entry(context=500))[0] == pytest.approx(5.8 / 2)


def test_trials_train_on_their_share_and_predict_nothing():
    seconds, found = cost(entry(tuning={"trials": 4, "share": 0.5}, training={"epochs": 2}, seeds=[1, 2]))
    assert seconds == pytest.approx(2 * (2 * 5 + 0.8) + 4 * 2 * (3 * 0.8 + 0.2))
    assert (found.runs, found.trials, found.measured) == (2, 4, 0)


def test_every_job_holds_its_gpus_while_it_starts():
    seconds, found = cost(entry(tuning={"trials": 4, "share": 0.5}, seeds=[1, 2], datasets=["d", "e"], gpu=2))
    assert found.total * HOUR == pytest.approx(seconds + 2 * 2 * (2 * 2 + 4) * START_SECONDS)
    assert found.hours == {"m": found.total}


def test_what_takes_no_gpu_costs_nothing():
    seconds, found = cost(entry(architecture="composition", weights=""))
    assert (seconds, found.hours, found.runs) == (0, {"m": 0.0}, 0)


def test_training_sites_and_matched_negatives_bound_the_windows():
    assert cost(entry(), WHOLE | {"training_sites": 100})[0] == pytest.approx(3 * 0.1 + 0.2 + 0.8)
    assert cost(entry(), WHOLE | {"negatives": {"per_positive": 1.0}})[0] == pytest.approx(0.3 * 5.8)
    assert cost(entry(), WHOLE | {"negatives": {"per_positive": 99.0}})[0] == pytest.approx(5.8)


def test_windows_that_are_counted_need_no_guess():
    counts = {"d": {"train": 10, "validation": 20, "test": 40, "unused": 10_000}}
    assert cost(entry(), counts=counts)[0] == pytest.approx((3 * 10 + 20 + 2 * 60) / 1000)


@pytest.mark.parametrize("said", [False, True])
def test_files_of_one_part_each_say_its_size(said):
    files = [{"file": f"given/a-{part}.csv"} for part in ("train", "dev", "test")]
    if said:
        files = [{"file": "given/b.csv", "part": "train"}, files[1], files[2]]
    given = {"sequences": {"files": files, "length": 0}, "training_sites": 0, "split": {"rule": "given"}}
    train = 4 if said else 1
    assert cost(entry(), given)[0] == pytest.approx((3 * train + 2 + 2 * (2 + 3)) / 1000)
    mixed = given | {"sequences": {"files": [{"file": "given/b.csv"}], "length": 0}}
    assert cost(entry(), mixed)[0] == pytest.approx((3 * 3.2 + 0.4 + 2 * 0.8) / 1000)
    assert cost(entry(), mixed | {"sequences": mixed["sequences"] | {"shuffled": True}})[0] == pytest.approx(2 * 0.0116)


def test_a_past_run_of_the_same_network_goes_before_the_table():
    seconds, found = cost(entry(seeds=[1, 2]), past=[run()])
    assert seconds == pytest.approx(2 * 5800) and (found.measured, found.devices) == (2, ["H"])  # a second a pass, not a millisecond
    assert cost(entry(parameters={"rank": 2, "pooling": "cls"}), past=[run()])[1].measured == 1
    assert cost(entry(regime="lora"), past=[run(regime="lora")])[0] == pytest.approx(4.2 * 1500)


@pytest.mark.parametrize(
    "other", [{"architecture": "x"}, {"weights": "x"}, {"parameters": {"hidden": 3}}, {"regime": "lora"}], ids=lambda one: next(iter(one))
)
def test_a_past_run_of_another_network_tells_nothing(other):
    assert cost(entry(), past=[run(**other)])[1].measured == 0


def test_a_past_run_in_another_precision_tells_nothing_of_one_that_is_asked_for():
    asked = entry(training={"epochs": 1, "precision": "float32"})
    assert [cost(asked, past=[run(precision=one)])[1].measured for one in ("bf16", "float32")] == [0, 1]


def test_of_several_past_runs_the_one_of_the_nearest_length_is_scaled():
    past = [
        run(length=4000, gpu_seconds=9e9),
        run(length=50, gpu_seconds=9e9),
        run(length=500, gpu_seconds=150.0),
        run(length=2500, gpu_seconds=9e9),
    ]
    assert cost(entry(), past=past)[0] == pytest.approx(5800)
    assert cost(entry(context=500), past=past)[0] == pytest.approx(2900)


def test_what_nobody_knows_is_said_and_not_guessed():
    assert cost(entry(architecture="new", weights=""))[1].hours == {"m": None}
    assert cost(entry(weights="mine"))[1].hours == {"m": None}  # sizes are those of weights that nothing is known of
    empty = {"sequences": {"files": [{"file": "given/"}], "length": 0}, "training_sites": 0, "split": {"rule": "given"}}
    found = cost(entry(), empty)[1]
    assert found.hours == {"m": None} and found.total == 0
    assert found.words() == "no estimate of GPU-hours for m"


def test_operations_are_those_of_the_published_networks():
    # Counted with torch's FlopCounterMode, without the language model's head.
    assert forward_flops(NT, 1000, 171) == pytest.approx(17.9e9, rel=0.01)
    assert forward_flops({"hidden": 768, "layers": 12, "intermediate": 3072}, 1000, 215) == pytest.approx(50.4e9, rel=0.01)
    assert forward_flops(ARCHITECTURES["deepsea"].sizes, 1000, 0) == pytest.approx(1.10e9, rel=0.1)
    assert forward_flops(ARCHITECTURES["basset"].sizes, 600, 0) == pytest.approx(0.30e9, rel=0.15)
    assert forward_flops({"k": 5, "l2": 1.0}, 1000, 0) is None


def test_a_network_of_own_sizes_is_reckoned_by_them():
    own = entry(weights="", parameters=NT)
    assert cost(own)[0] == pytest.approx(5.8 * forward_flops(NT, 1000, 200) / 1e9)
    basenji = ARCHITECTURES["basenji"].sizes
    assert forward_flops(basenji, 1000, 0) > forward_flops({**basenji, "blocks": 0}, 1000, 0) > 0


def test_the_table_knows_every_architecture_and_every_source_of_weights():
    table = read_table(ROOT / "resources/speed.tsv", SPEEDS, key="name")
    assert set(ARCHITECTURES) <= set(table.index)
    for name, known in ARCHITECTURES.items():
        assert (table.at[name, "tflops"] == 0) == (known.family == "row zero")
    for name, row in table.iterrows():
        assert row["source"] and (not name.startswith("hub-") or row["mflop_per_kb"] > 0)


@pytest.mark.parametrize(("most", "over"), [(0.001, True), (1612, False), (None, False)])
def test_a_study_over_its_budget_does_not_begin(most, over):
    found = cost(entry(), past=[run(gpu_seconds=3e5)])[1]
    study = {"budget": {"gpu_hours": most}} if most else {}
    if not over:
        return check_budget(study, found, "s.yaml")
    with pytest.raises(
        InputError, match=r"^s\.yaml: budget\.gpu_hours: 0\.001, but the study takes about 1,611 GPU-hours on H \(.*of it m;"
    ):
        check_budget(study, found, "s.yaml")


def test_past_runs_are_read_once_a_model_and_from_gpus_alone(tmp_path):
    about = {name: value for name, value in run().items() if name in ("architecture", "weights", "parameters", "regime", "length")}

    def put(place, about=about, **cost):
        (tmp_path / place / "checkpoint").mkdir(parents=True)
        (tmp_path / place / "checkpoint/about.json").write_text(json.dumps(about | {"history": []}))
        (tmp_path / place / "compute.json").write_text(json.dumps(cost))

    paid = {"gpu_seconds": 400.0, "seconds": 150.0, "processes": 2, "sequences": 100, "precision": "bf16", "device": "H"}
    put("s/d/m/seed1", **paid)
    put("s/d/m/seed2", **paid)
    put("s/d/cpu/seed1", **paid | {"gpu_seconds": 0.0})
    put("s/d/old/seed1", **{"gpu_seconds": 5.0, "sequences": 7})
    (tmp_path / "s/d/torn/seed1").mkdir(parents=True)
    (tmp_path / "s/d/torn/seed1/compute.json").write_text('{"gpu_sec')
    (tmp_path / "s/d/bare/seed1").mkdir(parents=True)
    (tmp_path / "s/d/bare/seed1/compute.json").write_text(json.dumps(paid))
    assert past_runs(tmp_path) == [run()]
    assert past_runs(tmp_path / "none") == []


def test_counts_come_from_certificates_where_there_are_some(tmp_path):
    for name, text in (("a", '{"counts": {"train": 5}}'), ("torn", '{"counts"'), ("old", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "splits.json").write_text(text)
    assert known_counts(tmp_path, ["a", "torn", "old", "absent"]) == {"a": {"train": 5}}
