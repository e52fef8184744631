# ---
# jupyter:
#   chapter:
#     compared: 16
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["slide"]
# # 4. The whole network
#
# Four blocks, three poolings, and an average. You put them together, and you follow an image of 224×224 pixels all the way down to ten numbers.
#
# **You will learn**
#
# 1. to assemble NiN as a flat sequence of layers;
# 2. to work out the shape after every layer, on paper;
# 3. what global average pooling does, and which image sizes the network takes.
#
# **You need** [notebook 3](03_nin_block.ipynb). **Time** about 20 minutes.
#
# **From memory:** Which layers make up an NiN block? Which of them can change the height of a map?

# %%
import textwrap

import torch
from torch import nn

from nin_lib import ShapeError, network, shape_flow, text_table, totals
from nin_lib import torch as nin
from nin_lib.widgets import Choice, Predict, ShapeFlow

_ = torch.manual_seed(0)

# %% [markdown] tags=["slide"]
# ## Assembled
#
# The kernel sizes 11, 5, 3 and the widths 96, 256, 384 are AlexNet's. A max pooling of 3×3 with stride 2 follows each of the first three blocks. The fourth block has as many channels as there are classes, and the mean of each of its maps is the *[logit](../book/glossary.md#logit)* of a class: the score that softmax turns into a probability. [Dropout](../book/glossary.md#dropout) before the last block sets half of the numbers to zero at random, during training only. `AdaptiveAvgPool2d(1)` averages each map to one number, whatever its size; `Flatten` removes the two axes of length 1 that remain. The block is the one of notebook 3, with its three widths named.

