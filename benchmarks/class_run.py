"""Time, memory and accuracy of class runs, over several seeds: `python benchmarks/class_run.py`.

Each run is a process of its own, `nin train --size class`, as a reader starts it; the last ones are
limited to AVX2, as on an older processor. A run's line is written to results/class_run.jsonl when
it ends; runs that are there already are not repeated. `--table` prints what is there.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

from runs import Row, main, spread

RESULTS = Path(__file__).parent / "results" / "class_run.jsonl"
LIMITS = {
    "none": {},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
}
SEEDS = {"none": range(5), "AVX2": range(3)}
FINAL = re.compile(r"test images: loss ([\d.]+), accuracy ([\d.]+)")


def class_run(limit: str, seed: int) -> Row:
    """One run: seconds from start to end, peak memory in MiB, and the final figures."""
    command = [sys.executable, "-m", "nin_lib", "train", "--test", "--seed", str(seed)]
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
        seconds=round(seconds, 1),
        peak_mib=round(usage.ru_maxrss / 1024),
        test_loss=float(found[1]),
        test_accuracy=float(found[2]),
        plan=output.splitlines()[0],
        cores=os.cpu_count(),
        python=platform.python_version(),
    )


def table(runs: list[Row]) -> str:
    lines = ["| instruction set limited to | runs | seconds | peak memory | test accuracy |"]
    lines.append("|---|---|---|---|---|")
    for limit in LIMITS:
        some = [run for run in runs if run["limit"] == limit]
        if some:
            lines.append(
                f"| {limit} | {len(some)} | {spread([run['seconds'] for run in some], '.0f')} "
                f"| {spread([run['peak_mib'] for run in some], '.0f')} MiB "
                f"| {spread([run['test_accuracy'] for run in some], '.3f')} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    wanted = [dict(limit=limit, seed=seed) for limit, seeds in SEEDS.items() for seed in seeds]
    main(__doc__, RESULTS, wanted, class_run, table)
