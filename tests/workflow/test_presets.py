"""Study presets: a dry run of a fresh clone, without a network, says what will run, what it will fetch and what it will hold."""

import re

import pytest
from workflow_tools import ROOT, clone, snakemake

PRESETS = sorted(path.stem for path in (ROOT / "resources/studies").glob("*.yaml"))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A clone in which nothing was run."""
    return clone(tmp_path_factory.mktemp("presets") / "regdna")


def test_the_four_presets_and_the_demo_are_there():
    assert set(PRESETS) == {"demo", "encode", "roadmap", "deepsea", "sequences"}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_dry_run_shows_jobs_bytes_and_disk(fresh, preset):
    (fresh / "config.yaml").write_text((ROOT / "config.yaml").read_text().replace("study: demo", f"study: {preset}"))
    result = snakemake(fresh, "-n", "--quiet=host", "all", study=None)
    assert result.returncode == 0, result.stderr
    said = result.stdout + result.stderr
    assert "render_report" in said and re.search(r"^total +\d+$", said, flags=re.MULTILINE)
    plan = re.search(rf"study {preset}: (\d+) files to download, about (\S+ \S+); about (\S+ \S+) of disk", said)
    assert (plan is None) == (preset == "demo"), said
    if plan:
        fetched = int(re.search(r"^fetch_source +(\d+)$", said, flags=re.MULTILINE)[1])
        # Members of archives are unpacked, not downloaded.
        assert int(plan[1]) == fetched - (4 if preset == "deepsea" else 0)
