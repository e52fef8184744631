"""The checks of the notebooks can fail: a fault is put into a copy, and a named check finds it.

Two checks share the work. nbval runs a notebook again and compares its outputs; `tools/notebooks.py
check` reads both halves of a pair and finds what nbval does not look at.
"""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import numpy as np
import pytest
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelspec import get_kernel_dict
from nbconvert import ScriptExporter
from nbformat import NotebookNode
from nbformat.v4 import new_output
from PIL import Image

from tools import notebooks

HEADER = """\
# ---
# jupyter:
#   chapter:
#     compared: 3
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

"""
SAMPLE = (
    HEADER
    + """\
# %% [markdown]
# # A sample

# %%
import os, sys, time
from pathlib import Path

print("numbers:")
print(sum(range(10)), flush=True)
time.sleep(0.3)  # so that the next line comes in a message of its own
print("sum")

# %%
6 * 7

# %%
from IPython.display import HTML

HTML("<b>7</b>")

# %% tags=["nbval-ignore-output"]
print(Path(sys.executable), os.environ.get("NIN_QUICK"))
"""
)
REAL_PAIRS = [path.stem for path in sorted(notebooks.FOLDER.glob("[0-9][0-9]_*.ipynb"))]
WIDGET = {notebooks.WIDGET_VIEW: {"model_id": "1f", "version_major": 2, "version_minor": 0}}


class Pair:
    """A copy of a pair, to be spoilt."""

    def __init__(self, folder: Path, stem: str) -> None:
        self.py, self.ipynb = folder / f"{stem}.py", folder / f"{stem}.ipynb"

    def copy(self, folder: Path) -> Pair:
        for half in (self.py, self.ipynb):
            shutil.copy(half, folder)
        return Pair(folder, self.py.stem)

    def read(self) -> NotebookNode:
        return nbformat.read(self.ipynb, as_version=4)

    def change(self, edit: Callable[[NotebookNode], object]) -> None:
        nb = self.read()
        edit(nb)
        nbformat.write(nb, self.ipynb)

    def problems(self) -> str:
        return "\n".join(notebooks.problems(self.py, self.ipynb))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("sample")
    pair = Pair(folder, "01_sample")
    pair.py.write_text(SAMPLE)
    assert notebooks.build(pair.py) == "written"
    return pair


@pytest.fixture
def pair(made: Pair, tmp_path: Path) -> Pair:
    return made.copy(tmp_path)


def nbval(path: Path) -> subprocess.CompletedProcess[str]:
    options = ["--nbval", "--nbval-current-env", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, path.name],
        cwd=path.parent,
        capture_output=True,
        text=True,
    )


