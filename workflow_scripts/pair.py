"""Epistasis in a model's logits: of motif pairs planted into shuffled windows, and of pairs of substitutions at loci."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from regdna.alphabet import LETTERS
from regdna.arrays import read_arrays
from regdna.certificate import certified
from regdna.interactions import claims, loci, logits, planted
from regdna.models.classifier import Classifier
from regdna.mutagenesis.place import around
from regdna.step import run
from regdna.store import atomic
from regdna.windows import Places, Sequences

COLUMNS = ["kind", "locus", "a", "b", "spacing", "orientation", "target", "name", "effect_a", "effect_b", "effect_joint", "epistasis",
           "low", "high", "p", "p_adjusted", "p_arrangement", "backgrounds"]  # fmt: skip


def main(
    windows: Path,
    splits: Path,
    checkpoints: list[Path],
    table: Path,
    asked: dict,
    replicate_count: int = 1000,
    effects: list[Path] | None = None,
    sequences: Path | None = None,
    genome: list[Path] | None = None,
) -> None:
    """Write a row a pair, arrangement and target to ``table``, of motifs and then of loci.

    Args:
        windows, splits: of the dataset.
        checkpoints: of every seed.
        asked: what the study says under ``interactions``.
        replicate_count: random signs that claims are adjusted by.
        effects: mutagenesis of the model at the dataset's loci.

    Raises:
        InputError: a checkpoint belongs to another split, or too few test windows are without N.
    """
    frame = pd.read_parquet(windows)
    classifiers = [Classifier(path) for path in checkpoints]
    belong = zip(checkpoints, (one.about["split_digest"] for one in classifiers), strict=True)
    digest = certified(splits, windows, frame, belong, "train on this split first")
    about = classifiers[0].about
    tables = [pd.DataFrame(columns=COLUMNS)]
    if asked["pairs"]:
        rows = planted.choose(frame, asked["backgrounds"], asked["seed"], windows)
        codes = planted.shuffled(Sequences(frame, sequences, genome, about["length"]), rows, asked["seed"])
        places = Places.of(frame)[rows]
        tables += [motifs(classifiers, codes, places, pair, asked, digest, replicate_count) for pair in asked["pairs"]]
    for path in effects or []:
        tables.append(locus(classifiers, path, asked["positions"], windows, sequences, genome))
    out = pd.concat([one for one in tables if len(one)] or tables, ignore_index=True).reindex(columns=COLUMNS)
    out["name"] = [about["targets"][target] for target in out["target"]]
    kept = {name: about[name] for name in ("split_digest", "initialisation", "architecture", "length", "labels")}
    out.attrs = {**kept, "motifs": asked["motifs"], "spacings": asked["spacings"], "seed": asked["seed"], "draws": replicate_count,
                 "seeds": [one.about["seed"] for one in classifiers]}  # fmt: skip
    with atomic(table) as temporary:
        out.to_parquet(temporary, index=False)


def motifs(
    classifiers: list[Classifier], codes: np.ndarray, places: Places, pair: list[str], asked: dict, digest: str, count: int
) -> pd.DataFrame:
    """A row an arrangement and target of one pair of motifs."""
    first, second = (asked["motifs"][name] for name in pair)
    draw = np.random.default_rng(asked["seed"])
    spelt = [planted.spell(motif, len(codes), draw) for motif in (first, second)]
    some = planted.arrangements(first, second, asked["spacings"], codes.shape[1])
    if not some:
        return pd.DataFrame(columns=COLUMNS)
    found = []
    for one in classifiers:

        def answer(sets: np.ndarray, one: Classifier = one) -> np.ndarray:
            return logits(one, sets, places[np.arange(len(sets)) % len(codes)])

        found.append(planted.effects(answer, codes, *spelt, some))
    a, b, both = (np.stack(one) for one in zip(*found, strict=True))  # (seeds, n, arrangements, targets)
    epistasis = both - a - b
    held = claims.judge(epistasis, count, f"{digest} {' '.join(pair)}")
    # Against the mean over arrangements: what a model's output bends is the same in all of them.
    apart = claims.judge(epistasis - epistasis.mean(2, keepdims=True), count, f"{digest} {' '.join(pair)} apart").p_adjusted
    shape = held.mean.shape
    columns = {"effect_a": a.mean((0, 1)), "effect_b": b.mean((0, 1)), "effect_joint": both.mean((0, 1)), "epistasis": held.mean,
               "low": held.low, "high": held.high, "p": held.p, "p_adjusted": held.p_adjusted,
               "p_arrangement": apart if len(some) > 1 else np.full(shape, np.nan)}  # fmt: skip
    kind, target = np.indices(shape).reshape(2, -1)
    return pd.DataFrame({
        "kind": "planted", "locus": "", "a": pair[0], "b": pair[1], "spacing": np.array([one.spacing for one in some])[kind],
        "orientation": np.array([one.orientation for one in some], object)[kind], "target": target, "backgrounds": len(codes),
        **{name: values.ravel() for name, values in columns.items()},
    })  # fmt: skip


def locus(
    classifiers: list[Classifier], path: Path, positions: int, windows: Path, sequences: Path | None, genome: list[Path] | None
) -> pd.DataFrame:
    """A row a pair of substitutions and target of one locus."""
    arrays = read_arrays(path)
    said = json.loads(str(arrays["about"]))
    codes, start = around(pd.Series(said), classifiers[0].about["length"], windows, sequences, genome)
    edits = [(said["start"] - start + place, base) for place, base in loci.strongest(arrays["effect"], positions)]
    middle = Places(np.array([said["chrom"]], object), np.array([start + len(codes) / 2]))
    found = [loci.effects(lambda some, one=one: logits(one, some, middle[np.zeros(len(some), int)]), codes, edits) for one in classifiers]
    alone, both = (np.stack(one) for one in zip(*found, strict=True))
    names = [f"{said['chrom']}:{start + where + 1}{LETTERS[codes[where]]}>{LETTERS[base]}" for where, base in edits]
    rows = []
    for at, (one, other) in enumerate(combinations(range(len(edits)), 2)):
        epistasis, low, high = claims.over_seeds(both[:, at] - alone[:, one] - alone[:, other])
        rows.append(pd.DataFrame({
            "kind": "locus", "locus": said["locus"], "a": names[one], "b": names[other], "spacing": edits[other][0] - edits[one][0] - 1,
            "orientation": "", "target": np.arange(len(epistasis)), "effect_a": alone[:, one].mean(0), "effect_b": alone[:, other].mean(0),
            "effect_joint": both[:, at].mean(0), "epistasis": epistasis, "low": low, "high": high, "p": np.nan, "p_adjusted": np.nan,
            "p_arrangement": np.nan, "backgrounds": 1,
        }))  # fmt: skip
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=COLUMNS)


if __name__ == "__main__":
    run(main)
