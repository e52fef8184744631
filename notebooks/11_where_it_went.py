# ---
# jupyter:
#   chapter:
#     compared: 19
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 11. Where it went
#
# NiN itself is hardly used today. Its 1×1 convolution is in much of what came after: you find it in five later blocks, and in a transformer. But first the paper's own networks.
#
# **You will learn**
#
# 1. to tell the networks of the paper from the later ones, and to count what they cost;
# 2. to recognise the 1×1 convolution in five later blocks, and to work out what it saves;
# 3. to show two equalities: a depthwise and a 1×1 convolution to *some* 3×3 convolution, and a transformer's MLP to two 1×1 convolutions.
#
# **You need** notebooks [2](02_one_by_one_convolution.ipynb) and [8](08_the_cost.ipynb). **Time** about 35 minutes.
#
# **From memory**, about notebooks 2 and 8: On which axis does `nn.Linear` work, and where do the channels have to be? Which of parameters, multiply-adds and activations stay the same on a larger image?

# %%
import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nin_lib import network, shape_flow, totals

_ = torch.manual_seed(0)

# %% [markdown]
# ## The paper's own networks
#
# `5: 96-64-48` is a block: a 5×5 convolution to 96 channels, then 1×1 convolutions to 64 and to 48, with a ReLU after each. Here are six networks in this notation. The widths are those of the author's published definitions ([small images](https://github.com/mavenlin/cuda-convnet/tree/master/NIN), [ImageNet](https://gist.github.com/mavenlin/d802a5849de39225bcc6)); *Dive into Deep Learning* ([Zhang et al. 2023](../book/references.bib#zhang2023d2l)) made the last one from the fifth.

# %%
NETS = {
    "MNIST": "paper-mnist",
    "CIFAR-10": "paper-cifar10",
    "CIFAR-100": "paper-cifar100",
    "SVHN": "paper-svhn",
    "ImageNet": "imagenet",
    "chapter": "chapter",
}
for name, key in NETS.items():
    spec = network(key)
    blocks = [f"{block.kernel_size}: {'-'.join(map(str, block.widths))}"
              for block in spec.blocks]
    print(f"{name}: {spec.in_channels}×{spec.input_size}×{spec.input_size}")
    print("   ", " · ".join(blocks))

# %% [markdown]
# **Predict:** which of them are in the paper ([Lin, Chen and Yan 2014](../book/references.bib#lin2014nin))?
#
# - (a) All but the chapter's.
# - (b) Only those with three blocks.
# - (c) All six.
#
# <details><summary>Answer</summary>
#
# (b). The paper trains on MNIST, CIFAR-10, CIFAR-100 and SVHN, and **has no experiment on ImageNet**. (a) is tempting because the network for ImageNet is Min Lin's too, but it came later, as a trained model. (c) is tempting after *Dive into Deep Learning*, which cites the paper and builds the later network.
#
# </details>
#
# Before you count by code: **on paper**, how many parameters has the first block of the MNIST network, `5: 96-64-48` on one channel?

# %%
by_hand = [25 * 1 * 96 + 96, 96 * 64 + 64, 64 * 48 + 48]
print(" + ".join(f"{number:,}" for number in by_hand), "=",
      f"{sum(by_hand):,}")

# %% [markdown]
# Now by code. Between the blocks stand a max pooling of 3×3 with stride 2 and a dropout, and the average comes at the end. `count` is notebook 8's: each number that comes out takes as many multiply-adds as one kernel has weights.
#
# **Predict:** the SVHN network has three blocks and is for images of 32×32, the chapter's has four blocks and is for 224×224. Which has more parameters, by what factor? And which does more work?

