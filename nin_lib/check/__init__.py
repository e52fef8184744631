"""The checks of the exercises: they say what is wrong with an answer, and leave the rest to you.

    from nin_lib.check import check
    check("2.1", mended)

prints whether the exercise is still open, not yet right and why, or right. Functions are called on
random input of several sizes; numbers are worked out anew. There is a module of checks for each
notebook with exercises.
"""

from . import (
    block,
    collapsing,
    cost,
    frameworks,
    loading,
    offspring,
    one_by_one,
    pooling,
    training,
    whole,
    why,
)
from .judging import CHECKS, check, judge

__all__ = [
    "CHECKS",
    "block",
    "check",
    "collapsing",
    "cost",
    "frameworks",
    "judge",
    "loading",
    "offspring",
    "one_by_one",
    "pooling",
    "training",
    "whole",
    "why",
]
