"""Reading and scoring sets of variants as the workflow does it: nothing lost, everything said, numbers as the library gives them."""

import gzip
import json
import logging
import subprocess
import sys

import numpy as np
import pandas as pd
import pysam
import pytest
import toy_models
from workflow_tools import ROOT, step

from regdna.alphabet import decode
from regdna.background import Background, save, tally
from regdna.genome import Genome
from regdna.haplotypes import edits
from regdna.models.classifier import Classifier
from regdna.sources import alleles
from regdna.sources.variant_files import COLUMNS, EMPTY, POSITION, TEXT
from regdna.step import InputError
from regdna.variants import SCORES, read_blocks, read_scores, read_variants, score

SIZE, LENGTH = 3000, 64
HEADER = "##fileformat=VCFv4.2\n##contig=<ID=1,length=4000>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A genome that holds chr1:501-3500 of 4,000 bp, with its assembly, two classifiers and their targets."""
    folder = tmp_path_factory.mktemp("made")
    letters = toy_models.letters(np.random.default_rng(8), SIZE)
    genome = toy_models.genome_files(folder, {"chr1:501-3500": letters}, {"chr1": 4000})
    (folder / "assemblies.tsv").write_text("assembly\tchrom\tlength\nhg38\tchr1\t4000\n")
    (folder / "targets.tsv").write_text("index\tcell_type\tassay\ttarget\n0\tK562\tDNase\tx\n1\tHepG2\tDNase\ty\n")
    checkpoints = [toy_models.motif_checkpoint(folder / f"{seed}", LENGTH, [4.0, -2.0 * seed], [-1.0, 0.5], "GATT") for seed in (1, 2)]
    return folder, genome, letters, checkpoints


def read(made, path, broken="fail", **more):
    folder, genome, _, _ = made
    outputs = path.parent / "v.parquet", path.parent / "left-out.tsv"
    step("read").main(path, genome, folder / "assemblies.tsv", *outputs, "hg38", broken=broken, **more)
    return read_variants(outputs[0]), pd.read_csv(outputs[1], sep="\t", keep_default_na=False)


def scored(made, path, shifts=(0,), align="ends", **more):
    folder, genome, _, checkpoints = made
    outputs = [path.parent / f"s{suffix}" for suffix in (".parquet", ".tsv", ".vcf.gz", ".vcf.gz.tbi", ".left-out.tsv")]
    step("score").main(
        path.parent / "v.parquet", checkpoints, folder / "targets.tsv", folder / "assemblies.tsv", *outputs, "some", "hg38", genome,
        list(shifts), align, **more,
    )  # fmt: skip
    return outputs


def line(made, position, change, ident="."):
    """A line of a VCF whose REF is right; ``change`` makes ALT of it."""
    ref = made[2][position - 501]
    return f"1\t{position}\t{ident}\t{ref}\t{change(ref)}"


def other(base):
    return "C" if base != "C" else "G"


def every_kind(made):
    """Lines of every kind, each with the reason why it is left out; empty for those that are kept."""
    ref = made[2][1000 - 501]
    return [
        (line(made, 1000, other), ""),
        ("1\t1000\t.\tA", COLUMNS),
        (f"1 1000 . {ref} C", COLUMNS),
        (f"1\t1e3\t.\t{ref}\tC", POSITION),
        (f"1\t\t.\t{ref}\tC", POSITION),
        (f"1\t1000\t.\t\t{ref}", EMPTY),
        (f"1\t1000\t.\t{ref}\t", EMPTY),
        (f"1\t0\t.\t{ref}\tC", alleles.ZERO),
        (f"1\t4001\t.\t{ref}\tC", alleles.BEYOND),
        (f"1\t3990\t.\t{ref}\tC", alleles.OUTSIDE),
        (f"7\t1000\t.\t{ref}\tC", alleles.CHROMOSOME),
        (f"MT\t1000\t.\t{ref}\tC", alleles.CHROMOSOME),
        (f"1\t1000\t.\t{ref}\t<DEL>", alleles.SYMBOLIC),
        (f"1\t1000\t.\t{ref}\t{ref}[chr2:5[", alleles.BREAKEND),
        (f"1\t1000\t.\t{ref}\t*", alleles.STAR),
        (f"1\t1000\t.\t{ref}\t.", alleles.NONE),
        (f"1\t1000\t.\t{ref}\tR", alleles.LETTERS),
        (f"1\t1000\t.\tM\t{ref}", alleles.LETTERS),
        (f"1\t1000\t.\t{ref}\t{ref}", alleles.SAME),
        (f"1\t1000\t.\t{other(ref)}\t{'A' if ref != 'A' else 'T'}", alleles.MISMATCH),
        (line(made, 1000, other), ""),
        (line(made, 1100, lambda base: base + "GATTGATT", "rs7"), ""),
    ]


