import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from made_up_bundle import level5, write_hdf5

from regdna.sources import matlab
from regdna.sources.matlab import open_array, variables
from regdna.step import InputError

SHAPE = (7, 4, 9)


def numbers(dtype, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).integers(0, 2 if dtype is bool else 100, shape).astype(dtype)


def assemble(array, axis, spans):
    """The result that pieces tile, put together; every value exactly once."""
    shape = list(array.shape)
    shape[axis] = sum(last - first for first, last in spans)
    out, times = np.zeros(shape, array.dtype), np.zeros(shape, int)
    for place, block in array.pieces(axis, spans):
        assert block.shape == out[place].shape and block.ndim == len(shape)
        out[place] = block
        times[place] += 1
    assert (times == 1).all()
    return out


def equal_in_pieces(path, name, wanted):
    """Whether every way of reading the array gives the same as ``wanted``."""
    array = open_array(path, name)
    assert array.shape == wanted.shape
    for axis, extent in enumerate(wanted.shape):
        for spans in ([(0, extent)], [(1, extent)], [(0, 1), (extent - 1, extent)], [(0, extent // 2)]):
            expected = np.concatenate([wanted.take(range(*span), axis) for span in spans], axis)
            assert np.array_equal(assemble(array, axis, spans), expected), (axis, spans)
    return array


@pytest.fixture(params=[1, 40, 500, 1 << 20])
def piece(request, monkeypatch):
    """From pieces of one number to all at once."""
    monkeypatch.setattr(matlab, "PIECE", request.param)
    return request.param


@pytest.mark.parametrize("compress", [False, True])
def test_files_of_scipy_are_read_as_scipy_reads_them(tmp_path, piece, compress):
    path = tmp_path / "some.mat"
    types = [np.uint8, np.float64, np.float32, bool, np.int16, np.int32, np.uint16, np.int64, np.uint64, np.int8]
    content = {f"x_{np.dtype(kind).name}": numbers(kind) for kind in types} | {
        "half": numbers(float) / 3,
        "flat": numbers(np.uint8, (5, 3)),
    }
    scipy.io.savemat(path, content, do_compression=compress)
    assert variables(path) == list(content)
    loaded = scipy.io.loadmat(path)
    for name, array in content.items():
        assert np.array_equal(loaded[name], array)
        equal_in_pieces(path, name, loaded[name])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compress", [None, 6])
@pytest.mark.parametrize("stored", ["u1", "i2", "i4", "f8"])
def test_either_order_of_bytes_and_any_way_of_storing_numbers(tmp_path, piece, order, compress, stored):
    path = tmp_path / "some.mat"
    content = {"x": numbers(float), "a_long_name_that_fits_no_tag": numbers(float, (3, 2), 1), "tiny": numbers(np.uint8, (2, 1, 2), 2)}
    path.write_bytes(level5(content, order, compress, stored))
    loaded = scipy.io.loadmat(path)
    for name in content:
        assert np.array_equal(loaded[name], content[name])
        assert equal_in_pieces(path, name, loaded[name]).dtype == np.dtype(order + stored)


@pytest.mark.parametrize(
    "options", [{}, {"chunks": True}, {"chunks": (2, 3, 4)}, {"chunks": (1, 1, 7), "compression": "gzip"}, {"chunks": (9, 4, 1)}]
)
@pytest.mark.parametrize("kind", [np.uint8, float, bool])
def test_hdf5_is_read_with_the_axes_that_matlab_shows(tmp_path, piece, options, kind):
    path = tmp_path / "some.mat"
    write_hdf5(path, {"x": numbers(kind)}, **options)
    assert path.read_bytes()[:19] == b"MATLAB 7.3 MAT-file" and path.read_bytes()[512:520] == b"\x89HDF\r\n\x1a\n"
    with h5py.File(path) as file:
        seen = file["x"][...]
    assert seen.shape == SHAPE[::-1]
    equal_in_pieces(path, "x", seen.T)


@pytest.mark.parametrize("what", ["double", "matrix", "minus", "multi", "3dmatrix", "bool"])
def test_files_that_matlab_wrote_are_read_as_scipy_reads_them(piece, what):
    # Of versions 5 and 7, from machines of either order of bytes; they come with scipy's own tests.
    folder = Path(scipy.io.__file__).parent / "matlab/tests/data"
    paths = [path for path in sorted(folder.glob(f"test{what}_*.mat")) if "_4" not in path.name]
    if not paths:
        pytest.skip(f"{folder}: scipy came without the files of its tests")
    for path in paths:
        loaded = scipy.io.loadmat(path)
        assert variables(path)
        for name in variables(path):
            array = open_array(path, name)
            assert np.array_equal(assemble(array, 1, [(0, array.shape[1])]), loaded[name]), path.name


@pytest.mark.parametrize("kind", ["five", "packed", "big"])
def test_a_file_with_wrong_bytes_is_refused_in_one_line_or_read(tmp_path, kind):
    draw, path = np.random.default_rng(0), tmp_path / "x.mat"
    content = {"x": numbers(np.uint8), "longer_name": numbers(float, (3, 4))}
    path.write_bytes(level5(content, ">" if kind == "big" else "<", 6 if kind == "packed" else None))
    whole, refused = path.read_bytes(), 0
    for _ in range(150):
        data = bytearray(whole)
        for at in draw.integers(0, len(data), 3):
            data[at] = draw.integers(0, 256)
        path.write_bytes(data)
        try:
            for name in variables(path):
                array = open_array(path, name)
                assert len(list(array.pieces(0, [(0, array.shape[0])])))
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 5


def test_the_kind_of_a_file_is_seen_by_its_content(tmp_path):
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["x"] = numbers(np.uint8)
    assert open_array(tmp_path / "plain.h5", "x").shape == SHAPE[::-1]
    scipy.io.savemat(tmp_path / "level5.mat", {"x": numbers(np.uint8)})
    (tmp_path / "level5.mat").rename(tmp_path / "level5.h5")
    assert open_array(tmp_path / "level5.h5", "x").shape == SHAPE


@pytest.mark.parametrize("size", [64, 200, 4000])
def test_pieces_stay_small(tmp_path, monkeypatch, size):
    monkeypatch.setattr(matlab, "PIECE", size)
    wide = numbers(np.uint8, (100, 4, 30))
    scipy.io.savemat(tmp_path / "five.mat", {"x": wide}, do_compression=True)
    write_hdf5(tmp_path / "seven.mat", {"x": wide}, chunks=(2, 2, 10))
    for name in ("five.mat", "seven.mat"):
        sizes = [block.nbytes for _, block in open_array(tmp_path / name, "x").pieces(0, [(0, 100)])]
        assert max(sizes) <= size and sum(sizes) == wide.size
        # As large as allowed, too, or reading would crawl.
        assert len(sizes) <= 4 * wide.size / size


def test_chunks_are_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(matlab, "PIECE", 60)
    write_hdf5(tmp_path / "x.mat", {"x": numbers(np.uint8, (50, 4, 30))}, chunks=(5, 2, 10))
    for place, _ in open_array(tmp_path / "x.mat", "x").pieces(0, [(0, 50)]):
        assert [place[0].start % 10, place[1].start % 2, place[2].start % 5] == [0, 0, 0]


def test_what_lies_behind_the_last_wanted_sample_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(matlab, "PIECE", 100)
    data = bytearray(level5({"x": numbers(np.uint8, (25, 4, 400))}, compress=0))
    data[-20] ^= 1  # its checksum is wrong from here
    (tmp_path / "x.mat").write_bytes(data)
    array = open_array(tmp_path / "x.mat", "x")
    assert np.array_equal(assemble(array, 2, [(0, 3)]), numbers(np.uint8, (25, 4, 400))[..., :3])
    with pytest.raises(InputError, match=r"x\.mat: the MATLAB file is damaged \(.*checksum"):
        assemble(array, 2, [(0, 400)])


@pytest.mark.parametrize("cut", [1, 4, 30, 300, 2000])
@pytest.mark.parametrize("kind", ["five", "packed", "seven", "chunks"])
def test_a_file_that_is_cut_short_is_said_to_be(tmp_path, kind, cut):
    path, content = tmp_path / "some.mat", {"x": numbers(np.uint8, (20, 4, 90)), "y": numbers(np.uint8, (20, 5))}
    if kind in ("five", "packed"):
        scipy.io.savemat(path, content, do_compression=kind == "packed")
    else:
        write_hdf5(path, content, **({"chunks": True, "compression": "gzip"} if kind == "chunks" else {}))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(InputError, match=r"some\.mat: the MATLAB file is (cut short|damaged \()"):
        variables(path)


@pytest.mark.parametrize("left", [20, 127, 400])
def test_a_file_of_which_only_the_beginning_is_there_is_cut_short(tmp_path, left):
    write_hdf5(tmp_path / "seven.mat", {"x": numbers(np.uint8)})
    (tmp_path / "five.mat").write_bytes(level5({"x": numbers(np.uint8, (9, 9, 9))}))
    for path in (tmp_path / "seven.mat", tmp_path / "five.mat"):
        path.write_bytes(path.read_bytes()[:left])
        with pytest.raises(InputError, match=r"\.mat: the MATLAB file is cut short; fetch it again$"):
            variables(path)


def test_a_zlib_stream_that_ends_early_is_cut_short(tmp_path):
    whole = level5({"x": numbers(np.uint8)}, compress=6)
    stream = whole[136:-60]
    (tmp_path / "x.mat").write_bytes(whole[:128] + struct.pack("<II", 15, len(stream)) + stream)
    with pytest.raises(InputError, match="cut short"):
        assemble(open_array(tmp_path / "x.mat", "x"), 0, [(0, 7)])


def test_a_checksum_that_is_missing_is_noticed(tmp_path):
    whole = level5({"x": numbers(np.uint8)}, compress=0)
    stream = whole[136:-4]
    (tmp_path / "x.mat").write_bytes(whole[:128] + struct.pack("<II", 15, len(stream)) + stream)
    with pytest.raises(InputError, match="cut short"):
        assemble(open_array(tmp_path / "x.mat", "x"), 0, [(0, 7)])


def test_a_zlib_stream_that_is_no_such_stream_is_damaged(tmp_path):
    whole = bytearray(level5({"x": numbers(np.uint8)}, compress=6))
    whole[140:180] = bytes(40)
    (tmp_path / "x.mat").write_bytes(whole)
    with pytest.raises(InputError, match=r"x\.mat: the MATLAB file is (damaged|cut short)"):
        assemble(open_array(tmp_path / "x.mat", "x"), 0, [(0, 7)])


@pytest.mark.parametrize("rows", [6, 8])
def test_an_array_that_is_not_as_large_as_it_says_is_damaged(tmp_path, rows):
    whole = level5({"name_of_it": numbers(np.uint8)})
    (tmp_path / "x.mat").write_bytes(whole.replace(struct.pack("<ii", 7, 4), struct.pack("<ii", rows, 4), 1))
    with pytest.raises(InputError, match=rf"damaged \(variable name_of_it has 252 bytes for {rows} x 4 x 9 numbers\)"):
        variables(tmp_path / "x.mat")


def test_a_damaged_chunk_is_said(tmp_path):
    path = tmp_path / "x.mat"
    write_hdf5(path, {"x": numbers(np.uint8, (200, 4, 50))}, chunks=True, compression="gzip")
    data = bytearray(path.read_bytes())
    data[-3000:-100] = bytes(2900)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"x\.mat: the MATLAB file is damaged \(.+\); fetch it again$") as caught:
        assemble(open_array(path, "x"), 0, [(0, 200)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"chr1\t0\t200\n" * 30, bytes(1000), zlib.compress(b"x" * 5000)])
def test_another_file_is_neither(tmp_path, content):
    (tmp_path / "x.mat").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.mat: neither a level 5 nor a 7\.3 MATLAB file"):
        open_array(tmp_path / "x.mat", "x")


def test_a_missing_variable_is_named_with_those_that_are_there(tmp_path):
    scipy.io.savemat(tmp_path / "five.mat", {"one": numbers(np.uint8), "two": "text"})
    write_hdf5(tmp_path / "seven.mat", {"one": numbers(np.uint8), "two": numbers(np.uint8)})
    for name in ("five.mat", "seven.mat"):
        with pytest.raises(InputError, match=name + ": no variable three; it holds one, two"):
            open_array(tmp_path / name, "three")


def test_what_is_no_full_array_of_real_numbers_is_refused(tmp_path):
    cells = np.empty((1, 2), object)
    cells[:] = "a"
    content = {
        "a sparse array": scipy.sparse.csc_array(np.eye(3)), "an array of complex numbers": np.ones((2, 2)) * 1j, "a cell array": cells,
        "text": "words", "a structure": {"a": 1}, "empty": np.zeros((0, 3)),
    }  # fmt: skip
    for compress in (False, True):
        names = {f"x{i}": value for i, value in enumerate(content.values())} | {"good": np.ones((2, 2))}
        scipy.io.savemat(tmp_path / "five.mat", names, do_compression=compress)
        assert variables(tmp_path / "five.mat") == list(names)
        for name, what in zip(names, content, strict=False):
            with pytest.raises(InputError, match=f"five.mat: variable {name} is {what}; a full array of real numbers is needed"):
                open_array(tmp_path / "five.mat", name)
        assert np.array_equal(assemble(open_array(tmp_path / "five.mat", "good"), 0, [(0, 2)]), np.ones((2, 2)))


def test_what_is_no_full_array_of_real_numbers_is_refused_in_hdf5(tmp_path):
    path = tmp_path / "seven.mat"
    write_hdf5(path, {"good": np.ones((2, 2))})
    with h5py.File(path, "r+") as file:
        file.create_group("sparse").attrs["MATLAB_sparse"] = np.uint64(3)
        file.create_group("structure").attrs["MATLAB_class"] = np.bytes_("struct")
        file.create_group("#refs#")
        file["complex"] = np.ones((2, 2)) * 1j
        file.create_dataset("cell", (2, 2), h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")
        for name, kind in (("text", "char"), ("object", "string")):
            file[name] = np.ones((2, 2), np.uint16)
            file[name].attrs["MATLAB_class"] = np.bytes_(kind)
        file["type"] = np.dtype("u1")
        file["link"] = h5py.SoftLink("/nowhere")
        file["empty"] = np.zeros((2, 1), np.uint64)
        file["empty"].attrs["MATLAB_empty"] = np.uint8(1)
    words = {
        "sparse": "a sparse array", "structure": "a structure", "complex": "an array of complex numbers", "cell": "a cell array",
        "text": "text", "object": "an object", "empty": "empty", "link": "a link to nothing", "type": "an object",
    }  # fmt: skip
    assert sorted(variables(path)) == sorted([*words, "good"])
    for name, what in words.items():
        with pytest.raises(InputError, match=f"seven.mat: variable {name} is {what}; a full array of real numbers is needed"):
            open_array(path, name)
