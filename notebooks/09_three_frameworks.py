# ---
# jupyter:
#   chapter:
#     compared: 44
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 9. Three frameworks, one network
#
# A network is a function. PyTorch, TensorFlow and JAX are three languages to write it down in. You write the same network in all three, and then you test, to ten digits, that it computes the same.
#
# **You will learn**
#
# 1. to recognise the NiN block in three idioms;
# 2. to carry weights from one framework to another, and to test that the function is the same;
# 3. to tell which differences remain, and which of them matter.
#
# **You need** the block of [notebook 3](03_nin_block.ipynb), the network of [notebook 4](04_nin_network.ipynb), and the loop of [notebook 5](05_training.ipynb). One framework that you can read is enough. **Time** about 35 minutes.
#
# **From memory:** Which layers make up an NiN block? What are the sizes on the way from 224 pixels to ten numbers?
#
# A cell that begins with `%%pytorch`, `%%tensorflow` or `%%jax` runs in a Python of its own, one for each framework. What one cell calls `nin_block` is therefore not what another's does. All three work in one folder, `shared`, where they leave files for each other and for the plain cells. (On the web page the three stand behind tabs, without that first line. Where a framework is not installed, its cells say how to get it, and the rest goes on.)

# %%
# %load_ext nin_lib.notebook.side_by_side

# %%
import json
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from nin_lib import Block, Network, Pool, network, shape_flow, weights
from nin_lib.data import load
from nin_lib.notebook.side_by_side import shared
from nin_lib.recipe import recipe


def left_behind(name):
    """{framework: file}, as far as the cells have written it."""
    found = {}
    for framework in ("pytorch", "tensorflow", "jax"):
        file = shared / f"{framework}-{name}"
        if file.exists():
            found[framework] = file
        else:
            print(f"{framework} left nothing, and is left out here")
    return found


# %% [markdown]
# ## The block, three times
#
# PyTorch keeps images as N×C×H×W, with the channels in front of height and width. Keras, the layers of TensorFlow, and Flax, a library of layers for JAX, keep them as N×H×W×C unless told otherwise, with the channels last. **Predict** for block 1 and one image of 224×224 pixels: what shape comes out, in each of the three? And only one of the three has to be told how many channels come *in*: look for it.

# %%
# %%pytorch
import torch
from torch import nn


def nin_block(in_channels, out_channels, kernel_size, stride, padding):
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=1),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=1),
        nn.ReLU(),
    )


block = nin_block(1, 96, kernel_size=11, stride=4, padding=0)
maps = block(torch.zeros(1, 1, 224, 224))
print(tuple(maps.shape))

# %%
# %%tensorflow
import keras
from keras import layers


def nin_block(out_channels, kernel_size, strides, padding):
    return keras.Sequential([
        layers.Conv2D(out_channels, kernel_size, strides, padding),
        layers.ReLU(),
        layers.Conv2D(out_channels, kernel_size=1),
        layers.ReLU(),
        layers.Conv2D(out_channels, kernel_size=1),
        layers.ReLU(),
    ])


block = nin_block(96, kernel_size=11, strides=4, padding="valid")
maps = block(keras.ops.zeros((1, 224, 224, 1)))
print(tuple(maps.shape))

# %%
# %%jax
import jax
from flax import linen as nn
from jax import numpy as jnp


def nin_block(out_channels, kernel_size, strides, padding):
    return nn.Sequential([
        nn.Conv(out_channels, kernel_size, strides, padding),
        nn.relu,
        nn.Conv(out_channels, kernel_size=(1, 1)),
        nn.relu,
        nn.Conv(out_channels, kernel_size=(1, 1)),
        nn.relu,
    ])


block = nin_block(96, (11, 11), strides=4, padding="VALID")
image = jnp.zeros((1, 224, 224, 1))
maps, variables = block.init_with_output(jax.random.key(0), image)
print(maps.shape)

# %% [markdown]
# The same 96 maps of 54×54 numbers; only the place of the 96 differs. Three idioms are worth a look:
#
# - **Channels in.** A PyTorch layer makes its weights when it is made, so it has to know. (Its `LazyConv2d` waits too; notebook 10 uses it.) Keras and Flax wait for the first input and learn the number from it.
# - **Where the weights live.** In PyTorch and Keras, in the layer. In Flax's `linen`, which is used here, a layer is only a description; its weights stand in `variables`, outside, and are handed in at each call. (That is why a first call needs a random key. Flax's newer `nnx` keeps them in the layer.)
# - **Padding.** PyTorch takes a number, or at stride 1 a word; Keras takes a word, Flax either.
#
# The words are `"valid"` (none) and `"same"` (as much as keeps height and width, at stride 1). **Work out** for the 5×5 kernel of block 2: which number in PyTorch means "same"? And for the 3×3 kernels of blocks 3 and 4?
#
# ## The network, three times
#
# Check your two numbers in the first of these cells. **Predict:** which layers of the three programs have no counterpart in the others?

# %%
# %%pytorch
import json
from pathlib import Path


def nin():
    return nn.Sequential(
        nin_block(1, 96, kernel_size=11, stride=4, padding=0),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nin_block(96, 256, kernel_size=5, stride=1, padding=2),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nin_block(256, 384, kernel_size=3, stride=1, padding=1),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Dropout(0.5),
        nin_block(384, 10, kernel_size=3, stride=1, padding=1),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )


x, shapes = torch.zeros(1, 1, 224, 224), []
for layer in nin():
    x = layer(x)
    shapes.append(tuple(x.shape))
    print(f"{type(layer).__name__:24}{shapes[-1]}")
_ = Path("pytorch-shapes.json").write_text(json.dumps(shapes))

# %%
# %%tensorflow
import json
from pathlib import Path


def nin():
    return keras.Sequential([
        nin_block(96, kernel_size=11, strides=4, padding="valid"),
        layers.MaxPooling2D(pool_size=3, strides=2),
        nin_block(256, kernel_size=5, strides=1, padding="same"),
        layers.MaxPooling2D(pool_size=3, strides=2),
        nin_block(384, kernel_size=3, strides=1, padding="same"),
        layers.MaxPooling2D(pool_size=3, strides=2),
        layers.Dropout(0.5),
        nin_block(10, kernel_size=3, strides=1, padding="same"),
        layers.GlobalAveragePooling2D(),
    ])


x, shapes = keras.ops.zeros((1, 224, 224, 1)), []
for layer in nin().layers:
    x = layer(x)
    shapes.append(tuple(x.shape))
    print(f"{type(layer).__name__:24}{shapes[-1]}")
_ = Path("tensorflow-shapes.json").write_text(json.dumps(shapes))

# %%
# %%jax
import json
from pathlib import Path


def max_pool(x):
    return nn.max_pool(x, (3, 3), strides=(2, 2))


def average(x):
    return x.mean(axis=(1, 2))


def nin(training=False):
    return nn.Sequential([
        nin_block(96, (11, 11), strides=4, padding="VALID"), max_pool,
        nin_block(256, (5, 5), strides=1, padding="SAME"), max_pool,
        nin_block(384, (3, 3), strides=1, padding="SAME"), max_pool,
        nn.Dropout(0.5, deterministic=not training),
        nin_block(10, (3, 3), strides=1, padding="SAME"), average,
    ])


x, shapes = jnp.zeros((1, 224, 224, 1)), []
net = nin()
variables = jax.jit(net.init)(jax.random.key(0), x)
for layer in net.bind(variables).layers:
    x = layer(x)
    shapes.append(x.shape)
    print(f"{getattr(layer, '__name__', type(layer).__name__):24}{x.shape}")
_ = Path("jax-shapes.json").write_text(json.dumps(shapes))

# %% [markdown]
# PyTorch's average pooling keeps two axes of length 1, so a `Flatten` goes with it; the two others leave the axes out at once. Poolings and ReLUs are layers in PyTorch and Keras, and plain functions in Flax: they need neither weights nor random numbers. And our Flax program is told when the network is made whether dropout works; PyTorch and Keras are told by `train()`, `eval()` or an argument of the call.
#
# Are these the shapes of notebook 4, row by row? To compare, the axis of the channels has to move:

# %%
stages = {row.stage: row.shape for row in shape_flow(network("chapter"))}
wanted = list(stages.values())  # what the last layer of each stage gives
for framework, file in left_behind("shapes.json").items():
    shapes = [shape[1:] for shape in json.loads(file.read_text())]
    if framework != "pytorch":
        shapes = [shape[-1:] + shape[:-1] for shape in shapes]
    same = [tuple(shape) for shape in shapes] == wanted
    print(f"{framework}: all {len(shapes)} rows as in the shape flow: {same}")

# %% [markdown]
# Equal shapes do not make equal functions. For that, the same *weights* must give the same *logits*, and here the layout comes back.
#
# ## Weights, by hand
#
# The weights of a convolution have four axes. PyTorch orders them as out×in×height×width, Keras and Flax as height×width×in×out. Take a 1×1 convolution from two channels to three, where each row holds the weights of one output channel:
#
# $$\begin{pmatrix} 1 & 2 \\ 3 & 4 \\ 5 & 6 \end{pmatrix}$$
#
# **On paper:** what does the same layer look like as in×out, two rows and three columns? What comes out, in both, for a pixel with the two channels 10 and 1?

# %%
w = np.array([[1, 2], [3, 4], [5, 6]])  # out×in
pixel = np.array([10, 1])

print("PyTorch:  ", w @ pixel)
print("transposed:", w.T.tolist(), "gives", pixel @ w.T)
reshaped = w.reshape(2, 3)
print("reshaped:  ", reshaped.tolist(), "gives", pixel @ reshaped)

# %% [markdown]
# A reshape has the right shape and gives the wrong function. No error message tells you. So it is with larger kernels, only worse. Take a 2×2 kernel from two channels to three, of shape 3×2×2×2 in PyTorch. **Predict:** which of these makes Keras's 2×2×2×3 out of it? All three have the right shape.
#
# - (a) `w.reshape(2, 2, 2, 3)`
# - (b) `w.transpose(3, 2, 1, 0)`
# - (c) `w.transpose(2, 3, 1, 0)`
#
# The cell puts one patch of the image under the kernel and sums up by hand.

