"""A folder that keeps a run: it belongs to one run, and gives the model back as it was."""

import errno
import os
import re
import subprocess
import sys
from contextlib import suppress

import pytest
import torch
from tiny_runs import NET, few, kept, run
from torch import nn

from nin_lib import torch as nin
from nin_lib import weights
from nin_lib.history import Ended, Started, Step
from nin_lib.recipe import RECIPES
from nin_lib.runtime import checkpoint, checkpointer
from nin_lib.runtime.checkpoint import CheckpointError, load_checkpoint
from nin_lib.runtime.interrupt import Interrupted
from nin_lib.runtime.plan import ExecutionPlan
from nin_lib.torch import NiN, load_run

OLD = ("history.json", "history.csv", "model.safetensors", checkpoint.PREVIOUS)


@pytest.fixture(scope="module")
def data():
    return few()


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The files of a finished run, its model and its history."""
    folder = tmp_path_factory.mktemp("finished")
    model, history = run(data, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}, model, history


@pytest.fixture
def done(finished, tmp_path):
    for name, content in finished[0].items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def same_weights(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def stop_at(step):
    def observe(event):
        if isinstance(event, Step) and event.step == step:
            raise Interrupted

    return observe


# ── A finished run ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("resume", ["exact", "anyway"])
def test_a_finished_run_is_returned_as_it_is(data, done, finished, capsys, resume):
    before, trained, history = finished
    events = []
    model = nin.build(NET, RECIPES["default"], 9)
    _, again = run(data, done, net=model, resume=resume, observers=[events.append])
    assert again == history and same_weights(model, trained)
    assert {path.name: path.read_bytes() for path in done.iterdir()} == before
    assert [type(event) for event in events] == [Started, Ended] and not events[-1].interrupted
    assert events[0].step == 15 and len(events[0].rows) == 3  # curves show the epochs
    said = capsys.readouterr().out
    when = r"\d{4}-\d\d-\d\d at \d\d:\d\d"
    assert re.fullmatch(f"{re.escape(str(done))} holds this run, finished on {when}: .*\n", said)


def test_a_finished_run_is_returned_on_another_machine(data, done, finished, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    _, history = run(data, done)
    assert history == finished[2]


def test_a_finished_run_in_another_precision_is_returned_only_when_told(data, done, finished):
    with pytest.raises(CheckpointError, match="precision float32 there, bfloat16 here.*'anyway'"):
        run(data, done, plan=ExecutionPlan("cpu", "bfloat16"))
    _, history = run(data, done, plan=ExecutionPlan("cpu", "bfloat16"), resume="anyway")
    assert history == finished[2]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 4}, "seed 3 there, 4 here"),
        ({"epochs": 4}, "epochs 3 there, 4 here"),
        ({"how": "published"}, "recipe.clip 1.0 there, None here"),
        ({"notes": {"arm": "b"}}, "notes.arm None there, b here"),
    ],
)
@pytest.mark.parametrize("resume", ["exact", "anyway"])
def test_a_finished_run_with_other_settings_is_refused(
    data, done, finished, changed, message, resume
):
    way_out = "name another folder, or overwrite it with resume='never'"
    expected = f"a finished run with other settings .*{message}.*{way_out}"
    with pytest.raises(CheckpointError, match=expected):
        run(data, done, resume=resume, **changed)
    assert {path.name: path.read_bytes() for path in done.iterdir()} == finished[0]


def test_results_that_are_missing_are_written_again(data, done, finished):
    for name in ("model.safetensors", "history.csv"):
        (done / name).unlink()
    run(data, done)
    assert {path.name: path.read_bytes() for path in done.iterdir()} == finished[0]


def test_results_without_a_checkpoint_are_not_overwritten(data, done, finished):
    for path in done.glob("checkpoint*"):
        path.unlink()
    with pytest.raises(CheckpointError, match="holds model.safetensors of another run"):
        run(data, done)
    assert (done / "history.json").read_bytes() == finished[0]["history.json"]
    run(data, done, seed=4, resume="never")
    assert load_checkpoint(done).state["history"]["about"]["seed"] == 4


# ── One run in a folder ──────────────────────────────────────────────────────────────────────────


def test_a_run_that_replaces_another_leaves_none_of_its_files(data, done):
    """It is stopped early: then there are no results, rather than those of the other seed."""
    run(data, done, seed=4, resume="never", observers=[stop_at(2)])
    assert sorted(path.name for path in done.iterdir()) == [checkpoint.NAME, checkpointer.LOCK]
    assert load_checkpoint(done).state["history"]["about"]["seed"] == 4


def test_a_run_that_replaces_another_and_fails_at_once_leaves_it_alone(data, done, finished):
    def fail(event):
        if isinstance(event, Step):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(data, done, seed=4, resume="never", observers=[fail])
    assert {path.name: path.read_bytes() for path in done.iterdir()} == finished[0]


@pytest.mark.parametrize("crash", range(1, 7))  # of four deletions and a renaming
def test_a_crash_while_another_run_is_replaced_never_mixes_them(
    data, done, finished, monkeypatch, crash
):
    """Every deletion and every renaming is a place where the process may end."""
    places = []

    def countdown(step):
        def act(*given, **more):
            places.append(step)
            if len(places) == crash:
                raise SystemExit
            return step(*given, **more)

        return act

    def after_one_step(event):
        if isinstance(event, Step):
            monkeypatch.setattr(checkpoint.os, "replace", countdown(os.replace))
            monkeypatch.setattr(checkpoint.Path, "unlink", countdown(checkpoint.Path.unlink))
            raise Interrupted

    with suppress(SystemExit):
        run(data, done, seed=4, resume="never", observers=[after_one_step])
    monkeypatch.undo()
    seed = load_checkpoint(done).state["history"]["about"]["seed"]
    old = [name for name in OLD if (done / name).exists()]
    assert (seed, old) == (4, []) if crash > 5 else seed == 3
    assert all((done / name).read_bytes() == finished[0][name] for name in old)


HOLD = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_that_another_process_uses_is_refused(data, tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / checkpointer.LOCK)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout.readline() == "held\n"
    events = []
    with pytest.raises(CheckpointError, match="another run is using .*name another folder"):
        run(data, tmp_path, observers=[events.append])
    assert events == [] and [path.name for path in tmp_path.iterdir()] == [checkpointer.LOCK]
    other.communicate("")
    run(data, tmp_path, epochs=1)  # and now it is free


def test_the_lock_is_released_after_an_error(data, tmp_path):
    def fail(event):
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            run(data, tmp_path, observers=[fail])
    with pytest.raises(CheckpointError, match="another run is using"):
        run(data, tmp_path, epochs=1, observers=[lambda _: run(data, tmp_path, epochs=1)])
    run(data, tmp_path, epochs=1)


def test_a_home_folder_is_expanded(data, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    run(data, "~/run", epochs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert load_run("~/run").spec.stages == NET.stages


# ── Before the first step ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EROFS])
def test_a_folder_that_cannot_be_written_is_reported_at_the_start(
    data, tmp_path, monkeypatch, number
):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(checkpoint, "open", fail, raising=False)
    events = []
    with pytest.raises(OSError, match="out: cannot write to .*run: ") as caught:
        run(data, tmp_path / "run", observers=[events.append])
    assert caught.value.errno == number and events == []
    monkeypatch.undo()
    run(data, tmp_path / "run", epochs=1)


@pytest.mark.parametrize("value", ["", "~no such user/run", 5])
def test_what_is_no_folder_is_named(data, value):
    with pytest.raises(ValueError, match=f"out must be the path of a folder, got {value!r}"):
        run(data, value)
    with pytest.raises(ValueError, match=f"folder must be the path of a folder, got {value!r}"):
        load_run(value)


class Tied(nn.Module):
    """A module with all that `state_dict` makes difficult."""

    def __init__(self, extra):
        super().__init__()
        self.first, self.second = nn.Linear(784, 10), nn.Linear(784, 10)
        self.second.weight = self.first.weight  # tied
        self.register_buffer("steps", torch.zeros(()), persistent=False)  # counts, so it matters
        self.register_buffer("row", self.first.weight.detach()[2:4])  # shares a part of its memory
        self.register_buffer("cache", None, persistent=False)
        self.extra = extra

    def forward(self, images):
        flat = images.flatten(1)
        if self.training:
            self.steps += 1
            self.cache = self.steps.repeat(3)
        return self.first(flat) + self.second(flat) * (1 + self.steps)

    def get_extra_state(self):
        return self.extra

    def set_extra_state(self, extra):
        self.extra = extra


EXTRA = {"tensor": torch.arange(3), "plain": [1, 2.5, "x", None, True], "tuple": (torch.ones(2),)}


def test_tied_weights_extra_state_and_hidden_buffers_are_kept_exactly(data, tmp_path):
    torch.manual_seed(0)
    state = Tied(EXTRA).state_dict()

    def net():
        model = Tied(EXTRA)
        model.load_state_dict(state)
        return model

    model, history = run(data, tmp_path / "whole", net=net())
    run(data, tmp_path / "broken", net=net(), observers=[stop_at(7)])
    other = net()
    other.extra = None  # comes back from the checkpoint
    _, again = run(data, tmp_path / "broken", net=other)
    assert again == history and same_tensors(model, other)
    assert other.steps == 15 and other.cache.tolist() == [15.0] * 3
    assert other.extra["plain"] == EXTRA["plain"] and type(other.extra["tuple"]) is tuple
    assert torch.equal(other.extra["tensor"], EXTRA["tensor"])
    for name, content in kept(tmp_path / "whole").items():
        assert name == checkpoint.NAME or content == (tmp_path / "broken" / name).read_bytes()
    assert os.path.getsize(tmp_path / "whole" / "model.safetensors") < 2 * 4 * 7840  # stored once


def same_tensors(one, other):
    names = dict(one.named_parameters()), dict(other.named_parameters())
    return all(torch.equal(names[0][name], names[1][name]) for name in names[0])


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({1, 2}, "_extra_state holds {1, 2}, which cannot be saved"),
        ({"a": object()}, "_extra_state.a holds <object"),
        ({1: "a"}, "get_extra_state must return tensors, numbers, strings"),
    ],
)
def test_what_cannot_be_saved_is_reported_before_the_first_step(data, tmp_path, extra, message):
    events = []
    with pytest.raises(ValueError, match=message):
        run(data, tmp_path, net=Tied(extra), observers=[events.append])
    assert events == [] and [path.name for path in tmp_path.iterdir()] == [checkpointer.LOCK]


def test_a_state_that_cannot_be_loaded_is_reported_before_the_first_step(data, tmp_path):
    class Forgetful(Tied):
        def set_extra_state(self, extra):
            raise NotImplementedError("not written yet")

    events = []
    with pytest.raises(ValueError, match="model: its state cannot be .*not written yet"):
        run(data, tmp_path, net=Forgetful(1), observers=[events.append])
    assert events == []


def test_the_rename_is_flushed_to_the_disk(tmp_path, monkeypatch):
    flushed, fsync = [], os.fsync

    def watch(handle):
        flushed.append(os.path.isdir(f"/proc/self/fd/{handle}"))
        fsync(handle)

    monkeypatch.setattr(checkpoint.os, "fsync", watch)
    checkpoint.replace_file(tmp_path / "file", b"content")
    if os.name != "nt":
        assert len(flushed) == 2
        assert not os.path.exists("/proc/self/fd") or flushed == [False, True]


# ── The model of a run ───────────────────────────────────────────────────────────────────────────


def test_the_trained_model_comes_back_as_it_was(done, finished):
    state = torch.get_rng_state()
    model = load_run(done)
    assert torch.equal(torch.get_rng_state(), state)
    assert type(model) is NiN and not model.training and model.spec == finished[1].spec
    assert model.spec.last_relu is False  # as the recipe wants it, not as NET has it
    assert repr(model) == repr(finished[1]) and same_weights(model, finished[1])
    assert all(p.requires_grad for p in model.parameters())
    images = torch.rand(4, 1, 28, 28)
    assert torch.allclose(model(images), finished[1].eval()(images), atol=1e-5)
    assert (model(images) < 0).any()
    taken = weights.from_torch(model)
    assert taken.keys() == weights.shapes(model.spec).keys()


def test_a_run_in_double_precision_comes_back_in_it(data, tmp_path):
    class Double(NiN):
        def forward(self, images):
            return super().forward(images.double())

    model, _ = run(data, tmp_path, net=Double(NET).double(), epochs=1)
    assert same_weights(load_run(tmp_path), model)


def test_reading_its_file_as_neutral_weights_names_the_call(done):
    with pytest.raises(ValueError, match=r"nin_lib.torch.load_run\(folder\)"):
        weights.load_file(done / "model.safetensors")


def without_a_spec():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def changed_afterwards():
    model = nin.build(NET, RECIPES["published"], 0)
    del model[3][-1]  # the last ReLU: the spec says it is there
    return model


@pytest.mark.parametrize("net", [without_a_spec, changed_afterwards])
def test_a_model_that_no_spec_describes_is_not_loaded(data, tmp_path, net):
    run(data, tmp_path, net=net(), epochs=1)
    with pytest.raises(ValueError, match="no network description .*build the model as before"):
        load_run(tmp_path)


def test_a_folder_without_a_finished_run(data, tmp_path, done):
    with pytest.raises(ValueError, match="nowhere holds no model.safetensors: no finished run"):
        load_run(tmp_path / "nowhere")
    run(data, tmp_path / "run", observers=[stop_at(2)])
    with pytest.raises(ValueError, match="its run is not finished"):
        load_run(tmp_path / "run")
    (done / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="model.safetensors: damaged"):
        load_run(done)
