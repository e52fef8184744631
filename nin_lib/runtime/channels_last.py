"""What the networks in TensorFlow and JAX share, whose images are N×H×W×C.

N samples, H height, W width, C channels.
"""

from __future__ import annotations

import numpy as np

from ..data import order, zero_to_one
from ..flow import pool_size, shape_flow
from ..spec import Network, Pool
from ..validation import require_int


def pool_padding(size: int, pool: Pool) -> tuple[int, int]:
    """Return the pixels to add before and after a side of `size`.

    Then windows that are only counted where they fit give `flow.pool_size` of them.

    >>> pool_padding(28, Pool(3, 2, ceil_mode=True))
    (0, 1)
    """
    end_of_last_window = (pool_size(size, pool) - 1) * pool.stride + pool.kernel_size
    return pool.padding, max(0, end_of_last_window - pool.padding - size)


def check_images(spec: Network, shape: tuple[int, ...]) -> None:
    """Raise `ValueError` unless images of `shape` are (N, H, W, C) as `spec` takes them.

    If they are too small, it is a `ShapeError`. Dense layers take images of one size only.
    """
    channels, size = spec.in_channels, spec.input_size
    if len(shape) != 4 or shape[3] != channels:
        raise ValueError(f"images must have shape (N, H, W, {channels}), got {tuple(shape)}")
    if spec.dense and tuple(shape[1:3]) != (size, size):
        got = f"{shape[1]}×{shape[2]}"
        raise ValueError(f"with dense layers images must be {size}×{size} pixels, got {got}")
    shape_flow(spec, (shape[1], shape[2]))  # says which layer fails


def to_input(images: np.ndarray) -> np.ndarray:
    """Turn (N, H, W) or (N, C, H, W) images of a `data.Split` into (N, H, W, C) floats."""
    return np.moveaxis(zero_to_one(images), 1, -1)


def batches(n: int, batch_size: int, seed: int, epochs: int) -> list[np.ndarray]:
    """Return the samples of each step of a run over `n` images, in the order of `data.order`.

    >>> [len(batch) for batch in batches(n=10, batch_size=4, seed=0, epochs=2)]
    [4, 4, 2, 4, 4, 2]
    """
    batch_size = require_int("batch_size", batch_size, 1)
    epochs = require_int("epochs", epochs, 1)
    orders = (order(n, seed, epoch) for epoch in range(1, epochs + 1))
    cuts = range(batch_size, n, batch_size)
    return [batch for samples in orders for batch in np.split(samples, cuts)]
