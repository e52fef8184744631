"""Notebook 10: with d2l, and how images are shuffled and enlarged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .grading import RANDOM, ROUNDS, Wrong, call, exercise, short_repr


@exercise("10.1")
def shuffled_images(batches: Any) -> None:
    for _ in range(ROUNDS):
        size = RANDOM.randrange(3, 9)
        count = size * RANDOM.randrange(6, 12) + RANDOM.randrange(1, size)
        seed = RANDOM.randrange(1000)
        first, again, second, other = (
            cut(batches, count, size, *of)
            for of in ((seed, 1), (seed, 1), (seed, 2), (seed + 1, 1))
        )
        if first != again:
            raise Wrong("Called twice for the same seed and epoch, it gives different batches.")
        if first == second:
            raise Wrong("Two epochs of the same seed have the same batches in the same order.")
        if first == other:
            raise Wrong("Two seeds have the same batches in the same order.")
        if second == other:
            raise Wrong("Seed s in epoch 2 has the batches that seed s + 1 has in epoch 1.")
        if {frozenset(batch) for batch in first} == {frozenset(batch) for batch in second}:
            raise Wrong("In another epoch the same images stand together again.")
        together = sum(max(batch) - min(batch) < size for batch in first)
        if together > len(first) / 2:
            raise Wrong("Images with neighbouring numbers still stand together.")


def cut(batches: Any, count: int, size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the student's batches as lists, if each image is in one and all sizes are right."""
    what = f"{count} images, batches of {size}"
    try:
        found = [
            [int(index) for index in batch] for batch in call(batches, count, size, seed, epoch)
        ]
    except (TypeError, ValueError):
        raise Wrong(
            "batches should return a list of batches, each with numbers of images."
        ) from None
    flat = [index for batch in found for index in batch]
    if missing := set(range(count)) - set(flat):
        raise Wrong(f"{what}: image {min(missing)} stands in no batch.")
    if len(flat) != count:
        raise Wrong(f"{what}: there are {len(flat)} numbers in the batches, not {count}.")
    wanted = [min(size, count - i) for i in range(0, count, size)]
    if [len(batch) for batch in found] != wanted:
        raise Wrong(f"{what}: the sizes are {short_repr([len(batch) for batch in found])}.")
    return found


@exercise("10.2")
def one_batch_at_a_time(enlarged: Any) -> None:
    random = np.random.default_rng(RANDOM.randrange(2**31))
    for _ in range(ROUNDS):
        size, times = RANDOM.randrange(2, 5), RANDOM.randrange(2, 4)
        images = random.integers(0, 256, (3 * size - 1, 4, 5), dtype=np.uint8)
        result = call(enlarged, Shared(images), size, times)
        if not isinstance(result, Iterator):
            raise Wrong(f"It should hand over its batches by yield, not {short_repr(result)}.")
        done = 0
        while (batch := the_next(result)) is not END:
            if done >= len(images):
                raise Wrong("There are more batches than images for them.")
            same_batch(batch, images[done : done + size], times)
            done += size
            images[done:] = 255 - images[done:]  # so that enlarging ahead shows
        if done < len(images):
            raise Wrong(f"Of {len(images)} images only {done} come out.")


END = object()


def the_next(batches: Iterator[Any]) -> Any:
    def enlarged() -> Any:
        return next(batches, END)

    return call(enlarged)


class Shared(np.ndarray):
    """An array that is not copied when a student's function gets it."""

    def __new__(cls, array: np.ndarray) -> Shared:
        return array.view(cls)

    def __deepcopy__(self, memo: Any) -> Any:
        return self.view(np.ndarray)


def same_batch(mine: Any, images: np.ndarray, times: int) -> None:
    if not isinstance(mine, np.ndarray):
        raise Wrong(f"An array is wanted for each batch, not {short_repr(mine)}.")
    true = np.kron(images, np.ones((1, times, times))) / 255
    if mine.shape != true.shape:
        raise Wrong(f"A batch has the shape {mine.shape}; it should be {true.shape}.")
    if mine.dtype != np.float32:
        raise Wrong(f"Its numbers are {mine.dtype}; numbers of 4 bytes are float32.")
    if mine.max() > 1:
        raise Wrong(f"Its largest number is {mine.max():g}; they should lie between 0 and 1.")
    if not np.allclose(mine, true, atol=1e-6):
        inverted = np.allclose(mine, 1 - true, atol=1e-6)
        why = (
            "it was enlarged before its turn came" if inverted else "some pixels have wrong numbers"
        )
        raise Wrong(f"A batch has the right shape {true.shape}, but {why}.")
