"""DeepSEA's published weights on a set of variants, the background of a model's scores, and their agreement: step by step."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import toy_models
from workflow_tools import ROOT, step

from regdna import models
from regdna.alphabet import encode, reverse_complement
from regdna.background import Background, strata
from regdna.genome import Genome
from regdna.haplotypes import edits
from regdna.models.classifier import probability
from regdna.step import InputError
from regdna.variants import read_scores, score, write_scores, write_variants

LENGTH, INDEX = 1000, 499
NAMES = "K562|DNase|None\nHepG2|CTCF|None\nNHEK|H3K4me3|None\nHepG2|FOXA1|None\nNA|NA|NA\n"
# With pools of 4 and 4, convolutions of 8, 8 and 8 leave 53 positions of 1,000 bp.
SIZES = {"0": (4, 4, 1, 8), "4": (3, 4, 1, 8), "8": (4, 3, 1, 8), "12.1": (6, 4 * 53), "14.1": (5, 6)}


def weights(folder):
    """Random weights in the layout of Kipoi's deepsea_variant_effects.pth, small, and what the vault says of them."""
    folder.mkdir()
    draw = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in SIZES.items():
        tensors[f"1.{name}.weight"] = torch.randn(shape, generator=draw) * (4 / np.prod(shape[1:])) ** 0.5
        tensors[f"1.{name}.bias"] = torch.randn(shape[:1], generator=draw) * 0.3
    path = folder / "deepsea_variant_effects.pth"
    torch.save(tensors, path)
    about = {"origin": "made up", "licence": "MIT", "citation": "nobody", "checkpoint": {"architecture": "deepsea", "context": LENGTH}}
    step("verify").main([path], folder / "vault.json", "toy", about)
    return path


@pytest.fixture
def sequence():
    return toy_models.letters(np.random.default_rng(1), 4000)


@pytest.fixture
def made(tmp_path, sequence):
    """A genome, a table of variants on it and published weights; SNVs, a deletion, an insertion, and two too near to the ends."""
    genome = toy_models.genome_files(tmp_path / "genome", {"chr1": sequence})
    other = dict(zip("ACGT", "CGTA", strict=True))
    rows = [(at, sequence[at], other[sequence[at]], "snv") for at in (498, 499, 1200, 2000, 2001, 3499, 3500)]
    rows += [(1500, sequence[1500:1504], sequence[1500], "deletion"), (1600, sequence[1600], sequence[1600] + "GATTACA", "insertion")]
    table = pd.DataFrame(rows, columns=["position", "ref", "alt", "kind"]).assign(chrom="chr1", contig="chr1", id=".", af=0.2)
    table["line"] = np.arange(len(table)) + 5
    write_variants(tmp_path / "toy.parquet", table, {"left_out": {"REF": 2}, "assembly": "hg38", "flipped": 0})
    (tmp_path / "predictor.names").write_text(NAMES)
    return tmp_path, genome, table, weights(tmp_path / "weights")


def consulted(made):
    """The scores of the published weights."""
    folder, genome, _, path = made
    step("consult").main(
        folder / "toy.parquet", [path], path.parent / "vault.json", folder / "predictor.names", genome, folder / "toy.published.parquet"
    )
    return read_scores(folder / "toy.published.parquet")


def test_published_scores_are_those_of_windows_spelled_by_hand(made, sequence):
    found = consulted(made)
    network, _ = models.load(made[3].parent)
    snvs = found.table[found.table["kind"] == "snv"]
    assert snvs["position"].tolist() == [499, 1200, 2000, 2001, 3499]
    for row, one in zip(snvs.index, snvs.itertuples(), strict=True):
        start = one.position - INDEX
        ref = sequence[start : start + LENGTH]
        assert len(ref) == LENGTH and ref[INDEX] == one.ref
        windows = np.stack([encode(ref), encode(ref[:INDEX] + one.alt + ref[INDEX + 1 :])])
        logits = np.stack([network(codes).logits.detach().double().numpy() for codes in (windows, reverse_complement(windows))])
        odds = 1 / (1 + np.exp(-logits))
        assert np.abs(found.values["diff"][row] - (odds[:, 1] - odds[:, 0]).mean(0)).max() < 1e-6
        assert np.abs(found.values["logit"][row] - (logits[:, 1] - logits[:, 0]).mean(0)).max() < 1e-5
    assert np.abs(found.values["logit"]).max() > 0.01


