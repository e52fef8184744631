# ---
# jupyter:
#   chapter:
#     compared: 13
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["slide"]
# # 8. The cost
#
# NiN has few parameters. Is it a small network, then? That depends on what you pay for: parameters, work, memory or time. In this notebook you count each of them, and set NiN beside LeNet, AlexNet and VGG-11.
#
# **You will learn**
#
# 1. to work out the parameters, multiply-adds and activations of a layer on paper, and of a whole network by code;
# 2. to say where a network spends each of the three, and what a change of design does to them;
# 3. to estimate the memory of training and of prediction.
#
# **You need** the shapes of [notebook 4](04_nin_network.ipynb). **Time** about 30 minutes.
#
# **From memory**, about the notebook before: When do we call a class dead, and why do its own images no longer pull it up? A loss rests at ln 10: which three causes can that have?

# %%
import math
import statistics
import time

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from nin_lib import network, shape_flow, totals
from nin_lib import torch as nin
from nin_lib.widgets import Choice, Predict

_ = torch.manual_seed(0)

# %% [markdown] tags=["slide"]
# ## By hand
#
# A 3×3 convolution from 2 channels to 4, with padding 1, gets a map of 6×6. **On paper:**
#
# - How many *parameters* has it? Weights and biases.
# - How many *[multiply-adds](../book/glossary.md#multiply-adds)* does one image take? Each number that comes out is a sum of products, one for each weight of a kernel. (The bias is not counted.)
# - How many *[activations](../book/glossary.md#activation)* come out? That is the word for the numbers in a feature map.
#
# Which of the three change when the map is twice as high and twice as wide?

# %% tags=["slide-more", "slide-output"]
def cost(k, in_channels, out_channels, places):
    kernel = k * k * in_channels  # weights that make one number
    parameters = (kernel + 1) * out_channels
    activations = out_channels * places
    return parameters, kernel * activations, activations


layers = {
    "3×3 on 6×6": (3, 2, 4, 6 * 6),
    "3×3 on 12×12": (3, 2, 4, 12 * 12),
    "1×1 on 6×6": (1, 2, 4, 6 * 6),
    "dense 72 → 4": (1, 2 * 6 * 6, 4, 1),
}
print(f"{'':14}{'parameters':>12}{'multiply-adds':>15}{'activations':>13}")
for name, sizes in layers.items():
    parameters, work, numbers = cost(*sizes)
    print(f"{name:14}{parameters:>12,}{work:>15,}{numbers:>13,}")

# %% [markdown]
# A kernel has 3 × 3 × 2 = 18 weights, and there are four kernels, with a bias each. Each of the 4 × 6 × 6 numbers that come out takes 18 multiply-adds. On the larger map the parameters stay, while the multiply-adds and the activations grow fourfold.
#
# The last line is the other extreme. A dense layer is a convolution with a single place: many weights, each used once.
#
# So the three have different causes. Parameters come from channels and kernels. Activations come from channels and *places*. Multiply-adds come from all of these: **weights times places.**

# %% [markdown]
# ## Let PyTorch count
#
# For a whole network you don't multiply on paper. Send an image through, and let a hook on each layer add up. One line holds for convolutions and dense layers alike: each number that comes out takes as many multiply-adds as one kernel has weights. A ReLU needs no map of its own: it can write over what the convolution gave. So the two count as one.

# %%
COUNTED = (nn.Conv2d, nn.Linear, nn.MaxPool2d, nin.GlobalAveragePool)


def count(model, image):
    """Parameters, multiply-adds, activations (with the image itself)."""
    work, numbers = [], [image.numel()]

    def add(layer, inputs, output):
        numbers.append(output.numel())
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            work.append(output.numel() * layer.weight[0].numel())

    layers = [m for m in model.modules() if isinstance(m, COUNTED)]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    model(image)
    for hook in hooks:
        hook.remove()
    parameters = sum(p.numel() for p in model.parameters())
    return parameters, sum(work), sum(numbers)

# %% [markdown] tags=["slide"]
# [Notebook 1](01_why_nin.ipynb) set NiN beside AlexNet: far fewer parameters, slightly fewer multiply-adds. The table below has a third column, the activations, and two more networks.

# %% [markdown]
# LeNet dates from [1998](../book/references.bib#lecun1998gradient), AlexNet from [2012](../book/references.bib#krizhevsky2012imagenet), VGG from [2014](../book/references.bib#simonyan2015very). All are counted as *Dive into Deep Learning* adapts them to ten classes and grey images of 224×224 pixels (LeNet: 28×28; AlexNet's two dropouts are left out). NiN is the four-block network of this chapter, which is not in the paper. On the device `meta`, PyTorch works out all the shapes and holds no numbers, so even VGG-11 needs no memory here.

