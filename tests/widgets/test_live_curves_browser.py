"""Live curves in a real JupyterLab page: they move while a cell runs, and stay when it is saved."""

import json
import time

import pytest
from harness import (
    RUNNING,
    accessibility,
    browser_page,
    element,
    jupyter_lab,
    open_notebook,
    show,
    write_notebook,
)  # fmt: skip

from nin_lib.history import Ended, EpochEnd, History, RunInfo, Started
from nin_lib.widgets import LiveCurves
from nin_lib.widgets.base import Choice, Question

LOOP = """\
import time
from nin_lib.widgets import LiveCurves

with LiveCurves(epochs=4, title="<b>plain</b> loop") as curves:
    for step in range(1, 81):
        time.sleep(0.05)
        curves.add("train_loss", step / 20, 2.3 * 0.97**step)
        curves.add("train_accuracy", step / 20, 1 - 0.9 * 0.97**step)
        if step % 20 == 0:
            curves.add("val_loss", step / 20, 2.3 * 0.97**step + 0.1)
            curves.add("val_accuracy", step / 20, 0.9 - 0.9 * 0.97**step)
"""
ASKING = """\
with LiveCurves(epochs=60) as asking:
    for step in range(1, 1201):
        time.sleep(0.05)
        asking.add("train_loss", step / 20, 2.3)
        if asking.stopped:
            break
print("steps:", step)
"""
AGAIN = """\
from ipywidgets.widgets.widget import _instances
with LiveCurves() as again:
    again.add("val_loss", 1, 2.0)
print("widgets:", len(_instances))
"""
pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def epoch_shown(page) -> str:
    return page.locator(".nin-curves tbody td").first.inner_text()


def test_curves_live_in_jupyterlab_and_in_the_saved_notebook(tmp_path, playwright):
    write_notebook(
        tmp_path / "live.ipynb", LOOP, "print('log is', curves.log)", ASKING, AGAIN, "print('end')"
    )
    with jupyter_lab(tmp_path) as address, browser_page(playwright) as (page, others, errors):
        open_notebook(page, address, "live.ipynb")
        page.keyboard.press("Shift+Enter")

        # It appears while the cell runs, and moves: no rebuilding, the same line grows.
        line = page.locator(".nin-curves .chart .line.train[d^=M]").first
        line.wait_for(state="attached")
        page.evaluate("document.querySelector('.nin-curves .chart .line.train').mark = 'the same'")
        early = line.get_attribute("d")
        page.wait_for_function(
            "d => document.querySelector('.nin-curves .chart .line.train')"
            ".getAttribute('d').length > d.length + 40",
            arg=early,
        )
        assert page.evaluate("document.querySelector('.nin-curves .chart .line.train').mark")
        status = page.locator(".nin-curves .status")
        assert status.inner_text().startswith("running: epoch ")
        assert status.inner_text().endswith(" of 4")
        assert page.locator(RUNNING).count() == 1

        # The loss switches to logarithmic by keyboard, still while the cell runs.
        button = page.get_by_role("button", name="log scale")
        button.focus()
        page.keyboard.press("Enter")
        page.locator('.nin-curves button[aria-pressed="true"]').wait_for()
        assert page.locator(RUNNING).count() == 1

        # When it is over it says so, is there once, and is switched as the reader left it.
        page.locator('.nin-curves .status:text-is("finished")').wait_for()
        page.locator(RUNNING).wait_for(state="detached")
        page.wait_for_timeout(500)  # the notebook puts a new view in place of the old one
        page.locator('.nin-curves button[aria-pressed="true"]').wait_for()
        assert page.locator(".nin-curves").count() == 1
        assert page.locator(".nin-curves h3").inner_text() == "<b>plain</b> loop"

        # Values under the pointer, at the nearest point.
        page.wait_for_function("document.querySelector('.nin-curves tbody td').innerText == '4.00'")
        box = page.locator(".nin-curves .chart > svg").bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
        page.wait_for_function("document.querySelector('.nin-curves tbody td').innerText < '3'")
        assert 1.5 < float(epoch_shown(page)) < 2.5
        page.mouse.move(5, 5)

        # The same by keyboard; the notebook does not take the arrows away.
        chart = page.locator(".nin-curves .chart")
        chart.focus()
        for key in ("Home", "ArrowRight", "ArrowRight"):
            page.keyboard.press(key)
        page.wait_for_function("document.querySelector('.nin-curves tbody td').innerText == '0.15'")
        assert "training at epoch 0.15: loss 2.099" in chart.get_attribute("aria-valuetext")
        assert chart.evaluate("element => element === document.activeElement")

        # Nothing is cut off on a narrow screen.
        page.set_viewport_size({"width": 390, "height": 800})
        page.wait_for_function("document.querySelector('.nin-curves').clientWidth < 390")
        root = page.locator(".nin-curves")
        assert root.evaluate("element => element.scrollWidth <= element.clientWidth")

        # Nobody reads a stop button there, so there is none; and Python knows of the switch.
        assert not page.locator(".nin-curves .stop").is_visible()
        page.set_viewport_size({"width": 1280, "height": 800})
        page.locator(".jp-CodeCell .cm-content").nth(1).click()
        page.keyboard.press("Shift+Enter")
        page.locator('.jp-OutputArea-output:has-text("log is True")').wait_for()

        # A loop that asks is stopped by a click while its cell runs.
        page.keyboard.press("Shift+Enter")
        stop = page.locator(".nin-curves .stop:visible")
        stop.wait_for()
        page.wait_for_timeout(500)
        assert page.locator(RUNNING).count() == 1
        stop.click()
        page.locator(RUNNING).wait_for(state="detached")
        words = page.locator('.jp-OutputArea-output:has-text("steps:")').inner_text()
        assert 10 < int(words.split()[-1]) < 600
        asking = page.locator(".jp-CodeCell").nth(2)
        asking.locator('.nin-curves .status:has-text("stopped at epoch")').wait_for()
        assert stop.count() == 0

        # A cell that is run again leaves nothing behind.
        counts = []
        for _ in range(5):
            page.locator(".jp-CodeCell .cm-content").nth(3).click()
            page.keyboard.press("Control+Enter")
            page.wait_for_timeout(300)
            page.locator(RUNNING).wait_for(state="detached")
            printed = page.locator('.jp-OutputArea-output:has-text("widgets:")')
            counts.append(int(printed.inner_text().split()[-1]))
        assert counts == [counts[0]] * 5, counts
        assert page.locator(".jp-CodeCell").nth(3).locator(".nin-curves").count() == 1

        page.keyboard.press("Control+s")
        page.wait_for_selector(".jp-mod-dirty", state="detached")
        end = time.monotonic() + 15
        while "log is True" not in (saved := (tmp_path / "live.ipynb").read_text()):
            assert time.monotonic() < end, "the notebook was not saved"
            time.sleep(0.1)

    outputs = json.loads(saved)["cells"][0]["outputs"]
    assert [output["output_type"] for output in outputs] == ["display_data"]
    still = "".join(outputs[0]["data"]["text/html"])
    assert "data:image/svg+xml," in still
    assert "finished" in still
    assert "<b>" not in still
    assert "".join(outputs[0]["data"]["text/plain"]).endswith("finished")
    assert others == []
    assert errors == []


