"""Elements rebuilt from reference alleles: every base where the file says it lies."""

import gzip

import numpy as np
import pandas as pd
import pytest
from workflow_tools import ROOT

from regdna.alphabet import decode, reverse_complement
from regdna.elements import gaps, lay_out, rebuild
from regdna.genome import Genome
from regdna.step import InputError

HEAD = "Chrom\tPos\tRef\tAlt\tBarcodes\tDNA\tRNA\tCoefficient\tpValue\tElement\tRelease\n"


def written(folder, rows, head=HEAD):
    """A file of the saturation MPRA with rows of (Pos, Ref, Element, Release), and of the chromosome where it is not 1."""
    path = folder / "elements.tsv.gz"
    lines = [f"{(*more, 1)[0]}\t{pos}\t{ref}\tA\t20\t1\t1\t0.1\t0.5\t{element}\t{release}\n" for pos, ref, element, release, *more in rows]
    path.write_bytes(gzip.compress((head + "".join(lines)).encode()))
    return path


ROWS = [(13, "T", "ONE", "GRCh38"), (11, "A", "ONE", "GRCh38"), (11, "A", "ONE", "GRCh38"), (14, "G", "ONE", "GRCh38"),
        (5, "C", "TWO-24h", "GRCh38"), (11, "C", "ONE", "GRCh37"), ("NA", "NA", "ONE", "GRCh38")]  # fmt: skip


def test_each_base_lies_where_the_file_says_and_what_is_missing_is_n(tmp_path):
    found = rebuild(written(tmp_path, ROWS), "hg38")
    assert list(found) == ["ONE", "TWO-24h"]
    assert found["ONE"][0] == 10 and decode(found["ONE"][1]) == "ANTG"
    assert found["TWO-24h"][0] == 4 and decode(found["TWO-24h"][1]) == "C"
    assert gaps(found) == {"ONE": 1}
    assert decode(rebuild(written(tmp_path, ROWS), "hg19")["ONE"][1]) == "C"


