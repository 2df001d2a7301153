import itertools
import logging
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import toy_models

from regdna.alphabet import encode
from regdna.genome import Genome
from regdna.homology import Axis, Words, axis, clusters, linkage, share_with, words
from regdna.step import InputError

K = 21
TURNED = str.maketrans("ACGTN", "TGCAN")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """The axis is read in so small pieces that every test crosses their borders."""
    for module in (axis, words):
        monkeypatch.setattr(module, "CHUNK", 997)
    monkeypatch.setattr(axis, "READ_ROWS", 7)


def rows(texts, chrom=None, start=None):
    """Windows of equally long texts, each on its own chromosome unless said otherwise, and their codes."""
    table = pd.DataFrame(
        {"chrom": [f"s{i}" for i in range(len(texts))] if chrom is None else chrom, "start": 0 if start is None else start}
    )
    return table.assign(end=table["start"] + len(texts[0])), np.stack([encode(text) for text in texts])


def listed(texts, chrom=None, start=None, **more):
    """The words of windows that come as sequences."""
    return Words(Axis(*rows(texts, chrom, start)), **more)


def random_texts(seed, count, length=100):
    draw = np.random.default_rng(seed)
    return [toy_models.letters(draw, length) for _ in range(count)]


def turned(text):
    return text.translate(TURNED)[::-1]


