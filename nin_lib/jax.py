"""The network of a spec in Flax on JAX, with a short `fit`.

    from nin_lib import network, jax as nin
    model = nin.NiN(network("chapter"))
    variables = model.init(jax.random.key(0), jnp.zeros((1, 224, 224, 1)))
    logits = model.apply(variables, images)

Shapes are N×H×W×C: N samples, H height, W width, C channels. Flax does without `in_channels`: a
layer learns it from the input it meets, and the weights live outside the model, in `variables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn
from jax import Array
from jax import numpy as jnp

from .data import Dataset, Split, check_channels
from .history import History, Observer, Step
from .recipe import Recipe, learning_rate
from .runtime.channels_last import batches, check_images, pool_padding, to_input
from .runtime.description import describe
from .runtime.memory import memory_advice
from .runtime.model_check import check_logits, classes_in, passing
from .runtime.run_log import RunLog
from .spec import Block, Dropout, Network, Pool
from .validation import refuse_name, require_input_size, require_int, run_numbers

Layer = Callable[[Array], Array]


def nin_block(
    widths: tuple[int, ...],
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    inner_kernel_size: int = 1,
    last_relu: bool = True,
) -> nn.Sequential:
    """Build a k×k convolution, then a 1×1 convolution for each further width.

    A ReLU follows each; with `last_relu` false the last one is left out.
    N×H×W×C → N×H'×W'×widths[-1].
    Source: Lin, Chen and Yan 2014, section 3.1 (mlpconv).
    """
    k, inner = (kernel_size, kernel_size), (inner_kernel_size, inner_kernel_size)
    net: list[Layer] = [nn.Conv(widths[0], k, stride, padding), nn.relu]
    for width in widths[1:]:
        net += [nn.Conv(width, inner, padding="SAME"), nn.relu]
    return nn.Sequential(net if last_relu else net[:-1])


def max_pool(maps: Array, pool: Pool) -> Array:
    """Max pooling that pads and rounds as `spec.Pool` says: N×H×W×C → N×H'×W'×C."""
    edges = [pool_padding(size, pool) for size in maps.shape[1:3]]
    k, stride = (pool.kernel_size, pool.kernel_size), (pool.stride, pool.stride)
    return nn.max_pool(maps, k, stride, edges)  # the edges hold −∞


def global_average_pool(maps: Array) -> Array:
    """Average each map: N×H×W×C → N×C. Source: Lin, Chen and Yan 2014, section 3.2."""
    return maps.mean(axis=(1, 2))


def flatten(maps: Array) -> Array:
    """N×H×W×C → N×HWC."""
    return maps.reshape(len(maps), -1)


class NiN(nn.Module):
    """The network of a spec: N×H×W×C images → N×classes logits.

    Dropout works while `training`, and then needs a key: ``rngs={"dropout": key}``. The variables
    are the same with and without it. Raises `ValueError` for images with another number of
    channels, `ShapeError` for images that are too small. A network with dense layers takes images
    of its `input_size` only.
    """

    spec: Network
    training: bool = False

    def __post_init__(self) -> None:
        refuse_name("spec", self.spec, "network")
        super().__post_init__()

    def setup(self) -> None:
        self.net = nn.Sequential(list(stages(self.spec, self.training)))

    def __call__(self, images: Array) -> Array:
        check_images(self.spec, images.shape)
        return self.net(images)


def stages(spec: Network, training: bool = False) -> Iterator[Layer]:
    for stage, relu in spec.stages_with_relu():
        if isinstance(stage, Block):
            yield nin_block(
                stage.widths, stage.kernel_size, stage.stride, stage.padding,
                stage.inner_kernel_size, last_relu=relu,
            )  # fmt: skip
        elif isinstance(stage, Pool):
            yield partial(max_pool, pool=stage)
        elif isinstance(stage, Dropout):
            yield nn.Dropout(stage.p, deterministic=not training)
    yield dense_head(spec) if spec.dense else global_average_pool


def dense_head(spec: Network) -> nn.Sequential:
    """Flatten H×W×C, then dense layers with a ReLU between them: the ending NiN does away with."""
    head: list[Layer] = [flatten]
    for width in spec.dense:
        head += [nn.Dense(width), nn.relu]
    return nn.Sequential(head if spec.last_relu else head[:-1])


# ── Training ─────────────────────────────────────────────────────────────────────────────────────

Params = Any  # nested dictionaries of arrays, as Flax keeps them


def fit(
    model: nn.Module,
    params: Params,
    data: Dataset,
    recipe: Recipe,
    *,
    epochs: int,
    batch_size: int = 128,
    input_size: int | None = None,
    seed: int = 0,
    observers: Sequence[Observer] = (),
) -> tuple[Params, History]:
    """Train from `params`, and return what they became and the history.

    Images, their order, events, history and the check before the run are those of
    `nin_lib.train.fit`.

    Any classifier whose variables are all in `params` will do; one with a field `training` has it
    set while it trains. First weights and the last ReLU are the model's; of the recipe, the steps
    are followed. `seed` sets the order of the samples and dropout.

    Raises `ValueError` when an argument, the data or the model do not fit each other,
    `FloatingPointError` when the loss becomes NaN or infinite, `MemoryError` with a smaller batch
    size to try.
    """
    refuse_name("data", data, "load")
    refuse_name("recipe", recipe, "recipe")
    epochs, batch_size, input_size, seed = run_numbers(epochs, batch_size, input_size, seed)
    check_channels(model, train=data.train, val=data.val)
    samples = batches(len(data.train), batch_size, seed, epochs)
    numbers, model_name = (epochs, batch_size, input_size, seed), type(model).__name__
    info = describe(
        data, recipe, numbers, framework="jax", model=model_name, plan={"jax": jax.__version__}
    )
    training: Any = model.clone(training=True) if hasattr(model, "training") else model
    for split, net in ((data.val, model), (data.train, training)):
        check_model(net, params, split, input_size, classes_in(data))
    steps_per_epoch = len(samples) // epochs
    log = RunLog(info, steps_per_epoch, observers)
    state = sgd(recipe, len(samples)).init(params)
    key, sums = jax.random.key(seed), jnp.zeros(2)  # loss and right answers of the epoch under way
    with memory_advice(batch_size), log.running():
        for number, sample in enumerate(samples, 1):
            images, labels = batch(data.train, sample, input_size)
            dropout_key = jax.random.fold_in(key, number)
            params, state, loss, correct, logits = take_step(
                training, recipe, len(samples), params, state, images, labels, dropout_key
            )
            sums += jnp.stack([loss * len(sample), correct])
            epoch = len(log.history.rows) + 1
            log.step(Step(number, epoch, len(sample), loss, correct, logits, labels))
            if number % steps_per_epoch == 0:
                train_loss, train_accuracy = (sums / len(data.train)).tolist()
                val = evaluate(model, params, data.val, input_size, batch_size)
                log.add_row((train_loss, train_accuracy), val)
                log.end_epoch(number)
                sums = jnp.zeros(2)
    return params, log.history


def check_model(
    model: nn.Module, params: Params, split: Split, input_size: int | None, classes: int
) -> None:
    """Raise `ValueError` if `model` can't take two images of `split` or returns no logits for them.

    JAX works out the shapes without computing anything.
    """
    images, _ = batch(split, np.arange(min(2, len(split))), input_size)
    with passing(images.shape):
        rngs = {"dropout": jax.random.key(0)}
        logits = jax.eval_shape(partial(model.apply, rngs=rngs), {"params": params}, images)
    check_logits(logits, len(images), classes)


def sgd(recipe: Recipe, steps: int) -> optax.GradientTransformation:
    """Return the steps that `recipe` describes, as Optax composes them."""
    rates = jnp.array([learning_rate(recipe, step, steps) for step in range(steps)])
    clip = optax.clip_by_global_norm(recipe.clip) if recipe.clip else optax.identity()
    momentum = recipe.momentum or None
    return optax.chain(clip, optax.sgd(lambda step: rates[step], momentum, recipe.nesterov))


@partial(jax.jit, static_argnums=(0, 1, 2))
def take_step(
    model: nn.Module, recipe: Recipe, steps: int,
    params: Params, state: Any, images: Array, labels: Array, key: Array,
) -> tuple[Params, Any, Array, Array, Array]:  # fmt: skip
    """One step of gradient descent, compiled once for each model, recipe and shape.

    Returns the new parameters and state, and of the batch, with the weights before the step, the
    mean loss, the number of right answers and the N×classes logits.
    """

    def mean_loss(params: Params) -> tuple[Array, tuple[Array, Array]]:
        logits: Any = model.apply({"params": params}, images, rngs={"dropout": key})
        losses, correct = loss_and_correct(logits, labels)
        return losses.mean(), (correct, logits)

    (loss, (correct, logits)), gradients = jax.value_and_grad(mean_loss, has_aux=True)(params)
    updates, state = sgd(recipe, steps).update(gradients, state)
    return optax.apply_updates(params, updates), state, loss, correct, logits


def loss_and_correct(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return the loss of each image, in nats, and how many were answered right."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses, (logits.argmax(1) == labels).sum()


def batch(split: Split, sample: np.ndarray, input_size: int | None) -> tuple[Array, Array]:
    """N×H×W×C images, enlarged where `input_size` says so, and N labels.

    Where it makes them smaller they are not smoothed first, as in PyTorch and Keras.
    """
    images = jnp.asarray(to_input(split.images[sample]))
    if input_size is not None:
        shape = (len(images), input_size, input_size, images.shape[-1])
        images = jax.image.resize(images, shape, "bilinear", antialias=False)
    return images, jnp.asarray(split.labels[sample])


def evaluate(
    model: nn.Module,
    params: Params,
    split: Split,
    input_size: int | None = None,
    batch_size: int = 256,
) -> tuple[float, float]:
    """Mean loss (nats) and accuracy (0 to 1) over all images of `split`, dropout off.

    Raises `ValueError` when the model does not return logits for the classes of `split`.
    """
    batch_size = require_int("batch_size", batch_size, 1)
    input_size = require_input_size(input_size)
    check_channels(model, split=split)
    loss, correct, classes = 0.0, 0, int(split.labels.max()) + 1
    for start in range(0, len(split), batch_size):
        sample = np.arange(start, min(start + batch_size, len(split)))
        images, labels = batch(split, sample, input_size)
        logits = logits_of(model, params, images)
        check_logits(logits, len(sample), classes)
        losses, right = loss_and_correct(logits, labels)
        loss, correct = loss + float(losses.sum()), correct + int(right)
    return loss / len(split), correct / len(split)


@partial(jax.jit, static_argnums=0)
def logits_of(model: nn.Module, params: Params, images: Array) -> Array:
    """N×H×W×C images → N×classes logits, compiled once for each model and shape."""
    logits: Any = model.apply({"params": params}, images)  # Flax's type allows more than logits
    return logits
