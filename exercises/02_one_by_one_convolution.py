# ---
# jupyter:
#   chapter:
#     compared: 4
#   jupytext:
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 2: the 1×1 convolution
#
# To [notebook 2](../notebooks/02_one_by_one_convolution.ipynb). Two exercises and one to stretch. **Time** about 35 minutes.

# %%
import torch
from torch import nn

from nin_lib.check import check

_ = torch.manual_seed(0)

# %% [markdown]
# ## Exercise 2.1: find the bug
#
# Somebody wrote a 1×1 convolution without a convolution: each pixel becomes a row, and one matrix product treats all rows. The shapes are right. The numbers are not.

# %%
def by_rows(x, weight, bias):
    n, c, h, w = x.shape  # N×C×H×W
    rows = x.reshape(n * h * w, c)
    y = rows @ weight.T + bias
    return y.reshape(n, -1, h, w)


x, conv = torch.rand(2, 3, 4, 5), nn.Conv2d(3, 6, kernel_size=1)
wanted = conv(x)
got = by_rows(x, conv.weight[:, :, 0, 0], conv.bias)
print("shapes:", tuple(wanted.shape), tuple(got.shape))
print("the same numbers:", torch.allclose(wanted, got))

# %% [markdown]
# Two of its lines mix up axes. Write them anew. (`reshape` reads the numbers in the order in which they lie in memory, the last axis fastest.)
#
# <details><summary>Hint</summary>
#
# What stands in the first row of `rows`? It should be the channels of one pixel. Bring the channels to the end *before* you reshape, and bring them back afterwards. Notebook 2 did so for `nn.Linear`.
#
# </details>

# %%
def mended(x, weight, bias):
    n, c, h, w = x.shape
    # given
    rows = ...  # a row for each pixel, with its channels
    y = rows @ weight.T + bias
    return ...  # back to N×C_out×H×W
    # solution
    rows = x.permute(0, 2, 3, 1).reshape(n * h * w, c)
    y = rows @ weight.T + bias
    return y.reshape(n, h, w, -1).permute(0, 3, 1, 2)
    # end

# %%
check("2.1", mended)

# %% [markdown] tags=["solution"]
# `reshape` never moves a number; it only puts other brackets around the same sequence. In N×C×H×W the first numbers are the pixels of the first *row of channel 0*, so that is what `by_rows` took for the channels of one pixel. `permute` changes the order of the axes. On the way back the same is true: the rows are N×H×W×C_out, and have to be read like that first.

# %% tags=["solution"]
counting = torch.arange(12).reshape(1, 3, 2, 2)  # three channels of 2×2
print("wrong first row:", counting.reshape(4, 3)[0].tolist())
right = counting.permute(0, 2, 3, 1).reshape(4, 3)
print("right first row:", right[0].tolist())

# %% [markdown]
# ## Exercise 2.2: layers as matrices
#
# The weights of a 1×1 convolution are a matrix, a row for each output channel. **First worked:** a layer from 4 channels to 4 that leaves channels 0 and 1 as they are, and puts the sum of channels 2 and 3 into both of the others.

# %%
weight = torch.tensor([
    [1., 0., 0., 0.],
    [0., 1., 0., 0.],
    [0., 0., 1., 1.],
    [0., 0., 1., 1.],
])
print((weight @ torch.tensor([5., 6., 7., 8.])).tolist())

# %% [markdown]
# **Then you:** a layer that swaps channels 1 and 3 and leaves 0 and 2 as they are. Fill in the rows.
#
# <details><summary>Hint</summary>
#
# Row 1 says what output channel 1 is made of. It should be input channel 3 and nothing else.
#
# </details>

# %%
# given
swap = [
    [1, 0, 0, 0],
    ...,
    [0, 0, 1, 0],
    ...,
]
# solution
swap = [
    [1, 0, 0, 0],
    [0, 0, 0, 1],
    [0, 0, 1, 0],
    [0, 1, 0, 0],
]
# end

