"""Flax linen with optax, a jitted step. Fast: convolutions in bfloat16, weights in float32."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn
from flax.training.train_state import TrainState
from jax import numpy as jnp
from serving import (
    INPUT_SIZE,
    LEARNING_RATE,
    Clock,
    Repeat,
    Settings,
    Ticking,
    drain,
    serve,
    shuffled,
)

from nin_lib.data import load


class NiNBlock(nn.Module):
    outputs: int
    kernel_size: int
    strides: int
    padding: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Any) -> Any:
        xavier = nn.initializers.xavier_uniform()
        for k, s, p in ((self.kernel_size, self.strides, self.padding), (1, 1, 0), (1, 1, 0)):
            conv = nn.Conv(self.outputs, (k, k), s, p, dtype=self.dtype, kernel_init=xavier)
            x = nn.relu(conv(x))
        return x


class NiN(nn.Module):
    """N×H×W×C images → N×10 logits."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Any, training: bool) -> Any:
        x = nn.max_pool(NiNBlock(96, 11, 4, 0, self.dtype)(x), (3, 3), (2, 2))
        x = nn.max_pool(NiNBlock(256, 5, 1, 2, self.dtype)(x), (3, 3), (2, 2))
        x = nn.max_pool(NiNBlock(384, 3, 1, 1, self.dtype)(x), (3, 3), (2, 2))
        x = nn.Dropout(0.5, deterministic=not training)(x)
        return NiNBlock(10, 3, 1, 1, self.dtype)(x).astype(jnp.float32).mean(axis=(1, 2))


def loss_function(
    state: TrainState, params: Any, images: Any, labels: Any, dropout: Any = None
) -> Any:
    rngs = None if dropout is None else {"dropout": dropout}
    logits = state.apply_fn({"params": params}, images, training=dropout is not None, rngs=rngs)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


@jax.jit
def train_step(state: TrainState, images: Any, labels: Any, key: Any) -> TrainState:
    dropout = jax.random.fold_in(key, state.step)
    gradient = jax.grad(lambda p: loss_function(state, p, images, labels, dropout))(state.params)
    return state.apply_gradients(grads=gradient)


@jax.jit
def enlarge(images: Any) -> Any:
    floats = images[..., None].astype(jnp.float32) / 255
    return jax.image.resize(floats, (len(images), INPUT_SIZE, INPUT_SIZE, 1), "bilinear")


class Loader:
    """JAX has no loader of its own: bytes are picked with NumPy and enlarged by a jitted function.

    JAX works while Python goes on, so the next batch is made while a step is under way.
    """

    def __init__(self, settings: Settings) -> None:
        self.split, self.batch_size = load(settings.data).train, settings.batch_size

    def __iter__(self) -> Iterator[tuple[jax.Array, jax.Array]]:
        for index in shuffled(len(self.split), self.batch_size):
            yield enlarge(self.split.images[index]), jnp.asarray(self.split.labels[index])


class FlaxLoop:
    about = "Flax linen with optax, jitted; SGD, lr 0.1"
    packages = ("jax", "flax", "optax")

    def __init__(self, settings: Settings) -> None:
        model = NiN(jnp.bfloat16 if settings.variant else jnp.float32)
        self.train = Loader(settings)
        self.ready = next(iter(self.train))
        self.key = jax.random.key(0)
        params = model.init(self.key, self.ready[0][:1], training=False)["params"]
        self.state = TrainState.create(
            apply_fn=model.apply, params=params, tx=optax.sgd(LEARNING_RATE)
        )

    def weights(self) -> Any:
        return [np.asarray(array) for array in jax.tree.leaves(self.state.params)]

    def loss(self) -> float:
        images, labels = self.ready
        return float(loss_function(self.state, self.state.params, images[:8], labels[:8]))

    def run(self, batches: Iterable, clock: Clock) -> None:
        clock.wait = lambda: jax.block_until_ready(self.state)
        for images, labels in batches:
            self.state = train_step(self.state, images, labels, self.key)

    def end_to_end(self, clock: Clock) -> None:
        self.run(Ticking(self.train, clock), clock)

    def step(self, clock: Clock) -> None:
        self.run(Ticking(Repeat(self.ready, clock.total), clock), clock)

    def loader(self, clock: Clock) -> None:
        drain((jax.block_until_ready(batch) for batch in self.train), clock)


if __name__ == "__main__":
    serve(FlaxLoop)
