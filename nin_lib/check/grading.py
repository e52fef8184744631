"""Grade an answer, with the tools that all checks share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from inspect import signature
from itertools import combinations
from numbers import Real
from random import Random
from typing import TYPE_CHECKING, Any

from ..flow import Row, ShapeError, shape_flow
from ..spec import Network

if TYPE_CHECKING:
    from torch import Tensor, nn

Judge = Callable[..., None]  # takes the answers; returns if all is right
CHECKS: dict[str, Judge] = {}  # by the number of the exercise
ROUNDS = 5  # so often a function is called on random input
RANDOM = Random()


class StillOpen(Exception):
    """A function is blank or has a blank in it; holds the function."""


class Wrong(Exception):
    """What is wrong with an answer, as a sentence for the student."""


def exercise(number: str) -> Callable[[Judge], Judge]:
    """Register a check: a function that raises `StillOpen`, `Wrong` or nothing.

    Its parameters are named as the answers are in the exercise.
    """

    def register(judging: Judge) -> Judge:
        CHECKS[number] = judging
        return judging

    return register


def check(number: str, *answers: object) -> None:
    """Print what `grade` says."""
    print(grade(number, *answers))


def grade(number: str, *answers: object) -> str:
    """Say whether the answers to an exercise are right, and if not, what is wrong.

    Still open is an answer that is None or `...`, and a function that returns such or computes with
    a `...`. Of several answers those that are there are judged first, then the open ones are named.
    Raises `ValueError` for a number that no exercise has.
    """
    if number not in CHECKS:
        raise ValueError(f"there is no exercise {number!r}; there are {', '.join(sorted(CHECKS))}")
    names = list(signature(CHECKS[number]).parameters)
    if len(answers) != len(names):
        return f"Exercise {number}: not yet. Answers wanted: {len(names)}, not {len(answers)}."
    given = dict(zip(names, answers, strict=True))
    blanks = [name for name in names if is_blank(given[name])]
    try:
        if len(blanks) < len(names):
            CHECKS[number](*answers)
    except StillOpen as still:
        blanks = blanks or [name for name in names if given[name] is still.args[0]] or names
    except Wrong as wrong:
        return f"Exercise {number}: not yet. {wrong}"
    if not blanks:
        return f"Exercise {number}: right."
    where = f" in {', '.join(blanks)}" if len(blanks) < len(names) else ""
    return (
        f"Exercise {number} is still open{where}: put your answer in the place of each ... above,\n"
        "run that cell, then run this one again."
    )


# ---- tools for the checks


def is_blank(answer: object) -> bool:
    """Whether it, or a part of a list, is None or `...`."""
    if isinstance(answer, (list, tuple, set)):
        return any(map(is_blank, answer))
    return answer is None or answer is ...


def short_repr(thing: object) -> str:
    """For a message: what is short as it is, of anything else the type, and the shape if any."""
    text = repr(thing)
    if len(text) <= 40:
        return text
    kind, shape = type(thing).__name__, getattr(thing, "shape", ())
    return f"something of type {kind}" + (f" and shape {tuple(shape)}" if shape else "")


def one_value(wanted: str, mine: Any) -> Any:
    """`mine`, if it is no array, list or the like; `wanted` begins what the student is told."""
    if getattr(mine, "shape", ()) or isinstance(mine, (list, tuple, set, dict)):
        raise Wrong(f"{wanted}, not {short_repr(mine)}.")
    return mine


def call(function: Any, *inputs: object) -> Any:
    """Return what the student's function makes of copies of the inputs, which it may change."""
    if is_blank(function):
        raise StillOpen(function)
    if not callable(function):
        raise Wrong(f"A function is wanted here, not {short_repr(function)}.")
    name = getattr(function, "__name__", type(function).__name__)
    try:
        result = function(*copy.deepcopy(inputs))
    except Wrong:
        raise
    except Exception as error:
        if isinstance(error, (TypeError, AttributeError)) and "ellipsis" in str(error):
            raise StillOpen(function) from None  # it computed with a blank
        raise Wrong(f"{name} stops with {type(error).__name__}: {error}") from error
    if result is None:
        raise Wrong(f"{name} returns nothing.")
    if is_blank(result):
        raise StillOpen(function)
    return result


def same_number(what: str, mine: Any, true: float, slips: dict[Any, str] | None = None) -> None:
    """`slips`: likely wrong numbers, and what is wrong with them."""
    if is_blank(mine):  # `grade` says so
        return
    if not isinstance(mine, Real) or isinstance(mine, bool):
        raise Wrong(f"{what}: a number is wanted, not {short_repr(mine)}.")
    if mine % 1:
        raise Wrong(f"{what}: give a whole number, rounded.")
    if mine != true:
        too = "too small" if mine < true else "too large"
        raise Wrong(f"{what}: {(slips or {}).get(mine, f'{round(mine):,} is {too}.')}")


