"""Loss and accuracy, for training and validation, drawn while a run goes on.

`LiveCurves` observes a run, ``fit(..., observers=[LiveCurves()])``, or is fed by any loop::

    with LiveCurves(epochs=5) as curves:
        curves.add("train_loss", 0.1, 2.25)

The points are gathered here and drawn by ``live_curves.js`` in a live page; a saved notebook keeps
the table and the picture of ``still.py``.
"""

from __future__ import annotations

import html
import math
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython import get_ipython
from IPython.display import display, update_display

from nin_lib.history import Ended, EpochEnd, Event, Started, Step
from nin_lib.widgets import still
from nin_lib.widgets.still import WORDS, Points, Row

INTERVAL = 0.25  # seconds: at most four messages a second go to the page
ENOUGH = 256  # images in a training point, or a 40th of an epoch: fewer are mostly noise
LIMIT = 500  # points of a series; beyond it, neighbours are merged
ROWS = 10  # rows of the table


class LiveCurves(anywidget.AnyWidget):
    """Curves of a run, in the page while it goes on and in the saved notebook afterwards.

    `epochs`: how far the horizontal axis reaches (an observed run says so itself); `title`: a name
    for the run; `log`: show the loss on a logarithmic scale, which the reader can switch (the still
    picture is always linear); `clock`: seconds that never go back, for tests.
    """

    _esm = Path(__file__).with_name("live_curves.js")
    config = traitlets.Dict().tag(sync=True)  # all that the page draws; replaced, never changed
    log = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        epochs: float | None = None,
        title: str = "",
        log: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(log=log)
        self._title, self._clock = title, clock
        self._display_id = uuid.uuid4().hex  # travels beside the output and is never stored in it
        self._shown = False
        self._reset(epochs)
        self._publish()

    def _reset(self, epochs: float | None, steps_per_epoch: int = 1) -> None:
        self._epochs, self._steps_per_epoch, self._enough = epochs, steps_per_epoch, 1
        self._status, self._running, self._now = "ready", False, 0.0
        self._points: dict[str, Points] = {name: [] for name in WORDS}
        self._rows: list[Row] = []
        self._notes: dict[str, str] = {}
        self._clear_window()

    # ---- a run is observed

    def __call__(self, event: Event) -> None:
        """Take one event of a run. Costs no wait for the accelerator but when a message is due."""
        if isinstance(event, Started):
            again = self._status != "ready"  # a second run shows itself where it is started
            self._reset(event.epochs, max(1, event.steps_per_epoch))
            self._enough = min(ENOUGH, event.images // 40)
            for row in event.rows:  # of the epochs before, when a run goes on
                self._add_row(row)
            self._begin(again)
        elif isinstance(event, Step):
            self._now = event.step / self._steps_per_epoch
            self._gather(event)
            if self._images >= self._enough and self._due():
                self._close_window()
                self._publish()
        elif isinstance(event, EpochEnd):
            self._close_window()
            self._add_row(event.row)
            if self._due():
                self._publish()
        elif isinstance(event, Ended):
            self.finish(stopped=event.interrupted or self._now < (self._epochs or 0) - 1e-6)

    def _add_row(self, row: Row) -> None:
        self._rows.append(row)
        for name in ("val_loss", "val_accuracy"):
            self._append(name, row["epoch"], row[name])

    def _clear_window(self) -> None:
        """Start the sums over: the steps since the last point."""
        self._loss: Any = 0.0
        self._correct: Any = 0
        self._images = self._steps = self._step_sum = 0

    def _gather(self, event: Step) -> None:
        loss = event.loss.detach() if hasattr(event.loss, "detach") else event.loss
        self._loss = self._loss + loss * event.images  # stays where it is: no float() here
        self._correct = self._correct + event.correct
        self._images += event.images
        self._steps += 1
        self._step_sum += event.step

    def _close_window(self) -> None:
        """Turn the sums into one point: the means over the images since the last point."""
        if self._images:
            epoch = self._step_sum / self._steps / self._steps_per_epoch
            self._append("train_loss", epoch, float(self._loss) / self._images)
            self._append("train_accuracy", epoch, float(self._correct) / self._images)
        self._clear_window()

    # ---- a run is fed by hand

    def add(self, series: str, x: float, y: float) -> None:
        """Add one point to `series`, a key of `WORDS`, at epoch `x` (0 or more, may be a fraction).

        Raises `ValueError` for an unknown series or an `x` that is no place on the axis. A `y` that
        is not finite leaves a gap and is told in words.
        """
        if series not in WORDS:
            raise ValueError(f"series must be one of {', '.join(WORDS)}, got {series!r}")
        if not (math.isfinite(x) and x >= 0):
            raise ValueError(f"x must be a finite number of epochs, 0 or more, got {x!r}")
        if not self._running:
            self._begin()
        self._now = max(self._now, float(x))
        self._append(series, float(x), float(y))
        if self._due():
            self._publish()

    def finish(self, stopped: bool = False) -> None:
        """The run is over: send what is left and put the final picture into the notebook."""
        self._close_window()
        self._running = False
        self._status = f"stopped at epoch {self._now:.1f}" if stopped else "finished"
        self._publish()
        if self._shown:
            data, metadata = self._repr_mimebundle_()
            update_display(data, metadata=metadata, raw=True, display_id=self._display_id)

    def __enter__(self) -> LiveCurves:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self.finish(stopped=error is not None)

    # ---- from points to the page

    def _begin(self, again: bool = False) -> None:
        self._running = True
        self._publish()
        in_a_notebook = getattr(get_ipython(), "kernel", None) is not None
        if in_a_notebook and (again or not self._shown):
            self.show()

    def _append(self, series: str, x: float, y: float) -> None:
        if not math.isfinite(y):
            self._notes.setdefault(series, f"{WORDS[series]} is {y} at epoch {x:.2f}")
        points = self._points[series]
        points.append((x, y if math.isfinite(y) else None))
        if len(points) > LIMIT:
            points[:] = still.thin(points, LIMIT)

    def _due(self) -> bool:
        return self._clock() - self._sent >= INTERVAL

    def _publish(self) -> None:
        if self._running:
            of = f" of {self._epochs:g}" if self._epochs else ""
            self._status = f"running: epoch {self._now:.1f}{of}"
        self.config = {
            "title": self._title,
            "status": self._status,
            "running": self._running,
            "epochs": self._epochs,
            "notes": list(self._notes.values()),
            "series": {
                name: [(round(x, 4), None if y is None else float(f"{y:.5g}")) for x, y in points]
                for name, points in self._points.items()
            },
        }
        self._sent = self._clock()

    # ---- showing

    def show(self) -> None:
        """Show the curves below the running cell; outside IPython, print the table.

        Every showing carries the same display id, so the end of the run reaches them all.
        """
        if get_ipython() is None:
            print(self.to_text())
            return
        data, metadata = self._repr_mimebundle_()
        display(data, metadata=metadata, raw=True, display_id=self._display_id)
        self._shown = True

    _ipython_display_ = show  # `curves` as a cell's last line, or display(curves)

    def to_text(self) -> str:
        """A short table: the last rows, three digits, and how the run stands."""
        lines = [self._title, still.text_table(self._table(), ROWS), *self._notes.values()]
        return "\n".join(filter(None, [*lines, self._status]))

    def to_html(self) -> str:
        """A still picture, with the table folded below it."""
        rows = self._table()
        last = zip(WORDS.values(), still.cells(rows[-1:])[0][1:], strict=True) if rows else ()
        label = " ".join(["loss and accuracy by epoch;", *(f"{word} {n}," for word, n in last)])
        title = f"{self._title}: " if self._title else ""
        words = html.escape("; ".join([title + self._status, *self._notes.values()]))
        return (
            f"<div>{still.picture(self._points, self._epochs, title + label.strip(' ,;'))}"
            f"<p>{words}</p><details><summary>the last figures as a table</summary>"
            f"{still.html_table(rows, ROWS)}</details></div>"
        )

    def _table(self) -> list[Row]:
        return self._rows or still.rows_from(self._points)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle: Any = super()._repr_mimebundle_(**kwargs) or {}  # the view, for a live page
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/plain": self.to_text(), "text/html": self.to_html()}, metadata
