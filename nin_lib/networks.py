"""The published networks, and those that NiN is compared with, by name.

>>> network("chapter").num_classes
10
"""

from __future__ import annotations

from dataclasses import dataclass

from .spec import Block, Dropout, Network, Pool, Stage


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
    ceil_mode: bool = False,
) -> Network:
    """Return the chapter's network: AlexNet's kernels, `depth` convolutions in each block."""
    pool = Pool(ceil_mode=ceil_mode)
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
    """Return VGG: groups of 3×3 convolutions, 2×2 pooling after each, three dense layers."""
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
# Caffe rounds the output size of a pooling up (`Reshape` in its pooling_layer.cpp), so these maps
# have 54, 27, 13 and 6 pixels a side. The published definition ends in an average over 6×6.
IMAGENET = alexnet_like(Block(3, (1024, 1024, 1000), padding=1), in_channels=3, ceil_mode=True)
IMAGENET_MAPS = (54, 27, 27, 13, 13, 6, 6)
MODEL_ZOO = "https://gist.github.com/mavenlin/d802a5849de39225bcc6"
LATER = f"the author's later ImageNet model for Caffe, {MODEL_ZOO}; not in the paper"

PUBLISHED = {
    "chapter": Entry(CHAPTER, 1_992_166, NIN_MAPS, f"{D2L}, section 8.3"),
    "paper-mnist": Entry(PAPER_MNIST, 349_674, (28, 14, 14, 7, 7), AUTHOR),
    "paper-cifar10": Entry(PAPER_CIFAR10, 966_986, CIFAR_MAPS, AUTHOR),
    "paper-cifar100": Entry(PAPER_CIFAR100, 984_356, CIFAR_MAPS, AUTHOR),
    "paper-svhn": Entry(PAPER_SVHN, 1_986_026, CIFAR_MAPS, AUTHOR),
    "imagenet": Entry(IMAGENET, 7_595_176, IMAGENET_MAPS, LATER),
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
    """Return the network of that name, such as ``"chapter"`` or ``"paper-mnist"``.

    Raises `ValueError` for an unknown name, and lists those there are.
    """
    if not isinstance(name, str) or name not in NETWORKS:
        raise ValueError(f"there is no network named {name!r}; there are {', '.join(NETWORKS)}")
    return NETWORKS[name].network
