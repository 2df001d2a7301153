import gzip
import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from regdna.alphabet import decode, encode
from regdna.genome import Genome, index_fasta
from regdna.sources.labelled import CLASS, MOST_CLASSES, READERS, Labelled, add_shuffled, join, matrix, read, warn_of_contradictions
from regdna.step import InputError

COLUMNS = {"sequence": "sequence", "labels": ["label"]}


def placed(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def given(tmp_path, content, name="t.csv", entry=None, columns=None, genome=None, length=None) -> Labelled:
    return read(placed(tmp_path, content, name), entry or {}, COLUMNS | (columns or {}), genome, length)


def sequences(found):
    return [decode(one) for one in np.split(found.codes, np.cumsum(found.lengths)[:-1])]


def one_line(error, path):
    said = str(error.value)
    assert said.startswith(f"{path}: ") and "\n" not in said and said.isprintable(), said


# --- tables ---


def test_a_table_becomes_codes_labels_and_where_each_row_came_from(tmp_path):
    found = given(tmp_path, "sequence,label\nACGT,1\n\nTTGCA,0\n", "folder/t.csv")
    assert sequences(found) == ["ACGT", "TTGCA"]
    assert found.codes.dtype == np.uint8 and found.lengths.tolist() == [4, 5]
    assert found.labels.to_dict("list") == {"label": ["1", "0"]}
    expected = {
        "chrom": ["folder/t.csv:2", "folder/t.csv:4"], "start": [0, 0], "end": [4, 5], "part": ["", ""],
        "file": [str(tmp_path / "folder/t.csv")] * 2, "row": [2, 4],
    }  # fmt: skip
    assert found.records.to_dict("list") == expected


def test_case_is_ignored_u_is_t_and_other_iupac_letters_are_n(tmp_path):
    found = given(tmp_path, "sequence,label\nacgt,1\nACGU,0\nuRYS,0\nKMBN,0\nWDHV,1\n AC GT ,1\n")
    assert sequences(found) == ["ACGT", "ACGT", "TNNN", "NNNN", "NNNN", "ACGT"]


def test_coordinates_of_a_table_are_the_rows_own(tmp_path):
    text = "label,start,sequence,chrom\n1,100,ACGT,chr2\n0,0,TT,chrX\n"
    found = given(tmp_path, text, columns={"chrom": "chrom", "start": "start"})
    assert found.records[["chrom", "start", "end"]].to_numpy().tolist() == [["chr2", 100, 104], ["chrX", 0, 2]]
    assert found.records[["start", "end"]].dtypes.tolist() == [np.int64, np.int64]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("ACXT,1,chr1,5", "row 3 holds 'X', which is no base; mend or remove it"),
        ("AC1T,1,chr1,5", "row 3 holds '1', which is no base"),
        ("ACéT,1,chr1,5", "row 3 holds 'é', which is no base"),
        (",1,chr1,5", "row 3 holds no sequence; give it one or remove it"),
        ("ACGT,1,chr1,-5", "row 3: from '-5' is not a whole number"),
        ("ACGT,1,chr1,5.0", "row 3: from '5.0' is not a whole number"),
        ("ACGT,1,chr1,", "row 3: from '' is not a whole number"),
        ("ACGT,1,chr1,99999999999999999999", "row 3: from '9+' is not a whole number"),
        ("ACGT,1,,5", "row 3: chrom '' names no chromosome"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path, row, message):
    text = f"sequence,label,chrom,from\nACGT,1,chr1,5\n{row}\nGGGG,1,chr1,7\n"
    with pytest.raises(InputError, match=message) as error:
        given(tmp_path, text, columns={"chrom": "chrom", "start": "from"})
    one_line(error, tmp_path / "t.csv")


def test_the_first_wrong_letter_is_found_at_the_ends_of_rows_too(tmp_path):
    for row, sequence in itertools.product((2, 3, 4), ("!CG", "AC!")):
        rows = ["ACG"] * 3
        rows[row - 2] = sequence
        with pytest.raises(InputError, match=f"row {row} holds '!'"):
            given(tmp_path, "sequence,label\n" + "".join(f"{one},1\n" for one in rows))


USUAL = {
    "train": ["train", "Training", "TRAIN"], "validation": ["dev", "val", "Valid", "validation"], "test": ["test", " Test "],
    "unused": ["unused"], "": [""],
}  # fmt: skip


@pytest.mark.parametrize(("said", "part"), [(one, part) for part, some in USUAL.items() for one in some])
def test_parts_are_known_by_their_usual_names(tmp_path, said, part):
    found = given(tmp_path, f"sequence,label,split\nACGT,1,train\nACGT,1,{said}\n", columns={"part": "split"})
    assert found.records["part"].tolist() == ["train", part]


def test_an_unknown_part_is_named_with_its_row(tmp_path):
    with pytest.raises(InputError, match="row 4: part 'holdout' is none of train, .*; rename it") as error:
        given(tmp_path, "sequence,label,split\nA,1,test\nA,1,\nA,1,holdout\nA,1,holdout\n", columns={"part": "split"})
    one_line(error, tmp_path / "t.csv")


def test_a_files_own_part_goes_before_its_column(tmp_path):
    found = given(tmp_path, "sequence,label,split\nA,1,anything\n", entry={"part": "test"}, columns={"part": "split"})
    assert found.records["part"].tolist() == ["test"]


def test_a_missing_part_column_is_refused(tmp_path):
    with pytest.raises(InputError, match="no column 'fold'; did you mean"):
        given(tmp_path, "sequence,label,split\nA,1,test\n", columns={"part": "fold"})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "sequence,label\n"),
        ("t.fa", ""),
        ("t.fa.gz", gzip.compress(b"", mtime=0)),
        ("t.fa", "\n\n"),
        ("t.bed", ""),
        ("t.bed", "# nothing\n"),
    ],
)
def test_a_file_without_sequences_is_refused(tmp_path, genome, name, content):
    with pytest.raises(InputError, match="holds no sequence; remove it") as error:
        given(tmp_path, content, name, genome=genome, length=10)
    one_line(error, tmp_path / name)


