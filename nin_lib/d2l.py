"""d2l 1.0.3, the library of *Dive into Deep Learning*, patched for current packages.

    import nin_lib.d2l

    d2l = nin_lib.d2l.enable("torch")  # or "tensorflow", "jax": d2l's own module, patched
    print(*nin_lib.d2l.patched(), sep="\\n")  # what was patched, and why

What is written for d2l then runs as it is, `d2l.FashionMNIST` and `d2l.Trainer` included, with the
images of `nin_lib.data` and without a network. Source: Zhang, Lipton, Li and Smola 2023, "Dive into
Deep Learning", and its package d2l. No framework is imported before `enable` is called.
"""

from __future__ import annotations

import inspect
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial, wraps
from importlib import import_module
from types import CodeType
from typing import Any, Literal

import numpy as np

from .data import Dataset, SetName, Split, load, order, zero_to_one
from .flow import as_pair
from .validation import require_int, require_seed

VERSION = "1.0.3"
Framework = Literal["torch", "tensorflow", "jax"]
EXTRAS: dict[Framework, str] = {
    "torch": "d2l",
    "tensorflow": "d2l,tensorflow",
    "jax": "d2l,tensorflow,jax",
}

SHUFFLES_BATCHES = "download them, keep them enlarged and shuffle whole batches of them"
SLICE = 32  # images that d2l.jax trains on at once
# Images per second that the chapter's network trains on at 224×224, roughly, on two CPU cores.
SPEED = {"d2l.torch": 30, "d2l.tensorflow": 60, "d2l.jax": 12}

_enabled: dict[str, Any] = {}  # framework → d2l's module for it
_patched: list[str] = []


def enable(framework: Framework, board: Any = None) -> Any:
    """d2l's module for `framework`: "torch", "tensorflow" or "jax". A second call patches nothing.

    `board`: live curves (`nin_lib.widgets.LiveCurves`) that the trainers draw on from now on,
    instead of d2l's own pictures; None leaves things as they are. Give each run curves of its own.

    Raises `ValueError` for another framework or board, `ImportError` when a package is missing or
    d2l has another version, `RuntimeError` when tf.keras has been used already, as Keras 3.
    """
    if not isinstance(framework, str) or framework not in EXTRAS:
        raise ValueError(f"framework must be one of {', '.join(EXTRAS)}, got {framework!r}")
    if isinstance(board, type) or not hasattr(board, "board") and board is not None:
        raise ValueError(f"board must be live curves, such as LiveCurves(), got {board!r}")
    if framework not in _enabled:
        _enabled[framework] = patched_module(framework)
    d2l = _enabled[framework]
    if board is not None:
        draw_on(board, d2l)
    return d2l


def patched() -> list[str]:
    """Return what `enable` has changed so far, a sentence each."""
    return list(_patched)


def note(sentence: str) -> None:
    if sentence not in _patched:
        _patched.append(sentence)


def patched_module(framework: Framework) -> Any:
    patch = {"torch": patched_torch, "tensorflow": patched_tensorflow, "jax": patched_jax}[
        framework
    ]
    try:
        check_version()
        return patch()
    except ModuleNotFoundError as missing:
        raise ImportError(
            f"d2l for {framework} needs the package {missing.name}: run "
            f'`pip install -c constraints.txt -e ".[{EXTRAS[framework]}]"`, '
            f"then `pip install --no-deps d2l=={VERSION}`"
        ) from missing


def check_version() -> None:
    """Without --no-deps, pip finds pins that it cannot meet and settles for an older d2l."""
    found = import_module("d2l").__version__
    if found != VERSION:
        raise ImportError(
            f"d2l {found} is installed: run `pip install --no-deps d2l=={VERSION}` instead"
        )


