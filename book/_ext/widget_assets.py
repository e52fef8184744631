"""Bring the widgets in the pages to life: their JavaScript, from nin_lib, without a kernel.

A page that holds ``<nin-shape-flow ...>`` loads ``_static/nin-shape-flow.js``; others load nothing.
Notebooks hold such elements in their outputs; in a page of text, ``{explorer} chapter`` puts the
shape flow of the network "chapter" in its place.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from nin_lib.widgets import ShapeFlow
from nin_lib.widgets.base import FOLDER, delivered

PAIRS = [path.stem for path in FOLDER.glob("*.py") if path.with_suffix(".js").exists()]
NAMES = sorted(set(PAIRS) - {"base"})


def file_name(name: str) -> str:
    return f"nin-{name.replace('_', '-')}.js"


class Explorer(SphinxDirective):
    required_arguments = 1  # the network's name

    def run(self) -> list[nodes.Node]:
        explorer = ShapeFlow(self.arguments[0], question=None)
        return [nodes.raw("", explorer.to_html(), format="html")]


def load_where_used(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    for name in NAMES:
        if f"<nin-{name.replace('_', '-')} " in context.get("body", ""):
            app.add_js_file(file_name(name), loading_method="defer")


def write_scripts(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        for name in NAMES:
            path = Path(app.outdir) / "_static" / file_name(name)
            path.write_text(as_script(name), encoding="utf-8")


def as_script(name: str) -> str:
    """The module as a plain script: browsers load no module from a page opened from disk."""
    code = re.sub(r"^export (default )?", "", delivered(name), flags=re.MULTILINE)
    return f"(() => {{\n{code}\n}})();\n"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("explorer", Explorer)
    app.connect("html-page-context", load_where_used)
    app.connect("build-finished", write_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
