"""A model's state as tensors and plain values, which a checkpoint can hold.

`state_dict` holds tensors and whatever `get_extra_state` returns, and it leaves out non-persistent
buffers. A checkpoint needs all of it, because a run that is resumed must continue exactly.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

import torch
from torch import Tensor, nn

from ..spec import Network

State = tuple[dict[str, Tensor], dict[str, Any]]


def take(model: nn.Module) -> State:
    """Return the tensors of `model`, and as plain values what `get_extra_state` returns.

    The names of the tensors have the prefixes model., buffer. and extra.

    Raises:
        ValueError: if an extra state holds something other than tensors and plain values.
    """
    tensors: dict[str, Tensor] = {}
    extra: dict[str, Any] = {}
    state = model.state_dict()
    for name, value in state.items():
        if isinstance(value, Tensor):
            tensors[f"model.{name}"] = value
        else:
            extra[name] = to_plain(value, f"extra.{name}", tensors)
    for name, buffer in model.named_buffers():
        if name not in state:  # a non-persistent one
            tensors[f"buffer.{name}"] = buffer
    return tensors, extra


@torch.no_grad()
def put(model: nn.Module, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
    """Give `model` the state that `take` returned (in place).

    Raises:
        RuntimeError: if the state is of another model.
    """
    state: dict[str, Any] = {name: from_plain(value, tensors) for name, value in extra.items()}
    for name, value in tensors.items():
        if name.startswith("model."):
            state[name.removeprefix("model.")] = value
    model.load_state_dict(state)
    buffers = dict(model.named_buffers())
    for name, value in tensors.items():
        if name.startswith("buffer."):
            put_buffer(model, name.removeprefix("buffer."), value, buffers)


def put_buffer(model: nn.Module, name: str, value: Tensor, buffers: dict[str, Tensor]) -> None:
    here = buffers.get(name)
    if here is not None and here.shape == value.shape:
        here.copy_(value)
        return
    owner, _, leaf = name.rpartition(".")  # a cache whose size depends on the images seen
    value = value.to(next(model.parameters()).device)
    model.get_submodule(owner).register_buffer(leaf, value, persistent=False)


def to_plain(value: Any, name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Return `value` in a form that JSON keeps exactly; its tensors go into `tensors`.

    >>> to_plain((1, None), "extra.net", {})
    {'tuple': [{'value': 1}, {'value': None}]}
    """
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if value is None or type(value) in (bool, int, float, str):
        return {"value": value}
    if type(value) in (list, tuple):
        items = [to_plain(item, f"{name}.{n}", tensors) for n, item in enumerate(value)]
        return {type(value).__name__: items}
    if type(value) is dict and all(type(key) is str for key in value):
        return {"dict": {k: to_plain(v, f"{name}.{k}", tensors) for k, v in value.items()}}
    raise ValueError(
        f"model: {name.removeprefix('extra.')} holds {value!r:.80}, which cannot be saved; "
        "get_extra_state must return tensors, numbers, strings, or lists and dictionaries of them"
    )


def from_plain(stored: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """Return the value that `to_plain` stored."""
    [(kind, value)] = stored.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {key: from_plain(item, tensors) for key, item in value.items()}
    if kind == "value":
        return value
    items = [from_plain(item, tensors) for item in value]
    return tuple(items) if kind == "tuple" else items


def spec_of(model: nn.Module) -> str | None:
    """Return the JSON of the spec from which `model` can be built again.

    None for a model that has no spec, or whose layers are no longer those of its spec.
    """
    spec = getattr(model, "spec", None)
    if not isinstance(spec, Network):
        return None
    try:
        with torch.device("meta"):  # no memory, no random numbers
            again = type(model)(spec)
    except (TypeError, ValueError):  # another class that happens to have a spec
        return None
    return json.dumps(json.loads(spec.to_json())) if repr(again) == repr(model) else None


def described(model: nn.Module) -> str:
    """Return the model's class, its size, and a checksum over its layers as PyTorch prints them."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    layers = zlib.crc32(repr(model).encode())
    return f"{type(model).__name__}, {parameters:,} parameters, layers {layers:08x}"
