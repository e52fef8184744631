"""A notebook's cells as slides, by tags, on the page itself (see _static/slides.js).

A cell tagged ``slide`` begins a slide; one tagged ``slide-more`` comes under it at the next step.
With ``slide-output`` a cell's code stays off the slide. All other cells are on no slide. Code cells
carry their tags into the page; around a cell of text, whose tags would be lost, two marks are set.
"""

from __future__ import annotations

import json
from typing import Any

from sphinx.application import Sphinx

BEGIN, END = (f'<div class="slide-mark {tags}" hidden></div>' for tags in ("tag_{}", "slide-end"))


def mark_text(app: Sphinx, page: str, source: list[str]) -> None:
    if page.startswith("notebooks/") and '"slide' in source[0]:
        notebook = json.loads(source[0])
        for cell in notebook["cells"]:
            tag = place(cell)
            if tag and cell["cell_type"] == "markdown":
                text = "".join(cell["source"])
                cell["source"] = f"{BEGIN.format(tag)}\n\n{text}\n\n{END}"
        source[0] = json.dumps(notebook)


def place(cell: dict[str, Any]) -> str | None:
    """Whether the cell begins a slide, or comes to the one before."""
    tags = cell["metadata"].get("tags", [])
    return next((tag for tag in ("slide", "slide-more") if tag in tags), None)


def offer(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """A button on the pages that have slides, and the script only there."""
    if "tag_slide" in context.get("body", ""):
        app.add_js_file("slides.js", loading_method="defer")
        context["header_buttons"].append(
            {
                "type": "javascript",
                "javascript": "location.hash = 'slide-1'",
                "tooltip": "Slides",
                "icon": "fas fa-chalkboard-user",
                "label": "slides-button",
            }
        )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", mark_text)
    app.connect("html-page-context", offer, priority=600)  # after the theme's own buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
