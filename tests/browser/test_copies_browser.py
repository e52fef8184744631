"""The student's copies in JupyterLab: nothing to save before something was changed, and links."""

import platform

import pytest

import start

from .harness import ROOT, browser_page, jupyter_lab


@pytest.mark.browser
@pytest.mark.timeout(120)
def test_an_untouched_copy_is_not_marked_as_changed_and_its_links_lead_to_pages(
    tmp_path, playwright
):
    copies = tmp_path / "my_notebooks"
    start.copy_notebooks(ROOT / "notebooks", copies, platform.python_version())
    start.copy_pages(ROOT / "book", copies)
    with jupyter_lab(tmp_path) as address, browser_page(playwright) as (page, others, errors):
        for name in ("03_nin_block.ipynb", "exercises/03_nin_block.ipynb"):
            page.goto(f"{address}/doc/tree/my_notebooks/{name}")
            page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()  # the kernel answered
            page.wait_for_timeout(1000)
            assert page.locator(".jp-mod-dirty").count() == 0, name
        page.goto(f"{address}/lab/tree/my_notebooks/05_training.ipynb")
        page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()
        for link, heading in (("cross-entropy", "cross-entropy"),):
            page.locator(".jp-Notebook a", has_text=link).first.click()
            viewer = page.locator(".jp-MarkdownViewer:visible")
            viewer.locator("h2", has_text=heading).first.wait_for()
    assert others == []
    assert errors == []
