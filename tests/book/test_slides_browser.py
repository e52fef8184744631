"""The core notebooks as slides: each one, light and dark, by keyboard, from disk, on paper."""

import re

import pytest
from common import ROOT
from harness import accessibility, browser_page, in_the_dark, still_asleep, watched_page

CORE = [path.stem for path in sorted((ROOT / "notebooks").glob("0[1-8]_*.ipynb"))]
PROJECTOR = {"width": 1280, "height": 720}
HALL = {"width": 1920, "height": 1080}
WINDOWS = (PROJECTOR, HALL, {"width": 390, "height": 844})
ARTICLE = "article.bd-article"
COUNTER = ".slide-bar output"

# What is wrong with the slide that is shown. On a phone everything scrolls.
FAULTS = """async () => {
  // A new size is heeded. (A browser without a window may draw no frame until it is asked again.)
  const frame = () => new Promise((done) => {
    requestAnimationFrame(done);
    setTimeout(done, 100);
  });
  await frame();
  await frame();
  const wide = innerWidth > 700;
  const article = document.querySelector("article.bd-article");
  const blocks = [...article.querySelectorAll(".on-slide")];
  const within = (selector) => blocks.flatMap((it) => [...it.querySelectorAll(selector)]);
  const alive = within("[data-config]");
  const zoom = Number(getComputedStyle(blocks.at(-1)).zoom);
  const text = blocks.some((it) => it.matches("p, ul, ol, blockquote"));
  const said = {
    "nothing on it": !blocks.some((it) => it.offsetHeight),
    "without a heading": !blocks.some((it) => it.matches("h1, h2, h3")),
    "does not fit": wide && article.scrollHeight > article.clientHeight + 1,
    "too small": wide && !alive.length && text && zoom < 1,
    "too wide": article.scrollWidth > article.clientWidth
      || within("pre").some((it) => wide && it.scrollWidth > it.clientWidth + 1),
    "a dead widget": alive.some((it) => !it.querySelector(".nin")?.offsetHeight),
    "a picture without words": within("img").some((it) => !it.alt || !it.naturalWidth),
  };
  return Object.keys(said).filter((it) => said[it]);
}"""


def open_slides(page, address: str, number: int = 1) -> int:
    """Go to a slide of a page, wait for its widgets, and return how many slides there are."""
    page.goto(f"{address}#slide-{number}")
    page.locator(COUNTER).wait_for()
    assert still_asleep(page) == 0
    return int(page.locator(COUNTER).inner_text().split("/")[1])


def unclean(page, rules="all") -> list[str]:
    """What axe-core finds. It takes a line of text that begins or ends in bold type for one that
    overlaps another; such text was judged where it stands in the page.
    """
    found = accessibility(page, "html", out_of_sight=True, rules=rules)
    return [fault for fault in found if "it partially overlaps other elements" not in fault]


def shown(page) -> tuple[int, int]:
    """The number of the slide, and how many of its parts are still to come; (0, 0) on the page."""
    if not page.locator(COUNTER).count():
        return 0, 0
    return int(page.locator(COUNTER).inner_text().split("/")[0]), page.locator(".later").count()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.parametrize("name", CORE)
def test_every_slide_is_clean(site, playwright, name):
    """axe-core checks slide 2, in both themes; test_site_browser.py checks the rest on the page."""
    faults = []
    with watched_page(playwright, viewport=PROJECTOR) as (page, others, errors):
        count = open_slides(page, f"{site}/notebooks/{name}.html")
        assert count >= 6
        for number in range(1, count + 1):
            assert shown(page)[0] == number
            for _ in range(page.locator(".later").count()):
                if shown(page)[1]:
                    page.keyboard.press("PageDown")
            here = f"slide {number}: "
            for window in WINDOWS:
                page.set_viewport_size(window)
                faults += [f"{here}{fault}, {window['width']}" for fault in page.evaluate(FAULTS)]
            page.set_viewport_size(PROJECTOR)
            faults += [here + error for error in errors]
            errors.clear()
            if number == 2:
                faults += [here + fault for fault in unclean(page)]
                in_the_dark(page)
                faults += [f"{here}dark: {fault}" for fault in unclean(page, "contrast")]
                page.emulate_media(color_scheme="light")
            page.keyboard.press("PageDown")
        assert shown(page) == (count, 0)  # after the last there is none
    assert others == []
    assert faults == []


