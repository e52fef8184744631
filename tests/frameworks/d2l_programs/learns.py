"""`learns.py FRAMEWORK`: a tiny net is trained by d2l's Trainer. The last line is what was seen."""

import json
import random
import sys
import warnings

import numpy as np

import nin_lib.d2l
from nin_lib.data import Dataset, load, order
from nin_lib.widgets import LiveCurves

FRAMEWORK = sys.argv[1]
WIDTH = 16
LEARNING_RATE = 0.1


def torch_model():
    from torch import manual_seed, nn

    manual_seed(0)
    model = d2l.Classifier()
    model.lr = LEARNING_RATE
    model.net = nn.Sequential(
        nn.Conv2d(1, WIDTH, 5, stride=3), nn.ReLU(),
        nn.Flatten(), nn.Linear(WIDTH * 8 * 8, 10),
    )  # fmt: skip
    return model


def tensorflow_model():
    import tensorflow as tf

    tf.random.set_seed(0)
    model = d2l.Classifier()
    model.lr = LEARNING_RATE
    model.net = tf.keras.Sequential([
        tf.keras.layers.Conv2D(WIDTH, 5, strides=3, activation="relu"),
        tf.keras.layers.Flatten(),
        tf.keras.layers.Dense(10),
    ])  # fmt: skip
    return model


def jax_model():
    import optax
    from flax import linen as nn

    random.seed(0)  # d2l draws its key with Python's random numbers

    class Tiny(d2l.Classifier):
        lr: float = LEARNING_RATE

        def setup(self):
            self.net = nn.Sequential([
                nn.Conv(WIDTH, (5, 5), strides=3, padding="VALID"), nn.relu,
                lambda x: x.reshape(x.shape[0], -1), nn.Dense(10),
            ])  # fmt: skip

        def configure_optimizers(self):
            return optax.sgd(self.lr)

    return Tiny()


