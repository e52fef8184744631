"""Time, memory and accuracy of class runs, over several seeds: `python benchmarks/class_run.py`.

Each run is a process of its own, `nin train --size class`, as a reader starts it; the last ones are
limited to AVX2, as on an older processor. A run's line is written to results/class_run.jsonl when
it ends; runs that are there already are not repeated. `--table` prints what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "class_run.jsonl"
LIMITS = {
    "none": {},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
}
SEEDS = {"none": range(5), "AVX2": range(3)}
FINAL = re.compile(r"test images: loss ([\d.]+), accuracy ([\d.]+)")


def class_run(limit: str, seed: int) -> dict[str, object]:
    """One run: seconds from start to end, peak memory in MB, and the final figures."""
    command = [sys.executable, "-m", "nin_lib", "train", "--size", "class", "--seed", str(seed)]
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, **LIMITS[limit]}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    found = FINAL.search(output)
    if status != 0 or not found:
        raise SystemExit(f"{' '.join(command)} failed:\n{output}")
    return dict(
        limit=limit,
        seed=seed,
        seconds=round(seconds, 1),
        peak_mb=round(usage.ru_maxrss / 1024),
        test_loss=float(found[1]),
        test_accuracy=float(found[2]),
        plan=output.splitlines()[0],
        cores=os.cpu_count(),
        python=platform.python_version(),
    )


def stored() -> list[dict[str, object]]:
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


def table(runs: list[dict[str, object]]) -> str:
    lines = ["| instruction set limited to | runs | seconds | peak memory | test accuracy |"]
    lines.append("|---|---|---|---|---|")
    for limit in LIMITS:
        some = [run for run in runs if run["limit"] == limit]
        if some:
            lines.append(
                f"| {limit} | {len(some)} | {spread(some, 'seconds', '.0f')} "
                f"| {spread(some, 'peak_mb', '.0f')} MB | {spread(some, 'test_accuracy', '.3f')} |"
            )
    return "\n".join(lines)


def spread(runs: list[dict[str, object]], key: str, form: str) -> str:
    values = [run[key] for run in runs]
    middle = statistics.median(values)
    return f"{middle:{form}} ({min(values):{form}} to {max(values):{form}})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="print what was measured, run nothing")
    runs = stored()
    if not parser.parse_args().table:
        done = {(run["limit"], run["seed"]) for run in runs}
        wanted = [(limit, seed) for limit, seeds in SEEDS.items() for seed in seeds]
        for limit, seed in wanted:
            if (limit, seed) not in done:
                runs.append(class_run(limit, seed))
                print(runs[-1], flush=True)
                with RESULTS.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(runs[-1]) + "\n")
    print(table(runs))


if __name__ == "__main__":
    main()
