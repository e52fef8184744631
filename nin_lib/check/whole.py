"""Notebook 4: the whole network."""

from typing import Any

from ..flow import shape_flow, totals
from ..spec import Block, Network, Pool
from .judging import (
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
def down_to_ten(*mine: Any) -> None:
    for (name, block), count in zip(WAYS.items(), mine, strict=True):
        true = parameters(shape_flow(Network((block,), in_channels=384, input_size=5)))
        same_number(name, count, true, forgotten_biases(true, block.widths))


@exercise("4.3")
def nin_family(family: Any) -> None:
    members = [nin_network(call(family, n), size=64) for n in (1, 2, 3)]
    blocks = [len(member.blocks) for member in members]
    if not blocks[0] < blocks[1] < blocks[2]:
        raise Wrong(f"They have {blocks} blocks; each should have more than the one before.")
    for n, member in enumerate(members, start=1):
        if not any(isinstance(stage, Pool) for stage in member.stages):
            raise Wrong(f"family({n}) has no Pool: the maps should become smaller.")
    widest = [max(max(block.widths) for block in member.blocks) for member in members]
    if len(set(widest)) > 1:
        raise Wrong(f"Their widest layers have {widest} channels; only the depth should change.")
    if (count := totals(members[-1], 64).parameters) >= MOST:
        raise Wrong(f"The largest has {count:,} parameters; it should have fewer than {MOST:,}.")
