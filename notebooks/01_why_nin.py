# ---
# jupyter:
#   chapter:
#     compared: 7
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["slide"]
# # 1. Why Network in Network
#
# Around 2013 an image classifier usually had two parts: convolutions that look for patterns, then a *[head](../book/glossary.md#head)* of [dense layers](../book/glossary.md#dense-layer) that decides. The head looks harmless. In this notebook you find out what it costs, and what Network in Network (NiN) puts in its place.
#
# **You will learn**
#
# 1. to work out where the parameters of such a network are;
# 2. what a dense head does to *place* and to *image size*;
# 3. the two ideas with which NiN does without it.
#
# **You need** convolutions, pooling and dense layers by name. **Time** about 8 minutes.

# %%
import matplotlib.pyplot as plt

from nin_lib import network, shape_flow, totals
from nin_lib.widgets import Choice, Predict

# %% [markdown] tags=["slide"]
# ## A network in two parts
#
# AlexNet ([Krizhevsky, Sutskever and Hinton 2012](../book/references.bib#krizhevsky2012imagenet)) is the network that began the story. Here it is as *Dive into Deep Learning* ([Zhang et al. 2023](../book/references.bib#zhang2023d2l)) adapts it to the images of this chapter: one channel (grey), 224 pixels high and wide, ten classes. (The original was made for colour images and for many more classes, so its numbers differ.) `shape_flow` walks through its layers and does the arithmetic of each one; no network is built or run yet.

# %% tags=["slide-more"]
alexnet = network("alexnet")
for row in shape_flow(alexnet):
    print(f"{row.layer:26}{row.size}")

# %% [markdown]
# Read it from top to bottom: the maps become smaller and more numerous, until 256 maps of 5×5 numbers are left. Then three dense layers, the *head*, turn them into 10 numbers, one for each class.

# %% [markdown] tags=["slide"]
# **Predict before you go on.** Eight layers of this network have [parameters](../book/glossary.md#parameters): five convolutions and three dense layers. What percentage of all its parameters is in the three dense layers? Write your guess into the next cell.

# %%
my_guess = 50  # percent

# %% [markdown]
# The first dense layer alone: each of its 4,096 outputs has a weight for *every* number that comes in, and one bias.

# %%
inputs = 256 * 5 * 5
weights = inputs * 4096
biases = 4096
print(f"{inputs:,} inputs, so {weights:,} weights and {biases:,} biases")
print(f"together {weights + biases:,} parameters")
first = next(row for row in shape_flow(alexnet) if row.layer == "dense")
print("shape_flow says the same:", first.parameters == weights + biases)

# %% [markdown]
# A convolution, on the other hand, uses the same small kernel at every place. Now all the layers together:

# %% tags=["slide-more", "slide-output"]
parameters = {"convolutions": 0, "dense layers": 0}
for row in shape_flow(alexnet):
    kind = "dense layers" if row.layer == "dense" else "convolutions"
    parameters[kind] += row.parameters

total = sum(parameters.values())
for kind, number in parameters.items():
    print(f"{kind:13}{number:>12,}  {100 * number / total:.0f} %")
print(f"{'together':13}{total:>12,}")
print(f"your guess was {my_guess} % for the dense layers")

# %% mystnb={"image": {"alt": "Bar chart of the parameters of AlexNet, layer by layer: the first two dense layers tower over all convolutions."}} tags=["slide"]
layers = [row for row in shape_flow(alexnet) if row.parameters]
names = [f"{row.layer}\n→ {row.size}" for row in layers]
millions = [row.parameters / 1e6 for row in layers]

plt.figure(figsize=(9, 3))
bars = plt.bar(range(len(layers)), millions, color="#0072B2")
for bar, row in zip(bars, layers, strict=True):
    if row.layer == "dense":
        bar.set(facecolor="#D55E00", hatch="//", edgecolor="white")
plt.xticks(range(len(layers)), names, fontsize=7)
plt.ylabel("million parameters")
plt.title("AlexNet: convolutions (blue), dense layers (orange)")
plt.tight_layout()
plt.show()

# %% [markdown]
# The convolutions, which do the seeing, hold a small part of the parameters; the first two dense layers hold nearly all the rest. Was your guess too low? Five of eight layers are convolutions, but counting layers misleads: a convolution needs one small kernel for each pair of channels, a dense layer one weight for each pair of *numbers*.

# %% [markdown] tags=["slide"]
# ## What a dense head does to place and size
#
# **Place.** The head begins by laying all the numbers in one long row, and gives every one of them weights of its own. So what it learns about a pattern in the upper left does not help in the lower right. And it does not know which places are neighbours: shuffle the row once and for all, and it could be trained just as well.
#
# **Size.** A dense layer has one weight for each number that arrives, so it is made for one image size. **Predict:** what happens to the number of parameters when AlexNet, and when NiN, is made for larger images?

