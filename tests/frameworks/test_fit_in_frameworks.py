"""Training in TensorFlow and JAX: the same run as PyTorch's, the same events, the same history."""

import math
import sys
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from fixed_specs import random_weights
from tiny_runs import CPU, few

from nin_lib import torch as nin_torch
from nin_lib import train
from nin_lib.collapse import CollapseMonitor
from nin_lib.data import CLASSES, Split
from nin_lib.history import Ended, EpochEnd, History, Started, Step
from nin_lib.recipe import Recipe, recipe
from nin_lib.runtime.interrupt import Interrupted
from nin_lib.spec import Block, Dropout, Network, Pool
from nin_lib.weights import from_flax, from_keras, from_torch, to_flax, to_keras, to_torch
from nin_lib.widgets import LiveCurves

nin_jax = pytest.importorskip("nin_lib.jax")
nin_keras = pytest.importorskip("nin_lib.tensorflow")  # never TensorFlow itself first

NET = Network((Block(3, (6, 8), stride=3), Pool(), Block(3, (10, 10))), 1, 28, last_relu=False)
WEIGHTS = random_weights(NET, dtype=np.float32)
CONSTANT = Recipe(0.05, momentum=0.9, nesterov=True, clip=0.5)
PLAN = dict(epochs=3, batch_size=12, seed=3)  # 40 images: the last batch of an epoch has four


def in_torch(how, net=NET, observers=(), weights=WEIGHTS, **plan):
    model = nin_torch.NiN(net)
    to_torch(model, weights)
    history = train.fit(model, few(), how, observers=observers, plan=CPU, **PLAN | plan)
    return from_torch(model), history


def in_keras(how, net=NET, observers=(), weights=WEIGHTS, **plan):
    model = nin_keras.NiN(net)
    to_keras(model, weights)
    history = nin_keras.fit(model, few(), how, observers=observers, **PLAN | plan)
    return from_keras(model), history


def in_jax(how, net=NET, observers=(), weights=WEIGHTS, **plan):
    model, params = nin_jax.NiN(net), to_flax(weights, net)
    params, history = nin_jax.fit(model, params, few(), how, observers=observers, **PLAN | plan)
    return from_flax(params, net), history


def assert_same_run(ours, theirs, tolerance=1e-4):
    for our_row, their_row in zip(ours[1].rows, theirs[1].rows, strict=True):
        assert their_row == pytest.approx(our_row, rel=tolerance)
    for name, array in ours[0].items():
        assert theirs[0][name] == pytest.approx(array, abs=tolerance), name


@pytest.mark.parametrize("other", [in_keras, in_jax])
def test_the_same_run_as_in_pytorch(other):
    assert_same_run(in_torch(CONSTANT), other(CONSTANT))


def test_a_one_cycle_run_in_jax_is_pytorchs():
    assert_same_run(in_torch(recipe("default")), in_jax(recipe("default")))


def test_a_one_cycle_run_in_keras_learns_as_well():
    """Not to the digit: Keras adds the learning rate to the momentum, PyTorch multiplies after."""
    ours, theirs = in_torch(recipe("default"))[1], in_keras(recipe("default"))[1]
    assert theirs.last["train_loss"] == pytest.approx(ours.last["train_loss"], rel=0.05)


@pytest.mark.parametrize("size", [22, 37])
@pytest.mark.parametrize("other", [in_keras, in_jax])
def test_images_change_their_size_as_in_pytorch(other, size):
    assert_same_run(in_torch(CONSTANT, input_size=size), other(CONSTANT, input_size=size))


@pytest.mark.parametrize("framework", [in_torch, in_keras, in_jax])
def test_events_come_in_order(framework):
    events = []
    _, history = framework(CONSTANT, observers=[events.append])
    epoch = [Step] * 4 + [EpochEnd]
    assert [type(event) for event in events] == [Started, *epoch * 3, Ended]
    assert events[0].steps_per_epoch == 4 and events[0].images == 40
    steps = [event for event in events if isinstance(event, Step)]
    assert [step.step for step in steps] == list(range(1, 13))
    assert [step.epoch for step in steps] == [1] * 4 + [2] * 4 + [3] * 4
    assert [step.images for step in steps] == [12, 12, 12, 4] * 3
    for row, some in zip(history.rows, (steps[:4], steps[4:8], steps[8:]), strict=True):
        loss = sum(float(step.loss) * step.images for step in some) / 40
        assert loss == pytest.approx(row["train_loss"], rel=1e-5)
        assert sum(float(step.correct) for step in some) / 40 == pytest.approx(
            row["train_accuracy"]
        )
    assert events[-1] == Ended(history, interrupted=False)
    assert History.from_json(history.to_json()) == history


