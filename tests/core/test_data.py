"""Fashion-MNIST: the mini set, the full one where it is, every way a file can be wrong."""

import functools
import gzip
import hashlib
import http.server
import importlib.util
import shutil
import threading

import numpy as np
import pytest
import torch

from nin_lib import cli, data, data_files, download
from nin_lib.data import FILES, DataError, Split, load
from nin_lib.download import download_full
from tools.make_mini_set import idx_bytes, mini_arrays

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
def test_the_script_still_makes_the_mini_set():
    arrays = mini_arrays(load("full"))
    for file, array in zip(FILES, arrays, strict=True):
        assert np.array_equal(array, data_files.read_idx(data.MINI_FOLDER / f"{file}.gz"))


@full_set
def test_the_full_set():
    full = load("full")
    assert [len(part) for part in (full.train, full.val, full.test)] == [55_000, 5_000, 10_000]


def write_set(folder, packed, train=12, test=5):
    """Four small files of the right form."""
    rng = np.random.default_rng(0)
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
    monkeypatch.setattr(data_files, "DEBIAN_FOLDER", tmp_path / "nowhere")
    monkeypatch.setattr(data_files, "download_folders", lambda: [tmp_path / "nowhere"])
    with pytest.raises(DataError, match="nin data --download"):
        load("full")


