"""`PixelMLP`: what a 1×1 convolution computes at one pixel, and what it cannot see.

`PixelMLP()` is a layer on tiny integer maps, to be followed by hand. `PixelMLP.of(model, image)`
adds a 1×1 layer of a real network. Shapes are C×H×W: C channels, H height, W width.
"""

from __future__ import annotations

import html
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from nin_lib.spec import Block, Dropout, Network
from nin_lib.validation import require_int
from nin_lib.widgets.base import (
    Choice,
    Question,
    Widget,
    frame,
    packed,
    static_frame,
    unpacked,
)

SHOWN = 12  # maps of a real layer that are drawn, of each side
PIXELS = 14 * 14  # of a map that goes to the page
NUMBERS = 30_000  # of all input maps together; 8 bits each, so about 40 KB as text

INPUTS = [
    [
        [0, 1, 1, 1, 1, 0],
        [1, 2, 2, 2, 2, 1],
        [1, 2, 3, 3, 2, 1],
        [1, 2, 2, 2, 2, 1],
        [0, 1, 1, 1, 1, 0],
    ],  # channel 0: a hill
    [
        [0, 0, 0, 0, 0, 2],
        [0, 0, 0, 0, 2, 3],
        [0, 0, 0, 2, 3, 1],
        [0, 0, 2, 3, 1, 0],
        [0, 2, 3, 1, 0, 0],
    ],  # channel 1: a slope
    [[1, 0, 3, 0, 1, 0]] * 5,  # channel 2: stripes
]
WEIGHTS = [[1, 0, 0], [1, 1, 1], [2, -1, -1], [-1, 2, 0]]  # C_out×C_in
BIASES = [0, -4, 0, 1]
AROUND = [[1, -1, 1], [-1, 0, -1], [1, -1, 1]]  # what the 3×3 adds around the 1×1's weights
KERNEL = (np.array(WEIGHTS)[:, :, None, None] * (np.arange(9) == 4).reshape(3, 3)) + AROUND

ONE_NUMBER = Question(
    "You change one number: input 0, at one pixel. Which outputs of a 1×1 convolution can change?",
    (
        Choice(
            "one number: output 0, at the same pixel",
            False,
            "Outputs do not belong to inputs by their number: every output map is a weighted sum "
            "over all input maps.",
        ),
        Choice(
            "one number in every output map, at the same pixel",
            True,
            "Every output map reads input 0, and reads it at its own pixel only.",
        ),
        Choice(
            "a 3×3 square in every output map",
            False,
            "A 3×3 convolution would do that. A kernel of 1×1 reaches no neighbour.",
        ),
        Choice(
            "every number",
            False,
            "A dense layer on the flattened image would do that: it joins every number to every "
            "other. Here each pixel goes through the layer alone.",
        ),
    ),
)
SHUFFLING = Question(
    "Shuffle the pixels, apply the layer, put the pixels back. "
    "For which layer is the result the same as without shuffling?",
    (
        Choice(
            "the 1×1 only", True, "It sees one pixel at a time, so places make no difference to it."
        ),
        Choice(
            "the 3×3 only",
            False,
            "It is the other way round: a 3×3 adds up neighbours, and shuffling changes them.",
        ),
        Choice(
            "both",
            False,
            "Both use the same weights everywhere, but a 3×3 uses them on neighbours too, and "
            "after shuffling a pixel has others.",
        ),
        Choice(
            "neither",
            False,
            "The 3×3 does not, but the 1×1 has no neighbours that shuffling could change.",
        ),
    ),
)
TASK = (
    "find a pixel where the ReLU cuts an output off. Its sum is below 0, so what comes out is 0. "
    "Click on a map, or use the arrow keys."
)


class Result(NamedTuple):
    """What a layer makes of one pixel: a number for each output channel shown."""

    before: np.ndarray  # the sums
    after: np.ndarray  # the same after the ReLU


