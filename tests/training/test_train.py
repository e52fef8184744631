"""The loop: what it learns, what it tells, what it refuses."""

import json
import math
import os
import signal
import threading
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nin_lib import torch as nin
from nin_lib.data import Dataset, Split, load, order
from nin_lib.history import Ended, EpochEnd, History, Started, Step
from nin_lib.networks import network
from nin_lib.recipe import RECIPES, Recipe, learning_rate, recipe
from nin_lib.runtime.allocator import MALLOPT_KEEP, set_allocator
from nin_lib.runtime.dataset import DeviceDataset, to_input
from nin_lib.runtime.interrupt import Interrupted
from nin_lib.runtime.model_check_torch import check_model
from nin_lib.runtime.plan import ExecutionPlan, choose_plan
from nin_lib.runtime.preserve import preserve_placement, preserve_random_state, reseed
from nin_lib.runtime.workers import ALONE, join_workers
from nin_lib.spec import Block, Network
from nin_lib.train import evaluate, fit, predict
from nin_lib.validation import run_numbers

TINY = Network((Block(3, (6, 10), stride=2),), input_size=28)
CPU = ExecutionPlan("cpu")


@pytest.fixture(scope="module")
def few():
    """100 training images, 50 held out, 50 to test with."""
    mini = load("mini")
    return Dataset("few", mini.train.first(100), mini.val.first(50), mini.test.first(50))


def train_tiny(data, seed=0, epochs=2, observers=(), how="default", **options):
    model = nin.build(TINY, recipe(how), seed)
    options = {"batch_size": 32, "plan": CPU, **options}
    return model, fit(
        model, data, recipe(how), epochs=epochs, seed=seed, observers=list(observers), **options
    )


def test_events_come_in_order_and_the_history_is_what_they_said(few):
    events = []
    _, history = train_tiny(few, observers=[events.append])
    kinds = [type(event) for event in events]
    assert kinds == [Started] + ([Step] * 4 + [EpochEnd]) * 2 + [Ended]
    assert (events[0].epochs, events[0].steps_per_epoch, events[0].images) == (2, 4, 100)
    assert [e.images for e in events if isinstance(e, Step)] == [32, 32, 32, 4] * 2
    assert [e.row for e in events if isinstance(e, EpochEnd)] == history.rows
    assert not events[-1].interrupted
    assert history.about.recipe["learning_rate"] == recipe("default").learning_rate


def test_the_last_small_batch_counts_as_it_should(few):
    steps = []
    _, history = train_tiny(few, epochs=1, observers=[steps.append])
    steps = [s for s in steps if isinstance(s, Step)]
    row = history.last
    assert row["train_accuracy"] == sum(int(s.correct) for s in steps) / 100
    by_image = sum(float(s.loss) * s.images for s in steps) / 100
    assert row["train_loss"] == pytest.approx(by_image, rel=1e-6)


def test_the_same_seed_gives_the_same_run_to_the_bit(few):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    (a, first), (b, again), (_, other) = (train_tiny(few, seed=s) for s in (3, 3, 4))
    assert first == again and first.rows != other.rows
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q)
    assert torch.equal(torch.get_rng_state(), state)


