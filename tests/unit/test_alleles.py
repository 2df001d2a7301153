import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import toy_models

from regdna.haplotypes import alternates, begins, edits, references
from regdna.sources import alleles
from regdna.sources.alleles import place
from regdna.sources.variant_files import Lines, read_lines, typed
from regdna.step import InputError

#       0         1         2
#       0123456789012345678901234
BODY = "GATTACACACAGTTTTTCNGCGATC"


def lines(*rows, **more):
    table = pd.DataFrame(rows, columns=["chrom", "position", "ref", "alt"])
    kept = table.assign(line=np.arange(1, len(rows) + 1), id=".", text=[" ".join(map(str, row)) for row in rows], **more)
    return Lines(Path("v.vcf"), kept)


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy_models.genome(tmp_path_factory.mktemp("g"), {"chr1": BODY, "chr2:11-20": "ACGTACGTAC"}, {"chr1": len(BODY), "chr2": 30})


def put(genome, *rows, mismatch="drop", **more):
    return place(lines(*rows, **more), genome, {"chr1": len(BODY), "chr2": 30}, mismatch)


def kept(placed):
    return placed.table[["line", "position", "ref", "alt", "kind"]].values.tolist()


class TestNormalised:
    def test_one_variant_has_one_form_however_it_is_written(self, genome):
        deleted = [(3, "TACAC", "TAC"), (4, "ACA", "A"), (6, "ACACA", "ACA"), (8, "ACAG", "AG"), (4, "ACACACAG", "ACACAG"), (9, "CA", "-")]
        placed = put(genome, *(("chr1", *one) for one in deleted))
        assert [row[1:] for row in kept(placed)] == [[3, "TAC", "T", "deletion"]] * 6 and placed.repeated == 5
        added = [(16, "T", "TT"), (11, "G", "GT"), (13, "TT", "TTT"), (10, "AGTTTTTC", "AGTTTTTTC")]
        placed = put(genome, *(("chr1", *one) for one in added))
        assert [row[1:] for row in kept(placed)] == [[11, "G", "GT", "insertion"]] * 4

    def test_an_inserted_word_turns_round_as_it_moves(self, genome):
        # Behind ACACACA three more bases: CAC put in after the A at 10 is what ACA put in after T at 3 makes.
        placed = put(genome, ("chr1", 10, "A", "ACA"), ("chr1", 9, "CA", "CACA"))
        assert [row[1:4] for row in kept(placed)] == [[3, "T", "TAC"]] * 2

    @pytest.mark.parametrize(
        ("row", "expected"),
        [
            ((0, "G", "A"), [0, "G", "A", "snv"]),
            ((1, "AT", "CT"), [1, "A", "C", "snv"]),
            ((1, "ATT", "AGT"), [2, "T", "G", "snv"]),
            ((1, "ATT", "CTG"), [1, "ATT", "CTG", "mnv"]),
            ((1, "ATTA", "CTGA"), [1, "ATT", "CTG", "mnv"]),
            ((1, "ATT", "CG"), [1, "ATT", "CG", "complex"]),
            ((1, "ATTAC", "AGGGC"), [2, "TTA", "GGG", "mnv"]),
            ((18, "N", "A"), None),
            ((0, "G", "-"), None),  # nothing before it to write it with
            ((0, "GA", "A"), None),
            ((19, "GC", "C"), None),  # before it is N
        ],
    )
    def test_alleles_are_trimmed_to_what_changes(self, genome, row, expected):
        assert [one[1:] for one in kept(put(genome, ("chr1", *row)))] == ([expected] if expected else [])

    def test_nothing_moves_beyond_what_is_held(self, genome):
        placed = put(genome, ("chr2", 14, "ACGTA", "A"), ("chr2", 15, "CGTA", "-"))
        assert kept(placed) == [] and Counter(reason for _, reason, _ in placed.out) == {alleles.ANCHOR: 2}

    def test_random_variants_keep_what_they_make_and_cannot_move_further(self, tmp_path):
        draw = np.random.default_rng(0)
        body = "".join(draw.choice(list("AC"), 400, p=[0.8, 0.2]))
        genome = toy_models.genome(tmp_path, {"chr1": body})
        rows = []
        for _ in range(1500):
            at, size = int(draw.integers(100, 300)), int(draw.integers(1, 8))
            alt = "".join(draw.choice(list("AC"), int(draw.integers(1, 8)), p=[0.8, 0.2]))
            if body[at : at + size] != alt:
                rows.append(("chr1", at, body[at : at + size], alt))
        placed = put_on(genome, rows, body)
        made = {}
        for row in placed.table.itertuples():
            _, at, ref, alt = rows[row.line - 1]
            edited = body[:at] + alt + body[at + len(ref) :]
            assert body[row.position : row.position + len(row.ref)] == row.ref
            assert body[: row.position] + row.alt + body[row.position + len(row.ref) :] == edited
            assert row.ref[-1] != row.alt[-1] or row.kind in ("mnv", "snv")
            if min(len(row.ref), len(row.alt)) > 1:
                assert row.ref[0] != row.alt[0] and row.ref[-1] != row.alt[-1]
            # One edited chromosome, one form.
            assert made.setdefault(edited, (row.position, row.ref, row.alt)) == (row.position, row.ref, row.alt)
        assert len(placed.table) == len(rows) and len(made) < len(rows)


