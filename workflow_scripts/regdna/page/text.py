"""Numbers, cells, tables and commands as the page writes them."""

import numpy as np
from markupsafe import Markup

DASH = "–"


def number(value: float, digits: int = 3, sign: bool = False) -> str:
    """A number with a real minus sign; a dash where there is none. One that would round to zero keeps one digit."""
    if value is None or not np.isfinite(value):
        return DASH
    form = ".1g" if value and not round(value, digits) else f",.{digits}f"
    value = value or 0.0  # nothing is not below nothing
    return f"{value:{'+' if sign else ''}{form}}".replace("-", "−")


def seconds(value: float) -> str:
    """A duration with its unit."""
    return f"{number(value, 1 if value < 100 else 0)} s"


def between(low: float, high: float, sign: bool = False) -> str:
    """An interval, or nothing if there is none."""
    return f"[{number(low, 3, sign)}, {number(high, 3, sign)}]" if np.isfinite(low) else ""


def estimate(value: float, low: float, high: float, sign: bool = False) -> str:
    """A number with its interval, if it has one."""
    return f"{number(value, 3, sign)} {between(low, high, sign)}".rstrip()


def cell(value: float, text: str | None = None, digits: int = 3, detail: str = "") -> dict:
    """A table's number: as shown, and in full for sorting, with a smaller line below."""
    good = value is not None and np.isfinite(value)
    shown = number(value, digits) if text is None else text
    return {"text": shown, "value": repr(float(value)) if good else "", "number": True, "detail": detail}


def words(text: str, detail: str = "", flag: str = "") -> dict:
    """A table's text, with a smaller line below, and one that must not be overlooked."""
    return {"text": str(text), "detail": detail, "flag": flag, "number": False}


def table(caption: str, columns: list[str], rows: list[list[dict]], target: str) -> dict:
    """A table for the template; columns of numbers are those whose first cell is one."""
    kinds = [one["number"] for one in rows[0]] if rows else [False] * len(columns)
    return {"caption": caption, "columns": list(zip(columns, kinds, strict=True)), "rows": rows, "target": target}


def detectable(difference: float) -> dict:
    """A cell for the smallest detectable difference; none is larger than 1."""
    return cell(difference, "none" if difference > 1 else None)


def figure(svg: str, caption: str, target: str) -> dict:
    """A figure for the template."""
    return {"svg": Markup(svg), "caption": caption, "target": target}


def remake(paths: list[str]) -> str:
    """The command that makes files again; what they share is written once, as a shell expands it."""
    if len(paths) == 1:
        return f"snakemake {paths[0]}"
    split = [path.split("/") for path in paths]
    differs = [at for at in range(len(split[0])) if len({tuple(one[at : at + 1]) for one in split}) > 1]
    if len({len(one) for one in split}) > 1 or len(differs) != 1:
        return "snakemake " + " ".join(paths)
    at = differs[0]
    parts = split[0][:at] + ["{" + ",".join(one[at] for one in split) + "}"] + split[0][at + 1 :]
    return "snakemake " + "/".join(parts)