# ---- the element in a plain page

NAMES = ("coat", "<b>bag</b>", "ankle boot")


def example(runs=1, points=20, **options) -> LiveCurves:
    """Runs of two epochs; in the last one, the class at place 1 dies after the first epoch."""
    curves = LiveCurves(title="<b>an example</b>", classes=NAMES, keep=True, **options)
    for seed in range(runs):
        curves(Started(2, 10, 0, RunInfo(seed=seed)))
        for i in range(1, points + 1):
            x = 2 * i / points
            curves.add("train_loss", x, 2.4 / (1 + x + seed))
            curves.add("train_accuracy", x, 0.1 + 0.3 * x)
            curves.add_classes(x, [0.5, 0.4 if x <= 1 else 0.0, 0.25 * x])
        for epoch in (1, 2):
            row = {"train_loss": 1, "train_accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.25}
            curves(EpochEnd({"epoch": epoch, **row, "val_loss": 2.0 / epoch + seed}, 10 * epoch))
        curves(Ended(History()))
        curves.finish()
    return curves


def table(page, place: str = ".nin-curves > .inside > table") -> list[list[str]]:
    rows = page.locator(f"{place} tr").all()
    return [row.locator("th, td").all_inner_texts() for row in rows]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_without_a_kernel(playwright, theme):
    choices = (Choice("the flat one", True, "It stays."), Choice("the other", False, "It falls."))
    curves = example(runs=3, question=Question("Which is a dead run?", choices))
    with browser_page(playwright, color_scheme=theme) as (page, others, errors):
        show(page, "live_curves", curves.to_html(), theme)
        page.locator(".nin-curves .status:text-is('finished')").wait_for()
        assert page.locator("h3").inner_text() == "<b>an example</b>"

        # Three seeds, with their values, under the keyboard's cursor too.
        assert table(page) == [
            ["", "epoch", "loss", "accuracy"],
            ["run 3, seed 2: training", "2.00", "0.480", "0.700"],
            ["run 3, seed 2: held-out", "2.00", "3.000", "0.250"],
            ["a\nrun 1, seed 0: training", "2.00", "0.800", "0.700"],
            ["a\nrun 1, seed 0: held-out", "2.00", "1.000", "0.250"],
            ["b\nrun 2, seed 1: training", "2.00", "0.600", "0.700"],
            ["b\nrun 2, seed 1: held-out", "2.00", "2.000", "0.250"],
        ]
        letters = page.locator(".chart svg g text").all_text_contents()
        assert {"a", "b"} <= set(letters)  # at the ends of the lines
        page.locator(".chart").focus()
        page.keyboard.press("Home")
        page.wait_for_function("document.querySelector('tbody td').innerText == '0.10'")
        assert [line[2] for line in table(page)[1:]] == [
            "0.774", "4.000", "2.182", "2.000", "1.143", "3.000",
        ]  # fmt: skip
        words = page.locator(".chart").get_attribute("aria-valuetext")
        assert "run 2, seed 1: training at epoch 0.10: loss 1.143" in words

        # The classes: which of them is at zero, at the cursor and at the end.
        zeros = page.locator(".zeros")
        assert not zeros.is_visible()
        page.keyboard.press("Escape")
        page.locator(".zeros:visible").wait_for()
        assert zeros.inner_text() == "At zero: <b>bag</b>. No image of theirs has a positive logit."
        page.locator("summary").click()
        assert table(page, ".nin-curves details table")[1:] == [
            ["coat", "50 %"], ["<b>bag</b>", "0 %"], ["ankle boot", "50 %"],
        ]  # fmt: skip
        assert page.locator(".floor.zero").count() == 1

        # The switch, the question, and the reset that takes both back.
        page.get_by_role("button", name="log scale").click()
        page.locator("text=loss (logarithmic)").wait_for()
        page.get_by_label("the other").check()
        page.get_by_role("button", name="Commit").click()
        page.locator("text=Not so. It falls.").wait_for()
        page.get_by_role("button", name="Reset").click()
        page.locator("text=loss (logarithmic)").wait_for(state="detached")
        assert not page.get_by_label("the other").is_checked()
        assert page.locator(".stop").is_hidden()
        assert accessibility(page, ".nin-curves") == []
        page.set_viewport_size({"width": 390, "height": 800})
        page.wait_for_function("document.querySelector('.nin-curves').clientWidth < 390")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert accessibility(page, ".nin-curves") == []
    assert others == []
    assert errors == []


def shown_until(page) -> float:
    return float(page.locator("tbody td").first.inner_text())


def test_a_finished_run_is_shown_once_more(playwright):
    with browser_page(playwright) as (page, _, errors):
        show(page, "live_curves", example().to_html())
        replay = page.locator(".replay button")
        page.get_by_label("speed").select_option("4")
        replay.focus()
        page.keyboard.press("Enter")
        page.wait_for_function("0.2 < Number(document.querySelector('tbody td').innerText) &&"
            "Number(document.querySelector('tbody td').innerText) < 1.9")  # fmt: skip
        assert replay.inner_text() == "Pause"
        replay.click()
        page.wait_for_function("document.querySelector('.replay button').innerText == 'Go on'")
        early = shown_until(page)
        page.wait_for_timeout(300)
        assert shown_until(page) == early < 2
        assert page.locator(".lane").count() == 3
        replay.click()
        page.wait_for_function("document.querySelector('tbody td').innerText == '2.00'")
        page.wait_for_function("document.querySelector('.replay button').innerText == 'Replay'")

        slider = page.get_by_label("shown until")
        slider.focus()
        page.keyboard.press("Home")
        page.wait_for_function("document.querySelector('tbody td').innerText == '–'")
        for _ in range(25):
            page.keyboard.press("ArrowRight")
        page.wait_for_function("document.querySelector('tbody td').innerText == '0.50'")
        assert slider.get_attribute("aria-valuetext") == "epoch 0.5"
    assert errors == []


def test_a_run_under_way_has_a_stop_button_and_no_replay(playwright):
    config = {**example().config, "running": True, "stoppable": True, "run": 1}
    with browser_page(playwright) as (page, _, errors):
        show(page, "live_curves", element("nin-live-curves", config))
        stop = page.get_by_role("button", name="stop")
        stop.wait_for()
        assert page.locator(".replay").is_hidden()
        assert accessibility(page, ".nin-curves") == []
        stop.focus()
        page.keyboard.press("Enter")
        page.locator(".stop:text-is('stopping')").wait_for()
        assert page.locator(".stop").is_disabled()
    assert errors == []


def test_reduced_motion_leaves_the_slider(playwright):
    with browser_page(playwright, reduced_motion="reduce") as (page, _, errors):
        show(page, "live_curves", example().to_html())
        slider = page.get_by_label("shown until")
        slider.wait_for()
        assert not page.locator(".replay button").is_visible()
        assert not page.get_by_label("speed").is_visible()
        slider.fill("50")
        page.wait_for_function("document.querySelector('tbody td').innerText == '1.00'")
    assert errors == []


def test_junk_gets_a_message_and_disturbs_no_neighbour(playwright):
    config = example().config
    junk = [
        {},
        {"series": 5},
        {**config, "series": {"train_loss": [[0, "x"]]}},
        {**config, "classes": {"names": ["a"], "x": [1], "shares": []}},
        {**config, "classes": {"names": [5], "x": [1], "shares": [[1]]}},
        {**config, "kept": [{"name": "x"}]},
        {**config, "epochs": "many"},
        [],
    ]
    body = "".join(element("nin-live-curves", one) for one in junk)
    broken = '<nin-live-curves data-config="{&quot;series&quot;: NaN}"></nin-live-curves>'
    sound = example().to_html() * 3
    with browser_page(playwright) as (page, _, errors):
        show(page, "live_curves", body + broken + sound)
        page.wait_for_timeout(300)
        elements = page.locator("nin-live-curves").all()
        for one in elements[: len(junk) + 1]:
            assert "This cannot" in one.inner_text()
        page.get_by_role("button", name="log scale").first.wait_for()
        page.get_by_role("button", name="log scale").nth(1).click()
        page.locator('button[aria-pressed="true"]').wait_for()
        assert page.locator('button[aria-pressed="true"]').count() == 1
        assert page.locator("text=loss (logarithmic)").count() == 1
    assert errors == []


def test_without_javascript_there_is_a_picture_and_tables(playwright):
    with browser_page(playwright, java_script_enabled=False) as (page, _, _):
        page.set_content(example().to_html())
        assert page.locator("img").get_attribute("alt").startswith("<b>an example</b>: loss and")
        page.locator("summary").click()
        assert table(page, "details table")[-2] == ["<b>bag</b>", "0 %"]


def test_ten_thousand_points_keep_the_page_small(playwright):
    curves = example(points=10_000)
    with browser_page(playwright) as (page, _, errors):
        show(page, "live_curves", curves.to_html())
        page.locator(".lane").first.wait_for(state="attached")
        count = "document.querySelectorAll('.nin-curves *').length"
        few = page.evaluate(count)
        assert few < 400
        length = page.locator(".chart .line.train").first.get_attribute("d")
        assert length.count("L") <= 500
        for _ in range(5):
            page.locator(".chart").hover(position={"x": 200, "y": 60})
            page.mouse.move(5, 5)
        assert page.evaluate(count) <= few + 12  # the spots under the cursor
    assert errors == []


@pytest.mark.parametrize("losses", [[-0.5, -2.0, -1.0], [2.0, 0.0, -2.0], [0.0, 0.0, 0.0]])
def test_losses_of_zero_and_below_are_drawn_inside_the_panel(playwright, losses):
    with LiveCurves() as curves:
        for epoch, loss in enumerate(losses, 1):
            curves.add("val_loss", epoch, loss)
    with browser_page(playwright) as (page, _, errors):
        show(page, "live_curves", curves.to_html())
        page.locator(".nin-curves circle.val").nth(2).wait_for(state="attached")
        read = "(dots) => dots.map((dot) => Number(dot.getAttribute('cy')))"
        heights = page.locator(".nin-curves circle.val").evaluate_all(read)
        assert len(heights) == 3 and all(32 <= y <= 32 + 150 for y in heights)
        order = sorted(range(3), key=lambda i: -losses[i])
        assert sorted(heights) == [heights[i] for i in order]
        page.get_by_role("button", name="log scale").click()  # leaves out what has no logarithm
        page.locator("text=loss (logarithmic)").wait_for()
        assert page.locator(".nin-curves circle.val").count() == sum(y > 0 for y in losses)
        assert errors == []