@pytest.mark.parametrize("name", ["t.txt", "t.txt.gz", "t", "t.gz", "t.xlsx", "t.fastq", "fa"])
def test_other_kinds_of_files_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="a file of sequences ends in .csv, .tsv, .parquet, .fa, .*; rename or convert it") as error:
        given(tmp_path, "sequence,label\nA,1\n", name)
    one_line(error, tmp_path / name)


def test_every_kind_of_file_is_documented():
    assert all(suffix in read.__doc__ for suffix in READERS)


def test_a_parquet_table_equals_its_csv(tmp_path):
    frame = pd.DataFrame({"sequence": ["ACGT", "GGU"], "label": [1, 0], "chrom": ["chr1", "chr2"], "at": [7, 9], "part": ["dev", "test"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    columns = COLUMNS | {"part": "part", "chrom": "chrom", "start": "at"}
    one, other = (read(tmp_path / name, {}, columns, None, None) for name in ("t.csv", "t.parquet"))
    assert sequences(one) == sequences(other)
    pd.testing.assert_frame_equal(one.labels, other.labels)
    told = ["chrom", "start", "end", "part"]
    pd.testing.assert_frame_equal(one.records[told], other.records[told])
    assert (one.records["row"] - other.records["row"] == 1).all()


# --- FASTA ---

FASTA = ">one\nACGT\nAC\n>two words\nGG\n"


PACKED = gzip.compress(FASTA.encode(), mtime=0)
SAVED = [
    *((name, FASTA) for name in ("t.fa", "t.fasta", "t.fna", "T.FA", "t.FASTA")),
    *((name, PACKED) for name in ("t.fa.gz", "T.FA.GZ")),
    *(("t.fa", text) for text in (FASTA.replace("\n", "\r\n"), FASTA.rstrip(), FASTA + "\n\n", "\n" + FASTA)),
    *(("t.fa", text) for text in (">\nacg uac\n\n>\n\tgg\n", ">a>b\nACGTAC\n>ACGT\nGG")),
]


@pytest.mark.parametrize(("name", "content"), SAVED)
def test_fasta_is_read_however_it_was_saved(tmp_path, name, content):
    found = given(tmp_path, content, name, entry={"class": "peak"})
    assert sequences(found) == ["ACGTAC", "GG"]
    assert found.labels.to_dict("list") == {CLASS: ["peak", "peak"]}
    assert found.records["row"].tolist() == [1, 2]
    assert found.records["chrom"].tolist() == [f"{tmp_path.name}/{name}:1", f"{tmp_path.name}/{name}:2"]


CUT = gzip.compress((">a\n" + "ACGTTGCA" * 5000).encode(), mtime=0)[:-15]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.fa", "ACGT\n", "does not begin with '>'; give a FASTA file"),
        ("t.fa", "<!DOCTYPE html>\n<p>Not found</p>\n", "does not begin with '>'"),
        ("t.fa", ">a\nACGT\n>b\n>c\nAC\n", "record 2 holds no sequence"),
        ("t.fa", ">a\nACGT\n>b\n \n", "record 2 holds no sequence"),
        ("t.fa", ">a\nACGT\n>b\nACXT\n", "record 2 holds 'X', which is no base"),
        ("t.fa", b">a\nAC\xffT\n", "record 1 holds '\ufffd'"),
        ("t.fa", "@a\nACGT\n+\nIIII\n", "does not begin with '>'"),
        ("t.fa.gz", CUT, "cut short or no gzip file"),
        ("t.fa.gz", FASTA, "cut short or no gzip file"),
    ],
)
def test_a_fasta_file_that_is_wrong_is_refused_with_its_record(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message) as error:
        given(tmp_path, content, name)
    one_line(error, tmp_path / name)


# --- BED ---


@pytest.fixture
def genome(tmp_path):
    """chr1 whole, and chr2 from 1,000 to 1,300 of 5,000."""
    draw = np.random.default_rng(1)
    letters = ["".join(draw.choice(list("ACGTacgtN"), size)) for size in (500, 300)]
    fasta = placed(tmp_path, f">chr1\n{letters[0]}\n>chr2:1001-1300\n{letters[1]}\n", "genome/g.fa")
    codes, mask, index = (tmp_path / "genome" / name for name in ("genome.npy", "mask.npy", "genome.tsv"))
    index_fasta([fasta], "toy", {"chr1": 500, "chr2": 5000}, codes, mask).to_csv(index, sep="\t", index=False)
    held = Genome(codes, index, mask)
    held.letters = {"chr1": letters[0].upper(), "chr2": " " * 1000 + letters[1].upper()}
    return held


@pytest.mark.parametrize("length", [10, 11])
def test_an_interval_has_the_genomes_sequence_around_its_middle(tmp_path, genome, length):
    rows = [
        ("chr1", 0, length),
        ("chr1", 100, 101),
        ("chr2", 1100, 1150),
        ("chr1", 100, 103),
        ("chr2", 1300 - length, 1300),
        ("chr2", 1000, 1000 + length),
    ]
    found = given(
        tmp_path, "track name=x\n" + "".join(f"{a}\t{b}\t{c}\t.\t0\t-\n" for a, b, c in rows), "t.bed", {"class": "x"}, None, genome, length
    )
    starts = [(b + c) // 2 - length // 2 for _, b, c in rows]
    assert found.records["start"].tolist() == starts
    assert sequences(found) == [genome.letters[a][start : start + length] for (a, _, _), start in zip(rows, starts, strict=True)]
    assert found.records["chrom"].tolist() == [a for a, _, _ in rows]
    assert (found.records["end"] - found.records["start"] == length).all()
    assert found.records["row"].tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\t0\t9", "interval 2: 10 bp around its middle are not all in toy; remove it"),
        ("chr1\t491\t501", "interval 2: 10 bp around its middle are not all in toy"),
        ("chr2\t999\t1009", "interval 2: 10 bp around its middle are not all in toy"),
        ("chr2\t1291\t1301", "interval 2: 10 bp around its middle are not all in toy"),
        ("chr3\t100\t200", "interval 2: 'chr3' is not held of toy; names must look like chr1, mend or remove it"),
        ("1\t100\t200", "interval 2: '1' is not held of toy; names must look like chr1"),
        ("chr1\t100\tx", "line 2 is not BED"),
    ],
)
def test_an_interval_that_the_genome_does_not_hold_is_refused(tmp_path, genome, line, message):
    with pytest.raises(InputError, match=message) as error:
        given(tmp_path, f"chr1\t100\t200\n{line}\n", "t.bed", genome=genome, length=10)
    one_line(error, tmp_path / "t.bed")