def test_an_observer_may_end_the_run_after_a_step(few, tmp_path, capsys):
    class Stop:
        def __init__(self):
            self.events = []

        def __call__(self, event):
            self.events.append(event)
            if isinstance(event, Step) and event.step == 6:
                raise Interrupted

    first, last = Stop(), []
    model, history = train_tiny(few, observers=[first, last.append], out=tmp_path)
    steps = [event.step for event in last if isinstance(event, Step)]
    assert steps == [1, 2, 3, 4, 5, 6]  # the others are told of the last step too
    assert len(history.rows) == 1
    assert last[-1].interrupted and first.events[-1].interrupted
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert "Stopped after step 6, 1 epochs done." in capsys.readouterr().out

    resumed, whole = train_tiny(few, out=tmp_path)  # and goes on, to the same end
    straight, expected = train_tiny(few)
    assert whole == expected
    for p, q in zip(resumed.parameters(), straight.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_step_tells_its_logits_and_labels(few):
    steps = []
    train_tiny(few, epochs=1, observers=[steps.append])
    steps = [s for s in steps if isinstance(s, Step)]
    assert [tuple(s.logits.shape) for s in steps] == [(32, 10)] * 3 + [(4, 10)]
    for step in steps:
        assert not step.logits.requires_grad
        assert int((step.logits.argmax(1) == step.labels).sum()) == int(step.correct)
    assert torch.cat([s.labels for s in steps]).sort().values.tolist() == sorted(few.train.labels)


def test_one_epoch_is_sgd_written_out(few):
    """The published recipe, step by step, without the library."""
    how = Recipe(0.1, init="xavier")
    model, by_hand = (nin.build(TINY, how, seed=1) for _ in range(2))
    fit(
        model,
        few,
        how,
        epochs=1,
        batch_size=40,
        seed=1,
        plan=ExecutionPlan("cpu", channels_last=False),
        observers=[],
    )
    images = torch.tensor(few.train.images).float()[:, None] / 255
    labels = torch.tensor(few.train.labels)
    for part in torch.tensor(order(100, 1, 1)).split(40):
        loss = nn.functional.cross_entropy(by_hand(images[part]), labels[part])
        gradients = torch.autograd.grad(loss, list(by_hand.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(by_hand.parameters(), gradients, strict=True):
                weight -= 0.1 * gradient
    for p, q in zip(model.parameters(), by_hand.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-6)


def test_evaluate_and_predict_agree_whatever_the_batch_size(few):
    model, _ = train_tiny(few, epochs=1)
    logits = predict(model, few.test, plan=CPU)
    accuracy = float((logits.argmax(1) == few.test.labels).mean())
    for batch_size in (1, 7, 50, 500):
        loss, share = evaluate(model, few.test, batch_size=batch_size, plan=CPU)
        assert share == accuracy
        assert loss == pytest.approx(
            nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(few.test.labels)).item(),
            rel=1e-5,
        )


def test_images_are_enlarged_batch_by_batch(few):
    index = torch.arange(8)
    images, labels = DeviceDataset(few.train, 56, CPU)[index]
    assert images.shape == (8, 1, 56, 56) and labels.dtype == torch.int64
    assert 0 <= images.min() and images.max() <= 1
    same, _ = DeviceDataset(few.train, None, CPU)[index]
    assert torch.equal(same[:, 0], torch.tensor(few.train.images[:8]) / 255)
    floats = torch.rand(2, 3, 5, 5)
    assert torch.equal(to_input(floats), floats)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be an integer of at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"batch_size": 1.5}, "batch_size must be an integer"),
        ({"input_size": 2}, "does not fit a 2×2 input"),
    ],
)
def test_bad_arguments(few, options, message):
    with pytest.raises(ValueError, match=message):
        train_tiny(few, **options)


