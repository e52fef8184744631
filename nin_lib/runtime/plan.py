"""The execution plan: device, precision and memory layout, chosen by rule.

A rule and not a stopwatch, so that the same machine always chooses the same. Measured on 2 cores,
images per second of a training step in one run each:

* With AMX bfloat16 was 2 to 3 times as fast as float32. With AVX-512 and its bf16 instructions
  only, it depends on who built the processor: slower on an Intel Xeon (class size 470 against 594,
  224×224 36 against 41), faster on an AMD EPYC (997 against 569, and 84 against 42). So on a CPU
  bfloat16 is chosen where there is AMX, and on AMD's processors with bf16 instructions.
* Channels-last layout and memory kept by the allocator: 594 against 445 at class size; at 224×224
  57 against 32 in a plain loop (medians of five rounds, benchmarks/results/training.json).
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .allocator import MALLOPT_KEEP, reset_allocator, set_allocator
from .preserve import preserve_random_state
from .workers import local_device

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class ExecutionPlan:
    """Plain values, recorded with the run."""

    device: str  # "cpu", "cuda", "mps", or with a number: "cuda:1"
    precision: Precision = "float32"  # of convolutions and dense layers; weights stay float32
    channels_last: bool = True  # N×H×W×C in memory; shapes stay N×C×H×W
    keep_memory: bool = False  # the allocator gives nothing back during the run (Linux, glibc)
    compile: bool = False  # torch.compile: a long first step, faster ones after it

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise ValueError(f"precision must be one of {known}, got {self.precision!r}")

    def __str__(self) -> str:
        parts = [self.device, self.precision]
        parts += ["channels last"] if self.channels_last else []
        parts += ["memory kept"] if self.keep_memory else []
        parts += ["compiled"] if self.compile else []
        return ", ".join(parts)

    def place(self, model: nn.Module) -> nn.Module:
        """Move `model` to the device and into the memory layout (in place).

        The layout has to wait until lazy layers know their shapes.
        """
        model.to(self.device)
        if any(map(is_lazy, chain(model.parameters(), model.buffers()))):
            return model
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return model.to(memory_format=layout)

    def layout(self, images: Tensor) -> Tensor:
        return images.to(memory_format=torch.channels_last) if self.channels_last else images

    def autocast(self) -> torch.autocast:
        """Return a context in which the forward pass runs in the plan's precision."""
        kind = torch.device(self.device).type
        lower = self.precision != "float32"
        return torch.autocast(kind, PRECISIONS[self.precision] if lower else None, enabled=lower)

    def compiled(self, model: nn.Module) -> nn.Module:
        """Return what to train: `model`, or its compiled form, which shares its weights."""
        compiled: Any = torch.compile(model) if self.compile else model
        return compiled

    @property
    def fused(self) -> bool:
        """Whether the optimiser's step is one kernel.

        Never with float16: when the loss scale overflows, the step is skipped, and PyTorch's fused
        SGD then leaves uninitialised memory as momentum.
        """
        return self.device.startswith("cuda") and self.precision != "float16"

    def scaler(self) -> torch.amp.GradScaler:
        """Scales the loss so that small gradients survive float16; otherwise does nothing."""
        return torch.amp.GradScaler(self.device.split(":")[0], enabled=self.precision == "float16")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Apply the process-wide part of the plan, and undo it at the end.

        glibc does not report how it was set before, so it is set back to its own defaults.
        """
        kept = self.keep_memory and set_allocator(MALLOPT_KEEP)
        try:
            yield
        finally:
            if kept:
                reset_allocator()

    def about(self) -> dict[str, Any]:
        """Return what must be equal for two runs to agree to the bit: the plan and its conditions.

        Which of several equal GPUs is used makes no difference, nor does `keep_memory`.
        """
        chosen = asdict(self) | dict(device=torch.device(self.device).type)
        del chosen["keep_memory"]
        return dict(
            **chosen,
            processor=self.processor,
            **surroundings(chosen["device"]),
            torch=torch.__version__,
            numpy=np.__version__,  # whose random numbers order the samples
        )

    @property
    def processor(self) -> str:
        """The name of the GPU, or of the CPU as far as PyTorch knows it."""
        if torch.device(self.device).type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return str(capabilities().get("cpu_name", "unknown"))


def choose_plan(
    device: str | torch.device | None = None,
    precision: Precision | None = None,
    compile: bool = False,
) -> ExecutionPlan:
    """Return the plan for this machine, or for `device`; `precision` overrides the rule.

    In a process that torchrun started, "cuda" is this process's own GPU. Raises `ValueError` for a
    device that is not there, or that several processes can't use.
    """
    device = local_device(str(device) if device else None) or best_device()
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device!r} can't be used here: {reason}") from None
    kind = torch.device(device).type
    precision = precision or fast_precision(kind)
    return ExecutionPlan(
        device, precision, keep_memory=kind == "cpu" and sys.platform == "linux", compile=compile
    )


def fastest(model: nn.Module, images: Tensor, first: ExecutionPlan) -> ExecutionPlan:
    """Return the variant of `first` whose training step is fastest on `images`, N×C×H×W.

    Precision and memory layout vary. A stopwatch decides, so another time it may be another one.
    """
    precisions = [name for name in PRECISIONS if name != "float16"]
    layouts = (True, False)
    kin = [replace(first, precision=p, channels_last=c) for p in precisions for c in layouts]
    times = {candidate: step_seconds(model, images, candidate) for candidate in kin}
    return min(times, key=lambda candidate: times[candidate])


def step_seconds(model: nn.Module, images: Tensor, plan: ExecutionPlan, repeats: int = 3) -> float:
    """Median seconds of a forward and backward pass under `plan`; `model` is not changed."""
    copy = plan.place(deepcopy(model)).train()
    images = plan.layout(images.to(plan.device))
    seconds = []
    with plan.running(), preserve_random_state(plan.device):
        for _ in range(1 + repeats):  # the first one warms up
            start = time.perf_counter()
            with plan.autocast():
                logits = copy(images)
            logits.float().logsumexp(1).sum().backward()
            logits.detach().sum().item()  # waits for the device
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def best_device() -> str:
    """Return a GPU where there is one ("cuda", or "mps" on Apple computers), else "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def fast_precision(kind: str) -> Precision:
    """Return the fastest precision that learns as float32 does, by what the device can do."""
    if kind == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    return "bfloat16" if kind == "cpu" and (has_amx() or has_amd_bf16()) else "float32"


