"""Write the book's page on speed, and its chart, from results/: `python benchmarks/page.py`.

The text is page.md; the figures in it come from what is stored, and nothing is measured. What the
sentences claim is checked by tests/project/test_benchmarks.py.
"""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import runs
import same_learning
import training

RESULTS = Path(__file__).parent / "results"
BOOK = Path(__file__).resolve().parents[1] / "book"
TEXT = Path(__file__).with_suffix(".md")
PAGE = BOOK / "benchmarks.md"
CHARTS = {theme: BOOK / "_static" / f"training-speed-{theme}.svg" for theme in ("light", "dark")}


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    for theme, file in CHARTS.items():
        file.write_text(chart(read("training"), theme), encoding="utf-8", newline="\n")


def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


# ── The page ─────────────────────────────────────────────────────────────────────────────────────


def page() -> str:
    new, old, amx = read("training"), read("training-AVX2"), read("training-AMX")
    others = [record for name, record in new["peers"].items() if name != "ours"]
    return TEXT.read_text(encoding="utf-8").format(
        alt=alt(new),
        peers=len(others),
        slower=len(others) - len(faster(new)),
        faster=and_faster(new),
        memory=in_memory(new),
        old_ratio=f"{end_to_end(old, 'ours', training.BASE):.2f}",
        **conditions(new["about"]),
        versions=versions(new["peers"].values()),
        figures=figures(new),
        ratios=ratios(new),
        old_figures=figures(old),
        amx_ratio=f"{end_to_end(amx, 'ours', training.BASE):.2f}",
        amx_keras=f"{end_to_end(amx, 'ours', 'keras-fast'):.2f}",
        amx_date=amx["about"]["date"][:10],
        amx_rounds=amx["about"]["rounds"],
        amx_figures=figures(amx),
        amx_halved=f"{step(amx, 'pytorch-fast', 'pytorch-channels-last'):.2f}",
        **profile(),
        layout=f"{step(new, 'pytorch-channels-last', 'pytorch'):.2f}",
        kept=f"{step(new, 'ours', 'pytorch-channels-last'):.2f}",
        halved=f"{step(new, 'pytorch-fast', 'pytorch-channels-last'):.2f}",
        **learning(),
    )


def label(name: str) -> str:
    return training.CONTENDERS[name].label


def plain(name: str) -> str:
    """The label without markdown."""
    return re.sub(r"[*`]", "", label(name))


def end_to_end(results: dict[str, Any], name: str, base: str) -> Any:
    """How many times as fast as `base`, end to end."""
    return training.ratio(results["peers"][name], results["peers"][base], "end_to_end")


def step(results: dict[str, Any], name: str, base: str) -> Any:
    """The same of the step alone."""
    return training.ratio(results["peers"][name], results["peers"][base], "step")


def faster(results: dict[str, Any]) -> dict[str, float]:
    """Who is faster than ours, and how many times."""
    times = {name: end_to_end(results, name, "ours") for name in results["peers"]}
    return {name: value for name, value in times.items() if value > 1}


def and_faster(results: dict[str, Any]) -> str:
    times = faster(results).items()
    named = [f"{label(name)} is {value:.2f} times as fast" for name, value in times]
    return "; ".join(named) if named else "None is faster"


def in_memory(results: dict[str, Any]) -> str:
    """How our peak of memory stands among the others'."""
    peaks = {name: record["medians"]["peak_mb"] for name, record in results["peers"].items()}
    less = [name for name in peaks if peaks[name] < peaks["ours"]]
    return (
        f"In memory ours is not the best either: {len(less)} of them need less, d2l's `train_ch6` "
        f"{100 * (1 - peaks[training.BASE] / peaks['ours']):.0f} % less (its worker processes not "
        "counted)."
    )


def conditions(about: dict[str, Any]) -> dict[str, Any]:
    """What the page says of the machine and the settings."""
    machine = about["hardware"]
    names = dict(
        avx2="AVX2", avx512f="AVX-512", avx512_bf16="AVX-512 with bf16 instructions", amx_bf16="AMX"
    )
    there = {text: machine["flags"][flag] for flag, text in names.items()}
    return dict(
        images=f"{about['images']:,}",
        batch_size=about["batch_size"],
        rounds=about["rounds"],
        threads=about["threads"],
        processor=machine["processor"].replace("(R)", ""),
        cores=machine["cores"],
        memory_gb=f"{machine['memory_gb']:.0f}",
        system=machine["system"].replace("_", "-"),
        has=", ".join(text for text, has in there.items() if has),
        has_not=", ".join(text for text, has in there.items() if not has) or "none",
        date=about["date"][:10],
    )


def versions(records: Any) -> str:
    found = {name: number for record in records for name, number in record["versions"].items()}
    found.pop("nin-lib", None)
    return ", ".join(f"{name} {number}" for name, number in found.items())


def figures(results: dict[str, Any]) -> str:
    lines = ["| how | step alone | loader alone | end to end | lowest | highest | peak MB |"]
    lines += ["|---|--:|--:|--:|--:|--:|--:|"]
    for name, record in results["peers"].items():
        middle = record["medians"]
        low, high = span(record)
        lines.append(
            f"| {label(name)} | {middle['step']:.1f} | {middle['loader']:,.0f} "
            f"| {middle['end_to_end']:.1f} | {low:.1f} | {high:.1f} | {middle['peak_mb']:,.0f} |"
        )
    return "\n".join(lines)


