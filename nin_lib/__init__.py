"""Network in Network, step by step: one description of the network and its readers.

This package imports no framework by itself. Models live in modules that bear a framework's name::

    from nin_lib import network, shape_flow, text_table
    from nin_lib import torch as nin      # needs PyTorch
"""

from .flow import (
    Row,
    ShapeError,
    Totals,
    html_table,
    shape_flow,
    smallest_input,
    text_table,
    totals,
)
from .networks import NETWORKS, PUBLISHED, network
from .spec import Block, Dropout, Network, Pool

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
    "html_table",
    "network",
    "shape_flow",
    "smallest_input",
    "text_table",
    "totals",
]
