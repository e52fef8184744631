# ---
# jupyter:
#   chapter:
#     compared: 5
#   jupytext:
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 6: global average pooling
#
# To [notebook 6](../notebooks/06_global_average_pooling.ipynb). Two exercises and one to stretch. **Time** about 35 minutes.

# %%
import time
from statistics import median

import matplotlib.pyplot as plt
import torch
from torch import nn

from nin_lib import network, shape_flow, totals
from nin_lib import torch as nin
from nin_lib.check import check
from nin_lib.data import CLASSES, load
from nin_lib.recorded import trained, variants
from nin_lib.runtime.dataset import to_input

_ = torch.manual_seed(0)

# %% [markdown]
# ## Exercise 6.1: a dense layer in place of the average
#
# What becomes of speed, accuracy and parameters, when dense layers stand in the place of global average pooling? It depends on which. The network of notebook 4, for images of 224×224, in three versions:
#
# - **average**: as it is. Block 4 makes ten maps of 5×5, and each is averaged.
# - **small**: block 4 stays, and *one* dense layer from its ten maps to ten logits stands in the place of the average.
# - **full**: block 4 goes as well. AlexNet's three dense layers (4,096, 4,096 and 10 outputs) read the 384 maps of 5×5 that block 4 used to read.

# %%
for stage in ("block 3", "pool 3", "block 4"):
    row = [r for r in shape_flow(network("chapter"))
           if r.stage == stage][-1]
    print(f"{stage:8} makes {row.size}")
sums = totals(network("chapter"))
print(f"average: {sums.parameters:,} parameters,"
      f" {sums.multiply_adds:,} multiply-adds")

# %% [markdown]
# **Work out** the first two, and **predict** the others from them:
#
# - `small`: the parameters of the small version's dense layer;
# - `full`: the parameters of the full version's three dense layers;
# - `times`: how many times the parameters of the whole network *average* has the whole network *full*? Rounded to a whole number.
# - `more_work`: how many percent more multiply-adds than *average* does *full* do? Rounded to a whole number.
#
# And which of the three learns best in three epochs?
#
# <details><summary>Hint</summary>
#
# A dense layer has a weight for each pair of input and output, and a bias for each output. It uses each weight *once* for an image. And a weight of a convolution? In *full* the work of block 4 is saved: one 3×3 and two 1×1 convolutions, at 25 places.
#
# </details>

# %%
# given
small = ...
full = ...
times = ...
more_work = ...
# solution
small = 10 * 5 * 5 * 10 + 10
full = (384 * 5 * 5 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 10
block_4 = (384 * 3 * 3 + 1) * 10 + 2 * (10 + 1) * 10  # parameters
work_4 = (384 * 3 * 3 + 2 * 10) * 10 * 5 * 5  # its multiply-adds
weights = full - 4096 - 4096 - 10
times = round((sums.parameters - block_4 + full) / sums.parameters)
more_work = round(100 * (weights - work_4) / sums.multiply_adds)
# end

# %%
check("6.1", small, full, times, more_work)

# %% tags=["solution"]
print(f"small {small:,}, full {full:,}: {times} times the parameters,"
      f" {more_work} % more work\n")
versions = {"average": "chapter", "small": "nin-dense-10",
            "full": "nin-alexnet-head"}
print("at 224×224   parameters  multiply-adds")
for name, spec in versions.items():
    its = totals(network(spec))
    print(f"{name:10}{its.parameters:>13,}{its.multiply_adds:>15,}")

# %% [markdown] tags=["solution"]
# **Parameters:** the small layer adds next to nothing, the full head makes the network 29 times as large. So it is not the average that saves the parameters; it is doing without wide dense layers.
#
# **Speed:** 29 times the parameters, and only 7 % more work. (Who said twenty-eight times as much took weights for work.) A dense weight is used once for an image, a weight of block 1 at 54×54 places. In training, each parameter also has to be stored, with its gradient, and moved in each step. Here are times, which differ from machine to machine:

# %% tags=["solution", "nbval-ignore-output"]
def seconds(function, repeats=3):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return median(times)


def step():
    """Forward and backward, and a step of the optimizer."""
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(batch), labels).backward()
    optimizer.step()


@torch.no_grad()
def answer():
    model.eval()(batch)


