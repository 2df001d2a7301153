import gzip

import pytest
import toy_models

from regdna.sources.variant_sets import read_deepsea_set, read_mpra
from regdna.step import InputError
from regdna.variants import anchor, read_variants

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
    table, out = read_mpra(path, "hg19")
    assert table[["chrom", "position", "id", "ref", "alt", "measured", "barcodes"]].values.tolist() == [
        ["chr5", 1295227, "TERT-HEK", "G", "A", 2.0, 464],
        ["chr5", 1295228, "TERT-HEK", "C", "-", -0.5, 20],
    ]
    assert out == {"without a place": 1, "reference of the construct in doubt": 1}
    assert read_mpra(path, "hg38")[0]["position"].tolist() == [1295112]
    with pytest.raises(InputError, match="no variant of mm10"):
        read_mpra(path, "mm10")


def test_the_published_mpra_file_is_read_whole(shared):
    path = shared / "data/variants/satmut_elements.tsv.gz"
    tables = {assembly: read_variants(path, assembly) for assembly in ("hg19", "hg38")}
    counts = {assembly: len(table) + sum(out.values()) for assembly, (table, out) in tables.items()}
    assert counts == {"hg19": 44658, "hg38": 44658}
    assert sum(out["without a place"] for _, out in tables.values()) == 22
    # The same variants are in doubt in both assemblies.
    assert tables["hg19"][1]["reference of the construct in doubt"] == tables["hg38"][1]["reference of the construct in doubt"] > 0
    table = tables["hg19"][0]
    strong = table[(table["chrom"] == "chr5") & (table["position"] == 1295227) & (table["alt"] == "A")].set_index("id")["measured"]
    assert strong["TERT-GBM"] == pytest.approx(2.86, abs=0.01)
    assert table["id"].nunique() == 29


def test_a_deletion_gets_the_base_before_it(tmp_path):
    genome = toy_models.genome(tmp_path, {"chr5": "ACGTACGT"})
    table, _ = read_mpra(mpra(tmp_path, "5 3 G - 20 1 2 -0.5 0.1 X GRCh38", "5 4 T A 20 1 2 -0.5 0.1 X GRCh38"), "hg38")
    found = anchor(table, genome)
    assert found[["position", "ref", "alt"]].values.tolist() == [[1, "CG", "C"], [3, "T", "A"]]


def test_a_deepsea_set_keeps_a_negative_only_if_it_is_no_positive(tmp_path):
    path = tmp_path / "eqtl.csv"
    rows = ["0,chr1,100,a,G,x,0,1", "1,chr1,100,a,G,x,3,0", "2,chr2,5,C,T,x,9,0"]
    path.write_text("# comment\n# another\nindex,chr,pos,ref,alt,negative set,fold,label\n" + "\n".join(rows) + "\n")
    table, out = read_variants(path, "hg19")
    assert table[["chrom", "position", "ref", "alt", "fold", "measured"]].values.tolist() == [
        ["chr1", 99, "A", "G", "0", 1.0],
        ["chr2", 4, "C", "T", "9", 0.0],
    ]
    assert out == {"negative that is also a positive": 1}
    with pytest.raises(InputError, match="are of hg19, the dataset is hg38"):
        read_variants(path, "hg38")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "no line names the columns"),
        ("chr,pos,ref,alt,label\nchr1,1,A,C,1\n", "line 1: column fold is missing"),
        ("#\nchr,pos,ref,alt,fold,label\nchr1,1,A,C,1,1\nchr1,x,A,C,1,1\n", "line 4: pos must be"),
        ("chr,pos,ref,alt,fold,label\nchr1,1,A,C,1,2\n", "line 2: pos must be"),
    ],
)
def test_what_is_no_deepsea_set_is_refused_in_one_line(tmp_path, text, said):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as error:
        read_deepsea_set(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
