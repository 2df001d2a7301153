import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from regdna.sources.tables import kind, opened, read_rows
from regdna.step import InputError

NAMES = ["sequence", "label"]


def placed(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(path, names=NAMES):
    return list(read_rows(path, names))


ONE = [(2, ["ACGT", "1"])]
READABLE = {
    "plain": ("t.csv", "sequence,label\nACGT,1\n", ONE),
    "no last line break": ("t.csv", "sequence,label\nACGT,1", ONE),
    "byte-order mark": ("t.csv", b"\xef\xbb\xbfsequence,label\nACGT,1\n", ONE),
    "byte-order mark and quotes": ("t.csv", b'\xef\xbb\xbf"sequence","label"\n"ACGT","1"\n', ONE),
    "Windows": ("t.csv", "sequence,label\r\nACGT,1\r\n", ONE),
    "old Mac": ("t.csv", "sequence,label\rACGT,1\r", ONE),
    "spaces around": ("t.csv", "sequence , label\n ACGT,1 \n", ONE),
    "tabs": ("t.tsv", "sequence\tlabel\nACGT\t1\n", ONE),
    "large letters in the name": ("T.CSV", "sequence,label\nACGT,1\n", ONE),
    "gzip": ("t.csv.gz", gzip.compress(b"sequence,label\nACGT,1\n", mtime=0), ONE),
    "gzip in two pieces": ("t.csv.gz", gzip.compress(b"sequence,label\nAC", mtime=0) + gzip.compress(b"GT,1\n", mtime=0), ONE),
    "large letters and gzip": ("T.TSV.GZ", gzip.compress(b"sequence\tlabel\nACGT\t1\n", mtime=0), ONE),
    "another order and more columns": ("t.csv", "name,label,note,sequence\nx,1,y,ACGT\n", ONE),
    "more columns in Latin-1": ("t.csv", b"sequence,label,town\nACGT,1,Z\xfcrich\n", ONE),
    "two more columns of one name": ("t.csv", "x,sequence,label,x\n,ACGT,1,\n", ONE),
    "header only": ("t.csv", "sequence,label\n", []),
    "blank lines are counted": ("t.csv", "sequence,label\n\nAC,1\n  \n,\nGT,0\n\n", [(3, ["AC", "1"]), (6, ["GT", "0"])]),
    "a cell over two lines": ("t.csv", 'sequence,label,note\nAC,1,"a\nb"\nGT,0,\n', [(2, ["AC", "1"]), (4, ["GT", "0"])]),
    "commas and quotes in a cell": ("t.csv", 'sequence,label\nAC,"a, ""b"""\n', [(2, ["AC", 'a, "b"'])]),
    "empty cells": ("t.csv", "sequence,label\nAC,\n,1\n", [(2, ["AC", ""]), (3, ["", "1"])]),
    "words for nothing are words": ("t.csv", "sequence,label\nNA,nan\n", [(2, ["NA", "nan"])]),
    "letters beyond ASCII": ("t.csv", "sequence,label\nAC,Zürich\n", [(2, ["AC", "Zürich"])]),
}


@pytest.mark.parametrize("case", READABLE)
def test_tables_of_text_are_read_however_they_were_saved(tmp_path, case):
    name, content, expected = READABLE[case]
    assert rows(placed(tmp_path, content, name)) == expected


def test_a_sequence_may_be_longer_than_the_csv_module_likes(tmp_path):
    long = "ACGT" * 50_000
    assert rows(placed(tmp_path, f"sequence,label\n{long},1\n")) == [(2, [long, "1"])]


def test_a_table_of_one_column_may_have_a_space_in_its_name(tmp_path):
    assert rows(placed(tmp_path, "my sequence\nAC\n"), ["my sequence"]) == [(2, ["AC"])]


CUT = gzip.compress(b"sequence,label\n" + b"ACGT,1\n" * 5000, mtime=0)[:-20]
REFUSED = {
    "no bytes": ("t.csv", b"", "first line names no columns; write"),
    "a blank first line": ("t.csv", "\nsequence,label\nAC,1\n", "first line names no columns"),
    "another name": ("t.csv", "seq,label\nAC,1\n", "no column 'sequence'; did you mean 'seq'.*sequences.columns"),
    "no header": ("t.csv", "ACGT,1\nAC,1\n", "no column 'sequence'; did you mean"),
    "semicolons": ("t.csv", "sequence;label\nAC;1\n", "first line is separated by ';'.*commas in a .csv"),
    "tabs in a .csv": ("t.csv", "sequence\tlabel\nAC\t1\n", r"first line is separated by '\\t'"),
    "commas in a .tsv": ("t.tsv", "sequence,label\nAC,1\n", "separated by ','.*tabs in a .tsv"),
    "spaces in a .tsv": ("t.tsv", "sequence label\nAC 1\n", "separated by ' '"),
    "a name twice": ("t.csv", "sequence,label,label\nAC,1,0\n", "two columns are called 'label'; rename one"),
    "a cell too many": ("t.csv", "sequence,label\nAC,1\n\nGT,1,\n", "row 4 has 3 cells, but the first line names 2; mend"),
    "a cell too few": ("t.csv", "sequence,label\nAC\n", "row 2 has 1 cells"),
    "a cell too many in every row": ("t.csv", "sequence,label\nAC,1,\nGT,1,\n", "row 2 has 3 cells"),
    "Latin-1": ("t.csv", b"sequence,label\nAC,a\nGT,Z\xfcrich\n", "row 3 holds a control character or is not in UTF-8"),
    "Latin-1 in the header": ("t.csv", b"sequence,label,f\xfcr\nAC,1,1\n", "first line is not text in UTF-8; save"),
    "UTF-16": ("t.csv", "sequence,label\nAC,1\n".encode("utf-16"), "first line is not text in UTF-8; save"),
    "null bytes": ("t.csv", b"sequence,label\nAC,\x00\n", "row 2 holds a control character"),
    "an open quote": ("t.csv", 'sequence,label\nAC,1\n"GT,1\nTT,1\nTT,1\n', "row 3: unexpected end of data; close its quotes"),
    "a quote in the middle": ("t.csv", 'sequence,label\n"A"C,1\n', "row 2: ',' expected after '\"'"),
    "cut gzip": ("t.csv.gz", CUT, "cut short or no gzip file.*fetch it again"),
    "no gzip": ("t.csv.gz", b"sequence,label\nAC,1\n", "cut short or no gzip file"),
    "empty gzip": ("t.csv.gz", b"", "names no columns|cut short"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_of_text_that_is_wrong_is_refused_in_one_line_with_its_row(tmp_path, case):
    name, content, message = REFUSED[case]
    path = placed(tmp_path, content, name)
    with pytest.raises(InputError, match=message) as error:
        rows(path)
    said = str(error.value)
    assert said.startswith(f"{path}: ") and "\n" not in said and said.isprintable() and len(said) < 400


def test_a_gzipped_table_is_read_whatever_its_name_says(tmp_path):
    assert rows(placed(tmp_path, gzip.compress(b"sequence,label\nAC,1\n", mtime=0), "t.csv")) == [(2, ["AC", "1"])]


def test_a_header_that_is_a_sequence_is_not_proposed(tmp_path):
    with pytest.raises(InputError) as error:
        rows(placed(tmp_path, f"{'ACGT' * 50},1\n"))
    assert "ACGTACGT" not in str(error.value)


def test_a_column_is_asked_for_once(tmp_path):
    with pytest.raises(InputError, match="'label' is asked for twice"):
        rows(placed(tmp_path, "sequence,label\nAC,1\n"), ["sequence", "label", "label"])


def parquet(tmp_path, columns, **options):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), path, **options)
    return path


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([1, None, 0]), ["1", "", "0"]),
        (pa.array([1, 0, 1], pa.uint8()), ["1", "0", "1"]),
        (pa.array([1.0, None, 0.25]), ["1", "", "0.25"]),
        (pa.array([True, None, False]), ["true", "", "false"]),
        (pa.array(["a", None, " b "]), ["a", "", "b"]),
        (pa.array(["a", "b", "a"], pa.large_string()), ["a", "b", "a"]),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", "", "a"]),
        (pa.array([7, 8, 7]).dictionary_encode(), ["7", "8", "7"]),
        (pa.array([b"a", None, b"b"]), ["a", "", "b"]),
        (pa.nulls(3), ["", "", ""]),
    ],
    ids=str,
)
def test_parquet_columns_of_any_type_are_text(tmp_path, values, expected):
    path = parquet(tmp_path, {"note": [[1]] * 3, "label": values, "sequence": ["A", "C", "G"]}, row_group_size=2)
    assert rows(path) == [(1, ["A", expected[0]]), (2, ["C", expected[1]]), (3, ["G", expected[2]])]


