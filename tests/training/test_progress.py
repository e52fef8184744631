"""The observers for terminals and logs, and the choice between them."""

import io
import subprocess
import sys
from types import SimpleNamespace

import pytest

from nin_lib import progress
from nin_lib.history import Ended, EpochEnd, History, Started, Step

ROW = {"epoch": 1, "train_loss": 2.1034, "train_accuracy": 0.25}
ROW |= {"val_loss": 1.9, "val_accuracy": 0.3126}


def run(observer, interrupted=False):
    observer(Started(2, 3, 60))
    for step in range(1, 4):
        observer(Step(step, 1, 20, object(), object()))  # never read: nobody waits for a number
    observer(EpochEnd(ROW, 3))
    observer(Ended(History([ROW]), interrupted))


def test_lines_print_one_line_an_epoch(capsys):
    run(progress.Lines())
    assert capsys.readouterr().out == (
        "epoch 1/2  training loss 2.103 accuracy 0.250  held-out loss 1.900 accuracy 0.313\n"
    )


def test_the_bar_counts_images_and_shows_validation(monkeypatch):
    pytest.importorskip("tqdm")
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    run(progress.ProgressBar())
    shown = terminal.getvalue().split("\r")[-1]
    assert "60.0/120" in shown
    assert "images/s" in shown
    assert "epoch 1: held-out loss 1.900, accuracy 0.313" in shown


@pytest.mark.parametrize(
    ("terminal", "kind"), [(True, progress.ProgressBar), (False, progress.Lines)]
)
def test_a_terminal_gets_a_bar_and_a_log_gets_lines(monkeypatch, terminal, kind):
    monkeypatch.setattr(progress, "in_notebook", lambda: False)
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: terminal))
    assert isinstance(progress.default(), kind)


def test_a_notebook_gets_curves(monkeypatch):
    pytest.importorskip("anywidget")
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    assert type(progress.default()).__name__ == "LiveCurves"


@pytest.mark.parametrize(
    ("shell", "expected"),
    [(None, False), (SimpleNamespace(), False), (SimpleNamespace(kernel=object()), True)],
)
def test_only_a_kernel_is_a_notebook(monkeypatch, shell, expected):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert progress.in_notebook() is expected


def test_watching_loads_neither_framework_nor_widgets():
    code = (
        "import sys; from nin_lib import progress; progress.in_notebook();"
        "print({'torch', 'numpy', 'tqdm', 'IPython', 'anywidget'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