def draw_on(curves: Any, d2l: Any) -> None:
    """Let `d2l.Trainer` and `d2l.train_ch6` draw on live curves; see `widgets.adapters.Board`.

    Models that exist already keep the board they have.
    """
    boards = [name for name in ("ProgressBoard", "Animator") if hasattr(d2l, name)]
    for name in boards:
        setattr(d2l, name, curves.board)  # a model makes its board when it is made
    note(f"{d2l.__name__}.{' and '.join(boards)}: the live curves that `enable` was given")


# ---- what is patched, framework by framework


def patched_torch() -> Any:
    d2l: Any = import_module("d2l.torch")
    use_our_images(d2l, torch_batch, OneByOne, "download them")
    load_our_images(d2l)
    draw_short_epochs(d2l)
    announce_runs(d2l)
    return d2l


def patched_tensorflow() -> Any:
    use_legacy_keras()
    d2l: Any = import_module("d2l.tensorflow")
    use_our_images(d2l, tensorflow_batch, as_arrays, SHUFFLES_BATCHES)
    load_our_images(d2l, tensorflow_dataset)
    announce_runs(d2l)
    return d2l


def patched_jax() -> Any:
    """d2l.jax has no `load_data_fashion_mnist` and no `train_ch6`, so there are none to patch."""
    import jax

    if not hasattr(jax.random, "PRNGKeyArray"):
        setattr(jax.random, "PRNGKeyArray", jax.Array)  # noqa: B010  mypy knows it is gone
        note("jax.random.PRNGKeyArray: an old name of jax.Array, which d2l's Trainer asks for")
    triton_first()
    with randint_of_floats():  # d2l draws a seed while it is imported
        d2l: Any = import_module("d2l.jax")
    d2l.get_seed = lambda: random.randint(0, 1_000_000)
    note("d2l.jax.get_seed: its limit 1e6 is no integer, an error from Python 3.12 on")
    use_our_images(d2l, jax_batch, as_arrays, SHUFFLES_BATCHES)
    train_in_slices(d2l)
    announce_runs(d2l)
    return d2l


def train_in_slices(d2l: Any) -> None:
    """Let d2l.jax compute the gradient of a batch from compiled slices, with dropout only there.

    d2l compiles the forward and the backward pass separately, so JAX keeps everything between the
    two: more than 5 GB for NiN on 128 images of 224×224. Here both are compiled together, for one
    slice at a time, and dropout draws a mask for each slice. A model with its own loss, or with
    batch normalization, which needs the whole batch, is compiled in one piece.

    d2l also lets JAX reuse the loss that it compiled for a training batch, dropout included, for a
    held-out batch of the same shape. Therefore the gradient is that of the plain function inside
    `model.loss`: the compiled loss is only ever used for held-out batches, where dropout is off.
    """
    import jax

    own_loss = d2l.Classifier.loss

    @partial(jax.jit, static_argnums=0)
    def gradient(model: Any, params: Any, batch: Any, state: Any) -> Any:
        loss = partial(inspect.unwrap(type(model).loss), model)
        return jax.value_and_grad(loss, has_aux=True)(params, batch[:-1], batch[-1], state)

    @partial(jax.jit, static_argnums=0)
    def add(model: Any, share: float, total: Any, params: Any, part: Any, state: Any) -> Any:
        (mean_loss, _), gradients = gradient(model, params, part, state)
        return jax.tree.map(lambda old, new: old + share * new, total, (mean_loss, gradients))

    def training_step(self: Any, params: Any, batch: Any, state: Any) -> Any:
        if state.batch_stats or type(self).loss is not own_loss:
            value, gradients = gradient(self, params, batch, state)
            self.plot("loss", value[0], train=True)
            return value, gradients
        n, total = len(batch[-1]), jax.tree.map(jax.numpy.zeros_like, (0.0, params))
        for start in range(0, n, SLICE):  # each waits for the total of those before it
            part = tuple(array[start : start + SLICE] for array in batch)
            own = state.replace(dropout_rng=jax.random.fold_in(state.dropout_rng, start))
            total = add(self, len(part[-1]) / n, total, params, part, own)
        mean_loss, gradients = total
        self.plot("loss", mean_loss, train=True)
        return (mean_loss, {}), gradients

    d2l.Classifier.training_step = training_step
    note(
        f"d2l.jax.Classifier.training_step: takes a batch in slices of {SLICE}, each compiled as a "
        "whole (the same gradient, apart from dropout's random draws), and dropout is off for all "
        "held-out batches; in d2l it stays on for some shapes"
    )


