import gzip
import logging
import tracemalloc

import h5py
import numpy as np
import pytest
import scipy.io
from made_up_bundle import COMPLEMENT, both_strands, level5, one_hot, write, write_hdf5

from regdna.sources import deepsea, matlab
from regdna.sources.deepsea import convert
from regdna.step import InputError


def run(folder, files, positions=None, names=None):
    """Codes, packed labels, records and targets of a conversion."""
    records, targets = convert(files, positions, names, folder / "sequences.npy", folder / "labels.npy")
    return np.load(folder / "sequences.npy"), np.load(folder / "labels.npy"), records, targets


def drawn(rows, length=30, targets=11, seed=0):
    draw = np.random.default_rng(seed)
    return draw.integers(0, 5, (rows, length)).astype(np.uint8), draw.random((rows, targets)) < 0.4


def save(path, x, y, kind="five", prefix="test", **options):
    """A file of sequences and labels whose axes are MATLAB's."""
    arrays = {f"{prefix}xdata": x, f"{prefix}data": y}
    if kind == "five":
        scipy.io.savemat(path, arrays, **options)
    else:
        write_hdf5(path, arrays, **options)
    return path


@pytest.fixture
def small(monkeypatch):
    """Pieces, blocks and writes so small that a made-up bundle takes many of each."""
    monkeypatch.setattr(matlab, "PIECE", 3000)
    monkeypatch.setattr(deepsea, "BLOCK", 1500)
    monkeypatch.setattr(deepsea, "WRITE_ROWS", 7)


@pytest.fixture
def bundle(tmp_path):
    return write(tmp_path)


def test_a_bundle_as_published_becomes_what_is_in_it(tmp_path, bundle):
    codes, labels, records, targets = run(tmp_path, bundle.files, bundle.positions, bundle.names)
    assert codes.dtype == labels.dtype == np.uint8
    assert np.array_equal(codes, bundle.codes) and set(np.unique(codes)) == {0, 1, 2, 3, 4}
    assert np.array_equal(labels, np.packbits(bundle.labels, axis=1))
    assert list(records.columns) == ["chrom", "start", "end", "part", "file", "row"]
    assert records["chrom"].tolist() == bundle.chrom.tolist() and set(bundle.chrom) == {"chr1", "chr10", "chr7", "chr8", "chr9"}
    assert records["start"].tolist() == (bundle.start - 400).tolist() and records["end"].tolist() == (bundle.start + 600).tolist()
    assert records["part"].tolist() == bundle.part.tolist()
    assert records["file"].tolist() == ["train.mat"] * 40 + ["valid.mat"] * 10 + ["test.mat"] * 20
    assert records["row"].tolist() == [*range(1, 41), *range(1, 11), *range(1, 21)]
    assert [records[name].dtype for name in ("start", "end", "row")] == [np.int64] * 3
    assert list(targets.columns) == ["cell_type", "assay", "target", "source"]
    assert targets["target"].tolist() == ["DNase"] * 3 + ["CTCF"] * 3 + ["Pol2 (forskolin)"] * 3 + ["H3K27ac"] * 3
    assert targets["assay"].tolist() == ["DNase"] * 3 + ["TF"] * 6 + ["histone"] * 3
    assert targets["cell_type"].tolist() == ["K562", "HepG2", "HepG2"] * 4
    assert set(targets["source"]) == {"deepsea_train"}


def test_a_bundle_read_in_many_pieces_is_the_same(tmp_path, bundle, small):
    codes, labels, *_ = run(tmp_path, bundle.files)
    assert np.array_equal(codes, bundle.codes) and np.array_equal(labels, np.packbits(bundle.labels, axis=1))


def test_rows_follow_the_order_of_files(tmp_path, bundle):
    order = [bundle.files[2], bundle.files[0], bundle.files[1]]
    codes, labels, records, _ = run(tmp_path, order, bundle.positions)
    rows = np.r_[50:70, 0:40, 40:50]
    assert np.array_equal(codes, bundle.codes[rows]) and np.array_equal(labels, np.packbits(bundle.labels[rows], axis=1))
    assert records["part"].tolist() == bundle.part[rows].tolist()
    assert records["chrom"].tolist() == bundle.chrom[rows].tolist() and records["start"].tolist() == (bundle.start[rows] - 400).tolist()


