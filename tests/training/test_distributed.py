"""Two processes that train one model together, started by torchrun (gloo, on the CPU)."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import CPU, few, run

from nin_lib.runtime import checkpoint
from nin_lib.runtime.checkpoint import CheckpointError, read_checkpoint
from nin_lib.runtime.workers import Workers, join_workers, launched, local_device

HERE = Path(__file__).parent
CASES = range(5)  # of two_ranks.CASES
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not torch.distributed.is_available() or os.name == "nt", reason="no torch.distributed here"
    ),
]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Both runs of two_ranks.py: one process alone, and two started by torchrun."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    script = [HERE / "two_ranks.py", folder]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    torchrun += ["--master-port", str(free_port())]
    alone, both = (
        subprocess.Popen(
            [sys.executable, *start, *script],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
        )
        for start in ([], torchrun)
    )  # fmt: skip
    for process in (alone, both):
        said, _ = process.communicate(timeout=200)
        assert process.returncode == 0, said
    return folder


def result(folder, name):
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def close(a, b, tolerance=1e-10):
    """Largest difference, measured by the largest number."""
    assert a.keys() == b.keys()
    for name in a:
        one, other = np.array(a[name]), np.array(b[name])
        assert one.shape == other.shape
        assert abs(one - other).max() <= tolerance * max(abs(one).max(), 1e-3), name
    return True


def test_two_processes_have_the_gradient_of_one_with_the_whole_batch(folder):
    alone, first, second = (result(folder, f"gradient {who}") for who in ("1 0", "2 0", "2 1"))
    assert close(alone, first) and first == second
    assert max(np.abs(value).max() for value in map(np.array, alone.values())) > 1e-3


@pytest.mark.parametrize("how", ["default", "published"])
@pytest.mark.parametrize("case", CASES)
def test_two_processes_learn_what_one_learns(folder, case, how):
    """Weights after two epochs; sizes that do not divide by two, and batches of one image."""
    alone, first, second = (result(folder, f"{case} {how} {who}") for who in ("1 0", "2 0", "2 1"))
    assert close(alone["weights"], first["weights"])
    assert first == second
    for one, two in zip(alone["rows"], first["rows"], strict=True):
        for name in ("epoch", "train_accuracy", "val_accuracy"):
            assert one[name] == two[name]  # counts: exact
        for name in ("train_loss", "val_loss"):
            assert one[name] == pytest.approx(two[name], rel=1e-6)  # a float32 sum


@pytest.mark.parametrize("case", CASES)
def test_the_events_of_two_processes_are_about_the_whole_batch(folder, case):
    alone, both, second = (
        result(folder, f"{case} default {who} events") for who in ("1 0", "2 0", "2 1")
    )
    assert len(alone) == len(both) > 0 == len(second)
    for one, two in zip(alone, both, strict=True):
        images, loss, correct, labels, logits = two
        assert (one[0], one[2], one[3]) == (images, correct, labels) and images == len(labels)
        assert loss == pytest.approx(one[1], rel=1e-6)
        assert np.allclose(logits, one[4], rtol=1e-6, atol=1e-9)


def test_an_interrupt_in_one_process_stops_all_after_the_same_step(folder):
    first, second = result(folder, "stopped 0"), result(folder, "stopped 1")
    assert (first["2"]["started"], first["2"]["steps"]) == ([0], [1, 2, 3])
    assert (first["3"]["started"], first["3"]["steps"]) == ([3], [4, 5, 6, 7])
    assert first["2"]["ends"] == first["3"]["ends"] == [True]
    assert (first["3"]["rows"], second["3"]["rows"]) == (1, 1)
    assert "Stopped after step 3, 0 epochs done. The same call goes on from" in first["said"]


def test_only_the_leading_process_writes_and_speaks(folder):
    first, second = result(folder, "stopped 0"), result(folder, "stopped 1")
    assert len(first["opened"]) >= 4
    assert (second["said"], second["opened"]) == ("", [])
    assert second["2"]["steps"] == []  # nor has it observers
    first, second = result(folder, "command 0"), result(folder, "command 1")
    assert first["status"] == second["status"] == 0
    assert (second["said"], second["opened"]) == ("", [])
    assert first["said"].count("test images: loss") == 1
    assert [line[:9] for line in first["said"].splitlines() if line.startswith("epoch")] == [
        "epoch 1/2", "epoch 2/2",
    ]  # fmt: skip
    assert (folder / "command" / "model.safetensors").is_file()


def test_a_folder_in_use_is_refused_in_every_process(folder):
    first, second = result(folder, "stopped 0"), result(folder, "stopped 1")
    assert "another run is using" in first["refused"]
    assert "for the reason the first process gives" in second["refused"]


def test_the_checkpoint_of_two_processes_goes_on_exactly(folder):
    """Stopped twice, in the middle of an epoch, dropout on, each rank with a device of its own."""
    whole, broken = folder / "whole", folder / "broken"
    for name in ("model.safetensors", "history.json", "history.csv"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes()
    one, other = (read_checkpoint(out / checkpoint.NAME) for out in (whole, broken))
    assert one.state == other.state
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def test_another_number_of_processes_is_refused_in_words(folder, tmp_path):
    kept = tmp_path / "run"
    kept.mkdir()
    content = (folder / "unfinished" / checkpoint.NAME).read_bytes()
    (kept / checkpoint.NAME).write_bytes(content)
    data = few(37, 57)
    with pytest.raises(CheckpointError, match="not be exact .*processes 2 there, 1 here"):
        run(data, kept, plan=CPU)
    _, history = run(data, kept, plan=CPU, resume="anyway")
    assert len(history.rows) == 3


def test_shares():
    for n in (0, 1, 2, 7, 8):
        for size in (1, 2, 3):
            parts = [Workers(rank, size).share(torch.arange(n)) for rank in range(size)]
            assert sorted(torch.cat(parts).tolist()) == list(range(n))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert Workers().any(True) and not Workers().any(False)


def test_flags_are_exchanged_while_the_next_step_is_computed(monkeypatch):
    """Each call starts an exchange on the CPU and waits only for the one before it."""
    waited = []

    class Exchange:
        def wait(self):
            waited.append(1)

    def all_reduce(flags, group, async_op):
        assert async_op and group == "control" and flags.device.type == "cpu"
        return Exchange()

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    ranks = Workers(1, 2, "control")
    assert not ranks.any(False) and not waited
    assert [ranks.any(flag) for flag in (True, False, False)] == [False, True, False]
    assert len(waited) == 3 and not ranks.settle() and len(waited) == 4


def test_each_process_takes_its_own_gpu(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert not launched() and local_device("cuda") == "cuda" and local_device(None) is None
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert launched() and local_device("cuda") == "cuda:3" and local_device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert local_device(None) == "cuda:3"


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_more_processes_than_gpus_are_refused_in_each_of_them(monkeypatch, device):
    """Also in the first one, which would wait for the others for ever."""
    for name, value in (("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match=r"got 'cuda' \(.*processes: 2, GPUs: 1\)"):
        with join_workers(device):
            pass