def draw_short_epochs(d2l: Any) -> None:
    """Let d2l's older training functions draw epochs of fewer than five batches.

    They draw after every `num_batches // 5` batches, which is then a division by zero.
    """
    for name in ("train_ch6", "train_ch13"):
        function = getattr(d2l, name)
        source = inspect.getsource(function).replace("num_batches // 5", "max(1, num_batches // 5)")
        compiled = compile(source, f"<{name}, patched>", "exec").co_consts
        function.__code__ = next(code for code in compiled if isinstance(code, CodeType))
    note(
        "d2l.torch.train_ch6 and train_ch13: no ZeroDivisionError for an epoch of fewer than five "
        "batches"
    )


def announce_runs(d2l: Any) -> None:
    """Let `Trainer.fit` and `train_ch6` first print what they train on and how long that takes."""
    speed, fit = SPEED[d2l.__name__], d2l.Trainer.fit

    @wraps(fit)
    def announced_fit(self: Any, model: Any, data: Any, *args: Any, **options: Any) -> Any:
        if isinstance(data, OurImages):
            print(outlook(data.get_dataloader(True), self.max_epochs, speed))
        return fit(self, model, data, *args, **options)

    d2l.Trainer.fit = announced_fit
    announced = ["Trainer.fit"]
    if hasattr(d2l, "train_ch6"):
        train = d2l.train_ch6

        @wraps(train)
        def announced_train(
            net: Any, train_iter: Any, test_iter: Any, num_epochs: int, *args: Any, **options: Any
        ) -> Any:
            batches = getattr(train_iter, "batches", train_iter)
            if isinstance(batches, Batches):
                print(outlook(batches, num_epochs, speed))
            return train(net, train_iter, test_iter, num_epochs, *args, **options)

        d2l.train_ch6 = announced_train
        announced.append("train_ch6")
    names = " and ".join(announced)
    note(f"{d2l.__name__}.{names}: a line before the run names the images and the time they take")


def outlook(batches: Batches, epochs: int, speed: float) -> str:
    """Return a line about a run: how many images, which, and roughly how long it takes.

    `speed`: images of 224×224 per second; smaller ones take less time in proportion to their area.
    """
    images, (height, width) = len(batches.split), batches.size
    minutes = epochs * images * height * width / (224 * 224 * speed) / 60
    time = f"{minutes / 60:.0f} hours" if minutes > 100 else f"{minutes:.0f} minutes"
    time = f"about {time}" if minutes > 1.5 else "a minute or less"
    more = ', data="full" gives all' if batches.name == "mini" else ""
    run = f"{epochs} epoch{'' if epochs == 1 else 's'} of {images:,} images"
    return (
        f"{run} (the set {batches.name!r}{more}) at {height}×{width}: "
        f"the chapter's network takes {time} on two CPU cores"
    )


def triton_first() -> None:
    """Import Triton first: PyTorch's optimisers import it, and after TensorFlow that is fatal."""
    if "tensorflow" not in sys.modules:
        with suppress(ImportError):
            import_module("triton")


