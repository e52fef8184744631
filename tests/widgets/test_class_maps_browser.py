"""Class maps in a real browser: the same numbers as in Python, by mouse, by keys, in both hosts."""

import json

import numpy as np
import pytest
from harness import (
    accessibility,
    browser_page,
    element,
    jupyter_lab,
    open_notebook,
    show,
    write_notebook,
)

from nin_lib import class_maps as cm
from nin_lib import torch as nin
from nin_lib.data import load
from nin_lib.networks import network
from nin_lib.recipe import recipe

pytest.importorskip("anywidget")
from nin_lib.widgets.base import unpacked

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
TAG = "nin-class-maps"
NOTEBOOK = """\
from nin_lib import network, torch as nin
from nin_lib.data import load
from nin_lib.recipe import recipe
from nin_lib.widgets.class_maps import ClassMaps
split = load("mini").val.first(3)
model = nin.build(network("paper-mnist"), recipe("default"), 0)
maps = ClassMaps(model, split.images, split.labels, step=7)
maps
"""
RECORD = """() => {
  const status = document.querySelector(".left [role=status]");
  window.rows = [];
  const note = () => window.rows.push(Number(status.innerText.split(" ")[1]));
  new MutationObserver(note).observe(status, { childList: true, subtree: true });
}"""


def shown(maps, **state):
    return element(TAG, {**maps.config, **maps.state, **state}, maps.static_view())


def table(page, place=""):
    """The columns logit, covered and share of the page's table, as numbers."""
    rows = page.locator(f"{place} .classes tbody tr")
    cells = [row.locator("td").all_inner_texts() for row in rows.all()]
    number = [[text.replace("−", "-").strip("%") for text in row] for row in cells]
    return [
        np.array([float(row[i]) if row[i] != "–" else np.nan for row in number]) for i in (0, 1, 3)
    ]


def state_words(page, place=""):
    return page.locator(f"{place} .left [role=status]").inner_text()


