"""Fashion-MNIST: the mini set, the full one where it is, every way a file can be wrong."""

import functools
import gzip
import hashlib
import http.server
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from nin_lib import data
from nin_lib.data import FILES, DataError, Split, load
from nin_lib.engine.download import download_full

ROOT = Path(__file__).resolve().parents[1]
full_set = pytest.mark.skipif(
    data.find_full() is None, reason="the full set is not on this machine"
)


def test_the_mini_set_is_balanced_and_small():
    mini = load("mini")
    for split, per_class in ((mini.train, 600), (mini.val, 100), (mini.test, 100)):
        assert np.array_equal(np.bincount(split.labels), [per_class] * 10)
        assert split.images.dtype == np.uint8 and split.images.shape[1:] == (28, 28)
    assert sum(path.stat().st_size for path in data.MINI_FOLDER.iterdir()) < 4 * 2**20
    assert "Zalando" in (data.MINI_FOLDER / "LICENSE").read_text(encoding="utf-8")


def test_the_mini_sets_checksums():
    lines = (data.MINI_FOLDER / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(FILES)
    for line in lines:
        digest, name = line.split()
        assert hashlib.sha256((data.MINI_FOLDER / name).read_bytes()).hexdigest() == digest


@full_set
def test_the_mini_set_is_part_of_the_full_one_image_by_image():
    mini, full = load("mini"), load("full")
    for part in ("train", "val", "test"):
        small, large = getattr(mini, part), getattr(full, part)
        where = {
            image.tobytes(): label for image, label in zip(large.images, large.labels, strict=True)
        }
        assert all(
            where.get(image.tobytes()) == label
            for image, label in zip(small.images, small.labels, strict=True)
        )


@full_set
def test_the_script_still_makes_the_mini_set(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import make_mini_set

    arrays = make_mini_set.mini_arrays(load("full"))
    for file, array in zip(FILES, arrays, strict=True):
        assert np.array_equal(array, data.read_idx(data.MINI_FOLDER / f"{file}.gz"))


@full_set
def test_the_full_set():
    full = load("full")
    assert [len(part) for part in (full.train, full.val, full.test)] == [55_000, 5_000, 10_000]


def write_set(folder, packed, train=12, test=5):
    """Four small files of the right form."""
    rng = np.random.default_rng(0)
    sys.path.insert(0, str(ROOT / "tools"))
    from make_mini_set import idx_bytes

    folder.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        n = train if file.startswith("train") else test
        shape, top = ((n, 28, 28), 256) if "images" in file else ((n,), 10)
        content = idx_bytes(rng.integers(0, top, shape).astype(np.uint8))
        path = folder / (f"{file}.gz" if packed else file)
        path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [True, False])
def test_a_folder_packed_or_not(tmp_path, packed, monkeypatch):
    monkeypatch.setitem(data.HELD_OUT, "mini", 2)
    write_set(tmp_path, packed)
    found = data.read_folder(tmp_path, "mini")
    assert [len(part) for part in (found.train, found.val, found.test)] == [10, 2, 5]


def test_finding_the_full_set(tmp_path, monkeypatch):
    write_set(tmp_path / "FashionMNIST" / "raw", packed=False)
    assert data.find_full(tmp_path) == tmp_path / "FashionMNIST" / "raw"
    monkeypatch.setenv("NIN_DATA", str(tmp_path))
    assert data.find_full() == tmp_path / "FashionMNIST" / "raw"
    monkeypatch.setenv("NIN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="no train-images-idx3-ubyte nor .*gz in this folder"):
        data.find_full()
    monkeypatch.delenv("NIN_DATA")
    monkeypatch.setattr(data, "DEBIAN_FOLDER", tmp_path / "nowhere")
    monkeypatch.setattr(data, "download_folders", lambda: [tmp_path / "nowhere"])
    with pytest.raises(DataError, match="nin data --download"):
        load("full")


def test_another_set_in_the_full_ones_place_is_refused(tmp_path):
    write_set(tmp_path, packed=True)
    with pytest.raises(DataError, match="train-images.*not the published file"):
        load("full", tmp_path)


def spoil(path, content):
    path.write_bytes(content)


IMAGES, LABELS = f"{FILES[0]}.gz", f"{FILES[1]}.gz"


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (lambda f: spoil(f / IMAGES, (f / IMAGES).read_bytes()[:300]), "cut off or damaged"),
        (lambda f: spoil(f / IMAGES, b""), "an empty file"),
        (
            lambda f: spoil(f / IMAGES, b"<!DOCTYPE html><title>Log in</title>"),
            "a web page, not data",
        ),
        (lambda f: spoil(f / IMAGES, gzip.compress(b"<html>")), "a web page"),
        (lambda f: spoil(f / IMAGES, gzip.compress(b"\1\2\3\4")), "begins with 01 02 03 04"),
        (lambda f: spoil(f / IMAGES, (f / LABELS).read_bytes()), "holds labels where .* images"),
        (lambda f: spoil(f / LABELS, (f / IMAGES).read_bytes()), "holds images where .* labels"),
        (
            lambda f: spoil(f / IMAGES, (f / f"{FILES[2]}.gz").read_bytes()),
            "5 images but 12 labels",
        ),
        (
            lambda f: spoil(
                f / LABELS, gzip.compress(gzip.decompress((f / LABELS).read_bytes())[:-2])
            ),
            "18 bytes where its header promises 20",
        ),
        (
            lambda f: spoil(
                f / LABELS, gzip.compress(gzip.decompress((f / LABELS).read_bytes())[:-1] + b"\x0b")
            ),
            "labels must lie in 0 to 9, got . to 11",
        ),
    ],
)
def test_files_that_are_not_what_they_should_be(tmp_path, monkeypatch, spoiled, message):
    monkeypatch.setitem(data.HELD_OUT, "mini", 2)
    write_set(tmp_path, packed=True)
    spoiled(tmp_path)
    with pytest.raises(ValueError, match=message):
        data.read_folder(tmp_path, "mini")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((0, 28, 28), np.uint8), np.zeros(0, int), "at least one image"),
        (np.zeros((2, 28), np.uint8), np.zeros(2, int), r"got shape \(2, 28\)"),
        (np.zeros((2, 8, 8), np.int32), np.zeros(2, int), "uint8 or floating point, got int32"),
        (np.full((2, 8, 8), np.nan, np.float32), np.zeros(2, int), "finite, got NaN"),
        (np.zeros((2, 8, 8), np.uint8), np.zeros(3, int), r"shape \(2,\), got \(3,\)"),
        (np.zeros((2, 8, 8), np.uint8), np.array([0, 10]), "lie in 0 to 9, got 0 to 10"),
        (np.zeros((2, 8, 8), np.uint8), np.array([-1, 3]), "lie in 0 to 9, got -1 to 3"),
        (np.zeros((2, 8, 8), np.uint8), np.zeros(2), "labels must be integers, got float64"),
    ],
)
def test_arrays_that_do_not_fit(images, labels, message):
    with pytest.raises(ValueError, match=message):
        Split(images, labels)


