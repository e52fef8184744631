"""`LiveCurves`: loss, accuracy and classes, drawn while a run goes on or replayed.

`LiveCurves` observes a run, ``fit(..., observers=[LiveCurves()])``, replays a recorded one, or is
fed by any loop::

    with LiveCurves(epochs=5) as curves:
        curves.add("train_loss", 0.1, 2.25)

This module is the view: what the page, a saved notebook and a terminal show. The points are
gathered in ``curve_recorder.py``, and ``adapters.py`` feeds them from d2l and Keras.

The page has a stop button if a click can arrive in time. Usually the kernel reads messages only
between cells; JupyterLab from 4.4 on sends them to a thread of their own (a *subshell*) if the
kernel has one, as ipykernel has from 7.0 on, and then they reach the traits while a cell runs.
Nobody knows what the next version does, so the page says hello when it draws a new run, and the
button is shown only if that was heard during the run. Elsewhere, interrupt the kernel.
"""

from __future__ import annotations

import html
import math
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import traitlets
from IPython import get_ipython
from IPython.display import display, update_display

from nin_lib.history import Ended, EpochEnd, Event, History, Started, Step
from nin_lib.notebook.subshells import listen_while_running
from nin_lib.runtime.interrupt import Interrupted
from nin_lib.widgets import static_view
from nin_lib.widgets.adapters import Board, keras_callback
from nin_lib.widgets.base import Question, Widget, frame, static_frame
from nin_lib.widgets.curve_recorder import LANES, CurveRecorder, recorder_of
from nin_lib.widgets.static_view import WORDS, Points

if TYPE_CHECKING:
    from nin_lib.recorded import Recording

INTERVAL = 0.25  # seconds: at most four messages a second go to the page
KEPT = 4  # runs that are laid below this one
ROWS = 10  # rows of the table


