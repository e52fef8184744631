"""Instruments for a notebook: one Python file and one JavaScript file each."""

try:
    import anywidget as _anywidget  # noqa: F401  only to say clearly that it is missing
except ImportError as missing:
    raise ImportError(
        "the widgets need anywidget (pip install anywidget); everything else works without it: "
        "training reports through nin_lib.watch.ProgressBar() or nin_lib.watch.Lines()"
    ) from missing

from nin_lib.widgets.live_curves import LiveCurves

__all__ = ["LiveCurves"]
