"""Cells in processes of their own: as a notebook that is executed from outside sees them."""

import os
import queue
import re
import subprocess
import sys
import time

import pytest
from jupyter_client.manager import KernelManager

from tools.notebooks import _ThisPython

pytestmark = pytest.mark.timeout(120)
LOAD = "%load_ext nin_lib.notebook.side_by_side"


class Kernel:
    """A notebook's kernel; `run` gives what a cell put out."""

    def __init__(self, folder):
        self.manager = KernelManager(kernel_spec_manager=_ThisPython())
        self.manager.start_kernel(cwd=str(folder), extra_arguments=["--log-level=ERROR"])
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.run(LOAD)

    def run(self, code):
        messages = []
        reply = self.client.execute_interactive(
            code, output_hook=messages.append, timeout=60, stop_on_error=False
        )
        assert reply["content"]["status"] != "aborted"
        error = reply["content"].get("ename")
        return "".join(text_of(message) for message in messages), error, messages


def without_colours(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def text_of(message):
    content = message["content"]
    if message["msg_type"] == "error":
        return "\n".join(content["traceback"])
    return content.get("text") or content.get("data", {}).get("text/plain", "")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("notebook"))
    yield kernel
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel(now=True)


def test_a_cell_runs_elsewhere_and_its_names_stay(kernel):
    here, error, _ = kernel.run("import os; mine = 1; print(os.getpid())")
    assert error is None
    there, error, _ = kernel.run("%%pytorch\nimport os\nname = 7\nprint(os.getpid())")
    assert error is None
    assert there.strip().isdigit() and there != here
    assert kernel.run("%%pytorch\nname + 1")[0] == "8"
    assert kernel.run("'name' in globals()")[0] == "False"
    assert kernel.run("%%pytorch\n'mine' in globals()")[0] == "False"


def test_all_outputs_come_through(kernel):
    code = """%%pytorch
import sys
from IPython.display import HTML
print("out"); print("err", file=sys.stderr)
display(HTML("<b>b</b>"))
3"""
    _, _, messages = kernel.run(code)
    seen = [(m["msg_type"], m["content"].get("name")) for m in messages]
    assert {("stream", "stdout"), ("stream", "stderr"), ("display_data", None)} <= set(seen)
    assert [m for m in messages if m["msg_type"] == "execute_result"]


def test_files_are_exchanged_in_a_folder_of_their_own(kernel):
    kernel.run("%%pytorch\nfrom pathlib import Path\n_ = Path('note').write_text('hello')")
    said, error, _ = kernel.run(
        "from nin_lib.notebook.side_by_side import shared\nprint((shared / 'note').read_text())"
    )
    assert (said, error) == ("hello\n", None)


def test_an_error_stops_the_cell_and_shows_the_line(kernel):
    said, error, _ = kernel.run("%%pytorch\nx = 1\nx / 0\nprint('after')")
    assert error == "CellFailed"
    assert "ZeroDivisionError" in said and "x / 0" in without_colours(said)
    assert "after" not in said.splitlines()
    assert kernel.run("%%pytorch\nx")[0] == "1"


def test_a_live_widget_comes_through(kernel):
    code = """%%pytorch
from nin_lib.widgets import LiveCurves
with LiveCurves(epochs=5) as curves:
    curves.add("train_loss", 0.5, 2.25)"""
    _, error, messages = kernel.run(code)
    assert error is None
    kinds = [message["msg_type"] for message in messages]
    assert "comm_open" in kinds
    bundles = [m["content"]["data"] for m in messages if m["msg_type"] == "display_data"]
    assert any("application/vnd.jupyter.widget-view+json" in bundle for bundle in bundles)


def test_what_the_page_says_to_such_a_widget_is_taken_quietly(kernel):
    _, _, messages = kernel.run("%%pytorch\nimport ipywidgets\nipywidgets.IntSlider()")
    comm_id = next(m for m in messages if m["msg_type"] == "comm_open")["content"]["comm_id"]
    for kind in ("comm_msg", "comm_close"):
        message = kernel.client.session.msg(kind, dict(comm_id=comm_id, data={}))
        kernel.client.shell_channel.send(message)
    assert kernel.run("1 + 1")[0] == "2"


def test_an_interrupt_goes_to_the_process_and_its_names_stay(kernel):
    kernel.run("%%pytorch\nkept = 5")
    endless = "%%pytorch\nimport time\nprint('go', flush=True)\ntime.sleep(60)"
    kernel.client.execute(endless, stop_on_error=False)
    wait_for_text(kernel.client, "go")
    began = time.monotonic()
    kernel.manager.interrupt_kernel()
    assert kernel.client.get_shell_msg(timeout=30)["content"]["ename"] == "CellFailed"
    assert time.monotonic() - began < 20
    assert kernel.run("%%pytorch\nkept")[0] == "5"


def wait_for_text(client, text):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            message = client.get_iopub_msg(timeout=1)
        except queue.Empty:
            continue
        if text in message["content"].get("text", ""):
            return
    pytest.fail(f"{text!r} was not printed")


def test_a_process_that_dies_is_told_of_and_replaced(kernel):
    said, error, _ = kernel.run("%%pytorch\nkept = 5\nimport os\nos._exit(1)")
    assert error == "ProcessEnded"
    assert "the process of this cell has ended" in said
    assert kernel.run("%%pytorch\n'kept' in globals()")[0] == "False"


def test_a_framework_that_is_missing_is_told_of_and_nothing_breaks(kernel):
    kernel.run(
        "import nin_lib.notebook.side_by_side as it\n"
        "before = it.PACKAGES['jax']\nit.PACKAGES['jax'] = ['not_there', 'optax']"
    )
    said, error, _ = kernel.run("%%jax\nprint(1)")
    kernel.run("it.PACKAGES['jax'] = before")
    assert error is None
    assert said.startswith("This cell needs not_there: run ")
    assert '".[jax]"' in said and said.count("\n") == 1


def test_the_processes_end_with_the_notebook(tmp_path):
    kernel = Kernel(tmp_path)
    pid = int(kernel.run("%%pytorch\nimport os\nprint(os.getpid())")[0])
    folder = kernel.run("from nin_lib.notebook.side_by_side import shared\nprint(shared)")[
        0
    ].strip()
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel()
    assert ended(pid)
    assert not os.path.exists(folder)


def ended(pid, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except OSError:
            return True
        time.sleep(0.1)
    return False


def test_without_a_notebook_it_says_so():
    code = """
from IPython.testing.globalipapp import start_ipython
shell = start_ipython()
shell.run_line_magic("load_ext", "nin_lib.notebook.side_by_side")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "need a notebook" in done.stdout + done.stderr