# %%
w = np.arange(24).reshape(3, 2, 2, 2)  # out×in×height×width
patch = np.array([[[1, 0], [2, 0]], [[0, 3], [0, 1]]])  # in×height×width
print("PyTorch:", [int((w[o] * patch).sum()) for o in range(3)])

candidates = {
    "(a) reshape": w.reshape(2, 2, 2, 3),
    "(b) transpose(3, 2, 1, 0)": w.transpose(3, 2, 1, 0),
    "(c) transpose(2, 3, 1, 0)": w.transpose(2, 3, 1, 0),
}
patch = patch.transpose(1, 2, 0)  # height×width×in, as Keras has it
for name, kernel in candidates.items():
    sums = [int((kernel[..., o] * patch).sum()) for o in range(3)]
    print(f"{name:26}{kernel.shape} gives {sums}")

# %% [markdown]
# (c): the axes numbered 2 and 3 (height, width) go to the front, then axis 1 (in), then axis 0 (out).
#
# <details><summary>Why (a) and (b) are tempting, and wrong</summary>
#
# (a) keeps the numbers in their old order in memory and only counts them off differently. (b) reverses all four axes, so that height and width change places: every kernel is mirrored along its diagonal. Where height and width are equal, the shape does not show it.
#
# </details>
#
# `nin_lib.weights` does (c) for every layer, both ways, and keeps weights in one neutral file: PyTorch's layout, one set of names, in the format *safetensors*. Here are first weights for the whole network, drawn by NumPy, so that they are no framework's own:

# %%
spec = network("chapter")
first = weights.initial(spec, recipe("published"), seed=0)
first = {name: array.astype(np.float64) for name, array in first.items()}
weights.save_file(first, shared / "first.safetensors")

turned = weights.to_channels_last(first, spec)
for name in ("block2.conv1.weight", "block2.conv2.weight"):
    print(f"{name}: {first[name].shape} and {turned[name].shape}")

back = weights.from_channels_last(turned, spec)
again = weights.load_file(shared / "first.safetensors")
exact = [np.array_equal(first[n], back[n]) for n in first]
stored = [np.array_equal(first[n], again[n]) for n in first]
print(f"there and back, all {len(first)} exactly equal: {all(exact)}")
print("through the file, exactly equal:", all(stored))

# %% [markdown]
# ## The test
#
# Two real images, enlarged to 224×224 by repeating each pixel eight times, so that no framework's own way of enlarging comes in. Each framework takes the weights from the file and computes the logits, the loss, and the gradient of the loss for every weight. All of it in double precision, with about 16 digits.

# %%
held_out = load("mini").val
pixels = held_out.images[:2].repeat(8, axis=1).repeat(8, axis=2) / 255
np.savez(
    shared / "two.npz",
    images=pixels[..., None],  # N×H×W×C
    labels=held_out.labels[:2],
)
print(pixels.shape, pixels.dtype)

# %% [markdown]
# **Predict** before you compare them: how well will the logits of the three agree?
#
# - (a) Exactly, to the last digit.
# - (b) To some 10 digits or more.
# - (c) To 2 or 3 digits: they are different libraries.

# %%
# %%pytorch
import numpy as np
from nin_lib import network, weights


def take_over(net, file, spec):
    arrays = weights.load_file(file)
    pairs = zip(weights.shapes(spec), net.parameters(), strict=True)
    for name, parameter in pairs:
        parameter.data = torch.tensor(arrays[name])


spec = network("chapter")
net = nin().eval()
take_over(net, "first.safetensors", spec)
two = np.load("two.npz")
images = torch.tensor(two["images"]).permute(0, 3, 1, 2)
labels = torch.tensor(two["labels"])
logits = net(images)
nn.functional.cross_entropy(logits, labels).backward()
gradients = [parameter.grad.numpy() for parameter in net.parameters()]
found = dict(zip(weights.shapes(spec), gradients, strict=True))
found["logits"] = logits.detach().numpy()
weights.save_file(found, "pytorch-found.safetensors")
print(logits.dtype, "logits and the gradients of", len(found) - 1, "arrays")

# %%
# %%tensorflow
import numpy as np
import tensorflow as tf
from nin_lib import network, weights


def take_over(net, file, spec):
    arrays = weights.to_channels_last(weights.load_file(file), spec)
    net.set_weights(list(arrays.values()))


keras.config.set_floatx("float64")
keras.config.set_dtype_policy("float64")
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
spec, two = network("chapter"), np.load("two.npz")
net = nin()
net.build(two["images"].shape)
take_over(net, "first.safetensors", spec)
with tf.GradientTape() as tape:
    logits = net(two["images"])
    loss = cross_entropy(two["labels"], logits)
gradients = map(np.asarray, tape.gradient(loss, net.trainable_variables))
found = dict(zip(weights.shapes(spec), gradients, strict=True))
found = weights.from_channels_last(found, spec)
found["logits"] = np.asarray(logits)
weights.save_file(found, "tensorflow-found.safetensors")
print(logits.dtype, "logits and the gradients of", len(found) - 1, "arrays")

# %%
# %%jax
import numpy as np
import optax
from nin_lib import network, weights

jax.config.update("jax_enable_x64", True)
cross_entropy = optax.softmax_cross_entropy_with_integer_labels


