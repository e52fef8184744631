"""Keep a run in a folder: when to write a checkpoint, and how a run is resumed.

A folder belongs to one run. It is locked while the run lasts, and the files of another run are
deleted with the first checkpoint of the one that replaces it, which `resume="never"` asks for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import safetensors
import safetensors.torch
import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from ..history import History, RunInfo
from . import model_state, run_state
from .checkpoint import (
    NAME,
    Checkpoint,
    CheckpointError,
    encode,
    header,
    load_checkpoint,
    read_checkpoint,
    replace_file,
    save_checkpoint,
    stored_once,
    with_names,
)
from .plan import ExecutionPlan
from .workers import Workers

SECONDS = 60.0  # between checkpoints within an epoch
RESUME = ("exact", "anyway", "never")
MODEL = "model.safetensors"
RESULTS = (MODEL, "history.json", "history.csv")  # what a finished run leaves
LOCK = "run.lock"  # stays in the folder; only a process that holds it may write there
TRIAL = "trial.safetensors"  # written, read and deleted before the first step


class Resumable(Protocol):
    """What a run offers, so that it can be kept and resumed. `nin_lib.train.Run` is one."""

    model: nn.Module
    plan: ExecutionPlan
    workers: Workers
    history: History
    step: int  # steps done

    def state(self) -> run_state.State: ...
    def load_state(self, state: run_state.State) -> None: ...


class Checkpointer:
    """Writes checkpoints of `run` into the folder `out`, and resumes the run that is there.

    A context manager: inside, the folder is locked. Entering it either starts a new run, resumes
    an unfinished one, or loads a finished one; then `was_finished` is true and no step is left.
    Without `out` it does nothing. `every` is in seconds, and only decides how much work is repeated
    after a crash, never the result.
    """

    def __init__(
        self,
        run: Resumable,
        out: str | Path | None,
        resume: str = "exact",
        every: float | None = None,
    ) -> None:
        if resume not in RESUME:
            raise ValueError(f"resume must be one of {', '.join(RESUME)}, got {resume!r}")
        self.run, self.resume = run, resume
        self.out = None if out is None else folder_named("out", out)
        self.every = SECONDS if every is None else every
        self.saved = time.monotonic()
        self.was_finished = False
        self.owns_files = False  # whether the files in the folder are those of this run
        self.lock = FileLock(self.out / LOCK, thread_local=False) if self.out else None

    def __enter__(self) -> Checkpointer:
        try:
            if self.out:
                self.open(self.out)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.lock:
            self.lock.release()

    def open(self, out: Path) -> None:
        """Lock the folder, look at what is there, and try to save before any work is done."""
        about = json.loads(
            json.dumps(self.run.history.about.to_dict())
        )  # as it comes back from the file
        self.in_first_process(lambda: self.claim(out))
        checkpoint = None if self.resume == "never" else load_checkpoint(out)
        if checkpoint:
            check_same(checkpoint, about, self.resume, out)
            self.owns_files = True
            self.was_finished = checkpoint.state["finished"]
        elif self.resume != "never":
            refuse_results(out)
        if not self.was_finished:
            trial = snapshot(self.run, finished=False)
            self.in_first_process(lambda: try_saving(self.run, trial, out))
        if checkpoint:
            restore(self.run, checkpoint)
        if self.was_finished and self.run.workers.leads:
            print(
                f"{out} holds this run, finished on {date_of(out)}: its weights and its "
                "history are returned, and nothing is trained again."
            )

    def claim(self, out: Path) -> None:
        assert self.lock
        try:
            out.mkdir(parents=True, exist_ok=True)
            self.lock.acquire(timeout=0)
        except Timeout:
            raise CheckpointError(
                f"out: another run is using {out}; wait until it ends, or name another folder"
            ) from None
        except OSError as error:
            raise unwritable(out, error) from error

    def in_first_process(self, action: Callable[[], None]) -> None:
        """Call `action` in the process that leads. If it raises, every process raises."""
        failure = None
        if self.run.workers.leads:
            try:
                action()
            except Exception as error:
                failure = error
        failures = torch.tensor(float(failure is not None), device=self.run.plan.device)
        self.run.workers.sum(failures)
        if failures > 0:
            raise failure or CheckpointError("out: refused, for the reason the first process gives")

    def after_step(self) -> None:
        """Save when it is due. Several processes, whose clocks differ, wait for the epoch's end."""
        if self.out and self.run.workers.size == 1 and time.monotonic() - self.saved >= self.every:
            self.save()

    def after_epoch(self) -> None:
        self.save()

    def interrupted(self) -> None:
        self.save()
        if self.run.workers.leads:
            done = f"Stopped after step {self.run.step}, {len(self.run.history.rows)} epochs done."
            more = f" The same call goes on from {self.out}." if self.out else ""
            print(done + more)

    def finished(self) -> None:
        """Write the results, then the last checkpoint, which says that everything is there.

        Of a run that was finished before, only results that are missing are written.
        """
        if self.out and self.run.workers.leads:
            for path in (self.out / name for name in RESULTS):
                if not (self.was_finished and path.exists()):
                    replace_file(path, result(self.run, path.name))
        if not self.was_finished:
            self.save(finished=True)

    def save(self, finished: bool = False) -> None:
        if self.out:
            checkpoint = snapshot(self.run, finished)
            if self.run.workers.leads:
                others = None if self.owns_files else [self.out / name for name in RESULTS]
                save_checkpoint(self.out, checkpoint, remove=others)
            self.owns_files = True
        self.saved = time.monotonic()


