from pathlib import Path

import numpy as np
import pytest

from regdna.sources.sites import LENGTH, read_sites
from regdna.step import InputError

DEMO = Path(__file__).parents[2] / "resources/demo/dhs"


def shard(path, seed, rows=7, targets=("a", "b"), compress=True):
    draw = np.random.default_rng(seed)
    codes = draw.integers(0, 4, (rows, LENGTH)).astype(np.uint8)
    four = codes.reshape(rows, -1, 4)
    content = {
        "chromosomes": np.array(["chr1", "chrX"]),
        "chrom": draw.integers(0, 2, rows).astype(np.uint8),
        "start": draw.integers(0, 2**31 - 201, rows).astype(np.int32),
        "label": draw.integers(0, 2, rows).astype(np.uint8),
        "targets": np.array(targets),
        "sequence": four[..., 0] << 6 | four[..., 1] << 4 | four[..., 2] << 2 | four[..., 3],
    }
    (np.savez_compressed if compress else np.savez)(path, **content)
    return codes, content


def test_shards_are_read_in_the_order_given(tmp_path):
    paths = [tmp_path / "two.npz", tmp_path / "one.npz"]
    made = [shard(path, seed) for seed, path in enumerate(paths)]
    table, codes, targets = read_sites(paths)
    assert np.array_equal(codes, np.concatenate([one[0] for one in made])) and codes.dtype == np.uint8
    assert list(table.columns) == ["chrom", "start", "end", "label"]
    assert table["chrom"].tolist() == [["chr1", "chrX"][i] for _, one in made for i in one["chrom"]]
    assert table["start"].tolist() == [int(i) for _, one in made for i in one["start"]]
    assert (table["end"] - table["start"] == LENGTH).all() and table["start"].dtype == np.int64
    assert table["label"].tolist() == [int(i) for _, one in made for i in one["label"]]
    assert targets == ["a", "b"]


def test_shards_with_other_targets_are_not_mixed(tmp_path):
    shard(tmp_path / "1.npz", 0)
    shard(tmp_path / "2.npz", 0, targets=("b", "a"))
    with pytest.raises(InputError, match=r"2\.npz.*do not mix"):
        read_sites([tmp_path / "1.npz", tmp_path / "2.npz"])


def truncated(path):
    shard(path, 0)
    path.write_bytes(path.read_bytes()[:-400])


def one_array(path):
    np.save(path.with_suffix(".npy"), np.zeros(3))
    path.with_suffix(".npy").rename(path)


def flipped(path):
    shard(path, 0, compress=False)
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 255
    path.write_bytes(body)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: None,
        lambda path: path.write_text("no archive"),
        lambda path: path.write_bytes(b""),
        lambda path: np.savez(path, other=np.zeros(3)),
        one_array,
        truncated,
        flipped,
    ],
    ids=["absent", "text", "empty", "other arrays", "one array", "truncated", "flipped byte"],
)
def test_what_is_no_shard_is_refused_by_name(tmp_path, spoil):
    path = tmp_path / "1.npz"
    spoil(path)
    with pytest.raises(InputError, match="not a shard") as error:
        read_sites([path])
    assert str(path) in str(error.value)


def test_embedded_shards_hold_what_the_manifest_says():
    table, codes, targets = read_sites(sorted(DEMO.glob("sites-*.npz")))
    assert len(table) == len(codes) == 47_872
    assert sorted(targets) == ["GM12878", "HepG2", "K562", "hESC"]
    assert codes.max() == 3 and not table.duplicated(["chrom", "start"]).any()
