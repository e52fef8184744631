"""What the search takes for a word: also 1×1, which may be typed with the letter x, and 2.303.

Sphinx takes 1×1 for two numbers, and looks for no number.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

TIMES = re.compile(r"(?<=\d)x(?=\d)", re.IGNORECASE)
WORD = re.compile(r"\d+(?:[×.,]\d+)+|\w+")


class SearchWords(SearchEnglish):
    """English, with the same rule for the pages (`split`) and for what is typed (JavaScript)."""

    js_splitter_code = r"""
function splitQuery(query) {
  const words = query.replace(/(?<=\d)x(?=\d)/gi, "×");
  return words.match(/\d+(?:[×.,]\d+)+|[\p{L}\p{N}_]+/gu) ?? [];
}
"""

    def split(self, input: str) -> list[str]:
        return WORD.findall(TIMES.sub("×", input))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_search_language(SearchWords)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
