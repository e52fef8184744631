"""d2l 1.0.3 as `nin_lib.d2l` mends it. What runs d2l runs in a process for each framework."""

import json
import math
import os
import random
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from common import ROOT

import nin_lib.d2l
from nin_lib.data import Dataset, Split, load, order

PROGRAMS = Path(__file__).parent / "d2l_programs"
NEEDS = {
    "torch": ("torch", "torchvision"),
    "tensorflow": ("tensorflow", "tf_keras"),
    "jax": ("jax", "flax", "optax", "tensorflow", "tensorflow_datasets"),
}
FRAMEWORKS = list(NEEDS)
LN_10 = math.log(10)  # the loss of guessing


def need(framework):
    for package in ("d2l", *NEEDS[framework]):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


def output(*command, **variables):
    """What a program prints; it has to end well, and within four minutes."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    run = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, encoding="utf-8", timeout=240,
        env={
            **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "MPLBACKEND": "Agg", "PYTHONUTF8": "1", **variables,
        },
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout


# ---- without d2l


def test_importing_imports_no_framework():
    names = {"d2l", "torch", "torchvision", "tensorflow", "keras", "tf_keras", "jax", "flax"}
    code = f"import sys, nin_lib.d2l; print({names} & {{*sys.modules}}, nin_lib.d2l.patched())"
    assert output("-c", code).strip() == "set() []"


def test_other_frameworks_are_refused():
    with pytest.raises(ValueError, match="one of torch, tensorflow, jax, got 'mxnet'"):
        nin_lib.d2l.enable("mxnet")
    with pytest.raises(ValueError, match=r"one of torch, tensorflow, jax, got \['jax'\]"):
        nin_lib.d2l.enable(["jax"])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_missing_package_is_named_with_the_commands_that_install_it(framework, monkeypatch):
    monkeypatch.setitem(sys.modules, "d2l", None)
    monkeypatch.setattr(nin_lib.d2l, "_enabled", {})
    with pytest.raises(ImportError) as raised:
        nin_lib.d2l.enable(framework)
    said = str(raised.value)
    assert f"d2l for {framework} needs the package d2l" in said and "\n" not in said
    assert "`pip install --no-deps d2l==1.0.3`" in said
    extras = re.search(r'`pip install -c constraints.txt -e "\.\[(.+)\]"`', said)[1]
    assert {framework} & set(NEEDS) - {"torch"} <= set(extras.split(","))


def test_another_version_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "d2l", SimpleNamespace(__version__="0.17.6"))
    monkeypatch.setattr(nin_lib.d2l, "_enabled", {})
    with pytest.raises(ImportError, match="d2l 0.17.6 is installed: .* d2l==1.0.3"):
        nin_lib.d2l.enable("torch")


def test_a_missing_older_keras_leaves_keras_3_in_peace(monkeypatch):
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)
    monkeypatch.setitem(sys.modules, "d2l", SimpleNamespace(__version__="1.0.3"))
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    monkeypatch.setattr(nin_lib.d2l, "_enabled", {})
    with pytest.raises(ImportError, match="needs the package tf_keras"):
        nin_lib.d2l.enable("tensorflow")
    assert "TF_USE_LEGACY_KERAS" not in os.environ
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    with pytest.raises(ImportError):
        nin_lib.d2l.enable("tensorflow")
    assert os.environ["TF_USE_LEGACY_KERAS"] == "0"


@pytest.mark.filterwarnings("error")
def test_randint_takes_whole_floats_for_a_moment():
    randint = random.randint
    with nin_lib.d2l.randint_of_floats():
        assert 0 <= random.randint(0, 1e6) <= 1_000_000
    assert random.randint is randint


def test_boards_are_put_in_place_and_listed(monkeypatch):
    monkeypatch.setattr(nin_lib.d2l, "_patched", [])
    curves = SimpleNamespace(board=object())
    torch = SimpleNamespace(__name__="d2l.torch", ProgressBoard=None, Animator=None)
    jax = SimpleNamespace(__name__="d2l.jax", ProgressBoard=None)
    nin_lib.d2l.draw_on(curves, torch)
    nin_lib.d2l.draw_on(curves, jax)
    assert torch.ProgressBoard is torch.Animator is jax.ProgressBoard is curves.board
    assert not hasattr(jax, "Animator")
    changed = [line.split(":")[0] for line in nin_lib.d2l.patched()]
    assert changed == ["d2l.torch.ProgressBoard and Animator", "d2l.jax.ProgressBoard"]


def test_a_board_is_no_class():
    with pytest.raises(
        ValueError, match=r"board must be live curves, such as .* got <class 'str'>"
    ):
        nin_lib.d2l.enable("torch", board=str)
    with pytest.raises(ValueError, match="board must be .* got 'curves'"):
        nin_lib.d2l.enable("torch", board="curves")


# ---- images, without d2l


def places(images, labels, size):
    """Instead of a framework's batch: which images they are."""
    return images[:, 0, 0].tolist(), labels.tolist()


