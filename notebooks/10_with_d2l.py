# ---
# jupyter:
#   chapter:
#     compared: 12
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10. With d2l
#
# Many people meet this network in *Dive into Deep Learning* (Zhang, Lipton, Li and Smola 2023), whose library is called d2l. Its last version, 1.0.3, asks for packages that today's frameworks have left behind. Here it works again, on all three frameworks.
#
# **You will learn**
#
# 1. to get d2l running on today's packages, and to see what was mended;
# 2. to write the network as d2l writes it, and to train it with d2l's own `Trainer` and live curves;
# 3. to tell shuffled *samples* from shuffled *batches*.
#
# **You need** [notebook 5](05_training.ipynb), and d2l: `pip install -c constraints.txt -e ".[d2l,tensorflow,jax]"`, then `pip install --no-deps d2l==1.0.3`. (Without TensorFlow and JAX, only PyTorch's cells run.) **Time** about 15 minutes.
#
# **From memory**, about [notebook 9](09_three_frameworks.ipynb): Where do Keras and Flax keep the channels? Which difference between the frameworks matters most when you compare two runs?

# %%
# %load_ext nin_lib.notebook.side_by_side

# %%
import json
import math

import numpy as np

from nin_lib import network, shape_flow
from nin_lib.data import load, order
from nin_lib.notebook.side_by_side import shared

# %% [markdown]
# ## Enabled
#
# `pip install d2l` alone fails or installs an old version, because d2l names exact versions of NumPy, pandas and others that cannot be installed together with a current TensorFlow or JAX. Hence `--no-deps`: take d2l, and leave the other packages as they are. Then one line per framework, `enable`, gives d2l's own module. Each framework has a process of its own here, as in notebook 9.
#
# **Predict:** for how many of the three frameworks does something *break* on today's packages, and not only look for its images in another place: none, one, two, all?

# %%
# %%pytorch
from textwrap import fill

import nin_lib.d2l

d2l = nin_lib.d2l.enable("torch")
for line in nin_lib.d2l.patched():
    print(fill(line, 76, subsequent_indent="    "))

# %%
# %%tensorflow
from textwrap import fill

import nin_lib.d2l

d2l = nin_lib.d2l.enable("tensorflow")
for line in nin_lib.d2l.patched():
    print(fill(line, 76, subsequent_indent="    "))

# %%
# %%jax
from textwrap import fill

import nin_lib.d2l

d2l = nin_lib.d2l.enable("jax")
for line in nin_lib.d2l.patched():
    print(fill(line, 76, subsequent_indent="    "))

# %% [markdown]
# Two. Here is what the lines mean:
#
# | where | what happens without it | what is done |
# |---|---|---|
# | TensorFlow | Keras 3 stores a `loss` of its own in each model, over the method of that name that d2l's models have; `Trainer.fit` then calls `None` | `tf.keras` is the old Keras 2, from the package tf_keras. An environment variable chooses it, and it is read at the first use of `tf.keras`. So call `enable` before that, and before `from d2l import tensorflow`; `import tensorflow` alone may come earlier |
# | JAX | `jax.random.PRNGKeyArray` is gone, and `Trainer.fit` asks for it | the old name points to `jax.Array` |
# | JAX | a random seed is drawn up to `1e6`, which is a float, and Python 3.12 and newer want an integer | the limit is an integer |
# | JAX | the forward and the backward pass are compiled separately, so everything between the two is kept in memory for the whole batch | the batch is cut into slices, and both passes of a slice are compiled together; the gradient is the same, apart from rounding and dropout's random draws |
# | JAX | JAX reuses the loss that it compiled for a training batch, dropout included, for a held-out batch of the same shape; so dropout is sometimes on where it should be off | the gradient is taken of the plain, uncompiled loss; the compiled loss is used for held-out batches only, so dropout is off in all of them |
# | PyTorch | `train_ch6` raises a `ZeroDivisionError` if an epoch has fewer than five batches, with any version of the packages | the divisor is at least 1 |
# | all | the images are downloaded, or are kept enlarged | the images of this chapter are used instead |
# | all | a run of half an hour begins without a word | before it starts, it prints which images it trains on, their size, and roughly how long that takes |
#
# Nothing else is changed, except d2l's boards where you ask for it (below). A program from the book's section on NiN runs as it is, but on this chapter's small set unless you say `data="full"`, and it is judged on held-out images, not on the test images.
#
# ## The network, as d2l writes it
#
# A d2l model is a `Classifier` with a `net`. `save_hyperparameters` keeps the arguments as attributes, `layer_summary` sends a made-up batch through and prints what comes out of each layer. Before you run it, **write down** the sizes from 224 to 1 once more.

