"""Which models are asked for transfer, and what the control that never sees some cell types is given."""

import pytest
import yaml
from workflow_tools import clone, planned, snakemake

STUDY = {
    "title": "t", "question": "q", "training": {},
    "datasets": {
        "cells": {
            "title": "Cells", "assembly": "hg19", "genome": "demo-chr22", "windows": {"bin": 200, "context": 600}, "labels": "multilabel",
            "transfer": {"held_out": ["K562"]},
            "targets": {
                "k562-open": {"intervals": "demo-annotation/tss.bed", "rule": "any_overlap", "cell_type": "K562", "assay": "DNase"},
                "hepg2-open": {"intervals": "demo-annotation/exons.bed", "rule": "any_overlap", "cell_type": "HepG2", "assay": "DNase"},
            },
            "split": {"rule": "blocks", "block": 50_000, "test": 5, "validation": 4, "gap": 600},
        },
    },
    "models": {"composition": {"architecture": "composition"},
               "kmer": {"architecture": "kmer-logistic", "controls": ["shuffled-labels", "held-out-cells"]}},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A clone with a study of its own; a second dataset, beside the first, asks for no transfer."""
    here = clone(tmp_path_factory.mktemp("transfer") / "regdna")
    plain = {name: value for name, value in STUDY["datasets"]["cells"].items() if name != "transfer"}
    (here / "own").mkdir()
    (here / "own/two.yaml").write_text(yaml.safe_dump({**STUDY, "datasets": {**STUDY["datasets"], "plain": plain}}))
    return here


def test_models_and_the_control_made_for_it_are_judged_where_transfer_is_asked_for(folder):
    jobs = planned(folder, "evaluate", study="two", studies="own")
    assert jobs["transfer_model"] == 3  # not of shuffled labels, and of one dataset
    assert jobs["train_model"] == 3 * 2 + 1  # held-out-cells runs on that dataset alone


def test_only_a_dataset_that_asks_has_a_table(folder):
    refused = snakemake(folder, "-n", "results/two/plain/kmer/transfer.parquet", study="two", studies="own")
    assert refused.returncode and "dataset plain has no 'transfer'" in refused.stdout + refused.stderr


def test_the_control_without_cell_types_to_hold_out_is_refused_before_any_job(folder):
    for change, said in (
        ({"transfer": {}}, "models.kmer.controls: held-out-cells needs cell types to hold out"),
        ({"labels": "exclusive"}, "datasets.cells.transfer: labels are exclusive"),
        ({"transfer": {"held_out": ["K563"]}}, "datasets.cells.transfer.held_out: 'K563' shares no assay and target"),
    ):
        cells = {**STUDY["datasets"]["cells"], **change}
        (folder / "own/bad.yaml").write_text(yaml.safe_dump({**STUDY, "datasets": {"cells": cells}}))
        refused = snakemake(folder, "-n", "evaluate", study="bad", studies="own")
        assert refused.returncode and f"own/bad.yaml: {said}" in refused.stderr, refused.stderr
    (folder / "own/bad.yaml").unlink()
