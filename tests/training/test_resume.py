"""Runs that stop and go on: killed, interrupted, out of memory; and what must fit for going on."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import CPU, NET, few, kept, run
from torch import nn

from nin_lib import cli, networks
from nin_lib import torch as nin
from nin_lib.data import Split
from nin_lib.history import Ended, EpochEnd, History, Started, Step
from nin_lib.recipe import RECIPES
from nin_lib.runtime import checkpoint, checkpointer
from nin_lib.runtime import plan as plan_module
from nin_lib.runtime.checkpoint import CheckpointError, load_checkpoint, read_checkpoint
from nin_lib.runtime.plan import ExecutionPlan, choose_plan
from nin_lib.spec import Dropout
from nin_lib.train import evaluate, predict

HERE = Path(__file__).parent
STEPS = 15


@pytest.fixture(scope="module", autouse=True)
def often():
    """A checkpoint after every step; one thread, since a tiny net has no work for two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpointer, "SECONDS", 0.0)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data():
    return few()


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    """What a run in one piece leaves."""
    folder = tmp_path_factory.mktemp("unbroken")
    run(data, folder)
    return folder


def equal(a, b):
    """Two folders hold the same run: weights, history, optimiser, position, to the bit."""
    assert (a / "model.safetensors").read_bytes() == (b / "model.safetensors").read_bytes()
    for name in ("history.json", "history.csv"):
        assert (a / name).read_bytes() == (b / name).read_bytes()
    one, other = (read_checkpoint(folder / checkpoint.NAME) for folder in (a, b))
    assert one.state == other.state and one.tensors.keys() == other.tensors.keys()
    assert any(name.startswith("momentum.") for name in one.tensors)
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name
    return True


class Stop:
    """An observer that interrupts after one step, or does something else there."""

    def __init__(self, step, action=lambda: os.kill(os.getpid(), signal.SIGINT)):
        self.step, self.action, self.events = step, action, []

    def __call__(self, event):
        self.events.append(event)
        if isinstance(event, Step) and event.step == self.step:
            self.action()

    @property
    def started(self):
        return next(e.step for e in self.events if isinstance(e, Started))


