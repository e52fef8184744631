"""What tests in several folders ask for: a script, a browser, the book."""

import functools
import http.server
import importlib
import json
import os
import shutil
import subprocess
import sys
import threading

import pytest
from common import ROOT
from harness import CHROMIUM

import start


@pytest.fixture
def script(monkeypatch):
    """Import a script by its name, from benchmarks/ or from another folder."""

    def load(name, folder="benchmarks"):
        monkeypatch.syspath_prepend(str(ROOT / folder))
        return importlib.import_module(name)

    return load


@pytest.fixture
def in_javascript():
    """Run the JavaScript of a widget without a browser.

    `in_javascript(module, function, given)` calls `function`, which sees all names of `module`.
    """
    node = shutil.which("node")
    if not node and os.environ.get("CI") == "true":
        pytest.fail("Node.js is not installed, and CI=true requires its tests")
    if not node:
        pytest.skip("Node.js is not installed")

    def call(module, function, given):
        program = f"{module}\nconst given = {json.dumps(given)};"
        program += f"\nconsole.log(JSON.stringify(({function})(given)));"
        command = [node, "--input-type=module"]
        run = subprocess.run(
            command, input=program, capture_output=True, encoding="utf-8", timeout=100
        )
        assert run.returncode == 0, run.stderr[-2000:]
        return json.loads(run.stdout)

    return call


@pytest.fixture
def playwright():
    """Playwright and a Chromium: skip where they are missing, fail where CI says they must be."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if CHROMIUM and sync_playwright:
        with sync_playwright() as running:
            yield running
    elif os.environ.get("CI") == "true":
        pytest.fail("no Chromium or no playwright here, and CI=true asks for the browser tests")
    else:
        pytest.skip("no Chromium or no playwright here")


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """The pages of the book, built into a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    command = [str(folder) if part == "book" else part for part in start.BOOK]
    built = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    return folder / "_build" / "html"


@pytest.fixture(scope="session")
def site(book):
    """The address where the book is served."""
    handler = functools.partial(Quiet, directory=str(book))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass
