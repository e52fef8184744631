"""Make the executed notebooks from their sources, and check that they still belong together.

Each notebook is a pair in notebooks/: people edit `NN_name.py`; `NN_name.ipynb` is made from it.

    python tools/notebooks.py build [NAME ...]   # execute, freeze, write the .ipynb
    python tools/notebooks.py build --quick      # execute twice in one kernel, with NIN_QUICK=1,
                                                 # and write nothing
    python tools/notebooks.py check [NAME ...]   # list everything that is wrong with the pairs

A frozen notebook holds only what another run would produce again: no times, no random ids, no
widget state. Its outputs are what the book shows and what nbval compares.
"""

from __future__ import annotations

import argparse
import base64
import codecs
import copy
import difflib
import io
import os
import re
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import jupytext
import nbformat
import yaml
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from PIL import Image
from traitlets import default

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
MAX_BYTES = 300_000
FEW_COLOURS = 1_024  # plots have fewer, the shades at the edges of their letters included
MIN_COMPARED = 3
CELL_TIMEOUT = 900  # seconds
REMAKE = "run `make notebooks`"
SAVE_AS = "save it as UTF-8 without a byte order mark (BOM)"

# As JupyterLab writes them when it opens a notebook: where they differ, it marks the notebook as
# changed. Only the version of Python is left out, which differs from machine to machine.
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
TEXTS = ("text/plain", "text/html", "image/svg+xml")  # nbval compares these to the letter,
PICTURES = ("image/png", "image/jpeg")  # but not these, whose text/plain is a mere placeholder
UNCOMPARED_TAGS = {"nbval-ignore-output", "nbval-skip"}
UNCOMPARED_COMMENT = re.compile(r"^\s*#+\s*(NBVAL_IGNORE_OUTPUT|NBVAL_SKIP)\s*$", re.MULTILINE)
ANSI_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class NotebookError(Exception):
    """A notebook that cannot be made; the message names it and says why."""


# ---------------------------------------------------------------- freezing


def freeze(nb: NotebookNode) -> NotebookNode:
    """Return a copy of `nb` without anything that changes from one run to the next."""
    nb = copy.deepcopy(nb)
    nb.metadata.pop("widgets", None)
    nb.metadata.get("jupytext", {}).pop("text_representation", None)
    nb.metadata["kernelspec"] = dict(KERNEL)
    nb.metadata["language_info"] = copy.deepcopy(LANGUAGE)
    for number, cell in enumerate(nb.cells, start=1):
        cell["id"] = f"cell-{number:02d}"
        cell.metadata.pop("execution", None)
        cell.metadata = NotebookNode(sorted(cell.metadata.items()))  # order says nothing
        if cell.cell_type == "code":
            cell.outputs = _frozen_outputs(cell.outputs)
    return nb


def _frozen_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    frozen: list[NotebookNode] = []
    for output in outputs:
        if "data" in output:
            output.data.pop(WIDGET_VIEW, None)
            if not output.data:
                continue
            if "image/png" in output.data:
                output.data["image/png"] = _lighter(output.data["image/png"])
        if _continues_stream(frozen, output):
            frozen[-1].text += output.text
        else:
            frozen.append(output)
    return frozen


def _lighter(png: str) -> str:
    """A picture in base64, with a palette if it has few colours: a third of the size."""
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    alpha = image.getchannel("A").getextrema() if image.mode == "RGBA" else (255, 255)
    opaque = image.mode in ("RGB", "RGBA") and alpha == (255, 255)
    if not opaque or image.getcolors(FEW_COLOURS) is None:
        return png
    file = io.BytesIO()
    palette = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    palette.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _continues_stream(before: list[NotebookNode], output: NotebookNode) -> bool:
    return bool(before) and output.output_type == "stream" and before[-1].get("name") == output.name


# ---------------------------------------------------------------- reading


def read_source(py_path: Path) -> NotebookNode:
    """Read a notebook from its .py half.

    Raises:
        NotebookError: the file is not UTF-8, begins with a byte order mark, or has a header that
            is not YAML.
    """
    content = py_path.read_bytes()
    if content.startswith(codecs.BOM_UTF8):
        raise NotebookError(f"{py_path}: begins with a byte order mark; {SAVE_AS}")
    try:
        return jupytext.reads(content.decode("utf-8"), fmt="py:percent")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{content[error.start]:02x}"
        raise NotebookError(f"{py_path}: line {line} is not UTF-8 ({byte}); {SAVE_AS}") from error
    except yaml.YAMLError as error:
        raise NotebookError(f"{py_path}: the header is not valid YAML: {error}") from error


# ---------------------------------------------------------------- building


