"""Shortcuts planted in made-up data go through the steps, and the page names each; where none is planted it names none."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import toy_models
from workflow_tools import step

from regdna.alphabet import encode
from regdna.models import ARCHITECTURES
from regdna.page import findings as module
from regdna.page import strata as section
from regdna.page.findings import checked, findings
from regdna.page.results import Beside, Results
from regdna.step import InputError
from regdna.targets import all_known, pack

WINDOWS, LENGTH, SPAN = 1500, 60, 1000
MOTIF = "GATCTGCA"  # half of it G and C, and no CpG
SETTINGS = toy_models.SETTINGS | {"epochs": 12, "batch_size": 32, "weight_decay": 0.001, "patience": 12, "shift": 0}
NET = {"filters": [16, 16], "widths": [9, 3], "pools": [8, 2], "hidden": 16, "dropout": 0.1}
MODELS = {
    "composition": ("composition", {"l2": 1.0}),
    "position": ("position", {"neighbours": 16, "distance": 100_000}),
    "nearest": ("nearest", {"word": 15, "neighbours": 5}),
    "net": ("basset", NET),
}
SCATTERED = {"rule": "blocks", "block": 10_000, "test": 40, "validation": 25, "gap": 0, "seed": 2}


class Planted:
    """A dataset of one target and 1,500 windows of 60 bp, one every kb of a chromosome, through the steps."""

    def __init__(self, folder, codes, label, rule=SCATTERED, part=None):
        self.folder = folder / "results" / "study" / "made-up"
        self.folder.mkdir(parents=True)
        start = np.arange(len(label)) * SPAN
        frame = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + LENGTH, "block": [f"chr1:{at // 10_000}" for at in start]})
        frame["cluster"] = np.arange(len(frame))
        frame["gc"], frame["n_fraction"] = np.isin(codes, [1, 2]).mean(1), 0.0
        frame["repeat_fraction"] = frame["tss_distance"] = np.nan
        if part is not None:
            frame["part"] = part
        frame.to_parquet(self.folder / "labelled.parquet")
        np.save(self.folder / "sequences.npy", codes.astype(np.uint8))
        np.save(self.folder / "targets.npy", pack(label[:, None]))
        np.save(self.folder / "targets.known.npy", all_known(1))
        row = {"index": 0, "cell_type": "", "assay": "DNase", "target": "open", "source": "", "known": len(label), "positives": label.sum()}
        pd.DataFrame([row]).to_csv(self.folder / "targets.tsv", sep="\t", index=False)
        self.files = {name: self.folder / f"{name}.{end}" for name, end in (("windows", "parquet"), ("splits", "json"), ("targets", "npy"))}
        self.own = {"sequences": self.folder / "sequences.npy"}
        step("split").main(self.folder / "labelled.parquet", self.files["windows"], self.files["splits"], rule, **self.own)
        self.models = {}

    def judge(self, model, architecture, parameters, control="", base="", seed=1):
        """Train, predict and evaluate one model."""
        out = self.folder / model / f"seed{seed}"
        out.mkdir(parents=True)
        net = ARCHITECTURES[architecture].family != "row zero"
        entry = {"architecture": architecture, "parameters": parameters, "regime": "full", "initialisation": "random", "context": 0,
                 "training": SETTINGS if net else {"batch_size": 32}, "control": control}  # fmt: skip
        names, known = self.folder / "targets.tsv", self.folder / "targets.known.npy"
        step("train").main(
            **self.files, table=names, known=known, checkpoint=out / "checkpoint", compute=out / "compute.json", entry=entry,
            labels="multilabel", model=model, seed=seed, store=self.folder / "store", **self.own,
        )  # fmt: skip
        told = {"test": out / "test.npy", "validation": out / "validation.npy", "about": out / "about.json"}
        step("predict").main(self.files["windows"], self.files["splits"], out / "checkpoint", **told, **self.own)
        results = {name: self.folder / model / f"{name}.{end}" for name, end in (("metrics", "parquet"), ("replicates", "npz"))}
        step("evaluate").main(
            **self.files, names=names, known=known, predictions=[told["test"]], validation=[told["validation"]], about=[told["about"]],
            **results, curves=self.folder / model / "curves.parquet", model=model, replicate_count=400,
        )  # fmt: skip
        start = "published" if control == "random-init" else "random"
        self.models[model] = {
            "architecture": architecture,
            "control": control,
            "base": base,
            "datasets": ["made-up"],
            "initialisation": start,
        }
        return self

    def stratify(self, model):
        """What the step writes."""
        zeros = [one for one, entry in self.models.items() if ARCHITECTURES[entry["architecture"]].family == "row zero"]
        run = self.folder / model
        step("stratify").main(
            self.files["windows"], self.files["targets"], self.folder / "targets.tsv", sorted(run.glob("seed*/test.npy")),
            sorted(run.glob("seed*/about.json")), run / "metrics.parquet", run / "replicates.npz", run / "strata.parquet",
            run / "explained.parquet", model, replicate_count=400, known=self.folder / "targets.known.npy",
            row_zero=[self.folder / one / "metrics.parquet" for one in zeros],
            row_zero_replicates=[self.folder / one / "replicates.npz" for one in zeros],
        )  # fmt: skip
        return [Beside.read(run / f"{kind}.parquet") for kind in ("strata", "explained")]

    def results(self):
        """All as the page reads it."""
        folders = [self.folder / model for model in self.models]
        comparison = self.folder.parent / "comparison.parquet"
        step("compare").main([one / "metrics.parquet" for one in folders], [one / "replicates.npz" for one in folders], comparison)
        scores = [pd.read_parquet(one / "metrics.parquet").assign(dataset="made-up", replicates=400) for one in folders]
        beside = {"strata": [], "explained": []}
        for model, entry in self.models.items():
            for table in self.stratify(model) if not entry["control"] else ():
                beside[table.kind].append(table)
        study = {"datasets": {"made-up": {"title": "Made up"}}, "models": self.models, "evaluation": {"margin": 0.01}}
        empty = pd.DataFrame()
        return Results(
            study=study, name="study", invocation="snakemake", root="results/study", scores=pd.concat(scores, ignore_index=True),
            comparison=pd.read_parquet(comparison), ledger=empty, curves=empty, jobs=[], tuned={},
            certificates={"made-up": json.loads(self.files["splits"].read_text())}, loci=[], variants=[], beside=beside, judged=[],
            agreed=[], places=empty, assumptions=[], versions={},
        )  # fmt: skip


def random_codes(seed, n=WINDOWS):
    return np.random.default_rng(seed).integers(0, 4, (n, LENGTH))


def with_motif(codes, label, seed, motif=MOTIF):
    """The motif in every positive window, anywhere."""
    draw = np.random.default_rng(seed)
    for row in np.flatnonzero(label):
        at = draw.integers(0, LENGTH - len(motif))
        codes[row, at : at + len(motif)] = encode(motif)
    return codes


def kinds(results):
    return {one["kind"] for one in findings(results, "made-up")}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A motif, with its random twin and shuffled labels; nothing is wrong but that the twin is as good."""
    label = np.random.default_rng(1).random(WINDOWS) < 0.4
    planted = Planted(tmp_path_factory.mktemp("clean"), with_motif(random_codes(2), label, 3), label)
    for model, (architecture, parameters) in MODELS.items():
        planted.judge(model, architecture, parameters)
    return planted.judge("net-shuffled-labels", "basset", NET, "shuffled-labels", "net")


