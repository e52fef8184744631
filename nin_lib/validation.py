"""The rules that arguments must follow, and how an error is worded.

A message names the argument, the rule and the value. Most functions return the value in the form to
go on with, so callers use what they return and never what was passed.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

LARGEST_SIZE = 2**31 - 1  # every framework takes sizes and counts up to here
LARGEST_SEED = 2**63 - 1  # every framework takes seeds from 0 up to here
LARGEST_INPUT = 2**15  # pixels; a single channel of one such image takes 4 GiB


def require_int(where: str, value: Any, at_least: int, at_most: int = LARGEST_SIZE) -> int:
    """Return `value` as a plain `int`. Any integer type will do: NumPy's, or a 0-d tensor.

    Booleans are refused, because `True` is hardly meant as a size.

    Raises:
        ValueError: It is no integer or out of range. The message names `where`, the rule and the
            value.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or is_bool(value) or number < at_least:
        raise ValueError(f"{where} must be an integer of at least {at_least}, got {value!r}")
    if number > at_most:
        raise ValueError(f"{where} must be an integer of at most {at_most}, got {value!r}")
    return number


def require_seed(value: Any) -> int:
    """Return `value` as a plain `int` from 0 to 2**63 - 1. Raises `ValueError` for another."""
    return require_int("seed", value, 0, LARGEST_SEED)


def run_numbers(
    epochs: Any, batch_size: Any, input_size: Any, seed: Any
) -> tuple[int, int, int | None, int]:
    """Return the four numbers that every `fit` takes as plain integers, in this order.

    Raises `ValueError` naming the argument, the rule and the value.
    """
    epochs = require_int("epochs", epochs, 1)
    batch_size = require_int("batch_size", batch_size, 1)
    return epochs, batch_size, require_input_size(input_size), require_seed(seed)


def require_input_size(value: Any) -> int | None:
    """Return the side to which images are enlarged as a plain `int`; None means as they are.

    Raises `ValueError` unless it is None or lies between 1 and 32,768 pixels.
    """
    return None if value is None else require_int("input_size", value, 1, LARGEST_INPUT)


def require_ints(where: str, values: Any, at_least: int) -> tuple[int, ...]:
    """Return a tuple, list or array of integers as plain ones. Raises `ValueError`."""
    values = require_tuple(where, values, f"integers of at least {at_least}")
    return tuple(require_int(where, value, at_least) for value in values)


def require_tuple(where: str, values: Any, items: str) -> tuple[Any, ...]:
    """Return a tuple, list or other sequence as a tuple. Raises `ValueError` naming its `items`."""
    try:
        return (values,) if isinstance(values, str) else tuple(values)
    except TypeError:
        raise ValueError(f"{where} must be a tuple of {items}, got {values!r}") from None


def require_float(where: str, value: Any, rule: str, fits: Callable[[float], bool]) -> float:
    """Return `value` as a plain `float`. Any finite number that `fits` the `rule` will do.

    Raises:
        ValueError: It is no such number. The message names `where`, the rule and the value.
    """
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor of several numbers
        number = None
    if number is None or is_bool(value) or isinstance(value, (str, bytes)):
        raise ValueError(f"{where} must be a number, got {value!r}")
    if math.isinf(number):
        raise ValueError(f"{where} must be finite, got {value!r}")
    if not fits(number):
        raise ValueError(f"{where} must be {rule}, got {value!r}")
    return number


def is_bool(value: Any) -> bool:
    """Whether `value` is a boolean of Python, NumPy or a framework."""
    return "bool" in str(getattr(value, "dtype", type(value)))


def require_bool(where: str, value: Any) -> None:
    """Raise `ValueError` unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{where} must be True or False, got {value!r}")


def require_choice(where: str, value: Any, known: Any) -> None:
    """Raise `ValueError` unless `value` is one of the strings in `known`."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{where} must be one of {', '.join(known)}, got {value!r}")


def require_path(where: str, value: Any) -> Path:
    """Return `value` as a `Path`, with `~` expanded to the home folder. Raises `ValueError`."""
    try:
        return Path(value).expanduser()
    except TypeError:
        raise ValueError(f"{where} must be a path, got {value!r}") from None
    except RuntimeError:  # no such user, or a user without a home folder
        rule = "a path whose ~ has a home folder"
        raise ValueError(f"{where} must be {rule}, got {value!r}") from None


def refuse_name(where: str, value: object, named: str) -> None:
    """Raise `ValueError` if `value` is a name and not the object that `named(name)` returns."""
    if isinstance(value, str):
        raise ValueError(f"{where} must be what {named}({value!r}) gives, got the name {value!r}")


def keep_ints(owner: Any, **at_least: int) -> None:
    """Replace the named fields of a frozen dataclass by plain integers. Raises `ValueError`."""
    for name, least in at_least.items():
        where = f"{type(owner).__name__}.{name}"
        object.__setattr__(owner, name, require_int(where, getattr(owner, name), least))


def read_json(what: str, text: Any) -> Any:
    """Parse the JSON `text` of `what`. Raises `ValueError` if it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"text must be {what} as JSON: {error}") from None


def build_dataclass(cls: Any, where: str, data: dict[str, Any]) -> Any:
    """`cls(**data)`. Raises `ValueError` naming the fields that are unknown, missing or wrong."""
    unknown = set(data) - {field.name for field in fields(cls)}
    if unknown:
        raise ValueError(f"{where}: {cls.__name__} has no field {', '.join(sorted(unknown))}")
    needed = {field.name for field in fields(cls) if field.default is MISSING}
    if needed - set(data):
        raise ValueError(f"{where}: {cls.__name__} needs {', '.join(sorted(needed - set(data)))}")
    try:
        return cls(**data)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