@pytest.fixture
def small_full_set(tmp_path, monkeypatch):
    """A folder with four small files that pass for the full set, which is nowhere else."""
    published = tmp_path / "published"
    write_set(published, packed=True)
    for file in FILES:
        content = gzip.decompress((published / f"{file}.gz").read_bytes())
        monkeypatch.setitem(data_files.SHA256, file, hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(data.HELD_OUT, "full", 2)
    monkeypatch.setattr(data_files, "DEBIAN_FOLDER", tmp_path / "nowhere")
    monkeypatch.setattr(data_files, "download_folders", lambda: [])
    monkeypatch.delenv("NIN_DATA", raising=False)
    return published


@pytest.mark.parametrize("spoiled", [b"half", b""])
@pytest.mark.parametrize("packed", [True, False])
def test_a_damaged_file_does_not_hide_a_good_one(small_full_set, spoiled, packed):
    unpacked = small_full_set / FILES[0]
    unpacked.write_bytes(gzip.decompress((small_full_set / IMAGES).read_bytes()))
    (small_full_set / IMAGES if packed else unpacked).write_bytes(spoiled)
    assert len(load("full", small_full_set).train) == 10
    for path in (unpacked, small_full_set / IMAGES):
        path.write_bytes(spoiled)
    with pytest.raises(DataError, match=f"{FILES[0]}: .*delete it"):
        load("full", small_full_set)


def test_a_damaged_folder_does_not_hide_a_good_one(small_full_set, tmp_path, monkeypatch):
    shutil.copytree(small_full_set, tmp_path / "bad")
    (tmp_path / "bad" / IMAGES).write_bytes(b"half")
    monkeypatch.setattr(data_files, "download_folders", lambda: [tmp_path / "bad"])
    monkeypatch.setattr(data_files, "DEBIAN_FOLDER", small_full_set)
    assert len(load("full").train) == 10


def test_a_tilde_is_the_home_folder(small_full_set, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(small_full_set.parent))
    assert data.find_full("~/published") == small_full_set
    monkeypatch.setenv("NIN_DATA", "~/published")
    assert data.find_full() == small_full_set


def test_folders_that_are_refused_by_name():
    with pytest.raises(ValueError, match="folder must be a path, got 5"):
        load("full", 5)
    with pytest.raises(ValueError, match="folder must be a path whose ~ has a home folder"):
        load("full", "~nobody-of-this-name/x")
    with pytest.raises(ValueError, match="folder must be None for the mini set.*got 'there'"):
        load("mini", "there")


def test_a_user_without_a_home_folder(tmp_path, monkeypatch):
    def no_home(*_, **__):
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("NIN_DATA", raising=False)
    monkeypatch.setattr(data_files.platformdirs, "user_cache_dir", no_home)
    spec = importlib.util.find_spec("nin_lib.data")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))  # a second import works too
    monkeypatch.setattr(data_files, "DEBIAN_FOLDER", tmp_path)
    with pytest.raises(DataError, match="is not on this machine; run `nin data --download`"):
        load("full")
    with pytest.raises(DataError, match="no home folder for the download; give `folder` or set"):
        load("full", download=True)


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
            lambda f: spoil(f / IMAGES, b"\0\0\x0d\3" + bytes(12)),
            r"holds 32-bit floats \(type code 0x0d\), not unsigned bytes",
        ),
        (lambda f: spoil(f / IMAGES, b"\0\0\x08\4" + bytes(16)), "holds an array of 4 axes where"),
        (lambda f: spoil(f / IMAGES, bytes(100)), "not an IDX file .it begins with 00 00 00 00"),
        (lambda f: spoil(f / IMAGES, b"\0\0\x08\3" + bytes(11)), "cut off within its header"),
        (
            lambda f: spoil(f / IMAGES, b"\0\0\x08\3" + b"\x80\0\0\0" * 2 + b"\0\0\0\4"),
            "16 bytes where its header promises 18,446,744,073,709,551,632",
        ),
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
        (np.zeros((2, 0, 8), np.uint8), [0, 1], r"at least one pixel each, got shape \(2, 0, 8\)"),
        (np.full((2, 8, 8), 1e300), [0, 1], "finite, got NaN or infinity in single precision"),
        (np.full((2, 8, 8), np.longdouble("1e4000")), [0, 1], "finite, got NaN or infinity"),
        (torch.zeros(2, 8, 8).bfloat16(), [0, 1], "images must be an array .*Tensor .*BFloat16"),
        ([[[1.0]], [[2.0, 3.0]]], [0, 1], "images must be an array of numbers, got list"),
        ([[[1]], [[2]]], [0, 1], "images must be uint8 or floating point, got int64"),
        (None, [0, 1], "images must be .* got shape ()"),
        (np.zeros((2, 8, 8), np.uint8), np.uint64([0, 2**64 - 1]), "in 0 to 9, got 0 to 184"),
        (np.zeros((2, 8, 8), np.uint8), [True, False], "labels must be integers, got bool"),
    ],
)
def test_arrays_that_do_not_fit(images, labels, message):
    with pytest.raises(ValueError, match=message):
        Split(images, labels)


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_is_read_by_its_content_and_not_by_its_ending(tmp_path, packed, monkeypatch):
    monkeypatch.setitem(data.HELD_OUT, "mini", 2)
    write_set(tmp_path, packed)
    right = data.read_folder(tmp_path, "mini")
    for file in FILES:
        before, after = (f"{file}.gz", file) if packed else (file, f"{file}.gz")
        (tmp_path / before).rename(tmp_path / after)
    assert np.array_equal(data.read_folder(tmp_path, "mini").train.images, right.train.images)


def test_a_file_cut_off_anywhere_is_named(tmp_path):
    content = b"\0\0\x08\1\0\0\0\3\1\2\3"
    for whole in (gzip.compress(content, mtime=0), content):
        for length in range(len(whole)):
            (tmp_path / LABELS).write_bytes(whole[:length])
            with pytest.raises(DataError, match=f"{LABELS}: "):
                data_files.read_idx(tmp_path / LABELS)


PIXELS = np.random.default_rng(0).integers(0, 256, (3, 4, 5)).astype(np.uint8)


