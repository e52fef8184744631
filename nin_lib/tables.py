"""Tables as aligned text and as HTML, above all the table of a network's layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .spec import Network

HEADINGS = ("stage", "layer", "output", "parameters", "multiply-adds", "receptive field")


def text_table(network: Network, size: int | tuple[int, int] | None = None) -> str:
    """Return a network's layers as aligned text, for a terminal or a notebook.

    Args:
        network: What to tabulate.
        size: Input size in pixels, an integer or (height, width); None takes the network's own.

    Raises:
        ShapeError: A layer does not fit the map that reaches it.
    """
    headings = (*HEADINGS[:-1], "field")  # so that most tables fit into 80 columns
    return aligned([headings, *cells(network, size)], left=3)


def html_table(network: Network, size: int | tuple[int, int] | None = None) -> str:
    """Return the same as an HTML table."""
    return html(cells(network, size), HEADINGS, named_rows=True)


def cells(
    network: Network, size: int | tuple[int, int] | None = None
) -> list[tuple[str, ...]]:  # fmt: skip
    """Return a line of cells for each layer, and one for the totals."""
    from .flow import shape_flow, totals

    lines = [
        (
            row.stage, row.layer, row.size, f"{row.parameters:,}", f"{row.multiply_adds:,}",
            str(row.receptive_field),
        )
        for row in shape_flow(network, size)
    ]  # fmt: skip
    total = totals(network, size)
    return [*lines, ("total", "", "", f"{total.parameters:,}", f"{total.multiply_adds:,}", "")]


def aligned(lines: Sequence[Sequence[str]], left: int = 0) -> str:
    """Return lines of cells as text in columns, the first `left` of them aligned to the left."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    pads = [str.ljust] * left + [str.rjust] * (len(widths) - left)
    return "\n".join(
        "  ".join(pad(cell, n) for pad, cell, n in zip(pads, line, widths, strict=True)).rstrip()
        for line in lines
    )


def html(
    lines: Iterable[Sequence[str]], headings: Sequence[str] = (), caption: str = "",
    named_rows: bool = False,
) -> str:  # fmt: skip
    """Return lines of cells as an HTML table.

    Args:
        lines: The cells of each row, as plain text.
        headings: The cells of the head; without them there is none.
        caption: The table's caption, as HTML.
        named_rows: Whether the first cell of each row is the row's heading.
    """
    parts = ["<table>", f"<caption>{caption}</caption>" if caption else ""]
    if headings:
        head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in headings)
        parts.append(f"<thead><tr>{head}</tr></thead>")
    parts.append("<tbody>")
    for line in lines:
        row = [f"<td>{escape(cell)}</td>" for cell in line]
        if named_rows:
            row[0] = f'<th scope="row">{escape(line[0])}</th>'
        parts.append(f"<tr>{''.join(row)}</tr>")
    return "".join([*parts, "</tbody></table>"])
