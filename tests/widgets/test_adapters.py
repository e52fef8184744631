"""What other trainers feed: d2l's boards, Keras, and counts by class from tensors and arrays."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest

pytest.importorskip("anywidget")
from nin_lib.history import ClassCounts
from nin_lib.widgets import LiveCurves

BATCHES = [  # logits, labels
    ([[1.0, -1, 5], [-2, 3, 0], [0, 0, 0]], [0, 1, 2]),
    ([[-1.0, 9, 9], [0.5, 0, 0]], [0, 0]),
]
SHARES = [2 / 3, 1.0, 0.0]  # class 0: 1.0 and 0.5 but not -1; class 2: a zero is not positive


class Clock:
    """Time for a message at each look."""

    now = 0.0

    def __call__(self):
        Clock.now += 1.0
        return Clock.now


@pytest.fixture
def curves():
    return LiveCurves(clock=Clock())


def series(curves, name):
    return curves.config["series"][name]


@pytest.mark.parametrize("kind", ["numpy", "torch", "half"])
def test_class_counts_by_hand(kind):
    array = numbers = np.array
    if kind != "numpy":
        torch = pytest.importorskip("torch")
        array = torch.tensor
        numbers = partial(array, dtype=torch.bfloat16 if kind == "half" else torch.float32)
    counts = ClassCounts()
    assert counts.shares() == []
    for logits, labels in BATCHES:
        counts.add(numbers(logits), array(labels))
    assert counts.shares() == pytest.approx(SHARES)
    assert counts.shares() == [None] * 3  # nothing new since
    counts.add(numbers([[1.0, 1, 1]]), array([2]))
    assert counts.shares() == [None, None, 1.0]


def test_class_counts_stay_exact_over_many_half_precision_batches():
    torch = pytest.importorskip("torch")
    counts = ClassCounts()
    for _ in range(40):  # 5,120 of one class: bfloat16 itself cannot count beyond 256
        counts.add(torch.ones(128, 2, dtype=torch.bfloat16), torch.zeros(128, dtype=torch.int64))
    counts.add(-torch.ones(1, 2, dtype=torch.bfloat16), torch.zeros(1, dtype=torch.int64))
    assert counts.shares() == [5120 / 5121, None]


def test_counting_waits_for_no_number():
    torch = pytest.importorskip("torch")
    from torch.utils._python_dispatch import TorchDispatchMode

    class Names(TorchDispatchMode):
        seen: list = []

        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            self.seen.append(str(operation))
            return operation(*args, **(kwargs or {}))

    logits = torch.randn(64, 10, requires_grad=True)
    counts = ClassCounts()
    with Names() as names:
        counts.add(logits, torch.arange(64) % 10)
    waits = ("_local_scalar_dense", "_to_copy", "nonzero", "bincount", "unique")
    assert names.seen and not [op for op in names.seen if any(word in op for word in waits)]
    assert not counts._counts.requires_grad


@pytest.mark.parametrize("logits", [np.zeros(3), np.zeros((2, 3)), [[1.0]]])
def test_logits_and_labels_must_fit_each_other(logits):
    with pytest.raises(ValueError, match="logits must be N×classes"):
        ClassCounts().add(logits, np.zeros(3, dtype=int))


class D2lTrainer:
    """As d2l's `Trainer` and `Module` use a board: 3 epochs of 10 batches, two points in each."""

    def fit(self, board):
        board.xlim = [0, 3]
        for epoch in range(3):
            for batch in range(10):
                board.xlabel = "epoch"
                board.draw((epoch * 10 + batch) / 10, np.float32(batch), "train_loss", every_n=5)
            for batch in range(4):
                board.draw(epoch + 1, np.array(0.1 * batch), "val_loss", every_n=4)
                board.draw(epoch + 1, np.array(0.2 * batch), "val_acc", every_n=4)


def test_a_d2l_board_draws_means_as_d2l_does(curves):
    board = curves.board()
    with curves:
        D2lTrainer().fit(board)
    assert series(curves, "train_loss")[:2] == [(0.2, 2.0), (0.7, 7.0)]
    assert len(series(curves, "train_loss")) == 6
    assert series(curves, "val_loss") == [(e, 0.15) for e in (1, 2, 3)]
    assert series(curves, "val_accuracy") == [(e, 0.3) for e in (1, 2, 3)]
    assert curves.config["epochs"] == 3
    assert curves.config["status"] == "finished"
    board.ylabel = board.ylim = board.yscale = None  # can be set, as on d2l's


def test_every_n_may_be_zero_as_d2l_makes_it_of_few_batches(curves):
    curves.board().draw(1, 2.0, "val_loss", every_n=0)
    curves.finish()
    assert series(curves, "val_loss") == [(1, 2.0)]


def test_an_animator_as_train_ch6_uses_it(curves):
    legend = ["train loss", "train acc", "test acc"]
    animator = curves.board(xlabel="epoch", xlim=[1, 10], legend=legend, figsize=(3, 2))
    animator.add(0.5, (2.0, 0.25, None))
    animator.add(1, (None, None, 0.5))
    curves.finish()
    assert series(curves, "train_loss") == [(0.5, 2.0)]
    assert series(curves, "train_accuracy") == [(0.5, 0.25)]
    assert series(curves, "val_accuracy") == [(1, 0.5)]
    assert curves.config["epochs"] == 10


def test_a_label_that_nobody_knows_is_refused(curves):
    with pytest.raises(ValueError, match="label must be one of train_loss, .* got 'x'"):
        curves.board().draw(0, 1, "x")


def keras_model():
    keras = pytest.importorskip("nin_lib.tensorflow").keras  # never TensorFlow itself first
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    x = np.random.default_rng(0).random((90, 4)).astype("float32")
    return keras, model, x, (x.sum(1) > 2).astype("int32")


def test_keras_tells_batch_by_batch_and_what_is_held_out(curves):
    _, model, x, y = keras_model()
    done = model.fit(
        x, y, epochs=2, batch_size=10, validation_split=1 / 3, verbose=0, callbacks=[curves.keras()]
    )  # fmt: skip
    points = series(curves, "train_loss")
    assert len(points) == 12  # each of 6 batches, though Keras tells running means
    assert points[0][0] == pytest.approx(1 / 12, abs=1e-4)
    for epoch in (0, 1):
        mean = np.mean([y for _, y in points[6 * epoch : 6 * epoch + 6]])
        assert mean == pytest.approx(done.history["loss"][epoch], rel=1e-3)
    assert [x for x, _ in series(curves, "val_accuracy")] == [1, 2]
    assert series(curves, "val_loss")[-1][1] == pytest.approx(
        done.history["val_loss"][-1], rel=1e-3
    )
    assert curves.config["epochs"] == 2
    assert curves.config["status"] == "finished"


def test_the_stop_button_ends_keras_cleanly(curves):
    keras, model, x, y = keras_model()

    class Reader(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                curves.change(stop=True)

    done = model.fit(
        x, y, epochs=5, batch_size=10, verbose=0, callbacks=[Reader(), curves.keras()]
    )  # fmt: skip
    assert len(done.history["loss"]) <= 1
    assert curves.config["status"].startswith("stopped at epoch 0.")


def test_feeds_load_no_trainer():
    code = "import sys, nin_lib.widgets.adapters; print({'torch','keras','d2l'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