def settle(page):
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def test_by_keys_and_by_mouse_in_a_plain_page(maps, covered_logits, playwright):
    logits = cm.means(unpacked(maps.config["maps"]))
    small, large = covered_logits
    names = maps.config["classes"]
    with browser_page(playwright) as (page, others, errors):
        show(page, "class_maps", shown(maps) + shown(maps, image=2) + shown(maps))
        first, second = f"{TAG} >> nth=0 >>", f"{TAG} >> nth=1 >>"
        page.locator(f"{first} .classes tbody tr").nth(9).wait_for()
        before, covered, shares = table(page, first)
        assert np.allclose(before, logits[0], atol=0.0051) and np.isnan(covered).all()
        assert np.allclose(shares, 100 * cm.softmax(logits[0]), atol=0.051)
        assert names[logits[0].argmax()] in state_words(page, first)
        title = page.locator(f"{first} .about h4")
        assert title.inner_text() == f"The map of {names[logits[0].argmax()]}, image 1"

        # Keys: cover, move down, smaller, and Escape.
        page.locator(f"{first} .stage").focus()
        for key in ("ArrowDown", "ArrowDown"):  # the first covers the middle
            page.keyboard.press(key)
        settle(page)
        assert state_words(page, first).startswith("Rows 14 to 27, columns 7 to 20 covered: the ")
        before, covered, shares = table(page, first)
        assert np.allclose(covered, large[0, 2, 1], atol=0.0051)
        assert np.allclose(before, logits[0], atol=0.0051)
        assert np.allclose(shares, 100 * cm.softmax(large[0, 2, 1]), atol=0.051)
        kept = logits[0].argmax() == large[0, 2, 1].argmax()
        assert ("stays" if kept else "flips") in state_words(page, first)
        page.get_by_label("size of the region").first.focus()
        page.keyboard.press("ArrowLeft")
        settle(page)
        assert state_words(page, first).startswith("Rows 14 to 21, columns 7 to 14 covered: ")
        assert np.allclose(table(page, first)[1], small[0, 2, 1], atol=0.0051)

        # Mouse: the region is dragged; another image; another class.
        box = page.locator(f"{first} .stage").bounding_box()
        page.mouse.move(box["x"] + 5, box["y"] + 5)
        page.mouse.down()
        settle(page)
        assert state_words(page, first).startswith("Rows 0 to 7, columns 0 to 7 covered: ")
        page.mouse.move(box["x"] + box["width"] + 30, box["y"] + 5, steps=5)
        page.mouse.up()
        settle(page)
        assert state_words(page, first).startswith("Rows 0 to 7, columns 14 to 21 covered: ")
        assert np.allclose(table(page, first)[1], small[0, 0, 2], atol=0.0051)
        button = page.locator(f"{first} .gallery button").nth(1)
        label, answer = maps.config["labels"][1], logits[1].argmax()
        told = "answered right" if label == answer else f"taken for {names[answer]}"
        expected = f"image 2: {names[label]}{', ' if label == answer else ' '}{told}"
        assert button.get_attribute("aria-label") == expected
        button.click()
        settle(page)
        assert np.allclose(table(page, first)[1], small[1, 0, 2], atol=0.0051)
        row = page.locator(f"{first} .classes tbody tr").nth(label)
        assert "right class" in row.inner_text()
        row.get_by_role("button").click()
        settle(page)
        assert title.inner_text() == f"The map of {names[label]}, image 2, before covering"
        shown_map = unpacked(maps.config["maps"])[1, label]
        digits = 2 if np.abs(unpacked(maps.config["maps"])[1]).max() < 10 else 1
        texts = page.locator(f"{first} .large td").all_inner_texts()
        assert texts == [f"{n:.{digits}f}".replace("-", "−") for n in shown_map.ravel()]
        total = f"{shown_map.sum():.{digits}f} / 49 = {logits[1, label]:.2f}".replace("-", "−")
        assert total in page.locator(f"{first} .about").inner_text()

        # A cell, by keys; then by mouse. What it sees is drawn to scale.
        page.locator(f"{first} .large td").first.focus()
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowRight")
        settle(page)
        assert page.evaluate("document.activeElement.cellIndex") == 1
        about = page.locator(f"{first} .about [role=status]")
        assert "rows 0 to 20, columns 0 to 24 of the 28×28 input, 67% of it" in about.inner_text()
        field = page.locator(f"{first} .stage .field").bounding_box()
        assert field["width"] == pytest.approx(box["width"] * 25 / 28, abs=1)
        assert field["height"] == pytest.approx(box["height"] * 21 / 28, abs=1)
        page.locator(f"{first} .large td").nth(48).hover()
        settle(page)
        assert "Cell (6, 6)" in about.inner_text()
        assert "rows 10 to 27, columns 10 to 27" in about.inner_text()
        page.mouse.move(1, 1)

        # The prediction, and the reset. The neighbours were left alone all the time.
        page.locator(f"{first} .question input").nth(1).check()
        page.locator(f"{first} .question button").click()
        page.locator(f"{first} .question [role=status]", has_text="Right.").wait_for()
        page.locator(first.strip(" >")).get_by_role("button", name="Reset").click()
        settle(page)
        assert state_words(page, first).startswith("The answer is ")
        assert np.allclose(table(page, first)[0], logits[0], atol=0.0051)
        assert page.locator(f"{first} .stage .field").is_hidden()
        assert np.allclose(table(page, second)[0], logits[2], atol=0.0051)
        assert np.isnan(table(page, second)[1]).all()
        assert others == [] and errors == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_use_it_on_any_screen(maps, playwright, theme):
    for options in ({"viewport": {"width": 390, "height": 800}}, {"reduced_motion": "reduce"}):
        with browser_page(playwright, **options) as (page, _, errors):
            show(page, "class_maps", shown(maps), theme)
            page.locator(".large td").nth(48).wait_for()
            assert accessibility(page, TAG) == []
            page.locator(".stage").focus()
            page.keyboard.press("ArrowUp")
            page.locator(".large td").nth(20).click()
            settle(page)
            assert accessibility(page, TAG) == []
            width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert width <= 0
            for part in (".nin-class-maps", ".classes", ".large"):
                inside = page.locator(part).evaluate("e => e.scrollWidth <= e.clientWidth + 1")
                assert inside, part
            assert errors == []


def test_names_stay_text_and_junk_gets_a_message(maps, playwright):
    good = {**maps.config, **maps.state}
    named = {**good, "classes": ["<b>bag</b>"] * 10, "title": "<b>t</b>"}
    without_maps = {key: value for key, value in good.items() if key != "maps"}
    junk = [
        {},
        [],
        None,
        without_maps,
        {**good, "maps": {**good["maps"], "scale": None}},
        {**good, "maps": {**good["maps"], "shape": [3, 10, 7, 8]}},
        {**good, "labels": [1, "x", 2]},
        {**good, "images": "***"},
        {**good, "prepared": []},
        {**good, "image": 7},
        {**good, "image": "first"},
        {**good, "selected_class": 10},
        {**good, "cell": [7, 0]},
        {**good, "cover": [20, 0, 14]},
        {**good, "cover": [None, 0, 14]},
        {**good, "cover": [0, 0, 8], "computed": {"image": 0, "cover": [0, 0, 8], "changes": [1]}},
    ]
    not_numbers = json.dumps(good).replace('"step": 7', '"step": NaN')
    body = "".join(element(TAG, config) for config in junk)
    body += f"<{TAG} data-config='{not_numbers.replace(chr(39), '&#39;')}'></{TAG}>"
    with browser_page(playwright) as (page, _, errors):
        show(page, "class_maps", element(TAG, named) + body + element(TAG, good))
        page.locator(f"{TAG} >> nth=-1 >> .large td").nth(48).wait_for()
        assert page.locator(f"{TAG} b").count() == 0
        assert "<b>bag</b>" in page.locator(f"{TAG} >> nth=0 >> .classes").inner_text()
        for i in range(1, len(junk) + 2):
            text = page.locator(f"{TAG} >> nth={i}").inner_text()
            assert "cannot be drawn" in text or "cannot come alive" in text, (i, text)
        assert "cannot" not in page.locator(f"{TAG} >> nth=-1").inner_text()
        assert errors == []