def folder_named(argument: str, value: str | Path) -> Path:
    """Return `value` as a path, with ~ expanded. Raises `ValueError` naming the argument."""
    try:
        path = Path(value).expanduser()
    except (TypeError, RuntimeError):  # not a path; no such home folder
        path = None
    if path is None or value == "":
        raise ValueError(f"{argument} must be the path of a folder, got {value!r}")
    return path


def try_saving(run: Resumable, checkpoint: Checkpoint, out: Path) -> None:
    """Write `checkpoint` to a file of its own and load it again.

    So what cannot be saved is reported before the first step. The model's state stays what it is.
    """
    path = out / TRIAL
    try:
        replace_file(path, encode(checkpoint))
        again = read_checkpoint(path)
        model_state.put(run.model, again.tensors, again.state["extra"])
    except OSError as error:
        raise unwritable(out, error) from error
    except Exception as error:  # modules may raise anything in set_extra_state
        raise ValueError(f"model: its state cannot be saved and loaded again: {error}") from error
    finally:
        with suppress(OSError):
            path.unlink()


def unwritable(out: Path, error: OSError) -> OSError:
    """Return the same kind of error, naming the argument."""
    return OSError(error.errno, f"out: cannot write to {out}: {error.strerror or error}")


def refuse_results(out: Path) -> None:
    """Raise `CheckpointError` if there are results without the checkpoint that describes them."""
    found = [name for name in RESULTS if (out / name).exists()]
    if found:
        raise CheckpointError(
            f"out: {out} holds {found[0]} of another run and no checkpoint; name another folder, "
            "or overwrite it with resume='never' (nin train: --overwrite)"
        )


def date_of(out: Path) -> str:
    """Return when the last checkpoint in `out` was written."""
    written = max(path.stat().st_mtime for path in out.glob(NAME.replace(".", "*.")))
    return datetime.fromtimestamp(written).strftime("%Y-%m-%d at %H:%M")


# ── Results ──────────────────────────────────────────────────────────────────────────────────────


def result(run: Resumable, name: str) -> bytes:
    """Return the content of one of the files of `RESULTS`."""
    if name == "history.json":
        return run.history.to_json().encode()
    if name == "history.csv":
        return run.history.to_csv().encode()
    state = run.model.state_dict()
    tensors, same = stored_once({k: v for k, v in state.items() if isinstance(v, Tensor)})
    model = run.history.about.model
    facts = dict(spec=model_state.spec_of(run.model), same=same, model=model)
    # A single key, because safetensors writes several in random order.
    return safetensors.torch.save(tensors, {"run": json.dumps(facts)})


