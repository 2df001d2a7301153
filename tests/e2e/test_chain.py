"""The whole chain on a tiny study: what it makes, what makes it run again, and what a kill leaves."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyBigWig
import pytest
import yaml
from workflow_tools import ROOT, clone, command, compute, counted, environment, planned, snakemake

from regdna.targets import Targets

pytestmark = pytest.mark.slow

PAGES = {"render_report", "document_locus", "all"}


def recipes() -> list:
    """Rows of the table of recipes: what is done first, the command, and how many jobs of which rule it runs."""
    found = []
    for line in (ROOT / "docs/reruns.md").read_text().splitlines():
        title, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[1].startswith("`snakemake "):
            runs = {name: int(count or 1) for name, count in re.findall(r"`(\w+)`(?: (\d+))?", cells[2])}
            found.append(pytest.param(cells[0].strip("`"), cells[1].strip("`"), runs, id=title))
    assert len(found) == 12, "the table of docs/reruns.md is not read whole"
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A clone in which the tiny study was run from clean to report."""
    folder = clone(tmp_path_factory.mktemp("finished") / "regdna")
    result = snakemake(folder, "all")
    assert result.returncode == 0, result.stderr[-3000:]
    return folder


@pytest.mark.xdist_group("tiny")
class TestFinished:
    """Claims on one finished run; each test leaves the clone as it was."""

    def test_every_promised_file_is_there(self, finished):
        study = finished / "results/tiny"
        for name in ("comparison.parquet", "ledger.tsv", "report.html", "report.json", "dhs/basset/metrics.parquet", "dhs/sequences.npy",
                     "chr22/basset/mutagenesis/dgcr8-promoter.npz", "chr22/basset/variants/dbsnp.parquet",
                     "dhs/basset/seed2/predictions/test.npy", "dhs/basset/seed1/checkpoint/model.safetensors"):  # fmt: skip
            assert (study / name).is_file(), name

    def test_nothing_temporary_is_left(self, finished):
        left = [path for path in (finished / "results").rglob("*") if path.name.endswith((".tmp", ".lease")) or ".tmp." in path.name]
        assert not left
        assert not states(finished)

    def test_arrays_lie_in_window_order(self, finished):
        folder = finished / "results/tiny/dhs"
        windows = pd.read_parquet(folder / "windows.parquet")
        assert len(np.load(folder / "sequences.npy", mmap_mode="r")) == len(windows)
        predictions = np.load(folder / "basset/seed1/predictions/test.npy")
        assert predictions.shape == ((windows["split"] == "test").sum(), 4)
        assert predictions.dtype == np.float32
        # Exclusive classes; averaging both strands keeps the sum at one.
        assert np.allclose(predictions.sum(1), 1, atol=1e-5)

    def test_every_result_carries_the_split_digest(self, finished):
        folder = finished / "results/tiny/dhs"
        digest = json.loads((folder / "splits.json").read_text())["digest"]
        assert json.loads((folder / "basset/seed1/checkpoint/about.json").read_text())["split_digest"] == digest
        assert json.loads((folder / "basset/seed1/predictions/about.json").read_text())["split_digest"] == digest
        assert pd.read_parquet(folder / "basset/metrics.parquet").attrs["split_digest"] == digest
        assert compute(folder / "basset/seed1")["split_digest"] == digest

    def test_small_data_get_no_interval(self, finished):
        metrics = pd.read_parquet(finished / "results/tiny/chr22/basset/metrics.parquet").query("metric != 'temperature'")
        assert set(metrics["verdict"]) == {"too small to judge"}
        assert metrics[["low", "high"]].isna().all(axis=None)
        comparison = pd.read_parquet(finished / "results/tiny/comparison.parquet")
        assert set(comparison.loc[comparison["dataset"] == "chr22", "verdict"]) == {"too small to judge"}

    def test_a_model_against_another_is_the_other_way_round_reversed(self, finished):
        table = pd.read_parquet(finished / "results/tiny/comparison.parquet").query("dataset == 'dhs' and metric == 'auroc'")
        one = table.query("model == 'basset' and against == 'kmer-logistic'").set_index("target")
        other = table.query("model == 'kmer-logistic' and against == 'basset'").set_index("target")
        assert np.allclose(one["difference"], -other["difference"])
        assert np.allclose(one["low"], -other["high"])

    def test_a_second_run_has_nothing_to_do(self, finished):
        assert planned(finished, "all") == {}

    def test_touching_every_file_reruns_nothing(self, finished):
        for path in finished.rglob("*"):
            if path.is_file() and "results" not in path.parts and ".snakemake" not in path.parts:
                os.utime(path)
        assert planned(finished, "all") == {}

    @pytest.mark.parametrize(
        ("file", "old", "new", "steps"),
        [
            ("workflow_scripts/regdna/metrics.py", '"""Point metrics', '"""Metrics', set()),
            ("workflow_scripts/regdna/metrics.py", "positives = int(labels.sum())", "positives = int(np.sum(labels))",
             {"evaluate_model", "stratify_skill", "judge_variants", "document_locus", "compare_models", "render_report", "all"}),
            ("workflow_scripts/regdna/page/__init__.py", None, None, PAGES),
            ("workflow_scripts/regdna/templates/report.css", "max-width: 80rem", "max-width: 70rem", PAGES),
            ("workflow_scripts/regdna/models/registry.yaml", "Genome Res 26:990", "Genome Research 26:990", PAGES),
            ("workflow_scripts/regdna/step.py", "REPORT_SECONDS = 30", "REPORT_SECONDS = 20", set()),
            ("resources/loci.tsv", "DGCR8 promoter", "Promoter of DGCR8", PAGES),
            ("tests/studies/tiny.yaml", "replicates: 200", "replicates: 300",
             {"evaluate_model", "stratify_skill", "judge_variants", "document_locus", "compare_models", "render_report", "all"}),
            ("tests/studies/tiny.yaml", "note: Exclusive classes", "note: Classes", {"render_report", "all"}),
        ],
    )  # fmt: skip
    def test_an_edit_reruns_exactly_its_dependents(self, finished, file, old, new, steps):
        path = finished / file
        text = path.read_text()
        changed = text + "\n\nEDITED = 1\n" if old is None else text.replace(old, new)
        assert changed != text
        try:
            path.write_text(changed)
            plan = planned(finished, "all")
        finally:
            path.write_text(text)
        assert set(plan) == steps

    @pytest.mark.parametrize(("first", "asked", "runs"), recipes())
    def test_a_documented_recipe_runs_what_it_says_and_nothing_else(self, finished, tmp_path, first, asked, runs):
        changed = finished / first.split()[-1] if first else None
        if changed:
            shutil.copy2(changed, tmp_path / "kept")
        python, *start = command("-n", "--quiet=host", "--cores=2")[:-1]  # without the `--` that the recipe has itself
        try:
            subprocess.run(first, shell=True, cwd=finished, check=True)
            said = [python, *start, *shlex.split(asked)[1:]]
            plan = counted(subprocess.run(said, cwd=finished, env=environment(), capture_output=True, text=True))
        finally:
            if changed:
                shutil.copy2(tmp_path / "kept", changed)
        assert plan == runs

    def test_an_edit_of_one_architecture_retrains_no_other(self, finished):
        path = finished / "workflow_scripts/regdna/models/basset.py"
        text = path.read_text()
        try:
            path.write_text(text.replace("channels = 4\n", "channels = 2 + 2\n"))
            plan = planned(finished, "train")
        finally:
            path.write_text(text)
        assert plan == {"train_model": 4, "train": 1}

    def test_an_edit_of_the_tokenisers_retrains_no_convolution(self, finished):
        path = finished / "workflow_scripts/regdna/tokenisers/kmers.py"
        text = path.read_text()
        try:
            path.write_text(text.replace("pad, mask, cls = 1, 2, 3", "pad, mask, cls = 1, 2, 2 + 1"))
            plan = planned(finished, "train")
        finally:
            path.write_text(text)
        assert plan == {"embed_windows": 2, "train_model": 4, "train": 1}

    def test_every_column_of_every_table_is_described(self, finished):
        page, tables = (ROOT / "docs/results.md").read_text(), 0
        # What a table has of another one, and the costs in a list of their own.
        also = {"candidates.parquet": "records.parquet", "labelled.parquet": "candidates.parquet", "variants.tsv": "variants.parquet"}
        for path in (finished / "results/tiny").rglob("*"):
            if path.suffix not in (".parquet", ".tsv"):
                continue
            name = path.name if path.parent.name != "variants" else "variants" + path.name.removeprefix("dbsnp")
            names = {name, also.get(name, name), *({"windows.parquet"} if name in also else ())}
            rows = [line for line in page.splitlines() if any(re.match(rf"\|[^|]*[`/}}]{re.escape(one)}`", line) for one in named(names))]
            assert rows, f"docs/results.md has no {path}"
            said = page if name == "ledger.tsv" else " ".join(rows)
            table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, sep="\t")
            missing = [column for column in table.columns if not re.search(rf"\b{re.escape(column)}\b", said)]
            assert not missing, f"docs/results.md, {name}: {missing}"
            tables += 1
        assert tables > 30

    def test_arrays_are_of_the_type_and_shape_that_the_page_of_the_flow_says(self, finished):
        results, rows = finished / "results", (ROOT / "docs/flow.md").read_text().partition("| stage |")[2].splitlines()[2:]
        folders = [results / "sources/demo-chr22", results / "tiny/dhs", results / "tiny/chr22", *results.glob("tiny/chr22/*")]
        for _, _, file, _, kind, shape, *_ in (row.split("|") for row in rows):
            name, *key = re.findall("`([^`]+)`", file)
            name = name.replace("{locus}", "dgcr8-promoter")
            found = [path for folder in folders for path in (folder / name, *folder.glob(f"seed*/{name}")) if path.is_file()]
            assert found, file
            for path in found:
                array = np.load(path)[key[0]] if key else np.load(path)
                assert array.dtype == kind.strip(), path
                assert array.ndim == len([part for part in shape.strip(" ()").split(",") if part.strip()]), path

    def test_the_log_and_the_maker_of_a_file_are_found_as_the_page_says(self, finished):
        page = (ROOT / "docs/troubleshooting.md").read_text()
        for start, said in (("snakemake --summary ", "evaluate_model"), ("cat results/", "epoch")):
            line = next(line for line in page.splitlines() if line.startswith(start)).replace("results/demo/", "results/tiny/")
            line = line.replace("snakemake ", "snakemake --config study=tiny study_folder=tests/studies ", 1)
            done = subprocess.run(["bash", "-c", line], cwd=finished, env=environment(), capture_output=True, text=True)
            assert done.returncode == 0 and said in done.stdout, done.stdout + done.stderr

    def test_the_page_is_one_file_without_outside_requests(self, finished):
        page = (finished / "results/tiny/report.html").read_text()
        assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
        assert len(page) < 5_000_000

    def test_snakemake_can_make_its_own_report(self, finished, tmp_path):
        result = snakemake(finished, "--report=report.zip")
        assert result.returncode == 0, result.stderr[-2000:]
        assert (finished / "report.zip").stat().st_size > 10_000
        (finished / "report.zip").unlink()


