"""Feed live curves from other trainers: d2l and Keras.

`nin_lib.train` and any trainer that sends the events of `nin_lib.history` need nothing of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nin_lib.history import Started

if TYPE_CHECKING:
    from nin_lib.widgets.live_curves import LiveCurves

# The labels of d2l's boards, and ours. What d2l calls test is evaluated while it trains.
LABELS = {
    "train_loss": "train_loss",
    "train_acc": "train_accuracy",
    "val_loss": "val_loss",
    "val_acc": "val_accuracy",
    "test_loss": "val_loss",
    "test_acc": "val_accuracy",
}


class Board:
    """What d2l's trainers draw on: a `ProgressBoard` and an `Animator` that feed live curves.

    ::

        with curves:
            model.board = curves.board()  # then trainer.fit(model, data)
            d2l.Animator = curves.board  # then d2l.train_ch6(...)

    Only what live curves show can be drawn: the labels of `LABELS`, with a space or an underscore.
    The other arguments and attributes are those of d2l; `xlim` sets how far the axis reaches.
    """

    def __init__(
        self,
        curves: LiveCurves,
        xlabel: str | None = None,
        ylabel: str | None = None,
        legend: list[str] | None = None,
        xlim: list[float] | None = None,
        ylim: list[float] | None = None,
        xscale: str = "linear",
        yscale: str = "linear",
        **of_the_picture: Any,  # colours, line styles, sizes: they have no meaning here
    ) -> None:
        self._curves = curves
        self._waiting: dict[str, list[tuple[float, float]]] = {}
        self.xlabel, self.ylabel, self.ylim = xlabel, ylabel, ylim
        self.xscale, self.yscale, self.display = xscale, yscale, True
        self.legend = legend or ["train loss", "train acc", "test acc"]  # as train_ch6 has it
        self.xlim = xlim

    @property
    def xlim(self) -> list[float] | None:
        return self._xlim

    @xlim.setter
    def xlim(self, xlim: list[float] | None) -> None:
        self._xlim = xlim
        if xlim:
            self._curves.reach(float(xlim[1]))

    def draw(self, x: float, y: Any, label: str, every_n: int = 1) -> None:
        """One point; every `every_n` of them give one mean, as in d2l."""
        series = LABELS.get(label.replace(" ", "_"))
        if series is None:
            raise ValueError(f"label must be one of {', '.join(LABELS)}, got {label!r}")
        points = self._waiting.setdefault(label, [])
        points.append((float(x), float(y)))
        if len(points) >= every_n:
            xs, ys = zip(*points, strict=True)
            self._curves.add(series, sum(xs) / len(xs), sum(ys) / len(ys))
            points.clear()

    def add(self, x: Any, y: Any) -> None:
        """One point for each name of the legend, as in d2l's `Animator`; None is left out."""
        ys = y if hasattr(y, "__len__") else [y]
        xs = x if hasattr(x, "__len__") else [x] * len(ys)
        for label, at, value in zip(self.legend, xs, ys, strict=False):
            if at is not None and value is not None:
                self.draw(at, value, label)


def keras_callback(curves: LiveCurves) -> Any:
    """Return a `keras.callbacks.Callback` that feeds `curves`; the stop button ends `fit`."""
    import keras

    class CurvesCallback(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.steps = self.params.get("steps") or 0
            curves(Started(self.params["epochs"], max(1, self.steps), 0))

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch, self.batches, self.drawn = epoch, 0, 0
            self.sums = dict.fromkeys(("train_loss", "train_accuracy"), 0.0)  # when last drawn

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.batches, self.logs = batch + 1, logs or {}
            if curves.due and self.steps:
                self.draw()
            if curves.stopped:
                self.model.stop_training = True

        def draw(self) -> None:
            """Keras reports the mean since the epoch began; we draw the batches since last time."""
            batches = self.batches - self.drawn
            middle = self.epoch + (self.batches + self.drawn) / 2 / self.steps
            for series, mean in named(self.logs, "train_").items():
                total = float(mean) * self.batches
                curves.add(series, middle, (total - self.sums[series]) / batches)
                self.sums[series] = total
            self.drawn = self.batches

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.steps = self.steps or self.batches  # a generator's length shows at its end
            if self.batches > self.drawn:
                self.draw()
            held_out = {k[4:]: v for k, v in (logs or {}).items() if k.startswith("val_")}
            for series, value in named(held_out, "val_").items():
                curves.add(series, epoch + 1, float(value))

        def on_train_end(self, logs: Any = None) -> None:
            curves.finish(stopped=bool(self.model.stop_training))

    return CurvesCallback()


def named(logs: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Keras's figures by our names: its loss, and the first that is called an accuracy."""
    found = {}
    for name, value in logs.items():
        if name == "loss":
            found[prefix + "loss"] = value
        elif "acc" in name:
            found.setdefault(prefix + "accuracy", value)
    return found
