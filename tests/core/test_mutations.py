"""The tests of the arithmetic can fail: a rule is broken in a copy, and the named test notices.

This is not a search for all possible mistakes. It proves that padding and rounding, which decide
every shape of the chapter, are really checked.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import test_flow  # noqa: F401  loads PyTorch, which cannot be loaded again in each run
from common import ROOT

pytest_plugins = ["pytester"]

# What is broken: (the code, its replacement, the test that must fail).
MUTATIONS = {
    "padding counted on one side": (
        "(size + 2 * padding - kernel_size) // stride + 1",
        "(size + padding - kernel_size) // stride + 1",
        "test_named_networks_against_torch[lenet]",
    ),
    "convolutions round up": (
        "(size + 2 * padding - kernel_size) // stride + 1",
        "-(-(size + 2 * padding - kernel_size) // stride) + 1",
        "test_recorded_facts_of_the_chapters_net",
    ),
    "poolings always round down": (
        "if not pool.ceil_mode:",
        "if True:",
        "test_both_rounding_rules_of_the_papers_net",
    ),
    "a last window outside the image counts": (
        "return out - 1 if starts_outside else out",
        "return out",
        "test_pooling_rounds_as_torch_does",
    ),
}


@pytest.fixture
def copy(pytester, monkeypatch) -> Path:
    """A folder with copies of the library and of test_flow.py, which pytest imports from there."""
    folder = pytester.path
    data = shutil.ignore_patterns("__pycache__", "mini", "recorded")
    shutil.copytree(ROOT / "nin_lib", folder / "nin_lib", ignore=data)
    for file in ("core/test_flow.py", "random_specs.py"):
        shutil.copy(ROOT / "tests" / file, folder)
    ours = ("nin_lib", "test_flow", "random_specs")
    for name in [name for name in sys.modules if name.partition(".")[0] in ours]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def run_tests(pytester, *names: str) -> dict[str, int]:
    """How many of these tests of test_flow.py passed and failed."""
    tests = [f"test_flow.py::{name}" for name in names]
    run = pytester.inline_run("-q", "-p", "no:cacheprovider", *tests)
    passed, skipped, failed = run.countoutcomes()
    return {"passed": passed, "skipped": skipped, "failed": failed}


@pytest.mark.slow
def test_an_unchanged_copy_passes(copy: Path, pytester) -> None:
    names = sorted({test for _, _, test in MUTATIONS.values()})
    assert run_tests(pytester, *names) == {"passed": len(names), "skipped": 0, "failed": 0}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_rule_is_noticed(name: str, copy: Path, pytester) -> None:
    right, wrong, test = MUTATIONS[name]
    flow = copy / "nin_lib" / "flow.py"
    code = flow.read_text(encoding="utf-8")
    assert code.count(right) == 1, f"flow.py no longer holds {right!r} once; change MUTATIONS"
    flow.write_text(code.replace(right, wrong), encoding="utf-8")
    assert run_tests(pytester, test) == {"passed": 0, "skipped": 0, "failed": 1}
