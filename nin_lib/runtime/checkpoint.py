"""The checkpoint file: written aside, renamed, verified, and readable without pickle.

A checkpoint is a safetensors file. Its tensors are the weights, the optimiser's memory and the sums
of the epoch; its metadata hold everything else as JSON, and a SHA-256 over both. The one before is
kept as checkpoint.previous.safetensors. Tensors that are the same memory under several names (tied
weights) are stored once; the metadata say which names they have.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import warnings
from collections.abc import Iterable
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


def save_checkpoint(
    folder: Path, checkpoint: Checkpoint, remove: Iterable[Path] | None = None
) -> None:
    """Write `checkpoint` into `folder`; until it is complete on the disk the old one stays.

    The old one becomes the previous one. With `remove`, this is the first checkpoint of a run that
    replaces another one: the previous checkpoint and the files in `remove` are deleted instead.

    Raises:
        OSError: if the disk is full or the folder cannot be written. The old checkpoint is still
            there.
    """
    if remove is None:
        keep = (folder / PREVIOUS) if is_whole(folder / NAME) else None
        replace_file(folder / NAME, encode(checkpoint), keep)
    else:
        replace_file(folder / NAME, encode(checkpoint), remove=[*remove, folder / PREVIOUS])


def encode(checkpoint: Checkpoint) -> bytes:
    """Return the content of a checkpoint file."""
    tensors, same = stored_once(checkpoint.tensors)
    state = json.dumps(checkpoint.state)
    metadata = {"state": state, "sha256": digest(with_names(tensors, same), state)}
    if same:
        metadata["same"] = json.dumps(same)
    return safetensors.torch.save(tensors, metadata)


def stored_once(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors to store, on the CPU, and the names of those stored under another name.

    Tensors that share only a part of their memory are copied, so that each can be stored.
    """
    stored: dict[str, Tensor] = {}
    same: dict[str, str] = {}
    views: dict[Any, str] = {}
    for name, tensor in tensors.items():
        memory = (tensor.device, tensor.untyped_storage().data_ptr())
        view = (*memory, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and view in views:
            same[name] = views[view]
            continue
        on_cpu = tensor.detach().cpu().contiguous()
        stored[name] = on_cpu.clone() if memory in views else on_cpu
        views[view] = views[memory] = name
    return stored, same


def with_names(tensors: dict[str, Tensor], same: dict[str, str]) -> dict[str, Tensor]:
    """Return `tensors` with all names again: the inverse of `stored_once`."""
    return tensors | {name: tensors[stored] for name, stored in same.items()}


def replace_file(
    path: Path, content: bytes, keep: Path | None = None, remove: Iterable[Path] = ()
) -> None:
    """Write `content` to a temporary file, flush it to the disk, and only then rename it to `path`.

    A file that had this name is kept as `keep`; the files in `remove` are deleted just before the
    rename. The temporary file is deleted on an error.
    """
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if keep:
            os.replace(path, keep)
        for old in remove:
            old.unlink(missing_ok=True)
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in `folder` to the disk, so that a rename survives a power failure.

    Windows has no such call, and some network file systems refuse it: then nothing is done.
    """
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint in `folder` that is whole; None if there is none at all.

    Falls back to the one before, with a warning that names what is wrong. Raises `CheckpointError`
    when there are only damaged ones.
    """
    found = [folder / name for name in (NAME, PREVIOUS) if (folder / name).exists()]
    faults = []
    for path in found:
        try:
            checkpoint = read_checkpoint(path)
        except CheckpointError as error:
            faults.append(str(error))
            continue
        for fault in faults:
            warnings.warn(f"{fault}; going on from {path.name}", stacklevel=2)
        return checkpoint
    if faults:
        way_out = "delete the folder to start anew, or overwrite it with resume='never'"
        raise CheckpointError("; ".join([*faults, way_out]))
    return None


def read_checkpoint(path: Path) -> Checkpoint:
    """One file, verified. Read into memory: a mapped file could not be replaced on Windows."""
    content = path.read_bytes()
    try:
        tensors = safetensors.torch.load(content)
        metadata = header(content).get("__metadata__", {})
        tensors = with_names(tensors, json.loads(metadata.get("same", "{}")))
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
        read_checkpoint(path)
    except (CheckpointError, OSError):
        return False
    return True


def header(content: bytes) -> dict[str, Any]:
    """Return the JSON at the head of a safetensors file: eight bytes of length, then the text."""
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
