"""`fit`: the training loop and its events. It knows nothing of NiN; any classifier will do.

    model = nin.build(network("paper-mnist"), recipe("default"), seed=0)
    history = fit(model, load("mini"), recipe("default"), epochs=3, batch_size=64)
    loss, accuracy = evaluate(model, load("mini").test)

Everything that could keep a student from reading it top to bottom is in `engine/`.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import watch
from .data import Dataset, Split, check_channels, order
from .engine.device import Plan
from .engine.device import plan as choose_plan
from .engine.distributed import ALONE, Team, team
from .engine.interrupt import Interrupted, between_steps
from .engine.keep import Keeper
from .engine.memory import memory_advice
from .engine.restore import left_as_found, own_randomness, reseed
from .engine.trial import check_logits
from .engine.trial_in_torch import check_model
from .history import Ended, EpochEnd, Event, History, Observer, Started, Step
from .recipe import Recipe, learning_rate, require_input_size, run_numbers
from .spec import refuse_name, require_int


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
    out: str | Path | None = None,
    resume: str = "exact",
    notes: dict[str, Any] | None = None,
) -> History:
    """Train `model` in place on `data.train`, look at `data.val` after each epoch.

    `model` takes N×C×H×W images and returns at least as many logits as the data have classes.
    `fit` tries two images on it before the first step, which gives lazy layers their weights, and
    leaves it in the mode and on the device that it was in. `input_size`: side in pixels to which
    images are enlarged, batch by batch, on the device; None leaves them as they are. `seed` sets
    the order of the samples and dropout. `plan`: how the machine is used (device, precision ...);
    None chooses by rule, a GPU where there is one. `observers` receive the events of
    `nin_lib.history`; None picks one that fits the place (`watch.default`).

    `out`: a folder that keeps the run, with a checkpoint each minute and after each epoch, and at
    the end the weights and the history (`nin_lib.torch.load_run` loads the model). If it holds an
    unfinished run with the same settings, that run is resumed: `resume` "exact" insists on
    conditions under which the result is the same to the bit (on CUDA this also takes
    ``torch.backends.cudnn.deterministic = True``), "anyway" does not. If it holds a finished run
    with the same settings, its weights are loaded into `model` and its history is returned,
    without training. A run with other settings is refused, unless `resume` is "never": then a new
    run starts, and replaces what is there with its first checkpoint. The initial weights of
    `model` are not compared. `notes`: plain values that are recorded with the run.

    An interrupt (Ctrl-C, the stop button of a notebook, or an observer that raises `Interrupted`)
    ends the run after the step under way, with several processes after the next one; the model
    keeps the weights it then has, and the history has the finished epochs.

    Raises `ValueError` when an argument, the data or the model do not fit each other,
    `FloatingPointError` when the loss becomes NaN or infinite, `CheckpointError` when `out` holds
    another run or only damaged checkpoints, or another process is using it, `OSError` when it
    cannot be written, `MemoryError` with a smaller batch size to try.
    """
    epochs, batch_size, input_size, seed = run_numbers(epochs, batch_size, input_size, seed)
    refuse_name("data", data, "load")
    refuse_name("recipe", recipe, "recipe")
    check_channels(model, train=data.train, val=data.val)
    plan = plan or choose_plan()
    with ExitStack() as stack:
        ranks = stack.enter_context(team(plan.device))
        stack.enter_context(left_as_found(model))
        stack.enter_context(memory_advice(batch_size))
        # From here to the last event an interrupt waits: the caller always gets a history.
        asked = stack.enter_context(between_steps())
        check_model(model, data, batch_size, input_size, plan, ranks)
        run = Run(model, data, recipe, epochs, batch_size, input_size, seed, plan, ranks, notes)
        keeper = stack.enter_context(Keeper(run, out, resume))
        if observers is None:
            observers = [watch.default()]
        run.observers = observers if ranks.leads else []
        run.tell(run.started())
        finished = False
        try:
            with own_randomness(plan.device), plan.running():
                run.go(keeper, asked)
                keeper.finished()
                finished = True
        except Interrupted:
            keeper.interrupted()
        finally:
            run.tell(Ended(run.history, interrupted=not finished))
    return run.history


class Run:
    """What is fixed about a run, and what changes with each step: step, sums, history, weights.

    It can be stopped after any step and go on later: the order of the samples and the random
    numbers of a step are functions of the seed and of its place alone.
    """

    def __init__(
        self, model: nn.Module, data: Dataset, recipe: Recipe, epochs: int, batch_size: int,
        input_size: int | None, seed: int, plan: Plan, ranks: Team, notes: dict[str, Any] | None,
    ) -> None:  # fmt: skip
        self.model, self.recipe, self.plan, self.ranks = model, recipe, plan, ranks
        self.epochs, self.batch_size, self.seed = epochs, batch_size, seed
        self.train = Feed(data.train, input_size, plan)
        self.val = Feed(data.val, input_size, plan)
        self.trained = ranks.wrap(plan.compiled(model))
        self.optimizer = torch.optim.SGD(
            model.parameters(), recipe.learning_rate, recipe.momentum,
            nesterov=recipe.nesterov, fused=plan.fused,
        )  # fmt: skip
        self.scaler = plan.scaler()
        self.observers: Sequence[Observer] = ()
        self.stop = False  # an observer asked for the end
        self.steps_per_epoch = math.ceil(len(self.train) / batch_size)
        self.step = 0  # steps done
        self.sums = Sums(plan.device)  # of the epoch under way
        conditions = plan.about() | {"processes": ranks.size}
        self.history = History(about=dict(
            data=data.name, images=len(self.train), data_checksum=checksum(data.train, data.val),
            model=described(model), recipe=asdict(recipe), epochs=epochs, batch_size=batch_size,
            input_size=input_size, seed=seed, notes=notes or {}, plan=conditions,
        ))  # fmt: skip

    def go(self, keeper: Keeper, asked: Callable[[], bool]) -> None:
        """Train until all epochs are done; after each step, ask whether to stop and keep."""

        def stop_if_asked() -> None:
            if self.ranks.any(asked() or self.stop):
                raise Interrupted

        while len(self.history.rows) < self.epochs:
            self.model.train()
            for index in self.remaining_batches():
                self.tell(self.take_step(index))
                stop_if_asked()
                keeper.after_step()
            row = self.finish_epoch(stop_if_asked)
            keeper.after_epoch()
            self.tell(EpochEnd(row, self.step))

    def remaining_batches(self) -> Sequence[Tensor]:
        """The samples of the steps that are left in the epoch under way."""
        epoch = len(self.history.rows) + 1
        index = torch.tensor(order(len(self.train), self.seed, epoch), device=self.plan.device)
        return index.split(self.batch_size)[self.step - (epoch - 1) * self.steps_per_epoch :]

    def take_step(self, index: Tensor) -> Step:
        """One step of gradient descent on the samples of `index`."""
        reseed(self.plan.device, step_seed(self.seed, self.step, self.ranks.rank))  # for dropout
        steps = self.epochs * self.steps_per_epoch
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step, steps)
        images, labels = self.train[self.ranks.share(index)]
        with self.plan.autocast():
            logits = self.trained(images)
        loss_sum = F.cross_entropy(logits.float(), labels, reduction="sum")
        loss = loss_sum / len(index)  # the mean over the batch, or this rank's part of it
        self.optimizer.zero_grad()
        self.scaler.scale(loss * self.ranks.size).backward()  # ranks are averaged, not summed
        if self.recipe.clip is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        loss_sum, correct = loss_sum.detach(), (logits.argmax(1) == labels).sum()
        self.sums.add(loss_sum, correct, len(labels))
        epoch, n = len(self.history.rows) + 1, len(index)
        self.ranks.sum(loss_sum, correct)  # the event is about the whole batch
        logits, labels = (self.ranks.whole(part, n) for part in (logits.detach(), labels))
        return Step(self.step, epoch, n, loss_sum / n, correct, logits, labels)

    def finish_epoch(self, stop_if_asked: Callable[[], None]) -> dict[str, float]:
        """Look at the held-out images and add the epoch's row to the history."""
        epoch = len(self.history.rows) + 1
        train_loss, train_accuracy = self.sums.means(self.ranks)
        if not math.isfinite(train_loss):
            raise FloatingPointError(
                f"the training loss is {train_loss} in epoch {epoch}: "
                "try a smaller learning_rate, or clip the gradient (Recipe.clip)"
            )
        sums = Sums(self.plan.device)
        size = evaluation_size(self.batch_size)
        for logits, labels in outputs(self.model, self.val, size, self.plan, self.ranks):
            sums.add_logits(logits, labels)
            stop_if_asked()
        val_loss, val_accuracy = sums.means(self.ranks)
        row = dict(
            epoch=epoch, train_loss=train_loss, train_accuracy=train_accuracy,
            val_loss=val_loss, val_accuracy=val_accuracy,
        )  # fmt: skip
        self.history.rows.append(row)
        self.sums = Sums(self.plan.device)
        return row

    def started(self) -> Started:
        rows = tuple(self.history.rows)
        about = self.history.about
        return Started(self.epochs, self.steps_per_epoch, len(self.train), about, self.step, rows)

    def tell(self, event: Event) -> None:
        for observer in self.observers:
            try:
                observer(event)
            except Interrupted:  # the others, and the other ranks, still get as far
                self.stop = True


