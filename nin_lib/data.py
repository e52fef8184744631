"""Fashion-MNIST as arrays: a small set that comes with the package, the full one on request.

Images stay as they are published, unsigned bytes of 28×28 pixels; whoever trains enlarges each
batch where it is used. Source: Xiao, Rasul and Vollgraf 2017, "Fashion-MNIST: a Novel Image Dataset
for Benchmarking Machine Learning Algorithms" (MIT licence).
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip

MINI_FOLDER = Path(__file__).parent / "mini"
DOWNLOADS = Path(platformdirs.user_cache_dir("nin_lib")) / "fashion-mnist"
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


class DataError(ValueError):
    """A data file that is missing or is not what it should be."""


@dataclass(frozen=True)
class Split:
    """Images and their labels.

    `images`: (N, H, W), or (N, C, H, W) for more than one channel; bytes 0 to 255, or finite
    floats that are used as they are. `labels`: (N,) integers from 0 to `classes` − 1.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: int = len(CLASSES)

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.ndim not in (3, 4):
            raise ValueError(f"images must be (N, H, W) or (N, C, H, W), got shape {images.shape}")
        if len(images) == 0:
            raise ValueError("images must hold at least one image, got an empty set")
        if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
            raise ValueError(f"images must be uint8 or floating point, got {images.dtype}")
        if images.dtype != np.uint8 and not np.isfinite(images).all():
            raise ValueError("images must be finite, got NaN or infinity")
        if labels.shape != (len(images),):
            raise ValueError(f"labels must have shape ({len(images)},), got {labels.shape}")
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels must be integers, got {labels.dtype}")
        if labels.min() < 0 or labels.max() >= self.classes:
            found = f"{labels.min()} to {labels.max()}"
            raise ValueError(f"labels must lie in 0 to {self.classes - 1}, got {found}")

    def __len__(self) -> int:
        return len(self.images)

    def first(self, n: int) -> Split:
        """The first `n` images with their labels."""
        return Split(self.images[:n], self.labels[:n], self.classes)


@dataclass(frozen=True)
class Dataset:
    """`train` to learn from, `val` for every choice, `test` for the one number at the end."""

    name: str
    train: Split
    val: Split
    test: Split


def load(name: str = "mini", folder: str | Path | None = None, download: bool = False) -> Dataset:
    """Fashion-MNIST: ``"mini"`` (comes with the package) or ``"full"`` (60,000 and 10,000 images).

    The full set is read from `folder`, else from the folder that the environment variable NIN_DATA
    names, else from where a download put it, else from Debian's package; with `download` it is
    fetched when it is in none of these. The last 1,000 (mini) or 5,000 (full) training images are
    the held-out part `val`. Raises `DataError` naming the file and what to do.
    """
    if name not in HELD_OUT:
        raise ValueError(f"name must be one of {', '.join(HELD_OUT)}, got {name!r}")
    if name == "mini":
        return read_folder(MINI_FOLDER, "mini")
    found = find_full(folder)
    if found is None and not download:
        raise DataError(
            "the full Fashion-MNIST is not on this machine; run `nin data --download`, or put its "
            f"four files ({FILES[0]}.gz, ...) into a folder and name it in NIN_DATA"
        )
    if found is None:
        from .engine.download import download_full

        found = download_full()
    return read_folder(found, "full")


def find_full(folder: str | Path | None = None) -> Path | None:
    """The folder with the four files, or None. A folder that is named but lacks them is an error;
    torchvision's layout below it, FashionMNIST/raw, is found too."""
    named = folder or os.environ.get("NIN_DATA")
    places = [Path(named)] if named else [DOWNLOADS, DEBIAN_FOLDER]
    for place in places:
        for candidate in (place, place / "FashionMNIST" / "raw"):
            if all(find_file(candidate, file) for file in FILES):
                return candidate
    if named:
        missing = [file for file in FILES if not find_file(Path(named), file)]
        raise DataError(f"{named}: no {missing[0]} nor {missing[0]}.gz in this folder")
    return None


def find_file(folder: Path, file: str) -> Path | None:
    both = (folder / file, folder / f"{file}.gz")
    return next((path for path in both if path.is_file()), None)


def read_folder(folder: Path, name: str) -> Dataset:
    """The four files of `folder` as a `Dataset`; the full set is held against its SHA-256."""
    digests = SHA256 if name == "full" else {}
    paths = [find_file(folder, file) or folder / file for file in FILES]
    arrays = [read_idx(path, digests.get(file)) for path, file in zip(paths, FILES, strict=True)]
    train_images, train_labels, test_images, test_labels = arrays
    check_counts(folder / FILES[0], train_images, train_labels)
    check_counts(folder / FILES[2], test_images, test_labels)
    cut = len(train_images) - HELD_OUT[name]
    return Dataset(
        name,
        Split(train_images[:cut], train_labels[:cut].astype(np.int64)),
        Split(train_images[cut:], train_labels[cut:].astype(np.int64)),
        Split(test_images, test_labels.astype(np.int64)),
    )


def check_counts(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    if len(images) != len(labels):
        raise DataError(f"{path}: {len(images)} images but {len(labels)} labels")


def read_idx(path: Path, sha256: str | None = None) -> np.ndarray:
    """One IDX file of bytes, packed or not: images (N, H, W), or labels (N,).

    Layout: two zero bytes, 8 (unsigned bytes), the number of axes, then the length of each axis as
    a big-endian 32-bit number, then the data. What the file holds must agree with its name.
    """
    content = unpack(path)
    axes = 3 if "images" in path.name else 1
    header = 4 + 4 * axes
    if content[:2] != b"\0\0" or len(content) < header:
        raise DataError(f"{path}: {looks_like(content)}; delete it and get it again")
    if content[2:4] != bytes((8, axes)):
        holds = {3: "images", 1: "labels"}.get(content[3], f"{content[3]} axes")
        wants = "images" if axes == 3 else "labels"
        raise DataError(f"{path}: holds {holds} where its name says {wants}; files swapped?")
    shape = np.frombuffer(content, ">u4", axes, offset=4)
    expected = header + int(np.prod(shape, dtype=np.int64))
    if len(content) != expected:
        raise DataError(
            f"{path}: {len(content):,} bytes where its header promises {expected:,}; "
            "it was cut off or padded: get it again"
        )
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{path}: not the published file (its SHA-256 differs); get it again")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def unpack(path: Path) -> bytes:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    if content[:2] != b"\x1f\x8b":
        raise DataError(f"{path}: {looks_like(content)}; delete it and get it again")
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
    return np.random.default_rng((seed, epoch)).permutation(n)