def take_over(file, spec):
    return weights.to_flax(weights.load_file(file), spec)["net"]


def mean_loss(params, images, labels):
    logits = nin().apply({"params": params}, images)
    return cross_entropy(logits, labels).mean(), logits


spec, two = network("chapter"), np.load("two.npz")
params = take_over("first.safetensors", spec)
gradients, logits = jax.jit(jax.grad(mean_loss, has_aux=True))(
    params, two["images"], two["labels"]
)
found = weights.from_flax({"net": gradients}, spec)
found["logits"] = np.asarray(logits)
weights.save_file(found, "jax-found.safetensors")
print(logits.dtype, "logits and the gradients of", len(found) - 1, "arrays")

# %% [markdown]
# What counts is the largest difference as a share of the largest number:

# %%
def apart(ours, theirs):
    """The largest difference, as a share of the largest number."""
    return np.abs(ours - theirs).max() / np.abs(ours).max()


files = left_behind("found.safetensors")
ours = weights.load_file(files.pop("pytorch"))
print("every gradient has something in it:",
      all(np.abs(array).max() > 0 for array in ours.values()))
for framework, file in files.items():
    theirs = weights.load_file(file)
    gaps = {name: apart(ours[name], theirs[name]) for name in ours}
    exact = max(gaps.values()) == 0
    same = gaps.pop("logits") < 1e-10
    print(f"{framework}: logits equal to 1e-10: {same},"
          f" gradients: {max(gaps.values()) < 1e-10}")
    print(f"  all of them to the last digit: {exact}")

# %% [markdown]
# (b). The libraries are different, the sums are the same. But each of the three adds hundreds of products in an order of its own, and every sum is rounded to some 16 digits. The last of those digits are what differs.
#
# > **Misconception: "TensorFlow and PyTorch give different networks."** From the same weights they compute one function, with one gradient. What differs, when you train the two side by side, is where they start and what chance does on the way. Both come below.
#
# `nin_lib` has this network for each framework too, made from the spec. Is it the one that you wrote out?

# %%
# %%pytorch
from nin_lib import torch as ours

twin = ours.NiN(spec).eval().double()
weights.to_torch(twin, weights.load_file("first.safetensors"))
with torch.no_grad():
    same = torch.allclose(twin(images), logits, rtol=1e-10)
print("nin_lib's NiN gives the same logits:", same)

# %%
# %%tensorflow
from nin_lib import tensorflow as ours

twin = ours.NiN(spec)
weights.to_keras(twin, weights.load_file("first.safetensors"))
same = np.allclose(twin(two["images"]), logits, rtol=1e-10)
print("nin_lib's NiN gives the same logits:", same)

# %%
# %%jax
from nin_lib import jax as ours

net = jax.jit(ours.NiN(spec).apply)
params = weights.to_flax(weights.load_file("first.safetensors"), spec)
same = np.allclose(net({"params": params}, two["images"]), logits, 1e-10)
print("nin_lib's NiN gives the same logits:", same)

# %% [markdown]
# ## Twenty steps
#
# One gradient is one step. Do the three stay together when each step goes on from where the last one ended? A small net of two blocks, twenty batches of 32 training images, momentum, no dropout. First weights, images and labels come from files.

# %%
one = Block(5, (32, 32, 32), stride=2)
two = Block(3, (10, 10, 10), padding=1)
spec = Network((one, Pool(), two), input_size=28)
(shared / "small.json").write_text(spec.to_json())
first = weights.initial(spec, recipe("default"), seed=0)
first = {name: array.astype(np.float64) for name, array in first.items()}
weights.save_file(first, shared / "small.safetensors")

train = load("mini").train.first(20 * 32)
np.savez(
    shared / "twenty.npz",
    images=train.images.reshape(20, 32, 28, 28, 1) / 255,
    labels=train.labels.reshape(20, 32),
)
for row in shape_flow(spec):
    print(f"{row.layer:24}{row.shape}")

# %%
# %%pytorch
from nin_lib import Network

spec = Network.from_json(Path("small.json").read_text())
small = nn.Sequential(
    nin_block(1, 32, kernel_size=5, stride=2, padding=0),
    nn.MaxPool2d(kernel_size=3, stride=2),
    nin_block(32, 10, kernel_size=3, stride=1, padding=1),
    nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
)
take_over(small, "small.safetensors", spec)
optimizer = torch.optim.SGD(small.parameters(), lr=0.05, momentum=0.9)
twenty, losses = np.load("twenty.npz"), []
batches = zip(twenty["images"], twenty["labels"], strict=True)
for images, labels in batches:
    logits = small(torch.tensor(images).permute(0, 3, 1, 2))
    loss = nn.functional.cross_entropy(logits, torch.tensor(labels))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
_ = Path("pytorch-losses.json").write_text(json.dumps(losses))
print(f"{len(losses)} losses, from {losses[0]:.2f} to {losses[-1]:.2f}")

# %%
# %%tensorflow
from nin_lib import Network

