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
# # Exercises 4: the whole network
#
# To [notebook 4](../notebooks/04_nin_network.ipynb). Two exercises and one to stretch. **Time** about 35 minutes.

# %%
from statistics import median

import torch
from torch import nn

from nin_lib import Block, Dropout, Network, Pool, shape_flow, totals
from nin_lib import torch as nin
from nin_lib.check import check
from nin_lib.recorded import variants

_ = torch.manual_seed(0)

# %% [markdown]
# ## Exercise 4.1: find the bug
#
# Somebody assembled the network for 224×224 and tested it there. Run the cell: what comes out for another size?

# %%
body = nn.Sequential(
    nin.nin_block(1, (96, 96, 96), kernel_size=11, stride=4),
    nn.MaxPool2d(kernel_size=3, stride=2),
    nin.nin_block(96, (256, 256, 256), kernel_size=5, padding=2),
    nn.MaxPool2d(kernel_size=3, stride=2),
    nin.nin_block(256, (384, 384, 384), kernel_size=3, padding=1),
    nn.MaxPool2d(kernel_size=3, stride=2),
    nin.nin_block(384, (10, 10, 10), kernel_size=3, padding=1),
)
their_head = nn.Sequential(nn.AvgPool2d(5), nn.Flatten())

for size in ((224, 224), (300, 448)):
    with torch.no_grad():
        maps = body(torch.rand(1, 1, *size))
        logits = their_head(maps)
    print(size, "→", tuple(maps.shape), "→", tuple(logits.shape))

# %% [markdown]
# Write a head that gives one logit for each map, whatever the size: the *mean of the whole map*. N×C×H×W → N×C.
#
# <details><summary>Hint</summary>
#
# `AvgPool2d(5)` averages windows of 5×5, as many as fit. Notebook 4 used a layer that is told how large the *output* shall be. A function with a mean over two axes will do, too.
#
# </details>

# %%
# given
head = ...
# solution
head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
# end

# %%
check("4.1", head)

# %% tags=["solution"]
for size in ((224, 224), (300, 448)):
    with torch.no_grad():
        print(size, "→", tuple(head(body(torch.rand(1, 1, *size))).shape))

# %% [markdown] tags=["solution"]
# At 224 both heads are the same, so a test at one size cannot tell them apart. At another size the windows are too many, and where the maps are 8×12, they leave out rows and columns as well. *Test with several sizes, with height and width different.*

# %% [markdown]
# ## Exercise 4.2: from 384 channels to 10 at once
#
# Before the last block there are 384 maps of 5×5, behind it 10. **Work out** the parameters of three ways to get there, biases included:
#
# - `as_it_is`: block 4 of the network, a 3×3 convolution to 10 channels and two 1×1 convolutions with 10;
# - `at_once`: one 1×1 convolution from 384 to 10 channels, and nothing else;
# - `in_steps`: a 3×3 convolution to 96 channels, a 1×1 to 32, a 1×1 to 10.
#
# And what could go wrong with the first? Think of an answer before you open the solution.
#
# <details><summary>Hint</summary>
#
# A k×k convolution: (`in_channels` · k · k + 1) · `out_channels`. For the second question: how many numbers of a pixel are left for all ten classes to work with, after the 3×3 convolution?
#
# </details>

# %%
# given
as_it_is = ...
at_once = ...
in_steps = ...
# solution
as_it_is = (384 * 3 * 3 + 1) * 10 + (10 + 1) * 10 + (10 + 1) * 10
at_once = (384 + 1) * 10
in_steps = (384 * 3 * 3 + 1) * 96 + (96 + 1) * 32 + (32 + 1) * 10
# end

# %%
check("4.2", as_it_is, at_once, in_steps)

# %% tags=["solution"]
print(f"as it is {as_it_is:>9,}")
print(f"at once  {at_once:>9,}")
print(f"in steps {in_steps:>9,}")
print(f"numbers that reach one place of block 4: {384 * 3 * 3:,}")

