"""Costs on the page are those of the ledger, the front is what nobody beats, and an estimate of memory is called one."""

import json

import jsonschema
import numpy as np
import pandas as pd
import pytest
import yaml
from made_up_study import CONTROLS, MEAN, MODELS, TARGETS, VALUES, write
from workflow_tools import ROOT

import render
from regdna.estimate import activation_bytes, training_bytes
from regdna.page import cost, machine

NT = {"version": 2, "k": 6, "hidden": 512, "layers": 12, "heads": 16, "intermediate": 2048}
ENTRY = {"regime": "full", "gpu": 1, "training": {"precision": "auto", "batch_size": 32, "micro_batch": 0}}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    arguments = {**write(folder), "page": folder / "report.html"}
    render.main(**arguments)
    return arguments


@pytest.fixture
def results(given, monkeypatch, tmp_path):
    """What the page is made from, as render.py gathers it."""
    gathered = []
    monkeypatch.setattr(render.pages, "render", lambda one: gathered.append(one) or "")
    render.main(**{**given, "page": tmp_path / "unused.html", "machine": tmp_path / "unused.json"})
    return gathered[0]


def test_the_front_is_what_nobody_beats_by_hand():
    skill = np.array([0.5, 0.7, 0.6, 0.7, np.nan, 0.9, 0.7])
    price = np.array([1.0, 2.0, 3.0, 2.0, 0.1, np.nan, 4.0])
    # The cheapest; two that are alike; not one that is worse and dearer, without skill or price, or as good and dearer.
    assert cost.front(skill, price).tolist() == [True, True, False, True, False, False, False]


def test_the_front_agrees_with_a_loop_over_all_pairs():
    draw = np.random.default_rng(0)
    skill, price = draw.integers(0, 6, 40) / 10, draw.integers(0, 6, 40) + 1.0
    beaten = [
        any(s >= skill[at] and p <= price[at] and (s > skill[at] or p < price[at]) for s, p in zip(skill, price, strict=True))
        for at in range(40)
    ]
    assert cost.front(skill, price).tolist() == [not one for one in beaten]


def test_prices_are_sums_and_means_of_the_ledger(results, given):
    ledger = pd.read_csv(given["ledger"], sep="\t")
    for dataset in TARGETS:
        rows = cost.prices(results, dataset).set_index("model")
        assert list(rows.index) == list(MODELS) and not set(CONTROLS) & set(rows.index)
        mine = ledger.query("dataset == @dataset and kind == 'run'").groupby("model")
        assert rows.at["nt-random", "device"] == "GPU" and rows.at["basset", "device"] == "CPU"
        assert rows.at["nt-random", "hours"] == pytest.approx(mine.get_group("nt-random")["gpu_seconds"].mean() / 3600)
        assert rows.at["nt-probe", "hours"] == pytest.approx(mine.get_group("nt-probe")["wall_seconds"].mean() / 3600)
        assert rows.at["nt-random", "memory"] == pytest.approx(5.000000002) and rows.at["basset", "memory"] == pytest.approx(0.35)
        assert rows.at["nt-random", "joules"] == 4321 and np.isnan(rows.at["basset", "joules"])
        assert rows.at["basset", "value"] == pytest.approx(VALUES["basset"] - 0.3)
        tuned = 2 * 3e5 / 3600 if dataset == "large" else 0.0
        assert rows.at["basset", "all_hours"] == pytest.approx(mine.get_group("basset")["wall_seconds"].sum() / 3600 + tuned)
    assert rows.loc["wide-basset", ["on_hours", "on_memory", "on_parameters"]].tolist() == [True, True, True]
    assert not rows.loc[["nt-random", "nt-probe", "kmer-logistic"], "on_parameters"].any()


def test_processes_of_a_processor_count_each():
    jobs = pd.DataFrame({"wall_seconds": [3600.0, 3600, 3600], "gpu_seconds": [0.0, np.nan, 7200], "processes": [4, np.nan, 2]})
    assert cost.device_hours(jobs).tolist() == [4, 1, 2]


def test_the_caption_names_the_front_and_the_device(results):
    shown = cost.show(results)
    for one in shown["datasets"]:
        caption = one["figure"]["caption"]
        assert "by parameters: wide-basset" in caption
        assert "GPU-hours, but of the CPU for kmer-logistic, basset, wide-basset, nt-probe" in caption
        assert 'aria-label="Mean AP against training hours' in one["figure"]["svg"]
    assert "Hollow: too small to judge." in shown["datasets"][1]["figure"]["caption"]
    assert "Hollow" not in shown["datasets"][0]["figure"]["caption"]


