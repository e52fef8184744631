"""Does a lifted bias wake a dead class? `python benchmarks/lifted_bias.py`.

The class network with the published recipe and Kaiming's first weights, which often leaves classes
dead and others learning. After one epoch, three copies of the network go on for two more, with the
same images in the same order: one as it is; one in which the last bias of each dead class was
raised until half of the cells in its map are positive on its own training images; and one without
the last ReLU. A seed with no dead class after the first epoch has no copies.

Notebook 7 reads the runs. A line for each seed goes to nin_lib/recorded/lifted_bias.jsonl when it
ends; runs that are there are not repeated. `--table` prints what is there; `--again seed=3` repeats
a run and prints it. Classes are judged on held-out training images; the test images are left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from collapse_study import classes, rounded
from runs import Row, main

from nin_lib import network
from nin_lib import torch as nin
from nin_lib.data import Dataset, load
from nin_lib.history import EpochEnd, Event
from nin_lib.recipe import SIZES, recipe
from nin_lib.train import fit, predict

RESULTS = Path(__file__).parents[1] / "nin_lib" / "recorded" / "lifted_bias.jsonl"
HOW = replace(recipe("published"), init="kaiming")
SEEDS = range(10)


def one_seed(seed: int) -> Row:
    data = load(SIZES["class"].data)
    model = nin.build(network(SIZES["class"].network), HOW, seed)
    [before] = epochs_of(model, data, 1, seed)
    dead = [c for c, share in enumerate(before["positive"]) if share == 0]
    copies: dict[str, Callable[[Any], Any]] = {
        "as it is": deepcopy,
        "bias lifted": partial(lifted, dead=dead, data=data),
        "no last ReLU": without_last_relu,
    }
    after = {}
    for name, change in copies.items() if dead else ():
        after[name] = epochs_of(change(model), data, 2, seed + 1000)
    return dict(dead=dead, before=before, after=after, threads=torch.get_num_threads())


def epochs_of(model: Any, data: Dataset, epochs: int, seed: int) -> list[Row]:
    """Train on; after each epoch, what the held-out images say of each class."""
    rows = []

    def watch(event: Event) -> None:
        if isinstance(event, EpochEnd):
            rows.append(rounded(event.row) | classes(predict(model, data.val), data.val.labels))

    size = SIZES["class"]
    fit(model, data, HOW, epochs=epochs, batch_size=size.batch_size, seed=seed, observers=[watch])
    return rows


def without_last_relu(model: Any) -> Any:
    bare = nin.NiN(replace(model.spec, last_relu=False))
    bare.load_state_dict(model.state_dict())
    return bare


def lifted(model: Any, dead: list[int], data: Dataset) -> Any:
    """A copy in which half of a dead class's cells are positive on its own training images."""
    raised = deepcopy(model)
    *_, last = (layer for layer in raised.modules() if isinstance(layer, torch.nn.Conv2d))
    maps: list[torch.Tensor] = []
    hook = last.register_forward_hook(lambda layer, x, s: maps.append(s))
    predict(raised, data.train)
    hook.remove()
    s = torch.cat(maps)  # N×classes×H×W, before the last ReLU
    bias = last.get_parameter("bias").data
    for c in dead:
        own = s[torch.as_tensor(data.train.labels) == c, c]
        bias[c] -= own.median()
    return raised


def table(runs: list[Row]) -> str:
    """Of the classes that were dead after the first epoch: how many still are."""
    lines = [
        "| copy | epoch | dead | no image right | held-out accuracy |",
        "|---|---|---|---|---|",
    ]
    mine = [run for run in runs if run["dead"]]
    for name in ("as it is", "bias lifted", "no last ReLU"):
        for epoch in (0, 1):
            rows = [(run["dead"], run["after"][name][epoch]) for run in mine]
            total = sum(len(dead) for dead, _ in rows)
            dead = sum(row["positive"][c] == 0 for dead, row in rows for c in dead)
            lost = sum(row["recall"][c] == 0 for dead, row in rows for c in dead)
            right = ", ".join(f"{row['val_accuracy']:.2f}" for _, row in rows)
            lines.append(f"| {name} | {epoch + 2} | {dead} of {total} | {lost} | {right} |")
    return "\n".join([*lines, f"\n{len(runs)} seeds, {len(mine)} with dead classes"])


if __name__ == "__main__":
    main(__doc__, RESULTS, [dict(seed=seed) for seed in SEEDS], one_seed, table)
