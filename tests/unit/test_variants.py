import gzip
import math

import numpy as np
import pandas as pd
import pytest
import toy_models

from regdna import variants as module
from regdna.alphabet import encode
from regdna.models import linear
from regdna.models.classifier import Classifier
from regdna.step import InputError
from regdna.variants import SCORES, read_vcf, score, spell

HEADER = "##fileformat=VCFv4.2\n##reference=hg19\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
LEFT_OUT = "symbolic or not A, C, G, T"


def read(tmp_path, *lines, header=HEADER, assembly="hg19", suffix=".vcf"):
    path = tmp_path / f"v{suffix}"
    text = (header + "".join(f"{line}\n" for line in lines)).encode()
    path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    return read_vcf(path, assembly)


class TestReadVcf:
    @pytest.mark.parametrize("suffix", [".vcf", ".vcf.gz"])
    def test_one_row_per_alternate_allele_in_order(self, tmp_path, suffix):
        table, out = read(tmp_path, "chr1\t10\trs1\tA\tC,GT\t.\t.\t.", "", "chr2\t5\t.\tacg\ta", suffix=suffix)
        assert table.to_numpy().tolist() == [
            ["chr1", 9, "rs1", "A", "C"],
            ["chr1", 9, "rs1", "A", "GT"],
            ["chr2", 4, ".", "ACG", "A"],
        ]
        assert out == {LEFT_OUT: 0}

    @pytest.mark.parametrize(
        ("alleles", "kept"), [("A\t<DEL>", 0), ("A\t*,C", 1), ("A\t.", 0), ("N\tA", 0), ("A\tR,G,N", 1), ("A\tA[chr2:3[", 0)]
    )
    def test_what_cannot_be_spelled_is_counted_by_allele(self, tmp_path, alleles, kept):
        table, out = read(tmp_path, f"chr1\t10\t.\t{alleles}")
        assert len(table) == kept
        assert out[LEFT_OUT] == len(alleles.split("\t")[1].split(",")) - kept

    def test_another_assembly_is_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"v.vcf: line 2 says reference=hg19, but the dataset is hg38; give"):
            read(tmp_path, assembly="hg38")

    def test_a_header_without_assembly_is_taken(self, tmp_path):
        assert len(read(tmp_path, "chr1\t10\t.\tA\tC", header="", assembly="hg38")[0]) == 1

    @pytest.mark.parametrize(
        "line", ["chr1 10 . A C", "chr1\t10\t.\tA", "chr1\tten\t.\tA\tC", "chr1\t-3\t.\tA\tC", "chr1\t\u00b2\t.\tA\tC"]
    )
    def test_a_line_that_is_not_vcf_is_named(self, tmp_path, line):
        with pytest.raises(InputError, match=r"v.vcf: line 5 is not VCF.*mend or remove"):
            read(tmp_path, "chr1\t10\t.\tA\tC", line)

    def test_a_file_without_variants_gives_an_empty_table(self, tmp_path):
        table, out = read(tmp_path)
        assert len(table) == 0 and list(table.columns) == ["chrom", "position", "id", "ref", "alt"] and out == {LEFT_OUT: 0}


class TestSpell:
    @pytest.fixture
    def genome(self, tmp_path):
        return toy_models.genome(tmp_path, {"chr1": "ACGT" * 20, "chr2": "GGGG" * 20})

    def table(self, *rows):
        return pd.DataFrame(rows, columns=["chrom", "position", "id", "ref", "alt"])

    def test_each_variant_is_spelled_or_counted_by_reason(self, genome):
        rows, reference, alternate, out = spell(
            self.table(
                ("chr1", 2, ".", "G", "A"),
                ("chr1", 40, ".", "A", "C"),
                ("chr9", 40, ".", "A", "C"),
                ("chr2", 40, ".", "A", "C"),
                ("chr2", 41, ".", "GG", "G"),
                ("chr1", 79, ".", "T", "C"),
            ),
            genome,
            10,
        )
        assert rows.tolist() == [1, 4]
        body = "ACGT" * 20
        assert reference[0].tolist() == encode(body[35:45]).tolist()
        assert alternate[0].tolist() == encode(body[35:40] + "C" + body[41:45]).tolist()
        assert reference[1].tolist() == alternate[1].tolist() == [2] * 10
        assert out == {"chromosome not held": 1, "too close to the end of what is held": 2, "REF is not what the assembly holds": 1}

    def test_nothing_to_spell_gives_empty_arrays(self, genome):
        rows, reference, alternate, out = spell(self.table(), genome, 10)
        assert len(rows) == 0 and reference.shape == alternate.shape == (0, 10) and not any(out.values())


