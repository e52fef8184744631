# ---
# jupyter:
#   chapter:
#     compared: 20
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 7. When training collapses
#
# Trained as it is usually published, this network often learns nothing, or only a part of the classes. Here you watch it happen, find one cause on paper, and compare what might mend it over many runs.
#
# **You will learn**
#
# 1. to see dead classes while a network trains, and to tell three causes of a loss of ln 10 apart;
# 2. why a class dies behind a last ReLU, and what it costs at least;
# 3. to compare recipes by how often they fail, and to say what a few runs cannot tell.
#
# **You need** notebooks [5](05_training.ipynb) and [6](06_global_average_pooling.ipynb), and the chain rule. **Time** about 25 minutes.
#
# **From memory:** With which weights is global average pooling a dense layer? What is it indifferent to, and what is the network not indifferent to?

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from nin_lib import network, recorded
from nin_lib import torch as nin
from nin_lib.collapse import ADVICE, CollapseMonitor, dead_classes
from nin_lib.collapse import loss_floor, own_positive, plateau, say
from nin_lib.data import CLASSES, load
from nin_lib.recipe import SIZES, recipe
from nin_lib.train import fit, predict
from nin_lib.widgets import LiveCurves

_ = torch.manual_seed(0)
torch.set_printoptions(precision=3, sci_mode=False)

# %% [markdown]
# ## Watch it
#
# The network, the images and the number of epochs are those of notebook 5. Only the recipe is another one, that of *Dive into Deep Learning* and of most places since:

# %%
size, how = SIZES["class"], recipe("published")
print(f"weights {how.init}, learning rate {how.learning_rate},"
      f" momentum {how.momentum}, last ReLU {how.last_relu}")

# %% [markdown]
# **Predict:** after three epochs, how will it stand beside the run of notebook 5?
#
# - (a) About as well: it is the same network.
# - (b) A little behind, in all classes alike.
# - (c) Far behind.
#
# Take a seed of your own. While it trains, watch the strips at the bottom: of its own images, how many give a class a logit above 0? A class is **dead** when none does. A *monitor* looks on as well, and says in words what it sees.

# %%
SEED = 0  # yours
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
# (c), for nearly every seed. (Ten were tried. In at least nine, some class was dead after the first epoch, and fewer than six held-out images in ten were right in the end.) Your classes, on the held-out images:

# %% tags=["nbval-ignore-output"]
logits = predict(model, data.val)
shares = own_positive(logits, data.val.labels)
answered = np.bincount(logits.argmax(axis=1), minlength=10)
print("class        own logit > 0   answers")
for c, name in enumerate(CLASSES):
    print(f"{name:12}{shares[c]:>11.0%}{answered[c]:>12}")
print("dead classes:", len(dead_classes(shares)))

# %% [markdown]
# And a recorded run, the same for everybody; pale below it, the default recipe with the same images in the same order. Press *Replay*.

# %%
published = recorded.run("class-collapse")
default = recorded.run("class-default")
about = published.history.about
print(f"seed {about['seed']}, {about['plan']['threads']} thread,"
      f" {about['plan']['instruction_set']},"
      f" PyTorch {about['plan']['torch'].split('+')[0]}")
below = {"default recipe": default}
published.curves("recorded: published recipe", below)

# %%
def told(run):
    for warning in run.told:
        say(warning)
    for row in run.history.rows:
        print(f"epoch {row['epoch']}: held-out loss {row['val_loss']:.2f},"
              f" {row['val_accuracy']:.3f} right")


told(published)

# %% [markdown]
# The loss rests at ln 10, and the monitor names *two* things. The logits differ a little between images: this may be no more than a **slow start**. And there is a **dead class**. Take care of the first: Xavier's [first weights](../book/glossary.md#initialisation) let signals fade on their way through the ReLUs, Kaiming's are made to keep their size (He et al. 2015). **Predict:** with this one change, will the loss leave ln 10 in the first epoch? And will all the classes live?

