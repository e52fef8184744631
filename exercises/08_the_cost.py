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
# # Exercises 8: the cost
#
# To [notebook 8](../notebooks/08_the_cost.ipynb). Two exercises and one to stretch. **Time** about 30 minutes.

# %%
from nin_lib import Block, Dropout, Network, Pool
from nin_lib import network, shape_flow, totals
from nin_lib.check import check

MIB = 2**20

# %% [markdown]
# ## Exercise 8.1: memory in training and in prediction
#
# Notebook 8 estimated both. Now write the estimates as functions of a description, in **bytes**, with 4 bytes a number.
#
# - `training(spec, batch, copies)`: `copies` numbers for each parameter (two: itself and its gradient; three with momentum), and the activations of all layers, the image with them, for each image of the batch.
# - `prediction(spec)`: each parameter once, and the largest pair of what goes into a layer and what comes out, for one image.
#
# What you need of a description is in `totals`, and layer by layer in `shape_flow`. First worked, the parameters of NiN and its activations:

# %%
spec = network("chapter")
sums = totals(spec)
print(f"{sums.parameters:,} parameters, {sums.activations:,} activations")
image = spec.in_channels * spec.input_size**2
maps = [image] + [r.activations for r in shape_flow(spec) if r.activations]
print("the first maps:", maps[:3], " all of them:", sum(maps))

# %% [markdown]
# <details><summary>Hint</summary>
#
# In training everything adds up, and only the activations are multiplied by the batch. In prediction, `zip(maps, maps[1:])` gives each map with the next one.
#
# </details>

# %%
def training(spec, batch, copies):
    sums = totals(spec)
    # given
    return ...
    # solution
    return 4 * (copies * sums.parameters + batch * sums.activations)
    # end


def prediction(spec):
    image = spec.in_channels * spec.input_size**2
    rows = shape_flow(spec)
    maps = [image] + [row.activations for row in rows if row.activations]
    # given
    pair = ...  # the largest pair of neighbours
    return ...
    # solution
    pair = max(a + b for a, b in zip(maps, maps[1:], strict=False))
    return 4 * (totals(spec).parameters + pair)
    # end

# %%
check("8.1", training, prediction)

# %% tags=["solution"]
print("MiB             batch 128  with momentum  prediction")
for name in ("lenet", "alexnet", "vgg11", "chapter", "paper-mnist"):
    spec = network(name)
    mib = (training(spec, 128, 2), training(spec, 128, 3), prediction(spec))
    numbers = [f"{number / MIB:.1f}" for number in mib]
    print(f"{name:12}{numbers[0]:>13}{numbers[1]:>15}{numbers[2]:>12}")

# %% [markdown] tags=["solution"]
# In prediction NiN is about as lean as its parameters suggest. In training it is not: its activations are multiplied by 128, and its parameters are not. (These are estimates. What else PyTorch keeps is measured in notebook 8.)

# %% [markdown]
# ## Exercise 8.2: what one more 1×1 costs
#
# The network with one and with two 1×1 convolutions in each of its four blocks:

# %%
print("             parameters  multiply-adds  activations")
for name in ("nin-one-1x1", "chapter"):
    sums = totals(network(name))
    print(f"{name:12}{sums.parameters:>11,}{sums.multiply_adds:>15,}"
          f"{sums.activations:>13,}")

# %% [markdown]
# **Work out** all three numbers for *five* in each block.
#
# <details><summary>Hint</summary>
#
# What does the second 1×1 convolution of each block add? Would the third add anything else?
#
# </details>

# %%
# given
parameters = ...
multiply_adds = ...
activations = ...
# solution
one, two = totals(network("nin-one-1x1")), totals(network("chapter"))
parameters = two.parameters + 3 * (two.parameters - one.parameters)
multiply_adds = (two.multiply_adds
                 + 3 * (two.multiply_adds - one.multiply_adds))
activations = two.activations + 3 * (two.activations - one.activations)
# end

# %%
check("8.2", parameters, multiply_adds, activations)

# %% tags=["solution"]
def nin_with(count):
    """The chapter's network with so many 1×1 convolutions in a block."""
    n, pool = count + 1, Pool()
    return Network((
        Block(11, (96,) * n, stride=4), pool,
        Block(5, (256,) * n, padding=2), pool,
        Block(3, (384,) * n, padding=1), pool,
        Dropout(), Block(3, (10,) * n, padding=1),
    ))


print("1×1   parameters  multiply-adds  activations")
for count in range(6):
    sums = totals(nin_with(count))
    print(f"{count:3}{sums.parameters:>13,}{sums.multiply_adds:>15,}"
          f"{sums.activations:>13,}")
print(f"each adds {two.parameters - one.parameters:,},"
      f" {two.multiply_adds - one.multiply_adds:,}"
      f" and {two.activations - one.activations:,}")

# %% [markdown] tags=["solution"]
# A 1×1 convolution takes the channels of its block and makes as many, so the next one finds what it found, and costs the same. The parameters and the work grow slowly, because the kernels are small. The activations do not: without any 1×1 layer 670,084 are left of NiN's 1,687,160. More than half of what waits in training is there for the 1×1 layers.

# %% [markdown]
# ## To stretch, exercise 8.3: as many parameters, half the memory
#
# **Design** a network that is leaner to train than NiN and not smaller:
#
# - NiN blocks (a k×k convolution with k > 1, then 1×1 convolutions), grey images of 224×224, the average of ten maps at the end;
# - between 90 and 110 % of the parameters of `network("chapter")`;
# - at most half of its activations, and no more multiply-adds.
#
# <details><summary>Hint</summary>
#
# `print(text_table(network("chapter")))` (from `nin_lib`) shows where the activations are and where the parameters are. They are not in the same blocks. Take channels where there are many places, and give channels where there are few.
#
# </details>

# %%
# given
lean = ...  # Network((Block(...), Pool(), ...))
# solution
lean = Network((
    Block(11, (24, 24, 24), stride=4), Pool(),
    Block(5, (96, 96, 96), padding=2), Pool(),
    Block(3, (640, 640, 640), padding=1), Pool(),
    Dropout(), Block(3, (96, 96, 10), padding=1),
))
# end

# %%
check("8.3", lean)

# %% tags=["solution"]
for name, spec in {"NiN": network("chapter"), "lean": lean}.items():
    sums, mib = totals(spec, 224), training(spec, 128, 3) / MIB
    print(f"{name:5}{sums.parameters:>10,} parameters"
          f"{sums.multiply_adds:>12,} multiply-adds\n"
          f"{sums.activations:>15,} activations"
          f"{mib:>10.0f} MiB to train")
share = 100 * totals(lean).parameters / totals(network("chapter")).parameters
print("within the budget:", 90 <= share <= 110)

# %% [markdown] tags=["solution"]
# The activations come from the early maps, where a channel has 54×54 places; the parameters come from the late ones, where it has 12×12. So a channel early costs memory and work, a channel late costs parameters. That the lean network has the same number of parameters does not make it as good: what its 24 early channels miss, no later layer can see.