def code_cells(nb: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


# ---------------------------------------------------------------- what a good pair is


@pytest.mark.slow
def test_a_pair_as_it_was_made_passes_both_checks(pair: Pair) -> None:
    assert pair.problems() == ""
    run = nbval(pair.ipynb)
    assert run.returncode == 0, run.stdout
    assert "4 passed" in run.stdout


@pytest.mark.slow
def test_making_a_notebook_twice_changes_nothing(pair: Pair) -> None:
    before = pair.ipynb.read_bytes()
    assert notebooks.build(pair.py) == "unchanged"
    pair.ipynb.unlink()
    assert notebooks.build(pair.py) == "written"
    assert pair.ipynb.read_bytes() == before.replace(b"\r\n", b"\n")


def test_a_made_notebook_holds_nothing_of_its_run(pair: Pair) -> None:
    nb = pair.read()
    assert [cell.id for cell in nb.cells] == [f"cell-{n:02d}" for n in range(1, 6)]
    assert [cell.execution_count for cell in code_cells(nb)] == [1, 2, 3, 4]
    assert "version" not in nb.metadata.language_info
    assert [output.text for output in nb.cells[1].outputs] == ["numbers:\n45\nsum\n"]
    assert all(set(cell.metadata) <= {"tags"} for cell in nb.cells)


def test_metadata_are_what_jupyterlab_writes_but_for_pythons_version(pair: Pair) -> None:
    """JupyterLab compares them with what the kernel reports, and else asks to save a notebook."""
    metadata = pair.read().metadata
    reported = {k: v for k, v in IPythonKernel.language_info.items() if k != "version"}
    assert metadata.language_info == reported
    kernel = {"name": "python3"} | {k: get_kernel_dict()[k] for k in ("display_name", "language")}
    assert metadata.kernelspec == kernel


def test_nbconvert_writes_a_python_script(pair: Pair) -> None:
    script, resources = ScriptExporter().from_filename(str(pair.ipynb))
    assert resources["output_extension"] == ".py"
    assert "6 * 7" in script


def test_notebooks_run_on_the_python_that_makes_them(pair: Pair) -> None:
    assert pair.read().cells[-1].outputs[0].text == f"{Path(sys.executable)} None\n"


def test_a_quick_run_says_so_to_the_notebook_and_writes_nothing(pair: Pair) -> None:
    pair.py.write_text(HEADER + '# %%\nimport os\nassert os.environ["NIN_QUICK"] == "1"\n')
    before = pair.ipynb.read_bytes()
    assert notebooks.build(pair.py, quick=True) == "ran"
    assert pair.ipynb.read_bytes() == before


def test_a_quick_run_runs_the_cells_twice_in_one_kernel(pair: Pair) -> None:
    once = HEADER + '# %%\nassert "x" not in globals()\n\n# %%\nx = 1\n'
    pair.py.write_text(once)
    with pytest.raises(notebooks.NotebookError, match="cell 3 failed"):
        notebooks.build(pair.py, quick=True)


def test_a_failing_cell_is_named_and_the_old_notebook_stays(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    pair.py.write_text(HEADER + "# %%\nx = 0\n\n# %%\n1 / x\n\n# %%\nx\n")
    before = pair.ipynb.read_bytes()
    assert notebooks.main(["--folder", str(pair.py.parent), "build", "01_sample"]) == 1
    said = capsys.readouterr().err
    assert "01_sample.py: cell 2 failed" in said
    assert "ZeroDivisionError" in said
    assert "\x1b" not in said
    assert pair.ipynb.read_bytes() == before
    assert sorted(path.name for path in pair.py.parent.iterdir()) == [pair.ipynb.name, pair.py.name]


def test_a_notebook_that_grew_too_large_is_not_written(pair: Pair) -> None:
    before = pair.ipynb.read_bytes()
    pair.py.write_text(HEADER + "# %%\nprint('x' * 300_000)\n")
    with pytest.raises(notebooks.NotebookError, match="300 KB; make its pictures smaller"):
        notebooks.build(pair.py)
    assert pair.ipynb.read_bytes() == before


def test_freezing_drops_widget_views_and_state_and_leaves_its_argument_alone(pair: Pair) -> None:
    nb = pair.read()
    nb.metadata["widgets"] = {"state": {}}
    nb.cells[1].metadata["execution"] = {"iopub.status.busy": "2024-01-01T00:00:00Z"}
    nb.cells[1].outputs = [
        new_output("display_data", dict(WIDGET)),
        new_output("display_data", {**WIDGET, "text/plain": "a table"}),
    ]
    frozen = notebooks.freeze(nb)
    assert [dict(output.data) for output in frozen.cells[1].outputs] == [{"text/plain": "a table"}]
    assert "widgets" not in frozen.metadata
    assert "execution" not in frozen.cells[1].metadata
    assert "widgets" in nb.metadata
    assert notebooks.WIDGET_VIEW in nb.cells[1].outputs[0].data


def png(array: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_freezing_gives_a_plot_a_palette_and_leaves_a_photograph_alone(pair: Pair) -> None:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (200, 3), dtype=np.uint8)
    plot = colours[rng.integers(0, 200, (64, 64))]
    photograph = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    see_through = np.zeros((8, 8, 4), np.uint8)
    nb = pair.read()
    pictures = [png(plot), png(photograph), png(see_through)]
    nb.cells[1].outputs = [new_output("display_data", {"image/png": data}) for data in pictures]
    frozen = notebooks.freeze(nb)
    light, *others = [output.data["image/png"] for output in frozen.cells[1].outputs]
    assert others == pictures[1:]
    assert len(light) < len(pictures[0]) / 2
    with Image.open(io.BytesIO(base64.b64decode(light))) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), plot)
    assert notebooks.freeze(frozen) == frozen


# ---------------------------------------------------------------- faults that nbval finds


@pytest.mark.slow
def test_nbval_finds_one_changed_number(pair: Pair) -> None:
    text = pair.ipynb.read_text()
    assert text.count('"42"') == 1
    pair.ipynb.write_text(text.replace('"42"', '"43"'))
    run = nbval(pair.ipynb)
    assert "1 failed, 3 passed" in run.stdout, run.stdout


@pytest.mark.slow
def test_nbval_and_the_check_find_one_emptied_output(pair: Pair) -> None:
    pair.change(lambda nb: nb.cells[2].outputs.clear())
    run = nbval(pair.ipynb)
    assert "1 failed, 3 passed" in run.stdout, run.stdout
    assert "compares the output of 2 cells, and the header asks for 3" in pair.problems()