# %% tags=["slide-more"]
model = nn.Sequential(
    nin.nin_block(1, (96, 96, 96), kernel_size=11, stride=4),
    nn.MaxPool2d(kernel_size=3, stride=2),
    nin.nin_block(96, (256, 256, 256), kernel_size=5, padding=2),
    nn.MaxPool2d(kernel_size=3, stride=2),
    nin.nin_block(256, (384, 384, 384), kernel_size=3, padding=1),
    nn.MaxPool2d(kernel_size=3, stride=2),
    nn.Dropout(0.5),
    nin.nin_block(384, (10, 10, 10), kernel_size=3, padding=1),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters")

# %% [markdown] tags=["slide"]
# ## The shape after every layer
#
# One rule is enough for convolutions and for poolings. From $n$ pixels, with kernel size $k$, [padding](../book/glossary.md#padding) $p$ and [stride](../book/glossary.md#stride) $s$, this leaves
#
# $$\left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1.$$
#
# The brackets round down: a window that does not fit any more is left out. Get the code of the rule right first:

# %% tags=["slide-more"]
def out_size(n, kernel_size, stride=1, padding=0):
    return (n + 2 * padding - kernel_size) // stride + 1


print("block 1:", out_size(224, kernel_size=11, stride=4))

# %% [markdown] tags=["slide"]
# Now fill in the shape flow. The first stage is done for you, the second has its formula, the third most of it, the rest are yours: put a number in the place of each `None` and run the cell. (Use paper. `out_size` is for checking.)
#
# | stage | kernel | stride | padding | formula | height and width |
# |---|---|---|---|---|---|
# | image | | | | | 224 |
# | block 1 | 11 | 4 | 0 | ⌊(224 − 11)/4⌋ + 1 | 54 |
# | pool 1 | 3 | 2 | 0 | ⌊(54 − 3)/2⌋ + 1 | ? |
# | block 2 | 5 | 1 | 2 | ⌊(? + 2·2 − 5)/1⌋ + 1 | ? |
# | pool 2 | 3 | 2 | 0 | ? | ? |
# | block 3 | 3 | 1 | 1 | ? | ? |
# | pool 3 | 3 | 2 | 0 | ? | ? |
# | block 4 | 3 | 1 | 1 | ? | ? |

# %%
my_sizes = {
    "block 1": 54,
    "pool 1": None,
    "block 2": None,
    "pool 2": None,
    "block 3": None,
    "pool 3": None,
    "block 4": None,
}

sizes = {row.stage: row.shape[-1] for row in shape_flow(network("chapter"))}
for stage, mine in my_sizes.items():
    if mine is None:
        print(f"{stage}: still to fill in")
    else:
        print(f"{stage}: {'right' if mine == sizes[stage] else 'not yet'}")

# %% [markdown]
# <details><summary>Compare when you have filled in all of them</summary>
#
# Pool 1: ⌊51/2⌋ + 1 = 26. Block 2 keeps its size, because 2·2 = 5 − 1: 26. Pool 2: ⌊23/2⌋ + 1 = 12. Block 3 keeps it: 12. Pool 3: ⌊9/2⌋ + 1 = 5. Block 4 keeps it: 5. Then comes the average: one number for each map, ten in all.
#
# </details>

# %% [markdown] tags=["slide"]
# Does the running network agree? A *hook* is a function that PyTorch calls whenever a layer has run. Here it notes down what comes out of each layer:

# %% tags=["slide-more", "slide-output"]
seen = []
names = ["block 1", "pool 1", "block 2", "pool 2", "block 3", "pool 3",
         "dropout", "block 4", "average", "flatten"]


def note_down(layer, inputs, output):
    seen.append(tuple(output.shape))


hooks = [layer.register_forward_hook(note_down) for layer in model]
model.eval()
logits = model(torch.rand(1, 1, 224, 224))
for hook in hooks:
    hook.remove()
for name, shape in zip(names, seen, strict=True):
    print(f"{name:8} {shape}")

# %% [markdown] tags=["slide-more"]
# 224 → 54 → 26 → 26 → 12 → 12 → 5 → 5, then one number for each of 10 classes. Poolings and the first stride make the maps smaller. The first three blocks make them more numerous; the last leaves one for each class.

# %% [markdown] tags=["slide"]
# Look at the third pooling: from 12 to 5 the windows start at 0, 2, 4, 6, 8 and the last one ends at 10. **Which rows does it never read?** Rows are counted from 0 to 11. And the other two poolings, on 54 and on 26 rows?

# %% tags=["slide-more"]
for n in (54, 26, 12):
    windows = [range(start, start + 3) for start in range(0, n - 3 + 1, 2)]
    read = {row for window in windows for row in window}
    print(f"of rows 0 to {n - 1}, never read: {sorted(set(range(n)) - read)}")

# %% [markdown]
# Rounding down drops an edge row and column at every pooling here. (The paper's own networks round *up* instead; a count of the parameters does not show it, the shapes do.)

# %% [markdown] tags=["slide"]
# ## Ten maps, ten numbers
#
# The last block gives a 5×5 map for each class. **Global average pooling** takes the mean of each map. It has no parameters and nothing to learn:

# %% tags=["slide-more"]
maps = model[:8](torch.rand(1, 1, 224, 224))
print("last maps:", tuple(maps.shape))
means = maps.mean(dim=(2, 3))
same = torch.allclose(model[8:](maps), means)
print("each logit is the mean of a map:", same)

# %% [markdown] tags=["slide"]
# What does the average save? Put AlexNet's three dense layers in the place of block 4 and the average.

# %% jupyter={"source_hidden": true} tags=["remove-input", "slide-more"]
Predict("With AlexNet's head, how many times NiN's parameters?", [
    Choice("about 2 times as many", False,
           "The first of the three layers reads all the numbers of the 384 "
           "maps, and each of its thousands of outputs has a weight for "
           "every one. This layer alone is far larger than all of NiN."),
    Choice("about 10 times", False,
           "The second of the three layers alone would lead to about so "
           "many. The first is more than twice as large."),
    Choice("about 30 times", True,
           "Most of them are in the first dense layer, which reads all the "
           "numbers of the 384 maps."),
])

# %% tags=["slide-more", "slide-output"]
ours = totals(network("chapter")).parameters
wide = totals(network("nin-alexnet-head")).parameters
small = totals(network("nin-dense-10")).parameters
print(f"NiN                            {ours:>11,}")
print(f"blocks 1-3 and AlexNet's head  {wide:>11,}  {wide / ours:.0f} times")
print(f"one dense layer 250→10 instead {small:>11,}  {small - ours:,} more")

# %% [markdown] tags=["slide"]
# > **Misconception: "global average pooling saves the parameters."** Look at the last line: against *one small* dense layer it saves next to nothing. (The last 10 maps of 5×5 numbers make the 250.) What saves is to do without AlexNet's two wide dense layers.

# %% [markdown]
# What averaging does give: maps of any size can be averaged. What else it does to the maps, and what "any size" is worth, is the subject of [notebook 6](06_global_average_pooling.ipynb).

# %% [markdown] tags=["slide"]
# ## Which images does it take?
#
# All of this was made for images of 224×224. Now send it others.

# %% jupyter={"source_hidden": true} tags=["remove-input", "slide-more"]
Predict("What comes out for an image of 300×400, and for one of 60×60?", [
    Choice("an error, both times", False,
           "No layer fixes the size: a convolution uses one kernel at every "
           "place, and a map of any size has a mean."),
    Choice("10 numbers, both times", False,
           "Of 60×60 pixels only 2×2 are left where the third pooling wants "
           "3×3."),
    Choice("more than 10 numbers, and an error", False,
           "A larger image gives larger maps. But there are still 10 of "
           "them, and each has one mean."),
    Choice("10 numbers, and an error", True,
           "A map of any size has a mean. But of 60×60 pixels only 2×2 are "
           "left where the third pooling wants 3×3."),
])

# %%
with torch.no_grad():
    print(tuple(model(torch.rand(1, 1, 300, 400)).shape))

try:
    shape_flow(network("chapter"), 60)
except ShapeError as error:
    print(textwrap.fill(str(error), 76))

# %% [markdown] tags=["slide-more"]
# No layer fixes the size, but the image has to survive the poolings. That the network *takes* another size does not mean that it would be *right* there: a network trained on garments that fill 224 pixels has seen no others.

# %% [markdown]
# ## The same network from one description
#
# In the library a network is described once, as plain values, and everything else reads that description: the arithmetic above, the PyTorch model, the tables.

# %%
spec = network("chapter")
for stage in spec.stages:
    print(stage)

# %%
from_spec = nin.NiN(spec).eval()
from_spec.load_state_dict(model.state_dict())  # the same weights

images = torch.rand(2, 1, 224, 224)
with torch.no_grad():
    same = torch.allclose(from_spec(images), model(images), atol=1e-6)
print("same logits:", same)

# %% [markdown]
# Here is the whole network, with parameters and multiply-adds. The last column is the *[receptive field](../book/glossary.md#receptive-field)*: the side of the square of input pixels that one number depends on: 195 of 224 pixels at the end of the blocks. (The last figure, 323, is more than the image has: seen from the edge of a map, the square reaches over the edge of the image.) One layer does more than half of the work. **Which one?**

# %% tags=["slide", "slide-output"]
print(text_table(spec))

# %%
rows = shape_flow(spec)
most = max(rows, key=lambda row: row.multiply_adds)
share = 100 * most.multiply_adds / totals(spec).multiply_adds
print(f"{most.stage}, {most.layer}: {share:.0f} % of the multiply-adds")

# %% [markdown] tags=["slide"]
# ## Take it apart
#
# Commit to the prediction. Then change one thing at a time, and see where each number in a shape comes from and what it costs.

# %% tags=["slide-more"]
explorer = ShapeFlow("chapter")
explorer

# %% [markdown]
# <details><summary>Which edits change the multiply-adds and not the parameters?</summary>
#
# Those of the input size, of a padding or of a stride: they change the number of places, and no kernel.
#
# </details>
#
# What you make there is a description like the one above. Run this cell after your edits: it builds *your* network.

# %%
mine = nin.NiN(explorer.spec)
print(f"{sum(p.numel() for p in mine.parameters()):,} parameters")

# %% [markdown] tags=["slide"]
# ## Take-aways
#
# 1. NiN is a flat sequence: block, pool, block, pool, block, pool, dropout, block, average.
# 2. Every size follows from one rule, rounded down; an odd kernel of k with padding (k − 1)/2 and stride 1 keeps the size.
# 3. Global average pooling turns the map of each class into its logit. It has no parameters and takes any size that survives the poolings.

# %% [markdown] tags=["slide"]
# **Before you go on, from memory:** Write down the seven sizes from 54 to 5. How many channels does the last block need, and why?
#
# **Exercises that check themselves:** [two, and one to stretch](exercises/04_nin_network.ipynb).
