"""Notebook 6: global average pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..flow import Row, shape_flow, totals
from ..networks import network
from .grading import (
    ROUNDS,
    Wrong,
    call,
    exercise,
    numbers,
    parameters,
    same_number,
    same_tensor,
    sizes,
)

if TYPE_CHECKING:
    from torch import Tensor

AVERAGE, SMALL, FULL = (network(n) for n in ("chapter", "nin-dense-10", "nin-alexnet-head"))


@exercise("6.1")
def two_dense_endings(small: Any, full: Any, times: Any, more_work: Any) -> None:
    small_head, full_head = dense(SMALL), dense(FULL)
    slips = {
        parameters(small_head) - 10: "these are all the weights, and no biases.",
        10 * 10 + 10: "a map has many places, and the layer reads each of them.",
    }
    same_number("small", small, parameters(small_head), slips)
    slips = {
        parameters(full_head) - 8202: "these are all the weights, and no biases.",
        parameters(full_head) - (384 - 10) * 25 * 4096: "it reads the maps that block 4 read.",
        parameters(full_head[:1]): "this is the first of three layers.",
    }
    same_number("full", full, parameters(full_head), slips)
    sums, theirs = totals(AVERAGE), totals(FULL)
    larger = round(theirs.parameters / sums.parameters)
    slips = {round(parameters(full_head) / sums.parameters): "the blocks before it stay."}
    same_number("times", times, larger, slips)
    true = round(100 * (theirs.multiply_adds / sums.multiply_adds - 1))
    slips = {
        true + 100: "by how many percent *more*?",
        100 * (larger - 1): "work does not grow as parameters do.",
    }
    same_number("more_work", more_work, true, slips)


def dense(spec: Any) -> list[Row]:
    return [row for row in shape_flow(spec) if row.layer == "dense"]


@exercise("6.2")
def one_scale(scaled: Any) -> None:
    for _ in range(ROUNDS):
        maps = numbers(*sizes(4)) - 0.5
        maps[0] *= 3
        image, size = (1, 2, 3), maps.abs()
        true = maps / size.amax(image, keepdim=True)
        low, high = maps.amin(image, keepdim=True), maps.amax(image, keepdim=True)
        slips = {
            "Each map still has a scale of its own.": maps / size.amax((2, 3), keepdim=True),
            "All images of the batch share one scale.": maps / size.amax(),
            "Where a map was 0, it is not 0 any more.": (maps - low) / (high - low),
            "Strong evidence against a class goes below −1.": maps / high,
            "Evidence against a class looks like evidence for it.": true.abs(),
        }
        what = f"For maps of shape {tuple(maps.shape)} the result"
        same_or_slip(what, call(scaled, maps.clone()), true, slips)


@exercise("6.3")
def one_layer_for_both(one_layer: Any) -> None:
    for _ in range(ROUNDS):
        channels, classes, height, width = sizes(4)
        weight, cells = numbers(classes, channels), height * width
        true = (weight / cells).repeat_interleave(cells, dim=1)
        slips = {
            "In a flattened image all cells of map 0 come first.": (weight / cells).repeat(
                1, cells
            ),
            "That is the sum of each map, not its mean.": true * cells,
            "The number of cells is height times width.": true * cells / height**2,
            "Only the cells of a map are averaged, not its channels.": true / channels,
        }
        what = f"For {classes}×{channels} weights and maps of {height}×{width} the result"
        same_or_slip(what, call(one_layer, weight.clone(), height, width), true, slips)


def same_or_slip(what: str, mine: Any, true: Tensor, slips: dict[str, Tensor]) -> None:
    """As `same_tensor`, but a result that is one of the slips is told by its sentence."""
    import torch

    for told, slip in slips.items():
        if isinstance(mine, torch.Tensor) and mine.shape == slip.shape:
            if torch.allclose(mine.to(slip.dtype), slip, rtol=1e-4, atol=1e-5):
                raise Wrong(told)
    same_tensor(what, mine, true)
