"""The exercises in the book: hints and solutions are folded, and open by keyboard."""

import pytest
from common import ROOT
from harness import browser_page

NAMES = [path.stem for path in sorted((ROOT / "exercises").glob("[0-9][0-9]_*.py"))]


@pytest.mark.browser
@pytest.mark.parametrize("name", NAMES)
def test_folds_open_by_keyboard(site, playwright, name):
    with browser_page(playwright) as (page, _, errors):
        page.goto(f"{site}/exercises/{name}.html", wait_until="networkidle")
        folds = page.locator("article details:not(.nin *)")  # a widget has its own
        unfolded = page.locator("article details[open]:not(.nin *)")
        verdicts = page.locator("article pre", has_text="right.")
        exercises = page.locator("article h2").count()
        assert verdicts.count() >= exercises >= 2 and folds.count() >= 2 * exercises
        assert unfolded.count() == 0
        assert not any(verdict.is_visible() for verdict in verdicts.all())
        for fold in folds.all():
            fold.locator("> summary").focus()
            page.keyboard.press("Enter")
        assert unfolded.count() == folds.count()
        assert all(verdict.is_visible() for verdict in verdicts.all())
        page.keyboard.press("Space")
        assert unfolded.count() == folds.count() - 1
    assert errors == []