class Slow:
    """Everything that ``homology`` computes, word by word and tile by tile, from texts; lower case is masked."""

    def __init__(self, table, texts, block=None, most=10):
        self.texts, self.length = texts, len(texts[0])
        chroms = list(dict.fromkeys(table["chrom"]))
        order = sorted(range(len(texts)), key=lambda i: (chroms.index(table["chrom"][i]), table["start"][i]))
        place = [(table["chrom"][i], int(table["start"][i])) for i in range(len(texts))]
        self.unit, stretches, last = {}, [], None
        for i in order:
            step = None if last is None or place[i][0] != place[last][0] else place[i][1] - place[last][1]
            name = (place[i][0], (place[i][1] + self.length // 2) // block) if block else None
            if not block:
                name = self.unit[last] if step is not None and step < self.length else i
            if step is None or step > self.length - K + 1 or texts[last][step:].upper() != texts[i][: self.length - step].upper():
                stretches.append([])
            stretches[-1].append(i)
            self.unit[i], last = name, i
        self.tiles = []  # of each, its unit and words
        for members in stretches:
            begin, bases = place[members[0]][1], {}
            for i in members:
                bases |= dict(enumerate(texts[i], start=place[i][1]))
            end = max(bases) + 1
            units = list(dict.fromkeys(self.unit[i] for i in members))
            cuts = [begin, *(unit[1] * block for unit in units[1:]), end] if block else [begin, end]
            for unit, low, high in zip(units, cuts[:-1], cuts[1:], strict=True):
                count = max(round((high - low) / self.length), 1)
                tiles = [set() for _ in range(count)]
                for at in range(low, min(high, end - K + 1)):
                    word = self.word("".join(bases[j] for j in range(at, at + K)))
                    if word:
                        tiles[(at - low) * count // (high - low)].add(word)
                self.tiles += [(unit, tile) for tile in tiles]
        number = Counter(word for _, tile in self.tiles for word in tile)
        self.frequent = {word for word, found in number.items() if found > most}

    @staticmethod
    def word(text):
        return min(text, turned(text)) if set(text) <= set("ACGT") else None

    def words(self, i):
        found = (self.word(self.texts[i][j : j + K]) for j in range(self.length - K + 1))
        return [word for word in found if word]

    def share(self, part, i):
        known = {word for j in np.flatnonzero(part) for word in self.words(j)}
        every = self.words(i)
        judged = [word for word in every if word not in self.frequent]
        judged = every if len(judged) < 0.5 * len(every) else judged
        return np.mean([word in known for word in judged]) if judged else np.nan

    def clusters(self, threshold):
        good = [tile - self.frequent for _, tile in self.tiles]
        poor = [len(one) < 0.5 * len(tile) for one, (_, tile) in zip(good, self.tiles, strict=True)]
        size = [len(tile) if is_poor else len(one) for one, (_, tile), is_poor in zip(good, self.tiles, poor, strict=True)]
        shared = Counter()
        for a, b in itertools.combinations(range(len(self.tiles)), 2):
            shared[a, b] += len(good[a] & good[b])
        for word in self.frequent:
            holders = [a for a, (_, tile) in enumerate(self.tiles) if word in tile and poor[a]]
            shared.update(zip(holders[:-1], holders[1:], strict=True))
        group = {unit: unit for unit, _ in self.tiles}
        for (a, b), count in shared.items():
            if count >= 2 and count / min(size[a], size[b]) >= threshold:
                one, other = group[self.tiles[a][0]], group[self.tiles[b][0]]
                group = {unit: one if name == other else name for unit, name in group.items()}
        return pd.factorize(pd.Series([str(group[self.unit[i]]) for i in range(len(self.texts))]))[0]


def made_up(seed, count=70, length=90):
    """Windows in clumps on two chromosomes, with N, masked bases, planted copies on both strands and a repeat; and the genome."""
    draw = np.random.default_rng(seed)
    chroms = {name: list(toy_models.letters(draw, 6000)) for name in ("chr1", "chr2")}
    alu = toy_models.letters(draw, 70)
    for chrom in chroms.values():
        for at in range(150, 5900, 160):
            chrom[at : at + 70] = alu if draw.random() < 0.5 else turned(alu)
        for at in draw.integers(0, 5900, 3):
            chrom[at : at + 5] = "NNNNN"
        for at in draw.integers(0, 5900, 8):
            chrom[at : at + 60] = "".join(chrom[at : at + 60]).lower()
    for at, to in draw.integers(0, 5800, (12, 2)):
        piece = "".join(chroms["chr1"][at : at + 120]).upper()
        chroms["chr2"][to : to + 120] = piece if draw.random() < 0.5 else turned(piece)
    chroms = {name: "".join(chrom) for name, chrom in chroms.items()}
    table = pd.DataFrame({"chrom": draw.choice(["chr1", "chr2"], count), "start": draw.integers(0, 300, count) * 20 % 5900})
    table["end"] = table["start"] + length
    return table, [chroms[chrom][start : start + length] for chrom, start in zip(table["chrom"], table["start"], strict=True)], chroms


@pytest.fixture(params=range(4))
def case(request, tmp_path, monkeypatch):
    """A made-up dataset, from its genome (with masks) or as sequences (without); its words and the slow ones."""
    table, texts, chroms = made_up(request.param)
    block = [None, 700][request.param // 2]
    if request.param == 3:
        monkeypatch.setattr(words, "SHORT", 0)
    if request.param % 2:
        texts = [text.upper() for text in texts]
        return Words(Axis(table, np.stack([encode(text) for text in texts])), block), Slow(table, texts, block), table
    return Words(Axis(table, genome=toy_models.genome(tmp_path, chroms)), block), Slow(table, texts, block), table


class TestAgainstTheSlowWay:
    def test_the_words_of_every_window_are_its_21mers_by_place(self, case):
        fast, slow, table = case
        assert fast.one_in == 1
        hashes = {}
        for i in range(len(table)):
            mine, theirs = fast.hash[fast.low[i] : fast.high[i]].tolist(), slow.words(i)
            assert len(mine) == len(theirs)
            for one, word in zip(mine, theirs, strict=True):
                assert hashes.setdefault(word, one) == one
        assert len(set(hashes.values())) == len(hashes)  # one hash a word, one word a hash
        informative = {
            one for i in range(len(table)) for one in fast.hash[fast.low[i] : fast.high[i]][fast.informative[fast.low[i] : fast.high[i]]]
        }
        assert informative == {one for word, one in hashes.items() if word not in slow.frequent}
        assert len(slow.frequent) > 20

    @pytest.mark.parametrize("seed", range(3))
    def test_shares(self, case, seed):
        fast, slow, table = case
        part = np.random.default_rng(seed).random(len(table)) < 0.4
        mine = np.random.default_rng(seed).permutation(len(table))[:25]
        expected = np.array([slow.share(part, i) for i in mine])
        found = share_with(fast, part, mine)
        assert np.array_equal(found, expected, equal_nan=True)
        assert len(np.unique(expected)) > 4

    @pytest.mark.parametrize("threshold", [0.05, 0.1, 0.3, 0.35, 0.9])
    def test_clusters_and_their_curve(self, case, threshold):
        fast, slow, table = case
        found, about = clusters(fast, threshold)
        assert found.dtype == np.int64 and found.tolist() == slow.clusters(threshold).tolist()
        assert (about["count"], about["largest"]) == (found.max() + 1, np.bincount(found).max())
        assert list(about["curve"]) == [f"0.{tenth}" for tenth in range(1, 10)]
        for least in (0.1, 0.5, 0.9):
            size = np.bincount(slow.clusters(least))
            assert about["curve"][f"{least}"] == {"clusters": len(size), "largest": size.max()}

    def test_pairs_counted_in_several_passes_give_the_same(self, case, monkeypatch):
        fast, _, _ = case
        before = clusters(fast, 0.3)
        assert before[1]["count"] < len(np.unique(fast.unit))
        monkeypatch.setattr(linkage, "MOST_PAIRS", 50)
        after = clusters(fast, 0.3)
        assert before[0].tolist() == after[0].tolist() and before[1] == after[1]


class TestAxis:
    def test_overlapping_windows_lie_there_once_and_read_as_they_are(self, tmp_path):
        table, texts, chroms = made_up(5)
        found = Axis(table, genome=toy_models.genome(tmp_path, chroms))
        assert found.size < len(table) * 90 * 0.9
        for at, window in zip(found.place, found.order, strict=True):
            codes = found.read(at, at + 90)
            assert np.array_equal(codes & 7, encode(texts[window]))
            assert ((codes & axis.MASKED) > 0).tolist() == [letter.islower() for letter in texts[window]]

    def test_rows_are_stretches_of_their_own_where_they_do_not_agree(self):
        text = toy_models.letters(np.random.default_rng(0), 150)
        alleles = [text[:100], text[20:60] + ("A" if text[60] != "A" else "C") + text[61:120], text[40:140], text[50:150]]
        table, codes = rows(alleles, "chr1", [0, 20, 40, 50])
        found = Axis(table, codes)
        assert found.opens.tolist() == [True, True, True, False]
        for at, row in zip(found.place, found.order, strict=True):
            assert np.array_equal(found.read(at, at + 100), codes[row])

    @pytest.mark.parametrize("at", [30, 99])
    def test_rows_agree_only_if_every_base_does(self, at):
        text = toy_models.letters(np.random.default_rng(0), 130)
        other = text[:at] + turned(text[at]) + text[at + 1 :]
        assert not Axis(*rows([text[:100], text[30:]], "chr1", [0, 30])).opens[1]
        assert Axis(*rows([text[:100], other[30:]], "chr1", [0, 30])).opens[1]

    def test_windows_that_share_fewer_than_20_bases_are_apart_so_that_no_word_lies_between_them(self):
        text = toy_models.letters(np.random.default_rng(0), 200)
        for step, joined in [(80, True), (81, False), (100, False)]:
            table, codes = rows([text[:100], text[step : step + 100]], "chr1", [0, step])
            assert Axis(table, codes).opens[1] != joined
            assert len(Words(Axis(table, codes)).hash) == 80 + min(step, 80)

    def test_a_genome_gives_n_beyond_what_it_holds(self, tmp_path):
        draw = np.random.default_rng(1)
        records = {name: toy_models.letters(draw, 304) for name in ("chr1:101-404", "chr2", "chr3")}  # records that adjoin in the file
        genome = toy_models.genome(tmp_path, records, {"chr1": 900, "chr2": 304, "chr3": 304})
        table = pd.DataFrame({"chrom": ["chr2", "chr1", "chr1", "chr2"], "start": [250, 50, 380, -50]}).assign(
            end=lambda one: one["start"] + 100
        )
        found = Axis(table, genome=genome)
        for at, window in zip(found.place, found.order, strict=True):
            assert np.array_equal(found.read(at, at + 100), genome.fetch(*table.iloc[window]))

    def test_a_genome_without_a_mask_masks_nothing(self, tmp_path):
        files = toy_models.genome_files(tmp_path, {"chr1": "acgtacgtacggattacagatacagagattaacgagt"})
        table = pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [36]})
        assert len(Words(Axis(table, genome=Genome(*files))).hash) == 0
        assert len(Words(Axis(table, genome=Genome(*files[:2]))).hash) == 16

    def test_windows_of_several_lengths_or_on_an_unknown_chromosome_are_refused(self, tmp_path):
        table, codes = rows(random_texts(0, 2))
        with pytest.raises(InputError, match="windows of 100 to 101 bp"):
            Axis(table.assign(end=[100, 101]), codes)
        with pytest.raises(InputError, match="s0, which the genome lacks"):
            Axis(table, genome=toy_models.genome(tmp_path, {"chr1": "ACGT" * 50}))


class TestFingerprints:
    @pytest.mark.parametrize("source", ["genome", "rows"])
    def test_equal_sequences_and_only_they_have_equal_ones(self, source, tmp_path, monkeypatch):
        monkeypatch.setattr(axis, "CHUNK", 7)
        table, texts, chroms = made_up(3)
        chroms["chr2"] = (
            chroms["chr2"][:3000] + chroms["chr1"][1000:2000] + turned(chroms["chr1"][3000:4000].upper()) + chroms["chr2"][5000:]
        )
        places = [("chr1", 1040), ("chr2", 3040), ("chr1", 3000), ("chr2", 4910), ("chr2", 3040)]
        table = pd.concat(
            [table, pd.DataFrame(places, columns=["chrom", "start"]).assign(end=lambda one: one["start"] + 90)], ignore_index=True
        )
        texts = [chroms[chrom][start : start + 90].upper() for chrom, start in zip(table["chrom"], table["start"], strict=True)]
        codes = np.stack([encode(text) for text in texts])
        found = Axis(table, genome=toy_models.genome(tmp_path, chroms)) if source == "genome" else Axis(table, codes)
        forward, backward, _ = found.fingerprints()
        equal = np.array([[a == b for b in texts] for a in texts])
        turned_equal = np.array([[a == turned(b) for b in texts] for a in texts])
        assert np.array_equal(forward[:, None] == forward, equal) and equal.sum() > len(texts) + 2
        assert np.array_equal(forward[:, None] == backward, turned_equal) and turned_equal[-3, -2]

    def test_a_window_of_n_is_like_no_other(self):
        forward, backward, _ = Axis(*rows(["N" * 100, "N" * 100, "N" * 99 + "A"])).fingerprints()
        assert forward[:2].tolist() == backward[:2].tolist() == [0, 0]
        assert forward[2] and backward[2]

    def test_the_digest_changes_with_one_base_and_not_with_masks(self, tmp_path):
        text = toy_models.letters(np.random.default_rng(0), 3000)
        table = pd.DataFrame({"chrom": "chr1", "start": np.arange(0, 2900, 50)}).assign(end=lambda one: one["start"] + 100)
        digests = [
            Axis(table, genome=toy_models.genome(tmp_path / str(i), {"chr1": one})).fingerprints()[2]
            for i, one in enumerate([text, text.lower(), text[:1500] + turned(text[1500]) + text[1501:]])
        ]
        assert digests[0] == digests[1] != digests[2]


class TestSampling:
    def test_the_smallest_power_of_two_that_fits_is_taken_and_it_takes_the_same_words_everywhere(self):
        texts = random_texts(0, 30, 500)
        texts += [turned(text) for text in texts[:10]]
        every = listed(texts)
        for most in (len(every.hash), len(every.hash) - 1, 5000, 400):
            some = listed(texts, most=most)
            fits = [s for s in (1, 2, 4, 8, 16, 32, 64) if (every.hash % s == 0).sum() <= most]
            assert some.one_in == fits[0]
            for i in range(len(texts)):
                mine = every.hash[every.low[i] : every.high[i]]
                assert np.array_equal(some.hash[some.low[i] : some.high[i]], mine[mine % some.one_in == 0])
        assert some.one_in == 64 and some.about()["sampled_one_in"] == 64

    def test_the_share_that_is_kept_and_the_shares_that_are_told_are_about_right(self):
        draw = np.random.default_rng(3)
        known = [toy_models.letters(draw, 4000) for _ in range(6)]
        texts = known + [one[:1600] + toy_models.letters(draw, 2400) for one in known]
        some = listed(texts, most=6000)
        assert some.one_in == 8 and abs(len(some.hash) * 8 / (12 * 3980) - 1) < 0.05
        share = share_with(some, np.arange(12) < 6, np.arange(6, 12))
        assert np.abs(share - 0.397).max() < 0.08

    def test_hashes_are_spread_evenly(self):
        found = listed(random_texts(1, 1, 60_000)).hash
        for shift in (0, 5, 20, 36):
            count = np.bincount((found >> np.uint64(shift)).astype(np.int64) % 64, minlength=64)
            assert ((count - len(found) / 64) ** 2 / (len(found) / 64)).sum() < 120  # chi-square with 63 degrees of freedom


class TestShares:
    @pytest.mark.parametrize(("copied", "expected"), [(20, 0), (21, 1 / 80), (43, 23 / 80), (44, 24 / 80), (100, 1)])
    @pytest.mark.parametrize("strand", [False, True])
    def test_a_planted_stretch_counts_by_its_21mers_on_either_strand(self, copied, expected, strand):
        texts = random_texts(0, 3)
        piece = texts[0][:copied]
        texts[2] = (turned(piece) if strand else piece) + texts[2][copied:]
        assert share_with(listed(texts), np.array([True, True, False]), np.array([2])) == expected

    def test_a_window_of_n_or_shorter_than_a_word_has_no_words(self):
        texts = random_texts(0, 2)
        assert np.isnan(share_with(listed([*texts, "N" * 100]), np.array([True, True, False]), np.array([2]))[0])
        assert np.isnan(share_with(listed(["ACGTACGTAC"] * 3), np.array([True, True, False]), np.array([2]))[0])

    def test_masked_bases_do_not_count(self, tmp_path):
        draw = np.random.default_rng(0)
        shared, own, other = toy_models.letters(draw, 60), toy_models.letters(draw, 40), toy_models.letters(draw, 40)
        table = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": 0, "end": 100})
        part, mine = np.array([True, False]), np.array([1])
        plain = Words(Axis(table, genome=toy_models.genome(tmp_path / "a", {"chr1": shared + own, "chr2": shared + other})))
        masked = Words(Axis(table, genome=toy_models.genome(tmp_path / "b", {"chr1": shared + own, "chr2": shared.lower() + other})))
        assert share_with(plain, part, mine) == 40 / 80
        assert share_with(masked, part, mine) == 0

    def test_a_repeat_does_not_count_but_a_window_of_little_else_is_judged_by_it(self):
        draw = np.random.default_rng(0)
        repeat = toy_models.letters(draw, 40)  # 20 words, and 39 in the rest of a window
        texts = [repeat + "N" + toy_models.letters(draw, 59) for _ in range(11)] + [repeat + "N" * 60]
        ten, part = texts[:10], np.arange(12) < 10
        assert share_with(listed(ten), part[:10], np.array([9])) == 1
        assert share_with(listed(ten), np.arange(10) < 9, np.array([9])) == 20 / 59  # found in ten pieces, it is no repeat
        assert share_with(listed(texts), part, np.array([10, 11])).tolist() == [0, 1]

    @pytest.mark.parametrize(("own", "judged"), [(19, 1), (20, 0)])
    def test_less_than_half_is_little_else(self, own, judged):
        draw = np.random.default_rng(0)
        repeat = toy_models.letters(draw, 40)
        texts = [repeat + "N" * 60] * 10 + [repeat + "N" + toy_models.letters(draw, own + 20) + "N" * (39 - own)]
        assert share_with(listed(texts), np.arange(11) < 10, np.array([10])) == judged * 20 / 39


class TestClusters:
    def together(self, texts, threshold=0.3, chrom=None, start=None, **more):
        return clusters(listed(texts, chrom, start, **more), threshold)[0].tolist()

    @pytest.mark.parametrize(("copied", "linked"), [(43, False), (44, True)])
    @pytest.mark.parametrize("strand", [False, True])
    def test_thirty_percent_of_the_words_link_on_either_strand(self, copied, linked, strand):
        texts = random_texts(0, 3)
        piece = texts[0][30 : 30 + copied]
        texts[2] = texts[2][: 100 - copied] + (turned(piece) if strand else piece)
        assert self.together(texts) == ([0, 1, 0] if linked else [0, 1, 2])

    def test_links_chain(self):
        texts = random_texts(0, 4)
        texts[1] = texts[0][50:] + texts[1][50:]
        texts[2] = texts[1][50:] + texts[2][50:]
        assert self.together(texts) == [0, 0, 0, 1]

    def test_the_tile_with_fewer_words_decides(self):
        texts = random_texts(0, 2)
        texts[1] = texts[0][:44] + "N" * 56  # 24 words, all of them of the other's 80
        assert self.together(texts, 0.9) == [0, 0]

    def test_one_word_alone_links_nothing(self):
        texts = random_texts(0, 2)
        assert self.together([texts[0], texts[0][:21] + "N" * 79]) == [0, 1]
        assert self.together([texts[0], texts[0][:22] + "N" * 78]) == [0, 0]

    def test_a_word_counts_once_in_a_tile(self):
        draw = np.random.default_rng(0)
        piece = toy_models.letters(draw, 30)  # 10 words
        twice = piece + "N" + piece + "N" + toy_models.letters(draw, 38)  # and 18 of its own
        once = piece + "N" + toy_models.letters(draw, 69)
        assert self.together([twice, twice[::-1], once], 0.35) == [0, 1, 0]
        assert self.together([twice, twice[::-1], once], 0.36) == [0, 1, 2]

    def test_many_copies_in_one_tile_are_no_repeat(self):
        assert listed(["ACGGTAT" * 14, "T" * 98]).informative.all()

    def test_a_repeat_links_nothing(self):
        draw = np.random.default_rng(0)
        repeat = toy_models.letters(draw, 45)  # 25 words, and 34 in the rest of a window
        texts = [repeat + "N" + toy_models.letters(draw, 54) for _ in range(11)]
        assert self.together(texts[:10]) == self.together(texts[:10], 0.42) == [0] * 10
        assert self.together(texts[:10], 0.43) == list(range(10))  # 25 of all 59
        assert self.together(texts) == list(range(11))

    def test_families_of_many_near_copies_hang_together(self):
        draw = np.random.default_rng(0)
        texts = []
        for family in random_texts(7, 2):
            for _ in range(40):
                at = draw.integers(100)
                texts.append(family[:at] + draw.choice(list("ACGT")) + family[at + 1 :])
        order = draw.permutation(80)
        assert self.together([texts[i] for i in order]) == pd.factorize(order // 40)[0].tolist()

    def test_overlapping_windows_are_together_even_if_they_hold_nothing(self):
        assert self.together(["N" * 100] * 4, chrom="chr1", start=[0, 200, 99, 299]) == [0, 1, 0, 1]
        assert self.together(["N" * 100] * 2, chrom="chr1", start=[0, 100]) == [0, 1]
        assert self.together(["N" * 100] * 2, chrom=["chr1", "chr2"], start=[0, 50]) == [0, 1]

    def test_windows_of_a_block_are_together_by_their_centres(self):
        assert self.together(["N" * 100] * 4, chrom="chr1", start=[949, 950, 1000, 1950], block=1000) == [0, 1, 1, 2]

    def test_tiles_are_equal_pieces_of_about_a_window(self):
        text = toy_models.letters(np.random.default_rng(0), 251)
        for length, words_of_tiles in [(100, [80]), (149, [129]), (151, [76, 55]), (250, [125, 105]), (251, [84, 84, 63])]:
            starts = [*range(0, length - 100, 50), length - 100]
            found = listed([text[at : at + 100] for at in starts], "chr1", starts)
            assert found.every.tolist() == words_of_tiles, length

    def test_tiles_end_where_blocks_do(self):
        # Two windows across a border share a copy with a third; only the block in which the copy lies is linked.
        text, third = random_texts(0, 1, 300)[0], random_texts(1, 1)[0]
        for copy, expected in [(text[20:120], [0, 1, 0]), (text[170:270], [0, 1, 1])]:
            texts = [text[:100], text[200:], copy]
            joined = [text[at : at + 100] for at in range(0, 201, 20)]
            starts = [*range(0, 201, 20), 5000]
            found = self.together([*joined, copy], chrom="chr1", start=starts, block=150)
            assert [found[0], found[-2], found[-1]] == expected, texts
        assert self.together([*joined, third], chrom="chr1", start=starts, block=150)[-1] == 2

    def test_a_giant_cluster_is_warned_of(self, caplog):
        texts = random_texts(0, 10)
        with caplog.at_level(logging.WARNING, "regdna"):
            assert clusters(listed([*texts[:9], texts[0]]), 0.3)[1]["warning"] is None
            assert not caplog.messages
            _, about = clusters(listed([*texts[:8], texts[0], texts[0]]), 0.3)
        assert "the largest cluster holds 3 of 10 windows" in about["warning"] and about["warning"] in caplog.text
        assert "block" in about["warning"]