def test_a_model_that_does_not_fit_the_data_is_refused_before_training(few):
    events = []
    for net, message in (
        (Network((Block(3, (6, 4)),), input_size=28), "C at least 10.* shape .2, 4"),
        (Network((Block(3, (10,)),), in_channels=3), r"shape \(N, 3, H, W\), got \(100, 28, 28\)"),
        (network("chapter"), "smallest input that works is 67×67"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(nin.NiN(net), few, recipe("default"), epochs=1, plan=CPU, observers=[events.append])
    assert events == []


class Ending(nn.Module):
    """A linear classifier with batch normalisation whose output `end` turns into another."""

    def __init__(self, end=lambda logits: logits, classes=10):
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Dropout(), nn.Linear(784, classes), nn.BatchNorm1d(classes)
        )
        self.end = end

    def forward(self, images):
        return self.end(self.net(images))


class Squeeze(nn.Module):
    """Drops the first axis of a batch of one, as careless models do."""

    def forward(self, logits):
        return logits.squeeze()


def fit_untold(model, data, **options):
    """One epoch, and the events that were sent."""
    events = []
    options = {"epochs": 1, "batch_size": 20, "plan": CPU, **options}
    fit(model, data, recipe("default"), observers=[events.append], **options)
    return events


@pytest.mark.parametrize(
    ("end", "got"),
    [
        (lambda logits: {"logits": logits}, "an object of type dict"),
        (lambda logits: (logits, logits), "an object of type tuple"),
        (lambda logits: None, "an object of type NoneType"),
        (lambda logits: logits.argmax(1), r"a tensor of torch\.int64"),
        (lambda logits: logits[:, :, None, None], r"shape \(2, 10, 1, 1\)"),
        (lambda logits: logits.mean(0, keepdim=True), r"shape \(1, 10\)"),
    ],
)
def test_what_is_no_tensor_of_logits_is_refused(few, end, got):
    rule = r"model must return one floating-point tensor of logits with shape \(N, C\)"
    with pytest.raises(ValueError, match=f"{rule} and C at least 10.*returned {got}"):
        fit_untold(Ending(end), few)
    for look in (evaluate, predict):
        with pytest.raises(ValueError, match=rule):
            look(Ending(end), few.val.first(2), plan=CPU)


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_each_part_of_the_data_may_need_more_classes_than_the_model_has(few, part):
    split = getattr(few, part)
    more = Split(split.images, np.where(np.arange(len(split)) == 7, 11, split.labels), classes=12)
    data = replace(few, **{part: more})
    with pytest.raises(ValueError, match=r"C at least 12.*returned shape \(2, 10\)"):
        fit_untold(Ending(), data)
    fit_untold(Ending(classes=12), data)
    with pytest.raises(ValueError, match="C at least 12"):
        evaluate(Ending(), more, plan=CPU)


def test_what_the_model_raises_on_the_images_is_said_with_their_shape(few):
    model = nn.Sequential(nn.Flatten(), nn.Linear(100, 10))
    with pytest.raises(ValueError, match=r"shape \(2, 1, 28, 28\): .*2x784 and 100x10"):
        fit_untold(model, few)
    frozen = Ending().requires_grad_(False)
    with pytest.raises(ValueError, match="weights that require a gradient"):
        fit_untold(frozen, few)


def test_a_last_batch_that_is_too_small_is_refused_before_training(few):
    with pytest.raises(ValueError, match="batch_size must leave more than 1 of the 100 .* got 33"):
        fit_untold(Ending(), few, batch_size=33)
    squeezed = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), Squeeze())
    with pytest.raises(ValueError, match=r"got 33;.*batch of 1 it returned shape \(10,\)"):
        fit_untold(squeezed, few, batch_size=33)
    assert sum(isinstance(event, Step) for event in fit_untold(Ending(), few, batch_size=34)) == 3


def test_the_trial_leaves_nothing_behind(few):
    model = Ending()
    modes = [layer.training for layer in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    check_model(model, few, 20, None, CPU, ALONE)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(ValueError, match="batch_size must"):
        fit_untold(model.train(), few, batch_size=33)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert modes == [layer.training for layer in model.modules()]


def test_lazy_layers_get_their_weights_before_the_first_step(few):
    def lazy():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(10)
        )

    first, second = lazy(), lazy().eval()
    history = fit_untold(first, few)[-1].history
    assert history == fit_untold(second, few)[-1].history
    assert first[1].num_batches_tracked == 5  # one for each step
    assert first.training and not second.training
    assert 0 <= evaluate(lazy(), few.val, plan=CPU)[1] <= 1


