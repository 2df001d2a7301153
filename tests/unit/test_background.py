"""E-values and percentiles against counting every background value one by one."""

import numpy as np
import pandas as pd
import pytest
import toy_models

from regdna import background as module
from regdna.background import Background, magnitudes, save, strata, tally
from regdna.genome import Genome
from regdna.step import InputError
from regdna.variants import write_scores

TARGETS = 3
CHROM = "chr1"


def scores(path, diff, log2_odds, rows=700, **columns):
    """A table of scores of so many variants, in row groups of ``rows``."""
    given = {"chrom": CHROM, "contig": CHROM, "position": np.arange(len(diff)) + 1, "ref": "A", "alt": "C", "kind": "snv"} | columns
    about = {"targets": [f"t{at}" for at in range(diff.shape[1])], "variants": "toy", "seeds": [1], "split_digest": "0" * 16}
    blocks = [{"diff": diff[at : at + rows], "log2_odds": log2_odds[at : at + rows]} for at in range(0, len(diff), rows)]
    write_scores(path, pd.DataFrame(given, index=np.arange(len(diff))), blocks, about)
    return path


def drawn(count, seed=0):
    """Effects over many octaves, with ties and zeros among them."""
    draw = np.random.default_rng(seed)
    diff = draw.normal(size=(count, TARGETS)) * np.exp(draw.normal(-4, 2, (count, TARGETS)))
    diff = np.where(draw.random(diff.shape) < 0.3, np.round(diff, 2), diff).astype(np.float32)
    return diff, (diff * draw.uniform(1, 9, diff.shape).round(1)).astype(np.float32)


def counted(kept, asked):
    """How many of the kept, (m, T), are at least as large as each of those asked, (n, T)."""
    return np.stack([(kept[None, :, target] >= asked[:, None, target]).sum(1) for target in range(kept.shape[1])], 1)


@pytest.fixture
def opened(tmp_path):
    def of(diff, log2_odds, genome=None, rows=700, **columns):
        found = tally(scores(tmp_path / "v.parquet", diff, log2_odds, rows, **columns), genome)
        save(tmp_path / "background.npz", found)
        return Background.open(tmp_path / "background.npz")

    return of


def test_magnitudes_are_what_their_names_say_and_of_stored_scores():
    diff, log2_odds = np.array([[-0.1, 0.3]]), np.array([[2.0, -7.0]])
    product, size, odds = magnitudes(diff, log2_odds)
    assert product.dtype == np.float32 and np.allclose(product, [[0.2, 2.1]])
    assert np.allclose(size, [[0.1, 0.3]]) and odds.tolist() == [[2, 7]]
    assert np.array_equal(magnitudes(diff.astype(np.float32), log2_odds.astype(np.float32)), magnitudes(diff, log2_odds))
    assert list(module.MAGNITUDES) == ["evalue_2015", "evalue_diff", "percentile"]


@pytest.mark.parametrize("count", [1, 7, 999, 1000])
def test_a_small_background_is_counted_exactly_everywhere(opened, count):
    diff, log2_odds = drawn(count)
    background = opened(diff, log2_odds)
    asked = np.concatenate([np.abs(diff), np.abs(drawn(200, 1)[0])])
    expected = (1 + counted(np.abs(diff), asked)) / (1 + count)
    assert np.array_equal(background.evalues("evalue_diff", asked), expected.astype(np.float32))
    assert background.about["error"] == dict.fromkeys(module.MAGNITUDES, 0)


