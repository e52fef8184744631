# ---
# jupyter:
#   chapter:
#     compared: 15
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["slide"]
# # 6. Global average pooling
#
# The last block leaves one [map for each class](../book/glossary.md#class-map), and the mean of that map is the class's logit. What is it that is averaged there? What can you read off it, and what not?
#
# **You will learn**
#
# 1. to see the average as a dense layer that nobody trained, and to compare it with trained ones;
# 2. to read the map of a class as evidence, without any gradient, and to say how far a cell of it sees;
# 3. to tell what the *pooling* is indifferent to, and that the *network* is not.
#
# **You need** [notebook 5](05_training.ipynb). **Time** about 30 minutes.
#
# **From memory:** What is the loss of a network that guesses among ten classes? On which images do we make choices?

# %%
import matplotlib.pyplot as plt
import torch
from torch import nn

from nin_lib import network
from nin_lib.class_maps import seen
from nin_lib.data import CLASSES, load
from nin_lib.recorded import about, trained, variants
from nin_lib.runtime.dataset import to_input
from nin_lib.widgets import Choice, ClassMaps, Predict

_ = torch.manual_seed(0)
torch.set_printoptions(precision=2, sci_mode=False)

# %% [markdown] tags=["slide"]
# ## By hand
#
# Two classes, and for each of them a map of two rows and three columns. **On paper:** what are the two logits? Which class wins, and would it still win if its large number stood in another cell?

# %% tags=["slide-more"]
tiny = torch.tensor([
    [[0., 0., 9.],
     [0., 0., 3.]],   # the map of class 0
    [[1., 2., 1.],
     [2., 1., 2.]],   # the map of class 1
])
for c, one_map in enumerate(tiny):
    total, cells = one_map.sum(), one_map.numel()
    print(f"logit {c}: {total:g} / {cells} = {one_map.mean():g}")

# %% [markdown]
# Class 0 wins, wherever its 9 and its 3 stand. Two strong cells can beat weak evidence everywhere, because all cells have the same say.

# %% [markdown] tags=["slide"]
# Say the same with a dense layer: lay the twelve numbers in a row, and multiply them with a 2×12 matrix. **Predict:** what stands in that matrix?

# %% tags=["slide-more"]
head = nn.Linear(12, 2, bias=False)
head.weight.data.zero_()
head.weight.data[0, :6] = 1 / 6  # class 0 looks at its own map ...
head.weight.data[1, 6:] = 1 / 6  # ... and class 1 at its own
print(head.weight.data)
same = torch.allclose(head(tiny.flatten()), tiny.mean(dim=(1, 2)))
print("the same logits:", same)

# %% [markdown] tags=["slide-more"]
# For maps of one size, global average pooling *is* a dense layer. But nobody trained it: the weights on the own map are all the same, and those on the maps of other classes are 0. A trained dense layer could give each place a weight of its own, and it could let the map of one class speak for another. The average can do neither, so what comes before it has to: **each map must become evidence for its own class.** (The channels are mixed one layer earlier. The last 1×1 convolution gives each class its own weighted sum of the maps below.)

# %% [markdown]
# ## The maps of a trained network
#
# With the chapter comes a network that was trained before: the small one of notebook 5, on the full Fashion-MNIST. (The held-out images below are not among those it was trained on.)

# %%
model = trained("paper-mnist")
facts = about("paper-mnist")
print(f"{facts['images']:,} training images, {facts['epochs']} epochs")
print(f"{facts['val_accuracy']:.3f} of its held-out images right")

# %% [markdown]
# The network is a flat sequence. Send a held-out image through all of it but the last layer, and you have the maps. **Predict**, before you see them: will only the map of the right class have positive cells?

# %%
def maps_of(images):
    """N×1×H×W images → N×10×h×w maps."""
    with torch.no_grad():
        for layer in list(model)[:-1]:
            images = layer(images)
    return images


