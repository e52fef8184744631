# ---
# jupyter:
#   chapter:
#     compared: 8
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["slide"]
# # 3. The NiN block
#
# A convolution that looks around, then two 1×1 convolutions that think about what was seen, pixel by pixel: that is the whole building block.
#
# **You will learn**
#
# 1. to write the block as a sequence of six layers;
# 2. to work out its output shape and its parameters;
# 3. what its 1×1 layers add and what they leave as it was.
#
# **You need** [notebook 2](02_one_by_one_convolution.ipynb). **Time** about 10 minutes.
#
# **From memory:** What is a stack of 1×1 convolutions with ReLUs, seen from one pixel? What becomes of it without the ReLUs?

# %%
import inspect

import matplotlib.pyplot as plt
import torch
from torch import nn

from nin_lib import torch as nin
from nin_lib.data import load
from nin_lib.widgets import Choice, Predict

_ = torch.manual_seed(0)

# %% [markdown] tags=["slide"]
# ## Six layers
#
# The first convolution has a kernel size, a stride and a padding to choose. The two others are 1×1. A [ReLU](../book/glossary.md#relu) follows each one; without them all three convolutions would be one.

# %% tags=["slide-more"]
def nin_block(in_channels, out_channels, kernel_size, stride, padding):
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=1),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=1),
        nn.ReLU(),
    )


# %% [markdown] tags=["slide"]
# Block 1 of our network takes grey images (1 channel) of 224×224 and has a kernel of 11×11 with stride 4 and no padding. The height and width that come out follow the rule of every convolution, with $n$ the size that comes in, $k$ the kernel size, $p$ the padding and $s$ the stride:
#
# $$\left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1$$
#
# **Work out** the output shape of block 1 on paper: how many channels, how high, how wide? Which of its three convolutions changes the height?

# %% tags=["slide-more"]
block = nin_block(1, 96, kernel_size=11, stride=4, padding=0)

x = torch.rand(1, 1, 224, 224)  # N×C×H×W
for layer in block:
    x = layer(x)
    print(f"{type(layer).__name__:8}{tuple(x.shape)}")

# %% [markdown]
# $\lfloor (224 - 11)/4 \rfloor + 1 = 54$. Only the first convolution moves over the image in steps; a 1×1 kernel with stride 1 fits at every pixel, so height and width stay.

# %% [markdown] tags=["slide"]
# ## Parameters
#
# A convolution has `in_channels` · k · k · `out_channels` weights, and a bias for each output channel. Take block 2: a 5×5 convolution from 96 to 256 channels, and two 1×1 layers.

# %% jupyter={"source_hidden": true} tags=["remove-input", "slide-more"]
Predict("What share of block 2 is in its two 1×1 layers (parameters)?", [
    Choice("about a tenth", False,
           "One of them holds nearly a tenth, and there are two."),
    Choice("about a fifth", True,
           "For each output channel they hold 2 · 256 weights, and the 5×5 "
           "convolution holds 96 · 25."),
    Choice("about a half", False,
           "They are two layers of three. But a 5×5 kernel has 25 weights "
           "for each channel that comes in, and a 1×1 kernel has one. More "
           "channels come in, 256 and not 96, which makes up for a part."),
])

# %% tags=["slide-more", "slide-output"]
block_2 = nin_block(96, 256, kernel_size=5, stride=1, padding=2)
counts = [conv.weight.numel() + conv.bias.numel() for conv in block_2[::2]]
one_by_one = 256 * 1 * 1 * 256 + 256
by_hand = [96 * 5 * 5 * 256 + 256, one_by_one, one_by_one]
print(counts, counts == by_hand)
print(f"in the 1×1 layers: {100 * sum(counts[1:]) / sum(counts):.0f} %")

# %% [markdown] tags=["slide"]
# Two more layers with a ReLU each, for under a fifth of the block's parameters. It is not so in every block: in block 1 a single channel comes in, so the large kernel is cheap and the 1×1 layers hold most of the parameters. What always holds is the comparison with larger kernels in their place. **Predict:** with two 3×3 layers instead, how many times the parameters?

# %% tags=["slide-more"]
with_3x3 = 2 * (256 * 3 * 3 * 256 + 256)
print(f"two 1×1 layers {sum(counts[1:]):,}, two 3×3 layers {with_3x3:,}")
print(f"ratio {with_3x3 / sum(counts[1:]):.2f}")

block_1 = [1 * 11 * 11 * 96 + 96, 2 * (96 * 96 + 96)]
print(f"block 1: {100 * block_1[1] / sum(block_1):.0f} % in the 1×1 layers")

# %% [markdown] tags=["slide"]
# ## What the 1×1 layers leave as it was
#
# How much of the image can one output number see? **Predict**, for the first convolution alone and for the whole block. Then ask the gradient: send it back from one output pixel of the block and count the input pixels that it reaches. The weights are set to one so that nothing cancels.

