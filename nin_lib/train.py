"""`fit`: the training loop and its events. It knows nothing of NiN; any classifier will do.

model = nin.build(network("paper-mnist"), recipe("default"), seed=0)
history = fit(model, load("mini"), recipe("default"), epochs=5, batch_size=64)
loss, accuracy = evaluate(model, load("mini").test)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import watch
from .data import Dataset, Split, order
from .engine.device import Plan
from .engine.device import plan as choose_plan
from .engine.interrupt import Interrupted, between_steps
from .history import Ended, EpochEnd, History, Observer, Started, Step
from .recipe import Recipe, learning_rate
from .spec import require_int


def fit(
    model: nn.Module,
    data: Dataset,
    recipe: Recipe,
    *,
    epochs: int,
    batch_size: int = 128,
    input_size: int | None = None,
    seed: int = 0,
    plan: Plan | None = None,
    observers: Sequence[Observer] | None = None,
) -> History:
    """Train `model` in place on `data.train`, look at `data.val` after each epoch.

    `model` takes N×C×H×W images and gives N×classes logits. `input_size`: side in pixels to which
    images are enlarged, batch by batch, on the device; None leaves them as they are. `seed` sets
    the order of the samples and dropout. `plan`: how the machine is used (device, precision ...);
    None chooses by rule, a GPU where there is one.
    `observers` receive the events of `nin_lib.history`; None picks one that fits the place
    (`watch.default`). An interrupt (Ctrl-C, or the stop button of a notebook) ends the run after
    the step under way; the model stays as it then is, and the history has the finished epochs.

    Raises `ValueError` when an argument, the data or the model do not fit each other, and
    `FloatingPointError` when the loss stops being a number.
    """
    require_int("epochs", epochs, 1)
    require_int("batch_size", batch_size, 1)
    plan = plan or choose_plan()
    plan.place(model)
    check_model(model, data, input_size, plan)
    observers = [watch.default()] if observers is None else observers
    about = describe(data, recipe, epochs, batch_size, input_size, seed, plan)
    history = History(about=about)
    steps_per_epoch = math.ceil(len(data.train) / batch_size)
    tell(observers, Started(epochs, steps_per_epoch, len(data.train), about))
    interrupted = False
    try:
        with seeded(seed, plan.device), plan.running(), between_steps() as stop_if_asked:
            run(
                model, data, recipe, epochs, batch_size, input_size, seed, plan, history,
                observers, stop_if_asked,
            )  # fmt: skip
    except Interrupted:
        interrupted = True
    finally:
        tell(observers, Ended(history, interrupted))
    return history


def run(
    model: nn.Module, data: Dataset, recipe: Recipe, epochs: int, batch_size: int,
    input_size: int | None, seed: int, plan: Plan, history: History,
    observers: Sequence[Observer], stop_if_asked: Callable[[], None],
) -> None:  # fmt: skip
    """The loop itself: epochs, steps, and a row of the history after each epoch."""
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.learning_rate, recipe.momentum, nesterov=recipe.nesterov
    )
    steps = epochs * math.ceil(len(data.train) / batch_size)
    step = 0
    for epoch in range(1, epochs + 1):
        model.train()
        total = Sums(plan.device)
        index = order(len(data.train), seed, epoch)
        for images, labels in batches(data.train, batch_size, input_size, plan, index):
            set_learning_rate(optimizer, learning_rate(recipe, step, steps))
            with plan.autocast():
                logits = model(images)
            loss = F.cross_entropy(logits.float(), labels)
            optimizer.zero_grad()
            loss.backward()
            if recipe.clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            step += 1
            correct = (logits.argmax(1) == labels).sum()
            total.add(loss.detach(), correct, len(labels))
            tell(observers, Step(step, epoch, len(labels), loss.detach(), correct))
            stop_if_asked()
        train_loss, train_accuracy = total.means()
        if not math.isfinite(train_loss):
            raise FloatingPointError(
                f"the training loss is {train_loss} in epoch {epoch}: "
                "try a smaller learning_rate, or clip the gradient (Recipe.clip)"
            )
        val_loss, val_accuracy = evaluate(model, data.val, input_size, plan=plan)
        row = dict(
            epoch=epoch, train_loss=train_loss, train_accuracy=train_accuracy,
            val_loss=val_loss, val_accuracy=val_accuracy,
        )  # fmt: skip
        history.rows.append(row)
        tell(observers, EpochEnd(row, step))


@torch.no_grad()
def evaluate(
    model: nn.Module,
    split: Split,
    input_size: int | None = None,
    batch_size: int = 256,
    plan: Plan | None = None,
) -> tuple[float, float]:
    """Mean loss (nats) and accuracy (0 to 1) over all images of `split`, dropout off."""
    plan = plan or choose_plan()
    total = Sums(plan.device)
    for logits, labels in outputs(model, split, input_size, batch_size, plan):
        total.add(F.cross_entropy(logits, labels), (logits.argmax(1) == labels).sum(), len(labels))
    return total.means()


@torch.no_grad()
def predict(
    model: nn.Module,
    split: Split,
    input_size: int | None = None,
    batch_size: int = 256,
    plan: Plan | None = None,
) -> np.ndarray:
    """Logits of all images of `split`, (N, classes), dropout off."""
    parts = outputs(model, split, input_size, batch_size, plan or choose_plan())
    return torch.cat([logits for logits, _ in parts]).cpu().numpy()


def outputs(
    model: nn.Module, split: Split, input_size: int | None, batch_size: int, plan: Plan
) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits (N×classes, float32) and labels, batch by batch, dropout off."""
    plan.place(model).eval()
    for images, labels in batches(split, batch_size, input_size, plan):
        with plan.autocast():
            logits = model(images)
        yield logits.float(), labels


