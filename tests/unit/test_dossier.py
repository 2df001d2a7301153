"""The dossier of a locus: what it lists, from arrays that are made up."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from regdna.alphabet import encode
from regdna.motifs import Motif
from regdna.page.dossier import Dossier, chosen, looks, render, shown, variants
from regdna.page.results import Locus

TEXT = "ACGTNACGTACG"
COLUMNS = ["position", "ref", "alt", "measured", "set", "experiment"]


def locus(model, effect, architecture="basset", initialisation="random"):
    codes = encode(TEXT)
    about = {"locus": "here", "assembly": "hg19", "chrom": "chr1", "start": 99, "end": 99 + len(TEXT), "part": "test", "seeds": [1],
             "targets": ["K562 specific DHS", "HepG2 specific DHS"], "architecture": architecture, "initialisation": initialisation,
             "score": "mutant minus reference"}  # fmt: skip
    return Locus("dhs", model, f"results/s/dhs/{model}/mutagenesis/here.npz", about, effect, effect * 0 + np.nan, np.abs(effect) / 2,
                 np.array([0.5, 1.5], np.float32), codes)  # fmt: skip


def effects(*some):
    """Effects that are 0 but at some places: (place, base, target): value."""
    out = np.zeros((len(TEXT), 4, 2), np.float32)
    out[4] = np.nan
    for where, value in some:
        out[where] = value
    return out


@pytest.fixture
def dossier():
    place = pd.Series({"chrom": "chr1", "start": 99, "end": 111, "variants": "chr1:101C>T", "title": "Strong HepG2 site", "why": "made up"})
    one = locus("basset", effects(((1, 3, 1), 0.5), ((6, 0, 1), -2.0), ((6, 0, 0), 9.0)))
    two = locus("nt", effects(((1, 3, 1), 0.25)), "nucleotide-transformer", "published")
    tested = [(100, "C", "T", 1.25, "mpra", "LDLR"), (100, "C", "T", 0.75, "mpra", "LDLR.2"), (103, "TN", "T", -3.0, "mpra", "LDLR")]
    measured = pd.DataFrame(tested, columns=COLUMNS)
    weights = np.log2(4 * np.array([[0.01, 0.97, 0.01, 0.01, 1]] * 3).T)
    weights[:, 1] = np.log2(4 * np.array([0.01, 0.01, 0.01, 0.97, 0.25]))
    motif = Motif("MA1_MA1.1.Ctc", weights, 5.0)  # C T C
    return Dossier("s", "dhs", "Which cell line", "results/s/dhs/loci/here.html", "snakemake", place, [one, two], measured, [motif], 0,
                   {"basset": [0.75, np.nan], "nt": [0.5, 0.875]})  # fmt: skip


def test_the_target_that_the_title_names_comes_first_then_the_likeliest(dossier):
    assert shown(dossier) == [1, 0]
    other = replace(dossier, place=dossier.place.replace("Strong HepG2 site", "A site"))
    assert shown(other) == [1, 0]
    assert shown(replace(dossier, place=dossier.place.replace("Strong HepG2 site", "K562 site"))) == [0, 1]


def test_known_variants_the_largest_effects_and_the_largest_measured_are_listed_once(dossier):
    found = {(at, base): why for at, base, why in chosen(dossier, 1)}
    assert found == {
        (1, 3): ["known", "among the largest of basset", "among the largest of nt", "among the largest measured"],
        (6, 0): ["among the largest of basset"],
    }
    assert (6, 0) in {(at, base) for at, base, _ in chosen(dossier, 0)}


def test_a_known_variant_of_another_reference_or_elsewhere_is_not_listed(dossier):
    for text in ("chr1:101G>T", "chr1:5000C>T", ""):
        place = dossier.place.copy()
        place["variants"] = text
        assert all("known" not in why for _, _, why in chosen(replace(dossier, place=place), 1))


def test_a_known_variant_of_another_reference_is_named_as_left_out(dossier):
    place = dossier.place.copy()
    place["variants"] = "chr1:101C>T chr1:102C>T"
    text = render(replace(dossier, place=place))
    assert "chr1:102C&gt;T: the sequence holds another base there" in text and "left out" not in render(dossier)


def test_a_row_holds_effects_measurements_and_motifs(dossier):
    rows = variants(dossier)["rows"]
    first = [one["text"] for one in rows[0]]
    assert first[:4] == ["chr1:101 C>T", "+0.500", "+0.250", "1.00"]
    assert rows[0][3]["detail"] == "+1.25 LDLR; +0.75 LDLR.2"
    assert [one["text"] for one in rows[1]][:4] == ["chr1:106 C>A", "−2.000", "+0.000", "–"]
    assert rows[1][2]["detail"] == "below its spread over views"  # 0 is no larger than 0


def test_an_effect_below_its_spread_is_flagged(dossier):
    frail = replace(dossier.loci[0], views=np.full_like(dossier.loci[0].effect, 1.0))
    rows = variants(replace(dossier, loci=[frail, dossier.loci[1]]))["rows"]
    assert rows[0][1]["detail"] == "below its spread over views" and rows[0][2]["detail"] == "" and rows[1][1]["detail"] == ""


def test_motifs_that_a_substitution_makes_are_named(dossier):
    place = dossier.place.copy()
    place["variants"] = "chr1:105C>T"
    one = replace(dossier.loci[0], codes=encode("AAAACCCAAAAA"))
    rows = variants(replace(dossier, loci=[one], place=place, measured=dossier.measured[:0]))["rows"]
    said = {row[0]["text"]: row[-1]["text"] for row in rows}
    assert said["chr1:105 C>T"].startswith("+MA1_MA1.1.Ctc (") and "bits" in said["chr1:105 C>T"]


def test_each_figure_says_how_good_the_models_are_on_its_target(dossier):
    text = render(dossier)
    assert "AUROC on the test windows: basset 0.750; nt 0.500." in text and "AUROC on the test windows: basset –; nt 0.875." in text


def test_random_networks_are_called_random_and_row_zero_is_not(dossier):
    zero = locus("kmer", effects(), "kmer-logistic")
    assert [one.label for one in looks([*dossier.loci, zero]).values()] == ["basset · random weights", "nt", "kmer"]


def test_the_page_says_where_the_locus_lies_and_what_was_measured(dossier):
    text = render(dossier)
    for said in ("Strong HepG2 site", "chr1:100–111", "its reference sequence was seen", "LDLR, LDLR.2", "3 variants", "1 are looked for"):
        assert said in text, said
    assert text.count("<svg") == 2 and text == render(dossier)
    bare = render(replace(dossier, measured=dossier.measured[:0], motifs=[], nearest=None))
    assert "no training window lies on chr1" in bare and "nothing that this study reads" in bare and "none are looked for" in bare
    assert "12,345 bp away" in render(replace(dossier, nearest=12345))


def test_measured_effects_are_drawn_above_the_models(dossier):
    assert "measured effect by new base" in render(dossier) and "measured effect by new base" not in render(
        replace(dossier, measured=dossier.measured[2:])
    )


def test_deletions_are_a_row_of_their_own(dossier):
    lost = np.linspace(-1, 1, 2 * len(TEXT), dtype=np.float32).reshape(-1, 2)
    with_them = replace(dossier, loci=[replace(dossier.loci[0], deletion=lost), dossier.loci[1]])
    assert np.array_equal(with_them.loci[0].drawn(1)[:, 4], lost[:, 1]) and dossier.loci[1].drawn(1).shape == (len(TEXT), 4)
    assert "row −: the base is deleted" in render(with_them) and "the base is deleted" not in render(dossier)
