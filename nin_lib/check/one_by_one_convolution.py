"""Notebook 2: the 1×1 convolution."""

import copy
from typing import Any

from .grading import (
    ROUNDS,
    Wrong,
    call,
    exercise,
    in_a_row,
    numbers,
    same_tensor,
    short_repr,
    sizes,
)


@exercise("2.1")
def without_a_convolution(mended: Any) -> None:
    from torch.nn.functional import conv2d
    from torch.overrides import TorchFunctionMode

    class NoConvolution(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if "conv" in getattr(func, "__name__", ""):
                raise Wrong("It should do without a convolution.")
            return func(*args, **(kwargs or {}))

    for _ in range(ROUNDS):
        n, channels, out, height, width = sizes(5)
        x, weight, bias = numbers(n, channels, height, width), numbers(out, channels), numbers(out)
        with NoConvolution():
            mine = call(mended, x, weight, bias)
        true = conv2d(x, weight[:, :, None, None], bias)
        same_tensor(f"For x of shape {tuple(x.shape)} the result", mine, true)


@exercise("2.2a")
def swap(weight: Any) -> None:
    import torch

    try:
        mine = torch.as_tensor(weight, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"Four rows of four numbers are wanted, not {short_repr(weight)}.") from None
    if mine.shape != (4, 4):
        raise Wrong(f"The weights have the shape {tuple(mine.shape)}; it should be (4, 4).")
    x = numbers(4, 50)
    for o, (row, true) in enumerate(zip(mine @ x, x[[0, 3, 2, 1]], strict=True)):
        if not torch.allclose(row, true):
            raise Wrong(f"Output channel {o} is not the input channel that it should be.")


@exercise("2.2b")
def two_into_one(collapse: Any) -> None:
    for _ in range(ROUNDS):
        channels, hidden, out = sizes(3)
        A, a, B, b = numbers(hidden, channels), numbers(hidden), numbers(out, hidden), numbers(out)
        both = call(collapse, A, a, B, b)
        if not isinstance(both, (tuple, list)) or len(both) != 2:
            raise Wrong(f"collapse should return W and c, not {short_repr(both)}.")
        same_tensor(f"W for {channels} → {hidden} → {out} channels", both[0], B @ A)
        same_tensor(f"c for {channels} → {hidden} → {out} channels", both[1], B @ a + b)


@exercise("2.3")
def sort_two(layers: Any) -> None:
    import torch
    from torch import nn

    for layer in in_a_row(layers, nn.Conv2d, nn.ReLU):
        if isinstance(layer, nn.Conv2d) and layer.kernel_size != (1, 1):
            raise Wrong(f"It holds {layer}, which is no 1×1 convolution.")
    own = copy.deepcopy(layers).float()
    for size in (1, 10**6):  # a bias that lifts all numbers is too small, or drowns small ones
        n, height, width = sizes(3, least=3)
        x = numbers(n, 2, height, width)
        with torch.no_grad():
            mine = call(own, size * x) / size
        true = torch.stack([x.amax(1), x.amin(1)], dim=1)
        if mine.shape != true.shape:
            raise Wrong(f"It makes {tuple(mine.shape)} of x with shape {tuple(x.shape)}.")
        where = f"with numbers around {size:,} coming in,"
        same_tensor(f"Channel 0, the larger number, {where}", mine[:, 0], true[:, 0])
        same_tensor(f"Channel 1, the smaller number, {where}", mine[:, 1], true[:, 1])
