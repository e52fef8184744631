"""Notebook 7: when training collapses."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from ..collapse import CONSTANT, NEAR, dead_classes, own_positive
from .grading import RANDOM, ROUNDS, Wrong, call, diagnose, exercise, one_value, short_repr

if TYPE_CHECKING:
    from numpy import ndarray as Array

Z = 1.96  # of a 95 % interval


@exercise("7.1")
def causes(why: Any) -> None:
    slips = {
        "You look along the classes: do the logits differ between images?": words(
            lambda logits: logits.std(axis=1).max()
        ),
        "One spread over all logits does not tell images from classes.": words(np.std),
        "It is enough that the logits of one class differ between images.": words(
            lambda logits: logits.std(axis=0).min()
        ),
        "It is enough that the logits of one class differ; a mean may hide it.": words(
            lambda logits: logits.std(axis=0).mean()
        ),
        "This number is larger than the spread of any class.": words(
            lambda logits: logits.std(axis=0).sum()
        ),
        "Not every network has ten classes.": words(guessing=lambda logits: math.log(10)),
        "A loss far from guessing has none of the three causes.": (
            lambda loss, logits: words()(math.log(logits.shape[1]), logits)
        ),
    }

    def about(loss: float, logits: Array) -> str:
        images, classes = logits.shape
        low, high = logits.min(), logits.max()
        return f"loss {loss:.2f}, {images} images, {classes} logits each, {low:.2f} to {high:.2f}"

    def word(loss: float, logits: Array) -> Any:
        return one_value("why should return one of the four words", call(why, loss, logits))

    diagnose(word, words(), slips, a_case, about)


def words(
    spread: Callable[[Array], float] = lambda logits: logits.std(axis=0).max(),
    guessing: Callable[[Array], float] = lambda logits: math.log(logits.shape[1]),
) -> Callable[[float, Array], str]:
    """Return the right function, or one with another spread or another loss of guessing."""

    def why(loss: float, logits: Array) -> str:
        if abs(loss - guessing(logits)) > NEAR:
            return "elsewhere"
        if not logits.any():
            return "all dead"
        return "constant" if spread(logits) < CONSTANT else "slow"

    return why


def a_case() -> tuple[float, Array]:
    """Return a loss and N×classes logits of one of the causes, or of none."""
    rng = np.random.default_rng(RANDOM.randrange(2**31))
    images, classes = RANDOM.sample(range(3, 30), 2)
    shape = (images, classes)
    some = np.zeros(shape)
    some[:, rng.integers(classes)] = rng.uniform(0, 0.1, images)
    logits = RANDOM.choice(
        [
            np.zeros(shape),
            np.full(shape, rng.uniform(0.1, 1)),
            np.tile(rng.uniform(0, 0.1, classes), (images, 1)),
            np.tile(rng.uniform(0, 0.1, classes), (images, 1)) + rng.uniform(0, 1e-4, shape),
            np.tile(rng.uniform(0, 0.1, classes), (images, 1)) + rng.uniform(0, 2e-3, shape),
            np.repeat(rng.uniform(0, 1, (images, 1)), classes, axis=1),
            some,
            some / 20,
            rng.uniform(0, 0.1, shape),
        ]
    )
    loss = RANDOM.choice([math.log(classes)] * 2 + [0.6 * math.log(classes), math.log(10)])
    return loss + rng.uniform(-0.02, 0.02), logits


@exercise("7.2")
def dead_and_their_floor(dead: Any, floor: Any) -> None:
    def its_list(logits: Array, labels: Array) -> list[int]:
        mine = call(dead, logits, labels)
        try:
            return sorted(int(c) for c in mine)
        except Exception:
            raise Wrong(f"dead should return a list of classes, not {short_repr(mine)}.") from None

    def that_are(rule: Callable[[Array, Array, int], bool]) -> Callable[..., list[int]]:
        return lambda logits, labels: [c for c in range(logits.shape[1]) if rule(logits, labels, c)]

    slips: dict[str, Callable[..., Any]] = {
        "No class is found dead, and some are: a logit of 0 is not positive.": lambda z, y: [],
        "A class is judged by its own images alone.": that_are(
            lambda z, y, c: c in y and not (z[:, c] > 0).any()
        ),
        "It is still judged by all the images.": that_are(lambda z, y, c: not (z[:, c] > 0).any()),
        "Of a class without images nothing can be said.": that_are(
            lambda z, y, c: not (z[y == c, c] > 0).any()
        ),
        "A class may be alive though it is never the answer.": that_are(
            lambda z, y, c: c in y and c not in z.argmax(axis=1)
        ),
        "One own image with a positive logit keeps a class alive.": that_are(
            lambda z, y, c: c in y and not (z[y == c, c] > 0).all()
        ),
    }
    diagnose(its_list, true_dead, slips, outputs, in_words)

    def its_floor(logits: Array, labels: Array) -> float:
        mine = call(floor, logits, labels)
        try:
            return round(float(mine), 6)
        except Exception:
            raise Wrong(f"floor should return a number, not {short_repr(mine)}.") from None

    def true(logits: Array, labels: Array) -> float:
        share = np.isin(labels, true_dead(logits, labels)).mean()
        return round(float(share) * math.log(logits.shape[1]), 6)

    def balanced(logits: Array, labels: Array) -> float:
        classes = logits.shape[1]
        return round(len(true_dead(logits, labels)) / classes * math.log(classes), 6)

    def of_ten(logits: Array, labels: Array) -> float:
        return round(true(logits, labels) / math.log(logits.shape[1]) * math.log(10), 6)

    def share_alone(logits: Array, labels: Array) -> float:
        return round(true(logits, labels) / math.log(logits.shape[1]), 6)

    slips = {
        "The classes do not have equally many images here.": balanced,
        "Not every network has ten classes.": of_ten,
        "This is the share of the images; what does each of them cost?": share_alone,
    }
    diagnose(its_floor, true, slips, outputs, in_words)


def true_dead(logits: Array, labels: Array) -> list[int]:
    return dead_classes(own_positive(logits, labels))


def in_words(logits: Array, labels: Array) -> str:
    return f"{len(labels)} images of {logits.shape[1]} classes"


def outputs() -> tuple[Array, Array]:
    """N×classes logits behind a ReLU, and N labels, with some classes dead and some not there."""
    rng = np.random.default_rng(RANDOM.randrange(2**31))
    classes = RANDOM.choice((4, 5, 6, 7, 12))
    labels = rng.choice(rng.permutation(classes)[1:], size=RANDOM.randrange(8, 40))
    logits = np.maximum(rng.normal(size=(len(labels), classes)), 0)
    for c in rng.permutation(classes)[: RANDOM.randrange(1, 4)]:
        logits[labels == c, c] = 0
    logits[:, rng.integers(classes)] = 0
    return logits, labels


@exercise("7.3")
def enough_runs(runs_needed: Any) -> None:
    for share in (0.1, *(round(RANDOM.uniform(0.004, 0.5), 4) for _ in range(2 * ROUNDS))):
        mine = call(runs_needed, share)
        if not isinstance(mine, Integral) or mine < 1:
            raise Wrong(f"A whole number of runs is wanted, not {short_repr(mine)}.")
        if (most := upper_end(int(mine))) >= share:
            raise Wrong(
                f"After {mine} runs without a failure the interval still reaches to {most:.2%},"
                f" which does not exclude {share:.2%}."
            )
        if upper_end(int(mine) - 1) < share:
            raise Wrong(f"To exclude {share:.2%}, fewer runs than {mine} are enough.")


def upper_end(runs: int) -> float:
    """Of the 95 % interval (Wilson 1927) after so many runs without a failure."""
    return Z**2 / (runs + Z**2)
