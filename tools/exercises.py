"""Make both versions of the exercises from their sources, and check that they are still in step.

    python -m tools.exercises build [NAME ...]   # execute, freeze, write
    python -m tools.exercises build --quick      # as tools/notebooks.py does it
    python -m tools.exercises check [NAME ...]   # list everything that is wrong

People edit `exercises/NN_name.py`, written with solutions. From it come

- `notebooks/exercises/NN_name.ipynb`, the student's: what stands between `# given` and `# solution`
  is kept, what stands between `# solution` and `# end` goes, and so do cells tagged `solution`;
- `exercises/NN_name.ipynb`, the page of the book: the given code, and folded below it the solution,
  executed, up to the next text that is not tagged `solution`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from tools import notebooks
from tools.notebooks import NotebookError

FOLDER = Path(__file__).resolve().parent.parent / "exercises"
BLANK = re.compile(r"^ *# given\n(.*?)^ *# solution\n(.*?)^ *# end$\n?", re.MULTILINE | re.DOTALL)
MARKER = re.compile(r"^ *# (given|solution|end)\b", re.MULTILINE)

FOR_STUDENTS = (
    "Put your own code or numbers in the place of each `...`, run the cell, then run the check "
    "below it. A check that fails says what is wrong; try as often as you like. The solutions are "
    "in the book (`make site`), under *Exercises*."
)
FOR_READERS = (
    "Try each exercise before you open its solution. To have your answers checked, work in the "
    "notebook: `make lab` puts it into `my_notebooks/exercises/`, or [download it]({link}) and "
    "open it where `nin_lib` is installed."
)


def students(source: NotebookNode, name: str) -> list[NotebookNode]:
    """The cells of the student's version: no solutions, and links as seen from its folder."""
    cells = [cell for cell in source.cells if not is_solution(cell)]
    for cell in cells:
        cell.source = blanked(cell) if cell.cell_type == "code" else cell.source
        cell.source = cell.source.replace("](../notebooks/", "](../")
    return [cells[0], new_markdown_cell(FOR_STUDENTS), *cells[1:]]


def readers(source: NotebookNode, name: str) -> list[NotebookNode]:
    """The cells of the page: the given code, and the executed solution in a fold of its own."""
    link = f"path:../notebooks/exercises/{name}.ipynb"
    cells = [source.cells[0], new_markdown_cell(FOR_READERS.format(link=link))]
    folded = False
    for cell in source.cells[1:]:
        if folded and cell.cell_type == "markdown" and not is_solution(cell):
            cells.append(new_markdown_cell("</details>"))
            folded = False
        if has_blank(cell):
            given = new_markdown_cell(f"```python\n{blanked(cell)}\n```")
            opening = new_markdown_cell("<details><summary>Solution</summary>")
            cells += [given] if folded else [given, opening]
            folded = True
        cells.append(cell)
        cell.source = BLANK.sub(r"\2", cell.source).rstrip()
    return cells + [new_markdown_cell("</details>")] * folded


def is_solution(cell: NotebookNode) -> bool:
    return "solution" in cell.metadata.get("tags", [])


def has_blank(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(BLANK.search(cell.source))


def blanked(cell: NotebookNode) -> str:
    """The code as a student gets it."""
    return BLANK.sub(r"\1", cell.source).rstrip()


VERSIONS: dict[str, Callable[[NotebookNode, str], list[NotebookNode]]] = {
    "notebooks/exercises": students,
    "exercises": readers,
}


def versions(py_path: Path) -> list[tuple[NotebookNode, Path]]:
    """Each notebook that is made from a source, not yet executed, with its place.

    Raises:
        NotebookError: the source cannot be read, or a marker (`# given`, `# solution`, `# end`)
            has no counterpart.
    """
    made = []
    for folder, cells in VERSIONS.items():
        nb = notebooks.read_source(py_path)
        nb.cells = cells(nb, py_path.stem)
        for cell in nb.cells:
            if cell.cell_type == "code" and (stray := MARKER.search(cell.source)):
                raise NotebookError(f"{py_path}: {stray[0].strip()!r} has no counterpart")
        made.append((nb, py_path.parents[1] / folder / f"{py_path.stem}.ipynb"))
    return made


def build(py_path: Path, quick: bool = False) -> str:
    """Execute and freeze both versions of one source. Return what was done."""
    done = []
    for nb, path in versions(py_path):
        path.parent.mkdir(parents=True, exist_ok=True)
        done.append(notebooks.make(nb, py_path, path, quick))
    return "{} for students, {} for the book".format(*done)


def problems(py_path: Path) -> list[str]:
    """List what is wrong with what was made from one source."""
    found = []
    try:
        made = versions(py_path)
    except NotebookError as error:
        return [str(error)]
    for nb, path in made:
        missing = [f"{path}: missing; {notebooks.REMAKE}"]
        found += notebooks.differences(nb, path) if path.exists() else missing
    return found


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status. Names without exercises are passed over."""
    parser = argparse.ArgumentParser(description="Make the exercises, or check them.")
    parser.add_argument("command", choices=["build", "check"])
    parser.add_argument("--quick", action="store_true", help="build: run twice; write nothing")
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as 01_why_nin")
    args = parser.parse_args(argv)
    wanted = {Path(name).stem for name in args.names}
    sources = [it for it in sorted(FOLDER.glob("*.py")) if it.stem in wanted or not wanted]
    try:
        if args.command == "build":
            for py_path in sources:
                print(f"exercises {py_path.stem} ... {build(py_path, args.quick)}", flush=True)
        elif found := [line for py_path in sources for line in problems(py_path)]:
            raise NotebookError("\n".join(found))
        else:
            print(f"the exercises of {len(sources)} notebooks are in step, executed and frozen")
    except NotebookError as error:
        print(f"\n{notebooks.ANSI_COLOUR.sub('', str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