def step_seed(seed: int, step: int, rank: int) -> int:
    """The random seed of one step in one process: the same when the step is repeated."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> 1)


def checksum(*splits: Split) -> int:
    """A number that tells one set of images and labels from another."""
    total = 0
    for array in (array for split in splits for array in (split.images, split.labels)):
        total = zlib.crc32(array.tobytes(), total)
    return total


def described(model: nn.Module) -> str:
    """Its class, its size, and a checksum over its layers as PyTorch prints them."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    layers = zlib.crc32(repr(model).encode())
    return f"{type(model).__name__}, {parameters:,} parameters, layers {layers:08x}"


# ── Looking at images ────────────────────────────────────────────────────────────────────────────


@torch.no_grad()
def evaluate(
    model: nn.Module,
    split: Split,
    input_size: int | None = None,
    batch_size: int = 256,
    plan: Plan | None = None,
) -> tuple[float, float]:
    """Mean loss (nats) and accuracy (0 to 1) over all images of `split`, dropout off.

    The model is left in the mode and on the device that it was in. Raises `ValueError` when it does
    not return logits for the classes of `split`, `MemoryError` with a smaller batch size to try.
    """
    check_channels(model, split=split)
    plan = plan or choose_plan()
    classes = int(split.labels.max()) + 1
    with left_as_found(model), memory_advice(batch_size):
        feed, sums = Feed(split, input_size, plan), Sums(plan.device)
        for logits, labels in outputs(model, feed, batch_size, plan, classes=classes):
            sums.add_logits(logits, labels)
        return sums.means()


