"""Files that a person writes - YAML and tables - read strictly: what is wrong is said in one line, never guessed."""

import copy
import difflib
import math
from collections.abc import Iterable
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import yaml

from regdna.step import InputError

# YAML reads 3e-3 as text: a number needs a point before its exponent.
HINTS = {"number": "one such as 0.003 or 3.0e-3", "integer": "a whole number", "array": "a list such as [1]", "boolean": "true or false"}


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice; plain YAML keeps the last and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise InputError(f"{self.name}: line {key.start_mark.line + 1}: key {key.value!r} is given twice; keep one")
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict:
    """The mapping in a YAML file.

    Raises:
        InputError: it is absent, is not YAML, repeats a key, or is no mapping.
    """
    try:
        with open(path, encoding="utf-8") as handle:
            content = yaml.load(handle, _Loader)
    except FileNotFoundError:
        raise InputError(f"{path}: not found") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give yourself the right to read it, or a file in its place") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{path}: {line}not YAML ({getattr(error, 'problem', error)}); mend it") from None
    except (ValueError, RecursionError) as error:  # a date that there is not, or brackets without end
        raise InputError(f"{path}: not YAML ({error}); mend it") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no keys; write `key: value` lines")
    return content


def read_table(path: Path, columns: dict[str, type], key: str | list[str] | None = None) -> pd.DataFrame:
    """A table of tab-separated values with a header.

    Args:
        columns: name to type (str or int) of each that is needed; int columns hold whole numbers.
        key: the column, or columns together, to index by; their values must differ.

    Raises:
        InputError: the file, a column, or a line is wrong.
    """
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    except (FileNotFoundError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: not a table of tab-separated values ({error}); restore it") from None
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(f"{path}: column {', '.join(missing)} is missing; the header must name {', '.join(columns)}")
    for name, kind in columns.items():
        if kind is int:
            wrong = np.flatnonzero(~table[name].str.fullmatch(r"\d+"))
            if len(wrong):
                raise InputError(f"{path}: line {wrong[0] + 2}: {name} is {table[name].iloc[wrong[0]]!r}, not a whole number; mend it")
            table[name] = table[name].astype(np.int64)
    if key is not None:
        named = [key] if isinstance(key, str) else key
        again = np.flatnonzero(table.duplicated(named))
        if len(again):
            row = ", ".join(f"{name} {table[name].iloc[again[0]]!r}" for name in named)
            raise InputError(f"{path}: line {again[0] + 2}: {row} is given twice; rename one")
        table = table.set_index(key)
    return table


def validate(content: dict, schema: dict, name: str, at: str = "") -> dict:
    """Content checked against a JSON schema and completed with its defaults, as a new dictionary.

    Args:
        name: file to name in messages.
        at: key that the content stands at, with a dot behind it.

    Raises:
        InputError: one line that names the file, the key, what is wrong and the nearest valid key.
    """
    content = copy.deepcopy(content)
    _fill(content, schema, schema)
    _refuse_endless(content, f"{name}: {at}")
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(content))
    if errors:
        raise InputError(f"{name}: {at}{_explain(min(errors, key=lambda error: (-len(error.absolute_path), str(error.path))))}")
    return content


def _refuse_endless(content: object, at: str) -> None:
    """Refuse .nan and .inf, which YAML has as numbers and which no limit of a schema keeps out."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{at}{key}: {value} is no number to compute with; write one such as 0.003")
        _refuse_endless(value, f"{at}{key}.")


def _resolve(part: dict, root: dict) -> dict:
    while "$ref" in part:
        found = root
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = {**found, **{key: value for key, value in part.items() if key != "$ref"}}
    return part


def _fill(content: object, schema: dict, root: dict) -> None:
    schema = _resolve(schema, root)
    if not isinstance(content, dict):
        return
    for key, part in schema.get("properties", {}).items():
        part = _resolve(part, root)
        if key not in content and "default" in part:
            content[key] = copy.deepcopy(part["default"])
        if key in content:
            # 1 and 1.0 are one setting: they must not differ in digests, nor in what a model may override them with.
            if part.get("type") == "number" and isinstance(content[key], int) and not isinstance(content[key], bool):
                content[key] = float(content[key])
            _fill(content[key], part, root)
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        for key in content:
            if key not in schema.get("properties", {}):
                _fill(content[key], others, root)


def _explain(error: jsonschema.ValidationError) -> str:
    where = ".".join(str(part) for part in error.absolute_path) or "top level"
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        key = next(key for key in error.instance if key not in known)
        near = difflib.get_close_matches(str(key), known, n=1, cutoff=0)
        prefix = "" if where == "top level" else f"{where}."
        return f"{prefix}{key}: unknown key; did you mean {near[0]!r}?"
    if error.validator == "required":
        key = next(key for key in error.validator_value if key not in error.instance)
        return f"{where}: {key!r} is missing; add it"
    if error.validator == "enum":
        near = difflib.get_close_matches(str(error.instance), [str(one) for one in error.validator_value], n=1, cutoff=0)
        return f"{where}: {error.instance!r} is none of {', '.join(map(str, error.validator_value))}; did you mean {near[0]!r}?"
    if error.validator == "type" and error.validator_value in HINTS:
        return f"{where}: {error.instance!r} is not of type {error.validator_value}; write {HINTS[error.validator_value]}"
    if error.validator == "type":
        return f"{where}: {error.instance!r} is not of type {error.validator_value}; write one"
    if error.validator == "pattern" and "propertyNames" in error.absolute_schema_path:
        return f"{where}: {error.instance!r} may hold only small letters, digits and hyphens; rename it"
    return f"{where}: {error.message}"


def nearest(name: str, known: Iterable[str]) -> str:
    """`` ; did you mean ...?`` with the nearest known name, or nothing if there is none."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0)
    return f"; did you mean {close[0]!r}?" if close else ""
