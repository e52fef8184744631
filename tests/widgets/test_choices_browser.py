"""A prediction among choices in a real browser: committed before the answers show."""

import pytest

pytest.importorskip("anywidget")
import numpy as np
from harness import (
    accessibility,
    browser_page,
    element,
    jupyter_lab,
    open_notebook,
    show,
    write_notebook,
)

from nin_lib.networks import network
from nin_lib.torch import NiN
from nin_lib.widgets import Choice, ClassMaps, LiveCurves, PixelMLP, Predict, ShapeFlow
from nin_lib.widgets.base import delivered

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

TAG = "nin-choices"
FOUR = Choice("4 <b>only</b>", False, "Each output has a weight for each of the inputs.")
TWELVE = Choice("12", True, "3 for each of the 4 outputs.")
DOZEN = Choice("a dozen", True, "The same in words.")
NINE = Choice("36", False, "That would be a 3×3 kernel.")
PREDICT = Predict("How many weights has a 1×1 convolution from 3 to 4?", [FOUR, TWELVE, NINE])


def verdict(page):
    return page.locator(f"{TAG} [role=status]")


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_committed_by_keyboard_and_taken_back(playwright, theme):
    size = {"width": 390, "height": 900}
    with browser_page(playwright, color_scheme=theme, viewport=size) as (page, others, errors):
        show(page, "choices", PREDICT.to_html(), theme)
        commit = page.get_by_role("button", name="Commit")
        reset = page.get_by_role("button", name="Reset")
        shown = page.locator(TAG)

        # Nothing is told, and nothing can be committed, before a choice is made.
        assert accessibility(page, TAG) == []
        assert page.get_by_role("group", name="Predict: How many weights").count() == 1
        assert commit.is_disabled() and not reset.is_visible()
        assert not any(it.why in shown.inner_text() for it in (FOUR, TWELVE, NINE))
        assert shown.locator("b").count() == 0  # text is text

        # Wrong: why, what is right, and the rest to be unfolded.
        press(page, "Tab", "Space", "Tab", "Enter")
        assert verdict(page).inner_text() == (
            f"Not so. {FOUR.why} Right is: “{TWELVE.say}”. {TWELVE.why}"
        )
        assert page.get_by_label("36").is_disabled()
        assert NINE.why not in shown.inner_text()
        press(page, "Tab", "Enter")
        assert shown.locator("details li").all_inner_texts() == [f"“36”: not so. {NINE.why}"]
        assert accessibility(page, TAG) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390

        # Reset, and right this time.
        press(page, "Tab", "Enter")
        assert verdict(page).inner_text() == ""
        assert shown.locator(":checked, details[open]").count() == 0
        assert commit.is_disabled() and not reset.is_visible()
        page.get_by_label("12").check()
        commit.click()
        assert verdict(page).inner_text() == f"Right. {TWELVE.why}"
        shown.locator("summary").click()
        assert shown.locator("details li").count() == 2
        assert others == errors == []


def test_several_are_right_and_neighbours_are_left_alone(playwright):
    several = Predict("How many?", [FOUR, TWELVE, DOZEN])
    with browser_page(playwright) as (page, _, errors):
        show(page, "choices", PREDICT.to_html() + several.to_html())
        first, second = page.locator(TAG).all()
        second.get_by_label("4 <b>only</b>").check()
        second.get_by_role("button", name="Commit").click()
        words = second.locator("[role=status]").inner_text()
        assert f"Right is: “12”. {TWELVE.why} Right is: “a dozen”. {DOZEN.why}" in words
        assert not second.locator("details").is_visible()  # nothing is left to tell
        assert first.locator("[role=status]").inner_text() == ""
        assert first.locator(":checked").count() == 0
        assert errors == []


def test_next_to_another_widget(playwright):
    """Each comes with a module of its own; radio buttons of one name would be one group."""
    with browser_page(playwright) as (page, _, errors):
        show(page, "choices", PREDICT.to_html() + PixelMLP().to_html())
        page.add_script_tag(content=delivered("pixel_mlp"), type="module")
        page.locator("nin-pixel-mlp .question").first.wait_for()
        assert accessibility(page, "main") == []
        groups = [page.locator(f"{it} fieldset").first for it in (TAG, "nin-pixel-mlp")]
        for group in groups:
            group.get_by_role("radio").first.check()
        for group in groups:
            assert group.get_by_role("radio").first.is_checked()
        ids = page.locator("[id]").evaluate_all("every => every.map(({ id }) => id)")
        assert len(ids) == len(set(ids)) > 1
        assert errors == []


