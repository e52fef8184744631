# ---
# jupyter:
#   chapter:
#     compared: 9
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6. Global average pooling
#
# The last block leaves one map for each class, and the mean of that map is the class's logit. What is it that is averaged there? What can you read off it, and what not?
#
# **You will learn**
#
# 1. to compute logits from maps, and to see the average as a dense layer that nobody trained;
# 2. to read the map of a class as evidence, without any gradient, and to say how far a cell of it sees;
# 3. to tell what the *pooling* is indifferent to from what the *network* is indifferent to.
#
# **You need** [notebook 5](05_training.ipynb). **Time** about 25 minutes.
#
# **From memory:** What is the loss of a network that guesses among ten classes? On which images do we make choices?

# %%
import matplotlib.pyplot as plt
import torch
from torch import nn

from nin_lib import network, shape_flow
from nin_lib.data import CLASSES, load
from nin_lib.recorded import about, trained
from nin_lib.train import to_input
from nin_lib.widgets import ClassMaps

_ = torch.manual_seed(0)
torch.set_printoptions(precision=2, sci_mode=False)

# %% [markdown]
# ## By hand
#
# Two classes, and for each of them a map of two rows and three columns. **On paper:** what are the two logits? Which class wins, and would it still win if the large number stood in another corner?

# %%
tiny = torch.tensor([
    [[0., 0., 9.],
     [0., 0., 3.]],   # the map of class 0
    [[1., 2., 1.],
     [2., 1., 2.]],   # the map of class 1
])  # fmt: skip
for c, one_map in enumerate(tiny):
    total, cells = one_map.sum(), one_map.numel()
    print(f"logit {c}: {total:g} / {cells} = {one_map.mean():g}")

# %% [markdown]
# One strong spot can beat weak evidence everywhere, and it does not matter where the spot is. All cells have the same say.
#
# Say the same with a dense layer: lay the twelve numbers in a row, and multiply them with a 2×12 matrix. **Predict:** what stands in that matrix?

# %%
head = nn.Linear(12, 2, bias=False)
head.weight.data.zero_()
head.weight.data[0, :6] = 1 / 6  # class 0 looks at its own map ...
head.weight.data[1, 6:] = 1 / 6  # ... and class 1 at its own
print(torch.allclose(head(tiny.flatten()), tiny.mean(dim=(1, 2))))

# %% [markdown]
# So global average pooling *is* a dense layer. Only, nobody trained it: half of its weights are 0, the others are all the same. A trained dense layer could give each place a weight of its own, and it could let the map of one class speak for another. What the average forbids the head, the maps have to do themselves: **each map must become evidence for its own class.**
#
# ## The maps of a trained network
#
# The chapter brings along a network that was trained before: the small one of notebook 5, on all the images of Fashion-MNIST.

# %%
model = trained("paper-mnist")
facts = about("paper-mnist")
print(f"{facts['images']:,} training images, {facts['epochs']} epochs")
print(f"{facts['val_accuracy']:.3f} of its held-out images right")

# %% [markdown]
# The network is a flat sequence. Send a held-out image through all of it but the last layer, and you have the maps:

# %%
val = load("mini").val
images = to_input(torch.tensor(val.images[:1]))  # N×1×28×28, from 0 to 1
with torch.no_grad():
    maps = images
    for layer in list(model)[:-1]:
        maps = layer(maps)
    logits = model(images)
print("maps:", tuple(maps.shape), " logits:", tuple(logits.shape))
means = maps.mean(dim=(2, 3))
same = torch.allclose(means, logits, atol=1e-5)
print("each logit is the mean of its map:", same)

# %% mystnb={"image": {"alt": "A garment, and the last map of each of the ten classes on one scale; the map of the right class is the strongest."}}
def draw_maps(image, maps, label):
    """The image, then the map of each class, all on one scale."""
    figure, axes = plt.subplots(1, 11, figsize=(11, 1.7))
    axes[0].imshow(image, cmap="gray_r")
    axes[0].set_title("image", fontsize=8)
    scale = float(maps.abs().max())
    for c, axis in enumerate(axes[1:]):
        axis.imshow(maps[c], cmap="RdBu_r", vmin=-scale, vmax=scale)
        name = f"▲ {CLASSES[c]}" if c == label else CLASSES[c]
        axis.set_title(f"{name}\n{maps[c].mean():.1f}", fontsize=8)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    figure.tight_layout()
    plt.show()


draw_maps(val.images[0], maps[0], val.labels[0])

# %% [markdown]
# Red is evidence for a class, blue against it; ▲ marks the right class, and the number is the mean. No gradient was needed for this picture: the maps are there whenever the network gives an answer. (Networks that end in an average *and* a dense layer need one step more: Zhou et al. 2016 weight the maps with the dense layer's weights, and call the result a class activation map.)
#
# ## Try it
#
# Commit to the prediction first. Then look at right and wrong answers, and cover parts of the image. Which region would flip the answer?

# %% tags=["nbval-ignore-output"]
class_maps = ClassMaps()
class_maps

