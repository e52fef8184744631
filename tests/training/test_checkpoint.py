"""Checkpoint files: exact, and never half of one, whatever happens to the disk."""

import ast
import errno
import json
import os
import pickle
import random
import warnings
from pathlib import Path

import pytest
import torch

import nin_lib
from nin_lib.runtime import checkpoint as module
from nin_lib.runtime.checkpoint import (
    NAME,
    PREVIOUS,
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    read_checkpoint,
    save_checkpoint,
)


def example(step=1):
    generator = torch.Generator().manual_seed(step)
    image = torch.randn(2, 3, 4, 5, generator=generator)
    tensors = {
        "model.weight": image.to(memory_format=torch.channels_last),
        "model.bias": image[0, 0, 0].clone(),
        "model.transposed": image[0, 0].t(),
        "half": image.half(),
        "bfloat16": image.bfloat16(),
        "float64": image.double(),
        "int64": torch.arange(7),
        "uint8": torch.arange(7, dtype=torch.uint8),
        "bool": image[0, 0] > 0,
        "zero-dim": torch.tensor(step),
        "zero-dim bfloat16": torch.tensor(0.5, dtype=torch.bfloat16),
        "nothing": torch.zeros(0, 3),
        "not a number": torch.tensor([float("nan"), float("inf"), -0.0]),
    }
    rows = [{"epoch": 1, "train_loss": 0.1 + 0.2}]
    state = {"step": step, "finished": False, "history": {"rows": rows, "about": {"ü": None}}}
    return Checkpoint(tensors, state)


def same(a, b):
    """Equal in every bit: names, types, shapes, numbers, state."""
    assert a.state == b.state and set(a.tensors) == set(b.tensors)
    for name, tensor in a.tensors.items():
        other = b.tensors[name]
        assert (tensor.dtype, tensor.shape) == (other.dtype, other.shape), name
        bits = [t.contiguous().reshape(-1).view(torch.uint8) for t in (tensor, other)]
        assert torch.equal(*bits), name
    return True


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_comes_back_to_the_bit(tmp_path):
    save_checkpoint(tmp_path, example())
    assert files(tmp_path) == [NAME]
    assert same(load_checkpoint(tmp_path), example())


def test_the_one_before_is_kept(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, example(step))
    assert files(tmp_path) == [PREVIOUS, NAME]
    assert same(read_checkpoint(tmp_path / NAME), example(3))
    assert same(read_checkpoint(tmp_path / PREVIOUS), example(2))


def test_none_only_where_there_is_none(tmp_path):
    assert load_checkpoint(tmp_path) is None
    assert load_checkpoint(tmp_path / "nowhere") is None
    (tmp_path / (NAME + ".part")).write_bytes(b"left by a crash")
    assert load_checkpoint(tmp_path) is None


# ── Damage ───────────────────────────────────────────────────────────────────────────────────────


def cuts(length, head):
    """Empty, within the length field, within and around the header, and the tensors."""
    some = random.Random(0).sample(range(length), 60)
    return sorted({0, 1, 7, 8, 9, head - 1, head, head + 1, length - 1, *some})


def test_a_file_cut_at_any_length_is_refused(tmp_path):
    save_checkpoint(tmp_path, example())
    path = tmp_path / NAME
    whole = path.read_bytes()
    head = 8 + int.from_bytes(whole[:8], "little")
    for length in cuts(len(whole), head):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="not a whole checkpoint|damaged"):
            read_checkpoint(path)
    for longer in (whole + b"\0", whole + whole):
        path.write_bytes(longer)
        with pytest.raises(CheckpointError):
            read_checkpoint(path)


