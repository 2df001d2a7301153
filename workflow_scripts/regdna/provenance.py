"""What the code says, as a digest: the basis on which a step is run again or not."""

import ast
import functools
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

PACKAGE = "regdna"
PIECES, PIECE = 64, 4096
# What runs steps but computes no result: an edit of it must not train anything again.
MACHINERY = {f"{PACKAGE}.{name}" for name in ("step", "store", "staging", "ledger")}
# An assumption goes on in the comment lines below it until one of them ends a sentence.
ASSUMPTION = re.compile(r"#\s*ASSUME:\s*(.+(?:(?<!\.)\n[ \t]*#(?!\s*ASSUME:).+)*)")


def code_digest(script: Path, extra: Iterable[str] = ()) -> str:
    """sha256 (16 hex digits) of a script and of every local module that it imports, directly or not.

    Comments, docstrings, blank lines and layout do not count, so an edit of those, a ``touch`` or a git checkout changes
    nothing; a changed statement anywhere in the closure does. A module named in a string and imported at run time (an
    architecture) is followed only if it is given in ``extra``.

    Args:
        script: a Python file; the package ``regdna`` is looked for beside it.
        extra: further modules to follow, as dotted names.
    """
    root = script.resolve().parent
    parts = [(script.name, _statements(script))]
    parts += [(name, _statements(path)) for name, path in sorted(closure(script, extra).items())]
    text = "\0".join(f"{name}\0{body}" for name, body in parts)
    if any(name == f"{PACKAGE}.page" for name, _ in parts):  # what it prints besides code
        shown = [*sorted((root / PACKAGE / "templates").glob("*")), *root.glob(f"{PACKAGE}/models/registry.yaml")]
        text += "".join(path.read_text(encoding="utf-8") for path in shown)
        text += repr(assumptions(root / PACKAGE))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprint(path: Path) -> str:
    """sha256 (16 hex digits) of a file's size and of up to 64 pieces of 4,096 bytes spread over it; of a small file all bytes count.

    Times of change say nothing where a file is moved, copied or unpacked with an old one; to read all of a genome at each plan takes long.
    """
    size = path.stat().st_size
    sha = hashlib.sha256(str(size).encode())
    with open(path, "rb") as handle:
        for number in range(PIECES):
            handle.seek(max(size - PIECE, 0) * number // (PIECES - 1))
            sha.update(handle.read(PIECE))
    return sha.hexdigest()[:16]


def closure(script: Path, extra: Iterable[str] = ()) -> dict[str, Path]:
    """The local modules that ``script`` imports, directly or not: dotted name to file."""
    root = script.resolve().parent
    found: dict[str, Path] = {}
    waiting = [*_imports(script.resolve()), *extra]
    while waiting:
        name = waiting.pop()
        path = _file(root, name)
        if path is None or name in found or name in MACHINERY:
            continue
        found[name] = path
        waiting += _imports(path)
        if "." in name:
            waiting.append(name.rpartition(".")[0])
    return found


def assumptions(folder: Path) -> list[tuple[str, str]]:
    """Every ``ASSUME:`` comment below ``folder`` as (file name relative to it, text in one line), in order."""
    rows = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found = (re.sub(r"\s*\n\s*#\s*", " ", match[1]).strip() for match in ASSUMPTION.finditer(text))
        rows += [(path.relative_to(folder).as_posix(), one) for one in found]
    return rows


@functools.cache
def _parsed(path: Path, modified: int, size: int) -> tuple[tuple[str, ...], str]:
    """The package modules (or names that may be modules) that a file imports, and its statements without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(node, body[0]):
            body[:] = body[1:] or [ast.Pass()]
    return tuple(name for name in names if name.split(".")[0] == PACKAGE), ast.unparse(tree)


def _imports(path: Path) -> tuple[str, ...]:
    return _parsed(path, path.stat().st_mtime_ns, path.stat().st_size)[0]


def _statements(path: Path) -> str:
    return _parsed(path, path.stat().st_mtime_ns, path.stat().st_size)[1]


def _is_docstring(node: ast.AST, first: ast.stmt) -> bool:
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, owners) and isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)


def _file(root: Path, name: str) -> Path | None:
    path = root.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None