class PixelMLP(Widget):
    """One pixel on its way through a 1×1 convolution and a ReLU.

    `network_layer`: a layer as `layer_of` gives it, shown next to ours, without the
    questions about that one.
    """

    name = "pixel_mlp"

    def __init__(self, network_layer: dict[str, Any] | None = None) -> None:
        stages, asks = {"hand": by_hand()}, network_layer is None
        if network_layer is not None:
            stages["network"] = network_layer
        start = {
            "stage": list(stages)[-1],
            "pixel": list(stages.values())[-1]["middle"],
            "output": 1,  # place in the list of outputs shown
            "view": "convolution",
            "experiment": "",
            "seed": 1,  # of the shuffling
            "shuffle_answer": None,
        }
        config = {
            **frame("One pixel through a 1×1 convolution", ONE_NUMBER if asks else None, TASK),
            "shuffle_question": asdict(SHUFFLING) if asks else None,
            "stages": stages,
            "start": start,
        }
        super().__init__(config=config, state={**start, "answer": None})

    @classmethod
    def of(cls, model: Any, image: Any, block: int = 1, layer: int = 2) -> PixelMLP:
        """With 1×1 convolution number `layer` of `block` of a NiN of `nin_lib.torch`, both from 1.

        `image`: H×W or C×H×W, from 0 to 1 or as bytes. Raises `ValueError` where something does
        not fit.
        """
        return cls(layer_of(model, image, block, layer))

    @property
    def stage(self) -> str:
        """Which layer is shown: "hand" or "network"."""
        return str(self.state["stage"])

    @stage.setter
    def stage(self, stage: str) -> None:
        stages = self.config["stages"]
        if stage not in stages:
            raise ValueError(f"stage must be one of {', '.join(stages)}, got {stage!r}")
        self.change(stage=stage, pixel=stages[stage]["middle"], output=1)

    @property
    def pixel(self) -> tuple[int, int]:
        """Row and column of the chosen pixel, both from 0, in the maps as they are shown."""
        row, column = self.state["pixel"]
        return row, column

    @pixel.setter
    def pixel(self, pixel: tuple[int, int]) -> None:
        height, width = numbers(self._layer["inputs"]).shape[1:]
        rule = f"pixel must be (row, column) in {height} rows and {width} columns, got {pixel!r}"
        try:
            row, column = (int(n) if n == int(n) else -1 for n in pixel)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(rule) from None
        if not (0 <= row < height and 0 <= column < width):
            raise ValueError(rule)
        self.change(pixel=[row, column])

    @property
    def result(self) -> Result:
        """The sums at the chosen pixel, before and after the ReLU, as the page shows them."""
        row, column = self.pixel
        one_pixel = numbers(self._layer["inputs"])[:, row : row + 1, column : column + 1]
        before = convolve(one_pixel, weights(self._layer), self._layer["biases"])[:, 0, 0]
        return Result(before, np.maximum(before, 0))

    @property
    def _layer(self) -> dict[str, Any]:
        return dict(self.config["stages"][self.stage])

    # ---- the static view

    def to_text(self) -> str:
        """Return the chosen pixel's sums as a small table."""
        lines = self._table()
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = [
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
            for line in lines
        ]
        return "\n".join([self._heading(), *table, *self._shuffled()])

    def static_view(self) -> str:
        """Return the question, and the chosen pixel's sums as a table."""
        head, *body = self._table()
        parts = [static_frame(self.config), f"<p>{html.escape(self._heading())}</p>"]
        parts += ["<table><thead><tr><td></td>"]
        parts += [f'<th scope="col">{html.escape(cell)}</th>' for cell in head[1:]]
        parts.append("</tr></thead><tbody>")
        for first, *rest in body:
            parts.append(f'<tr><th scope="row">{html.escape(first)}</th>')
            parts += [f"<td>{html.escape(cell)}</td>" for cell in rest]
            parts.append("</tr>")
        told = "".join(f"<p>{line}</p>" for line in self._shuffled())
        folded = f"<details><summary>after shuffling</summary>{told}</details>" if told else ""
        return "".join([*parts, "</tbody></table>", folded])

    def _heading(self) -> str:
        row, column = self.pixel
        return f"Row {row}, column {column}. {self._layer['about']}"

    def _table(self) -> list[list[str]]:
        """Headings and a line for each output: bias, products, sum, after the ReLU."""
        layer, (row, column) = self._layer, self.pixel
        x, digits = numbers(layer["inputs"])[:, row, column], layer["digits"]
        many = len(x) > SHOWN
        inputs = [f"{len(x)} products"] if many else [f"input {c}" for c in range(len(x))]
        table = [["", "bias", *inputs, "sum", "after the ReLU"]]
        lines = zip(
            layer["shown_outputs"],
            layer["biases"],
            numbers(layer["weights"]),
            *self.result,
            strict=True,
        )
        for output, bias, w, before, after in lines:
            pairs = zip(w, x, strict=True)
            products = [f"{written(a, digits)}·{written(b, digits)}" for a, b in pairs]
            products = [written(w @ x, digits)] if many else products
            sums = [written(before, digits), written(after, digits)]
            table.append([f"output {output}", written(bias, digits), *products, *sums])
        return table

    def _shuffled(self) -> list[str]:
        layer = self._layer
        if layer["kernel"] is None:
            return []
        x, biases = numbers(layer["inputs"]), layer["biases"]
        order = shuffled_order(x[0].size, self.state["seed"])
        told = []
        for kernel in (weights(layer), numbers(layer["kernel"])):
            plain = convolve(x, kernel, biases)
            back = unshuffled(convolve(shuffled(x, order), kernel, biases), order)
            size = kernel.shape[-1]
            told.append(f"{size}×{size}: {(back != plain).sum()} of {plain.size} sums differ")
        return [f"Shuffled, applied, put back. {'; '.join(told)}."]


