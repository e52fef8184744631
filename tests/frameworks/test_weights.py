"""Neutral weights: names and shapes, exact round trips, and what is refused."""

from math import prod
from typing import get_args

import numpy as np
import pytest
import safetensors.torch
import torch
from fixed_specs import FIXED, random_weights

from nin_lib import torch as nin_torch
from nin_lib.flow import flattened
from nin_lib.networks import NETWORKS, PUBLISHED, network
from nin_lib.recipe import Init, Recipe
from nin_lib.spec import Block, Network
from nin_lib.weights import (
    check,
    from_channels_last,
    from_flax,
    from_keras,
    from_torch,
    initial,
    load_file,
    save_file,
    shapes,
    to_channels_last,
    to_flax,
    to_keras,
    to_torch,
)

SPECS = {name: spec for name, (spec, _) in FIXED.items()}


def equal(ours, theirs):
    """The same names, precisions and bits."""
    return ours.keys() == theirs.keys() and all(
        array.dtype == theirs[name].dtype and np.array_equal(array, theirs[name])
        for name, array in ours.items()
    )


def test_names_say_where_a_weight_belongs():
    found = shapes(network("lenet"))
    assert list(found)[:2] == ["block1.conv1.weight", "block1.conv1.bias"]
    assert list(found)[-2:] == ["dense3.weight", "dense3.bias"]
    assert found["block2.conv1.weight"] == (16, 6, 5, 5)
    assert found["dense1.weight"] == (120, 16 * 5 * 5)
    assert flattened(network("lenet")) == (16, 5, 5)


@pytest.mark.parametrize("name", NETWORKS)
def test_as_many_numbers_as_the_network_has_parameters(name):
    assert sum(map(prod, shapes(network(name)).values())) == NETWORKS[name].parameters


@pytest.mark.parametrize("name", [*SPECS, *PUBLISHED])
def test_shapes_are_those_of_pytorch(name):
    spec = SPECS[name] if name in SPECS else network(name)
    model = nin_torch.NiN(spec)
    assert list(shapes(spec).values()) == [tuple(p.shape) for p in model.parameters()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SPECS)
def test_round_trips_are_exact(name, dtype, tmp_path):
    spec = SPECS[name]
    weights = random_weights(spec, dtype=dtype)
    assert equal(from_channels_last(to_channels_last(weights, spec), spec), weights)
    assert equal(from_flax(to_flax(weights, spec), spec), weights)
    model = nin_torch.NiN(spec).to(torch.from_numpy(np.zeros(1, dtype)).dtype)
    to_torch(model, weights)
    assert equal(from_torch(model), weights)
    save_file(weights, tmp_path / "weights.safetensors")
    assert equal(load_file(tmp_path / "weights.safetensors"), weights)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_round_trips_through_keras_are_exact(dtype, tmp_path):
    nin_keras = pytest.importorskip("nin_lib.tensorflow")
    keras = nin_keras.keras
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    for name in ("dense", "3×3 inside", "pool pads and rounds up", "dense alone"):
        spec = SPECS[name]
        weights = random_weights(spec, dtype=dtype)
        model = nin_keras.NiN(spec)
        to_keras(model, weights)
        assert equal(from_keras(model), weights)
    keras.config.set_dtype_policy(before)


def test_what_was_written_is_what_was_there_and_not_a_view():
    model = nin_torch.NiN(SPECS["dense"])
    weights = from_torch(model)
    kept = weights["dense1.bias"].copy()
    with torch.no_grad():
        model[-1][1].bias.add_(1)
    assert np.array_equal(weights["dense1.bias"], kept)


def test_arrays_that_are_not_contiguous_are_saved_as_they_read(tmp_path):
    array = np.arange(6.0).reshape(2, 3).T
    save_file({"a": array, "b": array[::2]}, tmp_path / "w.safetensors")
    again = load_file(tmp_path / "w.safetensors")
    assert np.array_equal(again["a"], array) and np.array_equal(again["b"], array[::2])


def test_channels_last_by_hand():
    spec = Network((Block(2, (3,)),), in_channels=2, input_size=3, dense=(4,))
    weights = random_weights(spec)
    turned = to_channels_last(weights, spec)
    convolution = weights["block1.conv1.weight"]  # out, in, row, column
    assert turned["block1.conv1.weight"][0, 1, 1, 2] == convolution[2, 1, 0, 1]
    maps = np.arange(3 * 2 * 2.0).reshape(3, 2, 2)  # C×H×W
    ours = weights["dense1.weight"] @ maps.ravel()
    theirs = maps.transpose(1, 2, 0).ravel() @ turned["dense1.weight"]
    assert theirs == pytest.approx(ours)


