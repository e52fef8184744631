"""What all widgets share: the element, its state, the static view, the frame.

A widget has two dictionaries that travel to the page: `config`, which Python alone writes, and
`state`, which the reader's hands and Python both change. When shown, it gives three things: the
live view, an HTML element that the book's pages bring to life without a kernel and that holds a
readable static view, and a text for terminals and for tests.
"""

from __future__ import annotations

import base64
import html
import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from IPython import get_ipython

try:
    from anywidget import AnyWidget
except ImportError:
    warnings.warn(
        "anywidget is not installed, so widgets show their static views: pip install anywidget",
        stacklevel=2,
    )

    class AnyWidget(traitlets.HasTraits):  # type: ignore[no-redef]
        """Replaces anywidget's class: nothing is live, and the static view is shown."""

        comm = None

        def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
            return {}


FOLDER = Path(__file__).parent
# The widgets whose JavaScript has further files, which go between base.js and the widget's own.
PARTS = {"live_curves": ("live_curves_draw",), "shape_flow": ("shape_flow_sums",)}


def delivered(name: str) -> str:
    """Return the JavaScript of the widget `name` as a page gets it: one module, base.js first."""
    files = ("base", *PARTS.get(name, ()), name)
    return "\n".join((FOLDER / f"{file}.js").read_text(encoding="utf-8") for file in files)


@dataclass(frozen=True)
class Choice:
    """One answer to a question, and why it is right or wrong: shown once the reader committed."""

    say: str
    right: bool
    why: str


@dataclass(frozen=True)
class Question:
    """A prediction that the reader commits to before the widget answers."""

    ask: str
    choices: tuple[Choice, ...]


class Widget(AnyWidget):
    """Base of the widgets. A subclass sets `name`, and gives `to_text()` and `static_view()`.

    `name`: of its JavaScript file, and with dashes of its element: ``shape_flow``,
    ``<nin-shape-flow>``.
    """

    name = ""
    config = traitlets.Dict().tag(sync=True)  # replaced, never changed in place
    state = traitlets.Dict().tag(sync=True)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "name" in cls.__dict__:  # traitlets makes further classes on the way
            cls._esm = delivered(cls.name)
        super().__init_subclass__(**kwargs)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        if self.comm is not None:
            close_forerunners(self)

    def to_text(self) -> str:
        """Return what a terminal shows, and nbval compares."""
        raise NotImplementedError

    def static_view(self) -> str:
        """HTML that is readable without JavaScript."""
        raise NotImplementedError

    def to_html(self) -> str:
        """Return the element that a page brings to life without a kernel, with its static view."""
        tag = "nin-" + self.name.replace("_", "-")
        config = json.dumps({**self.config, **self.state}, separators=(",", ":"), allow_nan=False)
        quoted = html.escape(config, quote=False).replace("'", "&#39;")  # JSON is full of "
        return f"<{tag} data-config='{quoted}'>{self.static_view()}</{tag}>"

    def change(self, **changes: Any) -> None:
        """Change parts of the state; the page follows."""
        self.state = {**self.state, **changes}

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle: Any = super()._repr_mimebundle_(**kwargs) or {}  # the view, for a live page
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/plain": self.to_text(), "text/html": self.to_html()}, metadata


_by_cell: dict[str, tuple[str, list[Widget]]] = {}


def close_forerunners(widget: Widget) -> None:
    """Close the widgets that an earlier run of the same cell made: their page is gone.

    Else each would stay in the kernel's list of widgets, and in the page's, for good.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    parent = kernel.get_parent("shell") if kernel else {}
    if parent.get("msg_type") != "execute_request":
        return
    cell = parent["metadata"].get("cellId") or parent["content"]["code"]
    execution, made = _by_cell.get(cell, ("", []))
    if execution != parent["msg_id"]:
        for old in made:
            old.layout.close()
            old.close()
        made = []
    _by_cell[cell] = (parent["msg_id"], [*made, widget])


def frame(title: str, question: Question | None, task: str = "") -> dict[str, Any]:
    """Return the part of a `config` that the frame around every widget reads."""
    asked = None if question is None else asdict(question)
    return {"title": title, "question": asked, "task": task}


def static_frame(config: dict[str, Any]) -> str:
    """Title, and question with its answers folded, as HTML; empty for what is not there."""
    parts = []
    if config.get("title"):
        parts.append(f"<p><strong>{html.escape(config['title'])}</strong></p>")
    if config.get("question"):
        question = config["question"]
        parts.append(f"<p>Predict: {html.escape(question['ask'])}</p><ul>")
        parts += [f"<li>{html.escape(choice['say'])}</li>" for choice in question["choices"]]
        parts.append("</ul><details><summary>the answer</summary><ul>")
        for choice in question["choices"]:
            verdict = "right" if choice["right"] else "not so"
            words = f"{choice['say'].rstrip('.')}: {verdict}. {choice['why']}"
            parts.append(f"<li>{html.escape(words)}</li>")
        parts.append("</ul></details>")
    return "".join(parts)


def packed(array: np.ndarray) -> dict[str, Any]:
    """Pack an array as signed 8-bit integers with one scale: value = scale · integer.

    The error of a number is at most half the scale, which is the largest magnitude / 127.
    """
    array = np.asarray(array, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("array must hold finite numbers only, got some that are not")
    scale = float(np.abs(array).max(initial=0.0)) / 127 or 1.0
    numbers = np.rint(array / scale).astype(np.int8)
    data = base64.b64encode(numbers.tobytes()).decode("ascii")
    return {"shape": list(array.shape), "scale": float(f"{scale:.6g}"), "data": data}


def unpacked(data: dict[str, Any]) -> np.ndarray:
    """Invert `packed`, as far as 8 bits go: what the page computes with."""
    numbers = np.frombuffer(base64.b64decode(data["data"]), dtype=np.int8)
    return numbers.reshape(data["shape"]) * data["scale"]
