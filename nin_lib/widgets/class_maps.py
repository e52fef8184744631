"""`ClassMaps`: what global average pooling averages, and which region carries the answer.

    maps = ClassMaps()  # the network and the images that come with the package
    maps.cover = (8, 10, 6)  # row, column, size in pixels; the page follows
    maps.logits  # of the covered image

The page holds the maps of a few images, and the logits for a grid of covered regions; these need no
kernel. Where there is one, Python answers for every other region.
"""

from __future__ import annotations

import base64
import html
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from nin_lib import class_maps, recorded, tables
from nin_lib.data import CLASSES, Split, load
from nin_lib.torch import NiN
from nin_lib.validation import require_input_size, require_int
from nin_lib.widgets.base import Choice, Question, Widget, frame, packed, static_frame, unpacked

START = dict(image=0, selected_class=None, cell=None, cover=None, computed=None, asked=0)
LOOKED_AT = 500  # held-out images from which the default gallery is chosen
TASK = (
    "choose an image that the network gets right, cover a region of it, and find a place where the "
    "answer flips to another class. How small can the region be?"
)
HINT = " (Begin with image 4 or 5.)"  # of the network and images that come with the package


class ClassMaps(Widget):
    """The maps of `model`, one for each class, for a few images that the reader can cover in part.

    `model`: a NiN without dense layers, the trained one of the package by default. `images`:
    N×S×S bytes, with their `labels`; a gallery of held-out images by default. `classes`: their
    names. `input_size`: side to which the images are enlarged. `sizes`, `step`: sides of the square
    regions prepared for pages without a kernel, and the distance of their positions, in pixels.
    `fill`: the grey, 0 to 255, of what is covered. Maps and prepared logits are rounded to 8 bits.
    """

    name = "class_maps"

    def __init__(
        self,
        model: NiN | None = None,
        images: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        classes: Sequence[str] = CLASSES,
        input_size: int | None = None,
        sizes: Sequence[int] = (8, 14),
        step: int = 2,
        fill: int = 0,
    ) -> None:
        super().__init__(state=START)
        task = TASK + HINT if model is images is labels is None else TASK
        self._model = recorded.trained() if model is None else model
        if images is None and labels is None:
            held_out = load("mini").val.first(LOOKED_AT)
            chosen = class_maps.gallery(self._model, held_out, input_size=input_size)
            images, labels = chosen.images, chosen.labels
        if images is None or labels is None:
            raise ValueError("images and labels must come together, got only one of them")
        check(self._model, images, labels, classes, sizes, step, fill)
        step, fill, sizes = int(step), int(fill), [int(size) for size in sizes]
        input_size = require_input_size(input_size)
        self._images, self._input_size, self._fill = images, input_size, fill
        exact = class_maps.class_maps(self._model, images, input_size)
        maps = packed(exact)
        self._maps = unpacked(maps)  # what the page computes with
        self._uncovered = class_maps.means(exact)
        seen_of = images.shape[-1] if input_size is None else input_size
        start, jump, side = class_maps.field(self._model.spec, seen_of)
        first = classes[int(class_maps.means(self._maps[0]).argmax())]
        self.config = frame("What global average pooling averages", question(first, side), task) | {
            "classes": list(classes),
            "labels": [int(label) for label in labels],
            "side": images.shape[-1],
            "fill": fill,
            "images": base64.b64encode(images.tobytes()).decode("ascii"),
            "maps": maps,
            "field": {"start": start, "jump": jump, "side": side, "of": seen_of},
            "step": step,
            "prepared": [{"size": size, "changes": self._prepare(size, step)} for size in sizes],
        }
        self.observe(self._answer, "state")

    def _prepare(self, size: int, step: int) -> dict[str, Any]:
        """How the logits change where a region is covered: N×rows×columns×classes, packed."""
        places = (self._images.shape[-1] - size) // step + 1
        changes = [
            self._logits(class_maps.cover_everywhere(image, size, step, self._fill)) - uncovered
            for image, uncovered in zip(self._images, self._uncovered, strict=True)
        ]
        return packed(np.stack(changes).reshape(len(changes), places, places, -1))

    def _logits(self, images: np.ndarray) -> np.ndarray:
        return class_maps.means(class_maps.class_maps(self._model, images, self._input_size))

    def _answer(self, _: Any = None) -> None:
        """Compute the covered image that the state asks for, unless that is done."""
        square = self.cover
        asked = {"image": self.image, "cover": square and list(square)}
        done = self.state.get("computed") or {}
        if square is None or asked == {key: done.get(key) for key in asked}:
            return
        row, column, size = square
        covered = class_maps.cover(self._images[[self.image]], row, column, size, self._fill)
        changes = self._logits(covered)[0] - self._uncovered[self.image]
        self.change(computed={**asked, "changes": [round(float(n), 4) for n in changes]})

    # ---- what the reader sees, to read and to set

    @property
    def image(self) -> int:
        """Which image is shown, from 0 on."""
        return int(self.state.get("image", 0))

    @image.setter
    def image(self, number: int) -> None:
        self.change(image=inside("image", number, len(self._images)), cell=None)

    @property
    def selected_class(self) -> int:
        """The class whose map is shown large, as a number; the answer unless one was chosen."""
        chosen = self.state.get("selected_class")
        return int(class_maps.means(self._maps[self.image]).argmax() if chosen is None else chosen)

    @selected_class.setter
    def selected_class(self, number: int | None) -> None:
        known = number if number is None else inside("selected_class", number, self._maps.shape[1])
        self.change(selected_class=known)

    @property
    def cover(self) -> tuple[int, int, int] | None:
        """(row, column, size) in pixels of the square that is covered, or None."""
        square = self.state.get("cover")
        return None if square is None else tuple(square)

    @cover.setter
    def cover(self, square: tuple[int, int, int] | None) -> None:
        if square is not None:
            if not isinstance(square, (tuple, list)) or len(square) != 3:
                raise ValueError(f"cover must be (row, column, size) or None, got {square!r}")
            class_maps.cover(self._images[:1], *square)  # only to refuse what does not fit
        self.change(cover=None if square is None else [int(number) for number in square])

    @property
    def logits(self) -> np.ndarray:
        """The logits of the present view: of the image shown, covered where it is covered."""
        uncovered = class_maps.means(self._maps[self.image])
        return uncovered if self.cover is None else uncovered + self.state["computed"]["changes"]

    # ---- the static view

    def _rows(self) -> list[tuple[str, str, str, str]]:
        """For the first image: class, logit, share, and whether it is the answer or right."""
        logits, label = class_maps.means(self._maps[0]), self.config["labels"][0]
        words = {label: "right class"}
        words[int(logits.argmax())] = (
            "answer, right class" if logits.argmax() == label else "answer"
        )
        shares = class_maps.softmax(logits)
        return [
            (name, f"{logits[i]:.2f}", f"{shares[i]:.1%}", words.get(i, ""))
            for i, name in enumerate(self.config["classes"])
        ]

    def to_text(self) -> str:
        height, width = self._maps.shape[2:]
        mean = f"logit = mean of the {height}×{width} map"
        lines = [("class", mean, "share", ""), *self._rows()]
        wide = max(len(line[0]) for line in lines)
        table = [f"{c:<{wide}}  {x:>{len(mean)}}  {p:>6}  {w}".rstrip() for c, x, p, w in lines]
        return "\n".join([f"image 1 of {len(self._images)}", *table])

    def static_view(self) -> str:
        """Return the first image, its logits, and the map of the answer in numbers."""
        logits = class_maps.means(self._maps[0])
        answer, label = (
            self.config["classes"][i] for i in (logits.argmax(), self.config["labels"][0])
        )
        words = html.escape(f"Image 1: {label}; the network answers {answer}.")
        picture = (
            f'<p><img alt="{words}" width="140" height="140" style="image-rendering:pixelated" '
            f'src="data:image/png;base64,{base64.b64encode(png(self._images[0])).decode("ascii")}">'
        )
        shown = self._maps[0, logits.argmax()]
        total = f"{shown.sum():.2f} / {shown.size} = {shown.mean():.2f}"
        of_map = html.escape(f"The map of {answer}: the mean of its numbers is its logit, {total}")
        head = ("class", "logit = mean of the map", "softmax share", "")
        numbers = [[f"{number:.2f}" for number in row] for row in shown]
        return (
            static_frame(self.config) + picture + f"<br>{words}</p>"
            + tables.html(self._rows(), head, "The logits of image 1")
            + tables.html(numbers, caption=of_map)
        )  # fmt: skip