@pytest.mark.parametrize("init", get_args(Init))
@pytest.mark.parametrize("zero_bias", [True, False])
def test_first_weights_are_spread_as_in_pytorch(init, zero_bias):
    spec = network("paper-mnist")
    recipe = Recipe(0.1, init=init, zero_bias=zero_bias, last_relu=True)
    ours, theirs = initial(spec, recipe), from_torch(nin_torch.build(spec, recipe))
    assert equal(ours, initial(spec, recipe)) and not equal(ours, initial(spec, recipe, seed=1))
    for name, array in ours.items():
        assert array.dtype == np.float32
        if name.endswith("weight") and array.size > 2000:
            assert array.std() == pytest.approx(theirs[name].std(), rel=0.05), name
            assert abs(array.mean()) < 0.1 * array.std(), name
            if init != "kaiming":  # uniform: the bounds tell
                assert abs(array).max() == pytest.approx(abs(theirs[name]).max(), rel=0.01), name
        elif name.endswith("bias") and array.size > 50:
            assert abs(array).max() == pytest.approx(abs(theirs[name]).max(), rel=0.1), name


# ── What is refused ──────────────────────────────────────────────────────────────────────────────


def broken(**changes):
    weights = random_weights(SPECS["dense"])
    for name, array in changes.items():
        weights[name.replace("__", ".")] = array
    return weights


def test_a_wrong_shape_is_named():
    weights = broken(block1__conv2__weight=np.zeros((3, 4, 3, 3)))
    message = r"block1.conv2.weight has shape \(3, 4, 3, 3\), but must have \(3, 4, 1, 1\)"
    model = nin_torch.NiN(SPECS["dense"])
    before = from_torch(model)
    with pytest.raises(ValueError, match=message):
        to_torch(model, weights)
    assert equal(from_torch(model), before)  # nothing was half done
    with pytest.raises(ValueError, match=message):
        to_flax(weights, SPECS["dense"])


def test_an_unknown_or_missing_name_is_named():
    spec = SPECS["dense"]
    with pytest.raises(ValueError, match="no block9.conv1.weight"):
        check(broken(block9__conv1__weight=np.zeros(1)), shapes(spec))
    weights = broken()
    del weights["dense2.bias"]
    with pytest.raises(ValueError, match=r"dense2.bias is missing \(1 missing in all\)"):
        to_channels_last(weights, spec)


@pytest.mark.parametrize("use", [from_torch, from_keras, to_torch, to_keras])
def test_a_model_that_is_not_ours_is_refused(use):
    weights = [random_weights(SPECS["dense"])] if use in (to_torch, to_keras) else []
    with pytest.raises(ValueError, match="model must be a NiN of nin_lib, .* got Linear"):
        use(torch.nn.Linear(1, 1), *weights)


def test_a_model_in_bfloat16_is_refused():
    model = nin_torch.NiN(SPECS["dense"]).bfloat16()
    with pytest.raises(ValueError, match=r"model is in bfloat16, .* call model.float\(\) first"):
        from_torch(model)
    assert from_torch(model.float())


def test_flax_parameters_of_another_network_are_refused():
    params = to_flax(random_weights(SPECS["dense"]), SPECS["dense"])
    with pytest.raises(ValueError, match="block2.conv1.weight is missing"):
        from_flax(params, SPECS["stride"])
    params["net"]["layers_7"] = {"kernel": np.zeros(1)}
    with pytest.raises(ValueError, match="has no net/layers_7/kernel"):
        from_flax(params, SPECS["dense"])


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"weights.safetensors: not a safetensors file"):
        load_file(path)
    save_file(random_weights(SPECS["dense"]), path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="a damaged one"):
        load_file(path)


@pytest.mark.parametrize("kind", ["bfloat16", "float8_e4m3fn"])
def test_numbers_that_numpy_lacks_are_named(tmp_path, kind):
    tensor = torch.ones(2).to(getattr(torch, kind))
    safetensors.torch.save_file({"a": tensor}, tmp_path / "low.safetensors")
    with pytest.raises(ValueError, match=r"low.safetensors: holds (BF16|F8_E4M3) numbers, which"):
        load_file(tmp_path / "low.safetensors")


def test_first_weights_take_the_seeds_that_training_takes():
    spec, how = SPECS["dense"], Recipe(0.1)
    assert equal(initial(spec, how, np.int64(3)), initial(spec, how, 3))
    with pytest.raises(ValueError, match="seed must be an integer of at least 0, got -1"):
        initial(spec, how, -1)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    save_file({"a": np.ones(2)}, "~/w.safetensors")
    assert (tmp_path / "w.safetensors").is_file() and list(load_file("~/w.safetensors")) == ["a"]