def put_on(genome, rows, body, mismatch="drop"):
    return place(lines(*rows), genome, {"chr1": len(body)}, mismatch)


class TestLeftOut:
    @pytest.mark.parametrize(
        ("ref", "alt", "reason"),
        [
            ("A", "<DEL>", alleles.SYMBOLIC), ("A", "<*>", alleles.SYMBOLIC), ("A", "*", alleles.STAR), ("A", ".", alleles.NONE),
            ("A", "A]CHR2:3]", alleles.BREAKEND), ("A", "[CHR2:3[A", alleles.BREAKEND), ("A", ".A", alleles.BREAKEND),
            ("A", "R", alleles.LETTERS), ("A", "N", alleles.LETTERS), ("N", "A", alleles.LETTERS), (".", "A", alleles.LETTERS),
            ("-", "A", alleles.INSERTED), ("A", "A", alleles.SAME), ("C", "A", alleles.MISMATCH), ("ATA", "A", alleles.MISMATCH),
        ],
    )  # fmt: skip
    def test_alleles_that_cannot_be_scored_are_named_with_their_reason(self, genome, ref, alt, reason):
        placed = put(genome, ("chr1", 1, ref, alt), ("chr1", 1, "A", "C"))
        assert [line for line, *_ in kept(placed)] == [2]
        assert placed.out == [(1, reason, f"chr1 1 {ref} {alt}")]

    @pytest.mark.parametrize(
        ("chrom", "position", "reason"),
        [
            ("chr1", -1, alleles.ZERO), ("chr1", len(BODY), alleles.BEYOND), ("chr2", 30, alleles.BEYOND), ("chr2", 9, alleles.OUTSIDE),
            ("chr2", 20, alleles.OUTSIDE), ("chr9", 1, alleles.CHROMOSOME), ("MT", 1, alleles.CHROMOSOME),
        ],
    )  # fmt: skip
    def test_places_that_are_not_held_are_named_with_their_reason(self, genome, chrom, position, reason):
        assert [one for _, one, _ in put(genome, (chrom, position, "A", "C")).out] == [reason]

    def test_a_ref_that_reaches_beyond_what_is_held_is_outside(self, genome):
        assert [one for _, one, _ in put(genome, ("chr2", 18, "ACA", "A")).out] == [alleles.OUTSIDE]

    @pytest.mark.parametrize("name", ["1", "chr1", "CHR1", "Chr1"])
    def test_chromosomes_go_by_either_name(self, genome, name):
        assert put(genome, (name, 1, "A", "C")).table["chrom"].tolist() == ["chr1"]

    @pytest.mark.parametrize("name", ["M", "MT", "chrM", "chrMT"])
    @pytest.mark.parametrize("held", ["chrM", "MT"])
    def test_so_does_the_mitochondrion(self, tmp_path, name, held):
        genome = toy_models.genome(tmp_path, {held: BODY})
        assert place(lines((name, 1, "A", "C")), genome, {}).table["contig"].tolist() == [held]

    def test_nothing_is_lost(self, genome):
        draw = np.random.default_rng(1)
        rows = [
            (str(draw.choice(["chr1", "2", "chr3"])), int(draw.integers(-2, 40)), *draw.choice(["A", "C", "GT", "N", "*", "<X>", "-"], 2))
            for _ in range(500)
        ]
        placed = put(genome, *rows)
        assert sorted([*placed.table["line"], *(line for line, _, _ in placed.out)]) == list(range(1, 501))
        assert 0 < len(placed.table) < 100


