"""Downloads from a local server that misbehaves in every way that real ones do."""

import gzip
import hashlib
import http.server
import threading
import time

import pytest

from regdna.sources import http as fetcher
from regdna.sources.fetch import bring, read_lock
from regdna.sources.http import download, get_json
from regdna.step import InputError

CONTENT = gzip.compress(bytes(range(256)) * 4000, mtime=0) + b"x" * 200_000


class Server(http.server.ThreadingHTTPServer):
    """Answers by path; what a path does on its n-th request is a function of n."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: dict[str, list[tuple[float, str, str | None]]] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def requests_for(self, path: str) -> int:
        return len(self.asked.get(path, []))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.send_error(403)

    def do_GET(self):
        path, spoken = self.path.partition("?")[0], self.headers.get("Range")
        asked = self.server.asked.setdefault(path, [])
        asked.append((time.monotonic(), "GET", spoken))
        getattr(self, "do_" + path.strip("/").replace("-", "_"))(len(asked))

    def whole(self, content=CONTENT, send=None, etag='"one"', declared=None):
        """The content from the Range asked for, cut after `send` bytes."""
        spoken, only_if = self.headers.get("Range"), self.headers.get("If-Range")
        first = int(spoken.removeprefix("bytes=").rstrip("-")) if spoken and (not only_if or only_if == etag) else 0
        body = content[first:]
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body) if declared is None else declared))
        self.end_headers()
        self.wfile.write(body if send is None else body[:send])
        if send is not None and send < len(body):
            self.close_connection = True
            self.connection.close()

    def do_good(self, n):
        self.whole()

    def do_drops(self, n):
        self.whole(send=100_000 if n < 4 else None)

    def do_never_ends(self, n):
        self.whole(send=0)

    def do_unavailable(self, n):
        if n < 3:
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.whole()

    def do_busy(self, n):
        if n == 1:
            self.send_response(429)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.whole()

    def do_redirects(self, n):
        self.send_response(307)
        self.send_header("Location", "/good?signature=1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_page(self, n):
        self.whole(b"\n<!DOCTYPE html><html><body>Please log in</body></html>", etag="")

    def do_absent(self, n):
        self.send_error(404)

    def say(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_object(self, n):
        self.say(200, b'{"a": [1]}')

    def do_nothing_found(self, n):
        self.say(404, b'{"total": 0}')

    def do_busy_object(self, n):
        self.say(*((429, b"{}") if n == 1 else (503, b"<html>") if n == 2 else (200, b'{"a": [1]}')), Retry_After="1" if n == 1 else "")

    def do_cut_object(self, n):
        self.whole(b'{"a": [1]}', send=4 if n == 1 else None)

    def do_list(self, n):
        self.say(200, b"[1]")

    def do_stalls(self, n):
        if n == 1:
            self.send_response(200)
            self.send_header("ETag", '"one"')
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:50_000])
            time.sleep(3)
        else:
            self.whole()

    def do_changes(self, n):
        if n == 1:
            self.whole(b"old" * 100_000, send=90_000, etag='"old"')
        else:
            self.whole(etag='"new"')

    def do_cut_gzip(self, n):
        self.whole(gzip.compress(CONTENT)[:-20])

    def do_no_mark(self, n):
        self.whole(send=100_000 if n == 1 else None, etag="")

    def do_lies_about_range(self, n):
        if n == 1:
            self.whole(send=100_000)
        elif self.headers.get("Range"):
            self.send_response(206)
            self.send_header("Content-Range", f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}")
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)
        else:
            self.whole()


@pytest.fixture(scope="module")
def server():
    running = Server()
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.shutdown()


@pytest.fixture(autouse=True)
def fresh(server):
    server.asked.clear()


def get(server, *paths, part, **options):
    return download([f"{server.address}/{path}" for path in paths], part, lambda *_: None, first_wait=0.01, **options)


def is_whole(part):
    return hashlib.sha256(part.read_bytes()).digest() == hashlib.sha256(CONTENT).digest()


@pytest.mark.parametrize("path", ["good", "drops", "unavailable", "redirects", "changes", "no-mark", "lies-about-range"])
def test_it_ends_with_the_right_file(server, tmp_path, path):
    part = tmp_path / "x.part"
    assert get(server, path, part=part) == f"{server.address}/{path}"
    assert is_whole(part)


def test_a_cut_transfer_goes_on_where_it_stopped(server, tmp_path):
    get(server, "drops", part=tmp_path / "x.part")
    ranges = [spoken for _, _, spoken in server.asked["/drops"]]
    assert ranges == [None, "bytes=100000-", "bytes=200000-", "bytes=300000-"][: len(ranges)]
    assert len(ranges) >= 2


def test_a_later_run_goes_on_with_an_earlier_ones_part(server, tmp_path, monkeypatch):
    part = tmp_path / "x.part"
    monkeypatch.setattr(fetcher, "ATTEMPTS", 1)
    part.write_bytes(CONTENT[:70_000])
    (tmp_path / "x.part.json").write_text(f'{{"url": "{server.address}/good", "mark": "\\"one\\""}}')
    get(server, "good", part=part)
    assert server.asked["/good"][0][2] == "bytes=70000-"
    assert is_whole(part)


def test_a_part_of_another_address_is_not_continued(server, tmp_path):
    part = tmp_path / "x.part"
    part.write_bytes(b"something else")
    (tmp_path / "x.part.json").write_text(f'{{"url": "{server.address}/other", "mark": "\\"one\\""}}')
    get(server, "good", part=part)
    assert server.asked["/good"][0][2] is None
    assert is_whole(part)


def test_a_part_that_is_whole_needs_no_body(server, tmp_path):
    part = tmp_path / "x.part"
    get(server, "good", part=part)
    get(server, "good", part=part)
    assert is_whole(part)


def test_retry_after_is_obeyed(server, tmp_path):
    get(server, "busy", part=tmp_path / "x.part")
    first, second = (moment for moment, *_ in server.asked["/busy"])
    assert second - first >= 0.95


def test_a_stalled_connection_is_given_up_and_continued(server, tmp_path):
    part = tmp_path / "x.part"
    get(server, "stalls", part=part, stall=0.3)
    assert is_whole(part)
    assert server.asked["/stalls"][1][2] == "bytes=50000-"


def test_a_mirror_is_asked_when_an_address_refuses(server, tmp_path):
    part = tmp_path / "x.part"
    assert get(server, "absent", "page", "good", part=part) == f"{server.address}/good"
    assert is_whole(part)
    assert server.requests_for("/absent") == 1


def test_a_page_instead_of_data_is_called_one(server, tmp_path):
    with pytest.raises(InputError, match="HTML page instead of the file; a proxy, firewall or log-in page"):
        get(server, "page", part=tmp_path / "x.part")
    assert not (tmp_path / "x.part").exists()


def test_every_address_is_named_with_its_reason(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetcher, "ATTEMPTS", 2)
    with pytest.raises(InputError) as error:
        get(server, "absent", "never-ends", part=tmp_path / "x.part")
    assert "/absent: the server answered 404" in str(error.value)
    assert "/never-ends: no connection, or it was cut (2 attempts)" in str(error.value)


def test_no_server_at_all_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(fetcher, "ATTEMPTS", 2)
    with pytest.raises(InputError, match="no connection, or it was cut"):
        download(["http://127.0.0.1:9/x"], tmp_path / "x.part", lambda *_: None, first_wait=0.01)


def test_the_pace_of_a_host_is_kept(server, tmp_path, monkeypatch):
    monkeypatch.setitem(fetcher.PACE, "127.0.0.1", 5.0)
    for at in range(4):
        get(server, "good", part=tmp_path / f"{at}.part")
    moments = [moment for moment, *_ in server.asked["/good"]]
    assert min(later - earlier for earlier, later in zip(moments, moments[1:], strict=False)) > 0.15


class TestJson:
    """An object, its status, and nothing that only looks like one."""

    @pytest.mark.parametrize(("path", "found"), [("object", (200, {"a": [1]})), ("nothing-found", (404, {"total": 0}))])
    def test_an_object_comes_with_its_status(self, server, tmp_path, path, found):
        assert get_json(f"{server.address}/{path}", tmp_path) == found
        assert server.requests_for(f"/{path}") == 1

    def test_a_busy_server_is_asked_again_when_it_wants(self, server, tmp_path):
        assert get_json(f"{server.address}/busy-object", tmp_path, first_wait=0.01) == (200, {"a": [1]})
        first, second, _ = (moment for moment, *_ in server.asked["/busy-object"])
        assert second - first >= 0.95

    def test_a_cut_answer_is_no_object(self, server, tmp_path):
        assert get_json(f"{server.address}/cut-object", tmp_path, first_wait=0.01) == (200, {"a": [1]})
        assert server.requests_for("/cut-object") == 2

    @pytest.mark.parametrize(
        ("path", "said"),
        [("page", "HTML page instead of JSON; a proxy"), ("absent", "absent: the server answered 404"), ("list", "not a JSON object"),
         ("never-ends", r"never-ends: .* \(2 attempts\); try again later")],
    )  # fmt: skip
    def test_anything_else_is_said(self, server, tmp_path, monkeypatch, path, said):
        monkeypatch.setattr(fetcher, "ATTEMPTS", 2)
        with pytest.raises(InputError, match=said):
            get_json(f"{server.address}/{path}", tmp_path, first_wait=0.01)
        assert server.requests_for(f"/{path}") == (2 if path == "never-ends" else 1)

    def test_it_keeps_the_pace_of_a_host(self, server, tmp_path, monkeypatch):
        monkeypatch.setitem(fetcher.PACE, "127.0.0.1", 5.0)
        for _ in range(3):
            get_json(f"{server.address}/object", tmp_path)
        moments = [moment for moment, *_ in server.asked["/object"]]
        assert min(later - earlier for earlier, later in zip(moments, moments[1:], strict=False)) > 0.15


class TestBring:
    """From addresses to a verified file under its final name, or to nothing there at all."""

    def entry(self, server, path="good", **stated):
        return {"url": f"{server.address}/{path}", **stated}

    def bring(self, tmp_path, entry, downloaded=None):
        bring("source", "file.bin", entry, tmp_path / "out/file.bin", tmp_path / "lock.tsv", downloaded)

    def test_a_file_with_a_checksum_arrives_and_is_not_pinned(self, server, tmp_path):
        digest = hashlib.md5(CONTENT).hexdigest()
        self.bring(tmp_path, self.entry(server, "drops", md5=digest, bytes=len(CONTENT)))
        assert is_whole(tmp_path / "out/file.bin")
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["file.bin"]
        assert not (tmp_path / "lock.tsv").exists()

    @pytest.mark.parametrize("stated", [{"md5": "0" * 32}, {"sha1": "0" * 40}, {"sha256": "0" * 64}, {"bytes": 7}])
    def test_wrong_bytes_never_get_the_name(self, server, tmp_path, stated):
        with pytest.raises(InputError, match="resources/sources.yaml states"):
            self.bring(tmp_path, self.entry(server, **stated))
        assert not (tmp_path / "out/file.bin").exists()
        assert not (tmp_path / "out/.file.bin.part").exists()

    def test_what_has_no_checksum_is_pinned_and_held_to_it(self, server, tmp_path):
        self.bring(tmp_path, self.entry(server))
        assert read_lock(tmp_path / "lock.tsv")["source", "file.bin"]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
        (tmp_path / "out/file.bin").unlink()
        self.bring(tmp_path, self.entry(server))
        (tmp_path / "out/file.bin").unlink()
        text = (tmp_path / "lock.tsv").read_text()
        (tmp_path / "lock.tsv").write_text(text.replace(hashlib.sha256(CONTENT).hexdigest(), "0" * 64))
        with pytest.raises(InputError, match=r"lock.tsv states 000000000000"):
            self.bring(tmp_path, self.entry(server))
        assert not (tmp_path / "out/file.bin").exists()

    def test_a_truncated_gzip_is_noticed(self, server, tmp_path):
        with pytest.raises(InputError, match="not a whole gzip file"):
            bring("source", "file.gz", self.entry(server, "cut-gzip"), tmp_path / "out/file.gz", tmp_path / "lock.tsv", None)
        assert not (tmp_path / "out/file.gz").exists()
        assert not (tmp_path / "lock.tsv").exists()

    def test_a_folder_of_downloads_is_used_without_the_network(self, tmp_path):
        (tmp_path / "hand").mkdir()
        (tmp_path / "hand/file.bin").write_bytes(CONTENT)
        entry = {"url": "http://127.0.0.1:9/never", "sha256": hashlib.sha256(CONTENT).hexdigest()}
        self.bring(tmp_path, entry, tmp_path / "hand")
        assert is_whole(tmp_path / "out/file.bin")

    def test_a_file_missing_in_the_folder_of_downloads_is_named_with_its_address(self, tmp_path):
        with pytest.raises(InputError, match=r"source/file.bin: not found; download http://127.0.0.1:9/never there"):
            self.bring(tmp_path, {"url": "http://127.0.0.1:9/never"}, tmp_path)