# %%
def paper_net(c_in, blocks, ceil_mode=True):
    layers = []
    for k, widths in blocks:
        for c_out in widths:
            conv = nn.Conv2d(c_in, c_out, k, padding=k // 2)
            layers += [conv, nn.ReLU()]
            c_in, k = c_out, 1  # all but the first are 1×1
        layers += [nn.MaxPool2d(3, 2, ceil_mode=ceil_mode), nn.Dropout()]
    return nn.Sequential(  # no pooling and dropout after the last block
        *layers[:-2], nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def count(model, x):
    """Parameters, and multiply-adds for the input x."""
    work = []

    def add(layer, inputs, output):
        work.append(output.numel() * layer.weight[0].numel())

    layers = [layer for layer in model.modules()
              if isinstance(layer, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return sum(p.numel() for p in model.parameters()), sum(work)

# %%
def blocks_of(spec):
    return [(block.kernel_size, block.widths) for block in spec.blocks]


print(f"{'':11}{'parameters':>10}{'multiply-adds':>15}   as nin_lib")
for name in ("MNIST", "CIFAR-10", "CIFAR-100", "SVHN"):
    spec = network(NETS[name])
    net = paper_net(spec.in_channels, blocks_of(spec))
    side = spec.input_size
    ours = count(net, torch.rand(1, spec.in_channels, side, side))
    sums = totals(spec)
    same = ours == (sums.parameters, sums.multiply_adds)
    print(f"{name:11}{ours[0]:>10,}{ours[1]:>15,}   {same}")
for name in ("ImageNet", "chapter"):
    sums = totals(network(NETS[name]))
    print(f"{name:11}{sums.parameters:>10,}{sums.multiply_adds:>15,}")
    print("  its maps after each pooling:",
          *[row.size for row in shape_flow(network(NETS[name]))
            if "pool" in row.layer and row.stage != "head"])

# %% [markdown]
# The two have nearly the same number of parameters, and the chapter's network does almost three times the work. Work is weights times places, and its maps have more places.
#
# Now look at `ceil_mode=True` in `paper_net`. The library of the paper rounded *up* where a pooling does not come out even; PyTorch rounds down unless told otherwise. (The ImageNet network rounds up as well, because it was made for Caffe: after its poolings the maps have 27, 13 and 6 pixels a side. The chapter's network rounds down, and gets 26, 12 and 5.) **Predict** for the MNIST network what rounding down changes:
#
# - (a) parameters and multiply-adds;
# - (b) multiply-adds only;
# - (c) neither: a pooling has no weights.

# %%
image = torch.rand(1, 1, 28, 28)
for ceil_mode in (True, False):
    net = paper_net(1, blocks_of(network("paper-mnist")), ceil_mode)
    sizes, maps = [28], image
    for layer in net[:-2]:
        maps = layer(maps)
        if isinstance(layer, nn.MaxPool2d):
            sizes.append(maps.shape[2])
    parameters, work = count(net, image)
    print("up:  " if ceil_mode else "down:", " → ".join(map(str, sizes)),
          f"  {parameters:,} parameters, {work / 1e6:.1f} M multiply-adds")

# %% [markdown]
# (b). The maps are smaller: fewer places again. (c) is right about the pooling, and forgets the layers behind it. (a) would need other kernels or channels. Whoever checks a copy of a network by its parameter count alone does not notice the difference.
#
# ## Before a large kernel: Inception
#
# GoogLeNet ([Szegedy et al. 2015](../book/references.bib#szegedy2015inception)) took over both ideas of NiN, and says so: it ends in an average (and one dense layer), and it uses 1×1 convolutions in every module. But mostly for something new: to *reduce* channels before a large kernel.
#
# **On paper:** a 5×5 convolution goes from 8 channels to 4. How many weights has it? Now a 1×1 convolution to 2 channels comes first, and the 5×5 goes from 2 to 4. How many weights do the two have together? (Leave the biases out. With stride 1 and a map that keeps its size, this is also the number of multiply-adds at each place.)

# %%
print("5×5 alone:  ", 8 * 25 * 4)
print("1×1 and 5×5:", 8 * 2, "+", 2 * 25 * 4, "=", 8 * 2 + 2 * 25 * 4)

# %% [markdown]
# In GoogLeNet's first Inception module, 192 channels come in, and its 5×5 makes 32. A 1×1 convolution brings the channels down to 16 before. **Predict:** by what factor does this reduce the multiply-adds?
#
# - (a) By about 2: two layers in the place of one cannot save much.
# - (b) By about 10.
# - (c) By 12, because 192 / 16 = 12.

# %%
def conv(c_in, c_out, k, groups=1):
    """A convolution that keeps the size of the map (k is odd)."""
    return nn.Conv2d(c_in, c_out, k, padding=k // 2, groups=groups)


def show(block, *shape):
    x = torch.rand(1, *shape)
    parameters, work = count(block, x)
    with torch.no_grad():
        out = tuple(block(x).shape[1:])
    print(shape, "→", out)
    print(f"    {parameters:,} parameters, {work / 1e6:.1f} M multiply-adds")


direct = conv(192, 32, 5)
reduced = nn.Sequential(conv(192, 16, 1), nn.ReLU(), conv(16, 32, 5))
show(direct, 192, 28, 28)
show(reduced, 192, 28, 28)
maps = torch.rand(1, 192, 28, 28)
print(f"{count(direct, maps)[1] / count(reduced, maps)[1]:.1f} : 1")

# %% [markdown]
# (b). (c) holds for the 5×5 alone, and forgets that the 1×1 has to be paid too. (a) counts layers and not weights.
#
# The saving has its price. All that the 5×5 gets to know of the 192 channels are 16 mixtures of them. Whether that is enough, no count can tell.
#
# The whole module has four branches, side by side. **Read the code first:** how many channels come out? (Normalisation is left out of all blocks here. It has few parameters, and it would hide the convolutions.)

# %%
class SideBySide(nn.Module):
    """All branches get the same maps; their channels are joined."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], dim=1)


inception = SideBySide(
    nn.Sequential(conv(192, 64, 1), nn.ReLU()),
    nn.Sequential(
        conv(192, 96, 1), nn.ReLU(), conv(96, 128, 3), nn.ReLU()),
    nn.Sequential(
        conv(192, 16, 1), nn.ReLU(), conv(16, 32, 5), nn.ReLU()),
    nn.Sequential(
        nn.MaxPool2d(3, 1, padding=1), conv(192, 32, 1), nn.ReLU()),
)
show(inception, 192, 28, 28)

# %% [markdown]
# 64 + 128 + 32 + 32 = 256. Behind each 1×1 stands a ReLU, as in NiN: the reduction is not merely linear.
#
# ## Down and up again: ResNet
#
# The *bottleneck* of the deeper ResNets ([He et al. 2016](../book/references.bib#he2016resnet)) puts a 1×1 on both sides of the 3×3. The first reduces, the second restores the width, so that the input can be added to the result.

# %%
class Plus(nn.Sequential):
    """What comes in, plus what the layers make of it."""

    def forward(self, x):
        return x + super().forward(x)


bottleneck = nn.Sequential(
    Plus(
        conv(256, 64, 1), nn.ReLU(),
        conv(64, 64, 3), nn.ReLU(),
        conv(64, 256, 1),
    ),
    nn.ReLU(),
)
show(bottleneck, 256, 56, 56)

# %% [markdown]
# The shallower ResNets have blocks of two 3×3 convolutions. **Predict:** how wide, in channels, can such a block be at the cost of this bottleneck: about 64, 128 or 256?

# %%
for width in (64, 128, 256):
    two = nn.Sequential(
        Plus(conv(width, width, 3), nn.ReLU(), conv(width, width, 3)),
        nn.ReLU(),
    )
    show(two, width, 56, 56)

# %% [markdown]
# About 64. At nearly the same cost the bottleneck carries four times the channels from block to block; only its 3×3 works on the narrow ones.
#
# ## Squeeze, then expand: SqueezeNet
#
# The *fire module* ([Iandola et al. 2016](../book/references.bib#iandola2016squeezenet)) squeezes the channels with a 1×1, and expands them with 1×1 and 3×3 convolutions side by side. SqueezeNet has no dense layers at all. It ends as NiN does, with a map for each class and their averages, and its authors name NiN as the model for that.
#
# **Predict:** how many times the weights of this module does a single 3×3 convolution from 96 to 128 channels have: about 2, 5, or 10 times?

# %%
fire = nn.Sequential(
    conv(96, 16, 1), nn.ReLU(),
    SideBySide(conv(16, 64, 1), conv(16, 64, 3)), nn.ReLU(),
)
show(fire, 96, 55, 55)
show(conv(96, 128, 3), 96, 55, 55)  # a 3×3 in its place
a, b = (count(block, torch.rand(1, 96, 55, 55))[0]
        for block in (conv(96, 128, 3), fire))
print(f"{a / b:.1f} times the parameters")

# %% [markdown]
# About 10. The 3×3 reads 16 channels instead of 96, and makes only half of what comes out.
#
# ## Space here, channels there: MobileNet
#
# An ordinary 3×3 convolution does two things at once: it looks around, and it mixes channels. MobileNet ([Howard et al. 2017](../book/references.bib#howard2017mobilenets)) parts them. A *depthwise* convolution looks around in each channel by itself, with one 3×3 kernel a channel. Then a 1×1 convolution mixes. Together they are called a *[depthwise separable convolution](../book/glossary.md#depthwise-separable-convolution)*.
#
# **On paper:** from 8 channels to 16. How many weights has a 3×3 convolution, and how many have the two that replace it? What is the ratio, in terms of $k$ and $C_\text{out}$?

# %%
full = 8 * 9 * 16
separable = 8 * 9 + 8 * 16
print(f"{separable} / {full} = {separable / full:.3f}")
print(f"1/16 + 1/9 = {1 / 16 + 1 / 9:.3f}")

# %% [markdown]
# $$\frac{C_\text{in}\, k^2 + C_\text{in}\, C_\text{out}}{C_\text{in}\, k^2\, C_\text{out}} = \frac{1}{C_\text{out}} + \frac{1}{k^2}$$
#
# With many channels the first term vanishes, and a ninth of the work remains. **Predict:** of what MobileNet's block does, how much is done in the 1×1: a tenth, a half, nearly all?

# %%
mobile = nn.Sequential(
    conv(512, 512, 3, groups=512), nn.ReLU(),  # depthwise
    conv(512, 512, 1), nn.ReLU(),              # 1×1
)
show(mobile, 512, 14, 14)
show(conv(512, 512, 3), 512, 14, 14)  # a 3×3 in its place
_, work = count(mobile, torch.rand(1, 512, 14, 14))
_, in_1x1 = count(mobile[2], torch.rand(1, 512, 14, 14))
print(f"in the 1×1: {100 * in_1x1 / work:.0f} %")

# %% [markdown]
# Nearly all. MobileNet is mostly 1×1 convolutions, with a cheap look around between them.
#
# > **Misconception: "a depthwise separable convolution is the same as a convolution, only cheaper."** Without the ReLU in the middle it is *a* convolution. But not every convolution can be had in this way.
#
# The first half is shown by multiplying the weights. Output $o$ takes channel $c$ with the weight $P_{oc}$, after the kernel $D_c$ has passed over it. So the kernel from $c$ to $o$ is $P_{oc}\, D_c$:

# %%
depthwise = conv(8, 8, 3, groups=8).double()
pointwise = conv(8, 16, 1).double()
D = depthwise.weight.data[:, 0]  # 8×3×3
P = pointwise.weight.data[:, :, 0, 0]  # 16×8

single = conv(8, 16, 3).double()
single.weight.data = torch.einsum("oc,cij->ocij", P, D)  # 16×8×3×3
single.bias.data = P @ depthwise.bias.data + pointwise.bias.data

x = torch.rand(2, 8, 6, 7).double()
same = torch.allclose(single(x), pointwise(depthwise(x)))
print("equal to one 3×3 convolution:", same)

# %% [markdown]
# For the second half, take the 16 kernels that read channel 0, each as a row of 9 numbers: a matrix of 16×9. **Predict** its rank: for the kernel just made, and for an ordinary 3×3 convolution with random weights. (The rank says of how many patterns all the rows are mixtures.)

# %%
ordinary = conv(8, 16, 3).double()
for name, layer in {"separable": single, "ordinary": ordinary}.items():
    rows = layer.weight.data[:, 0].reshape(16, 9)
    print(f"{name}: rank {torch.linalg.matrix_rank(rows)}")

# %% [markdown]
# Rank 1: all 16 outputs look at channel 0 through *one* pattern, $D_0$, and may only scale it. The ordinary convolution can look for edges in one output and for dots in another.
#
# ## Up and down again: ConvNeXt
#
# ConvNeXt ([Liu et al. 2022](../book/references.bib#liu2022convnext)) turns the bottleneck round. A depthwise 7×7 looks around. Then a 1×1 *widens* to four times the channels, and a second one brings them back. Between the two stands a GELU, a smooth relative of the ReLU.
#
# **Predict:** where is most of the work now, in the depthwise 7×7 with its 49 weights a channel, or in the two 1×1?

# %%
convnext = Plus(
    conv(96, 96, 7, groups=96),
    conv(96, 384, 1), nn.GELU(),
    conv(384, 96, 1),
)
show(convnext, 96, 56, 56)
show(conv(96, 96, 7), 96, 56, 56)  # an ordinary 7×7
x = torch.rand(1, 96, 56, 56)
share = count(convnext[0], x)[1] / count(convnext, x)[1]
print(f"in the depthwise 7×7: {100 * share:.0f} %")

# %% [markdown]
# In the 1×1, as in MobileNet.
#
# > **Misconception: "a 1×1 convolution reduces channels."** Here it quadruples them, and in ResNet's bottleneck the last one widens too. It mixes, and the width is yours to choose.
#
# ## The five together
#
# For each block, its multiply-adds beside those of large kernels alone: the same channels in and out, no 1×1. (Inception: only the branch with the 5×5. ResNet: one 3×3 of the full width.) `count` should agree with PyTorch's own counter, which counts a multiply-add as two operations. **Predict:** which of the five saves by the largest factor?

# %%
PAIRS = {  # name: (side of the map, large kernels only, with 1×1)
    "Inception, 5×5": (28, [conv(192, 32, 5)], reduced),
    "ResNet": (56, [conv(256, 256, 3)], bottleneck),
    "SqueezeNet": (55, [conv(96, 128, 3)], fire),
    "MobileNet": (14, [conv(512, 512, 3)], mobile),
    "ConvNeXt": (56, [conv(96, 96, 7)], convnext),
}
ledger, agree = {}, []
print(f"{'million':15}{'large only':>11}{'with 1×1':>10}{'factor':>8}")
for name, (side, large, block) in PAIRS.items():
    channels = large[0].in_channels
    x = torch.rand(1, channels, side, side)
    counts = []
    for model in (nn.Sequential(*large), block):
        counts.append(count(model, x)[1])
        with FlopCounterMode(display=False) as flops, torch.no_grad():
            model(x)
        agree.append(flops.get_total_flops() == 2 * counts[-1])
    a, b = ledger[name] = counts
    print(f"{name:15}{a / 1e6:>11.0f}{b / 1e6:>10.0f}{a / b:>8.1f}")
print("PyTorch's counter agrees:", all(agree))

# %% mystnb={"image": {"alt": "For each of five blocks a line from a circle, large kernels only, to a diamond, with 1×1 convolutions, on a logarithmic scale of multiply-adds. Every diamond lies far to the left of its circle, by similar distances."}}
figure, axis = plt.subplots(figsize=(8, 2.6))
for row, (large, small) in enumerate(ledger.values()):
    axis.plot([small, large], [row, row], color="gray", zorder=1)
    axis.plot(large, row, "o", color="#0072B2", markersize=8)
    axis.plot(small, row, "D", color="#D55E00", markersize=8)
    middle = (small * large) ** 0.5
    axis.text(middle, row - 0.12, f"{large / small:.1f} times",
              ha="center", va="bottom", fontsize=8)
axis.set(xscale="log", yticks=range(len(ledger)), yticklabels=ledger,
         xlabel="multiply-adds: circle, large kernels only;"
                " diamond, with 1×1")
axis.grid(axis="x", alpha=0.4)
axis.margins(y=0.2)
axis.invert_yaxis()
figure.tight_layout()
plt.show()

# %% [markdown]
# Inception's branch, and the others are not far behind. In each, the large kernel reads a few mixtures of the channels, or one channel only. These are multiply-adds; the weights shrink by the same factors, because the maps keep their size. Memory and time need not follow (notebook 8). And whether a cheaper block is as good, no count can tell.
#
# ## Without any large kernel: a transformer's MLP
#
# Each layer of a transformer's encoder ([Vaswani et al. 2017](../book/references.bib#vaswani2017attention)) has two parts. *Attention* lets the *tokens* of a text (words or parts of words, each a row of numbers) exchange information. Then an MLP treats every token by itself, with the same weights: from 512 numbers to 2,048 and back to 512. As dense layers, with T tokens in a row:

# %%
N, T, d = 2, 10, 512
mlp = nn.Sequential(
    nn.Linear(d, 4 * d), nn.ReLU(), nn.Linear(4 * d, d)).double()
tokens = torch.rand(N, T, d).double()  # N×T×C: channels last
print(tuple(tokens.shape), "→", tuple(mlp(tokens).shape))
parameters, _ = count(mlp, tokens)
print(f"{d} → {4 * d:,} → {d}: {parameters:,} parameters")

# %% [markdown]
# **Before you read the next cell,** say how the tokens have to be laid out so that two 1×1 convolutions give the same numbers: which axis becomes the channels, what are the height and the width?

# %%
convs = nn.Sequential(
    conv(d, 4 * d, 1), nn.ReLU(), conv(4 * d, d, 1)).double()
for layer in (0, 2):
    convs[layer].weight.data = mlp[layer].weight.data[:, :, None, None]
    convs[layer].bias.data = mlp[layer].bias.data

row = tokens.permute(0, 2, 1)[:, :, None, :]  # N×C×1×T: one row of pixels
through_convs = convs(row)[:, :, 0, :].permute(0, 2, 1)
largest = (through_convs - mlp(tokens)).abs().max().item()
print("as an image:", tuple(row.shape))
print("largest difference below 1e-12:", largest < 1e-12)
print("same costs:", count(convs, row) == count(mlp, tokens))

# %% [markdown]
# The same: a token is a pixel of an image one pixel high. The authors say so themselves: one can describe the MLP as two convolutions with kernel size 1. It is ConvNeXt's pair of 1×1 convolutions, and NiN's MLP at every pixel.
#
# So it has its limits too (notebook 2): it sees one token and no neighbour. In NiN the k×k convolution looks around. **What looks around in a transformer?**
#
# <details><summary>Answer</summary>
#
# Attention. Both networks take turns: look around, then think at each place. But a convolution looks at fixed neighbours with fixed weights; attention works out its weights from the tokens.
#
# </details>
#
# ## Check yourself
#
# Put your numbers in the place of each `None`, and run the cell. Weights are without biases, parameters with them.

# %%
mine = {
    "blocks in the paper's MNIST network": None,
    "30 pixels after two 3×3 poolings of stride 2, rounding up": None,
    "weights: 1×1 from 64 to 16, then 3×3 from 16 to 64": None,
    "weights: depthwise 3×3 on 64, then 1×1 from 64 to 64": None,
    "parameters: a transformer's MLP, 8 → 32 → 8": None,
}


def weights(*layers):
    return sum(layer.weight.numel() for layer in layers)


pool = nn.MaxPool2d(3, 2, ceil_mode=True)
tiny = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8))
truth = [
    len(network("paper-mnist").blocks),
    pool(pool(torch.rand(1, 30, 30))).shape[-1],
    weights(conv(64, 16, 1), conv(16, 64, 3)),
    weights(conv(64, 64, 3, groups=64), conv(64, 64, 1)),
    sum(p.numel() for p in tiny.parameters()),
]
for (what, number), true in zip(mine.items(), truth, strict=True):
    if number is None:
        print(f"{what}: still to fill in")
    else:
        print(f"{what}: {'right' if number == true else 'not yet'}")

# %% [markdown]
# <details><summary>Compare when you have filled in all of them</summary>
#
# Three blocks. 30 → 15 → 7: from 30 the windows need ⌈27/2⌉ + 1, from 15 they need 12/2 + 1. The reduced 3×3: 64 × 16 + 16 × 9 × 64. The separable one: 64 × 9 + 64 × 64. The MLP: (8 + 1) × 32 + (32 + 1) × 8.
#
# </details>
#
# ## Take-aways
#
# 1. The paper's networks have three blocks, small images, and poolings that round up. The network with kernels 11, 5, 3, 3 is the same author's later model for ImageNet, which the paper does not contain; that model rounds up too, the chapter's adaptation of it rounds down. Equal parameters do not mean equal work.
# 2. A 1×1 convolution before a large kernel reduces what that kernel has to read; behind a depthwise one it does the mixing. Both save most of the multiply-adds, at a price: a few mixtures of the channels, or one pattern for each channel, have to do. In other blocks it widens.
# 3. Without a ReLU between them, a depthwise and a 1×1 convolution are one 3×3 convolution, of a restricted kind. A transformer's MLP *is* two 1×1 convolutions: the same small network at every token.
#
# **Before you go on, from memory:** By which factor does a depthwise separable 3×3 convolution reduce the work, and what can it not do? In which sense is a token a pixel? (The papers named here are listed under [References](../book/references.md).)
#
# **Exercises that check themselves:** [two, and one to stretch](exercises/11_where_it_went.ipynb).
