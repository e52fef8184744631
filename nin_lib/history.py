"""What a training run reports while it runs (events) and leaves behind (`History`).

An *observer* is any callable that takes one event. A run sends, in this order::

    Started  (Step ... Step  EpochEnd)  (Step ... Step  EpochEnd) ...  Ended

It may ask for the end of the run by raising `nin_lib.runtime.interrupt.Interrupted`: the run then
ends after the step under way, as after an interrupt.

Nothing here knows which framework trains, and no clock time is kept: two runs that must repeat
each other leave equal histories.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .validation import read_json, require_path

COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")


@dataclass
class RunInfo:
    """What a run was made of, in plain values: enough to repeat it on the same machine.

    Every framework's `fit` fills it in. `plan` holds the conditions that decide the last digits:
    device, precision, threads, versions.
    """

    data: str = ""  # the name of the data set
    images: int = 0  # training images
    data_checksum: int | None = None  # of the training and held-out images and labels
    model: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    epochs: int = 1
    batch_size: int | None = None
    input_size: int | None = None  # side in pixels to which images are enlarged; None: as they are
    seed: int | None = None
    notes: dict[str, Any] = field(default_factory=dict)  # the caller's own
    plan: dict[str, Any] = field(default_factory=dict)
    framework: str = "torch"
    network: str | None = None  # a name in `nin_lib.networks`, where a recording has one
    earlier: list[dict[str, Any]] = field(default_factory=list)  # conditions before it was resumed

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; without `framework`, `network` and `earlier` if they say nothing."""
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        for name, nothing in (("framework", "torch"), ("network", None), ("earlier", [])):
            if plain[name] == nothing:
                del plain[name]
        return plain

    @classmethod
    def from_dict(cls, plain: Any) -> RunInfo:
        """Invert `to_dict`. Raises `ValueError` for values that are not those of a run."""
        known = {item.name for item in fields(cls)}
        if not isinstance(plain, dict) or not set(plain) <= known:
            got = sorted(set(plain) - known) if isinstance(plain, dict) else repr(plain)
            raise ValueError(f"about must be an object with keys of RunInfo, got {got}")
        return cls(**plain)


@dataclass(frozen=True)
class Started:
    """A run begins: `epochs` of `steps_per_epoch` steps each, over `images` training images."""

    epochs: int
    steps_per_epoch: int
    images: int
    about: RunInfo = field(default_factory=RunInfo)
    step: int = 0  # steps done before, if a run is resumed
    rows: tuple[dict[str, float], ...] = ()  # rows of the epochs done before


@dataclass(frozen=True)
class Step:
    """One optimiser step is done.

    `loss` (mean over the batch) and `correct` (right answers in the batch) are whatever the
    framework has at hand, often still on the accelerator; an observer that needs the number calls
    `float()`, and pays the wait for it, only when it draws. So are `logits` (N×classes) and
    `labels` (N), without a graph; None if the trainer does not report them. With several
    processes all of this is about the whole batch, not about one process's share.
    """

    step: int  # 1, 2, ... over the whole run
    epoch: int  # 1, 2, ...
    images: int  # images in this batch
    loss: Any
    correct: Any
    logits: Any = field(default=None, compare=False, repr=False)
    labels: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class EpochEnd:
    """An epoch is done and the held-out images were evaluated; `row` is new in the history."""

    row: dict[str, float]
    step: int


@dataclass(frozen=True)
class Ended:
    """The run is over. `interrupted` says that the reader stopped it."""

    history: History
    interrupted: bool = False


Event = Started | Step | EpochEnd | Ended
Observer = Callable[[Event], None]


