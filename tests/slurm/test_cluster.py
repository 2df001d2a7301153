"""A real Slurm cluster on this machine: what `snakemake --profile slurm` does there, and what it survives."""

import re
import shlex
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import yaml
from workflow_tools import ROOT, clone, compute, environment, snakemake

pytestmark = pytest.mark.slow

SITE = {
    "jobs": 8,
    "partitions": {
        "cpu": {"max_runtime": 1440, "max_mem_mb": 60000, "max_threads": 4},
        "gpu": {"max_runtime": 1440, "max_mem_mb": 60000, "max_threads": 4, "max_gpu": 2},
    },
    "gpu_model": "h200",
    "accounting": False,
}
PATIENCE_SECONDS = 600


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The folder of a running cluster; skips where one may not be started."""
    script = ROOT / "tests/slurm/cluster.sh"
    folder = tmp_path_factory.mktemp("cluster")
    for arguments in (["install"], ["start", str(folder)]):
        done = subprocess.run([script, *arguments], capture_output=True, text=True)
        if done.returncode == 3:
            pytest.skip(done.stderr.strip().splitlines()[-1])
        assert done.returncode == 0, done.stderr
    yield folder
    subprocess.run([script, "stop", str(folder)], check=True)


def with_site(folder, **changes):
    """Write the clone's site file."""
    content = {key: value for key, value in {**SITE, **changes}.items() if value is not None}
    (folder / "profiles/slurm/site.yaml").write_text(yaml.safe_dump(content))


def submit(folder, *arguments, study="queue"):
    """The command line of a run through the profile, as a user types it; the wait before a job is first looked at is cut short."""
    options = [one for one in arguments if not one.startswith("results/") and "/" not in one and one not in ("all", "preflight")]
    targets = [one for one in arguments if one not in options]
    quick = ["--slurm-init-seconds-before-status-checks", "2"]
    chosen = ["--config", f"study={study}", "study_folder=tests/studies", "--"]
    return [sys.executable, "-m", "snakemake", "--profile", "slurm", *quick, *options, *chosen, *targets]


def begin(folder, *arguments, **options):
    """Start a run; its output goes to a file beside the clone."""
    path = folder.parent / f"run-{time.monotonic_ns()}.log"
    with open(path, "w") as log:
        run = subprocess.Popen(submit(folder, *arguments, **options), cwd=folder, env=environment(), stdout=log, stderr=log)
    run.log = path
    return run


def ended(run, code=0):
    """Wait for a run, and hold its exit code against what it must be; gives what it said."""
    try:
        found = run.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        run.kill()
        raise AssertionError(run.log.read_text()[-5000:]) from None
    said = run.log.read_text()
    assert found == code, said[-5000:]
    return said


def asked(*command):
    """Lines that a command of Slurm prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def queue(states="all"):
    """Jobs by what Snakemake says of them: number, state, node."""
    lines = asked("squeue", "--noheader", f"--states={states}", "--format=%k|%A|%T|%N")
    return {line.split("|")[0]: line.split("|")[1:] for line in lines if line.startswith(("rule_", "group_"))}


def wait_for(what, seconds=240):
    """The first true answer to a question that is asked every second."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(1)
    raise AssertionError("it did not happen in time")


def training(seed):
    """The job that trains a seed of the siege, once it runs."""
    found = queue("running").get(f"rule_train_model_wildcards_siege_dhs_basset_{seed}")
    return found if found and found[1] == "RUNNING" else None


def has_trained(folder, seed):
    """Whether a training has saved a state: the last epoch that its log tells."""
    log = folder / f"results/siege/logs/train_model/dhs.basset.seed{seed}.log"
    return log.is_file() and "epoch 2:" in log.read_text()