# %% [markdown] tags=["solution"]
# What could go wrong:
#
# - **A bottleneck.** 3,456 numbers reach each place, and ten leave it. Whatever the two 1×1 layers make for any of the classes, they make from these ten. Nothing that the 3×3 convolution drops can come back.
# - **No spare channels.** A ReLU stands behind each of the three layers. A channel that is zero at all places of all images lets no gradient through ([notebook 7](../notebooks/07_when_training_collapses.ipynb)). Of 96 channels some can be lost; of ten, each one is a tenth of all that is left.
# - **No way round.** In the last layer a channel *is* a class: if it is lost, its class is.
#
# The parameters speak for it: in steps, the block costs nearly ten times as much. At once with a 1×1 convolution is cheapest, and leaves out a look at the neighbours and two layers. That these things *can* go wrong is arithmetic. How often they do, and whether a wider block mends it, has to be counted over many runs.
#
# Here is a count, of stored runs of the small network in [notebook 5](../notebooks/05_training.ipynb). Its last block narrows in steps, with 128, 96 and 10 channels; in the other runs it has 10, 10 and 10, as block 4 has. A run has failed when fewer than 0.60 of the held-out images are right after three epochs.

# %% tags=["solution"]
def runs_of(variant):
    return {run["seed"]: run for run in variants()
            if run["variant"] == variant}


wide, narrow = runs_of("as it is"), runs_of("last block 10-10-10")
print("last block  seeds  median  lowest  highest  failed  parameters")
for name, runs in {"128-96-10": wide, "10-10-10": narrow}.items():
    ends = [run["val_accuracy"][-1] for run in runs.values()]
    failed = sum(end < 0.60 for end in ends)
    print(f"{name:10}{len(ends):>7}{median(ends):>8.3f}{min(ends):>8.3f}"
          f"{max(ends):>9.3f}{failed:>8}{runs[0]['parameters']:>12,}")
both = wide.keys() & narrow.keys()
ahead = sum(wide[seed]["val_accuracy"][-1] > narrow[seed]["val_accuracy"][-1]
            for seed in both)
print(f"seeds in both: {len(both)}, 128-96-10 ahead: {ahead}")
assert ahead == len(both) == 10

# %% [markdown] tags=["solution"]
# The narrow block is behind with every seed, and some of its runs fail. But this is one network at 28×28, with one recipe and a few thousand images; three epochs do not say what a long training would. And the recipe has no last ReLU: so the third worry falls away, and the second in the last layer. The two networks differ in the bottleneck, and in their parameters and work as well, so the count cannot say which of these matters. The first of [exercises 5](05_training.ipynb) says how to read such a count. `python benchmarks/variants.py --again "variant=last block 10-10-10" seed=3` repeats one of the runs.

# %% [markdown]
# ## To stretch, exercise 4.3: a family of networks
#
# VGG is a family: the same stages, with more or fewer convolutions in each. **Design** such a family of NiN nets. `family(n)` returns a `Network` for n = 1, 2, 3, with these properties:
#
# - it takes grey images of 64×64 (`input_size=64`) and ends in the average of ten maps;
# - all its blocks are NiN blocks: a k×k convolution with k > 1, then 1×1 convolutions;
# - all three have the same number of `Pool`s, at least one, and each makes the maps smaller;
# - `family(2)` has more blocks than `family(1)`, and `family(3)` more than `family(2)`; apart from repeats they are the same blocks: kernel sizes and widths do not change with n;
# - `family(3)` has fewer than 2,000,000 parameters.
#
# <details><summary>Hint</summary>
#
# `[Block(3, (32, 32, 32), padding=1)] * n` is a list of n blocks that keep the size. Put a `Pool()` behind each such group, and double the width from group to group.
#
# </details>

# %%
def family(n):
    # given
    return ...  # Network((Block(...), ..., Pool(), ...), input_size=64)
    # solution
    stages = []
    for width in (32, 64, 128):
        stages += [Block(3, (width,) * 3, padding=1)] * n + [Pool()]
    last = Block(3, (128, 128, 10), padding=1)
    return Network((*stages, Dropout(), last), input_size=64)
    # end

# %%
check("4.3", family)

# %% tags=["solution"]
print("n  blocks  parameters  multiply-adds  receptive field")
for n in (1, 2, 3):
    member = family(n)
    sums, field = totals(member), shape_flow(member)[-2].receptive_field
    print(f"{n}{len(member.blocks):>8}{sums.parameters:>12,}"
          f"{sums.multiply_adds:>15,}{field:>17}")
print("within the budget:", sums.parameters < 2_000_000)

# %% [markdown] tags=["solution"]
# The stages, the widths and the sizes of the maps stay; only the depth of each stage changes. So the members can be compared: more parameters, more work, and a larger receptive field, each from one cause.
