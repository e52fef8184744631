"""Small networks that between them use every option of a spec, and weights to go with them."""

import numpy as np

from nin_lib.networks import network
from nin_lib.spec import Block, Dropout, Network, Pool
from nin_lib.weights import shapes

# name: (network, height and width of the images)
FIXED = {
    "one convolution": (Network((Block(3, (4,)),)), (6, 7)),
    "stride": (Network((Block(3, (4, 5), stride=2), Block(2, (3, 3), stride=3))), (17, 14)),
    "padding": (Network((Block(5, (4, 3), padding=2), Block(1, (3,), padding=3))), (6, 5)),
    "stride and padding": (Network((Block(4, (4, 3), stride=3, padding=2),)), (11, 8)),
    "3×3 inside": (Network((Block(5, (4, 3, 3), stride=2, inner_kernel_size=3),)), (9, 12)),
    "5×5 inside": (Network((Block(2, (3, 2), padding=1, inner_kernel_size=5),)), (5, 3)),
    "no last ReLU": (Network((Block(3, (4, 3)), Block(1, (3, 3))), last_relu=False), (6, 6)),
    "three channels": (Network((Block(3, (4, 3)), Dropout(0.3), Block(2, (3, 3))), 3), (9, 8)),
    "pool": (Network((Pool(), Block(2, (4, 3)), Pool(2, 2), Block(1, (3,)))), (15, 12)),
    "pool rounds up": (Network((Pool(ceil_mode=True), Block(2, (4, 3)))), (8, 9)),
    "pool drops a last window": (Network((Pool(2, 3, 1, ceil_mode=True), Block(1, (3,)))), (7, 8)),
    "pool pads": (Network((Pool(3, 2, padding=1), Block(2, (4, 3)), Pool(2, 2, 1), Block(1, (2,)))),
                  (8, 9)),
    "pool pads and rounds up": (Network((Pool(4, 3, 2, ceil_mode=True), Block(2, (3,)))), (9, 11)),
    "pool skips pixels": (Network((Pool(1, 3), Block(2, (4, 3)), Pool(2, 3), Block(1, (3,)))),
                          (13, 16)),
    "dense": (Network((Block(3, (4, 3)), Pool(2, 2)), 2, 8, dense=(5, 3), last_relu=False), (8, 8)),
    "dense, last ReLU": (Network((Pool(), Block(2, (3,)), Dropout()), 1, 9, dense=(4,)), (9, 9)),
    "dense after a block": (Network((Block(2, (4, 3)),), 1, 4, (3,), last_relu=False), (4, 4)),
    "dense alone": (Network((), 2, 3, dense=(4, 3)), (3, 3)),
    "lenet": (network("lenet"), (28, 28)),
}  # fmt: skip


def random_weights(spec, seed=0, dtype=np.float64):
    """Weights under which numbers keep their size; biases mostly above zero, so that ReLUs live."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes(spec).items():
        if name.endswith("weight"):
            array = rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)
        else:
            array = rng.uniform(-0.1, 0.3, shape)
        weights[name] = array.astype(dtype)
    return weights


def random_images(spec, size, n=2, seed=0):
    """N×H×W×C numbers, most of them below zero: a pooling that pads with zeros shows."""
    rng = np.random.default_rng(seed)
    return rng.normal(-1.0, 1.0, (n, *size, spec.in_channels))
