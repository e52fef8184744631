"""The class maps widget without a browser: its data, its state, its texts, what it refuses."""

import base64
import json
import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from nin_lib import class_maps as cm
from nin_lib import torch as nin
from nin_lib.data import load
from nin_lib.networks import network
from nin_lib.recipe import recipe

pytest.importorskip("anywidget")
from nin_lib.widgets.base import delivered, unpacked
from nin_lib.widgets.class_maps import ClassMaps, png


@pytest.fixture(scope="module")
def model():
    return nin.build(network("paper-mnist"), recipe("default"), 0)


@pytest.fixture(scope="module")
def split():
    return load("mini").val.first(3)


@pytest.fixture
def maps(model, split):
    return ClassMaps(model, split.images, split.labels, sizes=(9, 14), step=7)


def test_the_config_holds_the_maps_and_the_covered_logits(maps, model, split):
    config = maps.config
    exact = cm.class_maps(model, split.images)
    assert config["labels"] == split.labels.tolist() and config["side"] == 28
    assert base64.b64decode(config["images"]) == split.images.tobytes()
    assert np.abs(unpacked(config["maps"]) - exact).max() <= config["maps"]["scale"] * 0.501
    assert config["field"] == {"start": -14, "jump": 4, "side": 35, "of": 28}
    for prepared, size, places in zip(config["prepared"], (9, 14), (3, 3), strict=True):
        changes = prepared["changes"]
        assert prepared["size"] == size and changes["shape"] == [3, places, places, 10]
        covered = cm.cover(split.images[[1]], 7, 14, size)
        expected = cm.means(cm.class_maps(model, covered))[0] - cm.means(exact)[1]
        assert np.abs(unpacked(changes)[1, 1, 2] - expected).max() <= changes["scale"] * 0.501


def test_the_present_view_is_read_and_set(maps, model, split):
    assert (maps.image, maps.cover) == (0, None)
    assert np.allclose(maps.logits, unpacked(maps.config["maps"])[0].mean((1, 2)))
    assert maps.selected_class == maps.logits.argmax()
    maps.image, maps.selected_class, maps.cover = 2, 8, (3, 5, 6)
    assert (maps.image, maps.selected_class, maps.cover) == (2, 8, (3, 5, 6))
    covered = cm.cover(split.images[[2]], 3, 5, 6)
    expected = cm.means(cm.class_maps(model, covered))[0]
    assert np.allclose(maps.logits, expected, atol=maps.config["maps"]["scale"] / 2)
    maps.image = 1
    assert not np.allclose(maps.logits, expected, atol=1e-2)  # computed anew for another image
    maps.cover = None
    assert np.allclose(maps.logits, unpacked(maps.config["maps"])[1].mean((1, 2)))


def test_what_the_page_asks_is_answered_once(maps):
    states = []
    maps.observe(lambda change: states.append(change["new"]), "state")
    maps.change(cover=[4, 4, 10], asked=1)  # as the page does
    assert len(states) == 2  # asked and answered
    assert maps.state["computed"]["cover"] == [4, 4, 10] and maps.state["asked"] == 1
    assert len(maps.state["computed"]["changes"]) == 10
    maps.change(selected_class=3)
    assert len(states) == 3


def test_covering_what_is_black_already_changes_nothing(maps, split):
    before = maps.logits
    assert split.images[0, :8, :3].max() == 0
    maps.cover = (5, 0, 3)
    assert np.allclose(maps.logits, before, atol=2e-4)


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("image", 3, "image must be an integer from 0 to 2, got 3"),
        ("image", 1.0, "image must be an integer from 0 to 2, got 1.0"),
        ("selected_class", 10, "selected_class must be an integer from 0 to 9, got 10"),
        ("cover", (0, 0), r"cover must be \(row, column, size\) or None, got \(0, 0\)"),
        ("cover", 5, r"cover must be \(row, column, size\) or None, got 5"),
        ("cover", (20, 0, 9), "row must be at most 28 − size 9, .* got 20"),
    ],
)
def test_what_cannot_be_shown_is_refused(maps, name, value, words):
    state = maps.state
    with pytest.raises(ValueError, match=words):
        setattr(maps, name, value)
    assert maps.state == state


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"images": np.zeros((2, 28, 20), np.uint8)}, r"bytes of shape \(N, S, S\), got uint8 of"),
        ({"images": np.zeros((2, 28, 28))}, r"bytes of shape \(N, S, S\), got float64 of"),
        ({"labels": np.array([0, 1, 10])}, "labels must lie in 0 to 9"),
        ({"classes": ["bag"]}, r"classes must name the 10 classes of the model, got \['bag'\]"),
        ({"sizes": ()}, r"sizes must name at least one size, got \(\)"),
        ({"sizes": (29,)}, "28 − size 29"),
        ({"step": 0}, "step must be an integer of at least 1, got 0"),
        ({"fill": 256}, "fill must be an integer from 0 to 255, got 256"),
        ({"model": nin.NiN(network("nin-dense-10"))}, r"got in_channels 1 and dense \(10,\)"),
        ({"model": nin.NiN(network("paper-svhn"))}, "got in_channels 3"),
        ({"labels": None}, "images and labels must come together"),
    ],
)
def test_junk_is_refused_with_words(model, split, changes, words):
    arguments = {"model": model, "images": split.images, "labels": split.labels, **changes}
    with pytest.raises(ValueError, match=words):
        ClassMaps(**arguments)


