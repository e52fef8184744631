"""The pixel MLP without a browser: its sums against PyTorch's, its text, its refusals."""

import html
import json
import math

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("anywidget")
import torch
from torch.nn.functional import conv2d

from nin_lib import network
from nin_lib import torch as nin
from nin_lib.spec import Block, Network
from nin_lib.widgets.pixel_mlp import (
    BIASES,
    INPUTS,
    KERNEL,
    ONE_NUMBER,
    SHUFFLING,
    WEIGHTS,
    PixelMLP,
    convolve,
    numbers,
    shuffled,
    shuffled_order,
    unshuffled,
    weights,
)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return nin.NiN(network("paper-mnist"))


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(1).random((28, 28))


@pytest.fixture(scope="module")
def pixels(model, image):
    return PixelMLP.of(model, image)


def by_torch(x, kernel, biases):
    tensors = [torch.tensor(np.asarray(a), dtype=torch.float64) for a in (x, kernel, biases)]
    return conv2d(*tensors, padding=kernel.shape[-1] // 2).numpy()


def all_results(pixels):
    """`result.before` at every pixel, as C×H×W."""
    _, height, width = numbers(pixels.config["stages"][pixels.stage]["inputs"]).shape
    sums = np.empty((len(pixels.result.before), height, width))
    for row in range(height):
        for column in range(width):
            pixels.pixel = row, column
            sums[:, row, column] = pixels.result.before
            assert (pixels.result.after == np.maximum(pixels.result.before, 0)).all()
    return sums


def test_the_sums_by_hand_are_those_of_pytorch_at_every_pixel():
    kernel = np.array(WEIGHTS)[:, :, None, None]
    assert (all_results(PixelMLP()) == by_torch(INPUTS, kernel, BIASES)).all()
    lopsided = (np.arange(KERNEL.size) % 7 - 3).reshape(KERNEL.shape)  # no symmetry hides a mix-up
    for kernel in (KERNEL, lopsided):
        sums = convolve(np.array(INPUTS), kernel, BIASES)
        assert (sums == by_torch(INPUTS, kernel, BIASES)).all()


def test_one_sum_by_hand():
    pixels = PixelMLP()
    pixels.pixel = 1, 5  # x = (1, 3, 0)
    assert pixels.result.before.tolist() == [1, 0, -1, 6]
    assert pixels.result.after.tolist() == [1, 0, 0, 6]


def test_the_numbers_by_hand_can_show_what_they_are_to_show():
    x, sums = np.array(INPUTS), convolve(np.array(INPUTS), KERNEL, BIASES)
    assert x.shape == (3, 5, 6)  # all different, so that a mix-up of axes is seen
    assert np.array(WEIGHTS).shape == (4, 3)
    assert (KERNEL[:, :, 1, 1] == WEIGHTS).all()
    assert np.array(WEIGHTS)[:, 0].all()  # a change of input 0 reaches every output
    assert np.abs(sums).max() <= 10  # fits its cell
    assert (by_torch(x, np.array(WEIGHTS)[:, :, None, None], BIASES) < 0).any()  # the task
    for question in (ONE_NUMBER, SHUFFLING):
        assert [choice.right for choice in question.choices].count(True) == 1
        assert all(choice.why for choice in question.choices)


@pytest.mark.parametrize(("block", "layer"), [(1, 2), (1, 3), (2, 2), (3, 2)])
def test_a_real_layer_is_that_of_the_model(model, image, block, layer):
    pixels = PixelMLP.of(model, image, block, layer)
    data = pixels.config["stages"]["network"]
    x = numbers(data["inputs"])
    sums = all_results(pixels)
    assert np.allclose(sums, by_torch(x, weights(data), data["biases"]), rtol=0, atol=1e-12)

    # The model's own numbers, as far as 8 bits go, at the pixels that are shown.
    model.eval()
    with torch.no_grad():
        maps = torch.tensor(image, dtype=torch.float32)[None, None]
        before, (found, *_) = list(model)[: 3 * (block - 1)], list(model)[3 * (block - 1) :]
        maps = torch.nn.Sequential(*before)(maps)  # blocks, pools, dropout
        expected = found[: 2 * layer - 1](maps)[0].numpy()
    model.train()
    step = 2 if block == 1 else 1
    expected = expected[data["shown_outputs"], ::step, ::step]
    assert sums.shape == expected.shape
    assert np.abs(sums - expected).max() < 0.05 * np.abs(expected).max()
    assert max(x.shape[1:]) <= 14
    assert len(json.dumps(pixels.config)) < 60_000
    assert len(data["shown_inputs"]) == len(data["shown_outputs"]) == 12
    means = np.maximum(sums, 0).mean(axis=(1, 2))
    assert means[0] == pytest.approx(means.max(), rel=0.05)  # the strongest comes first


def test_an_image_may_be_bytes_or_a_tensor_and_the_model_is_left_alone(model, image):
    grey = (image * 255).astype(np.uint8)
    grey.setflags(write=False)  # as images from a file are
    model.train()
    first = PixelMLP.of(model, grey).config
    assert first == PixelMLP.of(model, torch.tensor(grey)[None]).config
    assert first == PixelMLP.of(model, grey / np.float32(255)).config
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_largest_layers_of_the_chapter_stay_small():
    with torch.no_grad():
        large = nin.NiN(network("chapter"))
    image = np.random.default_rng(0).random((224, 224))
    for block in (1, 3):
        assert len(json.dumps(PixelMLP.of(large, image, block, 2).config)) < 60_000


def test_shuffling_makes_no_difference_to_a_1x1_and_much_to_a_3x3():
    x = np.array(INPUTS)
    one = np.array(WEIGHTS)[:, :, None, None]
    for seed in range(1, 20):
        order = shuffled_order(30, seed)
        assert sorted(order) == list(range(30))
        assert (unshuffled(shuffled(x, order), order) == x).all()
        differing = [
            (
                unshuffled(convolve(shuffled(x, order), kernel, BIASES), order)
                != convolve(x, kernel, BIASES)
            ).sum()
            for kernel in (one, KERNEL)
        ]
        assert differing[0] == 0
        assert differing[1] > 80
    assert shuffled_order(5, 1) == [3, 0, 4, 1, 2]  # the same on every machine
    assert shuffled_order(30, 1) != shuffled_order(30, 2)


def test_pixel_and_stage_can_be_set(pixels):
    assert pixels.stage == "network"
    assert pixels.pixel == (7, 7)
    pixels.stage = "hand"
    assert pixels.pixel == (2, 3)
    pixels.pixel = np.int64(4), 5
    assert pixels.state["pixel"] == [4, 5]
    assert pixels.result.before.tolist() == [0, -4, 0, 1]
    pixels.stage = "network"
    assert pixels.result.before.shape == (12,)


@pytest.mark.parametrize(
    "pixel", [(5, 0), (0, 6), (-1, 0), (0.5, 1), (math.nan, 1), (1,), (1, 2, 3), 3, "ab", None]
)
def test_a_pixel_outside_is_refused(pixel):
    with pytest.raises(ValueError, match=r"pixel must be \(row, column\) in 5 rows and 6 columns"):
        PixelMLP().pixel = pixel


def test_an_unknown_stage_is_refused():
    with pytest.raises(ValueError, match="stage must be one of hand, got 'network'"):
        PixelMLP().stage = "network"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(block=4), "block must be at most 3, got 4"),
        (dict(block=0), "block must be an integer of at least 1, got 0"),
        (dict(layer=1), "layer 1 of block 1 is not"),
        (dict(layer=4), "layer 4 of block 1 is not"),
        (dict(layer="2"), "layer must be an integer"),
        (dict(model=torch.nn.Linear(2, 2)), "model must be a NiN of nin_lib.torch, got Linear"),
        (dict(image=np.zeros((3, 28, 28))), r"image must be .* got shape \(3, 28, 28\)"),
        (dict(image=np.full((28, 28), np.nan)), "image must be .* got NaN"),
        (dict(image="a shoe"), "image must be .* got str"),
    ],
)
def test_what_does_not_fit_is_refused(model, image, arguments, message):
    with pytest.raises(ValueError, match=message):
        PixelMLP.of(**{"model": model, "image": image, **arguments})


