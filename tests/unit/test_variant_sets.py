import gzip

import pytest
import toy_models

from regdna.genome import read_lengths
from regdna.sources.alleles import BOTH, place
from regdna.sources.variant_sets import DOUBT, RELEASE, UNPLACED, read_set
from regdna.step import InputError

HEADER = "Chrom\tPos\tRef\tAlt\tBarcodes\tDNA\tRNA\tCoefficient\tpValue\tElement\tRelease\n"


def mpra(folder, *rows):
    path = folder / "elements.tsv.gz"
    path.write_bytes(gzip.compress((HEADER + "".join("\t".join(row.split()) + "\n" for row in rows)).encode()))
    return path


def test_an_mpra_row_becomes_a_variant_of_its_assembly(tmp_path):
    path = mpra(
        tmp_path,
        "5 1295228 G A 464 1 2 2.00 0.001 TERT-HEK GRCh37",
        "5 1295113 G A 464 1 2 2.00 0.001 TERT-HEK GRCh38",
        "5 1295229 C - 20 1 2 -0.5 0.1 TERT-HEK GRCh37",
        "NA NA NA NA 1 1 1 0.1 0.5 X GRCh37",
        "1 109817590 G T 9 1 2 -2.9 0.1 SORT1 GRCh37",
    )
    lines, experiments = read_set(path, "hg19", {})
    assert experiments
    assert lines.kept[["line", "chrom", "position", "id", "ref", "alt", "measured", "p_value", "barcodes"]].values.tolist() == [
        [2, "chr5", 1295227, "TERT-HEK", "G", "A", 2.0, 0.001, 464],
        [4, "chr5", 1295228, "TERT-HEK", "C", "-", -0.5, 0.1, 20],
    ]
    assert [(line, reason) for line, reason, _ in lines.out] == [(3, RELEASE), (5, UNPLACED), (6, DOUBT)]
    assert read_set(path, "hg38", {})[0].kept["position"].tolist() == [1295112]
    with pytest.raises(InputError, match="no variant of mm10"):
        read_set(path, "mm10", {})


def test_the_published_mpra_file_is_read_whole(shared):
    path = shared / "data/variants/satmut_elements.tsv.gz"
    found = {assembly: read_set(path, assembly, {})[0] for assembly in ("hg19", "hg38")}
    reasons = {assembly: [reason for _, reason, _ in one.out] for assembly, one in found.items()}
    assert {assembly: len(one.kept) + len(one.out) for assembly, one in found.items()} == {"hg19": 89316, "hg38": 89316}
    assert sum(one.count(UNPLACED) for one in reasons.values()) == 22
    # The same variants are in doubt in both assemblies.
    assert reasons["hg19"].count(DOUBT) == reasons["hg38"].count(DOUBT) > 0
    table = found["hg19"].kept
    strong = table[(table["chrom"] == "chr5") & (table["position"] == 1295227) & (table["alt"] == "A")].set_index("id")["measured"]
    assert strong["TERT-GBM"] == pytest.approx(2.86, abs=0.01)
    assert table["id"].nunique() == 29


def test_a_deletion_gets_the_base_before_it(tmp_path):
    genome = toy_models.genome(tmp_path, {"chr5": "ACGTACGT"})
    path = mpra(tmp_path, "5 3 G - 20 1 2 -0.5 0.1 X GRCh38", "5 4 T A 20 1 2 -0.5 0.1 X GRCh38")
    found = place(read_set(path, "hg38", {})[0], genome, {}).table
    assert found[["position", "ref", "alt", "kind"]].values.tolist() == [[1, "CG", "C", "deletion"], [3, "T", "A", "snv"]]


def test_a_deepsea_set_is_of_hg19_and_keeps_a_negative_only_if_it_is_no_positive(tmp_path):
    path = tmp_path / "eqtl.csv"
    rows = ["0,chr1,3,a,G,x,0,1", "1,chr1,3,a,G,x,3,0", "2,chr2,5,C,T,y,9,0"]
    path.write_text("# comment\n# another\nindex,chr,pos,ref,alt,negative set,fold,label\n" + "\n".join(rows) + "\n")
    lines, experiments = read_set(path, "hg19", {})
    genome = toy_models.genome(tmp_path, {"chr1": "CCACC", "chr2": "CCCCC"})
    placed = place(lines, genome, {})
    assert not experiments
    assert placed.table[["line", "chrom", "position", "ref", "alt", "fold", "measured", "negative set"]].values.tolist() == [
        [4, "chr1", 2, "A", "G", "0", 1.0, "x"],
        [6, "chr2", 4, "C", "T", "9", 0.0, "y"],
    ]
    assert [(line, reason) for line, reason, _ in placed.out] == [(5, BOTH)]
    with pytest.raises(InputError, match="are of hg19, the dataset is hg38"):
        read_set(path, "hg38", {})


def test_the_ten_variants_of_deepseas_example_are_read(shared):
    lengths = {"chr1": 249250621}
    lines, _ = read_set(shared / "data/variants/deepsea_example_hg19.vcf", "hg19", lengths)
    assert len(lines.kept) == 10 and not lines.out
    with pytest.raises(InputError, match="line 2 says that 1 has 249,250,621 bp"):
        read_set(shared / "data/variants/deepsea_example_hg19.vcf", "hg38", {"chr1": 248956422})


def test_the_demos_variants_are_of_the_demos_assembly(tmp_path):
    from workflow_tools import ROOT

    path = ROOT / "resources/demo/chr22/dbsnp.vcf.gz"
    lengths = read_lengths(ROOT / "resources/assemblies.tsv", "hg19")
    assert len(read_set(path, "hg19", lengths)[0].kept) == 3502
    with pytest.raises(InputError, match="reference=hg19, but the dataset is hg38"):
        read_set(path, "hg38", lengths)