def test_an_unknown_set():
    with pytest.raises(ValueError, match="one of mini, full, got 'cifar'"):
        load("cifar")


def test_the_order_is_a_function_of_seed_and_epoch():
    assert np.array_equal(data.order(50, 3, 2), data.order(50, 3, 2))
    assert not np.array_equal(data.order(50, 3, 2), data.order(50, 3, 3))
    assert not np.array_equal(data.order(50, 3, 2), data.order(50, 2, 2))
    assert sorted(data.order(50, 0, 0)) == list(range(50))


@pytest.fixture
def server(tmp_path):
    """A local web server over tmp_path/www; gives the folder and the address."""
    folder = tmp_path / "www"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}/"
        httpd.shutdown()


def digests(folder):
    return {f: hashlib.sha256((folder / f"{f}.gz").read_bytes()).hexdigest() for f in FILES}


def test_downloading_falls_back_to_the_next_source(server, tmp_path):
    folder, address = server
    write_set(folder, packed=True)
    nobody = "http://127.0.0.1:9/"
    got = download_full(tmp_path / "got", (nobody, address), digests(folder), timeout=5)
    assert sorted(p.name for p in got.iterdir()) == sorted(f"{f}.gz" for f in FILES)
    (folder / IMAGES).unlink()  # what is there and right is not fetched again
    download_full(tmp_path / "got", (address,), digests(got), timeout=5)


def test_a_web_page_in_place_of_the_file_leaves_nothing_behind(server, tmp_path):
    folder, address = server
    write_set(folder, packed=True)
    right = digests(folder)
    (folder / IMAGES).write_text("<html>Please log in</html>", encoding="utf-8")
    with pytest.raises(DataError, match="train-images.*something other than the data file"):
        download_full(tmp_path / "got", (address,), right, timeout=5)
    assert not any(p.is_file() for p in (tmp_path / "got").rglob("*"))


def test_no_network(tmp_path):
    with pytest.raises(DataError, match="could not be downloaded. No network"):
        download_full(tmp_path / "got", ("http://127.0.0.1:9/",), timeout=2)
    assert not any(p.is_file() for p in tmp_path.rglob("*"))