# %% jupyter={"source_hidden": true} tags=["remove-input", "slide-more"]
Predict("How many activations has NiN, compared with AlexNet?", [
    Choice("far fewer, as with the parameters", False,
           "Activations do not follow the parameters. Nearly all of "
           "AlexNet's weights are in its head, which makes few numbers."),
    Choice("slightly fewer, as with the multiply-adds", False,
           "That takes activations for work. But a number costs as many "
           "multiply-adds as its kernel has weights, and the kernel of a 1×1 "
           "convolution is small."),
    Choice("more", True,
           "Two more convolutions stand behind each k×k convolution, and "
           "their maps are as large as its own."),
])

# %% tags=["slide-more", "slide-output"]
NAMES = {"lenet": "LeNet", "alexnet": "AlexNet",
         "vgg11": "VGG-11", "chapter": "NiN"}
ledger = {}
for key, name in NAMES.items():
    side = network(key).input_size
    with torch.device("meta"):
        model, image = nin.NiN(network(key)), torch.empty(1, 1, side, side)
    ledger[name] = count(model, image)

print(f"{'':9}{'parameters':>12}{'multiply-adds':>16}{'activations':>13}")
for name, (parameters, work, numbers) in ledger.items():
    print(f"{name:9}{parameters:>12,}{work:>16,}{numbers:>13,}")
both = zip(ledger["AlexNet"], ledger["NiN"], strict=True)
times = [theirs / ours for theirs, ours in both]
print("AlexNet, as a multiple of NiN:")
print(f"{'':9}{times[0]:>12.2f}{times[1]:>16.2f}{times[2]:>13.2f}")

# %% [markdown]
# More. AlexNet has 23 times NiN's parameters, somewhat more work, and less than half of its activations. In NiN, two more convolutions stand behind each k×k convolution, and their maps are as large as its own: small kernels, large maps.
#
# Two other counters should agree: `totals`, which does the arithmetic on the description alone, and PyTorch's own counter. That one counts a multiply-add as two operations.

# %%
for key, name in NAMES.items():
    spec = network(key)
    sums = totals(spec)
    flow = (sums.parameters, sums.multiply_adds, sums.activations)
    side = spec.input_size
    with torch.device("meta"), FlopCounterMode(display=False) as flops:
        nin.NiN(spec)(torch.empty(1, 1, side, side))
    agree = flops.get_total_flops() == 2 * ledger[name][1]
    print(f"{name:8} nin_lib.flow: {flow == ledger[name]},  PyTorch: {agree}")

# %% mystnb={"image": {"alt": "Three dot plots on logarithmic scales, each with LeNet, AlexNet, VGG-11 and NiN. In parameters NiN lies far left of AlexNet; in multiply-adds they lie close together; in activations NiN lies to the right of AlexNet. VGG-11 is rightmost in all three."}} tags=["slide"]
titles = ("parameters", "multiply-adds", "activations")
figure, axes = plt.subplots(1, 3, figsize=(7.5, 2.2), sharey=True)
for column, (axis, title) in enumerate(zip(axes, titles, strict=True)):
    for name, counts in ledger.items():
        style = ("D", "#D55E00") if name == "NiN" else ("o", "#0072B2")
        axis.plot(counts[column], name, style[0], color=style[1])
    axis.set(xscale="log", title=title)
    axis.grid(axis="x", alpha=0.4)
    axis.margins(x=0.1, y=0.2)
axes[0].invert_yaxis()
figure.tight_layout()
plt.show()

# %% [markdown] tags=["slide-more"]
# From the first panel to the third, the diamond moves past AlexNet's dot. **Far fewer parameters need not mean far less work, and can go with more activations.**

# %% [markdown] tags=["slide"]
# ## Where does NiN spend it?
#
# More than half of the work is one layer's, the 5×5 convolution of block 2 (notebook 4). **Predict** for the eight 1×1 convolutions together: of which of the three do they hold the largest share?

# %% tags=["slide-more", "slide-output"]
def kind(row):
    if row.layer.startswith("1×1"):
        return "1×1 convolutions"
    return "11×11, 5×5, 3×3" if "conv" in row.layer else "poolings"


sums = totals(network("chapter"))
print(f"{'share':18}{'parameters':>12}{'multiply-adds':>15}"
      f"{'activations':>13}")
