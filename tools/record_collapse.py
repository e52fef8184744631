"""Record the runs that notebook 07 replays: `python tools/record_collapse.py`.

The class run of the chapter with each recipe, and with one change to the published one. Points and
class lanes as `LiveCurves` has them, and what the collapse monitor said, go to
nin_lib/recorded/NAME.json with the recipe, the seed and the machine. On one thread; takes about a
minute for each. With names, only those are made.
"""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from nin_lib import network
from nin_lib import torch as nin
from nin_lib.collapse import CollapseMonitor
from nin_lib.data import CLASSES, load
from nin_lib.recipe import SIZES, recipe
from nin_lib.train import fit
from nin_lib.widgets import LiveCurves

FOLDER = Path(__file__).parents[1] / "nin_lib" / "recorded"
SEED = 0
RUNS = {
    "class-collapse": recipe("published"),
    "class-default": recipe("default"),
    "class-kaiming": replace(recipe("published"), init="kaiming"),
}


def record(name: str) -> None:
    size, how = SIZES["class"], RUNS[name]
    always_due = itertools.count().__next__  # a clock with which no point waits for its time
    curves = LiveCurves(classes=CLASSES, clock=always_due)
    told: list[str] = []
    history = fit(
        nin.build(network(size.network), how, SEED), load(size.data), how,
        epochs=size.epochs, batch_size=size.batch_size, seed=SEED,
        observers=[curves, CollapseMonitor(told.append, CLASSES)],
    )  # fmt: skip
    about = history.about.to_dict() | {"network": size.network}
    run = dict(
        about=about, rows=history.rows, series=curves.config["series"],
        classes=curves.config["classes"], told=told,
    )  # fmt: skip
    file = FOLDER / f"{name}.json"
    file.write_text(json.dumps(run, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
    print(
        f"{file.name}: {file.stat().st_size:,} bytes; accuracy {history.last['val_accuracy']:.3f}"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or RUNS:
        record(name)
