"""How long a widget takes to redraw itself, in a headless Chromium.

`python benchmarks/drawing.py [name ...]` measures the widgets of `EXAMPLES` and writes
results/drawing.json. The rule: 95 of 100 redraws take less than 16 ms, a frame at 60 a second.
Measured is the work of the page between a change and the pixels, script, styles and layout; not
the pixels themselves, which a headless browser draws in another way.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from nin_lib.widgets.base import delivered

RESULTS = Path(__file__).parent / "results" / "drawing.json"
REDRAWS = 300
RULE = 16.0  # milliseconds

CLOCK = """
const nextFrame = requestAnimationFrame;
window.spent = 0;
window.timed = (act) => {
  const start = performance.now();
  act();
  window.spent += performance.now() - start;
};
window.requestAnimationFrame = (act) => nextFrame((now) => timed(() => act(now)));
window.afterFrame = () => new Promise((done) => nextFrame(done));
"""
MEASURE = """
async ([prepare, redraws]) => {
  const element = document.querySelector("main > *");
  const change = new Function("element", prepare)(element);
  const times = [];
  for (let i = 0; i < redraws; i++) {
    window.spent = 0;
    timed(() => change(i, redraws));
    await afterFrame();
    timed(() => element.getBoundingClientRect()); // styles and layout
    times.push(window.spent);
  }
  return times;
}
"""


def live_curves() -> Any:
    """10,000 points in each series, ten classes, two runs below: as much as there can be."""
    from nin_lib.widgets import LiveCurves

    curves = LiveCurves(epochs=10)
    for i in range(1, 10_001):
        for series in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
            curves.add(series, i / 1000, 1 / i)
        curves.add_classes(i / 1000, [0.1 * c for c in range(10)])
    for name in "ab":
        curves.compare(curves, name)
    curves.finish()
    return curves


def shape_flow() -> Any:
    from nin_lib.widgets import ShapeFlow

    return ShapeFlow("vgg11")  # the one with the most stages


def pixel_mlp() -> Any:
    from nin_lib.data import load
    from nin_lib.recorded import trained
    from nin_lib.widgets import PixelMLP

    return PixelMLP.of(trained(), load("mini").val.images[0])


def class_maps() -> Any:
    from nin_lib.widgets import ClassMaps

    return ClassMaps()


# By name: a function that gives the widget, and JavaScript that, given its `element`, gives a
# function (i, redraws) which makes the change number i of so many.
EXAMPLES: dict[str, tuple[Callable[[], Any], str]] = {
    "live_curves": (
        live_curves,
        """
        const config = JSON.parse(element.dataset.config);
        const upTo = (points, share) => points.slice(0, Math.ceil(share * points.length));
        return (i, redraws) => {
          const now = Object.entries(config.series)
            .map(([name, points]) => [name, upTo(points, (i + 1) / redraws)]);
          element.view.update({ ...config, series: Object.fromEntries(now) });
        };
        """,
    ),
    "shape_flow": (
        shape_flow,
        """
        const config = JSON.parse(element.dataset.config);
        return (i) => element.view.update(
          { ...config, size: [200 + i % 50, 200 + i % 50], selected: i % 14 });
        """,
    ),
    "pixel_mlp": (
        pixel_mlp,
        """
        const config = JSON.parse(element.dataset.config);
        const views = ["convolution", "dense"];
        return (i) => element.view.update(
          { ...config, pixel: [i % 14, i % 13], output: i % 12, view: views[i % 2] });
        """,
    ),
    "class_maps": (
        class_maps,
        """
        let config = JSON.parse(element.dataset.config);
        const inputs = [(i) => ({ cover: [i % 11, i % 13, 8] }), (i) => ({ image: i % 12 }),
          (i) => ({ selected_class: i % 10 })];
        return (i) => {
          config = { ...config, ...inputs[i % 3](i) }; // one input at a time
          element.view.update(config);
        };
        """,
    ),
}


def measure(browser: Any, name: str) -> dict[str, float]:
    """Milliseconds that one redraw takes: the median, and what 95 of 100 stay below."""
    make, prepare = EXAMPLES[name]
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.set_content(f"<!DOCTYPE html><main>{make().to_html()}</main>")
    page.evaluate(CLOCK)
    page.add_script_tag(content=delivered(name), type="module")
    page.wait_for_selector(".nin", state="attached")
    times = sorted(page.evaluate(MEASURE, [prepare, REDRAWS]))
    return {
        "median": round(times[len(times) // 2], 2),
        "95 of 100": round(times[int(0.95 * len(times))], 2),
        "elements": page.evaluate("document.querySelectorAll('main *').length"),
    }


def main(names: list[str]) -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        found: dict[str, Any] = {name: measure(browser, name) for name in names or EXAMPLES}
        found |= {"browser": browser.version, "cores": os.cpu_count(), "system": platform.system()}
        browser.close()
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    json.dump(found, sys.stdout, indent=1)
    slow = [name for name in names or EXAMPLES if found[name]["95 of 100"] >= RULE]
    if slow:
        sys.exit(f"slower than {RULE:g} ms: {', '.join(slow)}")


if __name__ == "__main__":
    main(sys.argv[1:])
