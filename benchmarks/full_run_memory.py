"""How much memory does a full-size run need, its evaluation included?

`python benchmarks/full_run_memory.py` takes a few training steps with the chapter's network at
224×224 and then looks at held-out images, through `nin_lib.train.fit` as any run does. Memory
hardly grows after the first batches, so a few stand for all; the images of the full set, which stay
as bytes, come on top: about 100 MB. Each run is a process of its own; its line goes to
results/full_run_memory.jsonl when it ends, and runs that are there are not repeated. `--table`
prints what is there.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from peers.serving import peak_mb
from runs import Row, main, spread

RESULTS = Path(__file__).parent / "results" / "full_run_memory.jsonl"
STEPS, HELD_OUT = 4, 512
RUNS = range(3)


def peaks(batch_size: int, number: int) -> Row:
    """The process's peak in MB after the training steps, and after the evaluation."""
    from nin_lib import network
    from nin_lib import torch as nin
    from nin_lib.data import Dataset, load
    from nin_lib.history import Event, Step
    from nin_lib.recipe import SIZES, recipe
    from nin_lib.train import fit

    found: dict[str, float | None] = {}

    def look(event: Event) -> None:
        if isinstance(event, Step):
            found["training_mb"] = peak_mb()

    mini, size, how = load("mini"), SIZES["full"], recipe("default")
    few = Dataset("few", mini.train.first(STEPS * batch_size), mini.val.first(HELD_OUT), mini.test)
    history = fit(
        nin.build(network(size.network), how, number), few, how, epochs=1,
        batch_size=batch_size, input_size=size.input_size, observers=[look],
    )  # fmt: skip
    plan = history.about.plan
    return found | dict(with_evaluation_mb=peak_mb(), steps=STEPS, held_out=HELD_OUT, plan=plan)


def in_a_process(**settings: int) -> Row:
    """`peaks` in a new process: a peak never goes down."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        return processes.submit(peaks, **settings).result()


def table(rows: list[Row]) -> str:
    lines = ["| batch size | runs | peak in training | peak with evaluation |", "|---|---|---|---|"]
    for batch_size in sorted({row["batch_size"] for row in rows}):
        some = [row for row in rows if row["batch_size"] == batch_size]
        columns = [
            spread([row[name] for row in some], ",.0f") + " MB"
            for name in ("training_mb", "with_evaluation_mb")
        ]
        lines.append(f"| {batch_size} | {len(some)} | {' | '.join(columns)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    wanted = [dict(batch_size=128, number=number) for number in RUNS]
    main(__doc__, RESULTS, wanted, in_a_process, table)
