"""Class maps: the logit is the map's mean, what a cell sees, covered images, the gallery."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nin_lib import class_maps as cm
from nin_lib import torch as nin
from nin_lib.data import Split, load
from nin_lib.networks import network
from nin_lib.recipe import recipe
from nin_lib.runtime.dataset import to_input
from nin_lib.spec import Block, Network, Pool

SMALL = Network((Block(5, (8, 8), padding=2), Pool(), Block(3, (8, 10))), input_size=28)
INNER = Network((Block(3, (2, 2), stride=2, inner_kernel_size=3), Block(3, (2, 2))), input_size=31)


@pytest.fixture(scope="module")
def images():
    return load("mini").val.images[:40]


def build(net, last_relu=False):
    return nin.build(net, replace(recipe("default"), last_relu=last_relu), 0)


@pytest.mark.parametrize("last_relu", [True, False])
@pytest.mark.parametrize("name, size", [("paper-mnist", None), ("chapter", 96)])
def test_the_logit_is_the_mean_of_the_map(images, name, size, last_relu):
    model = build(network(name), last_relu).eval()
    maps = cm.class_maps(model, images[:3], size)
    with torch.no_grad():
        logits = model(to_input(torch.tensor(images[:3]), size))
    assert maps.shape[:2] == (3, 10) and maps.ndim == 4
    assert np.allclose(cm.means(maps), logits.numpy(), rtol=1e-4, atol=1e-5)
    assert (maps.min() < 0) == (not last_relu)


def test_the_mode_of_the_model_is_left_alone_and_batches_change_nothing(images):
    model = build(network("paper-mnist"))
    maps = cm.class_maps(model.train(), images[:5], batch_size=2)
    assert model.training  # and dropout was off all the same:
    assert np.allclose(maps, cm.class_maps(model.eval(), images[:5]), rtol=1e-4, atol=1e-5)
    assert not model.training


def test_images_of_64_bits_reach_the_device_with_32(images, monkeypatch):
    """An Apple GPU has no 64-bit numbers."""
    sent, to = [], torch.Tensor.to
    monkeypatch.setattr(
        torch.Tensor,
        "to",
        lambda tensor, *to_what: sent.append(tensor.dtype) or to(tensor, *to_what),
    )
    model = build(network("paper-mnist"))
    maps = cm.class_maps(model, images[:2].astype(np.float64) / 255)
    assert torch.float32 in sent and torch.float64 not in sent
    assert np.allclose(maps, cm.class_maps(model, images[:2]), rtol=1e-4, atol=1e-5)


def test_maps_are_refused_where_there_are_none():
    with pytest.raises(ValueError, match=r"has a map for each class; this one has dense \(10,\)"):
        nin.NiN(network("nin-dense-10")).maps(torch.zeros(1, 1, 224, 224))
    with pytest.raises(ValueError, match=r"shape \(N, 1, H, W\), got \(1, 28, 28\)"):
        nin.NiN(network("paper-mnist")).maps(torch.zeros(1, 28, 28))


@pytest.mark.parametrize("net, size", [(network("paper-mnist"), 28), (SMALL, 28), (INNER, 31)])
def test_what_a_cell_sees(net, size):
    """A pixel that is not a number spoils exactly the cells that see it."""
    model = nin.NiN(net).eval().double()
    probes = torch.rand(2 * size, 1, size, size, dtype=torch.float64)
    for at in range(size):
        probes[at, 0, at, size // 2] = float("nan")
        probes[size + at, 0, size // 2, at] = float("nan")
    with torch.no_grad():
        spoilt = model.maps(probes).isnan().any(dim=1)  # 2·size × H × W
    side = spoilt.shape[-1]
    for row in range(side):
        for column in range(side):
            rows, columns = cm.seen(net, row, column, size)
            sees_middle = [s.start <= size // 2 < s.stop for s in (columns, rows)]
            down = [at for at in range(size) if spoilt[at, row, column]]
            across = [at for at in range(size) if spoilt[size + at, row, column]]
            assert down == (list(range(size))[rows] if sees_middle[0] else [])
            assert across == (list(range(size))[columns] if sees_middle[1] else [])


def test_fields_on_record():
    assert cm.field(network("paper-mnist")) == (-14, 4, 35)
    assert cm.field(network("chapter"))[1:] == (32, 195)
    assert cm.seen(network("paper-mnist"), 0, 3) == (slice(0, 21), slice(0, 28))


def test_cover(images):
    covered = cm.cover(images[:2], 3, 20, 8, fill=7)
    assert (covered[:, 3:11, 20:28] == 7).all()
    outside = np.ones((28, 28), bool)
    outside[3:11, 20:28] = False
    assert (covered[:, outside] == images[:2, outside]).all()
    assert covered is not images and (cm.cover(images[:2], 0, 0, 28) == 0).all()


@pytest.mark.parametrize(
    "square, words",
    [
        ((0, 21, 8), "column must be at most 28 − size 8, .* got 21"),
        ((21, 0, 8), "row must be at most 28 − size 8, .* got 21"),
        ((-1, 0, 8), "row must be an integer of at least 0, got -1"),
        ((0, 0.5, 8), "column must be an integer of at least 0, got 0.5"),
        ((0, 0, 0), "size must be an integer of at least 1, got 0"),
        ((0, 0, 29), "row must be at most 28 − size 29"),
    ],
)
def test_squares_that_do_not_fit_are_refused(images, square, words):
    with pytest.raises(ValueError, match=words):
        cm.cover(images, *square)


def test_cover_everywhere_goes_row_by_row(images):
    image = np.maximum(images[0], 1)
    covered = cm.cover_everywhere(image, 8, 5)
    assert covered.shape == (5 * 5, 28, 28)
    assert (covered[7] == cm.cover(image, 5, 10, 8)).all()  # row 1, column 2 of the grid


def test_softmax():
    shares = cm.softmax(np.array([[1.0, 1.0, 1.0], [1000.0, 0.0, 0.0]]))
    assert np.allclose(shares, [[1 / 3] * 3, [1, 0, 0]])


def test_gallery(images):
    split = Split(images, load("mini").val.labels[:40])
    model = build(network("paper-mnist"))
    chosen = cm.gallery(model, split, right=2, wrong=5)
    answers = cm.means(cm.class_maps(model, chosen.images)).argmax(axis=1)
    known = cm.means(cm.class_maps(model, images)).argmax(axis=1) == split.labels
    rights = min(2, known.sum())
    assert ((answers == chosen.labels) == [i < rights for i in range(rights + 5)]).all()
    again = cm.gallery(model, split, right=2, wrong=5)
    assert (again.images == chosen.images).all() and (again.labels == chosen.labels).all()
    with pytest.raises(ValueError, match="right 0 and wrong 0 choose no image"):
        cm.gallery(model, split, 0, 0)
    with pytest.raises(ValueError, match="wrong must be an integer of at least 0, got -1"):
        cm.gallery(model, split, 1, -1)


def test_a_gallery_is_varied_and_takes_what_there_is():
    pairs = [(1, 1), (1, 1), (2, 3), (2, 2), (2, 3), (3, 2)]
    assert cm.varied(pairs, 2, True) == [0, 3]
    assert cm.varied(pairs, 9, True) == [0, 3, 1]
    assert cm.varied(pairs, 3, False) == [2, 5, 4]


def test_images_and_numbers_of_any_kind(images):
    model = build(SMALL)
    turned = np.ascontiguousarray(images[:3, ::-1])[:, ::-1]  # the same, with negative strides
    maps = cm.class_maps(model, images[:3], 22)
    assert np.array_equal(cm.class_maps(model, turned, np.int64(22), np.int64(64)), maps)
    covered = cm.cover(images[:1], np.int64(1), np.uint8(2), torch.tensor(3))
    assert np.array_equal(covered, cm.cover(images[:1], 1, 2, 3))
    for options in ({"input_size": 0}, {"batch_size": 0}):
        with pytest.raises(ValueError, match=f"{[*options][0]} must be an integer of at least 1"):
            cm.class_maps(model, images[:3], **options)
