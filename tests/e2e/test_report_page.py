"""The page in a real browser: no error, no request to anywhere, tables that sort from the keyboard, nothing wider than a phone."""

import json
import re
import shutil
import subprocess

import pytest
from made_up_study import write

import render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--enable-logging=stderr", "--allow-file-access-from-files", "--virtual-time-budget=3000")  # fmt: skip
PROBE = """<script>
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {
  const page = frame.contentDocument;
  const table = page.querySelector("figure.table table");
  const head = [...table.querySelectorAll("thead th")].find((one) => one.textContent.includes("mean AUROC"));
  const values = () => [...table.tBodies[0].rows].map((row) => row.cells[head.cellIndex].dataset.value);
  const said = { width: page.documentElement.scrollWidth, focusable: head.querySelector("button").tabIndex };
  head.querySelector("button").click();
  said.first = [head.getAttribute("aria-sort"), ...values()];
  head.querySelector("button").click();
  said.second = [head.getAttribute("aria-sort"), ...values()];
  said.requests = frame.contentWindow.performance.getEntriesByType("resource").map((one) => one.name);
  document.querySelector("pre").textContent = JSON.stringify(said);
});
</script>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    folder = tmp_path_factory.mktemp("page")
    render.main(**write(folder), page=folder / "report.html")
    return folder


def browse(folder, name: str) -> tuple[str, str]:
    """The page after its scripts have run, and what the browser logged."""
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", (folder / name).as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


def test_the_page_opens_without_an_error_or_a_request(folder):
    content, log = browse(folder, "report.html")
    assert "<h1>Made up</h1>" in content
    console = [line for line in log.splitlines() if "CONSOLE" in line]
    assert not console, console


def test_it_fits_a_phone_and_its_tables_sort(folder):

    (folder / "probe.html").write_text(f'<iframe src="report.html" width="400" height="800"></iframe><pre></pre>{PROBE}')
    content, log = browse(folder, "probe.html")
    assert "CONSOLE" not in log
    said = json.loads(re.search(r"<pre>(.+?)</pre>", content)[1])
    assert said["width"] <= 400 and said["focusable"] == 0
    assert said["first"][0] == "descending" and said["second"][0] == "ascending"
    values = [float(value) for value in said["first"][1:]]
    assert values == sorted(values, reverse=True) and said["second"][1:] == said["first"][:0:-1]
    assert all(name.startswith("data:") for name in said["requests"])
