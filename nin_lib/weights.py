"""Weights that all three frameworks read: one set of names, one layout, one file.

    weights = from_torch(model)  # {"block1.conv1.weight": array, ...}
    save_file(weights, "nin.safetensors")
    to_keras(keras_model, load_file("nin.safetensors"))
    params = to_flax(weights, spec)

The layout is PyTorch's: a convolution is C_out×C_in×k×k, a dense layer out×in, and the maps that
reach the first dense layer are flattened as C×H×W. TensorFlow and JAX keep k×k×C_in×C_out and
in×out and flatten H×W×C; both ways are worked out here and nowhere else. Numbers are never changed,
unless a model of a lower precision takes them over. NumPy only: models are taken as they come.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from .flow import flattened
from .recipe import Recipe
from .spec import Block, Network
from .validation import require_path, require_seed

Weights = dict[str, np.ndarray]
Shape = tuple[int, ...]


def shapes(spec: Network) -> dict[str, Shape]:
    """Names and shapes of all weights, first layer first, each weight before its bias.

    >>> from nin_lib.networks import network
    >>> shapes(network("paper-mnist"))["block1.conv1.weight"]
    (96, 1, 5, 5)
    """
    found: dict[str, Shape] = {}
    channels = spec.in_channels
    for block_number, block in enumerate(spec.blocks, 1):
        k = block.kernel_size
        for number, width in enumerate(block.widths, 1):
            found[f"block{block_number}.conv{number}.weight"] = (width, channels, k, k)
            found[f"block{block_number}.conv{number}.bias"] = (width,)
            channels, k = width, block.inner_kernel_size
    if spec.dense:
        features = prod(flattened(spec))
        for number, width in enumerate(spec.dense, 1):
            found[f"dense{number}.weight"] = (width, features)
            found[f"dense{number}.bias"] = (width,)
            features = width
    return found


def check(weights: Mapping[str, Any], expected: Mapping[str, Shape]) -> None:
    """Raise `ValueError` naming what is missing, unknown or of another shape than `expected`."""
    missing = [name for name in expected if name not in weights]
    unknown = [name for name in weights if name not in expected]
    if missing:
        raise ValueError(f"weights: {missing[0]} is missing ({len(missing)} missing in all)")
    if unknown:
        raise ValueError(f"weights: the network has no {unknown[0]} ({len(unknown)} such in all)")
    for name, shape in expected.items():
        if np.shape(weights[name]) != shape:
            is_now = np.shape(weights[name])
            raise ValueError(f"weights: {name} has shape {is_now}, but must have {shape}")


def initial(spec: Network, recipe: Recipe, seed: int = 0) -> Weights:
    """Return first weights of the kind that `recipe` names, in single precision, drawn by NumPy.

    Runs in different frameworks can start from them.
    """
    rng = np.random.default_rng(require_seed(seed))
    weights, bias_bound = {}, 0.0
    for name, shape in shapes(spec).items():
        fan_in, fan_out = prod(shape[1:]), shape[0] * prod(shape[2:])
        if name.endswith("bias"):
            array = rng.uniform(-1, 1, shape) * bias_bound
        elif recipe.init == "kaiming":
            array = rng.normal(0, (2 / fan_in) ** 0.5, shape)
        elif recipe.init == "xavier":
            array = rng.uniform(-1, 1, shape) * (6 / (fan_in + fan_out)) ** 0.5
        else:
            array = rng.uniform(-1, 1, shape) * fan_in**-0.5
        if name.endswith("weight"):
            bias_bound = 0.0 if recipe.zero_bias else fan_in**-0.5  # of the bias that comes next
        weights[name] = array.astype(np.float32)
    return weights


# ── Layouts ──────────────────────────────────────────────────────────────────────────────────────


def channels_last_shapes(spec: Network) -> dict[str, Shape]:
    """`shapes` as TensorFlow and JAX have them: k×k×C_in×C_out, in×out."""
    return {name: shape[2:] + shape[1::-1] for name, shape in shapes(spec).items()}


def to_channels_last(weights: Mapping[str, np.ndarray], spec: Network) -> Weights:
    """From PyTorch's layout to that of TensorFlow and JAX, under the same names."""
    check(weights, shapes(spec))
    return {name: turned(name, weights[name], spec) for name in shapes(spec)}


def from_channels_last(weights: Mapping[str, np.ndarray], spec: Network) -> Weights:
    """Invert `to_channels_last`."""
    check(weights, channels_last_shapes(spec))
    return {name: turned_back(name, weights[name], spec) for name in shapes(spec)}


def turned(name: str, array: np.ndarray, spec: Network) -> np.ndarray:
    if array.ndim == 4:
        array = array.transpose(2, 3, 1, 0)
    elif name == "dense1.weight":  # its input is flattened: C×H×W becomes H×W×C
        out, features = array.shape
        array = array.reshape(out, *flattened(spec)).transpose(2, 3, 1, 0).reshape(features, out)
    else:
        array = array.T
    return np.array(array, order="C")


def turned_back(name: str, array: np.ndarray, spec: Network) -> np.ndarray:
    if array.ndim == 4:
        array = array.transpose(3, 2, 0, 1)
    elif name == "dense1.weight":
        features, out = array.shape
        channels, height, width = flattened(spec)
        array = array.reshape(height, width, channels, out).transpose(3, 2, 0, 1)
        array = array.reshape(out, features)
    else:
        array = array.T
    return np.array(array, order="C")


