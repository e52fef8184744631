"""A class run on a processor that has other work, too: `python benchmarks/crowded.py`.

PyTorch's threads wait for each other in every layer, so one that does not get its turn holds up all
of them. This measures the seconds of a training step of a run alone, beside another run like it,
and beside a program that keeps one core busy; each with as many threads as PyTorch takes by itself,
and with one. It takes about five minutes on two cores, and writes results/crowded.json.
`--table` prints what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from runs import spread

RESULTS = Path(__file__).parent / "results" / "crowded.json"
COMPANY = ("none", "a second run", "a busy program")
THREADS = ("PyTorch's", "one")
BUSY = "while True: pass"
ROUNDS, SECONDS, WARM_UP = 3, 15, 3  # in a round each is measured once


def steps(seconds: float) -> list[float]:
    """How long each step of a class run took, of those that end within `seconds`."""
    from nin_lib import network
    from nin_lib import torch as nin
    from nin_lib.data import load
    from nin_lib.history import Event, Step
    from nin_lib.recipe import SIZES, recipe
    from nin_lib.runtime.interrupt import Interrupted
    from nin_lib.train import fit

    size, how, ends = SIZES["class"], recipe("default"), []

    def watch(event: Event) -> None:
        if isinstance(event, Step):
            ends.append(time.perf_counter())
            if len(ends) > WARM_UP + 1 and ends[-1] - ends[0] > seconds:
                raise Interrupted

    model = nin.build(network(size.network), how)
    fit(model, load(size.data), how, epochs=100, batch_size=size.batch_size, observers=[watch])
    return [after - before for before, after in zip(ends, ends[1:], strict=False)][WARM_UP:]


def measure(company: str, threads: str) -> float:
    """Median seconds of a step. With a second run: the mean of the two runs' medians."""
    free = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    env = free | ({"OMP_NUM_THREADS": "1"} if threads == "one" else {})
    busy = [subprocess.Popen([sys.executable, "-c", BUSY])] if company == "a busy program" else []
    try:
        runs = [
            subprocess.Popen([sys.executable, __file__, "--steps"], stdout=subprocess.PIPE, env=env)
            for _ in range(2 if company == "a second run" else 1)
        ]
        said = [run.communicate()[0].splitlines()[-1] for run in runs]
    finally:
        for program in busy:
            program.kill()
    return statistics.mean(statistics.median(json.loads(line)) for line in said)


def ratios(rounds: list[dict[str, Any]], company: str) -> list[float]:
    """For each round: how many times as long a step takes with PyTorch's threads as with one."""
    return [row[company]["PyTorch's"] / row[company]["one"] for row in rounds]


def table(rounds: list[dict[str, Any]]) -> str:
    lines = ["| beside it | seconds a step, PyTorch's threads | one thread | ratio (range) |"]
    lines.append("|---|---|---|---|")
    for company in COMPANY:
        many, one = (
            statistics.median(row[company][threads] for row in rounds) for threads in THREADS
        )
        ratio = spread(ratios(rounds, company), ".1f")
        lines.append(f"| {company} | {many:.3f} | {one:.3f} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="print what is there, measure nothing")
    parser.add_argument("--steps", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps:
        print(json.dumps([round(seconds, 4) for seconds in steps(SECONDS)]))
        return
    if not options.table:
        from nin_lib.runtime.plan import choose_plan

        about = choose_plan().about() | {"cores": os.cpu_count(), "system": platform.platform()}
        rounds = []
        for _ in range(ROUNDS):
            rounds.append({c: {t: round(measure(c, t), 4) for t in THREADS} for c in COMPANY})
            print(rounds[-1], flush=True)
            text = json.dumps({"about": about, "rounds": rounds}, indent=1)
            RESULTS.write_text(text + "\n", encoding="utf-8", newline="\n")
    print(table(json.loads(RESULTS.read_text(encoding="utf-8"))["rounds"]))


if __name__ == "__main__":
    main()
