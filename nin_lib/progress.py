"""Observers that show the progress of a run: a bar, plain lines, or live curves.

    fit(..., observers=[progress.default()])

In a notebook `default` gives the live curves of `nin_lib.widgets`.
"""

from __future__ import annotations

import sys
from typing import Any

from nin_lib.history import Ended, EpochEnd, Event, Observer, Started, Step


class ProgressBar:
    """One tqdm bar for the whole run: images per second, time left, the last held-out figures.

    Raises `ImportError` where tqdm is not installed.
    """

    def __init__(self) -> None:
        from tqdm import tqdm

        self._tqdm = tqdm
        self._bar: Any = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            total = event.epochs * event.images
            done = min(total, event.step * total // (event.epochs * event.steps_per_epoch))
            self._bar = self._tqdm(
                total=total, initial=done, unit=" images", unit_scale=True, dynamic_ncols=True
            )
        elif isinstance(event, Step):
            self._bar.update(event.images)
        elif isinstance(event, EpochEnd):
            row = event.row
            self._bar.set_postfix_str(
                f"epoch {row['epoch']:g}: held-out loss {row['val_loss']:.3f}, "
                f"accuracy {row['val_accuracy']:.3f}"
            )
        elif isinstance(event, Ended):
            self._bar.close()


class Lines:
    """One printed line for each epoch, for logs and pipes."""

    def __init__(self) -> None:
        self._epochs = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self._epochs = event.epochs
        elif isinstance(event, EpochEnd):
            row = event.row
            print(
                f"epoch {row['epoch']:g}/{self._epochs}"
                f"  training loss {row['train_loss']:.3f} accuracy {row['train_accuracy']:.3f}"
                f"  held-out loss {row['val_loss']:.3f} accuracy {row['val_accuracy']:.3f}",
                flush=True,
            )


def default() -> Observer:
    """Return the observer that fits: curves in a notebook, a bar in a terminal, else lines."""
    if in_notebook():
        from nin_lib.widgets import LiveCurves

        return LiveCurves()
    return ProgressBar() if sys.stderr.isatty() else Lines()


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this code; asks IPython only if it is there already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None
