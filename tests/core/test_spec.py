"""Networks as plain values: validation, JSON, and the recorded figures."""

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from nin_lib.flow import shape_flow, totals
from nin_lib.networks import COMPARED, NETWORKS, PUBLISHED, network
from nin_lib.spec import Block, Dropout, Network, Pool


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_and_map_sizes_are_the_recorded_ones(name):
    entry = NETWORKS[name]
    sizes = {}  # the last map of each stage
    for row in shape_flow(entry.network):
        if row.stage.startswith(("block", "pool")):
            sizes[row.stage] = row.shape[1]
    assert totals(entry.network).parameters == entry.parameters
    assert tuple(sizes.values()) == entry.map_sizes


@pytest.mark.parametrize("name", NETWORKS)
def test_json_round_trip(name):
    net = network(name)
    assert Network.from_json(net.to_json()) == net


def test_specs_are_values():
    assert replace(network("chapter"), last_relu=False) != network("chapter")
    assert hash(network("chapter")) == hash(PUBLISHED["chapter"].network)
    assert Block(3, [8, 8]) == Block(3, (8, 8))
    with pytest.raises(FrozenInstanceError):
        network("chapter").in_channels = 3


def test_num_classes():
    assert network("paper-cifar100").num_classes == 100
    assert COMPARED["lenet"].network.num_classes == 10


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Block(0, (8,)), "Block.kernel_size must be an integer of at least 1, got 0"),
        (lambda: Block(3, ()), "Block.widths must name at least one width"),
        (lambda: Block(3, (8, 0)), "Block.widths must be an integer of at least 1, got 0"),
        (lambda: Block(3, (8,), stride=0), "Block.stride"),
        (lambda: Block(3, (8,), padding=-1), "Block.padding must be an integer of at least 0"),
        (lambda: Block(3, (8,), inner_kernel_size=2), "inner_kernel_size must be odd, got 2"),
        (lambda: Block(True, (8,)), "Block.kernel_size"),
        (lambda: Pool(3, padding=2), "at most half of kernel_size 3, got 2"),
        (lambda: Pool(ceil_mode=1), "Pool.ceil_mode must be True or False, got 1"),
        (lambda: Dropout(1.0), "Dropout.p must be at least 0 and below 1, got 1.0"),
        (lambda: Network((Pool(),)), "must end in a Block"),
        (lambda: Network(()), "must end in a Block"),
        (lambda: Network(("conv",)), "holds Block, Pool and Dropout, got 'conv'"),
        (lambda: Network((Block(3, (8,)),), in_channels=0), "Network.in_channels"),
        (lambda: Network((Block(3, (8,)),), dense=(0,)), "Network.dense"),
        (lambda: network("resnet"), "no network named 'resnet'; there are chapter, paper-mnist"),
    ],
)
def test_bad_values_name_the_argument_its_value_and_the_rule(make, message):
    with pytest.raises(ValueError, match="^.*" + message.replace("(", r"\(")):
        make()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("stages"), "a list 'stages'"),
        (lambda d: d["stages"][1].update(kind="conv"), "stage 2: kind must be one of"),
        (lambda d: d["stages"][0].update(colour=1), "stage 1: Block has no field colour"),
        (lambda d: d["stages"][0].pop("widths"), "stage 1: .*widths"),
        (lambda d: d["stages"][0].update(widths=7), "stage 1: "),
        (lambda d: d.update(depth=3), "network: Network has no field depth"),
    ],
)
def test_json_that_does_not_fit_says_where(change, message):
    data = json.loads(network("chapter").to_json())
    change(data)
    with pytest.raises(ValueError, match=message):
        Network.from_json(json.dumps(data))
