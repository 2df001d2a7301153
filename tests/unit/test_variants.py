import math

import numpy as np
import pandas as pd
import pytest
import toy_models

from regdna.alphabet import encode
from regdna.haplotypes import edits
from regdna.models import linear
from regdna.models.classifier import Classifier
from regdna.step import InputError
from regdna.variants import SCORES, block_rows, read_blocks, read_scores, read_variants, score, strongest, write_scores, write_variants

OWN = ["diff", "logit", "log2_odds", "deepsea_effect", "logit_seeds", "logit_views"]


def variants(*rows):
    return pd.DataFrame(rows, columns=["contig", "position", "ref", "alt"])


def logistic(odds):
    return 1 / (1 + math.exp(-odds))


class Counted:
    """A classifier whose two logits are sums over a window by an arbitrary rule, and which counts what it sees."""

    def __init__(self, length, seed=0):
        self.about = {"targets": ["a", "b"], "length": length}
        self.weight = np.random.default_rng(seed).normal(size=(length, 5, 2))
        self.seen = 0

    def strands(self, codes, position):
        self.seen += len(codes)
        out = []
        for one in (codes, np.array([3, 2, 1, 0, 4], np.uint8)[codes[:, ::-1]]):
            out.append(np.tanh(self.weight[np.arange(codes.shape[1]), one].sum(1)) + position[:, None] * 1e-6)
        return np.stack(out)