def question(answer: str, side: int) -> Question:
    """Return the prediction; `answer` names the class that the first image is taken for."""
    return Question(
        f'The map of the class "{answer}" is strongest at one spot of image 1. '
        "Does the network look only there?",
        (
            Choice(
                "Yes: a cell of the map tells of the pixels right under it.",
                False,
                f"A cell stands on a spot, but sees up to {side}×{side} pixels around it. "
                "Choose a cell of the large map, and that square is drawn.",
            ),
            Choice(
                "No: a cell sees far beyond its spot, and the logit is the mean of all cells.",
                True,
                f"A cell sees up to {side}×{side} pixels, and global average pooling averages all "
                "cells, strong or weak. Cover the pixels under the spot and see how much of the "
                "logit is left: sometimes all of it.",
            ),
            Choice(
                "No: averaging makes all pixels count the same.",
                False,
                "All cells of a map count the same, but what a cell makes of its pixels is learnt: "
                "cover regions of the same size, and the logits change very differently.",
            ),
        ),
    )


def check(
    model: NiN, images: np.ndarray, labels: np.ndarray, classes: Sequence[str],
    sizes: Sequence[int], step: int, fill: int,
) -> None:  # fmt: skip
    """Raise `ValueError` naming the argument, its value and the rule."""
    if model.spec.dense or model.spec.in_channels != 1:
        raise ValueError(
            "model must take images of one channel and end in global average pooling, "
            f"got in_channels {model.spec.in_channels} and dense {model.spec.dense}"
        )
    if images.ndim != 3 or images.shape[1] != images.shape[2] or images.dtype != np.uint8:
        got = f"{images.dtype} of shape {images.shape}"
        raise ValueError(f"images must be bytes of shape (N, S, S), got {got}")
    Split(images, labels, model.spec.num_classes)  # says what is wrong with labels
    if len(classes) != model.spec.num_classes:
        raise ValueError(
            f"classes must name the {model.spec.num_classes} classes of the model, got {classes!r}"
        )
    require_int("step", step, 1)
    inside("fill", fill, 256)
    if not sizes:
        raise ValueError(f"sizes must name at least one size, got {sizes!r}")
    for size in sizes:
        class_maps.cover(images[:1], 0, 0, size)


def inside(name: str, number: object, count: int) -> int:
    """Return `number` if it is one of 0 to `count` − 1, else raise `ValueError`."""
    if (
        isinstance(number, (int, np.integer))
        and not isinstance(number, bool)
        and 0 <= number < count
    ):
        return int(number)
    raise ValueError(f"{name} must be an integer from 0 to {count - 1}, got {number!r}")


def png(image: np.ndarray) -> bytes:
    """H×W bytes as a grey PNG file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check_sum = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check_sum

    height, width = image.shape
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 0, 0, 0, 0))
    lines = b"".join(b"\0" + line.tobytes() for line in image)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
