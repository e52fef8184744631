"""Each layer's output shape, parameters, multiply-adds and receptive field, from a spec alone.

`shape_flow` turns a `Network` and an input size into rows of plain numbers, which
`nin_lib.tables` shows as tables. Letters: C channels, H height, W width, k kernel size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from .spec import Block, Dropout, Network, Pool
from .validation import refuse_name, require_int

Shape = tuple[int, ...]  # (C, H, W) of a map, or (features,) after the last one
LARGEST_SEARCHED = 4096  # pixels; the search for the smallest input that works gives up here


class ShapeError(ValueError):
    """A layer that does not fit the map that reaches it."""


@dataclass(frozen=True)
class Row:
    """One layer, for one image. A multiply-add is one multiplication and one addition."""

    stage: str  # "block 1", "pool 1", "head", ...
    layer: str  # "11×11 conv, stride 4", ...
    shape: Shape  # of the output
    parameters: int  # weights and biases
    multiply_adds: int
    activations: int  # numbers in the output; 0 for dropout, which keeps no map of its own
    receptive_field: int  # side of the square of input pixels that one output number can see

    @property
    def size(self) -> str:
        return "×".join(map(str, self.shape))


def conv_size(size: int, kernel_size: int, stride: int, padding: int) -> int:
    """Output side of a convolution, rounded down: ⌊(size + 2·padding − k) / stride⌋ + 1."""
    return (size + 2 * padding - kernel_size) // stride + 1


def pool_size(size: int, pool: Pool) -> int:
    """Return the output side of a pooling.

    With `ceil_mode` it rounds up, unless the last window would start beyond input and left padding.
    """
    span = size + 2 * pool.padding - pool.kernel_size
    if not pool.ceil_mode:
        return span // pool.stride + 1
    out = -(-span // pool.stride) + 1
    starts_outside = (out - 1) * pool.stride >= size + pool.padding
    return out - 1 if starts_outside else out


def shape_flow(network: Network, size: int | tuple[int, int] | None = None) -> list[Row]:
    """Return the rows of `network` for an input of `size` pixels: an integer, or (height, width).

    Without `size` the network's own `input_size` is taken. Raises `ShapeError` when a layer does
    not fit, naming the layer, the size that reaches it, the rule and the smallest input that works.
    """
    refuse_name("network", network, "network")
    height, width = as_pair(network.input_size if size is None else size)
    try:
        return list(rows(network, (network.in_channels, height, width)))
    except ShapeError as error:
        raise ShapeError(f"{error}; {smallest_hint(network)}") from None


def as_pair(size: int | Sequence[int], where: str = "size") -> tuple[int, int]:
    """(height, width) as plain integers. Raises `ValueError` naming `where`."""
    pair = size if isinstance(size, (tuple, list)) else (size, size)
    if len(pair) != 2:
        raise ValueError(f"{where} must be an integer or (height, width), got {size!r}")
    return require_int(where, pair[0], 1), require_int(where, pair[1], 1)


def rows(network: Network, shape: Shape) -> Iterator[Row]:
    """Yield the rows; `field` is the receptive field, `jump` the neighbours' distance in pixels."""
    field, jump = 1, 1
    numbers = {Block: count(1), Pool: count(1), Dropout: count(1)}
    for stage in network.stages:
        name = f"{type(stage).__name__.lower()} {next(numbers[type(stage)])}"
        if isinstance(stage, Block):
            for row in block_rows(name, stage, shape, field, jump):
                yield row
            shape, field = row.shape, row.receptive_field
            jump *= stage.stride
        elif isinstance(stage, Pool):
            row = pool_row(name, stage, shape, field, jump)
            yield row
            shape, field = row.shape, row.receptive_field
            jump *= stage.stride
        else:
            yield Row(name, f"dropout {stage.p:g}", shape, 0, 0, 0, field)
    yield from head_rows(network, shape, field, jump)


