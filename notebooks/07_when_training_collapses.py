# ---
# jupyter:
#   chapter:
#     compared: 36
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["slide"]
# # 7. When training collapses
#
# Trained as in notebook 5's last section, this network learns nothing for a long time, or only a part of the classes. Here you watch it happen, find one cause on paper, and compare what might mend it, over several seeds.
#
# **You will learn**
#
# 1. to see dead classes while a network trains, and to tell three causes of a loss of ln 10 apart;
# 2. why a class dies behind a last ReLU, and what it costs at least;
# 3. to compare recipes by how often they fail, and to say what a few runs cannot tell.
#
# **You need** notebooks [5](05_training.ipynb) and [6](06_global_average_pooling.ipynb), and the chain rule. **Time** about 40 minutes.
#
# **From memory:** With which weights is global average pooling a dense layer? What is it indifferent to, and what is the network not indifferent to?

# %%
import math
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from nin_lib import network, recorded
from nin_lib import torch as nin
from nin_lib.collapse import (
    ADVICE, NEAR, CollapseMonitor, dead_classes, loss_floor, own_positive,
    plateau, say,
)
from nin_lib.data import CLASSES, Split, load
from nin_lib.runtime.plan import ExecutionPlan
from nin_lib.recipe import SIZES, recipe
from nin_lib.train import fit, predict
from nin_lib.widgets import LiveCurves

_ = torch.manual_seed(0)
torch.set_printoptions(precision=3, sci_mode=False)

# %% [markdown] tags=["slide"]
# ## Watch it
#
# At the end of notebook 5, three runs with the *published* recipe ended far behind: that of *Dive into Deep Learning*, not that of the paper's authors. Were they behind in all classes alike? Before you take a seed of your own, here are some runs that were made before, with these images and that recipe:

# %% tags=["slide-more"]
size, how = SIZES["class"], recipe("published")
study = recorded.study()
usual = [run for run in study if run["arm"] == "published"]
dead = sum(len(run["dead"][0]) > 0 for run in usual)
few = sum(run["accuracy"][2] < 0.60 for run in usual)
print(f"{len(usual)} runs; after one epoch a class was dead in {dead},")
print(f"after three fewer than six images in ten were right in {few}")
assert min(dead, few) >= 0.9 * len(usual)

# %% [markdown] tags=["slide"]
# A class is **dead** when none of its own images gives it a [logit](../book/glossary.md#logit) above 0. While your run goes on, watch the strips at the bottom: of its own images, how many give a class a logit above 0? A *monitor* looks on as well, and says in words what it sees. **Predict:** will the dead classes of your run be the same as your neighbour's?

# %%
SEED = 3  # yours
data = load(size.data)
model = nin.build(network(size.network), how, SEED)

# %% tags=["nbval-ignore-output"]
title = f"{size.network}, published recipe, seed {SEED}"
curves = LiveCurves(title=title, classes=CLASSES)
history = fit(
    model, data, how, epochs=size.epochs, batch_size=size.batch_size,
    seed=SEED, observers=[curves, CollapseMonitor(classes=CLASSES)],
)

# %% [markdown]
# Your classes, on the held-out images (your neighbour's are likely to be others: the table of stored runs further down counts how many die, seed by seed):

# %% tags=["nbval-ignore-output"]
logits = predict(model, data.val)
shares = own_positive(logits, data.val.labels)
answered = np.bincount(logits.argmax(axis=1), minlength=10)
print("class        own logit > 0   answers")
for c, name in enumerate(CLASSES):
    print(f"{name:12}{shares[c]:>11.0%}{answered[c]:>12}")
print("dead classes:", len(dead_classes(shares)))

# %% [markdown]
# (This table need not agree with the ends of the strips. It counts held-out images, with dropout off, and the strips count training images, with dropout on; near ln 10 the logits are so small that this decides.)
#
# And a recorded run, the same for everybody; pale below it, the default recipe with the same images in the same order. Press *Replay*.

# %% tags=["slide"]
published = recorded.run("class-collapse")
default = recorded.run("class-default")
about = published.history.about
print(f"seed {about.seed}, {about.plan['threads']} thread,"
      f" {about.plan['instruction_set']},"
      f" PyTorch {about.plan['torch'].split('+')[0]}")
below = {"default recipe": default}
LiveCurves.replay(published, "recorded: published recipe", below)

# %%
def told(run):
    for warning in run.told:
        say(warning)
    for row in run.history.rows:
        print(f"epoch {row['epoch']}: held-out loss {row['val_loss']:.2f},"
              f" {row['val_accuracy']:.3f} right")


told(published)

# %% [markdown]
# The loss rests at ln 10, and the monitor names *two* things. The logits differ a little between images: this may be no more than a **slow start**. And there are **dead classes**, which come and go. Take care of the slow start first. How much do the images still differ on their way through an untrained network, with Xavier's [first weights](../book/glossary.md#initialisation), and with Kaiming's ([He et al. 2015](../book/references.bib#he2015delving)), which are made so that signals keep their size through ReLUs?

# %%
def spreads(init):
    """How far 200 images spread behind each convolution, on average."""
    untrained = nin.build(network(size.network), replace(how, init=init), 0)
    found = []
    for layer in untrained.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(
                lambda layer, x, y: found.append(y.std(dim=0).mean().item()))
    images = Split(data.val.images[:200], data.val.labels[:200])
    predict(untrained, images, plan=ExecutionPlan("cpu"))  # in float32 on every machine
    return found


signals = {init: spreads(init) for init in ("xavier", "kaiming")}
for init, found in signals.items():
    print(f"{init:8}", " ".join(f"{spread:.2g}" for spread in found))

# %%
for init, found in signals.items():
    print(f"{init}: the last is below a tenth of the first:",
          found[-1] < found[0] / 10)
smaller = signals["xavier"][0] < signals["kaiming"][0]
print("Xavier's are smaller from the first convolution on:", smaller)

