"""Does the fast way learn as the plain one does? `python benchmarks/same_learning.py`.

The same seeds at class size, once as plainly as PyTorch goes (float32, contiguous) and once in each
fast way. A line for each run goes to results/same_learning.jsonl when it ends; runs that are there
are not repeated. `--table` prints what is there.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "same_learning.jsonl"
WAYS: dict[str, dict[str, Any]] = {
    "plain float32": dict(channels_last=False),
    "float32, channels last, memory kept": dict(keep_memory=True),
    "bfloat16, channels last, memory kept": dict(precision="bfloat16", keep_memory=True),
}
SEEDS = range(5)


def class_run(way: str, seed: int) -> dict[str, Any]:
    """Train at class size; the curve on the held-out images."""
    from nin_lib import network
    from nin_lib import torch as nin
    from nin_lib.data import load
    from nin_lib.engine.device import Plan
    from nin_lib.recipe import SIZES, recipe
    from nin_lib.train import fit

    size, how = SIZES["class"], recipe("default")
    model = nin.build(network(size.network), how, seed)
    history = fit(
        model, load(size.data), how, epochs=size.epochs, batch_size=size.batch_size, seed=seed,
        plan=Plan("cpu", **WAYS[way]), observers=[],
    )  # fmt: skip
    curve = [round(row, 4) for row in history.column("val_accuracy")]
    return dict(way=way, seed=seed, val_accuracy=curve, plan=history.about["plan"])


def stored() -> list[dict[str, Any]]:
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


def table(runs: list[dict[str, Any]]) -> str:
    """Held-out accuracy after each epoch: median and range over the seeds."""
    lines = ["| way | seeds | after epoch 1 | 2 | 3 |", "|---|---|---|---|---|"]
    for way in WAYS:
        curves = [run["val_accuracy"] for run in runs if run["way"] == way]
        if curves:
            columns = [
                f"{statistics.median(c):.3f} ({min(c):.3f} to {max(c):.3f})"
                for c in zip(*curves, strict=True)
            ]
            lines.append(f"| {way} | {len(curves)} | {' | '.join(columns)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="print what was measured, run nothing")
    runs = stored()
    if not parser.parse_args().table:
        done = {(run["way"], run["seed"]) for run in runs}
        wanted = [(way, seed) for seed in SEEDS for way in WAYS]
        for way, seed in wanted:
            if (way, seed) not in done:
                runs.append(class_run(way, seed))
                print(runs[-1]["way"], seed, runs[-1]["val_accuracy"], flush=True)
                with RESULTS.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(runs[-1]) + "\n")
    print(table(runs))


if __name__ == "__main__":
    main()
