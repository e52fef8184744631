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
# # Exercises 1: why NiN
#
# To [notebook 1](../notebooks/01_why_nin.ipynb). Two exercises and one to stretch. **Time** about 15 minutes.

# %%
from dataclasses import replace

from nin_lib import network, shape_flow, totals
from nin_lib.check import check

# %% [markdown]
# ## Exercise 1.1: what any dense head costs
#
# Notebook 1 counted the first dense layer of AlexNet by hand. Here it is again, with 256 maps of 5×5 and 4,096 outputs:

# %%
inputs = 256 * 5 * 5
print(f"{inputs * 4096 + 4096:,}")

# %% [markdown]
# Now for any head: `channels` maps of `side`×`side` numbers arrive, and dense layers of the given `widths` follow each other. What comes out of one layer goes into the next. Fill in the three blanks.
#
# <details><summary>Hint</summary>
#
# The first layer has a weight for each pair of input and output, and a bias for each output. The second layer does the same, but how many inputs has it?
#
# </details>

# %%
def head_parameters(channels, side, widths):
    # given
    inputs = ...  # how many numbers arrive at the first dense layer?
    # solution
    inputs = channels * side * side
    # end
    total = 0
    for outputs in widths:
        # given
        total += ...  # the weights and biases of this layer
        inputs = ...  # how many numbers arrive at the next one?
        # solution
        total += inputs * outputs + outputs
        inputs = outputs
        # end
    return total

# %%
check("1.1", head_parameters)

# %% [markdown] tags=["solution"]
# The whole head of AlexNet, for the images of notebook 1 and for larger ones:

# %% tags=["solution"]
for size in (224, 256, 320):
    last = [row for row in shape_flow(network("alexnet"), size)
            if row.layer != "dense"][-1]
    channels, side, _ = last.shape
    count = head_parameters(channels, side, [4096, 4096, 10])
    print(f"{size}: {side}×{side} maps, {count:>10,} parameters")

# %% [markdown] tags=["solution"]
# Only the first layer grows, in step with the number of places. The other two see 4,096 numbers, whatever the image.

# %% [markdown]
# ## Exercise 1.2: twice as high and wide
#
# Suppose AlexNet is given images of 448×448 instead of 224×224. These are its last maps before the head:

# %%
for size in (224, 448):
    rows = [r for r in shape_flow(network("alexnet"), size)
            if r.layer != "dense"]
    print(size, "→", rows[-1].size)

# %% [markdown]
# **Predict**, before you compute anything: by what factor do these three grow? Give whole numbers, rounded.
#
# <details><summary>Hint</summary>
#
# Which of the three depend on the number of *places*? And look again at the last maps: is it twice the side that arrives at the head?
#
# </details>

# %%
# given
first_dense = ...  # parameters of the first dense layer
convolutions = ...  # parameters of all convolutions
work = ...  # multiply-adds of the first convolution
# solution
first_dense = 6
convolutions = 1
work = 4
# end

# %%
check("1.2", first_dense, convolutions, work)

# %% tags=["solution"]
def counts(size):
    rows = shape_flow(network("alexnet"), size)
    convs = [row for row in rows if "conv" in row.layer]
    dense = next(row for row in rows if row.layer == "dense")
    return (dense.parameters, sum(row.parameters for row in convs),
            convs[0].multiply_adds)


names = ("first_dense", "convolutions", "work")
for name, a, b in zip(names, counts(224), counts(448), strict=True):
    print(f"{name:13}{a:>13,} → {b:>13,}, factor {b / a:.2f}")

# %% [markdown] tags=["solution"]
# A convolution keeps its kernel and uses it at about four times as many places: no new parameters, about four times the work (and not exactly four times, because of the edges). The dense layer has a weight for each number that arrives.
#
# If you said 4 for the dense layer, you thought right and forgot the rounding: it is not 5 → 10 but 5 → 12, because at 224 the strides throw away more at the edge. 12 × 12 places, where there were 5 × 5, make it nearly 6.

# %% [markdown]
# ## To stretch, exercise 1.3: the widest head that you can afford
#
# You have 10,000,000 parameters. Keep the convolutions of AlexNet (for 224×224) and give it a head of *two* dense layers: one of width `width`, then the 10 classes. What is the largest width that you can afford?

# %%
rows = shape_flow(network("alexnet"))
convs = [row for row in rows if "conv" in row.layer]
print(f"the convolutions: {sum(row.parameters for row in convs):,}")

# %% [markdown]
# <details><summary>Hint</summary>
#
# Each unit of width brings 6,400 weights from the maps, one bias, and ten weights to the classes. What else is there, whatever the width?
#
# </details>

# %%
# given
width = ...
# solution
left = 10_000_000 - 3_723_968 - 10  # the ten biases of the classes
width = left // (6400 + 1 + 10)
# end

# %%
check("1.3", width)

# %% tags=["solution"]
lean = replace(network("alexnet"), dense=(width, 10))
print(f"width {width}: {totals(lean).parameters:,} parameters")
print(f"NiN:       {totals(network('chapter')).parameters:,}")

# %% [markdown] tags=["solution"]
# A layer of 978 is still a wide one. NiN would fit five times into the same budget, and it has no such layer at all.
