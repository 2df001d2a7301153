import gzip

import numpy as np
import pandas as pd
import pytest

from regdna.intervals import distance_to_nearest
from regdna.sources.annotation import check_assembly, check_records, read_intervals, read_tss
from regdna.step import InputError


def placed(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def places(table):
    return table[["chrom", "start", "end", "strand"]].astype({"chrom": str, "strand": str}).to_numpy().tolist()


# --- GTF ---


def line(feature="transcript", first=1001, last=2000, strand="+", attributes='gene_type "protein_coding";', chrom="chr1", source="HAVANA"):
    return f"{chrom}\t{source}\t{feature}\t{first}\t{last}\t.\t{strand}\t.\t{attributes}\n"


CODING = 'gene_id "ENSG00000186092.6"; gene_type "protein_coding"; gene_name "OR4F5"; '
GENCODE = "".join(
    [
        "##description: evidence-based annotation\n##provider: GENCODE\n",
        line("gene", 65419, 71585, attributes=CODING),
        line("transcript", 65419, 71585, attributes=CODING + 'transcript_type "protein_coding"; level 2; tag "RNA_Seq_supported #1";'),
        line("exon", 65419, 65433, attributes=CODING + "exon_number 1;"),
        line("CDS", 65565, 65573, attributes=CODING, source="transcript"),
        line("transcript", 69091, 70008, attributes=CODING + 'transcript_type "nonsense_mediated_decay";'),
        line("transcript", 11869, 14409, attributes='gene_type "unprocessed_pseudogene"; transcript_type "processed_transcript";'),
        line("transcript", 29554, 31097, attributes='gene_type "lncRNA"; transcript_type "protein_coding";'),
        line("transcript", 450740, 451678, "-", CODING),
        line("transcript", 450740, 451678, "-", CODING + 'transcript_id "again";'),
    ]
)
GENCODE_SITES = [["chr1", 65418, 65419, "+"], ["chr1", 69090, 69091, "+"], ["chr1", 451677, 451678, "-"]]
ENSEMBL = "".join(
    [
        "#!genome-build GRCh38.p14\n#!genome-version GRCh38\n",
        line("gene", 1, 900, "-", 'gene_id "G"; gene_version "1"; gene_biotype "protein_coding";', "X", "ensembl_havana"),
        line(
            "transcript", 101, 900, "-", 'gene_id "G"; gene_biotype "protein_coding"; transcript_biotype "protein_coding";', "X", "havana"
        ),
        line("transcript", 1, 900, "+", 'gene_id "H"; gene_biotype "miRNA"; transcript_biotype "miRNA";', "X", "mirbase"),
        line("transcript", 51, 60, "+", 'gene_id "I"; gene_biotype "protein_coding"; tag "basic";', "10"),
    ]
)
ENSEMBL_SITES = [["10", 50, 51, "+"], ["X", 899, 900, "-"]]


@pytest.mark.parametrize(
    ("name", "content", "sites"),
    [
        ("a.gtf", GENCODE, GENCODE_SITES),
        ("a.gtf.gz", gzip.compress(GENCODE.encode()), GENCODE_SITES),
        ("A.GTF.GZ", gzip.compress(GENCODE.encode()), GENCODE_SITES),
        ("a.gtf", GENCODE.replace("\n", "\r\n"), GENCODE_SITES),
        ("a.gtf", GENCODE.rstrip(), GENCODE_SITES),
        ("a.gtf", ENSEMBL, ENSEMBL_SITES),
        ("a.gtf", line(attributes='note "gene_type protein_coding"; gene_type "protein_coding_LoF";') + ENSEMBL, ENSEMBL_SITES),
        ("a.gtf", line(attributes='note "half # of a line"; gene_biotype "protein_coding"'), [["chr1", 1000, 1001, "+"]]),
        ("a.gff3", line(attributes="ID=t;gene_type=protein_coding;level=2", strand="-"), [["chr1", 1999, 2000, "-"]]),
        ("a.gff3", line(attributes="gene_type=protein_coding"), [["chr1", 1000, 1001, "+"]]),
    ],
)
def test_start_sites_are_the_first_bases_of_coding_genes_transcripts(tmp_path, name, content, sites):
    found = read_intervals(placed(tmp_path, content, name))
    assert places(found) == sites
    assert found[["start", "end"]].dtypes.tolist() == [np.int64, np.int64]
    assert list(found) == ["chrom", "start", "end", "strand"]


BODY = GENCODE * 500
WRONG = {
    "cut gzip": ("a.gtf.gz", gzip.compress(BODY.encode())[:-30], "cut short or no gzip file.*fetch it again"),
    "no gzip": ("a.gtf.gz", BODY, "cut short or no gzip file"),
    "a page": ("a.gtf", "<html>\n<p>Not found</p>\n", "no transcript of a protein-coding gene; give a GTF file of GENCODE or Ensembl"),
    "nothing": ("a.gtf", "", "no transcript of a protein-coding gene"),
    "no coding gene": ("a.gtf", line(attributes='gene_type "lncRNA";'), "no transcript of a protein-coding gene"),
    "genes alone": ("a.gtf", line("gene"), "no transcript of a protein-coding gene"),
    "a line cut": ("a.gtf", GENCODE + "chr1\tx\ttranscript\t5\t9\t.\n", "line 12 is not GTF"),
    "a word for a base": ("a.gtf", line(first="x"), "line 1 is not GTF"),
    "base 0": ("a.gtf", line(first=0), "line 1 is not GTF"),
    "reversed": ("a.gtf", line(first=9, last=8), "line 1 is not GTF"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_gtf_file_is_refused_in_one_line(tmp_path, case):
    name, content, message = WRONG[case]
    path = placed(tmp_path, content, name)
    with pytest.raises(InputError, match=message) as error:
        read_tss(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_a_gtf_file_has_no_columns_to_choose_by_and_no_summits(tmp_path):
    path = placed(tmp_path, GENCODE, "a.gtf")
    for wanted in ({"column": 4, "values": ["PLS"]}, {"summit": True}):
        with pytest.raises(InputError, match="start sites of coding genes are read; take out 'column'"):
            read_intervals(path, **wanted)


# --- BED and its kin ---

CCRE = """chr1\t181251\t181601\tEH38D4327497\tEH38E2776516\tpELS,CTCF-bound
chr1\t190865\t191071\tEH38D4327503\tEH38E2776520\tdELS,CTCF-bound
chr1\t778562\t778912\tEH38D4327509\tEH38E2776524\tPLS,CTCF-bound
chr1\t779086\t779355\tEH38D4327520\tEH38E2776528\tPLS
chr1\t779727\t780060\tEH38D4327521\tEH38E2776529\tpELS
chr1\t804880\t805226\tEH38D4327537\tEH38E2776532\tDNase-H3K4me3
chr1\t817080\t817403\tEH38D4327551\tEH38E2776539\tCTCF-only,CTCF-bound
"""


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        (["PLS"], [2, 3]),
        (["pELS", "dELS"], [0, 1, 4]),
        (["CTCF-bound"], [0, 1, 2, 6]),
        (["CTCF-only"], [6]),
        (["PLS,CTCF-bound"], [2]),
        (["PLS", "PLS"], [2, 3]),
    ],
)
def test_of_values_with_commas_any_counts(tmp_path, values, rows):
    found = read_intervals(placed(tmp_path, CCRE, "c.bed"), 6, values)
    starts = [int(text.split("\t")[1]) for text in CCRE.splitlines()]
    assert found["start"].tolist() == [starts[row] for row in rows]
    assert list(found) == ["chrom", "start", "end", "strand"] and found.index.tolist() == list(range(len(rows)))


CHROMHMM = "chr10\t0\t119600\t15_Quies\nchr10\t119600\t120400\t1_TssA\nchr10\t120400\t120600\t7_Enh\nchr10\t120600\t121600\t17_Enh\n"


def test_a_state_is_taken_by_its_whole_name(tmp_path):
    path = placed(tmp_path, gzip.compress(CHROMHMM.encode()), "E116_15_coreMarks_mnemonics.bed.gz")
    assert places(read_intervals(path, 4, ["7_Enh"])) == [["chr10", 120400, 120600, "."]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["pELS", "PELS"], "column 6 never holds 'PELS'; did you mean 'PLS'.*it holds pELS,CTCF-bound, dELS,CTCF-bound"),
        (["pel"], "column 6 never holds 'pel'; did you mean"),
        (["CTCF"], "column 6 never holds 'CTCF'"),
    ],
)
def test_a_value_that_never_occurs_is_refused_even_beside_one_that_does(tmp_path, values, message):
    path = placed(tmp_path, CCRE, "c.bed")
    with pytest.raises(InputError, match=message) as error:
        read_intervals(path, 6, values)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_an_empty_file_holds_no_value(tmp_path):
    with pytest.raises(InputError, match="never holds 'PLS'; it holds nothing"):
        read_intervals(placed(tmp_path, "", "c.bed"), 6, ["PLS"])