@pytest.mark.parametrize("mode", [True, False])
def test_a_model_is_left_in_its_mode_and_its_layout(few, mode):
    """Also where fit is interrupted or fails, and where a single layer has a mode of its own."""
    model = nin.build(replace(TINY, stages=(*TINY.stages, *TINY.stages[-1:])), recipe("default"))
    model.train(mode)[0].train(not mode)
    modes = [layer.training for layer in model.modules()]
    strides = [weight.stride() for weight in model.parameters()]

    def stop(event):
        if isinstance(event, Step):
            raise Interrupted

    def as_before():
        same = [layer.training for layer in model.modules()] == modes
        return same and [weight.stride() for weight in model.parameters()] == strides

    evaluate(model, few.val, plan=CPU)
    assert as_before()
    predict(model, few.val, plan=CPU)
    assert as_before()
    for observer in (stop, lambda event: None, lambda event: 1 / 0):
        with suppress(ZeroDivisionError):
            fit(model, few, recipe("default"), epochs=1, plan=CPU, observers=[observer])
        assert as_before()


def test_a_model_comes_back_to_where_it_was_with_its_new_values():
    """A copy elsewhere in memory stands in for one on a GPU."""
    model = Ending()
    tensors = [*model.parameters(), *model.buffers()]
    homes = [tensor.data_ptr() for tensor in tensors]
    with pytest.raises(KeyError), preserve_placement(model):
        for tensor in tensors:
            tensor.data = torch.full_like(tensor, 7)
        raise KeyError
    assert [tensor.data_ptr() for tensor in model.state_dict().values()] == homes
    assert all((tensor == 7).all() for tensor in model.state_dict().values())


def test_a_loss_that_is_no_number_is_said(few):
    how = Recipe(1e20)
    events = []
    with pytest.raises(FloatingPointError, match="epoch 1: try a smaller learning_rate"):
        fit(
            nin.build(TINY, how),
            few,
            how,
            epochs=2,
            batch_size=10,
            plan=CPU,
            observers=[events.append],
        )
    assert isinstance(events[-1], Ended)  # whoever watches is told


def test_an_interrupt_waits_for_the_step_and_keeps_the_finished_epochs(few):
    def press_stop(event):
        if isinstance(event, Step) and event.step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    events = []
    before = signal.getsignal(signal.SIGINT)
    model, history = train_tiny(few, epochs=3, observers=[press_stop, events.append])
    assert [row["epoch"] for row in history.rows] == [1]
    assert sum(isinstance(e, Step) for e in events) == 6
    assert events[-1].interrupted
    assert signal.getsignal(signal.SIGINT) is before
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.parametrize(("kind", "epochs_done"), [(Started, 0), (EpochEnd, 1), (Ended, 2)])
def test_an_interrupt_at_the_very_beginning_or_end_leaves_a_history(few, capsys, kind, epochs_done):
    def press_stop(event):
        if isinstance(event, kind):
            signal.raise_signal(signal.SIGINT)

    _, history = train_tiny(few, epochs=2, observers=[press_stop])
    assert len(history.rows) == epochs_done
    capsys.readouterr()
    assert history.finished() == (epochs_done == 2)
    assert ("run the training cell again" in capsys.readouterr().out) == (epochs_done < 2)


def test_an_empty_history_is_of_no_finished_run(capsys):
    assert not History().finished()
    assert capsys.readouterr().out.count("\n") == 1


def test_training_outside_the_main_thread(few):
    done = []
    thread = threading.Thread(target=lambda: done.append(train_tiny(few, epochs=1)))
    thread.start()
    thread.join(60)
    assert len(done[0][1].rows) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.release) for seed in range(1, 5))]
)
def test_training_on_the_mini_set_learns(seed):
    """A third of the class run, with its net and recipe: far above the 0.1 of guessing."""
    mini, how = load("mini"), recipe("default")
    data = Dataset("mini", mini.train.first(2_000), mini.val.first(500), mini.test)
    model = nin.build(network("paper-mnist"), how, seed)
    history = fit(model, data, how, epochs=2, batch_size=32, seed=seed, observers=[])
    assert history.last["val_accuracy"] > 0.4


# ── recipes, plans, history ──────────────────────────────────────────────────────────────────────


