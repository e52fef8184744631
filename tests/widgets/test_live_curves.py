"""Live curves without a browser: events to points, messages, table and picture."""

import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from urllib.parse import unquote

import numpy as np
import pytest

from nin_lib.history import Ended, EpochEnd, History, RunInfo, Started, Step
from nin_lib.runtime.interrupt import Interrupted

pytest.importorskip("anywidget")
from nin_lib.widgets import LiveCurves, static_view
from nin_lib.widgets.base import Choice, Question
from nin_lib.widgets.curve_recorder import LANE_LIMIT, LANES, LIMIT
from nin_lib.widgets.live_curves import INTERVAL
from nin_lib.widgets.static_view import WORDS


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
    curves(Started(epochs, steps, steps * 8))
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
    curves(Started(1, 10, 30))
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

    curves(Started(1, 10, 80))
    curves(Step(1, 1, 8, Tracked(1.0), 1))


def test_status_in_words(curves, clock):
    assert curves.config["status"] == "ready"
    curves(Started(5, 10, 80))
    assert curves.config["status"] == "running: epoch 0.0 of 5"
    clock.now += 1
    curves(Step(24, 3, 8, 1.0, 1))
    assert curves.config["status"] == "running: epoch 2.4 of 5"
    curves(Ended(History(), interrupted=True))
    assert curves.config["status"] == "stopped at epoch 2.4"
    assert curves.config["running"] is False


def test_a_run_that_an_error_ended_early_is_not_called_finished(curves):
    curves(Started(5, 10, 80))
    curves(Step(24, 3, 8, 1.0, 1))
    curves(Ended(History()))
    assert curves.config["status"] == "stopped at epoch 2.4"


def test_finished_and_used_again(curves, clock):
    train(curves, clock, epochs=2)
    assert curves.config["status"] == "finished"
    curves(Started(1, 10, 80))
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
    thinned = static_view.thin(points, 20)
    assert any(y is None for _, y in thinned)
    assert thinned[0] == points[0]
    assert thinned[-1] == points[-1]
    assert len(static_view.thin([(1.0, 1.0)] * 100, 20)) == 3


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
    image = ET.fromstring(curves.static_view().replace('">', '"/>', 1)).find("img")
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
    assert lines[0] == "epoch  training loss  training accuracy  held-out loss  held-out accuracy"
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
    marks = static_view.ticks(high)
    assert marks[0] == 0
    assert marks[-1] >= high * 0.999
    assert 3 <= len(marks) <= 7


@pytest.mark.parametrize("low, high", [(-0.5, 0), (-3, 2), (-1e4, 1), (-0.02, 5), (-1e-9, 0)])
def test_ticks_reach_below_zero_and_hold_it(low, high):
    marks = static_view.ticks(high, low)
    assert marks[0] <= low * 0.999 and marks[-1] >= high and 0 in marks
    assert 3 <= len(marks) <= 8


@pytest.mark.parametrize(
    "losses, accuracies",
    [
        ([-0.5, -1.25, -2.0], [0.1, 0.2, 0.3]),
        ([2.0, 0.0, -2.0], [-1.0, 0.0, 1.0]),
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
        ([-0.0, math.nan, math.inf], [math.nan, -math.inf, 87.4]),
        ([-1e30, 1e-30, 1e30], [0.5, 0.5, 0.5]),
    ],
)
def test_curves_of_any_values_are_drawn_inside_their_panels(clock, losses, accuracies):
    with LiveCurves(clock=clock) as curves:
        for epoch, pair in enumerate(zip(losses, accuracies, strict=True), 1):
            curves.add("val_loss", epoch, pair[0])
            curves.add("val_accuracy", epoch, pair[1])
    curves.compare(curves, "again")
    svg = ET.fromstring(static_view.svg(curves._record.points, 3, [curves._record.points]))
    heights = [float(dot.get("cy")) for dot in svg.iter("{http://www.w3.org/2000/svg}circle")]
    assert len(heights) == sum(map(math.isfinite, [*losses, *accuracies]))
    top, step = 44, static_view.HEIGHT + static_view.GAP
    assert all(any(0 <= y - top - i * step <= static_view.HEIGHT for i in (0, 1)) for y in heights)