def test_a_vcf_with_every_kind_of_broken_line_loses_none(made, tmp_path, caplog):
    lines = every_kind(made)
    path = tmp_path / "all.vcf.gz"
    raw = (HEADER + "".join(f"{one}\n" for one, _ in lines)).encode() + b"1\t\xff\xfe\t.\tA\tC\r\n"
    path.write_bytes(gzip.compress(raw))
    with caplog.at_level(logging.INFO), pytest.raises(InputError, match=r"all.vcf.gz: 7 lines cannot be read: line 5 \(too few") as error:
        read(made, path)
    assert "broken: drop" in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "v.parquet").exists()
    # All are named in the log before the run ends.
    assert [number for number in range(4, 27) if f"line {number}:" in caplog.text] == [5, 6, 7, 8, 9, 10, 26]

    with caplog.at_level(logging.INFO):
        (table, about), out = read(made, path, broken="drop")
    expected = {4 + at: reason for at, (_, reason) in enumerate(lines) if reason} | {26: TEXT}
    assert dict(zip(out["line"], out["reason"], strict=True)) == expected
    assert sorted([*table["line"], *out["line"]]) == list(range(4, 27))
    assert about["left_out"] == pd.Series(list(expected.values())).value_counts().to_dict()
    assert about["repeated"] == 1 and about["flipped"] == 0 and about["ref_mismatch_policy"] == "drop"
    assert table[["line", "kind", "contig"]].values.tolist() == [[4, "snv", "chr1"], [24, "snv", "chr1"], [25, "insertion", "chr1"]]
    assert "3 alleles can be scored, 20 are left out" in caplog.text
    text = dict(zip(out["line"], out["text"], strict=True))
    assert text[5] == "1 1000 . A" and text[16].endswith("<DEL>")