def test_the_one_cycle_schedule():
    how, steps = recipe("default"), 1000
    top = how.learning_rate
    rates = [learning_rate(how, step, steps) for step in range(steps)]
    assert rates[0] == pytest.approx(top / 25)
    assert max(rates) == rates[200] == pytest.approx(top)
    assert rates[:201] == sorted(rates[:201]) and rates[200:] == sorted(rates[200:], reverse=True)
    assert 0 < rates[-1] < 1e-5
    assert {learning_rate(recipe("published"), s, 10) for s in range(10)} == {0.1}
    assert all(learning_rate(how, s, n) > 0 for n in (1, 2, 3) for s in range(n))
    parameter = [nn.Parameter(torch.zeros(1))]
    optimizer = torch.optim.SGD(parameter, top)
    peer = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, top, total_steps=1001, pct_start=0.2, cycle_momentum=False
    )
    for step in range(0, 1000):
        assert rates[step] == pytest.approx(peer.get_last_lr()[0], rel=0.05, abs=1e-6)
        optimizer.step()
        peer.step()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0}, "learning_rate must be above 0, got 0"),
        ({"learning_rate": math.nan}, "learning_rate must be above 0, got nan"),
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1"),
        ({"nesterov": True}, "nesterov needs a momentum"),
        ({"schedule": "cosine"}, "schedule must be one of constant, one-cycle, got 'cosine'"),
        ({"warmup": 1.0}, "warmup"),
        ({"clip": 0}, "clip must be above 0 or None"),
        ({"init": "zeros"}, "init must be one of pytorch, xavier, kaiming"),
        ({"learning_rate": "0.1"}, "learning_rate must be a number, got '0.1'"),
        ({"learning_rate": math.inf}, "learning_rate must be finite, got inf"),
        ({"learning_rate": 10**400}, "learning_rate must be finite, got 1000"),
        ({"learning_rate": torch.ones(2)}, "learning_rate must be a number, got tensor"),
        ({"momentum": [0.9]}, r"momentum must be a number, got \[0.9\]"),
        ({"momentum": True}, "momentum must be a number, got True"),
        ({"momentum": 0.9, "nesterov": "no"}, "nesterov must be True or False, got 'no'"),
        ({"schedule": []}, r"schedule must be one of constant, one-cycle, got \[\]"),
        ({"warmup": None}, "warmup must be a number, got None"),
        ({"clip": math.inf}, "clip must be finite, got inf"),
        ({"init": {}}, "init must be one of pytorch, xavier, kaiming, got {}"),
        ({"zero_bias": 1}, "zero_bias must be True or False, got 1"),
        ({"last_relu": None}, "last_relu must be True or False, got None"),
    ],
)
def test_recipes_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**{"learning_rate": 0.1, **options})
    with pytest.raises(ValueError, match="there is no recipe named 'best'"):
        recipe("best")
    assert set(RECIPES) == {"published", "default"}


@pytest.mark.parametrize("number", [np.float32(0.5), torch.tensor(0.5), np.array(0.5), 0.5])
def test_recipes_keep_plain_numbers(number):
    how = Recipe(number, momentum=number, warmup=number, clip=number)
    assert json.loads(json.dumps(asdict(how))) == asdict(Recipe(0.5, 0.5, warmup=0.5, clip=0.5))


@pytest.mark.parametrize(
    ("argument", "value", "rule"),
    [
        ("seed", -1, "at least 0"),
        ("seed", None, "at least 0"),
        ("seed", 2**63, "at most 9223372036854775807"),
        ("batch_size", 10**30, "at most 2147483647"),
        ("batch_size", 12.0, "at least 1"),
        ("epochs", True, "at least 1"),
        ("epochs", np.True_, "at least 1"),
        ("epochs", torch.tensor(True), "at least 1"),
        ("input_size", 0, "at least 1"),
        ("input_size", "28", "at least 1"),
        ("input_size", 2**20, "at most 32768"),
    ],
)
def test_numbers_of_a_run_are_refused_by_name(argument, value, rule):
    numbers = dict(epochs=1, batch_size=1, input_size=None, seed=0)
    assert run_numbers(**numbers) == (1, 1, None, 0)
    with pytest.raises(ValueError) as caught:
        run_numbers(**numbers | {argument: value})
    assert str(caught.value) == f"{argument} must be an integer of {rule}, got {value!r}"


