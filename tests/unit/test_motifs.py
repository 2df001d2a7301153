"""Motifs: what files say, thresholds against counting every word, and what an edit makes or breaks."""

import itertools

import numpy as np
import pytest

from regdna.alphabet import encode, reverse_complement
from regdna.motifs import P_VALUE, best, changed, read_motifs, threshold
from regdna.step import InputError

ETS = "ACCGGAAGT"


def sharp(word, count=20):
    """Counts of a motif that is one word, four rows."""
    return [[count if base == letter else 0 for letter in word] for base in "ACGT"]


def jaspar(name, rows):
    return f">{name}\n" + "\n".join(f"{base}  [ {' '.join(map(str, row))} ]" for base, row in zip("ACGT", rows, strict=True)) + "\n"


def written(tmp_path, text):
    (tmp_path / "m.pfm").write_text(text)
    return tmp_path / "m.pfm"


def test_the_three_ways_of_writing_a_matrix_are_one(tmp_path):
    rows = sharp("ACGTTG")
    plain = ">m\n" + "\n".join(" ".join(map(str, row)) for row in rows) + "\n"
    lying = "# a comment\n>m\n" + "\n".join("\t".join(f"{one:.1f}" for one in column) for column in zip(*rows, strict=True)) + "\n\n"
    one, two, three = (read_motifs(written(tmp_path, text))[0] for text in (jaspar("m", rows), plain, lying))
    assert one.name == two.name == three.name == "m"
    assert np.array_equal(one.weights, two.weights) and np.array_equal(one.weights, three.weights)
    assert one.weights[:, 0] == pytest.approx([np.log2(4 * 20.1 / 20.4), *[np.log2(4 * 0.1 / 20.4)] * 3, 0], abs=0.005)


def test_titles_keep_what_follows_and_several_motifs_their_order(tmp_path):
    text = jaspar("MA0001.1\tAGL3", sharp("ACG")) + jaspar("MA0002.1 RUNX1", sharp("TTGA"))
    assert [one.name for one in read_motifs(written(tmp_path, text))] == ["MA0001.1 AGL3", "MA0002.1 RUNX1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no motif"),
        ("1 2 3 4\n", "line 1 is no row"),
        (">m\nMOTIF x\n", "line 2 is no row"),
        (">m\n1 2 3\n1 2 3\n", "line 1: motif m has neither"),
        (">m\n1 2 3\n1 2\n1 2 3\n1 2 3\n", "line 1: motif m has neither"),
        (">a\n1 1\n1 1\n1 1\n1 1\n>m\n", "line 6: motif m has neither"),
        (">m\n1 0\n1 0\n1 0\n1 0\n", "a position without any"),
        (">m\n1 -1\n1 3\n1 3\n1 3\n", "negative count"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, text, said):
    with pytest.raises(InputError, match=said) as error:
        read_motifs(written(tmp_path, text))
    assert "m.pfm" in str(error.value) and "\n" not in str(error.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "m.pfm").write_bytes(b"\x1f\x8b\x08\xff\xfe")
    with pytest.raises(InputError, match="cannot be read as motifs"):
        read_motifs(tmp_path / "m.pfm")


@pytest.mark.parametrize("seed", range(4))
def test_thresholds_are_those_of_counting_every_word(seed):
    draw = np.random.default_rng(seed)
    share = draw.dirichlet(np.full(4, 0.5), 7).T
    weights = np.round(np.log2(4 * (share + 0.01) / 1.04), 2)
    scores = np.array([weights[list(word), range(7)].sum() for word in itertools.product(range(4), repeat=7)])
    found = threshold(weights)
    assert (scores >= found - 0.005).mean() <= P_VALUE < (scores >= found - 0.015).mean()


def test_a_motif_that_is_never_rare_enough_is_never_there():
    assert threshold(np.log2(4 * np.array([[0.97, 0.01, 0.01, 0.01]] * 4))) == float("inf")


def test_the_best_score_is_on_either_strand(tmp_path):
    motif = read_motifs(written(tmp_path, jaspar("ets", sharp(ETS))))[0]
    text = encode("TTTTT" + ETS + "CATCAT")
    full = motif.weights[:4].max(0).sum()
    assert best(motif, text) == pytest.approx(full) == best(motif, reverse_complement(text[None])[0])
    assert best(motif, text[:8]) == float("-inf")
    assert best(motif, np.full(20, 4, np.uint8)) == 0


def test_an_edit_makes_and_breaks_motifs_that_it_touches(tmp_path):
    motifs = read_motifs(written(tmp_path, jaspar("ets", sharp(ETS)) + jaspar("other", sharp("GATTACAGA"))))
    whole = encode("TTGATTACAGATCACCGGAAGTTTACCGGAAGTC")
    broken = whole.copy()
    broken[17] = 0  # within the first ETS site; the second is not touched
    lost, gained = changed(motifs, whole, broken, 17, 18), changed(motifs, broken, whole, 17, 18)
    assert [one[0] for one in lost] == ["ets"] == [one[0] for one in gained]
    assert lost[0][1] > motifs[0].threshold > lost[0][2] and gained[0][1:] == lost[0][:0:-1]


def test_a_site_with_one_mismatch_more_than_is_rare_is_broken(tmp_path):
    """A word of eight: one mismatch is there by chance with 25 / 4**8, four times too often."""
    rows = [[97 if base == letter else 1 for letter in "AGCGCGCT"] for base in "ACGT"]
    motifs = read_motifs(written(tmp_path, jaspar("word", rows)))
    before, after = encode("TTTTTTTTAGCGCGCTTTTTTTTT"), encode("TTTTTTTTAGCCCGCTTTTTTTTT")
    assert [one[0] for one in changed(motifs, before, after, 11, 12)] == ["word"]


def test_a_base_that_is_inserted_or_deleted_counts_too(tmp_path):
    motifs = read_motifs(written(tmp_path, jaspar("ets", sharp(ETS))))
    whole = encode("TTTTTTTTTTTT" + ETS + "TTTTTTTTTTTT")
    longer = np.insert(whole, 16, 3).astype(np.uint8)
    assert [one[0] for one in changed(motifs, whole, longer, 16, 16)] == ["ets"]
    assert [one[0] for one in changed(motifs, longer, whole, 16, 17)] == ["ets"]
    elsewhere = np.insert(whole, 3, 0).astype(np.uint8)
    assert changed(motifs, whole, elsewhere, 3, 3) == []


def test_the_real_motifs_are_read_and_find_the_telomerase_promoters_new_site(shared):
    """TERT C228T makes an ETS site (Horn et al. 2013, Science 339:959)."""
    motifs = read_motifs(shared / "data/motifs/JASPAR2022_vertebrates.pfm")
    assert len(motifs) == 838 and all(len(one.weights) == 5 for one in motifs)
    before, after = encode("GGGGCTGGGAGGGCCCGGAGGGGGCTGGGCCGG"), encode("GGGGCTGGGAGGGCCCGGAAGGGGCTGGGCCGG")
    named = [name for name, low, high in changed(motifs, before, after, 19, 20) if high > low]
    assert any("ETS" in name.upper() or "ELK" in name.upper() or "GABPA" in name.upper() for name in named), named
