"""Cells that begin with ``%%pytorch``, ``%%tensorflow`` or ``%%jax`` become tabs.

In a notebook they stand one below the other (see nin_lib/notebook/side_by_side.py). In the book,
neighbours share a place, and choosing a framework once chooses it on the whole page, and on the
pages after it. The line with the magic is left out; what remains is plain Python.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx_design.shared import create_component

LABELS = {"%%pytorch": "PyTorch", "%%tensorflow": "TensorFlow", "%%jax": "JAX"}


class FrameworkTabs(SphinxTransform):
    default_priority = 400

    def apply(self) -> None:
        cells = [node for node in self.document.findall(nodes.container) if framework_of(node)]
        for run in neighbours(cells):
            at = run[0].parent
            at.replace(run[0], tab_set(run))
            for cell in run[1:]:
                at.remove(cell)


def framework_of(node: nodes.Node) -> str | None:
    """The label of the framework that a code cell is for."""
    if not isinstance(node, nodes.container) or node.get("nb_element") != "cell_code":
        return None
    source = source_of(node)
    return LABELS.get(source.astext().split("\n", 1)[0].strip()) if source else None


def source_of(cell: nodes.container) -> nodes.literal_block | None:
    """The cell's code; None where the page does not show it, nor any text below it."""
    return next(cell.findall(nodes.literal_block), None)


def neighbours(cells: list[nodes.container]) -> list[list[nodes.container]]:
    """Group the cells that stand directly one after another."""
    groups: list[list[nodes.container]] = []
    for cell in cells:
        if groups and groups[-1][-1].next_node(descend=False, siblings=True) is cell:
            groups[-1].append(cell)
        else:
            groups.append([cell])
    return groups


def tab_set(cells: list[nodes.container]) -> nodes.container:
    items = [tab_item(str(framework_of(cell)), cell) for cell in cells]
    return create_component("tab-set", ["sd-tab-set"], children=items)


def tab_item(label: str, cell: nodes.container) -> nodes.container:
    title = nodes.rubric(label, label, classes=["sd-tab-label"])
    title["sync_group"], title["sync_id"] = "framework", label.lower()
    source: Any = source_of(cell)
    code = source.astext().split("\n", 1)[-1].lstrip("\n")
    source.parent.replace(source, nodes.literal_block(code, code, language="python"))
    content = create_component("tab-content", ["sd-tab-content"], children=[cell])
    return create_component("tab-item", ["sd-tab-item"], children=[title, content], selected=False)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(FrameworkTabs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
