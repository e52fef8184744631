"""Ten epochs at full size, over several seeds: `python benchmarks/full_runs.py --keep FOLDER`.

The chapter's network at 224×224 on the whole of Fashion-MNIST (`nin data --download` fetches it).
A run takes hours on a processor: 50 minutes on two cores with AMX, about three hours without. So it
can be stopped at any time, and goes on where it was when it is started again: FOLDER has a
checkpoint of each run, not older than a minute. A line for each run goes to results/full_runs.jsonl
when it ends; runs that are there are not repeated. `--arm NAME --seed N` makes one run only,
`--table` prints what is there. The arms, and what counts as failed, are those of collapse_study.py.

All choices are made on held-out training images. What the test images say is stored with each run
and printed by `--table --test`, once, when the choice has been made.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from collapse_study import ARMS, classes, has_failed, rounded
from runs import Row, make, spread, stored

from nin_lib import network
from nin_lib import torch as nin
from nin_lib.data import load
from nin_lib.engine.device import plan
from nin_lib.history import EpochEnd, Event, Step
from nin_lib.recipe import RECIPES, SIZES
from nin_lib.train import evaluate, fit, predict
from nin_lib.watch import default as progress

RESULTS = Path(__file__).parent / "results" / "full_runs.jsonl"
CHOSEN = ("default, rate 0.2", "default", "published")
SEEDS = range(3)
SIZE = SIZES["full"]
WINDOW = 10  # steps in one point of the stored training loss


def one_run(arm: str, seed: int, keep: Path) -> Row:
    """Train one network, or go on with it. Raises `SystemExit` when it is interrupted."""
    centre, changes = ARMS[arm]
    how, data, machine = replace(RECIPES[centre], **changes), load(SIZE.data), plan()
    model = nin.build(network(SIZE.network), how, seed)
    folder = keep / f"{arm}, seed {seed}"
    folder.mkdir(parents=True, exist_ok=True)
    seen = folder / "seen.jsonl"  # survives a stop; what was seen twice counts once, the last time
    losses: list[float] = []

    def note(row: Row) -> None:
        with seen.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")

    def watch(event: Event) -> None:
        if isinstance(event, Step):
            losses.append(float(event.loss))
            if event.step % WINDOW == 0:
                note(dict(step=event.step, loss=round(sum(losses) / len(losses), 3)))
                losses.clear()
        elif isinstance(event, EpochEnd):
            logits = predict(model, data.val, SIZE.input_size, plan=machine)
            note(rounded(event.row) | classes(logits, data.val.labels))

    problem = ""
    try:
        history = fit(
            model, data, how, epochs=SIZE.epochs, batch_size=SIZE.batch_size,
            input_size=SIZE.input_size, seed=seed, plan=machine,
            observers=[watch, progress()], out=folder / "run",
        )  # fmt: skip
        if len(history.rows) < SIZE.epochs:
            raise SystemExit("interrupted; started again, the run goes on")
    except FloatingPointError as error:
        problem = str(error)
    test = evaluate(model, data.test, SIZE.input_size, plan=machine)
    return what_was_seen(seen) | dict(
        problem=problem, test_loss=round(test[0], 4), test_accuracy=round(test[1], 4),
        plan=machine.about(),
    )  # fmt: skip


def what_was_seen(file: Path) -> dict[str, Any]:
    rows = stored(file)
    epochs = {row["epoch"]: row for row in rows if "epoch" in row}
    losses = {row["step"]: row["loss"] for row in rows if "epoch" not in row}
    return dict(
        epochs=[epochs[key] for key in sorted(epochs)],
        train_loss=[losses[key] for key in sorted(losses)],
    )


def table(runs: list[Row], test: bool) -> str:
    lines = ["| arm | failed | held-out accuracy |", "|---|---|---|"]
    if test:
        lines = [
            line + more for line, more in zip(lines, (" test accuracy |", "---|"), strict=True)
        ]
    for arm in CHOSEN:
        mine = [run for run in runs if run["arm"] == arm]
        if mine:
            held_out = [run["epochs"][-1]["val_accuracy"] for run in mine if not run["problem"]]
            columns = [held_out, [run["test_accuracy"] for run in mine]][: 1 + test]
            words = [spread(column, ".3f") if column else "–" for column in columns]
            failed = f"{sum(map(has_failed, mine))} of {len(mine)}"
            lines.append(f"| {arm} | {failed} | {' | '.join(words)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where checkpoints go")
    parser.add_argument("--arm", choices=CHOSEN, help="runs of this arm only")
    parser.add_argument("--seed", type=int, help="runs with this seed only")
    parser.add_argument("--table", action="store_true", help="print what is there, run nothing")
    parser.add_argument("--test", action="store_true", help="print what the test images say, too")
    options = parser.parse_args()
    if not options.table:
        if options.keep is None:
            parser.error("--keep FOLDER is needed: a run takes hours, and should not be lost")
        wanted = [
            dict(arm=arm, seed=seed)
            for seed in SEEDS if options.seed in (None, seed)
            for arm in CHOSEN if options.arm in (None, arm)
        ]  # fmt: skip
        make(RESULTS, wanted, partial(one_run, keep=options.keep))
    print(table(stored(RESULTS), options.test))


if __name__ == "__main__":
    main()
