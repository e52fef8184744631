"""Without anywidget, the widgets say so and show their static views; nothing else breaks."""

import os
import subprocess
import sys

import nbformat
import pytest
from common import ROOT

SAYS = "anywidget is not installed, so widgets show their static views: pip install anywidget"


@pytest.fixture
def without_anywidget(tmp_path):
    """The environment of a Python that cannot import anywidget."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['anywidget'] = None\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}


@pytest.mark.slow
def test_each_widget_shows_its_static_view(without_anywidget):
    code = """
from nin_lib.widgets import Choice, ClassMaps, LiveCurves, PixelMLP, Predict, ShapeFlow
with LiveCurves(epochs=2, title="a run") as curves:
    curves.add("train_loss", 0.5, 1.25)
question = Predict("2 + 2?", [Choice("4", True, "It is."), Choice("5", False, "One more.")])
for widget in (curves, ShapeFlow("chapter"), PixelMLP(), ClassMaps(), question):
    data = widget._repr_mimebundle_()[0]
    assert set(data) == {"text/plain", "text/html"}, data.keys()
    assert any(part in data["text/html"] for part in ("<table", "<img", "<details"))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=without_anywidget, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(SAYS) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["02_one_by_one_convolution", "04_nin_network"])
def test_notebooks_go_on(without_anywidget, tmp_path, name):
    done = subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute",
         "--output-dir", str(tmp_path), str(ROOT / "notebooks" / f"{name}.ipynb")],
        env=without_anywidget, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    cells = nbformat.read(tmp_path / f"{name}.ipynb", as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert sum(SAYS in output.get("text", "") for output in outputs) == 1
    assert not any("widget-view" in kind for o in outputs for kind in o.get("data", {}))