val = load("mini").val
images = to_input(torch.tensor(val.images[:1]))  # N×1×28×28, from 0 to 1
maps = maps_of(images)
means = maps.mean(dim=(2, 3))
print("maps:", tuple(maps.shape), " means:", tuple(means.shape))
with torch.no_grad():
    same = torch.allclose(means, model(images), atol=1e-5)
print("each logit is the mean of its map:", same)

# %% mystnb={"image": {"alt": "A garment, and the last map of each of the ten classes on one scale; the map of the right class is the strongest."}} tags=["slide"]
def draw_maps(image, maps, label):
    """The image, then the map of each class, all on one scale."""
    figure, axes = plt.subplots(2, 6, figsize=(9, 3.7))
    first, *others = axes.flat
    first.imshow(image, cmap="gray")
    first.set_title("image", fontsize=9)
    scale = float(maps.abs().max())
    for c, axis in enumerate(others[:10]):
        axis.imshow(maps[c], cmap="RdBu", vmin=-scale, vmax=scale)
        rows, columns = (maps[c] < 0).nonzero(as_tuple=True)
        axis.plot(columns, rows, "k.", markersize=2)  # against the class
        name = f"▲ {CLASSES[c]}" if c == label else CLASSES[c]
        axis.set_title(f"{name}\n{maps[c].mean():.1f}", fontsize=9)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    others[10].axis("off")
    figure.tight_layout()
    plt.show()


draw_maps(val.images[0], maps[0], val.labels[0])

# %% [markdown] tags=["slide-more"]
# Blue is evidence for a class, red with a dot against it; ▲ marks the right class, and the number is the mean. Most of the other maps have positive cells too; what counts is the mean. No gradient was needed for this picture: the maps are there whenever the network gives an answer. (Networks that end in an average *and then* a trained dense layer need one step more: [Zhou et al. 2016](../book/references.bib#zhou2016cam) weight the averaged maps with the dense layer's weights, and call the result a class activation map.)

# %% [markdown] tags=["slide"]
# ## How far does a cell see?
#
# The maps have 7×7 cells, and the image 28×28 pixels.

# %% jupyter={"source_hidden": true} tags=["remove-input", "slide-more"]
Predict("On how many pixels can the cell in the middle of a map depend?", [
    Choice("on 4×4, because 28 / 7 = 4", False,
           "That is how far apart neighbouring cells are, not how far they "
           "see."),
    Choice("on 5×5, the kernel of the last block", False,
           "That counts one layer only: each of the 5×5 numbers that this "
           "layer reads has seen a large square before."),
    Choice("on the whole image", True,
           "What a cell sees grew with every kernel and every pooling on the "
           "way."),
])

# %% tags=["slide-more", "slide-output"]
spec = network("paper-mnist")
for cell in ((3, 3), (3, 6)):
    rows, columns = seen(spec, *cell)
    print(f"cell {cell} sees rows {rows.start} to {rows.stop - 1}"
          f" and columns {columns.start} to {columns.stop - 1}")

# %% [markdown]
# On the whole image, for the cell in the middle. The receptive field (notebook 4) has a side of 35 pixels here. It grew with every 5×5 kernel and every pooling on the way. A cell at the edge of the map sees a part of that square, because the rest lies outside the image.

# %% [markdown] tags=["slide"]
# Do the cells *use* what they can see? Cell (3, 6) stands in the middle of the last column. **Predict:** does it change when the first 10 columns of the image are covered? And when the first 14 are?

# %% tags=["slide-more", "slide-output"]
for covered in (10, 14):
    image = images.clone()
    image[..., :covered] = 0
    change = (maps_of(image) - maps)[0, :, 3, 6]
    changed = bool((change.abs() > 1e-5).any())
    print(f"{covered} columns covered: the cell changes: {changed}")

# %% [markdown] tags=["slide-more"]
# What stands left of column 10 it cannot feel. What stands in the columns 10 to 13 it does feel, two cells and more from its own spot.
#
# > **Misconception: "the map is bright where the network looks."** It is bright where the evidence *ended up*. To find out what an answer depends on, change the image: cover a part of it and compute again.

