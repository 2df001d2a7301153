import struct
import zlib

import numpy as np
import pybigtools
import pyBigWig
import pytest

from regdna.signals import check_assembly, mean_per_bin
from regdna.step import InputError

LENGTHS = {"chr1": 60_000, "chr2": 30_000, "chrEmpty": 500}


def write(path, chroms, lengths=LENGTHS):
    """A bigWig; ``chroms`` gives for each name the arguments of as many calls of addEntries as are wanted."""
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(lengths.items()))
        for name, entries in chroms.items():
            for positional, named in entries:
                file.addEntries([name] * len(positional) if "ends" in named else name, positional, **named)
    return path


def runs(draw, length, count):
    """Runs of bases with a value each, some of them touching, as the arguments of one call."""
    edges = np.unique(draw.integers(0, length, 2 * count))
    kept = draw.random(len(edges) - 1) < 0.7
    start, end = edges[:-1][kept], edges[1:][kept]
    return start.tolist(), {"ends": end.tolist(), "values": draw.normal(0, 100, len(start)).astype(np.float32).tolist()}


@pytest.fixture
def signal(tmp_path):
    draw = np.random.default_rng(0)
    chroms = {"chr1": [runs(draw, 60_000, 6000)], "chr2": [runs(draw, 20_000, 30)]}
    return write(tmp_path / "a.bw", chroms)


def slow_mean(path, chrom, start, width):
    """The mean base by base; a base without a value, or beyond the chromosome, counts 0."""
    out = np.empty(len(start))
    with pyBigWig.open(str(path)) as file:
        bases = {name: np.nan_to_num(file.values(name, 0, length, numpy=True)).astype(float) for name, length in file.chroms().items()}
    for at, (name, begin) in enumerate(zip(chrom, start, strict=True)):
        out[at] = bases[name][max(begin, 0) : max(begin + width, 0)].sum() / width
    return out


@pytest.mark.parametrize("width", [1, 7, 200, 5000])
@pytest.mark.parametrize("kind", ["anywhere", "tiles", "overlapping", "one", "same"])
def test_means_equal_those_base_by_base_in_any_order(signal, kind, width):
    draw = np.random.default_rng(width)
    chrom = draw.choice([*LENGTHS], 300)
    start = {
        "anywhere": draw.integers(0, 60_000, 300),
        "tiles": np.arange(300) * width,
        "overlapping": draw.integers(1000, 1000 + width, 300),
        "one": np.array([59_990]),
        "same": np.full(300, 29_999),
    }[kind]
    chrom = chrom[: len(start)]
    found = mean_per_bin(signal, chrom, start, width)
    assert found.dtype == np.float32 and found.shape == (len(start),)
    np.testing.assert_allclose(found, slow_mean(signal, chrom, start, width), rtol=1e-6, atol=1e-5)


def test_a_bin_may_reach_beyond_the_chromosome(signal):
    start = np.array([-150, 29_900, 40_000, -900])
    found = mean_per_bin(signal, ["chr2"] * 4, start, 200)
    np.testing.assert_allclose(found, slow_mean(signal, ["chr2"] * 4, start, 200), rtol=1e-6, atol=1e-6)
    assert found[3] == 0 and mean_per_bin(signal, [], [], 200).shape == (0,)


def test_values_of_fixed_and_variable_steps_are_read(tmp_path):
    draw = np.random.default_rng(1)
    places = np.cumsum(draw.integers(5, 30, 1500))
    values = draw.normal(size=1500).tolist()
    chroms = {
        "chr1": [(places.tolist(), {"values": values, "span": 5})],
        "chr2": [(77, {"values": values, "span": 4, "step": 7}), (20_000, {"values": values, "span": 3, "step": 3})],
    }
    path = write(tmp_path / "a.bw", chroms)
    chrom, start = draw.choice(["chr1", "chr2"], 500), draw.integers(0, 30_000, 500)
    for width in (3, 150):
        np.testing.assert_allclose(mean_per_bin(path, chrom, start, width), slow_mean(path, chrom, start, width), rtol=1e-5, atol=1e-5)


