"""Make _static/chapter-math.woff, the font of the formulas, from TeX Gyre Termes Math.

    python book/math_font.py texgyretermes-math.otf    # Debian has it in fonts-texgyre-math

Browsers stretch brackets and sums only with a font that has mathematical tables, and not every
machine has one. This keeps the characters a chapter needs, about a tenth of the font, and renames
it, as the GUST Font License asks of a changed copy. fontTools comes with matplotlib.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

NAME = "Chapter Math"
TARGET = Path(__file__).parent / "_static" / "chapter-math.woff"
CHARACTERS = """
    20-7E A0 AC B0 B1 B7 D7 F7 131 237 2016 2026 2032-2034 203E 2044 2061-2064
    300-30C 338 20D7 391-3A9 3B1-3C9 3D1 3D5 3F5
    2102 210E 2113 2115 211A 211D 2124
    2190-2195 21A6 21D0-21D4 2200-220C 220F 2211-221E 2223-222C 2248 2260-226B 2282-2287
    2295-2299 22C5 22EE-22F1 2308-230B 23B4 23B5 23DE 23DF 27E8 27E9 2A7D 2A7E
    1D400-1D467 1D49C-1D4CF 1D538-1D56B 1D6A4-1D6A8 1D6FC-1D71B 1D7CE-1D7D7
"""  # text, accents and Greek; sets; arrows and operators; bold, italic, script, double-struck


def unicodes(text: str) -> list[int]:
    """Expand hexadecimal characters and ranges such as `41-5A 2026`."""
    points: list[int] = []
    for part in text.split():
        first, _, last = part.partition("-")
        points += range(int(first, 16), int(last or first, 16) + 1)
    return points


def rename(font: TTFont) -> None:
    """Give the font its new name, and keep the copyright and licence entries."""
    for record in font["name"].names:
        if record.nameID in (1, 3, 4, 16):
            record.string = NAME
        elif record.nameID == 6:
            record.string = NAME.replace(" ", "")
    if "CFF " in font:
        font["CFF "].cff.fontNames = [NAME.replace(" ", "")]


def main(source: str) -> None:
    options = subset.Options(flavor="woff", layout_features=["ssty"], name_IDs=["*"])
    options.drop_tables += ["FFTM"]
    font = subset.load_font(source, options)
    maker = subset.Subsetter(options)
    maker.populate(unicodes=unicodes(CHARACTERS))
    maker.subset(font)
    rename(font)
    subset.save_font(font, str(TARGET), options)
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