def test_all_intervals_that_the_genome_does_not_hold_are_counted(tmp_path, genome):
    with pytest.raises(InputError, match=r"interval 2: 10 bp around its middle are not all in toy; remove it \(3 such intervals\)"):
        given(tmp_path, "chr1\t100\t200\nchr1\t0\t9\nchr3\t1\t9\nchr1\t491\t501\n", "t.bed", genome=genome, length=10)


def test_intervals_need_a_genome_and_a_length(tmp_path, genome):
    for held, length in ((None, 10), (genome, None)):
        with pytest.raises(InputError, match="give the dataset 'genome' and 'sequences.length'"):
            given(tmp_path, "chr1\t100\t200\n", "t.bed", genome=held, length=length)


def test_intervals_may_be_gzipped_and_written_in_large_letters(tmp_path, genome):
    for name, content in (("T.BED", b"chr1\t100\t110\n"), ("t.bed.gz", gzip.compress(b"chr1\t100\t110\n"))):
        assert sequences(given(tmp_path, content, name, genome=genome, length=10)) == [genome.letters["chr1"][100:110]]


# --- packed sites ---


def shard(tmp_path, label=(1, 0), name="s.npz", targets=("b", "a"), **changed):
    codes = np.random.default_rng(0).integers(4, size=(len(label), 200)).astype(np.uint8)
    quads = codes.reshape(len(label), 50, 4)
    arrays = dict(
        chrom=np.zeros(len(label), np.uint8), start=np.arange(len(label), dtype=np.int32) * 1000, label=np.array(label, np.uint8),
        sequence=quads[..., 0] << 6 | quads[..., 1] << 4 | quads[..., 2] << 2 | quads[..., 3], chromosomes=np.array(["chr1"]),
        targets=np.array(targets),
    )  # fmt: skip
    np.savez(tmp_path / name, **{key: value for key, value in (arrays | changed).items() if value is not None})
    return tmp_path / name, codes


