"""A student's copy in JupyterLab: nothing to save before something was changed, and its links."""

import platform

import pytest
from common import ROOT
from harness import browser_page, jupyter_lab

import start

LINKS = {"glossary.md": "head", "references.md": "Krizhevsky et al. 2012"}


@pytest.mark.browser
@pytest.mark.timeout(120)
def test_an_untouched_copy_is_unchanged_and_links_to_readable_pages(tmp_path, playwright):
    copies = tmp_path / "my_notebooks"
    start.copy_notebooks(ROOT / "notebooks", copies, platform.python_version())
    start.copy_pages(ROOT / "book", copies)
    with jupyter_lab(tmp_path) as address, browser_page(playwright) as (page, others, errors):
        page.goto(f"{address}/lab/tree/my_notebooks/01_why_nin.ipynb")
        page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()  # the kernel has answered
        page.wait_for_timeout(1000)
        assert page.locator(".jp-mod-dirty").count() == 0
        for name, heading in LINKS.items():
            page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", has_text="01_why_nin").click()
            page.locator(f".jp-Notebook a[href*='{name}']").first.click()
            page.locator(".jp-MarkdownViewer:visible h2", has_text=heading).first.wait_for()
    assert others == []
    assert errors == []