class TestMismatch:
    def test_fail_names_the_lines(self, genome):
        with pytest.raises(InputError, match=r"v.vcf: REF of 2 of 3 alleles is not .*: line 1 \(chr1:2 C\), 3 \(chr1:3 A\); is it the"):
            put(genome, ("chr1", 1, "C", "A"), ("chr1", 1, "A", "C"), ("chr1", 2, "A", "C"), mismatch="fail")

    def test_flip_swaps_where_alt_fits_and_complements_where_the_other_strand_does(self, genome):
        rows = [("chr1", 1, "C", "A"), ("chr1", 1, "T", "G"), ("chr1", 1, "A", "C"), ("chr1", 1, "C", "G"), ("chr1", 1, "T", "A")]
        placed = put(genome, *rows, mismatch="flip", measured=[1.5, 2.0, 3.0, 4.0, 5.0], af=[0.1, 0.2, 0.3, 0.4, 0.5])
        assert [row[:4] for row in kept(placed)] == [[1, 1, "A", "C"], [2, 1, "A", "C"], [3, 1, "A", "C"], [5, 1, "A", "T"]]
        assert placed.flipped == {"swapped": 2, "complemented": 1} and [line for line, _, _ in placed.out] == [4]
        assert placed.table["measured"].tolist() == [-1.5, 2.0, 3.0, -5.0]
        assert placed.table["af"].tolist() == pytest.approx([0.9, 0.2, 0.3, 0.5])

    def test_a_flipped_label_stays_what_it_is(self, genome):
        placed = put(genome, ("chr1", 1, "C", "A"), ("chr1", 2, "T", "A"), mismatch="flip", measured=[1.0, 0.0])
        assert placed.table["measured"].tolist() == [1.0, 0.0]

    def test_longer_alleles_flip_too(self, genome):
        # TTAC on the genome: GTAA is its other strand.
        placed = put(genome, ("chr1", 2, "GTAA", "GCAA"), ("chr1", 2, "G", "TTAC"), mismatch="flip")
        assert [row[1:4] for row in kept(placed)] == [[4, "A", "G"], [2, "TTAC", "G"]]

    @pytest.mark.parametrize("mismatch", ["drop", "fail", "flip"])
    def test_most_alleles_of_a_file_not_where_it_says_end_the_run_whatever_the_policy(self, tmp_path, mismatch):
        draw = np.random.default_rng(3)
        body = "".join(draw.choice(list("ACGT"), 600))
        genome = toy_models.genome(tmp_path, {"chr1": body})

        def snvs(count, wrong, shift=0):
            places = range(10, 10 + count)
            refs = [body[at + shift] if at - 10 >= wrong else "ACGT"["ACGT".index(body[at]) - 2] for at in places]
            return [("chr1", at, ref, "ACGT"["ACGT".index(ref) - 1]) for at, ref in zip(places, refs, strict=True)]

        longer = [("chr1", at, body[at : at + 2], "A") for at in range(300, 500)]
        with pytest.raises(InputError, match=r"v.vcf: REF of 51 of 100 single-base alleles is not what the assembly holds; give") as error:
            put_on(genome, [*snvs(100, 51), *longer], body, mismatch)
        assert "\n" not in str(error.value)
        with pytest.raises(InputError, match=r"of 400 single-base .* \(400 fit one base further on: is POS counted from 0\?\); give"):
            put_on(genome, snvs(400, 0, shift=1), body, mismatch)
        if mismatch != "fail":
            assert len(put_on(genome, snvs(100, 50), body, mismatch).table) >= 50
            assert len(put_on(genome, snvs(99, 99), body, mismatch).out) <= 99
        swapped = [("chr1", at, alt, ref) for _, at, ref, alt in snvs(200, 0)]
        other = [("chr1", at, *(one.translate(str.maketrans("ACGT", "TGCA")) for one in two)) for _, at, *two in snvs(200, 0)]
        for rows in (swapped, other):
            if mismatch == "flip":
                placed = put_on(genome, rows, body, mismatch)
                assert len(placed.table) == 200 and sum(placed.flipped.values()) == 200
            else:
                with pytest.raises(InputError, match="REF of 200 of 200"):
                    put_on(genome, rows, body, mismatch)

    def test_drop_flips_nothing(self, genome):
        placed = put(genome, ("chr1", 1, "C", "A"))
        assert kept(placed) == [] and placed.flipped == {"swapped": 0, "complemented": 0}


