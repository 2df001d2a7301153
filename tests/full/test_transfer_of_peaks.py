"""Real peaks of tissues, through the workflow: transfer of a k-mer regression, and the same without the labels of two tissues."""

import pandas as pd
import yaml
from workflow_tools import clone, snakemake

RECORDS = {"hg19_chr20_1000001-2000000.fa": "chr20:1000001-2000000", "hg19_chr22_20000001-21000000.fa": "chr22:20000001-21000000"}
TISSUES = ("gm12878", "kidney", "skin", "uterus")


def test_dnase_and_ctcf_peaks_of_tissues_are_transferred(tmp_path, shared):
    folder = clone(tmp_path / "regdna")
    for name, record in RECORDS.items():
        (folder / name).write_text(f">{record}\n{(shared / 'data/genome' / name).read_text().partition(chr(10))[2]}")
    files = {file.name: file for file in sorted((shared / "data/annotation/encode_hg19").glob("*.bed.gz"))}
    chosen = {f"{tissue}-{assay.lower()}": (name, tissue, assay) for tissue in TISSUES for assay in ("DNase", "CTCF")
              for name in files if name.startswith(f"{assay.lower()}_{tissue}_")}  # fmt: skip
    assert len(chosen) == 8
    study = {
        "title": "Peaks of tissues", "question": "Does what is learnt of one tissue hold in another?",
        "sources": {
            "megabases": {
                "title": "hg19", "assembly": "hg19", "files": {name: {"path": name} for name in RECORDS},
                "regions": [["chr20", 1_000_000, 2_000_000], ["chr22", 20_000_000, 21_000_000]],
            },
            "peaks": {"title": "ENCODE", "assembly": "hg19",
                      "files": {name: {"path": str(files[name])} for name, _, _ in chosen.values()}},
        },
        "datasets": {
            "peaks": {
                "title": "Peaks", "assembly": "hg19", "genome": "megabases", "labels": "multilabel", "block": 20_000,
                "windows": {"bin": 200, "context": 600}, "transfer": {"held_out": ["skin", "uterus"]},
                "targets": {
                    target: {"intervals": f"peaks/{name}", "rule": "any_overlap", "cell_type": tissue, "assay": assay}
                    for target, (name, tissue, assay) in chosen.items()
                },
                "split": {"rule": "chromosomes", "test": ["chr22"], "validation": ["chr20:1,000,001-1,250,000"], "gap": 600},
            }
        },
        "models": {"kmer-logistic": {"architecture": "kmer-logistic", "parameters": {"k": 4}, "controls": ["held-out-cells"]}},
        "training": {}, "evaluation": {"replicates": 200},
    }  # fmt: skip
    (folder / "own").mkdir()
    (folder / "own/tissues.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    paths = [f"results/tissues/peaks/{model}/transfer.parquet" for model in ("kmer-logistic", "kmer-logistic-held-out-cells")]
    done = snakemake(folder, *paths, study="tissues", studies="own")
    assert done.returncode == 0, done.stderr
    whole, strict = (pd.read_parquet(folder / path).set_index(["kind", "tested_on", "assay", "metric"]) for path in paths)
    assert [one["label"] for one in whole.attrs["groups"]] == ["DNase", "CTCF"] and whole.attrs["left_out"] == {}
    assert all(0.01 < one["varying"] / one["windows"] < 0.1 for one in whole.attrs["groups"])
    for table in (whole, strict):
        skill, known = (table.loc[(kind, "", "DNase", "auroc")] for kind in ("mean-of-others", "mean-activity"))
        assert 0.5 < skill["low"] < skill["value"] < known["value"] < known["high"]  # real tissues: what others measured says more
    assert whole["seen"].all() and not strict["seen"].any()
    assert set(strict.index.get_level_values("tested_on")) == {"skin", "uterus", ""} and set(strict["trained_on"]) == {
        "gm12878",
        "kidney",
        "",
    }
    own = whole.loc[("deviation", "", "DNase", "auroc")]
    assert own["subset"] == "varying" and own["low"] < 0.5 < own["high"]  # 4-mers of a megabase do not tell tissues apart
    # The labels that the control never saw are those that it is judged by.
    seen, unseen = (table.loc[("mean-activity", "skin", "DNase", "auroc")] for table in (whole, strict))
    assert (seen["n"], seen["positives"]) == (unseen["n"], unseen["positives"])