def use_legacy_keras() -> None:
    """Choose Keras 2, the package tf_keras, for `tf.keras`, which reads the choice at first use."""
    triton_first()
    before = os.environ.get("TF_USE_LEGACY_KERAS")
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    try:
        import tf_keras
        from tensorflow import keras

        if keras.Model is not tf_keras.Model:
            raise RuntimeError(
                "tf.keras is Keras 3 already, and d2l needs Keras 2: restart Python and call "
                'nin_lib.d2l.enable("tensorflow") before the first use of tf.keras and before '
                "`from d2l import tensorflow`"
            )
    except (ImportError, RuntimeError):
        restore("TF_USE_LEGACY_KERAS", before)
        raise
    note(
        "TF_USE_LEGACY_KERAS=1: tf.keras is Keras 2; Keras 3 overwrites `loss`, a method of "
        "d2l's models"
    )


def restore(variable: str, before: str | None) -> None:
    if before is None:
        del os.environ[variable]
    else:
        os.environ[variable] = before


@contextmanager
def randint_of_floats() -> Iterator[None]:
    """`random.randint` takes whole floats too, as it did before Python 3.12."""
    randint = random.randint
    random.randint = lambda a, b: randint(int(a), int(b))
    try:
        yield
    finally:
        random.randint = randint


# ---- images

Batch = tuple[Any, Any]  # images and labels, as arrays of the framework
ToBatch = Callable[[np.ndarray, np.ndarray, tuple[int, int]], Batch]


class Batches:
    """The mini-batches of `split`, each enlarged when its turn comes; the last may be smaller.

    `seed` None keeps the order. Else each epoch has the order that `nin_lib.data.order` gives it,
    as in `nin_lib.train`. An epoch counts when its last batch was taken, so a look at the first one
    (d2l's Trainer takes one under JAX) does not change what is trained on.
    """

    def __init__(
        self, split: Split, batch_size: int, size: tuple[int, int], to_batch: ToBatch,
        seed: int | None = None, name: str = "",
    ) -> None:  # fmt: skip
        self.split, self.batch_size, self.size = split, batch_size, size
        self.to_batch, self.seed, self.name, self.epoch = to_batch, seed, name, 1

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        n = len(self.split)
        places = np.arange(n) if self.seed is None else order(n, self.seed, self.epoch)
        for start in range(0, n, self.batch_size):
            chosen = places[start : start + self.batch_size]
            self.epoch += start + self.batch_size >= n  # nobody need ask for one more
            yield self.to_batch(self.split.images[chosen], self.split.labels[chosen], self.size)


class OneByOne:
    """What d2l's `data.train` is in PyTorch: image (C, H, W), enlarged, and label, by number."""

    def __init__(self, split: Split, size: tuple[int, int]) -> None:
        self.split, self.size = split, size

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, n: int) -> tuple[Any, int]:
        X, y = torch_batch(self.split.images[[n]], self.split.labels[[n]], self.size)
        return X[0], int(y[0])