def has_amx() -> bool:
    """AMX is there and has not been limited from outside."""
    return bool(capabilities().get("amx_bf16")) and may_use("AMX")


def has_amd_bf16() -> bool:
    """Return whether this is an AMD processor with AVX-512's bf16 instructions, not limited."""
    known = capabilities()
    amd = str(known.get("cpu_name", "")).startswith("AMD")
    return amd and bool(known.get("avx512_bf16")) and may_use("BF16")


def may_use(instructions: str) -> bool:
    """Neither oneDNN's own switch nor ATen's keeps the kernels from `instructions`.

    A limit allows what its name has: "AVX512_CORE_BF16" bf16, and "AVX512_CORE_AMX" both.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()
    allowed = limit in ("ALL", "DEFAULT") or instructions in limit or "AMX" in limit
    return allowed and torch.backends.cpu.get_cpu_capability() == "AVX512"


def capabilities() -> dict[str, Any]:
    """Return what PyTorch knows of the CPU; nothing in versions that can't be asked."""
    ask = getattr(torch.cpu, "get_capabilities", dict)
    return dict(ask())


def surroundings(kind: str) -> dict[str, Any]:
    """Return what decides a result's last digits on a device and is set outside of the plan.

    On CUDA a run repeats to the bit only where `torch.backends.cudnn.deterministic` is True.
    """
    if kind == "cuda":
        cudnn = torch.backends.cudnn
        return dict(
            cudnn=dict(
                version=cudnn.version(), deterministic=cudnn.deterministic,
                benchmark=cudnn.benchmark, tf32=uses_tf32(getattr(cudnn, "conv", cudnn)),
            ),
            matmul=dict(tf32=uses_tf32(torch.backends.cuda.matmul)),
        )  # fmt: skip
    if kind == "mps":
        return dict(macos=platform.mac_ver()[0])
    return dict(threads=torch.get_num_threads(), instruction_set=instruction_set())


def uses_tf32(settings: Any) -> bool:
    """Whether float32 is rounded to TF32, by the newer of PyTorch's two names for it."""
    precision = getattr(settings, "fp32_precision", None)
    return bool(settings.allow_tf32) if precision is None else precision == "tf32"


def instruction_set() -> str:
    """Return the instruction set by which kernels are chosen; another one changes last digits."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    parts = [torch.backends.cpu.get_cpu_capability()]
    parts += ["AMX"] if has_amx() else []
    parts += [f"oneDNN limited to {limit}"] if limit else []
    return ", ".join(parts)
