"""The sums that Python and a page both compute, held against each other in Node.js."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_specs import networks, sizes

from nin_lib import class_maps as cm
from nin_lib.flow import ShapeError, as_pair, shape_flow, totals
from nin_lib.networks import network
from nin_lib.spec import Block, Dropout, Network, Pool
from nin_lib.unread import never_read
from nin_lib.widgets.base import delivered, unpacked
from nin_lib.widgets.pixel_mlp import convolve, numbers, shuffled_order, weights

# ---- the shape flow explorer

# For each case: rows, totals, error, and what is never read by one layer of a map that enters one.
RUN = """(cases) => {
  const keys = ["stage", "layer", "shape", "parameters", "multiply_adds", "activations",
    "receptive_field"];
  const plain = (value) => (typeof value === "bigint" ? String(value) : value);
  return cases.map(([spec, size, layer, entering]) => {
    const { rows, error } = flow(spec, size);
    const sums = totals(rows, error ? 0n : BigInt(spec.in_channels * size[0] * size[1]));
    const unread = [0, 1].map((axis) => error ? null : neverRead(rows, size, axis, layer, entering)
      .flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i)));
    return {
      rows: rows.map((row) => keys.map((key) => plain(row[key]))), error, unread,
      sums: [sums.parameters, sums.multiply_adds, sums.activations].map(plain),
    };
  });
}"""


def in_python(net, size, layer, entering):
    """The same as RUN gives; where a layer does not fit, the words only."""
    try:
        rows = shape_flow(net, size)
    except ShapeError as error:
        return {"error": str(error)}
    total = totals(net, size)
    numbers = [total.parameters, total.multiply_adds, total.activations]
    return {
        "rows": [
            [row.stage, row.layer, list(row.shape)]
            + list(map(str, (row.parameters, row.multiply_adds, row.activations)))
            + [str(row.receptive_field)]
            for row in rows
        ],
        "error": None,
        "unread": [*never_read(net, size, layer, entering)],
        "sums": list(map(str, numbers)),
    }


def random_cases(count):
    cases = {}

    @settings(max_examples=count, deadline=None, database=None, derandomize=True)
    @given(networks(), sizes, st.integers(0, 99), st.integers(0, 99))
    def collect(net, size, layer, entering):
        try:
            layer %= len(shape_flow(net, size))
        except ShapeError:
            layer = 0
        windows = sum(len(s.widths) if isinstance(s, Block) else 1 for s in net.stages)
        entering %= 1 + min(layer, max(windows - 1, 0))
        cases[net, size] = (net, size, layer, entering)

    collect()
    return list(cases.values())


HUGE = Network((Block(9, (999_999,) * 2, padding=4), Block(1, (10,))), input_size=99_999)
HAND_MADE = [
    *((network(name), as_pair(size), 3, 3) for name in ("chapter", "paper-mnist", "vgg11")
      for size in (1, 66, 67, 200, 224, 226, (300, 226))),
    (HUGE, (99_999, 99_998), 0, 0),  # sums far beyond 2**53
    (Network((Pool(3, 3, ceil_mode=True), Block(5_000, (1,)))), (9, 9), 0, 0),  # nothing works
    (Network((Block(1, (2,), stride=7), Dropout(0.25), Block(2, (1,), stride=3)), dense=(9,)),
     (90, 64), 3, 1),
]  # fmt: skip


@pytest.mark.slow
def test_javascript_and_python_agree_on_random_networks(in_javascript):
    cases = [*HAND_MADE, *random_cases(900)]
    expected = [in_python(*case) for case in cases]
    assert len(cases) >= 500
    assert sum(e["error"] is not None for e in expected) >= 100
    assert sum(bool(case[0].dense) for case in cases) > 100
    assert int(expected[21]["sums"][1]) > 2**53
    sent = [[json.loads(net.to_json()), *rest] for net, *rest in cases]
    found = in_javascript(delivered("shape_flow"), RUN, sent)
    for case, ours, theirs in zip(cases, expected, found, strict=True):
        assert {key: theirs[key] for key in ours} == ours, case


BROKEN = [
    {"stages": [{"kernel_size": 0}]},
    {"stages": [{"kernel_size": 2.5}]},
    {"stages": [{"stride": None}]},
    {"stages": [{"padding": -1}]},
    {"stages": [{"inner_kernel_size": 2}]},
    {"stages": [{"widths": []}]},
    {"stages": [{"widths": [3, 0]}]},
    {"stages": [{"widths": [3, "x"]}]},
    {"stages": [{"widths": [True]}]},
    {"stages": [{}, {"padding": 2}]},
    {"stages": [{}, {"stride": 0}]},
    {"stages": [{}, {"ceil_mode": 1}]},
    {"stages": [{}, {}, {"p": 1}]},
    {"stages": [{}, {}, {"p": "x"}]},
    {"in_channels": 0},
    {"input_size": 0},
    {"dense": [0]},
    {"dense": []},
    {"last_relu": None},
    {"stages": [{}, {"padding": 9}], "in_channels": "x"},  # the stage is told first
]


def test_broken_rules_have_the_same_words(in_javascript):
    base = Network((Block(3, (4, 2)), Pool(3, 2), Dropout()), input_size=20, dense=(5,))
    specs, expected = [], []
    for change in BROKEN:
        spec = json.loads(base.to_json())
        for stage, edit in zip(spec["stages"], change.get("stages", []), strict=False):
            stage.update(edit)
        spec.update({key: value for key, value in change.items() if key != "stages"})
        with pytest.raises(ValueError) as error:
            Network.from_json(json.dumps(spec))
        specs.append([spec, [20, 20], 0, 0])
        expected.append(str(error.value).partition("; got stages")[0])
    found = in_javascript(delivered("shape_flow"), RUN, specs)
    assert [case["error"] for case in found] == expected
    assert [len(case["rows"]) for case in found][8:13] == [0, 2, 2, 2, 3]  # those before it stay


# ---- the pixel MLP


def test_the_page_computes_what_python_computes(in_javascript, real):
    layers = real.config["stages"]
    lopsided = (np.arange(4 * 3 * 9) % 7 - 3).reshape(4, 3, 3, 3)  # no symmetry hides a mix-up
    function = """({ layers, seeds, kernel }) => {
      const hand = readLayer(layers.hand);
      return {
        sums: Object.values(layers).map((layer) => [...readLayer(layer).sums]),
        beside: [...convolve(hand, hand.x, kernel, 3)],
        orders: seeds.map((seed) => shuffledOrder(30, seed)),
      };
    }"""
    sent = {"layers": layers, "seeds": [1, 2, 500, 1000], "kernel": lopsided.ravel().tolist()}
    found = in_javascript(delivered("pixel_mlp"), function, sent)
    for layer, sums in zip(layers.values(), found["sums"], strict=True):
        expected = convolve(numbers(layer["inputs"]), weights(layer), layer["biases"])
        assert len(sums) == expected.size
        assert np.allclose(sums, expected.ravel(), rtol=0, atol=1e-12)
    hand = layers["hand"]
    beside = convolve(numbers(hand["inputs"]), lopsided, hand["biases"])
    assert found["beside"] == beside.ravel().tolist()
    assert found["orders"] == [shuffled_order(30, seed) for seed in (1, 2, 500, 1000)]


# ---- class maps


def test_python_and_the_page_compute_the_same(in_javascript, maps, covered_logits):
    function = """({ config, views, cells }) => {
      const data = unpack(config, null);
      return {
        views: views.map((view) => {
          const { logits, shares, exact, picture } = look({ ...config, ...view }, data);
          return { logits: [...logits], shares, exact, before: picture.logits };
        }),
        cells: cells.map((cell) => seen(data, cell).field),
        even: softmax([1000, 1000]),
      };
    }"""
    views = [{"image": i, "cover": None} for i in range(3)]
    places = [(k, i, r, c) for k in range(2) for i in range(3) for r in range(3) for c in range(3)]
    sizes = [prepared["size"] for prepared in maps.config["prepared"]]
    views += [{"image": i, "cover": [7 * r, 7 * c, sizes[k]]} for k, i, r, c in places]
    near = {"image": 1, "cover": [8, 20, 7]}  # row 8 → 7, column 20 → 21 with size 7 → 14, 8
    cells = [(row, column) for row in range(7) for column in range(7)]
    sent = dict(config=maps.config, views=[*views, near], cells=cells)
    found = in_javascript(delivered("class_maps"), function, sent)
    logits = cm.means(unpacked(maps.config["maps"]))
    expected = [
        *logits,
        *(covered_logits[k][i, r, c] for k, i, r, c in places),
        covered_logits[0][1, 1, 2],
    ]
    for view, values in zip(found["views"], expected, strict=True):
        assert np.allclose(view["logits"], values, rtol=1e-9, atol=1e-9)
        assert np.allclose(view["shares"], cm.softmax(values), rtol=1e-9, atol=1e-12)
    assert [view["exact"] for view in found["views"]] == [True] * len(views) + [False]
    spec = network("paper-mnist")
    for cell, (rows, columns) in zip(cells, found["cells"], strict=True):
        assert (slice(*rows), slice(*columns)) == cm.seen(spec, *cell)
    assert found["even"] == [0.5, 0.5]