class _ThisPython(KernelSpecManager):
    """Offers one kernel, the Python that runs this script, whatever is registered elsewhere."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(**get_kernel_dict())


class _KernelManager(AsyncKernelManager):
    @default("kernel_spec_manager")
    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return _ThisPython()


def execute(nb: NotebookNode, folder: Path, quick: bool = False) -> None:
    """Run the cells of `nb` in place, top to bottom, with `folder` as the working directory.

    `quick`: with NIN_QUICK=1, and then once more from the top, as a reader may who changed a cell.
    """
    env = {key: value for key, value in os.environ.items() if key != "NIN_QUICK"}
    if quick:
        env["NIN_QUICK"] = "1"
        nb.cells += copy.deepcopy(nb.cells)
    client = NotebookClient(
        nb,
        kernel_manager_class=_KernelManager,
        extra_arguments=["--log-level=ERROR"],
        timeout=CELL_TIMEOUT,
        force_raise_errors=True,
        store_widget_state=False,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env=env)


def build(py_path: Path, quick: bool = False) -> str:
    """Execute and freeze one notebook, and write it unless `quick`. Return what was done.

    Raises:
        NotebookError: a cell fails or the notebook is too large; the old .ipynb stays as it was.
    """
    ipynb_path = py_path.with_suffix(".ipynb")
    if not py_path.exists():
        raise NotebookError(f"{py_path}: no such file; notebooks are made from their .py half")
    return make(read_source(py_path), py_path, ipynb_path, quick)


def make(nb: NotebookNode, py_path: Path, ipynb_path: Path, quick: bool = False) -> str:
    """Execute `nb`, which comes from `py_path`, beside `ipynb_path`, where it goes; as `build`."""
    try:
        execute(nb, ipynb_path.parent, quick)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise NotebookError(f"{py_path}: {_failed_cell(nb)}\n{error}") from error
    if quick:
        return "ran"
    return _write_if_changed(ipynb_path, nbformat.writes(freeze(nb)) + "\n")


def _failed_cell(nb: NotebookNode) -> str:
    """Name the cell that stopped a run: the one with an error, else the last that was started."""
    code = [(n, cell) for n, cell in enumerate(nb.cells, start=1) if cell.cell_type == "code"]
    failed = [n for n, cell in code if any(o.output_type == "error" for o in cell.outputs)]
    started = [n for n, cell in code if cell.execution_count or cell.outputs]
    return f"cell {(failed or started or [code[0][0]])[-1]} failed"


def _write_if_changed(path: Path, text: str) -> str:
    content = text.encode()
    if len(content) > MAX_BYTES:
        raise NotebookError(f"{path}: {_too_large(len(content))}")
    if path.exists() and path.read_bytes() == content:
        return "unchanged"
    partial = path.with_suffix(".ipynb.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return "written"


def _too_large(size: int) -> str:
    limit = f"{size / 1000:.0f} KB, and a notebook may have {MAX_BYTES // 1000} KB"
    return f"{limit}; make its pictures smaller in the .py, then {REMAKE}"


# ---------------------------------------------------------------- checking


def compared_cells(nb: NotebookNode) -> int:
    """Count the code cells whose stored output nbval really compares with a new run's."""
    return sum(_is_compared(cell) for cell in nb.cells if cell.cell_type == "code")


def _is_compared(cell: NotebookNode) -> bool:
    if UNCOMPARED_TAGS & set(cell.metadata.get("tags") or []):
        return False
    if UNCOMPARED_COMMENT.search(cell.source):
        return False
    return cell.execution_count is not None and any(map(_has_compared_text, cell.outputs))


def _has_compared_text(output: NotebookNode) -> bool:
    if output.output_type == "stream":
        return output.name == "stdout" and bool(output.text.strip())
    data = output.get("data", {})
    if "image/svg+xml" not in data and any(picture in data for picture in PICTURES):
        return False
    return any(data.get(text) for text in TEXTS)


def problems(py_path: Path, ipynb_path: Path) -> list[str]:
    """List what is wrong with one pair; each line names the file, the cell and the rule."""
    if not py_path.exists():
        return [f"{ipynb_path}: its other half {py_path.name} is missing; write it, or delete this"]
    if not ipynb_path.exists():
        return [f"{py_path}: its other half {ipynb_path.name} is missing; {REMAKE}"]
    try:
        source = read_source(py_path)
    except NotebookError as error:
        return [str(error)]
    return differences(source, ipynb_path)


def differences(source: NotebookNode, ipynb_path: Path) -> list[str]:
    """List what is wrong with the notebook at `ipynb_path`, which was made from `source`."""
    try:
        nb = nbformat.read(ipynb_path, as_version=4)
    except (ValueError, AttributeError, nbformat.ValidationError) as error:
        return [f"{ipynb_path}: not a notebook ({error}); {REMAKE}"]
    found = [*_size_problems(ipynb_path), *_step_problems(source, nb), *_cell_problems(nb)]
    found += _compared_problems(nb)
    if not found and freeze(nb) != nb:
        found = [f"not as it was made (metadata, or outputs in pieces); {REMAKE}"]
    return [f"{ipynb_path}: {problem}" for problem in found]