spec = Network.from_json(Path("small.json").read_text())
small = keras.Sequential([
    nin_block(32, kernel_size=5, strides=2, padding="valid"),
    layers.MaxPooling2D(pool_size=3, strides=2),
    nin_block(10, kernel_size=3, strides=1, padding="same"),
    layers.GlobalAveragePooling2D(),
])
small.build((32, 28, 28, 1))
take_over(small, "small.safetensors", spec)
momentum = np.float64(0.9)  # Keras keeps a plain 0.9 in single precision
optimizer = keras.optimizers.SGD(0.05, momentum=momentum)
twenty, losses = np.load("twenty.npz"), []
batches = zip(twenty["images"], twenty["labels"], strict=True)
for images, labels in batches:
    with tf.GradientTape() as tape:
        loss = cross_entropy(labels, small(images, training=True))
    gradients = tape.gradient(loss, small.trainable_variables)
    optimizer.apply(gradients, small.trainable_variables)
    losses.append(float(loss))
_ = Path("tensorflow-losses.json").write_text(json.dumps(losses))
print(f"{len(losses)} losses, from {losses[0]:.2f} to {losses[-1]:.2f}")

# %%
# %%jax
from nin_lib import Network

spec = Network.from_json(Path("small.json").read_text())
small = nn.Sequential([
    nin_block(32, (5, 5), strides=2, padding="VALID"), max_pool,
    nin_block(10, (3, 3), strides=1, padding="SAME"), average,
])


@jax.jit
def step(params, state, images, labels):
    def mean_loss(params):
        logits = small.apply({"params": params}, images)
        return cross_entropy(logits, labels).mean()

    loss, gradients = jax.value_and_grad(mean_loss)(params)
    updates, state = optimizer.update(gradients, state)
    return optax.apply_updates(params, updates), state, loss


params = take_over("small.safetensors", spec)
optimizer = optax.sgd(0.05, momentum=0.9)
state = optimizer.init(params)
twenty, losses = np.load("twenty.npz"), []
batches = zip(twenty["images"], twenty["labels"], strict=True)
for images, labels in batches:
    params, state, loss = step(params, state, images, labels)
    losses.append(float(loss))
_ = Path("jax-losses.json").write_text(json.dumps(losses))
print(f"{len(losses)} losses, from {losses[0]:.2f} to {losses[-1]:.2f}")

# %% [markdown]
# The three loops show the idioms once more. PyTorch collects gradients in the parameters, so they must be forgotten before the next step. Keras records what is computed on a *tape* and asks it for the gradient. JAX turns a function into another one that gives the gradient; parameters and the state of the optimiser go in and come out, and nothing is changed in place.
#
# **Predict:** the picture draws one curve for each framework. How many will you see?

# %% mystnb={"image": {"alt": "Loss against step, from 1 to 20. Three curves are drawn; the last one covers the others, so that one line is seen, falling unevenly."}}
losses = {
    framework: np.array(json.loads(file.read_text()))
    for framework, file in left_behind("losses.json").items()
}
figure, axis = plt.subplots(figsize=(6, 3))
styles = ["o-", "s-", "^-"]
for (framework, curve), style in zip(losses.items(), styles, strict=False):
    axis.plot(range(1, 21), curve, style, markersize=4, label=framework)
axis.set(xlabel="step", ylabel="loss of the batch", xticks=range(2, 21, 2))
axis.legend(frameon=False)
figure.tight_layout()
plt.show()

# %%
ours = losses.pop("pytorch")
for framework, theirs in losses.items():
    same = bool(np.all(np.abs(ours - theirs) <= 1e-8 * ours))
    print(f"pytorch and {framework}: 20 losses equal to 1e-8: {same}")

# %% [markdown]
# One line: the curve that was drawn last covers the others. Last digits that differ pass on from step to step, so over twenty steps we ask for 8 equal digits and not for 10.
#
# ## What remains: padding words
#
# Now the differences, one by one, each measured. A row of six numbers, a kernel of three ones, stride 2. In PyTorch there is a padding of 1 on both sides; TensorFlow and JAX are told "same". **Work out** on paper for the row 1 2 3 4 5 6: what does PyTorch give? TensorFlow's rule is: as many outputs as the stride asks for, here 6 / 2, and as little padding as this needs. How much is it, and on which side would you put it?

# %%
# %%pytorch
for n in (6, 7):
    row = torch.arange(1.0, n + 1).reshape(1, 1, n)  # N×C×W
    ones = torch.ones(1, 1, 3)
    sums = nn.functional.conv1d(row, ones, stride=2, padding=1)
    print(f"{n} numbers, padding 1:", sums.int().flatten().tolist())

try:
    nn.Conv1d(1, 1, 3, stride=2, padding="same")
except ValueError as error:
    print(error)

# %%
# %%tensorflow
for n in (6, 7):
    row = np.arange(1.0, n + 1).reshape(1, n, 1)  # N×W×C
    ones = np.ones((3, 1, 1))
    sums = keras.ops.conv(row, ones, strides=2, padding="same")
    print(f"{n} numbers, same:", np.ravel(sums).astype(int).tolist())

# %%
# %%jax
for n in (6, 7):
    row = np.arange(1.0, n + 1).reshape(1, n, 1)  # N×W×C
    ones = {"params": {"kernel": jnp.ones((3, 1, 1))}}
    conv = nn.Conv(1, (3,), strides=2, padding="SAME", use_bias=False)
    sums = conv.apply(ones, row)
    print(f"{n} numbers, same:", np.ravel(sums).astype(int).tolist())

