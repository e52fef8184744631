"""The pixel MLP in a browser: the sums of the page are Python's, and hands reach everything."""

import json

import pytest

pytest.importorskip("anywidget")
pytest.importorskip("torch")
from harness import (
    accessibility,
    browser_page,
    element,
    jupyter_lab,
    open_notebook,
    show,
    write_notebook,
)

from nin_lib.widgets.pixel_mlp import (
    PixelMLP,
    numbers,
)

NOTEBOOK = """\
from nin_lib.widgets.pixel_mlp import PixelMLP

pixels = PixelMLP()
pixels
"""
pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def value_text(page):
    return page.get_by_role("slider", name="pixel").get_attribute("aria-valuetext")


def settled(page):
    """What was asked for is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_a_pixel_by_hand_with_mouse_and_keys(playwright):
    with browser_page(playwright) as (page, others, errors):
        show(page, "pixel_mlp", PixelMLP().to_html())
        written = page.locator(".written")
        assert "1·3 + 1·2 + 1·0 = 1; the ReLU lets it pass: 1" in written.inner_text()
        assert page.locator(".maps .spot").all_inner_texts() == ["3", "2", "0", "3", "1", "4", "2"]

        # By mouse: a cell of an output map chooses pixel and output.
        page.locator(".maps .map", has_text="output 2").locator("span").nth(11).click()
        settled(page)
        assert value_text(page) == "row 1, column 5: inputs 1, 3, 0"
        assert page.locator(".maps .spot").all_inner_texts() == ["1", "3", "0", "1", "0", "0", "6"]
        assert written.inner_text() == (
            "output 2 = bias 0 + 2·1 + (−1)·3 + (−1)·0 = −1; below 0, so the ReLU makes it 0."
        )
        assert page.locator(".chosen .name").inner_text() == "output 2"
        cells = page.locator(".sums tbody tr").nth(3).locator("td").all_inner_texts()
        assert cells == ["2", "−1", "−1", "0", "−1", "0"]

        # By keyboard: one stop for all maps, the edges hold, then the output.
        maps = page.get_by_role("slider", name="pixel")
        maps.focus()
        for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "Home", "ArrowDown", "ArrowDown"):
            page.keyboard.press(key)
        page.keyboard.press("ArrowDown")
        settled(page)
        assert value_text(page) == "row 4, column 0: inputs 0, 0, 1"
        assert maps.get_attribute("aria-valuenow") == "25"
        button(page, "output 1").focus()
        page.keyboard.press("Enter")
        settled(page)
        assert written.inner_text().startswith("output 1 = bias −4 + 1·0 + 1·0 + 1·1 = −3;")

        # The same numbers as rows of a dense layer.
        button(page, "as a dense layer").click()
        settled(page)
        assert not maps.is_visible()
        row = page.locator("tr[aria-current]")
        assert row.inner_text().split() == ["4,", "0", "0", "0", "1", "0", "0", "0", "1"]
        page.locator(".rows").focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowDown")
        settled(page)
        assert row.inner_text().split() == ["0,", "1", "1", "0", "0", "1", "0", "2", "0"]
        page.locator(".rows tbody tr").nth(5).click()
        settled(page)
        assert row.locator("th").inner_text() == "0, 5"
        assert "The sums at row 0, column 5" in page.locator("nin-pixel-mlp").inner_text()

        # A prediction is committed; a reset brings everything back.
        page.get_by_label("one number in every output map, at the same pixel").check()
        button(page, "Commit").first.click()
        page.get_by_text("Right. Every output map reads input 0").wait_for()
        button(page, "Reset").click()
        settled(page)
        assert value_text(page) == "row 2, column 3: inputs 3, 2, 0"
        assert not page.get_by_text("Right. Every output").is_visible()
        assert (others, errors) == ([], [])


def test_what_a_1x1_and_a_3x3_see(playwright):
    with browser_page(playwright) as (page, _, errors):
        show(page, "pixel_mlp", PixelMLP().to_html())
        verdicts = page.locator(".beside [role=status]")
        button(page, "add 1 to input 0 at this pixel").click()
        settled(page)
        assert verdicts.all_inner_texts() == [
            "1×1: 4 of 120 sums change, all at this pixel.",
            "3×3: 36 of 120 sums change, at this pixel and its neighbours.",
        ]
        sides = page.locator(".beside > div")
        rings = [side.locator(".map").nth(1).locator(".differs").count() for side in sides.all()]
        assert rings == [1, 9]

        button(page, "shuffle the pixels").click()
        settled(page)
        assert sides.first.locator(".map").count() == 1
        button(page, "apply").click()
        settled(page)
        assert sides.first.locator(".map").count() == 2
        button(page, "put them back").click()
        settled(page)
        pixels = PixelMLP()
        pixels.change(seed=2)  # the button drew the next one
        expected = pixels.to_text().splitlines()[-1]
        count = int(expected.split("3×3: ")[1].split()[0])
        assert verdicts.first.inner_text() == "1×1: 0 of 120 sums differ from those never shuffled."
        assert f"3×3: {count} of 120 sums differ" in verdicts.last.inner_text()
        assert sides.first.locator(".differs").count() == 0
        back, never = (
            sides.last.locator(".map").nth(i).locator("span").all_inner_texts() for i in (2, 3)
        )
        differing = sum(a != b for a, b in zip(back, never, strict=True))
        assert sides.last.locator(".differs").count() == differing > 15
        picture = page.get_by_role("img", name="put back").first.get_attribute("aria-label")
        assert picture.startswith("put back: −3 −3 0 −3 −2 −2; −2 −2 1 −2 1 0; ")

        page.get_by_label("both").check()
        button(page, "Commit").last.click()
        page.get_by_text("Not so. Both use the same weights everywhere").wait_for()
        assert errors == []


def test_a_real_layer(playwright, real):
    with browser_page(playwright) as (page, _, errors):
        show(page, "pixel_mlp", real.to_html())
        layer = real.config["stages"]["network"]
        assert page.locator(".maps canvas").count() == 24
        names = page.locator(".maps .group").first.locator(".name").all_inner_texts()
        assert names == [f"input {c}" for c in layer["shown_inputs"]]

        # Each thumbnail holds its map: the strongest pixel of all is the most opaque one.
        x = numbers(layer["inputs"])[layer["shown_inputs"]]
        canvas = page.locator(".maps canvas").nth(3)
        alpha = canvas.evaluate(
            """canvas => canvas.getContext("2d").getImageData(0, 0, 14, 14).data
            .filter((_, i) => i % 4 === 3).join()"""
        )
        assert [int(a) for a in alpha.split(",")] == pytest.approx(
            (255 * x[3] / x.max()).ravel(), abs=1
        )

        canvas = page.locator(".maps canvas").nth(12 + 4)
        box = canvas.bounding_box()
        page.mouse.click(box["x"] + box["width"] * 3.5 / 14, box["y"] + box["height"] * 5.5 / 14)
        settled(page)
        assert value_text(page).startswith("row 5, column 3: inputs shown ")
        real.pixel = 5, 3
        before, after = (values[4] for values in real.result)
        fields = page.locator(".sums tbody tr").nth(5).locator("td").all_inner_texts()
        assert [float(text.replace("−", "-")) for text in fields[-2:]] == pytest.approx(
            [before, after], abs=0.0006
        )
        words = page.locator(".written").inner_text()
        assert words.startswith(f"output {layer['shown_outputs'][4]} = bias ")
        assert "[the other 91 products]" in words
        assert not page.get_by_text("What it cannot see").is_visible()

        button(page, "by hand").click()
        settled(page)
        assert value_text(page) == "row 2, column 3: inputs 3, 2, 0"
        button(page, "in a network").click()
        settled(page)
        assert page.locator(".maps canvas").count() == 24
        assert accessibility(page, "nin-pixel-mlp") == []
        assert errors == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_inaccessible_or_cut_off(playwright, real, theme):
    for width, start in ((1000, PixelMLP()), (390, PixelMLP()), (390, real)):
        with browser_page(playwright, viewport={"width": width, "height": 900}) as (
            page,
            _,
            errors,
        ):
            show(page, "pixel_mlp", start.to_html(), theme)
            settled(page)
            assert accessibility(page, "nin-pixel-mlp") == []
            if start is not real:
                page.get_by_label("every number").check()
                button(page, "Commit").first.click()
                button(page, "as a dense layer").click()
                button(page, "put them back").click()
                settled(page)
                assert accessibility(page, "nin-pixel-mlp") == []
            root = page.locator(".nin")
            assert root.evaluate("root => root.scrollWidth <= root.clientWidth")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            for table in page.locator(".scroll:visible").all():
                assert table.evaluate("box => box.scrollWidth <= box.clientWidth + 1")
            assert errors == []


def test_three_on_a_page_and_bold_words(playwright, real):
    config = {**real.config, **real.state, "title": "<b>bold</b>"}
    body = PixelMLP().to_html() + element("nin-pixel-mlp", config) + PixelMLP().to_html()
    with browser_page(playwright) as (page, _, errors):
        show(page, "pixel_mlp", body)
        settled(page)
        sliders = page.get_by_role("slider", name="pixel")
        sliders.nth(2).focus()
        page.keyboard.press("ArrowUp")
        settled(page)
        texts = [slider.get_attribute("aria-valuetext").split(":")[0] for slider in sliders.all()]
        assert texts == ["row 2, column 3", "row 7, column 7", "row 1, column 3"]
        assert page.locator("h3").nth(1).inner_text() == "<b>bold</b>"
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
        assert len(ids) == len(set(ids))
        assert errors == []


JUNK = {
    "no stages": {"stages": {}},
    "stages is a number": {"stages": 3},
    "an unknown stage": {"stage": "other"},
    "no title and no question": {"stages": None, "question": None, "title": None},
}
BAD_LAYERS = {
    "no inputs": ({"inputs": None}, "inputs must be any×any×any finite numbers"),
    "not a number": ({"biases": [1, 2, "x", 3]}, "biases must be any finite numbers"),
    "another shape": ({"weights": [[1, 2], [3, 4]]}, "weights must be 4×3 finite numbers, got 2×2"),
    "a short kernel": ({"kernel": [[[[1]]]]}, "kernel must be 4×3×3×3 finite numbers"),
    "junk in base64": ({"inputs": {"shape": [3, 5, 6], "data": "%%", "scale": 1}}, "decoded"),
    "too few names": ({"shown_outputs": None}, "null"),
}


def test_junk_gets_a_message_in_place(playwright):
    pixels = PixelMLP()
    good = {**pixels.config, **pixels.state}
    cases = [(change, "") for change in JUNK.values()]
    for change, words in BAD_LAYERS.values():
        hand = {**good["stages"]["hand"], **change}
        cases.append(({"stages": {"hand": hand}}, words))
    with browser_page(playwright) as (page, _, errors):
        body = "".join(element("nin-pixel-mlp", {**good, **change}) for change, _ in cases)
        show(page, "pixel_mlp", body + element("nin-pixel-mlp", None) + PixelMLP().to_html())
        settled(page)
        alerts = page.locator("nin-pixel-mlp").locator("[role=alert]:visible").all_inner_texts()
        assert len(alerts) == len(cases) + 1
        for (_, words), alert in zip(cases, alerts, strict=False):
            assert alert.startswith("This cannot be drawn: ")
            assert words in alert
        assert page.get_by_role("slider", name="pixel").count() == 1  # the good one, at the end

        for pixel in ([99, -5], None, ["a"], [None, 2]):
            page.goto("about:blank")
            show(page, "pixel_mlp", element("nin-pixel-mlp", {**good, "pixel": pixel}))
            settled(page)
            assert value_text(page).startswith("row ")
        assert errors == []


def test_in_jupyterlab_python_and_page_know_of_each_other(tmp_path, playwright):
    tell = "print('told', pixels.pixel, pixels.result.before.tolist())"
    move = "pixels.pixel = 0, 5"
    write_notebook(tmp_path / "pixel.ipynb", NOTEBOOK, tell, move)
    with jupyter_lab(tmp_path) as address, browser_page(playwright) as (page, others, errors):
        open_notebook(page, address, "pixel.ipynb")
        page.keyboard.press("Shift+Enter")
        maps = page.get_by_role("slider", name="pixel")
        maps.wait_for()
        maps.focus()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("End")
        page.wait_for_function(
            "document.querySelector('[role=slider][aria-label=pixel]')"
            ".ariaValueText.startsWith('row 1, column 5')"
        )
        assert maps.evaluate("element => element === document.activeElement")
        page.locator(".jp-CodeCell .cm-content").nth(1).click()
        page.keyboard.press("Shift+Enter")
        said = page.locator('.jp-OutputArea-output:has-text("told")')
        said.wait_for()
        assert said.inner_text().strip() == "told (1, 5) [1.0, 0.0, -1.0, 6.0]"
        page.locator(".jp-CodeCell .cm-content").nth(2).click()
        page.keyboard.press("Shift+Enter")
        page.wait_for_function(
            "document.querySelector('[role=slider][aria-label=pixel]')"
            ".ariaValueText.startsWith('row 0, column 5')"
        )
        page.keyboard.press("Control+s")
        page.wait_for_selector(".jp-mod-dirty", state="detached")
        assert accessibility(page, ".nin-pixel-mlp") == []
        page.set_viewport_size({"width": 390, "height": 800})
        page.wait_for_function("document.querySelector('.nin-pixel-mlp').clientWidth < 390")
        assert page.locator(".nin-pixel-mlp").evaluate("e => e.scrollWidth <= e.clientWidth")
        saved = json.loads((tmp_path / "pixel.ipynb").read_text())
    data = saved["cells"][0]["outputs"][0]["data"]
    assert "".join(data["text/plain"]) == PixelMLP().to_text()
    assert "<nin-pixel-mlp data-config=" in "".join(data["text/html"])
    assert (others, errors) == ([], [])
