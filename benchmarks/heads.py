"""Averages or dense layers at the end: which learns better? `python benchmarks/heads.py`.

The paper's MNIST network at class size, with the default recipe, three epochs and ten seeds, and
three endings: the average of ten maps; one dense layer on those maps in its place; and AlexNet's
way, wide dense layers in the place of the last block. Notebook 6 reads the runs.

A line for each run goes to nin_lib/recorded/heads.jsonl when it ends; runs that are there are not
repeated. `--table` prints what is there. Held-out training images; the test images are left alone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from runs import Row, curves, main

from nin_lib import network
from nin_lib.spec import Network

RESULTS = Path(__file__).parents[1] / "nin_lib" / "recorded" / "heads.jsonl"
AVERAGE = network("paper-mnist")
HEADS: dict[str, Network] = {
    "average of ten maps": AVERAGE,
    "one dense layer 490 → 10": replace(AVERAGE, dense=(10,)),
    "dense 2352 → 512 → 512 → 10": replace(
        AVERAGE, stages=AVERAGE.stages[:-1], dense=(512, 512, 10)
    ),
}
SEEDS = range(10)


def class_run(head: str, seed: int) -> Row:
    """Train at class size; parameters, and the curve on the held-out images."""
    from nin_lib import torch as nin
    from nin_lib import totals
    from nin_lib.data import load
    from nin_lib.engine.device import Plan
    from nin_lib.recipe import SIZES, recipe
    from nin_lib.train import fit

    size, how = SIZES["class"], recipe("default")
    model = nin.build(HEADS[head], how, seed)
    history = fit(
        model, load(size.data), how, epochs=size.epochs, batch_size=size.batch_size, seed=seed,
        plan=Plan("cpu", keep_memory=True), observers=[],
    )  # fmt: skip
    return dict(
        parameters=totals(HEADS[head]).parameters,
        val_accuracy=[round(row, 4) for row in history.column("val_accuracy")],
        train_accuracy=[round(row, 4) for row in history.column("train_accuracy")],
    )


def table(runs: list[Row]) -> str:
    return curves(runs, "head", HEADS)


if __name__ == "__main__":
    wanted = [dict(head=head, seed=seed) for seed in SEEDS for head in HEADS]
    main(__doc__, RESULTS, wanted, class_run, table)
