"""The curves without JavaScript: tables as text or HTML, and a picture as SVG.

Pure functions of points and rows, for saved notebooks and printed pages.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from nin_lib import tables
from nin_lib.history import COLUMNS

Points = list[tuple[float, float | None]]  # (epoch, value); None where the value was not finite
Row = dict[str, float]  # one line of the table: the keys of COLUMNS, some may be missing

WORDS = {
    "train_loss": "training loss",
    "train_accuracy": "training accuracy",
    "val_loss": "held-out loss",
    "val_accuracy": "held-out accuracy",
}
HEADINGS = ("epoch", *WORDS.values())
PANELS = {"loss": ("train_loss", "val_loss"), "accuracy": ("train_accuracy", "val_accuracy")}
# A blue and the vermilion of the Okabe-Ito palette, both readable on white and on black; dashes
# and dots distinguish them in grey too.
STYLES = (
    ("training", 'stroke="#2383C4" fill="none" stroke-width="2" stroke-linecap="round"'),
    ("held-out", 'stroke="#D55E00" fill="none" stroke-width="2" stroke-dasharray="6 4"'),
)
# A run that another one is compared with: pale, thin, and marked with a letter at its end.
PALE = 'stroke="#808890" fill="none" stroke-width="1.2"'
MARKS = "abcd"
# Text, and the card behind it: always set together, so that it is readable anywhere.
THEME = (
    "<style>svg{color:#1f2328;background:#fff}@media(prefers-color-scheme:dark)"
    "{svg{color:#e6e6e6;background:#16181c}}</style>"
)
WIDTH, LEFT, RIGHT, HEIGHT, GAP = 520, 44, 506, 130, 56  # of the picture; HEIGHT is one panel's


def rows_from(series: dict[str, Points]) -> list[Row]:
    """Rows for points without any: one for each held-out point, else one of the last values."""
    marks = {x for name in ("val_loss", "val_accuracy") for x, _ in series[name]}
    if not marks:
        marks = {max((points[-1][0] for points in series.values() if points), default=0.0)}
    rows = []
    for mark in sorted(marks):
        row = {"epoch": mark}
        for name, points in series.items():
            before = [y for x, y in points if x <= mark]
            if before:
                row[name] = math.nan if before[-1] is None else before[-1]
        rows.append(row)
    return rows if any(series.values()) else []


def cells(rows: Iterable[Row]) -> list[list[str]]:
    """Return the table as text, three digits each; what is missing is a dash."""
    return [
        [f"{row['epoch']:.4g}"] + [f"{row[k]:.3f}" if k in row else "–" for k in COLUMNS[1:]]
        for row in rows
    ]


def text_table(rows: list[Row], limit: int) -> str:
    """Return the last `limit` rows as aligned text."""
    lines = tables.aligned([HEADINGS, *cells(rows[-limit:])]).splitlines()
    if len(rows) > limit:
        lines.insert(1, f"... {len(rows) - limit} rows before")
    return "\n".join(lines)


def html_table(rows: list[Row], limit: int) -> str:
    """Return the last `limit` rows as an HTML table."""
    return tables.html(cells(rows[-limit:]), HEADINGS)


def class_table(names: list[str], lanes: list[Points]) -> str:
    """Return the last share of each class as an HTML table; empty if there is none."""
    if not lanes:
        return ""
    lines = [(name, percent(lane[-1][1])) for name, lane in zip(names, lanes, strict=True)]
    headings = ("class", "its own images with a positive logit")
    return tables.html(lines, headings, named_rows=True)


def percent(share: float | None) -> str:
    """Zero is zero: what is less than a half per cent, and not nothing, is not rounded to it."""
    if share is None:
        return "–"
    return "<1 %" if 0 < share < 0.005 else f"{share:.0%}".replace("%", " %")


def ticks(high: float, low: float = 0.0, count: int = 5) -> list[float]:
    """Return round numbers from `low` (0 or less) to `high` or just beyond, about `count` steps."""
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(m * power for m in (1, 2, 5, 10) if m * power * count >= span * 0.999)
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    return [float(f"{i * step:.10g}") for i in range(first, last + 1)]


def picture(
    series: dict[str, Points],
    epochs: float | None,
    label: str,
    kept: Sequence[dict[str, Points]] = (),
) -> str:
    """Return the curves as an HTML image with the alternative text `label`; pale, the runs `kept`.

    An image with its data in it, and not inline SVG: a notebook that its reader has not yet run is
    not trusted, and there an inline picture is stripped down to a heap of tick labels.
    """
    data = quote(svg(series, epochs, kept), safe="/:;=() ")
    return (
        f'<img alt="{html.escape(label)}" width="{WIDTH + 10}" style="max-width:100%;height:auto" '
        f'src="data:image/svg+xml,{data}">'
    )


def svg(
    series: dict[str, Points], epochs: float | None, kept: Sequence[dict[str, Points]] = ()
) -> str:
    """Two panels, loss above accuracy, as an SVG document."""
    everything = [points for run in (series, *kept) for points in run.values() if points]
    last = max((points[-1][0] for points in everything), default=0.0)
    across = ticks(max(epochs or 0.0, last) or 1.0)
    x_high = max(epochs, last) if epochs else across[-1]
    places = {x: LEFT + x / x_high * (RIGHT - LEFT) for x in across if x <= x_high}
    parts, top = [_legend()], 44
    for title, names in PANELS.items():
        parts.append(f'<text x="0" y="{top - 12}" font-weight="bold">{title}</text>')
        for x, place in places.items():
            parts.append(_text(place, top + HEIGHT + 17, f"{x:g}", "middle"))
        pale = [[run[name] for name in names] for run in kept]
        parts.append(_panel(title, [series[name] for name in names], pale, x_high, top))
        top += HEIGHT + GAP
    parts.append(_text((LEFT + RIGHT) / 2, top - 20, "epoch", "middle"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 0 {WIDTH + 10} {top - 8}" '
        f'width="{WIDTH + 10}" height="{top - 8}" fill="currentColor" font-family="sans-serif" '
        f'font-size="13">{THEME}{"".join(parts)}</svg>'
    )


def _panel(
    title: str, lines: list[Points], pale: list[list[Points]], x_high: float, top: float
) -> str:
    """Grid, curves and dots (of the held-out figures) of one panel; its upper edge is at `top`."""
    everything = [*lines, *(points for run in pale for points in run)]
    finite = [y for points in everything for _, y in points if y is not None]
    low, high = min([*finite, 0.0]), max([*finite, 1.0 if title == "accuracy" else 0.0])
    up = ticks(high if high > low else 1.0, low)
    parts = []

    def height(y: float) -> float:
        return top + HEIGHT * (1 - (y - up[0]) / (up[-1] - up[0]))

    def place(points: Points) -> list[tuple[float, float | None]]:
        return [
            (LEFT + x / x_high * (RIGHT - LEFT), None if y is None else height(y))
            for x, y in points
        ]

    for value in up:
        y = height(value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="currentColor" opacity="0.2"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{value:g}", "end"))
    ends = []
    for mark, run in zip(MARKS, pale, strict=False):
        for points, dashes in zip(run, ("", ' stroke-dasharray="6 4"'), strict=True):
            parts.append(f'<path d="{_path(place(points))}" {PALE}{dashes}/>')
        ends += [(y, x, mark) for x, y in place(run[0] or run[1])[-1:] if y is not None]
    lowest = 0.0
    for y, x, mark in sorted(ends):
        lowest = max(y + 4, lowest + 12)  # one letter below the other
        parts.append(_text(x + 3, lowest, mark, "start"))
    for points, (word, style) in zip(lines, STYLES, strict=True):
        spots = place(points)
        parts.append(f'<path d="{_path(spots)}" {style}/>')
        if word == "held-out" and len(spots) <= 60:
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#D55E00"/>'
                for x, y in spots
                if y is not None
            ]
    return "".join(parts)


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'


def _legend() -> str:
    parts = []
    for i, (word, style) in enumerate(STYLES):
        x = 300 + 104 * i
        parts.append(f'<path d="M{x} 12h28" {style}/><text x="{x + 34}" y="16">{word}</text>')
    return "".join(parts)


def _path(spots: list[tuple[float, float | None]]) -> str:
    """Return an SVG path that lifts its pen where a value is missing; a lone point is a dot."""
    path, pen = "", "M"
    for x, y in spots:
        if y is None:
            pen = "M"
        else:
            path += f"{pen}{x:.1f} {y:.1f}" + ("h0" if pen == "M" else "")
            pen = "L"
    return path


def thin(points: Points, limit: int) -> Points:
    """At most about `limit` / 2 points: neighbours become their means, first and last stay.

    What is merged lies in equal stretches of the axis, so the first epochs keep as much detail as
    the last ones. A gap stays a gap.
    """
    first, *inner, last = points
    width = (last[0] - first[0]) / (limit // 2) or 1.0
    stretches: dict[int, Points] = {}
    for point in inner:
        stretches.setdefault(int((point[0] - first[0]) / width), []).append(point)
    return [first, *map(_mean, stretches.values()), last]


def _mean(points: Points) -> tuple[float, float | None]:
    values = [y for _, y in points if y is not None]
    whole = len(values) == len(points)
    return sum(x for x, _ in points) / len(points), sum(values) / len(values) if whole else None