def forgotten_biases(true: int, widths: Iterable[int]) -> dict[Any, str]:
    """Slips for `same_number`: the parameters of layers of those widths without some biases."""
    widths = list(widths)
    some = (chosen for count in range(1, len(widths)) for chosen in combinations(widths, count))
    slips = {true - sum(biases): "the biases of some layers are missing." for biases in some}
    return {**slips, true - sum(widths): "these are all the weights, and no biases."}


def same_tensor(what: str, mine: Any, true: Tensor) -> None:
    import torch

    if not isinstance(mine, torch.Tensor):
        raise Wrong(f"{what}: a tensor is wanted, not {short_repr(mine)}.")
    if mine.shape != true.shape:
        raise Wrong(f"{what} has the shape {tuple(mine.shape)}; it should be {tuple(true.shape)}.")
    if not torch.allclose(mine.to(true.dtype), true, rtol=1e-4, atol=1e-5):
        raise Wrong(f"{what} has the right shape {tuple(true.shape)}, but wrong numbers.")


def diagnose(
    answer: Callable[..., Any],
    true: Callable[..., Any],
    slips: dict[str, Callable[..., Any]],
    example: Callable[[], tuple[Any, ...]],
    about: Callable[..., str],
) -> None:
    """Hold `answer` against `true` on random input, on which each of the slips goes wrong.

    `slips`: what is wrong, as a sentence → a function that goes wrong so; told where it explains
    all the answers. `example` makes the input, `about` says in a few words what it is.
    """
    inputs = []
    for slip in slips.values():
        goes_wrong = (it for it in iter(example, None) if slip(*it) != true(*it))
        inputs += [next(goes_wrong) for _ in range(ROUNDS)]
    answers = [answer(*copy.deepcopy(it)) for it in inputs]
    pairs = list(zip(inputs, answers, strict=True))
    wrong = [(it, mine) for it, mine in pairs if mine != true(*it)]
    for told, slip in slips.items():
        if wrong and all(slip(*it) == mine for it, mine in pairs):
            raise Wrong(told)
    for it, mine in wrong:
        raise Wrong(f"{about(*it)}: {short_repr(mine)} is not right.")


def sizes(count: int, least: int = 2, most: int = 9) -> list[int]:
    """Random sizes that all differ, so that a mix-up of two axes shows."""
    return RANDOM.sample(range(least, most + 1), count)


def numbers(*shape: int) -> Tensor:
    """Random numbers of 32 bits, as in a notebook; the student's random state is left alone."""
    import torch

    own = torch.Generator().manual_seed(RANDOM.randrange(2**31))
    return torch.randn(shape, generator=own)


def in_a_row(model: Any, *kinds: type) -> list[nn.Module]:
    """Return the layers of an `nn.Sequential` of these kinds; one used twice is there twice."""
    from torch import nn

    if not isinstance(model, nn.Sequential):
        raise Wrong(f"An nn.Sequential is wanted here, not {short_repr(model)}.")
    every = (layer for _, layer in model.named_modules(remove_duplicate=False))
    layers = [layer for layer in every if not list(layer.children())]
    for layer in layers:
        if not isinstance(layer, kinds):
            names = ", ".join(kind.__name__ for kind in kinds)
            raise Wrong(f"It holds {layer}; only {names} are wanted.")
    return layers


def parameters(rows: Iterable[Row]) -> int:
    return sum(row.parameters for row in rows)


def nin_network(spec: Any, size: int) -> Network:
    """`spec`, if it is NiN from grey images of that size to ten classes."""
    if not isinstance(spec, Network):
        raise Wrong(f"A nin_lib.Network is wanted, not {short_repr(spec)}.")
    if spec.in_channels != 1:
        raise Wrong(f"It takes {spec.in_channels} channels; grey images have one.")
    if spec.input_size != size:
        raise Wrong(f"Its input_size is {spec.input_size}; the images are {size}×{size}.")
    if spec.dense or spec.num_classes != 10:
        raise Wrong("It should end in the average of ten maps, without dense layers.")
    for number, block in enumerate(spec.blocks, start=1):
        if len(block.widths) < 2 or block.inner_kernel_size != 1:
            raise Wrong(f"Block {number} is no NiN block: no 1×1 convolution follows the first.")
        if block.kernel_size == 1:
            raise Wrong(f"Block {number} is no NiN block: its first convolution sees one pixel.")
    try:
        shape_flow(spec, size)
    except ShapeError as error:
        raise Wrong(f"Images of {size}×{size} do not fit: {error}.") from None
    return spec
