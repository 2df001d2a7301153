"""Draw docs/flow.svg from Snakemake's graph of rules, grouped by the file of rules/ that a rule stands in.

python docs/draw.py [--check]
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs/flow.svg"
# A study that asks for everything there is; nothing of it is ever run.
ASKED = ["--config", "study=everything", "study_folder=docs/studies", "--", "all"]
# Floors from top to bottom: rooms side by side, each with its files of rules and its colour.
FLOORS = [
    [("sources", ("sources",), "#5b6b7a")],
    [("windows", ("windows",), "#2f6f9f")],
    [("training", ("embed", "train"), "#7a5195")],
    [("effects", ("loci", "variants", "measured", "published"), "#b5523b"), ("judgement", ("evaluate", "strata", "transfer", "dependencies"), "#3f7d4e")],
    [("report", ("report",), "#8a6d1d")],
]
WIDTH, HEIGHT, GAP, STEP, MARGIN = 132, 26, 14, 58, 26  # of a box; between boxes, rows, and around rooms


def edges() -> set[tuple[str, str]]:
    """What Snakemake says: pairs of rules of which the second reads what the first makes; without `all`."""
    asked = [sys.executable, "-m", "snakemake", "--rulegraph", "dot", *ASKED]
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    if said.returncode:
        sys.exit(said.stderr)
    names = dict(re.findall(r'^\s*(\d+)\[label ?= ?"(\w+)"', said.stdout, flags=re.MULTILINE))
    pairs = {(names[one], names[other]) for one, other in re.findall(r"^\s*(\d+) -> (\d+)", said.stdout, flags=re.MULTILINE)}
    return {pair for pair in pairs if "all" not in pair}


def homes() -> dict[str, str]:
    """The file of rules/ that each rule stands in, without its ending."""
    found = {}
    for path in sorted((ROOT / "rules").glob("*.smk")):
        found |= dict.fromkeys(re.findall(r"^(?:rule|checkpoint) (\w+):", path.read_text(), flags=re.MULTILINE), path.stem)
    return found


def reduced(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The pairs that do not follow from others: an arrow past a rule that lies between says nothing new."""
    after = {one: {second for first, second in pairs if first == one} for pair in pairs for one in pair}

    def reach(start: str) -> set[str]:
        return after[start] | {last for one in after[start] for last in reach(one)}

    return {(one, other) for one, other in pairs if not any(other in reach(between) for between in after[one] - {other})}


def rows(rules: set[str], pairs: set[tuple[str, str]]) -> list[list[str]]:
    """The rules of a room in rows, each below all that it reads from in the room."""
    depth = dict.fromkeys(rules, 0)
    for _ in rules:
        for one, other in pairs:
            if one in rules and other in rules:
                depth[other] = max(depth[other], depth[one] + 1)
    return [sorted(rule for rule in rules if depth[rule] == row) for row in range(max(depth.values()) + 1)]


def place(pairs: set[tuple[str, str]]) -> tuple[dict[str, tuple[float, float]], list[tuple[str, str, float, float, float, float]], float, float]:
    """Where each box has its middle, the frames of the rooms (name, colour, left, top, width, height), and the size of it all."""
    home = homes()
    rules = {rule for pair in pairs for rule in pair}
    rooms = {name: rows({rule for rule in rules if home[rule] in files}, pairs) for floor in FLOORS for name, files, _ in floor}
    wide = {name: max(map(len, some)) * (WIDTH + GAP) - GAP + 2 * MARGIN for name, some in rooms.items()}
    total = max(sum(wide[name] for name, *_ in floor) + GAP * (len(floor) - 1) for floor in FLOORS)
    at, frames, top = {}, [], GAP
    for floor in FLOORS:
        share = (total - GAP * (len(floor) - 1)) / sum(wide[name] for name, *_ in floor)
        left, tall = GAP, max(len(rooms[name]) for name, *_ in floor) * STEP + MARGIN
        for name, _, colour in floor:
            width = wide[name] * share
            frames.append((name, colour, left, top, width, tall))
            for number, row in enumerate(rooms[name]):
                # Below what it reads, from left to right: fewer arrows cross.
                above = {rule: [at[one][0] for one, other in pairs if other == rule and one in at] or [left + width / 2] for rule in row}
                ordered = sorted(row, key=lambda rule: (sum(above[rule]) / len(above[rule]), rule))
                pitch = (width - 2 * MARGIN + GAP) / len(ordered)
                for place, rule in enumerate(ordered):
                    at[rule] = (left + MARGIN - GAP / 2 + pitch * (place + 0.5), top + MARGIN + 12 + number * STEP + HEIGHT / 2)
            left += width + GAP
        top += tall + GAP
    return at, frames, total + 2 * GAP, top


def picture() -> str:
    """The drawing as SVG, one element a line, so that a change is seen in a diff."""
    pairs = reduced(edges())
    at, frames, width, height = place(pairs)
    colours = {file: colour for floor in FLOORS for _, files, colour in floor for file in files}
    home = homes()
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        'font-family="sans-serif" font-size="12">',
        "<title>What reads what: the rules of the workflow, from the sources at the top to the report</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    for name, colour, left, top, wide, tall in frames:
        lines.append(f'<rect x="{left:.0f}" y="{top:.0f}" width="{wide:.0f}" height="{tall:.0f}" rx="8" fill="{colour}" fill-opacity="0.09"/>')
        lines.append(f'<text x="{left + 10:.0f}" y="{top + 18:.0f}" fill="{colour}" font-weight="bold">{name}</text>')
    for one, other in sorted(pairs):
        (x, y), (u, v) = at[one], at[other]
        y, v = y + HEIGHT / 2, v - HEIGHT / 2
        bend = max(18, (v - y) / 2)
        lines.append(
            f'<path id="{one}-{other}" d="M{x:.0f} {y:.0f}C{x:.0f} {y + bend:.0f} {u:.0f} {v - bend:.0f} {u:.0f} {v:.0f}" '
            f'fill="none" stroke="{colours[home[one]]}" stroke-opacity="0.75" stroke-width="1.3"/>'
        )
    for rule, (x, y) in sorted(at.items()):
        box = f'x="{x - WIDTH / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="5"'
        lines.append(f'<rect {box} fill="#ffffff" stroke="{colours[home[rule]]}" stroke-width="1.5"/>')
        lines.append(f'<text id="{rule}" x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle" fill="#1b1b1b">{rule}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if PICTURE.is_file() and PICTURE.read_text() == picture() else "docs/flow.svg is not what the rules say; run `make docs`")
    PICTURE.write_text(picture())