class LiveCurves(Widget):
    """Curves of a run, in the page while it goes on and in the saved notebook afterwards.

    `epochs`: how far the horizontal axis reaches (an observed run says so itself); `title`: a name
    for the run; `log`: show the loss on a logarithmic scale, which the reader can switch (the still
    picture is always linear); `classes`: names for the classes, else they are numbered; `keep`: a
    second run on the same curves leaves the first one below it, pale; `at_once`: a notebook shows
    the curves when a run begins, and not only where they are shown; `question`: a prediction to
    commit to; `clock`: seconds that never go back, for tests.
    """

    name = "live_curves"
    _run = 0  # how many have begun
    _heard = _heeded = False  # the page answers while it runs; the run asks for the stop button

    def __init__(
        self,
        epochs: float | None = None,
        title: str = "",
        log: bool = False,
        *,
        classes: Sequence[str] = (),
        keep: bool = False,
        at_once: bool = True,
        question: Question | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
            raise ValueError(f"classes must be a sequence of names, got {classes!r}")
        super().__init__(state={"log": bool(log)})
        self._frame = {**frame(title, question), "log_at_first": bool(log)}
        self._classes, self._keep, self._clock = tuple(classes), keep, clock
        self._at_once = at_once
        self._display_id = uuid.uuid4().hex  # travels with the output and is never stored in it
        self._shown = False
        self._name = ""  # of the run, if several are shown
        self._kept: list[tuple[str, dict[str, Points]]] = []
        self._record = CurveRecorder(epochs, self._classes)
        self._status, self._running = "ready", False
        self._publish()
        listen_while_running(self.comm)

    @property
    def log(self) -> bool:
        """Whether the loss is shown on a logarithmic scale; the reader's switch."""
        return bool(self.state.get("log"))

    @log.setter
    def log(self, log: bool) -> None:
        self.change(log=bool(log))

    # ---- a run is observed

    def __call__(self, event: Event) -> None:
        """Take one event of a run. Costs no wait for the accelerator but when a message is due.

        Raises `Interrupted` after a step when the reader pressed the stop button.
        """
        record = self._record
        if isinstance(event, Started):
            self._start(event)
        elif isinstance(event, Step):
            record.gather(event)
            if record.window_is_full and self.due:
                record.close_window()
                self._publish()
            if self.stopped:
                raise Interrupted
        elif isinstance(event, EpochEnd):
            record.close_window()
            record.add_row(event.row)
            if self.due:
                self._publish()
        elif isinstance(event, Ended):
            self.finish(stopped=event.interrupted or not record.complete)

    def _start(self, event: Started) -> None:
        again = self._status != "ready"  # a second run shows itself where it is started
        if self._keep and any(self._record.points.values()):
            self._keep_run(self._name, self._record)
        self._record = CurveRecorder(event.epochs, self._classes, event.steps_per_epoch)
        self._status, self._running = "ready", False
        self._record.start(event)
        self._begin(again)
        seed = event.about.seed
        self._name = f"run {self._run}" + ("" if seed is None else f", seed {seed}")

    # ---- a run is fed point by point

    def add(self, series: str, x: float, y: float) -> None:
        """Add one point to `series`, a key of `WORDS`, at epoch `x` (0 or more, may be a fraction).

        Raises `ValueError` for an unknown series or an `x` that is no place on the axis. A `y` that
        is not finite leaves a gap and is reported in words.
        """
        if series not in WORDS:
            raise ValueError(f"series must be one of {', '.join(WORDS)}, got {series!r}")
        self._fed(x)
        self._record.append(series, float(x), float(y))
        if self.due:
            self._publish()

    def add_classes(self, x: float, shares: Sequence[float | None]) -> None:
        """Add, at epoch `x`, each class's share of its own images with a positive logit (0 to 1).

        None where it is not known. Raises `ValueError` for a share that is none, or when there are
        more or fewer of them than before.
        """
        if not all(share is None or 0 <= share <= 1 for share in shares):
            raise ValueError(f"shares must be numbers from 0 to 1, or None, got {shares!r}")
        count = len(self._record.lanes) or len(self._classes) or len(shares)
        if len(shares) != count or not count:
            raise ValueError(f"shares must hold {count or 1} numbers, as before, got {len(shares)}")
        self._fed(x)
        self._record.append_classes(float(x), shares)
        if self.due:
            self._publish()

    def _fed(self, x: float) -> None:
        if not (math.isfinite(x) and x >= 0):
            raise ValueError(f"x must be a finite number of epochs, 0 or more, got {x!r}")
        if not self._running:
            self._begin()
        self._record.now = max(self._record.now, float(x))

    @property
    def stopped(self) -> bool:
        """Whether the reader pressed the stop button; a loop of your own asks this at each step.

        The button is only shown for a loop that asks.
        """
        self._heeded = True
        return bool(self.state.get("stop"))

    @property
    def due(self) -> bool:
        """Whether it is time for the next message to the page."""
        return self._clock() - self._sent >= INTERVAL

    def reach(self, epochs: float | None) -> None:
        """Let the horizontal axis reach to `epochs`; None or 0 leaves it to the points."""
        self._record.reach(epochs)

    def finish(self, stopped: bool = False) -> None:
        """End the run: send what is left and put the final picture into the notebook."""
        self._record.close_window()
        self._running = False
        self._status = f"stopped at epoch {self._record.now:.1f}" if stopped else "finished"
        self._publish()
        if self._shown:
            data, metadata = self._repr_()
            update_display(data, metadata=metadata, raw=True, display_id=self._display_id)

    def __enter__(self) -> LiveCurves:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self.finish(stopped=error is not None or bool(self.state.get("stop")))

    def board(self, *arguments: Any, **options: Any) -> Board:
        """Return what d2l's trainers draw on: see `nin_lib.widgets.adapters.Board`."""
        return Board(self, *arguments, **options)

    def keras(self) -> Any:
        """Return a callback for Keras: ``model.fit(..., callbacks=[curves.keras()])``."""
        return keras_callback(self)

    # ---- recorded runs, and several in the same picture

    @classmethod
    def replay(
        cls, recording: Recording, title: str = "", below: dict[str, Recording] | None = None
    ) -> LiveCurves:
        """Return the curves of a recorded run.

        Args:
            recording: What `nin_lib.recorded.run` returns.
            title: A name for the run.
            below: Other runs by name, laid below it in pale lines.
        """
        names, epochs = recording.classes["names"], recording.history.last["epoch"]
        with cls(epochs, title, classes=names, at_once=False) as curves:
            for name, other in (below or {}).items():
                curves.compare(other.history, name)
            for series in ("train_loss", "train_accuracy"):
                for x, y in recording.series[series]:
                    curves.add(series, x, y)
            for row in recording.history.rows:
                curves(EpochEnd(row, 0))
            lanes = zip(recording.classes["x"], *recording.classes["shares"], strict=True)
            for x, *shares in lanes:
                curves.add_classes(x, shares)
        return curves

    def compare(self, other: History | LiveCurves, name: str) -> None:
        """Lay another run below this one, in pale lines. The last `KEPT` of them are shown."""
        if isinstance(other, History):
            self._keep_run(name, recorder_of(other))
        elif isinstance(other, LiveCurves):
            self._keep_run(name, other._record)
        else:
            raise ValueError(f"other must be a History or LiveCurves, got {other!r}")
        self._publish()

    def _keep_run(self, name: str, record: CurveRecorder) -> None:
        self._kept = [*self._kept, (name, record.thinned())][-KEPT:]

    # ---- from points to the page

    def _begin(self, again: bool = False) -> None:
        self._running = True
        self._run += 1
        self._heard = self._heeded = False
        self.change(stop=False)
        self._publish()
        in_a_notebook = getattr(get_ipython(), "kernel", None) is not None
        if self._at_once and in_a_notebook and (again or not self._shown):
            self.show()

    @traitlets.observe("state")
    def _hear(self, change: Any) -> None:
        """Note which run the page draws: if that is heard during the run, a click can stop it."""
        if self._run and change["new"].get("hello") == self._run and self._running:
            self._heard = True

    def _publish(self) -> None:
        record = self._record
        if self._running:
            of = f" of {record.epochs:g}" if record.epochs else ""
            self._status = f"running: epoch {record.now:.1f}{of}"
        self.config = {
            **self._frame,
            "status": self._status,
            "running": self._running,
            "run": self._run,
            "stoppable": self._running and self._heard and self._heeded,
            "epochs": record.epochs,
            "notes": list(record.notes.values()),
            "name": self._name,
            "series": rounded(record.points),
            "kept": [{"name": name, "series": rounded(points)} for name, points in self._kept],
            "classes": {
                "names": record.names()[:LANES],
                "count": len(record.lanes),
                "zero": record.at_zero(),
                "x": [round(x, 4) for x, _ in record.lanes[0]] if record.lanes else [],
                "shares": [[short(y, 3) for _, y in lane] for lane in record.lanes[:LANES]],
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
        data, metadata = self._repr_()
        display(data, metadata=metadata, raw=True, display_id=self._display_id)
        self._shown = True

    _ipython_display_ = show  # `curves` as a cell's last line, or display(curves)

    def _repr_(self) -> tuple[dict[str, Any], dict[str, Any]]:
        if self.comm is None:  # closed: only the static view is left
            return {"text/plain": self.to_text(), "text/html": self.to_html()}, {}
        return self._repr_mimebundle_()

    def to_text(self) -> str:
        """Return a short table of the last rows, with three digits, and how far the run is."""
        table = static_view.text_table(self._record.table(), ROWS)
        return "\n".join(filter(None, [self._frame["title"], table, *self._words()]))

    def static_view(self) -> str:
        """Return a picture, with the tables folded below it."""
        rows, title = self._record.table(), self._frame["title"]
        last = zip(WORDS.values(), static_view.cells(rows[-1:])[0][1:], strict=True) if rows else ()
        label = " ".join(["loss and accuracy by epoch;", *(f"{word} {n}," for word, n in last)])
        label = (f"{title}: " if title else "") + label.strip(" ,;")
        kept = [points for _, points in self._kept]
        names, lanes = self._record.names()[:LANES], self._record.lanes[:LANES]
        words = html.escape("; ".join(self._words()))
        return (
            f"<div>{static_frame(self._frame)}"
            f"{static_view.picture(self._record.points, self._record.epochs, label, kept)}"
            f"<p>{words}</p><details><summary>the last figures as a table</summary>"
            f"{static_view.html_table(rows, ROWS)}{static_view.class_table(names, lanes)}"
            "</details></div>"
        )

    def _words(self) -> list[str]:
        """Return sentences about the run, the last one about how far it is."""
        words, zero = list(self._record.notes.values()), self._record.at_zero()
        if zero:
            words.append(f"at zero: {', '.join(zero)} (no positive logit for their own)")
        if self._kept:
            marks = zip(static_view.MARKS, self._kept, strict=False)
            words.append("pale: " + ", ".join(f"{mark} {name}" for mark, (name, _) in marks))
        return [*words, self._status]


def short(y: float | None, digits: int = 5) -> float | None:
    return None if y is None else float(f"{y:.{digits}g}")


def rounded(points: dict[str, Points]) -> dict[str, Any]:
    return {name: [(round(x, 4), short(y)) for x, y in line] for name, line in points.items()}