def numbered(n):
    """A set whose images can be told apart by their first pixel, their label too."""
    labels = np.arange(n) % 10
    return Split(np.tile(np.arange(n, dtype=np.uint8)[:, None, None], (1, 28, 28)), labels)


class Images(nin_lib.d2l.OurImages):
    to_batch = staticmethod(places)
    as_d2l = staticmethod(nin_lib.d2l.as_arrays)


def few(n=50):
    return Dataset("few", numbered(n), numbered(7), numbered(3))


def seen(batches):
    return [place for images, _ in batches for place in images]


def test_samples_are_shuffled_in_the_order_of_the_epoch():
    images = Images(16, data=few(), seed=3)
    train = images.get_dataloader(True)
    for epoch in (1, 2):
        batches = list(train)
        assert [len(labels) for _, labels in batches] == [16, 16, 16, 2]
        assert seen(batches) == order(50, 3, epoch).tolist()
        assert all(
            label == place % 10 for pair in batches for place, label in zip(*pair, strict=True)
        )
    assert len(train) == 4
    assert seen(images.get_dataloader(True)) == order(50, 3, 1).tolist()


def test_a_look_at_the_first_batch_changes_nothing():
    train = Images(16, data=few()).get_dataloader(True)
    next(iter(train))
    assert seen(train) == order(50, 0, 1).tolist()


def test_held_out_images_keep_their_order_and_are_not_the_test_images():
    val = Images(4, data=few()).get_dataloader(False)
    assert len(val) == 2
    assert seen(val) == seen(val) == list(range(7))


def test_what_the_module_is_given_can_be_read():
    images = Images(8, 14, num_workers=4, data="mini", seed=5)
    assert (images.batch_size, images.resize, images.num_workers) == (8, (14, 14), 4)
    assert images.train[0].shape == load("mini").train.images.shape
    assert Images(resize=[20, 30]).resize == (20, 30)
    assert images.hparams == dict(
        batch_size=8, resize=(14, 14), num_workers=4, data="mini", seed=5
    )  # fmt: skip


def test_images_one_by_one_as_pytorch_has_them():
    torch = pytest.importorskip("torch")
    few = load("mini").train.first(3)
    one_by_one = nin_lib.d2l.OneByOne(few, (28, 28))
    images, labels = zip(*one_by_one, strict=True)
    assert len(one_by_one) == 3 and list(labels) == few.labels.tolist()
    assert torch.equal(torch.stack(images), images_of(few))
    assert nin_lib.d2l.OneByOne(few, (20, 30))[-1][0].shape == (1, 20, 30)


