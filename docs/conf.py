"""The site of these pages: `make docs` builds it into docs/site; open docs/site/index.html, a server is not needed."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

about = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
project, release, author = about["name"], about["version"], "The regdna authors"
copyright = author
html_title = f"{project} {release}"

extensions = ["myst_parser"]
exclude_patterns = ["site", "studies"]
myst_heading_anchors = 4  # the anchors that GitHub gives
suppress_warnings = ["myst.header"]  # index.md begins with a comment

html_theme = "furo"  # brings its own style and scripts, and takes the reader's fonts
html_copy_source = False
html_show_search_summary = False  # it would ask for pages, which browsers refuse to a page opened as a file
html_use_index = False


def lead_home(app: object, name: str, text: list[str]) -> None:
    """The README is the site's first page: it is put where its name stands, and links to it lead there. Other files are copied."""
    if name == "index":
        app.env.note_dependency(str(ROOT / "README.md"))
        readme = re.sub(r"\]\((?!https?:|#)", "](../", (ROOT / "README.md").read_text()).replace("](../docs/", "](")
        text[0] = text[0].replace("\nREADME\n", f"\n{readme}\n")
    text[0] = text[0].replace("](../README.md", "](index.md").replace("](../", "](path:../")


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("source-read", lead_home)
