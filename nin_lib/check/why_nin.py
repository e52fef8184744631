"""Notebook 1: what a dense head costs."""

from dataclasses import replace
from numbers import Real
from typing import Any

from ..flow import shape_flow, totals
from ..networks import network
from ..spec import Block, Network
from .grading import (
    Wrong,
    call,
    exercise,
    forgotten_biases,
    parameters,
    same_number,
    short_repr,
    sizes,
)

MOST = 10_000_000  # parameters, in 1.3


@exercise("1.1")
def dense_head(head_parameters: Any) -> None:
    for count in (1, 2, 3, 4):
        channels, side, *widths = sizes(2 + count, most=99)
        head = Network((Block(1, (channels,)),), input_size=side, dense=tuple(widths))
        true = parameters(row for row in shape_flow(head) if row.layer == "dense")
        slips = forgotten_biases(true, widths)
        slips[true - channels * side * (side - 1) * widths[0]] = "a map has side × side numbers."
        mine = call(head_parameters, channels, side, widths)
        what = f"{channels} maps of {side}×{side}, dense layers of {widths}"
        same_number(what, mine, true, slips)


@exercise("1.2")
def twice_as_large(first_dense: Any, convolutions: Any, work: Any) -> None:
    true = [round(large / small) for small, large in zip(counts(224), counts(448), strict=True)]
    slips = {4: "the side of the last maps does not simply double."}
    same_number("first_dense", first_dense, true[0], slips)
    larger = "an image that is larger needs no larger kernel."
    same_number("convolutions", convolutions, true[1], {2: larger, 4: larger})
    same_number("work", work, true[2], {2: "the image grows in height and in width."})


def counts(size: int) -> tuple[int, int, int]:
    rows = shape_flow(network("alexnet"), size)
    convolutions = [row for row in rows if "conv" in row.layer]
    first_dense = next(row for row in rows if row.layer == "dense")
    return first_dense.parameters, parameters(convolutions), convolutions[0].multiply_adds


@exercise("1.3")
def widest_head(width: Any) -> None:
    whole = isinstance(width, Real) and not isinstance(width, bool) and width % 1 == 0
    if not whole or width < 1:
        raise Wrong(f"The width is a whole number of at least 1, not {short_repr(width)}.")
    width = int(width)
    count, more = (
        totals(replace(network("alexnet"), dense=(it, 10))).parameters for it in (width, width + 1)
    )
    if count > MOST:
        raise Wrong(f"With a layer of {width:,} the network has {count:,} parameters: too many.")
    if more <= MOST:
        raise Wrong(f"With a layer of {width:,} it has {count:,} parameters: a wider one fits.")
