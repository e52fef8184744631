# ---
# jupyter:
#   chapter:
#     compared: 3
#   jupytext:
#     notebook_metadata_filter: chapter,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 10: with d2l
#
# To [notebook 10](../notebooks/10_with_d2l.ipynb). One exercise and one to stretch, in NumPy: d2l is not needed. **Time** about 25 minutes.

# %%
import numpy as np

from nin_lib.check import check

# %% [markdown]
# ## Exercise 10.1: find the bug
#
# Somebody wrote a loader that "shuffles": which images stand in which batch of an epoch? Look at two epochs. Two things are wrong.

# %%
def their_batches(count, size, seed, epoch):
    rng = np.random.default_rng(seed)
    cut = [np.arange(count)[i : i + size] for i in range(0, count, size)]
    return [cut[i] for i in rng.permutation(len(cut))]


for epoch in (1, 2):
    shown = [batch.tolist() for batch in their_batches(7, 3, 0, epoch)]
    print("epoch", epoch, shown)

# %% [markdown]
# **Write** `batches` so that images are shuffled, not batches, anew in each epoch; called twice for the same seed and epoch it gives the same. Every image stands in one batch. All batches have `size` images; only the last one may have fewer.
#
# <details><summary>Hint</summary>
#
# First the order, then the cut. `np.random.default_rng((seed, epoch))` draws other numbers for each pair, and the same ones for the same pair. (`seed + epoch` would not do: seed 0 would have in epoch 2 what seed 1 has in epoch 1.)
#
# </details>

# %%
def batches(count, size, seed, epoch):
    # given
    order = ...
    return ...
    # solution
    order = np.random.default_rng((seed, epoch)).permutation(count)
    return [order[i : i + size] for i in range(0, count, size)]
    # end

# %%
check("10.1", batches)

# %% tags=["solution"]
for name, loader in {"theirs": their_batches, "mended": batches}.items():
    met = set()
    for epoch in range(1, 41):
        for batch in loader(12, 3, 0, epoch):
            met |= set(batch.tolist()) if 0 in batch else set()
    print(f"{name}: in 40 epochs image 0 meets {sorted(met - {0})}")

# %% [markdown] tags=["solution"]
# Their images never part: whoever stands in a batch with image 0 always does. (And with the seed alone, every epoch has the same batches in the same order. That is why the epoch has to go into the random numbers.)

# %% [markdown]
# ## To stretch, exercise 10.2: enlarge when the turn comes
#
# d2l's loaders for TensorFlow and JAX enlarge the images of a whole epoch before the first batch. **Write** a loader that holds one enlarged batch at a time. From bytes of (N, height, width) it makes, batch by batch, 4-byte numbers between 0 and 1, and every pixel becomes `times` × `times` pixels.
#
# <details><summary>Hint</summary>
#
# `yield` in the place of `return` hands over one batch and waits. `np.repeat(batch, times, axis=1)` repeats the rows of each image. And bytes have to become numbers with a point before they are divided.
#
# </details>

# %%
def enlarged(images, size, times):
    # given
    for i in range(0, len(images), size):
        batch = images[i : i + size]
        yield ...
    # solution
    for i in range(0, len(images), size):
        batch = images[i : i + size].astype(np.float32) / 255
        yield batch.repeat(times, axis=1).repeat(times, axis=2)
    # end

# %%
check("10.2", enlarged)

# %% tags=["solution"]
images = np.zeros((600, 28, 28), np.uint8)
one = next(enlarged(images, 128, 8))
print("one batch:", one.shape, one.dtype)
print(f"as bytes {images.nbytes:,}, one batch enlarged {one.nbytes:,},")
print(f"all of them enlarged {600 * 224 * 224 * 4:,}")

# %% [markdown] tags=["solution"]
# What waits is one batch, whether the set has hundreds of images or many thousands. (d2l's loaders, and ours, interpolate between the pixels. That changes the numbers, and not the memory.)