# ── Killed ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_runs_killed_anywhere_go_on_to_the_bit(tmp_path):
    """SIGKILL after and within steps, while evaluating, writing and renaming, at any time."""
    done = subprocess.run(
        [sys.executable, HERE / "killed_runs.py", tmp_path, "21"],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    lives = [life for round in rounds for life in round["lives"]]
    places = Counter(life["place"] for life in lives if life["killed"])
    assert len(rounds) == 21 and sum(places.values()) >= 20 and len(places) == 7, places
    whole = [json.loads(line) for line in (tmp_path / "whole" / "samples.txt").open()]
    assert [step for step, _ in whole] == list(range(STEPS))
    for round in rounds:
        folder = Path(round["folder"])
        assert equal(folder, tmp_path / "whole"), round
        starts = [int(line) for line in (folder / "starts.txt").open()]
        samples = [json.loads(line) for line in (folder / "samples.txt").open()]
        assert all(whole[step][1] == index for step, index in samples)  # the same samples, and
        assert starts[0] == 0 and starts == sorted(starts)  # nothing kept is done again:
        for life, before, start in zip(round["lives"], starts, starts[1:], strict=False):
            if life["place"] == "after a step":
                kept_steps = (life["count"] - 1) // round["every"] * round["every"]
                epochs = (life["count"] - 1) // 5 * 5  # each epoch's end is kept, too
                assert start == max(before, kept_steps, epochs), round
        last = len(samples) - (STEPS - starts[-1])
        assert samples[last:] == whole[starts[-1] :]


# ── Interrupted ──────────────────────────────────────────────────────────────────────────────────


def interrupt_in(place, model, monkeypatch):
    """Send SIGINT once, in the middle of a step, of an evaluation or of writing a checkpoint."""
    sent = []

    def press(*_):
        if len(sent) < 7:
            sent.append(1)
        if len(sent) == 7:
            sent.append(1)
            os.kill(os.getpid(), signal.SIGINT)

    def evaluating(module, *_):
        if not module.training and len(sent) == 0:
            sent.append(1)
        elif not module.training and len(sent) == 1:
            sent.append(1)
            os.kill(os.getpid(), signal.SIGINT)

    if place == "forward":
        model.register_forward_pre_hook(lambda m, *_: press() if m.training else None)
    elif place == "inside the net":
        convolution = [m for m in model.modules() if isinstance(m, nn.Conv2d)][2]
        convolution.register_forward_hook(lambda m, *_: press() if m.training else None)
    elif place == "backward":
        next(model.parameters()).register_hook(press)
    elif place == "optimiser":
        step = torch.optim.SGD.step
        monkeypatch.setattr(torch.optim.SGD, "step", lambda *a, **k: (step(*a, **k), press())[0])
    elif place == "evaluation":
        model.register_forward_hook(evaluating)
    elif place == "writing":
        fsync = os.fsync
        monkeypatch.setattr(checkpoint.os, "fsync", lambda file: (press(), fsync(file)))
    elif place == "renaming":
        rename = os.replace
        monkeypatch.setattr(checkpoint.os, "replace", lambda *a: (press(), rename(*a)))


PLACES = ("forward", "inside the net", "backward", "optimiser", "evaluation", "writing", "renaming")


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise on Windows")
@pytest.mark.parametrize("place", PLACES)
def test_an_interrupt_anywhere_ends_between_steps_and_the_same_call_goes_on(
    data, tmp_path, monkeypatch, capsys, unbroken, place
):
    model = nin.build(NET, RECIPES["default"], 3)
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        interrupt_in(place, model, patch)
        watcher = Stop(0)
        stopped, history = run(data, tmp_path, net=model, observers=[watcher])
    assert signal.getsignal(signal.SIGINT) is handler
    steps = sum(isinstance(e, Step) for e in watcher.events)
    assert 3 <= steps < STEPS
    assert len(history.rows) == sum(isinstance(e, EpochEnd) for e in watcher.events)
    assert place != "evaluation" or (steps, len(history.rows)) == (5, 0)
    assert watcher.events[-1] == Ended(history, interrupted=True)
    assert all(torch.isfinite(p).all() for p in stopped.parameters())
    assert capsys.readouterr().out == (
        f"Stopped after step {steps}, {len(history.rows)} epochs done. "
        f"The same call goes on from {tmp_path}.\n"
    )
    assert read_checkpoint(tmp_path / checkpoint.NAME).state["step"] == steps
    again = Stop(0)
    run(data, tmp_path, observers=[again])
    assert again.started == steps and again.events[0].rows == tuple(history.rows)
    assert equal(tmp_path, unbroken)


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise on Windows")
def test_a_second_interrupt_ends_at_once(data, tmp_path, unbroken):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second one should have ended it")

    handler = signal.getsignal(signal.SIGINT)
    watcher = Stop(8, twice)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path, observers=[watcher])
    assert signal.getsignal(signal.SIGINT) is handler
    assert isinstance(watcher.events[-1], Ended) and watcher.events[-1].interrupted
    again = Stop(0)
    run(data, tmp_path, observers=[again])
    assert again.started == 7 and equal(tmp_path, unbroken)


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise on Windows")
def test_an_interrupt_while_the_end_is_written_does_not_stop_it(data, tmp_path, monkeypatch):
    """The run is done then; only its files are missing."""
    watcher = Stop(0)

    def press(run):
        os.kill(os.getpid(), signal.SIGINT)
        return to_csv(run)

    to_csv = History.to_csv
    monkeypatch.setattr(History, "to_csv", press)
    _, history = run(data, tmp_path, epochs=1, observers=[watcher])
    assert len(history.rows) == 1 and not watcher.events[-1].interrupted
    assert load_checkpoint(tmp_path).state["finished"] and len(kept(tmp_path)) == 4


