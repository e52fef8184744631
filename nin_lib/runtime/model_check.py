"""The rules that a model must follow before it is trained, in all three frameworks.

Each framework sends two images through the model; the rules and their messages are here, so that
they are the same in all three. This module needs no framework.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..data import Dataset
from .memory import ran_out_of_memory


def classes_in(data: Dataset) -> int:
    """Return the number of classes over all parts of the data."""
    return max(part.classes for part in (data.train, data.val, data.test))


def check_logits(output: Any, images: int, classes: int | None = None) -> None:
    """Raise `ValueError` unless a model's output for `images` images can be trained on.

    Args:
        output: What the model returned.
        images: The number of images that it was given.
        classes: The number of classes in the data; None if any number of columns will do.
    """
    shape, dtype = getattr(output, "shape", None), getattr(output, "dtype", None)
    if shape is None or dtype is None:
        got = f"an object of type {type(output).__name__}"
    elif "float" not in str(dtype):
        got = f"a tensor of {dtype}"
    elif len(shape) != 2 or shape[0] != images or shape[1] < (classes or 1):
        got = f"shape {tuple(shape)}"
    else:
        return
    rule = "model must return one floating-point tensor of logits with shape (N, C)"
    if classes:
        rule += f" and C at least {classes}, the number of classes in the data"
    raise ValueError(f"{rule}; for a batch of {images} it returned {got}")


def check_loss(loss: float, epoch: int) -> None:
    """Raise `FloatingPointError` if the training loss of `epoch` is NaN or infinite."""
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the training loss is {loss} in epoch {epoch}: "
            "try a smaller learning_rate, or clip the gradient (Recipe.clip)"
        )


@contextmanager
def passing(shape: tuple[int, ...]) -> Iterator[None]:
    """Turn what a model raises on images of `shape` into a `ValueError` that names the shape.

    A `ValueError` of the model's own and a lack of memory pass unchanged.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, ValueError) or ran_out_of_memory(error):
            raise
        raise ValueError(f"model can't process images of shape {shape}: {error}") from error
