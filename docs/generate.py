"""Write docs/config.md from the schemas and the registry, so that it cannot drift.

python docs/generate.py [--check]
"""

import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from regdna.models import ARCHITECTURES  # noqa: E402 - the library is beside the scripts

PAGE = ROOT / "docs/config.md"


def resolve(part: dict, root: dict) -> dict:
    """A schema with its reference followed."""
    if "$ref" not in part:
        return part
    found = root
    for step in part["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return {**found, **{key: value for key, value in part.items() if key != "$ref"}}


def kind(part: dict) -> str:
    """The type of a key in words."""
    if "enum" in part:
        return " or ".join(f"`{one}`" for one in part["enum"])
    if part.get("type") == "array":
        return f"list of {part['items'].get('type', 'values')}"
    return {"object": "keys", None: "see text"}.get(part.get("type"), part.get("type", ""))


def rows(schema: dict, root: dict, prefix: str = "") -> list[str]:
    """One table row a key, those below it after it."""
    out = []
    needed = schema.get("required", [])
    for key, part in schema.get("properties", {}).items():
        part = resolve(part, root)
        default = "required" if key in needed else f"`{part['default']}`" if "default" in part else ""
        out.append(f"| `{prefix}{key}` | {kind(part)} | {default} | {part.get('description', '').strip()} |")
        below = part.get("additionalProperties")
        out += rows(part, root, f"{prefix}{key}.")
        if isinstance(below, dict):
            out += rows(resolve(below, root), root, f"{prefix}{key}.{{id}}.")
    return out


def page() -> str:
    """The whole page."""
    lines = ["# Configuration", "", "Generated from `rules/schemas/` and the registry of models by `make docs`; do not edit.", ""]
    for name in ("config", "study", "sources", "tuning", "site"):
        schema = yaml.safe_load((ROOT / f"rules/schemas/{name}.schema.yaml").read_text())
        lines += [f"## `{schema['title']}`", "", schema["description"], "", "| key | type | default | meaning |", "|---|---|---|---|"]
        lines += rows(schema, schema)
        if isinstance(schema["additionalProperties"], dict):
            lines += rows(schema["additionalProperties"], schema, "{id}.")
        lines.append("")
    lines += ["## Architectures", "", "What `models.{id}.architecture` may be and `models.{id}.parameters` may set, with defaults.", ""]
    lines += ["Sizes are for networks that begin with random weights; with `models.{id}.weights` they are those of the weights.", ""]
    lines += ["| architecture | family | regimes | sizes | parameters | what it is | source |", "|---|---|---|---|---|---|---|"]
    for name, one in ARCHITECTURES.items():
        sizes, parameters = (", ".join(f"`{key}: {value}`" for key, value in some.items()) for some in (one.sizes, one.parameters))
        lines.append(f"| `{name}` | {one.family} | {', '.join(one.regimes)} | {sizes} | {parameters} | {one.summary} | {one.citation} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.is_file() and PAGE.read_text() == page() else "docs/config.md is not what the schemas say; run `make docs`")
    PAGE.write_text(page())
