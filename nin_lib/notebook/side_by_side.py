"""Cells in three frameworks in one notebook, each framework in its own process.

    %load_ext nin_lib.notebook.side_by_side

A cell that begins with ``%%pytorch``, ``%%tensorflow`` or ``%%jax`` then runs in a Python that is
kept for that framework: its names stay from cell to cell, and what one framework's cell calls
`nin_block` is not what another's does. Outputs, live widgets too, appear below the cell as ever.
All of them work in one empty folder, `shared`, where they can leave files for each other. Where a
framework is not installed, its cells say how to get it, and that is all.
"""

from __future__ import annotations

import atexit
import os
import queue
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

from comm import get_comm_manager
from IPython import get_ipython
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from ..runtime.interrupt import between_steps

# The packages that each magic needs.
PACKAGES = {
    "pytorch": ["torch"],
    "tensorflow": ["tensorflow", "keras"],
    "jax": ["jax", "flax", "optax"],
}

COMMAND = [
    sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
    "--IPKernelApp.capture_fd_output=False",  # what C++ logs, times included, is no output
]  # fmt: skip
ENVIRONMENT = {  # several processes share one GPU: none takes all of its memory
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
OUTPUTS = {
    "stream", "display_data", "update_display_data", "execute_result", "clear_output",
    "comm_open", "comm_msg", "comm_close",
}  # fmt: skip

_folder = tempfile.TemporaryDirectory(prefix="nin-", ignore_cleanup_errors=True)
shared = Path(_folder.name)
_kernels: dict[str, SideKernel] = {}


def load_ipython_extension(shell: Any) -> None:
    """Register the magics; ``%load_ext`` calls this."""
    if not hasattr(shell, "kernel"):
        raise RuntimeError("cells in other processes need a notebook; this is IPython alone")
    for framework in PACKAGES:
        shell.register_magic_function(magic(framework), "cell", framework)


def magic(framework: str) -> Any:
    def run(line: str, cell: str) -> None:
        if missing := [name for name in PACKAGES[framework] if not find_spec(name)]:
            print(
                f"This cell needs {' and '.join(missing)}: run "
                f'`pip install -c constraints.txt -e ".[{framework}]"` and restart the kernel. '
                "The other cells go on without it."
            )
            return
        if framework not in _kernels:
            _kernels[framework] = SideKernel()
        try:
            _kernels[framework].run(cell)
        except ProcessEnded:
            del _kernels[framework]  # the next cell begins with a new one
            raise

    run.__doc__ = f"Run the cell in the process that is kept for {framework}."
    return run


class ProcessEnded(RuntimeError):
    """The process is gone, and all that was in it."""


class CellFailed(Exception):
    """An error in another process, whose traceback Jupyter shows."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['ename']}: {error['evalue']}")
        self.traceback = error["traceback"]

    def _render_traceback_(self) -> list[str]:
        return list(self.traceback)


class SideKernel:
    """A Jupyter kernel in a process of its own, whose outputs appear in this notebook."""

    def __init__(self) -> None:
        self.manager = KernelManager()
        self.manager._kernel_spec = KernelSpec(argv=COMMAND)
        self.manager.start_kernel(
            env={**os.environ, **ENVIRONMENT}, cwd=str(shared), stdout=DEVNULL, stderr=DEVNULL
        )
        atexit.register(self.manager.shutdown_kernel, now=True)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code: str) -> None:
        """Run a cell to its end. Raises `CellFailed` for an error in it, `ProcessEnded`."""
        error = None
        request = self.client.execute(code, stop_on_error=False)  # else the next may be dropped
        for message in self.messages(request):
            if message["msg_type"] == "error":
                error = message["content"]
            elif message["msg_type"] in OUTPUTS:
                pass_on(message)
        if error:
            raise CellFailed(error)

    def messages(self, request: str) -> Iterator[dict[str, Any]]:
        """Yield what the kernel publishes until the request is done; pass an interrupt on to it."""
        passed_on = False
        with between_steps() as interrupted:
            while True:
                if interrupted() and not passed_on:
                    self.manager.interrupt_kernel()
                    passed_on = True
                try:
                    message = self.client.get_iopub_msg(timeout=0.2)
                except queue.Empty:
                    if not self.manager.is_alive():
                        raise ProcessEnded("the process of this cell has ended") from None
                    continue
                if message["parent_header"].get("msg_id") == request:
                    if message["content"].get("execution_state") == "idle":
                        return
                    yield message


def pass_on(message: dict[str, Any]) -> None:
    """Publish a side kernel's message as this notebook's own."""
    kernel, content = get_ipython().kernel, message["content"]
    if message["msg_type"] == "comm_open":
        get_comm_manager().register_comm(Deaf(content["comm_id"]))  # type: ignore[arg-type]
    kernel.session.send(
        kernel.iopub_socket, message["msg_type"], content, kernel.get_parent(),
        metadata=message["metadata"], buffers=message["buffers"],
    )  # fmt: skip


class Deaf:
    """Stands here for a widget of a side kernel: what the page says to it is not passed on."""

    def __init__(self, comm_id: str) -> None:
        self.comm_id = comm_id

    def handle_msg(self, message: Any) -> None: ...

    def handle_close(self, message: Any) -> None: ...
