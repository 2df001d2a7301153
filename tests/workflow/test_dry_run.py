"""What `snakemake -n` plans from a fresh clone, and what it says of a broken study."""

import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from workflow_tools import ROOT, clone, counted, environment, planned, snakemake


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A clone in which nothing was built."""
    return clone(tmp_path_factory.mktemp("fresh") / "regdna")


def test_the_demo_is_the_default_and_its_plan_is_known(fresh):
    plan = planned(fresh, "all", study=None)
    assert plan == {
        "fetch_source": 9, "index_genome": 1, "tile_windows": 2, "unpack_sequences": 1, "label_windows": 2, "split_windows": 2,
        "embed_windows": 4, "train_model": 28, "predict_windows": 28, "mutagenise_locus": 6, "document_locus": 3,
        "read_variants": 1, "score_variants": 2, "judge_variants": 2, "evaluate_model": 21, "stratify_skill": 15, "narrow_context": 6,
        "pair_motifs": 6, "compare_models": 1, "account_costs": 1, "render_report": 1, "all": 1,
    }  # fmt: skip


def test_one_result_builds_only_what_it_needs(fresh):
    plan = planned(fresh, "results/demo/dhs/basset/metrics.parquet", study=None)
    assert plan == {"fetch_source": 4, "tile_windows": 1, "unpack_sequences": 1, "label_windows": 1, "split_windows": 1,
                    "train_model": 2, "predict_windows": 2, "evaluate_model": 1}  # fmt: skip


@pytest.mark.parametrize(
    ("phase", "steps"),
    [
        ("sources", {"fetch_source"}),
        ("windows", {"fetch_source", "index_genome", "tile_windows", "unpack_sequences", "label_windows", "split_windows"}),
        ("train", {"train_model"}),
        ("variants", {"mutagenise_locus", "document_locus", "read_variants", "score_variants", "judge_variants"}),
        ("evaluate", {"evaluate_model", "compare_models"}),
        ("report", {"render_report", "account_costs"}),
    ],
)
def test_phases_are_targets(fresh, phase, steps):
    plan = planned(fresh, phase, study=None)
    assert steps <= set(plan)
    if phase == "train":
        assert not {"predict_windows", "evaluate_model"} & set(plan)


def test_an_unknown_result_is_refused(fresh):
    result = snakemake(fresh, "-n", "results/demo/dhs/bassett/metrics.parquet", study=None)
    assert result.returncode == 1


@pytest.fixture(scope="module")
def without_slurm(tmp_path_factory):
    """An environment in which `snakemake` is found, but no command of Slurm, even where it is installed beside it."""
    tools = tmp_path_factory.mktemp("tools")
    for name in ("snakemake", "python", "bash", "which"):
        (tools / name).symlink_to(shutil.which(name, path=environment()["PATH"]))
    return environment() | {"PATH": str(tools)}


@pytest.mark.parametrize(
    ("profile", "command"), [("slurm", ["bash", "profiles/slurm/master.sh"]), ("workstation", ["snakemake", "--profile", "workstation"])]
)
def test_a_profile_is_found_by_its_name_and_plans_without_slurm(fresh, without_slurm, profile, command):
    assert (fresh / profile).readlink() == Path("profiles") / profile
    arguments = [*command, "-n", "results/demo/dhs/basset/metrics.parquet"]
    result = subprocess.run(arguments, cwd=fresh, env=without_slurm, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert f"Using profiles {profile} and workflow specific profile profiles/default" in result.stderr
    assert "rule train_model:" in result.stdout


def test_the_workstation_profile_runs_one_job_on_the_gpu_at_a_time_and_leaves_content_to_the_default(fresh, monkeypatch):
    from snakemake.cli import get_argument_parser

    monkeypatch.chdir(fresh)
    given = get_argument_parser(profiles=["workstation"]).parse_args([])
    limits = {name: limit.value for name, limit in given.resources.items()}
    assert limits["gpu"] == 1
    assert 0.85 < limits["mem_mb"] * 1_000_000 / psutil.virtual_memory().total <= 0.9
    assert given.cores and given.keep_going
    written = {name: set(yaml.safe_load((fresh / f"profiles/{name}/config.v9+.yaml").read_text())) for name in ("default", "workstation")}
    assert written["default"] & written["workstation"] == {"__use_yte__", "__definitions__"}


def test_a_master_that_was_sent_from_elsewhere_says_so(fresh, tmp_path):
    script = ["bash", str(fresh / "profiles/slurm/master.sh"), "-n"]
    result = subprocess.run(script, cwd=fresh, env=environment() | {"SLURM_SUBMIT_DIR": str(tmp_path)}, capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr == f"regdna: {tmp_path} is not the root of the repository; run sbatch there\n"


def test_lint_is_clean(fresh):
    result = subprocess.run([sys.executable, "-m", "snakemake", "--lint"], cwd=fresh, env=environment(), capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_snakefmt_is_clean():
    arguments = [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "rules"]
    result = subprocess.run(arguments, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_generated_documentation_is_up_to_date():
    result = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "workflow_scripts").glob("*.py") if path.name != "resume.py"))
def test_every_script_explains_itself(script):
    result = subprocess.run([sys.executable, f"workflow_scripts/{script}", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0
    assert "usage:" in result.stdout
    assert "required" in result.stdout


def change(path: str, value: object):
    """A function that sets a dotted key of a study; `None` removes it."""

    def apply(study: dict) -> None:
        *parents, last = path.split(".")
        for key in parents:
            study = study[key]
        if value is None:
            del study[last]
        else:
            study[last] = value

    return apply


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (change("training.epocs", 3), ["training.epocs", "unknown key", "'epochs'"]),
        (change("training.epochs", "many"), ["training.epochs", "'many'", "integer"]),
        (change("models.basset.architecture", "bassett"), ["models.basset.architecture", "'bassett'", "'basset'"]),
        (change("models.basset.parameters", {"filter": [1]}), ["models.basset.parameters.filter", "'filters'"]),
        (change("models.kmer-logistic.regime", "probe"), ["models.kmer-logistic.regime", "full"]),
        (change("models.basset.datasets", ["dsh"]), ["models.basset.datasets", "'dsh'", "'dhs'"]),
        (change("models.basset.context", 5000), ["models.basset.context", "5000", "1000"]),
        (change("datasets.dhs.split.validation", ["chr21"]), ["datasets.dhs.split", "chr21", "both test and validation"]),
        (change("datasets.dhs.split.test", ["chr99"]), ["datasets.dhs.split.test", "'chr99'"]),
        (change("datasets.chr22.split.gap", 10), ["datasets.chr22.split.gap", "10 bp", "1000"]),
        (change("datasets.chr22.loci", ["k562-dhs"]), ["datasets.chr22.loci", "hg38", "hg19"]),
        (change("datasets.chr22.loci", ["dgcr8"]), ["datasets.chr22.loci", "'dgcr8'", "'dgcr8-promoter'"]),
        (change("datasets.dhs.assembly", "hg19"), ["datasets.dhs.sequences.files.0.file", "hg38", "hg19"]),
        (change("datasets.dhs.sequences", None), ["datasets.dhs", "either 'sequences' or 'windows'"]),
        (
            change("datasets.dhs.sequences.files", [{"file": "demo-dhs/sites-5.npz"}]),
            ["dhs.sequences.files.0.file", "no file 'sites-5.npz'"],
        ),
        (change("datasets.dhs.split", {"preset": "deapsea"}), ["datasets.dhs.split.preset", "'deapsea'", "'deepsea'"]),
        (change("datasets.dhs.split", {"preset": "deepsea"}), ["datasets.dhs.split.preset", "hg19", "hg38"]),
        (change("datasets.chr22.targets.exon.signal", "demo-annotation/exons.bed"), ["targets.exon", "'intervals' or 'signal'"]),
        (change("datasets.chr22.negatives", {"match": ["cpg"]}), ["datasets.chr22.negatives.match.0", "'cpg'", "'gc'"]),
        (change("title", None), ["'title'", "missing"]),
    ],
)
def test_a_broken_study_is_one_clear_line(fresh, tmp_path, edit, said):
    study = yaml.safe_load((fresh / "tests/studies/tiny.yaml").read_text())
    edit(study)
    (tmp_path / "broken.yaml").write_text(yaml.safe_dump(study))
    arguments = [sys.executable, "-m", "snakemake", "-n", "--config", "study=broken", f"study_folder={tmp_path}"]
    result = subprocess.run(arguments, cwd=fresh, env=environment(), capture_output=True, text=True)
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("regdna: ")]
    assert len(lines) == 1, result.stderr
    assert all(part in lines[0] for part in [f"{tmp_path}/broken.yaml", *said]), lines[0]
    assert "Traceback" not in result.stderr


def test_a_half_written_study_beside_the_chosen_one_is_named_and_left_out(fresh, tmp_path):
    shutil.copy(fresh / "tests/studies/tiny.yaml", tmp_path / "mine.yaml")
    (tmp_path / "theirs.yaml").write_text("title: Somebody is still writing\ndatasets:\n")
    arguments = [sys.executable, "-m", "snakemake", "-n", "--config", "study=mine", f"study_folder={tmp_path}", "--", "all"]
    result = subprocess.run(arguments, cwd=fresh, env=environment(), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    said = [line for line in result.stderr.splitlines() if "theirs" in line]
    assert (
        len(said) == 1 and said[0].startswith(f"regdna: {tmp_path}/theirs.yaml: ") and "(study theirs is left out of this run)" in said[0]
    )


def test_own_sources_with_a_mistake_are_one_clear_line(fresh, tmp_path):
    study = yaml.safe_load((fresh / "tests/studies/tiny.yaml").read_text())
    for sources, said in [
        ({"demo-dhs": {"title": "Mine"}}, ["sources.demo-dhs", "rename one"]),
        ({"mine": {"title": "Mine", "assembly": "hg17"}}, ["source mine", "'hg17'"]),
        ({"mine": {"title": "Mine", "files": {"a.bed": {"member": "a", "archive": "b.tar"}}}}, ["source mine", "b.tar"]),
        ({"mine": {"files": {}}}, ["sources.mine: 'title' is missing"]),
    ]:
        (tmp_path / "broken.yaml").write_text(yaml.safe_dump(study | {"sources": sources}))
        arguments = [sys.executable, "-m", "snakemake", "-n", "--config", "study=broken", f"study_folder={tmp_path}"]
        result = subprocess.run(arguments, cwd=fresh, env=environment(), capture_output=True, text=True)
        assert result.returncode == 1
        lines = [line for line in result.stderr.splitlines() if line.startswith("regdna: ")]
        assert len(lines) == 1 and all(part in lines[0] for part in said), result.stderr


@pytest.mark.parametrize("study", sorted(path.stem for path in (ROOT / "resources/studies").glob("*.yaml") if path.stem != "demo"))
def test_every_shipped_study_can_be_planned(fresh, study):
    arguments = [sys.executable, "-m", "snakemake", "-n", "--quiet=host", "--config", f"study={study}", "--", "all"]
    result = subprocess.run(arguments, cwd=fresh, env=environment(), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert f"regdna: study {study}: " in result.stderr and "to download, about" in result.stderr
    if study == "deepsea":  # its 919 targets are trained, predicted and judged by one job: jobs are as many as models on datasets
        content = yaml.safe_load((fresh / "resources/studies/deepsea.yaml").read_text())
        assert len(content["seeds"]) == 1
        runs = sum((1 + len(one.get("controls", []))) * len(one.get("datasets", content["datasets"])) for one in content["models"].values())
        plan = counted(result)
        assert [plan[rule] for rule in ("train_model", "predict_windows", "evaluate_model")] == [runs] * 3


def test_signals_are_measured_only_where_a_target_asks_for_one(tmp_path):
    folder = clone(tmp_path / "regdna")
    study = yaml.safe_load((folder / "tests/studies/tiny.yaml").read_text())
    study["sources"] = {
        "mine": {"title": "Mine", "assembly": "hg19", "files": {name: {"path": name} for name in ("a.bw", "b.bw", "c.bed")}}
    }
    study["datasets"]["chr22"]["targets"] |= {name: {"signal": f"mine/{name}.bw", "threshold": 1} for name in "ab"}
    study["datasets"]["chr22"] |= {"repeats": "mine/c.bed", "negatives": {}}
    study["datasets"]["chr22"]["windows"] |= {"exclude": ["mine/c.bed", "demo-annotation/cpg-islands.bed"], "centres": "mine/c.bed"}
    for name in ("a.bw", "b.bw", "c.bed"):
        (folder / name).write_text("made up")
    (folder / "tests/studies/own.yaml").write_text(yaml.safe_dump(study))
    plan = planned(folder, "results/own/chr22/windows.parquet", study="own")
    assert plan == {"fetch_source": 7, "index_genome": 1, "tile_windows": 1, "measure_signals": 1, "label_windows": 1, "split_windows": 1}
    plan = planned(folder, "results/tiny/chr22/windows.parquet")
    assert plan == {"fetch_source": 3, "index_genome": 1, "tile_windows": 1, "label_windows": 1, "split_windows": 1}


def test_a_locus_outside_its_assembly_is_one_clear_line(tmp_path):
    folder = clone(tmp_path / "regdna")
    table = folder / "resources/loci.tsv"
    table.write_text(table.read_text().replace("20067655\t20067855", "51304500\t51304700"))
    result = snakemake(folder, "-n")
    assert result.returncode == 1
    assert "regdna: " in result.stderr
    assert "dgcr8-promoter at chr22:51304500-51304700" in result.stderr