class TestLarge:
    """More values than are kept as they are."""

    COUNT = 6000

    @pytest.mark.parametrize("rows", [500, 6000])
    @pytest.mark.parametrize("which", [0, 1, 2])
    def test_the_tail_is_exact_with_its_ties_and_the_rest_within_the_stated_error(self, opened, which, rows):
        diff, log2_odds = drawn(self.COUNT)
        background = opened(diff, log2_odds, rows=rows)
        name = list(module.MAGNITUDES)[which]
        kept = magnitudes(diff, log2_odds)[which]
        asked = np.concatenate([kept, magnitudes(*drawn(500, 5))[which], np.zeros((1, TARGETS)), np.full((1, TARGETS), 1e9)])
        found, expected = background.evalues(name, asked), (1 + counted(kept, asked)) / (1 + self.COUNT)
        tail = asked >= np.sort(kept, 0)[-module.TOP]
        assert np.array_equal(found[tail], expected.astype(np.float32)[tail])
        zero = asked == 0
        assert (found[zero] == 1).all()
        error = np.abs(found - expected)
        assert error.max() <= background.about["error"][name] + 1e-7
        assert 0 < background.about["error"][name] < 0.1
        assert found[-1].tolist() == [np.float32(1 / (1 + self.COUNT))] * TARGETS

    def test_many_values_equal_to_the_smallest_that_is_kept_are_all_counted(self, opened):
        draw = np.random.default_rng(3)
        diff = np.concatenate([np.full((4000, 1), 0.5), draw.uniform(0.6, 1, (300, 1)), draw.uniform(0, 0.4, (500, 1))])
        draw.shuffle(diff)
        background = opened(diff, diff)
        asked = np.array([[0.5], [0.45], [0.55], [1.1]])
        found = background.evalues("evalue_diff", asked)[:, 0] * (1 + len(diff)) - 1
        assert found.round(3).tolist() == [4300, 4300, 300, 0]

    def test_no_larger_value_has_a_larger_e_value(self, opened):
        background = opened(*drawn(self.COUNT))
        asked = np.repeat(np.r_[0, np.geomspace(1e-20, 10, 4000)].astype(np.float32)[:, None], TARGETS, 1)
        for name in module.MAGNITUDES:
            assert (np.diff(background.evalues(name, asked), axis=0) <= 0).all()

    def test_percentiles_are_shares_of_smaller_effects(self, opened):
        diff, log2_odds = drawn(self.COUNT)
        background = opened(diff, log2_odds)
        top = np.sort(np.abs(log2_odds), 0)[-50:]
        expected = 100 * (1 - counted(np.abs(log2_odds), top) / self.COUNT)
        assert np.allclose(background.percentile("percentile", top), expected, atol=1e-5)
        assert background.percentile("percentile", np.zeros((1, TARGETS))).tolist() == [[0] * TARGETS]

    def test_columns_are_the_three_by_name(self, opened):
        diff, log2_odds = drawn(self.COUNT)
        background = opened(diff, log2_odds)
        found = background.columns(diff[:9], log2_odds[:9])
        product, size, odds = magnitudes(diff[:9], log2_odds[:9])
        assert list(found) == list(module.MAGNITUDES)
        assert np.array_equal(found["evalue_2015"], background.evalues("evalue_2015", product))
        assert np.array_equal(found["evalue_diff"], background.evalues("evalue_diff", size))
        assert np.array_equal(found["percentile"], background.percentile("percentile", odds))
        assert all(values.dtype == np.float32 for values in found.values())

    def test_counts_are_stated(self, opened):
        about = opened(*drawn(self.COUNT)).about
        assert (about["offered"], about["retained"], about["matched"]) == (self.COUNT, module.TOP, "not matched")
        assert about["targets"] == ["t0", "t1", "t2"] and about["variants"] == "toy"


def test_another_number_of_targets_is_refused(opened):
    background = opened(*drawn(20))
    with pytest.raises(ValueError, match="2 targets, but the background has 3"):
        background.evalues("evalue_diff", np.ones((4, 2)))


def test_what_is_no_number_is_named_by_its_row(tmp_path):
    diff, log2_odds = drawn(5000)
    log2_odds[4321, 1] = np.nan
    with pytest.raises(InputError, match=r"v.parquet: row 4322 has a score that is no finite number; score"):
        tally(scores(tmp_path / "v.parquet", diff, log2_odds), None)