def test_a_layer_without_a_relu_or_with_another_kernel_is_refused(image):
    bare = nin.NiN(Network((Block(3, (4, 5)),), last_relu=False))
    with pytest.raises(ValueError, match="a ReLU after it; layer 2 of block 1 is not"):
        PixelMLP.of(bare, image)
    wide = nin.NiN(Network((Block(3, (4, 5), inner_kernel_size=3),)))
    with pytest.raises(ValueError, match="layer must be a 1×1 convolution"):
        PixelMLP.of(wide, image)
    few = PixelMLP.of(nin.NiN(Network((Block(3, (4, 5)),))), image)
    assert len(few.config["stages"]["network"]["shown_inputs"]) == 4


def test_a_model_whose_layers_were_changed_is_refused(image):
    changed = nin.NiN(network("paper-mnist"))
    changed.insert(0, torch.nn.Identity())
    with pytest.raises(ValueError, match="model must have the 8 layers of its spec.* got 9"):
        PixelMLP.of(changed, image)


def test_what_is_read_from_a_model_becomes_64_bits_on_the_cpu(image, monkeypatch):
    """An Apple GPU has no 64-bit numbers."""
    cpu, double, on_the_cpu = torch.Tensor.cpu, torch.Tensor.double, []

    def to_cpu(tensor):
        on_the_cpu.append(cpu(tensor))
        return on_the_cpu[-1]

    def to_64_bits(tensor):
        assert any(tensor is other for other in on_the_cpu)
        return double(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", to_cpu)
    monkeypatch.setattr(torch.Tensor, "double", to_64_bits)
    PixelMLP.of(nin.NiN(network("paper-mnist")), image)
    assert len(on_the_cpu) == 3


def test_the_text_is_a_table_of_the_chosen_pixel():
    pixels = PixelMLP()
    pixels.pixel = 1, 5
    assert pixels.to_text().splitlines() == [
        "Row 1, column 5. A 1×1 convolution from 3 channels to 4, by hand.",
        "          bias  input 0  input 1  input 2  sum  after the ReLU",
        "output 0     0      1·1      0·3      0·0    1               1",
        "output 1    −4      1·1      1·3      1·0    0               0",
        "output 2     0      2·1     −1·3     −1·0   −1               0",
        "output 3     1     −1·1      2·3      0·0    6               6",
        "Shuffled, applied, put back. 1×1: 0 of 120 sums differ; 3×3: 112 of 120 sums differ.",
    ]


def test_what_stands_still_is_the_same_table_and_outside_text_is_no_markup(pixels):
    data, _ = PixelMLP()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"] == PixelMLP().to_text()
    assert data["text/html"].startswith("<nin-pixel-mlp data-config='")
    assert '<th scope="row">output 3</th><td>1</td>' in data["text/html"]
    assert "96 products" in pixels.static_view()
    config = pixels.config
    bold = {**config["stages"]["network"], "about": "<b>bold</b>"}
    pixels.config = {**config, "title": "<b>", "stages": {**config["stages"], "network": bold}}
    assert "<b>" not in pixels.to_html()
    assert html.escape("<b>bold</b>") in pixels.static_view()
    pixels.config = config