def trained_model(folder: str | Path) -> tuple[str, dict[str, Tensor]]:
    """Return what is needed to build the model of a finished run: its spec as JSON and its state.

    Raises:
        ValueError: if there is no finished run in `folder`, or its model has no spec.
    """
    path = folder_named("folder", folder) / MODEL
    if not path.is_file():
        unfinished = (path.parent / NAME).exists()
        hint = "its run is not finished" if unfinished else "no finished run is there"
        raise ValueError(f"folder: {folder} holds no {MODEL}: {hint}")
    content = path.read_bytes()  # not mapped into memory: Windows would lock the file
    try:
        tensors = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: damaged ({error})") from None
    facts = json.loads(header(content).get("__metadata__", {}).get("run", "{}"))
    if not facts.get("spec"):
        raise ValueError(
            f"{path}: no network description is stored with these weights of {facts.get('model')}; "
            "build the model as before the run, and load them with "
            "model.load_state_dict(safetensors.torch.load_file(path))"
        )
    return facts["spec"], with_names(tensors, facts["same"])


# ── Checkpoints ──────────────────────────────────────────────────────────────────────────────────


def snapshot(run: Resumable, finished: bool) -> Checkpoint:
    """Return a checkpoint of `run` after its last step."""
    tensors, state = run.state()
    history = dict(rows=run.history.rows, about=run.history.about.to_dict())
    state = dict(step=run.step, history=history, finished=finished, **state)
    return Checkpoint(tensors, state)


def restore(run: Resumable, checkpoint: Checkpoint) -> None:
    """Put `run` where `checkpoint` was written (in place)."""
    state = checkpoint.state
    try:
        run.load_state((checkpoint.tensors, state))
    except RuntimeError as error:
        raise CheckpointError(f"the checkpoint is of another model: {error}") from None
    run.step = state["step"]
    run.history.rows[:] = state["history"]["rows"]
    there = RunInfo.from_dict(state["history"]["about"])
    if state["finished"]:
        run.history.about = there
        return
    here = run.history.about
    here.earlier = list(there.earlier)  # the other conditions it was made under, and how far
    if differences(there.plan, here.plan):
        here.earlier.append(dict(until_step=run.step, plan=there.plan))


def check_same(checkpoint: Checkpoint, here: dict[str, Any], resume: str, out: Path) -> None:
    """Raise `CheckpointError` if another run is kept, or this one would not be resumed exactly."""
    there = checkpoint.state["history"]["about"]
    finished = checkpoint.state["finished"]
    other = differences(settings(there), settings(here))
    if other:
        kind, way_out = ("a finished", "name") if finished else ("an unfinished", "finish it, name")
        raise CheckpointError(
            f"out: {out} holds {kind} run with other settings ({other}); {way_out} another folder, "
            "or overwrite it with resume='never' (nin train: --overwrite)"
        )
    part = chosen if finished else dict
    conditions = differences(part(there["plan"]), part(here["plan"]))
    if conditions and resume == "exact":
        rule, does = "resuming would not be exact", "goes on"
        if finished:
            rule, does = f"{out} holds this run, made in another way", "returns it"
        raise CheckpointError(
            f"out: {rule} ({conditions}); resume='anyway' {does} (nin train: --anyway)"
        )


def settings(about: dict[str, Any]) -> dict[str, Any]:
    """Return what makes a run this run: everything but the machine, and where its data lie."""
    notes = {key: value for key, value in about["notes"].items() if key != "folder"}
    return {**about, "notes": notes, "plan": {}, "earlier": []}


def chosen(plan: dict[str, Any]) -> dict[str, Any]:
    """Return what the caller may have asked for: of a finished run, the rest no longer matters."""
    kind = torch.device(plan["device"]).type
    return {"device": kind} | {k: plan[k] for k in ("precision", "channels_last", "compile")}


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