@pytest.mark.parametrize(
    "images",
    [
        np.ascontiguousarray(PIXELS[:, ::-1])[:, ::-1],
        PIXELS[:1][::-1],
        np.asfortranarray(PIXELS),
        PIXELS.astype(">f4"),
        PIXELS.astype(np.float16),
        PIXELS.astype(np.longdouble),
        (PIXELS * 1.0).tolist(),
        torch.tensor(PIXELS),
        torch.tensor(PIXELS * 1.0, requires_grad=True),
    ],
)
def test_images_of_any_kind_become_plain_arrays(images):
    labels = torch.arange(len(images), dtype=torch.int16)
    split = Split(images, labels)
    assert np.array_equal(split.images, PIXELS[: len(images)])
    assert split.images.flags.c_contiguous and split.images.dtype.isnative
    assert np.array_equal(torch.tensor(split.images), PIXELS[: len(images)])  # PyTorch takes it
    assert split.labels.tolist() == labels.tolist() and split.labels.dtype == np.int64


def test_plain_arrays_are_not_copied():
    labels = np.arange(3)
    split = Split(PIXELS, labels)
    assert np.shares_memory(split.images, PIXELS) and np.shares_memory(split.labels, labels)


@pytest.mark.parametrize("n", [0, -1, 2.0, None])
def test_the_first_images_are_counted_from_one(n):
    split = Split(PIXELS, [0, 1, 2])
    assert len(split.first(np.int8(2))) == 2 and len(split.first(99)) == 3
    with pytest.raises(ValueError, match=f"n must be an integer of at least 1, got {n}"):
        split.first(n)


def test_an_unknown_set():
    with pytest.raises(ValueError, match="one of mini, full, got 'cifar'"):
        load("cifar")
    with pytest.raises(ValueError, match=r"one of mini, full, got \[\]"):
        load([])


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


@pytest.fixture
def source(server, small_full_set, monkeypatch):
    """The only source of the small set; gives the folder that it serves."""
    folder, address = server
    shutil.copytree(small_full_set, folder, dirs_exist_ok=True)
    monkeypatch.setattr(download, "SOURCES", (address,))
    monkeypatch.setattr(download, "SHA256", digests(folder))
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("there", [False, True])
def test_a_download_fills_the_folder_that_is_named(source, tmp_path, monkeypatch, there):
    by_argument, by_variable = tmp_path / "argument", tmp_path / "variable"
    for folder in (by_argument, by_variable) if there else ():
        folder.mkdir()
    with pytest.raises(DataError, match="nin data --download --folder .*argument` fetches it"):
        load("full", by_argument)
    assert len(load("full", by_argument, download=True).train) == 10
    monkeypatch.setenv("NIN_DATA", str(by_variable))
    assert len(load("full", download=True).train) == 10
    assert names(by_argument) == names(by_variable) == names(source)
    assert download_full() == by_variable


def test_the_command_fills_the_folder_that_is_named(source, tmp_path, monkeypatch, capsys):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    assert cli.main(["data", "--download", "--folder", "~/argument"]) == 0
    monkeypatch.setenv("NIN_DATA", str(tmp_path / "variable"))
    assert cli.main(["data", "--download"]) == 0
    assert names(tmp_path / "argument") == names(tmp_path / "variable") == names(source)
    assert "full: 10 training, 2 held-out, 5 test" in capsys.readouterr().out
    options = ["--size", "full", "--download", "--folder", str(tmp_path / "train")]
    assert cli.main(["train", *options, "--epochs", "0"]) == 2  # the images are loaded by then
    assert "nin: epochs must be" in capsys.readouterr().err
    assert names(tmp_path / "train") == names(source)


def test_a_download_replaces_what_is_damaged(source, tmp_path):
    folder = tmp_path / "got"
    load("full", folder, download=True)
    (folder / IMAGES).write_bytes(b"half")
    (folder / FILES[1]).write_bytes(b"half")  # unpacked; the good packed one is read instead
    with pytest.raises(DataError, match=f"{IMAGES}: not an IDX file"):
        load("full", folder)
    assert len(load("full", folder, download=True).train) == 10


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