def test_what_fits_a_card_is_measured_where_it_was_and_else_estimated(results):
    rows = {row[0]["text"].split(" ")[0]: row for row in cost.card(results)["rows"]}
    assert set(rows) == set(MODELS)
    assert rows["kmer-logistic"][2]["text"] == "needs no GPU" and rows["kmer-logistic"][3]["text"] == "yes"
    assert rows["nt-random"][2]["text"] == "measured on A card" and float(rows["nt-random"][1]["value"]) == pytest.approx(5.000000002)
    assert rows["basset"][2]["text"].startswith("at least, estimated") and rows["basset"][3]["text"] == "not known"  # its sizes are made up


@pytest.mark.parametrize(("measured", "fits"), [(21.5e9, "yes"), (21.7e9, "no")])
def test_a_card_is_full_at_nine_tenths(results, measured, fits):
    results.ledger.loc[results.ledger["model"] == "nt-random", "peak_gpu_bytes"] = measured
    assert {row[0]["text"].split(" ")[0]: row[3]["text"] for row in cost.card(results)["rows"]}["nt-random"] == fits


def test_memory_of_training_by_hand():
    # Weights, a copy in bf16, gradients and two moments; 32 windows of 100 tokens in 12 gated layers of 18 x 512 + 8 x 2048 bytes.
    found, whole = training_bytes(ENTRY, NT, 1_000_000, 1_000_000, 600, 100.0)
    assert whole and found == 18e6 + 32 * 100 * 12 * (26 * 512 + 8 * 2048)
    some = ENTRY | {"training": ENTRY["training"] | {"precision": "float32", "micro_batch": 4}}
    assert training_bytes(some, NT, 1_000_000, 1_000_000, 600, 100.0)[0] == 16e6 + 4 * 100 * 12 * (18 * 512 + 8 * 2048) * 2
    lora = training_bytes(ENTRY | {"regime": "lora"}, NT, 1_000_000, 1000, 600, 100.0)[0]
    assert lora == 6e6 + 12e3 + 32 * 100 * 12 * (26 * 512 + 8 * 2048)
    probe = training_bytes(ENTRY | {"regime": "probe"}, NT, 1_000_000, 1000, 600, 100.0)[0]
    assert probe == 6e6 + 32 * 100 * (26 * 512 + 8 * 2048)
    assert training_bytes(ENTRY | {"gpu": 2}, NT, 0, 0, 600, 100.0)[0] == 16 * 100 * 12 * (26 * 512 + 8 * 2048)
    assert training_bytes(ENTRY, {"rank": 8}, 1_000_000, 1_000_000, 600, 100.0) == (18e6, False)


def test_activations_by_hand():
    # At an inner width of four times the outer this is Korthikanti's 34 bytes a token, width and layer, in float32 twice.
    plain = {"k": 6, "hidden": 768, "layers": 12, "intermediate": 3072}
    assert activation_bytes(plain, 512, 512, False) == 512 * 12 * 34 * 768 * 2
    assert activation_bytes(plain, 512, 512, True) == 512 * 12 * (34 + 8) * 768
    gated = {"hidden": 768, "layers": 12, "intermediate": 3072}
    assert activation_bytes(gated, 512, 512, True) == 512 * 12 * (26 * 768 + 8 * 3072)
    assert activation_bytes(NT | {"version": 1}, 600, 100, True) == activation_bytes(NT, 600, 100, True)
    cnn = {"filters": [8, 16], "widths": [3, 3], "pools": [2, 1]}
    assert activation_bytes(cnn, 100, 0, False) == 4 * (400 + 100 * 8 * 3.5 + 50 * 16 * 4)
    assert activation_bytes({"k": 5}, 100, 0, True) is None


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bf16"])
@pytest.mark.parametrize(
    ("architecture", "sizes", "length"),
    [
        ("nucleotide-transformer", {"hidden": 64, "heads": 2, "intermediate": 256, "layers": 2}, 600),
        ("nucleotide-transformer", {"hidden": 64, "heads": 2, "intermediate": 256, "layers": 2, "version": 1}, 600),
        ("dnabert2", {"hidden": 64, "heads": 2, "intermediate": 256, "layers": 2, "dropout": 0.0, "vocabulary": 64}, 300),
        ("dnabert", {"hidden": 64, "heads": 2, "intermediate": 256, "layers": 2, "dropout": 0.0}, 200),
        ("basset", {"filters": [30, 20, 20], "hidden": 16}, 1000),
        ("deepsea", {"filters": [32, 48, 96], "hidden": 16}, 1000),
        ("basenji", {}, 1000),
    ],
)  # fmt: skip
def test_activations_are_about_what_the_networks_keep_for_the_backward_pass(architecture, sizes, length, half):
    import torch
    import toy_models

    from regdna import models

    known = models.ARCHITECTURES[architecture]
    parameters = {**known.sizes, **known.parameters, **sizes}
    codes = np.random.default_rng(0).integers(0, 4, (200, length)).astype(np.uint8)
    net = models.family(architecture).build(toy_models.about(architecture, parameters, length, targets=3), lambda: codes, None).train()
    own = {one.untyped_storage().data_ptr() for one in net.parameters()}

    def kept(inputs: dict) -> int:
        """Bytes that are kept, weights left out."""
        storages = {}

        def keep(tensor):
            if tensor.untyped_storage().data_ptr() not in own:
                storages[tensor.untyped_storage().data_ptr()] = (tensor.untyped_storage().nbytes(), tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda one: one), torch.autocast("cpu", torch.bfloat16, enabled=half):
            net(**inputs)
        return sum(size for size, _ in storages.values())

    inputs = [net.encode(codes[:count]) for count in (4, 8)]
    tokens = inputs[1]["attention_mask"].shape[1] if "attention_mask" in inputs[1] else 0
    each = (kept(inputs[1]) - kept(inputs[0])) / 4  # copies of weights in bf16 cancel
    assert 0.8 < activation_bytes(parameters, length, tokens, half) / each < 1.25


