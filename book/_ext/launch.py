"""If the configuration names the repository: the theme's buttons for Colab and Binder, and a link.

The page of exercises shows solutions; its buttons open the student's notebook.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config


def only_with_repository(app: Sphinx, config: Config) -> None:
    address = config.html_theme_options.get("repository_url")
    if not address:
        config.html_theme_options["launch_buttons"] = {}
    code = f"[the code]({address})" if address else "the code"
    config.myst_substitutions = {**config.myst_substitutions, "the_code": code}


def lead_to_student(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    if page.startswith("exercises/"):
        for group in context["header_buttons"]:
            if group.get("label") == "launch-buttons":
                for button in group["buttons"]:
                    button["url"] = button["url"].replace(f"/{page}", f"/notebooks/{page}")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", only_with_repository)
    app.connect("html-page-context", lead_to_student, priority=600)  # after the theme's own
    return {"parallel_read_safe": True, "parallel_write_safe": True}
