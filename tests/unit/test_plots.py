"""Figures are small, equal for equal data, follow the page's colours and say the numbers that they were given."""

import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd

from regdna import plots

LOOKS = plots.series({"a": ("row zero", "a", ""), "b": ("cnn", "b · random weights", ""), "c": ("transformer", "c & <c>", "")})
ROWS = pd.DataFrame({"model": ["b", "c", "a"], "value": [0.9141, 0.85, 0.6], "low": [0.9052, np.nan, 0.55], "high": [0.9238, np.nan, 0.65]})


def forest(name: str = "forest") -> str:
    return plots.forest(ROWS, LOOKS, 0.9141, name=name, alt="three <models>")


def test_svg_is_well_formed_and_described():
    root = ElementTree.fromstring(forest().replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1))
    assert root.get("role") == "img" and root.get("aria-label") == "three <models>"


def test_text_is_text_and_numbers_keep_their_digits():
    svg = forest()
    assert "0.914  [0.905, 0.924]" in svg and "no interval" in svg and ">b<" in svg and ">random weights<" in svg
    assert "c &amp; &lt;c&gt;" in svg


def test_same_data_same_bytes_and_no_dates():
    assert forest() == forest()
    assert "<metadata" not in forest() and not re.search(r"20\d\d-\d\d-\d\d", forest())


def test_ids_of_two_figures_do_not_meet():
    one, two = (set(re.findall(r' id="([^"]+)"', forest(name))) for name in ("one", "two"))
    assert one and not one & two


def test_colours_are_names_that_the_page_defines():
    svg = forest()
    assert set(re.findall(r"var\(--([\w-]+)\)", svg)) <= {*plots.PALETTE, "sans"}
    assert not re.search(r"#[0-9a-f]{6}", svg), "a colour that does not follow the scheme"


def test_palette_names_are_told_by_their_light_colour():
    lights = [light for light, _ in plots.PALETTE.values()]
    assert len(set(lights)) == len(lights)


def test_models_of_a_family_differ_even_when_hues_run_out():
    looks = plots.series({f"m{i}": ("cnn", f"m{i}", "") for i in range(6)})
    assert len({(look.colour, look.dash) for look in looks.values()}) == 6
    assert len({(look.colour, look.marker) for look in list(looks.values())[:4]}) == 4, "figures of marks alone show no dash"


def test_a_control_is_a_cross_of_its_models_colour_and_uses_up_no_hue():
    looks = plots.series({"a": ("cnn", "a", ""), "a-flank-only": ("cnn", "a-flank-only", "a"), "b": ("cnn", "b", "")})
    assert looks["a-flank-only"].colour == looks["a"].colour and looks["a-flank-only"].marker not in plots.MARKERS.values()
    assert looks["b"] == plots.series({"a": ("cnn", "a", ""), "b": ("cnn", "b", "")})["b"]


def test_global_settings_are_left_as_they_were():
    before = dict(matplotlib.rcParams)
    forest()
    assert dict(matplotlib.rcParams) == before


def test_importance_is_minus_the_mean_of_three():
    effect = np.array([[0, -3, -1.5, 0], [np.nan] * 4])
    assert plots.importance(effect).tolist() == [1.5, 0]


def test_every_figure_draws():
    points = pd.DataFrame({"model": "b", "target": 0, "curve": "roc", "x": [0, 1], "y": [0, 1]})
    targets = pd.DataFrame({"target": [0, 1], "name": ["one", "two"], "prevalence": [0.2, 0.1]})
    assert "one" in plots.curves(points, "roc", targets, LOOKS, name="roc", alt="")
    effect = np.random.default_rng(0).normal(size=(6, 4))
    svg = plots.locus([(LOOKS["b"], effect), (LOOKS["c"], effect)], np.array([0, 1, 2, 3, 4, 0]), 99, "chr1", name="locus", alt="")
    assert "data:image/png;base64," in svg and "position on chr1" in svg
    assert "as large" in plots.effect_sizes({"b": np.array([0.0, 1, 2]), "c": np.zeros(3)}, LOOKS, name="sizes", alt="")
    table = pd.DataFrame({"layer": [0, 1, 0, 1], "pooling": ["mean", "mean", "max", "max"], "validation_ap": [0.3, 0.4, 0.2, 0.5]})
    svg = plots.layers({"seed 1": table}, {"seed 1": (1, "max")}, name="layers", alt="")
    assert all(word in svg for word in ("seed 1", "mean", "max", "validation AP", "layer that the probe reads"))


def test_the_lowest_panel_of_each_column_names_its_axis_and_says_its_numbers():
    for count, columns in ((1, 1), (3, 3), (6, 4)):
        targets = pd.DataFrame({"target": range(count), "name": [f"t{at}" for at in range(count)], "prevalence": 0.2})
        points = pd.DataFrame({"model": "b", "target": 0, "curve": "roc", "x": [0, 1], "y": [0, 1]})
        svg = plots.curves(points, "roc", targets, LOOKS, name="roc", alt="")
        assert svg.count(">false positive rate<") == columns and svg.count(">0.5<") == columns + -(-count // 4)
        assert svg.count(">true positive rate<") == -(-count // 4)
