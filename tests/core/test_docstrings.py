"""The examples (`>>>`) in the library's docstrings: each is run, and gives what it says."""

import doctest
import importlib

import pytest
from common import ROOT

EXAMPLES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): source.count(">>> ")
    for path in sorted((ROOT / "nin_lib").rglob("*.py"))
    if ">>> " in (source := path.read_text(encoding="utf-8"))
}


def test_there_are_examples():
    assert {"nin_lib.spec", "nin_lib.networks", "nin_lib.recipe"} <= EXAMPLES.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name):
    """None is overlooked: doctest finds those of docstrings only, not of comments."""
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert failed == 0
    assert attempted == EXAMPLES[name]
