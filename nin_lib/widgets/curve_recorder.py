"""Record the points of a run: from events or one by one, thinned as they grow.

No notebook is needed here. `live_curves.py` shows what is recorded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nin_lib.history import ClassCounts, History, Started, Step
from nin_lib.widgets import static_view
from nin_lib.widgets.static_view import WORDS, Points, Row

ENOUGH = 256  # images in a training point, or a 40th of an epoch: fewer are mostly noise
LIMIT = 500  # points of a series; beyond it, neighbours are merged
LANE_LIMIT = 160  # the same for each class
LANES = 20  # classes that are drawn
KEPT_LIMIT = 150  # points of each series of an earlier run


class CurveRecorder:
    """What was recorded of one run.

    Attributes:
        points: For each key of `WORDS` the points of its series: epoch and value.
        lanes: For each class the points of the share of its images with a positive logit.
        rows: The rows of the history, if the run reports them.
        notes: For each series a sentence about its first value that is not finite.
        epochs: How far the horizontal axis reaches; None leaves that to the points.
        now: The epoch that the run has reached, a fraction within an epoch.
    """

    def __init__(
        self, epochs: float | None, classes: Sequence[str] = (), steps_per_epoch: int = 1
    ) -> None:  # fmt: skip
        self.reach(epochs)
        self.classes, self.steps_per_epoch = tuple(classes), max(1, steps_per_epoch)
        self.now = 0.0
        self.points: dict[str, Points] = {name: [] for name in WORDS}
        self.lanes: list[Points] = []
        self.rows: list[Row] = []
        self.notes: dict[str, str] = {}
        self._enough = 1
        self._loss: Any  # the sums since the last point, on the accelerator if the run is there
        self._correct: Any
        self._images, self._steps, self._step_sum = 0, 0, 0
        self._counts = ClassCounts()
        self._clear_window()

    def reach(self, epochs: float | None) -> None:
        """Let the axis reach to `epochs`. Raises `ValueError` for a number that is no end."""
        if epochs is not None and not (math.isfinite(epochs) and epochs >= 0):
            raise ValueError(f"epochs must be a finite number, 0 or more, or None, got {epochs!r}")
        self.epochs = epochs

    @property
    def complete(self) -> bool:
        """Whether the run has reached the end of the axis."""
        return self.now >= (self.epochs or 0) - 1e-6

    # ---- from the events of a run

    def start(self, event: Started) -> None:
        """Take over what a run reports about itself, and the epochs before it was resumed."""
        self._enough = min(ENOUGH, event.images // 40)
        for row in event.rows:
            self.add_row(row)

    def gather(self, event: Step) -> None:
        """Add a step to the sums. Never waits for the accelerator."""
        self.now = event.step / self.steps_per_epoch
        loss = event.loss.detach() if hasattr(event.loss, "detach") else event.loss
        self._loss = self._loss + loss * event.images  # stays where it is: no float() here
        self._correct = self._correct + event.correct
        self._images += event.images
        self._steps += 1
        self._step_sum += event.step
        if event.logits is not None and event.labels is not None:
            self._counts.add(event.logits, event.labels)

    @property
    def window_is_full(self) -> bool:
        """Whether the sums hold enough images for a point."""
        return self._images >= self._enough

    def close_window(self) -> None:
        """Turn the sums into one point: the means over the images since the last point."""
        if self._images:
            epoch = self._step_sum / self._steps / self.steps_per_epoch
            self.append("train_loss", epoch, float(self._loss) / self._images)
            self.append("train_accuracy", epoch, float(self._correct) / self._images)
            if self.window_is_full or not self.lanes:  # otherwise too few images of some class
                self.append_classes(epoch, self._counts.shares())
        self._clear_window()

    def _clear_window(self) -> None:
        self._loss, self._correct = 0.0, 0
        self._images = self._steps = self._step_sum = 0

    def add_row(self, row: Row) -> None:
        """Add a row of the history, and its held-out figures to the curves."""
        self.rows.append(row)
        for name in ("val_loss", "val_accuracy"):
            self.append(name, row["epoch"], row[name])

    # ---- point by point

    def append(self, series: str, x: float, y: float) -> None:
        """Add a point to a series; a value that is not finite becomes a gap and a note."""
        if not math.isfinite(y):
            self.notes.setdefault(series, f"{WORDS[series]} is {y} at epoch {x:.2f}")
        points = self.points[series]
        points.append((x, finite(y)))
        if len(points) > LIMIT:
            points[:] = static_view.thin(points, LIMIT)

    def append_classes(self, x: float, shares: Sequence[float | None]) -> None:
        """Add a share to the lane of each class."""
        self.lanes = self.lanes or [[] for _ in shares]
        for lane, share in zip(self.lanes, shares, strict=True):
            lane.append((x, share))
            if len(lane) > LANE_LIMIT:
                lane[:] = static_view.thin(lane, LANE_LIMIT)

    # ---- what can be read

    def names(self) -> list[str]:
        """Return the name of each class that has a lane, or its number."""
        if len(self.classes) == len(self.lanes):
            return list(self.classes)
        return [str(i) for i in range(len(self.lanes))]

    def at_zero(self) -> list[str]:
        """Return the classes whose last share is 0, at most `LANES` by name."""
        last = [lane[-1][1] for lane in self.lanes]
        zero = [name for name, share in zip(self.names(), last, strict=True) if share == 0]
        return zero if len(zero) <= LANES else [*zero[:LANES], f"{len(zero) - LANES} more"]

    def table(self) -> list[Row]:
        """Return the rows of the history, or rows made from the points."""
        return self.rows or static_view.rows_from(self.points)

    def thinned(self) -> dict[str, Points]:
        """Return fewer points, for a run that is shown below another one."""
        return {
            series: static_view.thin(line, KEPT_LIMIT) if len(line) > KEPT_LIMIT else list(line)
            for series, line in self.points.items()
        }


def recorder_of(history: History) -> CurveRecorder:
    """Return a recorder that holds a history's rows as the points of all series."""
    recorder = CurveRecorder(None)
    for series in WORDS:
        recorder.points[series] = [(row["epoch"], finite(row[series])) for row in history.rows]
    return recorder


def finite(y: float) -> float | None:
    """Return `y`, or None if it is NaN or infinite."""
    return y if math.isfinite(y) else None