# ── Frameworks ───────────────────────────────────────────────────────────────────────────────────


def spec_of(model: Any) -> Network:
    """Return the spec of one of our networks. Raises `ValueError` for another model."""
    if not isinstance(getattr(model, "spec", None), Network):
        rule = "model must be a NiN of nin_lib, whose spec names its weights"
        raise ValueError(f"{rule}, got {type(model).__name__}")
    return model.spec


def from_torch(model: Any) -> Weights:
    """Return the weights of a `nin_lib.torch.NiN`, copied. Raises `ValueError` for bfloat16."""
    names = shapes(spec_of(model))
    if any(str(parameter.dtype) == "torch.bfloat16" for parameter in model.parameters()):
        raise ValueError("model is in bfloat16, which NumPy lacks: call model.float() first")
    parameters = (parameter.detach().cpu().numpy().copy() for parameter in model.parameters())
    return dict(zip(names, parameters, strict=True))


def to_torch(model: Any, weights: Mapping[str, np.ndarray]) -> None:
    """Copy `weights` into a `nin_lib.torch.NiN`, in its precision. Raises `ValueError`."""
    names = shapes(spec_of(model))
    check(weights, names)
    for name, parameter in zip(names, model.parameters(), strict=True):
        parameter.data.copy_(parameter.new_tensor(weights[name]))


def from_keras(model: Any) -> Weights:
    """Return the weights of a `nin_lib.tensorflow.NiN`, copied."""
    spec = spec_of(model)
    arrays = dict(zip(shapes(spec), model.get_weights(), strict=True))
    return from_channels_last(arrays, spec)


def to_keras(model: Any, weights: Mapping[str, np.ndarray]) -> None:
    """Copy `weights` into a `nin_lib.tensorflow.NiN`, in its precision. Raises `ValueError`."""
    arrays = to_channels_last(weights, spec_of(model))
    model.set_weights(list(arrays.values()))


def from_flax(params: Mapping[str, Any], spec: Network) -> Weights:
    """Return the weights of a `nin_lib.jax.NiN`: ``from_flax(variables["params"], spec)``.

    Raises `ValueError` when `params` are not those of the network of `spec`.
    """
    names = {path: name for name, path in flax_paths(spec).items()}
    arrays = {names.get(path, path): np.asarray(array) for path, array in leaves(params)}
    return from_channels_last(arrays, spec)


def to_flax(weights: Mapping[str, np.ndarray], spec: Network) -> dict[str, Any]:
    """Return parameters for a `nin_lib.jax.NiN`, as NumPy arrays in nested dictionaries.

    Use them as ``model.apply({"params": to_flax(weights, spec)}, images)``. Raises `ValueError`.
    """
    params: dict[str, Any] = {}
    paths = flax_paths(spec)
    for name, array in to_channels_last(weights, spec).items():
        *modules, leaf = paths[name].split("/")
        place = params
        for module in modules:
            place = place.setdefault(module, {})
        place[leaf] = array
    return params


def flax_paths(spec: Network) -> dict[str, str]:
    """Where Flax keeps each weight, by its neutral name.

    Flax numbers what a `Sequential` holds, from 0, activations included: every second layer of a
    block is a convolution, and every second one of the head, after the flattening, is dense.
    """
    blocks = [n for n, stage in enumerate(spec.stages) if isinstance(stage, Block)]
    paths = {}
    for name in shapes(spec):
        layer, _, kind = name.rpartition(".")
        if layer.startswith("dense"):
            outer, inner = len(spec.stages), 2 * int(layer.removeprefix("dense")) - 1
        else:
            block, conv = layer.removeprefix("block").split(".conv")
            outer, inner = blocks[int(block) - 1], 2 * int(conv) - 2
        leaf = "kernel" if kind == "weight" else "bias"
        paths[name] = f"net/layers_{outer}/layers_{inner}/{leaf}"
    return paths


def leaves(params: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arrays in nested dictionaries, each with its path: ("net/layers_0/...", array)."""
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}{key}/")
        else:
            yield f"{path}{key}", value


# ── Files ────────────────────────────────────────────────────────────────────────────────────────


def save_file(weights: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Write `weights` to a safetensors file."""
    arrays = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    require_path("path", path).write_bytes(safetensors.numpy.save(arrays))


def load_file(path: str | Path) -> Weights:
    """Load what `save` wrote, or another safetensors file whose numbers NumPy has.

    Raises:
        ValueError: if the file is damaged, something else, in bfloat16 or 8-bit floats, or the
            `model.safetensors` of a run, whose names are PyTorch's: `nin_lib.torch.load_run` loads
            that.
    """
    path = require_path("path", path)
    content = path.read_bytes()  # not mapped into memory: Windows would lock the file
    try:
        weights = safetensors.numpy.load(content)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file, or a damaged one ({error})") from None
    except KeyError as error:
        rule = "save the model in float32, for example after model.float()"
        raise ValueError(
            f"{path}: holds {error.args[0]} numbers, which NumPy lacks; {rule}"
        ) from None
    length = int.from_bytes(content[:8], "little")
    if "run" in json.loads(content[8 : 8 + length]).get("__metadata__", {}):
        raise ValueError(
            f"{path}: the model of a training run; load it with nin_lib.torch.load_run(folder), "
            "and weights.from_torch(model) gives its weights"
        )
    return weights
