"""The site of these pages: `make docs` builds it into docs/site; open docs/site/index.html, a server is not needed."""

import tomllib
from pathlib import Path

about = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())["project"]
project, release, author = about["name"], about["version"], "The regdna authors"
copyright = author
html_title = f"{project} {release}"

extensions = ["myst_parser"]
exclude_patterns = ["site", "studies"]
myst_heading_anchors = 4  # the anchors that GitHub gives
suppress_warnings = ["myst.header"]  # the README begins as a page of its own, in the middle of index.md

html_theme = "furo"  # brings its own style and scripts, and the reader's own fonts
html_copy_source = False
html_show_search_summary = False  # it would read pages by requests, which browsers refuse to files
html_use_index = False


def lead_home(app: object, name: str, text: list[str]) -> None:
    """The README is the site's first page."""
    text[0] = text[0].replace("](../README.md", "](index.md")


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("source-read", lead_home)
