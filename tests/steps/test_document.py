"""The dossier of a locus from files as other steps write them."""

import json

import numpy as np
import pandas as pd
import pytest
from workflow_tools import step

LOCI = """locus\tassembly\tchrom\tstart\tend\tvariants\ttitle\twhy
x\thg38\tchr1\t1990\t2010\tchr1:2001A>C\tA site\tmade up
x\thg19\tchr2\t5\t25\t\tAnother\tno
"""


@pytest.fixture
def place(tmp_path):
    """Effects of two models at a locus of 20 bp, sites around it, and a table of loci."""
    rng = np.random.default_rng(1)
    about = {"locus": "x", "assembly": "hg38", "chrom": "chr1", "start": 1990, "end": 2010, "part": "test", "seeds": [1], "score": "s",
             "targets": ["open"], "architecture": "basset", "initialisation": "random"}  # fmt: skip
    codes = np.zeros(20, np.uint8)
    for model in ("one", "two"):
        folder = tmp_path / "results/s/sites" / model / "mutagenesis"
        folder.mkdir(parents=True)
        effect = rng.normal(size=(20, 4, 1)).astype(np.float32)
        effect[np.arange(20), codes] = 0
        np.savez(folder / "x.npz", effect=effect, spread=effect, views=np.abs(effect) / 9, reference=np.zeros(1, np.float32), codes=codes,
                 about=json.dumps(about))  # fmt: skip
        rows = [("test", "auroc", -1, 0, 0.625), ("test", "auroc", 1, 0, 0.5), ("test", "auroc", -1, -1, 0.9),
                ("validation", "auroc", -1, 0, 0.8), ("test", "mcc", -1, 0, 0.1)]  # fmt: skip
        pd.DataFrame(rows, columns=["part", "metric", "seed", "target", "value"]).to_parquet(folder.parent / "metrics.parquet")
    pd.DataFrame({"chrom": ["chr1", "chr1", "chr1", "chr2"], "start": [0, 1900, 2310, 1990], "end": [200, 2100, 2510, 2010],
                  "split": ["train", "test", "train", "train"]}).to_parquet(tmp_path / "windows.parquet")  # fmt: skip
    (tmp_path / "loci.tsv").write_text(LOCI)
    return tmp_path


def dossier(place, **more):
    effects = [place / f"results/s/sites/{model}/mutagenesis/x.npz" for model in ("one", "two")]
    metrics = [path.parents[1] / "metrics.parquet" for path in effects]
    step("document").main(effects, metrics, place / "windows.parquet", place / "loci.tsv", place / "x.html", "s", "sites", "Sites", **more)
    return (place / "x.html").read_text()


def test_the_page_says_where_the_nearest_training_window_is_and_lists_the_known_variant(place):
    text = dossier(place)
    assert "300 bp away" in text and "A site" in text and "chr1:1,991–2,010" in text and "chr1:2,001 A&gt;C" in text
    assert "nothing that this study reads" in text and "made up" in text
    assert "AUROC on the test windows: one 0.625; two 0.625." in text


def test_what_was_measured_within_the_locus_is_read_from_every_set(place):
    rows = pd.DataFrame({"chrom": "chr1", "position": [1989, 1990, 2009, 2010], "id": ["a", "LDLR", "LDLR", "b"], "ref": "A", "alt": "C",
                         "measured": [9.0, 0.5, np.nan, 9.0]})  # fmt: skip
    rows.to_parquet(place / "mpra.parquet")
    rows.drop(columns="measured").to_parquet(place / "others.parquet")
    rows.assign(measured=[1.0, 0.0, 1.0, 1.0]).to_parquet(place / "labels.parquet")
    (place / "m.pfm").write_text(">MA1 ets\n0 0 9 9 0 0\n9 9 0 0 0 0\n0 0 0 0 9 9\n0 0 0 0 0 0\n")
    text = dossier(place, variants=[place / "mpra.parquet", place / "others.parquet", place / "labels.parquet"], motifs=place / "m.pfm")
    assert "1 variants: LDLR" in text and "0.50 LDLR" in text and "1 are looked for" in text


def test_a_locus_that_a_training_window_overlaps_or_whose_chromosome_has_none_says_so(place):
    for split, said in ((["train"], "a training window overlaps it"), (["test"], "no training window lies on chr1")):
        pd.DataFrame({"chrom": "chr1", "start": [2009], "end": [2100], "split": split}).to_parquet(place / "windows.parquet")
        assert said in dossier(place)
