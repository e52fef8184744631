"""Whether `fit` works on this machine's GPU: `python benchmarks/gpu_check.py`, under six minutes.

Each section ends in *ok*, *failed* or *not possible here*, with the reason. Everything found goes
into one JSON file, which is written anew after each section. The exit status is 1 if a section
failed. On a machine without a GPU, `--device cpu --short` runs what a processor can.

It needs PyTorch, what `nin_lib` itself needs, and this repository; nothing is fetched.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1]))

try:
    import numpy as np
    import torch
    from torch import nn
    from torch.nn import functional as F

    from nin_lib import network
    from nin_lib import torch as nin
    from nin_lib.data import Dataset, load
    from nin_lib.history import Event, History, Step
    from nin_lib.recipe import recipe
    from nin_lib.runtime import checkpointer
    from nin_lib.runtime.dataset import to_input
    from nin_lib.runtime.plan import PRECISIONS, ExecutionPlan, choose_plan
    from nin_lib.spec import Block, Dropout, Network
    from nin_lib.train import evaluate, fit, predict
except ModuleNotFoundError as missing:
    raise SystemExit(f"{missing.name} is not installed: python -m pip install -e .") from None

Found = dict[str, Any]

# How far logits may lie from those of a processor in float32, as a share of the largest one.
# TF32, which a GPU may use for float32, keeps as many binary digits as float16 does.
CLOSE = {"float32": 0.02, "float16": 0.02, "bfloat16": 0.1}
SHARES = 2  # processes that train together
CHILD_SECONDS = 150


class NotPossible(Exception):
    """What is to be checked can't be done on this machine; the message says why."""


class Failed(Exception):
    """What was found is not what should be; the message says both."""


@dataclass(frozen=True)
class Length:
    """What is trained and for how long: networks, images, batch sizes, rounds of the speed test."""

    class_net: Network
    full_net: Network
    class_images: int
    class_batch: int
    full_images: int
    full_batch: int
    rounds: int


TINY = Network((Block(3, (6, 8), stride=3), Dropout(0.1), Block(3, (10, 10))), input_size=28)
LONG = Length(network("paper-mnist"), network("chapter"), 5_000, 64, 2_560, 128, 5)
SHORT = Length(TINY, TINY, 3_000, 16, 16, 8, 2)  # float16 is slow on a processor


@dataclass(frozen=True)
class Check:
    """What the sections share."""

    device: str
    length: Length

    def options(self) -> list[str]:
        """What a process of its own is told."""
        return ["--device", self.device, *(["--short"] if self.length is SHORT else [])]

    @property
    def gpu(self) -> bool:
        return torch.device(self.device).type == "cuda"

    def sizes(self) -> dict[str, dict[str, Any]]:
        """For each size the arguments of a run: network, images, batch size, input size."""
        length = self.length
        return {
            "class": dict(
                net=length.class_net, images=length.class_images,
                batch_size=length.class_batch, input_size=None,
            ),
            "full": dict(
                net=length.full_net, images=length.full_images,
                batch_size=length.full_batch, input_size=224,
            ),
        }  # fmt: skip


# ── Sections ─────────────────────────────────────────────────────────────────────────────────────


def precisions(check: Check) -> Found:
    """Every precision through `fit` at both sizes: right logits, finite losses, all weights moved.

    At class size one epoch must lower the loss on held-out images.
    """
    found = {}
    for size, how in check.sizes().items():
        data = few(how["images"])
        for precision in PRECISIONS:
            chosen = choose_plan(check.device, precision)
            model = nin.build(how["net"], recipe("default"))
            name = f"{size}, {precision}"
            off = distance_from_cpu(model, data, how["input_size"], chosen)
            require(off < CLOSE[precision], f"{name}: logits are {off:.3f} off the processor's")
            before = loss_of(model, data, how, chosen)
            start = weights(model)
            history = run(model, data, how, chosen)
            after = loss_of(model, data, how, chosen)
            losses = [before, after, *history.rows[-1].values()]
            require(all(map(math.isfinite, losses)), f"{name}: losses are {losses}")
            still = [k for k, value in weights(model).items() if torch.equal(value, start[k])]
            require(not still, f"{name}: {still} did not move")
            if size == "class":
                require(after < before, f"{name}: held-out loss rose from {before} to {after}")
            found[name] = dict(off_by=off, loss_before=before, loss_after=after)
    return found