# %% [markdown]
# With Xavier's weights the images differ little behind the first convolution already, and ever less behind the others: the last layer sees nearly the same for all of them. With Kaiming's the difference lasts. **Predict:** with Kaiming's weights and nothing else changed, will the loss leave ln 10 in the first epoch? And will all the classes live?

# %% tags=["slide"]
kaiming = recorded.run("class-kaiming")
below = {"published": published, "default recipe": default}
title = "recorded: published recipe with Kaiming's first weights"
LiveCurves.replay(kaiming, title, below)

# %%
told(kaiming)

# %% [markdown]
# This run leaves ln 10 in the first epoch, and loses dresses all the same, early on; later pullovers and coats as well. One run is one seed. In the runs that were made before:

# %%
for arm in ("published", "published, Kaiming init"):
    mine = [run for run in study if run["arm"] == arm]
    left = sum(run["loss"][0] < math.log(10) - NEAR for run in mine)
    lost = sum(any(run["dead"]) for run in mine)
    print(f"{arm:24} {len(mine)} runs: {left} left ln 10 in the first epoch,")
    print(f"{'':32} {lost} had a dead class at some time")

# %% [markdown]
# (For a live run of this kind, write `how = replace(how, init="kaiming")` above.) So there are two troubles, which one loss curve cannot tell apart: a slow start, and dead classes. The second can be understood on paper.

# %% [markdown] tags=["slide"]
# ## What reaches a dead class
#
# The last convolution gives a map $s_k$ for each class $k$; the **last ReLU** turns what is negative into 0; the mean of what is left is the logit $z_k$; softmax turns logits into probabilities $p_k$; the loss $L$ is minus the logarithm of the right class's probability. Go backwards, a step at a time, with $y_k = 1$ for the right class and 0 for the others.
#
# 1. Softmax and logarithm together: $\partial L / \partial z_k = p_k - y_k$.
# 2. A mean over $H \cdot W$ cells: each cell gets the $1/(H W)$-th part.
# 3. A ReLU: what comes back passes where $s_k(i,j) > 0$, and is stopped elsewhere.
#
# $$\frac{\partial L}{\partial s_k(i,j)} = \frac{p_k - y_k}{H W} \cdot \begin{cases} 1 & \text{where } s_k(i,j) > 0 \\ 0 & \text{elsewhere}\end{cases}$$

# %% [markdown] tags=["slide"]
# **On paper:** two classes, one image, and class 1 is right. Before the last ReLU the map of class 0 holds 3 and 1 in its first row, −2 and −1 in its second; the map of class 1 holds −1 and 4, −2 and −3. What are the two logits, the two probabilities, and the eight derivatives?

# %% tags=["slide-more", "slide-output"]
s = torch.tensor([
    [[3., 1.],
     [-2., -1.]],  # class 0
    [[-1., 4.],
     [-2., -3.]],  # class 1, the right one
])


def by_hand(s, right):
    """Logits, probabilities and the derivatives of the loss by s."""
    logits = s.clamp(min=0).mean(dim=(1, 2))
    p = logits.softmax(dim=0)
    y = torch.eye(len(s))[right]
    each = (p - y)[:, None, None] / s[0].numel()
    return logits, p, torch.where(s > 0, each, 0.0)


for result in by_hand(s, right=1):
    print(result)

# %% [markdown]
# Both logits are 1, so both probabilities are 1/2, and each derivative is 1/8, −1/8 or 0. A step *against* the gradient lowers class 0 in two cells and raises class 1 in one. So **images of its own pull a class up** ($p_k - 1$ is negative), **and all the others push it down** ($p_k$ is positive).

# %% [markdown] tags=["slide"]
# Now subtract 5 from the map of class 1: no cell of it is positive any more. **Predict:** the network is surer of the wrong answer than before. Is the pull on class 1 stronger, as strong, or weaker?

# %% tags=["slide-more"]
s_dead = s - torch.tensor([0., 5.])[:, None, None]
for result in by_hand(s_dead, right=1):
    print(result)

# %% [markdown] tags=["slide-more"]
# There is none. $p_1 - 1$ is further from 0 than before, but the ReLU stops it in every cell. A class with which all its own images fare like this is dead: **never ahead on its own images, and unable to hear it from them.** (At best it is level, with all logits 0. Then `argmax` takes the first class, which is why a network whose logits are all 0 is right on a tenth of the images and not on none.) PyTorch says the same:

# %%
def by_autograd(s, right):
    s = s.clone().requires_grad_()
    logits = s.relu().mean(dim=(1, 2))
    cross_entropy(logits[None], torch.tensor([right])).backward()
    return s.grad


for name, maps in {"alive": s, "dead": s_dead}.items():
    same = torch.allclose(by_autograd(maps, 1), by_hand(maps, 1)[2])
    print(f"{name}: autograd agrees: {same}")

# %% [markdown]
# **Without the last ReLU**, step 3 falls away. Then the pull reaches every cell, however deep the class has sunk, and the surer the network is of another class, the stronger, up to $1/(HW)$ in each cell.
#
# > **Misconception: "ReLU logits limit what softmax can say", since no logit can be negative.** They do not: softmax ignores what is added to all the logits.

# %%
some = torch.tensor([2., -1., -7.])
none_negative = some - some.min()
print(some.softmax(0), none_negative.softmax(0))

# %% [markdown]
# What hurts is what the ReLU does on the way *back*.
#
# ## A one-way street
#
# One step further back are the weights of the last convolution. The derivative with respect to the bias of class $k$ is the sum of those with respect to the cells of its map; for a weight it is the same sum, with each cell times the feature it looks at. Behind a ReLU features are never negative. So each push by an image of another class lowers the bias and the weights of class $k$, and with them $s_k$ **in every cell of every image**; and if no image of its own makes class $k$ positive, pushes are all there is.
#
# Take two images whose features stay as they are (2 channels, 2×2), and a last 1×1 convolution in which the bias has put class 1 to sleep on its own image, but not quite on the other. Train with plain gradient descent, and **predict** the bias and the weights of class 1 after ten steps, and after a thousand.