def as_arrays(split: Split, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return images as published, and labels: d2l's `data.train` in TensorFlow and JAX."""
    return split.images, split.labels


class OurImages:
    """What `d2l.FashionMNIST` gets from us; the rest of it stays d2l's.

    `resize`: (height, width) or one side, in pixels; `data`: "mini", "full" (see `nin_lib.data`) or
    a `Dataset`. `train` is its training part and `val` its held-out part, never the test images, in
    the form that d2l gives them; `hparams` are the arguments. There is no `root`, for no folder is
    written to, and the loaders are ours, with `len` and `iter` and nothing else of a framework's.
    `num_workers` is taken and ignored: there is nothing left for worker processes to do. `seed`
    sets the order of the training images. A batch is N×C×H×W in PyTorch and N×H×W×C elsewhere, of
    floats from 0 to 1, with N labels.
    """

    to_batch: ToBatch
    as_d2l: Callable[[Split, tuple[int, int]], Any]

    def __init__(
        self,
        batch_size: int = 64,
        resize: int | tuple[int, int] = (28, 28),
        num_workers: int = 0,
        data: SetName | Dataset = "mini",
        seed: int = 0,
    ) -> None:
        batch_size, seed = require_int("batch_size", batch_size, 1), require_seed(seed)
        sides = as_pair(resize, "resize")
        self.hparams = dict(
            batch_size=batch_size, resize=sides, num_workers=num_workers, data=data, seed=seed
        )
        self.batch_size, self.resize, self.num_workers = batch_size, sides, num_workers
        self.data = load(data) if isinstance(data, str) else data
        self.train = self.as_d2l(self.data.train, sides)
        self.val = self.as_d2l(self.data.val, sides)
        self.seed = seed

    def get_dataloader(self, train: bool) -> Batches:
        split, seed = (self.data.train, self.seed) if train else (self.data.val, None)
        return Batches(split, self.batch_size, self.resize, self.to_batch, seed, self.data.name)


def use_our_images(d2l: Any, to_batch: ToBatch, as_d2l: Any, instead: str) -> None:
    """Put ours in place of `d2l.FashionMNIST`, below its name; `instead`: what d2l's would do."""
    members = dict(
        to_batch=staticmethod(to_batch), as_d2l=staticmethod(as_d2l), __module__=d2l.__name__
    )
    d2l.FashionMNIST = type("FashionMNIST", (OurImages, d2l.FashionMNIST), members)
    note(f"{d2l.__name__}.FashionMNIST: the images of nin_lib.data; d2l's would {instead}")


def load_our_images(d2l: Any, loader: Callable[[Batches], Any] = lambda batches: batches) -> None:
    """Patch `d2l.load_data_fashion_mnist`; `loader` turns batches into what d2l expects."""

    def load_data_fashion_mnist(
        batch_size: int, resize: int | None = None, data: SetName | Dataset = "mini"
    ) -> tuple[Any, Any]:
        """Training and held-out batches, as `train_ch6` takes them; arguments as `OurImages`."""
        images = d2l.FashionMNIST(batch_size, 28 if resize is None else resize, data=data)
        return loader(images.train_dataloader()), loader(images.val_dataloader())

    d2l.load_data_fashion_mnist = load_data_fashion_mnist
    note(f"{d2l.__name__}.load_data_fashion_mnist: the same images, for train_ch6")


def tensorflow_dataset(batches: Batches) -> Any:
    """`batches` as a `tf.data.Dataset` that knows its length, as Keras and `train_ch6` want it."""
    import tensorflow as tf

    X, y = next(iter(batches))
    form = tf.TensorSpec((None, *X.shape[1:]), X.dtype), tf.TensorSpec((None,), y.dtype)
    dataset = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=form)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
    dataset.batches = batches  # for `announce_runs`
    return dataset


def torch_batch(images: np.ndarray, labels: np.ndarray, size: tuple[int, int]) -> Batch:
    """Tensors: images (N, C, H, W), enlarged bilinearly, and labels (N,) of 64 bits."""
    import torch
    from torch.nn.functional import interpolate

    X = torch.from_numpy(zero_to_one(images))
    if X.shape[2:] != size:
        X = interpolate(X, size, mode="bilinear", align_corners=False)
    return X, torch.from_numpy(labels).long()


def tensorflow_batch(images: np.ndarray, labels: np.ndarray, size: tuple[int, int]) -> Batch:
    """Tensors: images (N, H, W, C), enlarged bilinearly, and labels (N,) of 32 bits."""
    import tensorflow as tf

    X = np.moveaxis(zero_to_one(images), 1, -1)
    return tf.image.resize(X, size), tf.constant(labels, tf.int32)


def jax_batch(images: np.ndarray, labels: np.ndarray, size: tuple[int, int]) -> Batch:
    """Arrays: images (N, H, W, C), enlarged bilinearly, and labels (N,) of 32 bits."""
    import jax

    X = np.moveaxis(zero_to_one(images), 1, -1)
    shape = (len(X), *size, X.shape[-1])
    X = jax.image.resize(X, shape, "bilinear", antialias=False)
    return X, jax.numpy.asarray(labels, jax.numpy.int32)