def named(names: set[str]) -> list[str]:
    """Names of tables as docs/results.md writes them."""
    return [re.sub(r"^variants(?=\.)", "variants/{variants}", name) for name in names]


def states(folder: Path) -> list[Path]:
    """Training states that a clone holds."""
    return [path for path in (folder / "results/store").iterdir() if path.is_dir()]


def metrics_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "results/slow/dhs/basset/metrics.parquet")


TARGET = "results/slow/dhs/basset/metrics.parquet"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A clone in which the slow study ran to its metrics without a kill."""
    folder = clone(tmp_path_factory.mktemp("undisturbed") / "regdna")
    result = snakemake(folder, TARGET, study="slow")
    assert result.returncode == 0, result.stderr[-3000:]
    return folder


def training_job(folder: Path) -> psutil.Process | None:
    """The process that trains in a clone, if there is one."""
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == folder and any(part.endswith(".train.py") for part in process.cmdline()):
                return process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return None


def start_and_wait_for_an_epoch(folder: Path) -> tuple[subprocess.Popen, psutil.Process]:
    """Start the slow study in a session of its own and wait until training has saved a state."""
    master = subprocess.Popen(
        command("--cores=2", TARGET, study="slow"), cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if list((folder / "results/store").glob("*/seed1.pt")) and (job := training_job(folder)):
            return master, job
        assert master.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    raise AssertionError("training saved no state within three minutes")


def resume(folder: Path) -> subprocess.CompletedProcess[str]:
    """Go on with the last run as `make resume` does, without saying which it was."""
    arguments = [sys.executable, "workflow_scripts/resume.py"]
    return subprocess.run(arguments, cwd=folder, env=environment(), capture_output=True, text=True)


@pytest.mark.xdist_group("slow")
@pytest.mark.parametrize("victim", ["master", "job", "all"])
def test_a_killed_run_ends_as_an_undisturbed_one(undisturbed, tmp_path, victim):
    folder = clone(tmp_path / "regdna").resolve()
    master, job = start_and_wait_for_an_epoch(folder)
    if victim in ("master", "all"):
        master.send_signal(signal.SIGKILL)
    if victim in ("job", "all"):
        job.send_signal(signal.SIGKILL)
    master.wait(timeout=120)
    if victim == "master":
        assert job.is_running(), "the job should outlive its master: that is what resume must deal with"
    result = resume(folder)
    assert result.returncode == 0, result.stderr[-3000:]
    assert not psutil.pid_exists(job.pid) or not job.is_running()
    pd.testing.assert_frame_equal(metrics_of(folder), metrics_of(undisturbed))
    cost = compute(folder / "results/slow/dhs/basset/seed1")
    assert cost["resumed_from"]["epoch"] >= 2
    assert cost["attempts"] == 2
    assert not states(folder)


@pytest.mark.xdist_group("slow")
def test_resume_leaves_a_living_run_alone(undisturbed, tmp_path):
    folder = clone(tmp_path / "regdna").resolve()
    master, job = start_and_wait_for_an_epoch(folder)
    result = resume(folder)
    assert result.returncode == 1
    assert "a run is going on here" in result.stderr
    assert job.is_running()
    master.send_signal(signal.SIGINT)
    master.wait(timeout=120)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A clone in which a study of one's own files ran, and its signal, a value for every 100 bp."""
    folder = clone(tmp_path_factory.mktemp("own") / "regdna")
    signal = np.random.default_rng(5).random(10_000)
    with pyBigWig.open(str(folder / "noise.bw"), "w") as track:
        track.addHeader([("chr22", 51_304_566)])
        track.addEntries("chr22", 20_000_000, values=signal.tolist(), span=100, step=100)
    (folder / "gaps.bed").write_text("chr22\t20500000\t20510000\n")
    study = yaml.safe_load((folder / "tests/studies/tiny.yaml").read_text())
    region = study["datasets"]["chr22"]
    exon = region["targets"]["exon"]
    del region["variants"]
    region |= {
        "windows": {"bin": 200, "stride": 100, "context": 400, "edges": "pad", "max_n_fraction": 0.5, "exclude": ["mine/gaps.bed"]},
        "targets": {"high": {"signal": "mine/noise.bw", "threshold": 0.9, "assay": "noise"}, "exon": exon},
        "negatives": {"per_positive": 1.5, "match": ["gc"]}, "repeats": "mine/gaps.bed", "loci": [],
        "split": {"rule": "homology", "test": 0.2, "validation": 0.2, "block": 20_000, "gap": 400, "drop_similar": True},
    }  # fmt: skip
    study["datasets"] = {"region": region}
    study["models"] = {"composition": {"architecture": "composition"}, "kmer-logistic": {"architecture": "kmer-logistic"}}
    study["sources"] = {"mine": {"title": "Mine", "assembly": "hg19", "files": {name: {"path": name} for name in ("noise.bw", "gaps.bed")}}}
    (folder / "tests/studies/own.yaml").write_text(yaml.safe_dump(study))
    result = snakemake(folder, "all", study="own")
    assert result.returncode == 0, result.stderr[-3000:]
    return folder, signal