def batches(
    split: Split,
    batch_size: int,
    input_size: int | None,
    plan: Plan,
    index: np.ndarray | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images (N×C×H×W, 0 to 1) and labels (N), in the order of `index`, or as they lie.

    The bytes go to the device as they are; there they become floats and are enlarged, bilinearly.
    """
    require_int("batch_size", batch_size, 1)
    images = torch.tensor(split.images, device=plan.device)
    labels = torch.tensor(split.labels, device=plan.device, dtype=torch.int64)
    index = np.arange(len(split)) if index is None else index
    for part in torch.tensor(index, device=plan.device).split(batch_size):
        yield plan.layout(to_input(images[part], input_size)), labels[part]


def to_input(images: Tensor, input_size: int | None = None) -> Tensor:
    """N×H×W or N×C×H×W bytes → N×C×S×S floats from 0 to 1; floats keep their values."""
    if images.ndim == 3:
        images = images[:, None]  # N×1×H×W
    images = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    if input_size is None or images.shape[2:] == (input_size, input_size):
        return images
    size = (input_size, input_size)
    return F.interpolate(images, size, mode="bilinear", align_corners=False)


class Sums:
    """Loss and right answers summed up on the device, so that no step waits for a number."""

    def __init__(self, device: str) -> None:
        self.loss = torch.zeros((), device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        self.images = 0

    def add(self, mean_loss: Tensor, correct: Tensor, images: int) -> None:
        self.loss += mean_loss * images  # a mean counts as often as it has images
        self.correct += correct
        self.images += images

    def means(self) -> tuple[float, float]:
        return float(self.loss) / self.images, int(self.correct) / self.images


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """A context in which random numbers come from `seed`; afterwards all is as before."""
    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        torch.manual_seed(seed)
        yield


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def tell(observers: Sequence[Observer], event: Any) -> None:
    for observer in observers:
        observer(event)


def check_model(model: nn.Module, data: Dataset, input_size: int | None, plan: Plan) -> None:
    """One image through the model, so that what does not fit is said before hours are spent."""
    with torch.no_grad():
        logits, _ = next(outputs(model, data.val.first(1), input_size, 1, plan))
    shape = tuple(logits.shape)
    if len(shape) != 2 or shape[1] < data.train.classes:
        raise ValueError(
            f"model must give (N, {data.train.classes}) logits, one for each class of the data; "
            f"for one image it gave {shape}"
        )


def describe(
    data: Dataset, recipe: Recipe, epochs: int, batch_size: int, input_size: int | None,
    seed: int, plan: Plan,
) -> dict[str, Any]:  # fmt: skip
    """What a run is made of, as plain values: equal runs have equal descriptions."""
    return dict(
        data=data.name, images=len(data.train), recipe=asdict(recipe), epochs=epochs,
        batch_size=batch_size, input_size=input_size, seed=seed, plan=plan.about(),
    )  # fmt: skip