# %%
kaiming = recorded.run("class-kaiming")
below = {"published": published, "default recipe": default}
title = "recorded: published recipe with Kaiming's first weights"
kaiming.curves(title, below)

# %%
told(kaiming)

# %% [markdown]
# Now it learns from the first epoch on, and what the slow start had hidden comes to light: dresses are dead from early on, while other classes learn; later pullovers and coats die as well. (For a live run of this kind, write `how = dataclasses.replace(how, init="kaiming")` above.)
#
# Two troubles, then, that one loss curve cannot tell apart. The second can be understood on paper.
#
# ## What reaches a dead class
#
# The last convolution gives a map $s_k$ for each class $k$; the **last ReLU** turns what is negative into 0; the mean of what is left is the logit $z_k$; softmax turns logits into probabilities $p_k$; the loss $L$ is minus the logarithm of the right class's probability. Go backwards, a step at a time, with $y_k = 1$ for the right class and 0 for the others.
#
# 1. Softmax and logarithm together: $\partial L / \partial z_k = p_k - y_k$.
# 2. A mean over $H \cdot W$ cells: each cell gets the $1/(H W)$-th part.
# 3. A ReLU: what comes back passes where $s_k(i,j) > 0$, and is stopped elsewhere.
#
# $$\frac{\partial L}{\partial s_k(i,j)} = \frac{p_k - y_k}{H W} \cdot \begin{cases} 1 & \text{where } s_k(i,j) > 0 \\ 0 & \text{elsewhere}\end{cases}$$
#
# **On paper:** two classes, maps of 2×2 cells, one image, and class 1 is right. What are the two logits, the two probabilities, and the eight derivatives?

# %%
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
#
# Now subtract 5 from the map of class 1: no cell of it is positive any more. **Predict:** the network is surer of the wrong answer than before. Is the pull on class 1 stronger, as strong, or weaker?

# %%
s_dead = s - torch.tensor([0., 5.])[:, None, None]
for result in by_hand(s_dead, right=1):
    print(result)

# %% [markdown]
# There is none. $p_1 - 1$ is larger than before, but the ReLU stops it in every cell. That is a dead class: **wrong on its own images, and unable to hear it from them.** PyTorch says the same:

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
# **Without the last ReLU**, step 3 falls away. Then the pull reaches every cell, however deep the class has sunk, and the deeper, the stronger, up to $1/(HW)$.
#
# > **Misconception: "ReLU logits limit what softmax can say", since no logit can be negative.** They do not: softmax ignores what is added to all the logits.

# %%
some = torch.tensor([2., -1., -7.])
none_negative = some - some.min()
print(some.softmax(0), none_negative.softmax(0))

# %% [markdown]
# What hurts is what the ReLU does on the way *back*.
#
# ## A street with one way
#
# A class that no image of its own makes positive can only be pushed down. Take two images whose features stay as they are (2 channels, 2×2), a last 1×1 convolution with sensible weights, and a bias that has put class 1 to sleep. Train with plain gradient descent, and **predict** the bias of class 1 after a thousand steps.

# %%
features = torch.tensor([
    [[[1., 2.], [0., 1.]], [[0., 0.], [0., 1.]]],  # image of class 0
    [[[0., 1.], [0., 0.]], [[2., 1.], [1., 0.]]],  # image of class 1
])  # N×C×H×W
labels = torch.tensor([0, 1])
last = nn.Conv2d(2, 2, kernel_size=1)
last.weight.data = torch.tensor([[1., -1.], [-1., 1.]])[:, :, None, None]
last.bias.data = torch.tensor([0., -9.])


def train(steps, rate=5.0):
    for _ in range(steps):
        loss = cross_entropy(last(features).relu().mean((2, 3)), labels)
        last.zero_grad()
        loss.backward()
        for parameter in last.parameters():
            parameter.data -= rate * parameter.grad
    return loss.item()