def test_what_the_docs_ask_slurm_is_understood(cluster):
    pages = "\n".join(path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
    typed = re.findall(r"^((?:squeue|sacct) [^#\n]*)|`((?:squeue|sacct) [^`\n]*)`", pages, flags=re.MULTILINE)
    assert len(typed) >= 3
    for line in (one or other for one, other in typed):
        done = subprocess.run(shlex.split(line), capture_output=True, text=True)
        assert done.returncode == 0 or "accounting storage is disabled" in done.stderr, (line, done.stderr)


@pytest.fixture(scope="module")
def places(cluster, tmp_path_factory):
    """Clones: one in which the study ran from clean to report through the profile, and what was said; while it waited for its jobs, one
    in which it ran without a cluster, and one with the windows of longer trainings."""
    folders = {name: clone(tmp_path_factory.mktemp(name) / "regdna") for name in ("finished", "here", "siege")}
    for name in ("finished", "siege"):
        with_site(folders[name])
    run = begin(folders["finished"], "all")
    for name, study, target in (("here", "queue", "all"), ("siege", "siege", "windows")):
        result = snakemake(folders[name], target, study=study, cores=1)
        assert result.returncode == 0, result.stderr[-3000:]
    return folders | {"said": ended(run)}


@pytest.fixture(scope="module")
def finished(places):
    return places["finished"], places["said"]


@pytest.fixture(scope="module")
def here(places):
    return places["here"]


@pytest.fixture(scope="module")
def siege(places):
    return places["siege"]


class TestStudy:
    def test_it_runs_to_its_report(self, finished):
        folder, said = finished
        assert (folder / "results/queue/report.html").is_file() and "100%" in said
        assert not list((folder / "results/slurm").rglob("*.log"))  # all went well: only their own logs stay
        assert (folder / "results/queue/logs/train_model/dhs.basset.seed1.log").read_text()

    def test_networks_got_gpus_and_nothing_else_did(self, finished, cluster):
        seen = {}
        for line in (cluster / "visible").read_text().splitlines():
            number, devices = line.split()
            seen.setdefault(number, set()).add(devices)
        for comment, (number, state, _) in queue().items():
            wanted = 0
            if "basset" in comment and comment.startswith(("rule_train_model", "rule_predict_windows", "rule_narrow", "rule_pair")):
                wanted = 2 if "rule_train_model" in comment and "basset-two" in comment else 1
            record = " ".join(asked("scontrol", "show", "job", number))
            partition = re.search(r" Partition=(\S+)", record)[1]
            assert state == "COMPLETED" and partition == ("gpu" if wanted else "cpu"), comment
            assert ("TresPerJob=" in record) == bool(wanted), comment
            assert not wanted or f"TresPerJob=gres:gpu:h200:{wanted} " in f"{record} ", comment
            devices = {one for some in seen[number] for one in some.split(",")} - {"none"}
            assert len(devices) == wanted and re.search(r" NumTasks=1\b", record), comment

    def test_metrics_are_those_of_a_run_without_a_cluster(self, finished, here):
        folder, _ = finished
        for model in ("composition", "basset"):
            mine, theirs = (pd.read_parquet(one / f"results/queue/dhs/{model}/metrics.parquet") for one in (folder, here))
            pd.testing.assert_frame_equal(mine, theirs)

    def test_two_gpus_in_one_job_are_one_task_of_two_processes_with_the_same_metric(self, finished):
        folder, _ = finished
        costs = {model: compute(folder / f"results/queue/dhs/{model}/seed1") for model in ("basset", "basset-two")}
        assert costs["basset"]["processes"] == 1 and costs["basset-two"]["processes"] == 2
        found = {}
        for model in costs:
            table = pd.read_parquet(folder / f"results/queue/dhs/{model}/metrics.parquet")
            found[model] = table.query("part == 'test' and metric == 'auroc' and target == -1 and seed == -1")["value"].iloc[0]
        assert found["basset"] == pytest.approx(found["basset-two"], abs=5e-3)

    def test_the_ledger_names_the_jobs_of_slurm(self, finished):
        folder, _ = finished
        ledger = pd.read_csv(folder / "results/queue/ledger.tsv", sep="\t", dtype={"job": str})
        numbers = {number for comment, (number, *_) in queue().items() if comment.startswith("rule_train_model")}
        assert set(ledger["job"]) <= numbers and len(set(ledger["job"])) == len(ledger) == 3

    def test_a_second_run_submits_nothing(self, finished):
        folder, _ = finished
        before = queue()
        assert "Nothing to be done" in ended(begin(folder, "all"))
        assert queue() == before


class TestNames:
    @pytest.mark.parametrize(
        ("change", "said"),
        [({"partitions": None, "partition": "nope"}, "partition: this cluster has no partition 'nope'; it has cpu, gpu, urgent"),
         ({"partitions": {"cpuu": {"max_gpu": 1}}}, "partitions: this cluster has no partition 'cpuu'"),
         ({"gpu_model": "a100"}, "gpu_model: no GPU 'a100' in gpu; this cluster has h200"),
         ({"accounting": None}, "accounting: this cluster keeps no accounts of jobs"),
         ({"account": "lab"}, "account: a cluster without accounting charges nobody"),
         ({"gpu_request": "gress"}, "gpu_request"), ({"partitionz": {}}, "partitionz")],
    )  # fmt: skip
    def test_a_wrong_one_is_one_clear_line(self, finished, change, said):
        folder, _ = finished
        try:
            with_site(folder, **change)
            run = subprocess.run(submit(folder, "-n", "all"), cwd=folder, env=environment(), capture_output=True, text=True)
        finally:
            with_site(folder)
        lines = [line for line in run.stderr.strip().splitlines() if not line.startswith("Using profiles")]
        assert run.returncode == 1 and len(lines) == 1 and lines[0].startswith("regdna: profiles/slurm/site.yaml: ") and said in lines[0]

    def test_preflight_says_that_torch_is_built_for_cpus_on_a_gpu_that_is_asked_for_as_gres(self, finished, cluster):
        folder, _ = finished
        try:
            with_site(folder, gpu_request="gres")
            said = ended(begin(folder, "preflight"), code=1)
        finally:
            with_site(folder)
        found = {tuple(line.split()[:3]): line for line in said.splitlines() if line.startswith(("ok ", "note ", "fails "))}
        assert ("ok", "login", "queue") in found and ("ok", "cpu", "torch") in found and ("ok", "gpu", "shared") in found
        assert "is built for CPUs" in found["fails", "gpu", "torch"]
        number = queue()["rule_survey_node_wildcards_queue_gpu"][0]
        assert "TresPerNode=gres:gpu:h200:1" in " ".join(asked("scontrol", "show", "job", number))
        assert f"{number} 0" in (cluster / "visible").read_text() or f"{number} 1" in (cluster / "visible").read_text()


def attempts(folder, seed):
    """What a training's attempts say, first to last."""
    return compute(folder / f"results/siege/dhs/basset/seed{seed}")["attempt_log"]


def in_turn(tries):
    """Whether no attempt began while another was at work."""
    return [one["started"] for one in tries] == sorted(one["started"] for one in tries) and tries[-1]["outcome"] == "finished"


class TestSiege:
    def test_killed_for_time_and_memory_preempted_and_drained_it_completes(self, siege):
        changed = ["--set-resources",
                   "train_model:runtime=(1 if attempt == 1 else 30) if wildcards.seed == '1' else 60",
                   "train_model:slurm_extra=''",  # no signal ahead of the limit
                   "train_model:mem_mb=(900 if attempt == 1 else 4000) if wildcards.seed == '2' else 3000"]  # fmt: skip
        run = begin(siege, *changed, *(f"results/siege/dhs/basset/seed{seed}/compute.json" for seed in (1, 2, 3, 4)), study="siege")
        _, _, node = wait_for(lambda: has_trained(siege, 3) and training(3))
        subprocess.run(["scontrol", "update", f"nodename={node}", "state=drain", "reason=test"], check=True)
        time.sleep(5)
        subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=True)
        subprocess.run(["sbatch", "-p", "urgent", "-w", node, "--exclusive", "-t", "1", "-o", "/dev/null", "--wrap=sleep 3"], check=True)
        wait_for(lambda: queue("pending").get("rule_train_model_wildcards_siege_dhs_basset_3"))
        for number, *_ in list(queue("pending").values()):
            subprocess.run(["scontrol", "update", f"job={number}", "starttime=now"], check=False)
        said = ended(run)
        assert "TIMEOUT" in said
        for seed in (1, 3):
            tries = attempts(siege, seed)
            assert len(tries) >= 2 and in_turn(tries), tries
            assert compute(siege / f"results/siege/dhs/basset/seed{seed}")["resumed_from"], tries
        assert in_turn(attempts(siege, 2)) and in_turn(attempts(siege, 4))
        assert asked("squeue", "--noheader") == []

    def test_ctrl_c_and_a_killed_master_leave_no_jobs_and_training_goes_on(self, siege):
        target = "results/siege/dhs/basset/seed5/compute.json"
        run = begin(siege, target, study="siege")
        wait_for(lambda: has_trained(siege, 5) and training(5))
        run.send_signal(signal.SIGINT)
        assert run.wait(120) != 0
        wait_for(lambda: not asked("squeue", "--noheader"), seconds=60)
        run = begin(siege, target, study="siege")
        number, *_ = wait_for(lambda: training(5))
        time.sleep(15)  # into its second attempt
        run.kill()
        run.wait()
        assert training(5)
        resume = [sys.executable, "workflow_scripts/resume.py"]
        again = subprocess.run(resume, cwd=siege, env=environment(), capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        assert again.returncode == 0, again.stderr[-3000:]
        assert "ending 1 jobs of a killed run on the cluster" in again.stderr and "going on with: snakemake --profile slurm" in again.stderr
        assert "CANCELLED" in " ".join(asked("scontrol", "show", "job", number))
        tries = attempts(siege, 5)
        assert compute(siege / "results/siege/dhs/basset/seed5")["resumed_from"] and in_turn(tries) and len(tries) == 3, tries
        assert asked("squeue", "--noheader") == []