def test_python_answers_in_jupyterlab(tmp_path, maps, playwright):
    reads = "print('READ', maps.image, maps.selected_class, maps.cover, maps.logits[:2].round(2))"
    sets = "maps.image, maps.cover = 2, (1, 2, 5)"
    write_notebook(tmp_path / "maps.ipynb", NOTEBOOK, reads, sets)
    with jupyter_lab(tmp_path) as address, browser_page(playwright) as (page, others, errors):
        open_notebook(page, address, "maps.ipynb")
        page.keyboard.press("Shift+Enter")
        page.locator(".nin-class-maps .large td").nth(48).wait_for()
        page.locator(".nin-class-maps .stage").focus()
        for key in ("ArrowUp", "ArrowLeft", "ArrowLeft", "ArrowDown"):
            page.keyboard.press(key)
        # A place that was not prepared: the sentence about the nearest goes when Python answers.
        page.wait_for_function(
            "document.querySelector('.left [role=status]').innerText.startsWith("
            "'Rows 8 to 21, columns 5 to 18 covered')"
        )
        page.wait_for_function("!document.querySelector('.left .quiet').innerText")
        split = load("mini").val.first(3)
        model = nin.build(network("paper-mnist"), recipe("default"), 0)

        def computed(image, *square):
            both = np.stack([split.images[image], cm.cover(split.images[image], *square)])
            before, after = cm.means(cm.class_maps(model, both))
            return cm.means(unpacked(maps.config["maps"])[image]) + after - before

        assert np.allclose(table(page)[1], computed(0, 8, 5, 14), atol=0.0151)
        page.locator(".classes button").nth(4).click()

        # A fast drag: whatever Python answers on the way, the region stays where the hand left it.
        page.get_by_label("size of the region").focus()
        for _ in range(10):
            page.keyboard.press("ArrowLeft")
        page.wait_for_function("!document.querySelector('.left .quiet').innerText")
        page.locator(".stage").scroll_into_view_if_needed()
        box = page.locator(".stage").bounding_box()
        page.mouse.move(box["x"] + 1, box["y"] + 1)
        page.mouse.down()
        page.evaluate(RECORD)
        for i in range(29):
            page.mouse.move(box["x"] + i * 10, box["y"] + i * 10)
            page.wait_for_timeout(10)
        page.mouse.up()
        settle(page)
        left_at = state_words(page).split(" covered")[0]
        page.wait_for_function("!document.querySelector('.left .quiet').innerText")
        page.wait_for_timeout(700)
        assert state_words(page).split(" covered")[0] == left_at
        rows = page.evaluate("window.rows")
        assert len(set(rows)) > 12 and rows == sorted(rows)  # it never jumped back
        row, column = (int(words.split(" ")[1]) for words in left_at.split(", "))
        assert np.allclose(table(page)[1], computed(0, row, column, 4), atol=0.0151)

        # Python reads what the reader did, and moves the page.
        page.locator(".jp-CodeCell .cm-content").nth(1).click()
        page.keyboard.press("Shift+Enter")
        read = page.locator(".jp-OutputArea-output", has_text="READ")
        read.wait_for()
        assert f"READ 0 4 ({row}, {column}, 4) [" in read.inner_text()
        page.locator(".jp-CodeCell .cm-content").nth(2).click()
        page.keyboard.press("Shift+Enter")
        page.wait_for_function(
            "document.querySelector('.left [role=status]').innerText.startsWith("
            "'Rows 1 to 5, columns 2 to 6 covered')"
        )
        page.wait_for_function("!document.querySelector('.left .quiet').innerText")
        assert np.allclose(table(page)[1], computed(2, 1, 2, 5), atol=0.0151)
        pressed = page.locator('.gallery [aria-pressed="true"]').get_attribute("aria-label")
        assert pressed.startswith("image 3: ")
        assert others == [] and errors == []
