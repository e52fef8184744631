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
# # Exercises 11: where it went
#
# To [notebook 11](../notebooks/11_where_it_went.ipynb). Two exercises and one to stretch. **Time** about 35 minutes.

# %%
import torch
from torch.nn import functional as F

from nin_lib.check import check

_ = torch.manual_seed(0)

# %% [markdown]
# ## Exercise 11.1: bottleneck or separable?
#
# Two ways to spend less than a 3×3 convolution from c channels to c channels:
#
# - a *bottleneck*: 1×1 from c to c / 4, then 3×3 at that width, then 1×1 back to c;
# - a *separable* one: depthwise 3×3 on c channels, then 1×1 from c to c.
#
# **Write** for both how many weights they have (no biases; c is a multiple of 4). **Predict** first which has fewer with very few channels, and which with very many. Then find the smallest multiple of 4 from which on the separable one has *fewer*.
#
# <details><summary>Hint</summary>
#
# On paper, both are a number times c², one of them with something else added. Or let a loop look for it.
#
# </details>

# %%
def bottleneck(c):
    # given
    return ...
    # solution
    narrow = c // 4
    return c * narrow + 9 * narrow * narrow + narrow * c
    # end


def separable(c):
    # given
    return ...
    # solution
    return 9 * c + c * c
    # end


# given
fewer_from = ...
# solution
fewer_from = 4
while separable(fewer_from) >= bottleneck(fewer_from):
    fewer_from += 4
# end

# %%
check("11.1", bottleneck, separable, fewer_from)

# %% tags=["solution"]
print("channels   3×3 alone  bottleneck   separable")
for c in (16, 64, 144, 148, 256, 1024):
    print(f"{c:8}{9 * c * c:>12,}{bottleneck(c):>12,}{separable(c):>12,}")
    assert max(bottleneck(c), separable(c)) < 0.2 * 9 * c * c

# %% [markdown] tags=["solution"]
# The bottleneck has (1/4 + 9/16 + 1/4) c² = 17/16 c² weights, the separable one c² + 9c. With few channels the 9c weigh more; where c/16 = 9, with 144 channels, the two are equal; beyond that the separable one is ahead by a little. In each of these rows both leave out more than eight tenths of the 3×3 alone. What they give up is not the same. In a bottleneck the 3×3 sees mixtures, a quarter as many as there are channels; in a separable one it sees each channel alone, through one pattern.

# %% [markdown]
# ## Exercise 11.2: the 1×1 first
#
# Notebook 11 multiplied the weights of a depthwise convolution with a 1×1 *behind* it. Now the 1×1 comes *first*: from `c_in` to `c_out` channels with the matrix P (`c_out` × `c_in`), then a depthwise 3×3 with the kernels D (`c_out` × 3 × 3). There is no ReLU between them and there are no biases. **Write** the weight of the one 3×3 convolution that does the same (`c_out` × `c_in` × 3 × 3).
#
# <details><summary>Hint</summary>
#
# Follow one input channel c to one output o: it is multiplied by $P_{oc}$, and then a kernel passes over it. Which one, that of c or that of o? `torch.einsum` takes the letters as they stand in your formula.
#
# </details>

# %%
def merged(P, D):
    # given
    return ...
    # solution
    return torch.einsum("oc,oij->ocij", P, D)
    # end

# %%
check("11.2", merged)

# %% tags=["solution"]
x = torch.rand(1, 8, 6, 7).double()
P, D = torch.randn(16, 8).double(), torch.randn(16, 3, 3).double()


def two_steps(x, bias=None):
    maps = F.conv2d(x, P[:, :, None, None], bias)
    return F.conv2d(maps, D[:, None], padding=1, groups=16)


single = F.conv2d(x, merged(P, D), padding=1)
print("equal:", torch.allclose(single, two_steps(x)))

bias = torch.randn(16).double()
through = bias * D.sum(dim=(1, 2))  # all nine places of the kernel
apart = (two_steps(x, bias) - single - through[:, None, None]).abs()
inside = apart[:, :, 1:-1, 1:-1]
print("with a bias in the 1×1, inside the image:", bool(inside.max() < 1e-9))
print("and at its border:", bool(apart.max() < 1e-9))

# %% [markdown] tags=["solution"]
# The kernel is that of the output: the depthwise convolution finds mixtures already. A bias between the two is another matter. Inside the image it arrives as a constant. At the border the depthwise convolution pads the *mixtures* with zeros, bias and all, so less of it arrives there, and no single convolution with one bias does the same. (In the order of notebook 11 the bias comes after the padding, and does no harm.)

# %% [markdown]
# ## To stretch, exercise 11.3: which kernels can be split?
#
# Given the weight of a 3×3 convolution (`c_out` × `c_in` × 3 × 3): can it be split, without loss, into a depthwise convolution and a 1×1 behind it? And into a 1×1 and a depthwise convolution behind it? **Return** two truth values, in this order.
#
# <details><summary>Hint</summary>
#
# Notebook 11 took the kernels that read one *input* channel, as rows of 9 numbers: rank 1 when they are all multiples of one pattern. It has to hold for every input channel. (A rank of 0 is no obstacle.) For the other order, exercise 11.2 says which kernels have to be multiples of each other. `torch.linalg.matrix_rank` takes a stack of matrices.
#
# </details>

# %%
def can_be_split(weight):
    # given
    return ...
    # solution
    rows = weight.flatten(2)  # c_out × c_in × 9
    of_one_input = torch.linalg.matrix_rank(rows.transpose(0, 1))
    of_one_output = torch.linalg.matrix_rank(rows)
    return bool(of_one_input.max() <= 1), bool(of_one_output.max() <= 1)
    # end

# %%
check("11.3", can_be_split)

# %% tags=["solution"]
edges = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
mixed = torch.randn(16, 8)
for name, weight in {
    "any weights": torch.randn(16, 8, 3, 3),
    "a pattern for each input": torch.einsum(
        "oc,cij->ocij", mixed, torch.randn(8, 3, 3)),
    "a pattern for each output": merged(mixed, torch.randn(16, 3, 3)),
    "one pattern for all": mixed[:, :, None, None] * edges,
}.items():
    print(f"{name:26}", *can_be_split(weight))

# %% [markdown] tags=["solution"]
# Hardly any kernel can: in a random one the nine numbers of each pair of channels are their own. Who replaces a trained 3×3 convolution by a separable one has to train anew, or accept an error.
