"""Notebook 5: training, and which of two networks, or of several rates, is better."""

from collections.abc import Callable
from statistics import mean, median
from typing import Any

from ..flow import totals
from ..networks import network
from .grading import RANDOM, Wrong, call, diagnose, exercise, one_value, same_number, short_repr

Accuracies = dict[int, float]  # by seed
Choice = Callable[[list[dict[str, Any]]], float]
RATES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


@exercise("5.1")
def pairs_of_seeds(ahead: Any) -> None:
    def answer(a: Accuracies, b: Accuracies) -> tuple[int, ...]:
        mine = call(ahead, a, b)
        if not isinstance(mine, (tuple, list)) or len(mine) != 2:
            raise Wrong(f"ahead should return two numbers, not {short_repr(mine)}.")
        return tuple(one_value("ahead should return two numbers", part) for part in mine)

    def true(a: Accuracies, b: Accuracies) -> tuple[int, int]:
        both = a.keys() & b.keys()
        return sum(a[seed] > b[seed] for seed in both), len(both)

    def with_ties(a: Accuracies, b: Accuracies) -> tuple[int, int]:
        both = a.keys() & b.keys()
        return sum(a[seed] >= b[seed] for seed in both), len(both)

    def by_place(a: Accuracies, b: Accuracies) -> tuple[int, int]:
        both = list(zip(a.values(), b.values(), strict=False))
        return sum(mine > other for mine, other in both), len(both)

    def all_of_a(a: Accuracies, b: Accuracies) -> tuple[int, int]:
        return sum(a[seed] > b.get(seed, 0) for seed in a), len(a)

    def all_seeds(a: Accuracies, b: Accuracies) -> tuple[int, int]:
        return sum(a.get(seed, 0) > b.get(seed, 0) for seed in a | b), len(a | b)

    slips: dict[str, Callable[..., Any]] = {
        "Equal accuracies are not ahead.": with_ties,
        "Numbers in the same place need not be of the same seed.": by_place,
        "A seed that b does not have says nothing here.": all_of_a,
        "A seed that only one of them has says nothing here.": all_seeds,
        "It counts the seeds in which b is above a.": lambda a, b: true(b, a),
    }
    diagnose(
        answer, true, slips, lambda: (accuracies(), accuracies()), lambda a, b: f"a = {a}, b = {b}"
    )


def accuracies() -> Accuracies:
    """Made up: some seeds of ten in any order, and few different values, so that some are equal."""
    seeds = RANDOM.sample(range(10), RANDOM.randrange(5, 10))
    return {seed: RANDOM.randrange(70, 76) / 100 for seed in seeds}


@exercise("5.2")
def highest_median(choose: Any) -> None:
    slips: dict[str, Callable[..., Any]] = {
        "One run that is very good may be luck.": by(max),
        "It looks at the test images.": by(median, "test_accuracy"),
        "It is still what somebody did.": by(max, "test_accuracy"),
        "The accuracy after the last epoch counts, not the best on the way.": by(median, at=max),
        "This is the mean, which one failed run pulls down far.": by(mean),
        "The worst run alone decides here.": by(min),
    }
    diagnose(
        lambda runs: one_value("choose should return one rate", call(choose, runs)),
        by(median),
        slips,
        lambda: (made_up_runs(),),
        lambda runs: f"{len(runs)} runs with {len({run['rate'] for run in runs})} rates",
    )


def by(
    middle: Callable[[list[float]], float],
    key: str = "val_accuracy",
    at: Callable[[list[float]], float] = lambda epochs: epochs[-1],
) -> Choice:
    """Return the rule that takes the rate whose runs have the highest `middle`."""

    def choice(runs: list[dict[str, Any]]) -> float:
        values: dict[float, list[float]] = {}
        for run in runs:
            values.setdefault(run["rate"], []).append(at(run[key]))
        return max(values, key=lambda rate: middle(values[rate]))

    return choice


def made_up_runs() -> list[dict[str, Any]]:
    """Return made-up runs of some rates, three to seven seeds each, in any order."""
    runs = [
        {
            "rate": rate,
            "seed": seed,
            "val_accuracy": [RANDOM.random() for _ in range(3)],
            "test_accuracy": [RANDOM.random() for _ in range(3)],
        }
        for rate in RANDOM.sample(RATES, RANDOM.randrange(3, 6))
        for seed in RANDOM.sample(range(10), RANDOM.randrange(3, 8))
    ]
    RANDOM.shuffle(runs)
    return runs


@exercise("5.3")
def one_left_out(parameters: Any, multiply_adds: Any) -> None:
    sums = totals(network("paper-mnist"))
    widths = ((96, 64, 48), (128, 96, 48), (128, 96, 10))
    parameters = three("parameters", parameters)
    multiply_adds = three("multiply_adds", multiply_adds)
    for index, (first, middle, last) in enumerate(widths):
        places = (28 // 2**index) ** 2
        gone = first * middle + middle * last - first * last  # weights
        slips = {
            sums.parameters - (first + 1) * middle: "the layer behind now has other inputs.",
            sums.parameters - (middle + 1) * last: "the last width of the block should stay.",
            sums.parameters - gone: "these are the weights, and the biases stay behind.",
        }
        what = f"block {index + 1}, parameters"
        same_number(what, parameters[index], sums.parameters - gone - middle, slips)
        slips = {
            sums.multiply_adds - gone: "a weight is used at each place of the map.",
            sums.multiply_adds - gone * 28**2: "the maps are smaller in this block.",
            sums.multiply_adds - (gone + middle) * places: "biases are not counted as work.",
        }
        what = f"block {index + 1}, multiply_adds"
        same_number(what, multiply_adds[index], sums.multiply_adds - gone * places, slips)


def three(name: str, mine: Any) -> Any:
    if mine is None or mine is ...:
        return [...] * 3
    if not isinstance(mine, (list, tuple)) or len(mine) != 3:
        raise Wrong(f"{name}: three numbers are wanted, not {short_repr(mine)}.")
    return mine
