"""A plain PyTorch loop with a DataLoader.

Variant "channels_last": that memory layout. Variant "fast": the same, and bfloat16 autocast.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from serving import LEARNING_RATE, Clock, Repeat, Settings, Ticking, drain, serve
from torch.nn import functional as F
from torch_net import d2l_nin, loss_of, torchvision_loader, weights_of


class PyTorchLoop:
    about = "plain PyTorch loop, torchvision and DataLoader; SGD, lr 0.1"
    packages = ("torch", "torchvision")

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        self.fast = settings.variant == "fast"
        self.layout = torch.channels_last if settings.variant else torch.contiguous_format
        self.train = torchvision_loader(settings)
        self.net = d2l_nin().to(memory_format=self.layout)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=LEARNING_RATE)
        images, labels = next(iter(self.train))
        self.ready = images.to(memory_format=self.layout), labels

    def weights(self) -> Any:
        return weights_of(self.net)

    def loss(self) -> float:
        return loss_of(self.net, self.ready)

    def run(self, batches: Iterable) -> None:
        self.net.train()
        for images, labels in batches:
            images = images.to(memory_format=self.layout)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.fast):
                loss = F.cross_entropy(self.net(images), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def end_to_end(self, clock: Clock) -> None:
        self.run(Ticking(self.train, clock))

    def step(self, clock: Clock) -> None:
        self.run(Ticking(Repeat(self.ready, clock.total), clock))

    def loader(self, clock: Clock) -> None:
        drain(self.train, clock)


if __name__ == "__main__":
    serve(PyTorchLoop)