@pytest.mark.slow
def test_a_flipped_bit_anywhere_is_refused(tmp_path):
    """Every bit of the length field, and one of every byte of the header and the tensors."""
    save_checkpoint(tmp_path, example())
    path = tmp_path / NAME
    whole = path.read_bytes()
    draw = random.Random(1)
    places = [(byte, bit) for byte in range(8) for bit in range(8)]
    places += [(byte, draw.randrange(8)) for byte in range(8, len(whole))]
    for byte, bit in places:
        spoiled = bytearray(whole)
        spoiled[byte] ^= 1 << bit
        path.write_bytes(spoiled)
        with pytest.raises(CheckpointError):
            read_checkpoint(path)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 64, b"{}", b"<html>not found</html>", b"\xff" * 9]
)
def test_another_file_in_its_place_is_refused(tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(CheckpointError, match=NAME):
        load_checkpoint(tmp_path)


def test_a_safetensors_file_without_our_checksum_is_refused(tmp_path):
    tensors = {"a": torch.zeros(2)}
    state = json.dumps({"step": 1})
    for metadata in (None, {"state": state}, {"state": state, "sha256": "0" * 64}):
        (tmp_path / NAME).write_bytes(module.safetensors.torch.save(tensors, metadata))
        with pytest.raises(CheckpointError):
            load_checkpoint(tmp_path)


@pytest.mark.parametrize("spoil", [lambda whole: whole[:-5], lambda whole: b"", lambda whole: None])
def test_a_damaged_or_missing_file_falls_back_to_the_one_before(tmp_path, spoil):
    for step in (1, 2):
        save_checkpoint(tmp_path, example(step))
    spoiled = spoil((tmp_path / NAME).read_bytes())
    if spoiled is None:
        (tmp_path / NAME).unlink()  # as a crash between the two renames leaves it
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert same(load_checkpoint(tmp_path), example(1))
        return
    (tmp_path / NAME).write_bytes(spoiled)
    with pytest.warns(UserWarning, match=f"{NAME}: not a whole.*going on from {PREVIOUS}"):
        assert same(load_checkpoint(tmp_path), example(1))


def test_two_damaged_files_are_an_error_and_not_a_new_start(tmp_path):
    for step in (1, 2):
        save_checkpoint(tmp_path, example(step))
    for name in (NAME, PREVIOUS):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:100])
    with pytest.raises(CheckpointError, match=f"{NAME}.*{PREVIOUS}.*start anew"):
        load_checkpoint(tmp_path)


def test_a_damaged_file_never_takes_the_place_of_a_whole_one(tmp_path, monkeypatch):
    """Saving after a fall-back, and a crash in the middle of that."""
    for step in (1, 2):
        save_checkpoint(tmp_path, example(step))
    (tmp_path / NAME).write_bytes(b"damaged")

    def crash(source, target):
        raise SystemExit

    monkeypatch.setattr(module.os, "replace", crash)
    with pytest.raises(SystemExit):
        save_checkpoint(tmp_path, example(3))
    with pytest.warns(UserWarning, match="going on from"):
        assert same(load_checkpoint(tmp_path), example(1))
    monkeypatch.undo()
    save_checkpoint(tmp_path, example(3))
    assert same(read_checkpoint(tmp_path / NAME), example(3)) and same(
        read_checkpoint(tmp_path / PREVIOUS), example(1)
    )


# ── Nothing is executed ──────────────────────────────────────────────────────────────────────────


class Malicious:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.mark.parametrize("how", ["pickle", "torch.save", "appended", "in the metadata"])
def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path, how):
    mark, path = tmp_path / "executed", tmp_path / NAME
    poison = pickle.dumps(Malicious(mark))
    if how == "pickle":
        path.write_bytes(poison)
    elif how == "torch.save":
        torch.save({"model": Malicious(mark)}, path)
    elif how == "appended":
        save_checkpoint(tmp_path, example())
        path.write_bytes(path.read_bytes() + poison)
    else:
        metadata = {"state": poison.decode("latin-1"), "sha256": "0" * 64}
        path.write_bytes(module.safetensors.torch.save({"a": torch.zeros(1)}, metadata))
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path)
    assert not mark.exists()
    pickle.loads(poison).close()  # the test's own poison does work
    assert mark.exists()


UNSAFE_MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}
UNSAFE_MODULES |= {"marshal"}
UNSAFE_CALLS = {"torch.load", "torch.save", "torch.jit.load", "torch.hub.load"}
UNSAFE_CALLS |= {"np.load", "numpy.load", "eval", "exec"}


