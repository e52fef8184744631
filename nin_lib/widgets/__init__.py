"""Interactive figures: one Python file and one JavaScript module each."""

from typing import Any

from nin_lib.widgets.base import Choice
from nin_lib.widgets.choices import Predict
from nin_lib.widgets.live_curves import LiveCurves
from nin_lib.widgets.pixel_mlp import PixelMLP
from nin_lib.widgets.shape_flow import ShapeFlow

__all__ = ["Choice", "ClassMaps", "LiveCurves", "PixelMLP", "Predict", "ShapeFlow"]


def __getattr__(name: str) -> Any:
    """`ClassMaps` runs a network, so PyTorch is imported only where it is used."""
    if name == "ClassMaps":
        from nin_lib.widgets.class_maps import ClassMaps

        return ClassMaps
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