def told(given) -> dict:
    return json.loads(given["machine"].read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_the_report_for_programs_keeps_its_schema(given):
    schema = yaml.safe_load((ROOT / "rules/schemas/report.schema.yaml").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(told(given), schema)


def same(one: float | None, other: float) -> bool:
    return one == other if one is not None else bool(np.isnan(other))


def test_its_numbers_equal_the_tables_that_they_come_from(given):
    found = told(given)
    comparison = pd.read_parquet(given["comparison"])
    for dataset in TARGETS:
        one = found["datasets"][dataset]
        assert [row["model"] for row in one["leaderboard"]][-2:] == ["basset-flank-only", "basset-shuffled-labels"]
        assert len(one["leaderboard"]) == len(MODELS) + len(CONTROLS)
        for row in one["leaderboard"]:
            [path] = [path for path in given["metrics"] if path.parts[-3:-1] == (dataset, row["model"])]
            table = pd.read_parquet(path).query("target < 0")
            assert row["targets"] == path.as_posix()
            assert len(row["metrics"]) == (table["seed"] == MEAN).sum() > 0
            for fact in row["metrics"]:
                mine = table[(table["part"] == fact["part"]) & (table["metric"] == fact["metric"]) & (table["target"] == fact["target"])]
                [whole] = mine[mine["seed"] == MEAN].to_dict("records")
                assert all(same(fact[key], whole[key]) for key in ("value", "low", "high", "lift", "prevalence", "positives"))
                assert fact["seeds"] == {str(each.seed): each.value for each in mine[mine["seed"] != MEAN].itertuples()}
        pairs = comparison[comparison["dataset"] == dataset]
        assert len(one["comparisons"]) == len(pairs)
        for row, pair in zip(one["comparisons"], pairs.to_dict("records"), strict=True):
            assert row["verdict"] == pair["verdict"]
            assert all(same(row[key], pair[key]) for key in ("difference", "low", "high", "smallest_detectable"))
        assert one["certificate"]["digest"] == f"digest-{dataset}"


def test_it_says_what_the_page_says(given):
    found, page = told(given), given["page"].read_text()
    for one in found["datasets"].values():
        assert one["verdict"]["headline"] in page
    assert found["study"] == "made-up" and found["replicates"] == [100] and found["margin"] == 0.01
    assert found["versions"]["numpy"] == np.__version__
    assert found["datasets"]["large"]["verdict"]["chosen"]["cnn"] == "basset"


def test_the_same_results_give_the_same_bytes(results, given):
    assert machine.as_text(machine.report(results)) == given["machine"].read_text()


def test_what_is_no_number_is_null():
    given = {"a": np.float64("nan"), "b": [np.int64(3), float("inf"), pd.NA, None], 1: np.bool_(True), "c": (np.float32(0.5), "x")}
    assert machine.plain(given) == {"a": None, "b": [3, None, None, None], "1": True, "c": [0.5, "x"]}
