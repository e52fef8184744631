"""The chapter's own `fit`, with the plan it chooses by itself."""

from __future__ import annotations

import signal
from typing import Any
from unittest import mock

import torch
from serving import INPUT_SIZE, Clock, Settings, drain, serve

from nin_lib import network, train
from nin_lib import torch as nin
from nin_lib.data import load, order
from nin_lib.history import Event, Step
from nin_lib.recipe import recipe
from nin_lib.runtime.dataset import DeviceDataset
from nin_lib.runtime.plan import choose_plan
from nin_lib.train import fit


class Ready(DeviceDataset):
    """A feed that makes its first batch once and then gives it again and again."""

    batch: tuple[torch.Tensor, torch.Tensor] | None = None

    def __getitem__(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.batch is None:
            self.batch = super().__getitem__(index)
        return self.batch


class Ours:
    packages = ("nin-lib", "torch")

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        self.batch_size = settings.batch_size
        self.data, self.recipe = load(settings.data), recipe("published")
        self.model = nin.build(network("chapter"), self.recipe)
        self.about = f"nin_lib.train.fit, plan by rule: {choose_plan()}; SGD, lr 0.1"

    def weights(self) -> Any:
        return [parameter.detach().numpy() for parameter in self.model.parameters()]

    def loss(self) -> float:
        return train.evaluate(self.model, self.data.val.first(8), INPUT_SIZE)[0]

    def fit(self, clock: Clock) -> None:
        def tick(event: Event) -> None:
            if isinstance(event, Step):
                clock.tick()
                if clock.done:
                    signal.raise_signal(signal.SIGINT)  # as a reader stops a run

        fit(
            self.model, self.data, self.recipe,
            epochs=1, batch_size=self.batch_size, input_size=INPUT_SIZE, observers=[tick],
        )  # fmt: skip

    def end_to_end(self, clock: Clock) -> None:
        self.fit(clock)

    def step(self, clock: Clock) -> None:
        with mock.patch.object(train, "DeviceDataset", Ready):
            self.fit(clock)

    def loader(self, clock: Clock) -> None:
        feed = DeviceDataset(self.data.train, INPUT_SIZE, choose_plan())
        index = torch.tensor(order(len(feed), seed=0, epoch=1))
        drain((feed[part] for part in index.split(self.batch_size)), clock)


if __name__ == "__main__":
    serve(Ours)
