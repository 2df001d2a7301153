"""Each step's main() on small files: what it writes, and what it refuses."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from workflow_tools import step

from regdna.alphabet import encode
from regdna.genome import Genome
from regdna.ledger import Ledger
from regdna.models.classifier import Classifier
from regdna.splits import digest as split_digest
from regdna.step import InputError
from regdna.targets import Targets

SITES = 240
RULE = {"rule": "chromosomes", "test": ["chr1"], "validation": ["chr2"], "gap": 0, "seed": 0}
ENTRY = {
    "architecture": "kmer-logistic", "parameters": {"k": 3, "l2": 1.0}, "regime": "full", "initialisation": "random", "context": 0,
    "training": {"batch_size": 32},
}  # fmt: skip
NETWORK = ENTRY | {
    "architecture": "basset",
    "parameters": {"filters": [8, 8, 8], "widths": [7, 5, 3], "pools": [4, 4, 2], "hidden": 8, "dropout": 0.1},
    "training": {"epochs": 2, "batch_size": 32, "learning_rate": 0.01, "weight_decay": 0.0, "warmup": 0.1, "clip": 1.0, "patience": 2,
                 "reverse_complement": True, "shift": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """A dataset of sites from shard to split: class 1 is rich in G and C, so that a model can learn it."""
    folder = tmp_path_factory.mktemp("sites")
    draw = np.random.default_rng(5)
    label = draw.integers(2, size=SITES).astype(np.uint8)
    weak, strong = draw.choice([0, 3], (SITES, 200)), draw.integers(4, size=(SITES, 200))
    codes = np.where((label == 1)[:, None] | (draw.random((SITES, 200)) < 0.3), strong, weak).astype(np.uint8)
    quads = codes.reshape(SITES, 50, 4)
    np.savez(
        folder / "sites-1.npz", chrom=np.sort(draw.integers(3, size=SITES)).astype(np.uint8),
        start=(np.arange(SITES) * 1000).astype(np.int32), label=label,
        sequence=quads[..., 0] << 6 | quads[..., 1] << 4 | quads[..., 2] << 2 | quads[..., 3],
        chromosomes=np.array(["chr1", "chr2", "chr3"]), targets=np.array(["one", "two"]),
    )  # fmt: skip
    step("tile").main(folder / "candidates.parquet", 1000, sites=[folder / "sites-1.npz"])
    step("unpack").main([folder / "sites-1.npz"], folder / "sequences.npy")
    step("label").main(folder / "candidates.parquet", folder / "targets.npy", folder / "targets.tsv", sites=[folder / "sites-1.npz"])
    step("split").main(
        folder / "candidates.parquet", folder / "windows.parquet", folder / "splits.json", RULE, sequences=folder / "sequences.npy"
    )
    assert np.array_equal(np.load(folder / "sequences.npy"), codes)
    assert np.array_equal(Targets(folder / "targets.npy", folder / "targets.tsv")[np.arange(SITES)].argmax(1), label)
    return folder


def train(folder, out, entry=ENTRY, **changed):
    arguments = dict(
        windows=folder / "windows.parquet", splits=folder / "splits.json", targets=folder / "targets.npy", table=folder / "targets.tsv",
        checkpoint=out / "checkpoint", compute=out / "compute.json", entry=entry, labels="exclusive", model="toy", seed=1,
        store=out / "store", sequences=folder / "sequences.npy",
    )  # fmt: skip
    step("train").main(**(arguments | changed))


def predict(folder, out, **changed):
    arguments = dict(
        windows=folder / "windows.parquet", splits=folder / "splits.json", checkpoint=out / "checkpoint",
        validation=out / "validation.npy", test=out / "test.npy", about=out / "about.json", sequences=folder / "sequences.npy",
    )  # fmt: skip
    step("predict").main(**(arguments | changed))


def evaluate(folder, out, **changed):
    arguments = dict(
        windows=folder / "windows.parquet", splits=folder / "splits.json", targets=folder / "targets.npy", table=folder / "targets.tsv",
        predictions=[out / "test.npy"], validation=[out / "validation.npy"], about=[out / "about.json"], metrics=out / "metrics.parquet",
        replicates=out / "replicates.npz", curves=out / "curves.parquet", model="toy", replicate_count=100,
    )  # fmt: skip
    step("evaluate").main(**(arguments | changed))


@pytest.fixture(scope="module")
def trained(sites, tmp_path_factory):
    """A model trained, predicted and evaluated on the sites."""
    out = tmp_path_factory.mktemp("results") / "tiny" / "sites" / "toy"
    out.mkdir(parents=True)
    train(sites, out)
    predict(sites, out)
    evaluate(sites, out)
    return out


def test_the_chain_learns_what_is_there_to_learn(trained):
    table = pd.read_parquet(trained / "metrics.parquet")
    mean = table.query("part == 'test' and metric == 'auroc' and target == -1 and seed == -1").iloc[0]
    assert mean["value"] > 0.95
    assert mean["low"] <= mean["value"] <= mean["high"]


def test_a_warm_store_gives_the_same_bytes_as_a_cold_one(sites, tmp_path):
    """A state left by an attempt that finished training but died before its job ended."""
    first, second = tmp_path / "first", tmp_path / "second"
    train(sites, first, NETWORK)

    def die(*_):
        raise OSError("the job dies here")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="dies here"):
        patch.setattr(Ledger, "write", die)
        train(sites, second, NETWORK)
    shutil.rmtree(second / "checkpoint")  # as Snakemake does with outputs of a failed job
    train(sites, second, NETWORK)
    one, other = (folder / "checkpoint/model.safetensors" for folder in (first, second))
    assert one.read_bytes() == other.read_bytes()
    assert json.loads((second / "compute.json").read_text())["resumed_from"] == 2
    assert json.loads((first / "compute.json").read_text())["resumed_from"] is None


def test_another_split_is_refused_by_every_later_step(sites, trained, tmp_path):
    splits = json.loads((sites / "splits.json").read_text()) | {"digest": "0" * 16}
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    with pytest.raises(InputError, match="split"):
        predict(
            sites, trained, splits=tmp_path / "splits.json", test=tmp_path / "t.npy", validation=tmp_path / "v.npy", about=tmp_path / "a"
        )
    with pytest.raises(InputError, match="split"):
        evaluate(sites, trained, splits=tmp_path / "splits.json", metrics=tmp_path / "m.parquet")
    assert not (tmp_path / "t.npy").exists()
    assert not (tmp_path / "m.parquet").exists()


def test_moved_windows_are_noticed(sites, trained, tmp_path):
    frame = pd.read_parquet(sites / "windows.parquet")
    frame.loc[0, "split"] = "train" if frame.loc[0, "split"] != "train" else "test"
    frame.to_parquet(tmp_path / "windows.parquet")
    with pytest.raises(InputError, match="split"):
        predict(sites, trained, windows=tmp_path / "windows.parquet", test=tmp_path / "t.npy")


def test_predictions_that_are_not_numbers_or_too_few_are_refused(sites, trained, tmp_path):
    values = np.load(trained / "test.npy")
    np.save(tmp_path / "short.npy", values[:-1])
    with pytest.raises(InputError, match=r"short.npy: shape"):
        evaluate(sites, trained, predictions=[tmp_path / "short.npy"], metrics=tmp_path / "m.parquet")
    values[0, 0] = np.nan
    np.save(tmp_path / "nan.npy", values)
    with pytest.raises(InputError, match=r"nan.npy: holds 1 values"):
        evaluate(sites, trained, predictions=[tmp_path / "nan.npy"], metrics=tmp_path / "m.parquet")


def test_models_of_different_splits_are_not_compared(trained, tmp_path):
    other = tmp_path / "tiny/sites/other"
    shutil.copytree(trained, other)
    with np.load(trained / "replicates.npz") as drawn:
        np.savez(other / "replicates.npz", **(dict(drawn) | {"split_digest": "0" * 16}))
    pairs = [[folder / name for folder in (trained, other)] for name in ("metrics.parquet", "replicates.npz")]
    with pytest.raises(InputError, match="different splits"):
        step("compare").main(*pairs, tmp_path / "comparison.parquet")


def test_a_model_equals_itself(trained, tmp_path):
    other = tmp_path / "tiny/sites/other"
    shutil.copytree(trained, other)
    table = pd.read_parquet(other / "metrics.parquet").assign(model="other")
    table.to_parquet(other / "metrics.parquet")
    with np.load(trained / "replicates.npz") as drawn:
        np.savez(other / "replicates.npz", **(dict(drawn) | {"model": "other"}))
    pairs = [[folder / name for folder in (trained, other)] for name in ("metrics.parquet", "replicates.npz")]
    step("compare").main(*pairs, tmp_path / "comparison.parquet")
    comparison = pd.read_parquet(tmp_path / "comparison.parquet")
    assert set(comparison["verdict"]) == {"equivalent"}
    assert (comparison[["difference", "low", "high"]] == 0).all(axis=None)


def test_files_of_two_models_in_another_order_are_refused(trained, tmp_path):
    other = tmp_path / "tiny/sites/other"
    shutil.copytree(trained, other)
    pd.read_parquet(other / "metrics.parquet").assign(model="other").to_parquet(other / "metrics.parquet")
    metrics = [trained / "metrics.parquet", other / "metrics.parquet"]
    with pytest.raises(InputError, match="give both in one order"):
        step("compare").main(metrics, [trained / "replicates.npz", trained / "replicates.npz"], tmp_path / "comparison.parquet")


def test_training_sites_are_drawn_and_the_rest_is_unused(sites, tmp_path):
    step("split").main(
        sites / "candidates.parquet", tmp_path / "windows.parquet", tmp_path / "splits.json", RULE, 20, sequences=sites / "sequences.npy"
    )
    counts = pd.read_parquet(tmp_path / "windows.parquet")["split"].value_counts()
    before = pd.read_parquet(sites / "windows.parquet")["split"].value_counts()
    assert counts["train"] == 20
    assert counts["unused"] == before["train"] - 20
    assert counts["test"] == before["test"]


@pytest.mark.parametrize(
    ("rule", "training_sites", "said"),
    [
        (RULE | {"test": ["chr9"]}, 0, "no window is in test"),
        (RULE, 10_000, "training_sites: 10,000"),
        (RULE | {"rule": "blocks", "block": 1_000_000, "test": 2, "validation": 2}, 0, "none is left to train"),
    ],
)
def test_a_split_that_cannot_be_is_refused(sites, tmp_path, rule, training_sites, said):
    with pytest.raises(InputError, match=said):
        step("split").main(
            sites / "candidates.parquet", tmp_path / "w", tmp_path / "s", rule, training_sites, sequences=sites / "sequences.npy"
        )
    assert not (tmp_path / "w").exists()


def test_overlapping_windows_of_two_parts_fail_the_step(tmp_path):
    pd.DataFrame({"chrom": "chr1", "start": np.arange(8) * 50, "end": np.arange(8) * 50 + 200}).to_parquet(tmp_path / "candidates.parquet")
    np.save(tmp_path / "sequences.npy", np.random.default_rng(1).integers(4, size=(8, 200)).astype(np.uint8))
    rule = {"rule": "blocks", "block": 100, "test": 1, "validation": 1, "gap": 0, "seed": 0}
    room = step("split")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(InputError, match="overlap"):
        patch.setattr(room.rules, "open_gap", lambda table, part, gap: part)
        room.main(tmp_path / "candidates.parquet", tmp_path / "w", tmp_path / "s", rule, sequences=tmp_path / "sequences.npy")


def test_exclusive_targets_that_do_not_exclude_each_other_are_refused(tmp_path):
    pd.DataFrame({"chrom": "chr1", "start": [0, 400, 800], "end": [400, 800, 1200]}).to_parquet(tmp_path / "candidates.parquet")
    (tmp_path / "a.bed").write_text("chr1\t0\t400\n")
    (tmp_path / "b.bed").write_text("chr1\t0\t800\n")
    target = {"rule": "any_overlap", "cell_type": "", "assay": "", "intervals": "source/a.bed"}
    with pytest.raises(InputError, match="1 windows have no target and 1 have several"):
        step("label").main(
            tmp_path / "candidates.parquet", tmp_path / "t.npy", tmp_path / "t.tsv", "exclusive", {"bin": 200, "context": 400},
            {"a": target, "b": target}, intervals=[tmp_path / "a.bed", tmp_path / "b.bed"],
        )  # fmt: skip


def test_a_state_of_other_sequences_is_not_continued(sites, tmp_path):
    def die(*_):
        raise OSError("the job dies here")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="dies here"):
        patch.setattr(Ledger, "write", die)
        train(sites, tmp_path, NETWORK)
    certificate = json.loads((sites / "splits.json").read_text()) | {"sequence_digest": "0" * 16}
    (tmp_path / "splits.json").write_text(json.dumps(certificate))
    train(sites, tmp_path, NETWORK, splits=tmp_path / "splits.json")
    assert json.loads((tmp_path / "compute.json").read_text())["resumed_from"] is None


def test_validation_without_a_usable_target_is_refused_before_training(sites, tmp_path):
    frame = pd.read_parquet(sites / "windows.parquet")
    labels = Targets(sites / "targets.npy", sites / "targets.tsv")[np.arange(SITES)].argmax(1)
    frame.loc[(frame["split"] == "validation") & (labels == 1), "split"] = "unused"
    frame.to_parquet(tmp_path / "windows.parquet")
    with pytest.raises(InputError, match="no target has both classes among the validation windows"):
        train(sites, tmp_path, NETWORK, windows=tmp_path / "windows.parquet")


def test_a_test_part_of_one_class_is_undefined_not_a_crash(sites, trained, tmp_path):
    frame = pd.read_parquet(sites / "windows.parquet")
    labels = Targets(sites / "targets.npy", sites / "targets.tsv")[np.arange(SITES)].argmax(1)
    frame.loc[(frame["split"] == "test") & (labels == 1), "split"] = "unused"
    frame.to_parquet(tmp_path / "windows.parquet")
    digest = split_digest(frame)
    certificate = json.loads((sites / "splits.json").read_text()) | {"digest": digest}
    (tmp_path / "splits.json").write_text(json.dumps(certificate))
    (tmp_path / "about.json").write_text(json.dumps(json.loads((trained / "about.json").read_text()) | {"split_digest": digest}))
    np.save(tmp_path / "test.npy", np.full(((frame["split"] == "test").sum(), 2), 0.5, np.float32))
    evaluate(
        sites, trained, windows=tmp_path / "windows.parquet", splits=tmp_path / "splits.json", predictions=[tmp_path / "test.npy"],
        about=[tmp_path / "about.json"], metrics=tmp_path / "m.parquet", replicates=tmp_path / "r.npz", curves=tmp_path / "c.parquet",
    )  # fmt: skip
    table = pd.read_parquet(tmp_path / "m.parquet").query("part == 'test'")
    assert set(table["verdict"]) == {"undefined"}
    assert table["value"].isna().all()
    assert pd.read_parquet(tmp_path / "c.parquet").empty


@pytest.mark.parametrize("name", ["sequences.npy", "targets.npy"])
def test_a_truncated_array_is_named(sites, tmp_path, name):
    folder = shutil.copytree(sites, tmp_path / "cut")
    (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{name}: cut short"):
        train(folder, tmp_path)


def test_a_truncated_checkpoint_is_named(sites, trained, tmp_path):
    folder = shutil.copytree(trained / "checkpoint", tmp_path / "checkpoint") / "model.safetensors"
    folder.write_bytes(folder.read_bytes()[:-10])
    with pytest.raises(InputError, match="model.safetensors: cut short"):
        Classifier(tmp_path / "checkpoint")


def test_a_target_of_one_class_is_refused(tmp_path):
    pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [400]}).to_parquet(tmp_path / "candidates.parquet")
    (tmp_path / "far.bed").write_text("chr2\t5\t10\n")
    target = {"rule": "any_overlap", "cell_type": "", "assay": "", "intervals": "source/far.bed"}
    with pytest.raises(InputError, match="target far: 0 of 1 windows are positive"):
        step("label").main(
            tmp_path / "candidates.parquet", tmp_path / "t.npy", tmp_path / "t.tsv", windows={"bin": 200, "context": 400},
            definitions={"far": target}, intervals=[tmp_path / "far.bed"],
        )  # fmt: skip


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """A genome of one short chromosome, indexed."""
    folder = tmp_path_factory.mktemp("genome")
    letters = "".join(np.random.default_rng(3).choice(list("ACGT"), 5000))
    (folder / "a.fa").write_text(f">chr1\n{letters}\n>chrM\nACGT\n")
    (folder / "assemblies.tsv").write_text("assembly\tchrom\tlength\nhg38\tchr1\t5000\n")
    step("index").main([folder / "a.fa"], folder / "assemblies.tsv", folder / "genome.npy", folder / "genome.tsv", "hg38")
    assert np.array_equal(Genome(folder / "genome.npy", folder / "genome.tsv").fetch("chr1", 10, 60), encode(letters[10:60]))
    return folder


def test_variants_and_loci_of_a_genome(sites, trained, genome, tmp_path):
    held = Genome(genome / "genome.npy", genome / "genome.tsv")
    base = "ACGT"[held.fetch("chr1", 2000, 2001)[0]]
    other = "A" if base != "A" else "C"
    (tmp_path / "v.vcf").write_text(
        f"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\nchr1\t2001\tone\t{base}\t{other}\nchr1\t2001\twrong\t{other}\t{base}\nchr1\t5\tedge\tA\tC\n"
    )
    files = [genome / "genome.npy", genome / "genome.tsv"]
    step("score").main(tmp_path / "v.vcf", [trained / "checkpoint"], tmp_path / "s.parquet", tmp_path / "s.vcf.gz", "hg38", genome=files)
    scores = pd.read_parquet(tmp_path / "s.parquet")
    assert list(scores["id"].unique()) == ["one"]
    assert scores.attrs["left_out"]["REF is not what the assembly holds"] == 1
    assert scores.attrs["left_out"]["too close to the end of what is held"] == 1

    place = {"assembly": "hg38", "chrom": "chr1", "start": 1990, "end": 2010}
    mutagenise = step("mutagenise").main
    outputs = (tmp_path / "x.npz", tmp_path / "x.bw", "x")
    mutagenise(sites / "windows.parquet", [trained / "checkpoint"], *outputs, place, "hg38", genome=files)
    with pytest.raises(InputError, match="x is on hg38, the dataset on hg19"):
        mutagenise(sites / "windows.parquet", [trained / "checkpoint"], *outputs, place, "hg19", genome=files)
    with pytest.raises(InputError, match="reaches beyond the 200 bp that the model sees"):
        mutagenise(sites / "windows.parquet", [trained / "checkpoint"], *outputs, place | {"end": 2300}, "hg38", genome=files)
    with np.load(tmp_path / "x.npz") as saved:
        effect, about = saved["effect"], json.loads(str(saved["about"]))
    assert effect.shape == (20, 4, 2)
    assert (about["start"], about["end"]) == (1990, 2010)
    # The same edit by the other road: the variant's window begins 100 bp before it, so does the locus' with its centre at 2000.
    logit = scores.set_index("target")["logit"]
    assert np.allclose(effect[10, "ACGT".index(other)], [logit[0], logit[1]], atol=1e-6)


def test_a_locus_that_is_no_site_is_refused(sites, trained, tmp_path):
    place = {"assembly": "hg38", "chrom": "chr7", "start": 10, "end": 20}
    with pytest.raises(InputError, match="chr7:10-20 is no site"):
        step("mutagenise").main(
            sites / "windows.parquet", [trained / "checkpoint"], tmp_path / "x.npz", tmp_path / "x.bw", "x", place, "hg38",
            sequences=sites / "sequences.npy",
        )  # fmt: skip


def test_a_model_that_does_not_fit_the_windows_is_named(sites, tmp_path):
    entry = NETWORK | {"parameters": NETWORK["parameters"] | {"pools": [40, 4, 4]}}
    with pytest.raises(InputError, match="models.toy: 200 bp are too short"):
        train(sites, tmp_path, entry)
    assert not (tmp_path / "checkpoint").exists()


def test_the_ledger_has_a_row_a_run(trained, tmp_path):
    run = tmp_path / "tiny/sites/toy/seed1"
    run.mkdir(parents=True)
    shutil.copy(trained / "compute.json", run)
    step("account").main([run / "compute.json"], tmp_path / "ledger.tsv")
    row = pd.read_csv(tmp_path / "ledger.tsv", sep="\t").iloc[0]
    assert (row["dataset"], row["model"], row["seed"]) == ("sites", "toy", 1)
    assert row["peak_host_bytes"] > 50_000_000


def test_an_opened_checkpoint_tells_its_strands_apart(sites, trained):
    codes = np.load(sites / "sequences.npy")[:4]
    odds = Classifier(trained / "checkpoint").strands(codes, np.zeros(4))
    # k-mers are counted with their reverse complements, so both strands agree.
    assert np.allclose(odds[0], odds[1])