@pytest.mark.xdist_group("own")
def test_a_signal_and_matched_negatives_run_through_the_workflow(own):
    folder, signal = own
    folder /= "results/own/region"
    windows = pd.read_parquet(folder / "windows.parquet")
    found = Targets(folder / "targets.npy", folder / "targets.tsv")
    labels = found[np.arange(len(windows))]
    bins = windows["start"].to_numpy() + 100
    at = (bins - 20_000_000) // 100
    assert np.array_equal(labels[:, found.table["target"].tolist().index("high")], (signal[at] + signal[at + 1]) / 2 >= 0.9)
    positive = labels.any(1)
    assert (~positive).sum() == (3 * positive.sum() + 1) // 2
    assert not ((bins < 20_510_000) & (bins + 200 > 20_500_000)).any()
    assert pd.read_parquet(folder / "candidates.parquet")["start"].iloc[0] == 19_999_900


@pytest.mark.xdist_group("own")
def test_a_split_by_homology_runs_through_the_workflow(own):
    folder = own[0] / "results/own"
    windows = pd.read_parquet(folder / "region/windows.parquet")
    certificate = json.loads((folder / "region/splits.json").read_text())
    parts = windows[windows["split"].isin(["train", "validation", "test"])]
    assert (parts.groupby("cluster")["split"].nunique() == 1).all()
    assert certificate["verdict"] in ("clean", "similar") and certificate["clusters"]
    assert certificate["smallest_distance_bp"] >= 400
    assert abs(certificate["negatives"]["gc"]["difference"]) <= 0.1
    page = (folder / "report.html").read_text()
    assert "noise.bw" in page and "gaps.bed" in page and "every 100 bp; those with a target are kept" in page


@pytest.mark.xdist_group("own")
def test_touching_ones_own_files_reruns_nothing_and_changing_one_does(own):
    folder, _ = own
    for name in ("noise.bw", "gaps.bed"):
        os.utime(folder / name)
    assert planned(folder, "all", study="own") == {}
    text = (folder / "gaps.bed").read_text()
    try:
        (folder / "gaps.bed").write_text(text.replace("20510000", "20520000"))
        plan = planned(folder, "windows", study="own")
    finally:
        (folder / "gaps.bed").write_text(text)
    assert plan == {"fetch_source": 1, "tile_windows": 1, "measure_signals": 1, "label_windows": 1, "split_windows": 1, "windows": 1}
