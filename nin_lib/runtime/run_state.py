"""All that changes during a run, as tensors and plain values for a checkpoint.

Random numbers are not part of it, because they depend on the seed and the step alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import model_state

if TYPE_CHECKING:
    from torch import nn, optim

    from .metrics import MetricSums
    from .workers import Workers

SUMS = ("loss", "correct", "images")  # the fields of MetricSums
State = tuple[dict[str, Tensor], dict[str, Any]]


def take(
    model: nn.Module,
    optimizer: optim.Optimizer,
    scaler: torch.amp.GradScaler,
    sums: MetricSums,
    workers: Workers,
) -> State:
    """Return the state of a run between two steps.

    Every worker calls this, because the sums of the epoch are gathered from all of them.
    """
    tensors, extra = model_state.take(model)
    for name, parameter in model.named_parameters():
        momentum = optimizer.state[parameter].get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum.{name}"] = momentum
    for name in SUMS:  # each worker's own: added up in another order they would differ a little
        tensors[f"sums.{name}"] = workers.gather(getattr(sums, name))
    return tensors, dict(scaler=scaler.state_dict(), extra=extra)


def put(
    state: State,
    model: nn.Module,
    optimizer: optim.Optimizer,
    scaler: torch.amp.GradScaler,
    sums: MetricSums,
    workers: Workers,
) -> None:
    """Give a run the state that `take` returned (in place).

    Raises:
        RuntimeError: The state is that of another model.
    """
    tensors, values = state
    model_state.put(model, tensors, values.get("extra", {}))
    for name, parameter in model.named_parameters():
        if f"momentum.{name}" in tensors:
            momentum = torch.empty_like(parameter.detach()).copy_(tensors[f"momentum.{name}"])
            optimizer.state[parameter]["momentum_buffer"] = momentum
    for name in SUMS:
        parts = tensors[f"sums.{name}"]
        if len(parts) == workers.size:
            getattr(sums, name).copy_(parts[workers.rank])
        elif workers.leads:  # another number of workers: one of them takes the whole
            getattr(sums, name).copy_(parts.sum())
    if values["scaler"]:  # empty except with float16
        scaler.load_state_dict(values["scaler"])
