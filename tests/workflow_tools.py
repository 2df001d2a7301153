"""A copy of the checkout as a fresh clone has it, and Snakemake run in it as a user would."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import yaml

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = shutil.ignore_patterns(".venv", ".git", ".snakemake", "__pycache__", ".pytest_cache", ".ruff_cache", ".whl", ".gl")


def clone(destination: Path) -> Path:
    """Copy the checkout without what is generated."""

    def ignore(folder: str, names: list[str]) -> set[str]:
        generated = {name for name in names if name != "README.md"} if Path(folder) == ROOT / "results" else set()
        return LEFT_OUT(folder, names) | generated

    return Path(shutil.copytree(ROOT, destination, symlinks=True, ignore=ignore))


def environment() -> dict[str, str]:
    """The environment in which `snakemake` is the one of the running Python."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONNOUSERSITE": "1"}


def command(*arguments: str, study: str | None = "tiny", studies: str = "tests/studies") -> list[str]:
    """A Snakemake command line, of a test study by default."""
    chosen = ["--config", f"study={study}", f"study_folder={studies}", "--"] if study else ["--"]
    options = [one for one in arguments if one.startswith("-")]
    targets = [one for one in arguments if not one.startswith("-")]
    return [sys.executable, "-m", "snakemake", *options, *chosen, *targets]


def snakemake(
    folder: Path, *arguments: str, study: str | None = "tiny", studies: str = "tests/studies", cores: int = 2
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a clone and wait for it."""
    return subprocess.run(
        command(f"--cores={cores}", *arguments, study=study, studies=studies),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )


def planned(folder: Path, *arguments: str, study: str | None = "tiny", studies: str = "tests/studies") -> dict[str, int]:
    """Jobs that a dry run would do: rule to count, without the total; empty if nothing is to be done."""
    return counted(snakemake(folder, "-n", "--quiet=host", *arguments, study=study, studies=studies))


def counted(result: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Jobs by rule that a finished dry run says it would do."""
    assert result.returncode == 0, result.stderr
    if "Nothing to be done" in result.stdout + result.stderr:
        return {}
    table = re.search(r"^job +count\n-[- ]+\n(.*?)\n\n", result.stdout + result.stderr, flags=re.MULTILINE | re.DOTALL)
    assert table, result.stdout + result.stderr
    counts = {name: int(count) for name, count in (line.split() for line in table[1].splitlines())}
    counts.pop("total")
    return counts


def compute(run: Path) -> dict:
    """The content of a run's compute.json."""
    return json.loads((run / "compute.json").read_text())


def step(name: str) -> ModuleType:
    """A script as a module; some share their names with rooms of the library, so it is loaded by its file."""
    spec = importlib.util.spec_from_file_location(f"step_{name}", ROOT / f"workflow_scripts/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MANY = (
    {"architecture": "basset", "parameters": {"filters": [16, 16, 16], "widths": [11, 5, 3], "pools": [8, 3, 2]}},
    {"architecture": "dnabert2", "parameters": {"hidden": 16, "layers": 1, "heads": 2, "vocabulary": 64}},
    {"architecture": "nucleotide-transformer", "parameters": {"hidden": 32, "layers": 1, "heads": 2}, "regime": "probe"},
)


def write_many(folder: Path, models: int, seeds: int) -> str:
    """A study of so many different networks on the demo's sites, beside the test studies of a clone; its name.

    A CNN and a transformer are 2 + 2 x seeds jobs each, every third model is a probe and has a job a seed more; all have 12 in common.
    """
    study = yaml.safe_load((folder / "tests/studies/tiny.yaml").read_text())
    study["datasets"] = {"dhs": study["datasets"]["dhs"]}
    study["seeds"] = list(range(1, seeds + 1))
    width = ("hidden", "intermediate", "intermediate")
    study["models"] = {
        f"m{one}": {**MANY[one % 3], "parameters": MANY[one % 3]["parameters"] | {width[one % 3]: 16 + one}} for one in range(models)
    }
    name = f"many-{models}-{seeds}"
    (folder / f"tests/studies/{name}.yaml").write_text(yaml.safe_dump(study))
    return name
