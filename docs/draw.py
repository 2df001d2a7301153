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
# Rooms from top to bottom, each with its files of rules and its colour.
ROOMS = {
    "sources": (("sources",), "#5b6b7a"),
    "windows": (("windows",), "#2f6f9f"),
    "training": (("embed", "train"), "#7a5195"),
    "effects": (("loci", "variants", "measured", "published"), "#b5523b"),
    "judgement": (("evaluate", "strata", "transfer", "dependencies", "literature"), "#3f7d4e"),
    "report": (("report",), "#8a6d1d"),
}
WIDTH, HEIGHT, GAP, STEP = 124, 26, 16, 54  # of a box; between boxes and rooms; from row to row
LANE = 8  # between arrows past whole rooms


def edges() -> set[tuple[str, str]]:
    """What Snakemake says: pairs of rules of which the second reads what the first makes; without `all`."""
    asked = [sys.executable, "-m", "snakemake", "--rulegraph", "dot", *ASKED]
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    if said.returncode:
        sys.exit(said.stderr)
    names = dict(re.findall(r'^\s*(\d+)\[label ?= ?"(\w+)"', said.stdout, flags=re.MULTILINE))
    pairs = {(names[one], names[other]) for one, other in re.findall(r"^\s*(\d+) -> (\d+)", said.stdout, flags=re.MULTILINE)}
    # A file may be unpacked from another, and a background's counts are read by the scores of the next set: no arrow, and one.
    return {
        (one, other) for one, other in pairs if "all" not in (one, other) and one != other and not ((other, one) in pairs and one > other)
    }


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
    """The rules of a room in rows, each below all that it reads from in the room, and just above the first that reads from it."""
    inside = [pair for pair in pairs if set(pair) <= rules]
    depth = dict.fromkeys(rules, 0)
    for _ in rules:
        for one, other in inside:
            depth[other] = max(depth[other], depth[one] + 1)
    last = max(depth.values())
    for rule in sorted(rules, key=depth.get, reverse=True):
        below = [depth[other] for one, other in inside if one == rule]
        if below or any(other == rule for _, other in inside):
            depth[rule] = min(below, default=last + 1) - 1
    return [sorted(rule for rule in rules if depth[rule] == row) for row in range(last + 1)]


def slots(row: list[str], wish: dict[str, float], columns: int, shifted: bool) -> dict[str, float]:
    """A column for each box of a row, near where it wishes to be; rows stand as bricks do, so that arrows pass between boxes."""
    free = [one + 0.5 for one in range(columns - 1)] if shifted else list(range(columns))
    free = [-0.5, *free, columns - 0.5] if len(free) < len(row) else free
    taken, start = {}, 0
    ordered = sorted(row, key=lambda rule: (wish[rule], rule))
    for left, rule in zip(range(len(ordered), 0, -1), ordered, strict=True):
        best = min(range(start, len(free) - left + 1), key=lambda at: (abs(free[at] - wish[rule]), at))
        taken[rule], start = free[best], best + 1
    return taken


def picture() -> str:
    """The drawing as SVG, one element a line, so that a change is seen in a diff."""
    pairs, home = reduced(edges()), homes()
    room = {rule: name for pair in pairs for rule in pair for name, (files, _) in ROOMS.items() if home[rule] in files}
    level = list(ROOMS)
    grid = {name: rows({rule for rule in room if room[rule] == name}, pairs) for name in ROOMS}
    first = {rule for some in grid.values() for rule in some[0]}
    # Past a room, or past boxes of the next one, an arrow takes a lane at the left, which those from one box, or into the last, share.
    far = {(one, other) for one, other in pairs if level.index(room[other]) - level.index(room[one]) > (0 if other not in first else 1)}
    lane = {pair: pair[1] if room[pair[1]] == level[-1] else pair[0] for pair in far}
    lanes = {
        name: (number + 1) * LANE
        for number, name in enumerate(sorted(set(lane.values()), key=lambda name: (level.index(room[name]), name)))
    }
    wide = {name: max(map(len, some)) for name, some in grid.items()}
    begin, pitch = LANE * (len(lanes) + 1), WIDTH + GAP
    width, top = pitch * (max(wide.values()) + 1), GAP
    at, frame, lines = {}, {}, []
    for name, (_, colour) in ROOMS.items():
        tall = len(grid[name]) * STEP + 22
        frame[name] = (top, top + tall)
        left = begin + width / 2 - (wide[name] - 1) * pitch / 2  # middle of column 0
        for number, row in enumerate(grid[name]):
            above = {rule: [at[one][0] for one, other in pairs if other == rule and one in at] or [begin + width / 2] for rule in row}
            wish = {rule: (sum(where) / len(where) - left) / pitch for rule, where in above.items()}
            for rule, column in slots(row, wish, wide[name], number % 2 == 1 and wide[name] > 1).items():
                at[rule] = (left + column * pitch, top + 32 + number * STEP + HEIGHT / 2)
        lines.append(f'<rect x="{begin}" y="{top}" width="{width:.0f}" height="{tall}" rx="8" fill="{colour}" fill-opacity="0.09"/>')
        lines.append(
            f'<text x="{begin + width - 10:.0f}" y="{top + 20}" fill="{colour}" font-weight="bold" text-anchor="end">{name}</text>'
        )
        top += tall + GAP
    for one, other in sorted(pairs):
        (x, y), (u, v) = (at[one][0], at[one][1] + HEIGHT / 2), (at[other][0], at[other][1] - HEIGHT / 2 - 2)
        end = frame[room[one]][1]
        if (one, other) in far:
            by = lanes[lane[one, other]]
            path = f"M{x:.0f} {y:.0f}V{end + by / 4:.0f}H{by}V{v - 6 - by / 6:.0f}H{u:.0f}V{v:.0f}"
        else:
            down = end if end < v else y  # out of its room an arrow goes straight down, between the boxes
            path = f"M{x:.0f} {y:.0f}V{down:.0f}C{x:.0f} {(down + v) / 2:.0f} {u:.0f} {(down + v) / 2:.0f} {u:.0f} {v:.0f}"
        lines.append(
            f'<path id="{one}-{other}" d="{path}" fill="none" stroke="{ROOMS[room[one]][1]}" stroke-opacity="0.8" stroke-width="1.3" '
            'stroke-linejoin="round" marker-end="url(#head)"/>'
        )
    for rule, (x, y) in sorted(at.items()):
        box = f'x="{x - WIDTH / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="5"'
        lines.append(f'<rect {box} fill="#ffffff" stroke="{ROOMS[room[rule]][1]}" stroke-width="1.5"/>')
        lines.append(f'<text id="{rule}" x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle" fill="#1b1b1b">{rule}</text>')
    size = (begin + width + GAP, top)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]:.0f} {size[1]:.0f}" width="{size[0]:.0f}" height="{size[1]:.0f}" '
        'font-family="sans-serif" font-size="13">',
        "<title>What reads what: the rules of the workflow, from the sources at the top to the report</title>",
        '<defs><marker id="head" markerWidth="7" markerHeight="7" refX="4" refY="3" orient="auto">'
        '<path d="M0 0L6 3L0 6z" fill="#555555"/></marker></defs>',
        f'<rect width="{size[0]:.0f}" height="{size[1]:.0f}" fill="#ffffff"/>',
    )
    return "\n".join([*head, *lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(
            0 if PICTURE.is_file() and PICTURE.read_text() == picture() else "docs/flow.svg is not what the rules say; run `make docs`"
        )
    PICTURE.write_text(picture())
