import numpy as np
import pandas as pd
import pytest
import toy_models

from regdna.alphabet import encode
from regdna.step import InputError
from regdna.windows import Sequences, centred, count_bases, count_covered, describe, tile


def frame(start, length, chrom="chr1"):
    start = np.asarray(start)
    return pd.DataFrame({"chrom": chrom, "start": start, "end": start + length})


@pytest.mark.parametrize(("bin_size", "context"), [(200, 2000), (200, 200), (7, 21), (5, 9), (1, 1)])
@pytest.mark.parametrize("stride", [None, 3, 50, 333])
@pytest.mark.parametrize(("first", "last"), [(0, 5000), (1037, 4321), (2000, 2100), (13, 13), (-40, 600)])
def test_tile_gives_every_window_inside_whose_bin_is_on_the_grid(first, last, bin_size, context, stride):
    stride = stride or bin_size
    flank = (context - bin_size) // 2
    expected = [at for at in range(first, last - context + 1) if (at + flank) % stride == 0]
    assert tile(first, last, bin_size, context, stride).tolist() == expected


@pytest.mark.parametrize("stride", [200, 50, 130])
def test_tile_bins_do_not_depend_on_where_the_region_begins(stride):
    assert set(tile(1111, 9000, 200, 600, stride)) < set(tile(0, 9000, 200, 600, stride))


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


def test_bases_are_counted_by_hand_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("regdna.windows.READ_ROWS", 2)
    texts = ["GGCCAATT", "GNNNANNN", "CCCCCCCC"]
    np.save(tmp_path / "s.npy", np.stack([encode(text) for text in texts]))
    found = count_bases(Sequences(frame([0, 8, 16], 8), tmp_path / "s.npy"))
    assert found["gc"].tolist() == [0.5, 0.5, 1.0]
    assert found["n_fraction"].tolist() == [0, 0.75, 0]


def test_describe_by_hand():
    windows = pd.concat([frame([996, 996 + 4], 8), frame([10], 8, "chr2")], ignore_index=True)
    tss = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [900, 1005], "end": [901, 1006], "strand": [".", "+"]})
    bases = pd.DataFrame({"gc": [0.5, 0.25, 1.0], "n_fraction": [0, 0.75, 0]})
    found = describe(windows, bases, np.array([0.125, 1.0, np.nan]), tss, 1000)
    assert found["block"].tolist() == ["chr1:1", "chr1:1", "chr2:0"]
    assert found["gc"].tolist() == [0.5, 0.25, 1.0]
    assert found["n_fraction"].tolist() == [0, 0.75, 0]
    assert found["tss_distance"].tolist()[:2] == [5, 1] and np.isnan(found["tss_distance"][2])
    assert found["repeat_fraction"].tolist()[:2] == [0.125, 1.0] and np.isnan(found["repeat_fraction"][2])
    assert found["cluster"].is_unique
    assert "gc" not in windows


def test_describe_without_tss_gives_no_distance():
    bases = pd.DataFrame({"gc": [0.5], "n_fraction": [0.0]})
    assert describe(frame([1], 8), bases, np.array([np.nan]), None, 10)["tss_distance"].isna().all()


