"""Cells for three frameworks become tabs in the book: a small site is built from one notebook."""

import nbformat
import pytest
from bs4 import BeautifulSoup
from common import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from sphinx.application import Sphinx

EXTENSIONS = ROOT / "book" / "_ext"
PYTHON = {"name": "python", "pygments_lexer": "ipython3"}
CONF = """
import sys
sys.path.insert(0, {ext!r})
extensions = ["myst_nb", "sphinx_design", "tabs"]
nb_execution_mode = "off"
"""


def cell(source, said):
    return new_code_cell(source, outputs=[new_output("stream", text=said)], execution_count=1)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tabs")
    cells = [
        new_markdown_cell("# A page"),
        cell("%%pytorch\nimport torch\nprint(1)", "from torch\n"),
        cell("%%tensorflow\nimport keras", "from keras\n"),
        cell("%%jax\n\nimport jax", "from jax\n"),
        cell("plain = 1", "plain\n"),
        cell("%%jax\nprint(2)", "alone\n"),
        new_markdown_cell("words between"),
        cell("%%pytorch\nprint(3)", "again\n"),
        cell("%%time\nprint(3)", "another magic\n"),
    ]
    notebook = new_notebook(cells=cells, metadata={"language_info": PYTHON})
    nbformat.write(notebook, folder / "index.ipynb")
    (folder / "conf.py").write_text(CONF.format(ext=str(EXTENSIONS)))
    out = folder / "out"
    app = Sphinx(folder, folder, out, out, "html", warningiserror=True, status=None)
    app.build()
    return BeautifulSoup((out / "index.html").read_text(encoding="utf-8"), "html.parser")


def labels(tab_set):
    return [label.get_text().strip() for label in tab_set.select(".sd-tab-label")]


def test_neighbours_share_a_place(page):
    sets = page.select(".sd-tab-set")
    assert [labels(it) for it in sets] == [["PyTorch", "TensorFlow", "JAX"], ["JAX"], ["PyTorch"]]


def test_each_tab_holds_its_code_without_the_magic_and_its_output(page):
    contents = page.select(".sd-tab-set")[0].select(".sd-tab-content")
    sources = [it.select_one("pre").get_text().strip() for it in contents]
    assert sources == ["import torch\nprint(1)", "import keras", "import jax"]
    said = [it.select_one(".cell_output").get_text().strip() for it in contents]
    assert said == ["from torch", "from keras", "from jax"]


def test_a_choice_holds_for_the_whole_page(page):
    synced = {it["data-sync-id"] for it in page.select(".sd-tab-label[data-sync-group=framework]")}
    assert synced == {"pytorch", "tensorflow", "jax"}


def test_other_cells_stay_as_they_are(page):
    outside = page.select("div.cell_input pre")
    texts = [it.get_text().strip() for it in outside if not it.find_parent(class_="sd-tab-set")]
    assert texts == ["plain = 1", "%%time\nprint(3)"]
    assert "plain" in page.get_text() and "words between" in page.get_text()
