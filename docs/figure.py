"""Take the README's figure out of a finished demo: the first of its page, made to stand alone, in light and dark.

Run it after `make demo`: python docs/figure.py
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from regdna.plots import PALETTE  # noqa: E402  (found through the path above)

PAPER = {"paper": ("#ffffff", "#15181c")}


def main() -> None:
    """Write docs/demo.svg from results/demo/report.html."""
    made = ROOT / "results/demo/report.html"
    if not made.is_file():
        sys.exit(f"{made.relative_to(ROOT)} is not there; run `make demo` first")
    page = made.read_text()
    head, body = re.search(r"<svg ([^>]*)>(.*?</svg>)", page, flags=re.DOTALL).groups()
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head).groups()
    # Its colours are variables of the page's style sheet; the figure brings its own.
    light, dark = ("".join(f"--{name}: {two[i]}; " for name, two in (PALETTE | PAPER).items()) for i in (0, 1))
    style = f":root {{ {light}}} @media (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}"
    label = re.search(r'aria-label="[^"]*"', head)[0]
    (ROOT / "docs/demo.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" {label} '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"><style>{style}</style>'
        f'<rect width="100%" height="100%" style="fill: var(--paper)"/>{body}\n'
    )


if __name__ == "__main__":
    main()
