"""What watching costs: the share of a class run that its observers take.

`python benchmarks/watching.py` trains in a real Jupyter kernel with live curves, and in this
process with the progress bar, and writes results/watching.json. The rule is below one per cent.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "watching.json"


class Timed:
    """An observer that adds up the seconds another observer takes."""

    def __init__(self, observer: Any) -> None:
        self.observer, self.seconds = observer, 0.0

    def __call__(self, event: Any) -> None:
        start = time.perf_counter()
        self.observer(event)
        self.seconds += time.perf_counter() - start


def share(observer: Any, epochs: int = 2) -> float:
    """Seconds in `observer` for each second of a class run of `epochs` epochs."""
    from nin_lib import network
    from nin_lib import torch as nin
    from nin_lib.data import load
    from nin_lib.recipe import SIZES, recipe
    from nin_lib.train import fit

    size, how, timed = SIZES["class"], recipe("default"), Timed(observer)
    model = nin.build(network(size.network), how)
    start = time.perf_counter()
    fit(
        model, load(size.data), how, epochs=epochs, batch_size=size.batch_size, observers=[timed]
    )  # fmt: skip
    return timed.seconds / (time.perf_counter() - start)


def share_in_a_kernel() -> float:
    """The same with live curves, in a Jupyter kernel that really sends its messages."""
    import nbformat
    from nbclient import NotebookClient

    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from watching import share\nfrom nin_lib.widgets import LiveCurves\n"
        "result = share(LiveCurves())"
    )
    cells = [nbformat.v4.new_code_cell(code), nbformat.v4.new_code_cell("print(result)")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=900).execute()
    return float(notebook.cells[1].outputs[0].text)


def main() -> None:
    from nin_lib.progress import ProgressBar

    found = {
        "live curves in a kernel": share_in_a_kernel(),
        "progress bar": share(ProgressBar()),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
