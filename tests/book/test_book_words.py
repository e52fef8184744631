"""Words of the book: what its search takes for one, and how a notebook cites."""

import json
import re

import pytest
from common import ROOT

from book._ext import citations, search_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A 1×1 convolution.", ["A", "1×1", "convolution"]),
        ("3x3, 5X5 and 384×5×5", ["3×3", "5×5", "and", "384×5×5"]),
        ("a loss of 2.303.", ["a", "loss", "of", "2.303"]),
        ("1,992,166 parameters", ["1,992,166", "parameters"]),
        ("max in nin_3x", ["max", "in", "nin_3x"]),
    ],
)
def test_products_and_decimals_are_words(text, words):
    assert search_words.SearchWords({}).split(text) == words


def test_a_link_to_a_reference_becomes_a_citation():
    text = "A [list]: [He 2015](../book/references.bib#he2015delving), [x](y.md)"
    source = [json.dumps({"cells": [{"source": ["no [1]", text]}]})]
    before = list(source)
    citations.cite(None, "notebooks/03_nin_block", source)
    cited = json.loads(source[0])["cells"][0]["source"][1]
    assert cited == "A [list]: He 2015 {cite}`he2015delving`, [x](y.md)"
    citations.cite(None, "book/index", before)
    assert before == [json.dumps({"cells": [{"source": ["no [1]", text]}]})]


def test_what_notebooks_cite_is_in_the_list():
    listed = set(re.findall(r"@\w+\{(\w+)", (ROOT / "book/references.bib").read_text("utf-8")))
    assert len(listed) >= 18
    for path in [*ROOT.glob("notebooks/*.py"), *ROOT.glob("exercises/*.py")]:
        cited = re.findall(r"references\.bib#(\w+)", path.read_text("utf-8"))
        assert set(cited) <= listed, path.name
