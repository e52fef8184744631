# ---
# jupyter:
#   chapter:
#     compared: 20
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["slide"]
# # 2. The 1×1 convolution
#
# A convolution with a kernel of one single pixel: at first sight it can do nothing but make an image brighter or darker. In fact it is the heart of Network in Network.
#
# **You will learn**
#
# 1. to compute a 1×1 convolution by hand, and to write it in four equivalent ways;
# 2. why a stack of them with ReLUs is *a [multilayer perceptron](../book/glossary.md#multilayer-perceptron) (MLP) applied at every pixel*, and what the ReLUs are for;
# 3. what a 1×1 convolution cannot see.
#
# **You need** matrix products, and [notebook 1](01_why_nin.ipynb). **Time** about 25 minutes.
#
# **From memory:** Where are most of AlexNet's parameters? What are the two ideas of NiN?

# %%
import matplotlib.pyplot as plt
import torch
from torch import nn

from nin_lib.data import load
from nin_lib.recorded import trained
from nin_lib.widgets import Choice, PixelMLP, Predict

torch.manual_seed(0)
torch.set_printoptions(precision=3, sci_mode=False)

# %% [markdown] tags=["slide"]
# ## One small image, by hand
#
# An image is C×H×W numbers: C [channels](../book/glossary.md#channel), H height, W width. Ours has C = 2, H = 3, W = 4. All of them differ from each other, and from the number of output channels, which will be 5: that way a mix-up of two axes cannot go unnoticed.

# %% tags=["slide-more"]
C_in, C_out, H, W = 2, 5, 3, 4
image = torch.tensor([
    [[1., 2., 0., 1.],
     [0., 1., 3., 1.],
     [2., 0., 1., 2.]],   # channel 0
    [[0., 1., 1., 2.],
     [3., 0., 1., 0.],
     [1., 1., 0., 2.]],   # channel 1
])
weight = torch.tensor(  # C_out×C_in
    [[1., 0.], [0., 1.], [1., 1.], [1., -1.], [2., -3.]]
)
bias = torch.tensor([0., 0., 0., 0., 1.])
print(tuple(image.shape), tuple(weight.shape))

# %% [markdown]
# Choose the pixel in row 1, column 2. It has one number in each channel: a little vector.

# %%
pixel = image[:, 1, 2]
print(pixel)

# %% [markdown] tags=["slide"]
# A 1×1 convolution replaces this vector of C_in numbers by one of C_out numbers. Output channel $o$ is a weighted sum over the input *channels* of that pixel:
#
# $$y_o = b_o + \sum_{c} w_{o,c}\, x_c$$
#
# **Do it on paper** for all five output channels, before you run the next cell. The rows of `weight` are $w_0 = (1, 0)$, $w_1 = (0, 1)$, $w_2 = (1, 1)$, $w_3 = (1, -1)$ and $w_4 = (2, -3)$; only $b_4 = 1$ is not zero.

# %% tags=["slide-more", "slide-output"]
for o in range(C_out):
    (a, b), (p, q) = weight[o], pixel
    y = a * p + b * q + bias[o]
    print(f"y[{o}] = {a:g}·{p:g} + {b:g}·{q:g} + {bias[o]:g} = {y:g}")

# %% [markdown]
# So output 0 copies channel 0, output 1 copies channel 1, output 2 adds the two, output 3 is their difference.

# %% [markdown] tags=["slide-more"]
# > **Misconception: "a 1×1 convolution only rescales."** With a single input channel that would be true. With more, it *mixes channels*: outputs 2, 3 and 4 contain both.

# %% [markdown]
# Now the same at every pixel, with the same weights. Written out in loops:

# %%
by_loops = torch.zeros(C_out, H, W)
for o in range(C_out):
    for i in range(H):
        for j in range(W):
            by_loops[o, i, j] = bias[o]
            for c in range(C_in):
                by_loops[o, i, j] += weight[o, c] * image[c, i, j]

print(by_loops[:, 1, 2])

