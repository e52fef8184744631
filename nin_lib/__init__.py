"""Network in Network, step by step: one description of the network and its readers.

This package imports no framework by itself. Models live in modules that bear a framework's name::

    from nin_lib import network, shape_flow, text_table
    from nin_lib import torch as nin      # needs PyTorch
"""

from pathlib import Path as _Path

from .flow import Row, ShapeError, Totals, shape_flow, smallest_input, totals
from .networks import NETWORKS, PUBLISHED, network
from .spec import Block, Dropout, Network, Pool
from .tables import html_table, text_table

__all__ = [
    "NETWORKS",
    "PUBLISHED",
    "Block",
    "Dropout",
    "Network",
    "Pool",
    "Row",
    "ShapeError",
    "Totals",
    "__version__",
    "html_table",
    "network",
    "shape_flow",
    "smallest_input",
    "text_table",
    "totals",
]


def __getattr__(name: str) -> str:
    """Work out `__version__` when it is asked for, so that importing stays quick."""
    if name == "__version__":
        return _version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _version() -> str:
    """Return the version in pyproject.toml, or the installed package's if there is no such file.

    The file comes first because an editable install keeps the version that it was installed at.
    """
    import tomllib

    file = _Path(__file__).resolve().parents[1] / "pyproject.toml"
    content = file.read_text(encoding="utf-8") if file.exists() else ""
    project = tomllib.loads(content).get("project", {})
    if project.get("name") == "nin-lib":
        return str(project["version"])

    import importlib.metadata  # slow

    try:
        return importlib.metadata.version("nin-lib")
    except importlib.metadata.PackageNotFoundError:  # a copied folder
        return "unknown"