def images_of(split):
    return nin_lib.d2l.torch_batch(split.images, split.labels, (28, 28))[0]


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (dict(batch_size=0), "batch_size must be .* got 0"),
        (dict(resize=0), "resize must be .* got 0"),
        (dict(resize=None), "resize must be .* got None"),
        (dict(resize=(28, 0.5)), "resize must be .* got 0.5"),
        (
            dict(resize=(28, 28, 1)),
            r"resize must be an integer or \(height, width\), got \(28, 28, 1",
        ),
        (dict(seed=1.5), "seed must be an integer of at least 0, got 1.5"),
        (dict(data="maxi"), "name must be one of mini, full, got 'maxi'"),
    ],
)
def test_what_does_not_fit_is_named(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        Images(**arguments)


@pytest.mark.parametrize("size", [28, 56, 224])
@pytest.mark.parametrize("kind", ["bytes", "channels", "floats"])
def test_batches_for_pytorch_are_those_of_our_own_trainer(size, kind):
    torch = pytest.importorskip("torch")
    from nin_lib.runtime.dataset import to_input

    images = load("mini").train.images[:3]
    images = {
        "bytes": images,
        "channels": np.stack([images, 255 - images], 1),
        "floats": images.astype(np.float32) - 100,
    }[kind]
    X, y = nin_lib.d2l.torch_batch(images, np.arange(3, dtype=np.int32), (size, size))
    assert torch.equal(X, to_input(torch.tensor(images), size))
    assert y.dtype == torch.int64


# ---- with d2l: the Trainer, once for each framework


SAID = {
    "torch": [
        "d2l.torch.FashionMNIST",
        "d2l.torch.load_data_fashion_mnist",
        "d2l.torch.train_ch6 and train_ch13",
        "d2l.torch.Trainer.fit and train_ch6",
        "d2l.torch.ProgressBoard and Animator",
    ],
    "tensorflow": [
        "TF_USE_LEGACY_KERAS=1",
        "d2l.tensorflow.FashionMNIST",
        "d2l.tensorflow.load_data_fashion_mnist",
        "d2l.tensorflow.Trainer.fit and train_ch6",
        "d2l.tensorflow.ProgressBoard and Animator",
    ],
    "jax": [
        "jax.random.PRNGKeyArray",
        "d2l.jax.get_seed",
        "d2l.jax.FashionMNIST",
        "d2l.jax.Classifier.training_step",
        "d2l.jax.Trainer.fit",
        "d2l.jax.ProgressBoard",
    ],
}
BATCH = {
    "torch": ([32, 1, 28, 28], "torch.float32", "torch.int64"),
    "tensorflow": ([32, 28, 28, 1], "<dtype: 'float32'>", "<dtype: 'int32'>"),
    "jax": ([32, 28, 28, 1], "float32", "int32"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "framework",
    ["torch", *(pytest.param(name, marks=pytest.mark.release) for name in ("tensorflow", "jax"))],
)
def test_a_tiny_net_learns(framework):
    need(framework)
    *summary, last = output(PROGRAMS / "learns.py", framework).splitlines()
    assert any("(1, 10)" in line.replace("[", "(").replace("]", ")") for line in summary)
    found = json.loads(last)
    curves = found["curves"]
    assert len(curves["train_loss"]) >= 10  # at least two points an epoch, as d2l draws
    assert len(curves["val_loss"]) == len(curves["val_accuracy"]) == 5
    assert curves["train_loss"][-1] < curves["train_loss"][0] - 0.5
    assert curves["val_loss"][-1] < LN_10 - 0.5

    assert [line.split(":")[0] for line in found["said"]] == SAID[framework]
    assert found["said the second time"] == found["said"]
    assert found["same class after the second time"] and found["a DataModule"]
    shape, images, labels = BATCH[framework]
    assert found["images"] == [shape, images]
    assert found["labels"] == [True, labels]
    assert found["enlarged"] < 1e-5 and found["made smaller"] < 1e-5
    assert found["words"] and found["pictures"] == 8
    assert 0 <= found["seed"] <= 1_000_000
    assert found["step from"] == ("nin_lib.d2l" if framework == "jax" else f"d2l.{framework}")
    assert found["gradient error"] < 1e-6
    assert max(found["dropout"].values()) < 1e-5
    one_image = {"torch": [1, 28, 28]}.get(framework, [28, 28])
    assert found["train"] == [480, one_image, True] and found["hparams"] == [32, [28, 28]]

    if framework != "jax":
        older = found["older style"]
        assert older["batches"] == [15, 3] and older["orders"] and older["held out"]
        assert older["enlarged"] == [1, 8, 42, 42]
        assert older["curves"]["train_loss"][-1] < older["curves"]["train_loss"][0] - 0.5
        assert len(older["curves"]["val_accuracy"]) == 5


SHAPES = """
    {block} (1, 54, 54, 96)
    {pool} (1, 26, 26, 96)
    {block} (1, 26, 26, 256)
    {pool} (1, 12, 12, 256)
    {block} (1, 12, 12, 384)
    {pool} (1, 5, 5, 384)
    Dropout (1, 5, 5, 384)
    {block} (1, 5, 5, 10)
    {mean}
    {flat} (1, 10)
"""
NAMES = {
    "torch": dict(
        block="PixelMLPBlock", pool="MaxPool2d", mean="AdaptiveAvgPool2d (1, 1, 1, 10)",
        flat="Flatten",
    ),
    "tensorflow": dict(
        block="Sequential", pool="MaxPooling2D", mean="GlobalAveragePooling2D (1, 10)",
        flat="Flatten",
    ),
    "jax": dict(
        block="Sequential", pool="function", mean="function (1, 1, 1, 10)", flat="function"
    ),
}  # fmt: skip


def shapes(lines):
    """Lines such as "Dropout output shape: (1, 5, 5, 384)" or, channels first, "Dropout:
    torch.Size([1, 384, 5, 5])", as name and shape with the channels last."""
    for line in lines:
        name, shape = re.fullmatch(r"(\w+)(?: output shape)?:\s+\D*([\d, ]+)\D*", line).groups()
        shape = shape.split(", ")
        if "torch" in line:
            shape.append(shape.pop(1))
        yield f"{name} ({', '.join(shape)})"


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_nin_as_it_is_published_for_d2l(framework):
    """At 224×224: the shapes to the letter; six steps are too few for more than a finite loss."""
    need(framework)
    lines = output(PROGRAMS / f"{framework}_nin.py").splitlines()
    expected = SHAPES.format(**NAMES[framework]).split("\n")[1:-1]
    assert list(shapes(lines[:10])) == [line.strip() for line in expected]
    assert re.fullmatch(r"biases changed [1-9]\d* of 12", lines[-2])
    losses = [float(word) for word in lines[-1].removeprefix("training loss").split()]
    assert len(losses) >= 2
    assert all(abs(loss - LN_10) < 0.5 for loss in losses)


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["tensorflow", "jax"])
def test_pytorch_trains_where_d2l_has_loaded_tensorflow(framework):
    """It imports Triton, and Triton imported after TensorFlow ends the process."""
    need(framework)
    need("torch")
    code = f"""
import nin_lib.d2l
nin_lib.d2l.enable("{framework}")
d2l = nin_lib.d2l.enable("torch")
net = d2l.nn.Linear(1, 1)
d2l.torch.optim.SGD(net.parameters(), 0.1).step()
print("went well")
"""
    assert output("-c", code).splitlines()[-1] == "went well"


@pytest.mark.slow
@pytest.mark.parametrize(
    "use", ["import tensorflow as tf; tf.keras.layers", "from d2l import tensorflow"]
)
def test_a_use_of_keras_3_before_enable_is_an_error_that_says_what_to_do(use):
    need("tensorflow")
    code = f"""
import os
{use}
import nin_lib.d2l
try:
    nin_lib.d2l.enable("tensorflow")
except RuntimeError as error:
    print(error, nin_lib.d2l.patched(), os.environ.get("TF_USE_LEGACY_KERAS"))
"""
    said = output("-c", code, TF_USE_LEGACY_KERAS="0")
    words = r"tf.keras is Keras 3 already, .* restart .* before the first use of tf.keras .* \[\] 0"
    assert re.fullmatch(words, said.strip())


@pytest.mark.parametrize(
    "size, epochs, n, name, words",
    [
        (224, 10, 6000, "mini", "10 epochs of 6,000 images .*'mini', data=\"full\".* 33 minutes"),
        (224, 10, 55000, "full", r"10 epochs of 55,000 images \(the set 'full'\) .* about 5 hours"),
        (28, 1, 60, "few", r"1 epoch of 60 images \(the set 'few'\) at 28×28: .* minute or less"),
    ],
)
def test_a_run_is_announced_with_its_images_and_an_estimate(size, epochs, n, name, words):
    split = Split(np.broadcast_to(np.uint8(0), (n, 28, 28)), np.zeros(n, np.int64))
    batches = nin_lib.d2l.Batches(split, 128, (size, size), places, 0, name)
    line = nin_lib.d2l.outlook(batches, epochs, 30)
    assert re.match(words, line) and "\n" not in line


def test_trainers_print_the_line_before_they_start(capsys):
    said = []
    trainer = type("Trainer", (), {"fit": lambda self, *_: said.append(capsys.readouterr().out)})
    train = lambda *_: said.append(capsys.readouterr().out)  # noqa: E731
    d2l = SimpleNamespace(__name__="d2l.torch", Trainer=trainer, train_ch6=train)
    nin_lib.d2l.announce_runs(d2l)
    images, run = Images(16, data=few(), seed=3), d2l.Trainer()
    run.max_epochs = 7
    run.fit("model", images)
    d2l.train_ch6("net", images.get_dataloader(True), "test", 7, 0.1, "cpu")
    assert said[0] == said[1] and said[0].startswith("7 epochs of 50 images (the set 'few') at 28")
    run.fit("model", "images of one's own")
    d2l.train_ch6("net", [], "test", 7, 0.1, "cpu")
    assert said[2:] == ["", ""]
