import gzip

import numpy as np
import pandas as pd
import pysam
import pytest

from regdna.sources.variant_files import COLUMNS, EMPTY, LABEL, MEASURED, POSITION, RESERVED, TEXT, read_lines, typed
from regdna.step import InputError
from regdna.variants import SCORES

HEADER = "##fileformat=VCFv4.2\n##reference=hg19\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
LENGTHS = {"chr1": 249250621, "chr2": 243199373}


def write(folder, *lines, header=HEADER, suffix=".vcf", end="\n"):
    path = folder / f"v{suffix}"
    text = (header + "".join(f"{line}\n" for line in lines)).replace("\n", end).encode()
    if suffix.endswith(".bgz"):
        with pysam.BGZFile(str(path), "wb") as file:
            file.write(text)
    else:
        path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    return path


def read(folder, *lines, assembly="hg19", **how):
    return typed(read_lines(write(folder, *lines, **how), assembly, LENGTHS))


def rows(found):
    return found.kept[["line", "chrom", "position", "id", "ref", "alt"]].values.tolist()


LINES = ["chr1\t10\trs1\tA\tC,GT\t.\t.\t.", "", "chr2\t5\t.\tacg\ta"]
EXPECTED = [[4, "chr1", 9, "rs1", "A", "C"], [4, "chr1", 9, "rs1", "A", "GT"], [6, "chr2", 4, ".", "ACG", "A"]]