def span(record: dict[str, Any]) -> tuple[float, float]:
    """The lowest and the highest round, end to end."""
    speeds = [row["end_to_end"]["images_per_second"] for row in record["rounds"]]
    return min(speeds), max(speeds)


def ratios(results: dict[str, Any]) -> str:
    base = results["peers"][training.BASE]
    lines = ["| how | step alone | loader alone | end to end | peak memory |"]
    lines += ["|---|--:|--:|--:|--:|"]
    lines += [training.ratios_row(name, record, base) for name, record in results["peers"].items()]
    return "\n".join(lines)


PARTS = dict(
    convolutions=("aten::convolution_backward", "aten::mkldnn_convolution"),
    backward=("aten::convolution_backward",),
    relu=("aten::clamp_min", "aten::threshold_backward"),
    pooling=("aten::max_pool2d_with_indices", "aten::max_pool2d_with_indices_backward"),
    enlarging=("aten::upsample_bilinear2d",),
)


def profile() -> dict[str, str]:
    """Shares of the step's time, from the table that PyTorch's profiler printed."""
    text = (RESULTS / "profile_step.txt").read_text(encoding="utf-8")
    rows = re.findall(r"^ *(\S+) +([\d.]+)% +\S+ +([\d.]+)%", text, re.MULTILINE)
    own = {name: float(share) for name, share, _ in rows}
    shares = {part: sum(own[name] for name in names) for part, names in PARTS.items()}
    shares["optimiser"] = sum(float(total) for name, _, total in rows if "Optimizer" in name)
    return {part: f"{share:.{0 if share > 10 else 1}f} %" for part, share in shares.items()}


def learning() -> dict[str, str]:
    """The table of same_learning.py, and how far apart its last epochs are."""
    rows = runs.stored(same_learning.RESULTS)
    ways: dict[str, list[float]] = {row["way"]: [] for row in rows}
    for row in rows:
        ways[row["way"]].append(100 * row["val_accuracy"][-1])
    medians = [statistics.median(ends) for ends in ways.values()]
    scatter = min(max(ends) - min(ends) for ends in ways.values())
    return dict(
        seeds=str(len({row["seed"] for row in rows})),
        learning=same_learning.table(rows),
        apart=f"{max(medians) - min(medians):.1f}",
        scatter=f"{scatter:.1f}",
    )


# ── The chart ────────────────────────────────────────────────────────────────────────────────────

# A file for each theme of the book. Ours differs in shade and in weight, so that the chart can be
# read in grey.
WIDTH, ROW, TOP, LEFT = 480, 50, 40, 2
COLOURS = dict(
    light=dict(text="#1b1f24", bar="#a9bdd1", ours="#0b4f8a"),
    dark=dict(text="#e6e9ee", bar="#5b6b7d", ours="#8cc8ff"),
)
STYLE = """
  text {{ font: 16px system-ui, sans-serif; fill: {text} }}
  .bar {{ fill: {bar} }}
  .range {{ stroke: {text}; stroke-width: 2 }}
  .bar.ours {{ fill: {ours} }}
  text.ours {{ font-weight: 700 }}
"""


def chart(results: dict[str, Any], theme: str) -> str:
    """Bars of images per second end to end, the fastest first, with the range of the rounds."""
    peers = results["peers"]
    names = sorted(peers, key=lambda name: -peers[name]["medians"]["end_to_end"])
    longest = max(span(record)[1] for record in peers.values())
    scale = (WIDTH - LEFT - 132) / longest  # the figures stand at the ends of the bars
    height = TOP + ROW * len(names)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}">',
            f"<style>{STYLE.format(**COLOURS[theme])}</style>",
            f'<text x="{LEFT}" y="24">Images per second, end to end</text>',
            *(
                bar(name, peers[name], end_to_end(results, name, training.BASE), scale, number)
                for number, name in enumerate(names)
            ),
            "</svg>\n",
        ]
    )


def bar(name: str, record: dict[str, Any], ratio: float, scale: float, number: int) -> str:
    """Name, bar, the range as a thin line below it, and the figures."""
    y, ours = TOP + ROW * number, " ours" if name == "ours" else ""
    speed = record["medians"]["end_to_end"]
    low, high = (LEFT + scale * value for value in span(record))
    return (
        f'<text class="label{ours}" x="{LEFT}" y="{y + 14}">{escape(plain(name))}</text>\n'
        f'<rect class="bar{ours}" x="{LEFT}" y="{y + 21}" width="{scale * speed:.1f}" height="12"/>'
        f'<path class="range" d="M{low:.1f} {y + 35.5}H{high:.1f}"/>'
        f'<text class="figure{ours}" x="{high + 8:.1f}" y="{y + 34}">{speed:.1f} '
        f"({ratio:.2f}\u2009×)</text>"
    )


def alt(results: dict[str, Any]) -> str:
    """What the chart shows, in words."""
    peers = results["peers"]
    names = sorted(peers, key=lambda name: -peers[name]["medians"]["end_to_end"])
    speeds = (f"{plain(name)} {peers[name]['medians']['end_to_end']:.1f}" for name in names)
    return f"Bar chart of images per second, end to end: {'; '.join(speeds)}."


if __name__ == "__main__":
    main()