def test_packed_sites_bring_their_coordinates_and_classes_in_their_own_order(tmp_path):
    path, codes = shard(tmp_path)
    found = read(path, {"part": "test"}, COLUMNS, None, 200)
    assert np.array_equal(found.codes.reshape(-1, 200), codes)
    assert found.records[["chrom", "start", "end", "part"]].to_numpy().tolist() == [["chr1", 0, 200, "test"], ["chr1", 1000, 1200, "test"]]
    truth, _, names = matrix(found.records, found.labels, exclusive=True)
    assert names == ["b", "a"] and truth.tolist() == [[False, True], [True, False]]


def test_a_class_that_no_site_has_stays_a_target(tmp_path):
    found = [
        read(shard(tmp_path, label, name, ("x", "y", "z"))[0], {}, COLUMNS, None, 200)
        for label, name in (((1, 1), "1.npz"), ((2, 1), "2.npz"))
    ]
    records, _, labels = join(found, 200)
    truth, _, names = matrix(records, labels, exclusive=True)
    assert names == ["x", "y", "z"] and truth.argmax(1).tolist() == [1, 1, 2, 1] and not truth[:, 0].any()


def test_packed_sites_may_be_a_class_as_a_file(tmp_path):
    found = read(shard(tmp_path)[0], {"class": "open"}, COLUMNS, None, 200)
    assert found.labels.to_dict("list") == {CLASS: ["open", "open"]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"label": np.array([0, 2])}, "row 2: label 2, but it names 2 targets"), ({"sequence": None}, "not a shard of packed sites")],
)
def test_a_wrong_shard_is_refused(tmp_path, changed, message):
    with pytest.raises(InputError, match=message) as error:
        read(shard(tmp_path, **changed)[0], {}, COLUMNS, None, 200)
    one_line(error, tmp_path / "s.npz")


def test_a_cut_shard_is_refused(tmp_path):
    path, _ = shard(tmp_path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match="not a shard of packed sites"):
        read(path, {}, COLUMNS, None, 200)