# %% tags=["slide-more"]
def pixels_seen(layers, size=224):
    """Height and width of what the middle output pixel depends on."""
    for parameter in layers.parameters():
        nn.init.ones_(parameter)
    image = torch.ones(1, 1, size, size, requires_grad=True)
    maps = layers(image)
    middle = maps.shape[2] // 2
    maps[0, 0, middle, middle].backward()
    rows, columns = image.grad[0, 0].nonzero().T
    return len(rows.unique()), len(columns.unique())


block = nin_block(1, 96, kernel_size=11, stride=4, padding=0)
print("first convolution alone:", pixels_seen(block[:1]))
print("the whole block:        ", pixels_seen(block))

# %% [markdown]
# The same 11×11 pixels. The 1×1 layers see no more of the image; they do more with what was seen. An ordinary convolution followed by a ReLU can ask of each patch one linear question per channel. The block answers with a small MLP, and an MLP can answer questions that no single linear layer with a threshold can.

# %% [markdown] tags=["slide"]
# A classic one: is *exactly one* of two features present? Take two channels as the two features. **Predict:** can one 1×1 convolution with a ReLU do it, or does it take two? The weights below are set by hand; training would have to find such weights.

# %% tags=["slide-more"]
features = torch.tensor([[0., 0.], [0., 1.], [1., 0.], [1., 1.]])
exactly_one = torch.tensor([0., 1., 1., 0.])
maps = features.T.reshape(1, 2, 2, 2)  # four pixels, two channels

mlp = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Conv2d(2, 1, 1))
mlp[0].weight.data = torch.ones(2, 2, 1, 1)
mlp[0].bias.data = torch.tensor([0., -1.])
mlp[2].weight.data = torch.tensor([[1., -2.]])[:, :, None, None]
mlp[2].bias.data = torch.tensor([0.])

print("wanted:", exactly_one.tolist())
print("MLP:   ", mlp(maps).flatten().tolist())

# %% [markdown]
# (The hidden channels are $\max(0, a + b)$ and $\max(0, a + b - 1)$; the output is the first less twice the second. Check it for $a = b = 1$.) It takes two. One layer would need a bias $c \leq 0$, to stay at 0 where neither is present, and weights of $1 - c$, to reach 1 where one is. Where both are, that adds up to $2 - c$, which is far from 0.
#
# ## The same block in the library
#
# `nin_lib.torch` has this block too. It takes a tuple of widths instead of one number, because the paper's own networks narrow on the way. It allows other inner kernels, for comparisons, and can leave the last ReLU out, which notebook 5 needs. Its source is short enough to read here:

# %%
print(inspect.getsource(nin.nin_block))

# %%
ours = nin_block(1, 96, 11, 4, 0)
theirs = nin.nin_block(1, (96, 96, 96), 11, 4, 0)
theirs.load_state_dict(ours.state_dict())
images = torch.rand(2, 1, 224, 224)
print("same output:", torch.equal(ours(images), theirs(images)))

# %% [markdown] tags=["slide"]
# ## A first look at a real image
#
# What do eight of the 96 maps of an *untrained* block look like? The image is from Fashion-MNIST, 28×28 pixels enlarged to 224×224.

# %% mystnb={"image": {"alt": "A small grey picture of an ankle boot, and eight maps that an untrained block makes of it: blurred and edge-like versions of it."}} tags=["slide-more"]
photo = torch.tensor(load("mini").train.images[3:4])[None] / 255  # 1×1×28×28
photo = nn.functional.interpolate(photo, (224, 224), mode="bilinear")

torch.manual_seed(3)
with torch.no_grad():
    maps = nin_block(1, 96, 11, 4, 0)(photo)[0]  # 96×54×54

brightest = maps.mean((1, 2)).argsort(descending=True)[:8]
figure, axes = plt.subplots(1, 9, figsize=(9, 1.3))
pictures = [photo[0, 0], *maps[brightest]]
for axis, picture in zip(axes, pictures, strict=True):
    axis.imshow(picture, cmap="gray")
    axis.axis("off")
axes[0].set_title("image", fontsize=9)
axes[4].set_title("eight maps of the untrained block", fontsize=9)
plt.show()

# %% [markdown]
# Even before training, the shoe can be made out in these eight maps, the brightest of all: each pixel of a map is still tied to its place in the image. Training decides *what* each map looks for.

# %% [markdown] tags=["slide"]
# ## Take-aways
#
# 1. An NiN block is a k×k convolution and two 1×1 convolutions, a ReLU after each.
# 2. The first convolution sets height and width, by $\lfloor (n + 2p - k)/s \rfloor + 1$; the 1×1 layers keep them, and cost about a ninth of what 3×3 layers in their place would.
# 3. The 1×1 layers see no more of the image than before. They let every pixel decide with an MLP.

# %% [markdown] tags=["slide"]
# **Before you go on, from memory:** What is the output shape of a block with a 3×3 kernel, stride 1, padding 1 and 384 channels on a 12×12 map? Why are there ReLUs between the 1×1 layers?
#
# **Exercises that check themselves:** [two, and one to stretch](exercises/03_nin_block.ipynb).