batch, labels = torch.rand(8, 1, 224, 224), torch.arange(8)
print("8 images   prediction  training step")
for name, spec in versions.items():
    model = nin.NiN(network(spec))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    step()  # the first one is slower
    trains, predicts = seconds(step), seconds(answer)
    print(f"{name:8}{predicts:>11.2f} s{trains:>13.2f} s")

# %% [markdown] tags=["solution"]
# **Accuracy** has to be tried. These are stored runs of the class network at 28×28, with the default recipe, at its learning rate and at a lower one, and three epochs; a run has failed below 0.60 of the held-out images. (`python benchmarks/variants.py --again "variant=as it is" seed=3` repeats one of them.) The small layer goes from 490 numbers to 10; the full head, with 512, 512 and 10 outputs, reads the 2,352 numbers that block 3 used to read.

# %% tags=["solution"]
stored = {"average": "as it is", "small": "one dense layer 490 → 10",
          "full": "dense 2352 → 512 → 512 → 10"}
runs = variants()
print("at 28×28  parameters  multiply-adds")
for name, variant in stored.items():
    one = next(run for run in runs if run["variant"] == variant)
    print(f"{name:8}{one['parameters']:>12,}{one['multiply_adds']:>15,}")


def ends(name, rate):
    """seed → held-out accuracy after the last epoch."""
    parts = [stored[name]] if rate == 0.2 or name != "average" else []
    parts += ["learning rate 0.05"] if rate == 0.05 else []
    variant = ", ".join(parts)
    return {run["seed"]: run["val_accuracy"][-1] for run in runs
            if run["variant"] == variant}


for rate in (0.2, 0.05):
    average = ends("average", rate)
    print(f"\nrate {rate:4}  seeds  least median   most  failed"
          "  ahead of the average")
    for name in stored:
        mine = ends(name, rate)
        values = sorted(mine.values())
        failed = sum(value < 0.60 for value in values)
        ahead = sum(mine[seed] > average[seed] for seed in mine)
        print(f"{name:9}{len(values):>6}{values[0]:>7.3f}"
              f"{median(values):>7.3f}{values[-1]:>7.3f}{failed:>8}"
              + (f"{ahead:>14}" if name != "average" else ""))
        assert name == "average" or ahead == len(mine) == 10

# %% [markdown] tags=["solution"]
# After three epochs both dense endings are ahead, the small one with a few thousand parameters more and the full one with nearly five times as many in all. So the number of parameters does not decide here. At this size the full version even does *less* work than the average: what it saves with block 3 is more than its dense layers cost.
#
# The second table is there because a recipe may suit one network better than another. With a rate a quarter as large all three do worse, and both dense endings still lead. Other rates, a long training and 224×224 remain untried. (The paper trained long, and found the average ahead; [notebook 6](../notebooks/06_global_average_pooling.ipynb) has its figures.)

# %% [markdown]
# ## Exercise 6.2: find the bug
#
# Somebody draws class maps. Each map is brought to the range from 0 to 1 first, "so that one can see something". Here are two maps of two classes, and what is left of them:

# %%
def their_scale(maps):
    """N×C×H×W → N×C×H×W"""
    low = maps.amin(dim=(2, 3), keepdim=True)
    high = maps.amax(dim=(2, 3), keepdim=True)
    return (maps - low) / (high - low)


tiny = torch.tensor([[[[8., 4.], [0., 4.]],
                      [[-2., -1.], [-2., -1.]]]])  # 1×2×2×2
print("logits:          ", tiny.mean(dim=(2, 3)).tolist())
print("means afterwards:", their_scale(tiny).mean(dim=(2, 3)).tolist())

# %% [markdown]
# Class 0 has strong evidence and class 1 has nothing but evidence *against* it. In the picture they look alike. **Write** a better one: `scaled(maps)` divides, so that
#
# - the numbers are from −1 to 1, and in each image the strongest cell of all maps becomes 1 or −1;
# - evidence for a class stays positive, evidence against it negative, and 0 stays 0;
# - two maps of one image compare as they did before;
# - an image looks the same, whatever other images are in the batch.
#
# <details><summary>Hint</summary>
#
# One number for each image: the largest magnitude in it. Over which axes of N×C×H×W do you have to look for it? `keepdim=True` leaves a shape that one can divide by.
#
# </details>

# %%
def scaled(maps):
    # given
    return ...
    # solution
    return maps / maps.abs().amax(dim=(1, 2, 3), keepdim=True)
    # end

