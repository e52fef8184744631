"""Several processes that train one model together under `torchrun`.

Each process (rank) takes its share of every batch; gradients are averaged by PyTorch's
DistributedDataParallel. One process is a team of one, for which all of this does nothing.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, distributed, nn


@dataclass
class Workers:
    rank: int = 0
    size: int = 1
    control: Any = None  # the group whose messages stay on the CPU, also where GPUs train
    asked: Any = field(default=None, repr=False)  # the question of `any` that is on its way

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and reports."""
        return self.rank == 0

    def share(self, index: Tensor) -> Tensor:
        """Return this worker's entries: every size-th one, beginning at its rank."""
        return index[self.rank :: self.size]

    def sum(self, *tensors: Tensor) -> None:
        """Replace each tensor by its sum over the workers (in place)."""
        if self.size > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def gather(self, tensor: Tensor) -> Tensor:
        """Stack the tensors of all workers in the order of the workers."""
        places = tensor.new_zeros((self.size, *tensor.shape))
        places[self.rank] = tensor
        self.sum(places)
        return places

    def whole(self, share: Tensor, n: int) -> Tensor:
        """Invert `share`: return the `n` entries of all workers in their original order."""
        if self.size == 1:
            return share
        if share.dtype in (torch.bfloat16, torch.float16):
            share = share.float()  # gloo can't add bfloat16
        entries = share.new_zeros((n, *share.shape[1:]))
        entries[self.rank :: self.size] = share
        self.sum(entries)
        return entries

    def any(self, flag: bool) -> bool:
        """Return whether any worker raised its flag in the previous call.

        The workers exchange their flags while the next step is computed, so no step waits for
        another worker or for a GPU, and all workers get the same answer. A worker that is alone has
        its answer immediately.
        """
        if self.size == 1:
            return flag
        before = self.settle()
        flags = torch.tensor(float(flag), device="cpu")
        exchange = distributed.all_reduce(flags, group=self.control, async_op=True)
        self.asked = flags, exchange
        return before

    def settle(self) -> bool:
        """Wait for the flags that are on their way, and return whether one of them is raised."""
        if self.asked is None:
            return False
        flags, exchange = self.asked
        exchange.wait()
        self.asked = None
        return bool(flags > 0)

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return a model whose backward pass averages gradients over the workers."""
        return model if self.size == 1 else nn.parallel.DistributedDataParallel(model)


ALONE = Workers()
TEAMS = itertools.count()  # one after the other in this process


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def local_device(device: str | None) -> str | None:
    """Return this process's device: `device` itself, or under torchrun this rank's share of it.

    Under torchrun "cuda" is this rank's own GPU, and None is that too if there are GPUs, else the
    CPU. Raises `ValueError` for devices that PyTorch can't train on in several processes, and for
    more processes than there are GPUs.
    """
    if not launched():
        return device
    kind = torch.device(device).type if device else None
    if kind not in (None, "cpu", "cuda"):
        raise ValueError(
            f"device must be 'cpu' or 'cuda' in several processes, got {device!r}: "
            "PyTorch can't average gradients over processes on it"
        )
    if device == "cuda" or (device is None and torch.cuda.is_available()):
        require_a_gpu_each()
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return device or "cpu"


def require_a_gpu_each() -> None:
    """Raise `ValueError`, in every process, if this machine has fewer GPUs than processes."""
    processes, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if processes > gpus:
        raise ValueError(
            "device must be 'cpu' where there are more processes than GPUs, got 'cuda' "
            f"(on this machine, processes: {processes}, GPUs: {gpus})"
        )


@contextmanager
def join_workers(device: str = "cpu") -> Iterator[Workers]:
    """Join the workers that torchrun started, unless the process has joined them already.

    Raises `ValueError` for a device that several processes can't use, or not all of them.
    """
    if not launched():
        yield ALONE
        return
    on_gpu = device.startswith("cuda")
    own = local_device(device)
    joins_here = not distributed.is_initialized()
    if on_gpu and joins_here:
        require_a_gpu_each()  # also where a plan names a GPU: NCCL refuses to share one
    if on_gpu:
        torch.cuda.set_device(own)
    if joins_here:
        store, rank, size = next(distributed.rendezvous("env://"))
        store = distributed.PrefixStore(f"team {next(TEAMS)}", store)  # no traces of earlier teams
        backend = "nccl" if on_gpu else "gloo"
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size)
    control = distributed.new_group(backend="gloo") if on_gpu else None
    try:
        workers = Workers(distributed.get_rank(), distributed.get_world_size(), control)
        yield workers
        workers.settle()
    finally:
        if joins_here:
            distributed.destroy_process_group()
        elif control:
            distributed.destroy_process_group(control)