def test_an_index_of_pandas_does_not_disturb(tmp_path):
    pd.DataFrame({"sequence": ["A", "C"], "label": [1, 0]}, index=[5, 5]).to_parquet(tmp_path / "t.parquet")
    assert rows(tmp_path / "t.parquet") == [(1, ["A", "1"]), (2, ["C", "0"])]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"seq": ["A"], "label": [1]}, "no column 'sequence'; did you mean 'seq'"),
        ({"sequence": ["A"], "label": [[1]]}, "column 'label' holds list.*, not text or numbers; convert it"),
        ({"sequence": ["A"], "label": [b"\xff"]}, "not a whole Parquet file, or not text in UTF-8"),
    ],
)
def test_a_parquet_file_that_is_wrong_is_refused_in_one_line(tmp_path, columns, message):
    path = parquet(tmp_path, columns)
    with pytest.raises(InputError, match=message) as error:
        rows(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_two_parquet_columns_of_one_name_are_refused(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["A"]), pa.array([1]), pa.array([0])], ["sequence", "label", "label"]), path)
    with pytest.raises(InputError, match="two columns are called 'label'"):
        rows(path)


@pytest.mark.parametrize("damage", ["cut", "head", "middle", "empty", "text"])
def test_a_damaged_parquet_file_is_refused(tmp_path, damage):
    draw = np.random.default_rng(0)
    path = parquet(tmp_path, {"sequence": ["".join(draw.choice(list("ACGT"), 50)) for _ in range(500)], "label": range(500)})
    data = path.read_bytes()
    middle = len(data) // 4
    path.write_bytes(
        {
            "cut": data[: len(data) // 2], "head": data[100:], "empty": b"", "text": b"sequence,label\nA,1\n",
            "middle": data[:middle] + b"\xff" * 200 + data[middle + 200 :],
        }[damage]
    )  # fmt: skip
    with pytest.raises(InputError, match="not a whole Parquet file") as error:
        rows(path)
    assert "\n" not in str(error.value)


def test_kind_is_the_suffix_below_gz():
    assert [kind(Path(name)) for name in ("a.b.CSV", "a.fa.gz", "x.GZ", "plain")] == [".csv", ".fa", "", ""]


def test_an_absent_file_is_left_to_the_system_to_name(tmp_path):
    with pytest.raises(FileNotFoundError), opened(tmp_path / "absent.gz"):
        pass