@pytest.mark.parametrize("epochs", [-1, math.nan, math.inf])
def test_an_axis_without_an_end_is_refused(epochs):
    rule = "epochs must be a finite number, 0 or more, or None, got"
    with pytest.raises(ValueError, match=rule):
        LiveCurves(epochs=epochs)
    with pytest.raises(ValueError, match=rule):
        LiveCurves().board(xlim=[0, epochs])


# ---- classes


def train_classes(curves, clock, dead=(1,), steps=10):
    """Three classes, 8 images a step; those of `dead` lose their logit after half of the run."""
    rng = np.random.default_rng(0)
    curves(Started(1, steps, 8 * steps))
    for step in range(1, steps + 1):
        clock.now += 1
        labels = np.arange(8) % 3
        logits = rng.random((8, 3)) + 0.1
        if step > steps / 2:
            logits[:, list(dead)] = 0
        curves(Step(step, 1, 8, 1.0, 4, logits, labels))
    curves(EpochEnd(row(1), steps))
    curves(Ended(History()))


def test_a_class_that_dies_is_seen_to_hit_zero(clock):
    curves = LiveCurves(clock=clock, classes=["coat", "<b>bag</b>", "boot"])
    train_classes(curves, clock)
    classes = curves.config["classes"]
    assert classes["names"] == ["coat", "<b>bag</b>", "boot"]
    assert len(classes["x"]) == 10
    assert classes["shares"] == [[1.0] * 10, [1.0] * 5 + [0.0] * 5, [1.0] * 10]
    assert classes["zero"] == ["<b>bag</b>"]
    assert "at zero: <b>bag</b> (no positive logit for their own)" in curves.to_text()
    page = curves.static_view()
    assert '<tr><th scope="row">&lt;b&gt;bag&lt;/b&gt;</th><td>0 %</td></tr>' in page
    assert '<tr><th scope="row">coat</th><td>100 %</td></tr>' in page


def test_classes_are_numbered_without_names_and_absent_when_unknown(curves, clock):
    train(curves, clock)
    assert curves.config["classes"]["count"] == 0
    assert "positive logit" not in curves.static_view()
    train_classes(curves, clock, dead=(0, 2))
    assert curves.config["classes"]["zero"] == ["0", "2"]


def test_classes_fed_by_hand_and_a_share_that_is_nearly_zero(curves):
    with curves:
        curves.add_classes(0.5, [0.5, None, 0.001])
        curves.add_classes(1.0, [0.0, 0.25, 0.001])
    assert curves.config["classes"]["shares"] == [[0.5, 0.0], [None, 0.25], [0.001, 0.001]]
    assert curves.config["classes"]["zero"] == ["0"]
    assert "&lt;1 %" in curves.static_view()


@pytest.mark.parametrize("shares", [[0.5], [], [0.5, 1.5], [0.5, math.nan], [-0.1, 0]])
def test_bad_shares_are_refused(shares):
    curves = LiveCurves(classes=["a", "b"])
    with pytest.raises(ValueError, match="shares must"):
        curves.add_classes(1, shares)


def test_many_classes_over_a_long_run_stay_a_small_message(clock):
    curves = LiveCurves(clock=clock)
    for step in range(3000):
        curves.add_classes(step / 100, [0.123] * 50)
        for name in WORDS:
            curves.add(name, step / 100, 1.2345)
    for seed in range(6):
        curves.compare(curves, f"seed {seed}")
    curves.finish()
    classes = curves.config["classes"]
    assert (classes["count"], len(classes["names"]), len(classes["shares"])) == (50, LANES, LANES)
    assert len(classes["x"]) <= LANE_LIMIT
    assert curves.static_view().count('<th scope="row">') == LANES
    assert len(json.dumps({**curves.config, **curves.state}).encode()) < 90_000
    assert len(curves.to_html()) < 150_000


def test_many_classes_at_zero_are_counted(curves):
    with curves:
        curves.add_classes(1, [0.0] * 1000)
    assert curves.config["classes"]["zero"][-2:] == ["19", "980 more"]


# ---- several runs