def block_rows(name: str, block: Block, shape: Shape, field: int, jump: int) -> Iterator[Row]:
    k, stride, padding = block.kernel_size, block.stride, block.padding
    for number, out_channels in enumerate(block.widths, 1):
        in_channels, height, width = shape
        check_fits(f"{name}, convolution {number}", k, padding, height, width)
        out_height = conv_size(height, k, stride, padding)
        out_width = conv_size(width, k, stride, padding)
        shape = (out_channels, out_height, out_width)
        positions = out_height * out_width
        weights = in_channels * k * k * out_channels
        field += (k - 1) * jump
        jump *= stride
        layer = f"{k}×{k} conv" + (f", stride {stride}" if stride > 1 else "")
        multiply_adds, activations = weights * positions, out_channels * positions
        yield Row(name, layer, shape, weights + out_channels, multiply_adds, activations, field)
        k, stride, padding = block.inner_kernel_size, 1, block.inner_kernel_size // 2


def pool_row(name: str, pool: Pool, shape: Shape, field: int, jump: int) -> Row:
    channels, height, width = shape
    out_height, out_width = pool_size(height, pool), pool_size(width, pool)
    if out_height < 1 or out_width < 1:
        check_fits(name, pool.kernel_size, pool.padding, height, width)
    layer = f"{pool.kernel_size}×{pool.kernel_size} max pool, stride {pool.stride}"
    layer += ", rounds up" if pool.ceil_mode else ""
    field += (pool.kernel_size - 1) * jump
    shape = (channels, out_height, out_width)
    return Row(name, layer, shape, 0, 0, channels * out_height * out_width, field)


def head_rows(network: Network, shape: Shape, field: int, jump: int) -> Iterator[Row]:
    channels, height, width = shape
    field += (max(height, width) - 1) * jump
    if not network.dense:
        yield Row("head", "global average pool", (channels,), 0, 0, channels, field)
        return
    features = channels * height * width
    for out in network.dense:
        yield Row("head", "dense", (out,), features * out + out, features * out, out, field)
        features = out


def flattened(network: Network) -> Shape:
    """Return (C, H, W) of the maps that reach the first dense layer at the network's input size."""
    maps = [row.shape for row in shape_flow(network) if row.stage != "head"]
    return maps[-1] if maps else (network.in_channels, network.input_size, network.input_size)


def check_fits(layer: str, kernel_size: int, padding: int, height: int, width: int) -> None:
    if min(height, width) + 2 * padding < kernel_size:
        raise ShapeError(
            f"{layer}: kernel_size {kernel_size} does not fit a {height}×{width} input "
            f"with padding {padding} (it needs at least {kernel_size - 2 * padding} pixels a side)"
        )


def smallest_input(network: Network) -> int | None:
    """Return the side of the smallest square image that passes all but dense layers, or None."""
    for size in range(1, LARGEST_SEARCHED + 1):
        try:
            list(rows(network, (network.in_channels, size, size)))
        except ShapeError:
            continue
        return size
    return None


def smallest_hint(network: Network) -> str:
    smallest = smallest_input(network)
    if smallest is None:
        return f"no input of up to {LARGEST_SEARCHED} pixels works"
    return f"the smallest input that works is {smallest}×{smallest}"


@dataclass(frozen=True)
class Totals:
    """Sums over the rows; `activations` counts the input image too."""

    parameters: int
    multiply_adds: int
    activations: int

    @property
    def activation_mib(self) -> float:
        """Activation memory of one image in MiB, as 32-bit numbers."""
        return self.activations * 4 / 2**20


def totals(network: Network, size: int | tuple[int, int] | None = None) -> Totals:
    """Parameters, multiply-adds and activation elements (input included) for one image."""
    layers = shape_flow(network, size)
    height, width = as_pair(network.input_size if size is None else size)
    return Totals(
        sum(row.parameters for row in layers),
        sum(row.multiply_adds for row in layers),
        sum(row.activations for row in layers) + network.in_channels * height * width,
    )
