"""A notebook links to the student's exercises; in the book, that leads to those with solutions."""

from __future__ import annotations

from sphinx.application import Sphinx


def lead_to_page(app: Sphinx, page: str, source: list[str]) -> None:
    if page.startswith("notebooks/"):
        source[0] = source[0].replace("](exercises/", "](../exercises/")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", lead_to_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