# %%
features = torch.tensor([
    [[[1., 2.], [0., 1.]], [[0., 0.], [0., 1.]]],  # image of class 0
    [[[0., 1.], [0., 0.]], [[2., 1.], [1., 0.]]],  # image of class 1
])  # N×C×H×W
labels = torch.tensor([0, 1])
last = nn.Conv2d(2, 2, kernel_size=1)
last.weight.data = torch.tensor([[1., -1.], [2., 0.5]])[:, :, None, None]
last.bias.data = torch.tensor([0., -3.])


def tiny_logits():
    return last(features).relu().mean((2, 3))


def train(steps, rate=1.0):
    for _ in range(steps):
        last.zero_grad()
        cross_entropy(tiny_logits(), labels).backward()
        for parameter in last.parameters():
            parameter.data -= rate * parameter.grad


def show(steps):
    z, w = tiny_logits(), last.weight[1].flatten().tolist()
    print(f"{steps:5}{cross_entropy(z, labels):7.3f}{last.bias[1]:8.3f}"
          f"{w[0]:8.3f}{w[1]:8.3f}{z[0, 1]:8.3f}{z[1, 1]:8.3f}")


print("               class 1:")
print("steps   loss    bias      weights      logit on image 0, 1")
show(0)
train(10)
show(10)
train(990)
show(1000)

# %% [markdown]
# It was pushed down until nothing of it was left on the other image either, and there it stays: after that not even its bias moves. Class 0 has learnt all it can, and the loss comes to rest close to half of ln 2. Now lift the bias of class 1 by hand, to 0, and train on:

# %%
last.bias.data[1] = 0
train(1000)
show(2000)

# %% [markdown]
# Nothing else was missing. (In a real network the features *do* move, for the sake of the living classes. Whether that wakes a dead class is a question for real runs, further down.)

# %% [markdown] tags=["slide"]
# ## What a dead class costs
#
# Before the lift, the loss of the tiny network came to rest at a certain height. **Work it out:** behind a last ReLU no logit is negative, and on the images of a dead class its own logit is 0. What is the least that such an image costs, with $C$ classes?
#
# <details><summary>Answer</summary>
#
# Every $e^{z_j}$ is at least 1, so an image of a dead class costs $\ln \sum_j e^{z_j} - 0 \ge \ln C$: no less than guessing. The images of the other classes cost at least 0. With $D$ of $C$ classes dead, and as many images in each class,
#
# $$L \ge \frac{D}{C} \ln C.$$
#
# </details>

# %%
print(f"1 of 2 dead:  {1 / 2 * math.log(2):.3f}")
print(f"1 of 10 dead: {loss_floor(1, 10):.3f}")

# %% [markdown]
# The first is where the tiny network stood: it did nearly the best that was left. But a floor is no prediction; a network can always be worse. How near do real runs come? The chapter's *study* trained the class-size network with many recipes and seeds, for six epochs each. Every dot is one epoch of one run with a last ReLU:

# %% mystnb={"image": {"alt": "Held-out loss against the number of dead classes, a dot for each epoch of each run with a last ReLU. All dots lie on or above a straight line that rises from 0 to ln 10."}} tags=["slide"]
points = [
    (len(dead), loss)
    for run in study if run["last_relu"]
    for dead, loss in zip(run["dead"], run["loss"], strict=True)
]
counts, losses = zip(*points, strict=True)
plt.figure(figsize=(6, 3))
plt.plot([0, 10], [0, math.log(10)], color="black", label="the floor")
plt.plot(counts, losses, "o", color="#0072B2", alpha=0.4)
plt.xlabel("dead classes of ten")
plt.ylabel("held-out loss")
plt.ylim(bottom=0)
plt.legend()
plt.tight_layout()
plt.show()

# %%
rounding = 1e-4  # the stored losses have four digits
assert all(y >= loss_floor(d, 10) - rounding for d, y in points)
some = [(d, y) for d, y in points if 0 < d < 10]
resting = sum(abs(y - math.log(10)) < NEAR for d, y in some)
nearest = min(y - loss_floor(d, 10) for d, y in some)
print(f"{len(points)} epochs, none below the floor")
print(f"one to nine dead classes: {len(some)}; {resting} of them at ln 10,")
print(f"and the nearest {nearest:.2f} above the floor")
assert resting > len(some) / 2

# %% [markdown]
# Not near. In most of these epochs the network does no better than guessing, whatever the number of dead classes; in the others it has more to learn than the floor asks. The floor says what is *impossible* with dead classes, and no more than that.
#
# ## Does a dead class come back?
#
# On fixed features never, we said. **Predict** for real runs: of the classes that are dead after one epoch, how many are alive after the next? Is it another matter once the network learns?

# %%
def came_back(runs, at_ln10):
    """How many dead classes live an epoch later, and how many there were."""
    back = dead = 0
    for run in runs:
        epochs = zip(run["dead"], run["dead"][1:], run["loss"], strict=False)
        for now, then, loss in epochs:
            if (abs(loss - math.log(10)) < NEAR) == at_ln10:
                dead += len(now)
                back += len(set(now) - set(then))
    return back, dead


with_relu = [run for run in study if run["last_relu"]]
groups = {
    "published and kin": ("published", False),
    "with momentum": ("published", True),
    "default, last ReLU": ("default", True),
}
share = {}
for name, (centre, momentum) in groups.items():
    mine = [run for run in with_relu if run["arm"].startswith(centre)
            and bool(run["momentum"]) == momentum]
    for where in ("at ln 10", "learning"):
        back, dead = came_back(mine, where == "at ln 10")
        print(f"{name:18} {where}: {back:3} of {dead:4} came back"
              f"  ({len(mine)} runs)")
        share[name, where] = back / dead if dead else None
