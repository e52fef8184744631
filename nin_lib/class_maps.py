"""Class maps as evidence for each class, and how covering a part of the image changes them.

Network in Network ends in one map for each class, and the logit of a class is the mean of its map
(Lin, Chen and Yan 2014, section 3.2). So the maps show where the evidence for a class is. What a
cell of a map can see reaches far beyond that spot: `seen` says how far.

Images are N×S×S bytes, maps are N×classes×H×W; PyTorch is used where a network runs, only there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .data import Split, as_array
from .flow import shape_flow
from .spec import Block, Dropout, Network
from .validation import require_int

if TYPE_CHECKING:
    from .torch import NiN


def class_maps(
    model: NiN, images: np.ndarray, input_size: int | None = None, batch_size: int = 64
) -> np.ndarray:
    """Return the maps of N×S×S byte images before the pooling: N×classes×H×W, float32.

    `input_size`: side in pixels to which the images are enlarged. Dropout is off, and the model is
    left in the mode that it was in. Raises `ValueError` for a network that ends in dense layers.
    """
    import torch

    from .runtime.dataset import to_input
    from .runtime.preserve import preserve_placement

    batch_size = require_int("batch_size", batch_size, 1)
    device = next(model.parameters()).device
    pixels = torch.tensor(as_array("images", images))
    if pixels.is_floating_point():
        pixels = pixels.float()  # here, because an Apple GPU has no 64-bit numbers
    with preserve_placement(model), torch.no_grad():
        model.eval()
        parts = [
            model.maps(to_input(batch.to(device), input_size)).float().cpu()
            for batch in pixels.split(batch_size)
        ]
    return torch.cat(parts).numpy()


def means(maps: np.ndarray) -> np.ndarray:
    """Global average pooling: the mean of a map is the logit. N×classes×H×W → N×classes."""
    return np.asarray(maps).mean(axis=(-2, -1))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Logits along the last axis → shares that add up to 1."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def cover(images: np.ndarray, row: int, column: int, size: int, fill: int = 0) -> np.ndarray:
    """Return a copy of N×S×S images with a square of `size` pixels set to `fill`.

    Its upper left pixel is at (`row`, `column`). Raises `ValueError` if the square does not lie
    inside the images.
    """
    side = images.shape[-1]
    size = require_int("size", size, 1)
    row, column = require_int("row", row, 0), require_int("column", column, 0)
    for name, value in (("row", row), ("column", column)):
        if value + size > side:
            rule = f"at most {side} − size {size}, so that the square lies inside the image"
            raise ValueError(f"{name} must be {rule}; got {value}")
    covered = images.copy()
    covered[..., row : row + size, column : column + size] = fill
    return covered


def cover_everywhere(image: np.ndarray, size: int, step: int, fill: int = 0) -> np.ndarray:
    """Cover one S×S image by a square of `size` at each position of a grid, `step` pixels apart.

    Returns (positions², S, S) images, row by row.
    """
    places = range(0, image.shape[-1] - size + 1, step)
    return np.stack([cover(image, row, column, size, fill) for row in places for column in places])


def field(network: Network, size: int | None = None) -> tuple[int, int, int]:
    """(start, jump, side) of what the cells of the last maps see, in pixels of the input.

    Cell i sees the `side` pixels from start + i · jump on, as far as they lie in the input; the
    last of them may be left out where a stride does not divide the input.
    """
    start, jump = 0, 1
    for stage in network.stages:
        if isinstance(stage, Dropout):
            continue
        start -= stage.padding * jump
        jump *= stage.stride
        if isinstance(stage, Block):
            start -= (len(stage.widths) - 1) * (stage.inner_kernel_size // 2) * jump
    last_block = [row for row in shape_flow(network, size) if row.stage != "head"][-1]
    return start, jump, last_block.receptive_field


def seen(network: Network, row: int, column: int, size: int | None = None) -> tuple[slice, slice]:
    """Return the rows and columns of the input, `size` pixels a side, that a cell can see."""
    whole = network.input_size if size is None else size
    start, jump, side = field(network, whole)
    first_row, first_column = start + row * jump, start + column * jump
    return (
        slice(max(first_row, 0), min(first_row + side, whole)),
        slice(max(first_column, 0), min(first_column + side, whole)),
    )


def gallery(
    model: NiN, split: Split, right: int = 6, wrong: int = 6, input_size: int | None = None
) -> Split:
    """Images that `model` gets right, then images that it gets wrong, as varied as `split` allows.

    The first image of each class comes first, or of each pair of class and answer where the answer
    is wrong; further ones follow in the order of `split`. There are fewer where it has no more.
    """
    right, wrong = require_int("right", right, 0), require_int("wrong", wrong, 0)
    answers = means(class_maps(model, split.images, input_size)).argmax(axis=1)
    pairs = list(zip(split.labels.tolist(), answers.tolist(), strict=True))
    chosen = varied(pairs, right, True) + varied(pairs, wrong, False)
    if not chosen:
        raise ValueError(f"right {right} and wrong {wrong} choose no image of this split")
    return Split(split.images[chosen], split.labels[chosen], split.classes)


def varied(pairs: list[tuple[int, int]], count: int, right: bool) -> list[int]:
    """Places of `count` pairs (label, answer) that agree, or do not; unlike ones come first."""
    fitting = [i for i, (label, answer) in enumerate(pairs) if (label == answer) == right]
    first = [i for n, i in enumerate(fitting) if pairs[i] not in [pairs[j] for j in fitting[:n]]]
    return (first + [i for i in fitting if i not in first])[:count]
