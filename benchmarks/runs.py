"""A file of runs, a line of JSON for each. A run is written when it ends, and never made twice."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nin_lib.recipe import recipe

Row = dict[str, Any]

# The default recipe before variants.py and collapse_study.py had shown that a rate of 0.2 learns
# more. What does not ask about rates was measured with it, and is repeated with it.
SLOWER_DEFAULT = replace(recipe("default"), learning_rate=0.05)


def stored(file: Path) -> list[Row]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def make(file: Path, wanted: Iterable[Row], run: Callable[..., Row]) -> None:
    """Call `run(**settings)` for each of the settings in `wanted` that `file` does not have yet."""
    done = stored(file)
    for settings in wanted:
        if any(settings.items() <= row.items() for row in done):
            continue
        row = settings | run(**settings)
        print(shown(row), flush=True)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")


def shown(row: Row) -> Row:
    """What is printed of a run when it ends.

    Not what the test images say: choices are made without it. Nor the steps, which are many.
    """
    return {key: row[key] for key in row if not key.startswith("test_") and key != "steps"}


def spread(values: Sequence[float], form: str) -> str:
    """Median and range: "32 (31 to 33)"."""
    middle = statistics.median(values)
    return f"{middle:{form}} ({min(values):{form}} to {max(values):{form}})"


def curves(runs: list[Row], by: str, names: Iterable[str]) -> str:
    """A table of held-out accuracy after each epoch, median and range over the seeds.

    A row for each of `names` that `runs` have under the key `by`.
    """
    lines = [f"| {by} | seeds | after epoch 1 | 2 | 3 |", "|---|---|---|---|---|"]
    for name in names:
        mine = [run["val_accuracy"] for run in runs if run[by] == name]
        if mine:
            columns = [spread(epoch, ".3f") for epoch in zip(*mine, strict=True)]
            lines.append(f"| {name} | {len(mine)} | {' | '.join(columns)} |")
    return "\n".join(lines)


def main(
    doc: str, file: Path, wanted: Iterable[Row], run: Callable[..., Row],
    table: Callable[[list[Row]], str],
) -> None:  # fmt: skip
    """Make the runs that are missing, or with --table none, and print the table of all.

    With `--again KEY=VALUE ...` the runs with these settings are repeated, printed and not kept.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="print what was measured, run nothing")
    parser.add_argument("--again", nargs="+", metavar="KEY=VALUE", help="repeat runs, keep nothing")
    options = parser.parse_args()
    if options.again:
        for settings in chosen(wanted, options.again):
            print(json.dumps(settings | run(**settings), ensure_ascii=False), flush=True)
        return
    if not options.table:
        make(file, wanted, run)
    print(table(stored(file)))


def chosen(wanted: Iterable[Row], texts: list[str]) -> list[Row]:
    """The settings that have all of these values, each given as "key=value"."""
    found = [it for it in wanted if {f"{key}={it[key]}" for key in it} >= set(texts)]
    if not found:
        raise SystemExit(f"there is no run with {', '.join(texts)}")
    return found