def skipped_step(check: Check) -> Found:
    """float16, and gradients that overflow in the first step: it is skipped, and no more."""
    model = nin.build(check.sizes()["class"]["net"], recipe("default"))
    with torch.no_grad():
        next(model.parameters()).mul_(1_000)
    start, seen = weights(model), []

    def look(event: Event) -> None:
        if isinstance(event, Step):
            now = weights(model)
            same = all(torch.equal(value, start[name]) for name, value in now.items())
            seen.append((same, all(bool(value.isfinite().all()) for value in now.values())))

    half = choose_plan(check.device, "float16")
    how = replace(recipe("default"), clip=1.0)
    # 640 images in batches of 16: 40 steps, by which the scale has come down far enough.
    try:
        fit(model, few(640), how, epochs=1, batch_size=16, plan=half, observers=[look])
    except FloatingPointError as error:
        raise Failed(f"after the skipped step the run ended: {error}") from None
    require(seen[0][0], "the first step was not skipped: it does not overflow here")
    require(all(finite for _, finite in seen), "weights became infinite or NaN")
    require(not seen[-1][0], "no step was taken after the one that was skipped")
    return dict(steps=len(seen), skipped=sum(same for same, _ in seen), fused=half.fused)


def killed_and_resumed(check: Check) -> Found:
    """A process killed in the middle of an epoch; the next one goes on to the same bits."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, broken = folder / "whole", folder / "broken"
        child("--life", whole, *check.options())
        killed = child("--life", broken, *check.options(), "--kill-at", "13", fine=False)
        require(killed == -signal.SIGKILL, f"the process was not killed, it ended with {killed}")
        require((broken / "checkpoint.safetensors").exists(), "it left no checkpoint")
        child("--life", broken, *check.options())
        first = int((broken / "first_step.txt").read_text().split()[-1])
        require(1 < first <= 13, f"the second process began with step {first}")
        for file in checkpointer.RESULTS:
            same = (whole / file).read_bytes() == (broken / file).read_bytes()
            require(same, f"{file} differs from that of a run that was not killed")
    return dict(killed_at=13, first_step_of_the_second_process=first)


def several_processes(check: Check) -> Found:
    """Two processes learn what one learns.

    With fewer GPUs than processes `fit` refuses in one sentence, and they share a GPU by gloo.
    """
    if not torch.distributed.is_available():
        raise NotPossible("this PyTorch has no torch.distributed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        child("--rank", folder, *check.options())
        together = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={SHARES}"]
        child("--rank", folder, *check.options(), start=together)
        alone, both = (torch.load(folder / f"weights {n}.pt") for n in (1, SHARES))
        about = json.loads((folder / f"about {SHARES}.json").read_text())
    if check.gpu and torch.cuda.device_count() < SHARES:
        refused = about["refused"] or ""
        require(refused.startswith("device must be"), f"fit did not refuse: {refused!r}")
        require("\n" not in refused, f"the refusal is more than a sentence: {refused!r}")
    largest = max(float(value.abs().max()) for value in alone.values())
    off = max(float((alone[k] - both[k]).abs().max()) for k in alone) / largest
    require(off < 0.01, f"weights of {SHARES} processes are {off:.4f} off those of one")
    return about | dict(off_by=off)


def memory(check: Check) -> Found:
    """Peak of a step at full size; all of it comes back; too little is answered with advice."""
    if not check.gpu:
        raise NotPossible("PyTorch counts and limits memory on CUDA only")
    how, chosen = check.sizes()["full"], choose_plan(check.device)
    data = few(2 * how["batch_size"])
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    model = nin.build(how["net"], recipe("default"))
    run(model, data, how, chosen)
    peak = torch.cuda.max_memory_allocated()
    left = torch.cuda.memory_allocated() - before
    require(left < 64 * 2**20, f"{left / 2**20:.0f} MiB are still taken after the run")
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(check.device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, peak / 2 / whole))
    try:
        run(model, data, how, chosen)
    except MemoryError as error:
        advice = str(error)
    else:
        raise Failed("a run fitted into half of the memory that it takes")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    smaller = str(how["batch_size"] // 2)
    require(smaller in advice, f"the message names no smaller batch size: {advice}")
    return dict(peak_mib=peak / 2**20, left_mib=left / 2**20, advice=advice)


def speed(check: Check) -> Found:
    """Images per second at full size: `fit`, and a plain loop in float32, round by round."""
    how, data = check.sizes()["full"], few(check.length.full_images)
    ways = {"ours": fit_seconds, "plain": loop_seconds}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(1 + check.length.rounds):
        for name, way in ways.items():
            taken = way(check, data, how)
            if number:  # the first round warms up
                seconds[name].append(taken)
    images = how["images"] - how["batch_size"]  # all but those of the first step
    speeds = {name: [images / taken for taken in rounds] for name, rounds in seconds.items()}
    pairs = zip(speeds["ours"], speeds["plain"], strict=True)
    return dict(
        images_per_second=speeds,
        median={name: statistics.median(rounds) for name, rounds in speeds.items()},
        ours_to_plain=statistics.median(ours / plain for ours, plain in pairs),
        plan=str(choose_plan(check.device)),
    )


def live_curves(check: Check) -> Found:
    """Live curves fed from a run on the device show what its history says."""
    try:
        from nin_lib.widgets import LiveCurves
    except ModuleNotFoundError as error:
        raise NotPossible(f"{error.name} is not installed") from None
    how = check.sizes()["class"]
    curves = LiveCurves()
    model = nin.build(how["net"], recipe("default"))
    with contextlib.redirect_stdout(io.StringIO()):
        history = run(model, few(how["images"]), how, choose_plan(check.device), [curves])
    text, row = curves.to_text(), history.rows[-1]
    for name in ("train_loss", "val_loss", "val_accuracy"):
        require(f"{row[name]:.3f}" in text, f"{name} {row[name]:.3f} is not in the curves:\n{text}")
    return dict(last_row=row)


SECTIONS: dict[str, Callable[[Check], Found]] = {
    "every precision at both sizes": precisions,
    "a skipped first step": skipped_step,
    "exact resume after SIGKILL": killed_and_resumed,
    "several processes": several_processes,
    "memory": memory,
    "images per second": speed,
    "live curves": live_curves,
}


# ── What the sections use ────────────────────────────────────────────────────────────────────────


def require(fine: bool, otherwise: str) -> None:
    if not fine:
        raise Failed(otherwise)


def few(images: int) -> Dataset:
    mini = load("mini")
    return Dataset("a few", mini.train.first(images), mini.val.first(256), mini.test.first(256))


def run(
    model: nn.Module, data: Dataset, how: dict[str, Any], plan: ExecutionPlan, observers: Any = ()
) -> History:
    small = replace(data, val=data.val.first(2 * how["batch_size"]))
    return fit(
        model, small, recipe("default"), epochs=1, batch_size=how["batch_size"],
        input_size=how["input_size"], plan=plan, observers=observers,
    )  # fmt: skip


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def loss_of(model: nn.Module, data: Dataset, how: dict[str, Any], plan: ExecutionPlan) -> float:
    return evaluate(model, data.val.first(64), how["input_size"], 32, plan)[0]


def distance_from_cpu(
    model: nn.Module, data: Dataset, input_size: int | None, plan: ExecutionPlan
) -> float:
    """Largest difference of two logits, as a share of the largest logit."""
    images = data.val.first(16)
    here = predict(model, images, input_size, 16, plan)
    there = predict(model, images, input_size, 16, ExecutionPlan("cpu", channels_last=False))
    return float(np.abs(here - there).max() / np.abs(there).max())


def wait_for(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    elif torch.device(device).type == "mps":
        torch.mps.synchronize()


def fit_seconds(check: Check, data: Dataset, how: dict[str, Any]) -> float:
    """Seconds of all steps of an epoch but the first."""
    times: list[float] = []

    def clock(event: Event) -> None:
        if isinstance(event, Step) and event.step in (1, steps):
            wait_for(check.device)
            times.append(time.perf_counter())

    steps = math.ceil(len(data.train) / how["batch_size"])
    model = nin.build(how["net"], recipe("published"))
    run(model, data, how, choose_plan(check.device), [clock])
    return times[1] - times[0]


def loop_seconds(check: Check, data: Dataset, how: dict[str, Any]) -> float:
    """The same in a loop as one writes it first: a DataLoader, float32, SGD."""
    device = check.device
    times: list[float] = []
    model = nin.build(how["net"], recipe("published")).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images, labels = torch.tensor(data.train.images), torch.tensor(data.train.labels)
    pairs = torch.utils.data.TensorDataset(images, labels)
    for x, y in torch.utils.data.DataLoader(pairs, how["batch_size"], shuffle=True):
        x, y = to_input(x, how["input_size"]).to(device), y.to(device)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if len(times) < 2:
            wait_for(device)
            times.append(time.perf_counter())
    wait_for(device)
    return time.perf_counter() - times[0]


def child(option: str, folder: Path, *more: str, start: Any = (), fine: bool = True) -> int:
    """Run this file in a process of its own. Raises `Failed` with its last words."""
    command = [sys.executable, *start, str(HERE), option, str(folder), *more]
    # cuBLAS repeats to the bit only with a workspace of fixed size.
    env = {**os.environ, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=CHILD_SECONDS)
    if fine and done.returncode:
        raise Failed(f"a process ended with {done.returncode}: {done.stderr.strip()[-1_000:]}")
    return done.returncode


def life(folder: Path, check: Check, kill_at: int | None) -> None:
    """One life of a run with dropout: 20 steps in two epochs, a checkpoint after each step."""
    torch.backends.cudnn.deterministic = True
    folder.mkdir(exist_ok=True)
    checkpointer.SECONDS = 0.0

    def look(event: Event) -> None:
        if not isinstance(event, Step):
            return
        if not look.__dict__.setdefault("told", False):
            (folder / "first_step.txt").open("a").write(f"{event.step}\n")
            look.__dict__["told"] = True
        if event.step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    model = nin.build(check.length.class_net, recipe("default"))
    fit(
        model, few(320), recipe("default"), epochs=2, batch_size=32,
        plan=choose_plan(check.device), observers=[look], out=folder,
    )  # fmt: skip


def rank(folder: Path, check: Check) -> None:
    """One of several processes, or a single one: train, and write weights and what happened."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    about: Found = dict(processes=processes, refused=None, backend=None)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    spec = check.length.class_net
    spec = replace(spec, stages=tuple(s for s in spec.stages if type(s) is not Dropout))
    how = replace(recipe("default"), clip=None, learning_rate=0.02)

    def train(device: str) -> nn.Module:
        model = nin.build(spec, how)
        fit(model, few(96), how, epochs=1, batch_size=32, plan=ExecutionPlan(device), observers=[])
        return model

    try:
        model = train(check.device)
    except ValueError as error:
        about["refused"] = str(error)
        torch.distributed.init_process_group("gloo")
        about["backend"] = "gloo"
        model = train(f"{check.device}:0")
    if int(os.environ.get("RANK", "0")) == 0:
        torch.save(weights(model), folder / f"weights {processes}.pt")
        (folder / f"about {processes}.json").write_text(json.dumps(about))


