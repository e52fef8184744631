# ---
# jupyter:
#   chapter:
#     compared: 6
#   jupytext:
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 7: when training collapses
#
# To [notebook 7](../notebooks/07_when_training_collapses.ipynb). Two exercises and one to stretch. **Time** about 35 minutes.

# %%
import math

import numpy as np

from nin_lib.check import check
from nin_lib.recorded import study, variants
from nin_lib.widgets import Choice, Predict

np.set_printoptions(precision=2, suppress=True)

# %% [markdown]
# ## Exercise 7.1: one loss, three causes
#
# Four classes, and each of these networks has a loss near ln 4. A row is an image, a column is a class. Notebook 7 had three causes: *all dead*, *constant* and *slow*. **Predict** for each of the four which it is.

# %%
tables = {
    "a": np.zeros((3, 4)),
    "b": np.array([[0.0, 0.1, 0.0, 0.1]] * 3),
    "c": np.array([[0.0] * 4, [0.1] * 4, [0.2] * 4]),
    "d": np.array([[0, 0.1, 0, 0.1], [0, 0.1, 0, 0], [0, 0.1, 0, 0.1]]),
}
for letter, logits in tables.items():
    print(f"{letter}\n{logits}")

# %% [markdown]
# **First worked:** how do logits differ between *images*, and how between *classes*? For table b:

# %%
print("between images: ", tables["b"].std(axis=0))  # one for each class
print("between classes:", tables["b"].std(axis=1))  # one for each image

# %% [markdown]
# **Then you:** a function that says so for any network. It returns
#
# - `"elsewhere"` where the loss is more than 0.05 away from the loss of guessing;
# - `"all dead"` where all logits are 0;
# - `"constant"` where, for every class, the spread of its logits (`std`) over the images is below 0.001;
# - `"slow"` else.
#
# <details><summary>Hint</summary>
#
# A network with C classes that guesses has a loss of ln C. And of the spreads, one for each class: which of them has to be below 0.001, so that *every* one is?
#
# </details>

# %%
def why(loss, logits):
    """logits: images×classes"""
    # given
    guessing = ...  # the loss of guessing
    spread = ...  # the number that has to be below 0.001
    # solution
    guessing = math.log(logits.shape[1])
    spread = logits.std(axis=0).max()
    # end
    if abs(loss - guessing) > 0.05:
        return "elsewhere"
    if (logits == 0).all():
        return "all dead"
    return "constant" if spread < 0.001 else "slow"

# %%
check("7.1", why)

# %% tags=["solution"]
for letter, logits in tables.items():
    print(letter, why(math.log(4), logits))

# %% [markdown] tags=["solution"]
# In b the network prefers two classes, and prefers them for every image: it has not looked. In c it is the other way round. No class is preferred, but the images make a difference. In d a single logit in a single class differs, and that is enough: something reaches the end of the network.
#
# The loss is near ln 4 in all four. Whoever looks only at the loss gives all four the same advice, and for *all dead* waiting is wrong.

# %% [markdown]
# ## Exercise 7.2: find the bug
#
# A class is *dead* when none of its own images has a positive logit of that class. Somebody counted dead classes like this. Here they find none, and the pullovers are dead:

# %%
def their_dead(logits, labels):
    return [c for c in range(logits.shape[1])
            if not (logits[:, c] > 0).any()]


names = ["shirt", "pullover", "boot"]
logits = np.array([[2.0, 0.3, 0.0],   # a shirt
                   [1.0, 0.0, 0.0],   # a shirt
                   [1.5, 0.0, 0.0],   # a pullover
                   [0.0, 0.0, 3.0]])  # a boot
labels = np.array([0, 0, 1, 2])
print("dead:", [names[c] for c in their_dead(logits, labels)])

# %% [markdown]
# **Write** two functions. `dead(logits, labels)` returns the list of dead classes. A class without any image is not in it: nothing can be said of it. `floor(logits, labels)` returns the least loss, the mean over all images, that a network with these dead classes can have behind a last ReLU. Notebook 7 had a formula for it, for classes with equally many images. Yours need not have equally many.
#
# <details><summary>Hint</summary>
#
# `logits[labels == c, c]` holds the logits of class c on its own images. For the floor: what does one image of a dead class cost at least, and what an image of a living one? How many are there of each?
#
# </details>

# %%
def dead(logits, labels):
    # given
    return ...
    # solution
    return [c for c in np.unique(labels).tolist()
            if not (logits[labels == c, c] > 0).any()]
    # end


