"""Comparing the tokenizer files of a model's folder with a vocabulary."""

import json
from collections.abc import Sequence
from pathlib import Path

from regdna.step import InputError

LIST, DEFINITION = "vocab.txt", "tokenizer.json"


def check(folder: Path, ids: dict[str, int], what: str, without_rows: Sequence[str] = ()) -> None:
    """Compare ``vocab.txt`` and ``tokenizer.json`` of a folder, whichever are there, with the ids of tokens.

    Args:
        folder: of a model.
        ids: token to id.
        what: the vocabulary's name in messages.
        without_rows: tokens that a file may lack, as the model has no rows for them.

    Raises:
        InputError: a file gives a token another id, has one too many or lacks one, or cannot be read.
    """
    for path, read in ((folder / LIST, _listed), (folder / DEFINITION, _defined)):
        if path.is_file():
            found = read(path)
            lacks = {token for token in without_rows if token not in found}
            _compare(path, found, {token: one for token, one in ids.items() if token not in lacks}, what)


def _listed(path: Path) -> dict[str, int]:
    """Token to id of a file with one token a line."""
    try:
        lines = path.read_text(encoding="utf-8").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text (byte {error.start}); fetch it again") from None
    return {line.strip(): number for number, line in enumerate(lines)}


def _defined(path: Path) -> dict[str, int]:
    """Token to id of a ``tokenizer.json``."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = {**content["model"]["vocab"]} | {one["content"]: one["id"] for one in content.get("added_tokens") or []}
        return {token: int(one) for token, one in found.items()}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path} holds no vocabulary ({type(error).__name__}: {error}); fetch it again") from None


def _compare(path: Path, found: dict[str, int], ids: dict[str, int], what: str) -> None:
    """Name the first token, by id, that differs."""
    wrong = [(*sorted((found.get(token, -1), ids.get(token, -1)), key=lambda one: (one < 0, one)), token)
             for token in found.keys() | ids.keys() if found.get(token) != ids.get(token)]  # fmt: skip
    if wrong:
        token = min(wrong)[-1]
        here, ours = (f"the id {of[token]}" if token in of else "no id" for of in (found, ids))
        raise InputError(
            f"{path} gives the token {token!r} {here}, {what} {ours} ({len(wrong)} tokens differ): it is of another model; "
            "take the folder's own architecture, or fetch the file again"
        )
