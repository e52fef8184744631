"""Checks for the exercises: what is wrong with an answer, never the answer itself.

    from nin_lib.check import check
    check("2.1", mended)

prints whether the exercise is still open, not yet right and why, or right. Functions are called on
random input of several sizes; numbers are worked out anew. There is a module of checks for each
notebook with exercises.
"""

from . import (
    global_average_pooling,
    nin_block,
    nin_network,
    one_by_one_convolution,
    the_cost,
    three_frameworks,
    training,
    when_training_collapses,
    where_it_went,
    why_nin,
    with_d2l,
)
from .grading import CHECKS, check, grade

__all__ = [
    "CHECKS",
    "check",
    "global_average_pooling",
    "grade",
    "nin_block",
    "nin_network",
    "one_by_one_convolution",
    "the_cost",
    "three_frameworks",
    "training",
    "when_training_collapses",
    "where_it_went",
    "why_nin",
    "with_d2l",
]
