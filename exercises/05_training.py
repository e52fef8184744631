# ---
# jupyter:
#   chapter:
#     compared: 4
#   jupytext:
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 5: training
#
# To [notebook 5](../notebooks/05_training.ipynb). Two exercises and one to stretch. **Time** about 35 minutes.
#
# The runs below are stored: the class network of notebook 5 with one change each, trained with the default recipe for three epochs, with ten seeds. What counts is the share of the held-out images that are right after the last epoch; a run below 0.60 has *failed*. `python benchmarks/variants.py --again "variant=as it is" seed=3` repeats one of them.

# %%
from math import comb
from statistics import median

from nin_lib.check import check
from nin_lib.recorded import study, variants

# %% [markdown]
# ## Exercise 5.1: is it better?
#
# Two networks, some seeds each, and the accuracies of all the runs. **First worked:** what to say about one of them. (These numbers are made up.)

# %%
def spread(runs):
    """runs: seed → accuracy."""
    values = sorted(runs.values())
    failed = sum(value < 0.60 for value in values)
    return (f"{len(values):>3}{values[0]:>8.3f}{median(values):>8.3f}"
            f"{values[-1]:>8.3f}{failed:>8}")


first = {0: 0.71, 1: 0.74, 2: 0.69, 3: 0.73}
second = {3: 0.72, 2: 0.69, 0: 0.70, 1: 0.75, 4: 0.55}
print("seeds   least  median    most  failed")
for runs in (first, second):
    print(spread(runs))

# %% [markdown]
# **Then you:** how do two of them compare? With the same seed, both networks see the images in the same order. So they are compared seed by seed: in how many of the seeds that *both* have is `a` above `b`? Fill in the blanks. For the made-up numbers the answer is (2, 4): with seed 2 they are equal, and equal is not ahead.
#
# The solution does that with stored runs. A block has two 1×1 convolutions after its first one. What changes with one, and with three? And with 3×3 convolutions in their place? **Predict** for each of the three, beside the network as it is:
#
# - (a) It is ahead with nearly every seed.
# - (b) It is behind with nearly every seed.
# - (c) These seeds cannot tell.
#
# <details><summary>Hint</summary>
#
# `a.keys() & b.keys()` holds the keys that are in both. And the second dictionary above has its seeds in another order than the first.
#
# </details>

# %%
def ahead(a, b):
    """a, b: seed → accuracy. In how many seeds is a ahead, of how many?"""
    # given
    both = ...  # the seeds that are in a and in b
    count = ...  # in how many of them is a above b?
    # solution
    both = a.keys() & b.keys()
    count = sum(a[seed] > b[seed] for seed in both)
    # end
    return count, len(both)

# %%
check("5.1", ahead)

# %% [markdown] tags=["solution"]
# First, when are the seeds enough to tell? If a change did nothing, each seed would be a toss of a coin. So we ask how often coins alone would fall to one side so clearly, and speak of *ahead* or *behind* where that happens less than once in twenty times:

# %% tags=["solution"]
def chance(most, seeds):
    """That fair coins fall `most` times or more to one of the sides."""
    ways = sum(comb(seeds, k) for k in range(most, seeds + 1))
    return min(1, 2 * ways / 2**seeds)


def verdict(a, b):
    count, seeds = ahead(a, b)
    for word, most in {"ahead": count, "behind": ahead(b, a)[0]}.items():
        if chance(most, seeds) < 0.05:
            return f"{word} in {most} of {seeds} seeds"
    return f"ahead in {count} of {seeds} seeds: cannot tell"


for most in (7, 8, 9, 10):
    print(f"{most} of 10 by chance: {chance(most, 10):.3f}")
print(f"5 of 5 by chance: {chance(5, 5):.3f}")

# %% [markdown] tags=["solution"]
# With ten seeds it takes nine. With five, even five would not be enough.

# %% tags=["solution"]
runs = variants()


def ends(name):
    """seed → accuracy after the last epoch."""
    return {run["seed"]: run["val_accuracy"][-1] for run in runs
            if run["variant"] == name}


def compare(names, base="as it is"):
    print(f"{'':24}parameters  multiply-adds")
    for name in (base, *names):
        facts = next(run for run in runs if run["variant"] == name)
        print(f"{name:24}{facts['parameters']:>10,}"
              f"{facts['multiply_adds']:>15,}")
    print(f"\n{'':24}seeds   least  median    most  failed")
    for name in (base, *names):
        print(f"{name:24}{spread(ends(name))}")
    print("\nbeside", base)
    for name in names:
        print(f"{name:24}{verdict(ends(name), ends(base))}")


