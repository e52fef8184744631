"""Make an interrupt wait for the end of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interrupted(Exception):
    """The reader stopped the run."""


@contextmanager
def between_steps() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C, or a notebook's stop button, only leave a note; yield a function that reads it.

    A second Ctrl-C raises `KeyboardInterrupt` immediately.

    Outside the main thread Python delivers no signals, and nothing changes.
    """
    asked = threading.Event()

    def note(signum: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