def test_without_a_folder_an_interrupt_says_so_and_keeps_the_model(data, capsys):
    model, history = run(data, observers=[Stop(7)])
    assert capsys.readouterr().out == "Stopped after step 7, 1 epochs done.\n"
    assert len(history.rows) == 1 and all(torch.isfinite(p).all() for p in model.parameters())


# ── What must fit ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def started(data, tmp_path_factory):
    """The files of a run that was stopped after 7 of 15 steps."""
    folder = tmp_path_factory.mktemp("started")
    run(data, folder, observers=[Stop(7)])
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def half(started, tmp_path):
    for name, content in started.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def other_test_image(data):
    images = data.val.images.copy()
    images[0, 0, 0] ^= 1
    return replace(data, val=Split(images, data.val.labels))


def other_order(data):
    reversed = Split(data.train.images[::-1].copy(), data.train.labels[::-1].copy())
    return replace(data, train=reversed)


less_dropout = replace(NET, stages=(*NET.stages[:2], Dropout(0.4), NET.stages[3]))
wider = replace(NET, stages=(replace(NET.stages[0], widths=(6, 9)), *NET.stages[1:]))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 4}, "seed 3 there, 4 here"),
        ({"epochs": 4}, "epochs 3 there, 4 here"),
        ({"batch_size": 10}, "batch_size 8 there, 10 here"),
        ({"input_size": 30}, "input_size None there, 30 here"),
        ({"how": replace(RECIPES["default"], clip=2.0)}, r"recipe\.clip 1\.0 there, 2\.0 here"),
        ({"notes": {"arm": "b"}}, "notes.arm None there, b here"),
        ({"net": less_dropout}, "model NiN, [0-9,]+ parameters, .* there, NiN"),
        ({"net": wider}, "model NiN"),
        ({"data": lambda data: few(30)}, "data_checksum .*images 40 there, 30 here"),
        ({"data": other_test_image}, "data_checksum"),
        ({"data": other_order}, "data_checksum"),
        ({"data": lambda data: replace(data, name="other")}, "data few there, other here"),
    ],
)
@pytest.mark.parametrize("resume", ["exact", "anyway"])
def test_another_run_does_not_go_on_and_is_told_what_differs(
    data, half, monkeypatch, changed, message, resume
):
    changed = dict(changed)
    data = changed.pop("data", lambda same: same)(data)
    net = changed.pop("net", NET)
    model = nin.build(net, RECIPES["default"], 9)
    weights = [p.clone() for p in model.parameters()]
    before = {path.name: path.read_bytes() for path in half.iterdir()}
    events = []
    with pytest.raises(CheckpointError, match=f"unfinished run with other settings.*{message}"):
        run(data, half, net=model, resume=resume, observers=[events.append], **changed)
    assert events == []
    assert all(torch.equal(p, w) for p, w in zip(model.parameters(), weights, strict=True))
    assert {path.name: path.read_bytes() for path in half.iterdir()} == before
    if resume == "exact":
        watcher = Stop(0)
        monkeypatch.setattr(checkpointer, "SECONDS", 60.0)
        run(data, half, net=net, resume="never", observers=[watcher], **changed)
        assert watcher.started == 0 and load_checkpoint(half).state["finished"]


def other_threads(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)


def other_instruction_set(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")


def other_torch(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "9.9")


def other_numpy(monkeypatch):
    monkeypatch.setattr(plan_module.np, "__version__", "9.9")


def other_processor(monkeypatch):
    there = torch.cpu.get_capabilities()
    abacus = {**there, "cpu_name": "Abacus"}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abacus)


