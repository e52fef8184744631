"""The version of the chapter and its date, at the foot of every page (_templates/edition.html).

The version is that of `nin_lib`. The date is that of the last commit, so that building the same
commit twice gives the same pages; SOURCE_DATE_EPOCH, a number of seconds, outranks it. Outside a
repository no date is known, and the pages name the version alone.
"""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

from nin_lib import __version__

ROOT = Path(__file__).resolve().parents[2]


def name_edition(app: Sphinx, config: Config) -> None:
    config.release = config.version = __version__
    config.html_context = {**config.html_context, "edition_date": edition_date()}


def edition_date() -> str:
    """Return the date of this edition as YYYY-MM-DD, or an empty string where it is not known."""
    if seconds := os.environ.get("SOURCE_DATE_EPOCH"):
        return datetime.fromtimestamp(int(seconds), UTC).date().isoformat()
    command = ["git", "log", "-1", "--format=%cs"]
    try:
        asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    except OSError:  # no git on this machine
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", name_edition)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