kin, quick, put_back = (share[name, "learning"] for name in groups)
assert kin > 2 * share["published and kin", "at ln 10"] > 0
assert quick > share["with momentum", "at ln 10"] > 0
assert 0 < put_back < kin
assert share["default, last ReLU", "at ln 10"] is None

# %% [markdown]
# Some do, in each of these groups. Around the published recipe they do so more often in a network that learns than at ln 10; without momentum more than twice as often. But do not make a rule of it: the default recipe with a last ReLU had no dead class at ln 10 at all, and yet few of its dead come back. (A class that stays dead counts again after each epoch.) So a death is not final as long as something else still learns: what the living classes do to the features below may happen to lift the dead one, or may not. (And "dead" was judged on the held-out images, with dropout off. In training, another image or another half of the features may let a little through.)
#
# Final is only one state: *all* logits are 0 on *all* training images, whatever dropout hides, and no momentum is left. Then no gradient flows anywhere, and nothing moves any more. And at the other end there are runs in which no class was dead after any epoch, for all their last ReLU (what the names mean is said further down):

# %%
never = [run for run in with_relu if not any(run["dead"])]
print(f"never a dead class: {len(never)} of {len(with_relu)} runs")
for arm in dict.fromkeys(run["arm"] for run in never):
    print("   ", arm, sum(run["arm"] == arm for run in never))
assert never

# %% [markdown]
# The ReLU makes death possible. How often it happens is up to the rest of the recipe.

# %% [markdown] tags=["slide"]
# > **Misconception: "it just needs more epochs."** Sometimes it does. A loss curve cannot say whether, and the classes do not say it for sure. They say more: whether the network is slow as a whole, or has given up a part.

# %% [markdown] tags=["slide"]
# ## Wake it by hand
#
# In the tiny network with two images, a lifted bias was all it took. In a real one? For ten seeds, the published recipe with Kaiming's first weights was followed for one epoch. Then three copies of each network went on for two more, with the same images in the same order: one *as it is*; one in which the last bias of each dead class was *lifted*, until half of the cells of its map were positive on its own images; and one *without the last ReLU*. **Predict:** which copies know something of the dead classes in the end?

# %% tags=["slide-more", "slide-output"]
trials = [trial for trial in recorded.lifted_bias() if trial["dead"]]
total = sum(len(trial["dead"]) for trial in trials)
print(f"{len(trials)} networks with dead classes, {total} classes in all\n")
print("after two more epochs  no image right  dead  ahead of 'as it is'")
found, ahead = {}, {}
for name in ("as it is", "bias lifted", "no last ReLU"):
    dead = lost = ahead[name] = 0
    for trial in trials:
        last, plain = trial["after"][name][-1], trial["after"]["as it is"][-1]
        dead += sum(last["positive"][c] == 0 for c in trial["dead"])
        lost += sum(last["recall"][c] == 0 for c in trial["dead"])
        ahead[name] += last["val_accuracy"] > plain["val_accuracy"]
    found[name] = total - lost
    print(f"{name:21}{lost:>16}{dead if name != 'no last ReLU' else '':>6}"
          f"{ahead[name]:>14} of {len(trials)}")
assert found["as it is"] < found["bias lifted"]
assert found["as it is"] < found["no last ReLU"]
assert ahead["no last ReLU"] > 0.7 * len(trials)

# %% [markdown]
# More of the lifted classes are recognised than of those left alone, but by no means all: lifting brings the pull back, and does nothing against the push of all the other images, which may put the class to sleep again. Without the last ReLU nothing can fall asleep, and with most seeds these copies end ahead of the ones left alone. (That a lifted class is alive at first is no finding: it was lifted until it was. What counts is two epochs later.)

# %% [markdown] tags=["slide"]
# ## How often does it happen?
#
# A single run says nothing: the next seed may learn. What can be compared is *how often* a recipe fails. The pages of *Dive into Deep Learning* are executed notebooks, and its public history keeps the older ones. Over every distinct executed copy of [its page on this network](https://d2l.ai/chapter_convolutional-modern/nin.html), at 224×224: how many runs end with fewer than 0.83 of the test images right? (Its good runs have about 0.87. This was counted once; it is the one count in this notebook that no script here repeats.)

# %% tags=["slide-more", "slide-output"]
print("224×224, ten epochs: below 0.83; good runs have about 0.87")
d2l_failed = {
    "MXNet, rate 0.1": (32, 62),
    "PyTorch, rate 0.1": (16, 38),
    "TensorFlow, rate 0.1": (13, 32),
    "later edition, rate 0.05": (12, 38),  # read off its figures
}


def interval(failed, runs, z=1.96):
    """95 % interval of a share (Wilson 1927)."""
    share, square = failed / runs, z**2 / runs
    spread = share * (1 - share) / runs + square / (4 * runs)
    middle, half = share + square / 2, z * math.sqrt(spread)
    low, high = middle - half, middle + half
    return max(low, 0) / (1 + square), high / (1 + square)


for name, (failed, runs) in d2l_failed.items():
    low, high = interval(failed, runs)
    print(f"{name:26}{failed:>3} of {runs}  {low:.0%} to {high:.0%}")

# %% [markdown]
# The interval ([Wilson 1927](../book/references.bib#wilson1927probable)) holds the true shares with which a count like this is nothing strange: of intervals made like this, about 95 % hold the share they are after, which is what $z = 1.96$ stands for. **Predict:** these four intervals overlap. Does that show that the frameworks, or the two rates, fail equally often?
#
# <details><summary>Answer</summary>
#
# No. It says that these runs cannot tell them apart.
#
# </details>
#
# What can be shown is that no single framework is to blame. Here are runs in all three from the same first weights (Kaiming's, published recipe), with the same images in the same order and without dropout, whose masks would differ. All that is left to differ is rounding. **Predict:** will the same classes die in all three?

