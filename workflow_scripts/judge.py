"""Hold scores of variants against what was measured of them."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from regdna import measured as judging
from regdna.manifest import read_table
from regdna.sources.variant_sets import kind_of
from regdna.step import run
from regdna.store import atomic
from regdna.variants.table import read_blocks

CARRIED = ["variants", "left_out", "flipped", "shifts", "align", "strands", "seeds", "split_digest", "initialisation", "architecture",
           "experiments"]  # fmt: skip
log = logging.getLogger("regdna")


def main(scores: Path, elements: Path, measured: Path, against: dict, replicate_count: int = 1000) -> None:
    """Write a row a group of variants, target and statistic to ``measured``; none where the file of variants has nothing measured.

    Args:
        scores: table of scores of one model.
        elements: resources/elements.tsv, the experiments of the saturation MPRA with their cell types.
        measured: parquet; its attrs say what was computed, by which rules, and what was left out.
        against: experiment to the target that it is held against, for those of another target than their cell type's.
        replicate_count: bootstrap replicates.

    Raises:
        InputError: ``against`` names what is not there.
    """
    parts = list(read_blocks(scores, []))
    about, table = parts[0].about, pd.concat([one.table for one in parts], ignore_index=True)
    if "measured" not in table:
        table["measured"] = np.nan
    kind = kind_of(table["measured"])
    kept, unusable = judging.usable(table)
    ids = table["id"] if kind == "effects" else None
    judging.check_against(against, ids, about, f"variants {about['variants']}")
    if kind == "effects":
        cells = read_table(elements, dict.fromkeys(("experiment", "element", "cell_type", "title"), str), key="experiment")
        logit = np.concatenate([one.values["logit"] for one in read_blocks(scores, ["logit"])])
        result = judging.judge_effects(table[kept], logit[kept], about, cells, against, replicate_count)
        about["experiments"] = {
            one: f"{row.title}, {row.cell_type}" for one, row in cells.iterrows() if (result["experiment"] == one).any()
        }
    elif kind == "labels":
        targets = [at for at, name in enumerate(about["targets"]) if not against or name in against.values()]
        there = next(read_blocks(scores)).values
        names = [name for name in ("logit", "diff", "deepsea_effect", "evalue_2015", "evalue_diff") if name in there]
        some = [judging.strength(one.values, targets) for one in read_blocks(scores, names)]
        sizes = {name: np.concatenate([one[name] for one in some])[kept] for name in some[0]}
        which = about["targets"][targets[0]] if len(targets) == 1 else f"{len(targets)} targets"
        match = judging.NAMED if against else judging.EVERY
        result = judging.judge_labels(table[kept], sizes, match, which, about["variants"], replicate_count)
    else:
        result = judging.as_table([])
    said = {name: about[name] for name in CARRIED if name in about}
    said |= {"kind": kind, "rules": judging.RULES.get(kind, {}), "not_judged": unusable, "used": int(kept.sum())}
    result.attrs = said | {"replicates": replicate_count}
    log.info("%s: %d of %d variants held against %s; %s", about["variants"], kept.sum(), len(table), kind, unusable)
    with atomic(measured) as temporary:
        result.to_parquet(temporary, index=False)


if __name__ == "__main__":
    run(main)
