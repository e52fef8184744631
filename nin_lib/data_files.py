"""Find and read the four files of Fashion-MNIST.

A file is in the IDX format of MNIST, packed with gzip or not.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from pathlib import Path

import numpy as np
import platformdirs

from .validation import require_path

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # package dataset-fashion-mnist

FILES = (
    "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
)  # fmt: skip
SHA256 = {  # of the unpacked files of the full set, however they are packed
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


def folders_with_all(folder: str | Path | None) -> list[Path]:
    """Return the folders in which all four files are, packed or not, in the order to try them.

    torchvision's layout, FashionMNIST/raw below the folder, counts too.
    """
    named = named_folder(folder)
    places = [named] if named else [*download_folders(), DEBIAN_FOLDER]
    both = [layout for place in places for layout in (place, place / "FashionMNIST" / "raw")]
    return [place for place in both if all(find_file(place, file) for file in FILES)]


def named_folder(folder: str | Path | None) -> Path | None:
    """Return the folder that the argument or NIN_DATA names. Raises `ValueError` for no path."""
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
    """Return the error for files that are not there."""
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
    """Return the path of `file` in `folder`, unpacked if both are there, or None."""
    return next(iter(packings(folder, file)), None)


def packings(folder: Path, file: str) -> list[Path]:
    """Return the forms of `file` that are in `folder`: unpacked, packed, or both."""
    return [path for path in (folder / file, folder / f"{file}.gz") if path.is_file()]


def read_file(folder: Path, file: str, sha256: str | None) -> np.ndarray:
    """Read `file` in the first of its packings that is good. Raises `DataError` if none is."""
    errors = []
    for path in packings(folder, file) or [folder / file]:
        try:
            return read_idx(path, sha256)
        except DataError as error:
            errors.append(error)
    raise errors[0]


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
    """Return the content of `path`, decompressed if it is a gzip file, whatever its name."""
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
