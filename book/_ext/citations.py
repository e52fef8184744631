"""Citations in notebooks, and the list of references for screen readers.

A notebook cites by a link to the BibTeX file, as in
[Wilson 1927](../book/references.bib#wilson1927probable).
In the book the link becomes the words and a number, {cite}`...`; in the copy that a student works
in, start.py leads it to a list that people can read.

In the list each reference is an item: docutils gives each the role "doc-biblioentry", which is
deprecated and not allowed in a list.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

LINK = re.compile(r"\[([^][]+)\]\(\.\./book/references\.bib#(\w+)\)")


def cite(app: Sphinx, page: str, source: list[str]) -> None:
    if page.startswith(("notebooks/", "exercises/")):
        source[0] = LINK.sub(r"\1 {cite}`\2`", source[0])


def visit_citation(self: HTML5Translator, node: nodes.citation) -> None:
    HTML5Translator.visit_citation(self, node)
    self.body.append(self.body.pop().replace('role="doc-biblioentry"', 'role="listitem"'))


def depart_citation(self: HTML5Translator, node: nodes.citation) -> None:
    HTML5Translator.depart_citation(self, node)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", cite)
    app.add_node(nodes.citation, override=True, html=(visit_citation, depart_citation))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
