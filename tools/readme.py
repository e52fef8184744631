"""Write the parts of README.md that follow from the code: the map of `nin_lib` and the badges.

    python -m tools.readme build   # write them
    python -m tools.readme check   # exit with 1 if README.md differs from what would be written

The map has the first line of each module. Badges appear when `repository_url` in book/_config.yml
names a repository.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"

# Every module is in one group; a folder stands for all of its modules.
GROUPS = {
    "The reading path: an evening": ("spec", "networks", "flow", "recipe", "torch", "train"),
    "Other readers of a spec": ("tensorflow", "jax", "weights", "d2l", "tables", "unread"),
    "Images and results": ("data", "data_files", "download", "history", "recorded/"),
    "Analysis": ("collapse", "class_maps"),
    "For notebooks": ("widgets/", "check/", "notebook/", "progress"),
    "Services": ("runtime/", "validation", "cli"),
}
WORKFLOWS = ("check", "pages")


def first_line(module: str) -> str:
    """Return the first line of the docstring of `nin_lib`'s `module`; a folder ends in /."""
    name = f"{module}__init__.py" if module.endswith("/") else f"{module}.py"
    docstring = ast.get_docstring(ast.parse((ROOT / "nin_lib" / name).read_text("utf-8")))
    return (docstring or "").split("\n")[0].rstrip(".")


def inside(module: str) -> str:
    """Return the names of the modules in a folder, or nothing."""
    if not module.endswith("/"):
        return ""
    files = sorted((ROOT / "nin_lib" / module).glob("*.py"))
    names = [f"`{file.stem}`" for file in files if file.stem != "__init__"]
    return f". Modules: {', '.join(names)}" if names else ""


def code_map() -> str:
    """Return a table for each group of modules."""
    lines = ["| module of `nin_lib` | what it does |", "|---|---|"]
    for group, modules in GROUPS.items():
        lines.append(f"| **{group}** | |")
        lines += [f"| `{module}` | {first_line(module)}{inside(module)} |" for module in modules]
    return "\n".join(lines)


def badges() -> str:
    """Return a badge for each workflow, or nothing if the repository has no address yet."""
    config = yaml.safe_load((ROOT / "book" / "_config.yml").read_text("utf-8"))
    options = config["sphinx"]["config"]["html_theme_options"]
    url = (options.get("repository_url") or "").rstrip("/")
    if not url:
        return ""
    return "\n".join(
        f"[![{name}]({url}/actions/workflows/{name}.yml/badge.svg)]"
        f"({url}/actions/workflows/{name}.yml)"
        for name in WORKFLOWS
    )


def filled(text: str) -> str:
    """Return README.md's `text` with the parts between the markers written anew."""
    for name, content in (("map", code_map()), ("badges", badges())):
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        if begin not in text or end not in text:
            raise SystemExit(f"README.md must have the markers {begin} and {end}")
        before, rest = text.split(begin, 1)
        inside = f"\n\n{content}\n\n" if content else "\n"
        text = before + begin + inside + end + rest.split(end, 1)[1]
    return text


def main(arguments: list[str]) -> int:
    text = README.read_text("utf-8")
    if arguments == ["build"]:
        README.write_text(filled(text), "utf-8")
    elif arguments == ["check"]:
        if filled(text) != text:
            print("README.md is out of step with the code: python -m tools.readme build")
            return 1
        print("the map in README.md is in step with the code")
    else:
        raise SystemExit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
