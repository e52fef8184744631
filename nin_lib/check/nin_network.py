"""Notebook 4: the whole network."""

from typing import Any

from ..flow import shape_flow, totals
from ..spec import Block, Network, Pool
from .grading import (
    Wrong,
    call,
    exercise,
    forgotten_biases,
    nin_network,
    numbers,
    parameters,
    same_number,
    same_tensor,
    sizes,
)

WAYS = {  # from 384 channels to 10, as 4.2 lists them
    "as_it_is": Block(3, (10, 10, 10), padding=1),
    "at_once": Block(1, (10,)),
    "in_steps": Block(3, (96, 32, 10), padding=1),
}
MOST = 2_000_000  # parameters, in 4.3


@exercise("4.1")
def average_head(head: Any) -> None:
    large = [(*sizes(2), *sizes(2, least=10, most=14)) for _ in range(3)]
    for shape in (*large, (1, *sizes(3)), (*sizes(2), 1, 1)):
        maps = numbers(*shape)
        what = f"For maps of shape {tuple(maps.shape)} the result"
        same_tensor(what, call(head, maps), maps.mean(dim=(2, 3)))


@exercise("4.2")
def down_to_ten(as_it_is: Any, at_once: Any, in_steps: Any) -> None:
    def count(block: Block) -> int:
        return parameters(shape_flow(Network((block,), in_channels=384, input_size=5)))

    alone = {count(Block(3, (10,), padding=1)): "this is a 3×3 convolution alone."}
    for (name, block), mine in zip(WAYS.items(), (as_it_is, at_once, in_steps), strict=True):
        true = count(block)
        same_number(name, mine, true, forgotten_biases(true, block.widths) | alone)


@exercise("4.3")
def nin_family(family: Any) -> None:
    members = [nin_network(call(family, n), size=64) for n in (1, 2, 3)]
    blocks = [len(member.blocks) for member in members]
    if not blocks[0] < blocks[1] < blocks[2]:
        raise Wrong(f"They have {blocks} blocks; each should have more than the one before.")
    pools = [sum(isinstance(stage, Pool) for stage in member.stages) for member in members]
    if len(set(pools)) > 1 or pools[0] == 0:
        raise Wrong(f"They have {pools} Pools; each should have as many, and at least one.")
    for n, member in enumerate(members, start=1):
        rows = shape_flow(member)
        sides = [64, *(row.shape[-1] for row in rows)]
        for row, before in zip(rows, sides, strict=False):
            if row.stage.startswith("pool") and row.shape[-1] >= before:
                raise Wrong(f"family({n}): {row.stage} makes no map smaller.")
    kinds = [{(block.kernel_size, block.widths) for block in member.blocks} for member in members]
    if kinds[0] != kinds[1] or kinds[0] != kinds[2]:
        raise Wrong("Their blocks differ in kernel size or widths; only the depth should change.")
    if (count := totals(members[-1], 64).parameters) >= MOST:
        raise Wrong(f"The largest has {count:,} parameters; it should have fewer than {MOST:,}.")
