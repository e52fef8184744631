"""Restore a model's placement or values, or PyTorch's random state, after a block of code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy


def generators(device: str | torch.device) -> list[torch.Generator]:
    """Return the generators of random numbers that serve `device`: the CPU's and its own."""
    device = torch.device(device)
    if device.type in ("cuda", "xpu"):
        gpus = getattr(torch, device.type)
        gpus.init()
        index = gpus.current_device() if device.index is None else device.index
        return [torch.default_generator, gpus.default_generators[index]]
    if device.type == "mps":
        return [torch.default_generator, torch.mps._get_default_mps_generator()]
    return [torch.default_generator]


def reseed(device: str | torch.device, seed: int) -> None:
    """Seed the generators of `device` and no others, which `torch.manual_seed` would seed too."""
    for generator in generators(device):
        generator.manual_seed(seed)


@contextmanager
def preserve_random_state(device: str | torch.device) -> Iterator[None]:
    """Restore the random state of `device` at the end."""
    states = [(generator, generator.get_state()) for generator in generators(device)]
    try:
        yield
    finally:
        for generator, state in states:
            generator.set_state(state)


def tensors_of(model: nn.Module) -> list[tuple[nn.Module, str, Any]]:
    """Return each layer's own weights and buffers, with their names."""
    return [
        (layer, name, tensor)
        for layer in model.modules()
        for named in (layer.named_parameters, layer.named_buffers)
        for name, tensor in named(recurse=False)
    ]


@contextmanager
def preserve_placement(model: nn.Module) -> Iterator[None]:
    """Restore each layer's mode and each tensor's device and memory layout at the end.

    The values stay what they have become in the meantime.
    """
    modes = [(layer, layer.training) for layer in model.modules()]
    homes = [
        (layer, name, tensor.device, None if is_lazy(tensor) else tensor.data)
        for layer, name, tensor in tensors_of(model)
    ]
    try:
        yield
    finally:
        for layer, training in modes:
            layer.training = training
        for layer, name, device, home in homes:
            tensor = getattr(layer, name)
            if tensor is None:
                continue
            now = tensor.data
            if home is None or home.shape != now.shape:
                tensor.data = now.to(device)
            else:
                tensor.data = home.copy_(now)
            if tensor.grad is not None:
                tensor.grad = tensor.grad.to(device)


@contextmanager
def preserve_values(model: nn.Module) -> Iterator[None]:
    """Restore the values of all weights and buffers at the end, but not what lazy layers create."""
    values = [
        (layer, name, tensor, tensor.detach().clone())
        for layer, name, tensor in tensors_of(model)
        if not is_lazy(tensor)
    ]
    try:
        yield
    finally:
        for layer, name, tensor, value in values:
            tensor.data.copy_(value)
            if getattr(layer, name) is not tensor:
                setattr(layer, name, tensor)
