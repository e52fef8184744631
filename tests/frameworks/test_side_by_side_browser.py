"""A widget of a cell that runs in another process is alive in JupyterLab."""

import pytest
from harness import browser_page, jupyter_lab, open_notebook, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

RUN = """%%pytorch
import time
from nin_lib.widgets import LiveCurves
with LiveCurves(epochs=6, title="elsewhere") as curves:
    for n in range(1, 61):
        curves.add("train_loss", n / 10, 3 / n)
        time.sleep(0.1)
"""


def test_live_curves_of_another_process_are_drawn_while_it_runs(tmp_path, playwright):
    write_notebook(tmp_path / "a.ipynb", "%load_ext nin_lib.notebook.side_by_side", RUN)
    with jupyter_lab(tmp_path) as address, browser_page(playwright) as (page, others, errors):
        open_notebook(page, address, "a.ipynb")
        page.keyboard.press("Shift+Enter")
        page.keyboard.press("Shift+Enter")
        widget = page.locator(".jp-OutputArea-output .nin", has_text="elsewhere").first
        widget.get_by_text("running").first.wait_for(timeout=90_000)
        widget.get_by_text("finished").first.wait_for(timeout=60_000)
        assert widget.locator("svg path").count() >= 1
        assert "Error displaying widget" not in page.content()
    assert others == []
    assert errors == []
