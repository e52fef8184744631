"""What every peer has in common: the clock, the small protocol, and the proof that it learns.

A peer is a process. `benchmarks/training.py` starts it with its settings (JSON) as the argument,
then writes one request a line to its standard input and reads one reply a line:

    {"figure": "end_to_end", "warm_up": 1, "steps": 3}  →  {"images_per_second": 31.2, ...}

Between requests it waits and uses no processor time. It ends when its input does.
"""

from __future__ import annotations

import ctypes
import gc
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np

PARAMETERS = 1_992_166
INPUT_SIZE = 224
LEARNING_RATE = 0.1  # plain gradient descent, as published


@dataclass(frozen=True)
class Settings:
    """What all peers of one measurement share, and which of its variants this peer is."""

    data: str  # "mini" or "full", as in nin_lib.data
    folder: str  # data/FashionMNIST/raw in it has the same images as torchvision wants them
    batch_size: int
    threads: int
    variant: str  # "" as most people write it; "fast", "channels_last": documented switches


class Peer(Protocol):
    """What a peer's module defines. Each measurement ticks the clock after every step."""

    about: str  # what it is, in a few words
    packages: tuple[str, ...]  # whose versions are recorded

    def weights(self) -> list[np.ndarray]: ...

    def loss(self) -> float: ...  # of a few images

    def end_to_end(self, clock: Clock) -> None: ...  # batches from the peer's own loader

    def step(self, clock: Clock) -> None: ...  # one batch that is already there, again and again

    def loader(self, clock: Clock) -> None: ...  # batches without a network


@dataclass
class Clock:
    """Times `steps` steps, after some that do not count. `wait` is called before it is read."""

    warm_up: int
    steps: int
    wait: Callable[[], object] = lambda: None
    times: list[float] = field(default_factory=list)

    def tick(self) -> None:
        if len(self.times) in (self.warm_up - 1, self.total - 1):
            self.wait()
        self.times.append(time.perf_counter())

    @property
    def total(self) -> int:
        return self.warm_up + self.steps

    @property
    def done(self) -> bool:
        return len(self.times) >= self.total

    @property
    def seconds(self) -> float:
        """From the end of the warm-up to the end of the last step."""
        return self.times[self.total - 1] - self.times[self.warm_up - 1]


class Ticking:
    """A loader that ends when the clock is done. Who comes back for more has done its step."""

    def __init__(self, batches: Iterable[Any], clock: Clock, length: int | None = None) -> None:
        self.batches, self.clock = batches, clock
        self.length = length

    def __len__(self) -> int:
        return self.clock.total if self.length is None else self.length

    def __iter__(self) -> Iterator[Any]:
        for batch in forever(self.batches):
            yield batch
            self.clock.tick()
            if self.clock.done:
                return


class Repeat:
    """A loader that gives the same batch again and again."""

    def __init__(self, batch: Any, length: int) -> None:
        self.batch, self.length = batch, length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Any]:
        for _ in range(self.length):
            yield self.batch


def forever(batches: Iterable[Any]) -> Iterator[Any]:
    """Epoch after epoch. Raises `ValueError` when an epoch has no batch."""
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise ValueError("the loader has no batch left: fewer images than the clock needs")


def drain(batches: Iterable[Any], clock: Clock) -> None:
    """Take batches and do nothing with them."""
    for _ in Ticking(batches, clock):
        pass


def shuffled(images: int, batch_size: int, seed: int = 0) -> Iterator[np.ndarray]:
    """The samples of each batch of one epoch, for frameworks that have no loader of their own."""
    order = np.random.default_rng(seed).permutation(images)
    for start in range(0, images - batch_size + 1, batch_size):
        yield order[start : start + batch_size]


# ── The protocol ─────────────────────────────────────────────────────────────────────────────────


def serve(make: Callable[[Settings], Peer]) -> None:
    """Build the peer, prove that it learns, then answer requests until there are no more."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what frameworks print is not a reply
    peer = make(Settings(**json.loads(sys.argv[1])))
    seconds = prove(peer)
    hello = dict(about=peer.about, seconds_per_step=seconds, versions=versions(peer))
    print(json.dumps(hello), file=replies)
    batch_size = json.loads(sys.argv[1])["batch_size"]
    for line in sys.stdin:
        print(json.dumps(answer(peer, json.loads(line), batch_size)), file=replies)


def answer(peer: Peer, request: dict[str, Any], batch_size: int) -> dict[str, Any]:
    clock = Clock(request["warm_up"], request["steps"])
    getattr(peer, request["figure"])(clock)
    reply: dict[str, Any] = dict(
        images_per_second=clock.steps * batch_size / clock.seconds,
        steps=clock.steps,
        seconds=clock.seconds,
    )
    if request["figure"] == "end_to_end":
        reply |= dict(peak_mb=peak_mb(), loss=finite_loss(peer))
    give_back()
    return reply


def prove(peer: Peer) -> float:
    """Insist on the right network, a finite loss and weights that change; seconds for a step."""
    before = [np.array(array, dtype=np.float32) for array in peer.weights()]
    count = sum(array.size for array in before)
    if count != PARAMETERS:
        raise AssertionError(f"{peer.about}: {count:,} parameters in place of {PARAMETERS:,}")
    finite_loss(peer)
    clock = Clock(1, 1)
    peer.end_to_end(clock)
    finite_loss(peer)
    after = [np.array(array, dtype=np.float32) for array in peer.weights()]
    same = [a.shape for a, b in zip(after, before, strict=True) if np.array_equal(a, b)]
    if same:
        raise AssertionError(f"{peer.about}: no training, weights of shapes {same} did not change")
    give_back()
    return clock.seconds


def finite_loss(peer: Peer) -> float:
    loss = float(peer.loss())
    if not math.isfinite(loss):
        raise AssertionError(f"{peer.about}: the loss is {loss}")
    return loss


def versions(peer: Peer) -> dict[str, str]:
    names = ("numpy", *peer.packages)
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def peak_mb() -> float | None:
    """The most memory this process has held so far, in MB; None where that can't be asked."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def give_back() -> None:
    """Free what is not needed while other peers are measured."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
        if trim:
            trim(0)
