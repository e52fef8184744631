"""The chapter's network as d2l writes it in PyTorch, and its images through torchvision.

For the peers that are built on PyTorch; ours builds its network from the chapter's description.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
import torchvision
from serving import INPUT_SIZE, Settings
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import transforms


def nin_block(inputs: int, outputs: int, kernel_size: int, stride: int, padding: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size, stride, padding),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, kernel_size=1),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, kernel_size=1),
        nn.ReLU(),
    )


def d2l_nin() -> nn.Sequential:
    net = nn.Sequential(
        nin_block(1, 96, kernel_size=11, stride=4, padding=0),
        nn.MaxPool2d(3, stride=2),
        nin_block(96, 256, kernel_size=5, stride=1, padding=2),
        nn.MaxPool2d(3, stride=2),
        nin_block(256, 384, kernel_size=3, stride=1, padding=1),
        nn.MaxPool2d(3, stride=2),
        nn.Dropout(0.5),
        nin_block(384, 10, kernel_size=3, stride=1, padding=1),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
    )
    return net.apply(xavier)


def xavier(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.init.xavier_uniform_(layer.weight)


def go_where_d2l_finds_images(settings: Settings) -> None:
    """d2l looks for its images in ../data and cannot be told another place."""
    here = Path(settings.folder) / "d2l"
    here.mkdir(exist_ok=True)
    os.chdir(here)


def torchvision_loader(settings: Settings) -> torch.utils.data.DataLoader:
    """The usual loader: each image resized and made a tensor by one of as many worker processes
    as there are threads."""
    transform = transforms.Compose([transforms.Resize(INPUT_SIZE), transforms.ToTensor()])
    images = torchvision.datasets.FashionMNIST(
        str(Path(settings.folder) / "data"), train=True, transform=transform
    )
    return torch.utils.data.DataLoader(
        images, settings.batch_size, shuffle=True, num_workers=settings.threads
    )


def weights_of(net: nn.Module) -> list[np.ndarray]:
    return [parameter.detach().numpy() for parameter in net.parameters()]


def loss_of(net: nn.Module, batch: tuple[Tensor, Tensor]) -> float:
    images, labels = batch
    with torch.no_grad():
        return float(F.cross_entropy(net(images[:8]).float(), labels[:8]))
