"""Checkpoints that survive a crash: one file without pickle, written aside and renamed, verified.

A checkpoint is a safetensors file. Its tensors are the weights, the optimiser's memory and the sums
of the epoch; its metadata hold everything else as JSON, and a SHA-256 over both. The one before is
kept as checkpoint.previous.safetensors.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

NAME = "checkpoint.safetensors"
PREVIOUS = "checkpoint.previous.safetensors"


class CheckpointError(ValueError):
    """A checkpoint that is damaged, or belongs to another run."""


@dataclass(frozen=True)
class Checkpoint:
    tensors: dict[str, Tensor]
    state: dict[str, Any]  # plain values: position, history, description of the run


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` into `folder`; until it is whole on the disk the old one stays.

    Raises `OSError` (disk full, no permission): then what was there before is still there.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()
    }
    state = json.dumps(checkpoint.state)
    metadata = {"state": state, "sha256": digest(tensors, state)}
    write(folder / (NAME + ".part"), safetensors.torch.save(tensors, metadata))
    if (folder / NAME).exists():
        os.replace(folder / NAME, folder / PREVIOUS)
    os.replace(folder / (NAME + ".part"), folder / NAME)


def write(path: Path, content: bytes) -> None:
    """Write and flush to the disk; a file that could not be finished is removed."""
    try:
        with open(path, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def load(folder: Path) -> Checkpoint | None:
    """The newest checkpoint in `folder` that is whole; None where there is none at all.

    Falls back to the one before, with a warning that names what is wrong. Raises `CheckpointError`
    when there are only damaged ones.
    """
    found = [folder / name for name in (NAME, PREVIOUS) if (folder / name).exists()]
    faults = []
    for path in found:
        try:
            checkpoint = read(path)
        except CheckpointError as error:
            faults.append(str(error))
            continue
        for fault in faults:
            warnings.warn(f"{fault}; going on from {path.name}", stacklevel=2)
        return checkpoint
    if faults:
        raise CheckpointError("; ".join(faults) + "; delete the folder to start anew")
    return None


def read(path: Path) -> Checkpoint:
    """One file, verified. Read into memory: a mapped file could not be replaced on Windows."""
    content = path.read_bytes()
    try:
        tensors = safetensors.torch.load(content)
        metadata = header(content).get("__metadata__", {})
        state = metadata["state"]
        whole = metadata["sha256"] == digest(tensors, state)
        values = json.loads(state)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path}: not a whole checkpoint ({type(error).__name__})") from None
    if not whole:
        raise CheckpointError(f"{path}: damaged (its SHA-256 differs)")
    return Checkpoint(tensors, values)


def header(content: bytes) -> dict[str, Any]:
    """The JSON at the head of a safetensors file: eight bytes of length, then the text."""
    length = int.from_bytes(content[:8], "little")
    head: dict[str, Any] = json.loads(content[8 : 8 + length])
    return head


def digest(tensors: dict[str, Tensor], state: str) -> str:
    """SHA-256 over names, types, shapes and bytes of the tensors, and the state."""
    total = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        total.update(tensor.numpy().tobytes())
    return total.hexdigest()
