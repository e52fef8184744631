"""How much memory do d2l's own loaders of Fashion-MNIST take, and ours?

`python benchmarks/d2l_loaders.py` goes through the first batches of an epoch at 224×224, of 128
images, once with the loader of d2l.tensorflow and of d2l.jax and once with ours, each in a process
of its own. d2l's keeps the whole enlarged set for its shuffling before it gives the first batch, so
a few batches tell all; it needs 14 GB of free memory. The images are the full Fashion-MNIST where
`nin_lib.data` finds it, for both; d2l's code is given them in place of its download.

A line goes to results/d2l_loaders.jsonl when a process ends, and what is there is not repeated.
`--table` prints what is there. It needs d2l and the frameworks; not on Windows.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import Any

from d2l_memory import watched
from runs import Row, main

RESULTS = Path(__file__).parent / "results" / "d2l_loaders.jsonl"
LOADERS = ("d2l", "ours")
FRAMEWORKS = ("tensorflow", "jax")
BATCH, SIDE, BATCHES = 128, 224, 10


def run(framework: str, loader: str) -> Row:
    """Peak memory in MB, of the process and before its loader was asked."""
    output, peak_mb = watched(Path(__file__), framework, loader)
    before_mb, images = output.split()[-2:]
    return dict(peak_mb=round(peak_mb), before_mb=int(before_mb), images=int(images))


def go_through(framework: Any, loader: str) -> None:
    """What a process does: import, read the images, take some batches. It prints its peak in MB
    before the batches, and how many images they held."""
    import nin_lib.d2l
    from nin_lib.data import load

    be_the_first_to_go()
    d2l = nin_lib.d2l.enable(framework)
    data = load("full")
    module = ours(d2l, data) if loader == "ours" else d2ls_own(d2l, data)
    before = peak_mb()
    images = sum(len(X) for X, _ in islice(module.train_dataloader(), BATCHES))
    print(round(before), images)


def ours(d2l: Any, data: Any) -> Any:
    return d2l.FashionMNIST(BATCH, (SIDE, SIDE), data=data)


def d2ls_own(d2l: Any, data: Any) -> Any:
    """d2l's class as it comes, which lies below ours; all 60,000 images to train on."""
    import numpy as np

    parts = [(part.images, part.labels.astype(np.uint8)) for part in (data.train, data.val)]
    train = tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    test = (data.test.images, data.test.labels)
    d2l.tf.keras.datasets.fashion_mnist.load_data = lambda: (train, test)
    return d2l.FashionMNIST.__bases__[1](BATCH, (SIDE, SIDE))


def be_the_first_to_go() -> None:
    """Where memory runs out, Linux ends this process and no other."""
    file = Path("/proc/self/oom_score_adj")
    if file.exists():
        file.write_text("1000")


def peak_mb() -> float:
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # as in peers/serving.py
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def table(rows: list[Row]) -> str:
    lines = ["| loader | framework | before | peak |", "|---|---|---|---|"]
    for row in rows:
        peaks = f"{row['before_mb']:,} MB | {row['peak_mb']:,} MB"
        lines.append(f"| {row['loader']} | {row['framework']} | {peaks} |")
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        go_through(*sys.argv[1:])
    else:
        wanted = [dict(loader=loader, framework=name) for loader in LOADERS for name in FRAMEWORKS]
        main(__doc__, RESULTS, wanted, run, table)
