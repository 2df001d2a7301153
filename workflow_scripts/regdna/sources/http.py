"""Ask over HTTP: one file, resumed, retried, from mirrors and never taken for whole when it is not; or a JSON object."""

import contextlib
import email.utils
import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3

from regdna.step import InputError
from regdna.store import Lease, write_json

log = logging.getLogger("regdna")

ATTEMPTS = 8  # in a row without a new byte, per address
CONNECT_SECONDS, STALL_SECONDS = 20.0, 60.0
LONGEST_WAIT = 300.0
CHUNK = 1 << 18
AGAIN = {408, 425, 429, 500, 502, 503, 504}
# Requests a second to hosts that state a limit: https://www.encodeproject.org/help/rest-api/
PACE = {"www.encodeproject.org": 10.0}
AGENT = "regdna (reproducible genomics workflow)"
HTML = (b"<!doctype html", b"<html", b"<head")


class Refused(Exception):
    """An address will not give the file, whatever one does; the next may."""


Show = Callable[[int, int | None], None]


def download(urls: list[str], part: Path, show: Show, first_wait: float = 1.0, stall: float = STALL_SECONDS) -> str:
    """Bring the content of the first address that gives it whole to ``part``; gives that address.

    A part file of an earlier attempt is continued if the server confirms that it is still the same file (ETag or
    Last-Modified), else begun again. Only GET is used: signed addresses often refuse HEAD.

    Args:
        urls: addresses of the same file, in the order of preference.
        part: file that grows; what it belongs to is kept beside it in ``.json``.
        show: called with the bytes held and the bytes expected (None if unknown).
        first_wait: seconds before the first retry; doubled each time, up to five minutes.
        stall: seconds without a byte after which a connection is given up.

    Raises:
        InputError: no address gave it; says of each why.
    """
    reasons = []
    for url in urls:
        try:
            _from(url, part, show, first_wait, stall)
            return url
        except Refused as error:
            reasons.append(f"{url}: {error}")
            _forget(part)
    raise InputError("; ".join(reasons) + "; see docs/downloads.md for fetching by hand")


def get_json(url: str, pace: Path, first_wait: float = 1.0, stall: float = STALL_SECONDS) -> tuple[int, dict]:
    """The JSON object that an address answers with, whatever its status: some say 'nothing found' as a 404 with a body.

    Args:
        pace: folder of the file through which jobs share the pace of a host that states a limit.
        first_wait, stall: as in ``download``.

    Returns:
        the HTTP status and the object.

    Raises:
        InputError: no JSON object came: refused, a page instead, or out of attempts.
    """
    wait, why = first_wait, ""
    for attempt in range(ATTEMPTS):
        asked = None
        _keep_pace(url, pace)
        try:
            with requests.get(url, headers={"Accept": "application/json", "User-Agent": AGENT}, timeout=(CONNECT_SECONDS, stall)) as answer:
                if answer.status_code not in AGAIN:
                    return answer.status_code, _object(answer)
                why, asked = f"the server answered {answer.status_code} {answer.reason}", _retry_after(answer)
        except Refused as error:
            raise InputError(f"{url}: {error}") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            why = _plain(error)
        if attempt < ATTEMPTS - 1:
            pause = min(asked if asked is not None else wait, LONGEST_WAIT)
            log.info("%s: %s; again in %.0f s", url, why, pause)
            time.sleep(pause)
            wait *= 2
    raise InputError(f"{url}: {why} ({ATTEMPTS} attempts); try again later")


def _object(answer: requests.Response) -> dict:
    """The JSON object in an answer's body."""
    try:
        content = json.loads(answer.content)
    except ValueError:
        content = None
    if isinstance(content, dict):
        return content
    if answer.status_code >= 400:
        raise Refused(f"the server answered {answer.status_code} {answer.reason}")
    _refuse_html(answer.content, answer, "JSON")
    raise Refused("the server answered with something that is not a JSON object")


def _from(url: str, part: Path, show: Show, first_wait: float, stall: float) -> None:
    wait, failures, why = first_wait, 0, ""
    while failures < ATTEMPTS:
        before = part.stat().st_size if part.is_file() else 0
        asked = None
        try:
            if _attempt(url, part, show, stall):
                return
            why = "the connection ended before the file did"
        except _Later as error:
            why, asked = str(error), error.seconds
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            why = _plain(error)
        held = part.stat().st_size if part.is_file() else 0
        failures = 0 if held > before else failures + 1
        wait = first_wait if held > before else wait
        if failures < ATTEMPTS:
            pause = min(asked if asked is not None else wait, LONGEST_WAIT)
            log.info("%s: %s; again in %.0f s with %d bytes held", url, why, pause, held)
            time.sleep(pause)
            wait *= 2
    raise Refused(f"{why} ({ATTEMPTS} attempts)")