# %%
check("2.2a", swap)

# %% [markdown]
# **Then alone:** two 1×1 convolutions follow each other, with no ReLU between them. The first has weights `A` (hidden×in) and biases `a`, the second `B` (out×hidden) and `b`. Write a function that returns the weights `W` and the biases `c` of the *one* layer that does the same.
#
# <details><summary>Hint</summary>
#
# One pixel $x$ becomes $Ax + a$, and that becomes $B(Ax + a) + b$. Multiply out, and look at what stands with $x$ and what stands alone.
#
# </details>

# %%
def collapse(A, a, B, b):
    # given
    W = ...
    c = ...
    # solution
    W = B @ A
    c = B @ a + b
    # end
    return W, c

# %%
check("2.2b", collapse)

# %% [markdown] tags=["solution"]
# $B(Ax + a) + b = (BA)x + (Ba + b)$. The biases of the first layer go through the second, too. That this holds for every $x$ is the proof; the next cell only makes it visible on a layer of PyTorch's.

# %% tags=["solution"]
first, second = nn.Conv2d(3, 7, 1), nn.Conv2d(7, 4, 1)
W, c = collapse(first.weight[:, :, 0, 0], first.bias,
                second.weight[:, :, 0, 0], second.bias)
one = nn.Conv2d(3, 4, 1)
one.weight.data, one.bias.data = W[:, :, None, None].detach(), c.detach()
x = torch.rand(2, 3, 5, 6)
same = torch.allclose(second(first(x)), one(x), atol=1e-6)
print("two layers equal one:", same)
twice = torch.tensor(swap) @ torch.tensor(swap)
print("two swaps change nothing:", torch.equal(twice, torch.eye(4).long()))

# %% [markdown]
# ## To stretch, exercise 2.3: swap where needed
#
# Build `layers`, an `nn.Sequential` of 1×1 convolutions and ReLUs and nothing else. Two channels come in; at each pixel the *larger* of the two numbers shall come out in channel 0, the *smaller* in channel 1. Numbers can be negative, and of any size. Set the weights by hand.
#
# <details><summary>Hint</summary>
#
# $\max(a, b) = \frac{1}{2}\left(a + b + |a - b|\right)$. What changes for the smaller one? And how many ReLUs make $|t|$ out of a number $t$?
#
# </details>
#
# <details><summary>A second hint</summary>
#
# $|t| = \max(0, t) + \max(0, -t)$. The sum $a + b$ has to pass the ReLU, too, also where it is negative: $t = \max(0, t) - \max(0, -t)$.
#
# </details>

# %%
# given
layers = ...  # such as nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), ...)
# solution
layers = nn.Sequential(nn.Conv2d(2, 4, 1, bias=False), nn.ReLU(),
                       nn.Conv2d(4, 2, 1, bias=False))
hidden = torch.tensor([[1., -1.], [-1., 1.], [1., 1.], [-1., -1.]])
out = torch.tensor([[1., 1., 1., -1.], [-1., -1., 1., -1.]]) / 2
layers[0].weight.data = hidden[:, :, None, None]
layers[2].weight.data = out[:, :, None, None]
# end

# %%
check("2.3", layers)

# %% [markdown] tags=["solution"]
# Four hidden channels are enough: the positive and the negative part of $a - b$, and those of $a + b$.

# %% tags=["solution"]
pairs = torch.tensor([[5., 2.], [-1., 3.], [-4., -2.]])
x = pairs.T.reshape(1, 2, 1, 3)  # three pixels
print(layers(x)[0, :, 0].T.tolist())

# %% [markdown] tags=["solution"]
# One layer alone cannot do it. Notebook 2 has the test: a single 1×1 layer obeys $f(x) + f(-x) = 2 f(0)$, and the larger of 1 and 0, plus the larger of −1 and 0, is not twice the larger of 0 and 0.