# %% [markdown]
# Three windows with stride 2 reach over seven numbers, so one zero is needed for a row of six, and "same" puts it at the *end* only. PyTorch's windows begin one place earlier: another function, of the same shape. For a row of seven, two zeros are needed, one at each end, and all three agree. So with a stride the word means something else from one image size to the next, and PyTorch refuses it there.
#
# This matters when you carry over the weights of a network that pads with "same" and has strides. The cure is to pad by numbers: Flax takes them, and in Keras a `ZeroPadding2D` layer goes in front. **Does it touch our network?**

# %%
for stage in network("chapter").stages:
    if isinstance(stage, Block):
        harmless = stage.padding == 0 or stage.stride == 1
        print(f"stride {stage.stride}, padding {stage.padding},"
          f" no matter which words: {harmless}")

# %% [markdown]
# No. Block 1 has a stride and no padding; the others have padding and stride 1.
#
# ## What remains: layout
#
# Layout changes nothing as long as every layer treats the axes by name. It does change what *flattening* means: the same maps, in another order. A dense layer behind it would have to have its columns rearranged too. (`nin_lib.weights` does this for networks that end in dense layers.)

# %%
maps = np.arange(8).reshape(2, 2, 2)  # C×H×W
print("flattened C×H×W:", maps.ravel().tolist())
print("flattened H×W×C:", maps.transpose(1, 2, 0).ravel().tolist())

# %% [markdown]
# NiN averages each map, and the mean does not know an order. Nothing has to be rearranged.
#
# ## What remains: rounding
#
# For training hardly anybody uses double precision. **Predict:** the same weights and images in single precision, with about 7 digits. How far apart are the logits, as a share of the largest: exactly equal, about a millionth, or about a hundredth?

# %%
# %%pytorch
net = nin().eval()
take_over(net, "first.safetensors", network("chapter"))
images = torch.tensor(two["images"]).permute(0, 3, 1, 2)
with torch.no_grad():
    logits = net.float()(images.float()).numpy()
weights.save_file({"logits": logits}, "pytorch-single.safetensors")
print(logits.dtype, logits.shape)

# %%
# %%tensorflow
keras.config.set_floatx("float32")
keras.config.set_dtype_policy("float32")
net = nin()
net.build(two["images"].shape)
take_over(net, "first.safetensors", network("chapter"))
logits = np.asarray(net(two["images"]))
weights.save_file({"logits": logits}, "tensorflow-single.safetensors")
print(logits.dtype, logits.shape)

# %%
# %%jax
jax.config.update("jax_enable_x64", False)
params = take_over("first.safetensors", network("chapter"))
params = jax.tree.map(jnp.float32, params)
images = jnp.float32(two["images"])
logits = np.asarray(jax.jit(nin().apply)({"params": params}, images))
weights.save_file({"logits": logits}, "jax-single.safetensors")
print(logits.dtype, logits.shape)

# %%
files = left_behind("single.safetensors")
single = {f: weights.load_file(file)["logits"] for f, file in files.items()}
ours = single.pop("pytorch")
exact = weights.load_file(shared / "pytorch-found.safetensors")["logits"]
print("single is not double:", apart(exact, ours) > 0)
for framework, theirs in single.items():
    gap = apart(ours, theirs)
    print(f"pytorch and {framework}: between 1e-8 and 1e-5:",
          1e-8 < gap < 1e-5)

# %% [markdown]
# About a millionth, give or take a power of ten: close, and not equal. Each further step of a training run begins at a place that is a little different, so a run in single precision is repeated to the digit only on the same machine with the same libraries.
#
# ## What remains: where they start
#
# Without being told, each framework draws first weights by a rule of its own. With $n$ the inputs of a number that comes out (channels in × k × k) and $m$ the same with channels *out*:
#
# | framework | weights | standard deviation | biases |
# |---|---|---|---|
# | PyTorch | evenly spread between $\pm 1/\sqrt{n}$ | $1/\sqrt{3n}$ | the same as the weights |
# | Keras | Glorot: evenly spread between $\pm\sqrt{6/(n+m)}$ | $\sqrt{2/(n+m)}$ | zero |
# | Flax | LeCun: bell-shaped, cut at two deviations | $1/\sqrt{n}$ | zero |
#
# **Predict** for the first convolution (1 channel in, 96 out, 11×11): whose weights are largest, and whose smallest? What is the ratio, roughly?

# %%
# %%pytorch
_ = torch.manual_seed(0)
conv = nin_block(1, 96, kernel_size=11, stride=4, padding=0)[0]
spreads = [conv.weight.std().item(), conv.bias.std().item()]
_ = Path("pytorch-spreads.json").write_text(json.dumps(spreads))
print(f"weights {spreads[0]:.2f}, biases {spreads[1]:.2f}")

# %%
# %%tensorflow
keras.utils.set_random_seed(0)
block = nin_block(96, kernel_size=11, strides=4, padding="valid")
block.build((1, 224, 224, 1))
spreads = [float(np.std(array)) for array in block.get_weights()[:2]]
_ = Path("tensorflow-spreads.json").write_text(json.dumps(spreads))
print(f"weights {spreads[0]:.2f}, biases {spreads[1]:.2f}")

