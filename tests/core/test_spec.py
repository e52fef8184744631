"""Networks as plain values: validation, JSON, and the recorded figures."""

import json
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nin_lib.flow import shape_flow, totals
from nin_lib.networks import COMPARED, NETWORKS, PUBLISHED, network
from nin_lib.recipe import Recipe, recipe
from nin_lib.spec import STAGES, Block, Dropout, Network, Pool


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
        (lambda: Block(3, 8), "Block.widths must be a tuple of integers of at least 1, got 8"),
        (lambda: Block(3, "8"), "Block.widths must be an integer of at least 1, got '8'"),
        (lambda: Block(3.0, (8,)), "Block.kernel_size must be an integer of at least 1, got 3.0"),
        (lambda: Block(np.True_, (8,)), "Block.kernel_size must be .* got np.True_"),
        (lambda: Block(2**31, (8,)), "Block.kernel_size must be an integer of at most 2147483647"),
        (lambda: Dropout("0.5"), "Dropout.p must be a number, got '0.5'"),
        (lambda: Dropout(False), "Dropout.p must be a number, got False"),
        (lambda: Network(Block(3, (8,))), "Network.stages must be a tuple of Block, Pool and"),
        (lambda: Network((Block(3, (8,)),), dense=10), "Network.dense must be a tuple of integers"),
        (lambda: network(["chapter"]), "there is no network named \\['chapter'\\]"),
        (lambda: recipe(["default"]), "there is no recipe named \\['default'\\]"),
        (lambda: shape_flow("chapter"), "network must be what network.'chapter'. gives"),
        (lambda: shape_flow(network("lenet"), [28]), "size must be an integer or .height, width."),
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
        (lambda d: d["stages"][1].update(kind=[]), r"stage 2: kind must be one of .* got \[\]"),
        (lambda d: d["stages"].append(None), "kind must be one of block, pool, dropout, got None"),
        (lambda d: d["stages"][0].update(widths=None), "stage 1: Block.widths must be .* got None"),
        (lambda d: d["stages"][0].update(stride=1.5), "stage 1: Block.stride must be .* got 1.5"),
        (lambda d: d.update(dense=7), "network: Network.dense must be a tuple .* got 7"),
        (lambda d: d.update(last_relu="no"), "Network.last_relu must be True or False, got 'no'"),
    ],
)
def test_json_that_does_not_fit_says_where(change, message):
    data = json.loads(network("chapter").to_json())
    change(data)
    with pytest.raises(ValueError, match=message):
        Network.from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["", "[", "nin", None, 7, "[" * 100_000, b"\xff"])
def test_text_that_is_no_json_is_named(text):
    with pytest.raises(ValueError, match="text must be a network as JSON: "):
        Network.from_json(text)


def test_sizes_of_any_integer_type_are_kept_as_plain_ones():
    block = Block(np.int64(3), np.array([8, 8]), stride=torch.tensor(1))
    spec = Network(
        (block, Pool(np.uint8(2), np.int8(2))),
        in_channels=np.int32(1), input_size=np.int64(28), dense=(np.int16(10),),
    )  # fmt: skip
    plain = Network((Block(3, (8, 8)), Pool(2, 2)), input_size=28, dense=(10,))
    assert spec == plain and spec.to_json() == plain.to_json()
    assert shape_flow(spec, np.int64(30)) == shape_flow(plain, [30, np.uint8(30)])
    assert Dropout(np.float32(0.5)) == Dropout(0.5) and type(Dropout(np.float32(0.5)).p) is float


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 99)
    | st.integers()
    | st.floats()
    | st.text(max_size=3),
    lambda values: (
        st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=2)
    ),
    max_leaves=4,
)
FIELDS = ("kind", *Block.__annotations__, *Pool.__annotations__, *Dropout.__annotations__)
STAGE = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from([*STAGES]) | JSON) | JSON
DATA = st.dictionaries(st.sampled_from([*Network.__annotations__]), st.lists(STAGE) | JSON) | JSON


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(DATA)
def test_whatever_the_json_holds_it_is_a_network_or_a_value_error(data):
    try:
        net = Network.from_json(json.dumps(data))
    except ValueError:
        return
    assert Network.from_json(net.to_json()) == net


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from([*Recipe.__annotations__]), JSON))
def test_whatever_a_recipe_is_made_of_it_is_one_or_a_value_error(values):
    try:
        how = Recipe(**{"learning_rate": 0.1, **values})
    except ValueError:
        return
    assert json.loads(json.dumps(how.__dict__, allow_nan=False)) == how.__dict__
