"""Collapse: the arithmetic by hand, its bound on random numbers, and what a run is told."""

import math

import numpy as np
import pytest

from nin_lib.collapse import (
    CollapseMonitor,
    dead_classes,
    loss_floor,
    own_positive,
    plateau,
)
from nin_lib.history import Started, Step


def test_tensors_are_judged_like_arrays():
    """With a gradient, in bfloat16, next to labels of either kind."""
    torch = pytest.importorskip("torch")
    logits, labels = np.random.default_rng(0).normal(size=(50, 10)), np.arange(50) % 10
    for dtype in (torch.float64, torch.bfloat16):
        tensor = torch.tensor(logits, dtype=dtype, requires_grad=True)
        shares = own_positive(logits, labels)
        assert own_positive(tensor, torch.tensor(labels)) == shares
        assert own_positive(tensor, labels) == shares
        loss = torch.tensor(math.log(10), requires_grad=True)
        assert plateau(loss, tensor) == plateau(math.log(10), logits) == "slow"


def cross_entropy(logits, labels):
    highest = logits.max(axis=1, keepdims=True)
    log_sum = highest[:, 0] + np.log(np.exp(logits - highest).sum(axis=1))
    return float((log_sum - logits[np.arange(len(labels)), labels]).mean())


def test_each_class_is_judged_by_its_own_images():
    logits = np.array([[1.0, 0.0, 5.0], [0.0, 0.0, 5.0], [3.0, 0.0, 0.0]])
    assert own_positive(logits, np.array([0, 0, 1])) == [0.5, 0.0, None]
    assert dead_classes([0.5, 0.0, None]) == [1]


def test_the_floor_holds_for_whatever_the_living_classes_do():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 7)
    for _ in range(300):
        logits = np.maximum(rng.normal(0, rng.choice([0.1, 1, 30]), (70, 10)), 0)
        dead = rng.permutation(10)[: rng.integers(0, 11)]
        for c in dead:
            logits[labels == c, c] = 0
        assert cross_entropy(logits, labels) >= loss_floor(len(dead), 10) - 1e-12


def test_the_floor_is_reached_when_the_others_are_sure():
    labels = np.arange(10)
    logits = 1e3 * np.eye(10)
    logits[3, 3] = logits[7, 7] = 0
    assert cross_entropy(logits, labels) == pytest.approx(loss_floor(2, 10))


@pytest.mark.parametrize(
    ("logits", "cause"),
    [
        (np.zeros((50, 10)), "all dead"),
        (np.full((50, 10), 0.3), "constant"),
        (np.random.default_rng(0).uniform(0, 0.1, (50, 10)), "slow"),
    ],
)
def test_three_causes_of_a_plateau(logits, cause):
    loss = cross_entropy(logits, np.arange(50) % 10)
    assert loss == pytest.approx(math.log(10), abs=0.05)
    assert plateau(loss, logits) == cause
    assert plateau(1.8, logits) is None


def steps(monitor, logits, labels, count=1, start=0, loss=1.0):
    for step in range(start + 1, start + count + 1):
        monitor(Step(step, 1, len(labels), loss, 0, logits, labels))


@pytest.fixture(params=["arrays", "tensors"])
def batch(request):
    """1,000 images, 100 of each class, all with a positive logit of their own; and how to make it
    what the trainer gives."""
    labels = np.arange(1000) % 10
    logits = np.where(labels[:, None] == np.arange(10), 5.0, 0.0)
    if request.param == "arrays":
        return logits, labels, lambda array: array
    torch = pytest.importorskip("torch")
    return logits, labels, torch.tensor


def test_a_dead_class_is_told_once_and_again_after_it_lived(batch):
    logits, labels, given = batch
    told = []
    monitor = CollapseMonitor(told.append, classes=["T-shirt", "trouser"])
    monitor(Started(1, 10, 10_000))
    dead = np.where(np.isin(np.arange(10), (1, 7)), 0, logits)
    steps(monitor, given(logits), given(labels), 1)
    assert told == []
    steps(monitor, given(dead), given(labels), 3, start=1)
    assert told == ["epoch 0.2: dead: trouser, 7 (no own image has a positive logit)"]
    steps(monitor, given(np.where(np.arange(10) == 1, 0, logits)), given(labels), 1, start=4)
    steps(monitor, given(dead), given(labels), 1, start=5)
    assert told[1:] == ["epoch 0.6: dead: 7 (no own image has a positive logit)"]
    assert [epoch for epoch, _ in monitor.shares] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert monitor.shares[1][1] == [1, 0, 1, 1, 1, 1, 1, 0, 1, 1]