# %%
# %%pytorch
import torch
from torch import nn


def nin_block(out_channels, kernel_size, strides, padding):
    return nn.Sequential(
        nn.LazyConv2d(out_channels, kernel_size, strides, padding),
        nn.ReLU(),
        nn.LazyConv2d(out_channels, kernel_size=1),
        nn.ReLU(),
        nn.LazyConv2d(out_channels, kernel_size=1),
        nn.ReLU(),
    )


class NiN(d2l.Classifier):
    def __init__(self, lr=0.1, num_classes=10):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nin_block(96, kernel_size=11, strides=4, padding=0),
            nn.MaxPool2d(3, stride=2),
            nin_block(256, kernel_size=5, strides=1, padding=2),
            nn.MaxPool2d(3, stride=2),
            nin_block(384, kernel_size=3, strides=1, padding=1),
            nn.MaxPool2d(3, stride=2),
            nn.Dropout(0.5),
            nin_block(num_classes, kernel_size=3, strides=1, padding=1),
            nn.AdaptiveAvgPool2d((1, 1)),
            nn.Flatten(),
        )


_ = torch.manual_seed(0)
model = NiN(lr=0.05)
model.layer_summary((1, 1, 224, 224))

# %%
# %%tensorflow
import tensorflow as tf

layers = tf.keras.layers


def nin_block(out_channels, kernel_size, strides, padding):
    return tf.keras.models.Sequential([
        layers.Conv2D(out_channels, kernel_size, strides, padding),
        layers.Activation("relu"),
        layers.Conv2D(out_channels, 1),
        layers.Activation("relu"),
        layers.Conv2D(out_channels, 1),
        layers.Activation("relu"),
    ])


class NiN(d2l.Classifier):
    def __init__(self, lr=0.1, num_classes=10):
        super().__init__()
        self.save_hyperparameters()
        self.net = tf.keras.models.Sequential([
            nin_block(96, kernel_size=11, strides=4, padding="valid"),
            layers.MaxPool2D(3, strides=2),
            nin_block(256, kernel_size=5, strides=1, padding="same"),
            layers.MaxPool2D(3, strides=2),
            nin_block(384, kernel_size=3, strides=1, padding="same"),
            layers.MaxPool2D(3, strides=2),
            layers.Dropout(0.5),
            nin_block(num_classes, 3, strides=1, padding="same"),
            layers.GlobalAvgPool2D(),
            layers.Flatten(),
        ])


tf.random.set_seed(0)
model = NiN(lr=0.05)
model.layer_summary((1, 224, 224, 1))

# %%
# %%jax
import optax
from flax import linen as nn


def nin_block(out_channels, kernel_size, strides, padding):
    return nn.Sequential([
        nn.Conv(out_channels, kernel_size, strides, padding),
        nn.relu,
        nn.Conv(out_channels, kernel_size=(1, 1)),
        nn.relu,
        nn.Conv(out_channels, kernel_size=(1, 1)),
        nn.relu,
    ])


def max_pool(x):
    return nn.max_pool(x, (3, 3), strides=(2, 2))


class NiN(d2l.Classifier):
    lr: float = 0.1
    num_classes: int = 10
    training: bool = True

    def setup(self):
        self.net = nn.Sequential([
            nin_block(96, (11, 11), strides=4, padding=0), max_pool,
            nin_block(256, (5, 5), strides=1, padding=2), max_pool,
            nin_block(384, (3, 3), strides=1, padding=1), max_pool,
            nn.Dropout(0.5, deterministic=not self.training),
            nin_block(self.num_classes, (3, 3), strides=1, padding=1),
            lambda x: nn.avg_pool(x, x.shape[1:3]),
            lambda x: x.reshape((len(x), -1)),
        ])

    def configure_optimizers(self):
        return optax.sgd(self.lr)


NiN(training=False).layer_summary((1, 224, 224, 1))

# %%
sizes = [row.shape[-1] for row in shape_flow(network("chapter"))]
steps = [n for n, before in zip(sizes, [None, *sizes], strict=False)
         if n != before]
print("sizes by the shape flow:", steps)