class TestLabels:
    def test_a_negative_that_is_also_a_positive_is_none(self, genome):
        rows = [("chr1", 4, "ACA", "A"), ("chr1", 8, "ACA", "A"), ("chr1", 4, "A", "C"), ("chr1", 4, "A", "C"), ("1", 4, "A", "G")]
        placed = put(genome, *rows, measured=[1.0, 0.0, 0.0, 1.0, 0.0])
        assert placed.table["line"].tolist() == [1, 4, 5]
        assert [(line, reason) for line, reason, _ in placed.out] == [(2, alleles.BOTH), (3, alleles.BOTH)]

    def test_what_has_no_label_is_no_negative(self, genome):
        placed = put(genome, *[("chr1", 4, "A", "C")] * 3, measured=[np.nan, 1.0, 0.0])
        assert placed.table["line"].tolist() == [1, 2] and [(line, reason) for line, reason, _ in placed.out] == [(3, alleles.BOTH)]

    def test_measured_effects_of_one_variant_all_stay(self, genome):
        placed = put(genome, ("chr1", 4, "A", "C"), ("chr1", 4, "A", "C"), measured=[0.0, 0.7])
        assert len(placed.table) == 2 and placed.repeated == 1


def test_elements_are_found_by_id_and_keep_their_chromosome(tmp_path):
    genome = toy_models.genome(tmp_path, {"SORT1:11-20": "ACGTACGTAC", "SORT1.2:11-20": "ACCTACGTAC"}, {"SORT1": 100, "SORT1.2": 100})
    some = lines(("1", 12, "G", "A"), ("1", 12, "C", "A"), ("1", 12, "G", "A"), ("1", 12, "G", "A"))
    some.kept["id"] = ["SORT1", "SORT1.2", "SORT1.2", "F9"]
    placed = place(some, genome, {"chr1": 1000}, elements=True)
    assert placed.table[["chrom", "contig", "position"]].values.tolist() == [["chr1", "SORT1", 12], ["chr1", "SORT1.2", 12]]
    assert [reason for _, reason, _ in placed.out] == [alleles.MISMATCH, alleles.CHROMOSOME]


def test_real_variants_stand_where_they_say_and_two_writings_are_one_variant(shared, tmp_path):
    body = "".join((shared / "data/genome/hg19_chr20_1000001-2000000.fa").read_text().split("\n")[1:]).upper()
    genome = toy_models.genome(tmp_path, {"chr20:1000001-2000000": body}, {"chr20": 63_025_520})
    path = tmp_path / "z.vcf"
    with gzip.open(shared / "data/variants/hg19_chr20_1-2M.1000G.vcf.gz", "rt") as file, open(path, "w") as out:
        for line in file:
            fields = line.split("\t")
            out.write(line if line.startswith("#") else "\t".join(["20", str(int(fields[1]) + 1_000_000), *fields[2:]]))
    found = typed(read_lines(path, "hg19", {"chr20": 63_025_520}))
    placed = place(found, genome, {"chr20": 63_025_520}, mismatch="fail")
    assert len(placed.table) + len(placed.out) == len(found.kept) > 29_000
    assert {reason for _, reason, _ in placed.out} == {alleles.SYMBOLIC} and len(placed.out) < 30
    # Each indel once more, with more sequence to the left and to the right, and as far to the right as it goes.
    indels = placed.table[placed.table["kind"].isin(["insertion", "deletion"])]
    again = []
    for row in indels.itertuples():
        at = row.position - 1_000_000
        word = (row.ref if row.kind == "deletion" else row.alt)[1:]
        last = at + len(row.ref)
        while body[last : last + 1] == word[0]:
            word, last = word[1:] + word[0], last + 1
        gone, added = (word, "") if row.kind == "deletion" else ("", word)
        first = last - len(gone) - 7
        left, right = body[first : last - len(gone)], body[last : last + 5]
        again.append(("20", 1_000_000 + first, left + gone + right, left + added + right))
    other = place(lines(*again), genome, {"chr20": 63_025_520}, mismatch="fail")
    columns = ["contig", "position", "ref", "alt", "kind"]
    assert len(indels) > 900
    assert other.table[columns].values.tolist() == indels[columns].values.tolist()
    # So they have one pair of windows, and one score.
    inside = indels["position"].between(1_001_000, 1_998_000).to_numpy()
    windows = []
    for table in (indels[inside], other.table[inside]):
        some = edits(table)
        begin, edited = begins(some, "right", 500, 0)
        windows.append((references(genome, some, begin, 500), alternates(genome, some, edited, 500)))
    assert all(np.array_equal(one, two) for one, two in zip(*windows, strict=True))
