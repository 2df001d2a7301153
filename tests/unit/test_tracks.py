import numpy as np
import pandas as pd
import pyBigWig
import pysam
import pytest

from regdna.step import InputError
from regdna.tracks import write_bigwig, write_vcf

TABLE = pd.DataFrame(
    [("chr2", 50, "rs2", "A", "C"), ("chr1", 99, ".", "ACG", "A"), ("chr1", 10, "rs1", "T", "TGG"), ("chr1", 99, "rs3", "A", "G")],
    columns=["chrom", "position", "id", "ref", "alt"],
)
SCORES = {"diff": np.arange(8).reshape(4, 2) / 8, "logit": -np.arange(8).reshape(4, 2) * 1.5}


class TestBigWig:
    @pytest.mark.parametrize("start", [0, 20_067_655])
    def test_values_are_read_back_and_gaps_stay_gaps(self, tmp_path, start):
        values = np.random.default_rng(0).normal(size=200)
        values[[0, 7, 8, 150]] = np.nan
        path = tmp_path / "deep/e.bw"
        write_bigwig(path, "chr22", start, values)
        assert [one.name for one in path.parent.iterdir()] == ["e.bw"]
        with pyBigWig.open(str(path)) as track:
            assert track.values("chr22", start, start + 200) == pytest.approx(values.astype(np.float32).tolist(), nan_ok=True)
            assert list(track.chroms()) == ["chr22"]
            assert track.intervals("chr22")[0][0] == start + 1

    def test_no_value_at_all_is_refused_and_leaves_nothing(self, tmp_path):
        with pytest.raises(InputError, match="no base has a value"):
            write_bigwig(tmp_path / "e.bw", "chr1", 0, np.full(5, np.nan))
        assert not list(tmp_path.iterdir())


class TestVcf:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "v.vcf.gz"
        write_vcf(path, TABLE, SCORES, ["promoter", "CpG island"], "hg19")
        return path

    def test_records_are_read_back_sorted_with_their_own_scores(self, path):
        with pysam.VariantFile(str(path)) as file:
            found = [(one.chrom, one.start, one.id, one.ref, one.alts, one.info["diff"], one.info["logit"]) for one in file]
        order = [2, 1, 3, 0]
        for record, row in zip(found, order, strict=True):
            one = TABLE.loc[row]
            assert record[:5] == (one.chrom, one.position, None if one.id == "." else one.id, one.ref, (one.alt,))
            assert record[5] == pytest.approx(SCORES["diff"][row]) and record[6] == pytest.approx(SCORES["logit"][row])

    def test_the_header_says_what_each_field_and_value_means(self, path):
        with pysam.VariantFile(str(path)) as file:
            header = file.header
            assert "##reference=hg19" in str(header)
            assert list(header.contigs) and set(header.contigs) == {"chr1", "chr2"}
            for name in SCORES:
                field = header.info[name]
                assert (field.number, field.type) == (2, "Float")
                assert name in field.description and "promoter; CpG island" in field.description

    def test_it_is_bgzipped_and_can_be_indexed(self, path):
        pysam.tabix_index(str(path), preset="vcf")
        with pysam.VariantFile(str(path)) as file:
            assert [one.id for one in file.fetch("chr1", 0, 50)] == ["rs1"]

    def test_scores_go_by_place_whatever_the_tables_index(self, tmp_path):
        path = tmp_path / "v.vcf.gz"
        write_vcf(path, TABLE.set_index(pd.Index([3, 2, 1, 0])), SCORES, ["a", "b"], "hg19")
        with pysam.VariantFile(str(path)) as file:
            found = {one.id: one.info["logit"][0] for one in file if one.id}
        assert found == {"rs2": 0, "rs1": -6, "rs3": -9}

    def test_no_variant_gives_a_valid_empty_file(self, tmp_path):
        path = tmp_path / "v.vcf.gz"
        write_vcf(path, TABLE.iloc[:0], {name: values[:0] for name, values in SCORES.items()}, ["a", "b"], "hg19")
        with pysam.VariantFile(str(path)) as file:
            assert not list(file) and "diff" in file.header.info

    def test_an_error_leaves_nothing(self, tmp_path):
        with pytest.raises(Exception):  # noqa: B017 - whatever pysam raises
            write_vcf(tmp_path / "v.vcf.gz", TABLE.assign(position=-5), SCORES, ["a", "b"], "hg19")
        assert not list(tmp_path.iterdir())
