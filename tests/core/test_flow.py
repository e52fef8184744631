"""The arithmetic against PyTorch itself: shapes by forward hooks, multiply-adds by its counter."""

import math

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_specs import networks, pools, sizes
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from nin_lib import torch as nin
from nin_lib.flow import ShapeError, pool_size, shape_flow, smallest_input, totals
from nin_lib.networks import PUBLISHED, network
from nin_lib.spec import Block, Dropout, Network, Pool
from nin_lib.tables import html_table, text_table
from nin_lib.unread import never_read

LAYERS = (nn.Conv2d, nn.MaxPool2d, nn.Dropout, nn.Linear, nin.GlobalAveragePool)
CHECKED = {*PUBLISHED, "lenet", "nin-3x3", "nin-dense-10"}


def what_torch_does(net, size):
    """For each layer: output shape, parameters, multiply-adds, as PyTorch itself sees them."""
    model = nin.NiN(net).eval()
    rows, handles = [], []
    for layer in model.modules():
        if isinstance(layer, LAYERS):
            handles.append(
                layer.register_forward_hook(lambda m, _, out: rows.append((m, out.shape)))
            )
    counter = FlopCounterMode(display=False)
    with torch.no_grad():
        model(torch.zeros(1, net.in_channels, *size))
        for handle in handles:
            handle.remove()
        with counter:
            model(torch.zeros(1, net.in_channels, *size))
    parameters = [sum(p.numel() for p in layer.parameters()) for layer, _ in rows]
    return [tuple(s[1:]) for _, s in rows], parameters, counter.get_total_flops() / 2


def assert_flow_equals_torch(net, size):
    rows = shape_flow(net, size)
    shapes, parameters, multiply_adds = what_torch_does(net, size)
    assert [row.shape for row in rows] == shapes
    assert [row.parameters for row in rows] == parameters
    assert sum(row.multiply_adds for row in rows) == multiply_adds
    for row in rows:
        layers_without_multiplications = ("pool", "dropout")
        if any(word in row.layer for word in layers_without_multiplications):
            assert row.multiply_adds == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CHECKED))
def test_named_networks_against_torch(name):
    net = network(name)
    assert_flow_equals_torch(net, (net.input_size, net.input_size))


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(networks(), sizes)
def test_random_networks_against_torch(net, size):
    if net.dense:
        size = (net.input_size, net.input_size)
    try:
        shape_flow(net, size)
    except ShapeError:
        assume(False)
    assert_flow_equals_torch(net, size)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(networks(), sizes)
def test_where_flow_says_no_torch_says_no(net, size):
    """A spec without dense layers: flow's ShapeError and PyTorch's RuntimeError go together."""
    net = Network(net.stages + (Block(1, (2,)),), in_channels=net.in_channels)
    try:
        shape_flow(net, size)
        fits = True
    except ShapeError:
        fits = False
    plain = nn.Sequential(*nin.layers(net))  # without NiN's own check
    try:
        plain(torch.zeros(1, net.in_channels, *size))
        runs = True
    except RuntimeError:
        runs = False
    assert fits == runs