# %% [markdown]
# ## Try it
#
# Commit to the prediction first. Then look at right and wrong answers, and cover parts of the images. Which region would flip the answer? (On a page without Python there are two sizes of regions; the numbers are rounded to 8 bits, so last digits may differ.)

# %% tags=["nbval-ignore-output", "slide"]
class_maps = ClassMaps()
class_maps

# %% [markdown]
# Some answers fall with a small region, others with none. And one caution: a covered image is one that the network never saw in training. That the answer flips says *that* it depends on the region, not how.

# %% [markdown] tags=["slide"]
# ## What the pooling is indifferent to, and the network is not
#
# Shuffle the 49 cells of every map, all maps alike. **Predict:** which logits change?

# %% tags=["slide-more"]
order = torch.randperm(49)
shuffled = maps.flatten(2)[:, :, order]
same = torch.allclose(shuffled.mean(dim=2), means, atol=1e-5)
print("the same logits:", same)

# %% [markdown] tags=["slide"]
# Not one logit changes. A mean does not know the order of what it averages. From this people conclude that the network does not care *where* a garment is. **Predict:** how many of 250 held-out answers change when every image is moved to the right by 1 pixel? By 4? By 8, more than a quarter of the image? (The second count is of the garments that lose nothing at the right edge.)

# %% tags=["nbval-ignore-output", "slide-more", "slide-output"]
@torch.no_grad()
def answers(images):
    return model(images).argmax(1)


def moved(images, pixels):
    """To the right by so many pixels; what comes in on the left is empty."""
    return nn.functional.pad(images, (pixels, 0, 0, 0))[..., :28]


some = val.first(250)
all_images = to_input(torch.tensor(some.images))
labels = torch.tensor(some.labels)
before = answers(all_images)
print(f"not moved: {(before == labels).float().mean():.3f} right")
moves = {}
for pixels in (1, 4, 8):
    changed = answers(moved(all_images, pixels)) != before
    whole = all_images[..., -pixels:].amax(dim=(1, 2, 3)) == 0
    moves[pixels] = changed.sum().item(), changed[whole].sum().item()
    count = f"{moves[pixels][0]} of {len(some)} answers change"
    print(f"by {pixels}: {count}; {moves[pixels][1]} of {whole.sum()}")

# %%
print("one pixel changes some answers:", moves[1][0] > 0)
print("eight change more than one in four:",
      moves[8][0] > len(some) / 4)
print("also where nothing is cut off:", moves[4][1] > 0 and moves[8][1] > 0)

# %% [markdown] tags=["slide-more"]
# > **Misconception: "with global average pooling the network does not care where things are."** The *pooling* does not care in which cell a number stands, exactly. The network does: even where nothing is cut off, answers change. Possible reasons are the strides of the poolings, the zeros around the maps, and training images that all stand in the middle; the counts do not tell them apart.

# %% [markdown] tags=["slide"]
# ## Other sizes
#
# Maps of any size can be averaged. So the network takes any image that survives the poolings. Enlarge the held-out images to 56×56, twice the size, with nothing else changed.

# %% jupyter={"source_hidden": true} tags=["remove-input", "slide-more"]
Predict("Enlarged to 56×56, how many answers stay right?", [
    Choice("about as many, they show the same, only larger", False,
           "To us it is the same garment. But the kernels do not grow with "
           "the image: what they learnt to find is twice as large now."),
    Choice("slightly fewer", False,
           "That holds for 36×36, near the size it was trained at. 56×56 is "
           "far from it."),
    Choice("far fewer", True,
           "What the kernels learnt to find is twice as large now, and four "
           "times as many cells are averaged."),
])

# %% [markdown]
# And if the garments keep their size, and stand in the middle of an empty image of 56×56?

# %% tags=["nbval-ignore-output", "slide", "slide-output"]
def enlarged(side):
    size = (side, side)
    return nn.functional.interpolate(all_images, size, mode="bilinear")


