"""The description of a network that everything else reads: blocks, pooling, dropout.

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
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from .validation import (
    build_dataclass,
    keep_ints,
    read_json,
    require_bool,
    require_choice,
    require_float,
    require_ints,
    require_tuple,
)


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

    def stages_with_relu(self) -> Iterator[tuple[Stage, bool]]:
        """Yield each stage, and whether a ReLU ends it: a block's always, but for `last_relu`."""
        last = len(self.stages) - 1
        for number, stage in enumerate(self.stages):
            is_output = number == last and not self.dense
            yield stage, isinstance(stage, Block) and (self.last_relu or not is_output)

    def to_json(self) -> str:
        """Return the network as JSON, which `from_json` reads."""
        data = asdict(self)
        names = {cls: name for name, cls in STAGES.items()}
        data["stages"] = [{"kind": names[type(s)], **asdict(s)} for s in self.stages]
        return json.dumps(data, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Network:
        """Invert `to_json`. Raises `ValueError` naming the part that does not fit."""
        data = read_json("a network", text)
        if not isinstance(data, dict) or not isinstance(data.get("stages"), list):
            raise ValueError("a network is a JSON object with a list 'stages'")
        stages = tuple(stage_from_dict(n, d) for n, d in enumerate(data["stages"], 1))
        return build_dataclass(cls, "network", {**data, "stages": stages})


def stage_from_dict(number: int, data: Any) -> Stage:
    """Build the stage of a JSON object. Raises `ValueError` naming the stage and its part."""
    where, data = f"stage {number}", data if isinstance(data, dict) else {"kind": data}
    require_choice(f"{where}: kind", data.get("kind"), STAGES)
    rest = {key: value for key, value in data.items() if key != "kind"}
    return build_dataclass(STAGES[data["kind"]], where, rest)