# %%
# %%jax
image = jnp.zeros((1, 224, 224, 1))
block = nin_block(96, (11, 11), strides=4, padding="VALID")
conv = block.init(jax.random.key(0), image)["params"]["layers_0"]
spreads = [float(conv["kernel"].std()), float(conv["bias"].std())]
_ = Path("jax-spreads.json").write_text(json.dumps(spreads))
print(f"weights {spreads[0]:.2f}, biases {spreads[1]:.2f}")

# %%
n, m = 1 * 11 * 11, 96 * 11 * 11
rules = {
    "pytorch": (3 * n) ** -0.5,
    "tensorflow": (2 / (n + m)) ** 0.5,
    "jax": n**-0.5,
}
for framework, file in left_behind("spreads.json").items():
    found, bias = json.loads(file.read_text())
    rule = rules[framework]
    close = abs(found / rule - 1) < 0.1
    print(f"{framework:11}{rule:.3f} by the rule, found within a tenth:"
          f" {close}; biases zero: {bias == 0}")
print(f"largest to smallest: {rules['jax'] / rules['tensorflow']:.0f} to 1")

# %% [markdown]
# Flax's weights are the largest here, Keras's the smallest, seven times smaller. *This* difference matters: a comparison of frameworks in which each starts by its own rule compares the rules. Give all of them the same first weights, as above, or name the initialiser.
#
# ## What remains: dropout
#
# Three frameworks, three generators of random numbers. **Predict:** dropout with one half, on a thousand ones, all seeded with 0. Which numbers come out? And are the same places dropped?

# %%
# %%pytorch
_ = torch.manual_seed(0)
dropped = nn.Dropout(0.5)(torch.ones(1000)).tolist()
_ = Path("pytorch-dropped.json").write_text(json.dumps(dropped))
print("what comes out:", sorted(set(dropped)))

# %%
# %%tensorflow
keras.utils.set_random_seed(0)
dropped = layers.Dropout(0.5)(np.ones(1000), training=True)
dropped = np.asarray(dropped).tolist()
_ = Path("tensorflow-dropped.json").write_text(json.dumps(dropped))
print("what comes out:", sorted(set(dropped)))

# %%
# %%jax
dropout = nn.Dropout(0.5, deterministic=False)
key = jax.random.key(0)
dropped = dropout.apply({}, jnp.ones(1000), rngs={"dropout": key}).tolist()
_ = Path("jax-dropped.json").write_text(json.dumps(dropped))
print("what comes out:", sorted(set(dropped)))

# %%
files = left_behind("dropped.json")
dropped = {f: json.loads(file.read_text()) for f, file in files.items()}
for framework, numbers in dropped.items():
    print(f"{framework}: about half is dropped:",
          400 < numbers.count(0) < 600)
different = {tuple(numbers) for numbers in dropped.values()}
print(f"frameworks: {len(dropped)},"
      f" different choices of places: {len(different)}")

# %% [markdown]
# In all three the survivors are doubled, so that the sum stays as it was on average. But other places are dropped. With dropout on, two frameworks cannot repeat each other's run, whatever the seed. It is no error of either: it is the same difference as between two seeds.
#
# ## Trained by each
#
# To end with, real training runs. `nin_lib.torch`, `nin_lib.tensorflow` and `nin_lib.jax` build a network from one description, and each has a `fit` that sends the same events to the same curves. The network is the small one from above, without its last ReLU, and in single precision. First weights, images and their order are the same in all three. The runs are short: a little more than a thousand images, three times.

# %%
spec = replace(spec, last_relu=False)
(shared / "without.json").write_text(spec.to_json())
for name in weights.shapes(spec):
    print(f"{name:22}{first[name].shape}")

# %% [markdown]
# **Predict:** which of the differences above can still make the three curves differ? Will you see it?

# %% tags=["nbval-ignore-output"]
# %%pytorch
from nin_lib import torch as nin_torch
from nin_lib.data import Dataset, load
from nin_lib.recipe import Recipe
from nin_lib.train import fit
from nin_lib.widgets import LiveCurves

mini = load("mini")
few = Dataset("few", mini.train.first(1280), mini.val.first(200), mini.test)
how = Recipe(0.05, momentum=0.9, clip=1.0)
spec = Network.from_json(Path("without.json").read_text())
model = nin_torch.NiN(spec)
weights.to_torch(model, weights.load_file("small.safetensors"))
curves = LiveCurves(title="PyTorch")
plan = dict(epochs=3, batch_size=32, observers=[curves])
history = fit(model, few, how, **plan)
history.save("pytorch-history.json")

# %% tags=["nbval-ignore-output"]
# %%tensorflow
from nin_lib import tensorflow as nin_tensorflow
from nin_lib.data import Dataset, load
from nin_lib.recipe import Recipe
from nin_lib.widgets import LiveCurves

mini = load("mini")
few = Dataset("few", mini.train.first(1280), mini.val.first(200), mini.test)
how = Recipe(0.05, momentum=0.9, clip=1.0)
spec = Network.from_json(Path("without.json").read_text())
model = nin_tensorflow.NiN(spec)
weights.to_keras(model, weights.load_file("small.safetensors"))
curves = LiveCurves(title="TensorFlow")
plan = dict(epochs=3, batch_size=32, observers=[curves])
history = nin_tensorflow.fit(model, few, how, **plan)
history.save("tensorflow-history.json")