# ── The report ───────────────────────────────────────────────────────────────────────────────────


def run_section(section: Callable[[Check], Found], check: Check) -> Found:
    """What a section found, and how it ended. No error stops the sections after it."""
    started = time.monotonic()
    try:
        row = dict(result="ok", found=section(check))
    except NotPossible as reason:
        row = dict(result="not possible here", reason=str(reason))
    except Failed as reason:
        row = dict(result="failed", reason=str(reason))
    except Exception as error:
        row = dict(result="failed", reason=f"{type(error).__name__}: {error}")
    return row | dict(seconds=round(time.monotonic() - started, 1))


def about_machine(device: str) -> Found:
    found: Found = dict(
        date=datetime.now(UTC).isoformat(timespec="minutes"),
        device=device, name=ExecutionPlan(device).processor, system=platform.platform(),
        python=platform.python_version(), torch=torch.__version__, numpy=np.__version__,
    )  # fmt: skip
    if torch.device(device).type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= dict(
            gpus=torch.cuda.device_count(), memory_gib=properties.total_memory / 2**30,
            capability=f"{properties.major}.{properties.minor}",
            cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version(),
        )  # fmt: skip
    return found


def results(check: Check, out: Path, names: list[str]) -> Iterator[tuple[str, Found]]:
    """Run the sections; after each, write all that is known into `out`."""
    report: Found = dict(about=about_machine(check.device), sections={})
    for name in names:
        row = report["sections"][name] = run_section(SECTIONS[name], check)
        part = out.with_name(out.name + ".part")
        part.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(out)
        yield name, row


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, mps or cpu")
    parser.add_argument("--short", action="store_true", help="a few steps of everything")
    parser.add_argument("--out", type=Path, default=Path("gpu_check.json"), help="the report")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--life", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--kill-at", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    check = Check(options.device, SHORT if options.short else LONG)
    if options.life:
        life(options.life, check, options.kill_at)
        return 0
    if options.rank:
        rank(options.rank, check)
        return 0
    try:
        choose_plan(options.device)
    except ValueError as error:
        parser.error(f"{error}\nOn a machine without a GPU: --device cpu --short")
    failed = 0
    for name, row in results(check, options.out, options.only):
        reason = f": {row['reason']}" if "reason" in row else ""
        print(f"{name:<32} {row['seconds']:6.1f} s   {row['result']}{reason}", flush=True)
        failed += row["result"] == "failed"
    print(f"All that was found is in {options.out}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
