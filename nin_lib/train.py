"""`fit`, the training loop. It knows nothing of NiN and trains any classifier.

    model = nin.build(network("paper-mnist"), recipe("default"), seed=0)
    history = fit(model, load("mini"), recipe("default"), epochs=3, batch_size=64)
    loss, accuracy = evaluate(model, load("mini").test)

Read `fit`, then `Run` from top to bottom. The services that they use are in `runtime/`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .data import Dataset, Split, check_channels, order
from .history import History, Observer, Step
from .recipe import Recipe, learning_rate
from .runtime import run_state
from .runtime.checkpointer import Checkpointer
from .runtime.dataset import DeviceDataset
from .runtime.description import describe, evaluation_size, step_seed
from .runtime.interrupt import Interrupted, between_steps
from .runtime.memory import memory_advice
from .runtime.metrics import MetricSums
from .runtime.model_check import check_logits
from .runtime.model_check_torch import check_model
from .runtime.model_state import described
from .runtime.plan import ExecutionPlan, choose_plan
from .runtime.preserve import preserve_placement, preserve_random_state, reseed
from .runtime.run_log import RunLog
from .runtime.workers import ALONE, Workers, join_workers
from .validation import refuse_name, require_int, run_numbers


def fit(
    model: nn.Module,
    data: Dataset,
    recipe: Recipe,
    *,
    epochs: int,
    batch_size: int = 128,
    input_size: int | None = None,
    seed: int = 0,
    plan: ExecutionPlan | None = None,
    observers: Sequence[Observer] = (),
    out: str | Path | None = None,
    resume: Literal["exact", "anyway", "never"] = "exact",
    notes: dict[str, Any] | None = None,
) -> History:
    """Train `model` in place on `data.train`, and evaluate it on `data.val` after each epoch.

    Before the first step two images go through the model. After an interrupt (Ctrl-C, a notebook's
    stop button, or an observer that raises `Interrupted`) the step under way is finished, and the
    model and the history keep what was reached.

    Args:
        model: Takes (N, C, H, W) images and returns at least as many logits as there are classes.
            Its mode and device are restored at the end.
        data: What to train and to evaluate on.
        recipe: How to train.
        epochs: How many times each training image is used.
        batch_size: Images in a step, over all processes.
        input_size: Side in pixels to which each batch is enlarged; None leaves images as they are.
        seed: Determines the order of the images and dropout.
        plan: How to use the machine (device, precision); None chooses by rule, a GPU if present.
        observers: Called with each event of `nin_lib.history`, for example `LiveCurves()`.
        out: A folder for checkpoints (each minute and after each epoch) and results. An unfinished
            run with the same settings is resumed, a finished one is loaded and returned.
        resume: "exact" resumes only where the result is the same to the bit, "anyway" also
            elsewhere, "never" replaces what is in `out`.
        notes: Plain values to record with the run.

    Returns:
        One row of losses and accuracies for each finished epoch, and what the run was made of.

    Raises:
        ValueError: The arguments, the data and the model do not fit each other.
        FloatingPointError: The loss becomes NaN or infinite.
        CheckpointError: `out` holds another run or a damaged one, or another process is using it.
        OSError: `out` cannot be written.
        MemoryError: There is not enough memory; the message has a smaller batch size to try.
    """
    epochs, batch_size, input_size, seed = run_numbers(epochs, batch_size, input_size, seed)
    refuse_name("data", data, "load")
    refuse_name("recipe", recipe, "recipe")
    check_channels(model, train=data.train, val=data.val)
    plan = plan or choose_plan()
    with ExitStack() as stack:
        workers = stack.enter_context(join_workers(plan.device))
        stack.enter_context(preserve_placement(model))
        stack.enter_context(memory_advice(batch_size))
        interrupted = stack.enter_context(between_steps())
        check_model(model, data, batch_size, input_size, plan, workers)
        numbers = epochs, batch_size, input_size, seed
        conditions = plan.about() | {"processes": workers.size}
        info = describe(
            data, recipe, numbers, model=described(model), notes=notes or {}, plan=conditions
        )  # fmt: skip
        steps_per_epoch = math.ceil(len(data.train) / batch_size)
        log = RunLog(info, steps_per_epoch, observers if workers.leads else (), workers.any)
        run = Run(model, data, recipe, plan, workers, log)
        checkpointer = stack.enter_context(Checkpointer(run, out, resume))
        with log.running(run.step, interrupted):
            run.train(checkpointer)
    return log.history


class Run:
    """One run: what is fixed about it, and what changes with each step.

    It can be stopped after any step and resumed, because the order of the images and the random
    numbers of a step are functions of the seed and of the step's number.
    """

    def __init__(
        self, model: nn.Module, data: Dataset, recipe: Recipe, plan: ExecutionPlan,
        workers: Workers, log: RunLog,
    ) -> None:  # fmt: skip
        self.model, self.recipe, self.plan, self.workers = model, recipe, plan, workers
        self.log, self.history, info = log, log.history, log.history.about
        self.epochs, self.batch_size, self.seed = info.epochs, info.batch_size or 1, info.seed or 0
        self.train_set = DeviceDataset(data.train, info.input_size, plan)
        self.val_set = DeviceDataset(data.val, info.input_size, plan)
        self.wrapped = workers.wrap(plan.compiled(model))  # shares the weights of `model`
        self.optimizer = torch.optim.SGD(
            model.parameters(), recipe.learning_rate, recipe.momentum,
            nesterov=recipe.nesterov, fused=plan.fused,
        )  # fmt: skip
        self.scaler = plan.scaler()
        self.step = 0  # steps done
        self.sums = MetricSums(plan.device)  # over the training images of the current epoch

    @property
    def epoch(self) -> int:
        """The current epoch: 1, 2, ..."""
        return len(self.history.rows) + 1

    def train(self, checkpointer: Checkpointer) -> None:
        """Train until all epochs are done. Raises `Interrupted` if the run should stop."""
        try:
            with preserve_random_state(self.plan.device), self.plan.running():
                while self.epoch <= self.epochs:
                    self.model.train()
                    for index in self.remaining_batches():
                        self.log.step(self.take_step(index))
                        checkpointer.after_step()
                    train = self.sums.means(self.workers)
                    self.log.add_row(train, self.evaluate_held_out())
                    self.sums = MetricSums(self.plan.device)
                    checkpointer.after_epoch()
                    self.log.end_epoch(self.step)
                checkpointer.finished()
        except Interrupted:
            checkpointer.interrupted()
            raise

    def remaining_batches(self) -> Sequence[Tensor]:
        """Return the indices of the images in each step that is left in the current epoch."""
        numbers = order(len(self.train_set), self.seed, self.epoch)
        batches = torch.tensor(numbers, device=self.plan.device).split(self.batch_size)
        return batches[self.step - (self.epoch - 1) * self.log.steps_per_epoch :]

    def take_step(self, index: Tensor) -> Step:
        """Take one step of gradient descent on the images of `index`."""
        seed = step_seed(self.seed, self.step, self.workers.rank)
        reseed(self.plan.device, seed)  # for dropout
        steps = self.epochs * self.log.steps_per_epoch
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step, steps)
        images, labels = self.train_set[self.workers.share(index)]
        with self.plan.autocast():
            logits = self.wrapped(images)
        loss_sum = F.cross_entropy(logits.float(), labels, reduction="sum")
        loss = loss_sum / len(index)  # the mean over the batch, or this worker's part of it
        self.optimizer.zero_grad()
        self.scaler.scale(loss * self.workers.size).backward()  # workers average their gradients
        if self.recipe.clip is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        return self.step_event(index, loss_sum.detach(), logits.detach(), labels)

    def step_event(self, index: Tensor, loss_sum: Tensor, logits: Tensor, labels: Tensor) -> Step:
        """Add the step to the epoch's sums, and describe it over the whole batch."""
        n, correct = len(index), (logits.argmax(1) == labels).sum()
        self.sums.add(loss_sum, correct, len(labels))
        self.workers.sum(loss_sum, correct)
        logits, labels = self.workers.whole(logits, n), self.workers.whole(labels, n)
        return Step(self.step, self.epoch, n, loss_sum / n, correct, logits, labels)

    def evaluate_held_out(self) -> tuple[float, float]:
        """Return the mean loss and the accuracy on the held-out images."""
        sums, size = MetricSums(self.plan.device), evaluation_size(self.batch_size)
        for logits, labels in outputs(self.model, self.val_set, size, self.plan, self.workers):
            sums.add_logits(logits, labels)
            self.log.stop_if_asked()
        return sums.means(self.workers)

    def state(self) -> run_state.State:
        """Return what a checkpoint must hold of the model and the optimiser."""
        return run_state.take(self.model, self.optimizer, self.scaler, self.sums, self.workers)

    def load_state(self, state: run_state.State) -> None:
        """Restore what `state` returned (in place). Raises `RuntimeError` for another model's."""
        run_state.put(state, self.model, self.optimizer, self.scaler, self.sums, self.workers)


