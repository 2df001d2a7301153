"""Run a step's ``main`` from Snakemake or from a shell: one function is script, command and test subject."""

import argparse
import inspect
import logging
import os
import re
import signal
import sys
import time
import traceback
import types
import typing
from collections.abc import Callable
from pathlib import Path

from regdna.staging import Scratch
from regdna.store import Lease

RESERVED = {"code", "content"}  # params that tell Snakemake when to run a step again; passed only to a main() that asks for them
REPORT_SECONDS = 30
log = logging.getLogger("regdna")


class InputError(Exception):
    """Bad input from the user. The message names the file, the line or key, and what to do; no traceback is shown."""


def run(main: Callable[..., None]) -> None:
    """Call ``main`` with the arguments of the Snakemake job that runs the calling script, or of the command line.

    Under Snakemake the names of input, output and params (less ``code`` and ``content``) must be arguments of ``main``; wildcards,
    threads, the resource ``processes`` and keys of the config are passed if ``main`` has them. Outside, a command line is built from the
    signature.
    An ``InputError`` ends the process with its one line and exit code 1.

    Raises:
        TypeError: the job gives a name that ``main`` does not take, or leaves out one that it needs.
    """
    job = sys._getframe(1).f_globals.get("snakemake")
    if job is None:
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
        arguments, lease, disk = _command_line(main), None, None
    else:
        _log_to(job.log[0] if job.log else None)
        arguments, lease = bind(main, job), Path(f"{job.log[0]}.lease") if job.log else None
        disk = dict(job.resources.items()).get("scratch")
    # A job that is asked to end cleans up behind itself: leases and temporary files go.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        if lease is None:
            main(**arguments)
        else:
            with Lease(lease), Scratch(disk):
                main(**arguments)
    except SystemExit as end:
        if isinstance(end.code, int) and end.code > 128:
            # By a signal: all is cleaned up, and threads of libraries may keep an interrupted interpreter from ever ending.
            logging.shutdown()
            sys.stdout.flush()
            os._exit(end.code)
        raise
    except InputError as error:
        log.error("regdna: %s", error)
        raise SystemExit(1) from None
    except OSError as error:  # not found, no space, no permission: the system says it best
        log.error("regdna: %s: %s", error.filename or "a file", error.strerror or error)
        log.info("%s", traceback.format_exc())
        raise SystemExit(1) from None
    except Exception:
        log.error("%s", traceback.format_exc())
        raise SystemExit(1) from None


def bind(main: Callable[..., None], job: object) -> dict:
    """The keyword arguments of ``main`` that a Snakemake job gives.

    Raises:
        TypeError: a name that ``main`` does not take, or a missing one.
    """
    signature = inspect.signature(main)
    hints = typing.get_type_hints(main)
    given: dict = {}
    for part in (job.input, job.output, job.params):
        for name, value in part.items():
            if name not in RESERVED or name in signature.parameters:
                given[name] = value
    # The config and the number of processes are no params: a change of them must not run finished jobs again.
    several = [("processes", value) for name, value in job.resources.items() if name == "processes"]
    for name, value in [*job.wildcards.items(), ("threads", job.threads), *several, *getattr(job, "config", {}).items()]:
        if name in signature.parameters:
            given.setdefault(name, value)
    unknown = sorted(set(given) - set(signature.parameters))
    if unknown:
        raise TypeError(f"rule {job.rule} gives {', '.join(unknown)}, which its script's main() does not take")
    missing = sorted(name for name, one in signature.parameters.items() if one.default is one.empty and name not in given)
    if missing:
        raise TypeError(f"rule {job.rule} does not give {', '.join(missing)}, which its script's main() needs")
    return {name: _convert(value, hints.get(name)) for name, value in given.items()}


