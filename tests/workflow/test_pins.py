"""One set of pins: requirements, the lock and the conda environments agree."""

import ast
import re
import sys
from importlib.metadata import packages_distributions

import pytest
import yaml
from workflow_tools import ROOT


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    rows = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(row) == 2 for row in rows), f"{name}: every line is package==version"
    return {package.lower().replace("_", "-"): version for package, version in rows}


def test_the_lock_holds_every_requirement():
    lock = pins("requirements-lock.txt")
    for name in ("requirements.txt", "requirements-dev.txt"):
        for package, version in pins(name).items():
            assert lock.get(package) == version, f"{package} in {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_conda_environments_have_the_same_pins(path):
    wanted = pins("requirements.txt")
    dependencies = yaml.safe_load(path.read_text())["dependencies"]
    listed = next(one["pip"] for one in dependencies if isinstance(one, dict))
    for line in listed:
        package, version = line.split("==")
        assert wanted[package.lower()] == version, f"{path.name}: {line}"


def test_the_image_takes_its_pins_from_requirements():
    text = (ROOT / "envs/regdna.def").read_text()
    assert "==" not in text and "From: python:3.11-" in text
    copied = dict(line.split() for line in text.partition("%files\n")[2].partition("\n\n")[0].splitlines())
    assert set(copied) == {"requirements.txt", "requirements-lock.txt"}
    installed = next(line for line in text.splitlines() if line.strip().startswith("pip install"))
    assert f"-c {copied['requirements-lock.txt']} -r {copied['requirements.txt']}" in installed
    tested = text.partition("%test\n")[2].partition("\n\n")[0]
    assert "snakemake --version" in tested and "import torch" in tested


def test_torch_comes_first():
    first = next(line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#"))
    assert first.startswith("torch=="), "another package would choose torch's build"


def test_the_version_is_written_once():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)[1]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version


def test_every_imported_package_is_declared():
    wanted = {folder: pins("requirements.txt") for folder in ("workflow_scripts", "docs")}
    wanted["tests"] = pins("requirements.txt") | pins("requirements-dev.txt")
    brings = packages_distributions()
    paths = {folder: sorted((ROOT / folder).rglob("*.py")) for folder in wanted}
    own = {path.stem for several in paths.values() for path in several} | {"regdna"}
    for folder, declared in wanted.items():
        for path in paths[folder]:
            for name in sorted(imported(path) - own - sys.stdlib_module_names):
                packages = {one.lower().replace("_", "-") for one in brings.get(name, [])}
                assert packages & set(declared), f"{path.relative_to(ROOT)} imports {name}, which no requirement brings"


def imported(path) -> set[str]:
    """Top-level packages that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names
