import numpy as np
import pyBigWig
import pytest

from regdna.step import InputError
from regdna.tracks import write_bigwig


class TestBigWig:
    @pytest.mark.parametrize("start", [0, 20_067_655])
    def test_values_are_read_back_and_gaps_stay_gaps(self, tmp_path, start):
        values = np.random.default_rng(0).normal(size=200)
        values[[0, 7, 8, 150]] = np.nan
        path = tmp_path / "deep/e.bw"
        write_bigwig(path, "chr22", start, values)
        assert [one.name for one in path.parent.iterdir()] == ["e.bw"]
        with pyBigWig.open(str(path)) as track:
            assert track.values("chr22", start, start + 200) == pytest.approx(values.astype(np.float32).tolist(), nan_ok=True)
            assert list(track.chroms()) == ["chr22"]
            assert track.intervals("chr22")[0][0] == start + 1

    def test_no_value_at_all_is_refused_and_leaves_nothing(self, tmp_path):
        with pytest.raises(InputError, match="no base has a value"):
            write_bigwig(tmp_path / "e.bw", "chr1", 0, np.full(5, np.nan))
        assert not list(tmp_path.iterdir())