# %% mystnb={"image": {"alt": "Two input maps and five output maps of three rows and four columns; the same pixel is framed in all of them."}} tags=["slide"]
def draw_maps(maps, names, cell=(1, 2)):
    """Draw H×W maps side by side, with their numbers; frame one pixel."""
    figure, axes = plt.subplots(1, len(maps), figsize=(10.5, 1.6))
    for axis, one_map, name in zip(axes, maps, names, strict=True):
        axis.imshow(one_map, cmap="Blues", vmin=-6, vmax=12)
        for i in range(H):
            for j in range(W):
                number = f"{one_map[i, j]:g}"
                axis.text(j, i, number, ha="center", va="center")
        corner = (cell[1] - 0.5, cell[0] - 0.5)
        frame = plt.Rectangle(corner, 1, 1, fill=False, lw=2, ec="#D55E00")
        axis.add_patch(frame)
        axis.set(title=name, xticks=[], yticks=[])
    figure.tight_layout()
    plt.show()


names = [f"input {c}" for c in range(C_in)]
names += [f"output {o}" for o in range(C_out)]
draw_maps([*image, *by_loops], names)

# %% [markdown] tags=["slide-more"]
# Each framed number on the right is made of the two framed numbers on the left, and of nothing else.
#
# **Predict:** how many parameters does this layer have? How many would it have for an image of 300×400 pixels?

# %% tags=["slide-more"]
print(weight.numel() + bias.numel())

# %% [markdown] tags=["slide-more"]
# The same number for both: five times two weights and five biases.
#
# > **Misconception: "each pixel has its own MLP."** There is one set of weights, and every pixel uses it.

# %% [markdown] tags=["slide"]
# ## The same thing in four ways
#
# **As a matrix product.** Lay the pixels side by side as columns: C_in×(H·W). One product with the weights treats them all at once.

# %% tags=["slide-more"]
columns = image.reshape(C_in, H * W)
by_matmul = (weight @ columns + bias[:, None]).reshape(C_out, H, W)
print(tuple(columns.shape), "→", tuple(by_matmul.shape))

# %% [markdown] tags=["slide-more"]
# **As an Einstein sum**, which names the axes: sum over c, keep h and w.

# %% tags=["slide-more"]
by_einsum = torch.einsum("oc,chw->ohw", weight, image) + bias[:, None, None]
print(tuple(by_einsum.shape))

# %% [markdown] tags=["slide"]
# **As a dense layer.** PyTorch's `nn.Linear` works on the *last* axis and treats all the others as a batch. So the channels have to go last: H×W×C. Every pixel is then a sample of its own.

# %% tags=["slide-more"]
dense = nn.Linear(C_in, C_out)
dense.weight.data = weight.clone()
dense.bias.data = bias.clone()

channels_last = image.permute(1, 2, 0)  # C×H×W → H×W×C
by_linear = dense(channels_last).permute(2, 0, 1)  # back to C×H×W
print(tuple(channels_last.shape), "→", tuple(dense(channels_last).shape))

# %% [markdown] tags=["slide"]
# **As a convolution.** `nn.Conv2d` wants weights of C_out×C_in×k×k; with k = 1 the last two axes have length 1.

# %% tags=["slide-more"]
conv = nn.Conv2d(C_in, C_out, kernel_size=1)
conv.weight.data = weight[:, :, None, None].clone()
conv.bias.data = bias.clone()

by_conv = conv(image[None])[0]  # a batch of one image, N×C×H×W
print(tuple(conv.weight.shape))

# %% tags=["slide-more", "slide-output"]
ways = {
    "matmul": by_matmul,
    "einsum": by_einsum,
    "nn.Linear": by_linear,
    "nn.Conv2d": by_conv,
}
for name, result in ways.items():
    print(f"{name:10} equals the loops: {torch.equal(result, by_loops)}")

# %% [markdown]
# Equal to the last bit, since all our numbers are small integers. With ordinary numbers the order of summation matters to the last digits. With random weights, and 64-bit numbers:

# %%
x = torch.randn(8, 20, 7, 9, dtype=torch.float64)  # N×C×H×W
conv_20_30 = nn.Conv2d(20, 30, kernel_size=1).double()
dense_20_30 = nn.Linear(20, 30).double()
dense_20_30.weight.data = conv_20_30.weight.data[:, :, 0, 0]
dense_20_30.bias.data = conv_20_30.bias.data