# %%
trials = recorded.collapse_in_three()
every = {run["framework"] for run in trials}
for seed in sorted({run["seed"] for run in trials}):
    runs = {r["framework"]: r for r in trials if r["seed"] == seed}
    if runs.keys() == every:
        steps = zip(*(run["loss"] for run in runs.values()), strict=True)
        apart = [max(losses) - min(losses) > 0.05 for losses in steps]
        same = apart.index(True) if any(apart) else len(apart)
        print(f"seed {seed}: losses within 0.05 for {same} of {len(apart)}"
              " steps")
        for name, run in runs.items():
            counts = " ".join(str(len(dead)) for dead in run["dead"])
            right = run["val_accuracy"][-1]
            print(f"    {name:11}{counts}   {right:.2f} right")
for name in every:
    assert any(any(r["dead"]) for r in trials if r["framework"] == name)

# %% [markdown]
# Each row counts the dead classes, a thousand training images at a time. The three take the same steps for a while, until rounding drives them apart, and from then on each goes its own way. Classes die in all three, and not equally many: with a recipe like this it can hang on a rounding whether a class lives.
#
# Back to counting. Few runs leave wide intervals, even where nothing ever went wrong:

# %%
for runs in (5, 10, 20):
    print(f"0 of {runs}: up to {interval(0, runs)[1]:.0%}")

# %% [markdown] tags=["slide"]
# ## What mends it?
#
# The study changes one thing at a time (twice two: momentum with a lower rate, and Kaiming's first weights without the last ReLU) around two centres: the published recipe, and this chapter's default. A run has **failed** when fewer than 0.60 of the held-out images are right in the end. (That line was laid down before the first run. The six epochs were not: in a first look at eleven runs of three, the published recipe had hardly left ln 10, so all runs were made longer, and those eleven are not counted. `python benchmarks/collapse_study.py --arm "published, no last ReLU" --seed 7` repeats one of the runs.)
#
# What the names mean, where they do not speak for themselves: *one-cycle*, *momentum*, and Kaiming's and Xavier's first weights are those of notebook 5; *PyTorch's init* is what PyTorch does when it is not told otherwise; *last block 10-10-10* gives the last block ten channels all through, as in the network of notebook 4; *[batch normalisation](../book/glossary.md#batch-normalisation)* brings the numbers behind each convolution to mean 0 and spread 1 over the batch. **Predict** before you look: which single change to the published recipe helps most, no last ReLU, a lower learning rate, other first weights, or batch normalisation?

# %% mystnb={"image": {"alt": "One dot for each run of the study, a row for each recipe, held-out accuracy from left to right. A dashed line at 0.60 parts failed runs, drawn as crosses, from the others, drawn as circles."}} tags=["slide"]
FAILED = 0.60
arms = list(dict.fromkeys(run["arm"] for run in study))
figure, axis = plt.subplots(figsize=(8, 0.3 * len(arms) + 1))
looks = {True: ("failed", "x", "#D55E00"), False: ("learnt", "o", "#0072B2")}
for failed, (label, marker, color) in looks.items():
    some = [r for r in study if r["failed"] == failed and r["accuracy"]]
    accuracy = [run["accuracy"][-1] for run in some]
    rows = [arms.index(run["arm"]) for run in some]
    axis.plot(accuracy, rows, marker, color=color, alpha=0.7, label=label)
axis.axvline(FAILED, color="black", linestyle="--", linewidth=1)
axis.set_yticks(range(len(arms)), arms, fontsize=8)
axis.set(xlim=(0, 1), xlabel="held-out accuracy after six epochs")
axis.set_ylim(len(arms) - 0.5, -0.5)
axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncol=2)
figure.tight_layout()
plt.show()

# %% tags=["slide", "slide-output"]
def failures(arm, line=FAILED):
    ends = [run["accuracy"] for run in study if run["arm"] == arm]
    return sum(len(a) < 6 or a[-1] < line for a in ends), len(ends)


def verdict(arm, line=FAILED, beside=None):
    """Beside its centre, or another arm: are the intervals apart?"""
    low, high = interval(*failures(arm, line))
    centre = arm.split(",")[0] if "," in arm else "published"
    least, most = interval(*failures(beside or centre, line))
    if high < least:
        return "fails less often"
    return "fails more often" if low > most else "cannot tell"


print(f"{f'below {FAILED:.2f}':36}failed      95 %"
      "         beside its centre")
verdicts = {arm: verdict(arm) if arm != "published" else "" for arm in arms}
for arm in arms:
    failed, runs = failures(arm)
    low, high = interval(failed, runs)
    share = f"{failed:>2} of {runs:<4}{low:>5.0%} to {high:<5.0%}"
    print(f"{arm:36}{share}  {verdicts[arm]}".rstrip())

# %%
less = [arm for arm, words in verdicts.items() if words == "fails less often"]
print("told apart from the published recipe:", *less, sep="\n    ")
assert {"default", "published, batch normalisation",
        "published, no last ReLU"} <= set(less)
around = [arm for arm in arms if arm.startswith("default,")]
print("around the default, failed:", sum(failures(arm)[0] for arm in around),
      "of", sum(failures(arm)[1] for arm in around))
assert failures("default")[0] == 0
assert [a for a in around if failures(a)[0]] == ["default, last ReLU"]
assert verdicts["default, last ReLU"] == "cannot tell"

# %% [markdown]
# Read a row with its interval, never its dots alone. (The default is set beside the published recipe, all others beside the one that they change.) Intervals that do not overlap tell two recipes apart. That is a cautious rule: where it says *cannot tell*, there may be a difference, and more seeds may show it.
#
# So of the four changes you could choose from, these runs tell two apart from the published recipe: **no last ReLU**, and **batch normalisation**. But the line at 0.60 is only one of many, and a crowd of dots is near it. **Predict:** would a line at 0.65 have told the same two apart?