def seen_of_classes(framework, how=CONSTANT, weights=WEIGHTS, net=NET):
    """What observers make of a run's logits: the shares of each class, two ways, and warnings."""
    told, always_due = [], count(0, 100).__next__
    lanes = LiveCurves(classes=CLASSES, clock=always_due)
    monitor = CollapseMonitor(told.append, CLASSES)
    framework(how, net, weights=weights, observers=[monitor, lanes])
    return monitor.shares, lanes.config["classes"], sorted(told)


@pytest.mark.parametrize("other", [in_keras, in_jax])
def test_observers_see_the_same_classes(other):
    shares, lanes, told = seen_of_classes(in_torch)
    assert [epoch for epoch, _ in shares] == [1, 2, 3]
    assert any(0 < share < 1 for _, epoch in shares for share in epoch)
    assert seen_of_classes(other) == (shares, lanes, told)
    assert len(lanes["shares"]) == 10 and lanes["x"]


@pytest.mark.parametrize("framework", [in_torch, in_keras, in_jax])
def test_a_collapse_is_told_of(framework):
    """The published recipe, a last ReLU included, from last biases that no image lifts above 0."""
    dead = WEIGHTS | {"block2.conv2.bias": np.full(10, -10, np.float32)}
    net = replace(NET, last_relu=True)
    shares, lanes, told = seen_of_classes(framework, recipe("published"), dead, net)
    assert shares == [(epoch, [0.0] * 10) for epoch in (1, 2, 3)]
    assert all({*lane} <= {0, None} for lane in lanes["shares"]) and lanes["zero"]
    assert len(told) == 1 and "ln 10" in told[0] and "all logits are 0" in told[0]
    alone = WEIGHTS | {"block2.conv2.bias": np.where(np.arange(10) == 3, -10, 1).astype("float32")}
    shares, lanes, told = seen_of_classes(framework, recipe("published"), alone, net)
    assert shares[0][1][3] == 0 < min(shares[0][1][:3])
    assert {*lanes["shares"][3]} <= {0, None} and 1 in lanes["shares"][0]
    assert "dress" in " ".join(told)


def test_a_keras_model_that_was_trained_is_saved_whole(tmp_path):
    model = nin_keras.NiN(NET)
    nin_keras.fit(model, few(), CONSTANT, **PLAN)
    model.save(tmp_path / "model.keras")
    keras, images = nin_keras.keras, np.random.default_rng(0).random((3, 28, 28, 1))
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert np.array_equal(model(images), again(images))
    history = nin_keras.fit(again, few(), CONSTANT, **PLAN)
    assert len(history.rows) == 3
    assert keras.models.clone_model(model).count_params() == model.count_params()


@pytest.mark.parametrize("framework", [in_torch, in_keras, in_jax])
def test_names_are_no_data_and_no_recipe(framework, monkeypatch):
    with pytest.raises(ValueError, match=r"recipe must be what recipe\('default'\) gives, got the"):
        framework("default")
    monkeypatch.setitem(globals(), "few", lambda: "mini")
    with pytest.raises(ValueError, match=r"data must be what load\('mini'\) gives, got the name"):
        framework(CONSTANT)


@pytest.mark.parametrize("framework", [in_keras, in_jax])
def test_a_history_says_which_versions_ran(framework):
    about = framework(CONSTANT)[1].about
    name = about.framework
    assert about.plan[name] == sys.modules[name].__version__