through_dense = dense_20_30(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
largest = (conv_20_30(x) - through_dense).abs().max().item()
print("largest difference below 1e-12:", largest < 1e-12)

# %% [markdown] tags=["slide"]
# > **Misconception: "NiN has no dense layers."** Every 1×1 convolution *is* one, over the channels of a pixel. What NiN does without is a dense layer over *places*.

# %% [markdown]
# **Try it.** Another small layer, from 3 channels to 4. A ReLU comes after it: what is below 0 becomes 0, the rest stays. Commit to the prediction, then move the pixel with the mouse or the arrow keys and follow one sum. The switch shows the same sums as a convolution and as a dense layer on rows of pixels. At the bottom, a 1×1 and a 3×3 convolution stand side by side, with a second prediction.

# %% tags=["slide"]
PixelMLP()

# %% [markdown]
# ## Which axis does `nn.Linear` take?
#
# The last one, whatever it is. Forget to move the channels there, and often you are told:

# %%
try:
    dense(image)  # C×H×W: the last axis is W
except RuntimeError as error:
    print("refused:", "shapes cannot be multiplied" in str(error))

# %% [markdown]
# Now take an image whose *width happens to equal its number of channels*, and a layer with as many outputs as inputs.

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Predict("As many columns as channels, which are not moved. What happens?", [
    Choice("it is refused, as before", False,
           "PyTorch compares lengths, and the last axis has just the length "
           "that the layer wants. It cannot know what the axis means."),
    Choice("it runs, and the numbers are right", False,
           "The last axis is the width still. So the pixels of each row are "
           "mixed, and not the channels of each pixel."),
    Choice("it runs, and the numbers are wrong", True,
           "The lengths fit, so nothing is refused. What is mixed are the "
           "pixels of each row."),
])

# %%
narrow = torch.randn(3, 5, 3)  # C×H×W, as wide as it has channels
mix = nn.Linear(3, 3)
wrong = mix(narrow)  # along the width
right = mix(narrow.permute(1, 2, 0)).permute(2, 0, 1)  # along the channels
print("shapes:", tuple(wrong.shape), tuple(right.shape))
print("the same numbers:", torch.allclose(wrong, right))

# %% [markdown]
# No error, the right shape, wrong numbers: the layer has mixed the pixels of each row instead of the channels of each pixel. That is why C_in, C_out, H and W all differed above. Make it a habit: *test with axes of different lengths.*

# %% [markdown] tags=["slide"]
# ## Several 1×1 layers: an MLP at every pixel
#
# Two dense layers with a ReLU between them are a multilayer perceptron. Two 1×1 convolutions with a ReLU between them are *the same perceptron at every pixel*. Take the pixels one by one, send each through the MLP, and compare:

# %% tags=["slide-more"]
mlp = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 30))
convs = nn.Sequential(nn.Conv2d(20, 16, 1), nn.ReLU(), nn.Conv2d(16, 30, 1))
mlp, convs = mlp.double(), convs.double()
for layer in (0, 2):
    convs[layer].weight.data = mlp[layer].weight.data[:, :, None, None]
    convs[layer].bias.data = mlp[layer].bias.data

maps = convs(x)
equal = [
    torch.allclose(maps[n, :, i, j], mlp(x[n, :, i, j]))
    for n in range(8) for i in range(7) for j in range(9)
]
print(f"{sum(equal)} of {len(equal)} pixels equal")

# %% [markdown] tags=["slide"]
# Hence the paper's name: a little network inside the network, at every pixel.

# %% jupyter={"source_hidden": true} tags=["remove-input", "slide-more"]
Predict("Without the ReLU, are two 1×1 layers more powerful than one?", [
    Choice("yes, they have more parameters", False,
           "There are more, but they describe nothing new: all that they can "
           "say, one matrix can say too, the product of their two."),
    Choice("yes, but only a little", False,
           "Not even a little. Whatever stands in the two matrices, their "
           "product is one matrix."),
    Choice("no, some single 1×1 layer does exactly the same", True,
           "Two matrices, one after the other, are one: their product."),
])

