"""Lightning's `Trainer.fit`. Fast: channels-last memory and precision="bf16-mixed"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import lightning
import torch
from serving import LEARNING_RATE, Clock, Repeat, Settings, drain, serve
from torch import Tensor
from torch.nn import functional as F
from torch_net import d2l_nin, loss_of, torchvision_loader, weights_of


class NiN(lightning.LightningModule):
    def __init__(self, layout: torch.memory_format) -> None:
        super().__init__()
        self.layout = layout
        self.net = d2l_nin().to(memory_format=layout)

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        images, labels = batch
        return F.cross_entropy(self.net(images.to(memory_format=self.layout)), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=LEARNING_RATE)


class TickAfterStep(lightning.Callback):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_batch_end(self, *_: Any) -> None:
        self.clock.tick()


class LightningFit:
    about = "Lightning's Trainer.fit, torchvision and DataLoader; SGD, lr 0.1"
    packages = ("lightning", "torch", "torchvision")

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        self.precision = "bf16-mixed" if settings.variant else "32-true"
        layout = torch.channels_last if settings.variant else torch.contiguous_format
        self.train = torchvision_loader(settings)
        images, labels = next(iter(self.train))
        self.ready = images.to(memory_format=layout), labels
        self.model = NiN(layout)

    def weights(self) -> Any:
        return weights_of(self.model)

    def loss(self) -> float:
        return loss_of(self.model.net, self.ready)

    def fit(self, batches: Iterable, clock: Clock) -> None:
        trainer = lightning.Trainer(
            accelerator="cpu",
            precision=self.precision,
            max_steps=clock.total,
            callbacks=[TickAfterStep(clock)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(self.model, batches)

    def end_to_end(self, clock: Clock) -> None:
        self.fit(self.train, clock)

    def step(self, clock: Clock) -> None:
        self.fit(Repeat(self.ready, clock.total), clock)

    def loader(self, clock: Clock) -> None:
        drain(self.train, clock)


if __name__ == "__main__":
    serve(LightningFit)
