"""Take the README's picture of two widgets, the shape flow and the curves of a recorded run.

    python tools/readme_picture.py   # writes book/_static/widgets.png

It needs Chromium and the extra `test`. The widgets are alive, as in the pages of the book.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

from nin_lib import recorded
from nin_lib.widgets import LiveCurves, ShapeFlow
from nin_lib.widgets.base import delivered

PICTURE = Path(__file__).resolve().parent.parent / "book" / "_static" / "widgets.png"
WINDOW: ViewportSize = {"width": 1464, "height": 1000}
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
COLOURS = 128
STYLE = """
body { margin: 0; background: white; font: 16px "DejaVu Sans", sans-serif; }
main { display: grid; grid-template-columns: 860px 1fr; gap: 20px; align-items: start; }
"""


def html() -> str:
    """Return a page that holds both widgets."""
    flow = ShapeFlow("chapter", question=None)
    curves = LiveCurves.replay(
        recorded.run("class-default"), "recorded: default recipe, class size"
    )
    return (
        f'<!DOCTYPE html><html lang="en" data-theme="light"><style>{STYLE}</style>'
        f"<main>{flow.to_html()}{curves.to_html()}</main></html>"
    )


def photograph(page: Page) -> bytes:
    """Return a PNG of both widgets, with the first pooling selected."""
    page.set_content(html())
    for name in ("shape_flow", "live_curves"):
        page.add_script_tag(content=delivered(name), type="module")
        page.locator(f"nin-{name.replace('_', '-')} > .nin").wait_for()
    page.get_by_role("radio").nth(2).check()
    page.wait_for_timeout(500)  # the drawings follow a frame later
    return page.locator("main").screenshot()


def main() -> int:
    """Write the picture; return the exit status."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("The picture needs Chromium: apt install chromium", file=sys.stderr)
        return 1
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=FLAGS)
        png = photograph(browser.new_page(viewport=WINDOW))
        browser.close()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE.name}: {picture.width} by {picture.height}, {PICTURE.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
