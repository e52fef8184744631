"""Speed and memory of training, side by side: `python benchmarks/training.py --size full`.

The chapter's network on the same Fashion-MNIST images, enlarged to 224×224, on the processor: d2l's
`train_ch6`, other ways to train, and ours. Each is a process of its own (`peers/`), and they are
measured in turn, round after round, so that whatever slows the machine for a while slows them all.
Results are written after each turn; `--table` prints what is there. See README.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from nin_lib.data import Dataset, SetName, load
from nin_lib.data_files import FILES

HERE = Path(__file__).parent
BASE = "train_ch6"
FIGURES = ("end_to_end", "loader", "step")
LOADER = dict(warm_up=8, steps=20)  # batches; the warm-up is as many as loaders make in advance
PATIENCE = 900  # seconds for one measurement; a hang is a failure
ERROR = re.compile(r"[\w.]*(Error|Exception)\b")  # the last line of a traceback begins so
DATA: dict[str, SetName] = {"class": "mini", "full": "full"}

LIMITS = {
    "AVX2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    },
}
# What a reader may have set to make something faster; peers start without it.
CLEARED = (
    "ATEN_", "DNNL_", "GLIBC_TUNABLES", "GOMP_", "KMP_", "LD_PRELOAD", "MALLOC_", "MKL_", "OMP_",
    "ONEDNN_", "OPENBLAS_", "TF_", "TORCH", "XLA_",
)  # fmt: skip
QUIET = {
    "CUDA_VISIBLE_DEVICES": "",  # all on the processor
    "JAX_PLATFORMS": "cpu",
    "MPLBACKEND": "Agg",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


@dataclass(frozen=True)
class Contender:
    label: str
    module: str  # in peers/
    needs: tuple[str, ...]  # packages without which it is skipped
    variant: str = ""


TORCH, LIGHTNING = ("torch", "torchvision"), ("lightning", "torch", "torchvision")
KERAS, FLAX = ("keras", "tensorflow"), ("jax", "flax", "optax")
CONTENDERS = {
    BASE: Contender("d2l `train_ch6`", "d2l_train_ch6", ("d2l", *TORCH)),
    "d2l-trainer": Contender("d2l `Trainer`", "d2l_trainer", ("d2l", *TORCH)),
    "pytorch": Contender("PyTorch loop", "pytorch_loop", TORCH),
    "pytorch-channels-last": Contender(
        "PyTorch loop, channels_last", "pytorch_loop", TORCH, "channels_last"
    ),
    "pytorch-fast": Contender(
        "PyTorch loop, channels_last, bf16 autocast", "pytorch_loop", TORCH, "fast"
    ),
    "lightning": Contender("Lightning", "lightning_fit", LIGHTNING),
    "lightning-fast": Contender(
        "Lightning, channels_last, bf16-mixed", "lightning_fit", LIGHTNING, "fast"
    ),
    "keras": Contender("Keras on TensorFlow", "keras_fit", KERAS),
    "keras-fast": Contender("Keras on TensorFlow, mixed_bfloat16", "keras_fit", KERAS, "fast"),
    "flax": Contender("Flax with optax", "flax_loop", FLAX),
    "flax-fast": Contender("Flax with optax, bf16", "flax_loop", FLAX, "fast"),
    "ours": Contender("**ours**, `nin_lib.train.fit`", "ours", ("torch",)),
}


# ── Processes ────────────────────────────────────────────────────────────────────────────────────


class PeerFailed(Exception):
    """A peer ended, or did not answer; the message is its last line."""


class Process:
    """One contender, started and waiting. What it prints goes to a log in `folder`."""

    def __init__(self, name: str, options: argparse.Namespace, folder: Path) -> None:
        contender = CONTENDERS[name]
        settings = dict(
            data=DATA[options.size],
            folder=str(folder),
            batch_size=options.batch_size,
            threads=options.threads,
            variant=contender.variant,
        )
        script = HERE / "peers" / f"{contender.module}.py"
        self.log = folder / f"{name}.log"
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(script), json.dumps(settings)],
                env=environment(options.limit),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
            )

    def ask(self, **request: Any) -> dict[str, Any]:
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
        except OSError:
            raise PeerFailed(self.last_words()) from None
        return self.reply()

    def reply(self) -> dict[str, Any]:
        """The next reply; what is printed before the protocol begins is not one."""
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        assert self.process.stdout
        try:
            for line in self.process.stdout:
                if line.startswith("{"):
                    return json.loads(line)
        finally:
            watchdog.cancel()
        raise PeerFailed(self.last_words())

    def last_words(self) -> str:
        status = self.process.wait(10)
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        errors = [line for line in lines if ERROR.match(line)]
        said = (errors or lines or ["it said nothing"])[-1]
        return f"exit status {status}: {said[:200]}"

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in filter(None, (self.process.stdin, self.process.stdout)):
            pipe.close()


def environment(limit: str | None) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(CLEARED)}
    return kept | QUIET | LIMITS.get(limit or "", {})


def keep_to(threads: int) -> None:
    """This process and its children on so many cores, whatever a framework thinks it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def write_images(data: Dataset, folder: Path) -> None:
    """The images as torchvision and d2l want them: four unpacked files below data/."""
    raw = folder / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    arrays = (data.train.images, data.train.labels, data.test.images, data.test.labels)
    for name, array in zip(FILES, arrays, strict=True):
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        (raw / name).write_bytes(header + array.astype(np.uint8).tobytes())


