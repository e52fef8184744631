"""The stop button of a notebook: an interrupt in a real Jupyter kernel."""

import os
import queue
import re
import time

import jupytext
import pytest
from common import ROOT

manager = pytest.importorskip("jupyter_client.manager")
pytest.importorskip("ipykernel")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise on Windows")

PREPARE = f"""
import sys, time
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
import torch
torch.set_num_threads(1)
import tiny_runs
from nin_lib.history import Step
from nin_lib.widgets import LiveCurves

def slow(event):
    "Leaves time for pressing stop: a step takes long, and the third one says that it is there."
    if isinstance(event, Step):
        if event.step % 5 == 3:
            print("now", flush=True)
            time.sleep(PAUSE)

PAUSE, data, out = 0.0, tiny_runs.few(), {{out!r}}
whole_model, whole = tiny_runs.run(data)
"""
TRAIN = """
curves = LiveCurves()
model, history = tiny_runs.run(data, out=out, observers=[curves, slow])
"""


class Kernel:
    def __init__(self):
        self.manager, self.client = manager.start_new_kernel(kernel_name="python3")

    def cell(self, code, interrupt_at=None):
        """Run one cell, pressing stop at the text `interrupt_at`; what it printed, its errors."""
        asked = self.client.execute(code)
        printed, errors, pressed = "", [], False
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                message = self.client.get_iopub_msg(timeout=5)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                printed += content["text"]
            elif kind == "error":
                errors.append(content["ename"] + ": " + content["evalue"])
            elif kind == "status" and content["execution_state"] == "idle":
                return printed, errors
            if interrupt_at and not pressed and interrupt_at in printed:
                pressed = True
                self.manager.interrupt_kernel()
        raise TimeoutError(f"the cell did not end; it printed {printed!r}")

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel():
    kernel = Kernel()
    yield kernel
    kernel.close()


@pytest.mark.slow
def test_stop_and_run_the_cell_again(kernel, tmp_path):
    out = str(tmp_path / "run")
    assert kernel.cell(PREPARE.format(out=out)) == ("", [])
    kernel.cell("PAUSE = 1.0")

    # The interrupted cell ends without a traceback, with one friendly line.
    printed, errors = kernel.cell(TRAIN, interrupt_at="now")
    assert errors == []
    lines = [line for line in printed.splitlines() if line != "now"]
    expected = f"Stopped after step 3, 0 epochs done. The same call goes on from {out}."
    assert lines == [expected]

    # The next cell can use what there is.
    state = (
        "import math\n"
        "finite = all(math.isfinite(float(p.detach().sum())) for p in model.parameters())\n"
        "print(history.rows, finite, curves._status, curves.config['running'])"
    )
    assert kernel.cell(state) == ("[] True stopped at epoch 0.6 False\n", [])

    # The same cell again goes on; stopped again, it keeps the epoch that is done.
    printed, errors = kernel.cell(TRAIN, interrupt_at="now")
    assert errors == [] and "Stopped after step 8, 1 epochs done." in printed
    assert kernel.cell("print(len(history.rows), curves._status)") == (
        "1 stopped at epoch 1.6\n",
        [],
    )

    # Once more, to the end: the same as the run that nobody stopped.
    kernel.cell("PAUSE = 0.0")
    printed, errors = kernel.cell(TRAIN)
    assert errors == [] and "Stopped" not in printed
    same = (
        "same = all(torch.equal(p, q) for p, q in"
        " zip(model.parameters(), whole_model.parameters(), strict=True))\n"
        "print(same, history == whole, curves._status)"
    )
    assert kernel.cell(same) == ("True True finished\n", [])


def test_a_stop_that_comes_in_another_cell_is_as_always(kernel):
    """The handler of a run is gone when the run is."""
    kernel.cell("import time; print('ready')")
    _, errors = kernel.cell("print('now', flush=True); time.sleep(30)", interrupt_at="now")
    assert errors and errors[0].startswith("KeyboardInterrupt")


AGAIN = """
from ipywidgets.widgets.widget import _instances
curves = LiveCurves()
model, history = tiny_runs.run(data, observers=[curves])
model, history = tiny_runs.run(data, observers=())
print(len(_instances))
"""


def test_a_cell_that_is_run_again_leaves_no_widgets_behind(kernel, tmp_path):
    assert kernel.cell(PREPARE.format(out=str(tmp_path / "run"))) == ("", [])
    counts = [kernel.cell(AGAIN) for _ in range(5)]
    assert counts == [counts[0]] * 5
    assert counts[0][1] == []
    shown = "print(curves.config['classes']['count'], curves.comm is not None)"
    assert kernel.cell(shown) == ("10 True\n", [])


# ---- stop in a training cell of a notebook, then run all cells below

FEW_IMAGES = f"""
import os, signal, sys
os.environ["MPLBACKEND"] = "agg"
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
import torch
torch.set_num_threads(1)
import nin_lib.data, nin_lib.train, nin_lib.widgets, tiny_runs
small_set = tiny_runs.few(192, 64)
nin_lib.data.load = lambda *_: small_set
nin_lib.network = lambda _: tiny_runs.NET
moment = None


def press_stop_in(place, name, step=None):
    "Let the function press stop, once, when `moment` is its name."
    original = getattr(place, name)

    def pressing(*arguments, **named):
        global moment
        if moment == name and (step is None or arguments[0].step == step):
            moment = None
            signal.raise_signal(signal.SIGINT)
        return original(*arguments, **named)

    setattr(place, name, pressing)


press_stop_in(nin_lib.widgets.LiveCurves, "__init__")
press_stop_in(nin_lib.train, "check_model")
press_stop_in(nin_lib.train.Run, "take_step", step=4)
press_stop_in(nin_lib.widgets.LiveCurves, "finish")
"""
BEFORE, FIRST, MIDDLE, LAST = "__init__", "check_model", "take_step", "finish"
TRAINING = {"05_training": ["history = fit(", "    run = fit("], "07_when": ["history = fit("]}
FROM_TRAINING = re.compile(r"\b(?<!\.)(history|model|logits|ended)\b")  # what such a cell leaves


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", TRAINING)
def test_after_a_stop_all_cells_below_run_or_say_what_to_do(kernel, name):
    (path,) = (ROOT / "notebooks").glob(f"{name}*.py")
    cells = [it.source for it in jupytext.read(path).cells if it.cell_type == "code"]
    training = [n for n, it in enumerate(cells) if any(fit in it for fit in TRAINING[name])]
    assert len(training) == len(TRAINING[name])
    assert kernel.cell(FEW_IMAGES) == ("", [])
    for source in cells[: training[0]]:
        assert kernel.cell(source)[1] == []
    for number in training:
        for moment in (BEFORE, FIRST, MIDDLE, LAST):
            kernel.cell(f"moment = {moment!r}")
            printed, errors = kernel.cell(cells[number])
            assert [it[:17] for it in errors] == ["KeyboardInterrupt"] * (moment == BEFORE)
            below = cells[number + 1 :]
            if (number, moment) != (training[0], BEFORE):  # else all of them
                below = [source for source in below if FROM_TRAINING.search(source)]
            for source in below:
                more, errors = kernel.cell(source)
                assert errors == [], source
                printed += more
            if name == "05_training":
                assert ("stopped early: run the" in printed) == (moment != LAST)
