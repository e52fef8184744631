"""Live curves in a real JupyterLab page: they move while a cell runs, and stay when it is saved."""

import json
import time

import pytest

from .harness import RUNNING, browser_page, jupyter_lab, open_notebook, write_notebook

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
pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def epoch_shown(page) -> str:
    return page.locator(".nin-curves tbody td").first.inner_text()


def test_curves_live_in_jupyterlab_and_in_the_saved_notebook(tmp_path, playwright):
    write_notebook(tmp_path / "live.ipynb", LOOP, "print('log is', curves.log)")
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
        button = page.locator(".nin-curves button")
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
        assert page.locator(".nin-curves .title").inner_text() == "<b>plain</b> loop"

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

        # Python knows of the switch.
        page.locator(".jp-CodeCell .cm-content").last.click()
        page.keyboard.press("Shift+Enter")
        page.locator('.jp-OutputArea-output:has-text("log is True")').wait_for()

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