views = {
    "28×28": all_images,
    "enlarged to 36×36": enlarged(36),
    "enlarged to 56×56": enlarged(56),
    "in an empty 56×56": nn.functional.pad(all_images, (14, 14, 14, 14)),
}
right = {}
for name, view in views.items():
    right[name] = (answers(view) == labels).float().mean().item()
    print(f"{name:18} {right[name]:.3f} right")
with torch.no_grad():
    maps = model.maps(views["in an empty 56×56"])  # 14×14 cells
middle = maps[..., 4:11, 4:11].mean(dim=(2, 3)).argmax(1)  # 7×7 of them
right["middle"] = (middle == labels).float().mean().item()
print(f"the same, but only the middle 7×7 cells averaged:"
      f" {right['middle']:.3f}")

# %%
enough = 0.75 * right["28×28"]
for name in ("enlarged to 56×56", "in an empty 56×56"):
    print(f"{name}: a quarter is lost: {right[name] < enough}")
print("averaging the middle cells alone brings most of it back:",
      right["middle"] > 0.9 * right["28×28"])

# %% [markdown]
# Far fewer, in both cases; slightly fewer at 36×36. The network *takes* the image and is wrong far more often. Two things have changed: how large the garment is for a kernel of 5×5, and how many cells are averaged. The second alone, with the garment at its old size, does harm as well: most of the cells now stand on empty ground, and they count as much as the others. Leave them out of the average, and most of the harm is undone. (This is one trained network. Others will give other figures.)

# %% [markdown] tags=["slide-more"]
# > **Misconception: "it accepts any size" means that it works at any size.** It works near the size that it was trained at.

# %% [markdown] tags=["slide"]
# ## Does it learn as well as a dense head?
#
# What an ending costs can be counted. How well a network learns with it has to be tried, with several seeds. Here is the network of notebook 5 with three endings: the average; one dense layer in its place, on the ten maps of 7×7 cells; and AlexNet's way, wide dense layers in the place of the last block. The images and the three epochs are those of notebook 5, and so is the recipe, with its learning rate of 0.2 and with a lower one.

# %% jupyter={"source_hidden": true} tags=["remove-input", "slide-more"]
Predict("After three epochs, which ending leads on held-out images?", [
    Choice("the average, which the paper brought in", False,
           "The paper brought it in against overfitting, and trained long. "
           "These runs are short."),
    Choice("the dense layers", True,
           "Here both of them lead, with every seed and at either rate."),
    Choice("none, since the seeds differ more than the endings", False,
           "The right suspicion to begin with. But here the dense layers "
           "lead with every seed, at either rate."),
])

# %% mystnb={"image": {"alt": "Held-out accuracy after three epochs, a mark for each seed, in three rows: the average, one dense layer, wide dense layers. Dots for the learning rate 0.05, triangles for 0.2, which lie further to the right in every row."}} tags=["slide"]
small, wide = "one dense layer 490 → 10", "dense 2352 → 512 → 512 → 10"
names = ["average", "one dense layer", "wide dense layers"]
variants_at = {  # by learning rate
    0.2: ["as it is", small, wide],
    0.05: [f"{start}learning rate 0.05"
           for start in ("", f"{small}, ", f"{wide}, ")],
}
runs = variants()
ends = {(rate, name): {run["seed"]: run["val_accuracy"][-1]
                       for run in runs if run["variant"] == variant}
        for rate, trained_so in variants_at.items()
        for name, variant in zip(names, trained_so, strict=True)}

figure, axis = plt.subplots(figsize=(7, 2.2))
for rate, mark in {0.2: "^", 0.05: "o"}.items():
    for row, name in enumerate(names):
        accuracy = list(ends[rate, name].values())
        label = f"learning rate {rate}" if row == 0 else None
        axis.plot(accuracy, [row] * len(accuracy), mark, alpha=0.6,
                  color="#0072B2" if rate == 0.05 else "#D55E00",
                  label=label)