loss = train(1000)
print(f"loss {loss:.3f}, bias of class 1: {last.bias[1]:g}")

# %% [markdown]
# It has not moved, and neither have its weights: plain gradient descent on fixed features never revives a dead class. Class 0 has learnt all it can. Now lift the bias of class 1 by hand, to 0, and train on:

# %%
last.bias.data[1] = 0
print(f"loss {train(1000):.3f}")

# %% [markdown]
# Nothing else was missing. (In a real network the features *do* move, for the sake of the living classes. Whether that wakes a dead class is a question for real runs, further down.)
#
# ## What a dead class costs
#
# Before the lift the loss stood still at a certain height. **Work it out:** behind a last ReLU no logit is negative, and on the images of a dead class its own logit is 0. What is the least that such an image costs, with $C$ classes?
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
# The first is where the tiny network stood: it did the best that was left. But a floor is no prediction; a network can always be worse. How near do real runs come? The chapter's *study* trained the class-size network with many recipes and seeds, for six epochs each. Every dot is one epoch of one run with a last ReLU:

# %% mystnb={"image": {"alt": "Held-out loss against the number of dead classes, a dot for each epoch of each run with a last ReLU. All dots lie on or above a straight line that rises from 0 to ln 10."}}
study = recorded.study()
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
rounding = 1e-4
holds = [y >= loss_floor(d, 10) - rounding for d, y in points]
print(f"{len(points)} epochs; the floor holds in {sum(holds)}")
assert all(holds)

# %% [markdown]
# ## Does a dead class come back?
#
# On fixed features never, we said. **Predict** for real runs: of the classes that are dead after one epoch, how many are alive after the next?

# %%
with_relu = [run for run in study if run["last_relu"]]
pairs = [
    (set(now), set(then), "with" if run["momentum"] else "without")
    for run in with_relu
    for now, then in zip(run["dead"], run["dead"][1:], strict=False)
]
for name in ("without", "with"):
    mine = [(now, then) for now, then, which in pairs if which == name]
    dead = sum(len(now) for now, _ in mine)
    back = sum(len(now - then) for now, then in mine)
    print(f"{name} momentum: {back} of {dead} came back")
assert any(now - then for now, then, _ in pairs)

# %% [markdown]
# Some do. So a death is not final as long as something else still learns: what the living classes do to the features below may happen to lift the dead one. (And "dead" was judged on the held-out images, with dropout off. In training, another image or another half of the features may let a little through.)
#
# Only one state is final: when *all* classes are dead on all the training images, no gradient flows anywhere, and nothing moves any more. And at the other end there are runs in which no class dies, for all their last ReLU:

# %%
all_dead = [then for now, then, _ in pairs if len(now) == 10]
still = sum(len(then) == 10 for then in all_dead)
print(f"all ten dead: {len(all_dead)} times, an epoch later {still}")
never = sum(not any(run["dead"]) for run in with_relu)
print(f"never a dead class: {never} of {len(with_relu)} runs")
assert never > 0

# %% [markdown]
# The ReLU makes death possible. How often it happens is up to the rest of the recipe.
#
# > **Misconception: "it just needs more epochs."** Sometimes it does. A loss curve cannot say whether; the classes can. With all of them dead, no number of epochs is enough.
#
# ## How often does it happen?
#
# A single run says nothing: the next seed may learn. What can be compared is *how often* a recipe fails. The pages of *Dive into Deep Learning* are executed notebooks, and its public history keeps the older ones. Over every distinct executed copy of its page on this network, at 224×224: how many runs end with fewer than 0.83 of the test images right?

# %%
print("224×224, ten epochs: below 0.83 of the test images")
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
# The interval holds the true shares with which a count like this is nothing strange. **Predict:** these four intervals overlap. Does that show that the frameworks, or the two rates, fail equally often?
#
# <details><summary>Answer</summary>
#
# No. It says that these runs cannot tell them apart.
#
# </details>
#
# Few runs leave wide intervals, even where nothing ever went wrong:

# %%
for runs in (5, 10, 20):
    print(f"0 of {runs}: up to {interval(0, runs)[1]:.0%}")

# %% [markdown]
# ## What mends it?
#
# The study changes one thing at a time around two centres: the published recipe, and this chapter's default. A run has **failed** when fewer than 0.60 of the held-out images are right after six epochs; that was laid down before the first run. **Predict** before you look: which single change to the published recipe helps most, no last ReLU, a lower learning rate, or other first weights?

# %% mystnb={"image": {"alt": "One dot for each run of the study, a row for each recipe, held-out accuracy from left to right. A dashed line at 0.60 parts failed runs, drawn as crosses, from the others, drawn as circles."}}
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

# %%
def failures(arm):
    mine = [run["failed"] for run in study if run["arm"] == arm]
    return sum(mine), len(mine)


def verdict(arm):
    """Beside its centre: do the intervals allow a difference?"""
    low, high = interval(*failures(arm))
    centre = arm.split(",")[0] if "," in arm else "published"
    least, most = interval(*failures(centre))
    if high < least:
        return "fails less often"
    return "fails more often" if low > most else "cannot tell"


print(f"{f'below {FAILED:.2f}':36}failed      95 %"
      "         beside its centre")
for arm in arms:
    failed, runs = failures(arm)
    low, high = interval(failed, runs)
    share = f"{failed} of {runs:<4}{low:>6.0%} to {high:<5.0%}"
    words = verdict(arm) if arm != "published" else ""
    print(f"{arm:36}{share}  {words}".rstrip())

# %% [markdown]
# Read a row with its interval, never its dots alone. (The default is set beside the published recipe, all others beside the one that they change.) Where two intervals do not overlap, the runs tell the two recipes apart. Where it says *cannot tell*, more seeds may. With so many rows, expect a surprise somewhere by chance alone. And all of this is one network, one small set of images, six epochs: another size may behave otherwise.
#
# ## When your own network sits at ln C
#
# > **Misconception: "a loss of 2.303 means that the learning rate is too high"** (or too low). It means ln 10, and that has at least three causes. Look at the *logits* of a few hundred held-out images:

# %%
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
# 1. Compute `plateau(loss, logits)` and `own_positive(logits, labels)`. They take the output of any model with one logit for each class.
# 2. Is there a ReLU, or anything else that can put out exactly 0, after the last layer? Take it away.
# 3. Do the labels still belong to the images? Mixed up, they hold the loss at ln C too, with logits that differ.
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
    "0 of 10 failed: may it be one in four? (True or False)": None,
}

truth = [2 / 5, (0.6 - 1) / (4 * 5), interval(0, 10)[1] > 0.25]
for (what, answer), true in zip(mine.items(), truth, strict=True):
    if answer is None:
        print(f"{what}: still to fill in")
    else:
        right = math.isclose(answer, true, abs_tol=1e-9)
        print(f"{what}: {'right' if right else 'not yet'}")

# %% [markdown]
# <details><summary>Compare when you have filled in all of them</summary>
#
# Two of five classes cost ln 5 at least: two fifths of ln 5. The derivative is (0.6 − 1)/20, one fiftieth below zero. And True: ten runs without a failure do not exclude that one in four fails.
#
# </details>
#
# ## Take-aways
#
# 1. A loss of ln C says nothing about its cause. Look at the logits: all 0, the same for all images, or merely slow. And look at the classes one by one, each on its own images.
# 2. Behind a last ReLU a class without a positive logit on any of its own images gets no pull from them, and each dead class puts at least its share of ln C on the loss. Without that ReLU the pull always arrives.
# 3. Recipes are compared by the share of failed runs, with an interval, over many seeds. Intervals that overlap say *cannot tell*, not *equal*.
#
# **Before you go on, from memory:** Which three factors make up the derivative at a cell of the last map, and which of them is 0 for a dead class? What is the floor with all the classes dead? What do none of five failures allow?
