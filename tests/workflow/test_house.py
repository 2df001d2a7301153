"""The house: floors, sizes, and the contract between rules and scripts."""

import ast
import inspect
import re
from pathlib import Path

import pytest
import yaml
from planted_bugs import BUGS
from workflow_tools import ROOT, step

SCRIPTS = ROOT / "workflow_scripts"
LIBRARY = SCRIPTS / "regdna"
# Lowest first; a module imports only from names before its own. A package stands for all in it, in any order.
FLOORS = [
    "store", "staging", "step", "provenance", "manifest", "slurm", "survey", "tuning", "roster", "cell_types", "dependencies", "papers",
    "study", "shelf", "plan", "estimate", "attempts", "ledger",
    "alphabet", "arrays", "shuffles", "genome", "intervals", "signals", "windows", "controls", "targets", "negatives", "homology",
    "certificate", "splits", "haplotypes", "tokenisers", "metrics", "motifs", "sources", "elements",
    "models",
    "embed", "train", "predict", "mutagenesis", "variants", "background",
    "bootstrap", "delong", "assess", "verdict", "paired", "contrast",
    "strata", "transfer", "contexts", "interactions", "measured", "agreement", "literature",
    "plots", "tracks", "page",
]  # fmt: skip
TARGETS = {"all", "sources", "vault", "windows", "train", "variants", "evaluate", "report", "compare", "preflight"}
# Scripts that no rule runs.
LONE_SCRIPTS = {"resolve.py", "resume.py"}


def imports(path: Path) -> set[str]:
    """First-level rooms of the library that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "regdna":
            parts = node.module.split(".")[1:]
            found |= {parts[0]} if parts else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("regdna.")}
    return found


@pytest.fixture(scope="module")
def rules():
    """Every rule of the workflow, as Snakemake reads it."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import OutputSettings, Quietness, ResourceSettings

    with pytest.MonkeyPatch.context() as patch, SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        patch.chdir(ROOT)
        workflow = api.workflow(resource_settings=ResourceSettings(cores=1), snakefile=ROOT / "Snakefile")
        # The one private name that tests use: Snakemake has no public way to list rules with their parts.
        yield list(workflow._workflow.rules)


def test_every_top_level_name_of_the_card_is_there():
    for name in ["Snakefile", "rules", "envs", "config.yaml", "workflow_scripts", "profiles", "tests", "resources", "results", "slurm"]:
        assert (ROOT / name).exists(), name
    assert (ROOT / "slurm").is_symlink()


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_imports_point_downward(path):
    room = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
    if room == "__init__":
        assert not imports(path)
        return
    above = {name for name in imports(path) if FLOORS.index(name) > FLOORS.index(room)}
    assert not above, f"{room} imports {above} from a floor above"


def test_every_room_stands_on_a_floor():
    rooms = {path.stem for path in LIBRARY.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - {"__init__", "__pycache__", "templates"} == set(FLOORS)


def test_the_library_knows_no_snakemake():
    for path in LIBRARY.rglob("*.py"):
        assert not re.search(r"^\s*(import|from) snakemake", path.read_text(), flags=re.MULTILINE), path


@pytest.mark.parametrize(
    ("pattern", "most"),
    [("Snakefile", 80), ("config.yaml", 80), ("rules/common.smk", 120), ("rules/*.smk", 150), ("workflow_scripts/*.py", 150),
     ("workflow_scripts/regdna/**/*.py", 400)],
)  # fmt: skip
def test_files_keep_their_size(pattern, most):
    for path in ROOT.glob(pattern):
        lines = len(path.read_text().splitlines())
        assert lines <= most, f"{path.relative_to(ROOT)} has {lines} lines; at most {most}"


def test_every_step_says_what_snakemake_users_need(rules):
    for rule in rules:
        assert rule.docstring, rule.name
        if rule.name in TARGETS:
            continue
        assert rule.log, f"{rule.name} has no log"
        assert rule.benchmark, f"{rule.name} has no benchmark"
        assert rule.conda_env, f"{rule.name} has no conda environment"
        assert {"mem_mb", "runtime"} <= set(rule.resources), rule.name
        assert len(list(rule.output.keys())) == len(rule.output), f"{rule.name} has an output without a name"
        assert "code" in rule.params.keys(), f"{rule.name} is not rerun when its code changes"  # noqa: SIM118
        assert rule.script, f"{rule.name} runs no script"


def test_rule_and_script_agree(rules):
    """Names a rule gives are arguments of its script's main(), and what main() needs is given."""
    for rule in rules:
        if rule.name in TARGETS:
            continue
        script = Path(rule.script).name
        parameters = inspect.signature(step(script.removesuffix(".py")).main).parameters
        given = {*rule.input.keys(), *rule.output.keys(), *rule.params.keys()} - {"code", "content"}
        assert given <= set(parameters), f"{rule.name}: {given - set(parameters)} are no arguments of {script}"
        wildcards = rule.wildcard_names | {"threads"}
        unpacked = len(rule.input) > len(list(rule.input.keys()))  # a function gives names when the job is known
        needed = {name for name, one in parameters.items() if one.default is one.empty} - given - wildcards
        assert unpacked or not needed, f"{rule.name} does not give {needed}"
        assert rule.name.startswith(script.removesuffix(".py") + "_"), f"{rule.name} runs {script}"


def test_every_script_is_run_by_a_rule(rules):
    used = {Path(rule.script).name for rule in rules if rule.script}
    assert used | LONE_SCRIPTS == {path.name for path in SCRIPTS.glob("*.py")}


def test_no_remote_code_no_pickles_no_leftovers():
    for path in [*SCRIPTS.rglob("*.py"), *ROOT.glob("rules/*.smk"), ROOT / "Snakefile"]:
        text = path.read_text()
        assert "trust_remote_code" not in text, path
        assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text), path
        assert not re.search(r"torch\.load\((?!.*weights_only=True)", text), path
        assert not re.search(r"allow_pickle=True|import pickle", text), path


def test_every_bug_that_is_planted_has_its_place():
    for name, bug in BUGS.items():
        assert (ROOT / bug.file).read_text().count(bug.right) == 1, f"{name}: {bug.file} reads otherwise now; mend tests/planted_bugs.py"
        assert all((ROOT / path).is_file() for path in bug.tests), name


def test_the_matrix_for_forks_runs_what_there_is():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    targets = set(
        re.findall(
            r"^make ([a-z-]+)", "\n".join(one["run"] for job in jobs.values() for one in job["steps"] if "run" in one), flags=re.MULTILINE
        )
    )
    makefile = (ROOT / "Makefile").read_text()
    assert {"lint", "test", "test-slurm", "demo"} <= targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets), targets


def test_the_workflow_catalogue_finds_what_it_looks_for():
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme and "workflow" in readme and (ROOT / "Snakefile").is_file() and list((ROOT / "rules").glob("*.smk"))
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}


def test_files_in_git_stay_small():
    for path in (ROOT / "resources").rglob("*"):
        assert not path.is_file() or path.stat().st_size < 900_000, f"{path} is checked by checksum only below 1 MB"
    assert sum(path.stat().st_size for path in (ROOT / "resources/demo").rglob("*") if path.is_file()) < 5_000_000
