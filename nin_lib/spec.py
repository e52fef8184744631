"""The one description of a network that everything else reads.

A `Network` is a sequence of stages (`Block`, `Pool`, `Dropout`), then either global average
pooling, as in Network in Network, or dense layers, as in the networks it is compared with. All are
frozen dataclasses: to change one, make another with `dataclasses.replace`.

    >>> from dataclasses import replace
    >>> net = network("chapter")
    >>> net.stages[0]
    Block(kernel_size=11, widths=(96, 96, 96), stride=4, padding=0, inner_kernel_size=1)
    >>> replace(net, last_relu=False).num_classes
    10
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any


def require_int(where: str, value: object, at_least: int) -> None:
    """Raise `ValueError` naming the argument, its value and the rule."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ValueError(f"{where} must be an integer of at least {at_least}, got {value!r}")


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


# ── Networks by name ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Entry:
    """A named network with what is on record about it; tests hold the arithmetic against it."""

    network: Network
    parameters: int
    map_sizes: tuple[int, ...]  # side of the map after each block and pooling stage
    source: str


def paper_net(*widths: tuple[int, ...], in_channels: int, size: int, last_kernel: int) -> Network:
    """Three blocks; after the first two a pooling that rounds up, and dropout."""
    first, second, third = widths
    pool, dropout = Pool(ceil_mode=True), Dropout()
    return Network(
        (
            Block(5, first, padding=2), pool, dropout,
            Block(5, second, padding=2), pool, dropout,
            Block(last_kernel, third, padding=last_kernel // 2),
        ),
        in_channels=in_channels,
        input_size=size,
    )  # fmt: skip


def alexnet_like(
    *last_block: Block,
    depth: int = 3,
    inner: int = 1,
    in_channels: int = 1,
    dense: tuple[int, ...] = (),
) -> Network:
    """The chapter's network: AlexNet's 11, 5, 3 kernels; `depth` convolutions in each block."""
    pool = Pool()
    return Network(
        (
            Block(11, (96,) * depth, stride=4, inner_kernel_size=inner), pool,
            Block(5, (256,) * depth, padding=2, inner_kernel_size=inner), pool,
            Block(3, (384,) * depth, padding=1, inner_kernel_size=inner), pool,
            Dropout(), *last_block,
        ),
        in_channels=in_channels,
        dense=dense,
        last_relu=not dense,
    )  # fmt: skip


def vgg11(*widths: tuple[int, ...]) -> Network:
    """Groups of 3×3 convolutions, each group followed by 2×2 pooling; three dense layers."""
    stages: list[Stage] = []
    for group in widths:
        stages += [Block(3, (width,), padding=1) for width in group] + [Pool(2, 2)]
    return Network(tuple(stages), dense=(4096, 4096, 10), last_relu=False)


LENET = Network(
    (Block(5, (6,), padding=2), Pool(2, 2), Block(5, (16,)), Pool(2, 2)),
    input_size=28,
    dense=(120, 84, 10),
    last_relu=False,
)
ALEXNET = Network(
    (
        Block(11, (96,), stride=4, padding=1), Pool(),
        Block(5, (256,), padding=2), Pool(),
        Block(3, (384,), padding=1), Block(3, (384,), padding=1), Block(3, (256,), padding=1),
        Pool(),
    ),
    dense=(4096, 4096, 10),
    last_relu=False,
)  # fmt: skip

CHAPTER = alexnet_like(Block(3, (10, 10, 10), padding=1))
D2L = "Zhang et al., Dive into Deep Learning"
AUTHOR = "Lin, Chen and Yan 2014; the author's published definition"
NIN_MAPS = (54, 26, 26, 12, 12, 5, 5)
CIFAR_MAPS = (32, 16, 16, 8, 8)

PAPER_MNIST = paper_net(
    (96, 64, 48), (128, 96, 48), (128, 96, 10), in_channels=1, size=28, last_kernel=5
)
PAPER_CIFAR10 = paper_net(
    (192, 160, 96), (192, 192, 192), (192, 192, 10), in_channels=3, size=32, last_kernel=3
)
PAPER_CIFAR100 = paper_net(
    (192, 160, 96), (192, 192, 192), (192, 192, 100), in_channels=3, size=32, last_kernel=3
)
PAPER_SVHN = paper_net(
    (128, 96, 64), (320, 256, 128), (384, 256, 10), in_channels=3, size=32, last_kernel=5
)
IMAGENET = alexnet_like(Block(3, (1024, 1024, 1000), padding=1), in_channels=3)
LATER = "the later ImageNet model of the same author; not in the paper"

PUBLISHED = {
    "chapter": Entry(CHAPTER, 1_992_166, NIN_MAPS, f"{D2L}, section 8.3"),
    "paper-mnist": Entry(PAPER_MNIST, 349_674, (28, 14, 14, 7, 7), AUTHOR),
    "paper-cifar10": Entry(PAPER_CIFAR10, 966_986, CIFAR_MAPS, AUTHOR),
    "paper-cifar100": Entry(PAPER_CIFAR100, 984_356, CIFAR_MAPS, AUTHOR),
    "paper-svhn": Entry(PAPER_SVHN, 1_986_026, CIFAR_MAPS, AUTHOR),
    "imagenet": Entry(IMAGENET, 7_595_176, NIN_MAPS, LATER),
}

# What the chapter's network is held against: shapes and costs, not training details.
VGG_MAPS = (224, 112, 112, 56, 56, 56, 28, 28, 28, 14, 14, 14, 7)
VGG11 = vgg11((64,), (128,), (256, 256), (512, 512), (512, 512))
VGG11_THIN = vgg11((16,), (32,), (64, 64), (128, 128), (128, 128))
ONE_1X1 = alexnet_like(Block(3, (10, 10), padding=1), depth=2)
THREE_1X1 = alexnet_like(Block(3, (10,) * 4, padding=1), depth=4)
NO_1X1 = alexnet_like(Block(3, (10, 10, 10), padding=1, inner_kernel_size=3), inner=3)
ALEXNET_HEAD = alexnet_like(dense=(4096, 4096, 10))
DENSE_10 = alexnet_like(Block(3, (10, 10, 10), padding=1), dense=(10,))

COMPARED = {
    "lenet": Entry(LENET, 61_706, (28, 14, 10, 5), f"{D2L}, section 7.6"),
    "alexnet": Entry(ALEXNET, 46_764_746, (54, 26, 26, 12, 12, 12, 12, 5), f"{D2L}, section 8.1"),
    "vgg11": Entry(VGG11, 128_806_154, VGG_MAPS, f"{D2L}, section 8.2"),
    "vgg11-thin": Entry(VGG11_THIN, 43_093_322, VGG_MAPS, f"{D2L}, section 8.2"),
    "nin-one-1x1": Entry(ONE_1X1, 1_769_112, NIN_MAPS, "variant: one 1×1 in a block"),
    "nin-three-1x1": Entry(THREE_1X1, 2_215_220, NIN_MAPS, "variant: three 1×1 in a block"),
    "nin-3x3": Entry(NO_1X1, 5_549_094, NIN_MAPS, "variant: 3×3 in place of 1×1"),
    "nin-alexnet-head": Entry(
        ALEXNET_HEAD, 58_105_354, NIN_MAPS[:-1], "variant: blocks 1 to 3, AlexNet's dense layers"
    ),
    "nin-dense-10": Entry(
        DENSE_10, 1_994_676, NIN_MAPS, "variant: a dense layer 250 → 10 in place of averaging"
    ),
}

NETWORKS = PUBLISHED | COMPARED


def network(name: str) -> Network:
    """The network of that name, such as ``"chapter"`` or ``"paper-mnist"``.

    Raises `ValueError` for an unknown name, and lists those there are.
    """
    if name not in NETWORKS:
        raise ValueError(f"there is no network named {name!r}; there are {', '.join(NETWORKS)}")
    return NETWORKS[name].network
