"""The PyTorch network: the seed program's net, oracle equalities, and what it refuses."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from nin_lib import torch as nin
from nin_lib.flow import ShapeError
from nin_lib.networks import NETWORKS, network
from nin_lib.recipe import recipe
from nin_lib.spec import Block, Network


def published_program():
    """The network as the published PyTorch programs assemble it, written out layer by layer."""

    def block(before, after, kernel_size, stride, padding):
        return nn.Sequential(
            nn.Conv2d(before, after, kernel_size, stride, padding),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, kernel_size=1),
            nn.ReLU(inplace=True),
        )

    return nn.Sequential(
        block(1, 96, 11, 4, 0), nn.MaxPool2d(3, 2),
        block(96, 256, 5, 1, 2), nn.MaxPool2d(3, 2),
        block(256, 384, 3, 1, 1), nn.MaxPool2d(3, 2), nn.Dropout(0.5),
        block(384, 10, 3, 1, 1), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(),
    )  # fmt: skip


def test_same_parameters_in_the_same_order_and_the_same_logits():
    theirs, ours = published_program().eval(), nin.NiN(network("chapter")).eval()
    assert [p.shape for p in theirs.parameters()] == [p.shape for p in ours.parameters()]
    for ours_p, theirs_p in zip(ours.parameters(), theirs.parameters(), strict=True):
        ours_p.data.copy_(theirs_p.data)
    for size in (224, 96):
        images = torch.rand(2, 1, size, size)
        with torch.no_grad():
            assert torch.allclose(ours(images), theirs(images), rtol=1e-5, atol=1e-7)


def test_gradients_are_those_of_the_published_program():
    theirs, ours = published_program().eval().double(), nin.NiN(network("chapter")).eval().double()
    for ours_p, theirs_p in zip(ours.parameters(), theirs.parameters(), strict=True):
        ours_p.data.copy_(theirs_p.data)
    images = torch.rand(1, 1, 96, 96, dtype=torch.float64)
    for model in (theirs, ours):
        model(images).logsumexp(1).sum().backward()
    for ours_p, theirs_p in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(ours_p.grad, theirs_p.grad, rtol=1e-9, atol=1e-12)


def test_a_1x1_convolution_is_a_dense_layer_at_every_pixel():
    conv, dense = nn.Conv2d(3, 4, 1).double(), nn.Linear(3, 4).double()
    dense.weight.data.copy_(conv.weight.data[:, :, 0, 0])
    dense.bias.data.copy_(conv.bias.data)
    images = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    rows = dense(images.permute(0, 2, 3, 1))  # N×H×W×C
    assert torch.allclose(conv(images), rows.permute(0, 3, 1, 2), atol=1e-12)


def test_global_average_pooling_is_a_mean():
    maps = torch.randn(2, 3, 4, 5)
    assert torch.allclose(nin.GlobalAveragePool()(maps), nn.AdaptiveAvgPool2d(1)(maps).flatten(1))


@pytest.mark.parametrize("last_relu", [True, False])
def test_the_last_relu_is_a_field(last_relu):
    net = replace(network("paper-mnist"), last_relu=last_relu)
    relus = sum(isinstance(m, nn.ReLU) for m in nin.NiN(net).modules())
    assert relus == 9 - (not last_relu)
    head = replace(network("nin-dense-10"), last_relu=last_relu)
    assert sum(isinstance(m, nn.ReLU) for m in nin.NiN(head).modules()) == 12 + last_relu


@pytest.mark.parametrize("name", ["lenet", "nin-dense-10", "paper-mnist"])
@pytest.mark.parametrize("last_relu", [True, False])
def test_a_recipe_removes_the_last_relu_of_a_spec_but_never_adds_one(name, last_relu):
    spec = replace(network(name), last_relu=last_relu)
    assert nin.build(spec, recipe("published")).spec == spec
    bare = nin.build(spec, recipe("default"))
    assert bare.spec == replace(spec, last_relu=False)
    relus = [sum(isinstance(m, nn.ReLU) for m in nin.NiN(s).modules()) for s in (spec, bare.spec)]
    assert relus[0] - relus[1] == last_relu


def test_a_slice_is_a_plain_sequence_of_the_same_layers():
    model = nin.NiN(network("paper-mnist")).eval()
    body = model[:-1]
    assert type(body) is nn.Sequential and list(body) == list(model)[:-1]
    assert list(dict(model[2:4].named_children())) == ["2", "3"]  # as in any nn.Sequential
    images = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        assert torch.equal(body(images), model.maps(images))
    assert type(model[::-1]) is type(model + body) is nn.Sequential
    assert isinstance(model[-1], nin.GlobalAveragePool)


def delete_last(model):
    del model[-1]


@pytest.mark.parametrize(
    "change, got",
    [
        (lambda model: model.append(nn.Softmax(1)), r"Softmax after shape \(5,\)"),
        (lambda model: model.extend([nn.Identity()]), r"Identity after shape \(5,\)"),
        (lambda model: model.append(nin.GlobalAveragePool()), r"Pool after shape \(5,\)"),
        (lambda model: model.insert(1, nn.Conv2d(5, 7, 1)), r"Pool after shape \(7, 6, 6\)"),
        (lambda model: model.insert(1, nn.MaxPool2d(2)), r"Pool after shape \(5, 3, 3\)"),
        (delete_last, r"Sequential after shape \(1, 8, 8\)"),
        (lambda model: model.pop(0), r"Pool after shape \(1, 8, 8\)"),
        (lambda model: setattr(model, "1", nn.Flatten()), r"Flatten after shape \(5, 6, 6\)"),
    ],
)
def test_maps_are_refused_once_the_layers_were_changed(change, got):
    model = nin.NiN(Network((Block(3, (4, 5)),), input_size=8))
    images = torch.zeros(2, 1, 8, 8)
    model.insert(1, nn.Dropout())  # harmless: the maps are still averaged as they are
    assert model.maps(images).shape == (2, 5, 6, 6)
    del model[1]
    change(model)
    rule = r"last layer must be GlobalAveragePool, after maps of shape \(5, 6, 6\)"
    with pytest.raises(ValueError, match=f"{rule}.* got .*{got}$"):
        model.maps(images)


def test_wrong_images_are_refused_with_words():
    model = nin.NiN(network("chapter"))
    with pytest.raises(ValueError, match=r"must have shape \(N, 1, H, W\), got \(2, 3, 224, 224\)"):
        model(torch.zeros(2, 3, 224, 224))
    with pytest.raises(ValueError, match=r"got \(1, 224, 224\)"):
        model(torch.zeros(1, 224, 224))
    with pytest.raises(ShapeError, match="smallest input that works is 67×67"):
        model(torch.zeros(1, 1, 66, 300))
    assert model(torch.zeros(1, 1, 67, 67)).shape == (1, 10)


def test_a_seed_gives_the_same_weights_and_leaves_the_random_state_alone():
    state = torch.get_rng_state()
    first, again, other = (
        nin.build(network("paper-mnist"), recipe("default"), s) for s in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert any(
        not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True)
    )


def test_initialisations():
    net = network("paper-mnist")
    published = nin.build(net, recipe("published"))
    weight = published[3][0].weight  # 5×5, 48 → 128 channels
    bound = (6 / ((48 + 128) * 25)) ** 0.5
    assert weight.abs().max() <= bound and weight.abs().max() > 0.98 * bound
    assert any(layer.bias.abs().max() > 0 for layer in convolutions(published))
    default = nin.build(net, recipe("default"))
    assert all(layer.bias.abs().max() == 0 for layer in convolutions(default))
    deviation = default[3][0].weight.std().item()
    assert deviation == pytest.approx((2 / (48 * 25)) ** 0.5, rel=0.02)
    assert default.spec.last_relu is False and published.spec.last_relu is True


def convolutions(model):
    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]


def test_blocks_of_one_width_and_other_inner_kernels():
    assert len(nin.nin_block(3, (8,), 5)) == 2
    net = Network((Block(3, (4, 4), inner_kernel_size=3),), input_size=8)
    assert nin.NiN(net)[0][2].kernel_size == (3, 3)
    assert nin.NiN(net)(torch.zeros(1, 1, 8, 8)).shape == (1, 4)
    assert all(callable(nin.NiN(e.network)) for n, e in NETWORKS.items() if not e.network.dense)