axis.set_yticks(range(3), names)
axis.set(xlabel="held-out accuracy", ylim=(2.5, -0.5))
axis.legend(fontsize=8, loc="lower left")
figure.tight_layout()
plt.show()

# %% tags=["slide-more", "slide-output"]
for name, variant in zip(names, variants_at[0.2], strict=True):
    count = {r["parameters"] for r in runs if r["variant"] == variant}.pop()
    print(f"{name}, {count:,} parameters:")
    for rate in variants_at:
        mine, average = ends[rate, name], ends[rate, "average"]
        line = f"   rate {rate:4}: {min(mine.values()):.2f} to"
        line += f" {max(mine.values()):.2f}, {len(mine)} seeds"
        if name != "average":
            ahead = sum(mine[seed] > average[seed] for seed in mine)
            line += f", ahead of the average in {ahead}"
            assert ahead == len(mine) == len(average) == 10
        print(line)
higher = sum(ends[0.2, name][seed] > ends[0.05, name][seed]
             for name in names for seed in range(10))
print(f"higher rate ahead: {higher} of {10 * len(names)}")

# %% [markdown]
# The dense layers, here, with every seed. A comparison like this can turn out as it does because the recipe happens to suit one of the networks. So each was also trained with a rate a quarter as large: all three endings do worse then, and the dense layers still lead. A possible reason, which these runs do not test: a dense layer may use the maps as they come, from the first step on, while with the average each map has to become evidence for its own class first.
#
# What these runs do *not* say is who is ahead after a hundred epochs. The paper ([Lin, Chen and Yan 2014](../book/references.bib#lin2014nin), table 5) trained long on CIFAR-10, and there the average made the fewest errors:

# %%
errors = {"dense": 11.59, "dense, with dropout": 10.88, "average": 10.41}
for name, percent in errors.items():
    print(f"{name:20}{percent} % of the test images wrong")

# %% [markdown]
# One figure for each, from one network on one data set, without a spread: a difference that several seeds might blur.
#
# ## Check yourself
#
# Put your numbers in the place of each `None`, and run the cell. Use paper: the cells stand 4 pixels apart, and without an edge cell (3, 3) would see the columns −2 to 32.

# %%
mine = {
    "first column inside the image that cell (3, 2) sees": None,
    "last column that cell (3, 2) sees, inside the image": None,
    "weight of a cell of a 7×7 map, as 1 / this number": None,
    "logits that change when the cells of all maps are shuffled": None,
}

truth = [max(-2 - 4, 0), min(32 - 4, 27), 7 * 7, 0]
for (what, number), true in zip(mine.items(), truth, strict=True):
    if number is None:
        print(f"{what}: still to fill in")
    else:
        print(f"{what}: {'right' if number == true else 'not yet'}")

# %% [markdown]
# <details><summary>Compare when you have filled in all of them</summary>
#
# Cell (3, 2) stands 4 pixels left of cell (3, 3), so it sees the columns −6 to 28, and inside the image 0 to 27. All 49 cells have the weight 1/49. And no logit changes: a mean does not know the order.
#
# </details>

# %% [markdown] tags=["slide"]
# ## Take-aways
#
# 1. For maps of one size, global average pooling is a dense layer with fixed weights: each class listens to its own map, to all the cells alike. So the maps must become evidence for the classes. Trained dense layers led after three epochs of class runs, with every seed and at both learning rates; that says nothing about long training.
# 2. The maps can be looked at without any gradient. But a cell sees far beyond the spot it stands on; what an answer depends on is found out by changing the image.
# 3. The mean is indifferent to the order of the cells, exactly. The network is not indifferent to where things are, nor to how large they are.

# %% [markdown] tags=["slide"]
# **Before you go on, from memory:** With which weights is the average a dense layer? Why may a trained one lead at first? Why is a bright cell no proof that the network looked there? What is the pooling indifferent to, and what is the network *not* indifferent to?
#
# **Exercises that check themselves:** [two, and one to stretch](exercises/06_global_average_pooling.ipynb).
