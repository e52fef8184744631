"""d2l's `Trainer` with its `FashionMNIST` data module and a `Classifier`, as in its 1.0 edition."""

from __future__ import annotations

from typing import Any

import torch
from d2l import torch as d2l
from serving import INPUT_SIZE, LEARNING_RATE, Clock, Repeat, Settings, Ticking, drain, serve
from torch_net import d2l_nin, go_where_d2l_finds_images, loss_of, weights_of


class NiN(d2l.Classifier):
    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = d2l_nin()


class Batches:
    """What `Trainer.fit` asks of a data module."""

    def __init__(self, train: Ticking) -> None:
        self.train = train

    def train_dataloader(self) -> Ticking:
        return self.train

    def val_dataloader(self) -> None:
        return None


class D2lTrainer:
    about = "d2l.Trainer and d2l.FashionMNIST (4 workers); SGD, lr 0.1"
    packages = ("d2l", "torch", "torchvision")

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        go_where_d2l_finds_images(settings)
        data = d2l.FashionMNIST(settings.batch_size, resize=(INPUT_SIZE, INPUT_SIZE))
        self.train = data.train_dataloader()
        self.ready = next(iter(self.train))
        self.model = NiN(LEARNING_RATE)

    def weights(self) -> Any:
        return weights_of(self.model)

    def loss(self) -> float:
        return loss_of(self.model, self.ready)

    def fit(self, batches: Ticking) -> None:
        d2l.Trainer(max_epochs=1).fit(self.model, Batches(batches))

    def end_to_end(self, clock: Clock) -> None:
        self.fit(Ticking(self.train, clock, len(self.train)))

    def step(self, clock: Clock) -> None:
        self.fit(Ticking(Repeat(self.ready, clock.total), clock, len(self.train)))

    def loader(self, clock: Clock) -> None:
        drain(self.train, clock)


if __name__ == "__main__":
    serve(D2lTrainer)
