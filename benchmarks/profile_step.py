"""Where the time of our training step goes: `python benchmarks/profile_step.py`.

A run of `nin_lib.train.fit` with the chapter's network at 224×224, under PyTorch's profiler once
it is warm. The operators with the most time of their own, first by name, then by name and shapes,
go to results/profile_step.txt.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile
from training import DATA, hardware

from nin_lib import network
from nin_lib import torch as nin
from nin_lib.data import load
from nin_lib.engine.device import plan
from nin_lib.history import Event, Step
from nin_lib.recipe import RECIPES, recipe
from nin_lib.train import fit

OUT = Path(__file__).parent / "results" / "profile_step.txt"


def profiled(options: argparse.Namespace) -> profile:
    """One step to warm up, then `options.steps` under the profiler."""
    watch = profile(activities=[ProfilerActivity.CPU], record_shapes=True)

    def between(event: Event) -> None:
        if not isinstance(event, Step):
            return
        if event.step == 1:
            watch.start()
        elif event.step == 1 + options.steps:
            watch.stop()
            signal.raise_signal(signal.SIGINT)  # as a reader stops a run

    how = recipe(options.recipe)
    fit(
        nin.build(network("chapter"), how), load(DATA[options.size]), how,
        epochs=1, batch_size=options.batch_size, input_size=224, observers=[between],
    )  # fmt: skip
    return watch


def report(watch: profile, options: argparse.Namespace) -> str:
    machine = hardware()
    flags = " ".join(flag for flag, there in (machine["flags"] or {}).items() if there)
    head = (
        f"{machine['processor']} ({flags}), {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}\nplan by rule: {plan()}; recipe {options.recipe}, batch "
        f"{options.batch_size}, {options.steps} steps: all times and counts are their sum\n"
    )
    by_name = watch.key_averages()
    by_shape = watch.key_averages(group_by_input_shape=True)
    columns = dict(sort_by="self_cpu_time_total", max_name_column_width=44)
    return "\n".join(
        [
            head,
            by_name.table(row_limit=20, **columns),
            by_shape.table(row_limit=30, max_shapes_column_width=110, **columns),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--recipe", choices=RECIPES, default="default")
    parser.add_argument("--size", choices=DATA, default="class")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE")
    options = parser.parse_args()
    text = report(profiled(options), options)
    options.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
