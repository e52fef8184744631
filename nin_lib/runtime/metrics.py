"""Loss and accuracy, summed on the device so that no step waits for a number."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .workers import ALONE, Workers


class MetricSums:
    """Sums over images: `loss` in nats, `correct` answers, and the number of `images`."""

    def __init__(self, device: str) -> None:
        self.loss = torch.zeros((), device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        self.images = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, loss_sum: Tensor, correct: Tensor, images: int) -> None:
        """Add a batch's summed loss and its number of correct answers."""
        self.loss += loss_sum
        self.correct += correct
        self.images += images

    def add_logits(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch of (N, classes) logits with their N labels."""
        loss_sum = F.cross_entropy(logits, labels, reduction="sum")
        self.add(loss_sum, (logits.argmax(1) == labels).sum(), len(labels))

    def means(self, workers: Workers = ALONE) -> tuple[float, float]:
        """Return the mean loss and the accuracy over the images of all workers."""
        loss, correct, images = self.loss.clone(), self.correct.clone(), self.images.clone()
        workers.sum(loss, correct, images)
        return float(loss) / int(images), int(correct) / int(images)