# ---------------------------------------------------------------- faults that only the check finds


def clear_all(nb: NotebookNode) -> None:
    for cell in code_cells(nb):
        cell.outputs, cell.execution_count = [], None


@pytest.mark.slow
def test_the_check_finds_cleared_outputs_and_nbval_does_not(pair: Pair) -> None:
    pair.change(clear_all)
    assert nbval(pair.ipynb).returncode == 0
    assert "cell 2 was not executed" in pair.problems()
    assert "compares the output of 0 cells" in pair.problems()


def save_an_error(nb: NotebookNode) -> None:
    error = new_output("error", ename="ValueError", evalue="no", traceback=[])
    nb.cells[4].outputs = [error]


def swap_counts(nb: NotebookNode) -> None:
    nb.cells[1].execution_count, nb.cells[2].execution_count = 2, 1


def ignore_two_outputs(nb: NotebookNode) -> None:
    nb.cells[1].metadata["tags"] = ["nbval-ignore-output"]
    nb.cells[2].source = "# NBVAL_IGNORE_OUTPUT\n6 * 7"


FAULTS: dict[str, tuple[Callable[[NotebookNode], object], str]] = {
    "cell deleted": (lambda nb: nb.cells.pop(2), "-6 * 7|+6 * 7"),
    "last cell deleted": (lambda nb: nb.cells.pop(), "out of step"),
    "code edited": (lambda nb: nb.cells[2].update(source="7 * 6"), "    -7 * 6\n    +6 * 7"),
    "prose edited": (lambda nb: nb.cells[0].update(source="# Other"), "out of step"),
    "tag edited": (lambda nb: nb.cells[4].metadata.update(tags=[]), "out of step"),
    "number asked for edited": (lambda nb: nb.metadata.chapter.update(compared=4), "out of step"),
    "one count cleared": (
        lambda nb: nb.cells[2].update(execution_count=None),
        "cell 3 was not executed",
    ),
    "counts out of order": (swap_counts, "cell 2 was executed as number 2, not 1"),
    "count skipped": (
        lambda nb: nb.cells[4].update(execution_count=9),
        "cell 5 was executed as number 9, not 4",
    ),
    "error saved": (save_an_error, "cell 5 saved an error, ValueError: no"),
    "widget state saved": (lambda nb: nb.metadata.update(widgets={}), "saved widget state"),
    "widget view saved": (
        lambda nb: nb.cells[3].outputs[0].data.update(WIDGET),
        "cell 4 saved a widget view",
    ),
    "random id": (lambda nb: nb.cells[2].update(id="5a9e"), "cell 3 has the id '5a9e'"),
    "outputs ignored": (ignore_two_outputs, "compares the output of 1 cells"),
    "too large": (
        lambda nb: nb.cells[4].outputs[0].update(text="x" * 300_000),
        "a notebook may have 300 KB",
    ),
    "times saved": (
        lambda nb: nb.cells[1].metadata.update(execution={"iopub.execute_input": "2024-01-01"}),
        "not as it was made",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_check_finds_a_fault_in_the_ipynb(pair: Pair, fault: str) -> None:
    edit, message = FAULTS[fault]
    pair.change(edit)
    found = pair.problems()
    assert any(part in found for part in message.split("|")), found
    assert found.startswith(f"{pair.ipynb}: ")
    assert "make notebooks" in found


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("6 * 7", "6 * 8", "    -6 * 7\n    +6 * 8"),
        ("# # A sample", "# # Another", "out of step"),
        ("compared: 3", "compared: 4", "out of step"),
        ('# %% tags=["nbval-ignore-output"]', "# %%", "out of step"),
    ],
)
def test_the_check_finds_an_edited_py(pair: Pair, before: str, after: str, message: str) -> None:
    text = pair.py.read_text()
    assert text.count(before) == 1
    pair.py.write_text(text.replace(before, after))
    assert message in pair.problems()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xef\xbb\xbf" + SAMPLE.encode(), "begins with a byte order mark"),
        (SAMPLE.encode("utf-16"), "line 1 is not UTF-8 (byte 0xff)"),
        (
            SAMPLE.replace("sample", "na\xefve").encode("latin-1"),
            "line 15 is not UTF-8 (byte 0xef)",
        ),
        (SAMPLE.replace("compared: 3", "compared: [").encode(), "the header is not valid YAML"),
    ],
    ids=["BOM", "UTF-16", "Latin-1", "YAML"],
)
def test_a_source_that_cannot_be_read_is_named(
    pair: Pair, content: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Making the notebook again would not help, so nobody is told to."""
    pair.py.write_bytes(content)
    for command in ("check", "build"):
        assert notebooks.main(["--folder", str(pair.py.parent), command]) == 1
        said = capsys.readouterr().err
        assert f"01_sample.py: {message}" in said
        assert "make notebooks" not in said


def test_an_old_notebook_in_another_encoding_is_replaced(pair: Pair) -> None:
    made = pair.ipynb.read_bytes()
    pair.ipynb.write_bytes("caf\xe9".encode("latin-1"))
    assert "not a notebook" in pair.problems()
    assert notebooks._write_if_changed(pair.ipynb, made.decode()) == "written"


@pytest.mark.parametrize("wanted", ["compared: 2", "compared: many", "nothing: 3"])
def test_the_check_insists_on_a_number_of_compared_outputs(pair: Pair, wanted: str) -> None:
    for half in (pair.py, pair.ipynb):
        as_json = wanted.replace("compared", '"compared"').replace("nothing", '"nothing"')
        as_json = as_json.replace("many", '"many"')
        text = half.read_text().replace('"compared": 3', as_json)
        half.write_text(text.replace("compared: 3", wanted))
    assert "which must be a number of at least 3" in pair.problems()


def test_pictures_do_not_count_as_compared(pair: Pair) -> None:
    nb = pair.read()
    assert notebooks.compared_cells(nb) == 3
    nb.cells[2].outputs[0].data["image/png"] = "iVBORw0KGgo="
    assert notebooks.compared_cells(nb) == 2
    nb.cells[1].outputs[0].name = "stderr"
    assert notebooks.compared_cells(nb) == 1


def test_the_tags_that_switch_comparing_off_are_those_of_nbval() -> None:
    plugin = pytest.importorskip("nbval.plugin")
    assert plugin.metadata_tags["nbval-ignore-output"] == ("check", False)
    assert plugin.metadata_tags["nbval-skip"] == "skip"
    assert all(tag in plugin.metadata_tags for tag in notebooks.UNCOMPARED_TAGS)


@pytest.mark.parametrize("missing", ["py", "ipynb"])
def test_half_a_pair_fails(pair: Pair, missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    getattr(pair, missing).unlink()
    assert notebooks.main(["--folder", str(pair.py.parent), "check"]) == 1
    assert f"01_sample.{missing} is missing" in capsys.readouterr().err


def test_a_file_that_is_no_notebook_fails(pair: Pair) -> None:
    pair.ipynb.write_text("<<<<<<< HEAD\n")
    assert "not a notebook" in pair.problems()


def test_all_problems_of_all_pairs_are_listed(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    for half in (pair.py, pair.ipynb):
        shutil.copy(half, half.with_stem("02_other"))
    pair.change(swap_counts)
    Pair(pair.py.parent, "02_other").change(save_an_error)
    assert notebooks.main(["--folder", str(pair.py.parent), "check"]) == 1
    said = capsys.readouterr().err
    assert said.count("01_sample.ipynb: cell") == 2
    assert "02_other.ipynb: cell 5" in said


def test_an_empty_folder_and_an_unknown_name_fail(
    pair: Pair, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path_factory.mktemp("empty")
    assert notebooks.main(["--folder", str(empty), "check"]) == 1
    assert "no notebooks" in capsys.readouterr().err
    assert notebooks.main(["--folder", str(pair.py.parent), "check", "03_none"]) == 1
    assert "no notebook called 03_none; there are 01_sample" in capsys.readouterr().err


# ---------------------------------------------------------------- the same, on the chapter's own


@pytest.mark.parametrize("stem", REAL_PAIRS)
def test_the_check_finds_faults_in_the_chapters_notebooks(stem: str, tmp_path: Path) -> None:
    good = Pair(notebooks.FOLDER, stem)
    assert good.problems() == ""

    def spoilt(edit: Callable[[NotebookNode], object]) -> str:
        copy = good.copy(tmp_path)
        copy.change(edit)
        return copy.problems()

    last = [n for n, cell in enumerate(good.read().cells) if cell.cell_type == "code"][-1]
    assert "was not executed" in spoilt(clear_all)
    assert "out of step" in spoilt(lambda nb: nb.cells.pop(last))
    assert "out of step" in spoilt(lambda nb: nb.cells[last].update(source="pass"))
    assert "out of step" in spoilt(lambda nb: nb.cells[0].update(source="other"))
    assert "nbval compares the output of 0" in spoilt(
        lambda nb: [cell.update(outputs=[]) for cell in code_cells(nb)]
    )