# --- join ---


def joined(tmp_path, texts, length=None, entries=None):
    files = [given(tmp_path, text, f"{at}.csv", (entries or {}).get(at)) for at, text in enumerate(texts)]
    return join(files, length)


def test_files_follow_each_other_in_the_order_given(tmp_path):
    records, codes, labels = joined(tmp_path, ["sequence,label\nAC,1\nGT,0\n", "sequence,label\nTT,1\n"])
    assert [decode(row) for row in codes] == ["AC", "GT", "TT"]
    assert labels["label"].tolist() == ["1", "0", "1"]
    assert [path[-5:] for path in records["file"]] == ["0.csv", "0.csv", "1.csv"] and records["row"].tolist() == [2, 3, 2]
    assert records.index.tolist() == labels.index.tolist() == [0, 1, 2]


def test_mixed_lengths_need_a_length(tmp_path):
    with pytest.raises(InputError, match=r"1.csv: row 3 has 3 bp, but .*0.csv: row 2 has 2; set the dataset's sequences.length") as error:
        joined(tmp_path, ["sequence,label\nAC,1\n", "sequence,label\nTT,1\nTTT,1\n"])
    one_line(error, tmp_path / "1.csv")


@pytest.mark.parametrize(
    ("sequence", "length", "kept", "start"),
    [
        ("ACGTAC", 6, "ACGTAC", 0), ("ACGTAC", 4, "CGTA", 1), ("ACGTAC", 3, "CGT", 1), ("ACGTA", 4, "ACGT", 0), ("ACGTA", 3, "CGT", 1),
        ("AC", 4, "NACN", -1), ("AC", 5, "NNACN", -2), ("ACG", 4, "NACG", -1), ("A", 1, "A", 0),
    ],
)  # fmt: skip
def test_the_middle_is_kept_and_its_coordinates_follow(tmp_path, sequence, length, kept, start):
    text = f"sequence,label,chrom,start\n{sequence},1,chr1,100\n{'A' * length},1,chr1,100\n"
    found = given(tmp_path, text, columns={"chrom": "chrom", "start": "start"})
    records, codes, _ = join([found], length)
    assert [decode(row) for row in codes] == [kept, "A" * length]
    assert records["start"].tolist() == [100 + start, 100] and records["end"].tolist() == [100 + start + length, 100 + length]
    at = [100 + start + i for i, letter in enumerate(kept) if letter != "N"]
    assert "".join(sequence[i - 100] for i in at) == kept.strip("N")


def test_one_length_needs_none(tmp_path):
    _, codes, _ = joined(tmp_path, ["sequence,label\nACG,1\nTTT,0\n"])
    assert codes.shape == (2, 3) and codes.dtype == np.uint8


def test_files_that_are_labelled_in_two_ways_are_refused(tmp_path):
    table = given(tmp_path, "sequence,label\nAC,1\n", "a.csv")
    fasta = given(tmp_path, ">x\nAC\n", "b.fa", {"class": "peak"})
    path, _ = shard(tmp_path)
    sites = read(path, {}, COLUMNS, None, 200)
    for pair in ([table, fasta], [fasta, table], [sites, fasta], [sites, table], [fasta, sites]):
        with pytest.raises(InputError, match="labelled by .*, but .* by .*; label all files in one way") as error:
            join(pair, 2)
        one_line(error, pair[1].records["file"][0])


def test_sites_of_other_classes_are_refused(tmp_path):
    found = [
        read(shard(tmp_path, (0, 1), name, targets)[0], {}, COLUMNS, None, 200)
        for name, targets in (("1.npz", [*"ab"]), ("2.npz", [*"ac"]))
    ]
    with pytest.raises(InputError, match="2.npz: labelled by the sites' own classes a, c, but .*1.npz by the sites' own classes a, b"):
        join(found, 200)


# --- labels ---


def labels_of(values, name="label", rows=None):
    frame = pd.DataFrame({name: pd.Series(values, dtype=object)})
    return pd.DataFrame({"file": "f.csv", "row": np.arange(len(values)) + 2}), frame


