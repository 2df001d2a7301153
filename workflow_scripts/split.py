"""Give every window its part (train, validation, test, gap, similar, unused) and certify what the parts share."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from regdna import certificate
from regdna import splits as rules
from regdna.arrays import read_array
from regdna.genome import Genome
from regdna.homology import Axis, Words, clusters, share_with
from regdna.step import InputError, log, run
from regdna.store import atomic, write_json

CARRIED = ("negatives",)  # what the candidates' metadata say of how windows were chosen
OWN = ("part", "file", "row")  # columns of the candidates that say where a row came from; not carried on


def main(
    candidates: Path,
    windows: Path,
    splits: Path,
    rule: dict,
    training_sites: int = 0,
    sequences: Path | None = None,
    genome: list[Path] | None = None,
) -> None:
    """Write the windows with their part to ``windows`` and the certificate to ``splits``.

    Args:
        rule: the split as the study says it: rule, test, validation, unused, gap, seed, block, threshold, drop_similar, known.
        training_sites: training windows to keep, drawn at random; 0 keeps all.
        sequences: .npy of codes, for datasets that come as sequences; either this or ``genome``.
        genome: codes, index and, if repeats are known, mask of the assembly.

    Raises:
        InputError: a part is empty, or windows of different parts overlap or are closer than the gap.
    """
    held = pq.read_schema(candidates).names
    table = pd.read_parquet(candidates, columns=["chrom", "start", "end", *(name for name in OWN if name in held)])
    axis = lay_out(table, sequences, genome)
    words = cluster = grouped = None
    if rule["rule"] == "homology":
        words = Words(axis, rule.get("block"))
        cluster, grouped = clusters(words, rule.get("threshold", certificate.SIMILAR))
        cluster = rules.join_identical(cluster, axis.fingerprints()[:2])
        grouped |= {"count": int(cluster.max()) + 1, "largest": int(np.bincount(cluster).max())}
    part = draw(table, rule, cluster)
    refuse_empty(part, rule["rule"])
    words = words or Words(axis)
    if rule.get("drop_similar"):
        train = np.flatnonzero(part == "train")
        part[train[share_with(words, np.isin(part, certificate.PARTS[1:]), train) >= certificate.SIMILAR]] = "similar"
    table["split"] = pd.Categorical(leave_out(part, training_sites, rule.get("seed", 0)))
    refuse_empty(part, rule["rule"])
    shares = {name: share_with(words, part == "train", np.flatnonzero(part == name)) for name in certificate.PARTS[1:]}
    about = {"informative_words": words.about(), "clusters": grouped} | {name: table.attrs[name] for name in CARRIED if name in table.attrs}
    del words  # what has been told need not be held: this is the step that decides how much memory a genome takes
    *prints, about["sequence_digest"] = axis.fingerprints()
    del axis
    report = certificate.certify(table, rule, shares, prints, about)
    if report["verdict"] == "leak":
        raise InputError(
            f"split: {report['overlapping_windows']} windows overlap another part and parts come within "
            f"{report['smallest_distance_bp']} bp; widen the gap"
        )
    similarity = np.full(len(part), np.nan)
    for name, share in shares.items():
        similarity[part == name] = share
    del table, shares, prints
    write_windows(candidates, windows, part, cluster, similarity)
    write_json(splits, report)


def lay_out(table: pd.DataFrame, sequences: Path | None, genome: list[Path] | None) -> Axis:
    """The windows' sequence, from their own file or from the genome.

    Raises:
        InputError: both or neither is given, or they do not fit.
    """
    if (sequences is None) == (not genome):
        raise InputError("a dataset has either sequences of its own or an assembly; give one of the two")
    if genome:
        return Axis(table, genome=Genome(*genome))
    rows = read_array(sequences, "r")
    if len(rows) != len(table):
        raise InputError(f"{sequences}: {len(rows)} rows, but {len(table)} windows; make both again")
    return Axis(table, rows)


def draw(table: pd.DataFrame, rule: dict, cluster: np.ndarray | None) -> np.ndarray:
    """The part of every window by the rule, with its gap, object (n,).

    Parts that come with the data, or as published in a split that says that they touch, are left as they are unless a gap is asked for.
    """
    if rule["rule"] == "given":
        part = rules.as_given(table)
    elif rule["rule"] == "homology":
        part = rules.by_clusters(cluster, rule["test"], rule["validation"], rule.get("seed", 0))
    elif rule["rule"] == "blocks":
        part = rules.by_blocks(table, rule["block"], rule["test"], rule["validation"], rule.get("seed", 0))
    else:
        part = rules.by_regions(table, rule["test"], rule["validation"], rule.get("unused", []))
    gap = rule.get("gap", 0)
    as_published = rule["rule"] == "given" or rule.get("known")
    return part if as_published and not gap else rules.open_gap(table, part, gap)


ADVICE = {
    "given": "name a file or rows of that part",
    "chromosomes": "choose other chromosomes or a smaller gap (sequences without columns.chrom are on none: draw them by homology)",
    "blocks": "choose more blocks or a smaller gap",
    "homology": "choose a larger share or a smaller gap",
}


def refuse_empty(part: np.ndarray, rule: str) -> None:
    """Refuse a split of which a part has no window."""
    for name in certificate.PARTS:
        if not (part == name).any():
            raise InputError(f"split: no window is in {name}; {ADVICE[rule]}")


def leave_out(part: np.ndarray, training_sites: int, seed: int) -> np.ndarray:
    """Parts with all but ``training_sites`` training windows, drawn at random, set to ``unused``; 0, or more than there are, keeps all."""
    train = np.flatnonzero(part == "train")
    if training_sites > len(train):
        log.warning("training_sites: %d were asked for; all %d that are in the training part are taken", training_sites, len(train))
    if training_sites:
        part[np.random.default_rng(seed).permutation(train)[training_sites:]] = "unused"
    return part


def write_windows(candidates: Path, windows: Path, part: np.ndarray, cluster: np.ndarray | None, similarity: np.ndarray) -> None:
    """Write the candidates with their parts, what they share with training and, where there are some, their clusters."""
    table = pd.read_parquet(candidates)
    table = table.drop(columns=[name for name in OWN if name in table])
    table.insert(3, "split", part)
    if cluster is not None:
        table["cluster"] = cluster
    table["training_similarity"] = similarity
    with atomic(windows) as temporary:
        table.to_parquet(temporary, index=False)


if __name__ == "__main__":
    run(main)
