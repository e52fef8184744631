"""Does the fast way learn as the plain one does? `python benchmarks/same_learning.py`.

The same seeds at class size, once as plainly as PyTorch goes (float32, contiguous) and once in each
fast way. A line for each run goes to results/same_learning.jsonl when it ends; runs that are there
are not repeated. `--table` prints what is there. The recipe is the default at a rate of 0.05.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runs import SLOWER_DEFAULT, Row, curves, main

RESULTS = Path(__file__).parent / "results" / "same_learning.jsonl"
WAYS: dict[str, dict[str, Any]] = {
    "plain float32": dict(channels_last=False),
    "float32, channels last, memory kept": dict(keep_memory=True),
    "bfloat16, channels last, memory kept": dict(precision="bfloat16", keep_memory=True),
}
SEEDS = range(5)


def class_run(way: str, seed: int) -> Row:
    """Train at class size; the curve on the held-out images."""
    from nin_lib import network
    from nin_lib import torch as nin
    from nin_lib.data import load
    from nin_lib.recipe import SIZES
    from nin_lib.runtime.plan import ExecutionPlan
    from nin_lib.train import fit

    size, how = SIZES["class"], SLOWER_DEFAULT
    model = nin.build(network(size.network), how, seed)
    history = fit(
        model, load(size.data), how, epochs=size.epochs, batch_size=size.batch_size, seed=seed,
        plan=ExecutionPlan("cpu", **WAYS[way]), observers=[],
    )  # fmt: skip
    curve = [round(row, 4) for row in history.column("val_accuracy")]
    return dict(val_accuracy=curve, plan=history.about.plan)


def table(runs: list[Row]) -> str:
    return curves(runs, "way", WAYS)


if __name__ == "__main__":
    wanted = [dict(way=way, seed=seed) for seed in SEEDS for way in WAYS]
    main(__doc__, RESULTS, wanted, class_run, table)
