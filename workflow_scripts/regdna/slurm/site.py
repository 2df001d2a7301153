"""The site file: what one cluster calls its account, partitions and GPUs, checked against the cluster where that can be asked."""

import getpass
import re
import shlex
import shutil
import sys
from pathlib import Path

from regdna.manifest import read_yaml, validate
from regdna.slurm.ask import rows, seconds
from regdna.step import InputError

SITE = Path("profiles/slurm/site.yaml")
SCHEMA = Path(__file__).resolve().parents[3] / "rules/schemas/site.schema.yaml"
# Options of sbatch that Snakemake gives itself, from the site file's other keys or from what a job asks for.
MANAGED = re.compile(
    r"--(account|clusters|comment|constraint|cpus-per-(gpu|task)|error|export|gpus|gres|job-name|mem(-per-cpu)?|nodes|ntasks(-per-gpu)?|output"
    r"|parsable|partition|qos|signal|time|workdir)(=|$)|-[ACDJNcenopt]"
)
SIGNAL = "--signal=TERM@180"  # three minutes before the time limit, in which a training saves its state


def read_site(path: Path = SITE) -> dict:
    """What the site file says, with defaults; all of them defaults where there is no such file.

    Raises:
        InputError: one line that names the file, the key and what to do.
    """
    content = validate(read_yaml(path) if path.is_file() else {}, read_yaml(SCHEMA), str(path))
    if "partition" in content and "partitions" in content:
        raise InputError(f"{path}: partition and partitions are both given; keep one")
    if "account" in content and not content["accounting"]:
        raise InputError(f"{path}: account: a cluster without accounting charges nobody; take `account` or `accounting: false` away")
    for one in words(content["extra"], f"{path}: extra"):
        if MANAGED.match(one):
            raise InputError(f"{path}: extra: {one} is Snakemake's to say; use the key for it here, or the study's own settings")
    return content


def partitions_of(content: dict, gpus: int) -> list[str]:
    """Partitions that jobs with so many GPUs go to; none where the file names none, or none takes them."""
    table = content.get("partitions")
    if table is None:
        return content["partition"].split(",") if "partition" in content else []
    return [name for name, one in table.items() if (one["max_gpu"] >= gpus if gpus else not one["max_gpu"])]