# %% [markdown]
# ## How far does a cell see?
#
# The maps have 7×7 cells, and the picture 28×28 pixels. **Predict:** on how many pixels can the one cell in the middle of a map depend?
#
# - (a) On 4×4, because 28 / 7 = 4.
# - (b) On 5×5, the kernel of the last block.
# - (c) On the whole picture.

# %%
*_, last, average = shape_flow(network("paper-mnist"))
side = last.receptive_field
print(f"{last.stage}, {last.size}: sees {side}×{side} pixels")

# %% [markdown]
# (c): the square is larger than the picture. It grew with every 5×5 kernel and every pooling on the way.
#
# <details><summary>Why (a) and (b) are tempting, and wrong</summary>
#
# (a) counts how far apart neighbouring cells are, not how far they see. (b) counts one layer only: each of the 5×5 inputs of that layer has seen a large square before.
#
# </details>
#
# > **Misconception: "the map is bright where the network looks."** It is bright where the evidence *ended up*. Each cell may have used the whole picture. To find out what the answer depends on, change the picture: cover a part of it and compute again, as above.
#
# Do the cells really use what they can see? Cover the left half of the picture, and look at the cell in the middle of the *last* column, right at the other side:

# %%
covered = images.clone()
covered[..., :14] = 0
with torch.no_grad():
    after = covered
    for layer in list(model)[:-1]:
        after = layer(after)
change = (after - maps)[0, :, 3, 6]
print("it gives the same numbers:", bool((change.abs() < 1e-5).all()))

# %% [markdown]
# It does not: what stands on the left is felt on the right.
#
# ## What the pooling is indifferent to, and the network is not
#
# Shuffle the 49 cells of every map, all maps alike. **Predict:** which logits change?

# %%
order = torch.randperm(49)
shuffled = maps.flatten(2)[:, :, order]
same = torch.allclose(shuffled.mean(dim=2), means, atol=1e-5)
print("the same logits:", same)

# %% [markdown]
# None. A mean does not know the order of what it averages. From this people conclude that the network does not care *where* a garment is. **Predict:** how many of the 1,000 held-out answers change when every picture is moved to the right by 1 pixel? By 2? By 8?

# %% tags=["nbval-ignore-output"]
@torch.no_grad()
def answers(images):
    return torch.cat([model(part).argmax(1) for part in images.split(250)])


def moved(images, pixels):
    """To the right by so many pixels; what comes in on the left is empty."""
    return nn.functional.pad(images, (pixels, 0, 0, 0))[..., :28]


all_images = to_input(torch.tensor(val.images))
labels = torch.tensor(val.labels)
before = answers(all_images)
print(f"not moved: {(before == labels).float().mean():.3f} right")
changed = {}
for pixels in (1, 2, 4, 8):
    now = answers(moved(all_images, pixels))
    changed[pixels] = int((now != before).sum())
    right = (now == labels).float().mean()
    count = f"{changed[pixels]:4} answers change"
    print(f"by {pixels}: {count}, {right:.3f} right")

# %%
print("one pixel changes some answers:", changed[1] > 0)
print("eight pixels change more than one in four:", changed[8] > 250)

# %% [markdown]
# > **Misconception: "with global average pooling the network does not care where things are."** The *pooling* does not care in which cell a number stands, exactly. But the numbers themselves change when the picture moves: a step of one pixel falls between the strides of the poolings, what leaves the picture is gone, the zeros around the edge come nearer. And all the training pictures stood in the middle.
#
# ## Other sizes
#
# The average takes maps of any size. So the network takes any picture that survives the poolings. **Predict:** enlarge the held-out pictures to 56×56, twice the size, with nothing else changed. How many answers stay right?
#
# - (a) About as many: the pictures show the same things, only sharper.
# - (b) A few less.
# - (c) Far less.

# %% tags=["nbval-ignore-output"]
right = {}
for side in (20, 28, 36, 56):
    size = (side, side)
    resized = nn.functional.interpolate(all_images, size, mode="bilinear")
    right[side] = (answers(resized) == labels).float().mean().item()
    print(f"{side}×{side}: {right[side]:.3f} right")

# %%
print("twice the size loses a quarter:", right[56] < 0.75 * right[28])

# %% [markdown]
# (c). It *takes* the picture, and it is *wrong*: a kernel of 5×5 that has learnt to find a sleeve finds half a sleeve now.
#
# > **Misconception: "it accepts any size" means that it works at any size.** It works near the size that it was trained at.
#
# ## Take-aways
#
# 1. Global average pooling is a dense layer with fixed weights: each class listens to its own map, to all the cells alike. So the maps must become evidence for the classes.
# 2. The maps can be looked at without any gradient. But a cell sees far beyond the spot it stands on; what an answer depends on is found out by changing the picture.
# 3. The mean is indifferent to the order of the cells, exactly. The network is not indifferent to where things are, nor to how large they are.
#
# **Before you go on, from memory:** Which matrix makes a dense layer of the average? Why is a bright cell no proof that the network looked there?
