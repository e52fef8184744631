"""The trained network in the package: it is there, and as good as is on record."""

import numpy as np
import pytest
import torch

from nin_lib import recorded
from nin_lib.class_maps import class_maps, means
from nin_lib.data import load
from nin_lib.networks import network


def test_the_trained_network_is_as_good_on_held_out_images_as_on_record():
    model, facts = recorded.trained(), recorded.about()
    val = load("mini").val  # drawn from the 5,000 images that the run held out
    right = (means(class_maps(model, val.images)).argmax(axis=1) == val.labels).mean()
    assert facts["val_accuracy"] > 0.88
    assert right == pytest.approx(facts["val_accuracy"], abs=0.03)  # 3 standard errors of 1,000


def test_it_is_the_network_of_its_name_as_its_recipe_wants_it():
    model, facts = recorded.trained("paper-mnist"), recorded.about("paper-mnist")
    assert not model.training
    assert model.spec.stages == network("paper-mnist").stages
    assert model.spec.last_relu is facts["recipe"]["last_relu"] is False
    assert sum(p.numel() for p in model.parameters()) == 349_674
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in model.parameters())
    assert facts["rows"][-1]["epoch"] == facts["epochs"]


def test_it_is_small_and_other_names_are_refused():
    assert recorded.weights_file("paper-mnist").stat().st_size < 750_000
    with pytest.raises(ValueError, match="no trained network 'vgg'; there are paper-mnist"):
        recorded.trained("vgg")


def test_two_loads_are_equal_and_apart():
    first, second = recorded.trained(), recorded.trained()
    with torch.no_grad():
        next(first.parameters()).zero_()
    assert np.abs(next(second.parameters()).detach().numpy()).max() > 0
