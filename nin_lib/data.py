"""Fashion-MNIST as arrays: the small set in this package, or the full one.

Images stay as they are published, unsigned bytes of 28×28 pixels; training enlarges each
batch where it is used. Source: Xiao, Rasul and Vollgraf 2017, "Fashion-MNIST: a Novel Image Dataset
for Benchmarking Machine Learning Algorithms" (MIT licence).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .data_files import (
    FILES,
    SHA256,
    DataError,
    folders_with_all,
    missing,
    named_folder,
    read_file,
)
from .spec import Network
from .validation import require_choice, require_int, require_seed

CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip

MINI_FOLDER = Path(__file__).parent / "mini"
SetName = Literal["mini", "full"]
# The last training images, set aside for every choice.
HELD_OUT: dict[SetName, int] = {"mini": 1_000, "full": 5_000}


@dataclass(frozen=True)
class Split:
    """Images and their labels.

    Lists and the tensors of any framework are converted to arrays. Arrays are kept contiguous and
    in the machine's own byte order, and are copied only if they are not so already.

    Args:
        images: (N, H, W), or (N, C, H, W) for more than one channel; bytes from 0 to 255, or
            floats that are finite in single precision and used as they are.
        labels: (N,) integers from 0 to `classes` − 1; kept as 64-bit integers.
        classes: The number of classes.

    Raises:
        ValueError: The arrays do not fit this description or each other.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: int = len(CLASSES)

    def __post_init__(self) -> None:
        images, labels = as_array("images", self.images), as_array("labels", self.labels)
        classes = require_int("classes", self.classes, 1)
        if images.ndim not in (3, 4):
            raise ValueError(f"images must be (N, H, W) or (N, C, H, W), got shape {images.shape}")
        if len(images) == 0:
            raise ValueError("images must hold at least one image, got an empty set")
        if images.size == 0:
            raise ValueError(f"images must hold at least one pixel each, got shape {images.shape}")
        if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
            raise ValueError(f"images must be uint8 or floating point, got {images.dtype}")
        if not fit_single_precision(images):
            raise ValueError("images must be finite, got NaN or infinity in single precision")
        if labels.shape != (len(images),):
            raise ValueError(f"labels must have shape ({len(images)},), got {labels.shape}")
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels must be integers, got {labels.dtype}")
        if labels.min() < 0 or labels.max() >= classes:
            found = f"{labels.min()} to {labels.max()}"
            raise ValueError(f"labels must lie in 0 to {classes - 1}, got {found}")
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels.astype(np.int64, copy=False))
        object.__setattr__(self, "classes", classes)

    def __len__(self) -> int:
        return len(self.images)

    def first(self, n: int) -> Split:
        """Return the first `n` images with their labels, or all if there are fewer than `n`."""
        n = require_int("n", n, 1)
        return Split(self.images[:n], self.labels[:n], self.classes)


@dataclass(frozen=True)
class Dataset:
    """`train` to learn from, `val` for every choice, `test` for the one number at the end."""

    name: str
    train: Split
    val: Split
    test: Split


def as_array(where: str, value: Any) -> np.ndarray:
    """Return `value` as a contiguous array in the machine's own byte order.

    `value` is an array, a list or a tensor on any device. Floats longer than 64 bits, which no
    framework has, become 64-bit ones. Raises `ValueError` naming `where`.
    """
    try:
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except (TypeError, ValueError, RuntimeError) as error:
        got = f"{type(value).__name__} ({error})"
        raise ValueError(f"{where} must be an array of numbers, got {got}") from None
    is_long = array.dtype.type is np.longdouble
    with np.errstate(over="ignore"):
        array = array.astype(np.float64 if is_long else array.dtype.newbyteorder("="), copy=False)
    return array.copy() if min(array.strides, default=0) < 0 else np.asarray(array, order="C")


def zero_to_one(images: np.ndarray) -> np.ndarray:
    """Turn (N, H, W) or (N, C, H, W) bytes into (N, C, H, W) floats from 0 to 1; floats stay."""
    images = images[:, None] if images.ndim == 3 else images
    return images.astype(np.float32) / np.float32(255 if images.dtype == np.uint8 else 1)


