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
# # Exercises 3: the NiN block
#
# To [notebook 3](../notebooks/03_nin_block.ipynb). Two exercises and one to stretch. **Time** about 20 minutes.

# %%
from torch import nn

from nin_lib.check import check

# %% [markdown]
# ## Exercise 3.1: which change keeps the shape?
#
# Block 2 of the network takes maps of 96×26×26 and makes 256×26×26 of them: a 5×5 convolution with stride 1 and padding 2, then two 1×1 convolutions. Each of these changes is made to the block as it was, one at a time:
#
# - (a) one of the 1×1 convolutions is left out, with its ReLU;
# - (b) both are left out;
# - (c) the 5×5 convolution has no padding;
# - (d) 3×3 convolutions without padding stand in the place of the 1×1;
# - (e) 3×3 convolutions with padding 1 stand in the place of the 1×1;
# - (f) a 7×7 kernel with padding 3 stands in the place of the 5×5;
# - (g) the 5×5 convolution has stride 2.
#
# **Predict:** after which of them is the output still 256×26×26?
#
# <details><summary>Hint</summary>
#
# With stride 1 the size changes by $2p - k + 1$ at each convolution. For which kernels and paddings is that zero?
#
# </details>

# %%
# given
keeps = ...  # a set of letters, such as {"a", "c"}
# solution
keeps = {"a", "b", "e", "f"}
# end

# %%
check("3.1", keeps)

# %% tags=["solution"]
def side_after(side, *layers):
    for kernel_size, stride, padding in layers:
        side = (side + 2 * padding - kernel_size) // stride + 1
    return side


one = (1, 1, 0)
changes = {
    "a": [(5, 1, 2), one], "b": [(5, 1, 2)], "c": [(5, 1, 0), one, one],
    "d": [(5, 1, 2), (3, 1, 0), (3, 1, 0)],
    "e": [(5, 1, 2), (3, 1, 1), (3, 1, 1)],
    "f": [(7, 1, 3), one, one], "g": [(5, 2, 2), one, one],
}
for letter, layers in changes.items():
    print(letter, side_after(26, *layers))

# %% [markdown] tags=["solution"]
# A 1×1 convolution with stride 1 needs no padding to keep the size, so it can be left out or added. Here that is possible without touching the neighbours, because all widths of the block are 256. In the paper's networks it is not: a block of 96, 64 and 48 channels without its last layer leaves 64, and the next block waits for 48.
#
# That the shape is kept does not mean that the change is harmless. (e) has nine times the weights in these two layers, (b) leaves an ordinary convolution.

# %% [markdown]
# ## Exercise 3.2: why two 1×1 layers?
#
# First, what does each of them cost? **Fill in** the parameters of a block with any number of layers. `widths` are the channels after each convolution, the k×k one first: (256, 256, 256) for block 2. The first convolution is done for you.
#
# <details><summary>Hint</summary>
#
# A 1×1 convolution has `in_channels` · 1 · 1 · `out_channels` weights, and a bias for each output channel. What goes into it is the width before it.
#
# </details>

# %%
def block_parameters(in_channels, widths, kernel_size):
    total = in_channels * kernel_size**2 * widths[0] + widths[0]
    for before, after in zip(widths, widths[1:], strict=False):
        # given
        total += ...
        # solution
        total += before * after + after
        # end
    return total

# %%
check("3.2", block_parameters)

# %% tags=["solution"]
print("1×1 layers   block 1   block 2   block 3   block 4")
for count in (0, 1, 2, 3):
    blocks = [(1, 96, 11), (96, 256, 5), (256, 384, 3), (384, 10, 3)]
    row = [block_parameters(c, [out] * (count + 1), k)
           for c, out, k in blocks]
    print(f"{count:10}", *(f"{number:>9,}" for number in row))
print(f"each 1×1 layer of block 2: {256 * 256 + 256:,}")

# %% [markdown] tags=["solution"]
# Each further layer costs the same again. In block 2 that is 65,792 parameters, next to 614,656 in the 5×5 convolution; in block 4 it is next to nothing.
#
# What does one get for it? With **no** 1×1 layer, a channel is one weighted sum of a patch and a ReLU. With **one**, a pixel's channels are the hidden layer of an MLP, and the 1×1 layer is its second: already a small network in the network. With **two**, the MLP has two hidden layers, which is what the paper draws, and with **three** it has three. Shapes and receptive field stay the same in all four cases.
#
# So parameters do not decide between them. Whether the second or the third layer makes a better classifier, or only one that is harder to train, is a question for many runs with many seeds. No count answers it, and one run does not either. The first of [exercises 5](05_training.ipynb) looks at such runs.

# %% [markdown]
# ## To stretch, exercise 3.3: a block on a diet
#
# Design a replacement for block 2: an `nn.Sequential` of convolutions with an `nn.ReLU()` after each, at least one of them 1×1. It takes 96 channels and makes 256, keeps height and width (also when they differ), and each number that comes out depends on all 96 channels and reaches over at least 5×5 pixels. It has **fewer than 200,000 parameters.** (Block 2 has 746,240.)
#
# <details><summary>Hint</summary>
#
# Nearly all parameters of block 2 are in 96 × 5 × 5 × 256. A 1×1 convolution can change the number of channels *before* the expensive one.
#
# </details>

# %%
# given
lean = ...  # nn.Sequential(nn.Conv2d(96, ...
# solution
lean = nn.Sequential(
    nn.Conv2d(96, 64, kernel_size=1), nn.ReLU(),
    nn.Conv2d(64, 64, kernel_size=5, padding=2), nn.ReLU(),
    nn.Conv2d(64, 256, kernel_size=1), nn.ReLU(),
)
# end

# %%
check("3.3", lean)

# %% tags=["solution"]
def count(layers):
    return sum(p.numel() for p in layers.parameters())


print("block 2:", f"{block_parameters(96, [256] * 3, 5):,}")
print("lean:   ", f"{count(lean):,}", [count(conv) for conv in lean[::2]])
print("within the budget:", count(lean) < 200_000)

# %% [markdown] tags=["solution"]
# Squeeze, look around, widen: Inception and SqueezeNet do this ([notebook 11](../notebooks/11_where_it_went.ipynb)). There are other answers. Two 3×3 convolutions reach over 5×5 pixels with 18 weights in the place of 25, and with `groups` a convolution does not mix its channels and leaves that to the 1×1 layers. All of them have fewer weights to learn with than block 2. How much that matters is again a question for runs.
