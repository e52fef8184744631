"""Several processes that train one model together: `torchrun --nproc-per-node 2 -m nin_lib train`.

Each process (rank) takes its share of every batch; gradients are averaged by PyTorch's
DistributedDataParallel. One process is a team of one, for which all of this does nothing.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Team:
    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and reports."""
        return self.rank == 0

    def share(self, index: Tensor) -> Tensor:
        """Every size-th entry, beginning at this rank; together the ranks have each entry once."""
        return index[self.rank :: self.size]

    def sum(self, *tensors: Tensor) -> None:
        """Replace each tensor by its sum over the ranks (in place)."""
        if self.size > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all ranks, stacked in the order of the ranks."""
        places = tensor.new_zeros((self.size, *tensor.shape))
        places[self.rank] = tensor
        self.sum(places)
        return places

    def any(self, flag: bool, device: str) -> bool:
        """Whether the flag is up in any rank."""
        if self.size == 1:
            return flag
        asked = torch.tensor(float(flag), device=device)
        distributed.all_reduce(asked)
        return bool(asked > 0)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model whose backward pass averages gradients over the ranks."""
        return model if self.size == 1 else nn.parallel.DistributedDataParallel(model)


ALONE = Team()
TEAMS = itertools.count()  # one after the other in this process


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def local_device(device: str | None) -> str | None:
    """This rank's own GPU, unless another device is asked for."""
    if launched() and (device == "cuda" or (device is None and torch.cuda.is_available())):
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return device


@contextmanager
def team(device: str = "cpu") -> Iterator[Team]:
    """The team of this process: joined here when torchrun started it and nobody has joined yet."""
    if not launched():
        yield ALONE
        return
    joins_here = not distributed.is_initialized()
    if joins_here:
        on_gpu = device.startswith("cuda")
        if on_gpu:
            torch.cuda.set_device(device)
        store, rank, size = next(distributed.rendezvous("env://"))
        store = distributed.PrefixStore(f"team {next(TEAMS)}", store)  # no traces of earlier teams
        backend = "nccl" if on_gpu else "gloo"
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size)
    try:
        yield Team(distributed.get_rank(), distributed.get_world_size())
    finally:
        if joins_here:
            distributed.destroy_process_group()