@settings(max_examples=100, deadline=None)
@given(networks(), sizes)
def test_each_layers_multiply_adds_are_weights_times_positions(net, size):
    """Written independently of flow: from PyTorch's weights and the map that comes out."""
    size = (net.input_size, net.input_size) if net.dense else size
    try:
        rows = shape_flow(net, size)
    except ShapeError:
        assume(False)
    weighted = [m for m in nin.NiN(net).modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    rows = [row for row in rows if row.parameters]
    for row, layer in zip(rows, weighted, strict=True):
        positions = torch.Size(row.shape[1:]).numel()
        assert row.multiply_adds == layer.weight.numel() * positions


@settings(max_examples=300, deadline=None)
@given(pools(), sizes)
def test_pooling_rounds_as_torch_does(pool, size):
    maps = torch.zeros(1, 1, *size)
    expected = tuple(pool_size(side, pool) for side in size)
    try:
        out = F.max_pool2d(
            maps, pool.kernel_size, pool.stride, pool.padding, ceil_mode=pool.ceil_mode
        )
        assert tuple(out.shape[2:]) == expected
    except RuntimeError:
        assert min(expected) < 1


@settings(max_examples=60, deadline=None)
@given(networks(), sizes)
def test_totals_are_sums_and_tables_agree(net, size):
    size = (net.input_size, net.input_size) if net.dense else size
    try:
        rows, total = shape_flow(net, size), totals(net, size)
    except ShapeError:
        assume(False)
    assert total.parameters == sum(row.parameters for row in rows)
    assert total.multiply_adds == sum(row.multiply_adds for row in rows)
    image = net.in_channels * size[0] * size[1]
    assert total.activations == image + sum(row.activations for row in rows)
    assert len(text_table(net, size).splitlines()) == len(rows) + 2
    assert html_table(net, size).count("<tr>") == len(rows) + 2


@settings(max_examples=40, deadline=None)
@given(networks())
def test_receptive_field_by_gradient(net):
    """Where a gradient arrives is what an output can see: all weights 1, so nothing cancels."""
    size = (64, 64)
    net = Network(tuple(s for s in net.stages if isinstance(s, Block)) + (Block(1, (1,)),),
                  in_channels=1)  # fmt: skip
    try:
        rows = shape_flow(net, size)
    except ShapeError:
        assume(False)
    model = nn.Sequential(*list(nin.layers(net))[:-1]).double()
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    image = torch.ones(1, 1, *size, dtype=torch.double, requires_grad=True)
    maps = model(image)
    middle = maps.shape[2] // 2
    maps[0, 0, middle, middle].backward()
    paths = math.prod(m.weight[0].numel() for m in model.modules() if isinstance(m, nn.Conv2d))
    no_padding_read = image.grad.sum() == paths  # a path that starts in the padding is missing
    seen = image.grad[0, 0].sum(1).nonzero().flatten().tolist() or [0]
    extent = max(seen) - min(seen) + 1  # a stride wider than the kernel leaves gaps in between
    field = rows[-2].receptive_field
    assert extent == field if no_padding_read else extent <= field


def unread_by_torch(net, size, layer):
    """Put NaN into one row of the image at a time, and see whether any output notices."""
    model = nin.NiN(net).eval()
    layers = [m for m in model.modules() if isinstance(m, LAYERS)]
    outputs = []
    layers[layer].register_forward_hook(lambda m, _, out: outputs.append(out.flatten(1)))
    unread = []
    for axis, side in enumerate(size):
        images = torch.zeros(side, net.in_channels, *size)
        images.movedim(2 + axis, 1)[range(side), range(side)] = torch.nan
        with torch.no_grad():
            model(images)
        noticed = outputs.pop().isnan().any(1)
        unread.append((~noticed).nonzero().flatten().tolist())
    return tuple(unread)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(networks(), sizes, st.integers(0, 20))
def test_what_is_never_read_against_torch(net, size, layer):
    size = (net.input_size, net.input_size) if net.dense else size
    try:
        layer %= len(shape_flow(net, size))
    except ShapeError:
        assume(False)
    found, truth = never_read(net, size, layer), unread_by_torch(net, size, layer)
    if tuple(map(len, truth)) == tuple(size):  # only padding is read
        assert any(len(lines) == side for lines, side in zip(found, size, strict=True))
    else:
        assert found == truth


def test_three_inputs_end_in_the_same_map_because_edges_are_left_out():
    net = network("chapter")
    last = len(shape_flow(net)) - 1
    for size, at_the_edge, in_all in ((200, 1, 5), (224, 1, 5), (226, 3, 7)):
        edge = list(range(size - at_the_edge, size))
        assert never_read(net, size, 0) == (edge, edge)
        assert len(never_read(net, size, last)[0]) == in_all
    pool_3 = 11  # 12 rows reach it; its last window ends at row 10
    assert never_read(net, 224, pool_3, entering=pool_3) == ([11], [11])
    assert never_read(net, (224, 195), 0) == ([223], [])


def test_a_stride_wider_than_the_kernel_leaves_gaps():
    net = Network((Block(1, (1,), stride=3), Block(2, (1,))))
    assert never_read(net, 8, 1)[0] == [1, 2, 4, 5, 7]
    assert never_read(net, 8, 1, entering=1)[0] == []
    for layer, entering in ((-1, 0), (0, 1), (0, -1), (0.5, 0)):
        with pytest.raises(ValueError, match="must be an integer of at least"):
            never_read(net, 8, layer, entering)


LEDGER = {  # parameters, millions of multiply-adds, MiB of activations; recorded independently
    "lenet": (61_706, "0.417", "0.03"),
    "alexnet": (46_764_746, "938", "2.93"),
    "vgg11": (128_806_154, "7547", "34.4"),
    "vgg11-thin": (43_093_322, "512", "8.76"),
    "chapter": (1_992_166, "762", "6.44"),
    "nin-one-1x1": (1_769_112, "670", "4.50"),
    "nin-three-1x1": (2_215_220, "855", "8.38"),
    "nin-3x3": (5_549_094, "2241", "6.44"),
    "nin-alexnet-head": (58_105_354, "818", "6.46"),
    "nin-dense-10": (1_994_676, "762", "6.44"),
}


@pytest.mark.parametrize("name", LEDGER)
def test_the_ledger(name):
    parameters, millions, mib = LEDGER[name]
    total = totals(network(name))
    assert total.parameters == parameters
    digits = len(millions.partition(".")[2])
    assert f"{total.multiply_adds / 1e6:.{digits}f}" == millions
    assert f"{total.activation_mib:.{len(mib.partition('.')[2])}f}" == mib


def test_both_rounding_rules_of_the_papers_net():
    net = network("paper-mnist")
    down = Network(tuple(Pool() if isinstance(s, Pool) else s for s in net.stages), input_size=28)
    assert totals(net).parameters == totals(down).parameters  # counting cannot notice
    assert round(totals(net).multiply_adds / 1e6, 1) == 50.7
    assert round(totals(down).multiply_adds / 1e6, 1) == 43.9


def test_the_imagenet_model_rounds_up_as_caffe_does():
    """The published definition, written down once more, with Caffe's own formula for a pooling."""
    net = network("imagenet")
    side, channels, work, sides = 224, 3, 0, []
    for k, stride, padding, widths in (
        (11, 4, 0, (96, 96, 96)), (5, 1, 2, (256, 256, 256)), (3, 1, 1, (384, 384, 384)),
        (3, 1, 1, (1024, 1024, 1000)),
    ):  # fmt: skip
        side = (side + 2 * padding - k) // stride + 1
        for width in widths:
            work += k * k * channels * width * side * side
            k, channels = 1, width
        sides.append(side)
        side = math.ceil((side - 3) / 2) + 1
    assert sides == [54, 27, 13, 6]
    assert totals(net).multiply_adds == work == 1_100_188_800
    assert shape_flow(net)[-2].shape == (1000, 6, 6)  # the definition averages 6×6
    assert totals(net).parameters == 7_595_176


def test_recorded_facts_of_the_chapters_net():
    rows = shape_flow(network("chapter"), 224)
    assert rows[-2].receptive_field == 195
    assert shape_flow(network("paper-mnist"))[-2].receptive_field == 35
    assert smallest_input(network("chapter")) == 67
    total = totals(network("chapter")).multiply_adds
    largest = max(rows, key=lambda row: row.multiply_adds)
    assert (largest.stage, largest.layer) == ("block 2", "5×5 conv")
    assert round(100 * largest.multiply_adds / total) == 54
    assert [shape_flow(network("chapter"), n)[-2].shape[1] for n in (200, 224, 226)] == [5, 5, 5]


def test_a_layer_that_does_not_fit_says_everything():
    with pytest.raises(ShapeError) as error:
        shape_flow(network("chapter"), 66)
    message = str(error.value)
    assert "pool 3" in message and "2×2 input" in message
    assert "kernel_size 3 does not fit" in message and "padding 0" in message
    assert "smallest input that works is 67×67" in message
    with pytest.raises(ShapeError, match="block 1, convolution 1: kernel_size 11 .* 5×300 input"):
        shape_flow(network("chapter"), (5, 300))


@settings(max_examples=60, deadline=None)
@given(networks())
def test_the_smallest_input_works_and_one_less_does_not(net):
    smallest = smallest_input(net)
    shape_flow(net, smallest)
    if smallest > 1:
        with pytest.raises(ShapeError):
            shape_flow(net, smallest - 1)


@pytest.mark.parametrize("size", [0, -3, 2.5, (3,), (3, 0), (3, 4, 5)])
def test_impossible_sizes(size):
    with pytest.raises(ValueError, match="^size must be"):
        shape_flow(network("chapter"), size)


def test_dropout_keeps_no_map_of_its_own():
    rows = shape_flow(Network((Dropout(), Block(1, (2,))), input_size=4))
    assert (rows[0].activations, rows[0].shape) == (0, (1, 4, 4))


def test_tables_escape_and_align():
    table = html_table(network("chapter"))
    assert "<script" not in table and 'scope="col"' in table
    lines = text_table(network("chapter")).splitlines()
    assert lines[0].startswith("stage") and lines[-1].startswith("total")
