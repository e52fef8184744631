"""Where the time of our training step goes: `python benchmarks/profile_step.py`.

A run of `nin_lib.train.fit` with the chapter's network at 224×224, under PyTorch's profiler once
it is warm. The operators with the most time of their own go to results/profile_step.txt. Shapes are
not recorded: what the profiler keeps for them splits up the memory that the run keeps, and then new
pages take a third of the time.
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
from nin_lib.history import Event, Step
from nin_lib.recipe import RECIPES, recipe
from nin_lib.runtime.plan import choose_plan
from nin_lib.train import fit

OUT = Path(__file__).parent / "results" / "profile_step.txt"


def profiled(options: argparse.Namespace) -> profile:
    """Steps to warm up, until memory is settled, then `options.steps` under the profiler."""
    watch = profile(activities=[ProfilerActivity.CPU])

    def between(event: Event) -> None:
        if not isinstance(event, Step):
            return
        if event.step == options.warm_up:
            watch.start()
        elif event.step == options.warm_up + options.steps:
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
        f"torch {torch.__version__}\nplan by rule: {choose_plan()}; recipe {options.recipe}, batch "
        f"{options.batch_size}, {options.steps} steps: all times and counts are their sum\n"
    )
    rows = watch.key_averages()
    return head + rows.table(sort_by="self_cpu_time_total", row_limit=20, max_name_column_width=44)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=5, help="steps before those")
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
