"""The network of a spec in Keras on TensorFlow, with a short `fit`.

    from nin_lib import network, tensorflow as nin
    model = nin.NiN(network("chapter"))

Shapes are N×H×W×C: N samples, H height, W width, C channels. Keras does without `in_channels`: a
layer learns it from the input it meets.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

if "tensorflow" not in sys.modules:  # PyTorch's optimisers import Triton, and Triton imported
    with suppress(ImportError):  # after TensorFlow ends the process
        import triton  # noqa: F401

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from .data import Dataset, Split, check_channels
from .flow import as_pair
from .history import History, Observer, Step
from .recipe import Recipe, learning_rate
from .runtime.channels_last import batches, check_images, pool_padding, to_input
from .runtime.description import describe
from .runtime.memory import memory_advice
from .runtime.model_check import check_logits, classes_in, passing
from .runtime.run_log import RunLog
from .spec import Block, Dropout, Network, Pool
from .validation import refuse_name, run_numbers

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"nin_lib.tensorflow needs Keras on TensorFlow, but Keras runs on "
        f"{keras.backend.backend()}; set the environment variable KERAS_BACKEND=tensorflow "
        "before Keras is first imported"
    )


def nin_block(
    widths: tuple[int, ...],
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    inner_kernel_size: int = 1,
    last_relu: bool = True,
) -> keras.Sequential:
    """Build a k×k convolution, then a 1×1 convolution for each further width.

    A ReLU follows each; with `last_relu` false the last one is left out.
    N×H×W×C → N×H'×W'×widths[-1].
    Source: Lin, Chen and Yan 2014, section 3.1 (mlpconv).
    """
    net = [layers.ZeroPadding2D(padding)] if padding else []  # Conv2D itself takes no number
    net += [layers.Conv2D(widths[0], kernel_size, stride), layers.ReLU()]
    for width in widths[1:]:
        net += [layers.Conv2D(width, inner_kernel_size, padding="same"), layers.ReLU()]
    return keras.Sequential(net if last_relu else net[:-1])


class MaxPool(layers.Layer):
    """Max pooling that pads and rounds as `spec.Pool` says: N×H×W×C → N×H'×W'×C."""

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.pool = pool

    def call(self, maps: Any) -> Any:
        rows, columns = (pool_padding(size, self.pool) for size in maps.shape[1:3])
        edges = ((0, 0), rows, columns, (0, 0))
        padded = keras.ops.pad(maps, edges, constant_values=-math.inf)
        return keras.ops.max_pool(padded, self.pool.kernel_size, self.pool.stride)


@keras.saving.register_keras_serializable("nin_lib")
class NiN(keras.Sequential):
    """The network of a spec: N×H×W×C images → N×classes logits.

    `input_size`: pixels, an integer or (height, width), for which `summary` shows the shapes; the
    spec's own if nothing is said. Images of other sizes may come. Raises `ValueError` for images
    with another number of channels, `ShapeError` for images that are too small. A network with
    dense layers takes images of its spec's `input_size` only.
    """

    def __init__(self, spec: Network, input_size: int | tuple[int, int] | None = None) -> None:
        refuse_name("spec", spec, "network")
        size = as_pair(spec.input_size if input_size is None else input_size, "input_size")
        shape = (*size, spec.in_channels)
        check_images(spec, (1, *shape))
        super().__init__([keras.Input(shape), *stages(spec)], name="nin")
        self.spec = spec

    def call(self, images: Any, training: bool | None = None, mask: Any = None) -> Any:
        check_images(self.spec, tuple(images.shape))
        return super().call(images, training=training, mask=mask)

    def get_config(self) -> dict[str, Any]:
        """Return what `model.save` writes: the spec says it all."""
        return {"spec": self.spec.to_json(), "input_size": self.input_shape[1:3]}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> NiN:
        return cls(Network.from_json(config["spec"]), tuple(config["input_size"]))


def stages(spec: Network) -> Iterator[layers.Layer]:
    for stage, relu in spec.stages_with_relu():
        if isinstance(stage, Block):
            yield nin_block(
                stage.widths, stage.kernel_size, stage.stride, stage.padding,
                stage.inner_kernel_size, last_relu=relu,
            )  # fmt: skip
        elif isinstance(stage, Pool):
            plain = not (stage.padding or stage.ceil_mode)
            yield layers.MaxPooling2D(stage.kernel_size, stage.stride) if plain else MaxPool(stage)
        elif isinstance(stage, Dropout):
            yield layers.Dropout(stage.p)
    yield dense_head(spec) if spec.dense else layers.GlobalAveragePooling2D()


def dense_head(spec: Network) -> keras.Sequential:
    """Flatten H×W×C, then dense layers with a ReLU between them: the ending NiN does away with."""
    head = [layers.Flatten()]
    for width in spec.dense:
        head += [layers.Dense(width), layers.ReLU()]
    return keras.Sequential(head if spec.last_relu else head[:-1])


# ── Training ─────────────────────────────────────────────────────────────────────────────────────


def fit(
    model: keras.Model,
    data: Dataset,
    recipe: Recipe,
    *,
    epochs: int,
    batch_size: int = 128,
    input_size: int | None = None,
    seed: int = 0,
    observers: Sequence[Observer] = (),
) -> History:
    """Train `model` in place with Keras's own `fit`.

    Images, their order, events, history and the check before the run are those of
    `nin_lib.train.fit`.

    First weights and the last ReLU are the model's; of the recipe, the steps are followed. Keras
    multiplies by the learning rate before it adds to the momentum, PyTorch after: the same, as
    long as the rate stays the same. `seed` sets the order of the samples only; for dropout call
    ``keras.utils.set_random_seed``.

    Raises `ValueError` when an argument, the data or the model do not fit each other,
    `FloatingPointError` when the loss becomes NaN or infinite, `MemoryError` with a smaller batch
    size to try.
    """
    refuse_name("data", data, "load")
    refuse_name("recipe", recipe, "recipe")
    epochs, batch_size, input_size, seed = run_numbers(epochs, batch_size, input_size, seed)
    check_channels(model, train=data.train, val=data.val)
    samples = batches(len(data.train), batch_size, seed, epochs)
    held_out = np.split(np.arange(len(data.val)), range(batch_size, len(data.val), batch_size))
    numbers, model_name = (epochs, batch_size, input_size, seed), type(model).__name__
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
    info = describe(
        data, recipe, numbers, framework="tensorflow", model=model_name, plan=versions
    )  # fmt: skip
    check_model(model, data, input_size)
    log = RunLog(info, len(samples) // epochs, observers)
    logits = LastLogits()
    model.compile(
        keras.optimizers.SGD(
            recipe.learning_rate, recipe.momentum, recipe.nesterov, global_clipnorm=recipe.clip
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy", logits],
        jit_compile=False,  # it would compile once more for the smaller last batch
    )
    with memory_advice(batch_size), log.running():
        model.fit(
            Batches(data.train, samples, input_size),
            validation_data=Batches(data.val, held_out, input_size),
            epochs=epochs,
            steps_per_epoch=len(samples) // epochs,
            shuffle=False,  # `samples` are shuffled already
            callbacks=[Follow(log, recipe, samples, data.train.labels, logits)],
            verbose=0,
        )
    return log.history


def check_model(model: keras.Model, data: Dataset, input_size: int | None) -> None:
    """Try two images on `model`; raise `ValueError` if it can't be trained on `data`.

    A model without weights gets them here; nothing else changes, because the calls return what
    would change (batch statistics, random state) in place of changing it.
    """
    for split, training in ((data.val, False), (data.train, True)):
        images, _ = Batches(split, [np.arange(min(2, len(split)))], input_size)[0]
        with passing(tuple(images.shape)):
            if not model.built:
                model(images, training=False)
            weights = model.trainable_variables, model.non_trainable_variables
            logits, _ = model.stateless_call(*weights, images, training=training)
        check_logits(logits, len(images), classes_in(data))


class Batches(keras.utils.PyDataset):
    """Batch number n: N×H×W×C images, enlarged where `input_size` says so, and N labels."""

    def __init__(self, split: Split, samples: list[np.ndarray], input_size: int | None) -> None:
        super().__init__()
        self.split, self.samples, self.input_size = split, samples, input_size

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, n: int) -> tuple[Any, np.ndarray]:
        images = to_input(self.split.images[self.samples[n]])
        if self.input_size is not None:
            images = keras.ops.image.resize(images, (self.input_size, self.input_size))
        return images, self.split.labels[self.samples[n]]


@keras.saving.register_keras_serializable("nin_lib")  # it is saved with the model
class LastLogits(keras.metrics.Metric):
    """No figure, so nothing in Keras's logs, but what the model gave for the last batch."""

    def __init__(self) -> None:
        super().__init__(name="logits")
        self.kept = tf.Variable(0.0, trainable=False, shape=tf.TensorShape(None))

    def update_state(self, labels: Any, logits: Any, sample_weight: Any = None) -> None:
        self.kept.assign(tf.cast(logits, self.kept.dtype))

    def result(self) -> dict[str, Any]:
        return {}

    def reset_state(self) -> None:
        """Nothing adds up."""

    def get_config(self) -> dict[str, Any]:
        return {}


