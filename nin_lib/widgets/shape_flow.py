"""`ShapeFlow`: where every number in a shape comes from, and what a change costs.

explorer = ShapeFlow("chapter")
explorer                                # edit it there ...
model = nin.NiN(explorer.spec)          # ... and build what you made
"""

from __future__ import annotations

import html
import json
from dataclasses import replace
from typing import Any

from nin_lib.flow import Row, ShapeError, as_pair, shape_flow
from nin_lib.networks import CHAPTER, NETWORKS, network
from nin_lib.spec import Network
from nin_lib.tables import html_table, text_table
from nin_lib.widgets.base import Choice, Question, Widget, frame, static_frame

Size = int | tuple[int, int]  # of the image, in pixels; (height, width) where they differ

QUESTION = Question(
    "The chapter's network turns an image of 224×224 into maps of 5×5. "
    "Into what does it turn images of 200×200 and of 226×226?",
    (
        Choice(
            "4×4 and 6×6: a smaller image gives smaller maps",
            False,
            "Only in steps: one step at the end is 4·2·2·2 = 32 pixels of the image. From 195 to "
            "226 pixels the last map stays 5×5. Set 194 and 227 to see it change.",
        ),
        Choice(
            "5×5 and 6×6: 224 is the largest image that gives 5×5",
            False,
            "A window that does not fit is left out. At 224 the first convolution leaves one row "
            "over; at 226 it leaves three, and nothing else changes. 227 is the first to give 6×6.",
        ),
        Choice(
            "5×5, both",
            True,
            "Sizes are rounded down at each stride, so the last rows and columns may never be "
            "read: by the first convolution 1 of 200, 1 of 224, 3 of 226. See the red edges.",
        ),
        Choice(
            "4×4 and 5×5: 200 is too small for the last window",
            False,
            "At 200 the windows still fit: 200 → 48 → 23 → 23 → 11 → 11 → 5 → 5. Follow it in the "
            "table.",
        ),
    ),
)
TASK = "find an edit that changes the multiply-adds and not the parameters."


class ShapeFlow(Widget):
    """A network block by block, to be edited: shapes, costs, and pixels that are never read.

    A network that does not accept images of `size` is shown with the reason.

    Args:
        start: a name in `nin_lib.NETWORKS`, or a `Network`.
        size: of the image in pixels, an integer or (height, width); by default the network's own.
        question: a prediction to commit to, or None. The default one is about the chapter's network
            at 224×224, and is left out for any other network or size.

    Raises:
        ValueError: for an unknown name, or a size that is not one or two integers above 0.
    """

    name = "shape_flow"

    def __init__(
        self,
        start: str | Network = "chapter",
        size: Size | None = None,
        *,
        question: Question | None = QUESTION,
    ) -> None:
        if not isinstance(start, str | Network):
            raise ValueError(f"start must be a name or a Network, got {start!r}")
        own = {"your network": start} if isinstance(start, Network) else {}
        name = "your network" if own else str(start)
        spec = start if isinstance(start, Network) else network(start)
        first = {
            "start": name,
            "spec": as_data(spec),
            "size": list(as_pair(spec.input_size if size is None else size)),
        }
        if question is QUESTION and (spec, first["size"]) != (CHAPTER, [CHAPTER.input_size] * 2):
            question = None
        known = own | {name: entry.network for name, entry in NETWORKS.items()}
        networks = {name: as_data(net) for name, net in known.items()}
        config = {**frame("Shape flow", question, TASK), "networks": networks, "first": first}
        super().__init__(config=config, state={**first, "selected": 0})

    @property
    def spec(self) -> Network:
        """The network as the reader left it, designed for the size set (if that is a square).

        Raises `ValueError` when it breaks a rule of `Network`. Set it to show another one.
        """
        spec = Network.from_json(json.dumps(self.state["spec"]))
        return replace(spec, input_size=self.size) if isinstance(self.size, int) else spec

    @spec.setter
    def spec(self, spec: Network) -> None:
        if not isinstance(spec, Network):
            raise ValueError(f"spec must be a Network, got {spec!r}")
        self.change(spec=as_data(spec), size=[spec.input_size] * 2)

    @property
    def size(self) -> Size:
        """Side of the image in pixels, or (height, width) where they differ. Can be set."""
        height, width = as_pair(tuple(self.state["size"]))
        return height if height == width else (height, width)

    @size.setter
    def size(self, size: Size) -> None:
        self.change(size=list(as_pair(size)))

    @property
    def rows(self) -> list[Row]:
        """The rows of `shape_flow`. Raises `ShapeError` for a layer that does not fit."""
        try:
            return shape_flow(self.spec, self.size)
        except ShapeError:
            raise
        except ValueError as error:
            raise ShapeError(str(error)) from None

    def to_text(self) -> str:
        try:
            return text_table(self.spec, self.size)
        except ValueError as error:
            return str(error)

    def static_view(self) -> str:
        try:
            table = html_table(self.spec, self.size)
        except ValueError as error:
            table = f"<p>{html.escape(str(error))}</p>"
        return static_frame(self.config) + table


def as_data(spec: Network) -> dict[str, Any]:
    """Return the network as plain data."""
    data: dict[str, Any] = json.loads(spec.to_json())
    return data