def enlarged(image, height, width):
    """Bilinear, pixel by pixel: each new pixel's centre is looked up in the old image."""
    rows, columns = image.shape
    result = np.empty((height, width))
    for i in range(height):
        for j in range(width):
            y = np.clip((i + 0.5) * rows / height - 0.5, 0, rows - 1)
            x = np.clip((j + 0.5) * columns / width - 0.5, 0, columns - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
            upper = image[top, left] * (1 - x + left) + image[top, right] * (x - left)
            lower = image[bottom, left] * (1 - x + left) + image[bottom, right] * (x - left)
            result[i, j] = upper * (1 - y + top) + lower * (y - top)
    return result / 255


def largest_difference(size):
    """Of the pixels of two images, from those that `enlarged` gives."""
    X, _ = next(iter(d2l.FashionMNIST(2, size, data=few).val_dataloader()))
    ours = np.asarray(X).reshape(2, *size)
    return max(
        float(abs(ours[i] - enlarged(few.val.images[i].astype(float), *size)).max()) for i in (0, 1)
    )


def gradient_error():
    """Largest difference between the gradient that d2l's own line gives for a batch and ours."""
    import jax

    state = trainer.state
    ours = model.training_step(state.params, batch_of_80, state)
    theirs = jax.value_and_grad(model.loss, has_aux=True)(
        state.params, batch_of_80[:-1], batch_of_80[-1], state
    )
    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    return max(float(abs(one - other).max()) for one, other in pairs)


def dropout_in_held_out_batches():
    """Largest difference between a held-out loss that d2l drew and the loss without dropout, for
    several shapes of a training and a held-out batch, and several kinds of models."""
    from functools import partial

    import jax
    import optax
    from flax import linen as nn

    class Dropped(d2l.Classifier):
        lr: float = 0.0
        training: bool = True

        def setup(self):
            dropout = nn.Dropout(0.5, deterministic=not self.training)
            self.net = nn.Sequential([lambda x: x.reshape(len(x), -1), dropout, nn.Dense(10)])

        def configure_optimizers(self):
            return optax.sgd(self.lr)

    class OwnLoss(Dropped):
        @partial(jax.jit, static_argnums=(0, 5))
        def loss(self, params, X, Y, state, averaged=True):
            logits = state.apply_fn({"params": params}, *X, rngs={"dropout": state.dropout_rng})
            return optax.softmax_cross_entropy_with_integer_labels(logits, Y).mean(), {}

    def error(kind, batch_size, held_out):
        class Data(d2l.FashionMNIST):
            def get_dataloader(self, train):
                self.batch_size = batch_size if train else held_out
                return super().get_dataloader(train)

        data = Data(
            batch_size, data=Dataset("", mini.train.first(64), mini.val.first(32), mini.test)
        )
        model, drawn, losses = kind(), [], []
        model.board.draw = lambda x, y, label, every_n=1: drawn.append((label, float(y)))
        trainer = d2l.Trainer(max_epochs=1)
        trainer.fit(model, data, key=jax.random.PRNGKey(0))
        for X, y in data.get_dataloader(False):
            logits = kind(training=False).apply({"params": trainer.state.params}, X)
            losses.append(float(optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()))
        shown = [y for label, y in drawn if label == "val_loss"]
        return max(abs(a - b) for a, b in zip(shown, losses, strict=True))

    return {"64/32": error(Dropped, 64, 32), "own loss, 16/16": error(OwnLoss, 16, 16)}


def seed():
    """Drawn as Python 3.12 and newer would have it, for which a float is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return d2l.get_seed()


def train_form():
    """`data.train` as the book looks at it: how many images, the first one, the first label."""
    if FRAMEWORK == "torch":
        (image, label), images = data.train[0], len(data.train)
    else:
        image, label, images = data.train[0][0], data.train[1][0], len(data.train[0])
    return [images, list(image.shape), int(label) == int(few.train.labels[0])]


def labels_of(loader):
    return [int(label) for _, y in loader for label in y]


def in_the_older_style():
    """`train_ch6` with its loaders: whether each epoch has an order of its own, and the curves."""
    train, test = d2l.load_data_fashion_mnist(32, data=few)
    orders = {1: labels_of(train), 2: labels_of(train)}
    curves = LiveCurves()
    nin_lib.d2l.enable(FRAMEWORK, board=curves)
    net = make_model().net
    given = net if FRAMEWORK == "torch" else lambda: net
    with curves:
        d2l.train_ch6(given, train, test, 5, LEARNING_RATE, d2l.try_gpu())
    orders[8] = labels_of(train)  # after the two above and five of training
    if FRAMEWORK == "torch":
        nin_lib.d2l.enable(FRAMEWORK, board=LiveCurves())
        two_batches, _ = d2l.load_data_fashion_mnist(240, data=few)
        d2l.train_ch6(net, two_batches, test, 1, LEARNING_RATE, d2l.try_gpu())
    X, _ = next(iter(d2l.load_data_fashion_mnist(8, 42, data=few)[1]))
    return {
        "batches": [len(train), len(test)],
        "orders": all(
            labels == few.train.labels[order(480, 0, epoch)].tolist()
            for epoch, labels in orders.items()
        ),
        "held out": labels_of(test) == few.val.labels.tolist(),
        "enlarged": sorted(X.shape),
        "curves": {name: [y for _, y in line] for name, line in curves.config["series"].items()},
    }


mini = load("mini")
few = Dataset("few", mini.train.first(480), mini.val.first(80), mini.test)
curves = LiveCurves()
if FRAMEWORK == "tensorflow":
    import tensorflow  # noqa: F401  may come before `enable`, as long as its Keras is not used
d2l = nin_lib.d2l.enable(FRAMEWORK, board=curves)
said = nin_lib.d2l.patched()
module = d2l.FashionMNIST

make_model = {"torch": torch_model, "tensorflow": tensorflow_model, "jax": jax_model}[FRAMEWORK]
model = make_model()
model.layer_summary((1, 1, 28, 28) if FRAMEWORK == "torch" else (1, 28, 28, 1))
data = d2l.FashionMNIST(batch_size=32, num_workers=4, data=few)
trainer = d2l.Trainer(max_epochs=5)
with curves:
    trainer.fit(model, data)
batch_of_80 = next(iter(d2l.FashionMNIST(80, data=few).val_dataloader()))

X, y = next(iter(data.val_dataloader()))
d2l.FashionMNIST(2, (56, 56), data=few).visualize((X[:8], y[:8]))
seen = {
    "said": said,
    "said the second time": nin_lib.d2l.enable(FRAMEWORK) is d2l and nin_lib.d2l.patched(),
    "same class after the second time": d2l.FashionMNIST is module,
    "seed": seed() if FRAMEWORK == "jax" else 0,
    "step from": d2l.Classifier.training_step.__module__,
    "gradient error": gradient_error() if FRAMEWORK == "jax" else 0,
    "dropout": dropout_in_held_out_batches() if FRAMEWORK == "jax" else {"": 0},
    "train": train_form(),
    "hparams": [data.hparams["batch_size"], list(data.hparams["resize"])],
    "a DataModule": isinstance(data, d2l.DataModule) and isinstance(data, d2l.HyperParameters),
    "images": [list(X.shape), str(X.dtype)],
    "labels": [np.asarray(y).tolist() == few.val.labels[:32].tolist(), str(y.dtype)],
    "words": data.text_labels(y[:2]) == data.text_labels(few.val.labels[:2]),
    "pictures": len(d2l.plt.gcf().axes),
    "enlarged": largest_difference((42, 70)),
    "made smaller": largest_difference((14, 20)),
    "curves": {name: [y for _, y in line] for name, line in curves.config["series"].items()},
}
if FRAMEWORK != "jax":  # d2l.jax has no `train_ch6`
    seen["older style"] = in_the_older_style()
print(json.dumps(seen))
