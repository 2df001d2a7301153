import numpy as np
import pandas as pd
import pytest
import toy_models

from regdna.alphabet import encode
from regdna.step import InputError
from regdna.windows import Sequences, describe, tile


def frame(start, length, chrom="chr1"):
    start = np.asarray(start)
    return pd.DataFrame({"chrom": chrom, "start": start, "end": start + length})


@pytest.mark.parametrize(("bin_size", "context"), [(200, 2000), (200, 200), (7, 21), (5, 9), (1, 1)])
@pytest.mark.parametrize(("first", "last"), [(0, 5000), (1037, 4321), (2000, 2100), (13, 13)])
def test_tile_gives_every_window_inside_whose_bin_is_on_the_grid(first, last, bin_size, context):
    flank = (context - bin_size) // 2
    expected = [at for at in range(first, last - context + 1) if (at + flank) % bin_size == 0]
    assert tile(first, last, bin_size, context).tolist() == expected


def test_tile_bins_do_not_depend_on_where_the_region_begins():
    assert set(tile(1111, 9000, 200, 600)) < set(tile(0, 9000, 200, 600))


class TestSequences:
    @pytest.fixture
    def codes(self, tmp_path):
        codes = np.random.default_rng(0).integers(0, 5, (6, 20)).astype(np.uint8)
        np.save(tmp_path / "sequences.npy", codes)
        return codes

    def test_array_rows_come_in_the_order_asked(self, tmp_path, codes):
        found = Sequences(frame(np.arange(6) * 100, 20), tmp_path / "sequences.npy")
        assert len(found) == 6 and found.length == 20
        assert np.array_equal(found[np.array([4, 0, 4])], codes[[4, 0, 4]])

    @pytest.mark.parametrize("length", [20, 10, 7, 1])
    def test_array_and_genome_give_the_same_centre(self, tmp_path, length):
        text = toy_models.letters(np.random.default_rng(1), 500)
        windows = frame([0, 37, 480, 100], 20)
        np.save(tmp_path / "s.npy", np.stack([encode(text[at : at + 20]) for at in windows["start"]]))
        genome = toy_models.genome_files(tmp_path, {"chr1": text})
        rows = np.array([2, 0, 3, 1])
        one, two = Sequences(windows, tmp_path / "s.npy", length=length), Sequences(windows, genome=genome, length=length)
        shift = (20 - length) // 2
        assert np.array_equal(one[rows], two[rows])
        assert np.array_equal(one[rows], np.stack([encode(text[at + shift : at + shift + length]) for at in windows["start"][rows]]))

    def test_zero_length_means_all(self, tmp_path, codes):
        assert Sequences(frame(np.arange(6), 20), tmp_path / "sequences.npy", length=0).length == 20

    @pytest.mark.parametrize(
        ("windows", "length", "message"),
        [
            (frame(np.arange(5), 20), None, "6 rows, but 5 windows"),
            (frame(np.arange(6), 20), 21, "21 bp was asked for, but the windows have 20"),
            (pd.concat([frame([1, 2, 3], 20), frame([1, 2, 3], 19)]), None, "2 lengths"),
        ],
    )
    def test_files_that_do_not_fit_are_refused(self, tmp_path, codes, windows, length, message):
        with pytest.raises(InputError, match=message):
            Sequences(windows, tmp_path / "sequences.npy", length=length)

    def test_either_an_array_or_a_genome_is_needed(self, tmp_path, codes):
        with pytest.raises(InputError, match="one of the two"):
            Sequences(frame([1], 20))
        with pytest.raises(InputError, match="one of the two"):
            Sequences(frame([1], 20), tmp_path / "sequences.npy", [tmp_path, tmp_path])


def test_describe_by_hand(tmp_path, monkeypatch):
    monkeypatch.setattr("regdna.windows.READ_ROWS", 2)
    texts = ["GGCCAATT", "GNNNANNN", "CCCCCCCC"]
    np.save(tmp_path / "s.npy", np.stack([encode(text) for text in texts]))
    windows = pd.concat([frame([996, 996 + 4], 8), frame([10], 8, "chr2")], ignore_index=True)
    tss = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [900, 1005]})
    found = describe(windows, Sequences(windows, tmp_path / "s.npy"), tss, 1000)
    assert found["block"].tolist() == ["chr1:1", "chr1:1", "chr2:0"]
    assert found["gc"].tolist() == [0.5, 0.5, 1.0]
    assert found["n_fraction"].tolist() == [0, 0.75, 0]
    assert found["tss_distance"].tolist()[:2] == [5, 1] and np.isnan(found["tss_distance"][2])
    assert found["cluster"].is_unique and found["repeat_fraction"].isna().all()
    assert "gc" not in windows


def test_describe_without_tss_gives_no_distance(tmp_path):
    np.save(tmp_path / "s.npy", np.zeros((1, 8), np.uint8))
    assert describe(frame([1], 8), Sequences(frame([1], 8), tmp_path / "s.npy"), None, 10)["tss_distance"].isna().all()