@torch.no_grad()
def predict(
    model: nn.Module,
    split: Split,
    input_size: int | None = None,
    batch_size: int = 256,
    plan: Plan | None = None,
) -> np.ndarray:
    """Logits of all images of `split`, (N, classes), dropout off.

    The model is left in the mode and on the device that it was in. Raises `ValueError` when it does
    not return logits, `MemoryError` with a smaller batch size to try.
    """
    check_channels(model, split=split)
    plan = plan or choose_plan()
    with left_as_found(model), memory_advice(batch_size):
        parts = outputs(model, Feed(split, input_size, plan), batch_size, plan)
        return torch.cat([logits for logits, _ in parts]).cpu().numpy()


@torch.no_grad()
def outputs(
    model: nn.Module,
    feed: Feed,
    batch_size: int,
    plan: Plan,
    ranks: Team = ALONE,
    classes: int | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits (N×classes, float32) and labels, batch by batch, dropout off."""
    batch_size = require_int("batch_size", batch_size, 1)
    plan.place(model).eval()
    everything = torch.arange(len(feed), device=plan.device)
    for index in everything.split(batch_size * ranks.size):  # so that all ranks take equally many
        images, labels = feed[ranks.share(index)]
        with plan.autocast():
            logits = model(images)
        check_logits(logits, len(images), classes)
        yield logits.float(), labels


def evaluation_size(batch_size: int) -> int:
    """Images per process in a batch of the held-out part, when a step has `batch_size` in all."""
    return min(256, 4 * batch_size)  # without gradients, four take less memory than one


class Feed:
    """Images and labels on the device, as bytes; a batch becomes floats, and larger, when used.

    ``feed[index]``: N×C×H×W images from 0 to 1 and N labels.
    """

    def __init__(self, split: Split, input_size: int | None, plan: Plan) -> None:
        self.images = torch.tensor(split.images, device=plan.device)
        self.labels = torch.tensor(split.labels, device=plan.device, dtype=torch.int64)
        self.input_size, self.plan = require_input_size(input_size), plan

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        images = to_input(self.images[index], self.input_size)
        return self.plan.layout(images), self.labels[index]


def to_input(images: Tensor, input_size: int | None = None) -> Tensor:
    """N×H×W or N×C×H×W bytes → N×C×S×S floats from 0 to 1, enlarged bilinearly; floats stay."""
    input_size = require_input_size(input_size)
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
        self.images = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, loss_sum: Tensor, correct: Tensor, images: int) -> None:
        self.loss += loss_sum
        self.correct += correct
        self.images += images

    def add_logits(self, logits: Tensor, labels: Tensor) -> None:
        loss_sum = F.cross_entropy(logits, labels, reduction="sum")
        self.add(loss_sum, (logits.argmax(1) == labels).sum(), len(labels))

    def means(self, ranks: Team = ALONE) -> tuple[float, float]:
        """Mean loss and accuracy over the images of all ranks."""
        loss, correct, images = self.loss.clone(), self.correct.clone(), self.images.clone()
        ranks.sum(loss, correct, images)
        return float(loss) / int(images), int(correct) / int(images)
