"""Which classes have died in a run, and what explains a loss of ln(classes).

A class is *dead* when none of its own images has a positive logit. Behind a last ReLU its logit is
then 0 on all of them, the ReLU passes no gradient back, and nothing pulls it up again but what
other images and moving features happen to do. Without a last ReLU a negative logit is nothing bad,
and nothing here applies.

Works with any model that has one output for each class, on PyTorch's tensors and on arrays.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .history import ClassCounts, Event, Started, Step

NEAR = 0.05  # nats: a loss this close to ln(classes) is called a plateau
CONSTANT = 1e-3  # a logit whose spread over the images is below this does not depend on them
WINDOW = 1_000  # images that a judgement rests on, at least; or an epoch, where that is shorter

CAUSES = {
    "all dead": "all logits are 0 on all images, so no gradient passes the last ReLU",
    "constant": "the logits are the same for all images, so only the last biases can learn",
    "slow": "the logits already differ between images: it may only be slow to start",
}
ADVICE = {
    "all dead": "waiting is of no use; start anew, without the last ReLU",
    "constant": "try Kaiming's first weights, or normalisation",
    "slow": "wait another epoch, or start anew with Kaiming's first weights",
}


def as_array(numbers: Any) -> np.ndarray:
    """Return a NumPy array of anything like one: also a tensor with a gradient, or on a GPU."""
    if not hasattr(numbers, "detach"):
        return np.asarray(numbers)
    numbers = numbers.detach().cpu()
    return np.asarray(numbers.double() if numbers.is_floating_point() else numbers)


def own_positive(logits: Any, labels: Any) -> list[float | None]:
    """Of each class, the share of its own images with a positive logit; None without images.

    `logits`: (N, classes), `labels`: (N,), arrays or tensors on any device.
    """
    counts = ClassCounts()
    counts.add(as_array(logits), as_array(labels))
    return counts.shares()


def dead_classes(shares: Sequence[float | None]) -> list[int]:
    """Return the classes whose share is 0."""
    return [c for c, share in enumerate(shares) if share == 0]


def loss_floor(dead: int, classes: int) -> float:
    """Least mean loss, in nats, with so many dead classes on balanced data, behind a last ReLU.

    No logit is negative, and the dead class's own is 0 on its images: each of them costs
    ln Σ exp(z) ≥ ln(classes).
    """
    return dead / classes * math.log(classes)


def plateau(loss: float, logits: Any) -> str | None:
    """Why the loss is near ln(classes): a key of `CAUSES`, or None if it is not near it.

    With a single class, whose loss is always ln 1 = 0, there is no plateau.
    """
    logits, loss = as_array(logits).astype(np.float64), float(as_array(loss))
    return cause(loss, np.abs(logits).max(), logits.std(axis=0).max(), logits.shape[1])


def cause(loss: float, largest: float, spread: float, classes: int) -> str | None:
    near = abs(loss - math.log(classes)) <= NEAR  # NaN is not
    if classes == 1 or not near:
        return None
    if largest == 0:
        return "all dead"
    return "constant" if spread < CONSTANT else "slow"


def say(warning: str) -> None:
    """Print a warning of the monitor, in lines that a page can show."""
    print(textwrap.fill(warning, 78, subsequent_indent="    "))


class CollapseMonitor:
    """An observer of a run that warns early, in plain words, and keeps what it saw.

    ``fit(..., observers=[CollapseMonitor()])``. `tell` takes each warning as a text; `classes`:
    names for the classes, else they are numbered. Each warning is given once, and again only after
    it went away; that a run is slow is reported after its first epoch. `shares` holds, for each
    judgement, the epoch and the list of `own_positive`. The images are those of the training steps,
    so with dropout on.
    """

    def __init__(self, tell: Callable[[str], None] = say, classes: Sequence[str] = ()) -> None:
        self.tell, self.classes = tell, tuple(classes)
        self.shares: list[tuple[float, list[float | None]]] = []
        self._why: str | None = None  # what was reported last: the cause of a plateau,
        self._dead: set[int] = set()  # and the dead classes
        self._begin(Started(1, 1, WINDOW))

    def _begin(self, event: Started) -> None:
        self._steps_per_epoch = event.steps_per_epoch
        self._window = min(WINDOW, max(1, event.images))
        self._counts = ClassCounts()
        self._clear()

    def _clear(self) -> None:
        self._loss: Any = 0.0
        self._sum: Any = 0.0  # of the logits of each class, and of their squares
        self._squares: Any = 0.0
        self._negative: Any = False  # was any logit? Then there is no last ReLU
        self._images = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self._begin(event)
        elif isinstance(event, Step) and event.logits is not None:
            self._gather(event)
            if self._images >= self._window:
                self._judge(event.step / self._steps_per_epoch)

    def _gather(self, event: Step) -> None:
        """Add up on the device: nothing is waited for."""
        logits = event.logits.float() if hasattr(event.logits, "detach") else event.logits
        self._loss = self._loss + event.loss * event.images
        self._sum = self._sum + logits.sum(0)
        self._squares = self._squares + (logits * logits).sum(0)
        self._negative = (logits < 0).any() | self._negative
        self._counts.add(event.logits, event.labels)
        self._images += event.images

    def _judge(self, epoch: float) -> None:
        n = self._images
        mean = np.asarray(self._sum.tolist()) / n
        square = np.asarray(self._squares.tolist()) / n
        spread = float(np.sqrt(np.maximum(square - mean**2, 0)).max())
        largest = float(np.sqrt(square).max())
        loss = float(self._loss) / n
        why = cause(loss, largest, spread, len(mean))
        shares = self._counts.shares()
        self.shares.append((epoch, shares))
        silent = why == "all dead" or bool(self._negative)
        silent = silent or len(mean) == 1 or not math.isfinite(loss)
        dead = set() if silent else set(dead_classes(shares))
        if why == "slow" and epoch < 1:
            why = None  # good runs begin so, too
        if why and why != self._why:
            near = f"the loss is near ln {len(mean)} = {math.log(len(mean)):.2f}"
            self.tell(f"epoch {epoch:.1f}: {near}: {CAUSES[why]}; {ADVICE[why]}")
        if new := sorted(dead - self._dead):
            names = ", ".join(map(self._name, new))
            self.tell(f"epoch {epoch:.1f}: dead: {names} (no own image has a positive logit)")
        self._why, self._dead = why, dead
        self._clear()

    def _name(self, c: int) -> str:
        return self.classes[c] if c < len(self.classes) else str(c)