class TestScore:
    def logistic(self, odds):
        return 1 / (1 + math.exp(-odds))

    def test_scores_by_hand(self, tmp_path):
        classifier = Classifier(toy_models.motif_checkpoint(tmp_path / "c", 40, [4.0, -2.0], [-1.0, 0.5]))
        intact, broken = encode("C" * 20 + "GATTACA" + "C" * 13), encode("C" * 20 + "GATTCCA" + "C" * 13)
        found = score(classifier, np.stack([intact, broken, broken]), np.stack([broken, intact, broken]), np.zeros(3))
        assert set(found) == set(SCORES)
        for target, (slope, bias) in enumerate([(4, -1), (-2, 0.5)]):
            # the motif is on one strand; the other strand sees no change
            logit = -slope / 2
            diff = (self.logistic(bias) - self.logistic(bias + slope)) / 2
            assert found["logit"][:, target] == pytest.approx([logit, -logit, 0], abs=1e-5)
            assert found["diff"][:, target] == pytest.approx([diff, -diff, 0], abs=1e-5)
            assert found["log2_odds"][:, target] == pytest.approx(np.array([logit, -logit, 0]) / math.log(2), abs=1e-5)
            assert found["deepsea_effect"][:, target] == pytest.approx([abs(logit * diff)] * 2 + [0], abs=1e-5)
        assert all(one.dtype == np.float64 and one.shape == (3, 2) for one in found.values())

    def test_log_odds_come_from_logits_where_probabilities_are_all_one(self, tmp_path):
        classifier = Classifier(toy_models.gc_checkpoint(tmp_path / "c", 8, [8.0], [100.0]))
        found = score(classifier, encode("AAAAAAAA")[None], encode("AAAACAAA")[None], np.zeros(1))
        assert found["logit"][0, 0] == pytest.approx(1, abs=1e-12)
        assert found["diff"][0, 0] == pytest.approx(0, abs=1e-12)

    def test_exclusive_scores_are_odds_against_all_others(self, tmp_path):
        classifier = Classifier(toy_models.gc_checkpoint(tmp_path / "c", 8, [8.0, 0.0, 0.0], [0.0] * 3, "exclusive"))
        found = score(classifier, encode("AAAAAAAA")[None], encode("AAAACAAA")[None], np.zeros(1))
        rest = math.log(2) - math.log(math.e + 1)
        assert found["logit"][0] == pytest.approx([1, rest, rest])
        before, after = 1 / 3, math.e / (math.e + 2)
        assert found["diff"][0] == pytest.approx([after - before, (before - after) / 2, (before - after) / 2])

    def test_deepsea_effect_is_positive_where_the_strands_disagree(self, tmp_path):
        # The logit is ten times the GC of the strand's first third: 10 to 8 on one strand, 0 to 1 on the other.
        weight = np.zeros((1, 14))
        weight[0, 1] = 10
        linear.save(tmp_path, toy_models.about("composition", {"l2": 1.0}, 30), weight, np.zeros(1))
        reference, alternate = "G" * 10 + "A" * 20, "G" * 8 + "A" * 21 + "G"
        found = score(Classifier(tmp_path), encode(reference)[None], encode(alternate)[None], np.zeros(1))
        diff = (self.logistic(8) - self.logistic(10) + self.logistic(1) - self.logistic(0)) / 2
        assert found["logit"][0, 0] == pytest.approx(-0.5) and found["diff"][0, 0] == pytest.approx(diff)
        assert found["deepsea_effect"][0, 0] == pytest.approx(0.5 * diff)

    @pytest.mark.parametrize("size", [1, 3, 100])
    def test_scores_do_not_depend_on_the_batch(self, tmp_path, monkeypatch, size):
        classifier = Classifier(toy_models.gc_checkpoint(tmp_path / "c", 30, [5.0], [1.0]))
        reference, alternate = np.random.default_rng(0).integers(0, 4, (2, 11, 30)).astype(np.uint8)
        whole = score(classifier, reference, alternate, np.zeros(11))
        monkeypatch.setattr(module, "ROWS", size)
        for name, values in score(classifier, reference, alternate, np.zeros(11)).items():
            assert values == pytest.approx(whole[name], abs=1e-12)

    def test_no_variant_gives_no_scores(self, tmp_path):
        classifier = Classifier(toy_models.gc_checkpoint(tmp_path / "c", 8, [5.0, 1.0], [1.0, 0.0]))
        nothing = np.zeros((0, 8), np.uint8)
        found = score(classifier, nothing, nothing, np.zeros(0))
        assert {name: values.shape for name, values in found.items()} == dict.fromkeys(SCORES, (0, 2))