@pytest.mark.parametrize("kind", [np.int8, np.uint64, torch.tensor, np.array])
def test_numbers_of_a_run_may_have_any_integer_type(kind):
    numbers = run_numbers(kind(3), kind(4), kind(28), kind(7))
    assert numbers == (3, 4, 28, 7) and {type(number) for number in numbers} == {int}


def test_building_takes_the_seeds_that_training_takes():
    how = recipe("default")
    first, again = nin.build(TINY, how, np.int64(2**63 - 1)), nin.build(TINY, how, 2**63 - 1)
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    for seed in (-1, None, 2**63):
        with pytest.raises(ValueError, match=f"seed must be an integer .* got {seed}"):
            nin.build(TINY, how, seed)


def test_plans(monkeypatch):
    from nin_lib.runtime import plan as plan_module

    assert str(ExecutionPlan("cpu", keep_memory=True)) == "cpu, float32, channels last, memory kept"
    with pytest.raises(ValueError, match="precision must be one of .*float16, got 'int8'"):
        choose_plan("cpu", "int8")
    monkeypatch.setattr(plan_module.sys, "platform", "win32")
    assert choose_plan("cpu").keep_memory is False and set_allocator({-4: 0}) is False


@pytest.fixture
def gpu(monkeypatch):
    """PyTorch as it looks on a machine with NVIDIA GPUs; nothing is computed there."""

    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Some GPU")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 92400)
    monkeypatch.setattr(torch, "empty", lambda *_, **__: None)
    return monkeypatch


@pytest.mark.parametrize(
    ("device", "precision", "fused"),
    [
        ("cuda", "float16", False),
        ("cuda:1", "float16", False),
        ("cuda", "bfloat16", True),
        ("cuda", "float32", True),
        ("cpu", "float32", False),
    ],
)
def test_the_fused_step_is_never_taken_with_float16(device, precision, fused):
    assert ExecutionPlan(device, precision).fused is fused


def test_a_first_step_that_float16_skips_leaves_the_momentum_finite(few):
    """The loss scale of 65,536 overflows on large gradients, and the step is skipped."""
    model = nin.build(TINY, recipe("default"))
    with torch.no_grad():
        model[0][0].weight *= 1000
    first = [weight.clone() for weight in model.parameters()]
    seen = []

    def watch(event):
        if isinstance(event, Step):
            same = all(map(torch.equal, model.parameters(), first))
            seen.append((same, all(weight.isfinite().all() for weight in model.parameters())))

    half = ExecutionPlan("cpu", "float16")
    fit(model, few, recipe("default"), epochs=5, batch_size=32, plan=half, observers=[watch])
    assert seen[0] == (True, True) and seen[-1] == (False, True)


def test_under_torchrun_the_plan_chooses_this_processs_gpu(gpu):
    assert choose_plan().device == "cuda" and choose_plan("cuda:1").device == "cuda:1"
    gpu.setenv("WORLD_SIZE", "4")
    gpu.setenv("LOCAL_RANK", "3")
    assert (
        choose_plan().device
        == choose_plan("cuda").device
        == choose_plan(torch.device("cuda")).device
        == "cuda:3"
    )
    assert choose_plan("cuda:1").device == "cuda:1"
    chosen = []
    gpu.setattr(torch.cuda, "set_device", lambda device: chosen.append(device) or 1 / 0)
    with pytest.raises(ZeroDivisionError), join_workers("cuda"):
        pass  # a plan that somebody wrote: ExecutionPlan("cuda")
    assert chosen == ["cuda:3"]