class TestVcf:
    @pytest.mark.parametrize("suffix", [".vcf", ".vcf.gz", ".vcf.bgz", ".txt", ".tsv"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_one_row_an_alternate_allele_whatever_the_file_is_called_and_how_its_lines_end(self, tmp_path, suffix, end):
        found = read(tmp_path, *LINES, suffix=suffix, end=end)
        assert rows(found) == EXPECTED and not found.out and not found.notes

    def test_bcf_gives_the_rows_of_its_vcf_numbered_by_record(self, tmp_path):
        header = HEADER.replace(
            "#CHROM", '##contig=<ID=chr1>\n##contig=<ID=chr2>\n##INFO=<ID=AF,Number=A,Type=Float,Description="x">\n#CHROM'
        )
        path = write(tmp_path, "chr1\t10\trs1\tA\tC,GT\t.\t.\tAF=0.25,0.5", "chr2\t5\t.\tACG\tA\t.\t.\t.", header=header)
        with pysam.VariantFile(str(path)) as source, pysam.VariantFile(str(tmp_path / "v.bcf"), "wb", header=source.header) as out:
            for record in source:
                out.write(record)
        found = typed(read_lines(tmp_path / "v.bcf", "hg19", LENGTHS))
        assert rows(found) == [[{4: 1, 6: 2}[row[0]], *row[1:]] for row in EXPECTED]
        assert found.kept["af"].tolist()[:2] == [0.25, 0.5] and np.isnan(found.kept["af"][2])
        content = (tmp_path / "v.bcf").read_bytes()
        (tmp_path / "v.bcf").write_bytes(content[: len(content) // 2])
        with pytest.raises(InputError, match=r"v.bcf: cut short"):
            read_lines(tmp_path / "v.bcf", "hg19", LENGTHS)

    def test_a_line_of_bytes_beyond_one_block_is_whole(self, tmp_path):
        many = [f"chr1\t{number}\t.\tA\tC\t.\t.\t{'x' * 5000}" for number in range(1, 1801)]
        found = read(tmp_path, *many, suffix=".vcf.gz")
        assert found.kept["position"].tolist() == list(range(1800)) and found.kept["line"].tolist() == list(range(4, 1804))
        assert set(found.kept["text"].str.len()) == {200}

    def test_every_allele_has_its_own_frequency_and_label(self, tmp_path):
        found = read(
            tmp_path,
            "chr1\t10\t.\tA\tC,G\t.\t.\tEUR_AF=0.9;AF=0.1,0.2;X",
            "chr1\t11\t.\tA\tC,G\t.\t.\tLABEL=1;AF=0.3,0.4,0.5",
            "chr1\t12\t.\tA\tC\t.\t.\tAF=.",
            "chr1\t13\t.\tA\tC\t.\t.\tNAF=0.7",
        )
        assert found.kept["af"].fillna(-1).tolist() == [0.1, 0.2, -1, -1, -1, -1]
        assert found.kept["measured"].fillna(-1).tolist() == [-1, -1, 1, 1, -1, -1]

    def test_a_file_that_was_cut_within_its_last_line_gives_no_shorter_allele(self, tmp_path):
        for before in ([], ["chr1\t3\t.\tA\tG\t.\t.\t."]):
            path = write(tmp_path, *before)
            path.write_bytes(path.read_bytes() + b"chr1\t5\t.\tA\tAC")
            found = typed(read_lines(path, "hg19", LENGTHS))
            assert len(found.kept) == len(before) and found.out == [(4 + len(before), COLUMNS, "chr1\t5\t.\tA\tAC")]
        path.write_bytes(path.read_bytes() + b"GT\t.\t.\t.")
        assert typed(read_lines(path, "hg19", LENGTHS)).kept["alt"].tolist() == ["G", "ACGT"]

    def test_lines_that_cannot_be_read_are_listed_with_number_reason_and_text(self, tmp_path):
        path = write(
            tmp_path,
            "chr1 10 . A C",
            "chr1\t10\t.\tA",
            "chr1\tten\t.\tA\tC",
            "chr1\t-3\t.\tA\tC",
            "chr1\t\u00b2\t.\tA\tC",
            "chr1\t3\t.\t\tC",
            "chr1\t3\t.\tA\t",
            "chr1\t3\t.\tA\tC,",
            "chr1\t3\t.\tA\tC\t.\t.\tLABEL=high",
            "chr1\t3\t.\tA\tG",
        )
        content = path.read_bytes()
        path.write_bytes(content + b"chr1\t4\t\xff\xfe\tA\tC\nchr1\t5\t\0\tA\tC\nchr1\t6\t.\tA\tC\n")
        found = typed(read_lines(path, "hg19", LENGTHS))
        assert sorted((line, reason) for line, reason, _ in found.out) == [
            (4, COLUMNS), (5, COLUMNS), (6, POSITION), (7, POSITION), (8, POSITION), (9, EMPTY), (10, EMPTY), (11, EMPTY), (12, LABEL),
            (14, TEXT), (15, TEXT),
        ]  # fmt: skip
        assert {line: text for line, _, text in found.out}[6] == "chr1\tten\t.\tA\tC"
        assert "\\xff\\xfe" in {line: text for line, _, text in found.out}[14]
        # A line with one good allele is on both sides, every other on one.
        assert found.kept["line"].tolist() == [11, 13, 16]

    def test_another_assembly_is_refused_by_its_name_or_by_a_length(self, tmp_path):
        with pytest.raises(InputError, match=r"v.vcf: line 2 says reference=hg19, but the dataset is hg38; give"):
            read(tmp_path, assembly="hg38")
        with pytest.raises(InputError, match=r"line 1 says reference=.*GRCh38.fa, but the dataset is hg19"):
            read(tmp_path, header="##reference=file:///GRCh38.fa\n#CHROM\tPOS\tID\tREF\tALT\n")
        long = "##fileformat=VCFv4.2\n##contig=<ID=2,assembly=x,length=243199373>\n##contig=<ID=1,length=248956422>\n"
        with pytest.raises(InputError, match=r"line 3 says that 1 has 248,956,422 bp, not 249,250,621, but the dataset is hg19"):
            read(tmp_path, header=long)

    @pytest.mark.parametrize(
        "line",
        [
            "##reference=file:///ref/Homo_sapiens_assembly38.fasta", "##reference=GRCh38.p14", "##Reference=hg38",
            "##reference=GCF_000001405.40_genomic.fna", "##reference=GCA_000001405.15", "##contig=<ID=2,assembly=GRCh38>",
            '##contig=<assembly="GRCh38",ID=chr2,length=243199373>', "##contig=<ID=2,assembly=gnomAD_GRCh38,md5=x>",
            "##contig=<length=242193529,ID=2>", '##contig=<ID=2,species="a,b",length="242193529">', "##reference=/data/chm13v2.0.fa",
        ],
    )  # fmt: skip
    def test_another_assembly_is_refused_however_the_header_writes_it(self, tmp_path, line):
        with pytest.raises(InputError, match=r"v.vcf: line 2 says .*but the dataset is hg19; give that assembly's variants") as error:
            read(tmp_path, header=f"##fileformat=VCFv4.2\n{line}\n#CHROM\tPOS\tID\tREF\tALT\n")
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        "line",
        [
            "##reference=file:///Homo_sapiens_assembly19.fasta", "##reference=hs37d5.fa.gz", "##reference=GRCh37.p13", "##reference=b37",
            "##reference=human_g1k_v37.fasta", "##reference=GCF_000001405.25", "##reference=GCA_000001405.14",
            "##reference=/data/hg38_to_hg19/out.fa", "##contig=<ID=2,length=243199373,assembly=b37>", '##contig=<assembly="hs37d5",ID=2>',
            "##contig=<ID=2,assembly=GRCh37.p13>", "##contig=<ID=2,assembly=unknown,length=.>", "##contig=<ID=EBV,assembly=GRCh38>",
            "##contig=<ID=2>", "##contig=broken",
        ],
    )  # fmt: skip
    def test_other_names_of_the_assembly_and_what_says_nothing_are_taken(self, tmp_path, line):
        assert len(read(tmp_path, *LINES, header=f"##fileformat=VCFv4.2\n{line}\n#CHROM\tPOS\tID\tREF\tALT\n").kept) == 3

    @pytest.mark.parametrize("name", ["/lab37/x.fa", "human.fa", "/data/GRCh38.fa", "ucsc_hg38"])
    def test_a_reference_of_the_assembly_or_of_no_known_name_is_taken(self, tmp_path, name):
        header = f"##reference={name}\n#CHROM\tPOS\tID\tREF\tALT\n"
        assert len(read(tmp_path, LINES[0], header=header, assembly="hg38").kept) == 2

    def test_contigs_that_are_not_of_the_assembly_do_not_matter(self, tmp_path):
        header = "##fileformat=VCFv4.2\n##contig=<ID=GL000191.1,assembly=b37,length=106433>\n##contig=<ID=chr1,length=249250621>\n"
        assert rows(read(tmp_path, *LINES, header=header + "#CHROM\n")) == [[row[0] + 1, *row[1:]] for row in EXPECTED]

    def test_a_file_without_any_header_is_taken_and_said_so(self, tmp_path):
        found = read(tmp_path, "chr1\t10\t.\tA\tC", header="", assembly="hg38", suffix=".txt")
        assert rows(found) == [[1, "chr1", 9, ".", "A", "C"]]
        assert len(found.notes) == 1 and "has no line #CHROM" in found.notes[0]

    @pytest.mark.parametrize("suffix", [".bed", ".vcf"])
    @pytest.mark.parametrize(("start", "end"), [(9, 10), (10, 10)])
    def test_columns_of_bed_are_no_vcf(self, tmp_path, suffix, start, end):
        with pytest.raises(InputError, match=r"its columns look like BED .*pos from 1: start \+ 1\)$"):
            read(tmp_path, f"chr1\t{start}\t{end}\tA\tC", f"chr1\t20\t{end + 13}\tACG\tA", header="", suffix=suffix)
        # Some ids are numbers.
        assert len(read(tmp_path, "chr1\t10\t11\tA\tC", "chr1\t20\t7\tA\tC", header="", suffix=suffix).kept) == 2

    def test_no_variants_at_all_give_an_empty_table(self, tmp_path):
        assert len(read(tmp_path).kept) == 0 and not read(tmp_path).out


class TestTables:
    @pytest.mark.parametrize("suffix", [".tsv", ".csv", ".csv.gz"])
    def test_columns_are_found_by_name_and_others_carried(self, tmp_path, suffix):
        tab = "\t" if "tsv" in suffix else ","
        header = tab.join(["Ref", "alt", "gene", "CHR", "pos", "label", "kind"]) + "\n"
        lines = [tab.join(one) for one in (["a", "C", "SORT1", "1", "10", "1", "x"], ["G", "T", "", "chr2", "20", "", "y"])]
        found = read(tmp_path, *lines, header=f"# a comment\n{header}", suffix=suffix)
        assert rows(found) == [[3, "1", 9, ".", "A", "C"], [4, "chr2", 19, ".", "G", "T"]]
        assert found.kept["gene"].tolist() == ["SORT1", ""] and found.kept["kind_given"].tolist() == ["x", "y"]
        assert found.kept["measured"].fillna(-1).tolist() == [1, -1]

    @pytest.mark.parametrize("separator", ["\t", ",", ";"])
    def test_quoted_cells_semicolons_and_blank_rows_of_spreadsheets_are_read(self, tmp_path, separator):
        cells = [["chrom", "pos", "ref", "alt", "gene"], ["chr1", "10", "A", "C", f"a{separator}b"], [""] * 5]
        lines = [separator.join(f'"{one}"' if one else "" for one in row) for row in cells]
        found = read(tmp_path, *lines, header="", suffix=".csv")
        assert rows(found) == [[2, "chr1", 9, ".", "A", "C"]] and found.kept["gene"].tolist() == [f"a{separator}b"] and not found.out

    def test_a_quote_or_a_semicolon_may_be_a_letter(self, tmp_path):
        found = read(tmp_path, 'chr1\t10\t"open\tA\tC', header="chrom\tpos\tgene\tref\talt\n", suffix=".tsv")
        assert rows(found) == [[2, "chr1", 9, ".", "A", "C"]] and found.kept["gene"].tolist() == ['"open']
        found = read(tmp_path, "chr1,10,A,C,x;y", header='chrom,pos,ref,alt,"note; more"\n', suffix=".csv")
        assert rows(found) == [[2, "chr1", 9, ".", "A", "C"]] and found.kept["note; more"].tolist() == ["x;y"]

    @pytest.mark.parametrize("suffix", [".tsv", ".vcf"])
    def test_a_label_is_0_1_or_nothing(self, tmp_path, suffix):
        said = ["1", "0", "1.0", "0.00", "TRUE", "false", "", ".", "NA", "2", "-1", "0.5", "yes", "inf", "1e999"]
        header = HEADER if suffix == ".vcf" else "chrom\tpos\tref\talt\tlabel\n"
        form = "1\t10\t.\tA\tC\t.\t.\tLABEL={}" if suffix == ".vcf" else "1\t10\tA\tC\t{}"
        found = read(tmp_path, *(form.format(one) for one in said), header=header, suffix=suffix)
        assert found.kept["measured"].fillna(-1).tolist() == [1, 0, 1, 0, 1, 0, -1, -1, -1]
        first = header.count("\n") + 10
        assert [(line, reason) for line, reason, _ in found.out] == [(line, LABEL) for line in range(first, first + 6)]

    def test_what_was_measured_is_any_number_and_a_label_beside_it_any_text(self, tmp_path):
        lines = [f"1\t10\tA\tC\t{one}\thigh" for one in ("2", "-0.5", "1", "nan", "inf", "-inf", "1e999", "x")]
        found = read(tmp_path, *lines, header="chrom\tpos\tref\talt\tmeasured\tlabel\n", suffix=".tsv")
        assert found.kept["measured"].fillna(-9).tolist() == [2, -0.5, 1, -9] and set(found.kept["label"]) == {"high"}
        assert [(line, reason) for line, reason, _ in found.out] == [(line, MEASURED) for line in range(6, 10)]

    def test_columns_by_names_of_regdnas_own_get_other_names(self, tmp_path):
        assert set(SCORES) <= RESERVED
        names = sorted(RESERVED - {"name"})
        header = "\t".join(["chrom", "pos", "ref", "alt", "logit_given", *names]) + "\n"
        found = read(tmp_path, "\t".join(["1", "10", "A", "C", "x", *names]), header=header, suffix=".tsv")
        assert rows(found) == [[2, "1", 9, ".", "A", "C"]] and not found.out
        assert found.kept["logit_given"].tolist() == ["x"] and found.kept["logit_given_given"].tolist() == ["logit"]
        for name in set(names) - {"logit"}:
            assert found.kept[f"{name}_given"].tolist() == [name]
        assert not {*SCORES, "contig", "kind", "target", "below_views"} & set(found.kept)
        assert len(found.notes) == 1 and "line is kept as line_given" in found.notes[0] and "\n" not in found.notes[0]

    def test_columns_without_a_name_are_left_out_where_empty_and_else_named_by_number(self, tmp_path):
        found = read(tmp_path, "7,1,10,A,C,,", "8,1,11,A,C, ,", header=",chrom,pos,ref,alt,,\n", suffix=".csv")
        assert found.kept["column 1"].tolist() == ["7", "8"] and len(found.kept.columns) == 8
        found = read(tmp_path, "1,10,A,C,,x", header="chrom,pos,ref,alt,,\n", suffix=".csv")
        assert found.kept["column 6"].tolist() == ["x"] and "column 5" not in found.kept

    def test_a_frequency_that_is_none_is_unknown_and_said(self, tmp_path):
        said = ["0", "1", "0.5", "1.01", "-0.1", "often", "inf", ".", "", "NA"]
        found = read(tmp_path, *(f"1,10,A,C,{one}" for one in said), header="chrom,pos,ref,alt,AF\n", suffix=".csv")
        assert found.kept["af"].fillna(-1).tolist() == [0, 1, 0.5] + [-1] * 7 and not found.out
        assert len(found.notes) == 1 and "af of 4 alleles is no number from 0 to 1" in found.notes[0]

    def test_several_alleles_are_split_as_in_a_vcf(self, tmp_path):
        found = read(tmp_path, "1\t10\tA\tC,GT\t0.1,0.2\tx", header="chrom\tpos\tref\talt\taf\tgene\n", suffix=".tsv")
        assert found.kept[["line", "alt", "af", "gene"]].values.tolist() == [[2, "C", 0.1, "x"], [2, "GT", 0.2, "x"]]

    def test_a_quoted_comma_is_no_border_and_other_counts_of_columns_are_listed(self, tmp_path):
        header = "chrom,pos,ref,alt,note\n"
        lines = ['1,10,A,C,"one, two"', "1,11,A,C", "1,12,A,C,x,y", '1,13,A,C,"open', "1,14,A,C,end"]
        found = read(tmp_path, *lines, header=header, suffix=".csv")
        assert found.kept["note"].tolist() == ["one, two", "open", "end"]
        assert [(line, reason) for line, reason, _ in found.out] == [(3, COLUMNS), (4, COLUMNS)]

    def test_parquet_is_read_by_rows(self, tmp_path):
        frame = pd.DataFrame({"chrom": ["1", "2"], "pos": [10, 20], "ref": ["A", "C"], "alt": ["G", "T"], "measured": [0.5, np.nan]})
        frame.to_parquet(tmp_path / "v.parquet")
        found = typed(read_lines(tmp_path / "v.parquet", "hg19", LENGTHS))
        assert rows(found) == [[1, "1", 9, ".", "A", "G"], [2, "2", 19, ".", "C", "T"]]
        assert found.kept["measured"].fillna(-1).tolist() == [0.5, -1]
        frame.drop(columns="pos").to_parquet(tmp_path / "v.parquet")
        with pytest.raises(InputError, match=r"v.parquet: column pos is missing"):
            read_lines(tmp_path / "v.parquet", "hg19", LENGTHS)

    def test_labels_of_parquet_may_be_booleans(self, tmp_path):
        for label in ([True, False, None], [1.0, 0.0, np.nan], [1, 0, 2]):
            frame = pd.DataFrame({"chrom": "1", "pos": [10, 20, 30], "ref": "A", "alt": "G", "label": label})
            frame.to_parquet(tmp_path / "v.parquet")
            found = typed(read_lines(tmp_path / "v.parquet", "hg19", LENGTHS))
            assert found.kept["measured"].fillna(-1).tolist() == ([1, 0] if label[2] == 2 else [1, 0, -1])
            assert [(line, reason) for line, reason, _ in found.out] == ([(3, LABEL)] if label[2] == 2 else [])

    def test_parquet_with_columns_of_one_name_or_cut_short_is_refused(self, tmp_path):
        path = tmp_path / "v.parquet"
        pd.DataFrame({"chrom": ["1"], "pos": [1], "POS": [1], "ref": ["A"], "alt": ["G"]}).to_parquet(path)
        with pytest.raises(InputError, match=r"v.parquet: column 'pos' is named twice; rename one"):
            read_lines(path, "hg19", LENGTHS)
        content = path.read_bytes()
        for part in (content[:4], content[: len(content) // 2], content[:-1], content[: len(content) // 2] + content[-60:]):
            path.write_bytes(part)
            with pytest.raises(InputError, match=r"v.parquet: cut short or no Parquet file") as error:
                read_lines(path, "hg19", LENGTHS)
            assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (b"a,b\n1,2\n", "none of its first ten lines names the columns chrom, pos, ref, alt"),
            (b"", "none of its first ten lines"),
            (b"chrom,position,ref,alt\n1,2,A,C\n", "names the columns chrom, pos"),
            (b"chrom,pos,ref,alt,alt\n1,2,A,C,C\n", "line 1: column 'alt' is named twice"),
            ("chrom\tpos\tref\talt\n".encode("utf-16"), "is UTF-16 text; save it as VCF"),
            (b"\x1f\x8b", "cut short or no gzip file"),
            (b"\x1f\x8b\x08", "cut short or no gzip file"),
            (b"chrom,pos,ref,alt,h\xf6he\n1,2,A,C,3\n", "line 1: the header is no UTF-8 text"),
            (b"PK\x03\x04rest", "is a zip archive or a spreadsheet"),
        ],
    )
    def test_what_is_no_file_of_variants_is_refused_in_one_line(self, tmp_path, text, said):
        path = tmp_path / "v.csv"
        path.write_bytes(text)
        with pytest.raises(InputError, match=said) as error:
            read_lines(path, "hg19", LENGTHS)
        assert str(path) in str(error.value) and "\n" not in str(error.value)


class TestCutShort:
    @pytest.mark.parametrize("left", [40, -40, -29])
    @pytest.mark.parametrize("suffix", [".vcf.gz", ".vcf.bgz"])
    def test_a_truncated_file_is_named(self, tmp_path, left, suffix):
        path = write(tmp_path, *(f"chr1\t{number}\t.\tA\tC" for number in range(1, 5000)), suffix=suffix)
        path.write_bytes(path.read_bytes()[:left])
        with pytest.raises(InputError, match=r"v.vcf.*gz: cut short"):
            read_lines(path, "hg19", LENGTHS)

    def test_so_is_one_of_bgzip_that_lacks_its_last_block_alone(self, tmp_path):
        path = write(tmp_path, *LINES, suffix=".vcf.bgz")
        path.write_bytes(path.read_bytes()[:-28])
        assert gzip.decompress(path.read_bytes())
        with pytest.raises(InputError, match="the last block of bgzip is missing"):
            read_lines(path, "hg19", LENGTHS)
