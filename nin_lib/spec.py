"""The one description of a network that everything else reads.

A `Network` is a sequence of stages (`Block`, `Pool`, `Dropout`), then either global average
pooling, as in Network in Network, or dense layers, as in the networks it is compared with. All are
frozen dataclasses: to change one, make another with `dataclasses.replace`.

    >>> from dataclasses import replace
    >>> net = Network((Block(5, (8, 8)), Pool(), Block(3, (8, 10))), input_size=28)
    >>> net.stages[0]
    Block(kernel_size=5, widths=(8, 8), stride=1, padding=0, inner_kernel_size=1)
    >>> replace(net, last_relu=False).num_classes
    10

The networks of the chapter are in `nin_lib.networks`, by name.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

LARGEST_SIZE = 2**31 - 1  # every framework takes sizes and counts up to here
LARGEST_SEED = 2**63 - 1  # every framework takes seeds from 0 up to here

# ── Checks that every module shares ──────────────────────────────────────────────────────────────


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


# ── The description ──────────────────────────────────────────────────────────────────────────────


def keep_ints(owner: Any, **at_least: int) -> None:
    """Replace the named fields of a frozen dataclass by plain integers. Raises `ValueError`."""
    for name, least in at_least.items():
        where = f"{type(owner).__name__}.{name}"
        object.__setattr__(owner, name, require_int(where, getattr(owner, name), least))


@dataclass(frozen=True)
class Block:
    """A k×k convolution, then 1×1 convolutions, a ReLU after each (Lin et al. 2014, section 3.1).

    A block with a single width is an ordinary convolution.
    """

    kernel_size: int  # k of the first convolution, in pixels
    widths: tuple[int, ...]  # channels after each convolution, the k×k one first
    stride: int = 1  # of the first convolution
    padding: int = 0  # zeros added on each side before the first convolution
    inner_kernel_size: int = 1  # of the others, odd, padded to keep the size; 1 in a NiN block

    def __post_init__(self) -> None:
        keep_ints(self, kernel_size=1, stride=1, padding=0, inner_kernel_size=1)
        object.__setattr__(self, "widths", require_ints("Block.widths", self.widths, 1))
        if self.inner_kernel_size % 2 == 0:
            raise ValueError(f"Block.inner_kernel_size must be odd, got {self.inner_kernel_size}")
        if not self.widths:
            raise ValueError("Block.widths must name at least one width, got ()")


@dataclass(frozen=True)
class Pool:
    """Max pooling. `ceil_mode` rounds the output size up, as the paper's own library did."""

    kernel_size: int = 3
    stride: int = 2
    padding: int = 0  # at most half the kernel size
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        keep_ints(self, kernel_size=1, stride=1, padding=0)
        if self.padding > self.kernel_size // 2:
            rule = f"at most half of kernel_size {self.kernel_size}"
            raise ValueError(f"Pool.padding must be {rule}, got {self.padding}")
        require_bool("Pool.ceil_mode", self.ceil_mode)


@dataclass(frozen=True)
class Dropout:
    """Set each number to zero with probability `p` while training."""

    p: float = 0.5

    def __post_init__(self) -> None:
        p = require_float("Dropout.p", self.p, "at least 0 and below 1", lambda p: 0 <= p < 1)
        object.__setattr__(self, "p", p)


Stage = Block | Pool | Dropout
STAGES: dict[str, type[Stage]] = {"block": Block, "pool": Pool, "dropout": Dropout}


@dataclass(frozen=True)
class Network:
    """Stages, then global average pooling (`dense` empty) or dense layers of those widths."""

    stages: tuple[Stage, ...]
    in_channels: int = 1
    input_size: int = 224  # height and width it was designed for, in pixels
    dense: tuple[int, ...] = ()  # widths of dense layers, the classes last; () is NiN's own ending
    last_relu: bool = True  # a ReLU follows every layer with weights; also the very last one?

    def __post_init__(self) -> None:
        keep_ints(self, in_channels=1, input_size=1)
        object.__setattr__(self, "dense", require_ints("Network.dense", self.dense, 1))
        stages = require_tuple("Network.stages", self.stages, "Block, Pool and Dropout")
        object.__setattr__(self, "stages", stages)
        for stage in stages:
            if not isinstance(stage, Stage):
                raise ValueError(f"Network.stages holds Block, Pool and Dropout, got {stage!r}")
        if not self.dense and not (self.stages and isinstance(self.stages[-1], Block)):
            raise ValueError(
                "Network.stages must end in a Block, whose maps are averaged, "
                f"or Network.dense must name the dense layers; got stages {self.stages!r}"
            )
        require_bool("Network.last_relu", self.last_relu)

    @property
    def num_classes(self) -> int:
        """Length of the output: the last dense width, or the channels of the last block."""
        return self.dense[-1] if self.dense else self.blocks[-1].widths[-1]

    @property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(stage for stage in self.stages if isinstance(stage, Block))

    def to_json(self) -> str:
        data = asdict(self)
        names = {cls: name for name, cls in STAGES.items()}
        data["stages"] = [{"kind": names[type(s)], **asdict(s)} for s in self.stages]
        return json.dumps(data, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Network:
        """The inverse of `to_json`. Raises `ValueError` naming the part that does not fit."""
        data = read_json("a network", text)
        if not isinstance(data, dict) or not isinstance(data.get("stages"), list):
            raise ValueError("a network is a JSON object with a list 'stages'")
        stages = tuple(stage_from_dict(n, d) for n, d in enumerate(data["stages"], 1))
        return build(cls, "network", {**data, "stages": stages})


def read_json(what: str, text: Any) -> Any:
    """The value that the JSON `text` of `what` describes. Raises `ValueError` if it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"text must be {what} as JSON: {error}") from None


def stage_from_dict(number: int, data: Any) -> Stage:
    """The stage that a JSON object describes. Raises `ValueError` naming the stage and its part."""
    where, data = f"stage {number}", data if isinstance(data, dict) else {"kind": data}
    require_choice(f"{where}: kind", data.get("kind"), STAGES)
    rest = {key: value for key, value in data.items() if key != "kind"}
    return build(STAGES[data["kind"]], where, rest)


def build(cls: Any, where: str, data: dict[str, Any]) -> Any:
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