def by_numpy(path, prefix):
    """The whole of a published file the obvious way: as h5py or scipy shows it, turned, compared letter by letter."""
    if h5py.is_hdf5(path):
        with h5py.File(path) as file:
            x, y = file[f"{prefix}xdata"][...].transpose(2, 0, 1), file[f"{prefix}data"][...].T
    else:
        loaded = scipy.io.loadmat(path)
        x, y = loaded[f"{prefix}xdata"].transpose(0, 2, 1), loaded[f"{prefix}data"]
    codes = np.full(x.shape[:2], 4, np.uint8)
    for channel, letter in enumerate("AGCT"):
        codes[x[..., channel] == 1] = "ACGT".index(letter)
    half = len(codes) // 2
    assert np.array_equal(COMPLEMENT[codes[:half, ::-1]], codes[half:])
    return codes[:half], np.packbits(y[:half] == 1, axis=1)


@pytest.mark.parametrize("dtype", [np.uint8, float, bool])
@pytest.mark.parametrize(("kind", "options"), [
    ("five", {}), ("five", {"do_compression": True}), ("seven", {}), ("seven", {"chunks": True}),
    ("seven", {"chunks": True, "compression": "gzip"}),
])  # fmt: skip
def test_every_kind_of_file_gives_what_numpy_gives(tmp_path, small, kind, options, dtype):
    codes, labels = drawn(60)
    strands, truth = both_strands(codes, labels)
    path = save(tmp_path / "test.mat", one_hot(strands).astype(dtype), truth.astype(dtype), kind, **options)
    wanted, bits = by_numpy(path, "test")
    found, packed, *_ = run(tmp_path, [path])
    assert np.array_equal(found, wanted) and np.array_equal(found, codes)
    assert np.array_equal(packed, bits) and np.array_equal(packed, np.packbits(labels, axis=1))