def test_another_network_on_enlarged_images(split):
    torch.manual_seed(0)
    model = nin.NiN(network("chapter"))
    maps = ClassMaps(
        model, split.images[:1], split.labels[:1], input_size=96, sizes=(14,), step=14, fill=128
    )
    assert maps.config["maps"]["shape"] == [1, 10, 1, 1]
    assert maps.config["field"]["of"] == 96
    assert "mean of the 1×1 map" in maps.to_text()


def test_text_and_still(maps, split):
    lines = maps.to_text().splitlines()
    assert lines[0] == "image 1 of 3" and len(lines) == 12
    logits = maps.logits
    for line, name, logit in zip(lines[2:], maps.config["classes"], logits, strict=True):
        assert line.startswith(name) and f" {logit:.2f} " in line
    label, answer = split.labels[0], int(logits.argmax())
    assert lines[2 + label].endswith("right class") and "answer" in lines[2 + answer]
    still = maps.static_view()
    for logit in logits:
        assert f"<td>{logit:.2f}</td>" in still
    assert still.count("<td>") == 10 * 4 + 49
    assert f"/ 49 = {logits[answer]:.2f}" in still
    assert "Predict: " in still and "data:image/png;base64," in still


def test_names_never_become_markup(model, split):
    names = ["<b>bag</b>"] * 10
    maps = ClassMaps(model, split.images[:1], split.labels[:1], names, sizes=(14,), step=14)
    tags = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append(tag)

    Parser().feed(maps.to_html())
    assert "b" not in tags and "nin-class-maps" in tags
    config = re.search("data-config='(.*?)'", maps.to_html()).group(1)
    assert json.loads(unescape(config))["classes"] == names


def test_the_picture_is_a_png_of_the_image(split, tmp_path):
    from matplotlib.image import imread

    (tmp_path / "image.png").write_bytes(png(split.images[0]))
    pixels = imread(tmp_path / "image.png")
    assert np.array_equal(np.rint(pixels * 255), split.images[0])


@pytest.mark.slow
def test_the_default_is_small_and_has_right_and_wrong_answers():
    maps = ClassMaps()
    assert maps.config["task"].endswith("(Begin with image 4 or 5.)")
    assert len(json.dumps(maps.config)) < 70_000
    answers = unpacked(maps.config["maps"]).mean((2, 3)).argmax(axis=1)
    assert (answers == maps.config["labels"]).tolist() == [True] * 6 + [False] * 6
    # The task can be solved: some image that is answered right has a prepared region that flips it.
    logits = unpacked(maps.config["maps"]).mean((2, 3))[:6, None, None]
    flips = (logits + unpacked(maps.config["prepared"][0]["changes"])[:6]).argmax(axis=-1)
    assert (flips != answers[:6, None, None]).any(axis=(1, 2)).sum() >= 3
    assert maps.config["field"]["side"] > 28  # as the answers to the question have it


def test_the_hint_about_an_image_is_given_for_the_images_that_it_means(maps):
    assert "image 4 or 5" not in maps.config["task"]


def test_what_is_delivered_imports_nothing():
    code = delivered("class_maps")
    assert not re.search(r"^\s*import ", code, re.M) and "://" not in code.replace(
        "http://www.w3.org/2000/svg", ""
    )
