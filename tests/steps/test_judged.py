"""From a saturation MPRA's file to elements, and from scores to what they are worth."""

import gzip

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from workflow_tools import ROOT, step

from regdna import measured
from regdna.alphabet import decode
from regdna.genome import Genome
from regdna.step import InputError
from regdna.variants.table import write_scores

ABOUT = {"variants": "some", "targets": ["HepG2 open", "K562 open"], "cell_types": ["HepG2", "K562"], "left_out": {"odd": 2}, "seeds": [1],
         "split_digest": "abc", "initialisation": "random", "architecture": "basset", "shifts": [0], "definitions": {}}  # fmt: skip


def scored(folder, table, background=False, seed=0):
    """A table of scores, in blocks of 100 rows."""
    draw = np.random.default_rng(seed)
    names = ["logit", "diff", "deepsea_effect", *(["evalue_2015", "evalue_diff"] if background else [])]
    values = {name: draw.uniform(0.01, 1, (len(table), 2)).astype(np.float32) for name in names}
    path = folder / "scores.parquet"
    write_scores(path, table, [{name: one[at : at + 100] for name, one in values.items()} for at in range(0, len(table), 100)], ABOUT)
    return path, values


def judge(folder, path, against=None, count=50):
    """What the step writes."""
    out = folder / "out.parquet"
    step("judge").main(path, ROOT / "resources/elements.tsv", out, against or {}, count)
    return pd.read_parquet(out)


def table(n, **columns):
    """Substitutions one after the other."""
    facts = {"chrom": "chr1", "contig": "chr1", "id": ".", "ref": "A", "alt": "C", "kind": "snv"}
    return pd.DataFrame({"line": np.arange(n) + 2, "position": 1000 + np.arange(n)}).assign(**facts | columns)


def test_elements_are_written_as_a_genome(tmp_path):
    rows = [f"1\t{at}\t{'ACGT'[at % 4]}\tT\t10\t1\t1\t0.1\t0.5\tONE\tGRCh38\n" for at in range(101, 131)]
    head = "Chrom\tPos\tRef\tAlt\tBarcodes\tDNA\tRNA\tCoefficient\tpValue\tElement\tRelease\n"
    (tmp_path / "elements.tsv.gz").write_bytes(gzip.compress((head + "".join(rows)).encode()))
    files = [tmp_path / "x.elements" / f"genome.{end}" for end in ("npy", "tsv", "mask.npy")]
    step("rebuild").main(tmp_path / "elements.tsv.gz", *files, "hg38")
    genome = Genome(*files)
    assert genome.bounds("ONE") == (100, 130) and decode(genome.fetch("ONE", 100, 130)) == "".join("ACGT"[at % 4] for at in range(101, 131))
    with pytest.raises(InputError, match="no variant of hg19"):
        step("rebuild").main(tmp_path / "elements.tsv.gz", *files, "hg19")


def test_effects_are_held_against_the_cell_types_target(tmp_path):
    draw = np.random.default_rng(1)
    mine = table(600, id=np.repeat(["LDLR", "PKLR-24h"], 300), measured=draw.normal(size=600), p_value=draw.random(600), barcodes=10)
    mine.loc[[0, 1], "barcodes"] = 9
    path, values = scored(tmp_path, mine)
    result = judge(tmp_path, path)
    spearman = result.query("statistic == 'spearman' and headline and edits == 'all'").set_index("experiment")
    for at, (experiment, rows) in enumerate({"LDLR": slice(2, 300), "PKLR-24h": slice(300, 600)}.items()):
        expected = stats.spearmanr(values["logit"][rows, at], mine["measured"][rows]).statistic
        assert spearman.loc[experiment, "value"] == pytest.approx(expected, abs=1e-12) and spearman.loc[experiment, "target"] == at
    assert result.attrs["kind"] == "effects" and result.attrs["rules"] == measured.RULES["effects"] and result.attrs["used"] == 598
    assert result.attrs["not_judged"] == {"fewer than 10 barcodes": 2} and result.attrs["left_out"] == {"odd": 2}
    assert result.attrs["experiments"] == {"LDLR": "LDLR promoter, HepG2", "PKLR-24h": "PKLR promoter, after 24 hours, K562"}
    turned = judge(tmp_path, path, {"LDLR": "K562 open"}).query("experiment == 'LDLR' and statistic == 'spearman'")
    assert turned["name"].tolist() == ["K562 open"] and turned["match"].tolist() == [measured.NAMED]


@pytest.mark.parametrize("background", [False, True])
def test_labels_are_ranked_by_every_score_that_is_there(tmp_path, background):
    draw = np.random.default_rng(2)
    mine = table(250, measured=draw.integers(2, size=250) + 0.0)
    mine.loc[5, "measured"] = np.nan
    path, values = scored(tmp_path, mine, background)
    result = judge(tmp_path, path, {"any": "K562 open"})
    known = mine["measured"].notna().to_numpy()
    assert set(result["score"]) == set(values) and result.attrs["kind"] == "labels" and set(result["name"]) == {"K562 open"}
    for score, one in values.items():
        size = -np.log(one[known, 1].astype(float)) if score.startswith("evalue") else one[known, 1]
        truth = mine["measured"][known] == 1
        expected = stats.mannwhitneyu(size[truth], size[~truth]).statistic / truth.sum() / (~truth).sum()
        assert result.query(f"score == '{score}' and statistic == 'auroc'")["value"].item() == pytest.approx(expected)
    assert set(judge(tmp_path, path)["name"]) == {"2 targets"}


@pytest.mark.parametrize("columns", [{}, {"measured": np.nan}])
def test_without_measurement_an_empty_table_says_so(tmp_path, columns):
    result = judge(tmp_path, scored(tmp_path, table(3, **columns))[0])
    assert result.empty and list(result) == measured.COLUMNS and result.attrs["kind"] == "nothing"


def test_a_target_or_experiment_that_is_not_there_ends_the_step(tmp_path):
    path, _ = scored(tmp_path, table(40, id="LDLR", measured=np.linspace(-1, 1, 40)))
    for against, said in (({"LDLR": "K562"}, "variants some: against: LDLR: no target"), ({"F9": "K562 open"}, "no variant's id is 'F9'")):
        with pytest.raises(InputError, match=said):
            judge(tmp_path, path, against)