def _size_problems(ipynb_path: Path) -> Iterator[str]:
    if (size := ipynb_path.stat().st_size) > MAX_BYTES:
        yield _too_large(size)


def _step_problems(source: NotebookNode, nb: NotebookNode) -> Iterator[str]:
    """The two halves must say the same: header, prose, code and tags."""
    diff = difflib.unified_diff(
        _as_text(nb), _as_text(source), "the .ipynb says", "the .py says", n=1, lineterm=""
    )
    if lines := list(islice(diff, 12)):
        yield f"out of step with its .py; {REMAKE}\n" + "\n".join(f"    {line}" for line in lines)


def _as_text(nb: NotebookNode) -> list[str]:
    text: str = jupytext.writes(freeze(nb), fmt="py:percent")
    return text.splitlines()


def _cell_problems(nb: NotebookNode) -> Iterator[str]:
    if "widgets" in nb.metadata:
        yield f"saved widget state; {REMAKE}"
    executed = 0
    for number, cell in enumerate(nb.cells, start=1):
        here = f"cell {number}"
        if cell.get("id") != f"cell-{number:02d}":
            yield f"{here} has the id {cell.get('id')!r}, not its position; {REMAKE}"
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        executed += 1
        if cell.execution_count is None:
            yield f"{here} was not executed; {REMAKE}"
        elif cell.execution_count != executed:
            yield f"{here} was executed as number {cell.execution_count}, not {executed}; {REMAKE}"
        for output in cell.outputs:
            yield from (f"{here} {problem}" for problem in _output_problems(output))


def _output_problems(output: NotebookNode) -> Iterator[str]:
    if output.output_type == "error":
        yield f"saved an error, {output.ename}: {output.evalue}; mend it, then {REMAKE}"
    if WIDGET_VIEW in output.get("data", {}):
        yield f"saved a widget view, which shows nothing without its state; {REMAKE}"


def _compared_problems(nb: NotebookNode) -> Iterator[str]:
    chapter = nb.metadata.get("chapter")
    wanted = chapter.get("compared") if isinstance(chapter, dict) else None
    if type(wanted) is not int or wanted < MIN_COMPARED:
        yield (
            f"the header says `chapter: compared: {wanted}`, which must be a number of at least "
            f"{MIN_COMPARED}; set it in the .py, then {REMAKE}"
        )
    elif (count := compared_cells(nb)) < wanted:
        yield (
            f"nbval compares the output of {count} cells, and the header asks for {wanted}; "
            f"{REMAKE}, show more that repeats, or lower the number in the .py"
        )


# ---------------------------------------------------------------- command line


def find_pairs(folder: Path, names: list[str]) -> list[tuple[Path, Path]]:
    """Return the (.py, .ipynb) paths of all notebooks in `folder`, or of those named."""
    halves = [*folder.glob("[0-9][0-9]_*.py"), *folder.glob("[0-9][0-9]_*.ipynb")]
    known = sorted({path.stem for path in halves})
    if not known:
        raise NotebookError(f"{folder}: no notebooks (NN_name.py) here")
    wanted = [Path(name).stem for name in names] or known
    if unknown := [name for name in wanted if name not in known]:
        raise NotebookError(f"no notebook called {unknown[0]}; there are {', '.join(known)}")
    return [(folder / f"{stem}.py", folder / f"{stem}.ipynb") for stem in wanted]


def _build_all(pairs: list[tuple[Path, Path]], quick: bool) -> None:
    for py_path, _ in pairs:
        print(f"{py_path.stem} ... ", end="", flush=True)
        start = time.perf_counter()
        print(f"{build(py_path, quick)} ({time.perf_counter() - start:.0f} s)")


def _check_all(pairs: list[tuple[Path, Path]]) -> None:
    found = [line for py_path, ipynb_path in pairs for line in problems(py_path, ipynb_path)]
    if found:
        raise NotebookError("\n".join(found))
    print(f"{len(pairs)} pairs of notebooks are in step, executed and frozen")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Make the notebooks, or check them.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the notebooks are")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="execute each .py, freeze it, write its .ipynb")
    make.add_argument("--quick", action="store_true", help="run twice; write nothing")
    check = commands.add_parser("check", help="list everything that is wrong with the pairs")
    for command in (make, check):
        command.add_argument("names", nargs="*", metavar="NAME", help="such as 01_why_nin")
    args = parser.parse_args(argv)
    try:
        pairs = find_pairs(args.folder, args.names)
        _build_all(pairs, args.quick) if args.command == "build" else _check_all(pairs)
    except NotebookError as error:
        print(f"\n{ANSI_COLOUR.sub('', str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