@pytest.mark.parametrize(
    ("change", "plan", "message"),
    [
        (other_threads, CPU, r"plan\.threads|threads \d+ there, 77 here"),
        (other_instruction_set, CPU, "instruction_set .* here"),
        (other_torch, CPU, "torch .* there, 9.9 here"),
        (other_numpy, CPU, "numpy .* there, 9.9 here"),
        (other_processor, CPU, "processor .* there, Abacus here"),
        (None, ExecutionPlan("cpu", "bfloat16"), "precision float32 there, bfloat16 here"),
        (None, ExecutionPlan("cpu", "float16"), "precision float32 there, float16 here"),
        (None, ExecutionPlan("cpu", channels_last=False), "channels_last True there, False here"),
    ],
)
def test_under_other_conditions_it_goes_on_only_when_told(
    data, half, monkeypatch, change, plan, message
):
    if change:
        change(monkeypatch)
    with pytest.raises(CheckpointError, match=f"would not be exact .*{message}.*'anyway' goes on"):
        run(data, half, plan=plan)
    there = load_checkpoint(half).state["history"]["about"]["plan"]
    watcher = Stop(9)
    run(data, half, plan=plan, resume="anyway", observers=[watcher])
    assert watcher.started == 7
    _, history = run(data, half, plan=plan)  # exact again, under what is now here
    assert len(history.rows) == 3
    assert history.about.earlier == [dict(until_step=7, plan=there)]
    assert history.about.plan != there


def test_a_run_in_another_precision_is_also_exact(data, tmp_path):
    """float16 has a loss scale that changes, and skips steps, while it is being found."""
    for precision in ("bfloat16", "float16"):
        whole, broken = tmp_path / f"{precision} whole", tmp_path / f"{precision} broken"
        plan = ExecutionPlan("cpu", precision)
        run(data, whole, plan=plan)
        for step in (2, 9):
            run(data, broken, plan=plan, observers=[Stop(step)])
        assert load_checkpoint(broken).state["step"] == 9
        run(data, broken, plan=plan)
        assert equal(whole, broken)
    scale = load_checkpoint(tmp_path / "float16 whole").state["scaler"]
    assert set(scale) >= {"scale", "_growth_tracker"}


def test_batch_norm_is_kept_too(data, tmp_path):
    def net():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(784, 10), nn.BatchNorm1d(10), nn.Dropout(), nn.Linear(10, 10)
        )

    for folder, stops in (("whole", ()), ("broken", (4, 10))):
        for step in (*stops, 0):
            run(data, tmp_path / folder, net=net(), observers=[Stop(step)])
    assert equal(tmp_path / "whole", tmp_path / "broken")


def test_plain_gradient_descent_goes_on_exactly(data, tmp_path):
    for folder, stops in (("whole", ()), ("broken", (4, 10))):
        for step in (*stops, 0):
            run(data, tmp_path / folder, how="published", observers=[Stop(step)])
    whole, broken = kept(tmp_path / "whole"), kept(tmp_path / "broken")
    for name in ("model.safetensors", "history.json", "history.csv"):
        assert whole[name] == broken[name]


def test_never_starts_anew_and_a_finished_run_is_returned(data, half, unbroken):
    for resume, step in (("never", 0), ("exact", STEPS), ("anyway", STEPS), ("never", 0)):
        watcher = Stop(0)
        run(data, half, resume=resume, observers=[watcher])
        assert watcher.started == step and equal(half, unbroken)


def test_going_on_is_the_same_run_whatever_happened_in_between(data, half, unbroken):
    torch.manual_seed(99)
    torch.rand(5)
    state = torch.get_rng_state()
    np.random.seed(1)
    watcher = Stop(0)
    run(data, half, observers=[watcher])
    assert watcher.started == 7 and equal(half, unbroken)
    assert torch.equal(torch.get_rng_state(), state)


