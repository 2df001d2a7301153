"""Text can be read on every ground of the page, light and dark: WCAG 2.1, 1.4.3 and 1.4.11."""

import re

import pytest
from workflow_tools import ROOT

from regdna.plots import PALETTE

STYLE = (ROOT / "workflow_scripts/regdna/templates/report.css").read_text()
SCHEMES = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", rule)) for rule in re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)[:2]]


def luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour as WCAG defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_is_21():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "raised"])
def test_words_stand_out_from_their_ground(scheme, ground):
    own = SCHEMES[scheme]
    words = {name: PALETTE[name][scheme] for name in ("ink", "soft")} | {name: own[name] for name in ("accent", "flag")}
    for name, colour in words.items():
        assert contrast(colour, own[ground]) >= 4.5, f"{name} on {ground}: {contrast(colour, own[ground]):.2f}"


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_words_can_be_read_in_print_and_every_scheme_names_its_colours(scheme):
    assert {"paper", "raised", "accent", "flag"} <= set(SCHEMES[scheme])
    assert contrast(PALETTE["soft"][0], "#ffffff") >= 4.5