CONTROLS = (
    "nin-choices input", "nin-shape-flow input[type=number]", "nin-live-curves [role=slider]",
    "nin-pixel-mlp [role=slider]", "nin-pixel-mlp .rows", "nin-class-maps [role=application]",
    "nin-class-maps td[tabindex='0']",
)  # fmt: skip
SEND_KEYS = """
([selector, modifiers]) => {
  const reached = [];
  const hear = (event) => reached.push(event.key + (event.defaultPrevented ? " prevented" : ""));
  document.body.addEventListener("keydown", hear);
  for (const key of ["Enter", "ArrowLeft", "Escape", "Home", "s"]) {
    const event = { key, bubbles: true, cancelable: true };
    for (const modifier of modifiers) event[modifier] = true;
    document.querySelector(selector).dispatchEvent(new KeyboardEvent("keydown", event));
  }
  document.body.removeEventListener("keydown", hear);
  return reached.join(", ");
}
"""


def test_shortcuts_pass_through_every_widget_and_its_own_keys_do_not(playwright):
    curves = LiveCurves()
    curves.add("val_loss", 1, 2.0)
    black = np.zeros((1, 28, 28), np.uint8)
    maps = ClassMaps(NiN(network("paper-mnist")), black, np.array([0]), sizes=(14,), step=14)
    widgets = [PREDICT, ShapeFlow("lenet"), curves, PixelMLP(), maps]
    with browser_page(playwright) as (page, _, errors):
        show(page, "choices", "".join(it.to_html() for it in widgets))
        for name in ("shape_flow", "live_curves", "pixel_mlp", "class_maps"):
            page.add_script_tag(content=delivered(name), type="module")
        for control in CONTROLS:
            page.locator(control).first.wait_for(state="attached")
            for modifier in ("ctrlKey", "metaKey", "altKey"):
                passed = page.evaluate(SEND_KEYS, [control, [modifier]])
                assert passed == "Enter, ArrowLeft, Escape, Home, s", (control, modifier)
            typed = "input" in control
            others = "" if typed else "s"
            assert page.evaluate(SEND_KEYS, [control, []]) == others, control
            passed = page.evaluate(SEND_KEYS, [control, ["shiftKey"]])
            assert passed == ("Enter" if typed else "Enter, s"), control
        assert errors == []


def test_junk_is_told_in_its_place(playwright):
    config = {**PREDICT.config, "answer": None}
    junk = [{}, {"question": None}, {"question": {"ask": "?", "choices": []}}]
    odd = [{**config, "answer": answer} for answer in (7, -1, "x", 0.5)]
    with browser_page(playwright) as (page, _, errors):
        show(page, "choices", "".join(element(TAG, it) for it in [*junk, *odd]))
        texts = page.locator(TAG).all_inner_texts()
        assert all("This cannot be drawn: there is no question" in text for text in texts[:3])
        for text in texts[3:]:
            assert "12" in text and "Not so" not in text and "Right" not in text
        assert errors == []


CELL = """\
from nin_lib.widgets import Choice, Predict

asked = Predict("2 + 2?", [Choice("4", True, "Count."), Choice("5", False, "One more.")])
asked"""


def test_it_lives_in_jupyterlab(tmp_path, playwright):
    write_notebook(tmp_path / "ask.ipynb", CELL, "print('READ', asked.state)")
    with jupyter_lab(tmp_path) as address, browser_page(playwright) as (page, others, errors):
        open_notebook(page, address, "ask.ipynb")
        page.keyboard.press("Shift+Enter")
        page.get_by_role("radio", name="4").focus()
        press(page, "ArrowDown", "Tab", "Enter")  # the notebook does not take them away
        said = page.locator(".nin-choices [role=status]", has_text="Not so. One more. Right is")
        said.wait_for()
        page.locator(".jp-CodeCell .cm-content").last.click()
        page.keyboard.press("Shift+Enter")
        page.locator(".jp-OutputArea-output", has_text="READ {'answer': 1}").wait_for()
        page.get_by_role("button", name="Reset").click()
        page.get_by_role("button", name="Commit").wait_for()
        assert others == errors == []
