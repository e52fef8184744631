"""Every figure in a notebook's text comes from a cell of the same notebook.

A figure is a decimal, a percentage, or a number of three digits or more. It is covered when the
same number stands in what a cell printed, or in a cell's code (where it is asserted, or goes in).
Years are no figures, nor is what stands in a question, in code marks or in the address of a link.
What a prediction says about its choices is text too, although it stands in a cell.
"""

import json
import re

import nbformat
import pytest
from bs4 import BeautifulSoup
from common import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from nin_lib.widgets import Choice, Predict

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))

NUMBER = re.compile(r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)(\s?%)?(?![\w]|\.\d|,\d{3})")
YEAR = re.compile(r"(19|20)\d\d")
QUESTION = re.compile(r"(?:[^.!?:\n]|\.(?=\d))*\?")
NOT_PROSE = re.compile(r"`[^`]*`|\]\([^)]*\)|https?://\S+|<[^>]*>")

# notebook → figure → why no cell of it shows the figure
EXCEPTIONS = {
    "05_training": {"224": "the input of notebook 4's network, for readers who run the full size"},
}


def figures(text: str) -> set[str]:
    """The figures in a text, as they are written but for thousands' commas."""
    found = set()
    for number, percent in NUMBER.findall(QUESTION.sub(" ", NOT_PROSE.sub(" ", text))):
        plain = number.replace(",", "")
        big = len(plain) >= 3 and not YEAR.fullmatch(plain)
        if percent or "." in plain or big:
            found.add(plain + percent.strip())
    return found


def shown(nb) -> set[str]:
    """All numbers in the code and the outputs, without commas; a share also as a percentage."""
    words = []
    for cell in nb.cells:
        if cell.cell_type == "code" and not reasons(cell):
            words.append(cell.source.replace("_", ""))
            words += [text_of(output) for output in cell.outputs]
    numbers = re.findall(r"\d[\d,]*(?:\.\d+)?\s?%?", " ".join(words))
    return {re.sub(r"[,\s]", "", number) for number in numbers}


def text_of(output) -> str:
    data = output.get("data", {})
    html = BeautifulSoup(data.get("text/html", ""), "html.parser").get_text(" ")
    return " ".join([output.get("text", ""), data.get("text/plain", ""), html])


def reasons(cell) -> list[str]:
    """What the predictions in a cell's outputs say about their choices."""
    pages = [output.get("data", {}).get("text/html", "") for output in cell.get("outputs", ())]
    found = BeautifulSoup("".join(pages), "html.parser").select("nin-choices")
    asked = [json.loads(it["data-config"])["question"] for it in found]
    return [choice["why"] for question in asked for choice in question["choices"]]


def uncovered(nb) -> set[str]:
    text = [cell.source for cell in nb.cells if cell.cell_type == "markdown"]
    prose = " ".join(sum(map(reasons, nb.cells), text))
    return {it for it in figures(prose) - shown(nb) if it.rstrip("%") not in shown(nb)}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_cell_shows_every_figure_of_the_text(path):
    excused = EXCEPTIONS.get(path.stem, {})
    found = uncovered(nbformat.read(path, as_version=4))
    assert found == set(excused), (
        f"{path.stem}: {sorted(found - set(excused))} in the text and in no cell; "
        f"{sorted(set(excused) - found)} need no exception"
    )


def test_what_counts_as_a_figure():
    text = (
        "In 2014, 12 maps of 224×224, `3.5`, 1,992,166 weights, 0.9 or 46 %, 7. [x](y_123.md) v1.5"
    )
    assert figures(text) == {"224", "1992166", "0.9", "46%"}
    assert figures("It is 0.5. What if it were 0.7 or 300? Then: 0.9.") == {"0.5", "0.9"}


def test_a_figure_that_no_cell_shows_is_found():
    cells = [new_markdown_cell("Of 1,234 images 56.7 % are right."), new_code_cell("print(1_234)")]
    assert uncovered(new_notebook(cells=cells)) == {"56.7%"}


def test_a_prediction_is_text_and_shows_no_figure():
    choices = [Choice("7.5", False, "It is 8.5."), Choice("8.5", True, "As 9.5 is above.")]
    html = Predict("Is it 6.5?", choices).to_html()
    source = 'Predict("Is it 6.5?", [Choice("7.5", False, "It is 8.5."), ...])'
    output = new_output("execute_result", {"text/html": html})
    cells = [new_code_cell(source, outputs=[output]), new_code_cell("print(9.5)")]
    assert uncovered(new_notebook(cells=cells)) == {"8.5"}