@torch.no_grad()
def evaluate(
    model: nn.Module,
    split: Split,
    input_size: int | None = None,
    batch_size: int = 256,
    plan: ExecutionPlan | None = None,
) -> tuple[float, float]:
    """Return the mean loss (nats) and the accuracy (0 to 1) on all images of `split`.

    Dropout is off; the model's mode and device are restored.

    Raises:
        ValueError: The model does not return logits for the classes of `split`.
        MemoryError: There is not enough memory; the message has a smaller batch size to try.
    """
    check_channels(model, split=split)
    plan = plan or choose_plan()
    classes = int(split.labels.max()) + 1
    with preserve_placement(model), memory_advice(batch_size):
        images, sums = DeviceDataset(split, input_size, plan), MetricSums(plan.device)
        for logits, labels in outputs(model, images, batch_size, plan, classes=classes):
            sums.add_logits(logits, labels)
        return sums.means()


@torch.no_grad()
def predict(
    model: nn.Module,
    split: Split,
    input_size: int | None = None,
    batch_size: int = 256,
    plan: ExecutionPlan | None = None,
) -> np.ndarray:
    """Return the (N, classes) logits of all images of `split`, like `evaluate` in the rest."""
    check_channels(model, split=split)
    plan = plan or choose_plan()
    with preserve_placement(model), memory_advice(batch_size):
        images = DeviceDataset(split, input_size, plan)
        parts = outputs(model, images, batch_size, plan)
        return torch.cat([logits for logits, _ in parts]).cpu().numpy()


@torch.no_grad()
def outputs(
    model: nn.Module, images: DeviceDataset, batch_size: int, plan: ExecutionPlan,
    workers: Workers = ALONE, classes: int | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
    """Yield (N, classes) logits, float32, and N labels batch by batch, with dropout off."""
    batch_size = require_int("batch_size", batch_size, 1)
    plan.place(model).eval()
    everything = torch.arange(len(images), device=plan.device)
    for index in everything.split(batch_size * workers.size):  # all workers take equally many
        batch, labels = images[workers.share(index)]
        with plan.autocast():
            logits = model(batch)
        check_logits(logits, len(batch), classes)
        yield logits.float(), labels