def test_each_column_of_zeros_and_ones_is_a_target():
    records, labels = labels_of(["1", "0", "1.0", "0.0", "True", "FALSE", "true"])
    labels["other"] = list("0100100")
    truth, _, names = matrix(records, labels, exclusive=False)
    assert names == ["label", "other"] and truth.dtype == bool
    assert truth.T.tolist() == [[True, False, True, False, True, False, True], [False, True, False, False, True, False, False]]


@pytest.mark.parametrize("value", ["2", "-1", "0.5", "yes", "none", "promoter", "1e0"])
def test_what_is_neither_is_refused_with_its_row(value):
    records, labels = labels_of(["1", "1", "0", value, value])
    with pytest.raises(InputError, match=f"f.csv: row 5: label is '{value}'; 0 or 1 is needed"):
        matrix(records, labels, exclusive=False)


@pytest.mark.parametrize("blank", ["", "NA", "na", "NaN", "nan"])
def test_what_is_not_given_is_not_known(blank, caplog):
    records, labels = labels_of(["1", "0", blank, "1", blank])
    labels["other"], labels["third"] = ["0", blank, "1", "1", "0"], "1"
    with caplog.at_level("INFO", "regdna"):
        truth, known, names = matrix(records, labels, exclusive=False)
    assert names == ["label", "other", "third"] and known.dtype == truth.dtype == bool
    assert known.T.tolist() == [[True, True, False, True, False], [True, False, True, True, True], [True] * 5]
    assert truth.T.tolist() == [[True, False, False, True, False], [False, False, True, True, False], [True] * 5]
    assert caplog.messages == ["3 of 15 labels are not known, first other of f.csv: row 3"]


def test_where_all_are_known_nothing_says_so():
    records, labels = labels_of(["1", "0"])
    assert matrix(records, labels, exclusive=False)[1] is None
    assert matrix(records, labels, exclusive=True)[1] is None


@pytest.mark.parametrize("blank", ["", "NA", "NaN"])
def test_a_row_of_which_nothing_is_known_is_refused(blank):
    with pytest.raises(InputError, match="f.csv: row 4: nothing is given for label; label it or remove it"):
        matrix(*labels_of(["1", "0", blank, "0"]), exclusive=False)
    records, labels = labels_of(["1", blank, blank, "0"])
    with pytest.raises(InputError, match="f.csv: row 4: nothing is given for label, other; label it or remove it"):
        matrix(records, labels.assign(other=["1", "0", blank, blank]), exclusive=False)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_tables_that_pandas_writes_keep_what_is_not_known(tmp_path, suffix):
    table = pd.DataFrame({"sequence": ["AC", "GT", "CC"], "a": [1.0, np.nan, 0.0], "b": [np.nan, 0.0, 1.0]})
    path = tmp_path / f"t.{suffix}"
    table.to_parquet(path) if suffix == "parquet" else table.to_csv(path, sep={"csv": ",", "tsv": "\t"}[suffix], index=False)
    found = read(path, {}, {"sequence": "sequence", "labels": ["a", "b"]}, None, None)
    truth, known, _ = matrix(found.records, found.labels, exclusive=False)
    assert known.tolist() == [[True, False], [False, True], [True, True]]
    assert truth.tolist() == [[True, False], [False, False], [False, True]]


def test_not_a_number_in_parquet_is_not_known(tmp_path):
    columns = {"sequence": ["AC", "GT"], "a": pa.array([1.0, float("nan")]), "b": pa.array([None, False])}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    found = read(tmp_path / "t.parquet", {}, {"sequence": "sequence", "labels": ["a", "b"]}, None, None)
    assert matrix(found.records, found.labels, exclusive=False)[1].tolist() == [[True, False], [False, True]]


def test_exclusive_classes_are_sorted_numbers_as_numbers():
    truth, _, names = matrix(*labels_of(["10", "9", "-1", "b", "a", "9"]), exclusive=True)
    assert names == ["-1", "9", "10", "a", "b"]
    assert truth.argmax(1).tolist() == [2, 1, 0, 4, 3, 1] and (truth.sum(1) == 1).all()