@pytest.mark.browser
@pytest.mark.timeout(100)
def test_keys_and_buttons_lead_through_it(site, playwright):
    with browser_page(playwright, viewport=PROJECTOR) as (page, others, errors):
        page.goto(f"{site}/notebooks/03_nin_block.html", wait_until="load")
        assert shown(page) == (0, 0)
        page.locator(".btn-slides-button").click()
        page.locator(COUNTER).wait_for()
        count = int(page.locator(COUNTER).inner_text().split("/")[1])

        def press(key):
            page.keyboard.press(key)
            return shown(page)

        assert shown(page) == (1, 0)
        assert press("ArrowRight") == (2, 1)  # six layers in words, ...
        assert press("Space") == (2, 0)  # ... and as code
        assert press("Shift+Space") == (2, 1)
        assert press("ArrowLeft") == (1, 0)
        assert press("ArrowLeft") == (1, 0)
        assert press("End") == (count, 0)
        assert press("PageDown") == (count, 0)
        assert press("PageUp") == (count - 1, 0)
        assert press("Home") == (1, 0)
        page.get_by_role("button", name="Next slide").click()
        assert shown(page) == (2, 0)
        page.get_by_role("button", name="Previous slide").click()
        assert shown(page) == (1, 0)
        assert press("ArrowRight") == (2, 1)
        assert page.url.endswith("#slide-2")
        assert press("Escape") == (0, 0)
        assert "#" not in page.url
        assert page.locator(".on-slide").count() == 0
        assert page.get_by_role("heading", name="Six layers").is_visible()
    assert others == errors == []


@pytest.mark.browser
@pytest.mark.timeout(100)
def test_an_address_leads_to_a_slide(site, playwright):
    address = f"{site}/notebooks/03_nin_block.html"
    with browser_page(playwright, viewport=PROJECTOR) as (page, others, errors):
        count = open_slides(page, address, 3)
        assert shown(page)[0] == 3
        page.evaluate("location.hash = 'slide-99'")
        page.get_by_text(f"{count} / {count}").wait_for()
        page.get_by_role("button", name="Leave the slides").click()
        assert shown(page) == (0, 0)
        page.locator(".btn-slides-button").click()
        page.locator(COUNTER).wait_for()
        page.go_back()
        page.locator(COUNTER).wait_for(state="detached")
    assert others == errors == []


@pytest.mark.browser
@pytest.mark.timeout(100)
def test_a_widget_keeps_its_keys(site, playwright):
    with browser_page(playwright, viewport=PROJECTOR) as (page, others, errors):
        open_slides(page, f"{site}/notebooks/02_one_by_one_convolution.html")
        slide = "nin-pixel-mlp.on-slide, .on-slide nin-pixel-mlp"
        while not page.locator(slide).count():
            page.keyboard.press("PageDown")
        here = shown(page)
        choice = page.locator(slide).get_by_role("radio").first
        choice.focus()
        page.keyboard.press("ArrowDown")
        assert shown(page) == here
        page.keyboard.press("Escape")
        assert shown(page) == here
        assert page.locator(ARTICLE).evaluate("it => it === document.activeElement")
        choice.focus()
        page.keyboard.press("PageDown")
        assert shown(page)[0] == here[0] + 1
        page.keyboard.press("Escape")
        assert shown(page) == (0, 0)
    assert others == errors == []


@pytest.mark.browser
@pytest.mark.timeout(100)
def test_pointing_works_where_the_slide_is_enlarged(site, playwright):
    read = []
    with browser_page(playwright, viewport=HALL) as (page, others, errors):
        page.goto(f"{site}/notebooks/05_training.html", wait_until="load")
        assert still_asleep(page) == 0
        curves = page.locator("nin-live-curves").first
        for slides in (False, True):
            while slides and not curves.is_visible():
                page.keyboard.press("PageDown")
            box = curves.locator("svg").first
            box.scroll_into_view_if_needed()
            dot = curves.locator("circle.val").first.bounding_box()  # after epoch 1
            page.mouse.move(dot["x"] + dot["width"] / 2, dot["y"] + 40)
            page.wait_for_timeout(200)
            read.append(curves.locator("table").first.inner_text())
            page.evaluate("location.hash = 'slide-1'")
            page.locator(COUNTER).wait_for()
    assert read[0] == read[1]
    assert others == errors == []


@pytest.mark.browser
@pytest.mark.timeout(100)
def test_it_works_from_disk(book, playwright):
    with browser_page(playwright, viewport=PROJECTOR) as (page, others, errors):
        address = (book / "notebooks" / "04_nin_network.html").as_uri()
        assert open_slides(page, address) >= 6
        page.keyboard.press("PageDown")
        assert shown(page)[0] == 2
    assert others == errors == []


@pytest.mark.browser
@pytest.mark.timeout(100)
def test_each_slide_is_a_sheet_on_paper(site, playwright):
    with browser_page(playwright, viewport=PROJECTOR) as (page, others, errors):
        count = open_slides(page, f"{site}/notebooks/05_training.html", 2)
        sheets = page.pdf(prefer_css_page_size=True)
        assert len(re.findall(rb"/Type\s*/Page\b", sheets)) == count
        assert shown(page)[0] == 2  # and afterwards all is as before
        assert page.evaluate(FAULTS) == []
    assert others == errors == []


@pytest.mark.browser
@pytest.mark.timeout(60)
def test_a_page_without_slides_offers_none(site, playwright):
    with browser_page(playwright) as (page, _, errors):
        page.goto(f"{site}/book/glossary.html#slide-1", wait_until="load")
        assert not page.locator(".btn-slides-button, .slide-bar").count()
    assert errors == []
