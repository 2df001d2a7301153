"""The site file of a cluster."""

import getpass
import re
import stat

import pytest
import yaml
from workflow_tools import ROOT

from regdna.slurm import site
from regdna.step import InputError

SINFO = """case "$*" in
*%m*) for row in 'cpu*|2-00:00:00|190000+' 'cpu*|2-00:00:00|64000' 'gpu|1-00:00:00|500000' 'plain|infinite|500000'; do
    case "$*" in *%R*) echo "$row" | sed 's/[*]//';; *) echo "$row";; esac; done;;
*) echo 'cpu|(null)'; echo 'gpu|gpu:a100:4(S:0-1),shard:8'; echo 'gpu|gpu:h100:2'; echo 'plain|gpu:2';;
esac"""
KEPT = "echo 'Configuration data as of now'; echo 'AccountingStorageType  = accounting_storage/slurmdbd'"


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A cluster of stand-in commands; gives a function that writes one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def put(name, script):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    put("sinfo", SINFO)
    put("scontrol", KEPT)
    put("sacctmgr", f"""case "$*" in *user={getpass.getuser()}*) echo 'Lab|normal,long'; echo 'other|normal';; *) exit 1;; esac""")
    return put


@pytest.fixture
def write(tmp_path):
    path = tmp_path / "site.yaml"

    def put(**content):
        path.write_text(yaml.safe_dump(content) if content else "jobs: 50\n")
        return path

    return put


def test_without_a_file_all_is_as_the_schema_says(tmp_path):
    assert site.read_site(tmp_path / "none.yaml") == {"gpu_request": "gpus", "accounting": True, "jobs": 50, "group": 1, "extra": ""}


def test_the_template_is_a_site_file_and_each_of_its_lines_holds_if_the_mark_is_taken_away(tmp_path):
    path = ROOT / "profiles/slurm/site.template.yaml"
    assert site.read_site(path) == site.read_site(ROOT / "no/site.yaml")
    keys = yaml.safe_load((ROOT / "rules/schemas/site.schema.yaml").read_text())["properties"]
    text = path.read_text()
    assert {key for key in keys if f"\n# {key}:" in text or f"\n{key}:" in text} == set(keys)
    apart = ("# partition:", "# accounting:")  # not together with partitions and account
    bare = [line.removeprefix("# ") for line in text.splitlines() if re.match(r"# (\w+:|  \w+: \{)", line) and not line.startswith(apart)]
    (tmp_path / "site.yaml").write_text("\n".join(bare) + "\n")
    assert set(site.read_site(tmp_path / "site.yaml")) == set(keys) - {"partition"}