asked = ["one 1×1 in each block", "three 1×1 in each block",
         "3×3 in place of 1×1"]
compare(asked)
for name in asked:
    assert "cannot tell" in verdict(ends(name), ends("as it is"))

# %% [markdown] tags=["solution"]
# The upper table is arithmetic. A 1×1 convolution more or less changes little; with 3×3 the network has nearly twice the parameters and does nearly three times the work. The last table is the answer to your three predictions: (c) for each of them. *Cannot tell* does not mean *equal*: more seeds may tell what these do not.
#
# Who said (a) for three or for 3×3 may have thought that more parameters make a better network. Who said (b) for one may have thought the same. But after three epochs it also counts how fast a network learns.
#
# What the table cannot say: anything about long trainings, other sizes, or more than these few thousand images. Or about **another recipe**. The learning rate of this one, 0.2, was chosen with the network as it is. Here are both networks once more, with a quarter of it:

# %% tags=["solution"]
slower = [f"{name}learning rate 0.05" for name in ("", f"{asked[2]}, ")]
for name in slower:
    print(f"{name:40}{spread(ends(name))}")
print("3×3 is", verdict(ends(slower[1]), ends(slower[0])))
assert "ahead in" in verdict(ends(slower[1]), ends(slower[0]))
assert "tell" not in verdict(ends(slower[1]), ends(slower[0]))

# %% [markdown] tags=["solution"]
# With every seed, this time. Both answers are true: a comparison of two networks is always one of two networks *with a recipe*, and where one of them learns too slowly, the other may be ahead for no better reason. And of a lead ask how large it is, too. This one is about two images in a hundred, for nearly three times the work.
#
# **And one run of each?** Take one run of each network, of any two seeds. How often is which ahead?

# %% tags=["solution"]
for name in ("one 1×1 in each block", "three 1×1 in each block"):
    pairs = [(mine, theirs) for mine in ends(name).values()
             for theirs in ends("as it is").values()]
    won = sum(mine > theirs for mine, theirs in pairs)
    print(f"{name:24}ahead in {won} of {len(pairs)} pairs")
same = [run["accuracy"][-1] for run in study() if run["arm"] == "published"]
print(f"\nthe recipe published, nothing changed but the seed:"
      f" {min(same):.3f} to {max(same):.3f} ({len(same)} runs of the study)")

# %% [markdown] tags=["solution"]
# Where the pairs are divided, one pair is a toss of a coin; yet it always looks like a result. With the recipe that is usually published it is worse. The last line has runs of notebook 7's study: the same network, the same recipe, and they lie further apart than any two networks above. There, one low run may be a collapse and no effect of the change. Nobody can see that in one run, however careful they are.

# %% [markdown]
# ## Exercise 5.2: find the bug
#
# Somebody tried four learning rates, with three seeds each, and wrote a function that chooses one of them. (The numbers are made up.)

# %%
tried = [
    {"rate": rate, "seed": seed, "val_accuracy": [early, late],
     "test_accuracy": [0.0, test]}
    for rate, seed, early, late, test in [
        (0.1, 0, 0.52, 0.68, 0.67), (0.1, 1, 0.55, 0.69, 0.70),
        (0.1, 2, 0.50, 0.67, 0.66), (0.3, 0, 0.60, 0.72, 0.71),
        (0.3, 1, 0.58, 0.73, 0.72), (0.3, 2, 0.63, 0.72, 0.73),
        (1.0, 0, 0.76, 0.75, 0.71), (1.0, 1, 0.75, 0.71, 0.70),
        (1.0, 2, 0.74, 0.70, 0.72), (3.0, 0, 0.10, 0.10, 0.10),
        (3.0, 1, 0.66, 0.74, 0.75), (3.0, 2, 0.10, 0.10, 0.10),
    ]
]


def their_choice(runs):
    best = max(runs, key=lambda run: run["test_accuracy"][-1])
    return best["rate"]


print("their choice:", their_choice(tried))

# %% [markdown]
# With this rate two runs of three have failed. Two things are wrong with their rule. **Write** a function that chooses from a list like `tried`: the rate with the highest *median* over its seeds, of the accuracy on the images that are there for choices, after the last epoch. There may be any rates, in any order, and not all need to have as many seeds.
#
# <details><summary>Hint</summary>
#
# First collect the accuracies of each rate, in a dictionary of lists. Then `max` with a `key`. Which of the three parts of the data set was the one for choices?
#
# </details>

