"""Models on the same resamples: differences, families of claims, screening of targets, and what is read from files."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from regdna.assess import DRAWN, MEAN, Part, add_intervals, averages, decide, describe, points, resample, table
from regdna.bootstrap import Seeds, with_seeds
from regdna.paired import COLUMNS, Judged, compare, mirrored
from regdna.step import InputError
from regdna.targets import Targets, pack
from regdna.verdict import max_t

ROWS, BLOCKS, REPLICATES = 1500, 50, 300
SKILL = {"strong": (1.5, 1.4, 1.6), "twin": (1.5, 1.4, 1.6), "weak": (0.2, 0.3, 0.25), "strong-shuffled-labels": (0.0,)}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Models of one dataset with three targets, the last of one class; written and read as files."""
    folder = tmp_path_factory.mktemp("judged")
    draw = np.random.default_rng(11)
    labels = draw.random((ROWS, 3)) < [0.3, 0.1, 0.0]
    start = np.arange(ROWS) * 100
    block = [f"chr1:{at // (ROWS // BLOCKS)}" for at in range(ROWS)]
    frame = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 100, "block": block})
    np.save(folder / "t.npy", pack(labels))
    pd.DataFrame({"cell_type": "", "assay": "a", "target": list("xyz"), "source": "s"}).rename_axis("index").to_csv(
        folder / "t.tsv", sep="\t"
    )
    targets = Targets(folder / "t.npy", folder / "t.tsv")
    common = draw.normal(size=labels.shape)
    found = {}
    for model, skills in SKILL.items():
        scores = [1 / (1 + np.exp(-(common + draw.normal(size=labels.shape) + skill * labels))) for skill in skills]
        part = Part(frame, labels, None, [one.astype(np.float32) for one in scores])
        facts, decided = describe(part, targets), decide(part)
        values, _ = points(part, facts, decided)
        ids = [one["target"] for one in (*facts, *averages(facts))]
        drawn = resample(part, facts, decided, "digest", REPLICATES)
        result = table("test", values, facts, list(range(len(skills))))
        add_intervals(result, drawn, values, ids, f"digest {model}")
        result.insert(0, "model", model)
        result.attrs = {"split_digest": "digest", "control": "shuffled-labels" if "shuffled" in model else ""}
        result.to_parquet(folder / f"{model}.parquet", index=False)
        arrays = {metric: drawn.mean(metric) for metric in DRAWN}
        for metric in DRAWN:
            apart = drawn.seeds(metric, values[metric], f"digest {model}")
            arrays |= {f"{metric}_error": apart.error, f"{metric}_shared": apart.shared}
        np.savez(folder / f"{model}.npz", split_digest="digest", model=model, targets=np.array(ids), seeds=len(skills), **arrays)
        found[model] = Judged.read(folder / f"{model}.parquet", folder / f"{model}.npz")
    return folder, found


@pytest.fixture(scope="module")
def compared(judged):
    _, models = judged
    return compare("data", list(combinations(models.values(), 2)), 0.01)


def one(compared, model, against, metric="auroc", target=MEAN):
    rows = compared.query("model == @model and against == @against and metric == @metric and target == @target")
    assert len(rows) == 1
    return rows.iloc[0]


def test_the_strong_one_is_better_and_equal_ones_are_not_told_apart(compared):
    assert one(compared, "strong", "weak")["verdict"] == "better"
    assert one(compared, "strong", "twin")["verdict"] in ("cannot tell", "equivalent")
    assert one(compared, "strong", "weak", "average_precision")["verdict"] == "better"
    assert set(compared["metric"]) == {"auroc", "average_precision", "mcc"}


def apart(one, other, metric, at, value):
    """Replicates of a difference, by hand."""
    seeds = [Seeds(f"digest {judged.model}", int(judged.drawn["seeds"]), judged.drawn[f"{metric}_error"][at],
                   judged.drawn[f"{metric}_shared"][at], weight) for judged, weight in ((one, 1.0), (other, -1.0))]  # fmt: skip
    return with_seeds(one.drawn[metric][:, at] - other.drawn[metric][:, at], value, seeds, BLOCKS)


def test_differences_and_intervals_are_those_of_the_files(judged, compared):
    _, models = judged
    for metric in ("auroc", "average_precision", "mcc"):
        for target, at in ((0, 0), (1, 1), (MEAN, 3)):
            row = one(compared, "strong", "weak", metric, target)
            mine, theirs = (models[name].table.set_index(["metric", "target"]).at[(metric, target), "value"] for name in ("strong", "weak"))
            assert row["difference"] == pytest.approx(mine - theirs, abs=1e-12)
            moved = apart(models["strong"], models["weak"], metric, at, mine - theirs)
            assert (row["low"], row["high"]) == pytest.approx(np.quantile(moved, [0.025, 0.975]), abs=1e-12)


def test_claims_about_models_are_one_family_and_controls_are_none_of_it(judged, compared):
    _, models = judged
    contenders = [name for name in models if "shuffled" not in name]
    pairs = list(combinations(contenders, 2))
    values, drawn = [], []
    for model, against in pairs:
        values.append(one(compared, model, against)["difference"])
        drawn.append(apart(models[model], models[against], "auroc", 3, values[-1]))
    family = max_t(np.array(values), np.stack(drawn, 1))
    for at, (model, against) in enumerate(pairs):
        row = one(compared, model, against)
        assert (row["p_adjusted"], row["joint_low"], row["joint_high"]) == pytest.approx(
            (family.p[at], family.joint_low[at], family.joint_high[at]), abs=1e-9
        )
        assert row["joint_low"] < row["low"] and row["high"] < row["joint_high"], "together costs more than alone"
    alone = one(compared, "strong", "strong-shuffled-labels")
    assert (alone["joint_high"] - alone["joint_low"]) == pytest.approx(alone["high"] - alone["low"], rel=0.1)


