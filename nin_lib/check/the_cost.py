"""Notebook 8: the cost."""

from typing import Any

from ..flow import shape_flow, totals
from ..networks import CHAPTER, NETWORKS, alexnet_like
from ..spec import Block, Network
from .grading import RANDOM, ROUNDS, Wrong, call, exercise, nin_network, same_number

# Their largest pairs are the image and the first map, and the second map and the third.
EARLY = Network(
    (Block(5, (8,), stride=4), Block(3, (10, 16), padding=1)), in_channels=3, input_size=64
)
LATE = Network(
    (Block(3, (32,), padding=1), Block(1, (8, 64)), Block(3, (10,), stride=2)), input_size=28
)


@exercise("8.1")
def memory(training: Any, prediction: Any) -> None:
    named = [NETWORKS[name].network for name in RANDOM.sample(sorted(NETWORKS), ROUNDS)]
    for spec in (*named, EARLY, LATE):
        for copies in (2, 3):
            training_memory(training, spec, RANDOM.randrange(2, 300), copies)
        prediction_memory(prediction, spec)


def training_memory(training: Any, spec: Network, batch: int, copies: int) -> None:
    sums = totals(spec)
    true = 4 * (copies * sums.parameters + batch * sums.activations)
    slips = {
        true / 4: "these are numbers, not bytes.",
        4 * (copies * sums.parameters + sums.activations): "this is for one image only.",
        4 * (sums.parameters + batch * sums.activations): "each parameter has copies.",
        4 * (2 * sums.parameters + batch * sums.activations): "copies need not be 2.",
        4 * copies * (sums.parameters + batch * sums.activations): "activations have no copies.",
    }
    what = f"training, {sums.parameters:,} parameters, batch {batch}, copies {copies}"
    same_number(what, call(training, spec, batch, copies), true, slips)


def prediction_memory(prediction: Any, spec: Network) -> None:
    sums = totals(spec)
    out = [row.activations for row in shape_flow(spec) if row.activations]
    maps = [spec.in_channels * spec.input_size**2, *out]
    pairs = [before + after for before, after in zip(maps, out, strict=False)]
    pair, at = max(pairs), maps.index(max(maps))
    largest_and_next = sum(maps[at : at + 2])
    slips = {
        sums.parameters + pair: "these are numbers, not bytes.",
        4 * (sums.parameters + sums.activations): "not all maps are needed at once.",
        4 * (sums.parameters + max(maps)): "a layer needs what goes in and what comes out.",
        4 * pair: "the parameters are missing.",
        4 * (sums.parameters + largest_and_next): "the largest may pair with the one before.",
        4 * (sums.parameters + max(pairs[1:])): "the image is a map, too.",
        4 * (sums.parameters + pairs[1]): "the largest pair may be anywhere.",
    }
    what = f"prediction, {sums.parameters:,} parameters"
    same_number(what, call(prediction, spec), 4 * (sums.parameters + pair), slips)


@exercise("8.2")
def five_1x1(parameters: Any, multiply_adds: Any, activations: Any) -> None:
    sums, fewer = (
        totals(alexnet_like(Block(3, (10,) * depth, padding=1), depth=depth)) for depth in (6, 5)
    )
    mine = {"parameters": parameters, "multiply_adds": multiply_adds, "activations": activations}
    for name, count in mine.items():
        slips = {getattr(fewer, name): "each block has one 1×1 convolution too few."}
        same_number(name, count, getattr(sums, name), slips)


@exercise("8.3")
def lean_in_training(spec: Any) -> None:
    mine, theirs = totals(nin_network(spec, size=224), 224), totals(CHAPTER)
    if 2 * mine.activations > theirs.activations:
        share = 100 * mine.activations / theirs.activations
        raise Wrong(f"It has {share:.0f} % of NiN's activations; at most half are wanted.")
    share = 100 * mine.parameters / theirs.parameters
    if not 90 <= share <= 110:
        raise Wrong(f"It has {share:.0f} % of NiN's parameters; 90 to 110 % are wanted.")
    if mine.multiply_adds > theirs.multiply_adds:
        times = mine.multiply_adds / theirs.multiply_adds
        raise Wrong(f"It does {times:.2f} times NiN's work; no more than NiN's is wanted.")