def test_notes_come_back_as_they_were_written(data, tmp_path):
    """A tuple is a list in JSON; that is no difference."""
    notes = {"sizes": (1, 2), 3: "three"}
    run(data, tmp_path, notes=notes, observers=[Stop(3)])
    watcher = Stop(0)
    run(data, tmp_path, notes=notes, observers=[watcher])
    assert watcher.started == 3


def test_notes_that_cannot_be_kept_are_refused_before_training(data, tmp_path):
    events = []
    with pytest.raises(TypeError, match="not JSON serializable"):
        run(data, tmp_path, notes={"net": NET}, observers=[events.append])
    assert events == []


@pytest.mark.parametrize("out", [True, False])
def test_a_value_of_resume_that_is_none(data, tmp_path, out):
    with pytest.raises(ValueError, match="resume must be one of exact, anyway, never, got True"):
        run(data, tmp_path if out else None, resume=True)


def test_damaged_checkpoints(data, half, unbroken):
    whole = (half / checkpoint.NAME).read_bytes()
    (half / checkpoint.NAME).write_bytes(whole[:1000])
    watcher = Stop(0)
    with pytest.warns(UserWarning, match="not a whole checkpoint.*going on from"):
        run(data, half, observers=[watcher])
    assert watcher.started == 6 and equal(half, unbroken)
    for name in (checkpoint.NAME, checkpoint.PREVIOUS):
        (half / name).write_bytes(whole[:1000])
    with pytest.raises(CheckpointError, match="delete the folder to start anew"):
        run(data, half)


def test_a_folder_that_is_a_file(data, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(FileExistsError):
        run(data, tmp_path / "run")


# ── The disk fails during a run ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("place", ["a step", "an epoch", "the end", "an interrupt"])
def test_a_full_disk_ends_the_run_visibly_and_it_can_go_on(
    data, tmp_path, monkeypatch, unbroken, place
):
    """The observer is told, the error is raised, and the last checkpoint goes on exactly."""

    def fill(*_):
        def full(_):
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(checkpoint.os, "fsync", full)

    events = []

    def observe(event):
        events.append(event)
        if isinstance(event, Step) and event.step == {"a step": 6, "an epoch": 10}.get(place):
            fill()
        if isinstance(event, EpochEnd) and place == "the end" and event.row["epoch"] == 3:
            fill()
        if isinstance(event, Step) and event.step == 6 and place == "an interrupt":
            fill()
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left on device"):
        run(data, tmp_path, observers=[observe])
    assert isinstance(events[-1], Ended) and events[-1].interrupted
    assert not list(tmp_path.glob("*.part"))
    watcher = Stop(0)
    run(data, tmp_path, observers=[watcher])
    assert watcher.started == {"a step": 5, "an epoch": 9, "the end": 15}.get(place, 5)
    assert equal(tmp_path, unbroken)


# ── Out of memory ────────────────────────────────────────────────────────────────────────────────


class Hungry(nn.Module):
    """Fails on more than `most` images at once while training, or while looking.

    Two images are tried before the first step."""

    def __init__(self, error, most=2, training=True):
        super().__init__()
        self.net, self.error = nin.build(NET, RECIPES["default"], 3), error
        self.most, self.when = most, training

    def forward(self, images):
        if self.training == self.when and len(images) > self.most:
            raise self.error
        return self.net(images)


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 17.97 GB)"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_running_out_of_memory_says_which_batch_size_to_try(data, error):
    events = []
    with pytest.raises(MemoryError, match="not enough memory for batch_size 20: try 10") as caught:
        run(data, net=Hungry(error), batch_size=20, observers=[events.append])
    assert caught.value.__cause__ is error
    assert isinstance(events[-1], Ended) and events[-1].interrupted