for name in ("11×11, 5×5, 3×3", "1×1 convolutions", "poolings"):
    rows = [r for r in shape_flow(network("chapter")) if kind(r) == name]
    shares = (
        sum(r.parameters for r in rows) / sums.parameters,
        sum(r.multiply_adds for r in rows) / sums.multiply_adds,
        sum(r.activations for r in rows) / sums.activations,
    )
    print(f"{name:18}{shares[0]:>12.0%}{shares[1]:>15.0%}{shares[2]:>13.0%}")

# %% [markdown]
# Of the activations. (What is missing in the last column is the image.)

# %% [markdown] tags=["slide-more"]
# > **Misconception: "1×1 convolutions are free."** They hold more than a fifth of NiN's parameters, do nearly a quarter of its work, and make more than half of its activations. They are cheap *for their channels*: a 3×3 kernel would have nine times the weights.

# %% [markdown] tags=["slide"]
# ## Change the design
#
# Put 3×3 convolutions in the place of all eight 1×1. The table above tells what to expect.

# %% jupyter={"source_hidden": true} tags=["remove-input", "slide-more"]
Predict("3×3 in the place of all 1×1: what becomes of the three costs?", [
    Choice("all three become nine times as large", False,
           "Parameters and work would, if NiN had nothing but 1×1 "
           "convolutions. And how many numbers come out depends on channels "
           "and places, not on how many weights go into each."),
    Choice("parameters and work become about three times as large, "
           "activations stay", True,
           "What the 1×1 convolutions hold becomes nine times as large, and "
           "the rest stays. The maps keep their sizes."),
    Choice("all three become about three times as large", False,
           "Parameters and work do. But how many numbers come out depends "
           "on channels and places, not on how many weights go into each."),
])

# %% [markdown]
# And which of the other changes below touches the activations most?

# %% tags=["slide", "slide-output"]
changes = {
    "3×3 in place of 1×1": "nin-3x3",
    "one 1×1 per block": "nin-one-1x1",
    "three 1×1 per block": "nin-three-1x1",
    "dense 250 → 10 at the end": "nin-dense-10",
    "AlexNet's head, no block 4": "nin-alexnet-head",
}
print(f"{'times NiN':27}{'parameters':>11}{'multiply-adds':>15}"
      f"{'activations':>13}")
for name, key in changes.items():
    new = totals(network(key))
    print(f"{name:27}{new.parameters / sums.parameters:>11.2f}"
          f"{new.multiply_adds / sums.multiply_adds:>15.2f}"
          f"{new.activations / sums.activations:>13.2f}")
for key in ("nin-dense-10", "nin-alexnet-head"):
    more = totals(network(key)).parameters - sums.parameters
    print(f"{key}: {more:,} parameters more")

# %% [markdown]
# Parameters and work become about three times as large, and the activations stay. What the 1×1 convolutions hold becomes nine times as large, and the rest stays: 78 % + 9 × 22 % of the parameters, 76 % + 9 × 24 % of the work (apart from rounding). The maps keep their sizes.
#
# The number of 1×1 convolutions moves the activations most. The last two rows of the table answer a question of notebook 4 again, with all the columns.

# %% [markdown] tags=["slide-more"]
# > **Misconception: "global average pooling saves the parameters."** One small dense layer in its place would add 2,510. AlexNet's wide dense layers in the place of block 4 would add 56 million parameters, a little work and hardly any activations. What saves is to do without *them*.

# %% [markdown]
# These are costs only. Whether a variant learns better, no count can tell: that takes several seeds of each.

# %% [markdown] tags=["slide"]
# ## Memory in training
#
# To correct a weight, the backward pass needs the number that the weight was multiplied with. So in training the activations of *every* layer wait until the backward pass comes along, and those of every image in the batch. On top of that, each parameter takes two numbers, itself and its gradient; with momentum three. For plain gradient descent, with 4 bytes a number:
#
# $$\text{bytes} \approx 4 \times (2 \times \text{parameters} + \text{batch} \times \text{activations}).$$
#
# *Dive into Deep Learning* trains in this way, with 128 images in a batch.

# %% jupyter={"source_hidden": true} tags=["remove-input", "slide-more"]
Predict("128 images, no momentum: how much of AlexNet's memory?", [
    Choice("a small part, as with the parameters", False,
           "That is right for the parameters' part of the sum. But without "
           "momentum it is the smaller part, in both networks."),
    Choice("about half", False,
           "What waits are the activations, and NiN has more than twice as "
           "many."),
    Choice("as much, or more", True,
           "AlexNet pays once for its parameters, NiN pays more for each "
           "image."),
])

# %% [markdown]
# First measure the second term. A *saved-tensor hook* is called for all that PyTorch puts aside for the backward pass. We add up the bytes, each piece of memory once, and leave out the parameters. Four images are enough.

