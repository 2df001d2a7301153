"""A file with an address, fetched by the rule itself from a local server, and from a folder without one."""

import functools
import gzip
import http.server
import os
import shutil
import threading

import pytest
import yaml
from workflow_tools import clone, planned, snakemake

FILE = "results/sources/demo-variants/dbsnp.vcf.gz"


@pytest.fixture
def address(tmp_path):
    """A folder served on loopback."""
    (tmp_path / "served").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "served")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def moved(tmp_path, url, **stated):
    """A clone whose variants are at an address, and their bytes."""
    folder = clone(tmp_path / "regdna")
    path = folder / "resources/sources.yaml"
    sources = yaml.safe_load(path.read_text())
    content = (folder / sources["demo-variants"]["files"]["dbsnp.vcf.gz"]["path"]).read_bytes()
    sources["demo-variants"]["files"]["dbsnp.vcf.gz"] = {"url": url, **stated}
    path.write_text(yaml.safe_dump(sources))
    return folder, content


def test_the_rule_downloads_verifies_and_pins(tmp_path, address):
    folder, content = moved(tmp_path, f"{address}/v.vcf.gz")
    (tmp_path / "served/v.vcf.gz").write_bytes(content)
    result = snakemake(folder, FILE)
    assert result.returncode == 0, result.stderr
    assert (folder / FILE).read_bytes() == content
    assert "dbsnp.vcf.gz" in (folder / "resources/sources.lock.tsv").read_text()


def test_the_rule_refuses_what_is_not_as_stated(tmp_path, address):
    folder, content = moved(tmp_path, f"{address}/v.vcf.gz", md5="0" * 32)
    (tmp_path / "served/v.vcf.gz").write_bytes(content)
    result = snakemake(folder, FILE)
    assert result.returncode == 1
    assert "resources/sources.yaml states 000000000000" in result.stderr
    assert not (folder / FILE).exists()


def test_a_file_at_hand_is_copied_again_if_it_is_another_however_old(tmp_path):
    folder = clone(tmp_path / "regdna")
    stated = yaml.safe_load((folder / "resources/sources.yaml").read_text())["demo-variants"]["files"]["dbsnp.vcf.gz"]
    study = yaml.safe_load((folder / "tests/studies/tiny.yaml").read_text())
    study["sources"] = {"mine": {"title": "Mine", "assembly": "hg19", "files": {"calls.vcf.gz": {"path": "calls.vcf.gz"}}}}
    study["datasets"]["chr22"]["variants"]["mine"] = {"file": "mine/calls.vcf.gz"}
    (folder / "tests/studies/mine.yaml").write_text(yaml.safe_dump(study))
    mine, copy = folder / "calls.vcf.gz", "results/sources/mine/calls.vcf.gz"
    shutil.copy(folder / stated["path"], mine)
    os.utime(mine, (10**9, 10**9))
    assert snakemake(folder, copy, study="mine").returncode == 0
    os.utime(mine)
    assert planned(folder, copy, study="mine") == {}  # the same, touched
    mine.write_bytes(gzip.compress(gzip.decompress(mine.read_bytes()).replace(b"rs", b"RS")))
    os.utime(mine, (10**9, 10**9))
    assert planned(folder, copy, study="mine") == {"fetch_source": 1}
    assert snakemake(folder, copy, study="mine").returncode == 0 and (folder / copy).read_bytes() == mine.read_bytes()
    mine.unlink()
    gone = snakemake(folder, "-n", "sources", study="mine")
    assert "regdna: calls.vcf.gz is not there; the copy of mine/calls.vcf.gz is used" in gone.stderr.splitlines()
    assert gone.returncode == 0 and f"output: {copy}" not in gone.stdout + gone.stderr


def test_a_folder_of_downloads_needs_no_server(tmp_path):
    folder, content = moved(tmp_path, "http://127.0.0.1:9/v.vcf.gz")
    (folder / "hand/demo-variants").mkdir(parents=True)
    (folder / "hand/demo-variants/dbsnp.vcf.gz").write_bytes(content)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace('downloaded: ""', "downloaded: hand"))
    result = snakemake(folder, FILE)
    assert result.returncode == 0, result.stderr
    assert (folder / FILE).read_bytes() == content
