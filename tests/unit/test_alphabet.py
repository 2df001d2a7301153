import numpy as np
import pytest

from regdna.alphabet import N, cpg_ratio, decode, encode, gc_content, reverse_complement, unpack_two_bits


@pytest.fixture
def codes():
    return np.random.default_rng(0).integers(0, 5, (50, 37)).astype(np.uint8)


@pytest.mark.parametrize(
    ("text", "expected"), [("ACGTN", [0, 1, 2, 3, 4]), ("acgtn", [0, 1, 2, 3, 4]), (b"RYKM-*", [N] * 6), ("", []), ("Uu", [N, N])]
)
def test_encode_gives_known_codes(text, expected):
    found = encode(text)
    assert found.tolist() == expected
    assert found.dtype == np.uint8


def test_decode_undoes_encode(codes):
    assert all(np.array_equal(encode(decode(row)), row) for row in codes)


def test_reverse_complement_equals_string_translation(codes):
    for row, found in zip(codes, reverse_complement(codes), strict=True):
        assert decode(found) == decode(row)[::-1].translate(str.maketrans("ACGTN", "TGCAN"))


def test_reverse_complement_twice_is_identity_and_keeps_shape_and_dtype(codes):
    cube = codes.reshape(5, 10, 37)
    once = reverse_complement(cube)
    assert once.shape == cube.shape and once.dtype == cube.dtype
    assert np.array_equal(reverse_complement(once), cube)
    assert np.array_equal(reverse_complement(codes[3]), reverse_complement(codes)[3])


@pytest.mark.parametrize("length", [1, 4, 7, 200])
def test_unpack_two_bits_reads_first_base_from_highest_bits(length):
    codes = np.random.default_rng(length).integers(0, 4, (6, length))
    packed = np.zeros((6, -(-length // 4)), np.uint8)
    for row in range(6):
        for i, code in enumerate(codes[row]):
            packed[row, i // 4] |= code << (6 - 2 * (i % 4))
    assert np.array_equal(unpack_two_bits(packed, length), codes)


def test_gc_content_leaves_n_out_and_is_nan_without_bases():
    found = gc_content(np.stack([encode("GGCA"), encode("GNNN"), encode("ATNN"), encode("NNNN")]))
    assert found[:3].tolist() == [0.75, 1.0, 0.0]
    assert np.isnan(found[3])


def test_cpg_ratio_by_hand():
    # 2 CpG, 3 C, 2 G in 8 bases: 2 * 8 / (3 * 2)
    assert cpg_ratio(encode("CGTACGAC")) == pytest.approx(16 / 6)
    assert cpg_ratio(encode("CCCC")) == 0
    assert cpg_ratio(encode("GCGC")) == pytest.approx(1 * 4 / 4)
