"""The widgets where no kernel runs: in the built book, and in notebooks that nobody has run."""

from pathlib import Path

import nbformat
import pytest
from common import ROOT
from harness import browser_page, jupyter_lab
from nbconvert import HTMLExporter

# Where each widget stands.
PAGES = {
    "choices": "03_nin_block",
    "pixel-mlp": "02_one_by_one_convolution",
    "shape-flow": "04_nin_network",
    "live-curves": "05_training",
    "class-maps": "06_global_average_pooling",
}
pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


def stored_html(name: str, page: str) -> list[str]:
    """What the notebook has stored for the widget: the HTML of its outputs."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{page}.ipynb", as_version=4)
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", ()) if "data" in o]
    pages = [output["data"].get("text/html", "") for output in outputs]
    return [text for text in pages if f"<nin-{name} " in text]


@pytest.mark.parametrize(("name", "page_name"), PAGES.items())
def test_it_lives_in_the_book(site, playwright, name, page_name):
    """In dark mode, and checked by axe-core, with all of its page in test_site_browser.py."""
    with browser_page(playwright) as (page, others, errors):
        page.goto(f"{site}/notebooks/{page_name}.html")
        count = len(stored_html(name, page_name))
        assert count >= 1
        page.wait_for_function(
            "([name, count]) => document.querySelectorAll(`nin-${name} > .nin`).length === count",
            arg=[name, count],
        )
        page.set_viewport_size({"width": 390, "height": 800})
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for root in page.locator(f"nin-{name} > .nin").all():
            assert root.evaluate("it => it.scrollWidth <= it.clientWidth")
    assert others == []
    assert errors == []


@pytest.mark.parametrize(("name", "page_name"), PAGES.items())
def test_it_is_readable_without_javascript(site, playwright, name, page_name):
    with browser_page(playwright, java_script_enabled=False) as (page, others, _):
        page.goto(f"{site}/notebooks/{page_name}.html")
        for element in page.locator(f"nin-{name}").all():
            assert element.locator("table, img, details").count() >= 1
            assert element.bounding_box()["height"] > 60
    assert others == []


@pytest.mark.parametrize(("name", "page_name"), PAGES.items())
def test_it_lives_in_a_page_opened_from_disk(book, playwright, name, page_name):
    with browser_page(playwright) as (page, others, errors):
        page.goto((book / "notebooks" / f"{page_name}.html").as_uri())
        page.locator(f"nin-{name} > .nin").first.wait_for()
    assert others == errors == []


def test_a_page_loads_the_modules_of_its_widgets_only(site, playwright):
    loaded = []
    with browser_page(playwright) as (page, others, errors):
        page.on("request", lambda request: loaded.append(request.url.split("?")[0]))
        page.goto(f"{site}/notebooks/04_nin_network.html", wait_until="networkidle")
    modules = {Path(url).name for url in loaded if "/nin-" in url}
    assert modules == {"nin-choices.js", "nin-shape-flow.js"}
    assert others == errors == []


@pytest.mark.parametrize(("name", "page_name"), PAGES.items())
def test_nbconvert_keeps_the_static_view(name, page_name):
    text, _ = HTMLExporter().from_filename(ROOT / "notebooks" / f"{page_name}.ipynb")
    start_of_it = text.index(f"<nin-{name} ")
    inside = text[start_of_it : text.index(f"</nin-{name}>", start_of_it)]
    assert any(part in inside for part in ("<table", "<img", "<details"))


def test_a_notebook_that_was_not_run_shows_the_static_view(tmp_path, playwright):
    """JupyterLab does not trust it: it strips our element, and keeps what is in it."""
    for page_name in PAGES.values():
        source = ROOT / "notebooks" / f"{page_name}.ipynb"
        (tmp_path / source.name).write_bytes(source.read_bytes())
    with jupyter_lab(tmp_path) as address, browser_page(playwright) as (page, others, errors):
        for name, page_name in PAGES.items():
            page.goto(f"{address}/doc/tree/{page_name}.ipynb")
            page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()
            words = first_words(stored_html(name, page_name)[0])
            shown = page.locator(".jp-OutputArea-output", has_text=words)
            for _ in range(60):  # outputs far below are drawn when they come into sight
                if shown.count():
                    break
                page.keyboard.press("PageDown")
                page.locator(".jp-WindowedPanel-outer").first.evaluate("it => it.scrollBy(0, 500)")
                page.wait_for_timeout(100)
            assert shown.count(), f"{page_name} does not show {words!r}"
            assert "Error displaying widget" not in page.content()
    assert others == []
    assert errors == []


def first_words(html: str) -> str:
    """The first paragraph of the static view."""
    from bs4 import BeautifulSoup

    return BeautifulSoup(html, "html.parser").find("p").get_text()