# %%
for line in (0.50, 0.55, 0.60, 0.65, 0.70):
    passed = [arm.removeprefix("published, ") for arm in arms
              if arm.startswith("published,")
              and verdict(arm, line) == "fails less often"]
    print(f"{line:.2f}:", "; ".join(passed))
    assert "batch normalisation" in passed
    assert line > FAILED or "no last ReLU" in passed
assert not {"no last ReLU", "momentum 0.9, rate 0.01"} & set(passed)

# %% [markdown]
# Batch normalisation, with every line. Without the last ReLU the runs that end far down are gone, and hardly any ends far up: a stricter line fails most of them, as it fails the published recipe. (With momentum and its lower rate it is much the same.)
#
# One row has two changes. It was added when most of the others had been seen, to test what was said at the beginning. If a slow start and dead classes are *two* troubles, and Kaiming's first weights mend the one, and no last ReLU the other, then both together should fail less often than either alone. (This was written down before the row's first run.) **Predict:** of the four recipes below, which are quick to start, and how do those with both changes end?

# %% tags=["slide", "slide-output"]
def ends(arm):
    """seed → held-out accuracy after the last epoch."""
    return {run["seed"]: run["accuracy"][-1] for run in study
            if run["arm"] == arm}


both = "published, Kaiming, no last ReLU"
four = {
    ("Xavier", "yes"): "published",
    ("Xavier", "no"): "published, no last ReLU",
    ("Kaiming", "yes"): "published, Kaiming init",
    ("Kaiming", "no"): both,
}
print("first    last  left ln 10   failed       accuracy")
print("weights  ReLU  in epoch 1             least  median    most")
for (init, relu), arm in four.items():
    mine = [run for run in study if run["arm"] == arm]
    left = sum(run["loss"][0] < math.log(10) - NEAR for run in mine)
    failed, runs = failures(arm)
    least, middle, most = np.percentile(list(ends(arm).values()),
                                         [0, 50, 100])
    print(f"{init:9}{relu:6}{left:>4} of {runs:<4}{failed:>4} of {runs:<3}"
          f"{least:8.3f}{middle:8.3f}{most:8.3f}")
    assert (left > runs / 2) == (init == "Kaiming")
    assert (least > 0.4) == (relu == "no")

print("\nboth changes, beside one alone:")
for line in (0.60, 0.65):
    for init, relu in (("Xavier", "no"), ("Kaiming", "yes")):
        words = verdict(both, line, beside=four[init, relu])
        print(f"line {line:.2f}, {four[init, relu]:24} {words}")
        assert (words == "cannot tell") == ((line, relu) == (0.60, "no"))
assert all(failures(both) < failures(arm) for arm in four.values()
           if arm != both)

# %% [markdown]
# With Kaiming's first weights more than half of the runs leave ln 10 in the first epoch, and with Xavier's none does. Without the last ReLU no run ends far down. And with both together fewer runs fail than with either alone, as expected; only, with the line at 0.60 the intervals do not tell them from the runs that merely had no last ReLU, and with the stricter line they do. So there were two troubles, and whoever mends one is left with the other.
#
# The default recipe has both of these changes and some more, and no further layer. In its own row no run failed, and the interval beside it says what that does not exclude.
#
# It changes several things at once. Which of them matter? Failures alone hardly tell: around the default only runs with the last ReLU put back failed, and too few of these for the intervals. Accuracy may tell more. **Predict:** which part does the default miss most?

# %%
centre = ends("default")
print(f"{'':30}runs   least  median    most  behind the default")
least, middle, most = np.percentile(list(centre.values()), [0, 50, 100])
print(f"{'default':30}{len(centre):>4}{least:8.3f}{middle:8.3f}{most:8.3f}")
for arm in around:
    mine = ends(arm)
    least, middle, most = np.percentile(list(mine.values()), [0, 50, 100])
    behind = sum(mine[seed] < centre[seed] for seed in mine)
    print(f"{arm:30}{len(mine):>4}{least:8.3f}{middle:8.3f}{most:8.3f}"
          f"  with {behind} of {len(mine)} seeds")
worst = min(around, key=lambda arm: np.median(list(ends(arm).values())))
assert worst == "default, no momentum"
assert max(ends(worst).values()) < min(centre.values())

# %% [markdown]
# Momentum, by far; after it the higher learning rate. (The [exercises to notebook 5](exercises/05_training.ipynb) compare more rates, with ten seeds each.) Where a row is behind with all of its twenty seeds, that is no luck: twenty coins all fall to the same side once in half a million times. Where the seeds are divided, look at the worst run as well as at the median. (And a seed gives two runs the same images in the same order. The same first weights it gives them on one kind of processor only, and these runs were made on several.)
#
# And the **last ReLU**, of which so much was said? **Predict:** when it is put back into the default recipe, do classes die?

# %%
print("default, last ReLU: classes dead after each epoch, and accuracy")
mine = [run for run in study if run["arm"] == "default, last ReLU"]
for run in mine:
    print(f"    seed {run['seed']:>2}:", *map(len, run["dead"]),
          f"  {run['accuracy'][-1]:.3f}")
stayed = [run for run in mine if run["dead"][-1]]
died = sum(any(run["dead"]) for run in mine)
print(f"a class died in {died} runs, and stayed dead in {len(stayed)}")
worst = sorted(mine, key=lambda run: run["accuracy"][-1])
assert 0.3 < len(stayed) / died < 0.7
assert all(run in stayed for run in worst[:len(stayed)])
assert min(run["seed"] for run in stayed) == 8
assert all(run in stayed for run in mine if run["failed"])

# %% [markdown]
# Some do, early on. In about half of the runs with a death all of the dead come back; in the others some never do, and these are the worst runs of the row, with every failed one among them. So the ReLU makes a death possible, even in a recipe that learns as fast as this one. How often it happens, and whether the rest of the network brings the class back, is up to the rest of the recipe. And a few seeds can hide it: after the first eight of these runs one would have said that every class comes back.
#
# Is a run that failed one with dead classes, then?

