"""Make nin_lib/mini from the full Fashion-MNIST: `python tools/make_mini_set.py`.

600 training and 100 held-out images of each class are drawn with a fixed seed from the full set's
training and held-out parts, 100 of each class from its test images; then each part is shuffled. The
files have the form of the full set's, with the held-out images at the end of the training files.
"""

from __future__ import annotations

import gzip
import hashlib
import struct

import numpy as np

from nin_lib import data

SEED = 2013  # the year of the paper's preprint
PER_CLASS = {"train": 600, "val": 100, "test": 100}


def choose(labels: np.ndarray, per_class: int, rng: np.random.RandomState) -> np.ndarray:
    """Indices of `per_class` images of each class, in random order."""
    chosen = [
        rng.choice(np.flatnonzero(labels == c), per_class, replace=False)
        for c in range(len(data.CLASSES))
    ]
    return rng.permutation(np.concatenate(chosen))


def mini_arrays(full: data.Dataset) -> list[np.ndarray]:
    """Training images and labels (held-out ones last), test images and labels."""
    rng = np.random.RandomState(SEED)  # its stream is frozen by NumPy, unlike default_rng's
    parts = {}
    for name, per_class in PER_CLASS.items():
        split = getattr(full, name)
        index = choose(split.labels, per_class, rng)
        parts[name] = split.images[index], split.labels[index].astype(np.uint8)
    train = [np.concatenate(both) for both in zip(parts["train"], parts["val"], strict=True)]
    return [*train, *parts["test"]]


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def main() -> None:
    sums = []
    for file, array in zip(data.FILES, mini_arrays(data.load("full")), strict=True):
        packed = gzip.compress(idx_bytes(array), compresslevel=9, mtime=0)
        (data.MINI_FOLDER / f"{file}.gz").write_bytes(packed)
        sums.append(f"{hashlib.sha256(packed).hexdigest()}  {file}.gz\n")
        print(f"{file}.gz: {array.shape}, {len(packed):,} bytes")
    (data.MINI_FOLDER / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


if __name__ == "__main__":
    main()
