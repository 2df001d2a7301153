"""From checkpoints to skill against context and to epistasis, and what a study may ask of them."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
from toy_models import MOTIF, gc_checkpoint, motif_checkpoint
from workflow_tools import step

from regdna.alphabet import encode
from regdna.certificate import digest
from regdna.dependencies import check_dependencies, narrowed, paired
from regdna.step import InputError
from regdna.targets import all_known, pack

ROWS, LENGTH = 600, 60
ASKED = {"motifs": {"gatta": MOTIF, "cac": "CACGTT"}, "pairs": [["gatta", "cac"]], "spacings": [3, 5], "backgrounds": 12, "seed": 1,
         "positions": 4}  # fmt: skip


def move(checkpoint, split, seed):
    """Have a toy checkpoint belong to a split and seed."""
    said = json.loads((checkpoint / "about.json").read_text())
    (checkpoint / "about.json").write_text(json.dumps(said | {"split_digest": split, "seed": seed}))
    return checkpoint


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    """Windows of which half have the motif in the middle; that is target 0. Target 1 is what their ends hold."""
    folder, draw = tmp_path_factory.mktemp("windows"), np.random.default_rng(0)
    codes = draw.integers(0, 4, (ROWS, LENGTH)).astype(np.uint8)
    has = np.arange(ROWS) % 2 == 0
    codes[has, 26:33] = encode(MOTIF)
    ends = np.arange(ROWS) % 3 == 0
    codes[ends, :7] = encode(MOTIF)
    codes[:4, 0] = 4
    start = np.arange(ROWS) * 1000
    frame = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + LENGTH, "split": "test", "block": np.arange(ROWS) // 20,
                          "cluster": np.arange(ROWS), "gc": 0.5, "n_fraction": (codes == 4).mean(1)})  # fmt: skip
    frame.loc[ROWS - 60 :, "split"] = "train"
    frame.to_parquet(folder / "windows.parquet")
    np.save(folder / "sequences.npy", codes)
    np.save(folder / "targets.npy", pack(np.stack([has, ends], 1)))
    np.save(folder / "targets.known.npy", all_known(2))
    table = pd.DataFrame({"cell_type": "", "assay": "toy", "target": ["middle", "end"], "source": "toy", "positives": [300, 200]})
    table.rename_axis("index").to_csv(folder / "targets.tsv", sep="\t")
    (folder / "splits.json").write_text(json.dumps({"digest": digest(frame)}))
    return folder


@pytest.fixture(scope="module")
def trained(windows, tmp_path_factory):
    """Two seeds of a network that looks for the motif anywhere, with their predictions."""
    folder, split = tmp_path_factory.mktemp("trained"), json.loads((windows / "splits.json").read_text())["digest"]
    for seed in (1, 2):
        move(motif_checkpoint(folder / f"seed{seed}/checkpoint", LENGTH, [2.0 + seed, 3.0], [-1.0, -2.0]), split, seed)
        step("predict").main(
            windows / "windows.parquet", windows / "splits.json", folder / f"seed{seed}/checkpoint",
            *(folder / f"seed{seed}" / name for name in ("validation.npy", "test.npy", "about.json")), sequences=windows / "sequences.npy",
        )  # fmt: skip
    return folder


def narrow(windows, trained, out, **changed):
    """Run the step; what it writes."""
    files = {name: windows / file for name, file in {
        "windows": "windows.parquet", "splits": "splits.json", "targets": "targets.npy", "names": "targets.tsv",
        "known": "targets.known.npy", "sequences": "sequences.npy"}.items()}  # fmt: skip
    runs = [trained / f"seed{seed}" for seed in (1, 2)]
    arguments = {**files, "checkpoints": [one / "checkpoint" for one in runs], "predictions": [one / "test.npy" for one in runs],
                 "table_of_contexts": out / "contexts.parquet", "contexts": [20, 50, 60, 900], "model": "toy",
                 "replicate_count": 100}  # fmt: skip
    step("narrow").main(**(arguments | changed))
    return pd.read_parquet(out / "contexts.parquet")


def test_skill_in_the_middle_needs_no_flanks_and_skill_at_the_end_does(windows, trained, tmp_path):
    made = narrow(windows, trained, tmp_path)
    assert made["context"].unique().tolist() == [20, 50, 60] and made.attrs["length"] == 60 and made.attrs["seeds"] == [1, 2]
    at = made[made["metric"] == "auroc"].set_index(["context", "name"])
    # With flanks shuffled the motif at the end no longer misleads: the middle is all the network sees.
    assert at.loc[(20, "middle"), "value"] == pytest.approx(1, abs=0.03) and at.loc[(60, "middle"), "value"] < 0.9
    assert at.loc[(60, "end"), "value"] > 0.7 and abs(at.loc[(20, "end"), "value"] - 0.5) < 0.1
    lost = at.loc[(20, "end")]
    assert lost["difference_low"] < lost["difference"] < lost["difference_high"] < 0
    assert set(made["target"]) == {0, 1, -1} and (made["n"] == 540).all()


def test_the_whole_window_has_the_values_of_the_metrics(windows, trained, tmp_path):
    (tmp_path / "runs").mkdir()
    made = narrow(windows, trained, tmp_path).query("context == 60").set_index(["metric", "target"])
    frame = pd.read_parquet(windows / "windows.parquet")
    from regdna.metrics import auroc, average_precision
    from regdna.targets import Targets

    rows = np.flatnonzero(frame["split"] == "test")
    labels = Targets(windows / "targets.npy", windows / "targets.tsv", windows / "targets.known.npy")[rows]
    scores = [np.load(trained / f"seed{seed}/test.npy") for seed in (1, 2)]
    for name, metric in (("auroc", auroc), ("average_precision", average_precision)):
        each = [np.mean([metric(labels[:, target], one[:, target]) for one in scores]) for target in (0, 1)]
        assert made.loc[name, 0]["value"] == pytest.approx(each[0], abs=1e-12)
        assert made.loc[name, -1]["value"] == pytest.approx(np.mean(each), abs=1e-12)


def pair(windows, checkpoints, out, asked=ASKED, **more):
    """Run the step; what it writes."""
    step("pair").main(
        windows / "windows.parquet", windows / "splits.json", checkpoints, out / "interactions.parquet", asked, 200,
        sequences=windows / "sequences.npy", **more,
    )  # fmt: skip
    return pd.read_parquet(out / "interactions.parquet")


def test_a_planted_pair_is_found_where_the_network_asks_for_it(windows, tmp_path):
    split = json.loads((windows / "splits.json").read_text())["digest"]
    both = MOTIF + "NNNNN" + "CACGTT"
    seeds = [move(motif_checkpoint(tmp_path / f"seed{at}", LENGTH, [2.0 + at, 0], [0, 0], both), split, at) for at in (1, 2)]
    made = pair(windows, seeds, tmp_path)
    assert len(made) == 2 * 4 * 2 and (made["kind"] == "planted").all() and (made["backgrounds"] == 12).all()
    found = made[made["epistasis"].abs() > 1e-6]
    assert found[["spacing", "orientation", "name"]].to_numpy().tolist() == [[5, "++", "target 0"]]
    row = found.iloc[0]
    assert row["epistasis"] == pytest.approx((3 + 4) / 2 / 2, abs=1e-5)  # the mean of seeds, of one strand of two
    assert row["effect_joint"] == pytest.approx(row["epistasis"], abs=1e-5) and row["effect_a"] == row["effect_b"] == 0
    # Seeds are 3 and 4 of one strand of two: their mean is 1.75, half the interval 12.7 times 0.25.
    assert row["high"] - row["epistasis"] == pytest.approx(12.7062 * 0.25 / np.sqrt(8), rel=1e-3)
    alone = pair(windows, seeds[:1], tmp_path)
    best = alone.loc[alone["epistasis"].idxmax()]
    assert best["p_adjusted"] < 0.01 and best["p_arrangement"] < 0.01 and (alone["p_adjusted"].drop(best.name) == 1).all()
    assert alone.attrs["seeds"] == [1] and alone.attrs["motifs"] == ASKED["motifs"]


def test_a_sum_of_bases_shows_none(windows, tmp_path):
    split = json.loads((windows / "splits.json").read_text())["digest"]
    model = move(gc_checkpoint(tmp_path / "seed1", LENGTH, [40.0, -3.0], [0.1, 0.0]), split, 1)
    made = pair(windows, [model], tmp_path)
    assert (made["epistasis"] == 0).all() and (made["p_adjusted"] == 1).all() and (made["effect_joint"].abs() > 0.05).any()


def effects(folder, start, width=8):
    """Mutagenesis of a locus whose second and fifth base matter most."""
    effect = np.zeros((width, 4, 2), np.float32)
    effect[1, 1], effect[4, 3], effect[6, 2] = 3, -2, 1
    about = {"locus": "here", "chrom": "chr1", "start": start, "end": start + width}
    np.savez(folder / "here.npz", effect=effect, about=json.dumps(about))
    return folder / "here.npz"


def test_substitutions_of_a_locus_are_made_in_pairs(windows, tmp_path):
    split = json.loads((windows / "splits.json").read_text())["digest"]
    seeds = [move(motif_checkpoint(tmp_path / f"seed{at}", LENGTH, [2.0 + at, 1.0], [0, 0]), split, at) for at in (1, 2)]
    # Window 8 has the motif at 26 to 33: its two substitutions break it either way, so together they do no more than one.
    path = effects(tmp_path, 8000 + 26)
    made = pair(windows, seeds, tmp_path, ASKED | {"pairs": [], "motifs": {}, "positions": 2}, effects=[path])
    assert len(made) == 2 and (made["kind"] == "locus").all() and (made["locus"] == "here").all()
    assert made["a"].unique().tolist() == ["chr1:8028A>C"] and made["b"].unique().tolist() == ["chr1:8031A>T"]
    row = made.set_index("target").loc[0]
    lost = -(3 + 4) / 2 / 2  # the mean of seeds, of one strand of two
    assert np.allclose(row[["effect_a", "effect_b", "effect_joint"]].astype(float), lost, atol=1e-5)
    assert row["epistasis"] == pytest.approx(-lost, abs=1e-5) and row["high"] - row["epistasis"] == pytest.approx(12.7062 * 0.25, rel=1e-3)
    assert row["spacing"] == 2 and np.isnan(row["p_adjusted"])


def test_another_split_is_refused(windows, trained, tmp_path):
    other = move(motif_checkpoint(tmp_path / "seed1", LENGTH, [1.0, 1.0], [0.0, 0.0]), "another", 1)
    with pytest.raises(InputError, match="belongs to split another"):
        pair(windows, [other], tmp_path)
    with pytest.raises(InputError, match="belongs to split another"):
        narrow(windows, trained, tmp_path, checkpoints=[other], predictions=[trained / "seed1/test.npy"])
    np.save(tmp_path / "short.npy", np.load(trained / "seed1/test.npy")[1:])
    with pytest.raises(InputError, match="short.npy: shape"):
        narrow(windows, trained, tmp_path, predictions=[tmp_path / "short.npy", trained / "seed2/test.npy"])


# --- what a study asks ---

MODEL = {"architecture": "basset", "context": 0, "control": "", "mutagenesis": True, "datasets": ["long", "short"]}
STUDY = {
    "datasets": {"long": {"windows": {"context": 1000}, "loci": ["here"]}, "short": {"sequences": {"length": 100}, "loci": []},
                 "unknown": {"sequences": {"length": 0}, "loci": []}},
    "models": {"cnn": MODEL, "narrow": MODEL | {"context": 300, "mutagenesis": False}, "cnn-flank-only": MODEL | {"control": "flank-only"},
               "words": MODEL | {"architecture": "kmer-logistic", "mutagenesis": False},
               "place": MODEL | {"architecture": "position", "mutagenesis": False}},
    "evaluation": {"contexts": [200, 500]},
    "interactions": ASKED,
}  # fmt: skip


def test_contexts_are_asked_of_what_sees_more_and_pairs_of_what_is_scored_and_of_sums():
    asked = {(data, one) for data in STUDY["datasets"] for one in STUDY["models"] if narrowed(STUDY, data, one)}
    assert asked == {(data, one) for data in ("long", "unknown") for one in ("cnn", "narrow", "words")} | {("short", "narrow")}
    assert {one for one in STUDY["models"] if paired(STUDY, one)} == {"cnn", "words"}
    assert not narrowed(STUDY | {"evaluation": {"contexts": []}}, "long", "cnn")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("evaluation", {"contexts": [1000]}, "evaluation.contexts: no model sees more than 1000 bp"),
        ("pairs", [["gatta", "cax"]], "interactions.pairs: 'cax' is not among the motifs; did you mean 'cac'"),
        ("motifs", ASKED["motifs"] | {"idle": "ACGT"}, "interactions.motifs: 'idle' is in no pair"),
        ("spacings", [90, 200], "interactions.spacings: gatta and cac take 103 bp or more, but cnn sees 100 of short"),
        ("positions", 0, None),
    ],
)  # fmt: skip
def test_what_no_model_can_be_asked_is_one_clear_line(key, value, said):
    study = copy.deepcopy(STUDY)
    (study if key == "evaluation" else study["interactions"])[key] = value
    if key == "spacings":
        study["models"]["narrow"]["context"] = 0
    if said is None:
        check_dependencies(study, "study.yaml")
        return
    with pytest.raises(InputError) as caught:
        check_dependencies(study, "study.yaml")
    assert str(caught.value).startswith(f"study.yaml: {said.partition('; did')[0]}") and ("did" not in said or "'cac'" in str(caught.value))


def test_a_question_that_nobody_answers_is_refused():
    study = copy.deepcopy(STUDY)
    study["interactions"] |= {"motifs": {}, "pairs": [], "positions": 0}
    with pytest.raises(InputError, match="nothing is asked"):
        check_dependencies(study, "study.yaml")
    study["interactions"] |= {"positions": 3}
    study["datasets"]["long"]["loci"] = []
    with pytest.raises(InputError, match="positions: no dataset has 'loci'"):
        check_dependencies(study, "study.yaml")
    study["interactions"] |= ASKED
    for one in study["models"].values():
        one |= {"mutagenesis": False, "architecture": "basset"}
    with pytest.raises(InputError, match="no model has 'mutagenesis: true'"):
        check_dependencies(study, "study.yaml")