# %% [markdown]
# 54, 26, 12, 5, as on paper. (The shape flow goes on to ten logits at once; d2l's program averages each map to a single number first.)
#
# ## Trained by d2l
#
# d2l draws a new picture at every point, which takes time. `enable(..., board=curves)` puts our live curves in place of it; the `Trainer` does not notice. The run is very short: 96 training images, enlarged to 96×96 instead of 224×224, in batches of 16, for two epochs.
#
# **Predict:** what will the loss be after these twelve steps?

# %% tags=["nbval-ignore-output"]
# %%pytorch
import json
from pathlib import Path

from nin_lib.data import Dataset, load
from nin_lib.widgets import LiveCurves

mini = load("mini")
few = Dataset("few", mini.train.first(96), mini.val.first(32), mini.test)
curves = LiveCurves(title="d2l's Trainer, PyTorch")
d2l = nin_lib.d2l.enable("torch", board=curves)
data = d2l.FashionMNIST(batch_size=16, resize=(96, 96), data=few)
model = NiN(lr=0.05)
model.apply_init([next(iter(data.train_dataloader()))[0]], d2l.init_cnn)
with curves:
    d2l.Trainer(max_epochs=2).fit(model, data)
losses = [loss for _, loss in curves.config["series"]["train_loss"]]
_ = Path("pytorch-losses.json").write_text(json.dumps(losses))

# %% tags=["nbval-ignore-output"]
# %%tensorflow
import json
from pathlib import Path

from nin_lib.data import Dataset, load
from nin_lib.widgets import LiveCurves

mini = load("mini")
few = Dataset("few", mini.train.first(96), mini.val.first(32), mini.test)
curves = LiveCurves(title="d2l's Trainer, TensorFlow")
d2l = nin_lib.d2l.enable("tensorflow", board=curves)
data = d2l.FashionMNIST(batch_size=16, resize=(96, 96), data=few)
model = NiN(lr=0.05)
with curves:
    d2l.Trainer(max_epochs=2).fit(model, data)
losses = [loss for _, loss in curves.config["series"]["train_loss"]]
_ = Path("tensorflow-losses.json").write_text(json.dumps(losses))

# %% tags=["nbval-ignore-output"]
# %%jax
import json
from pathlib import Path

from nin_lib.data import Dataset, load
from nin_lib.widgets import LiveCurves

mini = load("mini")
few = Dataset("few", mini.train.first(96), mini.val.first(32), mini.test)
curves = LiveCurves(title="d2l's Trainer, JAX")
d2l = nin_lib.d2l.enable("jax", board=curves)
data = d2l.FashionMNIST(batch_size=16, resize=(96, 96), data=few)
model = NiN(lr=0.05)
with curves:
    d2l.Trainer(max_epochs=2).fit(model, data)
losses = [loss for _, loss in curves.config["series"]["train_loss"]]
_ = Path("jax-losses.json").write_text(json.dumps(losses))

# %%
print(f"guessing costs ln 10 = {math.log(10):.2f}")
for framework in ("pytorch", "tensorflow", "jax"):
    file = shared / f"{framework}-losses.json"
    if not file.exists():
        print(f"{framework} left nothing, and is left out here")
        continue
    losses = json.loads(file.read_text())
    near = all(abs(loss - math.log(10)) < 0.5 for loss in losses)
    print(f"{framework}: every loss within 0.5 of guessing: {near}")

# %% [markdown]
# About what guessing costs. After twelve steps nothing has been learnt that shows here; what they show is that everything runs. For a real run you want the full set at 224×224, and a GPU or an evening:
#
# ```python
# data = d2l.FashionMNIST(batch_size=128, resize=(224, 224), data="full")
# model = NiN(lr=0.05)
# model.apply_init([next(iter(data.train_dataloader()))[0]], d2l.init_cnn)
# d2l.Trainer(max_epochs=10, num_gpus=1).fit(model, data)
# ```
#
# This is how the later edition of the book trains it, in PyTorch's words: plain gradient descent at a rate of 0.05, Xavier's first weights, a last ReLU. Many such runs get stuck, here as in the book; [notebook 7](07_when_training_collapses.ipynb) looks into it. A run that stays at ln 10 is no sign that something was mended badly.
#
# The older style of d2l, a function instead of a class, works as well: `d2l.load_data_fashion_mnist(batch_size, resize=224)` gives the two loaders, and `d2l.train_ch6(net, train, test, num_epochs, lr, d2l.try_gpu())` trains. In TensorFlow `net` is a function that makes the net; for JAX, d2l has neither of the two.
#
# ## Shuffled samples, shuffled batches
#
# One line above said that d2l's loaders for TensorFlow and JAX "shuffle whole batches". What is the difference? Take six images, numbered 0 to 5, and batches of two. **By hand:** cut them into batches first, and shuffle the batches. With which other images can image 0 ever share a batch? And if you shuffle the images first, and cut then?