@dataclass
class History:
    """One row for each finished epoch, and what the run was made of.

    `rows`: dictionaries with the keys of `COLUMNS`. `about`: what the run was made of. Losses are
    means over images in nats, accuracies lie between 0 and 1. The training figures are those of the
    steps themselves, with dropout on and changing weights; `val` is the held-out part after
    the epoch.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    about: RunInfo = field(default_factory=RunInfo)

    @property
    def last(self) -> dict[str, float]:
        """The last row. Raises `ValueError` when no epoch was finished."""
        if not self.rows:
            raise ValueError("history.last: no epoch was finished, so there is no row")
        return self.rows[-1]

    def finished(self) -> bool:
        """Return whether the run finished all its epochs; print a line about it if it did not.

        It lets the cells of a notebook that need a whole run say what to do where there is none::

            if history.finished():
                print(history.last["val_accuracy"])
        """
        finished = bool(self.rows) and len(self.rows) >= self.about.epochs
        if not finished:
            print("The run was stopped early: run the training cell again to see this.")
        return finished

    def column(self, name: str) -> list[float]:
        """One figure over all epochs, such as ``history.column("val_accuracy")``."""
        if name not in COLUMNS:
            raise ValueError(f"name must be one of {', '.join(COLUMNS)}, got {name!r}")
        return [row[name] for row in self.rows]

    def to_csv(self) -> str:
        text = io.StringIO()
        table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows)
        return text.getvalue()

    def to_json(self) -> str:
        return json.dumps(dict(rows=self.rows, about=self.about.to_dict()), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> History:
        """Invert `to_json`. Raises `ValueError` if the text is not a history."""
        data = read_json("a history", text)
        if not isinstance(data, dict) or set(data) != {"rows", "about"}:
            raise ValueError("a history is a JSON object with the keys 'rows' and 'about'")
        if not isinstance(data["rows"], list):
            raise ValueError(f"a history's rows must be a list, got {data['rows']!r:.80}")
        for number, row in enumerate(data["rows"], 1):
            if not isinstance(row, dict) or set(row) != set(COLUMNS):
                got = sorted(row) if isinstance(row, dict) else repr(row)
                raise ValueError(f"a row has the keys {', '.join(COLUMNS)}, got {got}")
            for name, value in row.items():
                if type(value) not in (int, float):
                    raise ValueError(f"row {number}: {name} must be a number, got {value!r}")
        return cls(data["rows"], RunInfo.from_dict(data["about"]))

    def save(self, path: str | Path) -> None:
        """Write to `path`: CSV where it ends in .csv, else JSON."""
        path = require_path("path", path)
        text = self.to_csv() if path.suffix == ".csv" else self.to_json()
        path.write_text(text, encoding="utf-8")


class ClassCounts:
    """How many images of each class were seen, and how many had a positive logit of their class.

    The counts stay where the logits are, on the accelerator too, until `shares` asks for them.
    """

    def __init__(self) -> None:
        self._counts: Any = None  # since the start: first those not above zero, then those above
        self._told: list[int] = []  # the same, when `shares` was last asked

    def add(self, logits: Any, labels: Any) -> None:
        """Count one batch: N×classes logits and N labels, PyTorch's tensors or arrays."""
        if getattr(logits, "ndim", 0) != 2 or len(labels) != len(logits):
            raise ValueError("logits must be N×classes, with N labels")
        count = _count_tensors if hasattr(logits, "detach") else _count_arrays
        counts = count(logits, labels, self._counts)
        if self._counts is None:
            self._told = [0] * len(counts)
        self._counts = counts

    def shares(self) -> list[float | None]:
        """Of each class, the share above zero since the last call; None where no image was."""
        if self._counts is None:
            return []
        now = self._counts.tolist()  # here we wait for the accelerator
        new = [a - b for a, b in zip(now, self._told, strict=True)]
        self._told = now
        half = len(new) // 2
        pairs = zip(new[:half], new[half:], strict=True)
        return [above / (below + above) if below + above else None for below, above in pairs]


def _count_tensors(logits: Any, labels: Any, counts: Any) -> Any:
    classes = logits.shape[1]
    own = logits.detach().gather(1, labels[:, None])[:, 0] > 0
    if counts is None:
        counts = labels.new_zeros(2 * classes)
    return counts.index_add_(0, labels + classes * own, labels.new_ones(len(labels)))


def _count_arrays(logits: Any, labels: Any, counts: Any) -> Any:
    import numpy as np

    logits, labels = np.asarray(logits), np.asarray(labels)
    classes = logits.shape[1]
    own = logits[np.arange(len(labels)), labels] > 0
    new = np.bincount(labels + classes * own, minlength=2 * classes)
    return new if counts is None else counts + new
