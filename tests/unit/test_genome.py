import gzip
from pathlib import Path

import numpy as np
import pytest
import toy_models

from regdna.alphabet import N, decode, encode
from regdna.genome import Genome, index_fasta
from regdna.sources.sites import read_sites
from regdna.step import InputError

TEXT = toy_models.letters(np.random.default_rng(1), 300)
OTHER = toy_models.letters(np.random.default_rng(2), 120)


@pytest.fixture
def genome(tmp_path):
    """chr1 whole, chr2 from its 0-based coordinate 1000, with lower case and N inside."""
    records = {"chr1": TEXT[:100] + "NNN" + TEXT[103:].lower(), "chr2:1001-1120": OTHER}
    return toy_models.genome(tmp_path, records, {"chr1": 300, "chr2": 5000})


@pytest.mark.parametrize("suffix", [".fa", ".fa.gz"])
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_index_fasta_reads_lines_case_and_left_out_records(tmp_path, suffix, line):
    path = tmp_path / f"a{suffix}"
    text = line.join([">chrM left out", "ACGT", ">chr1 described", "ACG", "tnR", ">chr2:3-4", "GG", ""]).encode()
    path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    index = index_fasta([path], "hg0", {"chr1": 6, "chr2": 10}, tmp_path / "codes.npy", tmp_path / "mask.npy")
    assert np.load(tmp_path / "codes.npy", mmap_mode="r").tolist() == [0, 1, 2, 3, N, N, N, N, 2, 2, N, N, N, N, N, N]
    assert np.load(tmp_path / "mask.npy").tolist() == [0b00011000, 0]
    assert index.to_dict("records") == [
        {"assembly": "hg0", "chrom": "chr1", "start": 0, "length": 6, "offset": 0, "masked": 2},
        {"assembly": "hg0", "chrom": "chr2", "start": 2, "length": 2, "offset": 8, "masked": 0},
    ]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_pieces_of_any_size_give_the_same_genome(tmp_path, monkeypatch, chunk):
    draw = np.random.default_rng(chunk)
    bodies = ["".join(draw.choice(list("ACGTNacgtn"), length)) for length in (61, 8, 130)]
    text = "".join(
        f">chr{i} title\n" + "\n".join(body[at : at + 13] for at in range(0, len(body), 13)) + "\n" for i, body in enumerate(bodies)
    )
    (tmp_path / "a.fa").write_text(text)
    monkeypatch.setattr("regdna.genome.CHUNK", chunk)
    names = {f"chr{i}": len(body) for i, body in enumerate(bodies)}
    index = index_fasta([tmp_path / "a.fa"], "hg0", names, tmp_path / "codes.npy", tmp_path / "mask.npy")
    codes, lower = np.load(tmp_path / "codes.npy"), np.unpackbits(np.load(tmp_path / "mask.npy")).astype(bool)
    assert len(lower) == len(codes)
    for row, body in zip(index.itertuples(), bodies, strict=True):
        held = slice(row.offset, row.offset + row.length)
        assert np.array_equal(codes[held], encode(body))
        assert lower[held].tolist() == [letter.islower() for letter in body]
        assert row.masked == lower[held].sum()


def test_a_genome_may_come_as_one_file_a_chromosome(tmp_path):
    (tmp_path / "chr1.fa").write_text(">chr1\nACG\n")
    (tmp_path / "chr2.fa").write_text(">chr2\nTT\n")
    files = [tmp_path / "codes.npy", tmp_path / "mask.npy"]
    index = index_fasta([tmp_path / "chr1.fa", tmp_path / "chr2.fa"], "hg0", {"chr1": 3, "chr2": 2}, *files)
    assert index["chrom"].tolist() == ["chr1", "chr2"]
    with pytest.raises(InputError, match="chr1.fa: two records of chr1"):
        index_fasta([tmp_path / "chr1.fa"] * 2, "hg0", {"chr1": 3}, *files)


def test_a_genome_without_lower_case_knows_no_repeats(tmp_path):
    assert toy_models.genome(tmp_path / "upper", {"chr1": "ACGT"}).mask is None
    assert toy_models.genome(tmp_path / "lower", {"chr1": "ACgt"}).mask.tolist() == [0b00110000]