def words(text: str, key: str = "extra") -> list[str]:
    """Options as a shell reads them, on however many lines.

    Raises:
        InputError: a quotation mark without its other half.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InputError(f"{key}: {error}; close it, or write \\ before a quotation mark that is meant as such") from None


def site(path: Path = SITE) -> dict:
    """``read_site`` for a profile, which is read before the workflow: what is wrong ends the process with its one line.

    Where Slurm is at hand its names are looked up, so that a wrong one is said once, and not by every job.
    """
    try:
        content = read_site(path)
        if shutil.which("sinfo"):
            check(content, path)
        return content
    except InputError as error:
        print(f"regdna: {error}", file=sys.stderr)
        sys.exit(1)


def request(content: dict, gpus: int) -> list[str]:
    """Options of ``sbatch`` that send a job with so many GPUs where the site wants it."""
    said = [f"--{name}={content[name]}" for name in ("account", "qos", "constraint") if name in content]
    where = partitions_of(content, gpus)
    if where:
        said.append(f"--partition={where[0] if 'partitions' in content else ','.join(where)}")
    if gpus:
        kind = f"{content['gpu_model']}:" if "gpu_model" in content else ""
        said.append(f"--gres=gpu:{kind}{gpus}" if content["gpu_request"] == "gres" else f"--gpus={kind}{gpus}")
    return [*said, *words(content["extra"])]


def limits(content: dict, gpus: int, there: list[list[str]] | None = None) -> tuple[int | None, int | None]:
    """Most minutes and most memory (MB) that a job with so many GPUs may ask for, where it goes; None for what nobody says.

    As the table of partitions has it, else as the cluster says of the one partition.

    Args:
        there: partition (the default one with a ``*``), time limit and memory of a node, as ``sinfo`` prints them; None: it is asked.
    """
    if "partitions" in content:
        fit = [content["partitions"][name] for name in partitions_of(content, gpus) or content["partitions"]]
        times, sizes = ([one.get(key) for one in fit] for key in ("max_runtime", "max_mem_mb"))
    else:
        there = rows(["sinfo", "--noheader", "--format=%P|%l|%m"]) or [] if there is None else there
        wanted = content["partition"].split(",") if "partition" in content else []
        mine = [row for row in there if len(row) == 3 and (row[0].rstrip("*") in wanted if wanted else row[0].endswith("*"))]
        times = [round(found / 60) if (found := seconds(row[1])) is not None else None for row in mine]
        sizes = [int(row[2].rstrip("+")) if row[2].rstrip("+").isdigit() else None for row in mine]
    return tuple(max(found) if found and None not in found else None for found in (times, sizes))


def quoted(text: str) -> str:
    """Text as a value of a resource, which is Python to Snakemake; a ``$`` in it is left for the node to read."""
    return repr(text).replace("$", "\\x24")


def check(content: dict, path: Path = SITE) -> None:
    """Refuse names that the cluster does not have.

    Raises:
        InputError: a partition, account, QOS or GPU that is not there, or accounting where there is none.
    """
    there = rows(["sinfo", "--noheader", "--all", "--format=%R|%G"])
    if there is None:  # no controller answers: jobs will say so
        return
    names = sorted({row[0] for row in there})
    for key, asked in {"partition": content.get("partition", "").split(","), "partitions": list(content.get("partitions", []))}.items():
        for one in asked:
            if one and one not in names:
                raise InputError(f"{path}: {key}: this cluster has no partition {one!r}; it has {', '.join(names)}")
    models = {name: models_of([row[1] for row in there if row[0] == name]) for name in names}
    model, where = content.get("gpu_model"), gpu_partitions(content, names)
    if model is not None and model not in set().union(*(models[name] for name in where)):
        known = sorted(set().union(*models.values()))
        place = " or ".join(where) or "a partition with max_gpu above 0"
        raise InputError(f"{path}: gpu_model: no GPU {model!r} in {place}; this cluster has {', '.join(known) or 'none'}")
    _check_table(content, path)
    _check_account(content, path)
    if content["accounting"] and accounts() is False:
        raise InputError(f"{path}: accounting: this cluster keeps no accounts of jobs (no slurmdbd); write `accounting: false`")


def _check_table(content: dict, path: Path) -> None:
    """Refuse limits above those of the cluster: what asks for so much would wait for ever, or not be taken."""
    there = [row for row in rows(["sinfo", "--noheader", "--format=%R|%l|%m"]) or [] if len(row) == 3]
    for name, said in content.get("partitions", {}).items():
        known = limits({"partition": name}, 0, there)
        for key, most, unit in zip(("max_runtime", "max_mem_mb"), known, ("minutes", "MB"), strict=True):
            if most is not None and said.get(key, 0) > most:
                raise InputError(f"{path}: partitions.{name}.{key}: {said[key]} is more than the cluster's own {most} {unit}; lower it")


def gpu_partitions(content: dict, names: list[str]) -> list[str]:
    """Partitions that jobs with a GPU may go to."""
    if "partitions" in content:
        return [name for name, limits in content["partitions"].items() if limits["max_gpu"]]
    return content["partition"].split(",") if "partition" in content else names


def models_of(resources: list[str]) -> set[str]:
    """Models of GPUs in generic resources as ``sinfo`` prints them, such as ``gpu:a100:4(S:0-1),shard:8``."""
    found = set()
    for one in ",".join(resources).split(","):
        parts = one.partition("(")[0].split(":")
        if parts[0] == "gpu" and len(parts) == 3:
            found.add(parts[1])
    return found


def accounts() -> bool | None:
    """Whether the cluster keeps accounts of jobs that have ended; None if it does not say."""
    for line in rows(["scontrol", "show", "config"]) or []:
        key, _, value = line[0].partition("=")
        if key.strip() == "AccountingStorageType":
            return value.strip() not in ("accounting_storage/none", "(null)", "")
    return None


def _check_account(content: dict, path: Path) -> None:
    if "account" not in content and "qos" not in content:
        return
    mine = rows(["sacctmgr", "--noheader", "--parsable2", "show", "associations", f"user={getpass.getuser()}", "format=account,qos"])
    if not mine:  # no accounting here, or it tells nobody
        return
    names = {row[0].lower(): row[0] for row in mine}
    if "account" in content and content["account"].lower() not in names:
        raise InputError(f"{path}: account: {content['account']!r} is none of yours; you have {', '.join(sorted(names.values()))}")
    known = {one for row in mine for one in row[1].split(",") if one}
    if "qos" in content and known and content["qos"] not in known:
        raise InputError(f"{path}: qos: {content['qos']!r} is none of yours; you have {', '.join(sorted(known))}")