def test_three_seeds_in_one_picture(clock):
    curves = LiveCurves(clock=clock, keep=True)
    for seed, loss in enumerate((3.0, 2.0, 1.0)):
        curves(Started(2, 10, 80, RunInfo(seed=seed)))
        curves.add("train_loss", 1, loss)
        curves(EpochEnd(row(2, loss), 20))
        curves(Ended(History()))
    kept = curves.config["kept"]
    assert [run["name"] for run in kept] == ["run 1, seed 0", "run 2, seed 1"]
    assert [run["series"]["train_loss"] for run in kept] == [[(1, 3.0)], [(1, 2.0)]]
    assert curves.config["name"] == "run 3, seed 2"
    assert curves.config["series"]["train_loss"] == [(1, 1.0)]
    assert "pale: a run 1, seed 0, b run 2, seed 1" in curves.to_text()
    assert picture(curves).count('stroke="#808890"') == 8  # two runs, two kinds, two panels


def test_without_keep_a_second_run_takes_the_place_of_the_first(curves, clock):
    train(curves, clock)
    train(curves, clock)
    assert curves.config["kept"] == []


def test_a_history_or_other_curves_below_this_run(curves, clock):
    curves.compare(History([row(1, 2.0), row(2, math.nan)]), "published")
    other = LiveCurves(clock=clock)
    other.add("val_loss", 1, 0.25)
    for i in range(5):
        curves.compare(other, f"seed {i}")
    assert [run["name"] for run in curves.config["kept"]] == [f"seed {i}" for i in range(1, 5)]
    assert curves.config["kept"][0]["series"]["val_loss"] == [(1, 0.25)]
    curves.compare(History([row(1, 2.0), row(2, math.nan)]), "published")
    assert curves.config["kept"][-1]["series"]["train_loss"] == [(1, 2.0), (2, None)]
    with pytest.raises(ValueError, match="other must be a History or LiveCurves, got 5"):
        curves.compare(5, "five")


# ---- what the reader does


def test_a_click_on_stop_is_read_between_steps(curves):
    curves(Started(5, 10, 80))
    curves(Step(1, 1, 8, 1.0, 1))
    curves.change(stop=True)
    with pytest.raises(Interrupted):
        curves(Step(2, 1, 8, 1.0, 1))
    curves(Ended(History(), interrupted=True))
    assert curves.config["status"] == "stopped at epoch 0.2"
    curves(Started(5, 10, 80))  # the next run starts afresh
    curves(Step(1, 1, 8, 1.0, 1))
    assert not curves.stopped


def test_stop_is_only_offered_where_it_is_heard_and_heeded(curves, clock):
    def offered():
        clock.now += 1
        curves.add("train_loss", 1, 1.0)
        return curves.config["stoppable"]

    assert not offered()
    curves.change(hello=1)  # the page draws run 1 and was heard: but who would stop?
    assert not offered()
    assert curves.stopped is False
    assert offered()
    curves.finish()
    assert not curves.config["stoppable"]
    curves(Started(5, 10, 80))  # run 2: a message from before says nothing about now
    assert curves.stopped is False
    assert not offered()
    curves.change(hello=2)
    assert offered()


def test_the_switch_is_a_property_that_lives_in_the_state():
    curves = LiveCurves(log=True)
    assert curves.log and curves.state["log"] is True
    curves.log = False
    assert curves.state["log"] is False
    curves.state = {**curves.state, "log": True}  # as the page does
    assert curves.log


def test_a_question_when_there_is_one(curves):
    choices = (Choice("the flat one", True, "It stays."), Choice("the other", False, "It falls."))
    asking = LiveCurves(question=Question("Which of these is a dead run?", choices))
    assert curves.config["question"] is None
    assert asking.config["question"]["choices"][0]["say"] == "the flat one"
    assert "Which of these is a dead run?" in asking.static_view()


def test_closed_curves_still_have_their_picture(curves, clock):
    train(curves, clock)
    curves.close()
    data, _ = curves._repr_()
    assert set(data) == {"text/plain", "text/html"}
    curves.finish()


@pytest.mark.parametrize("classes", ["abc", [1, 2]])
def test_classes_must_be_names(classes):
    with pytest.raises(ValueError, match="classes must be a sequence of names"):
        LiveCurves(classes=classes)


def test_widgets_load_no_framework():
    code = (
        "import sys, nin_lib.widgets; print({'torch','keras','tensorflow','jax'} & {*sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
