"""Why does the published recipe fail, and what mends it? `python benchmarks/collapse_study.py`.

One factor at a time around two centres, the published recipe and the default, at class size: the
paper's MNIST network on the mini set, six epochs. (Three are too few: in a first look at eleven of
the runs the published recipe had not left ln 10 by then.) A line for each run goes to
results/collapse_study.jsonl when it ends; runs that are there are not repeated, so it can be
stopped at any time. `--arm NAME --seed N` makes a single run and prints it; `--worker 0/2` makes
every second run, so that two processes can share the work; `--table` prints what is there;
`--summary` writes what notebook 07 reads, nin_lib/recorded/collapse_study.jsonl.

Decided before the first run: a run has FAILED when fewer than 0.60 of the held-out images are right
after the last epoch, or when the loss was no number. (The default recipe, then with a rate of 0.05,
had 0.72 or more after three epochs, in each of fifteen runs.) A class is LOST when none of its
held-out images is recognised, and DEAD when none of them has a positive logit for it. All figures
are of held-out training images; the test images are left alone.

One arm was added when 136 of the 240 runs around the published recipe had been made, to test an
explanation: "published, Kaiming, no last ReLU". If a slow start and dead classes are two troubles,
and each of the two changes mends one of them, then both together should fail less often than either
alone. That was written down before the arm's first run.

A run takes about 80 seconds of one core. All are in float32 on one thread, on whatever machine, so
that precision is no difference between two arms.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from runs import Row, spread, stored
from torch import nn

from nin_lib import network
from nin_lib import torch as nin
from nin_lib.data import load
from nin_lib.history import EpochEnd, Event, Step
from nin_lib.recipe import RECIPES, SIZES
from nin_lib.runtime.plan import ExecutionPlan
from nin_lib.spec import Dropout, Network
from nin_lib.train import fit, predict

RESULTS = Path(__file__).parent / "results" / "collapse_study.jsonl"
SUMMARY = Path(__file__).parents[1] / "nin_lib" / "recorded" / "collapse_study.jsonl"
FAILED = 0.60
SEEDS = range(20)
EPOCHS = 6
WINDOW = 10  # steps in one point of the stored training loss

# What an arm changes: fields of its centre's recipe, or (in capitals) of the network.
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "published": ("published", {}),
    "published, no last ReLU": ("published", dict(last_relu=False)),
    "published, PyTorch's init": ("published", dict(init="pytorch")),
    "published, Kaiming init": ("published", dict(init="kaiming")),
    "published, Kaiming, no last ReLU": ("published", dict(init="kaiming", last_relu=False)),
    "published, zero biases": ("published", dict(zero_bias=True)),
    "published, rate 0.05": ("published", dict(learning_rate=0.05)),
    "published, rate 0.02": ("published", dict(learning_rate=0.02)),
    "published, one-cycle": ("published", dict(schedule="one-cycle")),
    "published, momentum 0.9, rate 0.01": ("published", dict(momentum=0.9, learning_rate=0.01)),
    "published, last block 10-10-10": ("published", dict(LAST=(10, 10, 10))),
    "published, batch normalisation": ("published", dict(NORM=True)),
    "published, no dropout": ("published", dict(NO_DROPOUT=True)),
    "default": ("default", {}),
    "default, last ReLU": ("default", dict(last_relu=True)),
    "default, Xavier init": ("default", dict(init="xavier")),
    "default, constant rate": ("default", dict(schedule="constant")),
    "default, rate 0.05": ("default", dict(learning_rate=0.05)),
    "default, no momentum": ("default", dict(momentum=0.0, nesterov=False)),
    "default, last block 10-10-10": ("default", dict(LAST=(10, 10, 10))),
}


def one_run(arm: str, seed: int) -> Row:
    """Train one network; what its held-out images say after each epoch."""
    centre, changes = ARMS[arm]
    how = replace(RECIPES[centre], **{k: v for k, v in changes.items() if k.islower()})
    spec = changed(network(SIZES["class"].network), changes)
    model: nn.Module = nin.build(spec, how, seed)
    if "NORM" in changes:
        normalise(model)
    size, data = SIZES["class"], load(SIZES["class"].data)
    plan = ExecutionPlan("cpu", keep_memory=True)
    losses: list[float] = []
    epochs: list[Row] = []

    def watch(event: Event) -> None:
        if isinstance(event, Step):
            losses.append(float(event.loss))
        elif isinstance(event, EpochEnd):
            logits = predict(model, data.val, plan=plan)
            epochs.append(rounded(event.row) | classes(logits, data.val.labels))

    problem, about = "", {}
    try:
        about = fit(
            model, data, how, epochs=EPOCHS, batch_size=size.batch_size, seed=seed,
            plan=plan, observers=[watch],
        ).about.plan  # fmt: skip
    except FloatingPointError as error:
        problem = str(error)
    means = [
        None if not math.isfinite(sum(part)) else round(sum(part) / len(part), 3)
        for part in (losses[i : i + WINDOW] for i in range(0, len(losses), WINDOW))
    ]
    return dict(epochs=epochs, train_loss=means, problem=problem, plan=about)


def changed(spec: Network, changes: dict[str, Any]) -> Network:
    """The network with another last block, or without dropout."""
    *before, last = spec.stages
    if "LAST" in changes:
        last = replace(last, widths=changes["LAST"])
    if "NO_DROPOUT" in changes:
        before = [stage for stage in before if not isinstance(stage, Dropout)]
    return replace(spec, stages=(*before, last))


def normalise(model: nn.Module) -> None:
    """Put a batch normalisation behind every convolution but the very last (in place)."""
    blocks = [block for block in model.children() if isinstance(block, nn.Sequential)]
    layers = [
        (b, name) for b in blocks for name, m in b.named_children() if isinstance(m, nn.Conv2d)
    ]
    for block, name in layers[:-1]:
        conv = getattr(block, name)
        setattr(block, name, nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels)))


def classes(logits: Any, labels: Any) -> Row:
    """For each class, of its own images: the share with a positive logit, and the share right."""
    own = [logits[labels == c] for c in range(logits.shape[1])]
    return dict(
        positive=[round(float((part[:, c] > 0).mean()), 3) for c, part in enumerate(own)],
        recall=[round(float((part.argmax(1) == c).mean()), 3) for c, part in enumerate(own)],
    )


def rounded(row: Row) -> Row:
    return {key: round(value, 4) for key, value in row.items()}


# ── What came out ────────────────────────────────────────────────────────────────────────────────


def has_failed(run: Row, below: float = FAILED) -> bool:
    return bool(run["problem"]) or run["epochs"][-1]["val_accuracy"] < below


def interval(failures: int, runs: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    share, square = failures / runs, z * z
    middle = (share + square / (2 * runs)) / (1 + square / runs)
    half = z * math.sqrt(share * (1 - share) / runs + square / (4 * runs * runs))
    half /= 1 + square / runs
    return max(0.0, middle - half), min(1.0, middle + half)


def summary(runs: list[Row]) -> Row:
    """Of the runs of one arm: how many failed, accuracies, lost and dead classes at the end."""
    ended = [run["epochs"][-1] for run in runs if not run["problem"]]
    failures = sum(map(has_failed, runs))
    return dict(
        runs=len(runs),
        failed=failures,
        interval=interval(failures, len(runs)),
        accuracy=[row["val_accuracy"] for row in ended],
        lost=Counter(sum(r == 0 for r in row["recall"]) for row in ended),
        dead=Counter(sum(p == 0 for p in row["positive"]) for row in ended),
    )


def table(runs: list[Row]) -> str:
    lines = [
        "| arm | failed | 95 % interval | held-out accuracy | runs with a lost class |",
        "|---|---|---|---|---|",
    ]
    for arm in ARMS:
        mine = [run for run in runs if run["arm"] == arm]
        if mine:
            it = summary(mine)
            low, high = it["interval"]
            lost = sum(n for count, n in it["lost"].items() if count)
            lines.append(
                f"| {arm} | {it['failed']} of {it['runs']} | {low:.0%} to {high:.0%} | "
                f"{spread(it['accuracy'], '.3f') if it['accuracy'] else '–'} | {lost} |"
            )
    return "\n".join(lines)


def short(run: Row, below: float = FAILED) -> Row:
    """What the notebook needs of a run: see `nin_lib.recorded.study`."""
    centre, changes = ARMS[run["arm"]]
    how = replace(RECIPES[centre], **{k: v for k, v in changes.items() if k.islower()})
    epochs = run["epochs"]
    return dict(
        arm=run["arm"], seed=run["seed"], last_relu=how.last_relu, momentum=how.momentum,
        failed=has_failed(run, below),
        loss=[row["val_loss"] for row in epochs],
        accuracy=[row["val_accuracy"] for row in epochs],
        dead=[[c for c, share in enumerate(row["positive"]) if share == 0] for row in epochs],
    )  # fmt: skip


def summarise(runs: list[Row], below: float = FAILED, more: Sequence[str] = ()) -> str:
    """A line of JSON for each run, by arm and seed. `more`: keys of a run that it has as well."""
    arms = list(ARMS)
    runs = sorted(runs, key=lambda run: (arms.index(run["arm"]), run["seed"]))
    rows = (short(run, below) | {key: run[key] for key in more} for run in runs)
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="print what is there, run nothing")
    parser.add_argument("--summary", action="store_true", help="write what the notebook reads")
    parser.add_argument("--arm", choices=ARMS, help="a single run, which is printed and not kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", default="0/1", help="K/N: every N-th run, from the K-th on")
    options = parser.parse_args()
    if options.arm:
        print(json.dumps(one_run(options.arm, options.seed), indent=1))
        return
    if options.summary:
        SUMMARY.write_text(summarise(stored(RESULTS)), encoding="utf-8", newline="\n")
    elif not options.table:
        k, n = map(int, options.worker.split("/"))
        wanted: list[Row] = [dict(arm=arm, seed=seed) for seed in SEEDS for arm in ARMS][k::n]
        for settings in wanted:
            if not any(settings.items() <= row.items() for row in stored(RESULTS)):
                row = settings | one_run(**settings)
                print(
                    row["arm"], row["seed"], [e["val_accuracy"] for e in row["epochs"]], flush=True
                )
                with RESULTS.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row, separators=(",", ":")) + "\n")
    print(table(stored(RESULTS)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
