"""A real browser, a real JupyterLab, and pages of our own for the tests of the widgets."""

import html
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from common import ROOT

from nin_lib.widgets.base import delivered

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # No other machine is reached. Asking Python about each request would take twice as long.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
RUNNING = '.jp-InputPrompt:has-text("[*]")'  # a cell of a notebook that is being executed
HIDDEN = {"bgOverlap", "elmPartiallyObscured"}  # axe-core's names for what lies out of sight
LOCAL = ("127.0.0.1", "localhost", None)


def write_notebook(path: Path, *sources: str) -> None:
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{i}",
            "metadata": {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for i, source in enumerate(sources)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}}
    path.write_text(json.dumps({**notebook, "cells": cells}), encoding="utf-8")


@contextmanager
def jupyter_lab(folder: Path, theme: str = "JupyterLab Light"):
    """A server of its own with nothing of the user's settings; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = folder / ".jupyter"
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    (settings / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    env = {**os.environ, **{name: str(home / place) for name, place in places.items()}}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    options = ["--no-browser", "--allow-root", "--ServerApp.token=", "--ServerApp.password="]
    options += [
        f"--ServerApp.port={port}",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port_retries=0",
    ]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            wait_for(f"http://127.0.0.1:{port}/api", server, folder / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


def wait_for(address: str, server: subprocess.Popen, log: Path, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@contextmanager
def browser_page(browser, **options):
    """A page that reaches this machine only, the addresses it asked for in vain, its errors."""
    others, errors = [], []

    def note(request):
        if urlsplit(request.url).hostname not in LOCAL:
            others.append(request.url)

    context = browser.new_context(**options)
    try:
        context.on("request", note)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page, others, errors
    finally:
        context.close()


@contextmanager
def watched_page(browser, **options):
    """A page whose errors include what it writes to the console and what it can't fetch."""
    with browser_page(browser, **options) as (page, others, errors):
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("requestfailed", lambda request: errors.append(f"failed: {request.url}"))
        yield page, others, errors


def in_the_dark(page) -> None:
    """Switch the system to dark mode, which a page of the book follows."""
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme == 'dark'")
    page.wait_for_timeout(500)  # colours that change slowly, as those of tabs do


def open_notebook(page, address: str, name: str) -> None:
    page.goto(f"{address}/doc/tree/{name}")
    page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()  # the kernel answers
    page.locator(".jp-CodeCell .cm-content").first.click()


def element(tag: str, config: object, still: str = "<p>still</p>") -> str:
    """A widget's element, as a page of the book holds it."""
    return f'<{tag} data-config="{html.escape(json.dumps(config))}">{still}</{tag}>'


def show(page, name: str, body: str, theme: str = "light") -> None:
    """Put `body` into an empty page that loads the module of the widget `name`."""
    page.set_content(
        f'<!DOCTYPE html><html lang="en" data-theme="{theme}"><head><title>{name}</title>'
        '<meta name="viewport" content="width=device-width"></head>'
        f'<body style="margin:8px;background:{"#fff" if theme == "light" else "#16181c"}">'
        f"<main><h1>{name}</h1><h2>page</h2>{body}</main></body></html>"
    )
    page.add_script_tag(content=delivered(name), type="module")
    page.wait_for_function("name => customElements.get(name)", arg="nin-" + name.replace("_", "-"))


def still_asleep(page, seconds=20):
    """How many widgets do not come to life, or get no title, however slow the machine."""
    sleeping = page.locator("[data-config]:not(:has(> .nin)), .nin h3:empty:visible")
    for _ in range(5 * seconds):
        page.wait_for_timeout(200)
        if not sleeping.count():
            return 0
    return sleeping.count()


# Of the coloured words of programs, thousands on a page, one of each kind stays: of its class, its
# colour and type, what it stands in and on, and whether it is shown. The others become plain text,
# because axe-core judges each element's contrast with all elements that it may overlap.
ONE_OF_EACH_KIND = """() => {
  const behind = (it) => {
    const colour = it ? getComputedStyle(it).backgroundColor : "";
    return !it || !colour.endsWith(", 0)") ? colour : behind(it.parentElement);
  };
  const seen = new Set();
  const coloured = ":is(pre, dt.sig, code) :is(span, em):not(:has(*))";
  for (const it of document.querySelectorAll(coloured)) {
    const { color, fontWeight, fontStyle } = getComputedStyle(it);
    const place = it.closest("pre, dt, code").parentElement.className;
    const looks = [color, fontWeight, fontStyle, behind(it), it.checkVisibility()];
    const kind = [it.className, place, ...looks].join();
    if (seen.has(kind)) it.replaceWith(...it.childNodes);
    seen.add(kind);
  }
  for (const it of document.querySelectorAll("pre, dt.sig, code")) it.normalize();
}"""
CONTRAST = "color-contrast"  # axe-core's name of the rule, which takes it most of its time


def accessibility(page, selector: str, out_of_sight: bool = False, rules: str = "all") -> list[str]:
    """What axe-core finds wrong inside `selector`, and every contrast it could not decide.

    `rules`: "all", "contrast" or "all but contrast".

    The page is changed: repeated colours of programs go. In a drawing axe-core can't tell what is
    behind a text. In a widget that is what is behind all other text, so such a text must have
    the colour of the widget's other text. It doesn't judge a single letter or a lone symbol
    (→, ∑) either, which has the colour of the text around it, nor what has to be scrolled to, which
    is passed over if `out_of_sight`.
    """
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate(ONE_OF_EACH_KIND)
    # All elements are reported, not one for all; no style sheet is fetched a second time.
    every = {"resultTypes": ["violations", "incomplete"], "preload": False}
    every |= {
        "all": {},
        "contrast": {"runOnly": {"type": "rule", "values": [CONTRAST]}},
        "all but contrast": {"rules": {CONTRAST: {"enabled": False}}},
    }[rules]
    where = {"include": [[selector]], "exclude": [["svg"]]}
    found = Axe().run(page, context=where, options=every).response
    assert found["passes"], f"axe-core looked at nothing in {selector}"
    strange = page.locator(f"{selector} .nin svg text").evaluate_all(
        "texts => texts.filter((text) => getComputedStyle(text).fill !=="
        " getComputedStyle(text.closest('.nin')).color).map((text) => text.outerHTML)"
    )
    passed_over = {"nonBmp", "shortTextContent"} | (HIDDEN if out_of_sight else set())
    wrong = [(rule, node) for rule in found["violations"] for node in rule["nodes"]]
    undecided = [
        (rule, node)
        for rule in found["incomplete"]
        for node in rule["nodes"]
        if rule["id"] != CONTRAST or not reasons(node) <= passed_over
    ]
    return strange + [
        f"{rule['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for rule, node in wrong + undecided
    ]


def reasons(node: dict) -> set[str]:
    """Why axe-core could not decide."""
    return {(check.get("data") or {}).get("messageKey") for check in node["any"]}
