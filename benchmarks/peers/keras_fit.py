"""Keras 3 on TensorFlow: `Model.fit` on a tf.data pipeline. Fast: policy "mixed_bfloat16"."""

from __future__ import annotations

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"  # read by the first import of keras

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402
from serving import INPUT_SIZE, LEARNING_RATE, Clock, Settings, drain, serve  # noqa: E402

from nin_lib.data import Split, load  # noqa: E402


def nin_block(outputs: int, kernel_size: int, strides: int, padding: str) -> list[layers.Layer]:
    return [
        layers.Conv2D(outputs, kernel_size, strides, padding, activation="relu"),
        layers.Conv2D(outputs, 1, activation="relu"),
        layers.Conv2D(outputs, 1, activation="relu"),
    ]


def nin() -> keras.Sequential:
    """N×H×W×C images; Keras's own first weights are Xavier's."""
    return keras.Sequential(
        [
            keras.Input((INPUT_SIZE, INPUT_SIZE, 1)),
            *nin_block(96, 11, strides=4, padding="valid"),
            layers.MaxPool2D(3, strides=2),
            *nin_block(256, 5, strides=1, padding="same"),
            layers.MaxPool2D(3, strides=2),
            *nin_block(384, 3, strides=1, padding="same"),
            layers.MaxPool2D(3, strides=2),
            layers.Dropout(0.5),
            *nin_block(10, 3, strides=1, padding="same"),
            layers.GlobalAveragePooling2D(),
            layers.Activation("linear", dtype="float32"),  # the loss is computed in float32
        ]
    )


def pipeline(split: Split, batch_size: int) -> tf.data.Dataset:
    """Shuffled as bytes, enlarged batch by batch, ahead of the steps."""

    def enlarge(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        floats = tf.cast(images[..., None], tf.float32) / 255
        return tf.image.resize(floats, (INPUT_SIZE, INPUT_SIZE)), labels

    samples = tf.data.Dataset.from_tensor_slices((split.images, split.labels))
    batches = samples.shuffle(len(split)).batch(batch_size, drop_remainder=True)
    return batches.map(enlarge, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


class TickAfterStep(keras.callbacks.Callback):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.clock.tick()


class KerasFit:
    about = "Keras 3 on TensorFlow, Model.fit and tf.data; SGD, lr 0.1"
    packages = ("keras", "tensorflow")

    def __init__(self, settings: Settings) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
        tf.config.threading.set_inter_op_parallelism_threads(settings.threads)
        if settings.variant:
            keras.mixed_precision.set_global_policy("mixed_bfloat16")
        self.train = pipeline(load(settings.data).train, settings.batch_size)
        self.ready = next(iter(self.train))
        self.cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model = nin()
        sgd = keras.optimizers.SGD(LEARNING_RATE)
        self.model.compile(sgd, self.cross_entropy, metrics=["accuracy"])

    def weights(self) -> Any:
        return self.model.get_weights()

    def loss(self) -> float:
        images, labels = self.ready
        return float(self.cross_entropy(labels[:8], self.model(images[:8], training=False)))

    def fit(self, batches: tf.data.Dataset, clock: Clock) -> None:
        tick = [TickAfterStep(clock)]
        self.model.fit(batches, steps_per_epoch=clock.total, verbose=0, callbacks=tick)

    def end_to_end(self, clock: Clock) -> None:
        self.fit(self.train.repeat(), clock)

    def step(self, clock: Clock) -> None:
        self.fit(tf.data.Dataset.from_tensors(self.ready).repeat(), clock)

    def loader(self, clock: Clock) -> None:
        drain(self.train, clock)


if __name__ == "__main__":
    serve(KerasFit)