def test_under_torchrun_a_mac_trains_on_its_processor(few, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert choose_plan().device == "cpu"
    message = "device must be 'cpu' or 'cuda' in several processes, got 'mps'"
    with pytest.raises(ValueError, match=message):
        choose_plan("mps")
    with pytest.raises(ValueError, match=message):
        fit(Ending(), few, recipe("default"), epochs=1, plan=ExecutionPlan("mps"), observers=[])


def test_a_run_records_what_its_device_depends_on_and_nothing_else(gpu):
    on_cpu, on_gpu = ExecutionPlan("cpu").about(), ExecutionPlan("cuda").about()
    assert {"threads", "instruction_set"} <= on_cpu.keys() and "cudnn" not in on_cpu
    assert not {"threads", "instruction_set"} & on_gpu.keys()
    assert ExecutionPlan("cuda:1").about() == on_gpu  # an equal GPU
    assert ExecutionPlan("cpu", keep_memory=True).about() == on_cpu
    for name, value in (("deterministic", True), ("benchmark", True), ("allow_tf32", False)):
        with gpu.context() as patch:
            patch.setattr(torch.backends.cudnn, name, value)
            assert ExecutionPlan("cuda").about() != on_gpu, name
            assert ExecutionPlan("cpu").about() == on_cpu
    with gpu.context() as patch:
        patch.setattr(torch.backends.cudnn, "version", lambda: 1)
        assert ExecutionPlan("cuda").about()["cudnn"]["version"] == 1
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        assert ExecutionPlan("cuda").about()["matmul"] == {"tf32": True}
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False


def test_only_the_generators_that_are_used_are_seeded(few, monkeypatch):
    def refuse(*_):
        raise AssertionError("this seeds the generators of every GPU")

    monkeypatch.setattr(torch, "manual_seed", refuse)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
    monkeypatch.setattr(torch.mps, "manual_seed", refuse)
    state = torch.get_rng_state()
    train_tiny(few, epochs=1)
    assert torch.equal(torch.get_rng_state(), state)


def test_on_a_gpu_its_own_generator_is_seeded_and_restored(gpu):
    generators = tuple(torch.Generator() for _ in range(3))  # of three GPUs
    gpu.setattr(torch.cuda, "init", lambda: None)
    gpu.setattr(torch.cuda, "current_device", lambda: 1)
    gpu.setattr(torch.cuda, "default_generators", generators)
    before = [generator.get_state() for generator in generators]
    for device, used in (("cuda", 1), ("cuda:2", 2)):
        with preserve_random_state(device):
            reseed(device, 5)
            seeded = [generator.initial_seed() == 5 for generator in generators]
            assert seeded == [number == used for number in range(3)]
            assert torch.initial_seed() == 5
        for generator, state in zip(generators, before, strict=True):
            assert torch.equal(generator.get_state(), state)


INTEL = dict(cpu_name="Intel Xeon", avx512_bf16=True)


@pytest.mark.parametrize(
    ("processor", "kernels", "limit", "precision"),
    [
        (dict(INTEL, amx_bf16=True), "AVX512", None, "bfloat16"),
        (dict(INTEL, amx_bf16=True), "AVX512", "AVX512_CORE_AMX", "bfloat16"),
        (dict(INTEL, amx_bf16=True), "AVX512", "AVX512_CORE_BF16", "float32"),
        (dict(INTEL, amx_bf16=True), "AVX512", "AVX2", "float32"),
        (dict(INTEL, amx_bf16=True), "AVX2", None, "float32"),
        (dict(INTEL, amx_bf16=False), "AVX512", None, "float32"),
        (dict(cpu_name="AMD EPYC", avx512_bf16=True), "AVX512", None, "bfloat16"),
        (dict(cpu_name="AMD EPYC", avx512_bf16=True), "AVX512", "AVX512_CORE_BF16", "bfloat16"),
        (dict(cpu_name="AMD EPYC", avx512_bf16=True), "AVX512", "AVX512_CORE_VNNI", "float32"),
        (dict(cpu_name="AMD EPYC", avx512_bf16=True), "AVX2", None, "float32"),
        (dict(cpu_name="AMD EPYC", avx512_bf16=False), "AVX2", None, "float32"),
    ],
)
def test_the_precision_follows_the_processor(monkeypatch, processor, kernels, limit, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: kernels)
    if limit:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    else:
        monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    assert choose_plan("cpu").precision == precision
    assert choose_plan("cpu", "float32").precision == "float32"


def test_a_pytorch_that_cannot_be_asked_about_the_processor(monkeypatch):
    """Versions before `torch.cpu.get_capabilities`, which the lower bound of the core allows."""
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert choose_plan("cpu").precision == "float32"
    assert choose_plan("cpu").about()["processor"] == "unknown"


def test_a_bfloat16_run_learns_too(few):
    _, history = train_tiny(few, epochs=3, plan=ExecutionPlan("cpu", "bfloat16"))
    assert history.last["train_loss"] < history.rows[0]["train_loss"]


def test_history_round_trip(few, tmp_path):
    _, history = train_tiny(few)
    assert History.from_json(history.to_json()) == history
    history.save(tmp_path / "run.json")
    history.save(tmp_path / "run.csv")
    assert History.from_json((tmp_path / "run.json").read_text(encoding="utf-8")) == history
    lines = (tmp_path / "run.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "epoch,train_loss,train_accuracy,val_loss,val_accuracy" and len(lines) == 3
    assert history.column("epoch") == [1, 2]
    with pytest.raises(ValueError, match="no epoch was finished"):
        _ = History().last
    with pytest.raises(ValueError, match="name must be one of epoch, train_loss"):
        history.column("speed")
    for text in ("[]", '{"rows": []}', '{"rows": [{"epoch": 1}], "about": {}}'):
        with pytest.raises(ValueError, match="a history is|a row has the keys"):
            History.from_json(text)
    row = history.rows[0]
    for rows, message in (
        (None, "rows must be a list"),
        ([7], "a row has the keys .*, got 7"),
        ([row | {"val_loss": "low"}], "row 1: val_loss must be a number, got 'low'"),
    ):
        with pytest.raises(ValueError, match=message):
            History.from_json(json.dumps({"rows": rows, "about": {}}))
    with pytest.raises(ValueError, match="text must be a history as JSON: Expecting value"):
        History.from_json("[")


def test_float_images_and_several_channels():
    rng = np.random.default_rng(0)
    split = Split(rng.random((20, 3, 9, 9), np.float32), rng.integers(0, 4, 20), classes=4)
    data = Dataset("noise", split, split, split)
    net = Network((Block(3, (5, 4)),), in_channels=3, input_size=9)
    history = fit(nin.NiN(net), data, Recipe(0.1), epochs=1, batch_size=6, plan=CPU, observers=[])
    assert len(history.rows) == 1


def test_timing_the_candidates_is_possible_and_changes_nothing(few):
    from nin_lib.runtime.plan import fastest

    model = nin.build(TINY, recipe("default"))
    before = [p.clone() for p in model.parameters()]
    images = to_input(torch.tensor(few.train.images[:8]))
    chosen = fastest(model, images, CPU)
    assert chosen.device == "cpu" and chosen.precision in ("float32", "bfloat16")
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())


def test_what_the_plan_changes_in_the_process_is_undone(monkeypatch):
    from nin_lib.runtime import plan as plan_module

    calls = []
    monkeypatch.setattr(plan_module, "set_allocator", lambda options: calls.append(options) or True)
    monkeypatch.setattr(plan_module, "reset_allocator", lambda: calls.append("reset"))
    with pytest.raises(KeyError), ExecutionPlan("cpu", keep_memory=True).running():
        raise KeyError
    assert calls == [MALLOPT_KEEP, "reset"]
    with ExecutionPlan("cpu").running():
        pass
    assert len(calls) == 2


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_kept_memory_is_given_back():
    def resident_mb():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4 // 1024

    if not choose_plan("cpu").keep_memory:
        pytest.skip("another C library")
    with ExecutionPlan("cpu", keep_memory=True).running():
        held = [torch.ones(10_000_000) for _ in range(6)]  # 40 MB each
        with_arrays = resident_mb()
        del held
        assert with_arrays - resident_mb() < 50  # kept
    assert with_arrays - resident_mb() > 150  # given back