def fit_single_precision(images: np.ndarray) -> bool:
    """Whether all numbers are finite in single precision, in which networks take them."""
    with np.errstate(over="ignore"):
        return images.dtype == np.uint8 or bool(np.isfinite(images.astype(np.float32)).all())


def check_channels(model: Any, **splits: Split) -> None:
    """Compare the channels of the images with those of the model's spec, if it has a spec.

    Raises:
        ValueError: They differ. The message has the shape of the images as they were given.
    """
    spec = getattr(model, "spec", None)
    for name, split in splits.items():
        shape = split.images.shape
        channels = shape[1] if len(shape) == 4 else 1
        if not isinstance(spec, Network) or channels == spec.in_channels:
            continue
        error = f"{name}.images must have shape (N, {spec.in_channels}, H, W), got {shape}"
        if len(shape) == 4 and shape[3] == spec.in_channels:
            error += "; images.transpose(0, 3, 1, 2) puts the channels second"
        raise ValueError(error)


def load(
    name: SetName = "mini", folder: str | Path | None = None, download: bool = False
) -> Dataset:
    """Load Fashion-MNIST: the mini set of this package, or the full set.

    The full set is read from `folder` if it is given, otherwise from the folder in the environment
    variable NIN_DATA, otherwise from the download folder or Debian's package. The last 1,000 (mini)
    or 5,000 (full) training images are the held-out part `val`.

    Args:
        name: ``"mini"`` or ``"full"`` (60,000 training and 10,000 test images).
        folder: Where the four files of the full set are. The mini set has no folder.
        download: Fetch files of the full set that are missing or damaged, into the folder that is
            named, or into the download folder if none is.

    Raises:
        ValueError: An argument is wrong.
        DataError: Files are missing or damaged. The message says which, and what to do.
    """
    require_choice("name", name, HELD_OUT)
    if name == "mini":
        if folder is not None:
            rule = "None for the mini set, which comes with the package"
            raise ValueError(f"folder must be {rule}, got {str(folder)!r}")
        return read_folder(MINI_FOLDER, "mini")
    errors = []
    for place in folders_with_all(folder):
        try:
            return read_folder(place, "full")
        except DataError as error:  # another folder may have a good copy
            errors.append(error)
    if download:
        from .download import download_full  # its packages take a moment to import

        return read_folder(download_full(folder), "full")
    raise errors[0] if errors else missing(folder)


def find_full(folder: str | Path | None = None) -> Path | None:
    """Return the folder that has the four files of the full set, or None.

    A folder is named by the argument or by NIN_DATA. Raises `DataError` if the one that is named
    lacks a file.
    """
    found = folders_with_all(folder)
    if not found and named_folder(folder):
        raise missing(folder)
    return found[0] if found else None


def read_folder(folder: Path, name: SetName) -> Dataset:
    """Read the four files of `folder` as a `Dataset`; verify the full set by its SHA-256."""
    digests = SHA256 if name == "full" else {}
    arrays = [read_file(folder, file, digests.get(file)) for file in FILES]
    train_images, train_labels, test_images, test_labels = arrays
    check_counts(folder / FILES[0], train_images, train_labels)
    check_counts(folder / FILES[2], test_images, test_labels)
    cut = len(train_images) - HELD_OUT[name]
    return Dataset(
        name,
        Split(train_images[:cut], train_labels[:cut]),
        Split(train_images[cut:], train_labels[cut:]),
        Split(test_images, test_labels),
    )


def check_counts(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    if len(images) != len(labels):
        raise DataError(f"{path}: {len(images)} images but {len(labels)} labels")


def order(n: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order in which an epoch sees its `n` images.

    It is a function of (seed, epoch) alone, so that a resumed run, or one on several processes,
    sees the same samples."""
    return np.random.default_rng((require_seed(seed), epoch)).permutation(n)
