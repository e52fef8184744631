"""Fashion-MNIST as arrays: a small set that comes with the package, the full one on request.

Images stay as they are published, unsigned bytes of 28×28 pixels; whoever trains enlarges each
batch where it is used. Source: Xiao, Rasul and Vollgraf 2017, "Fashion-MNIST: a Novel Image Dataset
for Benchmarking Machine Learning Algorithms" (MIT licence).
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from .spec import Network
from .validation import require_choice, require_int, require_path, require_seed

CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip

MINI_FOLDER = Path(__file__).parent / "mini"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # package dataset-fashion-mnist
HELD_OUT = {"mini": 1_000, "full": 5_000}  # the last training images, set aside for every choice

FILES = (
    "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
)  # fmt: skip
SHA256 = {  # of the unpacked files of the full set, whoever packed them
    FILES[0]: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    FILES[1]: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    FILES[2]: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    FILES[3]: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


IDX_TYPES = {
    0x08: "unsigned bytes", 0x09: "signed bytes", 0x0B: "16-bit integers",
    0x0C: "32-bit integers", 0x0D: "32-bit floats", 0x0E: "64-bit floats",
}  # fmt: skip


class DataError(ValueError):
    """A data file that is missing or is not what it should be."""


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
        """The first `n` images with their labels, or all if there are fewer than `n`."""
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


def load(name: str = "mini", folder: str | Path | None = None, download: bool = False) -> Dataset:
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
        from .download import download_full

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


def folders_with_all(folder: str | Path | None) -> list[Path]:
    """The folders in which all four files are, packed or not, in the order to try them.

    torchvision's layout, FashionMNIST/raw below the folder, counts too.
    """
    named = named_folder(folder)
    places = [named] if named else [*download_folders(), DEBIAN_FOLDER]
    both = [layout for place in places for layout in (place, place / "FashionMNIST" / "raw")]
    return [place for place in both if all(find_file(place, file) for file in FILES)]


def named_folder(folder: str | Path | None) -> Path | None:
    """The folder that the argument, or else NIN_DATA, names. Raises `ValueError` for no path."""
    if folder:
        return require_path("folder", folder)
    named = os.environ.get("NIN_DATA")
    return require_path("NIN_DATA", named) if named else None


def download_folders() -> list[Path]:
    """Where downloads go if no folder is named; nowhere for a user without a home folder."""
    try:
        return [Path(platformdirs.user_cache_dir("nin_lib")).expanduser() / "fashion-mnist"]
    except RuntimeError:
        return []


def missing(folder: str | Path | None) -> DataError:
    """The error for files that are not there."""
    named = named_folder(folder)
    if not named:
        return DataError(
            "the full Fashion-MNIST is not on this machine; run `nin data --download`, or put its "
            f"four files ({FILES[0]}.gz, ...) into a folder and name it in NIN_DATA"
        )
    first = next((file for file in FILES if not find_file(named, file)), FILES[0])
    return DataError(
        f"{named}: no {first} nor {first}.gz in this folder; "
        f"`nin data --download --folder {named}` fetches it"
    )


def find_file(folder: Path, file: str) -> Path | None:
    """The path of `file` in `folder`, unpacked if both are there, or None."""
    return next(iter(packings(folder, file)), None)


def packings(folder: Path, file: str) -> list[Path]:
    """The forms of `file` that are in `folder`: unpacked, packed, or both."""
    return [path for path in (folder / file, folder / f"{file}.gz") if path.is_file()]


def read_folder(folder: Path, name: str) -> Dataset:
    """The four files of `folder` as a `Dataset`; the full set is compared with its SHA-256."""
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


def read_file(folder: Path, file: str, sha256: str | None) -> np.ndarray:
    """Read `file` in the first of its packings that is good. Raises `DataError` if none is."""
    errors = []
    for path in packings(folder, file) or [folder / file]:
        try:
            return read_idx(path, sha256)
        except DataError as error:
            errors.append(error)
    raise errors[0]


def check_counts(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    if len(images) != len(labels):
        raise DataError(f"{path}: {len(images)} images but {len(labels)} labels")


def read_idx(path: Path, sha256: str | None = None) -> np.ndarray:
    """Read one IDX file of bytes, packed or not: images (N, H, W), or labels (N,).

    Layout: two zero bytes, 8 (the code of unsigned bytes), the number of axes, then the length of
    each axis as a big-endian 32-bit number, then the data. What the file holds must agree with its
    name; whether it is packed is seen from its content. Raises `DataError`.
    """
    content = unpack(path)
    kind, axes = ("images", 3) if "images" in path.name else ("labels", 1)
    header = 4 + 4 * axes
    if content[:2] != b"\0\0" or len(content) < 4 or content[2] not in IDX_TYPES:
        raise DataError(f"{path}: {looks_like(content)}; delete it and get it again")
    if content[2] != 8:
        found = f"{IDX_TYPES[content[2]]} (type code 0x{content[2]:02x})"
        raise DataError(f"{path}: holds {found}, not unsigned bytes (0x08); get it again")
    if content[3] != axes:
        holds = {3: "images", 1: "labels"}.get(content[3], f"an array of {content[3]} axes")
        swapped = "; files swapped?" if content[3] in (1, 3) else "; get it again"
        raise DataError(f"{path}: holds {holds} where its name says {kind}{swapped}")
    if len(content) < header:
        raise DataError(f"{path}: cut off within its header; get it again")
    shape = [int(length) for length in np.frombuffer(content, ">u4", axes, offset=4)]
    expected = header + math.prod(shape)
    if len(content) != expected:
        raise DataError(
            f"{path}: {len(content):,} bytes where its header promises {expected:,}; "
            "it was cut off or padded: get it again"
        )
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{path}: not the published file (its SHA-256 differs); get it again")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def unpack(path: Path) -> bytes:
    """The content of `path`, decompressed if it is a gzip file, whatever its name says."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: cut off or damaged ({error}); get it again") from None


def looks_like(content: bytes) -> str:
    if not content:
        return "an empty file"
    if content.lstrip()[:1] == b"<":
        return "a web page, not data (a login or error page was served in its place?)"
    return f"not an IDX file (it begins with {content[:4].hex(' ')})"


def order(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch sees its `n` images: a function of (seed, epoch) alone, so that
    a resumed run, or one on several processes, sees the same samples."""
    return np.random.default_rng((require_seed(seed), epoch)).permutation(n)