def test_the_table_says_what_it_holds_and_what_it_does_not(made):
    found = consulted(made)
    about = found.about
    assert len(found.table) == 7 and {"deletion", "insertion"} <= set(found.table["kind"])
    assert about["left_out"] == {"REF": 2, "inserts more than the model sees": 0, "too close to the end of what is held": 2}
    assert about["targets"] == ["K562 DNase", "HepG2 CTCF", "NHEK H3K4me3", "HepG2 FOXA1", "NA NA"]
    assert about["described"]["assay"] == ["DNase", "TF", "histone", "TF", "TF"] and about["cell_types"][1] == "HepG2"
    assert about["index"] == INDEX and about["shifts"] == [-1] and about["variants"] == "toy"
    assert about["source"]["source"] == "toy" and about["initialisation"] == "published weights, toy"
    assert set(about["definitions"]) == set(found.values)


def test_names_of_other_targets_are_refused(made):
    (made[0] / "predictor.names").write_text(NAMES + "K562|MYC|None\n")
    with pytest.raises(InputError, match=r"predictor.names: 6 names, but"):
        consulted(made)


def test_a_set_without_flanks_is_refused(made):
    folder, _, table, _ = made
    write_variants(folder / "toy.parquet", table[table["position"] < 499], {"left_out": {}})
    with pytest.raises(InputError, match=r"toy.parquet: no variant has 1000 bp around it"):
        consulted(made)


def test_a_model_is_held_against_them_target_by_target(made):
    found = consulted(made)
    folder = made[0]
    # A model of three targets: the second is the published HepG2 FOXA1 itself, the first is the opposite of CTCF, the third is of nothing.
    values = {
        name: np.stack([-found.values[name][:, 1], found.values[name][:, 3], found.values[name][:, 0]], 1) for name in ("diff", "logit")
    }
    write_scores(folder / "mine.parquet", found.table, [values], {"targets": ["a", "b", "c"]})
    table = pd.DataFrame([("hepg2", "TF", "CTCF"), ("HepG2", "TF", "FOXA1"), ("", "TF", "MYC")], columns=["cell_type", "assay", "target"])
    table.to_csv(folder / "targets.tsv", sep="\t", index_label="index")
    step("relate").main(folder / "mine.parquet", folder / "toy.published.parquet", folder / "targets.tsv", folder / "agreement.parquet", 50)
    out = pd.read_parquet(folder / "agreement.parquet")
    said = out[(out["statistic"] == "pearson") & (out["score"] == "logit")].set_index("target")
    assert said["value"].round(6).tolist() == [-1, 1] and set(said["verdict"]) == {"too small to judge"}
    assert said["published_name"].tolist() == ["HepG2 CTCF", "HepG2 FOXA1"]
    assert out[out["what"] == "unmatched"]["verdict"].tolist() == ["its cell type is not stated"]
    assert out.attrs["compared"] == 7 and out.attrs["source"]["source"] == "toy" and out.attrs["index"] == INDEX


def test_a_background_is_tallied_from_a_table_of_scores(made):
    found = consulted(made)
    folder, genome, _, _ = made
    # The same variants many times over, so that a stratum is large enough.
    table = pd.concat([found.table] * 400, ignore_index=True)
    blocks = [found.values] * 400
    write_scores(folder / "many.parquet", table, blocks, found.about)
    for given, matched in ((genome, "on minor"), (None, "not matched")):
        step("tally").main(folder / "many.parquet", folder / "many.background.npz", given)
        background = Background.open(folder / "many.background.npz")
        assert background.about["offered"] == 2800 and background.about["matched"].startswith(matched)
        group = strata(found.table, Genome(*genome)) if given else None
        size = np.abs(found.values["diff"])
        largest = background.columns(found.values["diff"], found.values["log2_odds"], group)["evalue_diff"]
        for row in range(len(size)):
            alike = size[group == group[row]] if given and background.about["strata"].get(str(group[row])) else size
            expected = (1 + 400 * (alike >= size[row]).sum(0)) / (1 + 400 * len(alike))
            assert np.abs(largest[row] - expected).max() <= background.about["error"]["evalue_diff"] + 1e-6


class TestGolden:
    """The published layers, filled with the random numbers of the golden outputs."""

    @pytest.mark.parametrize("name", ["deepsea_variant_effects", "deepsea_predict"])
    def test_both_strands_answer_as_the_reference_implementation(self, shared, tmp_path, name):
        rows = [line.split("\t") for line in (shared / f"golden/{name}/keys.tsv").read_text().splitlines()[1:]]
        torch.save({key: filled(at, key, tuple(json.loads(shape.replace("(", "[").replace(",)", ")").replace(")", "]"))))
                    for at, (key, shape) in enumerate(rows)}, tmp_path / f"{name}.pth")  # fmt: skip
        opened = step("consult").Published(tmp_path, shared / "data/labelled/DeepSEA_predictor.names")
        io = np.load(shared / f"golden/{name}/io.npz")
        odds = probability(opened.strands(io["codes"], np.zeros(len(io["codes"]))))
        expected = odds.mean(0) if name == "deepsea_predict" else odds[0]
        assert np.abs(expected - io["probabilities"]).max() < 1e-5
        assert len(opened.about["targets"]) == 919 and opened.about["length"] == LENGTH
        assert opened.described["assay"].value_counts().to_dict() == {"TF": 690, "DNase": 125, "histone": 104}


def filled(at, key, shape):
    """The rule of FILL.txt beside the golden tensors."""
    draw = torch.Generator().manual_seed(1000 + at)
    if len(shape) > 1:
        return torch.randn(shape, generator=draw) * (2 / np.prod(shape[1:])) ** 0.5
    return 0.1 * torch.randn(shape, generator=draw) + (1.0 if key.endswith("weight") else 0.0)


# Worked examples with Kipoi's weights, hg19: chrom, position (from 1), ref, alt, target (from 0), its name, log2 odds.
EXAMPLES = [
    ("chr16", 52599188, "C", "T", 302, "HepG2 FOXA1", 0.66),
    ("chr16", 52599188, "C", "T", 303, "HepG2 FOXA1", 0.70),
    ("chr16", 52599188, "C", "T", 396, "T-47D FOXA1", 0.51),
    ("chr16", 52599188, "C", "T", 178, "A549 FOXA1", 0.54),
    ("chr16", 52599188, "C", "T", 304, "HepG2 FOXA2", 0.65),
    ("chr16", 209709, "T", "C", 622, "K562 GATA-1", 3.35),
    ("chr16", 209709, "T", "C", 708, "PBDE GATA-1", 2.59),
    ("chr16", 209709, "T", "C", 707, "PBDEFetal GATA-1", 3.02),
    ("chr10", 23508363, "A", "G", 304, "HepG2 FOXA2", -0.53),
    ("chr10", 23508363, "A", "G", 178, "A549 FOXA1", -0.51),
]


class TestWorkedExamples:
    """rs4784227, the alpha-globin GATA1 SNP and the PTF1A enhancer's FOXA2 site."""

    def test_their_targets_have_the_names_that_are_said(self, shared):
        rows = (shared / "data/labelled/DeepSEA_predictor.names").read_text().splitlines()
        for *_, target, name, _ in EXAMPLES:
            cell, factor, _ = rows[target].split("|")
            assert f"{cell} {factor.strip()}".startswith(name), target

    def test_the_real_weights_say_what_others_found(self):
        """Within a tenth, and 0.05 for rounding; these values are of windows with the variant at index 500."""
        sources = ROOT / "results/sources"
        needed = [sources / "kipoi-deepsea-variant-effects/deepsea_variant_effects.pth", sources / "deepsea-names/predictor.names",
                  *(sources / f"ucsc-hg19/genome.{suffix}" for suffix in ("npy", "tsv", "mask.npy"))]  # fmt: skip
        missing = [path.relative_to(ROOT).as_posix() for path in needed if not path.is_file()]
        if missing:
            pytest.skip(f"{missing[0]} is not there: the real weights and hg19 are downloads (snakemake {' '.join(missing)})")
        opened = step("consult").Published(needed[0].parent, needed[1])
        table = pd.DataFrame([one[:4] for one in EXAMPLES], columns=["contig", "position", "ref", "alt"])
        table["position"] -= 1
        found = score([opened], Genome(*needed[2:]), edits(table), (0,), "ends")["log2_odds"]
        for row, (*_, target, name, expected) in enumerate(EXAMPLES):
            assert found[row, target] == pytest.approx(expected, rel=0.1, abs=0.05), name