# ── The arithmetic, here and once more in pixel_mlp.js ───────────────────────────────────────────


def convolve(x: np.ndarray, kernel: np.ndarray, biases: Any) -> np.ndarray:
    """C×H×W maps and C_out×C×k×k weights (k odd) → C_out×H×W sums; zeros around the image."""
    reach = kernel.shape[-1] // 2
    around = np.pad(x, ((0, 0), (reach, reach), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(around, kernel.shape[2:], axis=(1, 2))
    return np.einsum("chwij,ocij->ohw", windows, kernel) + np.asarray(biases)[:, None, None]


def shuffled_order(count: int, seed: int) -> list[int]:
    """Return 0 to `count` − 1 in an order that `seed` (from 1) decides.

    The swaps are drawn by the minimal standard generator, 16807·n mod 2³¹ − 1, which JavaScript's
    numbers hold exactly.
    """
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        seed = seed * 16807 % 2147483647
        j = seed % (i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def shuffled(maps: np.ndarray, order: list[int]) -> np.ndarray:
    """Return the same pixels in another order, each with all its channels."""
    return maps.reshape(len(maps), -1)[:, order].reshape(maps.shape)


def unshuffled(maps: np.ndarray, order: list[int]) -> np.ndarray:
    """Invert `shuffled`."""
    return shuffled(maps, [int(i) for i in np.argsort(order)])


# ── Layers as the page gets them ─────────────────────────────────────────────────────────────────


def by_hand() -> dict[str, Any]:
    return {
        "words": "by hand",
        "about": "A 1×1 convolution from 3 channels to 4, by hand.",
        "inputs": INPUTS,
        "weights": WEIGHTS,
        "biases": BIASES,
        "shown_inputs": [0, 1, 2],
        "shown_outputs": [0, 1, 2, 3],
        "middle": [2, 3],
        "digits": 0,
        "kernel": KERNEL.tolist(),  # of a 3×3 convolution, to compare with
    }


def layer_of(model: Any, image: Any, block: int, layer: int) -> dict[str, Any]:
    """Return a 1×1 layer of a network, on this image: all input maps, and the strongest outputs."""
    maps, conv = inputs_and_layer(model, as_batch(model, image), block, layer)
    # To the CPU first: an Apple GPU has no 64-bit numbers.
    x, w, b = (t.detach().cpu().double().numpy() for t in (maps, conv.weight, conv.bias))
    step = thinning(*x.shape)
    after = np.maximum(convolve(x, w, b), 0)
    shown = strongest(after)
    height, width = x.shape[1:]
    about = [
        f"Block {block}, layer {layer} of a network: "
        f"a 1×1 convolution from {len(x)} channels to {len(w)}.",
        f"The maps with the largest means are shown; every sum is over all {len(x)} inputs.",
        f"Of {height} rows and {width} columns one in {step} is shown." if step > 1 else "",
        "Numbers are rounded to 8 bits.",
    ]
    shown_maps = x[:, ::step, ::step]
    return {
        "words": "in a network",
        "about": " ".join(filter(None, about)),
        "inputs": packed(shown_maps),
        "weights": packed(w[shown, :, 0, 0]),
        "biases": [float(f"{number:.6g}") for number in b[shown]],
        "shown_inputs": strongest(x),
        "shown_outputs": shown,
        "middle": [side // 2 for side in shown_maps.shape[1:]],
        "digits": 3,
        "kernel": None,
    }


def as_batch(model: Any, image: Any) -> Any:
    """Return the image as the model expects it: 1×C×H×W, floats."""
    import torch

    spec = getattr(model, "spec", None)
    if not isinstance(spec, Network):
        raise ValueError(f"model must be a NiN of nin_lib.torch, got {type(model).__name__}")
    if len(model) != len(spec.stages) + 1:
        rule = f"model must have the {len(spec.stages) + 1} layers of its spec"
        raise ValueError(f"{rule}; they were changed, got {len(model)} layers")
    rule = f"image must be H×W or {spec.in_channels}×H×W finite numbers"
    try:
        batch = image if isinstance(image, torch.Tensor) else torch.tensor(image)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{rule}, got {type(image).__name__}") from None
    batch = batch.float() / 255 if batch.dtype == torch.uint8 else batch.float()
    batch = batch[None] if batch.ndim == 2 else batch
    if batch.ndim != 3 or len(batch) != spec.in_channels:
        raise ValueError(f"{rule}, got shape {tuple(batch.shape)}")
    if not batch.isfinite().all():
        raise ValueError(f"{rule}, got NaN or infinity")
    return batch[None].to(next(model.parameters()).device)


def inputs_and_layer(model: Any, batch: Any, block: int, layer: int) -> tuple[Any, Any]:
    """Return the C×H×W maps that reach that layer, dropout left out, and the layer itself."""
    import torch

    blocks = model.spec.blocks
    block, layer = require_int("block", block, 1), require_int("layer", layer, 1)
    if block > len(blocks):
        raise ValueError(f"block must be at most {len(blocks)}, got {block}")
    is_last = block == len(blocks) and not (model.spec.last_relu or model.spec.dense)
    layers = range(2, len(blocks[block - 1].widths) + (not is_last))
    if layer not in layers or blocks[block - 1].inner_kernel_size != 1:
        rule = "a 1×1 convolution with a ReLU after it"
        raise ValueError(f"layer must be {rule}; layer {layer} of block {block} is not")
    blocks_left = block
    with torch.no_grad():
        for stage, module in zip(model.spec.stages, model, strict=False):
            blocks_left -= isinstance(stage, Block)
            if not blocks_left:
                break
            batch = batch if isinstance(stage, Dropout) else module(batch)
        place = 2 * (layer - 1)  # a ReLU follows every convolution
        return module[:place](batch)[0], module[place]


def thinning(channels: int, height: int, width: int) -> int:
    """Show one in so many rows and columns. A 1×1 layer sees each pixel alone: no sum changes."""
    step = 1
    while (pixels := -(-height // step) * -(-width // step)) > min(PIXELS, NUMBERS // channels):
        step += 1
        if pixels == 1:
            break
    return step


def strongest(maps: np.ndarray) -> list[int]:
    """Channels with the largest means, the largest first."""
    means = maps.mean(axis=(1, 2))
    return [int(channel) for channel in np.argsort(-means, kind="stable")[:SHOWN]]


def numbers(data: Any) -> np.ndarray:
    """Return what the page computes with: lists as they are, or what was packed."""
    return unpacked(data) if isinstance(data, dict) else np.asarray(data, dtype=np.float64)


def weights(layer: dict[str, Any]) -> np.ndarray:
    """C_out×C×1×1."""
    return numbers(layer["weights"])[:, :, None, None]


def written(number: float, digits: int) -> str:
    text = f"{number:.{digits}f}".replace("-", "−")
    return text if text.strip("−0.") else text.strip("−")  # no −0