@pytest.mark.parametrize("training", [True, False])
def test_two_images_that_do_not_fit_get_the_same_advice_before_training(data, training):
    events = []
    net = Hungry(RuntimeError("CUDA error: out of memory"), 0, training)
    with pytest.raises(MemoryError, match="not enough memory for batch_size 20: try 10"):
        run(data, net=net, batch_size=20, observers=[events.append])
    assert events == []
    net.when = False
    for look in (evaluate, predict):
        with pytest.raises(MemoryError, match="batch_size 6: try 3"):
            look(net, data.val, batch_size=6, plan=CPU)


def test_the_advice_helps_in_the_end_whether_training_or_looking_needs_the_room(data):
    for training, fits in ((True, 5), (False, 8)):
        batch_size, tried = 40, []
        while True:
            tried.append(batch_size)
            try:
                run(data, net=Hungry(MemoryError(), fits, training), batch_size=batch_size)
                break
            except MemoryError as error:
                batch_size = int(str(error).rsplit(" ", 1)[1])
        assert tried == ([40, 20, 10, 5] if training else [40, 20, 10, 5, 2])


def test_with_a_single_image_there_is_nothing_smaller_to_try(data):
    model = Hungry(MemoryError(), most=0)
    with pytest.raises(MemoryError, match="even for batch_size 1: use smaller images"):
        run(data, net=model, batch_size=1)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere this much may be promised")
def test_a_real_allocation_that_fails(data):
    class Greedy(Hungry):
        def forward(self, images):
            if self.training:
                torch.empty(2**60, dtype=torch.uint8)
            return self.net(images)

    with pytest.raises(MemoryError, match="batch_size 8: try 4"):
        run(data, net=Greedy(None))


@pytest.mark.parametrize("error", [RuntimeError("the net is on fire"), ZeroDivisionError("by 0")])
def test_other_errors_pass_unchanged(data, error):
    events = []
    with pytest.raises(type(error)) as caught:
        run(data, net=Hungry(error), observers=[events.append])
    assert caught.value is error
    assert error.__cause__ is None and isinstance(events[-1], Ended) and events[-1].interrupted


def test_after_running_out_of_memory_a_run_goes_on(data, tmp_path, unbroken):
    """Memory that another program took for a while: the checkpoint before it is good."""
    trained = []

    def starve(model, *_):
        trained.append(model.training)
        if sum(trained) == 1 + 9:  # once before the first step
            raise MemoryError

    model = nin.build(NET, RECIPES["default"], 3)
    model.register_forward_pre_hook(starve)
    with pytest.raises(MemoryError, match="try 4"):
        run(data, tmp_path, net=model)
    watcher = Stop(0)
    run(data, tmp_path, observers=[watcher])
    assert watcher.started == 8 and equal(tmp_path, unbroken)


# ── In the terminal ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_class(monkeypatch):
    """`nin train` with the tiny net on a few images."""
    monkeypatch.setitem(cli.SIZES, "class", replace(cli.SIZES["class"], network="tiny"))
    monkeypatch.setitem(networks.NETWORKS, "tiny", networks.Entry(NET, 0, (), "made up"))
    monkeypatch.setattr("nin_lib.data.load", lambda *_: few())


def train(*arguments):
    return cli.main(["train", "--batch-size", "8", "--epochs", "3", "--device", "cpu", *arguments])


def test_nin_train_out_and_resume(small_class, tmp_path, monkeypatch, capsys):
    out, whole = str(tmp_path / "run"), str(tmp_path / "whole")
    assert train("--seed", "5", "--precision", "float32", "--out", whole) == 0
    said = capsys.readouterr().out
    assert "held-out images: loss" in said and "test images" not in said
    monkeypatch.setattr("nin_lib.progress.default", lambda: Stop(7))
    assert train("--seed", "5", "--precision", "float32", "--out", out, "--test") == 130
    said = capsys.readouterr().out
    assert f"The same call goes on from {out}" in said and "images: loss" not in said
    watcher = Stop(0)
    monkeypatch.setattr("nin_lib.progress.default", lambda: watcher)
    assert cli.main(["train", "--device", "cpu", "--resume", out, "--test"]) == 0
    said = capsys.readouterr().out
    assert "held-out images: loss" in said and "test images: loss" in said
    assert watcher.started == 7 and equal(Path(out), Path(whole))


