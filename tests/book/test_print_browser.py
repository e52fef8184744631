"""Printed pages: dark on light, nothing cut off, nothing folded, no controls."""

import pytest
from harness import browser_page

PAPER = 680  # A4 less its margins, in pixels
PAGES = [
    "notebooks/02_one_by_one_convolution",
    "notebooks/04_nin_network",
    "notebooks/05_training",
    "notebooks/07_when_training_collapses",
    "notebooks/09_three_frameworks",
    "exercises/04_nin_network",
    "book/shape_sheet",
]
CONTROLS = ".nin :is(button, input[type=range], select, .replay, .size)"
pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

# What differs from plain text on white: elements with text of their own that is too pale for paper.
PALE = """() => {
  const shade = (colour) => { // from 0, black, to 1, white
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
    return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
  };
  const own = (it) => [...it.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  return [...document.querySelectorAll("article *")]
    .filter((it) => own(it) && it.checkVisibility() && !it.closest("style, [aria-pressed=true]"))
    .filter((it) => shade(getComputedStyle(it).color) > 0.55)
    .map((it) => it.outerHTML.slice(0, 120));
}"""
WIDE = """(paper) => [...document.querySelectorAll("pre, table, .nin, .nin *, img, .shape-sheet")]
  .filter((it) => it.checkVisibility())
  .filter((it) => it.getBoundingClientRect().right > paper + 1
    || (it.matches("pre, .scroll, .shape-sheet") && it.scrollWidth > it.clientWidth + 1))
  .map((it) => it.outerHTML.slice(0, 120))"""
# Lines that should fit without being wrapped, and do not.
WRAPPED = """() => [...document.querySelectorAll("div.cell pre")].filter((it) => {
  const most = it.closest(".cell_output") ? 100 : 78;
  if (it.textContent.split("\\n").some((line) => line.length > most)) return false;
  it.style.whiteSpace = "pre";
  return it.scrollWidth > it.clientWidth + 1;
}).map((it) => it.textContent.slice(0, 120))"""


def on_paper(page, address: str) -> None:
    """Show the page as it is printed, at the width of the paper."""
    page.goto(address)
    page.wait_for_function(
        "[...document.querySelectorAll('[data-config]')].every((it) => it.querySelector('.nin'))"
    )
    page.set_viewport_size({"width": PAPER, "height": 1000})
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_printed_whole_and_dark_on_light(site, playwright, name):
    with browser_page(playwright, color_scheme="dark") as (page, others, errors):
        on_paper(page, f"{site}/{name}.html")
        assert page.evaluate(PALE) == []
        assert page.evaluate(WIDE, PAPER) == []
        for answer in page.locator("article details:not(.nin *) > :not(summary)").all():
            assert answer.bounding_box()["height"] > 0
        for tab in page.locator(".sd-tab-content").all():
            assert tab.is_visible() and tab.bounding_box()["height"] > 20
        hidden = "#jb-print-docs-body, .bd-header-article, .prev-next-footer, .copybtn"
        assert page.locator(hidden).locator("visible=true").count() == 0
        assert page.locator("article h1").is_visible()
        assert page.evaluate(WRAPPED) == []
    assert others == errors == []


def test_of_the_controls_only_what_they_say_is_printed(site, playwright):
    with browser_page(playwright) as (page, _, errors):
        on_paper(page, f"{site}/notebooks/07_when_training_collapses.html")
        assert page.locator(CONTROLS).count() > 5
        assert page.locator(CONTROLS).locator("visible=true").count() == 0
        on_paper(page, f"{site}/notebooks/04_nin_network.html")
        shown = page.locator("nin-shape-flow").locator("input, select, button")
        kinds = {it.get_attribute("type") or it.evaluate("it => it.localName") for it in
                 shown.locator("visible=true").all()}  # fmt: skip
        assert kinds <= {"radio", "number", "select"}  # what is predicted, what is set
        number = page.locator("nin-shape-flow input[type=number]").first
        assert number.evaluate("it => getComputedStyle(it).borderTopWidth") == "0px"
    assert errors == []


def test_curves_are_drawn_before_they_are_printed_in_every_tab(site, playwright):
    with browser_page(playwright) as (page, _, errors):
        page.goto(f"{site}/notebooks/09_three_frameworks.html")
        curves = page.locator(".nin-curves")
        curves.first.wait_for()
        page.locator(".nin-curves .chart svg[viewBox]").nth(2).wait_for(state="attached")
        assert [it.is_visible() for it in curves.all()] == [True, False, False]
    assert errors == []


def test_printing_itself_changes_the_theme_and_changes_it_back(site, playwright):
    with browser_page(playwright, color_scheme="dark") as (page, _, errors):
        page.goto(f"{site}/book/shape_sheet.html")
        theme = "document.documentElement.dataset.theme"
        assert page.evaluate(theme) == "dark"
        page.evaluate(f"addEventListener('beforeprint', () => {{ window.printed = {theme} }})")
        page.pdf(format="A4")
        assert page.evaluate("window.printed") == "light"
        assert page.evaluate(theme) == "dark"
        source = page.locator("article").get_attribute("data-source")
        assert source == f"Network in Network, {site}/book/shape_sheet.html"
    assert errors == []


def test_the_sheet_to_fill_in_is_one_page(site, playwright):
    with browser_page(playwright) as (page, _, errors):
        page.goto(f"{site}/book/shape_sheet.html")
        assert page.pdf(format="A4").count(b"/Type /Page\n") == 1
    assert errors == []
