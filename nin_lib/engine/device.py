"""How a run uses the machine: device, precision, memory layout, allocator. Chosen by rule.

A rule and not a stopwatch, so that the same machine always chooses the same. Measured on 2 cores,
images per second of a training step in one run each:

* AVX-512 with bf16 instructions but without AMX: bfloat16 was slower than float32 (class size 470
  against 594, 224×224 36 against 41). So on a CPU bfloat16 is chosen only where there is AMX, for
  which it was 2 to 3 times as fast.
* Channels-last layout and memory kept by the allocator: 594 against 445 at class size, 41 against
  33 at 224×224.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

# glibc's mallopt: parameter numbers, the values a run sets, and glibc's own defaults.
# Large blocks come from the heap instead of fresh pages, and freed memory stays with the process;
# otherwise every step pays for touching new pages.
MALLOPT_KEEP = {-4: 0, -1: 2**31 - 1, -2: 256 * 2**20}  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
MALLOPT_DEFAULT = {-4: 65_536, -1: 128 * 2**10, -2: 128 * 2**10}


@dataclass(frozen=True)
class Plan:
    """Plain values, recorded with the run."""

    device: str  # "cpu", "cuda", "mps", or with a number: "cuda:1"
    precision: str = "float32"  # of convolutions and dense layers; weights stay float32
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
        """`model` on the device and in the memory layout (in place)."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return model.to(self.device).to(memory_format=layout)

    def layout(self, images: Tensor) -> Tensor:
        return images.to(memory_format=torch.channels_last) if self.channels_last else images

    def autocast(self) -> torch.autocast:
        """A context in which the forward pass runs in the plan's precision."""
        kind = torch.device(self.device).type
        lower = self.precision != "float32"
        return torch.autocast(kind, PRECISIONS[self.precision] if lower else None, enabled=lower)

    def compiled(self, model: nn.Module) -> nn.Module:
        """What to train: `model`, or its compiled form, which shares its weights."""
        compiled: Any = torch.compile(model) if self.compile else model
        return compiled

    @property
    def fused(self) -> bool:
        """Whether the optimiser's step is one kernel."""
        return self.device.startswith("cuda")

    def scaler(self) -> torch.amp.GradScaler:
        """Scales the loss so that small gradients survive float16; otherwise does nothing."""
        return torch.amp.GradScaler(self.device.split(":")[0], enabled=self.precision == "float16")

    @contextmanager
    def running(self) -> Iterator[None]:
        """The process-wide part of the plan, undone at the end."""
        kept = self.keep_memory and set_allocator(MALLOPT_KEEP)
        try:
            yield
        finally:
            if kept:
                set_allocator(MALLOPT_DEFAULT)

    def about(self) -> dict[str, Any]:
        """The plan, and what else must be equal for two runs to agree to the bit."""
        return dict(
            **asdict(self),
            threads=torch.get_num_threads(),
            instruction_set=torch.backends.cpu.get_cpu_capability(),
            torch=torch.__version__,
        )


def plan(
    device: str | torch.device | None = None, precision: str | None = None, compile: bool = False
) -> Plan:
    """The plan for this machine, or for `device`; `precision` overrides the rule.

    Raises `ValueError` for a device that is not there.
    """
    device = str(device or best_device())
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device!r} can't be used here: {reason}") from None
    kind = torch.device(device).type
    precision = precision or fast_precision(kind)
    return Plan(
        device, precision, keep_memory=kind == "cpu" and sys.platform == "linux", compile=compile
    )


def best_device() -> str:
    """A GPU where there is one ("cuda", or "mps" on Apple computers), else "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def fast_precision(kind: str) -> str:
    """The fastest precision that learns as float32 does, by what the device can do."""
    if kind == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    return "bfloat16" if kind == "cpu" and has_amx() else "float32"


def has_amx() -> bool:
    """AMX is there and has not been limited from outside (oneDNN's own switch, or ATen's)."""
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()
    if allowed not in ("ALL", "DEFAULT") and "AMX" not in allowed:
        return False
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def advise_on_memory(error: BaseException, batch_size: int) -> BaseException:
    """`error`, or a `MemoryError` that says which batch size to try when memory ran out."""
    words = str(error).lower()
    if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and (
        "out of memory" not in words and "can't allocate memory" not in words
    ):
        return error
    if batch_size == 1:
        return MemoryError("there is not enough memory even for batch_size 1: use smaller images")
    return MemoryError(
        f"there is not enough memory for batch_size {batch_size}: try {batch_size // 2}"
    )


def set_allocator(options: dict[int, int]) -> bool:
    """Call glibc's mallopt for each option; False, and nothing done, where there is none."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    done = [mallopt(option, value) == 1 for option, value in options.items()]
    return all(done)