# %%
def choose(runs):
    # given
    return ...
    # solution
    accuracies = {}  # rate → a number for each seed
    for run in runs:
        values = accuracies.setdefault(run["rate"], [])
        values.append(run["val_accuracy"][-1])
    return max(accuracies, key=lambda rate: median(accuracies[rate]))
    # end

# %%
check("5.2", choose)

# %% tags=["solution"]
print("their choice:", their_choice(tried), " yours:", choose(tried))
rates = {"learning rate 0.02": 0.02, "learning rate 0.05": 0.05,
         "learning rate 0.1": 0.1, "as it is": 0.2,
         "learning rate 0.4": 0.4, "learning rate 0.8": 0.8}
print("\nthe stored runs    seeds   least  median    most  failed")
for name in rates:
    print(f"{name:19}{spread(ends(name))}")
stored = [run | {"rate": rates[run["variant"]]}
          for run in runs if run["variant"] in rates]
chosen = choose(stored)
print("\nchosen:", chosen)
name = next(name for name in rates if rates[name] == chosen)
for other in rates:
    if other != name:
        words = verdict(ends(name), ends(other))
        print(f"beside {rates[other]}: {words}")

# %% [markdown] tags=["solution"]
# What was wrong: they took the best *single* run, and one run can be lucky. And they looked at the *test* images: a rate that is chosen because it does well on them does well on them partly by chance, and then no images are left for an honest last number.
#
# The median is no law. A mean is pulled down by failed runs, and you may want that; then say so before you look. The best epoch of each run would be a choice as well, made anew for every run.
#
# The chosen rate's accuracy is a bit too good to be true, too, since we took the best of six. That is what the test images are for. And it holds for this network, these images and *three epochs*: with one-cycle the number is the highest rate on the way, and a longer training may want another.
#
# The chapter's own rate is half as high, and its median half an image in a hundred lower. Look at the rate on the other side: there some runs fail. So the best rate lies close to rates that are far too high, and one step below it there is room for a network that is harder to train.

# %% [markdown]
# ## To stretch, exercise 5.3: leave out a single 1×1
#
# The class network has blocks with the widths (96, 64, 48), (128, 96, 48) and (128, 96, 10), each with a 5×5 convolution first. Its maps have 28, 14 and 7 pixels a side. Now the *middle* layer of one block is left out: (96, 48) in block 1, **or** (128, 48) in block 2, **or** (128, 10) in block 3. The last width of the block stays, so that the rest of the network need not change.

# %%
whole = next(run for run in variants() if run["variant"] == "as it is")
print(f"as it is: {whole['parameters']:,} parameters,"
      f" {whole['multiply_adds']:,} multiply-adds")

# %% [markdown]
# **Predict**, exactly, what the whole network has when the layer is left out in block 1, in block 2, or in block 3. And does it do harm?
#
# <details><summary>Hint</summary>
#
# Two layers go, and one comes: from the first width straight to the last. Each has weights and biases. In the multiply-adds a weight counts once for each place of the map; biases are not counted.
#
# </details>

# %%
# given
parameters = [..., ..., ...]
multiply_adds = [..., ..., ...]
# solution
parameters, multiply_adds = [], []
blocks = [(96, 64, 48, 28), (128, 96, 48, 14), (128, 96, 10, 7)]
for a, b, c, side in blocks:
    weights = a * b + b * c - a * c
    parameters.append(whole["parameters"] - weights - b)
    multiply_adds.append(whole["multiply_adds"] - weights * side**2)
# end

# %%
check("5.3", parameters, multiply_adds)

# %% tags=["solution"]
less = [f"one 1×1 less in block {number}" for number in (1, 2, 3)]
compare(less)
for name, mine, work in zip(less, parameters, multiply_adds, strict=True):
    facts = next(run for run in runs if run["variant"] == name)
    assert facts["parameters"] == mine
    assert facts["multiply_adds"] == work
    assert "cannot tell" in verdict(ends(name), ends("as it is"))

# %% [markdown] tags=["solution"]
# In block 3 the most parameters are saved, in block 1 the most work: that one has the most places. Whether it does harm, ten seeds cannot tell, for none of the three; a harm that shows in every run it is not. The limits are those of exercise 5.1: one size, one recipe, three epochs. And with three comparisons at once, a *behind* or *ahead* by chance alone would be up to three times as likely as with one.