class TestMatching:
    SEQUENCE = "ACGTTGCATGCAACGCATTT"

    def table(self, *rows):
        """Rows of position, ref, alt, af; kind by the alleles."""
        table = pd.DataFrame(rows, columns=["position", "ref", "alt", "af"]).assign(contig=CHROM)
        table["kind"] = np.where((table["ref"].str.len() == 1) & (table["alt"].str.len() == 1), "snv", "deletion")
        return table

    def test_strata_are_frequency_and_c_to_t_at_cpg_on_either_strand(self, tmp_path):
        genome = toy_models.genome(tmp_path, {CHROM: self.SEQUENCE})
        rows = [(1, "C", "T", 0.0005), (2, "G", "A", 0.0005), (1, "C", "A", 0.0005), (6, "C", "T", 0.0005), (5, "G", "A", 0.0005),
                (1, "C", "T", 0.3), (1, "C", "T", 0.9995), (1, "C", "T", 0.001), (1, "C", "T", 0.02)]  # fmt: skip
        assert strata(self.table(*rows), genome).tolist() == [2, 2, 1, 1, 1, 8, 2, 4, 6]

    def test_what_is_not_known_is_in_none(self, tmp_path):
        genome = toy_models.genome(tmp_path, {CHROM: self.SEQUENCE})
        table = self.table((1, "C", "T", np.nan), (1, "CG", "C", 0.1), (1, "C", "T", 0.1), (0, "A", "C", 0.1), (19, "T", "C", 0.1))
        table.loc[2, "contig"] = "chr7"
        assert strata(table, genome).tolist() == [0, 0, 0, 7, 7]
        assert not strata(table, None).any() and not strata(table.drop(columns="af"), genome).any()

    def test_a_variant_is_counted_among_its_like_where_there_are_enough(self, opened, tmp_path):
        draw = np.random.default_rng(0)
        sequence = toy_models.letters(draw, 9000)
        genome = toy_models.genome(tmp_path, {CHROM: sequence})
        position = draw.integers(1, 8999, 7000)
        ref = np.array(list(sequence))[position]
        columns = {"position": position, "ref": ref, "alt": np.array([{"A": "G", "C": "T", "G": "A", "T": "C"}[one] for one in ref])}
        columns["af"] = draw.choice([0.0001, 0.005, 0.03, 0.2, np.nan], 7000, p=[0.5, 0.3, 0.05, 0.05, 0.1])
        diff, log2_odds = drawn(7000, 2)
        background = opened(diff, log2_odds, genome, **columns)
        mine = strata(pd.DataFrame(columns).assign(contig=CHROM, kind="snv"), genome)
        sizes = np.bincount(mine, minlength=module.STRATA + 1)
        large = [group for group in range(1, module.STRATA + 1) if sizes[group] >= module.TOP]
        assert large == [1, 3] and background.about["strata"] == {str(group): sizes[group] for group in large}
        kept, asked = np.abs(diff), np.sort(np.abs(diff), 0)[-40:]
        for group in range(module.STRATA + 1):
            among = kept[mine == group] if group in large else kept
            expected = (1 + counted(among, asked)) / (1 + len(among))
            found = background.evalues("evalue_diff", asked, np.full(40, group))
            assert np.array_equal(found, expected.astype(np.float32)), group
        assert background.about["matched"].startswith("on minor allele frequency")
        # All together, over strata that are kept and strata that are not, with ties across them.
        tail = np.sort(kept, 0)[-module.TOP :]
        expected = (1 + counted(kept, tail)) / 7001
        assert np.array_equal(background.evalues("evalue_diff", tail), expected.astype(np.float32))

    def test_the_elements_own_genome_has_contexts_too(self, tmp_path):
        files = toy_models.genome_files(tmp_path, {CHROM: self.SEQUENCE})
        assert strata(self.table((1, "C", "T", 0.2)), Genome(*files)).tolist() == [8]
