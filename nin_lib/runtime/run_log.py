"""The protocol of a run, the same in all frameworks: events, interrupts, the history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from ..history import Ended, EpochEnd, Event, History, Observer, RunInfo, Started, Step
from .interrupt import Interrupted, between_steps
from .model_check import check_loss

Means = tuple[float, float]  # mean loss (nats) and accuracy (0 to 1)


class RunLog:
    """Sends a run's events to its observers, stops it when asked, and writes its history.

    Args:
        info: What the run is made of.
        steps_per_epoch: How many steps an epoch has.
        observers: Who receives the events.
        agree: Turns this process's wish to stop into the decision of all processes.
    """

    def __init__(
        self, info: RunInfo, steps_per_epoch: int, observers: Sequence[Observer],
        agree: Callable[[bool], bool] = bool,
    ) -> None:  # fmt: skip
        self.history = History(about=info)
        self.steps_per_epoch, self.observers, self.agree = steps_per_epoch, observers, agree
        self.stop = False  # an observer raised `Interrupted`
        self.interrupted: Callable[[], bool] = lambda: False

    @contextmanager
    def running(
        self, step: int = 0, interrupted: Callable[[], bool] | None = None
    ) -> Iterator[None]:
        """Surround the training, from the first event to the last.

        Ctrl-C, or an observer that raises `Interrupted`, ends it after the step under way.

        Args:
            step: Steps that are done already, if the run is resumed.
            interrupted: Whether Ctrl-C was pressed, if the caller catches it; None catches it here.
        """
        info, rows = self.history.about, tuple(self.history.rows)
        finished = False
        with nullcontext(interrupted) if interrupted else between_steps() as self.interrupted:
            self.tell(Started(info.epochs, self.steps_per_epoch, info.images, info, step, rows))
            try:
                yield
                finished = True
            except Interrupted:
                pass
            finally:
                self.tell(Ended(self.history, interrupted=not finished))

    def step(self, step: Step) -> None:
        """Report a step. Raises `Interrupted` if the run should stop."""
        self.tell(step)
        self.stop_if_asked()

    def stop_if_asked(self) -> None:
        """Raise `Interrupted` if the reader, or an observer, asked for the end of the run."""
        if self.agree(self.interrupted() or self.stop):
            raise Interrupted

    def add_row(self, train: Means, held_out: Means) -> None:
        """Add an epoch to the history. Raises `FloatingPointError` if its loss is not finite."""
        epoch = len(self.history.rows) + 1
        check_loss(train[0], epoch)
        row = dict(
            epoch=epoch, train_loss=train[0], train_accuracy=train[1],
            val_loss=held_out[0], val_accuracy=held_out[1],
        )  # fmt: skip
        self.history.rows.append(row)

    def end_epoch(self, step: int) -> None:
        """Report the last row of the history, which was reached after `step` steps."""
        self.tell(EpochEnd(self.history.rows[-1], step))

    def tell(self, event: Event) -> None:
        """Send `event` to all observers."""
        for observer in self.observers:
            try:
                observer(event)
            except Interrupted:  # the other observers, and the other processes, get this far too
                self.stop = True
