"""Widgets that several tests show: a real layer, and class maps of three images."""

import numpy as np
import pytest
import torch

from nin_lib import class_maps as cm
from nin_lib import network
from nin_lib import torch as nin
from nin_lib.data import load
from nin_lib.recipe import recipe
from nin_lib.widgets import ClassMaps, PixelMLP
from nin_lib.widgets.base import unpacked


@pytest.fixture
def real():
    torch.manual_seed(0)
    image = np.random.default_rng(1).random((28, 28))
    return PixelMLP.of(nin.NiN(network("paper-mnist")), image)


@pytest.fixture(scope="session")
def maps():
    split = load("mini").val.first(3)
    model = nin.build(network("paper-mnist"), recipe("default"), 0)
    return ClassMaps(model, split.images, split.labels, step=7)


@pytest.fixture(scope="session")
def covered_logits(maps):
    """For each prepared size, images × rows × columns × classes: what the page has to show."""
    logits = cm.means(unpacked(maps.config["maps"]))[:, None, None]
    return [logits + unpacked(entry["changes"]) for entry in maps.config["prepared"]]
