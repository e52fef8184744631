"""Keeping a run in a folder: when to write a checkpoint, what it holds, and how a run goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch

from .checkpoint import Checkpoint, CheckpointError, load, replace, save

if TYPE_CHECKING:
    from ..train import Run

SECONDS = 60.0  # between checkpoints within an epoch
SUMS = ("loss", "correct", "images")  # of the epoch under way: the fields of train.Sums
RESUME = ("exact", "anyway", "never")


class Keeper:
    """Writes checkpoints of `run` into `out`, and puts the run back where the last one was.

    Without `out` it does nothing. `every` is in seconds, and only says how much work is repeated
    after a crash, never what comes out.
    """

    def __init__(
        self, run: Run, out: str | Path | None, resume: str = "exact", every: float | None = None
    ) -> None:
        if resume not in RESUME:
            raise ValueError(f"resume must be one of {', '.join(RESUME)}, got {resume!r}")
        self.run, self.out = run, Path(out) if out else None
        self.every = SECONDS if every is None else every
        self.saved = time.monotonic()
        if self.out:
            self.out.mkdir(parents=True, exist_ok=True)
            about = json.loads(json.dumps(run.history.about))  # as it comes back from the file
            checkpoint = None if resume == "never" else load(self.out)
            if checkpoint and not checkpoint.state["finished"]:
                check_same(checkpoint.state["history"]["about"], about, resume, self.out)
                restore(run, checkpoint)

    def after_step(self) -> None:
        """A checkpoint when one is due. Several ranks, whose clocks differ, wait for the epoch."""
        if self.out and self.run.ranks.size == 1 and time.monotonic() - self.saved >= self.every:
            self.save()

    def after_epoch(self) -> None:
        self.save()

    def interrupted(self) -> None:
        self.save()
        if self.run.ranks.leads:
            done = f"Stopped after step {self.run.step}, {len(self.run.history.rows)} epochs done."
            more = f" The same call goes on from {self.out}." if self.out else ""
            print(done + more)

    def finished(self) -> None:
        """The weights and the history; then the last checkpoint, which says that all is there."""
        if self.out and self.run.ranks.leads:
            tensors = {k: v.cpu().contiguous() for k, v in self.run.model.state_dict().items()}
            replace(self.out / "model.safetensors", safetensors.torch.save(tensors))
            replace(self.out / "history.json", self.run.history.to_json().encode())
            replace(self.out / "history.csv", self.run.history.to_csv().encode())
        self.save(finished=True)

    def save(self, finished: bool = False) -> None:
        if self.out:
            checkpoint = snapshot(self.run, finished)
            if self.run.ranks.leads:
                save(self.out, checkpoint)
        self.saved = time.monotonic()


def snapshot(run: Run, finished: bool) -> Checkpoint:
    """All that changes while a run goes on. Random numbers need no place: they depend on the step.

    Every rank calls this, because the sums of the epoch are gathered from all of them.
    """
    tensors = {f"model.{name}": value for name, value in run.model.state_dict().items()}
    for name, parameter in run.model.named_parameters():
        buffer = run.optimizer.state[parameter].get("momentum_buffer")
        if buffer is not None:
            tensors[f"momentum.{name}"] = buffer
    for name in SUMS:  # each rank's own: added up in another order they would differ a little
        tensors[f"sums.{name}"] = run.ranks.gather(getattr(run.sums, name))
    history = dict(rows=run.history.rows, about=run.history.about)
    state = dict(step=run.step, history=history, finished=finished, scaler=run.scaler.state_dict())
    return Checkpoint(tensors, state)


def restore(run: Run, checkpoint: Checkpoint) -> None:
    """Put `run` where `checkpoint` was written (in place)."""
    tensors, state = checkpoint.tensors, checkpoint.state
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    try:
        run.model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"the checkpoint is of another model: {error}") from None
    for name, parameter in run.model.named_parameters():
        if f"momentum.{name}" in tensors:
            buffer = torch.empty_like(parameter.detach()).copy_(tensors[f"momentum.{name}"])
            run.optimizer.state[parameter]["momentum_buffer"] = buffer
    for name in SUMS:
        parts = tensors[f"sums.{name}"]
        if len(parts) == run.ranks.size:
            getattr(run.sums, name).copy_(parts[run.ranks.rank])
        elif run.ranks.leads:  # another number of ranks: the whole goes to one of them
            getattr(run.sums, name).copy_(parts.sum())
    if state["scaler"]:  # empty but for float16
        run.scaler.load_state_dict(state["scaler"])
    run.step = state["step"]
    run.history.rows = state["history"]["rows"]
    there = state["history"]["about"]
    earlier = list(there.get("earlier", []))  # what else the run was made on, and how far
    if differences(there["plan"], run.history.about["plan"]):
        earlier.append(dict(until_step=run.step, plan=there["plan"]))
    if earlier:
        run.history.about["earlier"] = earlier


def check_same(there: dict[str, Any], here: dict[str, Any], resume: str, out: Path) -> None:
    """Raise `CheckpointError` when the kept run is another one, or its continuation not exact."""
    changeable: dict[str, Any] = dict(plan={}, earlier=[])
    other = differences(there | changeable, here | changeable)
    if other:
        raise CheckpointError(
            f"out: {out} holds an unfinished run with other settings ({other}); "
            "finish it, name another folder, or start anew with resume='never'"
        )
    conditions = differences(there["plan"], here["plan"])
    if conditions and resume == "exact":
        raise CheckpointError(
            f"out: going on here would not be exact ({conditions}); resume='anyway' goes on"
        )


def differences(there: dict[str, Any], here: dict[str, Any]) -> str:
    """In words: "seed 1 there, 2 here"."""
    there, here = dict(flat(there)), dict(flat(here))
    keys = sorted(set(there) | set(here))
    return ", ".join(
        f"{key} {there.get(key)} there, {here.get(key)} here"
        for key in keys
        if there.get(key) != here.get(key)
    )


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its whole name: {"recipe": {"clip": 1.0}} has ("recipe.clip", 1.0)."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
