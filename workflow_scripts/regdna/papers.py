"""What papers have published of known benchmarks: the table of it, and whether a study names benchmarks that are in it."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from regdna.manifest import nearest, read_table
from regdna.step import InputError

METRICS = {"auroc": 0.0, "average_precision": 0.0, "mcc": -1.0}  # and the least that each can be
STATISTICS = ("mean", "median")
REGIMES = {"full": "all weights", "lora": "low-rank updates", "ia3": "scaling vectors", "probe": "a linear layer on frozen weights"}
COUNTS = ("targets", "test_windows", "training_windows", "length")
TEXTS = ("benchmark", "model", "architecture", "weights", "regime", "metric", "statistic", "group", "value", "chromosomes", "split",
         "source", "evidence", "remark")  # fmt: skip


def read_papers(path: Path, architectures: Iterable[str]) -> pd.DataFrame:
    """The published values, a row a benchmark, model, metric and group; counts that are not recorded are 0.

    Args:
        path: the table.
        architectures: that are known here.

    Raises:
        InputError: a column or a cell is wrong, or a row is there twice.
    """
    table = read_table(path, dict.fromkeys((*TEXTS, *COUNTS), str))
    for at, row in enumerate(table.to_dict("records")):
        line = f"{path}: line {at + 2}"
        # A network that is not here, and a regime that no paper records, are left empty.
        for column, known in (
            ("metric", METRICS),
            ("statistic", STATISTICS),
            ("architecture", ["", *architectures]),
            ("regime", ["", *REGIMES]),
        ):
            if row[column] not in known:
                raise InputError(
                    f"{line}: {column} is {row[column]!r}, none of {', '.join(filter(None, known))}{nearest(row[column], known)}"
                )
        for column in COUNTS:
            if row[column] and not row[column].isdecimal():
                raise InputError(f"{line}: {column} is {row[column]!r}, not a whole number; mend it, or leave it empty if it is not known")
        if "," in row["chromosomes"]:
            raise InputError(f"{line}: chromosomes are {row['chromosomes']!r}; write them with blanks between, as chr8 chr9")
        value = pd.to_numeric(row["value"], errors="coerce")
        if not METRICS[row["metric"]] <= value <= 1:
            raise InputError(f"{line}: value is {row['value']!r}, but {row['metric']} is at most 1; a percentage is written as 0.77")
        if not row["source"] or not row["evidence"]:
            raise InputError(f"{line}: source or evidence is empty; say where the number stands and how sure it is")
    again = table.duplicated(["benchmark", "model", "metric", "statistic", "group"])
    if again.any():
        raise InputError(f"{path}: line {again.argmax() + 2}: this benchmark, model, metric, statistic and group are there twice; keep one")
    counts = {name: table[name].replace("", "0").astype(int) for name in COUNTS}
    return table.assign(value=table["value"].astype(float), **counts)


def check_benchmarks(study: dict, benchmarks: list[str], name: str) -> None:
    """Refuse a study that says that a dataset is a benchmark of which nothing is known.

    Args:
        study: a validated study.
        benchmarks: names of the published ones.
        name: file to name in messages.

    Raises:
        InputError: one line that names the nearest benchmark.
    """
    for dataset, entry in study["datasets"].items():
        if "literature" in entry and entry["literature"] not in benchmarks:
            said, key = entry["literature"], f"{name}: datasets.{dataset}.literature"
            raise InputError(f"{key}: {said!r} is not in resources/literature.tsv{nearest(said, benchmarks)}")