# %%
print("runs with a last ReLU   a class dead in the end   none dead")
for failed, words in {True: "failed", False: "learnt"}.items():
    mine = [bool(run["dead"][-1]) for run in with_relu
            if run["failed"] == failed and run["dead"]]
    print(f"{words:22}{sum(mine):>25}{len(mine) - sum(mine):>12}")
close = [run for run in study
         if run["accuracy"] and abs(run["accuracy"][-1] - FAILED) < 0.02]
print(f"\nruns that ended within 0.02 of the line: {len(close)}")

# %% [markdown]
# Often, and not always. Failed runs with no dead class in the end were slow, or had got their dead classes back, and a few more epochs might have saved them; and a run can pass with dead classes. Some runs ended so near the line that another line would have judged them otherwise. With so many rows, expect a surprise somewhere by chance alone. And all of this is one network, one small set of images, six epochs: another size may behave otherwise.

# %% [markdown]
# ## And at 224×224?
#
# The default recipe was chosen at class size. Does it do for the network of notebook 4, with all of Fashion-MNIST? There ten epochs are an hour or two of work for two cores, so these runs were made before. One has failed when fewer than 0.83 of the held-out images are right in the end: the line by which d2l's pages were counted above, and laid down before the first run. **Predict:** their good runs end at about 0.87. After how many of the ten epochs is the default recipe ahead of that?

# %%
full_runs = recorded.full_runs()
print("held-out accuracy after each of ten epochs")
for run in full_runs:
    right = " ".join(f"{accuracy:.2f}" for accuracy in run["accuracy"])
    name = f"{run['arm']}, seed {run['seed']}"
    print(f"{name:18} {right}{'  failed' if run['failed'] else ''}")
for arm in ("published", "default"):
    mine = [run["failed"] for run in full_runs if run["arm"] == arm]
    low, high = interval(sum(mine), len(mine))
    print(f"{arm}: {sum(mine)} of {len(mine)} failed,"
          f" {low:.0%} to {high:.0%}")

# %% [markdown]
# So the default recipe *can* do it. How often each of the two fails, so few runs do not say, and the intervals show how little they exclude. `python benchmarks/full_runs.py --keep FOLDER --again --arm default --seed 3` makes another run, and can be stopped and taken up again.
#
# And the **test images**? Whoever chooses a recipe by them can no longer ask them how good it is. So with these runs they were first looked at when the default recipe had been chosen, and its own runs were over:

# %%
tested = {"published": [], "default": []}
for run in full_runs:
    tested[run["arm"]].append(run["test_accuracy"])
for arm, accuracies in tested.items():
    print(f"{arm}: test accuracy", *(f"{right:.3f}" for right in accuracies))
assert min(tested["default"]) >= 0.91

# %% [markdown]
# What happened *in* a run, its classes tell. First the default recipe:

# %%
full = recorded.run("full-default")
about = full.history.about
print(f"network {about.network!r}, {about.images:,} training images,"
      f" seed {about.seed},\n{about.plan['threads']} threads,"
      f" {about.plan['instruction_set']}, {about.plan['precision']}")
LiveCurves.replay(full, "recorded: default recipe at 224×224")

# %%
told(full)
ahead = [row["epoch"] for row in full.history.rows
         if row["val_accuracy"] > 0.87]
print("ahead of 0.87 after the epochs", *ahead)
assert full.history.last["val_accuracy"] > 0.91

# %% [markdown]
# (Held-out images here, test images there: a small difference means nothing.) Now look at the beginning of the lanes. Which classes had hardly a positive logit there, as dead ones have?

# %%
lanes = dict(zip(CLASSES, full.classes["shares"], strict=True))
low = [name for name, lane in lanes.items() if min(lane[:5]) < 0.05]
print("early on:", ", ".join(low))
end = max(i for i, x in enumerate(full.classes["x"]) if x <= 1)
lowest = min(lane[end] for lane in lanes.values())
print(f"after one epoch: every class has {lowest:.0%} or more")
assert low and lowest > 0.9

# %% [markdown]
# All of them came up within an epoch. Without a last ReLU nothing stops the pull of their own images. And behind one? The published recipe, with the default pale below it:

# %%
collapsed = recorded.run("full-published")
below = {"default recipe": full}
LiveCurves.replay(
    collapsed, "recorded: published recipe at 224×224", below,
)

# %%
usual = next(run for run in full_runs if run["arm"] == "published")
lanes = dict(zip(CLASSES, collapsed.classes["shares"], strict=True))
lost = [CLASSES[c] for c in usual["dead"][1]]
xs = collapsed.classes["x"]
since = [share for name in lost
         for x, share in zip(xs, lanes[name], strict=True) if x > 2]
print(f"held-out loss after one epoch {usual['loss'][0]:.2f},"
      f" after two {usual['loss'][1]:.2f}")
print("dead after each epoch:", *map(len, usual["dead"]))
print("dead after two:", ", ".join(lost))
print(f"    own images above 0 since then: {max(since):.0%} at most")
positive, right = collapsed.classes["positive"], collapsed.classes["right"]
gone = [c for c in range(10) if positive[c] < 0.02]
print("in the end", len(gone), "of ten have less than one image in fifty")
print(f"    held-out loss {usual['loss'][-1]:.2f},"
      f" the floor with {len(gone)} dead {loss_floor(len(gone), 10):.2f}")
assert max(since) < 0.05 and math.log(10) - usual["loss"][0] > NEAR

# %% [markdown]
# It leaves ln 10 late in the first epoch, and by the end of the second half of the classes are dead. None of these comes back in all the epochs that follow: now and then a single image shows a little, and that is all. The others learn on, until the loss is close to the floor. (In this run; at class size some came back.) **Predict:** T-shirts, class 0, are among the lost. How many of their images are right in the end? And how many trousers?

# %%
print("class        own logit > 0   right   (held-out images)")
for c, name in enumerate(CLASSES):
    print(f"{name:12}{positive[c]:>14.1%}{right[c]:>8.0%}")
