# ---
# jupyter:
#   chapter:
#     compared: 3
#   jupytext:
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 9: three frameworks, one network
#
# To [notebook 9](../notebooks/09_three_frameworks.ipynb). Two exercises and one to stretch, all in NumPy: none of the frameworks is needed. **Time** about 35 minutes.

# %%
import numpy as np

from nin_lib import Block, network
from nin_lib.check import check

rng = np.random.default_rng(0)

# %% [markdown]
# ## Exercise 9.1: carry the weights over
#
# Two functions that bring PyTorch's weights into Keras's layout:
#
# - `kernel_to_keras`: the kernel of a convolution, from (out, in, height, width) to (height, width, in, out).
# - `dense_to_keras`: a dense layer that reads flattened maps, from (units, C·H·W) to (H·W·C, units). PyTorch flattens maps of C×H×W, Keras the same maps as H×W×C.
#
# <details><summary>Hint</summary>
#
# `np.transpose(array, axes)` takes, for each axis of the result, the number of the old one. For the dense layer, give the four axes their names first: `weight.reshape(units, channels, height, width)`.
#
# </details>

# %%
def kernel_to_keras(kernel):
    # given
    return ...
    # solution
    return np.transpose(kernel, (2, 3, 1, 0))
    # end


def dense_to_keras(weight, channels, height, width):
    units = len(weight)
    # given
    return ...
    # solution
    axes = weight.reshape(units, channels, height, width)
    return np.transpose(axes, (2, 3, 1, 0)).reshape(-1, units)
    # end

# %%
check("9.1", kernel_to_keras, dense_to_keras)

# %% tags=["solution"]
kernel = rng.normal(size=(384, 256, 3, 3))
swapped = kernel.T  # (width, height, in, out)
print("right shapes:", kernel_to_keras(kernel).shape, swapped.shape)
print("equal:", np.array_equal(kernel_to_keras(kernel), swapped))

maps, weight = rng.normal(size=(4, 5, 6)), rng.normal(size=(10, 120))
logits = weight @ maps.flatten()
as_keras_has_them = maps.transpose(1, 2, 0).flatten()  # H×W×C
for name, matrix in {
    "in Keras's order": dense_to_keras(weight, 4, 5, 6),
    "merely transposed": weight.T,
}.items():
    same = np.allclose(as_keras_has_them @ matrix, logits)
    print(f"{name}: the same logits {same}")

# %% [markdown] tags=["solution"]
# Both mistakes have the right shape, and no framework complains. `kernel.T` turns every kernel over its diagonal, and with square kernels no shape gives it away. And `weight.T` reads the maps in an order in which nobody wrote them. A dense layer behind *flattened maps* is the one place where the layout of the images reaches the weights. NiN has none: behind an average there are channels only.

# %% [markdown]
# ## Exercise 9.2: what "same" pads
#
# TensorFlow's "same" makes ⌈n / stride⌉ outputs along an axis of n numbers. The windows that this takes reach over a certain length; what is missing is filled with zeros, half of them in front, and an odd one *behind*. If nothing is missing, nothing is filled. **Write** `same`: how many zeros stand in front, how many behind?
#
# <details><summary>Hint</summary>
#
# The first window begins at 0, the last one (outputs − 1) strides later. How far does the last one reach? `-(-n // stride)` rounds up, `max(0, ...)` keeps a number from going below zero.
#
# </details>

# %%
def same(n, kernel, stride):
    # given
    outputs = ...
    zeros = ...
    return ...
    # solution
    outputs = -(-n // stride)
    zeros = max(0, (outputs - 1) * stride + kernel - n)
    return zeros // 2, zeros - zeros // 2
    # end

# %%
check("9.2", same)

# %% tags=["solution"]
print("6 numbers, kernel 3, stride 2:", same(6, 3, 2))
for n in (224, 225, 226, 227):
    print(f"{n} pixels, kernel 11, stride 4:", same(n, 11, 4))
print("stride 1, kernels 3 and 5:", same(54, 3, 1), same(26, 5, 1))

# %% [markdown] tags=["solution"]
# With stride 1 and an odd kernel the word means the same as a number, on both sides. With a stride it depends on the size of the image: no fixed `padding=` in PyTorch is right for all of them.

# %% [markdown]
# ## To stretch, exercise 9.3: where do two of them start alike?
#
# Notebook 9 has the rules for the first weights. **Write** `spread`: the standard deviation with which a framework, "pytorch", "keras" or "flax", draws the weights of a k×k convolution.
#
# Then look for a kind of layer for which *two* of the rules agree. Which of the twelve convolutions of the chapter's network are of this kind? Give their number.
#
# <details><summary>Hint</summary>
#
# With n = `c_in` · k² and m = `c_out` · k² the rules are $1/\sqrt{3n}$, $\sqrt{2/(n+m)}$ and $1/\sqrt{n}$. Set two of them equal, and see what it asks of n and m.
#
# </details>

# %%
def spread(framework, c_in, c_out, k):
    # given
    return ...
    # solution
    n, m = c_in * k**2, c_out * k**2
    rules = {"pytorch": 3 * n, "keras": (n + m) / 2, "flax": n}
    return rules[framework] ** -0.5
    # end


# given
alike = ...
# solution
alike = 8
# end

# %%
check("9.3", spread, alike)

# %% tags=["solution"]
def convolutions(spec):
    """(channels in, channels out, side of the kernel) of each."""
    c_in = spec.in_channels
    for stage in spec.stages:
        if isinstance(stage, Block):
            k = stage.kernel_size
            for c_out in stage.widths:
                yield c_in, c_out, k
                c_in, k = c_out, 1


print("   in  out  k   Keras to Flax  PyTorch to Flax")
for layer in convolutions(network("chapter")):
    keras, torch, flax = (
        spread(name, *layer) for name in ("keras", "pytorch", "flax"))
    c_in, c_out, k = layer
    print(f"{c_in:5}{c_out:5}{k:3}{keras / flax:>16.2f}"
          f"{torch / flax:>17.2f}")

# %% [markdown] tags=["solution"]
# As many channels out as in, and Keras and Flax draw equally widely. That holds for all 1×1 convolutions of this network, and for none of its large kernels. PyTorch's weights are smaller than Flax's by the same factor everywhere.