def test_a_truncated_gzip_is_named(tmp_path):
    whole = gzip.compress(b">chr1\n" + b"".join(np.random.default_rng(1).choice([b"A", b"C", b"G", b"T"], 50_000)) + b"\n")
    (tmp_path / "a.fa.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="a.fa.gz: cut short or no gzip file"):
        index_fasta([tmp_path / "a.fa.gz"], "hg0", {"chr1": 50_000}, tmp_path / "codes.npy", tmp_path / "mask.npy")


def test_a_genome_may_be_gzipped_or_marked_as_utf_8_whatever_its_name_says_and_tells_what_it_lacks(tmp_path, caplog):
    caplog.set_level("INFO", logger="regdna")
    text = b">chr2\nACGTN\n"
    for content in (text, gzip.compress(text), b"\xef\xbb\xbf" + text):
        (tmp_path / "a.fa").write_bytes(content)
        index = index_fasta([tmp_path / "a.fa"], "hg0", {"chr1": 9, "chr2": 5}, tmp_path / "codes.npy", tmp_path / "mask.npy")
        assert index["chrom"].tolist() == ["chr2"] and np.load(tmp_path / "codes.npy")[:5].tolist() == [0, 1, 2, 3, 4]
        assert caplog.messages.pop() == "1 of 2 chromosomes of hg0 are held; no window will lie on chr1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">chr1\nACG\n", "another assembly"),
        (">chr1:2-4\nACGT\n", "holds more than the 3 bases"),
        (">chr1:2-4\nA!\n", "holds '!', which is no base"),
        (">chr1:0-4\nACGTA\n", "name it as samtools does, from 1"),
        (">chr1:4-7\nACGT\n", "another assembly"),
        (">chr1\nACGTA\n>chr1:1-2\nAC\n", "two records of chr1"),
        (">1\nACGTA\n", "the first is '1'; names must look like chr1, or chr1:1001-2000"),
        ("ACGT\n", "give a FASTA file"),
        ("", "give a FASTA file"),
    ],
)
def test_index_fasta_refuses_what_does_not_fit_the_assembly(tmp_path, text, message):
    path = tmp_path / "bad.fa"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        index_fasta([path], "hg0", {"chr1": 5}, tmp_path / "codes.npy", tmp_path / "mask.npy")
    assert str(path) in str(error.value)


def test_fetch_equals_the_padded_string_everywhere(genome):
    text = {"chr1": (TEXT[:100] + "NNN" + TEXT[103:], 0), "chr2": (OTHER, 1000)}
    draw = np.random.default_rng(3)
    for _ in range(2000):
        chrom = ("chr1", "chr2")[draw.integers(2)]
        body, first = text[chrom]
        start = int(draw.integers(first - 60, first + len(body) + 60))
        end = start + int(draw.integers(0, 150))
        expected = "".join(body[at - first] if 0 <= at - first < len(body) else "N" for at in range(start, end))
        assert decode(genome.fetch(chrom, start, end)) == expected


def test_fetch_gives_a_copy(genome):
    genome.fetch("chr1", 0, 10)[:] = N
    assert decode(genome.fetch("chr1", 0, 10)) == TEXT[:10]


def test_windows_equal_fetch_in_the_order_asked(genome):
    draw = np.random.default_rng(4)
    chrom = draw.choice(["chr1", "chr2"], 200)
    start = np.where(chrom == "chr1", draw.integers(0, 271, 200), draw.integers(1000, 1091, 200))
    found = genome.windows(chrom, start, 30)
    assert found.dtype == np.uint8
    for row, name, at in zip(found, chrom, start, strict=True):
        assert np.array_equal(row, genome.fetch(name, at, at + 30))
    assert genome.windows(np.array(["chr1", "chr2"]), np.array([270, 1090]), 30).shape == (2, 30)


@pytest.mark.parametrize(("chrom", "start"), [("chr1", -1), ("chr1", 271), ("chr2", 999), ("chr2", 1091)])
def test_windows_refuse_to_reach_into_the_next_record(genome, chrom, start):
    with pytest.raises(IndexError, match=chrom):
        genome.windows(np.array([chrom]), np.array([start]), 30)


def test_bounds_and_membership(genome):
    assert genome.bounds("chr2") == (1000, 1120)
    assert "chr1" in genome and "chr3" not in genome
    assert isinstance(genome, Genome)


def test_embedded_sites_are_what_the_genome_holds_at_their_coordinates(shared):
    path = shared / "data/genome/hg38_chr22_32000000-32300000.fa"
    text = "".join(path.read_text().splitlines()[1:])
    shards = sorted((Path(__file__).parents[2] / "resources/demo/dhs").glob("sites-*.npz"))
    table, codes, _ = read_sites(shards)
    inside = np.flatnonzero((table["chrom"] == "chr22") & (table["start"] >= 32_000_000) & (table["end"] <= 32_300_000))
    assert len(inside) == 4
    for row in inside:
        at = table["start"][row] - 32_000_000
        assert np.array_equal(codes[row], encode(text[at : at + 200]))


def test_chromosomes_may_be_called_by_number(tmp_path):
    genome = toy_models.genome(tmp_path, {"1": "ACGT", "NA": "GG"})
    assert "1" in genome and "NA" in genome
    assert decode(genome.windows(np.array(["1"]), np.array([1]), 2)[0]) == "CG"