def test_another_keras_model_is_followed_too():
    layers = nin_keras.layers
    steps, model = [], nin_keras.keras.Sequential([layers.Flatten(), layers.Dense(10)])
    history = nin_keras.fit(model, few(), CONSTANT, observers=[steps.append], **PLAN)
    steps = [event for event in steps if isinstance(event, Step)]
    assert {step.logits.shape for step in steps} == {(12, 10), (4, 10)}
    right = sum((step.logits.argmax(1) == step.labels).sum() for step in steps[:4])
    assert right / 40 == pytest.approx(history.rows[0]["train_accuracy"])
    assert set(model.history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}


@pytest.mark.parametrize("framework", [in_torch, in_keras, in_jax])
def test_an_observer_ends_the_run_after_its_step(framework):
    events = []

    def stop_at_six(event):
        events.append(event)
        if isinstance(event, Step) and event.step == 6:
            raise Interrupted

    weights, history = framework(CONSTANT, observers=[stop_at_six])
    assert len(history.rows) == 1 and events[-1] == Ended(history, interrupted=True)
    assert max(event.step for event in events if isinstance(event, Step)) == 6
    assert any(not np.array_equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)


@pytest.mark.parametrize("framework", [in_keras, in_jax])
def test_a_loss_that_is_no_number_is_said(framework):
    with pytest.raises(FloatingPointError, match="in epoch 1: try a smaller learning_rate"):
        framework(Recipe(1e30))


class FlaxEnding(nin_jax.nn.Module):
    """A linear classifier whose output `end` turns into another."""

    end: object = tuple
    classes: int = 10

    @nin_jax.nn.compact
    def __call__(self, images):
        return self.end(nin_jax.nn.Dense(self.classes)(nin_jax.flatten(images)))


def flax_params(classes):
    zeros = dict(kernel=np.zeros((784, classes), "float32"), bias=np.zeros(classes, "float32"))
    return {"Dense_0": zeros}


def fit_in_jax(end, classes, data, **plan):
    model = FlaxEnding(end, classes)
    return nin_jax.fit(model, flax_params(classes), data, CONSTANT, **plan)[1]


def fit_in_keras(end, classes, data, **plan):
    layers = nin_keras.layers
    images = nin_keras.keras.Input((28, 28, 1))
    logits = end(layers.Dense(classes)(layers.Flatten()(images)))
    return nin_keras.fit(nin_keras.keras.Model(images, logits), data, CONSTANT, **plan)


REFUSED = "model must return one floating-point tensor of logits with shape"


@pytest.mark.parametrize("fit", [fit_in_keras, fit_in_jax])
def test_a_model_that_cannot_be_trained_is_refused_in_the_same_words(fit):
    events, data = [], few()
    plan = dict(epochs=1, batch_size=20, observers=[events.append])
    for end, got in (
        (lambda logits: {"logits": logits}, "type dict"),
        (lambda logits: (logits, logits), "type tuple"),
        (lambda logits: logits[:, None], r"shape \(2, 1, 10\)"),
    ):
        with pytest.raises(ValueError, match=rf"{REFUSED}.*C at least 10.*batch of 2.*{got}"):
            fit(end, 10, data, **plan)
    for part in ("train", "val", "test"):
        split = getattr(data, part)
        more = Split(split.images, np.where(np.arange(len(split)) == 7, 11, split.labels), 12)
        with pytest.raises(ValueError, match=rf"{REFUSED}.*C at least 12.*shape \(2, 10\)"):
            fit(lambda logits: logits, 10, replace(data, **{part: more}), **plan)
    assert events == []
    with pytest.raises(AttributeError, match="started"):  # so it passed, and that is enough
        plan["observers"] = [lambda event: event.started]
        fit(lambda logits: logits, 12, replace(data, test=more), **plan)


def test_jax_evaluates_no_classes_that_the_model_does_not_have():
    """The loss of a label without a logit is NaN in JAX."""
    with pytest.raises(ValueError, match=rf"{REFUSED}.*C at least 10.*returned shape \(24, 3\)"):
        nin_jax.evaluate(FlaxEnding(lambda logits: logits, 3), flax_params(3), few().val)


@pytest.mark.parametrize("framework", [in_keras, in_jax])
def test_running_out_of_memory_says_which_batch_size_to_try(framework, monkeypatch):
    def starve(*_, **__):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.")

    monkeypatch.setattr(nin_jax, "take_step", starve)
    monkeypatch.setattr(nin_keras.NiN, "fit", starve)
    with pytest.raises(MemoryError, match="not enough memory for batch_size 12: try 6"):
        framework(CONSTANT)


