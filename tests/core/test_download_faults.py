"""Downloading from a server that is slow, broken or wrong: the right files or a typed error."""

import hashlib
import http.server
import subprocess
import sys
import threading

import pytest
from common import ROOT

from nin_lib.data import FILES, DataError
from nin_lib.download import download_full

NAMES = [f"{file}.gz" for file in FILES]
CONTENT = {name: bytes([number]) * (40_000 + number) for number, name in enumerate(NAMES)}
SHA256 = {name[:-3]: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
NOBODY = "http://127.0.0.1:9/"  # a port where nothing listens


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the first folder of the address says: /good/..., /cut/..., /slow/..."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        how, name = self.path.strip("/").split("/")
        getattr(self, how)(CONTENT.get(name, b""), name)

    def answer(self, body, status=200, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def good(self, body, _):
        self.answer(body)

    def cut(self, body, _):
        self.answer(body[: len(body) // 2], length=len(body))

    def cut_without_length(self, body, _):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])

    def slow(self, body, _):
        self.answer(body[:1000], length=len(body))
        self.wfile.flush()
        self.server.over.wait(20)  # the next byte comes after the reader's patience

    def silent(self, body, _):
        self.server.over.wait(20)

    def trickle(self, body, _):
        """In many small pieces, none of them late."""
        self.answer(b"", length=len(body))
        for start in range(0, len(body), 8000):
            self.wfile.write(body[start : start + 8000])
            self.wfile.flush()
            self.server.over.wait(0.01)

    def wrong(self, body, _):
        self.answer(body[:-1] + b"!")

    def longer(self, body, _):
        self.answer(body + b"!")

    def page(self, body, _):
        self.answer(b"<!DOCTYPE html><title>Log in</title>", Content_Type="text/html")

    def empty(self, body, _):
        self.answer(b"")

    def missing(self, body, _):
        self.answer(b"<html>404</html>", 404)

    def broken(self, body, _):
        self.answer(b"", 500)

    def moved(self, body, name):
        self.answer(b"", 302, Location=f"/good/{name}")

    def moved_in_a_circle(self, body, name):
        self.answer(b"", 302, Location=f"/moved_in_a_circle/{name}")

    def moved_nowhere(self, body, name):
        self.answer(b"", 302, Location=f"{NOBODY}{name}")

    def unpacked(self, body, _):
        """Claims an encoding that the body does not have."""
        self.answer(body, Content_Encoding="gzip")

    def no_http(self, body, _):
        self.wfile.write(b"\0\1\2 what is this?\r\n\r\n")


@pytest.fixture
def server(monkeypatch):
    """The address of a server that can answer in every way; `asked` are the paths it was asked."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.asked, server.over = [], threading.Event()
        server.address = f"http://127.0.0.1:{server.server_port}/"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


def get(folder, *sources, timeout=10.0):
    return download_full(folder, sources, SHA256, timeout)


def right(folder):
    """All four files are there, whole, and nothing else."""
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    return all((folder / name).read_bytes() == CONTENT[name] for name in NAMES)


FAULTS = {
    "cut": "ChunkedEncodingError|ConnectionError",
    "cut_without_length": "something other than the data file",
    "slow": "ConnectionError|ReadTimeout",
    "silent": "ReadTimeout",
    "wrong": "something other than the data file",
    "longer": "something other than the data file",
    "page": "something other than the data file",
    "empty": "something other than the data file",
    "missing": "HTTPError",
    "broken": "HTTPError",
    "moved_in_a_circle": "TooManyRedirects",
    "moved_nowhere": "ConnectionError",
    "unpacked": "ContentDecodingError",
    "no_http": "ConnectionError",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_an_error_that_names_file_and_source_and_leaves_nothing(server, tmp_path, fault):
    source = f"{server.address}{fault}/"
    with pytest.raises(
        DataError, match=f"{NAMES[0]} could not be.*{source}: (answered )?({FAULTS[fault]})"
    ):
        get(tmp_path / "got", source, timeout=0.3)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_the_next_source_is_asked(server, tmp_path, fault):
    sources = (f"{server.address}{fault}/", f"{server.address}good/")
    assert right(get(tmp_path / "got", *sources, timeout=0.3))
    assert f"/good/{NAMES[3]}" in server.asked


@pytest.mark.parametrize("how", ["good", "trickle", "moved"])
def test_good_slow_but_steady_and_moved_sources(server, tmp_path, how):
    assert right(get(tmp_path / "a" / "new" / "folder", f"{server.address}{how}/"))


def test_the_first_source_is_down(server, tmp_path):
    assert right(get(tmp_path, NOBODY, f"{server.address}good/"))


def test_every_source_that_failed_is_named(server, tmp_path):
    sources = (NOBODY, f"{server.address}missing/", f"{server.address}page/")
    with pytest.raises(DataError) as caught:
        get(tmp_path, *sources)
    for source in sources:
        assert source in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_was_fetched_before_a_fault_stays_and_is_not_fetched_again(
    server, tmp_path, monkeypatch
):
    """Two files come, the third is cut off; the next call gets the two that are missing."""

    def good_twice(handler, body, name):
        (handler.good if name in NAMES[:2] else handler.cut)(body, name)

    monkeypatch.setattr(Handler, "twice", good_twice, raising=False)
    with pytest.raises(DataError, match=f"{NAMES[2]} could not be downloaded"):
        get(tmp_path, f"{server.address}twice/")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES[:2])
    server.asked.clear()
    assert right(get(tmp_path, f"{server.address}good/"))
    assert server.asked == [f"/good/{name}" for name in NAMES[2:]]


@pytest.mark.parametrize("content", [b"", b"<html>", CONTENT[NAMES[0]][:-1]])
def test_a_wrong_file_under_the_right_name_is_replaced(server, tmp_path, content):
    (tmp_path / NAMES[0]).write_bytes(content)
    assert right(get(tmp_path, f"{server.address}good/"))


def test_a_wrong_file_stays_visible_when_nothing_better_can_be_had(server, tmp_path):
    """It was there before; reading it names the damage."""
    (tmp_path / NAMES[0]).write_bytes(b"half")
    with pytest.raises(DataError):
        get(tmp_path, f"{server.address}cut/")
    assert [path.name for path in tmp_path.iterdir()] == [NAMES[0]]


def test_a_full_disk_is_seen_and_leaves_nothing(server, tmp_path, monkeypatch):
    import pooch

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pooch.core.shutil, "move", full)
    with pytest.raises(OSError, match="No space left"):
        get(tmp_path, f"{server.address}good/")
    assert list(tmp_path.iterdir()) == []


FETCH = """
import json, sys
sys.path.insert(0, sys.argv[1])
from nin_lib.download import download_full
print("ready", flush=True)
sys.stdin.readline()
download_full(sys.argv[2], [sys.argv[3]], json.loads(sys.argv[4]), 20)
"""


def test_two_processes_at_once_into_one_folder(server, tmp_path):
    """Each of them gets every file whole, from a source that gives them time to meet."""
    import json

    folder = tmp_path / "shared" / "cache"  # that neither finds there
    arguments = [str(ROOT), str(folder), f"{server.address}trickle/", json.dumps(SHA256)]
    both = [
        subprocess.Popen(
            [sys.executable, "-c", FETCH, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in both:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert right(folder)
    assert 4 <= len(server.asked) <= 8