def test_without_a_column_all_are_taken(tmp_path):
    assert len(read_intervals(placed(tmp_path, CCRE, "c.bed"))) == 7


def test_a_column_that_is_not_there_is_refused_with_its_line(tmp_path):
    with pytest.raises(InputError, match="line 1 has no column 9"):
        read_intervals(placed(tmp_path, CCRE, "c.bed"), 9, ["PLS"])


def test_epd_promoters_have_strands(tmp_path):
    epd = "chr1 959246 959306 NOC2L_1 900 - 959246 959257\nchr1 960583 960643 KLHL17_1 900 + 960632 960643\n"
    for text in (epd, epd.replace(" ", "\t")):
        assert places(read_intervals(placed(tmp_path, text, "e.bed"))) == [["chr1", 959246, 959306, "-"], ["chr1", 960583, 960643, "+"]]


RMSK = """585\t1504\t13\t4\t13\tchr1\t10000\t10468\t-249240153\t+\t(CCCTAA)n\tSimple_repeat\tSimple_repeat\t1\t463\t0\t1
585\t3612\t114\t270\t13\tchr1\t10468\t11447\t-249239174\t-\tTAR1\tSatellite\ttelo\t-399\t1712\t483\t2
"""


def test_a_table_of_repeats_is_known_by_its_name_and_chosen_by_its_columns(tmp_path):
    path = placed(tmp_path, gzip.compress(RMSK.encode()), "rmsk.txt.gz")
    assert places(read_intervals(path)) == [["chr1", 10000, 10468, "."], ["chr1", 10468, 11447, "."]]
    assert read_intervals(path, 12, ["Satellite"])["start"].tolist() == [10468]