def test_a_whole_number_with_a_point_is_that_number():
    truth, _, names = matrix(*labels_of(["1.0", "1", "0.00", "0", "1.5", "v1.0"]), exclusive=True)
    assert names == ["0", "1", "1.5", "v1.0"] and truth.argmax(1).tolist() == [1, 1, 0, 0, 2, 3]


def test_odd_digits_are_a_name():
    assert matrix(*labels_of(["²", "1"]), exclusive=True)[2] == ["1", "²"]


@pytest.mark.parametrize("blank", ["", "NA", "nan"])
def test_an_exclusive_row_without_class_is_refused(blank):
    with pytest.raises(InputError, match="f.csv: row 3 has no class; give it one or remove it"):
        matrix(*labels_of(["a", blank, "b"]), exclusive=True)


def test_a_file_may_be_of_a_class_called_na(tmp_path):
    records, _, labels = join([given(tmp_path, f">x\n{one}\n", f"{one}.fa", {"class": one}) for one in ("NA", "CA")], None)
    assert matrix(records, labels, exclusive=True)[2] == ["CA", "NA"]


def test_classes_that_differ_in_capitals_alone_are_refused():
    with pytest.raises(InputError, match="f.csv: label has the classes 'Enhancer' and 'enhancer', one but for capitals; write them alike"):
        matrix(*labels_of(["enhancer", "promoter", "Enhancer"]), exclusive=True)


def test_measured_values_are_no_classes():
    with pytest.raises(InputError, match="f.csv: label has 1,001 values, too many to be classes; name another column"):
        matrix(*labels_of([f"{value}" for value in range(MOST_CLASSES + 1)]), exclusive=True)
    assert len(matrix(*labels_of([f"{value}" for value in range(MOST_CLASSES)]), exclusive=True)[2]) == MOST_CLASSES


def test_exclusive_classes_stand_in_one_column():
    records, labels = labels_of(["1", "0"])
    with pytest.raises(InputError, match="f.csv: label, other are several columns, but exclusive classes stand in one; name that one"):
        matrix(records, labels.assign(other="0"), exclusive=True)


def test_a_column_that_is_called_class_is_a_column():
    truth, _, names = matrix(*labels_of(["0", "1"], "class"), exclusive=False)
    assert names == ["class"] and truth.tolist() == [[False], [True]]


def test_files_that_are_a_class_each(tmp_path):
    files = [given(tmp_path, f">x\n{one}\n", f"{name}.fa", {"class": name} if name != "none" else {}) for name, one in
             (("b", "AC"), ("none", "GT"), ("a", "TT"), ("b", "GG"))]  # fmt: skip
    records, _, labels = join(files, None)
    truth, _, names = matrix(records, labels, exclusive=False)
    assert names == ["a", "b"]
    assert truth.tolist() == [[False, True], [False, False], [True, False], [False, True]], "the file without a class is negative of all"
    with pytest.raises(InputError, match=r"none.fa: row 1 has no class; .*labels: multilabel"):
        matrix(records, labels, exclusive=True)
    keep = labels[CLASS] != ""
    truth, _, names = matrix(records[keep].reset_index(drop=True), labels[keep].reset_index(drop=True), exclusive=True)
    assert names == ["a", "b"] and truth.tolist() == [[False, True], [True, False], [False, True]]


def test_a_table_may_be_a_class_and_needs_no_label_column_then(tmp_path):
    found = given(tmp_path, "sequence,label\nAC,7\n", entry={"class": "peak"})
    bare = given(tmp_path, "sequence\nAC\n", "b.csv", entry={"class": "peak"})
    assert found.labels.to_dict("list") == bare.labels.to_dict("list") == {CLASS: ["peak"]}


def test_files_without_any_class_have_no_target(tmp_path):
    records, _, labels = join([given(tmp_path, ">x\nAC\n", "t.fa")], None)
    assert matrix(records, labels, exclusive=False)[2] == []


# --- contradictions and shuffles ---


