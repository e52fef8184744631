"""Do TensorFlow and JAX collapse as PyTorch does? `python benchmarks/collapse_in_three.py`.

The class network in PyTorch, Keras and JAX with the published recipe and Kaiming's first weights:
for each seed the same weights, the same images in the same order, and no dropout, whose masks would
differ. So what differs is the rounding of float32. Two epochs, each run in a process of its own.

Of each run: the loss of every step, and which classes were dead in each window of a thousand
training images. Notebook 7 reads the runs. A line for each goes to
nin_lib/recorded/collapse_in_three.jsonl when it ends; runs that are there are not repeated.
`--table` prints what is there; `--again framework=jax seed=3` repeats a run and prints it.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from runs import Row, main
from three_frameworks import TRAIN

RESULTS = Path(__file__).parents[1] / "nin_lib" / "recorded" / "collapse_in_three.jsonl"
SEEDS = range(5)
EPOCHS = 2


def class_run(framework: str, seed: int) -> Row:
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(watched, framework, seed).result()


def watched(framework: str, seed: int) -> Row:
    """Train, in this process; losses and dead classes."""
    from nin_lib import network, weights
    from nin_lib.collapse import CollapseMonitor, dead_classes
    from nin_lib.data import load
    from nin_lib.history import Event, Step
    from nin_lib.recipe import SIZES, recipe
    from nin_lib.spec import Dropout

    size, how = SIZES["class"], replace(recipe("published"), init="kaiming")
    spec = network(size.network)
    spec = replace(spec, stages=tuple(it for it in spec.stages if not isinstance(it, Dropout)))
    monitor, losses = CollapseMonitor(tell=lambda warning: None), []

    def note(event: Event) -> None:
        if isinstance(event, Step):
            losses.append(round(float(event.loss), 4))

    plan = dict(
        epochs=EPOCHS, batch_size=size.batch_size, seed=seed, observers=[monitor, note]
    )  # fmt: skip
    first = weights.initial(spec, how, seed)
    history = TRAIN[framework](spec, first, load(size.data), how, plan)
    return dict(
        val_accuracy=[round(value, 4) for value in history.column("val_accuracy")],
        dead=[dead_classes(shares) for _, shares in monitor.shares],
        loss=losses,
    )


def table(runs: list[Row]) -> str:
    """Dead classes in each window; up to which step the losses are those of PyTorch."""
    lines = ["| seed | framework | dead in each window | ends at | alike until step |"]
    lines += ["|---|---|---|---|---|"]
    torch = {run["seed"]: run["loss"] for run in runs if run["framework"] == "torch"}
    for run in sorted(runs, key=lambda it: it["seed"]):
        dead = ", ".join(str(len(window)) for window in run["dead"])
        far = parted(run["loss"], torch[run["seed"]])
        name, ends = run["framework"], run["val_accuracy"][-1]
        lines.append(f"| {run['seed']} | {name} | {dead} | {ends:.3f} | {far} |")
    return "\n".join(lines)


def parted(mine: list[float], others: list[float], by: float = 0.05) -> int:
    """The first step whose losses differ by more than `by`; the number of steps if none does."""
    pairs = enumerate(zip(mine, others, strict=True))
    return next((step for step, (a, b) in pairs if abs(a - b) > by), len(mine))


if __name__ == "__main__":
    wanted = [dict(framework=framework, seed=seed) for seed in SEEDS for framework in TRAIN]
    main(__doc__, RESULTS, wanted, class_run, table)