def test_the_trial_leaves_a_keras_model_as_it_was_and_builds_one_without_weights():
    layers, keras = nin_keras.layers, nin_keras.keras
    model = keras.Sequential(
        [layers.Flatten(), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(10)]
    )
    nin_keras.check_model(model, few(), None)
    before = [variable.numpy() for variable in model.variables]
    assert len(before) > 6  # weights, statistics, the state of dropout
    nin_keras.check_model(model, few(), None)
    after = [variable.numpy() for variable in model.variables]
    assert all(map(np.array_equal, before, after))
    assert not before[2].any()  # the mean that no image has moved yet


def test_dropout_is_on_while_training():
    net = replace(NET, stages=(*NET.stages[:2], Dropout(0.5), NET.stages[2]))
    plain, dropped = in_jax(CONSTANT)[1], in_jax(CONSTANT, net)[1]
    assert math.isfinite(dropped.last["train_loss"]) and plain.rows != dropped.rows
    assert in_jax(CONSTANT, net)[1] == dropped
    assert in_keras(CONSTANT, net)[1].rows != in_keras(CONSTANT)[1].rows


@pytest.mark.parametrize("framework", [in_torch, in_keras, in_jax])
@pytest.mark.parametrize(
    ("argument", "value", "rule"),
    [
        ("seed", -1, "at least 0"),
        ("batch_size", 10**30, "at most 2"),
        ("input_size", 0, "at least 1"),
    ],
)
def test_numbers_that_make_no_run_are_refused_before_it_starts(framework, argument, value, rule):
    events = []
    with pytest.raises(ValueError, match=f"{argument} must be an integer of {rule}.*, got {value}"):
        framework(CONSTANT, observers=[events.append], **{argument: value})
    assert events == []


@pytest.mark.parametrize("framework", [in_torch, in_keras, in_jax])
def test_large_numbers_of_any_integer_type_are_kept_as_plain_ones(framework):
    plain = dict(epochs=1, batch_size=2**31 - 1, input_size=22, seed=2**63 - 1)
    history = framework(CONSTANT, **{name: np.int64(value) for name, value in plain.items()})[1]
    assert {name: getattr(history.about, name) for name in plain} == plain
    assert History.from_json(history.to_json()) == history


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("framework", [in_torch, in_keras, in_jax])
def test_channels_in_the_wrong_place_are_named_with_the_shape_that_was_given(
    framework, part, monkeypatch
):
    data, events = few(), []
    split = getattr(data, part)
    turned = replace(data, **{part: replace(split, images=split.images[..., None])})
    monkeypatch.setitem(globals(), "few", lambda: turned)
    message = (
        rf"{part}.images must have shape \(N, 1, H, W\), got \({len(split)}, 28, 28, 1\); "
        r"images.transpose\(0, 3, 1, 2\) puts the channels second"
    )
    with pytest.raises(ValueError, match=message):
        framework(CONSTANT, observers=[events.append], input_size=22)
    assert events == []


def test_arguments_of_evaluate_are_named_in_jax_as_in_pytorch():
    model, params, split = nin_jax.NiN(NET), to_flax(WEIGHTS, NET), few().val
    torch_model = nin_torch.NiN(NET)
    for options, name in (({"batch_size": 0}, "batch_size"), ({"input_size": 0}, "input_size")):
        with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got 0"):
            nin_jax.evaluate(model, params, split, **options)
        for look in (train.evaluate, train.predict):
            with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got 0"):
                look(torch_model, split, plan=CPU, **options)
    three = replace(split, images=np.zeros((len(split), 3, 28, 28), np.uint8))
    message = rf"split.images must have shape \(N, 1, H, W\), got \({len(split)}, 3, 28, 28\)$"
    with pytest.raises(ValueError, match=message):
        nin_jax.evaluate(model, params, three)
    with pytest.raises(ValueError, match=message):
        train.evaluate(torch_model, three, plan=CPU)
    with pytest.raises(ValueError, match="input_size must be an integer of at least 1, got 0"):
        nin_keras.NiN(NET, input_size=0)