def test_contradictions_are_named_with_both_rows(caplog):
    codes = np.stack([encode(text) for text in ("AAAA", "CCCC", "AAAA", "AAAA", "CCCC", "GGGG")])
    truth = np.array([[1, 0], [0, 1], [1, 0], [0, 0], [1, 1], [0, 0]], bool)
    records = pd.DataFrame({"file": [*"aabbcc"], "row": [2, 3, 2, 3, 2, 3]})
    with caplog.at_level("WARNING", "regdna"):
        assert warn_of_contradictions(records, codes, truth) == 2
    assert caplog.messages == ["2 rows repeat a sequence with another label: a: row 2 and b: row 3; a: row 3 and c: row 2"]


def test_repeats_that_agree_are_no_contradiction_and_are_counted(caplog):
    codes = np.zeros((4, 6), np.uint8)
    caplog.set_level("INFO", logger="regdna")
    assert warn_of_contradictions(pd.DataFrame({"file": "f", "row": range(4)}), codes, np.ones((4, 1), bool)) == 0
    assert caplog.messages == ["3 of 4 sequences repeat an earlier one"]


def test_labels_that_are_not_known_contradict_nothing(caplog):
    codes = np.zeros((5, 6), np.uint8)
    codes[4] = 1
    truth = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 1], [1, 1, 0], [0, 0, 0]], bool)
    known = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1], [1, 1, 0], [1, 1, 1]], bool)
    records = pd.DataFrame({"file": "f", "row": range(2, 7)})
    assert warn_of_contradictions(records, codes, truth, known) == 1
    assert caplog.messages == ["1 rows repeat a sequence with another label: f: row 3 and f: row 5"]
    assert warn_of_contradictions(records, codes, truth, np.ones_like(known)) == warn_of_contradictions(records, codes, truth)


def test_many_contradictions_are_shortened(caplog):
    codes, truth = np.zeros((9, 6), np.uint8), np.arange(9)[:, None] > 0
    assert warn_of_contradictions(pd.DataFrame({"file": "f", "row": range(9)}), codes, truth) == 8
    assert caplog.messages[0].count(" and ") == 5 and caplog.messages[0].endswith("; ...")


def test_sequences_with_one_hash_are_compared_letter_by_letter(monkeypatch):
    monkeypatch.setattr("builtins.hash", lambda _: 7)
    codes = np.array([[0, 1], [2, 3]], np.uint8)
    assert warn_of_contradictions(pd.DataFrame({"file": "f", "row": range(2)}), codes, np.array([[True], [False]])) == 0


def pairs(row):
    return np.bincount(row[:-1] * 5 + row[1:], minlength=25).tolist()


def test_shuffled_negatives_keep_dinucleotides_part_and_place():
    draw = np.random.default_rng(0)
    codes = draw.integers(4, size=(50, 100)).astype(np.uint8)
    codes[3, 40:45] = 4
    truth = draw.random((50, 3)) < 0.5
    records = pd.DataFrame(
        {"chrom": draw.choice(["chr1", "chr2"], 50), "start": draw.integers(1000, size=50), "part": draw.choice(["train", "test"], 50)}
    )
    known = draw.random((50, 3)) < 0.8
    both, longer, labels, mask = add_shuffled(records, codes, truth, known, 5)
    assert np.array_equal(mask, np.tile(known, (2, 1)))
    assert np.array_equal(longer[:50], codes) and np.array_equal(labels[:50], truth)
    assert not labels[50:].any() and labels.dtype == bool
    pd.testing.assert_frame_equal(both[50:].reset_index(drop=True), records)
    assert both.index.tolist() == list(range(100))
    assert [pairs(row) for row in longer[50:]] == [pairs(row) for row in codes]
    assert (longer[50:] != codes).any(1).all() and (longer[53, 40:45] == 4).all()
    assert np.array_equal(add_shuffled(records, codes, truth, None, 5)[1], longer)
    assert not np.array_equal(add_shuffled(records, codes, truth, None, 6)[1], longer)


# --- real data ---


def test_gue_is_read_as_pandas_reads_it(shared):
    path = shared / "data/labelled/GUE/tf_0_dev.csv.gz"
    found = read(path, {"part": "validation"}, COLUMNS, None, None)
    table = pd.read_csv(path)
    assert sequences(found) == table["sequence"].tolist()
    truth, _, names = matrix(found.records, found.labels, exclusive=False)
    assert names == ["label"] and truth[:, 0].tolist() == table["label"].astype(bool).tolist()
