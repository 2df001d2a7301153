import numpy as np
import pandas as pd
import pysam
import pytest

from regdna.variants import SCORES, write_scores
from regdna.variants.records import MANY, write_summary, write_vcf

TABLE = pd.DataFrame(
    [("chr2", 50, "rs2", "A", "C"), ("chr1", 99, ".", "ACG", "A"), ("chr1", 10, "rs1 b", "T", "TGG"), ("chr1", 99, "rs3", "A", "G")],
    columns=["chrom", "position", "id", "ref", "alt"],
).assign(kind=["snv", "deletion", "insertion", "snv"])
LENGTHS = {"chr1": 249250621, "chr2": 243199373, "chr3": 198022430}
ORDER = [2, 1, 3, 0]


def values(targets):
    numbers = np.arange(4 * targets).reshape(4, targets) - 3.5
    return {
        "diff": numbers / 8,
        "logit": numbers,
        "logit_seeds": np.full((4, targets), np.nan),
        "logit_views": np.abs(numbers) - 0.5 + (numbers < 0),
    }


def about(names):
    return {"targets": names, "assembly": "hg19", "definitions": SCORES}


@pytest.fixture(params=[2, MANY])
def scores(tmp_path, request):
    names = ['promoter; "a" = b', *(f"CpG island {number}" for number in range(1, request.param))]
    whole = values(request.param)
    write_scores(tmp_path / "s.parquet", TABLE, ({name: some[at : at + 2] for name, some in whole.items()} for at in (0, 2)), about(names))
    return tmp_path / "s.parquet", names


def test_records_are_read_back_sorted_with_their_own_scores(scores, tmp_path):
    path, names = scores
    write_vcf(tmp_path / "v.vcf.gz", tmp_path / "v.vcf.gz.tbi", path, LENGTHS)
    whole = values(len(names))
    with pysam.VariantFile(str(tmp_path / "v.vcf.gz")) as file:
        found = list(file)
        assert [one.id for one in file.fetch("chr1", 0, 50)] == ["rs1_b"]
        assert len(list(file.fetch("chr1"))) == 3
    for record, row in zip(found, ORDER, strict=True):
        one = TABLE.loc[row]
        assert (record.chrom, record.start, record.ref, record.alts) == (one.chrom, one.position, one.ref, (one.alt,))
        best = int(np.abs(whole["logit"][row]).argmax())
        for name in ("diff", "logit"):
            expected = whole[name][row] if len(names) < MANY else whole[name][row, best]
            assert record.info[name] == pytest.approx(expected)
        assert record.info["strongest"].replace("%20", " ").replace("%3B", ";").replace("%22", '"').replace("%3D", "=") == names[best]
        assert ("below_views" in record.info) == (whole["logit"][row, best] < 0)
        assert "logit_seeds" not in record.info
    assert found[1].id is None


def test_the_header_says_what_each_field_and_value_means(scores, tmp_path):
    path, names = scores
    write_vcf(tmp_path / "v.vcf.gz", tmp_path / "v.vcf.gz.tbi", path, LENGTHS)
    with pysam.VariantFile(str(tmp_path / "v.vcf.gz")) as file:
        header = file.header
    assert "##reference=hg19" in str(header)
    assert [(name, one.length) for name, one in header.contigs.items()] == [("chr1", 249250621), ("chr2", 243199373)]
    for name in ("diff", "logit", "logit_seeds", "logit_views"):
        field = header.info[name]
        assert (field.number, field.type) == (len(names) if len(names) < MANY else 1, "Float")
        assert field.description.startswith(SCORES[name])
        assert ("CpG island 1" in field.description) == (len(names) < MANY)
    assert str(MANY) in header.info["diff"].description or len(names) < MANY


def test_a_contig_that_the_assembly_does_not_list_comes_last(tmp_path):
    write_scores(tmp_path / "s.parquet", TABLE.replace({"chr1": "odd"}), [values(1)], about(["x"]))
    write_vcf(tmp_path / "v.vcf.gz", tmp_path / "v.vcf.gz.tbi", tmp_path / "s.parquet", LENGTHS)
    with pysam.VariantFile(str(tmp_path / "v.vcf.gz")) as file:
        assert list(file.header.contigs) == ["chr2", "odd"] and [one.chrom for one in file] == ["chr2", "odd", "odd", "odd"]


def test_an_error_leaves_nothing(tmp_path):
    write_scores(tmp_path / "s.parquet", TABLE.drop(columns="alt"), [values(1)], about(["x"]))
    with pytest.raises(KeyError):
        write_vcf(tmp_path / "v.vcf.gz", tmp_path / "v.vcf.gz.tbi", tmp_path / "s.parquet", LENGTHS)
    assert [one.name for one in tmp_path.iterdir()] == ["s.parquet"]


def test_the_summary_has_one_line_a_variant_in_the_order_of_the_table(scores, tmp_path):
    path, names = scores
    write_summary(tmp_path / "s.tsv", path)
    found = pd.read_csv(tmp_path / "s.tsv", sep="\t")
    whole = values(len(names))
    assert list(found) == ["chrom", "pos", "id", "ref", "alt", "kind", "target", *whole, "below_views"]
    assert found["pos"].tolist() == [51, 100, 11, 100] and found["id"].tolist() == TABLE["id"].tolist()
    best = np.abs(whole["logit"]).argmax(1)
    assert found["target"].tolist() == [names[one] for one in best]
    assert found["logit"].tolist() == pytest.approx(whole["logit"][range(4), best].tolist())
    assert found["below_views"].tolist() == ["yes" if whole["logit"][row, one] < 0 else "no" for row, one in enumerate(best)]
    assert found["logit_seeds"].isna().all()
