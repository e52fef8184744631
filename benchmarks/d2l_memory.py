"""How much memory does d2l need at full size, with the chapter's data module?

`python benchmarks/d2l_memory.py` runs the programs in tests/frameworks/d2l_programs, each in a
process of its own: NiN in d2l's words, six training steps at 224×224 and two batches of held-out
images. Memory hardly grows after the first batches, so a few represent them all. A line goes to
results/d2l_memory.jsonl when a program ends, and what is there is not repeated. `--table` prints
what is there. It needs d2l and the framework; not on Windows, where this can't be asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from runs import Row, main

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / "tests" / "frameworks" / "d2l_programs"
RESULTS = Path(__file__).parent / "results" / "d2l_memory.jsonl"
PACKAGES = {"torch": ("torch",), "tensorflow": ("tensorflow", "tf_keras"), "jax": ("jax", "flax")}


def run(framework: str, batch_size: int) -> Row:
    """The program's peak in MB, its training losses, and what it ran on."""
    packages = ("d2l", "numpy", *PACKAGES[framework])
    output, peak_mb = watched(PROGRAMS / f"{framework}_nin.py", str(batch_size))
    losses = output.splitlines()[-1].removeprefix("training loss").split()
    return dict(
        peak_mb=round(peak_mb), losses=[float(loss) for loss in losses],
        versions={name: version(name) for name in packages},
        python=sys.version.split()[0], cores=os.cpu_count(),
    )  # fmt: skip


def watched(program: Path, *arguments: str) -> tuple[str, float]:
    """What a program prints, and the most memory that it held, in MB."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(program), *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{program.name} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024  # as in peers/serving.py
    return output, usage.ru_maxrss * unit / 1e6


def table(rows: list[Row]) -> str:
    lines = ["| d2l on | batch size | peak |", "|---|---|---|"]
    for row in rows:
        lines.append(f"| {row['framework']} | {row['batch_size']} | {row['peak_mb']:,} MB |")
    return "\n".join(lines)


if __name__ == "__main__":
    wanted = [dict(framework=framework, batch_size=128) for framework in PACKAGES]
    main(__doc__, RESULTS, wanted, run, table)