# %% tags=["nbval-ignore-output"]
# %%jax
from nin_lib import jax as nin_jax
from nin_lib.data import Dataset, load
from nin_lib.recipe import Recipe
from nin_lib.widgets import LiveCurves

mini = load("mini")
few = Dataset("few", mini.train.first(1280), mini.val.first(200), mini.test)
how = Recipe(0.05, momentum=0.9, clip=1.0)
spec = Network.from_json(Path("without.json").read_text())
model = nin_jax.NiN(spec)
params = weights.to_flax(weights.load_file("small.safetensors"), spec)
curves = LiveCurves(title="JAX")
plan = dict(epochs=3, batch_size=32, observers=[curves])
params, history = nin_jax.fit(model, params, few, how, **plan)
history.save("jax-history.json")

# %%
runs = {}
for framework, file in left_behind("history.json").items():
    rows = json.loads(file.read_text())["rows"]
    runs[framework] = [row["train_loss"] for row in rows]
yardstick = runs.get("pytorch")
for framework, losses in runs.items():
    if not (losses and yardstick):
        print(f"{framework}: no epoch ended, or none of PyTorch's;"
              " run the cells above again")
        continue
    close = abs(losses[0] / yardstick[0] - 1) < 0.1
    print(f"{framework}: the loss fell: {losses[-1] < losses[0]},"
          f" first epoch within a tenth of PyTorch's: {close}")

# %% [markdown]
# Only rounding is left: layout and padding are settled, the start is given, and this net has no dropout. The curves look alike. (A fast run draws fewer points, each the mean of more images, and so a smoother line.) How alike depends on your machine, because on a GPU, or on a processor made for bfloat16, PyTorch's run is rounded more coarsely. With dropout, or with a start of its own, each framework would go another way, as with another seed.
#
# > **Misconception: "we tried both, and framework A is more accurate."** One run in each compares one start with another. The function is the same. If a difference over many seeds remains, look at the initialiser, the padding and the small print of the optimiser before you blame the library.
#
# An example of such small print: Keras multiplies by the learning rate *before* it adds to the momentum, PyTorch and Optax after. With a constant rate that is the same. **By hand:** two steps, the gradient is 1 in both, the momentum is one half, and the rate falls from 1 to 0. How far does each get?

# %%
rates, velocity, moved = (1.0, 0.0), 0.0, 0.0
for rate in rates:  # PyTorch, Optax
    velocity = 0.5 * velocity + 1
    moved += rate * velocity
print("rate after: ", moved)

velocity, moved = 0.0, 0.0
for rate in rates:  # Keras
    velocity = 0.5 * velocity + rate * 1
    moved += velocity
print("rate before:", moved)

# %% [markdown]
# With the rate at zero PyTorch stands still, and Keras rolls on for a while. That is why all runs above have a constant rate.
#
# ## Check yourself
#
# Put your answers in the place of each `None`, and run the cell.

# %%
mine = {
    "Keras's shape of a PyTorch kernel (384, 256, 3, 3)": None,
    "1 1 1 1 1 1, kernel 1 1 1, stride 2: PyTorch's padding 1": None,
    "the same with TensorFlow's padding same": None,
    "one channel in: Flax starts 5×5 smaller than 11×11 (True/False)": None,
}

truth = [(3, 3, 256, 384), [2, 3, 3], [3, 3, 2], 1 / 25 < 1 / 121]
for (what, answer), true in zip(mine.items(), truth, strict=True):
    if answer is None:
        print(f"{what}: still to fill in")
    else:
        same = np.array_equal(answer, true)  # (1, 2) or [1, 2]
        print(f"{what}: {'right' if same else 'not yet'}")

# %% [markdown]
# <details><summary>Compare when you have filled in all of them</summary>
#
# `(3, 3, 256, 384)`: height, width, in, out. PyTorch: `[2, 3, 3]`, for its first window begins on a zero. TensorFlow: `[3, 3, 2]`, for its last window ends on a zero. And `False`: with one channel in, a 5×5 kernel has fewer inputs than one of 11×11, and $1/\sqrt{n}$ grows when $n$ shrinks.
#
# </details>
#
# ## Take-aways
#
# 1. The block is the same six layers everywhere. PyTorch has the channels in front and wants to know how many come in; Keras and Flax have them last and find out; Flax keeps the weights outside.
# 2. A right shape proves nothing. With the axes in the right order, the same weights give the same logits and gradients to ten digits, and the same losses over twenty steps to eight.
# 3. What remains, and when it matters: layout, before a dense layer only; padding words, with a stride; rounding, in the last digits; dropout, like another seed; initialisers, always, until you give all of them the same start.
#
# **Before you go on, from memory:** Which transpose takes a PyTorch kernel to Keras, and why does a wrong one go unnoticed? When do "same" and a number mean different things? Two frameworks train one network and end at different losses: what do you check first?
#
# **Exercises that check themselves:** [two, and one to stretch](exercises/09_three_frameworks.ipynb).