def floor(logits, labels):
    # given
    return ...
    # solution
    hit = np.isin(labels, dead(logits, labels))  # images of dead classes
    return hit.mean() * math.log(logits.shape[1])
    # end

# %%
check("7.2", dead, floor)

# %% tags=["solution"]
print("dead:", [names[c] for c in dead(logits, labels)])
powers = np.exp(logits)
p = powers / powers.sum(axis=1, keepdims=True)
loss = -np.log(p[np.arange(4), labels]).mean()
print(f"floor {floor(logits, labels):.3f}, loss {loss:.3f}")
assert floor(logits, labels) <= loss

# %% [markdown] tags=["solution"]
# A shirt has a positive pullover logit, and that misled them. But what a shirt does to this logit pushes it *down*: for the pullovers it is the wrong class. Only images of their own could pull it up, and of these none gets through the ReLU.
#
# The floor is a share of the *images*, times ln C. With equally many in each class it is the D/C · ln C of notebook 7.

# %% [markdown]
# ## To stretch, exercise 7.3: how many runs without a failure?
#
# You found a new recipe, and no run has failed so far. How many such runs do you need before you can say that it fails less often than once in ten?

# %% jupyter={"source_hidden": true} tags=["remove-input"]
Predict("How many runs without a failure?", [
    Choice("ten: with one failure in ten, one would have been among them",
           False,
           "That is the mean. Of rows of ten runs with such a recipe, more "
           "than a third have no failure."),
    Choice("about 20", False,
           "Closer. But such a recipe still gets through 20 runs without a "
           "failure in one case of eight."),
    Choice("more than 30", True,
           "Few runs exclude little. How many exactly, your function tells."),
])

# %% [markdown]
# Here is notebook 7's interval once more:

# %%
def interval(failed, runs, z=1.96):
    """95 % interval of a share (Wilson 1927)."""
    share, square = failed / runs, z**2 / runs
    spread = share * (1 - share) / runs + square / (4 * runs)
    middle, half = share + square / 2, z * math.sqrt(spread)
    low, high = middle - half, middle + half
    return max(low, 0) / (1 + square), high / (1 + square)


print(f"0 of 10: up to {interval(0, 10)[1]:.3f}")

# %% [markdown]
# **Write** `runs_needed(share)`: the smallest number of runs after which, if none of them has failed, the interval ends below `share`.
#
# <details><summary>Hint</summary>
#
# Start with one run, and take one more as long as the upper end is not below `share`. Or put 0 failures into the formula on paper: not much is left of it.
#
# </details>

# %%
def runs_needed(share):
    # given
    return ...
    # solution
    runs = 1
    while interval(0, runs)[1] >= share:
        runs += 1
    return runs
    # end

# %%
check("7.3", runs_needed)

# %% tags=["solution"]
for share in (0.5, 0.25, 0.1, 0.05, 0.01):
    print(f"less often than {share:>4.0%}: {runs_needed(share):>3} runs"
          " without a failure")
ends = [run["val_accuracy"][-1] for run in variants()
        if run["variant"] == "as it is"]
failed = sum(end < 0.60 for end in ends)
low, high = interval(failed, len(ends))
print(f"\nthe default, three epochs: {failed} of {len(ends)} seeds failed,"
      f" {low:.0%} to {high:.0%}")
default = [run["failed"] for run in study() if run["arm"] == "default"]
low, high = interval(sum(default), len(default))
print(f"the study, six epochs: {sum(default)} of {len(default)} seeds"
      f" failed, {low:.0%} to {high:.0%}")

# %% [markdown] tags=["solution"]
# 35. On paper, $z^2 / (n + z^2)$ is left of the upper end, so $n$ has to be above $z^2 (1 - s) / s$.
#
# With one failure in ten, one run of ten fails *on average*. But ten in a row without a failure are not rare then; more than a third of all rows of ten are like that:

# %% tags=["solution"]
for runs in (10, 20, 35):
    print(f"{runs} runs, one in ten fails: none among them"
          f" in {0.9**runs:.0%} of all cases")

# %% [markdown] tags=["solution"]
# With 20 it is still one case in eight. For a share ten times as small you need about ten times as many runs. That is why this chapter says of its own runs how many there were, and why ten seeds without a failure are no promise. `python benchmarks/variants.py --again "variant=as it is" seed=3` repeats one of them.
