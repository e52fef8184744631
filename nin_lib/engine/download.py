"""Fetching the full Fashion-MNIST, when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pooch
import requests

from ..data import DOWNLOADS, FILES, DataError

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
    sources: Sequence[str] = SOURCES,
    sha256: dict[str, str] = SHA256,
    timeout: float = 30.0,
) -> Path:
    """Fetch the four packed files into `folder` (31 MB) and return it.

    Each file is checked against `sha256` before it gets its name, so no half-written file is left;
    a file that is there and right is not fetched again. The `sources` are tried in turn, `timeout`
    is in seconds. Raises `DataError` with what each source answered.
    """
    folder = Path(folder) if folder else DOWNLOADS
    for file in FILES:
        fetch(f"{file}.gz", folder, sources, sha256[file], timeout)
    return folder


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
