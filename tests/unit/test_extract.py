import bz2
import gzip
import hashlib
import io
import lzma
import tarfile

import numpy as np
import pytest
from workflow_tools import step

from regdna.sources.fetch import CHUNK, extract
from regdna.step import InputError

BODY = np.random.default_rng(0).integers(256, size=CHUNK + 17).astype(np.uint8).tobytes()
ENTRY = {"bytes": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest()}
PACKED = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lambda data: lzma.compress(data, preset=0)}


def plain(name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info, content


def link(name, to, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info, b""


def tar(tmp_path, members, name="a.tar", pack=bytes, form=tarfile.GNU_FORMAT):
    """An archive of its own folder, so that what is unpacked beside it would be seen."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    path = tmp_path / "archive" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pack(buffer.getvalue()))
    return path


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def refused(tmp_path, archive, member, message, expected=ENTRY, before=None):
    """The archive is refused in one line, and nothing is left but what was there before."""
    destination = tmp_path / "there" / "train.mat"
    if before is not None:
        destination.parent.mkdir()
        destination.write_bytes(before)
    with pytest.raises(InputError, match=message) as error:
        extract(archive, member, expected, destination)
    said = str(error.value)
    assert str(archive) in said and "\n" not in said
    assert tree(tmp_path) == [f"archive/{archive.name}"] + (["there/train.mat"] if before is not None else [])
    assert before is None or destination.read_bytes() == before


OTHERS = [plain("d/readme", b"read me"), plain("d/train.mat.old", b"old"), plain("e/d/train.mat", b"deeper"), plain("train.mat", b"higher")]


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_member_arrives_whole_and_alone(tmp_path, suffix, form, place):
    members = OTHERS[:place] + [plain("d/train.mat", BODY)] + OTHERS[place:]
    archive = tar(tmp_path, members, f"a.tar{suffix}", PACKED[suffix], form)
    extract(archive, "d/train.mat", ENTRY, tmp_path / "there/train.mat")
    assert (tmp_path / "there/train.mat").read_bytes() == BODY
    assert tree(tmp_path) == [f"archive/a.tar{suffix}", "there/train.mat"]


@pytest.mark.parametrize(
    ("held", "member"),
    [("./d/x", "d/x"), ("d/x", "./d/x"), ("./d/x", "./d/x"), ("./x", "x"), ("n" * 90 + "/" + "m" * 90, "n" * 90 + "/" + "m" * 90)],
)
def test_a_leading_dot_is_no_other_name_and_names_may_be_long(tmp_path, held, member):
    archive = tar(tmp_path, [*OTHERS, plain(held, b"it")])
    extract(archive, member, {}, tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == b"it"


def test_an_empty_member_is_an_empty_file(tmp_path):
    extract(tar(tmp_path, [plain("x", b"")]), "x", {}, tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == b""


def test_a_plain_member_of_a_gzipped_archive_need_not_be_gzipped_but_a_gzipped_one_must(tmp_path):
    archive = tar(tmp_path, [plain("bins.bed", b"chr1\t1\t2\n"), plain("bins.bed.gz", b"chr1\t1\t2\n")], "bins.tar.gz", gzip.compress)
    extract(archive, "bins.bed", {}, tmp_path / "bins.bed")
    with pytest.raises(InputError, match="bins.bed.gz in .*bins.tar.gz: not a whole gzip file"):
        extract(archive, "bins.bed.gz", {}, tmp_path / "bins.bed.gz")
    assert not (tmp_path / "bins.bed.gz").exists()


@pytest.mark.parametrize(
    "member", ["d/train", "D/train.mat", "d", "/d/train.mat", "../d/train.mat", "d//train.mat", "rain.mat", "d/train.mat/"]
)
def test_another_name_is_not_it(tmp_path, member):
    archive = tar(tmp_path, [*OTHERS, plain("d/train.mat", BODY)], "a.tar.gz", gzip.compress)
    refused(tmp_path, archive, member, f"holds no {member}; mend its 'member'")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
@pytest.mark.parametrize("to", ["/etc/passwd", "../../secret", "d/readme"])
def test_a_link_or_folder_of_that_name_is_refused(tmp_path, kind, to):
    refused(tmp_path, tar(tmp_path, [*OTHERS, link("d/train.mat", to, kind)]), "d/train.mat", "is a link or folder, not a file")


def test_members_that_lead_out_of_the_folder_are_never_written(tmp_path):
    outside = tmp_path / "outside"
    bad = [plain("../evil", b"1"), plain("../../evil", b"2"), plain(f"{outside}/evil", b"3"), link("d", str(outside), tarfile.SYMTYPE)]
    archive = tar(tmp_path, [*bad, plain("d/train.mat", BODY), plain("d/evil", b"4")])
    extract(archive, "d/train.mat", ENTRY, tmp_path / "there/train.mat")
    assert tree(tmp_path) == ["archive/a.tar", "there/train.mat"]


def test_a_member_with_a_path_that_leads_out_is_written_to_its_destination_alone(tmp_path):
    for name in ("../../evil", f"{tmp_path}/evil"):
        extract(tar(tmp_path, [plain(name, b"it")]), name, {}, tmp_path / "there/file")
        assert tree(tmp_path) == ["archive/a.tar", "there/file"] and (tmp_path / "there/file").read_bytes() == b"it"


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
@pytest.mark.parametrize("before", [None, b"what was there"])
def test_an_archive_that_is_cut_short_leaves_no_half_file(tmp_path, suffix, share, before):
    archive = tar(tmp_path, [plain("d/readme", b"r" * 5000), plain("d/train.mat", BODY)], f"a.tar{suffix}", PACKED[suffix])
    archive.write_bytes(archive.read_bytes()[: int(share * archive.stat().st_size)])
    refused(tmp_path, archive, "d/train.mat", "cut short or no tar archive.*; fetch it again", {}, before)


def test_an_archive_that_is_cut_between_members_says_so_too(tmp_path):
    archive = tar(tmp_path, [plain("d/readme", b"r" * 512), plain("d/train.mat", BODY)])
    archive.write_bytes(archive.read_bytes()[:1024])
    refused(tmp_path, archive, "d/train.mat", "holds no d/train.mat; .*or fetch the archive again if it is cut short")


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_an_archive_with_a_wrong_byte_is_refused(tmp_path, suffix):
    archive = tar(tmp_path, [plain("d/train.mat", BODY)], f"a.tar{suffix}", PACKED[suffix])
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 0x55
    archive.write_bytes(data)
    refused(tmp_path, archive, "d/train.mat", "cut short or no tar archive|sha256")


@pytest.mark.parametrize(
    "content", [b"", b"<!DOCTYPE html><title>404</title>" * 50, b"\x1f\x8b", gzip.compress(b"no tar" * 300, mtime=0), bytes(100)]
)
@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_what_is_no_archive_is_refused(tmp_path, content, name):
    archive = tar(tmp_path, [], name)
    archive.write_bytes(content)
    refused(tmp_path, archive, "d/train.mat", "cut short or no tar archive")


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"bytes": 5}, r"d/train.mat in .*a.tar: 1,048,593 bytes, but resources/sources.yaml states 5"),
        (ENTRY | {"sha256": "0" * 64}, "d/train.mat in .*a.tar: sha256"),
        ({"md5": "0" * 32}, "d/train.mat in .*a.tar: md5"),
    ],
)
@pytest.mark.parametrize("before", [None, b"what was there"])
def test_a_member_that_differs_from_its_entry_never_gets_its_name(tmp_path, expected, message, before):
    refused(tmp_path, tar(tmp_path, [plain("d/train.mat", BODY)]), "d/train.mat", message, expected, before)


def test_an_absent_archive_is_left_to_the_system_to_name(tmp_path):
    with pytest.raises(FileNotFoundError):
        extract(tmp_path / "absent.tar", "x", {}, tmp_path / "there")


def test_a_full_disk_is_not_the_archives_fault(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("regdna.sources.fetch._write", full)
    with pytest.raises(OSError, match="No space"):
        extract(tar(tmp_path, [plain("x", b"it")]), "x", {}, tmp_path / "there/x")
    assert tree(tmp_path) == ["archive/a.tar"]


def test_the_step_unpacks_where_an_archive_is_given(tmp_path):
    archive = tar(tmp_path, [*OTHERS, plain("d/train.mat", BODY)], "a.tar.gz", gzip.compress)
    expected = ENTRY | {"archive": "a.tar.gz", "member": "d/train.mat"}
    step("fetch").main(tmp_path / "s/train.mat", expected, tmp_path / "lock.tsv", "s", archive=archive)
    assert (tmp_path / "s/train.mat").read_bytes() == BODY
    assert not (tmp_path / "lock.tsv").exists()
