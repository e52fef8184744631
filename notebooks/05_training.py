# ---
# jupyter:
#   chapter:
#     compared: 10
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["slide"]
# # 5. Training
#
# Real images, a live curve, and a look at what the network gets wrong.
#
# **You will learn**
#
# 1. to know the loss of pure guessing, and to compare every curve with it;
# 2. to train the network and read its loss and accuracy while it learns;
# 3. to see where it errs, to keep the test images for the last number, and not to trust a single seed.
#
# **You need** [notebook 4](04_nin_network.ipynb), and to have met the [cross-entropy](../book/glossary.md#cross-entropy) loss. **Time** about 25 minutes.
#
# **From memory:** What turns the last maps into logits? What are the sizes on the way from 224 to 5?

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import display

from nin_lib import network, shape_flow
from nin_lib import torch as nin
from nin_lib.data import CLASSES, find_full, load
from nin_lib.history import History
from nin_lib.recipe import SIZES, recipe
from nin_lib.recorded import study, variants
from nin_lib.train import evaluate, fit, predict
from nin_lib.widgets import Choice, LiveCurves, Predict

# %% [markdown] tags=["slide"]
# ## Two sizes
#
# What follows runs at one of two sizes (the last section always at the smaller). *Full* is the network of notebook 4 on all of Fashion-MNIST, enlarged to 224×224: that wants a GPU, or patience (and the images: `nin data --download` in a terminal fetches them). *Class* ends in about a minute on a laptop. It takes a few thousand images as they are, 28×28, and the network that the paper's authors themselves used for images of this size: three blocks of the same kind, 5×5 kernels, and widths that narrow inside each block. The same idea, another spec.

# %% tags=["nbval-ignore-output"]
SIZE = "full" if torch.cuda.is_available() and find_full() else "class"
size = SIZES[SIZE]
spec = network(size.network)
print(f"{SIZE}: {size.network}, {size.data} set, {size.epochs} epochs")

# %% tags=["slide-more"]
for row in shape_flow(network("paper-mnist")):
    print(f"{row.stage:11}{row.layer:35}{row.size:11}{row.parameters:>7,}")

# %% [markdown]
# Three blocks, and maps of 28, 14 and 7 pixels a side: the paper's pooling rounds up.

# %% [markdown]
# ## The images
#
# Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): grey pictures of ten kinds of clothing, shoes and bags. A small balanced selection comes with this chapter. It has three parts: *training* images to learn from, *[held-out](../book/glossary.md#held-out-images)* images for every choice that we make on the way, and *[test](../book/glossary.md#test-images)* images that are looked at once, for the number at the end.

# %%
mini = load("mini")
parts = {"training": mini.train, "held-out": mini.val, "test": mini.test}
for name, part in parts.items():
    print(f"{name:9}{len(part):>6} images")
print(mini.train.images.shape, mini.train.images.dtype)

# %% mystnb={"image": {"alt": "Ten grey pictures of garments, one of each class, with the names of the classes."}} tags=["slide"]
figure, axes = plt.subplots(2, 5, figsize=(8, 3.6))
for label, axis in enumerate(axes.flat):
    first = np.flatnonzero(mini.train.labels == label)[0]
    axis.imshow(mini.train.images[first], cmap="gray_r")
    axis.set_title(CLASSES[label], fontsize=10)
    axis.axis("off")
plt.tight_layout()
plt.show()

# %% [markdown] tags=["slide"]
# ## What does guessing cost?
#
# The loss of an image is minus the logarithm of the probability that the network gave to the right class. **Work it out** before you run the cell: a network that knows nothing gives each of ten classes the same probability. What is its loss? What accuracy does it have when all the classes are equally frequent?

# %% tags=["slide-more"]
print(f"loss of guessing: -ln(1/10) = ln 10 = {math.log(10):.3f}")
print(f"accuracy of guessing: {1 / 10}")

# %% [markdown]
# Remember this number. As long as the loss is near it, the network is no better than guessing. That alone does not say why: it may only be slow, or it may be stuck for good.
#
# An untrained network does not give all classes the same probability: its logits differ by chance. **Predict:** is its loss below or above ln 10?

# %%
RECIPE = "default"
SEED = 0
how = recipe(RECIPE)
data = load(size.data)
model = nin.build(spec, how, SEED)
history = History()  # of the run below

