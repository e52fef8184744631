"""The whole site, walked through: every page, light and dark, wide and narrow."""

import gzip
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup
from harness import accessibility, browser_page, in_the_dark, still_asleep, watched_page

FIRST_VISIT = 1_500_000  # bytes over the wire, compressed


def pages(book):
    """Paths of the pages, from the folder of the book."""
    found = [path.relative_to(book).as_posix() for path in sorted(book.rglob("*.html"))]
    # index.html leads to book/index.html at once; that it does is tested below.
    without = ("search.html", "index.html")
    return [path for path in found if not path.startswith("_") and path not in without]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_every_link_inside_the_site_leads_somewhere(book):
    soups = {
        path: BeautifulSoup((book / path).read_text(encoding="utf-8"), "html.parser")
        for path in [*pages(book), "search.html", "index.html"]
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


def open_page(page, site, path, errors):
    """Go there; what is wrong without looking closely."""
    page.goto(f"{site}/{path}", wait_until="load")
    sleeping = still_asleep(page)
    faults = list(errors)
    if sleeping:
        faults.append(f"{sleeping} widgets did not come to life")
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        faults.append("wider than the window")
    return faults


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_page_is_clean_in_both_themes(book, site, playwright):
    faults = []
    # So high that nothing in the side bar has to be scrolled to.
    tall = {"width": 1280, "height": 2400}
    with watched_page(playwright, viewport=tall) as (page, others, errors):
        for path in pages(book):
            page.emulate_media(color_scheme="light")
            found = open_page(page, site, path, errors) + accessibility(page, "html")
            in_the_dark(page)
            found += accessibility(page, "html", rules="contrast")
            faults += [f"{path}: {fault}" for fault in found]
            errors.clear()
    assert others == []
    assert faults == []


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_page_is_clean_on_a_phone(book, site, playwright):
    """In dark mode; all colours were judged on the wide page."""
    faults = []
    phone = dict(color_scheme="dark", viewport={"width": 390, "height": 900})
    with watched_page(playwright, **phone) as (page, others, errors):
        for path in pages(book):
            found = open_page(page, site, path, errors)
            found += accessibility(page, "html", rules="all but contrast")
            faults += [f"{path}: {fault}" for fault in found]
            errors.clear()
    assert others == []
    assert faults == []


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


def found_for(page, site, query):
    """The titles of the pages that a search finds, the best first."""
    page.goto(f"{site}/search.html?q={query}")
    page.locator("#search-results > p", has_text="match").wait_for()
    return page.locator("#search-results li > a").all_inner_texts()


@pytest.mark.browser
@pytest.mark.timeout(60)
def test_products_and_decimals_are_found_as_they_are_typed(site, playwright):
    with browser_page(playwright) as (page, others, errors):
        with_letter = found_for(page, site, "1x1 convolution")
        assert "The 1×1 convolution" in with_letter[0] and len(with_letter) > 10
        assert found_for(page, site, "1×1 Convolutions") == with_letter
        assert any("When training collapses" in title for title in found_for(page, site, "2.303"))
        assert any("cost" in title for title in found_for(page, site, "1,992,166"))
        assert found_for(page, site, "7x1033") == []
    assert others == errors == []


@pytest.mark.browser
@pytest.mark.timeout(60)
@pytest.mark.parametrize("width", [1280, 390])
def test_the_keyboard_is_seen_on_every_button(site, playwright, width):
    outline = "(it) => { it.focus(); return getComputedStyle(it).outline }"
    with browser_page(playwright, viewport={"width": width, "height": 900}) as (page, _, _):
        page.goto(f"{site}/notebooks/03_nin_block.html", wait_until="load")
        page.keyboard.press("Tab")  # from now on, what has the focus has it from the keyboard
        buttons = page.locator(".btn:visible").all()
        outlines = {it.get_attribute("class"): it.evaluate(outline) for it in buttons}
    assert len(outlines) >= 4
    assert all("solid 3px" in it for it in outlines.values()), outlines


@pytest.mark.browser
@pytest.mark.timeout(60)
def test_the_front_page_shows_the_explorer_in_one_screen(site, playwright):
    with browser_page(playwright, viewport={"width": 1280, "height": 800}) as (page, _, _):
        page.goto(f"{site}/", wait_until="commit")
        page.wait_for_url(f"{site}/book/index.html", wait_until="load")
        assert still_asleep(page) == 0
        for part in ("a:has-text('Begin')", "nin-shape-flow .volumes svg"):
            box = page.locator(f"article {part}").first.bounding_box()
            assert 0 < box["y"] < box["y"] + box["height"] < 800