class TestScore:
    def test_scores_by_hand(self, tmp_path):
        classifier = Classifier(toy_models.motif_checkpoint(tmp_path / "c", 40, [4.0, -2.0], [-1.0, 0.5]))
        genome = toy_models.genome(tmp_path, {"chr1": "C" * 50 + "GATTACA" + "C" * 50 + "GATTCCA" + "C" * 50})
        found = score([classifier], genome, edits(variants(("chr1", 54, "A", "C"), ("chr1", 111, "C", "A"), ("chr1", 80, "C", "A"))))
        assert list(found) == OWN and set(OWN) < set(SCORES)
        for target, (slope, bias) in enumerate([(4, -1), (-2, 0.5)]):
            # the motif is on one strand; the other strand sees no change
            logit = -slope / 2
            diff = (logistic(bias) - logistic(bias + slope)) / 2
            assert found["logit"][:, target] == pytest.approx([logit, -logit, 0], abs=1e-5)
            assert found["diff"][:, target] == pytest.approx([diff, -diff, 0], abs=1e-5)
            assert found["log2_odds"][:, target] == pytest.approx(np.array([logit, -logit, 0]) / math.log(2), abs=1e-5)
            assert found["deepsea_effect"][:, target] == pytest.approx([abs(logit * diff)] * 2 + [0], abs=1e-5)
            assert found["logit_views"][:, target] == pytest.approx([abs(slope) / math.sqrt(2)] * 2 + [0], abs=1e-5)
        assert np.isnan(found["logit_seeds"]).all()
        assert all(one.dtype == np.float64 and one.shape == (3, 2) for one in found.values())

    def test_log_odds_come_from_logits_where_probabilities_are_all_one(self, tmp_path):
        classifier = Classifier(toy_models.gc_checkpoint(tmp_path / "c", 8, [8.0], [100.0]))
        found = score([classifier], toy_models.genome(tmp_path, {"chr1": "A" * 20}), edits(variants(("chr1", 9, "A", "C"))))
        assert found["logit"][0, 0] == pytest.approx(1, abs=1e-12)
        assert found["diff"][0, 0] == pytest.approx(0, abs=1e-12)

    def test_exclusive_scores_are_odds_against_all_others(self, tmp_path):
        classifier = Classifier(toy_models.gc_checkpoint(tmp_path / "c", 8, [8.0, 0.0, 0.0], [0.0] * 3, "exclusive"))
        found = score([classifier], toy_models.genome(tmp_path, {"chr1": "A" * 20}), edits(variants(("chr1", 9, "A", "C"))))
        rest = math.log(2) - math.log(math.e + 1)
        assert found["logit"][0] == pytest.approx([1, rest, rest])
        before, after = 1 / 3, math.e / (math.e + 2)
        assert found["diff"][0] == pytest.approx([after - before, (before - after) / 2, (before - after) / 2])

    def test_deepsea_effect_multiplies_what_is_averaged_over_views(self, tmp_path):
        # The logit is ten times the GC of the strand's first third.
        weight = np.zeros((1, 14))
        weight[0, 1] = 10
        folder = tmp_path / "c"
        folder.mkdir()
        linear.save(folder, toy_models.about("composition", {"l2": 1.0}, 30), weight, np.zeros(1))
        genome = toy_models.genome(tmp_path, {"chr1": "A" * 20 + "G" * 10 + "A" * 40})
        found = score([Classifier(folder)], genome, edits(variants(("chr1", 35, "A", "G"), ("chr1", 29, "G", "A"))), [0, -15])
        # Shifted by -15 the variant at 35 opens the window; without, it is out of the first third of either strand.
        parts = (found["logit"][:, 0], found["diff"][:, 0])
        assert found["deepsea_effect"][:, 0] == pytest.approx(np.abs(parts[0]) * np.abs(parts[1]))
        assert parts[0][0] == pytest.approx(1 / 4) and parts[1][0] == pytest.approx((logistic(1) - 0.5) / 4)

    @pytest.mark.parametrize("align", ["ends", "centre"])
    def test_scores_are_means_and_spreads_over_views_and_seeds_cut_out_by_hand(self, tmp_path, align):
        length, shifts, draw = 21, [0, -2, 5], np.random.default_rng(4)
        body = toy_models.letters(draw, 300)
        genome = toy_models.genome(tmp_path, {"chr1": body})
        other = "ACGT"[(encode(body[160])[0] + 1) % 4]
        deletion = (100, body[100:104], body[100])
        rows = [deletion, (130, body[130], body[130] + "GGCAT"), (160, body[160], other), deletion]
        seeds = [Counted(length, seed) for seed in range(3)]
        found = score(seeds, genome, edits(variants(*(("chr1", *row) for row in rows))), shifts, align)
        for number, (at, ref, alt) in enumerate(rows):
            edited = body[:at] + alt + body[at + len(ref) :]
            first, gone, added = (at, 1, 1) if len(ref) == len(alt) else (at + 1, len(ref) - 1, len(alt) - 1)
            pairs = {"left": (0, 0), "right": (gone - 1, added - 1), "centre": (gone // 2, added // 2)}
            frames = ["left"] if gone == added else ["left", "right"] if align == "ends" else ["centre"]
            logits, diffs = np.zeros((3, 3, 2, len(frames), 2)), np.zeros((3, 3, 2, len(frames), 2))
            for s, one in enumerate(seeds):
                for h, shift in enumerate(shifts):
                    for f, frame in enumerate(frames):
                        starts = [first + move - length // 2 - shift for move in pairs[frame]]
                        position = np.array([starts[0] + length / 2])
                        odds = [one.strands(encode(whole[start : start + length])[None], position)[:, 0]
                                for whole, start in zip((body, edited), starts, strict=True)]  # fmt: skip
                        logits[s, h, :, f] = odds[1] - odds[0]
                        diffs[s, h, :, f] = 1 / (1 + np.exp(-odds[1])) - 1 / (1 + np.exp(-odds[0]))
            assert found["logit"][number] == pytest.approx(logits.mean((0, 1, 2, 3)))
            assert found["diff"][number] == pytest.approx(diffs.mean((0, 1, 2, 3)))
            assert found["logit_seeds"][number] == pytest.approx(logits.mean((1, 2, 3)).std(0, ddof=1))
            assert found["logit_views"][number] == pytest.approx(logits.mean((0, 3)).reshape(6, 2).std(0, ddof=1))

    def test_alleles_of_one_site_share_their_reference_window(self, tmp_path):
        genome = toy_models.genome(tmp_path, {"chr1": "A" * 60, "chr2": "A" * 60})
        one = Counted(11)
        found = score([one], genome, edits(variants(*((chrom, 30, "A", alt) for chrom in ("chr1", "chr2") for alt in "CGT"))))
        assert one.seen == 2 + 6
        assert found["logit"][:3] == pytest.approx(found["logit"][3:])

    def test_an_edit_that_changes_nothing_has_no_effect(self, tmp_path):
        genome = toy_models.genome(tmp_path, {"chr1": toy_models.letters(np.random.default_rng(2), 90)})
        found = score([Counted(15)], genome, edits(variants(("chr1", 40, "A", "A"))), [0, 1])
        assert all(not found[name].any() for name in ("diff", "logit", "deepsea_effect", "logit_views"))

    @pytest.mark.parametrize("rows", [1, 3])
    def test_scores_do_not_depend_on_the_block(self, tmp_path, rows):
        body = toy_models.letters(np.random.default_rng(6), 200)
        genome = toy_models.genome(tmp_path, {"chr1": body})
        some = edits(variants(*(("chr1", at, body[at : at + 1 + at % 3], body[at] + "CC" * (at % 2)) for at in range(60, 120, 7))))
        whole = score([Counted(31)], genome, some)
        parts = [score([Counted(31)], genome, some[np.arange(at, min(at + rows, len(some)))]) for at in range(0, len(some), rows)]
        for name in ("diff", "logit", "deepsea_effect"):
            assert np.concatenate([one[name] for one in parts]) == pytest.approx(whole[name], abs=1e-12)


TABLE = pd.DataFrame({"line": [3, 4, 9], "chrom": "chr1", "position": [5, 6, 7], "id": ["a", ".", "b"], "measured": [0.5, np.nan, 1.0]})
ABOUT = {"targets": ["x", "y"], "definitions": {"logit": SCORES["logit"]}, "left_out": {"ALT is REF": 2}}
VALUES = {"logit": np.array([[1, -2], [0.5, 0.25], [-3, 3.5]]), "logit_views": np.array([[0, 2], [1, 1], [0, np.nan]])}


def blocks(*sizes):
    at = 0
    for size in sizes:
        yield {name: values[at : at + size] for name, values in VALUES.items()}
        at += size


class TestTables:
    def test_variants_come_back_with_what_is_said_of_them(self, tmp_path):
        write_variants(tmp_path / "deep/v.parquet", TABLE, ABOUT)
        table, about = read_variants(tmp_path / "deep/v.parquet")
        pd.testing.assert_frame_equal(table, TABLE)
        assert about == ABOUT

    @pytest.mark.parametrize("sizes", [(3,), (1, 2), (2, 1), (1, 1, 1)])
    def test_scores_come_back_whole_and_block_by_block(self, tmp_path, sizes):
        path = tmp_path / "s.parquet"
        write_scores(path, TABLE, blocks(*sizes), ABOUT)
        found = read_scores(path)
        pd.testing.assert_frame_equal(found.table, TABLE)
        assert found.about == ABOUT and list(found.values) == list(VALUES)
        parts = list(read_blocks(path, ["logit_views"]))
        assert [len(one.table) for one in parts] == list(sizes) and all(list(one.values) == ["logit_views"] for one in parts)
        for name, values in VALUES.items():
            assert found.values[name].dtype == np.float32 and np.array_equal(found.values[name], values, equal_nan=True)
        assert np.array_equal(np.concatenate([one.values["logit_views"] for one in parts]), VALUES["logit_views"], equal_nan=True)
        assert list(read_scores(path, []).values) == [] and len(read_scores(path, []).table) == 3

    @pytest.mark.parametrize(("rows", "sizes"), [(3, ()), (3, (2,)), (2, (3,)), (2, (2, 1))])
    def test_blocks_that_are_not_all_rows_are_refused_and_leave_nothing(self, tmp_path, rows, sizes):
        with pytest.raises(ValueError):  # our own, or pyarrow's
            write_scores(tmp_path / "s.parquet", TABLE.iloc[:rows], blocks(*sizes), ABOUT)
        assert not list(tmp_path.iterdir())

    def test_what_is_no_table_of_scores_is_named(self, tmp_path):
        path = tmp_path / "s.parquet"
        write_scores(path, TABLE, blocks(3), ABOUT)
        with pytest.raises(InputError, match=r"s.parquet: score diff is missing; it has logit, logit_views"):
            read_scores(path, ["diff"])
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(InputError, match=r"s.parquet: cut short or no Parquet file"):
            read_scores(path)
        TABLE.to_parquet(path)
        with pytest.raises(InputError, match=r"s.parquet: does not say what it holds"):
            list(read_blocks(path))

    def test_a_variant_is_shown_at_its_strongest_target_and_flagged_where_framing_does_as_much(self, tmp_path):
        write_scores(tmp_path / "s.parquet", TABLE, blocks(3), ABOUT)
        found = strongest(read_scores(tmp_path / "s.parquet"))
        assert found["name"].tolist() == ["y", "x", "y"] and found["target"].tolist() == [1, 0, 1]
        assert found["logit"].tolist() == [-2, 0.5, 3.5]
        assert found["below_views"].tolist() == [True, True, False]

    def test_a_block_is_about_a_million_values(self):
        assert block_rows(1) == block_rows(64) == 16384 and block_rows(919) == 1140 and block_rows(10**8) == 1
