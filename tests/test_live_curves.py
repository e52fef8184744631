"""Live curves without a browser: events to points, messages, table and picture."""

import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from urllib.parse import unquote

import pytest

from nin_lib.history import Ended, EpochEnd, History, Started, Step

pytest.importorskip("anywidget")
from nin_lib.widgets import LiveCurves, still
from nin_lib.widgets.live_curves import INTERVAL, LIMIT


class Clock:
    """Seconds that pass only when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Lazy:
    """A number on an accelerator: arithmetic is free, float() waits and is counted."""

    waits = 0

    def __init__(self, value):
        self.value = value

    def __add__(self, other):
        return Lazy(self.value + getattr(other, "value", other))

    __radd__ = __add__

    def __mul__(self, other):
        return Lazy(self.value * other)

    def __float__(self):
        Lazy.waits += 1
        return float(self.value)


def row(epoch, loss=0.5, accuracy=0.8):
    keys = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    return {"epoch": epoch, **dict(zip(keys, (loss, accuracy) * 2, strict=True))}


def train(curves, clock, epochs=2, steps=10, seconds=0.1, loss=lambda step: 1 / step):
    """A run of `epochs` epochs of `steps` steps of 8 images, one of them right at each step."""
    curves(Started(epochs, steps, steps * 8, {}))
    for step in range(1, epochs * steps + 1):
        clock.now += seconds
        curves(Step(step, (step - 1) // steps + 1, 8, Lazy(loss(step)), Lazy(1)))
        if step % steps == 0:
            curves(EpochEnd(row(step // steps), step))
    history = History([row(e + 1) for e in range(epochs)])
    curves(Ended(history))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def curves(clock):
    return LiveCurves(clock=clock)


def test_points_are_means_over_the_images_since_the_last_one(curves, clock):
    curves(Started(1, 10, 30, {}))
    curves(Step(1, 1, 10, 4.0, 5))
    clock.now += INTERVAL
    curves(Step(2, 1, 20, 1.0, 10))
    assert curves.config["series"]["train_loss"] == [(0.15, 2.0)]  # (10·4 + 20·1) / 30, middle step
    assert curves.config["series"]["train_accuracy"] == [(0.15, 0.5)]


def test_epoch_ends_give_validation_points_at_whole_epochs(curves, clock):
    train(curves, clock, epochs=3)
    assert curves.config["series"]["val_accuracy"] == [(1, 0.8), (2, 0.8), (3, 0.8)]
    assert len(curves.config["series"]["train_loss"]) > 3


def test_at_most_four_messages_a_second_and_no_wait_in_between(curves, clock):
    messages = []
    curves.observe(lambda change: messages.append(clock.now), "config")
    Lazy.waits = 0
    train(curves, clock, epochs=1, steps=1000, seconds=0.01)
    assert len(messages) <= 10 / INTERVAL + 2  # the start and the end are told at once
    gaps = [b - a for a, b in zip(messages, messages[1:-1], strict=False)]
    assert min(gaps) >= INTERVAL - 1e-9
    assert Lazy.waits <= 2 * len(messages)  # loss and accuracy, once for each message


def test_no_autograd_graph_is_kept(curves):
    class Tracked(Lazy):
        def detach(self):
            return Lazy(self.value)

        def __mul__(self, other):
            raise AssertionError("summed without detach()")

    curves(Started(1, 10, 80, {}))
    curves(Step(1, 1, 8, Tracked(1.0), 1))


def test_status_in_words(curves, clock):
    assert curves.config["status"] == "ready"
    curves(Started(5, 10, 80, {}))
    assert curves.config["status"] == "running: epoch 0.0 of 5"
    clock.now += 1
    curves(Step(24, 3, 8, 1.0, 1))
    assert curves.config["status"] == "running: epoch 2.4 of 5"
    curves(Ended(History(), interrupted=True))
    assert curves.config["status"] == "stopped at epoch 2.4"
    assert curves.config["running"] is False


def test_a_run_that_an_error_ended_early_is_not_called_finished(curves):
    curves(Started(5, 10, 80, {}))
    curves(Step(24, 3, 8, 1.0, 1))
    curves(Ended(History()))
    assert curves.config["status"] == "stopped at epoch 2.4"


def test_finished_and_used_again(curves, clock):
    train(curves, clock, epochs=2)
    assert curves.config["status"] == "finished"
    curves(Started(1, 10, 80, {}))
    assert curves.config["series"]["val_loss"] == []


def test_fed_by_hand(clock):
    with LiveCurves(epochs=2, clock=clock) as curves:
        curves.add("train_loss", 0.5, 2)
        curves.add("val_loss", 1, 1.5)
        assert curves.config["status"] == "running: epoch 0.0 of 2"  # nothing was due yet
    assert curves.config["status"] == "finished"
    assert curves.config["series"]["train_loss"] == [(0.5, 2.0)]
    assert curves.to_text().splitlines()[1].split() == ["1", "2.000", "–", "1.500", "–"]


def test_an_error_in_a_hand_made_loop_says_where_it_stopped(clock):
    curves = LiveCurves(clock=clock)

    def loop():
        with curves:
            curves.add("train_loss", 0.5, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop()
    assert curves.config["status"] == "stopped at epoch 0.5"


@pytest.mark.parametrize(
    ("series", "x", "message"),
    [
        ("loss", 1, "series must be one of"),
        ("val_loss", -1, "x must be"),
        ("val_loss", math.nan, "x"),
    ],
)
def test_bad_points_are_refused(curves, series, x, message):
    with pytest.raises(ValueError, match=message):
        curves.add(series, x, 1.0)


def test_ten_thousand_points_stay_few_evenly_spread_and_keep_their_ends(curves):
    for i in range(10_001):
        curves.add("train_loss", i / 1000, i)
    curves.finish()
    points = curves.config["series"]["train_loss"]
    assert len(points) <= LIMIT
    assert points[0] == (0, 0)
    assert points[-1] == (10, 10_000)
    steps = [b[0] - a[0] for a, b in zip(points, points[1:], strict=False)]
    assert max(steps) < 0.1  # no stretch of the axis is left bare
    assert all(y == pytest.approx(1000 * x, abs=1e-3 * y + 0.1) for x, y in points)


def test_thinning_keeps_gaps_and_survives_equal_x():
    points = [(float(i), None if 40 <= i < 60 else 1.0) for i in range(101)]
    thinned = still.thin(points, 20)
    assert any(y is None for _, y in thinned)
    assert thinned[0] == points[0]
    assert thinned[-1] == points[-1]
    assert len(still.thin([(1.0, 1.0)] * 100, 20)) == 3


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_a_gap_and_a_sentence(curves, clock, bad):
    train(curves, clock, epochs=1, steps=9, seconds=1, loss=lambda step: bad if step == 3 else 1.0)
    assert curves.config["series"]["train_loss"][2][1] is None
    assert curves.config["notes"] == [f"training loss is {bad} at epoch 0.33"]
    assert f"training loss is {bad}" in curves.to_text()
    svg = picture(curves)
    assert "nan" not in svg
    assert "inf" not in svg


def picture(curves):
    """The SVG document in the HTML, which must be well-formed as the HTML itself must be."""
    image = ET.fromstring(curves.to_html().replace('">', '"/>', 1)).find("img")
    kind, _, data = image.get("src").partition(",")
    assert kind == "data:image/svg+xml"
    assert "loss and accuracy by epoch" in image.get("alt")
    return unquote(data)


@pytest.mark.parametrize("epochs", [0, 1, 3, 100])
def test_the_picture_is_sound_for_short_and_long_runs(curves, clock, epochs):
    if epochs:
        train(curves, clock, epochs=epochs)
    svg = ET.fromstring(picture(curves))
    _, _, width, height = map(float, svg.get("viewBox").split())
    for text in svg.iter("{http://www.w3.org/2000/svg}text"):
        assert 0 <= float(text.get("x")) <= width
        assert 0 <= float(text.get("y")) <= height
    assert not [e for e in svg.iter() if e.get("id")]  # ids would clash on a page with two runs


def test_the_bundle_holds_table_picture_and_widget(curves, clock):
    train(curves, clock, epochs=12)
    data, _ = curves._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    lines = data["text/plain"].splitlines()
    assert lines[0] == "epoch  train loss  train accuracy  val loss  val accuracy"
    assert lines[1] == "... 2 rows before"
    assert lines[-2].split() == ["12", "0.500", "0.800", "0.500", "0.800"]
    assert lines[-1] == "finished"
    assert "<details>" in data["text/html"]
    assert data["text/html"].count("<tr>") == 11
    assert data == curves._repr_mimebundle_()[0]  # nothing random in it


def test_text_from_outside_never_becomes_markup(clock):
    curves = LiveCurves(title='<script>alert("1")</script>&', clock=clock)
    curves.add("val_loss", 1, 2.0)
    page = curves.to_html()
    assert "<script" not in page
    assert 'alert("' not in page
    ET.fromstring(picture(curves))


@pytest.mark.parametrize("high", [1e-13, 1e-9, 0.05, 0.99, 1, 1.01, 2.303, 5, 7, 10, 123, 4.2e7])
def test_ticks_are_few_and_round_and_reach_the_top(high):
    marks = still.ticks(high)
    assert marks[0] == 0
    assert marks[-1] >= high * 0.999
    assert 3 <= len(marks) <= 7


def test_widgets_load_no_framework():
    code = (
        "import sys, nin_lib.widgets; print({'torch','numpy','tensorflow','jax'} & {*sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_without_anywidget_the_message_says_what_to_do():
    code = "import sys; sys.modules['anywidget'] = None; import nin_lib.widgets"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert "pip install anywidget" in run.stderr.splitlines()[-1]
