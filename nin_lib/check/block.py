"""Notebook 3: the NiN block."""

from typing import Any

from ..flow import conv_size, shape_flow
from ..spec import Block, Network
from .judging import Wrong, call, exercise, numbers, only, parameters, same_number, sizes

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
        mine = set(letters)
    except TypeError:
        raise Wrong(f"A set of letters is wanted, not {letters!r}.") from None
    if unknown := mine - set(CHANGES):
        raise Wrong(f"There is no change {min(unknown, key=str)!r}; there are a to g.")
    true = {letter for letter, layers in CHANGES.items() if after(layers) == SIDE}
    if mine - true:
        raise Wrong(f"Of the changes that you name, {len(mine - true)} make the maps smaller.")
    if true - mine:
        raise Wrong(f"What you name is right, but {len(true - mine)} more keep the shape.")


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
        slips = {true - sum(widths): "these are all the weights, and no biases."}
        if count > 1:
            slips[first] = "this is the first convolution alone."
        mine = call(block_parameters, in_channels, widths, kernel_size)
        what = f"{kernel_size}×{kernel_size}, {in_channels} channels in, widths {widths}"
        same_number(what, mine, true, slips)


@exercise("3.3")
def lean_block(layers: Any) -> None:
    import torch
    from torch import nn

    inside = only(layers, nn.Conv2d, nn.ReLU)
    if [type(layer) for layer in inside] != [nn.Conv2d, nn.ReLU] * (len(inside) // 2):
        raise Wrong("A ReLU should follow each convolution.")
    if (count := sum(p.numel() for p in layers.parameters())) >= MOST:
        raise Wrong(f"It has {count:,} parameters; it should have fewer than {MOST:,}.")
    x = numbers(1, 96, *sizes(2, least=9, most=20)).float()
    with torch.no_grad():
        maps = call(layers, x)
    if maps.shape != (1, 256, *x.shape[2:]):
        raise Wrong(f"It makes {tuple(maps.shape)} of x with shape {tuple(x.shape)}.")
    convolutions = [layer for layer in inside if isinstance(layer, nn.Conv2d)]
    height, width = (1 + sum(c.kernel_size[i] - 1 for c in convolutions) for i in (0, 1))
    if min(height, width) < 5:
        raise Wrong(f"A number that comes out sees {height}×{width} pixels, fewer than 5×5.")
