import gzip
import hashlib
import random

import pysam
import pytest

from regdna.sources.fetch import CHUNK, bring, checksum, take, verify
from regdna.step import InputError

BODY = b"chr1\t5\t9\n" * 1000


def entry(content):
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def placed(tmp_path, content, name="file.bed"):
    path = tmp_path / "origin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.bed", BODY), ("a.bed.gz", gzip.compress(BODY, mtime=0)), ("empty.bed", b"")],
    ids=["plain", "gzip", "empty"],
)
def test_a_file_that_fits_its_entry_arrives_whole(tmp_path, name, content):
    destination = tmp_path / "results/sources/s" / name
    take(placed(tmp_path, content, name), entry(content), destination)
    assert destination.read_bytes() == content
    assert [path.name for path in destination.parent.iterdir()] == [name]


BROKEN = gzip.compress(BODY, mtime=0)[:-9]
NOT_GZIP = b"plain text"
FLIPPED = bytearray(gzip.compress(bytes(range(256)) * 40, mtime=0))
FLIPPED[-6] ^= 1
REFUSED = {
    "another size": ("a.bed", BODY + b"\n", entry(BODY), "9,001 bytes.*9,000"),
    "another sha": ("a.bed", BODY[:-1] + b"x", entry(BODY), "sha256"),
    "truncated gzip": ("a.bed.gz", BROKEN, entry(BROKEN), "not a whole gzip"),
    "no gzip": ("a.bed.gz", NOT_GZIP, entry(NOT_GZIP), "not a whole gzip"),
    "wrong check sum in gzip": ("a.bed.gz", bytes(FLIPPED), entry(bytes(FLIPPED)), "not a whole gzip"),
}


def bgzipped(folder):
    with pysam.BGZFile(str(folder / "whole.gz"), "wb") as file:
        for _ in range(5):
            file.write(random.Random(0).randbytes(60_000))
            file.flush()
    return (folder / "whole.gz").read_bytes()


def test_a_bgzipped_file_that_ends_between_two_blocks_is_cut_short(tmp_path):
    content = bgzipped(tmp_path)
    block = int.from_bytes(content[16:18], "little") + 1
    assert gzip.decompress(content[:block])  # nothing that gzip could see
    for name in ("a.bed.gz", "a.csv"):
        take(placed(tmp_path, content, name), {}, tmp_path / "there" / name)
        with pytest.raises(InputError, match=f"{name}: cut short: the last block of bgzip is missing"):
            take(placed(tmp_path, content[:block], name), {}, tmp_path / "there" / name)
        take(placed(tmp_path, content[:block], name), entry(content[:block]), tmp_path / "there" / name)  # as published


def test_a_bgzipped_file_without_its_end_is_whole_if_it_was_pinned_so(tmp_path):
    content = bgzipped(tmp_path)
    block = content[: int.from_bytes(content[16:18], "little") + 1]
    by_hand, lock = placed(tmp_path, block, "a.bed.gz").parent, tmp_path / "lock.tsv"
    given = ("s", "a.bed.gz", {"url": "http://127.0.0.1:9/a.bed.gz"}, tmp_path / "there/a.bed.gz", lock, by_hand)
    with pytest.raises(InputError, match="cut short: the last block of bgzip is missing"):
        bring(*given)
    lock.write_text(f"source\tfile\tbytes\tsha256\turl\ns\ta.bed.gz\t{len(block)}\t{hashlib.sha256(block).hexdigest()}\tu\n")
    bring(*given)
    assert (tmp_path / "there/a.bed.gz").read_bytes() == block


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html>\n<html><title>503</title></html>", "is a web page"),
        (b"\n <HTML><body>log in</body></HTML>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "is git-LFS's pointer to the file.*git lfs pull"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "model.safetensors", "a.fa.gz"])
def test_what_came_in_place_of_a_file_is_named(tmp_path, content, said, name):
    with pytest.raises(InputError, match=f"{name}: {said}"):
        take(placed(tmp_path, content, name), {}, tmp_path / "there" / name)


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("before", [None, b"what was there"])
def test_a_file_that_does_not_fit_never_gets_its_name(tmp_path, case, before):
    name, content, expected, message = REFUSED[case]
    origin, destination = placed(tmp_path, content, name), tmp_path / "there" / name
    if before is not None:
        destination.parent.mkdir()
        destination.write_bytes(before)
    with pytest.raises(InputError, match=message) as error:
        take(origin, expected, destination)
    assert str(origin) in str(error.value) and "\n" not in str(error.value)
    assert [path.read_bytes() for path in destination.parent.iterdir()] == ([] if before is None else [before])


def test_a_missing_file_says_how_to_restore_it(tmp_path):
    with pytest.raises(InputError, match="not found; restore it with `git checkout"):
        take(tmp_path / "absent.bed", entry(b""), tmp_path / "there.bed")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1])
def test_sha256_equals_hashlib(tmp_path, size):
    content = bytes(size)
    assert checksum(placed(tmp_path, content)) == hashlib.sha256(content).hexdigest()


def test_verify_takes_the_name_it_is_given_for_the_suffix(tmp_path):
    path = placed(tmp_path, b"text", ".temporary.tmp")
    verify(path, entry(b"text"), "a.bed")
    with pytest.raises(InputError, match="a.bed.gz"):
        verify(path, entry(b"text"), "a.bed.gz")