def progress(total: int, what: str, unit: str = "sequences") -> Callable[[int], None]:
    """A function to call with the number done: a bar on a terminal, else a log line at most every 30 s with rate and ETA."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        bar = tqdm(total=total, desc=what, unit=f" {unit}")

        def show(done: int) -> None:
            bar.update(done - bar.n)
            if done >= total:
                bar.close()

        return show
    start = last = time.monotonic()

    def say(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < REPORT_SECONDS and done < total:
            return
        last = now
        rate = done / max(now - start, 1e-9)
        left = (total - done) / rate if rate else float("inf")
        log.info("%s: %d of %d %s, %.3g/s, %.0f s left", what, done, total, unit, rate, left)

    return say


def _log_to(path: str | None) -> None:
    """Send the log, standard output and standard error to the rule's log file, and the log to standard error too."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.__stderr__)]
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("")
        # Appended to, since processes that this one starts do so too; open for the life of the process.
        stream = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115
        handlers.append(logging.StreamHandler(stream))
        sys.stdout = stream
        sys.stderr = stream
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers, force=True)


def _convert(value: object, hint: object) -> object:
    """Give a value from Snakemake the type of its argument: paths for Path, numbers for wildcards that are some."""
    if value is not None and _wants_path(hint):
        several = [value] if isinstance(value, str) else list(value)
        return [Path(one) for one in several] if _wants_list(hint) else Path(*several)
    if hint is int and isinstance(value, str):
        return int(value)
    return value


def _wants_path(hint: object) -> bool:
    return hint is Path or any(_wants_path(part) for part in typing.get_args(hint))


def _wants_list(hint: object) -> bool:
    return typing.get_origin(hint) is list or any(_wants_list(part) for part in typing.get_args(hint))


def _command_line(main: Callable[..., None]) -> dict:
    """Parse ``sys.argv`` by the signature of ``main``: one option per argument, its type from the annotation."""
    module = inspect.getdoc(sys.modules[main.__module__]) or ""
    summary, meanings = _read_docstring(inspect.getdoc(main) or "")
    parser = argparse.ArgumentParser(description=f"{module}\n\n{summary}", formatter_class=argparse.RawDescriptionHelpFormatter)
    hints = typing.get_type_hints(main)
    for name, one in inspect.signature(main).parameters.items():
        needed = one.default is one.empty
        meaning = [meanings[name]] if name in meanings else []
        state = "required" if needed else "optional" if one.default in (None, "") else f"default: {one.default}"
        parser.add_argument(
            "--" + name.replace("_", "-"),
            required=needed,
            default=None if needed else one.default,
            help="; ".join([*meaning, state]).replace("%", "%%"),
            **_option(hints.get(name, str)),
        )
    return vars(parser.parse_args())


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """What a docstring says before its sections, and the meaning of each argument in its ``Args:``."""
    summary = re.split(r"^(?:Args|Returns|Raises):$", text, maxsplit=1, flags=re.MULTILINE)[0].strip()
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    meanings = {}
    for names, meaning in re.findall(r"^    (\w[\w, ]*): (.*(?:\n {8}.*)*)", section[1] if section else "", flags=re.MULTILINE):
        meanings |= dict.fromkeys(names.split(", "), " ".join(meaning.split()).rstrip("."))
    return summary, meanings


def _option(hint: object) -> dict:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _option(next(part for part in parts if part is not type(None)))
    if origin is list:
        return {**_option(parts[0]), "nargs": "+"}
    if hint is dict or origin is dict:
        return {"type": _yaml, "metavar": "YAML"}
    return {"type": _boolean if hint is bool else hint, "metavar": hint.__name__.upper()}


def _yaml(text: str) -> dict:
    """A dictionary written as YAML or JSON, or in a file named after an @."""
    import yaml

    content = yaml.safe_load(Path(text[1:]).read_text() if text.startswith("@") else text)
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError("keys and values are needed, such as '{rule: chromosomes, test: [chr1]}'")
    return content


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError("true or false")
    return text.lower() == "true"
