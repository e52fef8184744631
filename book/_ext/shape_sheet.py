"""``{shape-sheet} chapter``: a network's shapes as a table to fill in; ``:filled:`` is its key."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from nin_lib import network, shape_flow
from nin_lib.spec import Block, Network, Pool

HEAD = ["stage", "kernel", "stride", "padding", "channels", "height and width", "parameters"]


class ShapeSheet(SphinxDirective):
    required_arguments = 1  # the network's name
    option_spec = {"filled": directives.flag}

    def run(self) -> list[nodes.Node]:
        rows = sheet(network(self.arguments[0]), "filled" in self.options)
        return [nodes.raw("", table(rows), format="html")]


def sheet(spec: Network, filled: bool) -> list[list[Any]]:
    """A row for each stage; what the reader works out is left empty, unless `filled`."""
    size = spec.input_size
    rows = [["image", "", "", "", spec.in_channels, f"{size} × {size}", ""]]
    for name, own in stage_rows(spec).items():
        last = own[-1]
        kernel: list[Any] = ["", "", ""]
        stage = stages(spec).get(name)
        if isinstance(stage, Block | Pool):
            kernel = [stage.kernel_size, stage.stride, stage.padding]
        answers = [" × ".join(map(str, last.shape[1:])) or "–"]
        answers.append(f"{sum(row.parameters for row in own):,}")
        rows.append([name, *kernel, last.shape[0], *(answers if filled else ["", ""])])
    return rows


def stages(spec: Network) -> dict[str, Any]:
    """The stages by the names that `shape_flow` gives them."""
    names = list(dict.fromkeys(row.stage for row in shape_flow(spec)))
    return dict(zip(names, spec.stages, strict=False))


def stage_rows(spec: Network) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in shape_flow(spec):
        found.setdefault(row.stage, []).append(row)
    return found


def table(rows: list[list[Any]]) -> str:
    head = "".join(f'<th scope="col">{word}</th>' for word in HEAD)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>' + "".join(f"<td>{it}</td>" for it in row[1:]) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="shape-sheet" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("shape-sheet", ShapeSheet)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