# ── Measuring ────────────────────────────────────────────────────────────────────────────────────


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All rounds; the results, which are also in `options.out` after every turn."""
    results = dict(about=about(options), peers={}, skipped={})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data = load(DATA[options.size])
        write_images(data, folder)
        results["about"]["images"] = len(data.train)
        keep_to(options.threads)
        running = start_all(options, folder, stack, results)
        for number in range(1, options.rounds + 1):
            for name in rotated(list(running), number - 1):
                try:
                    one_round(name, number, running[name], options, results)
                except PeerFailed as failure:
                    skip(name, f"round {number}: {failure}", results)
                    del running[name]
                save(results, options.out)
    results["about"]["finished"] = True
    save(results, options.out)
    return results


def start_all(
    options: argparse.Namespace, folder: Path, stack: ExitStack, results: dict[str, Any]
) -> dict[str, Process]:
    """The peers that can run here, each built, warm and waiting."""
    running = {}
    for name in options.only or CONTENDERS:
        missing = [m for m in CONTENDERS[name].needs if importlib.util.find_spec(m) is None]
        if missing:
            skip(name, f"{', '.join(missing)} not installed", results)
            continue
        process = stack.enter_context(Process(name, options, folder))
        try:
            hello = process.reply()
        except PeerFailed as failure:
            skip(name, str(failure), results)
            continue
        print(f"{name}: {hello['about']}; {hello['seconds_per_step']:.1f} s a step", flush=True)
        results["peers"][name] = hello | dict(rounds=[])
        running[name] = process
    return running


def skip(name: str, why: str, results: dict[str, Any]) -> None:
    print(f"{name}: skipped, {why}", flush=True)
    results["skipped"][name] = why


def one_round(
    name: str, number: int, peer: Process, options: argparse.Namespace, results: dict[str, Any]
) -> None:
    record = results["peers"][name]
    steps = int(options.seconds / record["seconds_per_step"])
    steps = max(1, min(options.steps, steps))
    row: dict[str, Any] = dict(round=number)
    for figure in FIGURES:
        counts = LOADER if figure == "loader" else dict(warm_up=options.warm_up, steps=steps)
        row[figure] = peer.ask(figure=figure, **counts)
    record["rounds"].append(row)
    speeds = "  ".join(f"{figure} {row[figure]['images_per_second']:.1f}" for figure in FIGURES)
    print(f"round {number}  {name}: {speeds} images/s", flush=True)


def rotated(names: list[str], by: int) -> list[str]:
    """Each round begins with another peer."""
    by %= max(1, len(names))
    return names[by:] + names[:by]


def about(options: argparse.Namespace) -> dict[str, Any]:
    keys = ("size", "batch_size", "threads", "rounds", "warm_up", "steps", "seconds", "limit")
    return dict(
        date=datetime.now(UTC).isoformat(timespec="minutes"),
        finished=False,
        commit=commit(),
        network="chapter, 224×224, 1,992,166 parameters",
        **{key: getattr(options, key) for key in keys},
        hardware=hardware(),
    )


def hardware() -> dict[str, Any]:
    """Processor, the flags that decide about bfloat16, cores, memory."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    lines = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    found = {key.strip(): value.strip() for key, value in lines}
    flags = found.get("flags", "").split()
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return dict(
        processor=found.get("model name") or platform.processor(),
        flags={flag: flag in flags for flag in wanted} if flags else None,
        cores=os.cpu_count(),
        memory_gb=memory_gb(),
        system=f"{platform.system()} {platform.machine()}",
    )


def memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (AttributeError, ValueError):
        return None


