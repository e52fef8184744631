"""Does the class run learn in every framework? `python benchmarks/three_frameworks.py`.

Five seeds in PyTorch, Keras and JAX: the network, images and epochs of the class size, the
chapter's default recipe at a rate of 0.05, float32, each run in a process of its own. The
frameworks start their layers differently, and none as the recipe says. So the first weights of a
seed are drawn by `nin_lib.weights.initial`, as the recipe says, and are the same in all three, as
are the images and their order. The masks of dropout and the rounding are each framework's own.

A line for each run goes to results/three_frameworks.jsonl when it ends; runs that are there are
not repeated. `--table` prints what is there.
"""

from __future__ import annotations

import platform
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from runs import SLOWER_DEFAULT, Row, curves, main

RESULTS = Path(__file__).parent / "results" / "three_frameworks.jsonl"
PACKAGES = {"torch": ("torch",), "tensorflow": ("tensorflow", "keras"), "jax": ("jax", "flax")}
SEEDS = range(5)


def class_run(framework: str, seed: int) -> Row:
    """Train at class size, in a new process; the curve on the held-out images."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        curve = process.submit(held_out_curve, framework, seed).result()
    packages = ("numpy", *PACKAGES[framework])
    return dict(
        val_accuracy=[round(accuracy, 4) for accuracy in curve],
        versions={name: version(name) for name in packages}, python=platform.python_version(),
    )  # fmt: skip


def held_out_curve(framework: str, seed: int) -> list[float]:
    """Held-out accuracy after each epoch."""
    from nin_lib import network, weights
    from nin_lib.data import load
    from nin_lib.recipe import SIZES

    size, how = SIZES["class"], SLOWER_DEFAULT
    spec = how.adapt(network(size.network))
    plan = dict(epochs=size.epochs, batch_size=size.batch_size, seed=seed, observers=[])
    history = TRAIN[framework](spec, weights.initial(spec, how, seed), load(size.data), how, plan)
    return history.column("val_accuracy")


def in_torch(spec: Any, first: Any, data: Any, how: Any, plan: Any) -> Any:
    from nin_lib import torch as nin
    from nin_lib import weights
    from nin_lib.runtime.plan import ExecutionPlan
    from nin_lib.train import fit

    model = nin.NiN(spec)
    weights.to_torch(model, first)
    return fit(model, data, how, plan=ExecutionPlan("cpu"), **plan)


def in_keras(spec: Any, first: Any, data: Any, how: Any, plan: Any) -> Any:
    import keras

    from nin_lib import tensorflow as nin
    from nin_lib import weights

    keras.utils.set_random_seed(plan["seed"])  # of dropout
    model = nin.NiN(spec)
    weights.to_keras(model, first)
    return nin.fit(model, data, how, **plan)


def in_jax(spec: Any, first: Any, data: Any, how: Any, plan: Any) -> Any:
    from nin_lib import jax as nin
    from nin_lib import weights

    return nin.fit(nin.NiN(spec), weights.to_flax(first, spec), data, how, **plan)[1]


TRAIN = {"torch": in_torch, "tensorflow": in_keras, "jax": in_jax}


def table(runs: list[Row]) -> str:
    return curves(runs, "framework", PACKAGES)


if __name__ == "__main__":
    wanted = [dict(framework=framework, seed=seed) for seed in SEEDS for framework in PACKAGES]
    main(__doc__, RESULTS, wanted, class_run, table)