def interrupted(monkeypatch, *arguments):
    """`nin train`, stopped after 7 of 15 steps."""
    with monkeypatch.context() as patch:
        patch.setattr("nin_lib.progress.default", lambda: Stop(7))
        assert train(*arguments) == 130


def resumed(monkeypatch, *arguments):
    """The exit status of `nin train --resume`, and at which step it resumed."""
    watcher = Stop(0)
    with monkeypatch.context() as patch:
        patch.setattr("nin_lib.progress.default", lambda: watcher)
        return cli.main(["train", "--resume", *arguments]), watcher.started


def test_resume_restores_device_precision_and_layout(small_class, tmp_path, monkeypatch):
    """Whatever the flags said: --tune chose a layout, and by rule the device may be another."""
    tuned = ExecutionPlan(
        "cpu", "bfloat16", channels_last=False, keep_memory=choose_plan("cpu").keep_memory
    )
    monkeypatch.setattr(plan_module, "fastest", lambda *_: tuned)
    out = tmp_path / "run"
    interrupted(monkeypatch, "--tune", "--out", str(out))
    monkeypatch.setattr(plan_module, "fastest", None)  # it is not timed again
    monkeypatch.setattr(plan_module, "best_device", lambda: "another device")
    assert resumed(monkeypatch, str(out)) == (0, 7)
    plan = History.from_json((out / "history.json").read_text(encoding="utf-8")).about.plan
    assert (plan["precision"], plan["channels_last"]) == ("bfloat16", False)


def test_the_same_tuned_command_resumes_its_run(small_class, tmp_path, monkeypatch, capsys):
    tuned = ExecutionPlan("cpu", channels_last=False, keep_memory=choose_plan("cpu").keep_memory)
    monkeypatch.setattr(plan_module, "fastest", lambda *_: tuned)
    out = str(tmp_path / "run")
    interrupted(monkeypatch, "--tune", "--out", out)
    monkeypatch.setattr(plan_module, "fastest", lambda *_: replace(tuned, channels_last=True))
    assert train("--tune", "--out", out) == 0
    assert "its precision and layout are used" in capsys.readouterr().out
    assert load_checkpoint(Path(out)).state["finished"]


def test_resume_compiles_where_the_run_was_compiled(small_class, tmp_path, monkeypatch):
    monkeypatch.setattr(
        ExecutionPlan, "compiled", lambda plan, model: model
    )  # compiling takes a minute
    out = str(tmp_path / "run")
    interrupted(monkeypatch, "--compile", "--out", out)
    assert resumed(monkeypatch, out) == (0, 7)


def test_resume_reads_the_data_where_the_run_did(small_class, tmp_path, monkeypatch):
    """The folder may have moved since: then --folder names the new one."""
    monkeypatch.setitem(cli.SIZES, "full", replace(cli.SIZES["class"], data="full"))
    folders = []
    monkeypatch.setattr("nin_lib.data.load", lambda *given: folders.append(given[1]) or few())
    first, second = tmp_path / "first", tmp_path / "second"
    for out in (first, second):
        interrupted(monkeypatch, "--size", "full", "--folder", "images", "--out", str(out))
    assert resumed(monkeypatch, str(first)) == (0, 7)
    assert resumed(monkeypatch, str(second), "--folder", "moved") == (0, 7)
    assert folders[2:] == [Path("images").absolute(), Path("moved")]


@pytest.mark.parametrize(
    "flag",
    ["--seed 7", "--recipe published", "--size full", "--epochs 9", "--batch-size 4", "--seed 0"]
    + ["--out other", "--compile", "--tune", "--overwrite"],
)
def test_resume_refuses_what_would_have_no_effect(half, capsys, flag):
    assert cli.main(["train", "--resume", str(half), *flag.split()]) == 2
    assert f"{flag.split()[0]} does not go with --resume" in one_line(capsys)