@pytest.mark.parametrize(
    ("rows", "assembly", "said"),
    [
        ([*ROWS, (13, "C", "ONE", "GRCh38")], "hg38", "line 9: Ref of ONE at 13 is C"),
        ([*ROWS, (15, "M", "ONE", "GRCh38")], "hg38", "line 9: Ref is 'M'"),
        ([*ROWS, (0, "A", "ONE", "GRCh38")], "hg38", "line 9: Pos is '0'"),
        ([*ROWS, ("1e3", "A", "ONE", "GRCh38")], "hg38", "line 9: Pos is '1e3'"),
        ([*ROWS, ("1" * 30, "A", "ONE", "GRCh38")], "hg38", "line 9: Pos is '111"),
        ([*ROWS, (13, "A", "", "GRCh38")], "hg38", "line 9: Element is ''"),
        ([*ROWS, (10_015, "A", "ONE", "GRCh38")], "hg38", "line 9: Pos 10015 of ONE is 10,001 bp from the one before it; mend"),
        ([*ROWS, (11, "A", "ONE", "GRCh38", "2")], "hg38", "line 9: ONE is on chromosome 2, but on another"),
        (ROWS, "mm10", "no variant of mm10"),
        (ROWS, "", "no variant of no assembly"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path, rows, assembly, said):
    with pytest.raises(InputError, match=said) as raised:
        rebuild(written(tmp_path, rows), assembly)
    assert "elements.tsv.gz" in str(raised.value) and "\n" not in str(raised.value)


def test_the_farthest_gap_that_is_taken(tmp_path):
    found = rebuild(written(tmp_path, [*ROWS, (10_014, "A", "ONE", "GRCh38"), (90_000, "A", "TWO", "GRCh38")]), "hg38")
    assert len(found["ONE"][1]) == 10_004 and len(found["TWO"][1]) == 1


@pytest.mark.parametrize("left", [2, 30, -9])
def test_a_file_that_was_cut_short_is_named(tmp_path, left):
    path = written(tmp_path, [(at, "ACGT"[at % 4], "ONE", "GRCh38") for at in range(1, 500)])
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(InputError, match=r"elements.tsv.gz: cut short"):
        rebuild(path, "hg38")


def test_a_genome_reads_them_at_their_true_coordinates(tmp_path):
    elements = rebuild(written(tmp_path, [*ROWS, *((at, "ACGT"[at % 4], "LONG", "GRCh38") for at in range(101, 121))]), "hg38")
    codes, index, bits = lay_out(elements, "hg38")
    np.save(tmp_path / "genome.npy", codes)
    np.save(tmp_path / "mask.npy", bits)
    index.to_csv(tmp_path / "genome.tsv", sep="\t", index=False)
    genome = Genome(tmp_path / "genome.npy", tmp_path / "genome.tsv", tmp_path / "mask.npy")
    assert genome.assembly == "hg38" and genome.mask is None
    assert genome.bounds("LONG") == (100, 120) and genome.bounds("TWO-24h") == (4, 5)
    for name, (start, sequence) in elements.items():
        assert np.array_equal(genome.fetch(name, start, start + len(sequence)), sequence)
    assert decode(genome.fetch("ONE", 9, 15)) == "NANTGN", "nothing of a neighbour is seen"
    assert (index["offset"] % 8 == 0).all() and len(codes) == 8 * len(bits)


def test_all_experiments_of_the_saturation_mpra_are_rebuilt(shared):
    path = shared / "data/variants/satmut_elements.tsv.gz"
    old, new = rebuild(path, "hg19"), rebuild(path, "hg38")
    assert len(old) == len(new) == 29
    assert gaps(old) == gaps(new) == {"TCF7L2": 1}, "28 of 29 exactly"
    for name, (_, codes) in old.items():
        expected = reverse_complement(codes) if name == "MSMB" else codes
        assert np.array_equal(new[name][1], expected), name
    for one, other in (
        ("LDLR", "LDLR.2"),
        ("SORT1", "SORT1.2"),
        ("PKLR-24h", "PKLR-48h"),
        ("TERT-HEK", "TERT-GBM"),
        ("ZRSh-13", "ZRSh-13h2"),
    ):
        assert new[one][0] == new[other][0] and np.array_equal(new[one][1], new[other][1])
    facts = pd.read_csv(ROOT / "resources/elements.tsv", sep="\t", index_col="experiment")
    raw = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False).query("Chrom != 'NA'")
    chrom = {key: "chr" + some["Chrom"].iloc[0] for key, some in raw.groupby(["Release", "Element"])}
    assert set(facts.index) == set(old)
    for assembly, release, found in (("hg19", "GRCh37", old), ("hg38", "GRCh38", new)):
        for name, (start, codes) in found.items():
            row = facts.loc[name]
            assert (row[f"{assembly}_chrom"], row[f"{assembly}_start"], row[f"{assembly}_end"]) == (
                chrom[release, name], start, start + len(codes),
            ), name  # fmt: skip


def test_the_table_of_experiments_agrees_with_the_loci():
    facts, loci = (pd.read_csv(ROOT / f"resources/{name}.tsv", sep="\t") for name in ("elements", "loci"))
    assert len(facts) == 29 and facts["element"].nunique() == 21 and facts["experiment"].is_unique
    assert (facts["cell_type"].str.strip() != "").all()
    loci = loci.set_index(["locus", "assembly"])
    for row in facts.itertuples():
        for locus in (
            {"hg19", "hg38"} & set(loci.loc[[row.element.lower()]].index.unique("assembly")) if row.element.lower() in loci.index else ()
        ):
            place = loci.loc[(row.element.lower(), locus)]
            assert place["chrom"] == getattr(row, f"{locus}_chrom")
            assert abs(place["start"] - getattr(row, f"{locus}_start")) <= 1 and abs(place["end"] - getattr(row, f"{locus}_end")) <= 1