@pytest.mark.parametrize(
    ("content", "said"),
    [({"partitions": {"cpu": {"max_time": 5}}}, "max_time"), ({"jobs": 0}, "jobs"), ({"accounts": "x"}, "account"),
     ({"partition": "cpu", "partitions": {"cpu": {}}}, "both given"), ({"account": "x", "accounting": False}, "charges nobody"),
     ({"gpu_model": "a100:2"}, "gpu_model"), ({"partitions": {"cpu": {"max_runtime": 5}}}, "max_runtime"),
     ({"extra": "--mail-user=it's"}, "extra: No closing quotation"), ({"extra": "--mail-type=FAIL --partition=gpu"}, "--partition=gpu is"),
     ({"extra": "-p gpu"}, "-p is"), ({"extra": "--time 5"}, "--time is"), ({"extra": "--signal=USR1"}, "--signal=USR1 is")],
)  # fmt: skip
def test_a_mistake_in_the_file_is_one_line(write, content, said):
    with pytest.raises(InputError, match=said) as caught:
        site.read_site(write(**content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [({"partition": "gpus"}, "partition: this cluster has no partition 'gpus'; it has cpu, gpu, plain"),
     ({"partitions": {"cpu": {}, "fast": {}}}, "no partition 'fast'"),
     ({"gpu_model": "v100"}, "no GPU 'v100' in cpu or gpu or plain; this cluster has a100, h100"),
     ({"gpu_model": "a100", "partition": "plain"}, "no GPU 'a100' in plain"),
     ({"gpu_model": "a100", "partitions": {"cpu": {"max_gpu": 0}, "plain": {"max_gpu": 2}}}, "no GPU 'a100' in plain"),
     ({"partition": "cpu,fast"}, "no partition 'fast'"),
     ({"gpu_model": "a100", "partitions": {"cpu": {}}}, "no GPU 'a100' in a partition with max_gpu above 0"),
     ({"partitions": {"gpu": {"max_runtime": 1441}}}, "partitions.gpu.max_runtime: 1441 is more than the cluster's own 1440 minutes"),
     ({"partitions": {"cpu": {"max_mem_mb": 190001}}}, "partitions.cpu.max_mem_mb: 190001 is more than the cluster's own 190000 MB"),
     ({"account": "labs"}, "account: 'labs' is none of yours; you have Lab, other"),
     ({"qos": "high"}, "qos: 'high' is none of yours; you have long, normal")],
)  # fmt: skip
def test_a_name_that_the_cluster_does_not_have_is_refused(cluster, write, content, said):
    path = write(**content)
    with pytest.raises(InputError, match=said):
        site.check(site.read_site(path), path)


@pytest.mark.parametrize(
    "content",
    [{}, {"partition": "gpu", "gpu_model": "h100"}, {"account": "lab", "qos": "long"},
     {"partitions": {"gpu": {"max_gpu": 4}}, "gpu_model": "a100"}, {"partition": "cpu,gpu"},
     {"partitions": {"cpu": {"max_runtime": 2880, "max_mem_mb": 190000}, "plain": {"max_runtime": 99999}}}],
)  # fmt: skip
def test_names_that_are_there_pass(cluster, write, content):
    path = write(**content)
    site.check(site.read_site(path), path)


def test_accounts_that_nobody_keeps_are_said(cluster, write):
    cluster("scontrol", "echo 'AccountingStorageType = accounting_storage/none'")
    with pytest.raises(InputError, match="write `accounting: false`"):
        site.check(site.read_site(write()))
    site.check(site.read_site(write(accounting=False)))


def test_a_controller_that_does_not_answer_is_left_to_the_jobs(cluster, write):
    cluster("sinfo", "exit 1")
    site.check(site.read_site(write(partition="nope")))


def test_sacctmgr_that_tells_nobody_refuses_nothing(cluster, write):
    cluster("sacctmgr", "exit 1")
    site.check(site.read_site(write(account="anything")))


def test_a_profile_ends_with_the_line_alone(cluster, write, capsys):
    with pytest.raises(SystemExit) as caught:
        site.site(write(partition="nope"))
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("regdna: ") and said.count("\n") == 1


def test_text_of_a_resource_is_quoted_and_its_variables_are_left_for_the_node(monkeypatch):
    import os

    monkeypatch.setenv("TMPDIR", "/login")
    for text in ("input", "12345", "it's", "$TMPDIR/x", "a b"):
        assert eval(os.path.expandvars(site.quoted(text))) == text


@pytest.mark.parametrize(
    ("content", "gpus", "request_"),
    [({}, 0, []), ({}, 2, ["--gpus=2"]), ({"account": "a", "qos": "q", "partition": "p"}, 0, ["--account=a", "--qos=q", "--partition=p"]),
     ({"gpu_model": "a100", "gpu_request": "gres"}, 1, ["--gres=gpu:a100:1"]), ({"gpu_model": "a100"}, 1, ["--gpus=a100:1"]),
     ({"partitions": {"c": {}, "g": {"max_gpu": 2}}}, 2, ["--partition=g", "--gpus=2"]),
     ({"partitions": {"g": {"max_gpu": 2}, "c": {}}, "extra": "--reservation=r"}, 0, ["--partition=c", "--reservation=r"])],
)  # fmt: skip
def test_a_job_is_asked_for_as_the_site_says(write, content, gpus, request_):
    assert site.request(site.read_site(write(**content)), gpus) == request_


def test_a_job_asks_for_no_more_than_where_it_goes_gives(cluster, write):
    table = {"cpu": {"max_runtime": 2000, "max_mem_mb": 100_000}, "gpu": {"max_runtime": 600, "max_gpu": 2}, "big": {"max_runtime": 90,
             "max_mem_mb": 9000, "max_gpu": 4}}  # fmt: skip
    content = site.read_site(write(partitions=table))
    assert [site.limits(content, number) for number in (0, 1, 3)] == [(2000, 100_000), (600, None), (90, 9000)]
    assert [site.partitions_of(content, number) for number in (0, 1, 4, 5)] == [["cpu"], ["big", "gpu"], ["big"], []]
    assert site.limits(site.read_site(write()), 1) == (2880, 190_000), "of the default partition, its largest node"
    assert site.limits(site.read_site(write(partition="gpu")), 0) == (1440, 500_000)
    assert site.limits(site.read_site(write(partition="gpu,plain")), 0) == (None, 500_000)
    cluster("sinfo", "exit 1")
    assert site.limits(site.read_site(write()), 1) == (None, None)


def test_further_options_are_read_as_a_shell_reads_them(write):
    content = site.read_site(write(extra="--mail-type=FAIL\n--reservation='a b'\n"))
    assert site.request(content, 0) == ["--mail-type=FAIL", "--reservation=a b"]


def test_the_executor_looks_for_sacct_where_the_profile_hides_it():
    executor = pytest.importorskip("snakemake_executor_plugin_slurm")
    profile = (ROOT / "profiles/slurm/config.v9+.yaml").read_text()
    assert "slurm.is_query_tool_available = " in profile
    assert "is_query_tool_available" in executor.Executor.check_active_jobs.__code__.co_names
