"""The shape flow explorer in a real browser: the same sums as Python, by mouse and by keyboard."""

from dataclasses import replace

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

from nin_lib.flow import ShapeError, shape_flow, totals
from nin_lib.networks import network
from nin_lib.spec import Block, Network, Pool
from nin_lib.widgets.shape_flow import ShapeFlow

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
TAG = "nin-shape-flow"

# ---- in a page without a kernel


def with_first(**changes):
    """The chapter's network with another first block."""
    chapter = network("chapter")
    return replace(chapter, stages=(replace(chapter.stages[0], **changes), *chapter.stages[1:]))


def percent(net, key):
    change = 100 * (getattr(totals(net), key) / getattr(totals(network("chapter")), key) - 1)
    return f"+{change:.{0 if change >= 9.95 else 1}f} %"


def stage(page, name):
    return page.locator(f"{TAG} tbody", has=page.get_by_text(name, exact=True))


def cells(page, name):
    """Output, rows never read, parameters and multiply-adds of a stage, once it is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return stage(page, name).locator("tr").first.locator("td").all_inner_texts()


def field(page, label):
    return page.get_by_label(label, exact=True)


def said(page, words, selector=".status"):
    page.locator(f"{TAG} {selector}", has_text=words).first.wait_for(timeout=5_000)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_edited_by_mouse_and_keyboard(playwright, theme):
    with browser_page(playwright, color_scheme=theme, viewport={"width": 390, "height": 900}) as (
        page,
        others,
        errors,
    ):
        show(page, "shape_flow", ShapeFlow("chapter").to_html(), theme)
        said(page, "Against chapter at 224×224: parameters unchanged, multiply-adds unchanged")
        assert cells(page, "block 2") == ["256×26×26", "", "746,240", "503,939,072"]
        assert cells(page, "pool 3") == ["384×5×5", "1", "0", "0"]
        assert page.locator(f"{TAG} tfoot td").all_inner_texts()[:2] == ["1,992,166", "762,297,352"]
        said(page, "The whole network: the last 5 rows and columns are never read", "figcaption")

        # The prediction, by keyboard; then other inputs, by which one sees why.
        page.get_by_label("5×5, both").focus()
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        said(page, "Right. Sizes are rounded down at each stride", "[role=status]")
        for size, unread in ((200, "1"), (226, "3")):
            field(page, "height and width").fill(str(size))
            said(page, "parameters unchanged, multiply-adds")
            page.locator(f"{TAG} tbody:nth-of-type(2) td.left", has_text=unread).wait_for()
            assert cells(page, "block 4")[0] == "10×5×5"
        said(page, "Input, 226×226. The whole network: the last 7 rows", "figcaption")
        field(page, "slide").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("document.querySelector('input[type=number]').value === '227'")
        assert cells(page, "block 4")[0] == "10×6×6"

        # A stage is chosen with arrow keys; its controls and sums are there, and no others.
        page.get_by_role("button", name="Reset").click()
        said(page, "multiply-adds unchanged")
        page.get_by_role("radio", name="input").focus()
        page.keyboard.press("ArrowDown")
        said(page, "11×11 conv, stride 4: 96×54×54", ".sums")
        said(page, "side: ⌊(224 + 2·0 − 11) / 4⌋ + 1 = 54", ".sums")
        said(page, "parameters: 1·11·11·96 weights + 96 biases = 11,712", ".sums")
        said(page, "multiply-adds: 11,616 weights · 54·54 places = 33,872,256", ".sums")
        unread = "Map that enters block 1, 224×224: the last row and column are never read"
        said(page, unread, "figcaption")
        assert page.evaluate("document.activeElement.value") == "1"
        assert page.locator(f"{TAG} .fields input").count() == 5
        assert accessibility(page, TAG) == []

        # The task: the stride changes the work and not the parameters.
        field(page, "stride").fill("3")
        slower = with_first(stride=3)
        said(page, f"parameters unchanged, multiply-adds {percent(slower, 'multiply_adds')}")
        said(page, "An edit that changes the work and not the parameters.")
        field(page, "widths, one for each convolution").fill("96, 96, 192")
        wider = with_first(stride=3, widths=(96, 96, 192))
        said(page, f"parameters {percent(wider, 'parameters')}")

        # An impossible choice is told in its place, and what comes before it stays.
        page.get_by_role("button", name="Reset").click()
        field(page, "height and width").fill("60")
        said(page, "Nothing gets past pool 3")
        words = stage(page, "pool 3").locator(".why")
        with pytest.raises(ShapeError) as error:
            shape_flow(network("chapter"), 60)
        assert words.inner_text() == str(error.value)
        assert cells(page, "block 3")[0] == "384×2×2"
        assert [cells(page, name)[0] for name in ("pool 3", "block 4")] == ["fails", "–"]
        stage(page, "pool 3").click()
        field(page, "kernel size").fill("2")
        said(page, "Against chapter")
        assert cells(page, "pool 3")[0] == "384×1×1"

        # So is a broken rule, an emptied field, and a word among the widths.
        field(page, "padding").fill("2")
        said(page, "Pool.padding must be at most half of kernel_size 2, got 2", ".why")
        field(page, "padding").fill("")
        said(page, "Pool.padding must be an integer of at least 0, got None", ".why")
        field(page, "padding").fill("0")
        stage(page, "block 4").click()
        field(page, "widths, one for each convolution").fill("10, ten")
        said(page, "Block.widths must be an integer of at least 1, got 'ten'", ".why")
        assert accessibility(page, TAG) == []
        field(page, "widths, one for each convolution").fill("10,")
        said(page, "Against chapter")

        # Other networks; a click on a volume; dense layers in place of the average.
        page.get_by_label("Start from").select_option("lenet")
        said(page, "Against lenet at 28×28: parameters unchanged")
        box = page.locator(f"{TAG} .volumes svg").bounding_box()
        page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] - 3)
        said(page, "head", "tbody.chosen")
        field(page, "dense layers, their widths (none: global average)").fill("50 10")
        said(page, "parameters −63 %")
        page.get_by_role("radio", name="input").click()
        field(page, "height and width").fill("32")
        assert cells(page, "head")[2] == "29,360"

        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        overflow = "e => e.scrollWidth <= e.clientWidth"
        assert page.locator(f"{TAG} .nin").evaluate(overflow)
        assert page.locator(f"{TAG} .scroll").evaluate(overflow)
        assert others == errors == []


def test_three_on_a_page_mind_their_own_business(playwright):
    nets = ["chapter", Network((Block(1, (2,), stride=3), Block(2, (3,))), input_size=8), "lenet"]
    body = "".join(ShapeFlow(net).to_html() for net in nets)
    with browser_page(playwright) as (page, others, errors):
        show(page, "shape_flow", body)
        three = page.locator(TAG)
        three.nth(1).get_by_role("radio", name="block 1").click()
        caption = three.nth(1).locator("figcaption").first
        caption.wait_for()
        assert "5 of 8 rows and columns are never read" in caption.inner_text()
        three.nth(1).get_by_label("stride", exact=True).fill("2")
        three.nth(1).locator(".status", has_text="multiply-adds +").wait_for()
        for other in (three.nth(0), three.nth(2)):
            assert "multiply-adds unchanged" in other.locator(".status").inner_text()
            assert other.get_by_role("radio", name="input").is_checked()
        # Detached and put back, an element shows its still table, then comes alive again.
        three.nth(2).evaluate("e => { const p = e.parentElement; e.remove(); p.append(e); }")
        three.nth(2).locator(".status", has_text="Against lenet").wait_for()
        assert others == errors == []


def test_text_from_outside_and_junk(playwright):
    config = {**ShapeFlow("lenet").config, **ShapeFlow("lenet").state}
    spec, name = config["spec"], "<b>bold</b>"
    named = {**config, "title": name, "start": name, "networks": {name: spec}}
    first, *rest = spec["stages"]
    junk = [
        {**config, "spec": None},
        {**config, "spec": {**spec, "stages": [{"kind": "<b>"}]}},
        {**config, "size": "large"},
        {**config, "networks": None},
        {},
        {**config, "size": [float("nan"), 28]},
        {**config, "selected": "x", "start": 7},
        {**config, "spec": {**spec, "stages": [{**first, "widths": 5}, *rest]}},
        {**config, "spec": {**spec, "in_channels": "<b>"}},
        {**config, "spec": {**spec, "dense": None}},
        {**config, "size": [10**9, 28]},
    ]
    with browser_page(playwright) as (page, others, errors):
        show(page, "shape_flow", "".join(element(TAG, config) for config in [named, *junk]))
        every = page.locator(TAG)
        every.first.locator(".status", has_text=f"Against {name}").wait_for()
        assert page.locator(f"{TAG} b").count() == 0
        texts = every.all_inner_texts()
        for text in texts[1:6]:
            assert "This cannot" in text
        assert "Against" not in texts[7]
        assert "61,706" in texts[7]
        for i, words in ((8, "Block.widths must be a list, got 5"), (9, "got '<b>'"),
                         (10, "Network.dense must be a list, got None"),
                         (11, "size can be at most 1,000,000 on this page")):  # fmt: skip
            assert words in texts[i]
        assert others == errors == []


CELL = """\
from nin_lib import torch as nin
from nin_lib.widgets.shape_flow import ShapeFlow

