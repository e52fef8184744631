"""Notebook 3: the NiN block."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from ..flow import conv_size, shape_flow
from ..spec import Block, Network
from .grading import (
    Wrong,
    call,
    exercise,
    forgotten_biases,
    in_a_row,
    numbers,
    parameters,
    same_number,
    short_repr,
    sizes,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

SIDE = 26  # of the maps that reach block 2
OWN, ONE = (5, 1, 2), (1, 1, 0)  # kernel size, stride, padding: block 2's first layer, and a 1×1
CHANGES = {  # of block 2, as 3.1 lists them
    "a": [OWN, ONE],
    "b": [OWN],
    "c": [(5, 1, 0), ONE, ONE],
    "d": [OWN, (3, 1, 0), (3, 1, 0)],
    "e": [OWN, (3, 1, 1), (3, 1, 1)],
    "f": [(7, 1, 3), ONE, ONE],
    "g": [(5, 2, 2), ONE, ONE],
}
MOST = 200_000  # parameters, in 3.3


@exercise("3.1")
def keeps_the_shape(letters: Any) -> None:
    try:
        mine = {str(letter).lower() for letter in letters} - set(" ,")
    except TypeError:
        raise Wrong(f"A set of letters is wanted, not {short_repr(letters)}.") from None
    if unknown := mine - set(CHANGES):
        raise Wrong(f"There is no change {min(unknown)!r}; there are a to g.")
    true = {letter for letter, layers in CHANGES.items() if after(layers) == SIDE}
    if mine - true:
        raise Wrong(f"Named, although the maps become smaller: {len(mine - true)}.")
    if true - mine:
        raise Wrong(f"What you name keeps the shape; still missing: {len(true - mine)}.")


def after(layers: list[tuple[int, int, int]]) -> int:
    side = SIDE
    for kernel_size, stride, padding in layers:
        side = conv_size(side, kernel_size, stride, padding)
    return side


@exercise("3.2")
def block_cost(block_parameters: Any) -> None:
    for count in (1, 2, 3, 4):
        in_channels, kernel_size, *widths = sizes(2 + count, most=64)
        block = Block(kernel_size, tuple(widths))
        true = parameters(shape_flow(Network((block,), in_channels, input_size=64)))
        first = (in_channels * kernel_size**2 + 1) * widths[0]
        slips = forgotten_biases(true, widths)
        if count > 1:
            slips[first] = "this is the first convolution alone."
        mine = call(block_parameters, in_channels, widths, kernel_size)
        what = f"{kernel_size}×{kernel_size}, {in_channels} channels in, widths {widths}"
        same_number(what, mine, true, slips)


@exercise("3.3")
def lean_block(layers: Any) -> None:
    import torch
    from torch import nn

    inside = in_a_row(layers, nn.Conv2d, nn.ReLU)
    if [isinstance(layer, nn.ReLU) for layer in inside] != [False, True] * (len(inside) // 2):
        raise Wrong("A ReLU should follow each convolution.")
    layers = copy.deepcopy(layers)
    x = numbers(1, 96, *sizes(2, least=9, most=20))
    with torch.no_grad():
        maps = call(layers, x)  # before counting: lazy layers get their weights from x
    if (count := sum(p.numel() for p in layers.parameters())) >= MOST:
        raise Wrong(f"It has {count:,} parameters; it should have fewer than {MOST:,}.")
    if maps.shape != (1, 256, *x.shape[2:]):
        raise Wrong(f"It makes {tuple(maps.shape)} of x with shape {tuple(x.shape)}.")
    if not any(isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) for layer in inside):
        raise Wrong("There is no 1×1 convolution among them.")
    seen = depends(layers)
    if not seen.flatten(2).any(dim=2).all():
        raise Wrong("Some channels that come out never see some that go in: groups stay apart.")
    places = seen[0, 0].nonzero()
    height, width = (places.amax(0) - places.amin(0) + 1).tolist()
    if min(height, width) < 5:
        raise Wrong(f"What comes out reaches over {height}×{width} pixels, fewer than 5×5.")


def depends(layers: nn.Module) -> Tensor:
    """Which numbers that come out depend on the middle of each channel that goes in.

    Truth values, 96×256×H×W. The layers are copied with all weights 1, so that nothing cancels out.
    """
    import torch

    ones = copy.deepcopy(layers)
    x = torch.zeros(96, 96, 11, 11)
    x[range(96), range(96), 5, 5] = 1
    with torch.no_grad():
        for parameter in ones.parameters():
            parameter.fill_(parameter.dim() > 1)  # biases 0
        return ones(x) > 0