@pytest.mark.parametrize("kind", ["five", "seven"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("turned_labels", [False, True])
def test_samples_may_be_the_first_or_the_last_axis(tmp_path, small, kind, turned, turned_labels):
    codes, labels = drawn(60)
    strands, truth = both_strands(codes, labels)
    x, y = one_hot(strands), truth.astype(np.uint8)
    path = save(tmp_path / "test.mat", x.transpose(2, 1, 0) if turned else x, y.T if turned_labels else y, kind)
    found, packed, *_ = run(tmp_path, [path])
    assert np.array_equal(found, codes) and np.array_equal(packed, np.packbits(labels, axis=1))


@pytest.mark.parametrize("kind", ["five", "seven"])
def test_as_many_samples_as_positions_are_read_as_published(tmp_path, kind):
    codes, labels = drawn(15, 30, 30)
    strands, truth = both_strands(codes, labels)
    found, packed, *_ = run(tmp_path, [save(tmp_path / "test.mat", one_hot(strands), truth.astype(np.uint8), kind)])
    assert np.array_equal(found, codes) and np.array_equal(packed, np.packbits(labels, axis=1))


@pytest.mark.parametrize("kind", ["five", "seven"])
def test_channels_are_a_g_c_t(tmp_path, kind):
    x = np.zeros((1, 4, 6), np.uint8)
    for position, channel in enumerate([0, 1, 2, 3, None, 1]):  # A G C T N G
        if channel is not None:
            x[0, channel, position] = 1
    found, *_ = run(tmp_path, [save(tmp_path / "x.mat", np.concatenate([x] * 3), np.ones((3, 2), np.uint8), kind)])
    assert found.tolist() == [[0, 2, 1, 3, 4, 2]] * 3


def test_without_positions_every_sequence_is_a_chromosome(tmp_path, bundle):
    _, _, records, targets = run(tmp_path, bundle.files)
    place = bundle.files[0].parent.name
    assert records["chrom"].tolist()[:2] == [f"{place}/train.mat:1", f"{place}/train.mat:2"]
    assert records["chrom"].tolist()[-1] == f"{place}/test.mat:20"
    assert records["chrom"].is_unique and set(records["start"]) == {0} and set(records["end"]) == {1000}
    assert records["part"].tolist() == bundle.part.tolist()
    assert targets["target"].tolist() == [f"target-{i}" for i in range(1, 13)]


def test_progress_goes_up_to_the_number_of_rows(tmp_path, bundle, small, monkeypatch):
    calls = []
    monkeypatch.setattr(deepsea, "progress", lambda total, what: calls.append((total, what, seen := [])) or seen.append)
    run(tmp_path, bundle.files)
    assert [call[:2] for call in calls] == [(70, "converting sequences"), (70, "converting labels")]
    for _, _, seen in calls:
        assert seen == sorted(seen) and {40, 50} < set(seen) and seen[-1] == 70
    assert calls[0][2][0] < 5


# Halves.


def test_an_odd_number_of_samples_is_kept(tmp_path, caplog):
    codes, labels = drawn(7)
    caplog.set_level(logging.INFO, "regdna")
    found, _, records, _ = run(tmp_path, [save(tmp_path / "x.mat", one_hot(codes), labels)])
    assert np.array_equal(found, codes) and len(records) == 7 and "odd number" in caplog.text


@pytest.mark.parametrize("what", ["other sequences", "other labels", "same strand", "other order"])
def test_where_no_sample_has_its_other_strand_all_are_kept(tmp_path, caplog, what):
    codes, labels = drawn(20)
    strands, truth = both_strands(codes, labels)
    if what == "other sequences":
        strands[20:] = drawn(20, seed=1)[0]
    elif what == "other labels":
        truth[20:] = ~truth[20:]
    elif what == "same strand":
        strands[20:] = codes
    else:
        strands[20:] = np.roll(strands[20:], 1, axis=0)
    caplog.set_level(logging.INFO, "regdna")
    found, packed, records, _ = run(tmp_path, [save(tmp_path / "x.mat", one_hot(strands), truth)])
    assert np.array_equal(found, strands) and np.array_equal(packed, np.packbits(truth, axis=1)) and len(records) == 40
    assert "the second half is not the other strand of the first (20 samples checked); all are kept" in caplog.text


@pytest.mark.parametrize("what", ["sequence", "labels"])
def test_where_some_samples_have_their_other_strand_the_file_is_refused(tmp_path, what):
    strands, truth = both_strands(*drawn(20))
    if what == "sequence":
        strands[26, 3] = (strands[26, 3] + 1) % 4
    else:
        truth[26, 3] ^= True
    with pytest.raises(InputError, match=r"x\.mat: 19 of 20 samples checked .* sample 7 does not have it at 27;"):
        run(tmp_path, [save(tmp_path / "x.mat", one_hot(strands), truth)])


@pytest.mark.parametrize("kind", ["five", "seven"])
def test_a_thousand_samples_spread_over_the_set_are_checked(tmp_path, caplog, kind):
    codes, labels = drawn(3000, 8, 3)
    strands, truth = both_strands(codes, labels)
    looked = [*range(50), *range(2950, 3000)]
    caplog.set_level(logging.INFO, "regdna")
    found, *_ = run(tmp_path, [save(tmp_path / "x.mat", one_hot(strands), truth, kind)])
    assert np.array_equal(found, codes) and "(1000 samples checked)" in caplog.text
    strands[3100] = 4  # not among those that are looked at
    assert np.array_equal(run(tmp_path, [save(tmp_path / "x.mat", one_hot(strands), truth, kind)])[0], codes)
    for row in looked[::33]:
        wrong = strands.copy()
        wrong[3000 + row] = 4
        with pytest.raises(InputError, match=f"999 of 1000 samples checked .* sample {row + 1} does not have it at {row + 3001};"):
            run(tmp_path, [save(tmp_path / "x.mat", one_hot(wrong), truth, kind)])


# What is wrong with a file.


@pytest.mark.parametrize("kind", ["five", "seven"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("value", "what"), [
    (1, "more than one 1 over the channels"), (2, "a value that is neither 0 nor 1"), (-1, "a value that is neither 0 nor 1"),
    (0.5, "a value that is neither 0 nor 1"), (np.nan, "a value that is neither 0 nor 1"),
])  # fmt: skip
def test_a_base_that_is_none_is_refused(tmp_path, small, kind, turned, value, what):
    codes, labels = drawn(61)
    x = one_hot(codes).astype(float)
    x[:, :, 12] = np.array([1, 0, 0, 0])
    x[45, 2, 12] = value
    path = save(tmp_path / "bad.mat", x.transpose(2, 1, 0) if turned else x, labels.astype(np.uint8), kind)
    with pytest.raises(InputError, match=rf"bad\.mat: testxdata: sample 46, position 13 \(counted from 1\) has {what}"):
        run(tmp_path, [path])


@pytest.mark.parametrize("value", [2, -1, np.nan])
def test_a_label_that_is_none_is_refused(tmp_path, small, value):
    codes, labels = drawn(301)
    y = labels.astype(float)
    y[260, 7] = value
    with pytest.raises(
        InputError, match=r"bad\.mat: testdata: sample 261, target 8 \(counted from 1\) has a value that is neither 0 nor 1"
    ):
        run(tmp_path, [save(tmp_path / "bad.mat", one_hot(codes), y)])


@pytest.mark.parametrize(("content", "why"), [
    ({"other": np.ones((2, 2))}, r"holds other; exactly one of the pairs trainxdata and traindata, "),
    ({"testxdata": np.ones((3, 4, 5)), "traindata": np.ones((3, 2))}, "holds testxdata, traindata; exactly one"),
    ({f"{part}{what}data": np.ones((3, 4, 5)) for part in ("train", "test") for what in ("x", "")}, ".*; exactly one of the pairs"),
    ({"testxdata": np.ones((3, 5, 4)), "testdata": np.ones((3, 2))}, "testxdata is 3 x 5 x 4; three axes, the four channels in the middle"),
    ({"testxdata": np.ones((3, 4)), "testdata": np.ones((3, 2))}, "testxdata is 3 x 4; three axes"),
    ({"testxdata": np.ones((3, 4, 5)), "testdata": np.ones((3, 2, 2))}, "testdata is 3 x 2 x 2; two axes"),
    ({"testxdata": np.ones((3, 4, 5)), "testdata": np.ones((6, 2))}, "testxdata is 3 x 4 x 5, testdata is 6 x 2; no axis of samples"),
])  # fmt: skip
def test_a_file_that_holds_no_set_is_refused(tmp_path, content, why):
    scipy.io.savemat(tmp_path / "x.mat", content)
    with pytest.raises(InputError, match=rf"x\.mat: {why}"):
        run(tmp_path, [tmp_path / "x.mat"])


def test_sets_of_two_bundles_are_not_mixed(tmp_path, bundle):
    longer, wider = write(tmp_path / "longer", length=1002), write(tmp_path / "wider", targets=13)
    with pytest.raises(InputError, match=r"test\.mat: 1002 positions, but .*train\.mat has 1000; do not mix"):
        run(tmp_path, [bundle.files[0], longer.files[2]])
    with pytest.raises(InputError, match=r"test\.mat: 13 targets, but .*train\.mat has 12; do not mix"):
        run(tmp_path, [bundle.files[0], wider.files[2]])
    with pytest.raises(InputError, match=r"test\.mat: holds the test set, as another file does"):
        run(tmp_path, [bundle.files[2], bundle.files[0], write(tmp_path / "again").files[2]])


# Positions.


def lines(bundle):
    return bundle.positions.read_text().splitlines(keepends=True)


def wide(held, width):
    return [f"{chrom}\t{start}\t{int(start) + width}\n" for chrom, start, _ in (line.split() for line in held)]


def test_positions_may_be_compressed_and_have_more_columns(tmp_path, bundle):
    wanted = run(tmp_path, bundle.files, bundle.positions)[2]
    packed = tmp_path / "bins.bed.gz"
    packed.write_bytes(gzip.compress("".join(line.rstrip("\n") + "\tTF\t5\n" for line in lines(bundle)).encode()))
    assert run(tmp_path, bundle.files, packed)[2].equals(wanted)
    headed = tmp_path / "headed.bed"
    headed.write_text("#chrom\tstart\tend\n" + "".join(lines(bundle)))
    assert run(tmp_path, bundle.files, headed)[2].equals(wanted)


def test_a_set_may_come_alone_but_validation_needs_training_before_it(tmp_path, bundle):
    for at in (0, 2):
        records = run(tmp_path, [bundle.files[at]], bundle.positions)[2]
        rows = bundle.part == bundle.part[at and -1]
        assert records["chrom"].tolist() == bundle.chrom[rows].tolist()
        assert records["start"].tolist() == (bundle.start[rows] - 400).tolist()
    with pytest.raises(InputError, match=r"valid\.mat: its bins follow those of the training set"):
        run(tmp_path, [bundle.files[1], bundle.files[2]], bundle.positions)


@pytest.mark.parametrize(("change", "why"), [
    (lambda held: [line for line in held if not line.startswith("chr9")], "10 bins on chr8 and chr9, but 20 test rows in .*test.mat"),
    (lambda held: held + ["chr9\t0\t200\n"], "21 bins on chr8 and chr9, but 20 test rows"),
    (lambda held: [line for line in held if line.startswith(("chr8", "chr9"))], "20 bins, but train rows of .* are bins 1 to 40"),
    (lambda held: [line for line in held if line < "chr7"] + held[40:45], "42 bins, but validation rows of .*valid.mat are bins 41 to 50"),
    (lambda held: held[53:63] + held[:53] + held[63:], "bin 1 is on chr8, which is test, but is among the train rows"),
    (lambda held: held[:45] + held[53:63] + held[45:53] + held[63:], "bin 46 is on chr8, which is test, but is among the validation rows"),
    (lambda held: held + ["chrZ\t0\t100\n"], "widths of its bins in bp: 100, 200; one width is needed for all"),
    (lambda held: [*held[:3], "chr1\t12\n", *held[3:]], "line 4 is not BED"),
    (lambda held: ["chr1\t12.5\t300\n", *held], "line 1 is not BED"),
    (lambda held: wide(held, 201), "bins of 201 bp cannot be in the middle of sequences of 1000 bp"),
    (lambda held: wide(held, 2000), "bins of 2000 bp cannot be in the middle"),
    (lambda held: wide(held, -200), "line 1 has start"),
    (lambda held: [], "widths of its bins in bp: none; one"),
])  # fmt: skip
def test_positions_that_do_not_fit_are_refused(tmp_path, bundle, change, why):
    held = lines(bundle)
    assert [held[i].split()[0] for i in (52, 53, 62, 63)] == ["chr7", "chr8", "chr8", "chr9"]
    bundle.positions.write_text("".join(change(held)))
    with pytest.raises(InputError, match=rf"allTFs\.pos\.bed: {why}"):
        run(tmp_path, bundle.files, bundle.positions)


def test_positions_of_a_set_whose_strands_are_not_halves_do_not_fit(tmp_path, bundle):
    strands, truth = drawn(40, 1000, 12)
    alone = save(tmp_path / "test.mat", one_hot(strands), truth)
    with pytest.raises(InputError, match="20 bins on chr8 and chr9, but 40 test rows"):
        run(tmp_path, [alone], bundle.positions)


def test_positions_cut_short_are_refused(tmp_path, bundle):
    packed = tmp_path / "bins.bed.gz"
    packed.write_bytes(gzip.compress(bundle.positions.read_bytes())[:-30])
    with pytest.raises(InputError, match=r"bins\.bed\.gz: "):
        run(tmp_path, bundle.files, packed)


# Names.


def test_the_published_names_have_the_published_counts(shared):
    table = deepsea.read_names(shared / "data/labelled/DeepSEA_predictor.names", 919, "deepsea")
    assert (table["assay"][:125] == "DNase").all() and (table["assay"][125:815] == "TF").all() and (table["assay"][815:] == "histone").all()
    assert table.loc[0].tolist() == ["8988T", "DNase", "DNase", "deepsea"]
    assert table.loc[576, "cell_type"] == table.loc[576, "target"] == "NA"
    assert table.loc[570].tolist() == ["HepG2", "TF", "Pol2 (forskolin)", "deepsea"]
    assert table.loc[127, ["cell_type", "target"]].tolist() == ["GM12878", "CTCF"]
    assert table.loc[826, ["cell_type", "target"]].tolist() == ["H1-hESC", "H3K27ac"]


@pytest.mark.parametrize("header", ["Cell Type|TF/DNase/HistoneMark|Treatment", "name"])
def test_a_header_of_the_names_is_passed_over(tmp_path, bundle, header):
    wanted = run(tmp_path, bundle.files, None, bundle.names)[3]
    bundle.names.write_text(f"{header}\n{bundle.names.read_text()}")
    assert run(tmp_path, bundle.files, None, bundle.names)[3].equals(wanted)


@pytest.mark.parametrize(("target", "assay"), [
    ("H2AZ", "histone"), ("H2A.Z", "histone"), ("H4K20me1", "histone"), ("H2BK120ac", "histone"), ("HDAC2", "TF"), ("HSF1", "TF"),
    ("DNase", "DNase"), ("HNF4A", "TF"), ("NA", "TF"),
])  # fmt: skip
def test_assays_are_told_by_the_target(tmp_path, target, assay):
    (tmp_path / "names").write_text(f" A549 |{target}|None \nK562|{target} |TNFa\nK562|{target}|NA\n")
    table = deepsea.read_names(tmp_path / "names", 3, "x")
    assert table["assay"].tolist() == [assay] * 3
    assert table["target"].tolist() == [target, f"{target} (TNFa)", target] and table["cell_type"].tolist() == ["A549", "K562", "K562"]


@pytest.mark.parametrize(("change", "why"), [
    (lambda text: text + "K562|CTCF|None\n", "13 names, but the labels have 12 targets"),
    (lambda text: text.split("\n", 1)[1], "11 names, but the labels have 12 targets"),
    (lambda text: text.replace("|forskolin", "", 1), "line 7 is 'K562|Pol2', not cell|target|treatment"),
    (lambda text: text.replace("|", ";"), "line 1 is 'K562;DNase;None', not cell"),
])  # fmt: skip
def test_names_that_do_not_fit_are_refused(tmp_path, bundle, change, why):
    bundle.names.write_text(change(bundle.names.read_text()))
    with pytest.raises(InputError, match=f"predictor.names: {why}".replace("|", r"\|")):
        run(tmp_path, bundle.files, None, bundle.names)


# Memory.


@pytest.mark.parametrize("kind", ["five", "seven"])
def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch, kind):
    rows, length, targets = 200_000, 100, 40
    monkeypatch.setattr(matlab, "PIECE", 1 << 20)
    monkeypatch.setattr(deepsea, "BLOCK", 4 << 20)  # three blocks: what was written is let go
    some = drawn(500, length, targets)
    codes, labels = (np.tile(one, (rows // 1000, 1)) for one in some)
    strands, truth = both_strands(codes, labels)
    arrays = {"testxdata": one_hot(strands), "testdata": truth.astype(np.uint8)}
    if kind == "five":
        (tmp_path / "test.mat").write_bytes(level5(arrays, compress=1))
    else:
        write_hdf5(tmp_path / "test.mat", arrays, chunks=True)
    size = arrays["testxdata"].nbytes
    del arrays, strands, truth
    tracemalloc.start()
    try:
        records, _ = convert([tmp_path / "test.mat"], None, None, tmp_path / "s.npy", tmp_path / "l.npy")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 80_000_000 and peak < size / 7, peak  # half of it is the table of records
    assert len(records) == 100_000 and np.array_equal(np.load(tmp_path / "s.npy"), codes)
    assert np.array_equal(np.load(tmp_path / "l.npy"), np.packbits(labels, axis=1))