def commit() -> str | None:
    """Which state of this repository was measured."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def save(results: dict[str, Any], out: Path) -> None:
    for record in results["peers"].values():
        record["medians"] = medians(record["rounds"])
    part = out.with_name(out.name + ".part")
    part.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, out)


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────


def medians(rounds: list[dict[str, Any]]) -> dict[str, float | None]:
    """Images per second of each figure, and the highest peak of memory that was seen."""
    if not rounds:
        return {}
    speeds = {f: statistics.median(r[f]["images_per_second"] for r in rounds) for f in FIGURES}
    peaks = [r["end_to_end"]["peak_mb"] for r in rounds if r["end_to_end"]["peak_mb"]]
    return speeds | dict(peak_mb=max(peaks, default=None))


def ratio(record: dict[str, Any], base: dict[str, Any], figure: str) -> float | None:
    """The median over the rounds of the ratio within each round."""
    speeds = {r["round"]: r[figure]["images_per_second"] for r in base["rounds"]}
    pairs = [
        r[figure]["images_per_second"] / speeds[r["round"]]
        for r in record["rounds"]
        if r["round"] in speeds
    ]
    return statistics.median(pairs) if pairs else None


def table(results: dict[str, Any]) -> str:
    """Two markdown tables: medians, and ratios to d2l's train_ch6."""
    peers = {n: r for n, r in results["peers"].items() if r["rounds"]}
    lines = [headline(results["about"]), ""]
    lines += ["| how | step alone | loader alone | end to end | lowest to highest | peak memory |"]
    lines += ["|---|---|---|---|---|---|"]
    lines += [figures_row(name, record) for name, record in peers.items()]
    lines += [f"| {CONTENDERS[n].label} | {why} | | | | |" for n, why in results["skipped"].items()]
    if BASE in peers:
        lines += ["", f"Ratio to {CONTENDERS[BASE].label}, median of the rounds' ratios:", ""]
        lines += ["| how | step alone | loader alone | end to end | peak memory |"]
        lines += ["|---|---|---|---|---|"]
        lines += [ratios_row(name, record, peers[BASE]) for name, record in peers.items()]
    return "\n".join(lines)


def headline(about: dict[str, Any]) -> str:
    machine, limit = about["hardware"], about["limit"]
    flags = " ".join(flag for flag, there in (machine["flags"] or {}).items() if there)
    return (
        f"Images per second, median of {about['rounds']} rounds; batch {about['batch_size']}, "
        f"{about['threads']} threads, {machine['processor']} ({flags})"
        + (f", limited to {limit}" if limit else "")
        + ("." if about["finished"] else ". Not finished.")
    )


def figures_row(name: str, record: dict[str, Any]) -> str:
    middle = record["medians"]
    speeds = [row["end_to_end"]["images_per_second"] for row in record["rounds"]]
    peak = f"{middle['peak_mb']:,.0f} MB" if middle["peak_mb"] else "not known"
    return (
        f"| {CONTENDERS[name].label} | {middle['step']:.1f} | {middle['loader']:,.0f} "
        f"| {middle['end_to_end']:.1f} | {min(speeds):.1f} to {max(speeds):.1f} | {peak} |"
    )


def ratios_row(name: str, record: dict[str, Any], base: dict[str, Any]) -> str:
    ratios = [ratio(record, base, figure) for figure in ("step", "loader", "end_to_end")]
    cells = ["–" if value is None else f"{value:.2f}" for value in ratios]
    peaks = record["medians"]["peak_mb"], base["medians"]["peak_mb"]
    cells.append(f"{peaks[0] / peaks[1]:.2f}" if all(peaks) else "–")
    return f"| {CONTENDERS[name].label} | {' | '.join(cells)} |"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="at most, for each figure of a round")
    parser.add_argument(
        "--seconds", type=float, default=10, help="fewer steps, but at least 1, to stay below this"
    )
    parser.add_argument("--warm-up", type=int, default=1, help="steps before those, not timed")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--size", choices=DATA, default="class", help="class: the small set; full: all of it"
    )
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, metavar="NAME")
    parser.add_argument("--limit", choices=LIMITS, help="to an older instruction set")
    parser.add_argument("--out", type=Path, metavar="FILE", help="results/training.json")
    parser.add_argument("--table", action="store_true", help="print what was measured, run nothing")
    options = parser.parse_args()
    suffix = f"-{options.limit}" if options.limit else ""
    options.out = options.out or HERE / "results" / f"training{suffix}.json"
    return options


def main() -> None:
    options = arguments()
    if options.table:
        results = json.loads(options.out.read_text(encoding="utf-8"))
    else:
        try:
            results = measure(options)
        except KeyboardInterrupt:
            raise SystemExit(f"stopped; finished turns are in {options.out}") from None
    print(table(results))


if __name__ == "__main__":
    main()