# %%
first, second = nn.Conv2d(20, 16, 1).double(), nn.Conv2d(16, 30, 1).double()
A, B = first.weight.data[:, :, 0, 0], second.weight.data[:, :, 0, 0]

single = nn.Conv2d(20, 30, 1).double()
single.weight.data = (B @ A)[:, :, None, None]
single.bias.data = B @ first.bias.data + second.bias.data

same = torch.allclose(second(first(x)), single(x))
print("without a ReLU, equal to one layer:", same)

# %% [markdown] tags=["slide"]
# Two layers without a ReLU are no more powerful than one. A product of two matrices is a matrix: $B(Ax + a) + b = (BA)x + (Ba + b)$. The two layers have more parameters, and say no more with them. (With 16 channels in the middle they can say even less: the rank of $BA$ is at most 16.)
#
# And with the ReLU? Could some other single layer do the same as the two? Every single 1×1 layer $f$ obeys $f(x) + f(-x) = 2 f(0)$, because what is linear cancels and only the bias stays. So ask the two layers whether they obey it:

# %% tags=["slide-more"]
def with_relu(x):
    return second(first(x).relu())


zero = torch.zeros_like(x)
for name, f in {"one layer": single, "two with a ReLU": with_relu}.items():
    print(f"{name:16}", torch.allclose(f(x) + f(-x), 2 * f(zero)))

# %% [markdown]
# They do not, so *no* single layer can replace them.

# %% [markdown] tags=["slide-more"]
# > **Misconception: "more linear layers, more power."** Without a non-linear function between them, none.

# %% [markdown] tags=["slide"]
# ## What a 1×1 convolution cannot see
#
# Shuffle the pixels of an image, apply a layer, and put the pixels back in place. For which layers is the result the same as without shuffling? You predicted it above, for small whole numbers. Here it is with ordinary numbers, in PyTorch:

# %% tags=["slide-more"]
order = torch.randperm(7 * 9)
back = torch.argsort(order)


def shuffled(maps, order):
    """The same pixels in another order, each with all its channels."""
    return maps.flatten(2)[:, :, order].reshape(maps.shape)


for k in (1, 3):
    layer = nn.Conv2d(20, 30, kernel_size=k, padding=k // 2).double()
    detour = shuffled(layer(shuffled(x, order)), back)
    same = torch.allclose(detour, layer(x))
    print(f"{k}×{k}: shuffling makes no difference: {same}")

# %% [markdown]
# For a 1×1 convolution there are no neighbours. It sees one pixel, through all its channels. Whatever a network is to know about *shapes* must come from its larger kernels.
#
# Here is a 1×1 layer out of a network that was trained on real pictures: its input maps, its weights, its outputs. The numbers are no longer round, but the sum is the same.

# %% tags=["nbval-ignore-output"]
PixelMLP.of(trained("paper-mnist"), load("mini").val.images[0])

# %% [markdown] tags=["slide"]
# > **Misconception: "it widens the receptive field"**, the square of input pixels that an output depends on. It cannot: an output sees exactly what its own pixel saw before.
#
# > **Misconception: "1×1 convolutions are there to reduce channels."** They can: the paper's own networks narrow, as the layer above does from 96 to 64, and later networks do it on purpose. But they need not: 20 became 30 further up, and in this chapter's network no 1×1 layer changes the number. They are there to *mix*, with a ReLU after each mixing.

# %% [markdown] tags=["slide"]
# ## Take-aways
#
# 1. A 1×1 convolution is a weighted sum over the channels of one pixel, with the same weights at every pixel. Loops, a matrix product, a dense layer with the channels last, and `nn.Conv2d(..., kernel_size=1)` give the same numbers.
# 2. With ReLUs between them, several are an MLP at every pixel; without, they are one layer.
# 3. It sees channels and no neighbours: shuffling the pixels changes nothing but their places.

# %% [markdown] tags=["slide"]
# **Before you go on, from memory:** What is the shape of the weights of a 1×1 convolution from 96 to 256 channels? On which axis does `nn.Linear` work?
#
# **Exercises that check themselves:** [two, and one to stretch](exercises/02_one_by_one_convolution.ipynb).
