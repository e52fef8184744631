"""Images and labels on the device that trains; a batch becomes a network's input."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..data import Split
from ..validation import require_input_size
from .plan import ExecutionPlan


def to_input(images: Tensor, input_size: int | None = None) -> Tensor:
    """Turn a batch of images into what a network takes.

    Args:
        images: (N, H, W) or (N, C, H, W); bytes become floats from 0 to 1, floats stay as they are.
        input_size: Side in pixels to which the images are enlarged bilinearly; None leaves them.

    Returns:
        (N, C, H, W), float32, on the device of `images`.
    """
    input_size = require_input_size(input_size)
    if images.ndim == 3:
        images = images[:, None]
    images = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    if input_size is None or images.shape[2:] == (input_size, input_size):
        return images
    size = (input_size, input_size)
    return F.interpolate(images, size, mode="bilinear", align_corners=False)


class DeviceDataset:
    """A split whose images stay bytes on the device; a batch becomes floats when it is used.

    ``dataset[index]`` returns (N, C, H, W) images from 0 to 1 in the plan's memory layout, and N
    labels, for an index tensor on the same device.
    """

    def __init__(self, split: Split, input_size: int | None, plan: ExecutionPlan) -> None:
        self.images = torch.tensor(split.images, device=plan.device)
        self.labels = torch.tensor(split.labels, device=plan.device, dtype=torch.int64)
        self.input_size, self.plan = require_input_size(input_size), plan

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        images = to_input(self.images[index], self.input_size)
        return self.plan.layout(images), self.labels[index]
