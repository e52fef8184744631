"""The core notebooks have cells tagged for slides, and only tags that mean something."""

import json

import jupytext
import pytest
from common import ROOT

from book._ext import slides

CORE = sorted((ROOT / "notebooks").glob("0[1-8]_*.py"))


def slide_tags(cell) -> list[str]:
    return [tag for tag in cell.metadata.get("tags", []) if tag.startswith("slide")]


def test_the_core_is_eight_notebooks():
    assert len(CORE) == 8


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_a_core_notebook_has_slides(path):
    cells = jupytext.read(path, fmt="py:percent").cells
    tags = [slide_tags(cell) for cell in cells]
    assert 8 <= sum("slide" in own for own in tags) <= 20
    assert tags[0] == ["slide"], "the title is the first slide"
    (last,) = [own for cell, own in zip(cells, tags, strict=True) if "## Take-aways" in cell.source]
    assert last == ["slide"]


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_its_tags_are_known(path):
    for cell in jupytext.read(path, fmt="py:percent").cells:
        tags = slide_tags(cell)
        places = {"slide", "slide-more"} & set(tags)
        assert len(places) == bool(tags), f"{tags}: one place, in front of {cell.source[:50]!r}"
        if set(tags) != places:
            assert set(tags) - places == {"slide-output"} and cell.cell_type == "code", tags


def test_only_tagged_text_is_marked():
    cells = [
        {"cell_type": kind, "metadata": {"tags": tags}, "source": [kind]}
        for kind in ("markdown", "code")
        for tags in (["slide"], ["slide-more"], ["other"])
    ]
    source = [json.dumps({"cells": cells})]
    slides.mark_text(None, "notebooks/01_name", source)
    found = ["".join(cell["source"]) for cell in json.loads(source[0])["cells"]]
    assert 'class="slide-mark tag_slide"' in found[0] and "\n\nmarkdown\n\n" in found[0]
    assert 'class="slide-mark tag_slide-more"' in found[1]
    assert found[2:] == ["markdown", "code", "code", "code"]


def test_other_pages_stay_as_they_are():
    cell = {"cell_type": "markdown", "metadata": {"tags": ["slide"]}, "source": "text"}
    for page in ("exercises/01_name", "book/index"):
        source = [before := json.dumps({"cells": [cell]})]
        slides.mark_text(None, page, source)
        assert source == [before]