class _Later(Exception):
    """The server asks to come back; ``seconds`` if it says when."""

    def __init__(self, why: str, seconds: float | None):
        super().__init__(why)
        self.seconds = seconds


def _attempt(url: str, part: Path, show: Show, stall: float) -> bool:
    """One request; gives whether the file is now whole. What arrived stays in ``part`` either way."""
    held, mark = _held(part, url)
    headers = {"Accept-Encoding": "identity", "User-Agent": AGENT}
    if held and mark:
        headers |= {"Range": f"bytes={held}-", "If-Range": mark}
    _keep_pace(url, part.parent.parent)  # the folder of all sources
    with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, stall)) as answer:
        if answer.status_code in AGAIN:
            raise _Later(f"the server answered {answer.status_code} {answer.reason}", _retry_after(answer))
        if answer.status_code == 416:  # nothing beyond what is held: whole, or another file by now
            total = answer.headers.get("Content-Range", "").rpartition("/")[2]
            if total.isdigit() and int(total) == held:
                return True
            _forget(part)
            return False
        if answer.status_code not in (200, 206):
            raise Refused(f"the server answered {answer.status_code} {answer.reason}")
        continued = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {held}-")
        if answer.status_code == 206 and not continued:
            _forget(part)
            return False
        length = answer.headers.get("Content-Length")
        total = (held if continued else 0) + int(length) if length else None
        mark = answer.headers.get("ETag", "") or answer.headers.get("Last-Modified", "")
        # A weak ETag does not promise equal bytes, so it cannot vouch for a continuation.
        write_json(_beside(part), {"url": url, "mark": "" if mark.startswith("W/") else mark})
        got = held if continued else 0
        with open(part, "ab" if continued else "wb") as file:
            # What has arrived is written at once: a block that waits to be full is lost when the connection is.
            while block := answer.raw.read1(CHUNK):
                if not got:
                    _refuse_html(block, answer)
                file.write(block)
                got += len(block)
                show(got, total)
    return total is None or got == total


def _refuse_html(block: bytes, answer: requests.Response, wanted: str = "the file") -> None:
    if block.lstrip()[:16].lower().startswith(HTML):
        place = urlsplit(answer.url).hostname
        raise Refused(f"{place} answered with an HTML page instead of {wanted}; a proxy, firewall or log-in page may stand between")


def _held(part: Path, url: str) -> tuple[int, str]:
    """Bytes held of this address' file and the mark that identifies it; 0 if what is held is another's."""
    try:
        about = json.loads(_beside(part).read_text())
        return (part.stat().st_size, about["mark"]) if about["url"] == url else (0, "")
    except (FileNotFoundError, json.JSONDecodeError):
        return 0, ""


def _beside(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _beside(part).unlink(missing_ok=True)


def _retry_after(answer: requests.Response) -> float | None:
    """Seconds that Retry-After asks for, given as seconds or as a date; None if it asks for nothing."""
    said = answer.headers.get("Retry-After", "")
    if said.isdigit():
        return float(said)
    with contextlib.suppress(ValueError):
        return max(0.0, (email.utils.parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    return None


def _keep_pace(url: str, folder: Path) -> None:
    """Wait until this host may be asked again; the jobs of one run share the pace through a file."""
    host = urlsplit(url).hostname or ""
    if host not in PACE:
        return
    clock = folder / f".{host}.pace"
    with Lease(clock.with_suffix(".lease"), wait_seconds=600):
        if clock.is_file():
            time.sleep(max(0.0, min(1 / PACE[host], clock.stat().st_mtime + 1 / PACE[host] - time.time())))
        clock.touch()


def _plain(error: Exception) -> str:
    """A network error in words."""
    if isinstance(error, requests.ReadTimeout | urllib3.exceptions.ReadTimeoutError):
        return "the server sent nothing for too long"
    if isinstance(error, requests.ConnectionError | urllib3.exceptions.ProtocolError):
        return "no connection, or it was cut"
    return str(error) or type(error).__name__
