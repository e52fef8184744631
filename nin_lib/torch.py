"""The network of a spec in PyTorch: a block is a few lines, a network a flat sequence.

    from nin_lib import network, torch as nin
    model = nin.NiN(network("chapter"))
    model = nin.load_run("runs/a")  # what `fit(..., out="runs/a")` trained

Shapes are N×C×H×W: N samples, C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import overload

import torch
from torch import Tensor, nn

from .flow import flattened, shape_flow, smallest_input
from .recipe import Recipe
from .runtime.preserve import preserve_random_state, reseed
from .spec import Block, Dropout, Network, Pool
from .validation import refuse_name, require_seed


def nin_block(
    in_channels: int,
    widths: tuple[int, ...],
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    inner_kernel_size: int = 1,
    last_relu: bool = True,
) -> nn.Sequential:
    """Build a k×k convolution, then a 1×1 convolution for each further width.

    A ReLU follows each; with `last_relu` false the last one is left out.
    N×in_channels×H×W → N×widths[-1]×H'×W'.
    Source: Lin, Chen and Yan 2014, section 3.1 (mlpconv).
    """
    first = nn.Conv2d(in_channels, widths[0], kernel_size, stride, padding)
    layers = [first, nn.ReLU()]
    k, same = inner_kernel_size, inner_kernel_size // 2  # 1 and 0 in NiN
    for before, after in zip(widths, widths[1:], strict=False):
        layers += [nn.Conv2d(before, after, k, padding=same), nn.ReLU()]
    return nn.Sequential(*(layers if last_relu else layers[:-1]))


class GlobalAveragePool(nn.Module):
    """The mean of each map: N×C×H×W → N×C. Source: Lin, Chen and Yan 2014, section 3.2."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(2, 3))


class NiN(nn.Sequential):
    """The network of a spec: N×C×H×W images → N×classes logits.

    A slice such as ``model[:-1]`` is a plain `nn.Sequential` with the same layers.
    Raises `ValueError` for images with another number of channels, `ShapeError` for images that
    are too small. A network with dense layers takes images of its `input_size` only.
    """

    def __init__(self, spec: Network) -> None:
        refuse_name("spec", spec, "network")
        super().__init__(*layers(spec))
        self.spec = spec
        self.smallest = smallest_input(spec) or spec.input_size

    @overload
    def __getitem__(self, index: slice) -> nn.Sequential: ...
    @overload
    def __getitem__(self, index: int) -> nn.Module: ...
    def __getitem__(self, index: int | slice) -> nn.Module:
        if isinstance(index, slice):  # no spec describes it, so it cannot be a NiN
            return nn.Sequential(OrderedDict(list(self._modules.items())[index]))
        return super().__getitem__(index)

    def forward(self, images: Tensor) -> Tensor:
        self.check(images)
        return super().forward(images)

    def maps(self, images: Tensor) -> Tensor:
        """Return the maps that global average pooling averages, one for each class.

        N×C×H×W images → N×classes×H'×W'.

        Raises:
            ValueError: if dense layers come last, or the layers were changed (`append`, `insert`,
                `del`) so that there are no such maps.
        """
        if self.spec.dense:
            rule = "a network without dense layers has a map for each class"
            raise ValueError(f"{rule}; this one has dense {self.spec.dense}")
        self.check(images)
        *stages, last = self
        maps = images
        for stage in stages:
            maps = stage(maps)
        expected = shape_flow(self.spec, (images.shape[2], images.shape[3]))[-2].shape
        if not isinstance(last, GlobalAveragePool) or tuple(maps.shape[1:]) != expected:
            raise ValueError(
                f"the last layer must be GlobalAveragePool, after maps of shape {expected} as in "
                f"the spec; the layers were changed: got {type(last).__name__} after shape "
                f"{tuple(maps.shape[1:])}"
            )
        return maps

    def check(self, images: Tensor) -> None:
        """Raise what the class says about images that do not fit."""
        channels = self.spec.in_channels
        if images.ndim != 4 or images.shape[1] != channels:
            shape = tuple(images.shape)
            raise ValueError(f"images must have shape (N, {channels}, H, W), got {shape}")
        if min(images.shape[2:]) < self.smallest:
            shape_flow(self.spec, (images.shape[2], images.shape[3]))  # says which layer fails


def layers(spec: Network) -> Iterator[nn.Module]:
    channels = spec.in_channels
    for stage, relu in spec.stages_with_relu():
        if isinstance(stage, Block):
            yield nin_block(
                channels, stage.widths, stage.kernel_size, stage.stride, stage.padding,
                stage.inner_kernel_size, last_relu=relu,
            )  # fmt: skip
            channels = stage.widths[-1]
        elif isinstance(stage, Pool):
            yield nn.MaxPool2d(
                stage.kernel_size, stage.stride, stage.padding, ceil_mode=stage.ceil_mode
            )
        elif isinstance(stage, Dropout):
            yield nn.Dropout(stage.p)
    if spec.dense:
        yield dense_head(spec)
    else:
        yield GlobalAveragePool()


def dense_head(spec: Network) -> nn.Sequential:
    """Flatten, then dense layers with a ReLU between them: the ending NiN does away with."""
    widths = (math.prod(flattened(spec)), *spec.dense)
    head: list[nn.Module] = [nn.Flatten()]
    for before, after in zip(widths, widths[1:], strict=False):
        head += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*(head if spec.last_relu else head[:-1]))


def build(spec: Network, recipe: Recipe, seed: int = 0) -> NiN:
    """Build the network of `recipe.adapt(spec)` with the initial weights that `recipe` names.

    The spec decides whether a ReLU follows the last layer; a recipe may remove it, but never adds
    one. The same seed gives the same weights on the same machine; the global random state is left
    alone.
    """
    refuse_name("spec", spec, "network")
    refuse_name("recipe", recipe, "recipe")
    seed, device = require_seed(seed), torch.get_default_device()
    with preserve_random_state(device):
        reseed(device, seed)
        model = NiN(recipe.adapt(spec))
        initialise(model, recipe)
    return model


def initialise(model: nn.Module, recipe: Recipe) -> None:
    """Give convolutions and dense layers the first weights that `recipe` names (in place)."""
    for layer in model.modules():
        if not isinstance(layer, (nn.Conv2d, nn.Linear)):
            continue
        if recipe.init == "xavier":
            nn.init.xavier_uniform_(layer.weight)
        elif recipe.init == "kaiming":
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if recipe.zero_bias and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def load_run(folder: str | Path) -> NiN:
    """Load the trained network of a finished run, in evaluation mode and on the CPU.

    Args:
        folder: What `fit(..., out=folder)` or `nin train --out folder` filled.

    Raises:
        ValueError: `folder` holds no finished run, or its model was not the network of a spec.
    """
    from .runtime.checkpointer import trained_model

    spec, tensors = trained_model(folder)
    with torch.device("meta"):  # draws no random numbers
        model = NiN(Network.from_json(spec))
    model.load_state_dict(tensors, assign=True)
    return model.eval()
