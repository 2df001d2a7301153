"""The pages of docs/ and their site: built without a warning, read offline, and true to the rules and the code."""

import contextlib
import math
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from toy_models import genome
from workflow_tools import ROOT, environment

from regdna.haplotypes import edits
from regdna.variants import SCORES, score

PAGES = {path.stem: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
# What no study asks for, so that it stands in no picture of one.
APART = {"compare", "contrast_studies", "preflight", "survey_login", "survey_node"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` does; a warning is an error, and so is a link that leads nowhere."""
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-E", "-W", "--keep-going", "-q", "-d", folder / "trees", ROOT / "docs", folder / "site"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "site"


def test_make_docs_builds_as_this_test_does():
    assert "-m sphinx -E -W --keep-going -q -d docs/site/.doctrees docs docs/site" in (ROOT / "Makefile").read_text()


def test_every_page_is_in_the_site_and_asks_for_nothing_outside(site):
    assert {path.stem for path in site.glob("*.html")} == {*PAGES, "search"}
    for path in [*site.glob("*.html"), *site.glob("_static/**/*.css"), *site.glob("_images/*.svg")]:
        text = path.read_text()
        assert not re.search(r"<(?:script|img|link|iframe|source|use)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//", text), path
        assert not re.search(r"url\(\s*[\"']?(?:https?:)?//|@import", text), path
    assert "troubleshooting" in (site / "searchindex.js").read_text()


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")
def test_the_site_is_read_and_searched_from_a_folder(site, tmp_path):
    with Browser(tmp_path) as browser:
        browser.open(site / "flow.html")
        assert browser.run("document.querySelector('img[src*=flow]').naturalWidth") > 500
        browser.open(site / "index.html")
        browser.run("document.querySelector('.sidebar-search').focus()")
        browser.write("quota")
        browser.press("Enter")
        found = "[...document.querySelectorAll('#search-results li a')].map(one => one.getAttribute('href')).join(' ')"
        pages, deadline = "", time.monotonic() + 60
        while "troubleshooting.html" not in pages and time.monotonic() < deadline:
            time.sleep(0.1)
            with contextlib.suppress(RuntimeError):  # it is on its way to the page of results
                pages = browser.run(found)
        assert "troubleshooting.html" in pages
        assert not browser.console
        assert {one.partition(":")[0] for one in browser.requests} <= {"file", "data"}


def test_the_picture_of_the_flow_is_drawn_from_todays_rules():
    done = subprocess.run([sys.executable, "docs/draw.py", "--check"], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rules = {
        rule for path in ROOT.glob("rules/*.smk") for rule in re.findall(r"^(?:rule|checkpoint) (\w+):", path.read_text(), re.MULTILINE)
    }
    drawn = set(re.findall(r'<text id="(\w+)"', (ROOT / "docs/flow.svg").read_text()))
    assert drawn == rules - APART, "docs/studies/everything.yaml does not ask for all rules"


def test_the_page_of_the_flow_names_every_rule_that_is_drawn():
    drawn = re.findall(r'<text id="(\w+)"', (ROOT / "docs/flow.svg").read_text())
    assert not [rule for rule in drawn if f"`{rule}`" not in PAGES["flow"]]


# --- docs/results.md ---


def documented() -> set[str]:
    """Every path that docs/results.md describes, as rules write it; of folders with a slash at the end."""
    found = set()
    for folder, text in re.findall(r"^## (results/\S+)\n(.*?)(?=^## |\Z)", PAGES["results"], flags=re.MULTILINE | re.DOTALL):
        cells = re.findall(r"^\| (.+?) \|", text, flags=re.MULTILINE) if "\n|" in text else [text]
        for cell in cells:
            last = ""
            for name in re.findall(r"`([^`]+)`", cell):
                last = last + name if name.startswith(".") else name
                for one in re.sub(r"^(.*)\{(\w+),(\w+)\}(.*)$", r"\1\2\4 \1\3\4", last).split():
                    found.add(folder + one)
    return found


def test_every_file_that_a_rule_makes_is_described():
    outputs = set()
    for path in ROOT.glob("rules/*.smk"):
        for block in re.findall(r"^    output:\n((?:^ {8}.*\n)+)", path.read_text(), flags=re.MULTILINE):
            outputs |= {found.replace("{before}+{after}", "{old}+{new}") for found in re.findall(r'"(results/[^"]+)"', block)}
    assert len(outputs) > 40
    known = documented()
    folders = tuple(one for one in known if one.endswith("/"))
    missing = {one for one in outputs if one not in known and not f"{one}/".startswith(folders) and "/preflight/" not in one}
    assert not missing, "docs/results.md does not describe these"


# --- docs/variants.md ---


def test_the_scores_are_defined_as_the_code_defines_them():
    table = PAGES["variants"].partition("| score | definition |")[2].partition("\n\n")[0]
    rows = {
        cells[1].strip(" `"): cells[2] for cells in (re.split(r"(?<!\\)\|", line) for line in table.splitlines() if line.startswith("| `"))
    }
    assert set(rows) == set(SCORES)
    same = {"\\|": "|", "`": "", "×": "*", "−": "-", "  ": " "}
    for name, code in SCORES.items():
        said = rows[name]
        for old, new in same.items():
            said = said.replace(old, new)
        assert said.strip().startswith(re.sub(r" \(Zhou.*|:.*", "", code)), name


class Two:
    """A classifier of one target: log-odds of 0.2 where a window has no G, of 0.5 where it has one, the same on both strands."""

    about = {"targets": ["a"], "length": 20}

    def strands(self, codes, position):
        odds = np.where((codes == 2).any(1), 0.0, math.log(0.2 / 0.8))[:, None]
        return np.stack([odds, odds])


def test_the_example_of_the_scores_is_what_the_code_computes(tmp_path):
    import pandas as pd

    table = pd.DataFrame([("chr1", 50, "A", "G")], columns=["contig", "position", "ref", "alt"])
    found = score([Two()], genome(tmp_path, {"chr1": "A" * 100}), edits(table))
    line = re.search(r"^From p_ref = 0.2 to p_alt = 0.5: (.*)\.$", PAGES["variants"], flags=re.MULTILINE)[1]
    said = {name: float(value) for name, value in re.findall(r"`(\w+)` ([\d.]+)", line)}
    assert set(said) == {"diff", "logit", "log2_odds", "deepsea_effect"}
    for name, value in said.items():
        assert found[name][0, 0] == pytest.approx(value, abs=5e-4), name