# %%
rng = np.random.default_rng(0)
images = np.arange(6)
partners = {"batches": set(), "samples": set()}
for _epoch in range(100):
    batches = rng.permutation(images.reshape(3, 2))  # whole rows move
    samples = rng.permutation(images).reshape(3, 2)
    for what, rows in (("batches", batches), ("samples", samples)):
        row = rows[(rows == 0).any(axis=1)][0]
        partners[what] |= {int(n) for n in row} - {0}
for what, others in partners.items():
    print(f"{what} are shuffled: image 0 meets {sorted(others)}")

# %% [markdown]
# Shuffled batches always hold the same images, epoch after epoch; only their turn changes. A step of training follows the mean gradient of a batch, and the same images are always averaged together. And if the file is sorted by class, nearly every batch knows one class only.
#
# Our loaders shuffle samples, anew in each epoch, and the order is a function of the seed and the epoch. **Predict:** of the 128 images in the first batch of epoch 1, about how many stand in the first batch of epoch 2, with 6,000 images in all?

# %%
n = len(load("mini").train)
first = [set(order(n, seed=0, epoch=epoch)[:128]) for epoch in range(1, 12)]
both = [len(now & then) for now, then in zip(first, first[1:], strict=False)]
print(f"{n:,} images; expected in both: {128 * 128 / n:.1f}")
print("found, from one epoch to the next:", both)
again = [int(i) for i in order(n, seed=0, epoch=1)[:128]]
print("found in both:", len(first[0] & first[1]))
print("the same seed and epoch, the same batch:", set(again) == first[0])

# %% [markdown]
# A few of them, at times none: the batches are new ones.
#
# There is a second reason for loaders of our own. To shuffle, d2l's loaders for TensorFlow and JAX keep a whole epoch waiting, *enlarged*. **Work out** how much memory 60,000 images of 224×224 need as 4-byte numbers, and how much they need as they are published, as bytes of 28×28.

# %%
images = 60_000
enlarged = images * 224 * 224 * 4
published = images * 28 * 28
print(f"{images:,} images of 224×224: {enlarged / 1e9:.2f} GB")
print(f"published, of 28×28: {published / 1e9:.2f} GB,"
      f" a {enlarged // published}th")

# %% [markdown]
# `nin_lib.d2l` keeps the bytes and enlarges each batch when its turn comes.
#
# ## Check yourself
#
# 60,000 training images, batches of 128. Put your numbers in the place of each `None`, and run the cell.

# %%
mine = {
    "batches in an epoch, the last one smaller": None,
    "shuffled batches: different batches seen in ten epochs": None,
    "shuffled batches: images that image 0 can meet": None,
    "shuffled samples: images that image 0 can meet": None,
}

batches = math.ceil(images / 128)
truth = [batches, batches, 128 - 1, images - 1]
for (what, number), true in zip(mine.items(), truth, strict=True):
    if number is None:
        print(f"{what}: still to fill in")
    else:
        print(f"{what}: {'right' if number == true else 'not yet'}")

# %% [markdown]
# <details><summary>Compare when you have filled in all of them</summary>
#
# 60,000 / 128, rounded up, makes the batches of an epoch. When batches are shuffled, the same ones come in every epoch, so in ten epochs there are no others; and image 0 meets the other images of its own batch, one less than its size. When samples are shuffled it can meet all the others, one less than there are.
#
# </details>
#
# ## Take-aways
#
# 1. d2l 1.0.3 goes in with `--no-deps`, and `enable` mends it. `patched` tells you every line of it.
# 2. d2l's `Classifier`, `layer_summary` and `Trainer` work as in the book, with live curves in place of its board.
# 3. Shuffled samples make new batches in each epoch; shuffled batches are the same batches in another order. Our loaders enlarge an image when its turn comes, not before.
#
# **Before you go on, from memory:** Why `--no-deps`? What is it that Keras 3 overwrites? Why are shuffled batches no substitute for shuffled samples?
#
# **Exercises that check themselves:** [one, and one to stretch](exercises/10_with_d2l.ipynb).