def test_on_clean_data_nothing_is_named(clean):
    results = clean.results()
    assert results.mean("made-up").at["net", "value"] > 0.85
    assert findings(results, "made-up") == []
    said = checked(results, "made-up")
    assert set(said) == {
        module.CHECKS[kind] for kind in ("collapsed", "copies", "chosen", "look-up", "composition", "position", "shuffled-labels")
    }
    explained = results.beside["explained"][-1].table.query("metric == 'auroc'").set_index("row_zero")
    assert (explained["share"] < 0.4).all() and explained["best"].sum() == 1


def test_a_model_that_is_equal_to_its_twin_is_named(clean):
    clean.judge("net-random-init", "basset", NET, "random-init", "net", seed=2)
    found = findings(clean.results(), "made-up")
    assert [one["kind"] for one in found] == ["twin"]
    assert found[0]["sentence"].startswith("Pretraining shows no benefit: net ")


def test_copies_of_training_windows_are_named(tmp_path):
    """Labels that no model can know, but by having seen the window."""
    draw = np.random.default_rng(4)
    label, codes, part = draw.random(WINDOWS) < 0.4, random_codes(5), np.repeat(["train", "validation", "test"], [800, 200, 500])
    copied = np.r_[800:1000, 1000:1500]
    source = draw.integers(0, 800, len(copied))
    codes[copied], label[copied] = codes[source], label[source]
    planted = Planted(tmp_path, codes, label, {"rule": "given"}, part)
    for model in ("composition", "nearest", "net"):
        planted.judge(model, *MODELS[model])
    results = planted.results()
    assert kinds(results) == {"copies", "look-up"}
    told = {one["kind"]: one["sentence"] for one in findings(results, "made-up")}
    assert "500 of 500 test windows have the very sequence of a training window" in told["copies"]
    assert (
        results.mean("made-up").at["nearest", "value"] > 0.99
        and "looking up the most similar training windows (nearest)" in told["look-up"]
    )


