"""Write formulas into the pages as MathML, which browsers draw themselves.

No script and no font comes from another host, and screen readers read the formulas. The
conversion is the one in docutils. It knows less LaTeX than MathJax does (`aligned`, not `align`;
`\\ldots`, not `\\dots`); what it does not know is a warning that names the page and the line.
"""

from __future__ import annotations

import html

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


def to_mathml(node: nodes.Element, block: bool) -> str:
    """Return the formula in `node` as a <math> element; warn, and show its source, if it fails."""
    tex = node.astext()
    try:
        mathml: str = tex2mathml(tex, as_block=block)
    except MathError as error:
        logger.warning("formula %r: %s", tex, error, location=node)
        return f"<code>{html.escape(tex)}</code>"
    return mathml


def visit_math(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(to_mathml(node, block=False))
    raise nodes.SkipNode


def visit_displaymath(self: HTML5Translator, node: nodes.math_block) -> None:
    # A wide formula scrolls sideways on a phone; with tabindex, by keyboard too.
    self.body.append(self.starttag(node, "div", CLASS="math", tabindex="0"))
    self.body.append(to_mathml(node, block=True))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
