"""One change to the class network, over ten seeds: `python benchmarks/variants.py`.

The paper's MNIST network at class size, with the default recipe and three epochs, and with one
change: other endings, other numbers of 1×1 convolutions, 3×3 ones in their place, one 1×1 left out,
another last block, another learning rate. Notebook 6 and the exercises read the runs.

A line for each run goes to nin_lib/recorded/variants.jsonl when it ends; runs that are there are
not repeated. `--table` prints what is there; `--again "variant=as it is" seed=3` repeats a run and
prints it (to the last digit with `OMP_NUM_THREADS` as in its line). Held-out training images; the
test images are left alone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from runs import Row, curves, main

from nin_lib import network
from nin_lib.recipe import SIZES, recipe
from nin_lib.spec import Block, Network

RESULTS = Path(__file__).parents[1] / "nin_lib" / "recorded" / "variants.jsonl"
AS_IT_IS = network("paper-mnist")
SEEDS = range(10)


def with_blocks(*widths: tuple[int, ...], inner: int = 1) -> Network:
    """The network with other widths in its blocks, or with other kernels after the first."""
    left = iter(widths)
    stages = [
        replace(stage, widths=next(left), inner_kernel_size=inner)
        if isinstance(stage, Block)
        else stage
        for stage in AS_IT_IS.stages
    ]
    return replace(AS_IT_IS, stages=tuple(stages))


FIRST, SECOND, THIRD = ((96, 64, 48), (128, 96, 48), (128, 96, 10))
NETWORKS: dict[str, Network] = {
    "as it is": AS_IT_IS,
    "one dense layer 490 → 10": replace(AS_IT_IS, dense=(10,)),
    "dense 2352 → 512 → 512 → 10": replace(
        AS_IT_IS, stages=AS_IT_IS.stages[:-1], dense=(512, 512, 10)
    ),
    "one 1×1 in each block": with_blocks((96, 48), (128, 48), (128, 10)),
    "three 1×1 in each block": with_blocks((96, 64, 64, 48), (128, 96, 96, 48), (128, 96, 96, 10)),
    "3×3 in place of 1×1": with_blocks(FIRST, SECOND, THIRD, inner=3),
    "one 1×1 less in block 1": with_blocks((96, 48), SECOND, THIRD),
    "one 1×1 less in block 2": with_blocks(FIRST, (128, 48), THIRD),
    "one 1×1 less in block 3": with_blocks(FIRST, SECOND, (128, 10)),
    "last block 10-10-10": with_blocks(FIRST, SECOND, (10, 10, 10)),
}
AGAIN = ("one dense layer 490 → 10", "dense 2352 → 512 → 512 → 10", "3×3 in place of 1×1")
RATE = recipe("default").learning_rate  # 0.2
VARIANTS: dict[str, tuple[Network, float]] = {
    **{name: (spec, RATE) for name, spec in NETWORKS.items()},
    **{f"learning rate {rate}": (AS_IT_IS, rate) for rate in (0.02, 0.05, 0.1, 0.4, 0.8)},
    **{f"{name}, learning rate 0.05": (NETWORKS[name], 0.05) for name in AGAIN},
}


def class_run(variant: str, seed: int) -> Row:
    """Train at class size; parameters, and the curve on the held-out images."""
    from nin_lib import torch as nin
    from nin_lib import totals
    from nin_lib.data import load
    from nin_lib.runtime.plan import ExecutionPlan
    from nin_lib.train import fit

    (spec, rate), size = VARIANTS[variant], SIZES["class"]
    how = replace(recipe("default"), learning_rate=rate)
    history = fit(
        nin.build(spec, how, seed), load(size.data), how, epochs=size.epochs,
        batch_size=size.batch_size, seed=seed, plan=ExecutionPlan("cpu", keep_memory=True),
        observers=[],
    )  # fmt: skip
    return dict(
        parameters=totals(spec).parameters,
        multiply_adds=totals(spec).multiply_adds,
        threads=torch.get_num_threads(),
        val_accuracy=[round(row, 4) for row in history.column("val_accuracy")],
        train_accuracy=[round(row, 4) for row in history.column("train_accuracy")],
    )


def table(runs: list[Row]) -> str:
    return curves(runs, "variant", VARIANTS)


if __name__ == "__main__":
    wanted = [dict(variant=variant, seed=seed) for seed in SEEDS for variant in VARIANTS]
    main(__doc__, RESULTS, wanted, class_run, table)