def unsafe(source):
    """Imports and calls of `source` that read, or may read, pickles."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in UNSAFE_MODULES)
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names & UNSAFE_CALLS
            if (node.module or "").split(".")[0] in UNSAFE_MODULES:
                yield node.module
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in UNSAFE_CALLS:
            yield ast.unparse(node.func)


def test_the_library_reads_and_writes_no_pickle():
    for bad in ("import pickle", "from torch import load", "torch.load(p)", "np.load(p)"):
        assert list(unsafe(bad)), bad
    sources = sorted(Path(nin_lib.__file__).parent.rglob("*.py"))
    assert len(sources) > 15
    found = {path.name: list(unsafe(path.read_text(encoding="utf-8"))) for path in sources}
    assert {name: calls for name, calls in found.items() if calls} == {}


def test_nothing_stays_open_or_mapped(tmp_path):
    """A mapped file could not be replaced on Windows."""
    save_checkpoint(tmp_path, example(1))
    path = tmp_path / NAME
    held = load_checkpoint(tmp_path)  # held on to while the file changes below
    if Path("/proc/self/maps").exists():
        assert NAME not in Path("/proc/self/maps").read_text()
        opened = []
        for link in Path("/proc/self/fd").iterdir():
            try:
                opened.append(os.readlink(link))
            except OSError:  # the one that listed the folder
                continue
        assert opened and not any(NAME in target for target in opened)
    path.write_bytes(b"\0" * path.stat().st_size)
    path.unlink()
    assert same(held, example(1))


# ── A full disk, a missing permission, a crash ───────────────────────────────────────────────────


class FullDisk:
    """A file that takes `room` bytes."""

    def __init__(self, file, room, error):
        self.file, self.room, self.error = file, room, error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, content):
        self.file.write(content[: self.room])
        raise self.error

    def __getattr__(self, name):
        return getattr(self.file, name)


def break_disk(monkeypatch, point, error):
    """Make one operation on the disk fail: the root user would not notice permission bits."""

    def fail(*_):
        raise error

    if point == "open":
        monkeypatch.setattr(module, "open", fail, raising=False)
    elif point.startswith("write"):
        room = int(point.split()[1])
        monkeypatch.setattr(
            module, "open", lambda *a: FullDisk(open(*a), room, error), raising=False
        )
    elif point == "fsync":
        monkeypatch.setattr(module.os, "fsync", fail)
    else:
        before, calls = os.replace, []

        def replace(source, target):
            calls.append(target)
            if len(calls) == int(point.split()[1]):
                raise error
            before(source, target)

        monkeypatch.setattr(module.os, "replace", replace)


POINTS = ("open", "write 0", "write 9", "write 900", "fsync", "rename 1", "rename 2")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("point", POINTS)
def test_when_the_disk_fails_the_old_one_stays_and_the_error_is_seen(
    tmp_path, monkeypatch, point, number
):
    for step in (1, 2):
        save_checkpoint(tmp_path, example(step))
    break_disk(monkeypatch, point, OSError(number, os.strerror(number)))
    with pytest.raises(OSError, match=os.strerror(number).split()[0]) as caught:
        save_checkpoint(tmp_path, example(3))
    assert caught.value.errno == number
    monkeypatch.undo()
    assert not [name for name in files(tmp_path) if name.endswith(".part")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(load_checkpoint(tmp_path), example(2))
    save_checkpoint(tmp_path, example(3))  # and when there is room again, all is as before
    assert same(load_checkpoint(tmp_path), example(3))


def test_a_file_that_cannot_even_be_removed_does_not_hide_the_error(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, example(1))
    break_disk(monkeypatch, "fsync", OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError()))
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, example(2))
    monkeypatch.undo()
    assert same(load_checkpoint(tmp_path), example(1))


def test_an_interrupt_while_writing_leaves_the_old_one(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, example(1))
    break_disk(monkeypatch, "write 500", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, example(2))
    assert files(tmp_path) == [NAME]
    assert same(load_checkpoint(tmp_path), example(1))


def test_a_checkpoint_that_may_not_be_read_is_an_error_and_not_a_new_start(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, example(1))

    def forbidden(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    with pytest.raises(PermissionError, match=NAME):
        load_checkpoint(tmp_path)
