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
from collections import defaultdict

import pytest
from common import ROOT
from filelock import FileLock
from harness import CHROMIUM, FLAGS
from nbformat.v4 import new_code_cell

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


@pytest.fixture(scope="module")
def playwright():
    """A running Chromium: skip where there is none, fail where CI says that there must be one.

    One for each file of tests, not for all of them: as long as it runs, its thread has an event
    loop, and tests that start an event loop of their own could not run.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if CHROMIUM and sync_playwright:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            yield browser
            browser.close()
    elif os.environ.get("CI") == "true":
        pytest.fail("Chromium or playwright is not installed, and CI=true requires their tests")
    else:
        pytest.skip("Chromium or playwright is not installed")


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """The pages of the book, built once, also where several processes share the tests."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    pages = folder / "site" / "_build" / "html"
    with FileLock(folder / "site.lock"):
        if not (folder / "site.built").exists():
            command = [str(folder / "site") if part == "book" else part for part in start.BOOK]
            built = subprocess.run(
                [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=600
            )
            assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
            (folder / "site.built").touch()
    return pages


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


# ---- the order of the tests, and the notebooks

# Class runs in few steps; the first run of a notebook has enough to learn what cells below claim.
SHORT_RUNS = """
def short_runs():
    import os
    os.environ["NIN_QUICK"] = "1"  # one epoch in class, as nin_lib.recipe says
    from dataclasses import replace
    from nin_lib import train

    class ShortRun(train.Run):
        images = 3_000

        def __init__(self, model, data, recipe, plan, workers, log):
            few = replace(data, train=data.train.first(self.images), val=data.val.first(200))
            super().__init__(model, few, recipe, plan, workers, log)
            self.batch_size = 32
            log.steps_per_epoch = -(-len(few.train) // self.batch_size)
            ShortRun.images = min(640, self.images)

    train.Run = ShortRun
short_runs()
del short_runs
"""
# Only `make release` runs these a second time in one kernel; that takes a minute or more each.
ONCE = ("06_global_average_pooling", "09_three_frameworks", "10_with_d2l")
SHORTER_RUNS = "import nin_lib.train; nin_lib.train.Run.images = 320; del nin_lib"


def pytest_addoption(parser):
    words = "notebooks as release tests, with all epochs of their class runs"
    parser.addoption("--full-length", action="store_true", help=words)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Let notebooks run twice, with short class runs, and start with what takes longest.

    Several processes share the tests file by file. If the long files came last, most would idle.
    """
    files, full_length = {}, config.option.full_length
    for item in items:
        files.setdefault(item.path, []).append(item)
    for path, tests in files.items():
        if path.suffix != ".ipynb":
            continue
        if full_length:
            for cell in tests:
                cell.add_marker(pytest.mark.release)
        short = not full_length and "fit(" in path.read_text(encoding="utf-8")
        again = []
        if path.parent == ROOT / "notebooks" and (full_length or path.stem not in ONCE):
            again = list(second_run(tests))
        if short:
            tests.insert(0, extra_cell(tests[0], "short runs", SHORT_RUNS))
            tests.append(extra_cell(tests[0], "shorter runs", SHORTER_RUNS))
        tests += again
    items[:] = [item for path in sorted(files, key=turn) for item in files[path]]


def turn(path):
    """Where the file comes in the order: notebooks, then pages, then the rest."""
    kinds = [path.suffix == ".ipynb", "browser" in path.name, "frameworks" in path.parts, True]
    return kinds.index(True)


def second_run(cells):
    """The cells of a notebook once more, as a reader may run them.

    nbval compares outputs in the first run. In the second one a cell has to run, no more.
    """
    for it in cells:
        again = extra_cell(it, f"{it.name}, second run", it.cell, it.options)
        again.own_markers += it.own_markers
        yield again


def extra_cell(near, name, cell, options=()):
    """A cell that nbval runs in the kernel of the cell `near`, without comparing its output."""
    cell = new_code_cell(cell) if isinstance(cell, str) else cell
    options = defaultdict(bool, options, check=False)
    return type(near).from_parent(
        near.parent, name=name, cell_num=near.cell_num, cell=cell, options=options
    )