def test_the_exit_code_and_the_last_line_tell(made, tmp_path):
    folder, genome, _, _ = made
    path = tmp_path / "all.vcf"
    path.write_text(HEADER + "1\tx\t.\tA\tC\n" + line(made, 1000, other) + "\n")
    command = [
        sys.executable, ROOT / "workflow_scripts/read.py", "--source", path, "--genome", *genome, "--assemblies", folder / "assemblies.tsv",
        "--variants", tmp_path / "v.parquet", "--left-out", tmp_path / "o.tsv", "--assembly", "hg38",
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith(f"regdna: {path}: 1 lines cannot be read: line 4 (POS is no whole number); mend")
    ended = subprocess.run([*command, "--broken", "drop"], capture_output=True, text=True)
    assert ended.returncode == 0 and "1 alleles can be scored, 1 are left out (POS is no whole number: 1)" in ended.stderr


@pytest.mark.parametrize(
    ("lines", "said"), [([], "holds no variants; give a file with some"), (["1\t1000\t.\tA\t*"], "none of 1 alleles can be scored")]
)
def test_a_file_without_a_variant_to_score_is_refused(made, tmp_path, lines, said):
    (tmp_path / "v.vcf").write_text(HEADER + "".join(f"{one}\n" for one in lines))
    with pytest.raises(InputError, match=said):
        read(made, tmp_path / "v.vcf")


def test_elements_are_for_the_saturation_mpra_alone(made, tmp_path):
    (tmp_path / "v.vcf").write_text(HEADER + line(made, 1000, other) + "\n")
    with pytest.raises(InputError, match="genome: elements is for the saturation MPRA"):
        read(made, tmp_path / "v.vcf", place_on="elements")


@pytest.fixture
def listed(made, tmp_path):
    """A set of variants of all kinds, some at the edge of what is held or too long, read."""
    draw, lines = np.random.default_rng(2), []
    for position in range(900, 1400, 7):
        lines.append(line(made, position, lambda base: other(base)))
        lines.append(line(made, position + 2, lambda base: base + toy_models.letters(draw, int(draw.integers(1, 30)))))
        ref = made[2][position + 3 - 501 : position + 8 - 501]
        lines.append(f"1\t{position + 3}\tdel\t{ref}\t{ref[0]}")
    lines += [line(made, 510, other), line(made, 3490, other), line(made, 1500, lambda base: base + "ACGT" * 20)]
    (tmp_path / "v.vcf").write_text(HEADER + "".join(f"{one};AF=0.2\n".replace(";", "\t.\t.\t") for one in lines))
    read(made, tmp_path / "v.vcf")
    return tmp_path / "v.vcf"


@pytest.mark.parametrize(("shifts", "align"), [((0,), "ends"), ((0, 3, -2), "centre")])
def test_scores_are_those_of_the_library_whatever_the_blocks(made, listed, monkeypatch, shifts, align):
    monkeypatch.setattr("regdna.variants.block_rows", lambda targets: 50)
    outputs = scored(made, listed, shifts, align)
    found = read_scores(outputs[0])
    _, genome, _, checkpoints = made
    table, _ = read_variants(listed.parent / "v.parquet")
    assert len(found.table) == len(table) - 3 > 200
    assert [len(one.table) for one in read_blocks(outputs[0], [])] == [50] * 4 + [len(found.table) - 200]
    left_out = found.about["left_out"]
    assert left_out["too close to the end of what is held"] == 2 and left_out["inserts more than the model sees"] == 1
    whole = score([Classifier(path) for path in checkpoints], Genome(*genome), edits(found.table), shifts, align)
    assert list(found.values) == list(whole) == list(found.about["definitions"])
    for name, values in whole.items():
        assert np.allclose(found.values[name], values, atol=1e-6), name
    assert found.values["logit"].std() > 0.1 and np.isfinite(found.values["logit_seeds"]).all()
    about = found.about
    assert about["shifts"] == list(shifts) and about["align"] == align and about["seeds"] == [1, 1] and about["variants"] == "some"
    assert about["cell_types"] == ["K562", "HepG2"] and about["targets"] == ["target 0", "target 1"]
    json.dumps(about)

    summary = pd.read_csv(outputs[1], sep="\t")
    assert summary["pos"].tolist() == (found.table["position"] + 1).tolist()
    strongest = found.values["logit"][range(len(summary)), np.abs(found.values["logit"]).argmax(1)]
    assert summary["logit"].to_numpy() == pytest.approx(strongest, rel=1e-5)
    with pysam.VariantFile(str(outputs[2])) as file:
        records = list(file.fetch("chr1", 890, 1600))
        assert file.header.contigs["chr1"].length == 4000
    assert [one.start for one in records] == sorted(found.table["position"])


def test_two_ways_of_writing_a_variant_get_one_score(made, tmp_path):
    letters, first = made[2], 501
    rows = []
    for position in range(1000, 1200, 9):
        at = position - first
        long = letters[at : at + 12]
        rows.append((position, long[:4], long[0]))
        rows.append((position - 5, letters[at - 5 : at + 12], letters[at - 5 : at + 1] + letters[at + 4 : at + 12]))
        rows.append((position, long[0], other(long[0])))
        rows.append((position - 2, letters[at - 2 : at + 3], letters[at - 2 : at] + other(long[0]) + letters[at + 1 : at + 3]))
    (tmp_path / "v.vcf").write_text(HEADER + "".join(f"1\t{position}\t.\t{ref}\t{alt}\n" for position, ref, alt in rows))
    read(made, tmp_path / "v.vcf")
    found = read_scores(scored(made, tmp_path / "v.vcf")[0])
    assert len(found.table) == len(rows)
    for values in found.values.values():
        assert np.array_equal(values[0::2], values[1::2], equal_nan=True)
    assert found.about["repeated"] == len(rows) // 2


def test_e_values_come_from_the_background_that_is_given(made, listed):
    outputs = scored(made, listed)
    _, genome, _, _ = made
    save(listed.parent / "b.npz", tally(outputs[0], Genome(*genome)))
    plain = read_scores(outputs[0])
    found = read_scores(scored(made, listed, background=listed.parent / "b.npz")[0])
    assert list(found.values) == list(SCORES) == list(found.about["definitions"])
    assert found.about["background"]["offered"] == len(plain.table)
    assert np.array_equal(found.values["logit"], plain.values["logit"])
    expected = Background.open(listed.parent / "b.npz").columns(plain.values["diff"], plain.values["log2_odds"])
    for name, values in expected.items():
        assert np.array_equal(found.values[name], values)
    sizes = np.abs(plain.values["diff"])
    by_hand = (1 + (sizes[None] >= sizes[:, None]).sum(1)) / (1 + len(sizes))
    assert found.values["evalue_diff"] == pytest.approx(by_hand, abs=1e-6)
    assert "evalue_2015" in pd.read_csv(outputs[1], sep="\t")


def test_each_variant_is_counted_in_its_own_stratum(made, listed, monkeypatch):
    class Recorded:
        about = {"targets": ["target 0", "target 1"], "variants": "other", "offered": 1, "matched": "yes"}

        def columns(self, diff, log2_odds, stratum):
            return dict.fromkeys(("evalue_2015", "evalue_diff", "percentile"), np.repeat(stratum[:, None], diff.shape[1], 1))

    monkeypatch.setattr(Background, "open", classmethod(lambda cls, path: Recorded()))
    monkeypatch.setattr("regdna.background.strata", lambda table, genome: table["position"].to_numpy() % 9)
    monkeypatch.setattr("regdna.variants.block_rows", lambda targets: 50)
    found = read_scores(scored(made, listed, background=listed.parent / "b.npz")[0])
    assert np.array_equal(found.values["evalue_2015"][:, 1], found.table["position"] % 9)


def test_a_table_with_columns_by_regdnas_own_names_is_scored_and_keeps_them(made, listed, tmp_path, caplog):
    outputs = scored(made, listed)
    save(tmp_path / "b.npz", tally(outputs[0], Genome(*made[1])))
    own = [*SCORES, "line", "text", "contig", "kind", "position", "target", "below_views", "experiment", "reason", "index"]
    (tmp_path / "own").mkdir()
    path, bases = tmp_path / "own/v.csv", made[2][999:1001]
    rows = [f"chr1,{1500 + at},{base},{other(base)},x{at},1.5,{','.join(own)}\n" for at, base in enumerate(bases)]
    path.write_text(f"chrom,pos,ref,alt,id,AF,{','.join(own)}\n{''.join(rows)}")
    with caplog.at_level(logging.INFO):
        (table, _), _ = read(made, path)
    assert "logit is kept as logit_given" in caplog.text and "af of 2 alleles is no number from 0 to 1" in caplog.text
    outputs = scored(made, path, background=tmp_path / "b.npz")
    found = read_scores(outputs[0])
    assert list(found.values) == list(SCORES) and found.table["line"].tolist() == [2, 3] and table["af"].isna().all()
    assert all(found.table[f"{name}_given"].tolist() == [name] * 2 for name in [*SCORES, "line", "text", "target"])
    assert pd.read_csv(outputs[1], sep="\t")["logit"].notna().all()


@pytest.mark.parametrize("mismatch", ["drop", "fail", "flip"])
def test_a_set_of_another_assembly_ends_the_run(made, tmp_path, mismatch):
    lines = [f"1\t{position}\t.\t{other(made[2][position - 501])}\tT" for position in range(1000, 1300)]
    (tmp_path / "v.vcf").write_text(HEADER + "".join(f"{one}\n" for one in lines if one[-3] != "T"))
    with pytest.raises(InputError, match=r"v.vcf: REF of (\d+) of \1 single-base alleles is not what the assembly holds"):
        read(made, tmp_path / "v.vcf", mismatch=mismatch)


def test_a_background_of_other_targets_is_refused(made, listed, monkeypatch):
    class Other:
        about = {"targets": ["z"]}

    monkeypatch.setattr(Background, "open", classmethod(lambda cls, path: Other))
    with pytest.raises(InputError, match=r"b.npz: was counted over other targets"):
        scored(made, listed, background=listed.parent / "b.npz")


def test_nothing_with_a_whole_window_is_refused(made, tmp_path):
    (tmp_path / "v.vcf").write_text(HEADER + line(made, 510, other) + "\n")
    read(made, tmp_path / "v.vcf")
    with pytest.raises(InputError, match="none of 1 variants has 64 bp around it in what is held"):
        scored(made, tmp_path / "v.vcf")


def test_windows_are_cut_from_what_is_read(made, listed):
    table, _ = read_variants(listed.parent / "v.parquet")
    genome = Genome(*made[1])
    for row in table.itertuples():
        assert decode(genome.fetch(row.contig, row.position, row.position + len(row.ref))) == row.ref
