"""The site file: what one cluster calls its account, partitions and GPUs, checked against the cluster where that can be asked."""

import getpass
import shutil
import sys
from pathlib import Path

from regdna.manifest import read_yaml, validate
from regdna.slurm.ask import rows
from regdna.step import InputError

SITE = Path("profiles/slurm/site.yaml")
SCHEMA = Path(__file__).resolve().parents[3] / "rules/schemas/site.schema.yaml"
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
    return content


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
    if "partition" in content:
        said.append(f"--partition={content['partition']}")
    for name, limits in content.get("partitions", {}).items():
        if (limits["max_gpu"] >= gpus) if gpus else not limits["max_gpu"]:
            said.append(f"--partition={name}")
            break
    if gpus:
        kind = f"{content['gpu_model']}:" if "gpu_model" in content else ""
        said.append(f"--gres=gpu:{kind}{gpus}" if content["gpu_request"] == "gres" else f"--gpus={kind}{gpus}")
    return [*said, *content["extra"].split()]


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
    for key, asked in {"partition": [content.get("partition")], "partitions": list(content.get("partitions", []))}.items():
        for one in asked:
            if one is not None and one not in names:
                raise InputError(f"{path}: {key}: this cluster has no partition {one!r}; it has {', '.join(names)}")
    models = {name: models_of([row[1] for row in there if row[0] == name]) for name in names}
    model, where = content.get("gpu_model"), gpu_partitions(content, names)
    if model is not None and model not in set().union(*(models[name] for name in where)):
        known = sorted(set().union(*models.values()))
        raise InputError(f"{path}: gpu_model: no GPU {model!r} in {' or '.join(where)}; this cluster has {', '.join(known) or 'none'}")
    _check_account(content, path)
    if content["accounting"] and accounts() is False:
        raise InputError(f"{path}: accounting: this cluster keeps no accounts of jobs (no slurmdbd); write `accounting: false`")


def gpu_partitions(content: dict, names: list[str]) -> list[str]:
    """Partitions that jobs with a GPU may go to."""
    if "partitions" in content:
        return [name for name, limits in content["partitions"].items() if limits["max_gpu"]]
    return [content["partition"]] if "partition" in content else names


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