def test_remembered_windows_are_named_where_only_some_are_like_training(tmp_path):
    """Half of the test windows differ from a training window in one base and have its label; the others have nothing to be told by."""
    draw = np.random.default_rng(6)
    label, codes, part = draw.random(WINDOWS) < 0.4, random_codes(7), np.repeat(["train", "validation", "test"], [700, 200, 600])
    like = np.r_[700:800, 900:1200]
    source = draw.integers(0, 700, len(like))
    codes[like], label[like] = codes[source], label[source]
    changed = draw.integers(0, 20, len(like))
    codes[like, changed] = (codes[like, changed] + draw.integers(1, 4, len(like))) % 4
    planted = Planted(tmp_path, codes, label, {"rule": "given"}, part)
    planted.judge("kmer-logistic", "kmer-logistic", {"k": 6, "l2": 0.01}).judge("composition", *MODELS["composition"])
    results = planted.results()
    assert kinds(results) == {"leak"}
    sentence = findings(results, "made-up")[0]["sentence"]
    assert "30 % or more of the 21-mers" in sentence and "than on those with none" in sentence
    said = section.show(results, "made-up")["said"]
    assert any("kmer-logistic does better on windows with similarity to training “30 % or more”" in one for one in said)


def test_composition_that_is_all_there_is_is_named(tmp_path):
    draw = np.random.default_rng(8)
    label = draw.random(WINDOWS) < 0.4
    strong = draw.random((WINDOWS, LENGTH)) < np.where(label, 0.58, 0.46)[:, None]
    codes = np.where(strong, draw.choice([1, 2], strong.shape), draw.choice([0, 3], strong.shape))
    planted = Planted(tmp_path, codes, label)
    for model, one in MODELS.items():
        planted.judge(model, *one)
    results = planted.results()
    assert kinds(results) == {"composition"}
    sentence = findings(results, "made-up")[0]["sentence"]
    assert sentence.startswith("Composition only: base composition (composition, mean AUROC 0.") and "above chance of net" in sentence


def test_a_position_that_tells_everything_is_named(tmp_path):
    """Positives come in stretches of 100 kb, each with a motif that is there for the stretch and not for the label of a window."""
    stretch = np.arange(WINDOWS) // 100 % 2 == 1
    draw = np.random.default_rng(9)
    label = np.where(stretch, draw.random(WINDOWS) < 0.8, draw.random(WINDOWS) < 0.1)
    planted = Planted(tmp_path, with_motif(random_codes(10), stretch, 11), label)
    for model, one in MODELS.items():
        planted.judge(model, *one)
    results = planted.results()
    assert kinds(results) == {"position"}
    assert "Positional shortcut: position on the chromosome (position, mean AUROC 0." in findings(results, "made-up")[0]["sentence"]


def test_the_step_refuses_results_of_another_split(clean, tmp_path):
    about = clean.folder / "net" / "seed1" / "about.json"
    kept = about.read_text()
    about.write_text(json.dumps(json.loads(kept) | {"split_digest": "other"}))
    try:
        with pytest.raises(InputError, match="about.json: belongs to split other"):
            clean.stratify("net")
    finally:
        about.write_text(kept)


def test_checks_that_windows_are_too_few_for_are_not_said_to_be_made(clean):
    results = clean.results()
    made = checked(results, "made-up")
    assert module.CHECKS["composition"] in made and len(made) > 2
    few = "too small to judge"
    beside = {
        kind: [replace(one, table=one.table.assign(verdict=few, difference=np.nan)) for one in some]
        for kind, some in results.beside.items()
    }
    small = replace(
        results, beside=beside, comparison=results.comparison.assign(verdict=few), scores=results.scores.assign(low=np.nan, verdict=few)
    )
    assert checked(small, "made-up") == [module.CHECKS["collapsed"], module.CHECKS["copies"], module.CHECKS["chosen"]] and not findings(
        small, "made-up"
    )


def test_windows_of_an_earlier_version_are_named_with_what_they_lack(clean, tmp_path):
    old = tmp_path / "windows.parquet"
    pd.read_parquet(clean.files["windows"]).drop(columns="training_similarity").to_parquet(old)
    kept = clean.files["windows"]
    clean.files["windows"] = old
    try:
        with pytest.raises(InputError, match="windows.parquet: written by an earlier version, without training_similarity; delete it"):
            clean.stratify("net")
    finally:
        clean.files["windows"] = kept


def test_strands_are_told_by_target_and_averaged_over_seeds():
    runs = [
        {"strands": {"correlation": [0.5, None], "difference": [0.1, 0.0]}},
        {"strands": {"correlation": [0.7, 0.9], "difference": [0.3, 0.2]}},
    ]
    assert step("stratify").strands(runs) == {"correlation": [pytest.approx(0.6), None], "difference": pytest.approx([0.2, 0.1])}
