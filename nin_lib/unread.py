"""Which input pixels no layer of a network ever reads."""

from __future__ import annotations

from collections.abc import Iterator

from .flow import as_pair, shape_flow
from .spec import Block, Dropout, Network
from .validation import require_int


def windows(network: Network) -> Iterator[tuple[int, int, int]]:
    """Kernel size, stride and padding of each layer before the head, in the order of the rows."""
    for stage in network.stages:
        if isinstance(stage, Dropout):
            yield 1, 1, 0
            continue
        yield stage.kernel_size, stage.stride, stage.padding
        if isinstance(stage, Block):
            inner = stage.inner_kernel_size
            yield from [(inner, 1, inner // 2)] * (len(stage.widths) - 1)


def never_read(
    network: Network, size: int | tuple[int, int] | None, layer: int, entering: int = 0
) -> tuple[list[int], list[int]]:
    """Rows, and columns, from 0, that no window up to `layer` reaches, for an input of `size`.

    Layers are counted from 0, as in `shape_flow`. The rows and columns are those of the map that
    enters layer `entering`: of the image, if nothing is said. Raises `ShapeError`.
    """
    entering = require_int("entering", entering, 0)
    layer = require_int("layer", layer, entering)
    image = as_pair(network.input_size if size is None else size)
    maps = [image, *(row.shape[1:] for row in shape_flow(network, image))]
    through = list(windows(network))[: layer + 1]  # the head, which has no windows, reads all
    unread = []
    for axis in (0, 1):
        read = set(range(maps[len(through)][axis]))
        for depth in range(len(through) - 1, entering - 1, -1):
            kernel_size, stride, padding = through[depth]
            starts = (number * stride - padding for number in read)
            read = {pixel for start in starts for pixel in range(start, start + kernel_size)}
            read &= set(range(maps[depth][axis]))  # what is left is padding
        unread.append(sorted(set(range(maps[entering][axis])) - read))
    return unread[0], unread[1]