# %% tags=["slide-more"]
nin = network("chapter")
print("image size      AlexNet          NiN")
for size in (224, 256, 320):
    left = totals(alexnet, size).parameters
    right = totals(nin, size).parameters
    print(f"{size:>10}   {left:>10,}   {right:>10,}")

# %% [markdown]
# The right column does not move. Why not?
#
# <details><summary>Answer</summary>
#
# In NiN only convolutions have parameters, and a convolution uses one kernel at every place: more places, same kernel. At the end each map is *averaged*, whatever its size. No layer needs to know how large the image was.
#
# </details>

# %% [markdown] tags=["slide"]
# ## The two ideas
#
# Min Lin, Qiang Chen and Shuicheng Yan proposed in *Network In Network* ([2014](../book/references.bib#lin2014nin); a preprint came out in December 2013) to
#
# 1. follow each convolution by **1×1 convolutions**: a small multilayer perceptron applied at every pixel, which mixes the channels found there (notebooks [2](02_one_by_one_convolution.ipynb) and [3](03_nin_block.ipynb));
# 2. end with **global average pooling**: as many maps as classes, and the mean of each map is the score of its class (notebooks [4](04_nin_network.ipynb) and [6](06_global_average_pooling.ipynb)).

# %% [markdown] tags=["slide"]
# **Which network is the paper's?** Keep two apart:
#
# - The networks *in the paper* have three blocks and are for small images. `network("paper-mnist")` is one of them; we train it in [notebook 5](05_training.ipynb).
# - The network with four blocks, for images of 224×224, is *not* in the paper. It came later, as [Min Lin's model for ImageNet](https://gist.github.com/mavenlin/d802a5849de39225bcc6), with AlexNet's kernel sizes 11, 5 and 3. *Dive into Deep Learning* adapted it to Fashion-MNIST. That is the one built in this chapter.

# %%
for row in shape_flow(nin):
    print(f"{row.stage:11}{row.layer:26}{row.size:11}{row.parameters:>8,}")

# %% [markdown]
# Read it as before, now with the parameters in the last column. Look at the end: the head of NiN has none.

# %% [markdown] tags=["slide"]
# ## Fewer parameters: is that less work?
#
# A *multiply-add* is one multiplication and one addition, the unit in which the work of a network is counted. The next table counts them for one image. (VGG-11, a larger network of 2014, is there for comparison.)

# %% jupyter={"source_hidden": true} tags=["remove-input", "slide-more"]
Predict("How many multiply-adds does NiN need, compared with AlexNet?", [
    Choice("far fewer, as with the parameters", False,
           "What NiN saves is the dense head, and a dense weight is used "
           "once for an image. The head holds nearly all of AlexNet's "
           "parameters and does little of its work."),
    Choice("somewhat fewer", True,
           "Most of the work is in the convolutions, whose weights are used "
           "at every place, and NiN has those too. It saves the head, and "
           "adds 1×1 convolutions."),
    Choice("far more, because it has more layers", False,
           "It has more convolutions, but eight of them are 1×1, and such "
           "small kernels do little work at each place."),
])

# %% tags=["slide-more", "slide-output"]
print(f"{'':8}{'parameters':>14}{'multiply-adds':>16}")
for name in ("alexnet", "vgg11", "chapter"):
    sums = totals(network(name))
    print(f"{name:8}{sums.parameters:>14,}{sums.multiply_adds:>16,}")

a, n = totals(alexnet), totals(nin)
print()
dense = [row for row in shape_flow(alexnet) if row.layer == "dense"]
head = sum(row.multiply_adds for row in dense)
print(f"AlexNet's head does {100 * head / a.multiply_adds:.0f} % of its work")
print("AlexNet : NiN")
print(f"parameters     {a.parameters / n.parameters:.0f} : 1")
print(f"multiply-adds  {a.multiply_adds / n.multiply_adds:.1f} : 1")

# %% [markdown] tags=["slide"]
# NiN needs only somewhat fewer than AlexNet.
#
# > **Misconception: "fewer parameters, so less work."** A dense weight is used once for an image; a weight of a convolution is used once *at every place*. So AlexNet's head holds nearly all the parameters and does little of the work. NiN saves the head, and spends part of the work on 1×1 convolutions instead.
#
# Keep parameters and work apart whenever somebody calls a network "small". Memory and time are two more things again: [notebook 8](08_the_cost.ipynb) counts them all.

# %% [markdown] tags=["slide"]
# ## Take-aways
#
# 1. In AlexNet most parameters are in the dense head, because a dense layer has a weight for every pair of input and output.
# 2. A dense head learns every place separately, without knowing which are neighbours, and it fixes the image size.
# 3. NiN mixes channels with 1×1 convolutions at every pixel, and averages one map per class at the end. Without the wide dense layers it has far fewer parameters; the work stays of the same order.

# %% [markdown] tags=["slide"]
# **Before you go on, from memory:** Which single layer of AlexNet has the most parameters, and why? Why does the parameter count of NiN not depend on the size of the image?
#
# **Exercises that check themselves:** [two, and one to stretch](exercises/01_why_nin.ipynb).
