"""The whole site, walked through: every page, light and dark, wide and narrow."""

import gzip
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup

from .harness import accessibility, browser_page

# The first is so high that nothing in the side bar has to be scrolled to; what is out of sight on a
# phone was seen there.
WINDOWS = ({"width": 1280, "height": 2400}, {"width": 390, "height": 900})
FIRST_VISIT = 1_500_000  # bytes over the wire, compressed


def pages(book):
    """Paths of the pages, from the folder of the book."""
    found = [path.relative_to(book).as_posix() for path in sorted(book.rglob("*.html"))]
    return [path for path in found if not path.startswith("_") and path != "search.html"]


@pytest.mark.timeout(120)
def test_every_link_inside_the_site_leads_somewhere(book):
    soups = {
        path: BeautifulSoup((book / path).read_text(encoding="utf-8"), "html.parser")
        for path in [*pages(book), "search.html"]
    }
    anchors = {path: {it["id"] for it in soup.select("[id]")} for path, soup in soups.items()}
    dead, links = [], 0
    for path, soup in soups.items():
        for link in soup.select("a[href]"):
            target = urlsplit(urljoin(path, link["href"]))
            if target.scheme:
                continue
            links += 1
            place, anchor = unquote(target.path) or path, unquote(target.fragment)
            there = (book / place).is_file()
            if not there or (anchor and place in anchors and anchor not in anchors[place]):
                dead.append(f"{path}: {link['href']}")
    assert links > 100
    assert dead == []


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_clean(book, site, playwright, scheme):
    faults = []
    with browser_page(playwright, color_scheme=scheme) as (page, others, errors):
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("requestfailed", lambda request: errors.append(f"failed: {request.url}"))
        for path in pages(book):
            for window in WINDOWS:
                width = window["width"]
                page.set_viewport_size(window)
                page.goto(f"{site}/{path}", wait_until="load")
                sleeping = still_asleep(page)
                here = f"{path}, {scheme}, {width}: "
                faults += [here + fault for fault in errors]
                errors.clear()
                if sleeping:
                    faults.append(f"{here}{sleeping} instruments did not come to life")
                if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    faults.append(f"{here}wider than the window")
                faults += [here + fault for fault in accessibility(page, "html", width == 390)]
                errors.clear()  # axe-core asks for style sheets of its own accord
    assert others == []
    assert faults == []


def still_asleep(page, seconds=20):
    """How many instruments do not come to life, however slow the machine."""
    sleeping = page.locator("[data-config]:not(:has(> .nin))")
    for _ in range(5 * seconds):
        page.wait_for_timeout(200)
        if not sleeping.count():
            return 0
    return sleeping.count()


@pytest.mark.browser
@pytest.mark.timeout(200)
def test_a_first_visit_is_light(book, site, playwright):
    sizes = {}
    for path in pages(book):
        if path.startswith("notebooks/"):
            with browser_page(playwright) as (page, _, _):
                asked = set()
                page.on("request", lambda it, asked=asked: asked.add(urlsplit(it.url).path))
                page.goto(f"{site}/{path}", wait_until="networkidle")
            files = [book / unquote(name).lstrip("/") for name in asked]
            sizes[path] = sum(len(gzip.compress(file.read_bytes())) for file in files)
    assert len(sizes) > 5 and min(sizes.values()) > 100_000
    assert max(sizes.values()) < FIRST_VISIT, sizes