# %%
check("6.2", scaled)

# %% [markdown] tags=["solution"]
# A map says something only beside the other maps of the same image. So they share one scale, and the middle of it is 0. On real maps, those of the trained network: how often is another class in front than before?

# %% tags=["solution"]
model, val = trained("paper-mnist"), load("mini").val.first(250)
with torch.no_grad():
    maps = model.maps(to_input(torch.tensor(val.images)))  # N×10×7×7
before = maps.mean(dim=(2, 3)).argmax(dim=1)
others = {}
for name, scale in {"theirs": their_scale, "yours": scaled}.items():
    after = scale(maps).mean(dim=(2, 3)).argmax(dim=1)
    others[name] = (after != before).float().mean().item()
print("theirs: another class in front in more than one of five images:",
      others["theirs"] > 0.2)
print("yours: another class in front:", others["yours"] > 0)

# %% tags=["solution"] mystnb={"image": {"alt": "The maps of ten classes for one garment, drawn twice. Above, each on its own scale, nearly all of them look strong somewhere. Below, on one scale, the map of the right class stands out."}}
figure, axes = plt.subplots(2, 10, figsize=(10, 2.6))
pictures = {"theirs": (their_scale(maps), 0), "yours": (scaled(maps), -1)}
for row, (name, (picture, least)) in zip(axes, pictures.items(), strict=True):
    for c, axis in enumerate(row):
        axis.imshow(picture[0, c].numpy(), cmap="RdBu",
                    vmin=least, vmax=1)
        against = (picture[0, c] < 0).nonzero(as_tuple=True)
        axis.plot(against[1], against[0], "k.", markersize=2)
        right = "▲ " if c == val.labels[0] else ""
        axis.set_title(f"{right}{CLASSES[c]}", fontsize=7)
        axis.set(xticks=[], yticks=[])
    row[0].set_ylabel(name)
figure.tight_layout()
plt.show()

# %% [markdown] tags=["solution"]
# By its looks the upper row may even be the better picture: there is more to see. That it is wrong takes a number to find, one that has to come out the same. Here it is the class with the highest mean.

# %% [markdown]
# ## To stretch, exercise 6.3: one dense layer for both
#
# Many networks end in an average *and then* a dense layer: C maps of H×W cells are averaged, and `weight` (K×C) makes K logits of the C means. Without the average, *one* dense layer on the flattened maps could do the same. **Write** its weights: a function of `weight`, `height` and `width` that returns K×(C·H·W) numbers.

# %%
maps = torch.rand(2, 3, 4, 5)  # N×C×H×W
weight = torch.rand(6, 3)  # K×C
print("average, then dense:", tuple((maps.mean(dim=(2, 3)) @ weight.T).shape))
print("flattened:", tuple(maps.flatten(1).shape))

# %% [markdown]
# <details><summary>Hint</summary>
#
# In a flattened image, which numbers stand next to each other? Notebook 6 has written such a matrix by hand, for a `weight` that was the identity. `repeat` and `repeat_interleave` differ in the order: try both on `torch.tensor([1, 2])`.
#
# </details>

# %%
def one_layer(weight, height, width):
    # given
    return ...
    # solution
    cells = height * width
    return (weight / cells).repeat_interleave(cells, dim=1)
    # end

# %%
check("6.3", one_layer)

# %% tags=["solution"]
both = maps.mean(dim=(2, 3)) @ weight.T
one = maps.flatten(1) @ one_layer(weight, 4, 5).T
print("one layer does the same:", torch.allclose(both, one, atol=1e-6))
numbers = one_layer(weight, 4, 5)
print(f"{numbers.numel()} weights, {numbers.unique().numel()} different")
conv = nn.functional.conv2d(maps, weight[:, :, None, None])  # 1×1
print("a 1×1 convolution, then the average:",
      torch.allclose(conv.mean(dim=(2, 3)), both, atol=1e-6))

# %% [markdown] tags=["solution"]
# A trained dense layer on the flattened maps could have a weight of its own for each cell. These have not: all the cells of a map share one, which is why the answer does not depend on the order of the cells. Shuffle the columns within each map's group, and nothing changes.
#
# The last line turns the two around: a 1×1 convolution first, the average afterwards. That is how NiN ends, and it is the reason why such networks have class maps, too: the dense layer's weights, applied at each cell, give a map for each class, and its mean is the logit (but for the bias).
