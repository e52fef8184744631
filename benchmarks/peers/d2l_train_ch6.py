"""d2l's `train_ch6` with d2l's own loader: what everything is compared with."""

from __future__ import annotations

from typing import Any

import torch
from d2l import torch as d2l
from serving import INPUT_SIZE, LEARNING_RATE, Clock, Repeat, Settings, Ticking, drain, serve
from torch_net import d2l_nin, go_where_d2l_finds_images, loss_of, weights_of


class TrainCh6:
    about = "d2l.train_ch6 and d2l.load_data_fashion_mnist (4 workers); SGD, lr 0.1"
    packages = ("d2l", "torch", "torchvision")

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        go_where_d2l_finds_images(settings)
        self.train, _ = d2l.load_data_fashion_mnist(settings.batch_size, resize=INPUT_SIZE)
        self.ready = next(iter(self.train))
        images, labels = self.ready
        self.test = [(images[:1], labels[:1])]  # it insists on looking at test images
        self.net = d2l_nin()

    def weights(self) -> Any:
        return weights_of(self.net)

    def loss(self) -> float:
        return loss_of(self.net, self.ready)

    def end_to_end(self, clock: Clock) -> None:
        batches = Ticking(self.train, clock, len(self.train))
        d2l.train_ch6(self.net, batches, self.test, 1, LEARNING_RATE, torch.device("cpu"))
        d2l.plt.close("all")

    def step(self, clock: Clock) -> None:
        batches = Ticking(Repeat(self.ready, clock.total), clock, len(self.train))
        d2l.train_ch6(self.net, batches, self.test, 1, LEARNING_RATE, torch.device("cpu"))
        d2l.plt.close("all")

    def loader(self, clock: Clock) -> None:
        drain(self.train, clock)


if __name__ == "__main__":
    serve(TrainCh6)
