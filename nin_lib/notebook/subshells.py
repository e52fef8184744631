"""Let a widget receive messages from the page while a cell is running.

Why: JupyterLab from 4.4 on sends a widget's messages to a subshell, a thread of the kernel.
ipykernel 7.4 hands them back to the thread that last sent something to the widget, which is the one
that trains and therefore busy, so a stop button would not work. This can go when ipykernel leaves
them on the subshell: see `_reply_subshell_for` in the source of ipykernel's Comm.
"""

from __future__ import annotations

from typing import Any


def listen_while_running(comm: Any) -> None:
    """Let messages for `comm` stay on the thread that the page sent them to."""
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, subshell: subshell