class Follow(keras.callbacks.Callback):
    """Sets the learning rate before each step and reports it to `log` after."""

    def __init__(
        self, log: RunLog, recipe: Recipe, samples: list[np.ndarray], labels: np.ndarray,
        logits: LastLogits,
    ) -> None:  # fmt: skip
        super().__init__()
        self.log, self.recipe, self.samples = log, recipe, samples
        self.labels, self.logits = labels, logits
        self.done = 0  # steps

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.images, self.loss, self.correct = 0, 0.0, 0.0  # sums over the epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        rate = learning_rate(self.recipe, self.done, len(self.samples))
        self.model.optimizer.learning_rate = rate

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keras reports means since the epoch began; an event is about this batch alone."""
        labels = self.labels[self.samples[self.done]]
        images, epoch = len(labels), len(self.log.history.rows) + 1
        self.images += images
        self.done += 1
        loss, correct = logs["loss"] * self.images, logs["accuracy"] * self.images
        step = Step(
            self.done, epoch, images, (loss - self.loss) / images, correct - self.correct,
            self.logits.kept.numpy(), labels,
        )  # fmt: skip
        self.loss, self.correct = loss, correct
        self.log.step(step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        train = float(logs["loss"]), float(logs["accuracy"])
        self.log.add_row(train, (float(logs["val_loss"]), float(logs["val_accuracy"])))
        self.log.end_epoch(self.done)