def test_the_same_command_after_the_end_trains_nothing(small_class, tmp_path, capsys):
    out = str(tmp_path / "run")
    assert train("--out", out) == 0
    before = {path.name: path.read_bytes() for path in Path(out).iterdir()}
    capsys.readouterr()
    assert train("--out", out) == 0
    said = capsys.readouterr().out
    assert "holds this run, finished on" in said and "epoch 1/3" not in said
    assert {path.name: path.read_bytes() for path in Path(out).iterdir()} == before
    assert train("--out", out, "--seed", "1") == 2
    assert "(nin train: --overwrite)" in one_line(capsys)
    assert train("--out", out, "--seed", "1", "--overwrite") == 0
    assert load_checkpoint(Path(out)).state["history"]["about"]["seed"] == 1


def test_an_interrupt_outside_of_training_ends_the_command_too(monkeypatch, capsys):
    def press(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("nin_lib.data.load", press)
    assert train() == 130
    assert capsys.readouterr().err == "nin: interrupted\n"


def one_line(capsys):
    said = capsys.readouterr().err
    assert said.startswith("nin: ") and said.count("\n") == 1 and "Traceback" not in said
    return said


def test_nin_train_resume_of_nothing_and_of_a_finished_run(small_class, tmp_path, capsys):
    assert cli.main(["train", "--resume", str(tmp_path / "nowhere")]) == 2
    assert "there is no checkpoint in this folder" in one_line(capsys)
    assert not (tmp_path / "nowhere").exists()
    out = str(tmp_path / "run")
    assert train("--out", out) == 0
    capsys.readouterr()
    assert cli.main(["train", "--resume", out]) == 2
    assert "this run is finished" in one_line(capsys)
    (tmp_path / "run" / checkpoint.NAME).write_bytes(b"damaged")
    (tmp_path / "run" / checkpoint.PREVIOUS).write_bytes(b"damaged")
    assert cli.main(["train", "--resume", out]) == 2
    assert "not a whole checkpoint" in one_line(capsys)


def test_nin_train_names_what_differs(small_class, tmp_path, monkeypatch, capsys):
    out = str(tmp_path / "run")
    interrupted(monkeypatch, "--seed", "5", "--precision", "float32", "--out", out)
    monkeypatch.setattr("nin_lib.progress.default", lambda: Stop(0))
    capsys.readouterr()
    assert train("--seed", "6", "--precision", "float32", "--out", out) == 2
    assert "seed 5 there, 6 here" in one_line(capsys)
    resume = ["train", "--device", "cpu", "--resume", out, "--precision", "bfloat16"]
    assert cli.main(resume) == 2
    assert "precision float32 there, bfloat16 here" in one_line(capsys)
    assert cli.main([*resume, "--anyway"]) == 0
    assert "held-out images: loss" in capsys.readouterr().out


def test_nin_train_on_a_full_disk(small_class, tmp_path, monkeypatch, capsys):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    assert train("--out", str(tmp_path)) == 2
    assert "No space left on device" in one_line(capsys)


def test_resume_from_a_terminal_says_what_it_cannot_do(tmp_path, capsys):
    """A run that a notebook began, and options that would make it another run."""
    state = {"finished": False, "history": {"rows": [], "about": {"notes": {}}}}
    checkpoint.save_checkpoint(tmp_path, checkpoint.Checkpoint({}, state))
    assert cli.main(["train", "--resume", str(tmp_path)]) == 2
    assert "was not started by nin train" in capsys.readouterr().err
    assert cli.main(["train", "--resume", str(tmp_path), "--epochs", "9"]) == 2
    assert "--epochs does not go with --resume" in capsys.readouterr().err
