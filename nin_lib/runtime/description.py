"""What a run records about itself, and the numbers that follow from its settings."""

from __future__ import annotations

import zlib
from dataclasses import asdict
from typing import Any

import numpy as np

from ..data import Dataset, Split
from ..history import RunInfo
from ..recipe import Recipe


def describe(
    data: Dataset, recipe: Recipe, numbers: tuple[int, int, int | None, int], **more: Any
) -> RunInfo:
    """Return what a run is made of.

    Args:
        data: The images it is trained and evaluated on.
        recipe: How it is trained.
        numbers: Epochs, batch size, input size and seed, as `recipe.run_numbers` returns them.
        more: Other fields of `RunInfo`: model, notes, framework, and in `plan` the conditions.
    """
    epochs, batch_size, input_size, seed = numbers
    return RunInfo(
        data=data.name, images=len(data.train), data_checksum=checksum(data.train, data.val),
        recipe=asdict(recipe), epochs=epochs, batch_size=batch_size, input_size=input_size,
        seed=seed, **more,
    )  # fmt: skip


def checksum(*splits: Split) -> int:
    """Return a number that distinguishes one set of images and labels from another."""
    total = 0
    for array in (array for split in splits for array in (split.images, split.labels)):
        total = zlib.crc32(array.tobytes(), total)
    return total


def step_seed(seed: int, step: int, rank: int) -> int:
    """Return the random seed of one step in one process: the same when the step is repeated."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> 1)


def evaluation_size(batch_size: int) -> int:
    """Return the images per process in an evaluation batch, when a step has `batch_size` in all.

    Without gradients, four images take less memory than one.
    """
    return min(256, 4 * batch_size)
