"""Download the full Fashion-MNIST and verify it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pooch
import requests

from .data_files import FILES, DataError, download_folders, named_folder

SOURCES = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
SHA256 = {  # of the published .gz files, for downloads
    FILES[0]: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    FILES[1]: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    FILES[2]: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    FILES[3]: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}


def download_full(
    folder: str | Path | None = None,
    sources: Sequence[str] | None = None,
    sha256: dict[str, str] | None = None,
    timeout: float = 30.0,
) -> Path:
    """Fetch the four packed files (31 MB) and return the folder that has them.

    Each file is checked against its SHA-256 before it gets its name, so no half-written file is
    left. A file that is there and right is not fetched again.

    Args:
        folder: Where the files go; None means the folder in NIN_DATA, or else the user's cache.
        sources: Addresses to try in turn; None means `SOURCES`.
        sha256: The checksum of each packed file, by its name without .gz; None means `SHA256`.
        timeout: How long to wait for a source, in seconds.

    Raises:
        DataError: A file could not be fetched. The message has what each source answered.
    """
    target = named_folder(folder) or next(iter(download_folders()), None)
    if target is None:
        raise DataError("there is no home folder for the download; give `folder` or set NIN_DATA")
    for file in FILES:
        fetch(f"{file}.gz", target, sources or SOURCES, (sha256 or SHA256)[file], timeout)
    return target


def fetch(name: str, folder: Path, sources: Sequence[str], sha256: str, timeout: float) -> None:
    pooch.get_logger().setLevel("WARNING")
    failures = []
    for source in sources:
        try:
            downloader = pooch.HTTPDownloader(timeout=timeout)
            pooch.retrieve(source + name, f"sha256:{sha256}", name, folder, downloader=downloader)
            return
        except requests.RequestException as error:
            failures.append(f"{source}: {type(error).__name__}")
        except ValueError:  # pooch: the checksum differs
            failures.append(f"{source}: answered something other than the data file")
    raise DataError(
        f"{name} could not be downloaded. No network, or a proxy in the way? Tried "
        + "; ".join(failures)
    )
