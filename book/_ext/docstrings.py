"""In docstrings an indented paragraph is code, without the two colons that Sphinx wants."""

from __future__ import annotations

from sphinx.application import Sphinx


def mark_code(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    lines[:] = marked(lines)


def marked(lines: list[str]) -> list[str]:
    result: list[str] = []
    for line in lines:
        if is_code(line) and len(result) > 1 and not result[-1] and starts_code(result[-2]):
            result += ["::", ""]
        result.append(line)
    return result


def is_code(line: str) -> bool:
    return line.startswith("    ") and not line.lstrip().startswith(">>>")


def starts_code(before: str) -> bool:
    """Whether an indented line may begin after this one: not in code, not where `::` stands."""
    return not before.startswith(" ") and not before.endswith("::")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", mark_code)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