def test_trees_of_several_levels_are_read(tmp_path):
    draw = np.random.default_rng(2)
    lengths = {f"chr{at:03d}": 1000 for at in range(300)}
    chroms = {name: [(20, {"values": draw.normal(size=20).tolist(), "span": 3, "step": 40})] for name in lengths}
    path = write(tmp_path / "a.bw", chroms, lengths)
    data = path.read_bytes()
    assert data[struct.unpack_from("<Q", data, 24)[0] + 48] == 0  # the blocks' root is no leaf; the chromosomes' is made one
    path.write_bytes(with_levels(data))
    chrom, start = draw.choice([*lengths], 700), draw.integers(0, 1000, 700)
    np.testing.assert_allclose(mean_per_bin(path, chrom, start, 150), slow_mean(path, chrom, start, 150), rtol=1e-5, atol=1e-6)


def with_levels(data):
    """A bigWig whose tree of chromosomes, one leaf, is turned into a root above two leaves, as UCSC's tools make of many."""
    at = struct.unpack_from("<Q", data, 8)[0]
    key = struct.unpack_from("<I", data, at + 8)[0]
    count = struct.unpack_from("<H", data, at + 34)[0]
    items = [data[at + 36 + one * (key + 8) :][: key + 8] for one in range(count)]
    halves = items[: count // 2], items[count // 2 :]
    leaves = [struct.pack("<BxH", 1, len(half)) + b"".join(half) for half in halves]
    first = len(data) + 36 + 2 * (key + 8)
    root = struct.pack("<BxH", 0, 2)
    for half, place in zip(halves, (first, first + len(leaves[0])), strict=True):
        root += half[0][:key] + struct.pack("<Q", place)
    return data[:8] + struct.pack("<Q", len(data)) + data[16:] + data[at : at + 32] + root + b"".join(leaves)


def test_a_file_of_another_writer_is_read(tmp_path):
    draw = np.random.default_rng(3)
    places = np.cumsum(draw.integers(2, 9, 9000)).tolist()
    rows = ((name, at, at + 2, float(value)) for name in ("chr1", "chr2") for at, value in zip(places, draw.normal(size=9000), strict=True))
    path = tmp_path / "a.bw"
    pybigtools.open(str(path), "w").write({"chr1": 60_000, "chr2": 60_000}, rows)
    chrom, start = draw.choice(["chr1", "chr2"], 400), draw.integers(0, 60_000, 400)
    np.testing.assert_allclose(mean_per_bin(path, chrom, start, 300), slow_mean(path, chrom, start, 300), rtol=1e-5, atol=1e-6)


def with_blocks(data, change, packed=True):
    """A bigWig whose tree of blocks is one leaf, with every block changed, and moved to the end."""
    out = bytearray(data)
    leaf = struct.unpack_from("<Q", data, 24)[0] + 48
    assert data[leaf] == 1
    for item in range(struct.unpack_from("<H", data, leaf + 2)[0]):
        where = leaf + 4 + 32 * item + 16
        at, size = struct.unpack_from("<QQ", data, where)
        block = change(zlib.decompress(data[at : at + size]))
        block = zlib.compress(block) if packed else block
        struct.pack_into("<QQ", out, where, len(out), len(block))
        out += block
    if not packed:
        struct.pack_into("<I", out, 52, 0)
    return bytes(out)


def test_blocks_that_are_not_packed_are_read(signal):
    chrom, start = ["chr1"] * 300, np.arange(300) * 200
    expected = mean_per_bin(signal, chrom, start, 200)
    signal.write_bytes(with_blocks(signal.read_bytes(), lambda block: block, packed=False))
    assert np.array_equal(mean_per_bin(signal, chrom, start, 200), expected) and expected.any()


@pytest.mark.parametrize(
    "change",
    [
        lambda block: struct.pack("<I", 7) + block[4:],  # of another chromosome
        lambda block: block[:20] + bytes([4]) + block[21:],  # of an unknown kind
        lambda block: block[:-12],  # fewer values than it says
        lambda block: block[:-1],
        lambda block: block[:20],
        lambda block: b"",
    ],
)
def test_a_broken_block_is_one_line(signal, change):
    signal.write_bytes(with_blocks(signal.read_bytes(), change))
    with pytest.raises(InputError, match="cut short or no bigWig file; fetch it again"):
        mean_per_bin(signal, ["chr1"] * 300, np.arange(300) * 200, 200)


def test_a_value_that_is_no_number_counts_nothing(tmp_path):
    path = write(tmp_path / "a.bw", {"chr1": [([0, 10, 20], {"ends": [10, 20, 30], "values": [1.0, float("nan"), 4.0]})]})
    assert mean_per_bin(path, ["chr1"], [0], 30).tolist() == pytest.approx([50 / 30])


def test_small_values_beside_large_ones_are_exact(tmp_path):
    path = write(tmp_path / "a.bw", {"chr1": [([0, 1000], {"ends": [1000, 1001], "values": [1e30, 1e-30]})]})
    assert mean_per_bin(path, ["chr1"] * 2, [0, 1000], 1).tolist() == [np.float32(1e30), np.float32(1e-30)]


def test_a_chromosome_that_the_file_lacks_has_no_signal_and_is_named(signal, caplog):
    caplog.set_level("WARNING", logger="regdna")
    alone = mean_per_bin(signal, ["chr1", "chr1"], [0, 500], 200)
    assert mean_per_bin(signal, ["chr1", "chrY", "chr1"], [0, 0, 500], 200).tolist() == [alone[0], 0, alone[1]] and alone.all()
    assert f"{signal}: has no chromosome chrY; its signal is 0 there" in caplog.text


def test_names_of_contigs_say_nothing_of_those_of_chromosomes(tmp_path):
    path = write(tmp_path / "a.bw", {"chr1": [([20], {"values": [2.0], "span": 3})]}, {"chr1": 500, "GL000008.2": 50, "EBV": 9})
    assert mean_per_bin(path, ["chr1", "chrY"], [20, 20], 3).tolist() == [2.0, 0.0]


@pytest.mark.parametrize(("names", "lacking"), [(["chr7", "chr8"], "chr7"), (["chr1", "1"], "1")])
def test_a_file_with_none_of_the_chromosomes_or_one_by_another_name_is_refused(signal, names, lacking):
    with pytest.raises(InputError, match=f"has no chromosome {lacking}, but chr1, chr2, chrEmpty") as error:
        mean_per_bin(signal, names, [0, 0], 10)
    assert str(signal) in str(error.value)


def test_an_assembly_is_known_by_its_lengths(signal):
    check_assembly(signal, {**LENGTHS, "chr9": 5})
    check_assembly(signal, {"chr2": 30_000})
    with pytest.raises(InputError, match="chr2 has 30,000 bp, but 30,001 in the assembly") as error:
        check_assembly(signal, {"chr1": 60_000, "chr2": 30_001})
    assert str(signal) in str(error.value)
    with pytest.raises(InputError, match="named chr1, chr2, chrEmpty, those of the assembly 1, 2"):
        check_assembly(signal, {"1": 60_000, "2": 30_000})


def test_what_is_no_bigwig_or_cut_short_is_one_line(signal, tmp_path):
    whole = signal.read_bytes()
    index = struct.unpack_from("<Q", whole, 24)[0]
    looped = bytearray(whole)
    looped[index + 48] = 0  # the leaf that is the root, turned into a node whose first child is
    struct.pack_into("<Q", looped, index + 52 + 16, index + 48)
    broken = {
        "empty": b"", "text": b"chr1\t1\t5\t0.5\n" * 20, "short": whole[:40], "cut": whole[: index // 2], "cut index": whole[: index + 60],
        "other end": whole[:4][::-1] + whole[4:], "zeros": whole[:700] + bytes(len(whole) - 700),
        "packed": whole[: index - 60] + bytes(60) + whole[index:],
    }  # fmt: skip
    for name, data in broken.items():
        path = tmp_path / f"{name}.bw"
        path.write_bytes(data)
        with pytest.raises(InputError, match="cut short or no bigWig file; fetch it again") as error:
            mean_per_bin(path, ["chr1"] * 300, np.arange(300) * 200, 200)
            mean_per_bin(path, ["chr2"] * 300, np.arange(300) * 100, 100)
        assert str(path) in str(error.value)