def test_targets_are_screened_by_q_and_means_are_not(compared):
    mine = compared.query("model == 'strong' and against == 'weak' and metric == 'auroc'")
    single = mine[mine["target"] >= 0]
    assert single["q"].to_numpy() == pytest.approx(stats.false_discovery_control(single["p"]))
    assert mine.loc[mine["target"] < 0, "q"].isna().all() and single["p_adjusted"].isna().all()


def test_undefined_targets_and_micro_averages_are_in_no_pair(compared):
    assert set(compared["target"]) == {0, 1, -1, -2}
    assert not compared["average"].eq("micro").any()


def test_the_other_way_round_everything_is_turned(compared):
    turned = mirrored(compared)
    assert list(turned.columns) == COLUMNS
    row, other = one(compared, "strong", "weak"), one(turned, "weak", "strong")
    assert (other["difference"], other["low"], other["joint_high"]) == (-row["difference"], -row["high"], -row["joint_low"])
    assert other["verdict"] == "worse" and other["p_adjusted"] == row["p_adjusted"]
    assert mirrored(turned)[COLUMNS].equals(compared[COLUMNS])


def test_a_model_against_itself_does_not_share_its_seeds(judged):
    _, models = judged
    found = compare("data", [(models["strong"], models["strong"])], 0.01)
    row = one(found, "strong", "strong")
    assert row["difference"] == 0 and row["high"] - row["low"] > 0.001


@pytest.mark.parametrize(("metric", "reach"), [("auroc", 1.0), ("average_precision", 1.0), ("mcc", 2.0)])
def test_no_difference_is_larger_than_there_can_be(judged, metric, reach):
    _, models = judged
    apart = {name: np.full_like(value, 4.0) if name.endswith("_error") else value for name, value in models["strong"].drawn.items()}
    found = compare("data", [(replace(models["strong"], drawn=apart), models["weak"])], 0.01)
    row = one(found, "strong", "weak", metric)
    assert (row["low"], row["high"], row["joint_low"], row["joint_high"]) == (-reach, reach, -reach, reach)
    assert row["verdict"] == "cannot tell" and row["smallest_detectable"] > reach


def test_too_small_a_target_has_no_verdict(judged):
    _, models = judged
    small = models["strong"].table.copy()
    small.loc[small["target"] == 1, "verdict"] = "too small to judge"
    other = Judged("strong", small, models["strong"].drawn, models["strong"].path, "")
    row = one(compare("data", [(other, models["weak"])], 0.01), "strong", "weak", target=1)
    assert row["verdict"] == "too small to judge" and np.isnan(row["low"]) and np.isnan(row["q"])


def test_files_that_do_not_belong_together_are_refused(judged, tmp_path):
    folder, _ = judged
    with pytest.raises(InputError, match=r"weak.npz: replicates of weak, but .*strong.parquet is of strong; give both in one order"):
        Judged.read(folder / "strong.parquet", folder / "weak.npz")
    with np.load(folder / "strong.npz") as held:
        np.savez(tmp_path / "other.npz", **(dict(held) | {"split_digest": "other"}))
    with pytest.raises(InputError, match="of another split than"):
        Judged.read(folder / "strong.parquet", tmp_path / "other.npz")
    with np.load(folder / "strong.npz") as held:
        np.savez(tmp_path / "early.npz", **{name: one for name, one in held.items() if name not in ("model", "mcc_error")})
    with pytest.raises(InputError, match="written by an earlier version, without mcc_error"):
        Judged.read(folder / "strong.parquet", tmp_path / "early.npz")
    (tmp_path / "cut.parquet").write_bytes((folder / "strong.parquet").read_bytes()[:1000])
    with pytest.raises(InputError, match=r"cut.parquet: cut short"):
        Judged.read(tmp_path / "cut.parquet", folder / "strong.npz")
    (tmp_path / "cut.npz").write_bytes((folder / "strong.npz").read_bytes()[:1000])
    with pytest.raises(InputError, match=r"cut.npz: cut short"):
        Judged.read(folder / "strong.parquet", tmp_path / "cut.npz")


def test_where_nothing_is_large_enough_nothing_is_judged(judged):
    _, models = judged
    few = [replace(models[name], table=models[name].table.assign(verdict="too small to judge")) for name in ("strong", "weak")]
    found = compare("data", [tuple(few)], 0.01)
    assert len(found) and set(found["verdict"]) == {"too small to judge"}
    assert found[["low", "high", "joint_low", "p", "p_adjusted", "q"]].isna().all(axis=None)
    assert found["joint_low"].dtype == float and compare("data", [], 0.01)["joint_low"].dtype == float


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_target_that_no_resample_holds_is_too_small_to_judge(judged):
    _, models = judged
    held = []
    for name in ("strong", "weak"):
        drawn = dict(models[name].drawn)
        drawn["auroc"] = drawn["auroc"].copy()
        drawn["auroc"][:, 1] = np.nan
        held.append(replace(models[name], drawn=drawn))
    row = one(compare("data", [tuple(held)], 0.01), "strong", "weak", target=1)
    assert row["verdict"] == "too small to judge" and np.isnan(row["low"]) and np.isnan(row["p"])