class TestCovered:
    def lower(self, draw, length):
        """A sequence with stretches in lower case, and where these are."""
        text = np.array(list(toy_models.letters(draw, length)))
        masked = np.repeat(draw.random(length // 5) < 0.4, 5)
        return "".join(np.where(masked, np.char.lower(text), text)), masked

    def slow(self, windows, masked, flank=0):
        """Share of masked bases, base by base; what a chromosome does not hold is not masked."""
        rows = zip(windows["chrom"], windows["start"] + flank, windows["end"] - flank, strict=True)
        return [sum(at in masked[chrom] for at in range(start, end)) / (end - start) for chrom, start, end in rows]

    @pytest.mark.parametrize("flank", [0, 3])
    def test_mask_and_intervals_give_the_share_of_a_slow_count(self, tmp_path, flank):
        draw = np.random.default_rng(7)
        (one, mask_one), (two, mask_two) = self.lower(draw, 305), self.lower(draw, 90)
        genome = toy_models.genome(tmp_path, {"chr1:1001-1305": one, "chr2": two}, {"chr1": 5000, "chr2": 90})
        masked = {"chr1": set(np.flatnonzero(mask_one) + 1000), "chr2": set(np.flatnonzero(mask_two))}
        # Every alignment to the bytes of the mask, and windows that reach over both ends of what is held.
        windows = pd.concat([frame(np.arange(990, 1310, 1), 17), frame(np.arange(-8, 85), 17, "chr2")], ignore_index=True)
        windows = windows.sample(frac=1, random_state=1).reset_index(drop=True)
        expected = self.slow(windows, masked, flank)
        assert count_covered(windows, genome, flank).tolist() == expected
        start = draw.integers(950, 1350, 30)
        bed = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + draw.integers(1, 30, 30)})
        held = {"chr1": {at for row in bed.itertuples() for at in range(row.start, row.end)}, "chr2": set()}
        assert count_covered(windows, bed, flank).tolist() == self.slow(windows, held, flank)

    def test_overlapping_intervals_count_once_and_those_elsewhere_never(self):
        windows = frame([0, 100, 200], 10)
        bed = pd.DataFrame({"chrom": ["chr1", "chr1", "chr1", "chr2"], "start": [2, 4, 95, 200], "end": [6, 8, 101, 210]})
        assert count_covered(windows, bed).tolist() == [0.6, 0.1, 0.0]
        assert count_covered(windows, bed.iloc[:0]).tolist() == [0.0, 0.0, 0.0]

    def test_without_repeats_nothing_is_known(self):
        assert np.isnan(count_covered(frame([0, 5], 4), None)).all()


class TestCentred:
    def genome(self, tmp_path):
        text = toy_models.letters(np.random.default_rng(2), 100)
        return toy_models.genome(tmp_path, {"chr1": text, "chr2:51-150": text}, {"chr1": 100, "chr2": 200})

    def test_bins_lie_on_the_middle_of_each_interval_each_once_in_order(self, tmp_path):
        bed = pd.DataFrame({"chrom": ["chr2", "chr1", "chr1", "chr1", "chr9"], "start": [90, 60, 40, 45, 0], "end": [110, 61, 61, 55, 9]})
        found = centred(bed, self.genome(tmp_path), 4, 10, False)
        # chr1:40-61 and chr1:45-55 have the same middle, 50; the bin of 4 bp around it is 48-52, its window 45-55.
        assert found.to_numpy().tolist() == [["chr1", 45, 55], ["chr1", 55, 65], ["chr2", 95, 105]]

    @pytest.mark.parametrize(("pad", "starts"), [(False, [0, 90]), (True, [-3, -2, 0, 90, 92, 93])])
    def test_windows_over_the_end_are_dropped_or_padded_but_bins_lie_inside(self, tmp_path, pad, starts):
        middle = np.array([1, 2, 3, 5, 95, 97, 98, 99])
        bed = pd.DataFrame({"chrom": "chr1", "start": middle, "end": middle + 1})
        found = centred(bed, self.genome(tmp_path), 4, 10, pad)
        assert found["start"].tolist() == starts

    def test_ends_are_those_of_what_is_held(self, tmp_path):
        bed = pd.DataFrame({"chrom": "chr2", "start": [54, 55, 145, 146], "end": [55, 56, 146, 147]})
        assert centred(bed, self.genome(tmp_path), 4, 10, False)["start"].tolist() == [50, 140]

    def test_no_interval_on_the_genome_gives_no_window(self, tmp_path):
        bed = pd.DataFrame({"chrom": ["chrM"], "start": [5], "end": [9]})
        assert centred(bed, self.genome(tmp_path), 4, 10, False).empty


def test_the_distance_is_to_the_site_where_transcription_starts_on_its_strand():
    windows = pd.DataFrame({"chrom": "chr1", "start": [9_900, 19_899], "end": [10_100, 20_099]})
    gene = pd.DataFrame({"chrom": ["chr1"], "start": [10_000], "end": [20_000], "strand": ["-"]})
    bases = pd.DataFrame({"gc": [0.5, 0.5], "n_fraction": [0.0, 0.0]})
    for strand, expected in (("-", [9_999, 0]), ("+", [0, 9_999])):
        found = describe(windows, bases, np.zeros(2), gene.assign(strand=strand), 1000)
        assert found["tss_distance"].tolist() == expected
