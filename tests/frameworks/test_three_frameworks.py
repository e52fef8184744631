"""One spec and one set of weights: the same logits, gradients and steps in all three frameworks."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from fixed_specs import FIXED, random_images, random_weights

from nin_lib import torch as nin_torch
from nin_lib.flow import ShapeError, shape_flow
from nin_lib.networks import PUBLISHED, network
from nin_lib.spec import Block, Dropout, Network, Pool
from nin_lib.weights import (
    from_channels_last,
    from_flax,
    shapes,
    to_flax,
    to_keras,
    to_torch,
)

nin_jax = pytest.importorskip("nin_lib.jax")
nin_keras = pytest.importorskip("nin_lib.tensorflow")  # never TensorFlow itself first

import jax  # noqa: E402
import keras  # noqa: E402
import optax  # noqa: E402
import tensorflow as tf  # noqa: E402
from flax import linen  # noqa: E402
from jax import numpy as jnp  # noqa: E402

PUBLISHED_SIZES = {  # small images, at which every published net still has maps of several pixels
    "chapter": (67, 83), "paper-mnist": (12, 11), "paper-cifar10": (8, 10),
    "paper-cifar100": (7, 7), "paper-svhn": (8, 8), "imagenet": (67, 67),
}  # fmt: skip
CASES = FIXED | {name: (PUBLISHED[name].network, size) for name, size in PUBLISHED_SIZES.items()}


def set_precision(dtype):
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)


@pytest.fixture(autouse=True)
def double_precision():
    jax.config.update("jax_enable_x64", True)
    set_precision("float64")
    yield
    set_precision("float32")
    jax.config.update("jax_enable_x64", False)


def closest(ours, theirs):
    """The largest difference, as a share of the largest number."""
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).max() / max(np.abs(ours).max(), 1e-300)


# ── Logits and gradients, by neutral names ───────────────────────────────────────────────────────


def in_torch(spec, weights, images, labels):
    model = nin_torch.NiN(spec).eval().to(torch.tensor(images).dtype)
    to_torch(model, weights)
    logits = model(torch.tensor(images).permute(0, 3, 1, 2))
    torch.nn.functional.cross_entropy(logits, torch.tensor(labels)).backward()
    gradients = [parameter.grad.numpy() for parameter in model.parameters()]
    return logits.detach().numpy(), dict(zip(shapes(spec), gradients, strict=True))


def in_keras(spec, weights, images, labels):
    model = nin_keras.NiN(spec, images.shape[1:3])
    to_keras(model, weights)
    with tf.GradientTape() as tape:
        logits = model(images)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    gradients = [np.asarray(g) for g in tape.gradient(loss, model.trainable_variables)]
    named = dict(zip(shapes(spec), gradients, strict=True))
    return np.asarray(logits), from_channels_last(named, spec)


def in_jax(spec, weights, images, labels):
    def loss(params, images):
        logits = nin_jax.NiN(spec).apply({"params": params}, images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), logits

    params = to_flax(weights, spec)
    (_, logits), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(params, images)
    return np.asarray(logits), from_flax(gradients, spec)


@pytest.mark.parametrize("name", CASES)
def test_logits_and_gradients_are_equal(name):
    spec, size = CASES[name]
    weights, images = random_weights(spec), random_images(spec, size)
    labels = np.arange(len(images)) % spec.num_classes
    logits, gradients = in_torch(spec, weights, images, labels)
    assert np.abs(logits).max() > 0 and max(np.abs(g).max() for g in gradients.values()) > 0
    for framework in (in_keras, in_jax):
        other_logits, other_gradients = framework(spec, weights, images, labels)
        assert other_logits.dtype == np.float64
        assert closest(logits, other_logits) < 1e-10
        assert other_gradients.keys() == gradients.keys()
        for weight, gradient in gradients.items():
            assert closest(gradient, other_gradients[weight]) < 1e-10, weight


def test_the_chapters_net_on_full_images():
    spec = network("chapter")
    weights, images = random_weights(spec), random_images(spec, (224, 224), n=1)
    reference = nin_torch.NiN(spec).eval().double()
    to_torch(reference, weights)
    with torch.no_grad():
        logits = reference(torch.tensor(images).permute(0, 3, 1, 2)).numpy()
    model = nin_keras.NiN(spec)
    to_keras(model, weights)
    assert closest(logits, np.asarray(model(images))) < 1e-10
    apply = jax.jit(nin_jax.NiN(spec).apply)
    assert closest(logits, np.asarray(apply({"params": to_flax(weights, spec)}, images))) < 1e-10


def test_single_precision_is_close():
    spec = network("paper-mnist")
    set_precision("float32")
    weights = random_weights(spec, dtype=np.float32)
    images, labels = random_images(spec, (14, 14), n=4).astype(np.float32), np.arange(4)
    logits, gradients = in_torch(spec, weights, images, labels)
    for framework in (in_keras, in_jax):
        other_logits, other_gradients = framework(spec, weights, images, labels)
        assert other_logits.dtype == np.float32
        assert closest(logits, other_logits) < 1e-4
        for weight, gradient in gradients.items():
            assert closest(gradient, other_gradients[weight]) < 1e-4, weight


def test_twenty_steps_of_gradient_descent_have_equal_losses():
    stages = (Block(3, (6, 5)), Pool(ceil_mode=True), Dropout(), Block(3, (6, 4), padding=1))
    spec = Network(stages, last_relu=False)
    weights = random_weights(spec)
    images = random_images(spec, (10, 10), n=20 * 8).reshape(20, 8, 10, 10, 1)
    labels = np.random.default_rng(1).integers(0, 4, (20, 8))
    in_pytorch = losses_in_torch(spec, weights, images, labels)
    assert len(in_pytorch) == 20 and len(set(in_pytorch)) == 20
    for framework in (losses_in_keras, losses_in_jax):
        assert framework(spec, weights, images, labels) == pytest.approx(in_pytorch, rel=1e-8)


def losses_in_torch(spec, weights, images, labels):
    model = nin_torch.NiN(spec).eval().double()
    to_torch(model, weights)
    optimizer = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9)
    losses = []
    for batch, answers in zip(torch.tensor(images), torch.tensor(labels), strict=True):
        loss = torch.nn.functional.cross_entropy(model(batch.permute(0, 3, 1, 2)), answers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def losses_in_keras(spec, weights, images, labels):
    model = nin_keras.NiN(spec, images.shape[2:4])
    to_keras(model, weights)
    momentum = np.float64(0.9)  # of a plain 0.9 Keras would keep single precision only
    optimizer = keras.optimizers.SGD(0.02, momentum=momentum)
    mean_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    losses = []
    for batch, answers in zip(images, labels, strict=True):
        with tf.GradientTape() as tape:
            loss = mean_loss(answers, model(batch, training=False))
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        losses.append(float(loss))
    return losses


def losses_in_jax(spec, weights, images, labels):
    model, optimizer = nin_jax.NiN(spec), optax.sgd(0.02, momentum=0.9)

    def mean_loss(params, batch, answers):
        logits = model.apply({"params": params}, batch)
        return optax.softmax_cross_entropy_with_integer_labels(logits, answers).mean()

    @jax.jit
    def step(params, state, batch, answers):
        loss, gradients = jax.value_and_grad(mean_loss)(params, batch, answers)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, loss

    params = to_flax(weights, spec)
    state, losses = optimizer.init(params), []
    for batch, answers in zip(images, labels, strict=True):
        params, state, loss = step(params, state, batch, answers)
        losses.append(float(loss))
    return losses


# ── Shapes, row by row ───────────────────────────────────────────────────────────────────────────


def shapes_in_keras(spec, size):
    """The shape after each convolution, pooling, dropout and head layer, as C×H×W."""

    def walk(layer, numbers):
        if isinstance(layer, keras.Sequential):
            for inner in layer.layers:
                numbers = walk(inner, numbers)
            return numbers
        numbers = layer(numbers)
        if not isinstance(layer, keras.layers.ReLU | keras.layers.ZeroPadding2D):
            found.append(channels_first(numbers.shape))
        return numbers

    found = []
    model = nin_keras.NiN(spec, size)
    walk(model, np.zeros((1, *size, spec.in_channels)))
    return found


def shapes_in_jax(spec, size):
    def walk(layer, numbers):
        if isinstance(layer, linen.Sequential):
            for inner in layer.layers:
                numbers = walk(inner, numbers)
            return numbers
        numbers = layer(numbers)
        if layer is not linen.relu:
            found.append(channels_first(numbers.shape))
        return numbers

    found = []
    params, model = to_flax(random_weights(spec), spec), nin_jax.NiN(spec)
    images = jnp.zeros((1, *size, spec.in_channels))
    jax.eval_shape(lambda images: walk(model.bind({"params": params}).net, images), images)
    return found


def channels_first(shape):
    _, *sides, channels = shape
    return (channels, *sides)


@pytest.mark.parametrize("name", CASES)
def test_shapes_are_those_of_the_shape_flow(name):
    spec, size = CASES[name]
    rows = [row.shape for row in shape_flow(spec, size)]
    flattening = len(rows) - len(spec.dense)  # which the shape flow does not count as a layer
    for found in (shapes_in_keras(spec, size), shapes_in_jax(spec, size)):
        if spec.dense:
            features = found.pop(flattening)
            assert features == (
                np.prod(found[flattening - 1] if flattening else found_image(spec)),
            )
        assert found == rows


def found_image(spec):
    return (spec.in_channels, spec.input_size, spec.input_size)


# ── Each in its framework's idiom ────────────────────────────────────────────────────────────────


def test_flax_makes_the_same_tree_as_the_conversion():
    for spec, size in (FIXED["dense"], FIXED["three channels"], CASES["paper-mnist"]):
        images = jnp.zeros((1, *size, spec.in_channels))
        own = jax.eval_shape(nin_jax.NiN(spec).init, jax.random.key(0), images)["params"]
        converted = to_flax(random_weights(spec), spec)
        assert jax.tree.map(np.shape, own) == jax.tree.map(np.shape, converted)


def test_dropout_works_in_training_only():
    spec = Network((Block(1, (8,)), Dropout(0.5), Block(1, (8,))), input_size=6)
    weights, images = random_weights(spec), random_images(spec, (6, 6))
    model = nin_keras.NiN(spec)
    to_keras(model, weights)
    plain = np.asarray(model(images))
    assert closest(plain, np.asarray(model(images, training=True))) > 0.01
    variables = {"params": to_flax(weights, spec)}
    assert closest(plain, np.asarray(nin_jax.NiN(spec).apply(variables, images))) < 1e-10
    rngs = {"dropout": jax.random.key(0)}
    dropped = nin_jax.NiN(spec, training=True).apply(variables, images, rngs=rngs)
    assert closest(plain, np.asarray(dropped)) > 0.01


def apply_in_keras(spec, images):
    return nin_keras.NiN(spec)(images)


def apply_in_jax(spec, images):
    return nin_jax.NiN(spec).init_with_output(jax.random.key(0), images)[0]


@pytest.mark.parametrize("apply", [apply_in_keras, apply_in_jax])
def test_wrong_images_are_refused_with_words(apply):
    spec = network("paper-mnist")
    with pytest.raises(ValueError, match=r"must have shape \(N, H, W, 1\), got \(2, 28, 28, 3\)"):
        apply(spec, np.zeros((2, 28, 28, 3)))
    with pytest.raises(ValueError, match=r"got \(2, 28, 28\)"):
        apply(spec, np.zeros((2, 28, 28)))
    with pytest.raises(ShapeError, match="smallest input that works is 67×67"):
        apply(network("chapter"), np.zeros((1, 66, 66, 1)))
    with pytest.raises(ValueError, match="images must be 28×28 pixels, got 29×28"):
        apply(network("lenet"), np.zeros((1, 29, 28, 1)))


@pytest.mark.parametrize("framework", [nin_torch, nin_keras, nin_jax])
def test_a_name_is_no_spec(framework):
    message = r"spec must be what network\('chapter'\) gives, got the name 'chapter'"
    with pytest.raises(ValueError, match=message):
        framework.NiN("chapter")


def test_keras_says_too_small_before_anything_is_built():
    with pytest.raises(ShapeError, match="smallest input that works is 67×67"):
        nin_keras.NiN(network("chapter"), 66)
    with pytest.raises(ValueError, match="size must be an integer of at least 1, got 0"):
        nin_keras.NiN(network("chapter"), 0)


def test_a_keras_model_takes_images_of_another_size():
    spec, size = FIXED["pool rounds up"]
    weights, images = random_weights(spec), random_images(spec, size)
    there, elsewhere = nin_keras.NiN(spec, size), nin_keras.NiN(spec, (20, 20))
    for model in (there, elsewhere):
        to_keras(model, weights)
    assert np.array_equal(there(images), elsewhere(images))


def test_a_keras_model_is_saved_whole(tmp_path):
    spec, size = FIXED["pool pads and rounds up"]
    model, images = nin_keras.NiN(spec, size), random_images(spec, size)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.spec == spec and np.array_equal(model(images), again(images))


TRAINS = """
from nin_lib.data import Dataset, load
from nin_lib.recipe import recipe
from nin_lib.spec import Block, Network
from nin_lib import torch, train
part = load("mini").val.first(8)
model = torch.NiN(Network((Block(3, (10,)),)))
print(train.fit(model, Dataset("few", part, part, part), recipe("default"), epochs=1, observers=[]))
"""


@pytest.mark.parametrize("first", ["", "import torch"])
def test_pytorch_trains_where_tensorflow_is_loaded(first):
    """It imports Triton, and Triton imported after TensorFlow ends the process."""
    program = f"{first}\nfrom nin_lib import tensorflow\n{TRAINS}"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "train_loss" in run.stdout


FOREIGN = {  # what a module of ours must not import
    "torch": {"tensorflow", "keras", "jax", "flax", "optax"},
    "tensorflow": {"torch", "flax", "optax", "jax"},
    "jax": {"torch", "tensorflow", "keras"},
    "weights": {"torch", "tensorflow", "keras", "jax", "flax", "optax"},
}


@pytest.mark.parametrize("module", FOREIGN)
def test_importing_one_framework_imports_no_other(module):
    """TensorFlow itself may import JAX where it finds it; that is not our doing."""
    theirs = "import keras, sys; " if module == "tensorflow" else "import sys; "
    program = f"{theirs}before = set(sys.modules); import nin_lib.{module}; "
    program += f"print({FOREIGN[module]!r} & (set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "set()"


def test_keras_on_another_framework_is_refused():
    program = "import os; os.environ['KERAS_BACKEND'] = 'jax'; import nin_lib.tensorflow"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode != 0
    assert "needs Keras on TensorFlow, but Keras runs on jax; set the environment" in run.stderr
