"""The tests of the arithmetic can fail: a rule is broken in a copy, and the named test notices.

Not a search for all possible mistakes; it holds that padding and rounding, which decide every
shape of the chapter, are really looked at.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from common import ROOT

# What is broken: (the code, what stands there instead, the test that must fail).
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


def run_tests(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Run some tests of test_flow.py in `folder`, on the nin_lib that lies there."""
    tests = [f"tests/core/test_flow.py::{name}" for name in names]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{folder / 'tests'}"},
        capture_output=True,
        text=True,
    )


def copy_code(folder: Path) -> Path:
    """Copy nin_lib, test_flow.py and what it shares with other tests; the data stay behind."""
    data = shutil.ignore_patterns("__pycache__", "mini", "recorded")
    shutil.copytree(ROOT / "nin_lib", folder / "nin_lib", ignore=data)
    (folder / "tests" / "core").mkdir(parents=True)
    for file in ("core/test_flow.py", "random_specs.py"):
        shutil.copy(ROOT / "tests" / file, folder / "tests" / file)
    return folder


def test_an_unchanged_copy_passes(tmp_path: Path) -> None:
    names = sorted({test for _, _, test in MUTATIONS.values()})
    run = run_tests(copy_code(tmp_path), *names)
    assert run.returncode == 0, run.stdout
    assert f"{len(names)} passed" in run.stdout


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_rule_is_noticed(name: str, tmp_path: Path) -> None:
    right, wrong, test = MUTATIONS[name]
    flow = copy_code(tmp_path) / "nin_lib" / "flow.py"
    code = flow.read_text(encoding="utf-8")
    assert code.count(right) == 1, f"flow.py no longer holds {right!r} once; mend MUTATIONS"
    flow.write_text(code.replace(right, wrong), encoding="utf-8")
    run = run_tests(tmp_path, test)
    assert run.returncode == 1, run.stdout + run.stderr  # 1: a test failed; 2 and up: none ran
    assert f"FAILED tests/core/test_flow.py::{test}" in run.stdout