# %%
def kept(model, images, labels):
    """Bytes put aside for the backward pass, without the parameters."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    sizes = {}

    def note(tensor):
        memory = tensor.untyped_storage()
        sizes[memory.data_ptr()] = memory.nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        loss = cross_entropy(model(images), labels)
    total = sum(sizes[place] for place in sizes.keys() - own)
    del loss  # up to here it held all that was put aside
    return total


MIB = 2**20
images, labels = torch.rand(4, 1, 224, 224), torch.zeros(4, dtype=torch.long)
per_image = {}
print("thousand bytes per image, as kept by PyTorch")
print("        together  activations  places  rest")
for key in ("alexnet", "chapter"):
    name, spec = NAMES[key], network(key)
    pooled = [r for r in shape_flow(spec) if r.stage.startswith("pool")]
    places = 8 * sum(row.activations for row in pooled)
    counted = 4 * totals(spec).activations
    measured = kept(nin.NiN(spec), images, labels) / 4
    per_image[name] = measured
    rest = measured - counted - places
    print(f"{name:9}{measured / 1000:>8,.0f}{counted / 1000:>13,.0f}"
          f"{places / 1000:>8,.0f}{rest / 1000:>6,.0f}")

# %% [markdown]
# Most of it is the activations. What the formula leaves out are the *places*: a max pooling notes where each maximum stood, as an integer of 8 bytes, because only that place gets a gradient. The rest, in NiN, is the mask of the dropout.
#
# Now the whole sum, for a batch of 128:

# %%
def training(name, batch, copies=2):
    """MiB for the parameters, and for what waits for the backward pass."""
    parameters = 4 * copies * ledger[name][0]
    return parameters / MIB, batch * per_image[name] / MIB


print("MiB         parameters  waiting  together  with momentum")
for name in per_image:
    parameters, waiting = training(name, 128)
    momentum = sum(training(name, 128, copies=3))
    print(f"{name:12}{parameters:>10.0f}{waiting:>9.0f}"
          f"{parameters + waiting:>10.0f}{momentum:>15.0f}")

more_per_image = per_image["NiN"] - per_image["AlexNet"]
for copies in (2, 3):
    saved = 4 * copies * (ledger["AlexNet"][0] - ledger["NiN"][0])
    batch = math.ceil(saved / more_per_image)
    print(f"{copies} numbers per parameter: more than AlexNet"
          f" from a batch of {batch} on")

# %% mystnb={"image": {"alt": "Training memory against batch size. AlexNet starts high and rises slowly, with momentum higher still; NiN starts near zero and rises about twice as steeply. It crosses AlexNet's line before a batch of 128, and the line with momentum shortly after."}} tags=["slide"]
batches = range(0, 257, 8)
plt.figure(figsize=(7, 3))
for name, copies, style in (("AlexNet", 3, ":"), ("AlexNet", 2, "-"),
                            ("NiN", 2, "--")):
    color = "#D55E00" if name == "NiN" else "#0072B2"
    mib = [sum(training(name, batch, copies)) for batch in batches]
    plt.plot(batches, mib, style, color=color, linewidth=2)
    label = f" {name}{', momentum' if copies == 3 else ''}"
    plt.text(256, mib[-1], label, color=color, va="center")
plt.axvline(128, color="gray", linewidth=1)
plt.xlabel("images in a batch (grey line: 128)")
plt.ylabel("MiB")
plt.xlim(0, 350)
plt.ylim(bottom=0)
plt.xticks(range(0, 257, 64))
plt.tight_layout()
plt.show()

# %% [markdown]
# More without momentum, and about as much with it. AlexNet pays once for its parameters, NiN pays more for each image. So the lines cross: without momentum below a batch of 128, with momentum above it. In both cases a network with a small part of AlexNet's parameters needs about as much memory.

# %% [markdown] tags=["slide-more"]
# > **Misconception: "few parameters, so it is lean to train."** With a batch like this, most of what fills the memory is activations times batch; AlexNet with momentum is the exception. (A real run takes more than this sum: gradients of the maps come and go, and libraries work with buffers of their own.)

# %% [markdown] tags=["slide"]
# ## Memory in prediction
#
# Nothing waits for a backward pass now, and there is no gradient. What is needed at once are the parameters, and for the layer under way what goes in and what comes out. **Predict:** which network is leaner in prediction, one image at a time, and by how much?

# %% tags=["slide-more", "slide-output"]
def largest_pair(spec):
    """Numbers in the largest input and output that a layer has."""
    image = spec.in_channels * spec.input_size**2
    out = [row.activations for row in shape_flow(spec) if row.activations]
    pairs = zip([image, *out[:-1]], out, strict=True)
    return max(before + after for before, after in pairs)


print("MiB       parameters  largest pair  together")
for key in ("alexnet", "chapter"):
    weights = 4 * ledger[NAMES[key]][0] / MIB
    pair = 4 * largest_pair(network(key)) / MIB
    both = weights + pair
    print(f"{NAMES[key]:10}{weights:>10.1f}{pair:>14.1f}{both:>10.1f}")

# %% [markdown]
# NiN, by far. In prediction with one image the parameters decide, and there small *is* lean. (For a batch the pair is multiplied, and NiN's pair is the larger one.)
#
# ## Time
#
# Is time in proportion to multiply-adds? Let your own machine answer. The cell takes the median of seven runs of each network, after one to warm up.

# %% tags=["nbval-ignore-output"]
BATCH = 8
images = torch.rand(BATCH, 1, 224, 224)
for key in ("alexnet", "chapter"):
    model, name = nin.NiN(network(key)).eval(), NAMES[key]
    seconds = []
    with torch.inference_mode():
        for _ in range(8):
            start = time.perf_counter()
            model(images)
            seconds.append(time.perf_counter() - start)
    each = 1000 * statistics.median(seconds[1:]) / BATCH
    rate = ledger[name][1] / (1e6 * each)
    print(f"{name:8}{each:7.2f} ms per image,"
          f" {rate:6.1f} multiply-adds per nanosecond")

# %% [markdown]
# Look at the last figures: are all multiply-adds equally fast? Now set `BATCH` to 1, then to 32, and run it again. Which of the two networks gains more from a larger batch, and which layers could be the reason? One count may help. How often is a weight used, once it has been fetched from memory?

# %%
for name in ("AlexNet", "NiN"):
    parameters, work, _ = ledger[name]
    print(f"{name:8}{work / parameters:6.0f} multiply-adds per parameter")
head = [r for r in shape_flow(network("alexnet")) if r.layer == "dense"]
ratio = sum(r.multiply_adds for r in head) / sum(r.parameters for r in head)
print(f"AlexNet's head alone: {ratio:.1f}, for one image")

# %% [markdown]
# <details><summary>What to make of it</summary>
#
# With one image, a weight of a dense layer is fetched for a single multiply-add. With a batch it serves every image in it. So a network with a large dense head has something to gain from a batch. But memory is only one cause: kernel sizes, the library and the processor have their say. That is why time is measured, and the other three are counted.
#
# </details>
#
# ## Check yourself
#
# A 1×1 convolution from 16 to 8 channels, on a map of 10×10. Put your numbers in the place of each `None`, and run the cell.

# %%
mine = {
    "parameters": None,
    "multiply-adds": None,
    "activations that come out": None,
    "bytes for parameters, gradients and momentum": None,
    "bytes of its output that wait, for a batch of 32": None,
}

conv = nn.Conv2d(16, 8, kernel_size=1)
weights = sum(p.numel() for p in conv.parameters())
out = conv(torch.rand(1, 16, 10, 10)).numel()
truth = [weights, 16 * out, out, 3 * 4 * weights, 32 * 4 * out]
for (what, number), true in zip(mine.items(), truth, strict=True):
    if number is None:
        print(f"{what}: still to fill in")
    else:
        print(f"{what}: {'right' if number == true else 'not yet'}")

# %% [markdown]
# <details><summary>Compare when you have filled in all of them</summary>
#
# Parameters: 16 weights and a bias for each of 8 channels, (16 + 1) × 8. Activations: 8 × 10 × 10. Multiply-adds: 16 times the activations. Bytes for the parameters: 3 × 4 times their number. Bytes that wait: 32 × 4 times the activations.
#
# </details>

# %% [markdown] tags=["slide"]
# ## Take-aways
#
# 1. Parameters come from kernels and channels, activations from channels and places, multiply-adds are weights times places. All three can be counted without running the network.
# 2. NiN has far fewer parameters than AlexNet, not much less work, and more activations. Its 1×1 convolutions are cheap in weights and dear in maps; a dense head is the other way round.
# 3. Training holds the activations of all layers for the whole batch, and two or three numbers for each parameter. Prediction holds the parameters and one pair of maps. So NiN is lean in prediction with few images at a time, and in training with small batches only.

# %% [markdown] tags=["slide"]
# **Before you go on, from memory:** Which of NiN's three counts change with the size of the image? Why does training need so much more memory than prediction? Why does NiN overtake AlexNet in training memory as the batch grows?
#
# **Exercises that check themselves:** [two, and one to stretch](exercises/08_the_cost.ipynb).
