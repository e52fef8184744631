"""The shape of the library: what a newcomer is promised about its size, its arrows and its map."""

import ast
import io
import re
import shutil
import subprocess
import sys
import tokenize

import pytest
from common import ROOT

from tools import readme

READING_PATH = ("spec", "networks", "flow", "recipe", "torch", "train")
SILENT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)


def docstring_lines(tree):
    lines = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
            node
        ):
            lines |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def code_lines(source):
    """Lines without blank ones, comments and docstrings."""
    silent = docstring_lines(ast.parse(source))
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT and token.string:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - silent)


def test_code_is_counted_as_a_reader_would():
    source = (
        '"""Doc."""\n\nimport os  # a comment\n# another\n\n'
        'def f():\n    "Doc."\n    return (\n        1\n    )\n'
    )
    assert code_lines(source) == 5


def test_the_reading_path_takes_an_evening():
    sources = [(ROOT / "nin_lib" / f"{name}.py").read_text("utf-8") for name in READING_PATH]
    assert sum(map(code_lines, sources)) <= 750
    assert sum(source.count("\n") for source in sources) <= 1100
    functions = {
        node.name: node for node in ast.walk(ast.parse(sources[-1])) if hasattr(node, "name")
    }
    assert functions["fit"].end_lineno - functions["fit"].lineno < 80


@pytest.fixture
def lint_imports(tmp_path):
    """Check the contracts on a copy of the library, with a line added to one module."""
    shutil.copytree(
        ROOT / "nin_lib", tmp_path / "nin_lib", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as run; run()",
    ]

    def run(module=None, line=""):
        if module:
            with (tmp_path / "nin_lib" / module).open("a", encoding="utf-8") as file:
                file.write(f"\n{line}\n")
        done = subprocess.run(
            [*command, "--no-cache"], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        return done.returncode, done.stdout

    return run


@pytest.mark.slow
def test_the_import_contracts_hold(lint_imports):
    status, said = lint_imports()
    assert status == 0 and "4 kept, 0 broken" in said, said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("train.py", "from . import progress", "only what is below it"),
        (
            "recorded/__init__.py",
            "def curves():\n    from ..widgets import LiveCurves",
            "only what",
        ),
        ("runtime/checkpointer.py", "def run():\n    from ..train import Run", "only what"),
        ("runtime/memory.py", "from .model_check import check_loss", "No import cycle"),
        ("spec.py", "def tensor():\n    import torch", "import no framework"),
        ("cli.py", "def train():\n    import jax", "Only d2l"),
    ],
)
def test_an_old_edge_breaks_a_contract(lint_imports, module, line, broken):
    status, said = lint_imports(module, line)
    assert status == 1 and re.search(rf"{broken}.* BROKEN", said), said


def test_fit_shows_nothing_unless_it_is_asked_to():
    from inspect import signature

    from nin_lib.train import fit

    assert signature(fit).parameters["observers"].default == ()


# ---- the map in the README


def test_the_map_is_what_the_modules_say():
    text = readme.README.read_text("utf-8")
    assert readme.filled(text) == text, "python -m tools.readme build"


def test_every_module_is_on_the_map():
    folder = ROOT / "nin_lib"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    folders = {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    assert sorted(module for group in readme.GROUPS.values() for module in group) == sorted(
        modules | folders
    )


def test_a_module_that_says_something_else_is_noticed(monkeypatch):
    text = readme.README.read_text("utf-8")
    monkeypatch.setattr(readme, "first_line", lambda module: "Something else")
    assert readme.filled(text) != text


def test_badges_appear_with_an_address(monkeypatch):
    assert readme.badges() == ""
    url = "https://github.com/some-owner/some-name"
    config = {"sphinx": {"config": {"html_theme_options": {"repository_url": url}}}}
    monkeypatch.setattr(readme.yaml, "safe_load", lambda text: config)
    assert readme.badges().count(f"[![check]({url}/actions/workflows/check.yml/badge.svg)]") == 1
