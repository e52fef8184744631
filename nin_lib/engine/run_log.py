"""A training run in TensorFlow or JAX as others see it: events while it runs, a history at the end.

`nin_lib.train` does more than this for PyTorch, and keeps checkpoints. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..history import Ended, EpochEnd, Event, History, Observer, Started, Step
from .interrupt import Interrupted, between_steps


class RunLog:
    """Tells `observers` what happens and writes the history."""

    def __init__(self, started: Started, observers: Sequence[Observer]) -> None:
        self.started, self.observers = started, observers
        self.history = History(about=started.about)
        self.stop = False  # an observer asked for the end
        self.asked: Callable[[], bool] = lambda: False  # so did the reader

    @contextmanager
    def running(self) -> Iterator[None]:
        """The run is what happens inside. Ctrl-C, or an observer that raises `Interrupted`, ends it
        after the step under way; what was trained until then stays."""
        finished = False
        self.tell(self.started)
        try:
            with between_steps() as self.asked:
                yield
            finished = True
        except Interrupted:
            pass
        finally:
            self.tell(Ended(self.history, interrupted=not finished))

    def step(self, step: Step) -> None:
        """One step is done. Raises `Interrupted` when somebody asked for the end."""
        self.tell(step)
        if self.stop or self.asked():
            raise Interrupted

    def epoch(self, step: int, train: tuple[float, float], val: tuple[float, float]) -> None:
        """An epoch is done: mean loss and accuracy, of its steps and of the held-out images."""
        number = len(self.history.rows) + 1
        if not math.isfinite(train[0]):
            raise FloatingPointError(
                f"the training loss is {train[0]} in epoch {number}: "
                "try a smaller learning_rate, or clip the gradient (Recipe.clip)"
            )
        row = dict(
            epoch=number, train_loss=train[0], train_accuracy=train[1],
            val_loss=val[0], val_accuracy=val[1],
        )  # fmt: skip
        self.history.rows.append(row)
        self.tell(EpochEnd(row, step))

    def tell(self, event: Event) -> None:
        for observer in self.observers:
            try:
                observer(event)
            except Interrupted:  # the others still hear of it
                self.stop = True
