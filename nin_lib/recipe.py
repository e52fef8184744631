"""How a network is trained, as plain values that every framework reads.

>>> RECIPES["published"].learning_rate
0.1
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from .spec import Network
from .validation import require_bool, require_choice, require_float, require_int

Schedule = Literal["constant", "one-cycle"]
Init = Literal["pytorch", "xavier", "kaiming"]


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent with everything that has to be chosen about it."""

    learning_rate: float  # of a constant schedule, or the top of a one-cycle one
    momentum: float = 0.0  # 0 is plain gradient descent
    nesterov: bool = False  # look ahead along the momentum
    schedule: Schedule = "constant"  # or "one-cycle": up, then down to almost 0, along cosines
    warmup: float = 0.2  # share of the steps on which a one-cycle schedule rises
    clip: float | None = None  # longest gradient allowed, over all parameters; None: any
    init: Init = "pytorch"  # first weights: PyTorch's own, Xavier (uniform) or Kaiming (normal)
    zero_bias: bool = False  # biases start at 0 instead of PyTorch's small random numbers
    last_relu: bool = True  # True: as the network's spec says; False: without it

    def __post_init__(self) -> None:
        self.keep_float("learning_rate", "above 0", lambda rate: rate > 0)
        self.keep_float("momentum", "at least 0 and below 1", lambda share: 0 <= share < 1)
        self.keep_float("warmup", "between 0 and 1", lambda share: 0 < share < 1)
        if self.clip is not None:
            self.keep_float("clip", "above 0 or None", lambda length: length > 0)
        for name in ("nesterov", "zero_bias", "last_relu"):
            require_bool(name, getattr(self, name))
        require_choice("schedule", self.schedule, get_args(Schedule))
        require_choice("init", self.init, get_args(Init))
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0, got momentum 0")

    def keep_float(self, name: str, rule: str, fits: Callable[[float], bool]) -> None:
        """Replace the named field by a plain float. Raises `ValueError`."""
        object.__setattr__(self, name, require_float(name, getattr(self, name), rule, fits))

    def adapt(self, spec: Network) -> Network:
        """Return the network that this recipe trains: `spec`, or `spec` without its last ReLU."""
        return spec if self.last_relu else replace(spec, last_relu=False)


RECIPES = {
    # As in Dive into Deep Learning and most places since. It often fails: see the notebooks.
    "published": Recipe(0.1, init="xavier"),
    # What learnt with every seed; chosen on held-out images (benchmarks/collapse_study.py).
    "default": Recipe(
        0.2,
        momentum=0.9,
        nesterov=True,
        schedule="one-cycle",
        clip=1.0,
        init="kaiming",
        zero_bias=True,
        last_relu=False,
    ),
}


def recipe(name: str) -> Recipe:
    """Return the recipe of that name. Raises `ValueError` naming all recipes for another."""
    if not isinstance(name, str) or name not in RECIPES:
        raise ValueError(f"there is no recipe named {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]


@dataclass(frozen=True)
class Size:
    """What is trained on what, and for how long. A recipe says how."""

    network: str  # a name for `spec.network`
    data: Literal["mini", "full"]  # a name for `data.load`
    epochs: int
    batch_size: int
    input_size: int | None  # side in pixels to which images are enlarged; None: as they are


# For those who only want to see everything run: a single epoch in class.
QUICK = os.environ.get("NIN_QUICK") == "1"

# The same cells and commands at two sizes: one for a laptop in class, one for a GPU or an evening.
SIZES = {
    "class": Size("paper-mnist", "mini", epochs=1 if QUICK else 3, batch_size=64, input_size=None),
    "full": Size("chapter", "full", epochs=10, batch_size=128, input_size=224),
}


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate of step number `step` (0, 1, ...) of `steps`.

    One-cycle (Smith and Topin 2018): from a 25th of the top up to it, then down to almost nothing.
    """
    require_int("steps", steps, 1, at_most=2**63 - 1)
    top = recipe.learning_rate
    if recipe.schedule == "constant":
        return top
    rise = max(1.0, recipe.warmup * steps)
    if step < rise:
        return between(top / 25, top, step / rise)
    return between(top, top / 250_000, (step - rise) / max(1.0, steps - rise))


def between(start: float, end: float, share: float) -> float:
    """From `start` (share 0) to `end` (share 1) along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