def test_without_a_last_relu_negative_logits_are_nothing_to_warn_of(batch):
    logits, labels, given = batch
    told = []
    monitor = CollapseMonitor(told.append)
    monitor(Started(1, 1, 1000))
    steps(monitor, given(np.where(np.arange(10) == 1, -1, logits)), given(labels))
    assert told == []


def test_a_plateau_is_told_with_its_cause_and_what_to_try(batch):
    _, labels, given = batch
    told = []
    monitor = CollapseMonitor(told.append)
    monitor(Started(1, 1, 1000))
    steps(monitor, given(np.zeros((1000, 10))), given(labels), loss=math.log(10))
    assert len(told) == 1
    assert told[0].startswith("epoch 1.0: the loss is near ln 10 = 2.30: all logits are 0")
    assert "without the last ReLU" in told[0]


@pytest.mark.parametrize(
    ("logits", "loss"), [(np.zeros((1000, 1)), 0.0), (np.full((1000, 10), np.nan), np.nan)]
)
def test_of_one_class_or_of_no_numbers_there_is_nothing_to_tell(logits, loss):
    """With one class the loss is always ln 1 = 0; a loss that is NaN ends the run anyway."""
    told = []
    monitor = CollapseMonitor(told.append)
    monitor(Started(2, 2, 2000))
    steps(monitor, logits, np.zeros(1000, dtype=int), 4, loss=loss)
    assert told == [] and len(monitor.shares) == 4
    assert plateau(loss, logits) is None


def test_that_a_run_is_slow_is_told_after_its_first_epoch(batch):
    _, labels, given = batch
    told = []
    monitor = CollapseMonitor(told.append)
    monitor(Started(2, 2, 2000))
    slow = np.random.default_rng(0).uniform(0.01, 0.1, (1000, 10))
    steps(monitor, given(slow), given(labels), 1, loss=math.log(10))
    assert told == []
    steps(monitor, given(slow), given(labels), 3, start=1, loss=math.log(10))
    assert [words[:9] for words in told] == ["epoch 1.0"] and "slow" in told[0]


def test_small_batches_are_judged_together(batch):
    logits, labels, given = batch
    monitor = CollapseMonitor()
    monitor(Started(1, 100, 6400))
    for step in range(1, 101):
        part = slice(64 * step % 936, 64 * step % 936 + 64)
        monitor(Step(step, 1, 64, 1.0, 0, given(logits[part]), given(labels[part])))
    assert len(monitor.shares) == 6  # 16 batches make 1,024 images


def test_steps_that_tell_no_logits_are_passed_over():
    monitor = CollapseMonitor()
    monitor(Started(1, 1, 64))
    monitor(Step(1, 1, 64, 1.0, 0))
    assert monitor.shares == []


def test_behind_a_last_relu_a_dead_class_gets_no_gradient_at_all():
    """The mechanism itself: the class's weights and bias stay where they are."""
    torch = pytest.importorskip("torch")
    from nin_lib import torch as nin
    from nin_lib.spec import Block, Network

    torch.manual_seed(0)
    images, labels = torch.rand(12, 1, 8, 8), torch.arange(12) % 4
    gradients = {}
    for last_relu in (True, False):
        model = nin.NiN(Network((Block(3, (6, 4)),), input_size=8, last_relu=last_relu))
        last = model[0][2]
        with torch.no_grad():
            last.bias[2] = -100.0  # far below zero for every image
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        gradients[last_relu] = (last.weight.grad[2].abs().max() + last.bias.grad[2].abs()).item()
    assert gradients[True] == 0
    assert gradients[False] > 0


def test_the_live_run_shows_what_the_notebook_says_for_nine_of_ten_seeds(script):
    live = script("live_collapse")
    runs = script("runs").stored(live.RESULTS)
    assert sorted(run["seed"] for run in runs) == list(range(10))
    assert all(count >= 9 for count in live.held(runs).values()), live.held(runs)


def test_warnings_are_printed_in_lines_that_a_page_can_show(capsys):
    CollapseMonitor().tell("dead: " + "ankle boot, " * 20)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 1 and max(map(len, lines)) <= 78
