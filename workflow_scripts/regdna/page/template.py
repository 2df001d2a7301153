"""Templates of the pages, and how they write settings."""

import jinja2


def engine() -> jinja2.Environment:
    """The templates of this library; a name that is not given is an error."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("regdna", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["plain"] = plain
    return made


def plain(value: object) -> str:
    """A setting as a person writes it: lists and mappings without brackets, yes and no."""
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {plain(one)}" for key, one in value.items())
    if isinstance(value, list):
        return "/".join(str(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
