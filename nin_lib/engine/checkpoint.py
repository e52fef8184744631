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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
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
    keep = (folder / PREVIOUS) if is_whole(folder / NAME) else None
    replace(folder / NAME, safetensors.torch.save(tensors, metadata), keep)


def replace(path: Path, content: bytes, keep: Path | None = None) -> None:
    """Write `content` aside, flush it to the disk, and only then give it its name.

    What had the name before is kept as `keep`. The half-written file is removed on an error.
    """
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if keep:
            os.replace(path, keep)
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
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


def is_whole(path: Path) -> bool:
    """Whether `path` is there and undamaged: only then may it take the previous one's place."""
    try:
        read(path)
    except (CheckpointError, OSError):
        return False
    return True


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
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