explorer = ShapeFlow("chapter")
explorer"""
BUILD = """\
block = explorer.spec.blocks[0]
print(block, explorer.size, sum(p.numel() for p in nin.NiN(explorer.spec).parameters()))
explorer.size = 226
explorer.change(selected=1)"""


def test_python_reads_the_edit_and_moves_the_page(tmp_path, playwright):
    write_notebook(tmp_path / "flow.ipynb", CELL, BUILD)
    size = {"width": 1280, "height": 1600}
    with (
        jupyter_lab(tmp_path) as address,
        browser_page(playwright, viewport=size) as (
            page,
            others,
            errors,
        ),
    ):
        open_notebook(page, address, "flow.ipynb")
        page.keyboard.press("Shift+Enter")
        page.get_by_role("radio", name="block 1").click()
        field(page, "stride").fill("5")
        page.locator(".nin .status", has_text="parameters unchanged, multiply-adds −").wait_for()
        page.get_by_role("radio", name="block 1").focus()
        page.keyboard.press("ArrowDown")  # the notebook does not take it away
        page.locator(".nin .sums", has_text="3×3 max pool, stride 2").wait_for()
        page.keyboard.press("ArrowDown")
        field(page, "widths, one for each convolution").fill("128, 256")
        page.locator(".nin .status", has_text="parameters −").wait_for()

        page.locator(".jp-CodeCell .cm-content").last.click()
        page.keyboard.press("Shift+Enter")
        chapter = network("chapter")
        first = replace(chapter.blocks[0], stride=5)
        second = replace(chapter.blocks[1], widths=(128, 256))
        edited = replace(chapter, stages=(first, Pool(), second, *chapter.stages[3:]))
        printed = page.locator(".jp-OutputArea-output", has_text="Block(kernel_size=11")
        printed.wait_for()
        expected = f"{first} 224 {totals(edited).parameters}"
        assert printed.last.inner_text().strip() == expected
        page.locator(".nin .sums", has_text="⌊(226 + 2·0 − 11) / 5⌋ + 1 = 44").wait_for()
        page.locator(".nin tbody td", has_text="1×226×226").wait_for()
        assert others == errors == []