assert {CLASSES[c] for c in gone} >= {"T-shirt/top", "trouser"}
assert right[0] > 0.9 and right[1] < 0.02 and positive[0] == 0

# %% [markdown]
# Most T-shirts, and no trousers. But not one T-shirt was recognised: all of them have an own logit of 0, and that can win only where all ten are 0 and `argmax` takes the first class. Trousers with ten zeros are called T-shirts, too. So accuracy flatters such a network. The classes, each on its own images, do not.

# %% [markdown]
# Nobody would keep that run. Here it is again, beside the published recipe's other two (all on held-out images). **Predict:** one of them has a single dead class. What accuracy can it reach at best, and which loss? Would you notice?

# %%
print("seed   dead after each epoch   accuracy")
mine = [run for run in full_runs if run["arm"] == "published"]
for run in mine:
    counts = " ".join(str(len(classes)) for classes in run["dead"])
    print(f"{run['seed']:>4}   {counts:24}{run['accuracy'][-1]:.3f}")
one = next(run for run in mine if len(run["dead"][-1]) == 1)
always = set.intersection(*map(set, one["dead"]))
print("dead after every epoch:", *(CLASSES[c] for c in always))
print(f"loss in the end {one['loss'][-1]:.2f},"
      f" the floor {loss_floor(1, 10):.2f}")
fell = max(range(1, 9), key=lambda epoch: one["loss"][epoch])
for epoch in (fell, fell + 1):
    dead = ", ".join(CLASSES[c] for c in one["dead"][epoch])
    print(f"after epoch {epoch + 1}: loss {one['loss'][epoch]:.2f},"
          f" dead:\n    {dead}")
assert one["failed"] and set(one["dead"][-1]) == always
assert len(one["dead"][fell]) > len(one["dead"][fell + 1]) == 1
assert math.log(10) - one["loss"][fell] < 0.2

# %% [markdown]
# After no epoch had a sneaker a positive logit, so not one was called a sneaker (where all ten logits are 0, the first class wins): with all other classes perfect one image in ten would still be wrong. But the accuracies do not say that: they look like those of a network that needs more time, or another learning rate. You would have to look at the classes. And in the middle of its training this run fell back almost to ln 10, with two more kinds of shoes dead; an epoch later these two were alive again. So at this size, too, a dead class can come back. Three seeds, three stories: whoever had made one of these runs would have told one of them.

# %% [markdown] tags=["slide"]
# ## When your own network sits at ln C
#
# > **Misconception: "a loss of 2.303 means that the learning rate is too high"** (or too low). It means ln 10, and that has at least three causes. Look at the *logits* of a few hundred held-out images:

# %% tags=["slide-more", "slide-output"]
rng = np.random.default_rng(0)
cases = {
    "all of them 0": np.zeros((300, 10)),
    "the same for every image": np.full((300, 10), 0.3),
    "differing a little": rng.uniform(0, 0.1, (300, 10)),
}
print(f"ln 10 = {math.log(10):.3f}")
for name, example in cases.items():
    cause = plateau(math.log(10), example)
    print(f"{name}: {cause}\n    {ADVICE[cause]}")

# %% [markdown]
# 1. Do the labels still belong to the images? Mixed up, they keep the held-out loss from falling below ln C, however long you train, and the logits look like those of a slow start.
# 2. Compute `plateau(loss, logits)` and `own_positive(logits, labels)`. They take the output of any model with one logit for each class.
# 3. Is there a ReLU behind the last layer, or anything else that is flat where it is cut off? Take it away.
# 4. Start again with other first weights, and with a few seeds, before you believe any single run, the good ones included.
#
# And let `CollapseMonitor` look on from the start.
#
# ## Check yourself
#
# Put your answers in the place of each `None`, and run the cell. Use paper: five classes with equally many images, two of them dead behind a last ReLU; and an image of class $k$ with $p_k = 0.6$, where the map of $k$ has 4×5 cells, all of them positive.

# %%
mine = {
    "the floor on the loss, divided by ln 5": None,
    "derivative of the loss by a cell of the map of k": None,
    "largest share that 0 of 10 allows, such as 0.43": None,
}

truth = [2 / 5, (0.6 - 1) / (4 * 5), round(interval(0, 10)[1], 2)]
for (what, answer), true in zip(mine.items(), truth, strict=True):
    if not isinstance(answer, (int, float)):
        print(f"{what}: still to fill in, with a number")
    else:
        right = math.isclose(answer, true, abs_tol=1e-9)
        print(f"{what}: {'right' if right else 'not yet'}")

# %% [markdown]
# <details><summary>Compare when you have filled in all of them</summary>
#
# Two of five classes cost ln 5 at least: two fifths of ln 5. The derivative is (0.6 − 1)/20, one fiftieth below zero. And ten runs without a failure do not exclude that more than one in four fails: the table above has the end of the interval.
#
# </details>

# %% [markdown] tags=["slide"]
# ## Take-aways
#
# 1. A loss of ln C says nothing about its cause. Look at the logits: all 0, the same for all images, or different and merely slow. And look at the classes one by one, each on its own images.
# 2. Behind a last ReLU a class without a positive logit on any of its own images gets no pull from them, and each dead class puts at least its share of ln C on the loss. Without that ReLU the pull always arrives.
# 3. Two troubles can hide behind one curve. Here a slow start was one, and dead classes were the other; mending one leaves the other.
# 4. Recipes are compared by the share of failed runs, with an interval, over many seeds. Intervals that overlap say *cannot tell*, not *equal*.

# %% [markdown] tags=["slide"]
# **Before you go on, from memory:** Which three factors make up the derivative at a cell of the last map, and which of them is 0 for a dead class? What is the floor with all the classes dead? With 0 failures in 5 runs, up to which share of failures is still possible?
#
# **Exercises that check themselves:** [two, and one to stretch](exercises/07_when_training_collapses.ipynb).
