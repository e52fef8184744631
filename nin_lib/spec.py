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
from dataclasses import asdict, dataclass, fields
from typing import Any


def require_int(where: str, value: object, at_least: int) -> None:
    """Raise `ValueError` naming the argument, its value and the rule."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ValueError(f"{where} must be an integer of at least {at_least}, got {value!r}")


def refuse_name(where: str, value: object, named: str) -> None:
    """Raise `ValueError` where a name was given in place of what the function `named` gives."""
    if isinstance(value, str):
        raise ValueError(f"{where} must be what {named}({value!r}) gives, got the name {value!r}")


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
        object.__setattr__(self, "widths", tuple(self.widths))
        require_int("Block.kernel_size", self.kernel_size, 1)
        require_int("Block.stride", self.stride, 1)
        require_int("Block.padding", self.padding, 0)
        require_int("Block.inner_kernel_size", self.inner_kernel_size, 1)
        if self.inner_kernel_size % 2 == 0:
            raise ValueError(f"Block.inner_kernel_size must be odd, got {self.inner_kernel_size}")
        if not self.widths:
            raise ValueError("Block.widths must name at least one width, got ()")
        for width in self.widths:
            require_int("Block.widths", width, 1)


@dataclass(frozen=True)
class Pool:
    """Max pooling. `ceil_mode` rounds the output size up, as the paper's own library did."""

    kernel_size: int = 3
    stride: int = 2
    padding: int = 0  # at most half the kernel size
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        require_int("Pool.kernel_size", self.kernel_size, 1)
        require_int("Pool.stride", self.stride, 1)
        require_int("Pool.padding", self.padding, 0)
        if self.padding > self.kernel_size // 2:
            rule = f"at most half of kernel_size {self.kernel_size}"
            raise ValueError(f"Pool.padding must be {rule}, got {self.padding}")
        if not isinstance(self.ceil_mode, bool):
            raise ValueError(f"Pool.ceil_mode must be True or False, got {self.ceil_mode!r}")


@dataclass(frozen=True)
class Dropout:
    """Set each number to zero with probability `p` while training."""

    p: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.p, (int, float)) or not 0 <= self.p < 1:
            raise ValueError(f"Dropout.p must be at least 0 and below 1, got {self.p!r}")


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
        object.__setattr__(self, "stages", tuple(self.stages))
        object.__setattr__(self, "dense", tuple(self.dense))
        require_int("Network.in_channels", self.in_channels, 1)
        require_int("Network.input_size", self.input_size, 1)
        for stage in self.stages:
            if not isinstance(stage, Stage):
                raise ValueError(f"Network.stages holds Block, Pool and Dropout, got {stage!r}")
        for width in self.dense:
            require_int("Network.dense", width, 1)
        if not self.dense and not (self.stages and isinstance(self.stages[-1], Block)):
            raise ValueError(
                "Network.stages must end in a Block, whose maps are averaged, "
                f"or Network.dense must name the dense layers; got stages {self.stages!r}"
            )
        if not isinstance(self.last_relu, bool):
            raise ValueError(f"Network.last_relu must be True or False, got {self.last_relu!r}")

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
        data = json.loads(text)
        if not isinstance(data, dict) or not isinstance(data.get("stages"), list):
            raise ValueError("a network is a JSON object with a list 'stages'")
        stages = tuple(stage_from_dict(n, d) for n, d in enumerate(data["stages"], 1))
        return build(cls, "network", {**data, "stages": stages})


def stage_from_dict(number: int, data: Any) -> Stage:
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind not in STAGES:
        raise ValueError(f"stage {number}: kind must be one of {', '.join(STAGES)}, got {kind!r}")
    rest = {key: value for key, value in data.items() if key != "kind"}
    return build(STAGES[kind], f"stage {number}", rest)


def build(cls: Any, where: str, data: dict[str, Any]) -> Any:
    """`cls(**data)`, with an error that names the keys `cls` does not know or misses."""
    unknown = set(data) - {field.name for field in fields(cls)}
    if unknown:
        raise ValueError(f"{where}: {cls.__name__} has no field {', '.join(sorted(unknown))}")
    try:
        return cls(**data)
    except TypeError as error:  # a missing field, or a number where a list belongs
        raise ValueError(f"{where}: {error}") from None
