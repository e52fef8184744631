"""Try two images on a PyTorch model before the first step, and restore everything."""

from __future__ import annotations

import torch
from torch import nn

from ..data import Dataset, Split
from .dataset import DeviceDataset
from .description import evaluation_size
from .model_check import check_logits, classes_in, passing
from .plan import ExecutionPlan
from .preserve import preserve_random_state, preserve_values
from .workers import Workers


def check_model(
    model: nn.Module,
    data: Dataset,
    batch_size: int,
    input_size: int | None,
    plan: ExecutionPlan,
    workers: Workers,
) -> None:
    """Put `model` where `plan` wants it, and raise `ValueError` if `fit` can't train it on `data`.

    Nothing else changes, except that lazy layers get their weights. They get them in evaluation
    mode, which comes first because it gathers no statistics.
    """
    with preserve_random_state(plan.device):
        at_once = evaluation_size(batch_size) * workers.size
        for n in sizes(len(data.val), at_once, workers):
            try_on(model, data, data.val, n, input_size, plan, training=False)
        for n in sizes(len(data.train), batch_size, workers):
            try:
                try_on(model, data, data.train, n, input_size, plan, training=True)
            except ValueError as error:
                if n > 1:
                    raise
                raise ValueError(
                    f"batch_size must leave more than {n} of the {len(data.train)} training images "
                    f"for the last step of an epoch (in each process), got {batch_size}; "
                    f"model can't be trained on a batch of {n}: {error}"
                ) from error
    plan.place(model)


def sizes(images: int, batch_size: int, workers: Workers) -> list[int]:
    """How many images to try: two, and the fewest that a batch leaves a process if below two."""
    largest, last = min(images, batch_size), images % batch_size or batch_size
    return sorted({min(2, -(-largest // workers.size)), min(2, last // workers.size)}, reverse=True)


def try_on(
    model: nn.Module,
    data: Dataset,
    split: Split,
    n: int,
    input_size: int | None,
    plan: ExecutionPlan,
    training: bool,
) -> None:
    """Send the first `n` images of `split` through `model`, in training or evaluation mode."""
    images, _ = DeviceDataset(split.first(2), input_size, plan)[torch.arange(n, device=plan.device)]
    plan.place(model).train(training)
    with preserve_values(model), torch.set_grad_enabled(training), plan.autocast():
        with passing(tuple(images.shape)):
            logits = model(images)
    check_logits(logits, n, classes_in(data))
    if training and not logits.requires_grad:
        raise ValueError("model must have weights that require a gradient, got none for its logits")