def test_summits_come_with_chosen_peaks(tmp_path):
    text = "chr1\t100\t200\ta\t0\t.\t5\t3\t2\t30\nchr1\t300\t400\tb\t0\t.\t5\t3\t2\t99\n"
    found = read_intervals(placed(tmp_path, text, "n.narrowPeak"), 4, ["b"], summit=True)
    assert found[["start", "summit"]].to_numpy().tolist() == [[300, 399]]


# --- assemblies ---

LENGTHS = {"chr1": 1000, "chr2": 500}


def table(*rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def test_intervals_within_their_chromosomes_pass(tmp_path):
    check_assembly(table(("chr1", 0, 1000), ("chr2", 499, 500), ("chrM", 0, 99999)), LENGTHS, tmp_path, "toy")
    check_assembly(table(), LENGTHS, tmp_path, "toy")


@pytest.mark.parametrize("category", [False, True])
def test_an_interval_beyond_the_end_is_of_another_assembly(tmp_path, category):
    wrong = table(("chr1", 0, 10), ("chr2", 0, 501), ("chr1", 0, 900))
    wrong = wrong.astype({"chrom": "category"}) if category else wrong
    with pytest.raises(InputError, match="x.bed: an interval ends at chr2:501, but toy has 500 bp there; is it another assembly?"):
        check_assembly(wrong, LENGTHS, tmp_path / "x.bed", "toy")


def test_names_without_chr_are_of_no_chromosome(tmp_path):
    with pytest.raises(InputError, match="no interval is on a chromosome of toy; names must look like chr1, not 1"):
        check_assembly(table(("1", 0, 10), ("2", 0, 10)), LENGTHS, tmp_path / "x.bed", "toy")


def test_chromosomes_that_no_row_has_do_not_count(tmp_path):
    found = table(("chr1", 0, 10), ("1", 0, 10)).astype({"chrom": "category"})
    with pytest.raises(InputError, match="not 1"):
        check_assembly(found[found["chrom"] == "1"], LENGTHS, tmp_path / "x.bed", "toy")


def test_sequences_are_placed_by_their_middles_and_those_without_a_place_are_let_pass():
    rows = [("chr1", -50, 50, "a.csv"), ("chr1", 950, 1049, "a.csv"), ("mine/b.csv:7", 0, 10**6, "b.csv"), ("chrM", 0, 10**6, "c.csv")]
    records = pd.DataFrame(rows, columns=["chrom", "start", "end", "file"])
    check_records(records, LENGTHS, "toy")
    check_records(records[records["file"] == "b.csv"], LENGTHS, "toy")
    for chrom, start, end, said in (
        ("chr1", 951, 1051, "c.csv: an interval ends at chr1:1,001"),
        ("2", 0, 10, "c.csv: '2' is called 'chr2'"),
    ):
        wrong = pd.concat([records, pd.DataFrame([(chrom, start, end, "c.csv")], columns=records.columns)])
        with pytest.raises(InputError, match=said):
            check_records(wrong, LENGTHS, "toy")
    with pytest.raises(InputError, match="c.csv: no interval is on a chromosome of toy"):
        check_records(records[3:], LENGTHS, "toy")


@pytest.mark.parametrize(("name", "called"), [("2", "chr2"), ("chrX", "X")])
def test_some_names_of_another_kind_are_refused_not_lost(tmp_path, name, called):
    rows = table(("chr1", 0, 10), (name, 0, 10))
    with pytest.raises(InputError, match=f"x.bed: '{name}' is called '{called}' in toy; give it that name"):
        check_assembly(rows, LENGTHS | {"X": 5000}, tmp_path / "x.bed", "toy")


def test_rows_on_what_the_assembly_does_not_list_are_counted(tmp_path, caplog):
    caplog.set_level("INFO", logger="regdna")
    check_assembly(table(("chr1", 0, 10), ("chrUn", 0, 10), ("chrUn", 5, 10), ("HPV", 0, 1)), LENGTHS, tmp_path / "x.bed", "toy")
    assert "x.bed: 3 of 4 rows are on what toy does not list: HPV, chrUn" in caplog.text
    caplog.clear()
    check_assembly(table(*[("chr1", 0, 10)] * 99, ("chrUn", 0, 10)), LENGTHS, tmp_path / "x.bed", "toy")
    assert not caplog.messages  # a few are in every file of peaks


# --- real data ---


def test_epd_promoters_lie_at_refseq_start_sites(shared):
    folder = shared / "data/annotation"
    epd, refseq = (read_intervals(folder / name) for name in ("epdnew_promoters_hg19.bed.gz", "RefSeqTSS.hg19.bed.gz"))
    assert set(epd["strand"]) == {"+", "-"}
    near = np.concatenate(
        [
            distance_to_nearest(part["start"].to_numpy(), refseq.loc[refseq["chrom"] == chrom, "start"].to_numpy())
            for chrom, part in epd.groupby("chrom", observed=True)
        ]
    )
    assert len(near) == len(epd) > 20000
    assert (near <= 100).mean() > 0.6 and (near <= 500).mean() > 0.8
    lengths = {chrom: 250_000_000 for chrom in epd["chrom"].cat.categories}
    check_assembly(epd, lengths, folder, "hg19")
    with pytest.raises(InputError, match="another assembly"):
        check_assembly(epd, lengths | {"chr1": 200_000_000}, folder, "hg19")
