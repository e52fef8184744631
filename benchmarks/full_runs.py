"""Ten epochs at full size, over several seeds: `python benchmarks/full_runs.py --keep FOLDER`.

The chapter's network at 224×224 on the whole of Fashion-MNIST (`nin data --download` fetches it).
A run takes one to two hours on two cores with AMX, or of an AMD EPYC with bf16 instructions, and
more on others. So it can be stopped at any time, and goes on where it was when it is started again:
FOLDER has a checkpoint of each run, not older than a minute. A line for each run goes to
results/full_runs.jsonl when it ends; runs that are there are not repeated. `--arm NAME --seed N`
makes one run only; with `--again` it is made whether it is there or not, with any seed, and printed
instead of stored. `--anyway` takes a run up with other threads or on another machine, and its line
says so. `--table` prints what is there; `--record` writes what notebook 07 reads. The arms are
those of collapse_study.py.

Decided before the first run: a run has FAILED when fewer than 0.83 of the held-out images are right
after the last epoch, or when the loss was no number. By that line the notebook counts d2l's runs of
this network, too; their good ones have about 0.87.

All choices were made on held-out training images. What the test images say is stored with each run;
it was first looked at when the default recipe had been chosen and had made its three runs. Since
then `--record` hands it on, and `--table --test` prints it.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import deque
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from collapse_study import ARMS, classes, has_failed, rounded, summarise
from runs import Row, make, shown, spread, stored
from safetensors.torch import load_file
from torch import nn

from nin_lib import network
from nin_lib import torch as nin
from nin_lib.collapse import CollapseMonitor
from nin_lib.data import CLASSES, load
from nin_lib.history import COLUMNS, EpochEnd, Event, History, Step
from nin_lib.progress import default as progress
from nin_lib.recipe import RECIPES, SIZES
from nin_lib.runtime.plan import choose_plan
from nin_lib.train import evaluate, fit, predict

RESULTS = Path(__file__).parent / "results" / "full_runs.jsonl"
RECORDED = Path(__file__).parents[1] / "nin_lib" / "recorded"
FAILED = 0.83
CHOSEN = ("default", "published")
SEEDS = range(3)
Resume = Literal["exact", "anyway", "never"]
SIZE = SIZES["full"]
WINDOW = 20  # steps in one point of the stored curves


def one_run(arm: str, seed: int, keep: Path, resume: Resume = "exact") -> Row:
    """Train one network, or go on with it. Raises `SystemExit` when it is interrupted."""
    centre, changes = ARMS[arm]
    how, data, machine = replace(RECIPES[centre], **changes), load(SIZE.data), choose_plan()
    model = nin.build(network(SIZE.network), how, seed)
    folder = keep / f"{arm}, seed {seed}"
    folder.mkdir(parents=True, exist_ok=True)
    seen = folder / "seen.jsonl"  # survives a stop; what was seen twice counts once, the last time
    recent: deque[Step] = deque(maxlen=WINDOW)

    def note(**row: Any) -> None:
        with seen.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")

    def watch(event: Event) -> None:
        if isinstance(event, Step):
            recent.append(event)
            if event.step % WINDOW == 0:
                images = sum(step.images for step in recent)
                note(
                    step=event.step,
                    loss=round(sum(float(step.loss) * step.images for step in recent) / images, 3),
                    accuracy=round(sum(int(step.correct) for step in recent) / images, 3),
                    shares=own_shares(monitor),
                )
        elif isinstance(event, EpochEnd):
            logits = predict(model, data.val, SIZE.input_size, plan=machine)
            note(**rounded(event.row), **classes(logits, data.val.labels))

    monitor = CollapseMonitor(lambda words: note(told=words), CLASSES)
    about: Row = {"plan": machine.about()}
    problem = ""
    rows: list[Row] = []
    try:
        history = ended(model, folder / "run") or fit(
            model, data, how, epochs=SIZE.epochs, batch_size=SIZE.batch_size,
            input_size=SIZE.input_size, seed=seed, plan=machine,
            observers=[monitor, watch, progress()], out=folder / "run", resume=resume,
        )  # fmt: skip
        if len(history.rows) < SIZE.epochs:
            raise SystemExit("interrupted; started again, the run goes on")
        about, rows = history.about.to_dict(), history.rows
    except FloatingPointError as error:
        problem = str(error)
    test = evaluate(model, data.test, SIZE.input_size, plan=machine)
    return what_was_seen(seen, rows) | dict(
        problem=problem, test_loss=round(test[0], 4), test_accuracy=round(test[1], 4), about=about
    )


def ended(model: nn.Module, kept: Path) -> History | None:
    """What is kept of a run that ended, and was cut off before its line was written."""
    if not (kept / "history.json").exists():
        return None
    model.load_state_dict(load_file(kept / "model.safetensors"))
    return History.from_json((kept / "history.json").read_text(encoding="utf-8"))


def own_shares(monitor: CollapseMonitor) -> list[float | None]:
    """What the monitor saw last: for each class, of its own images, the share above 0."""
    last = monitor.shares[-1][1] if monitor.shares else [None] * len(CLASSES)
    return [share if share is None else round(share, 2) for share in last]


def what_was_seen(file: Path, history: list[Row]) -> dict[str, Any]:
    rows = [rounded(row) for row in history] + stored(file)
    epochs = {row["epoch"]: row for row in rows if "epoch" in row}
    steps = {row["step"]: row for row in rows if "step" in row}
    return dict(
        epochs=[epochs[key] for key in sorted(epochs)],
        steps=[steps[key] for key in sorted(steps)],
        told=list(dict.fromkeys(row["told"] for row in rows if "told" in row)),
    )


def recorded(run: Row) -> Row:
    """The run as `nin_lib.recorded.run` reads it. Points are at the end of their window."""
    each = run["epochs"]
    per_epoch = math.ceil(run["about"]["images"] / SIZE.batch_size)
    steps = [row | {"x": round(row["step"] / per_epoch, 4)} for row in run["steps"]]
    series = {
        f"train_{key}": [[row["x"], row[key]] for row in steps if row[key] is not None]
        for key in ("loss", "accuracy")
    } | {key: [[row["epoch"], row[key]] for row in each] for key in ("val_loss", "val_accuracy")}
    judged = [row for row in steps if any(share is not None for share in row["shares"])]
    return dict(
        about=run["about"] | {"network": SIZE.network},
        rows=[{key: row[key] for key in COLUMNS} for row in each],
        series=series,
        classes=dict(
            names=CLASSES,
            x=[row["x"] for row in judged],
            shares=list(zip(*(row["shares"] for row in judged), strict=True)),
            positive=each[-1]["positive"],
            right=each[-1]["recall"],
        ),
        told=run["told"],
    )


def record(runs: list[Row]) -> None:
    """Write nin_lib/recorded/full_runs.jsonl, and the first seed of each arm as full-ARM.json."""
    file = RECORDED / "full_runs.jsonl"
    file.write_text(summarise(runs, FAILED, ["test_accuracy"]), encoding="utf-8", newline="\n")
    for run in runs:
        if run["seed"] == SEEDS[0]:
            text = json.dumps(recorded(run), ensure_ascii=False, separators=(",", ":"))
            file = RECORDED / f"full-{run['arm']}.json"
            file.write_text(text + "\n", encoding="utf-8", newline="\n")


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
            failed = f"{sum(has_failed(run, FAILED) for run in mine)} of {len(mine)}"
            lines.append(f"| {arm} | {failed} | {' | '.join(words)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where checkpoints go")
    parser.add_argument("--arm", choices=CHOSEN, help="runs of this arm only")
    parser.add_argument("--seed", type=int, help="runs with this seed only")
    parser.add_argument("--again", action="store_true", help="repeat this run, store nothing")
    parser.add_argument("--anyway", action="store_true", help="go on under other conditions, too")
    parser.add_argument("--table", action="store_true", help="print what is there, run nothing")
    parser.add_argument("--test", action="store_true", help="print what the test images say, too")
    parser.add_argument("--record", action="store_true", help="write what the notebook reads")
    options = parser.parse_args()
    if options.record:
        record(stored(RESULTS))
    elif not options.table:
        if options.keep is None:
            parser.error("--keep FOLDER is needed: a run takes hours, and should not be lost")
        resume: Resume = "anyway" if options.anyway else "exact"
        run = partial(one_run, keep=options.keep, resume=resume)
        if options.again:
            if None in (options.arm, options.seed):
                parser.error("--again needs --arm and --seed: it repeats a single run")
            print(json.dumps(shown(run(options.arm, options.seed)), ensure_ascii=False))
            return
        if options.seed not in (None, *SEEDS):
            parser.error(f"--seed: {options.seed} is not in {[*SEEDS]}; --again takes any seed")
        wanted = [
            dict(arm=arm, seed=seed)
            for seed in SEEDS if options.seed in (None, seed)
            for arm in CHOSEN if options.arm in (None, arm)
        ]  # fmt: skip
        make(RESULTS, wanted, run)
    print(table(stored(RESULTS), options.test))


if __name__ == "__main__":
    main()