# %% tags=["nbval-ignore-output"]
loss, accuracy = evaluate(model, data.val, size.input_size)
print(f"untrained: loss {loss:.2f}, accuracy {accuracy:.2f}")

# %% [markdown]
# Usually a little above: confidence without knowledge costs more than guessing.

# %% [markdown] tags=["slide"]
# ## The loop
#
# Training repeats five lines: compute the logits of a batch, compute the loss, forget the old gradients, compute the new ones, take a step against them. Here they are, plainly, for three batches of the training images:

# %% tags=["nbval-ignore-output", "slide-more"]
practice = nin.build(network("paper-mnist"), how, SEED)
optimizer = torch.optim.SGD(practice.parameters(), lr=0.01, momentum=0.9)
images = torch.tensor(mini.train.images[:192])[:, None] / 255  # N×1×28×28
labels = torch.tensor(mini.train.labels[:192])

for step in range(3):
    batch = slice(64 * step, 64 * (step + 1))
    logits = practice(images[batch])
    loss = torch.nn.functional.cross_entropy(logits, labels[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    shape = tuple(logits.shape)
    print(f"step {step + 1}: {shape} logits, loss {loss.item():.2f}")

# %% [markdown]
# `fit` is this loop with a few things around it: the sample order of each epoch, a learning rate that may change from step to step, a look at the held-out images after each epoch, and observers, such as the curves below. It knows nothing of NiN; you could give it any classifier. What it does is decided by the *[recipe](../book/glossary.md#recipe)*, which is a handful of plain values:

# %%
for name, value in vars(how).items():
    print(f"{name:14}{value}")

# %% [markdown]
# A word on each: *[momentum](../book/glossary.md#momentum)* keeps part of the previous step, and *nesterov* is a variant of it. *One-cycle*: the learning rate rises over the first fifth of the steps (`warmup`) to 0.2, then falls to almost nothing. *clip*: a gradient longer than 1 is shortened to 1. *kaiming*: first weights scaled so that signals keep their size through ReLUs, and biases that start at zero. *last_relu* False: no ReLU after the last convolution, so that a logit can be negative.

# %% [markdown] tags=["slide"]
# **Predict** before you start: where will the training loss be after one epoch, near ln 10 or clearly below? Which will be higher in the first epoch, the accuracy on the training images or on the held-out ones?

# %% [markdown]
# In the curves below, the dotted line is pure guessing. At the bottom there is one strip for each class: of its own images, how many give that class a logit above 0. With this recipe nearly all do; the strips matter with another recipe, at the end of this notebook. While the run goes on, a *stop* button (in the curves, or the notebook's own) ends it after the step under way; afterwards, *Replay* shows it again.

# %% tags=["nbval-ignore-output", "slide"]
title = f"{size.network}, {RECIPE} recipe, seed {SEED}"
curves = LiveCurves(title=title, classes=CLASSES)
history = fit(
    model, data, how,
    epochs=size.epochs, batch_size=size.batch_size,
    input_size=size.input_size, seed=SEED, observers=[curves],
)

# %% tags=["nbval-ignore-output"]
print("epoch  training loss  accuracy  held-out loss  accuracy")
for row in history.rows:
    left = f"{row['train_loss']:13.3f}{row['train_accuracy']:10.3f}"
    right = f"{row['val_loss']:15.3f}{row['val_accuracy']:10.3f}"
    print(f"{row['epoch']:5}  {left}{right}")

# %%
print("every epoch was finished:", len(history.rows) == size.epochs)
if history.finished():
    first, last = history.rows[0]["train_loss"], history.last["val_loss"]
    print("below ln 10 in the first epoch:", first < math.log(10))
    print("it has learnt:", last < 0.7 * math.log(10))
before = [run for run in variants() if run["variant"] == "as it is"]
above = sum(run["val_accuracy"][0] > run["train_accuracy"][0]
            for run in before)
print(f"stored runs: held-out above training in the first row in"
      f" {above} of {len(before)}")

# %% [markdown] tags=["slide"]
# Two things surprise people here. **In the first row the held-out accuracy is usually *above* the training accuracy.** That is no mistake. The training figure in the table is a mean over the whole epoch, so it includes the beginning, when the network knew less; and while training, dropout hides half of the numbers before a block. Both can hold the training figure down. The held-out figure is taken at the end of the epoch, with everything switched on. **The curve may rest for a while near ln 10** before it falls. Wait, and see whether it moves.

# %% [markdown]
# ## What does it get wrong?
#
# All questions about the trained network go to the *held-out* images. First, one line for each class: how many of its images were given to which class? **Predict:** which two classes are taken for each other most often?

# %%
logits = predict(model, data.val, size.input_size)
predicted, truth = logits.argmax(axis=1), data.val.labels
table = np.zeros((10, 10), dtype=int)
np.add.at(table, (truth, predicted), 1)
print("every image is in the table:", table.sum() == len(truth))

# %% tags=["nbval-ignore-output", "slide"] mystnb={"image": {"alt": "A table of ten by ten fields, true class against predicted class; most of the weight lies on the diagonal."}}
figure, axis = plt.subplots(figsize=(5.4, 4.6))
shares = table / table.sum(axis=1, keepdims=True)
axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
for i, j in np.ndindex(10, 10):
    if table[i, j]:
        color = "white" if shares[i, j] > 0.5 else "black"
        axis.text(j, i, table[i, j], ha="center", va="center", color=color)
axis.set_xticks(range(10), CLASSES, rotation=60, ha="right", fontsize=8)
axis.set_yticks(range(10), CLASSES, fontsize=8)
axis.set_xlabel("predicted")
axis.set_ylabel("true")
plt.tight_layout()
plt.show()

# %% [markdown]
# Read a row: the images of one true class. The diagonal is what went right. Which classes are taken for each other, and would *you* tell them apart at 28×28 pixels? Usually it is the tops among themselves (T-shirt, pullover, coat, shirt), and one kind of shoe for another. Here are the mistakes that the network was surest of:

# %% tags=["nbval-ignore-output", "slide"] mystnb={"image": {"alt": "Ten garments that the network got wrong with the most confidence, each with its true and its predicted class."}}
probability = torch.softmax(torch.tensor(logits), dim=1).numpy()
wrong = np.flatnonzero(predicted != truth)
surest = wrong[np.argsort(-probability[wrong, predicted[wrong]])][:10]

figure, axes = plt.subplots(2, 5, figsize=(8, 4.4))
for axis, index in zip(axes.flat, surest, strict=False):
    axis.imshow(data.val.images[index], cmap="gray_r")
    right, taken_for = CLASSES[truth[index]], CLASSES[predicted[index]]
    share = probability[index, predicted[index]]
    title = f"{right}\ntaken for\n{taken_for} ({share:.0%})"
    axis.set_title(title, fontsize=8)
for axis in axes.flat:
    axis.axis("off")
plt.tight_layout()
plt.show()

# %% [markdown]
# Some of these you would get wrong yourself.
#
# ## The one number at the end
#
# The test images are looked at *once*, when nothing will be changed any more. As long as you try other recipes and seeds, compare held-out figures. When you are done, set `LAST` to `True`.

# %% tags=["nbval-ignore-output"]
LAST = False
if LAST:
    loss, accuracy = evaluate(model, data.test, size.input_size)
    print(f"test images: loss {loss:.3f}, accuracy {accuracy:.3f}")
else:
    print("the test images have not been looked at")

# %%
if history.finished():
    above = history.last["val_accuracy"] > 0.4
    print("held-out, far above guessing:", above)

# %% [markdown]
# Is that good? One run with one seed says little: another seed, another machine, and the number moves. Before you compare two networks, or two recipes, train each of them with several seeds and look at all of their results, not at the best or the last.

# %% [markdown] tags=["slide"]
# ## Three seeds, another recipe
#
# *Dive into Deep Learning*, through which NiN is best known, trains the four-block network of notebook 4 with another recipe (in its later edition at half the rate). Here it is called *published*, and it trains the paper's small network. It is not the recipe of the paper's authors, who lowered the learning rate twice on the way (section 4 of the paper).

# %% tags=["slide-more"]
usual = recipe("published")
for name, value in vars(usual).items():
    other = "" if value == getattr(recipe("default"), name) else "  (differs)"
    print(f"{name:14}{value!s:10}{other}".rstrip())

# %% [markdown] tags=["slide"]
# Plain stochastic gradient descent with a constant learning rate, Xavier's first weights, and a ReLU after the very last layer. Three runs of the class size follow, which differ in nothing but the seed.

# %% jupyter={"source_hidden": true} tags=["remove-input", "slide-more"]
Predict("Compared with the default recipe, how will the runs end?", [
    Choice("about as well, all three", False,
           "The networks differ in the last ReLU only. But a recipe also "
           "sets the first weights, the learning rate and the momentum."),
    Choice("a little behind, all three", False,
           "Every run that was made before ended far behind: see the figures "
           "further down."),
    Choice("far behind", True,
           "So it went with every seed that was tried: see the runs further "
           "down."),
])

# %% tags=["nbval-ignore-output", "slide"]
small, ended = SIZES["class"], {}
title = "published recipe, three seeds"
three = LiveCurves(title=title, classes=CLASSES, keep=True, at_once=False)
display(three)
for seed in range(3):
    other = nin.build(network(small.network), usual, seed)
    run = fit(
        other, mini, usual, epochs=small.epochs, batch_size=small.batch_size,
        seed=seed, observers=[three],
    )
    if not run.finished():
        break
    answers = predict(other, mini.val).argmax(axis=1)
    ended[seed] = run, 10 - len(set(answers))

# %% tags=["nbval-ignore-output"]
print("seed  held-out accuracy after each epoch  classes never answered")
for seed, (run, never) in ended.items():
    each = [f"{value:.2f}" for value in run.column("val_accuracy")]
    print(f"{seed:4}  {', '.join(each):>34}{never:>24}")
if len(ended) < 3:
    print("The runs were stopped early: run the cell above again.")

# %% [markdown]
# What do you see? Look at the loss: when does it leave the dotted line, if it does? Look at the number of classes that are never answered. And at the strips (of the last run): which of them are short?
#
# Three runs are few, so here are some that were made before, each with a seed of its own, after as many epochs:

# %% tags=["slide", "slide-output"]
stored = {
    "default": [run["val_accuracy"][2] for run in variants()
                if run["variant"] == "as it is"],
    "published": [run["accuracy"][2] for run in study()
                  if run["arm"] == "published"],
}
for name, runs in stored.items():
    print(f"{name:10}{len(runs):2} runs, held-out accuracy"
          f" {min(runs):.2f} to {max(runs):.2f}")
assert min(stored["default"]) > 0.6 > 0.5 > max(stored["published"])
print("\npublished: classes with no positive logit on any own image")
for where in ("at ln 10", "below it"):
    dead = sorted(
        len(run["dead"][2]) for run in study() if run["arm"] == "published"
        and (run["loss"][2] > math.log(10) - 0.05) == (where == "at ln 10"))
    print(f"loss {where}, {len(dead):2} runs:", *dead)
    assert len(set(dead)) > 2

# %% [markdown] tags=["slide-more"]
# Far behind: the worst run with the default recipe is ahead of the best with the published one. Some of the published runs are still at ln 10, others have left it; some have many classes that get no positive logit, others none; and the curve of the loss alone does not tell you so. How to see it, and why it happens, is the subject of [notebook 7](07_when_training_collapses.ipynb).

# %% [markdown]
# ## Check yourself
#
# Put your numbers in the place of each `None`, and run the cell. (A calculator may help: `math.log` is the natural logarithm.)

# %%
mine = {
    "loss of guessing among 100 classes, two decimals": None,
    "accuracy of guessing among 20 classes": None,
    "loss of a network that gives the right class 1/4 each time": None,
}

truth = [round(math.log(100), 2), 1 / 20, round(math.log(4), 2)]
for (what, number), true in zip(mine.items(), truth, strict=True):
    if number is None:
        print(f"{what}: still to fill in")
    else:
        right = abs(number - true) < 0.01
        print(f"{what}: {'right' if right else 'not yet'}")

# %% [markdown]
# <details><summary>Compare when you have filled in all of them</summary>
#
# ln 100, which is twice ln 10. One in 20. And ln 4: the loss is the logarithm of one over the probability that the right class is given.
#
# </details>

# %% [markdown] tags=["slide"]
# ## Take-aways
#
# 1. A network that guesses among ten classes has a loss of ln 10 and an accuracy of a tenth. A curve that stays there says that nothing useful has been learnt *yet*; it does not say why.
# 2. Training figures are means over an epoch, with dropout on; held-out figures are taken at its end, with dropout off.
# 3. A table of true against predicted classes shows where the network errs. Choices are made on held-out images, test images are for the last number, and one seed is an anecdote.

# %% [markdown] tags=["slide"]
# **Before you go on, from memory:** Why can the held-out accuracy be above the training accuracy? What does a loss curve that stays at ln 10 tell you, and what does it not?
#
# **Exercises that check themselves:** [two, and one to stretch](exercises/05_training.ipynb).
