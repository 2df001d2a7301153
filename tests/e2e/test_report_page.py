"""The page in a real browser: no error, no request to anywhere, tables that sort and filter from the keyboard, print, a phone's width."""

import pytest
from browser import CHROMIUM, Browser
from made_up_study import write

import render

SIZES = [(1280, "light"), (1280, "dark"), (400, "light")]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of a made-up study."""
    folder = tmp_path_factory.mktemp("page")
    render.main(**write(folder), page=folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_page_opens_without_an_error_or_a_request_and_fits(browser, report, width, scheme):
    browser.open(report, width, scheme=scheme)
    assert browser.run("document.querySelector('h1').textContent") == "Made up"
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.console == []
    assert [one for one in browser.requests if not one.startswith("data:")] == []


def test_every_figure_has_a_caption_and_words_instead_of_it(browser, report):
    browser.open(report)
    assert browser.run("document.querySelectorAll('figure.plot').length") > 5
    for what in ("svg[role=img][aria-label]", "figcaption", ".remake code"):
        lacking = f"[...document.querySelectorAll('figure.plot')].filter((one) => !one.querySelector('{what}')?.outerHTML).length"
        assert browser.run(lacking) == 0, what
    empty = "[...document.querySelectorAll('figure.plot')].filter((one) => !one.querySelector('figcaption').textContent.trim()"
    assert browser.run(f"{empty} || !one.querySelector('svg').getAttribute('aria-label').trim()).length") == 0
    assert browser.run("[...document.querySelectorAll('table')].filter((one) => !one.caption?.textContent.trim()).length") == 0
    assert browser.run("document.querySelectorAll('svg:not([role=img])').length") == 0


LEADERS = "document.querySelector('#leaderboard table')"
HEAD = f"[...{LEADERS}.tHead.rows[0].cells].find((one) => one.textContent.includes('mean AUROC'))"


def column(browser) -> list[float]:
    values = browser.run(f"[...{LEADERS}.tBodies[0].rows].map((row) => row.cells[{HEAD}.cellIndex].dataset.value)")
    return [float(value) for value in values]


@pytest.mark.parametrize("key", ["Enter", " "])
def test_a_table_sorts_from_the_keyboard_alone(browser, report, key):
    browser.open(report)
    browser.run(f"{HEAD}.previousElementSibling.querySelector('button').focus()")
    browser.press("Tab")
    assert browser.run(f"document.activeElement === {HEAD}.querySelector('button')"), "the next stop is the next head"
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid", "where the focus is can be seen"
    browser.press(key)
    assert browser.run(f"{HEAD}.getAttribute('aria-sort')") == "descending"
    falling = column(browser)
    assert falling == sorted(falling, reverse=True) and len(set(falling)) > 3
    browser.press(key)
    assert browser.run(f"{HEAD}.getAttribute('aria-sort')") == "ascending" and column(browser) == falling[::-1]
    assert browser.console == []


LONG = "[...document.querySelectorAll('figure.table')].find((one) => one.querySelectorAll('tbody tr').length > 12)"
SHOWN = f"[...{LONG}.querySelectorAll('tbody tr')].filter((row) => row.offsetParent !== null).map((row) => row.textContent)"


def test_only_long_tables_have_a_box_to_search_them(browser, report):
    browser.open(report)
    found = browser.run(
        "[...document.querySelectorAll('figure.table')].map((one) => [one.querySelectorAll('tbody tr').length, "
        "one.querySelectorAll('input[type=search]').length])"
    )
    assert {bool(box) for rows, box in found if rows > 12} == {True} and {box for rows, box in found if rows <= 12} == {0}
    named = "[...document.querySelectorAll('input[type=search]')].every((one) => one.labels.length === 1 && one.labels[0].textContent)"
    assert browser.run(named)
    assert browser.run("new Set([...document.querySelectorAll('[id]')].map((one) => one.id)).size") == browser.run(
        "document.querySelectorAll('[id]').length"
    )


def test_a_box_leaves_the_rows_with_all_its_words_and_says_how_many(browser, report):
    browser.open(report)
    rows = browser.run(f"{LONG}.querySelectorAll('tbody tr').length")
    assert len(browser.run(SHOWN)) == rows
    browser.run(f"{LONG}.querySelector('input').focus()")
    browser.write("BASSET  k562")
    left = browser.run(SHOWN)
    assert 0 < len(left) < rows and all("basset" in one.lower() and "k562" in one.lower() for one in left)
    said = f"{LONG}.querySelector('output')"
    assert browser.run(f"{said}.textContent") == f"{len(left)} of {rows} rows"
    assert browser.run(f"{said}.getAttribute('aria-live')") == "polite"
    browser.write(" nothing at all")
    assert browser.run(SHOWN) == [] and browser.run(f"{said}.textContent") == f"0 of {rows} rows"


def test_what_was_filtered_out_is_printed_and_the_box_is_not(browser, report, tmp_path):
    browser.open(report)
    rows = browser.run(f"{LONG}.querySelectorAll('tbody tr').length")
    browser.run(f"{LONG}.querySelector('input').focus()")
    browser.write("nothing at all")
    browser.send("Emulation.setEmulatedMedia", media="print")
    assert len(browser.run(SHOWN)) == rows
    assert browser.run(f"getComputedStyle({LONG}.querySelector('.filter')).display") == "none"
    browser.send("Emulation.setEmulatedMedia", media="")
    browser.print(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert browser.console == []
