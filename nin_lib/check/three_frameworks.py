"""Notebook 9: three frameworks, one network."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from .grading import (
    RANDOM,
    ROUNDS,
    Wrong,
    call,
    diagnose,
    exercise,
    is_blank,
    one_value,
    same_number,
    short_repr,
    sizes,
)


@exercise("9.1")
def into_keras(kernel_to_keras: Any, dense_to_keras: Any) -> None:
    random = np.random.default_rng(RANDOM.randrange(2**31))
    for _ in range(ROUNDS):
        kernel = random.normal(size=sizes(4))
        slips = {
            "height and width have changed places.": kernel.T,
            "its numbers are in another order; reshape moves no axis.": kernel.reshape(
                *kernel.shape[2:], kernel.shape[1], kernel.shape[0]
            ),
        }
        true = np.transpose(kernel, (2, 3, 1, 0))
        if not is_blank(kernel_to_keras):
            same_array("the kernel", call(kernel_to_keras, kernel), true, slips)
        units, *shape = sizes(4)
        maps = random.normal(size=(units, *shape))
        weight = maps.reshape(units, -1)
        slips = {
            "it still reads the maps channel by channel.": weight.T,
            "height and width have changed places.": maps.transpose(3, 2, 1, 0).reshape(-1, units),
        }
        true = maps.transpose(2, 3, 1, 0).reshape(-1, units)
        if not is_blank(dense_to_keras):
            same_array("the dense layer", call(dense_to_keras, weight, *shape), true, slips)


def same_array(what: str, mine: Any, true: np.ndarray, slips: dict[str, np.ndarray]) -> None:
    if not isinstance(mine, np.ndarray):
        raise Wrong(f"{what}: an array is wanted, not {short_repr(mine)}.")
    for told, slip in slips.items():
        if np.array_equal(mine, slip):
            raise Wrong(f"{what}: {told}")
    if mine.shape != true.shape:
        raise Wrong(f"{what} has the shape {mine.shape}; it should be {true.shape}.")
    if not np.array_equal(mine, true):
        raise Wrong(f"{what} has the right shape {true.shape}, and its numbers in a wrong order.")


@exercise("9.2")
def zeros_of_same(same: Any) -> None:
    def answer(*where: int) -> tuple[int, ...]:
        mine = call(same, *where)
        if not isinstance(mine, (tuple, list)) or len(mine) != 2:
            raise Wrong(f"same should return two numbers, not {short_repr(mine)}.")
        return tuple(one_value("same should return two numbers", part) for part in mine)

    def missing(n: int, kernel: int, stride: int) -> int:
        return (math.ceil(n / stride) - 1) * stride + kernel - n

    def halves(zeros: int) -> tuple[int, int]:
        return zeros // 2, zeros - zeros // 2

    slips: dict[str, Callable[..., Any]] = {
        "The odd zero stands behind.": lambda *it: halves(max(0, missing(*it)))[::-1],
        "There are never fewer zeros than none.": lambda *it: halves(missing(*it)),
        "This is right for stride 1 only.": lambda n, kernel, stride: halves(kernel - 1),
        "Round the number of outputs up.": lambda n, kernel, stride: halves(
            max(0, (n // stride - 1) * stride + kernel - n)
        ),
        "The last window begins one stride earlier.": lambda n, kernel, stride: halves(
            max(0, missing(n, kernel, stride) + stride)
        ),
    }
    diagnose(
        answer,
        lambda *it: halves(max(0, missing(*it))),
        slips,
        lambda: (RANDOM.randrange(4, 60), RANDOM.randrange(1, 12), RANDOM.randrange(1, 6)),
        lambda n, kernel, stride: f"{n} numbers, kernel {kernel}, stride {stride}",
    )


@exercise("9.3")
def first_weights(spread: Any, alike: Any) -> None:
    if not is_blank(spread):
        for name in ("pytorch", "keras", "flax") * ROUNDS:  # primes: each slip has its own number
            c_in, c_out = RANDOM.sample((11, 13, 17, 19), 2)
            spread_of_one(spread, name, c_in, c_out, RANDOM.choice((5, 7)))
    slips = {
        4: "these are the ones for which they do not agree.",
        12: "not all of them have as many channels out as in.",
        6: "in the last block, too, only the first convolution narrows.",
    }
    same_number("alike", alike, 8, slips)


def spread_of_one(spread: Any, framework: str, c_in: int, c_out: int, k: int) -> None:
    n, m = c_in * k**2, c_out * k**2
    true = {"pytorch": 3 * n, "keras": (n + m) / 2, "flax": n}[framework] ** -0.5
    slips = {
        "this is the end of the interval; its standard deviation is smaller.": (
            {"pytorch": n, "keras": (n + m) / 6}.get(framework, math.inf) ** -0.5
        ),
        "a kernel has k × k places.": true * math.sqrt(k),
        "the kernel has places, not only channels.": true * k,
        "this is the variance.": true**2,
        "channels in and out have changed places.": (
            {"pytorch": 3 * m, "keras": (n + m) / 2, "flax": m}[framework] ** -0.5
        ),
    }
    what = f"{framework}, {c_in} channels to {c_out}, {k}×{k}"
    mine = call(spread, framework, c_in, c_out, k)
    if not isinstance(mine, Real) or isinstance(mine, bool):
        raise Wrong(f"{what}: a number is wanted, not {short_repr(mine)}.")
    if math.isclose(mine, true, rel_tol=1e-6):
        return
    for told, slip in slips.items():
        if math.isclose(mine, slip, rel_tol=1e-6):
            raise Wrong(f"{what}: {told}")
    raise Wrong(f"{what}: {mine:.4g} is not right.")
