"""Notebook 11: where the 1×1 convolution went."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .grading import (
    RANDOM,
    ROUNDS,
    Wrong,
    call,
    diagnose,
    exercise,
    is_blank,
    numbers,
    one_value,
    same_number,
    same_tensor,
    short_repr,
    sizes,
)

if TYPE_CHECKING:
    from torch import Tensor

EQUAL = 144  # channels with which a bottleneck and a separable convolution have as many weights


@exercise("11.1")
def two_ways_to_save(bottleneck: Any, separable: Any, fewer_from: Any) -> None:
    for quarter in RANDOM.sample(range(2, 100), ROUNDS):
        c = 4 * quarter
        slips = {
            2 * c * quarter + 9 * c * c: "the 3×3 works at the narrow width.",
            c * quarter + 9 * quarter**2: "the 1×1 back to c is missing.",
            2 * c * quarter + 9 * quarter: "its 3×3 is not depthwise.",
            2 * c * quarter + 9 * quarter**2 + 2 * quarter + c: "leave the biases out.",
        }
        if not is_blank(bottleneck):
            true = 2 * c * quarter + 9 * quarter**2
            same_number(f"bottleneck, {c} channels", call(bottleneck, c), true, slips)
        slips = {
            9 * c * c + c * c: "each kernel of a depthwise convolution reads one channel.",
            9 * c: "the 1×1 is missing.",
            9 * c + c: "the 1×1 reads all channels.",
            9 * c + c * c + 2 * c: "leave the biases out.",
        }
        if not is_blank(separable):
            same_number(f"separable, {c} channels", call(separable, c), 9 * c + c * c, slips)
    slips = {
        EQUAL: "there they have equally many.",
        EQUAL + 1: "a multiple of 4 is wanted.",
        EQUAL - 4: "there the bottleneck has fewer.",
    }
    same_number("fewer_from", fewer_from, EQUAL + 4, slips)


@exercise("11.2")
def one_by_one_first(merged: Any) -> None:
    import torch

    for equal in (True, False):
        for _ in range(ROUNDS):
            c_out, c_in = sizes(2, least=4)
            c_in = c_out if equal else c_in
            P, D = numbers(c_out, c_in), numbers(c_out, 3, 3)
            mine = call(merged, P, D)
            slips: dict[str, Tensor] = {
                "P has a row for each output.": torch.einsum("oc,oij->coij", P, D),
            }
            if equal:
                slips |= {
                    "This would be right with the depthwise convolution first.": torch.einsum(
                        "oc,cij->ocij", P, D
                    ),
                    "P is read the wrong way round.": torch.einsum("co,oij->ocij", P, D),
                }
            for told, slip in slips.items():
                if isinstance(mine, torch.Tensor) and mine.shape == slip.shape:
                    if torch.allclose(mine.to(slip.dtype), slip, rtol=1e-4, atol=1e-5):
                        raise Wrong(told)
            same_tensor("The weight", mine, torch.einsum("oc,oij->ocij", P, D))


@exercise("11.3")
def kernels_that_split(can_be_split: Any) -> None:
    def answer(weight: Tensor) -> tuple[bool, ...]:
        wanted = "can_be_split should return two truth values"
        mine = call(can_be_split, weight)
        if not isinstance(mine, (tuple, list)) or len(mine) != 2:
            raise Wrong(f"{wanted}, not {short_repr(mine)}.")
        return tuple(bool(one_value(wanted, part)) for part in mine)

    slips: dict[str, Callable[..., Any]] = {
        "The two answers have changed places.": lambda weight: true_of(weight)[::-1],
        "All channels have to be looked at, not only the first.": lambda weight: (
            low_rank(weight[:, 0]),
            low_rank(weight[0]),
        ),
        "One channel for which it holds is not enough.": lambda weight: (
            any(map(low_rank, weight.unbind(1))),
            any(map(low_rank, weight)),
        ),
        "A pattern that is zero throughout is no obstacle.": lambda weight: (
            all(rank(part) == 1 for part in weight.unbind(1)),
            all(rank(part) == 1 for part in weight),
        ),
    }
    diagnose(answer, true_of, slips, lambda: (some_kernel(),), lambda weight: "a kernel of ours")


def rank(kernels: Tensor) -> int:
    """Of a stack of kernels, each of them a row."""
    import torch

    return int(torch.linalg.matrix_rank(kernels.flatten(1)))


def low_rank(kernels: Tensor) -> bool:
    return rank(kernels) <= 1


def true_of(weight: Tensor) -> tuple[bool, bool]:
    return all(map(low_rank, weight.unbind(1))), all(map(low_rank, weight))


def some_kernel() -> Tensor:
    """Split in one order, in both, in none, or only nearly; at times with zeros in it."""
    import torch

    c_out, c_in = sizes(2, least=3)
    P = numbers(c_out, c_in)
    weight = RANDOM.choice(
        [
            numbers(c_out, c_in, 3, 3),
            P[:, :, None, None] * numbers(3, 3),
            torch.einsum("oc,cij->ocij", P, numbers(c_in, 3, 3)),
            torch.einsum("oc,oij->ocij", P, numbers(c_out, 3, 3)),
        ]
    )
    if RANDOM.random() < 0.3:  # one pair of channels, neither the first input nor the first output
        weight[RANDOM.randrange(1, c_out), RANDOM.randrange(1, c_in)] = numbers(3, 3)
    if RANDOM.random() < 0.3:
        weight[RANDOM.randrange(c_out)] = 0
        weight[:, RANDOM.randrange(c_in)] = 0
    return weight
