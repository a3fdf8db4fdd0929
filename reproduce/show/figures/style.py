"""How every figure looks: sizes, and colours with line styles, markers and hatches."""

from typing import Any, NamedTuple

from matplotlib.patheffects import Normal, Stroke

WIDTHS = {1: 6.6, 2: 4.8, 3: 3.8}
"""Inches for a part, by how many stand side by side."""

TITLE, SMALL = 11, 8
"""Points of a figure's title, and of its small print."""

LETTERS = 14
"""Of small print to an inch of a part's width, which its vertical axis takes a share of."""

LOOK: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
    "pdf.fonttype": 42,  # TrueType: what publishers accept
    "svg.hashsalt": "fun",  # else matplotlib names parts of an SVG at random
}


class Style(NamedTuple):
    """How a row is drawn: what colour does not tell in grey, or to the colour-blind, the rest does."""

    color: str
    line: Any
    marker: str
    hatch: str

    @property
    def stroke(self) -> dict[str, Any]:
        """Colour and line style, as arguments of `Axes.plot`."""
        return {"color": self.color, "linestyle": self.line}


# Okabe and Ito's colours, which the colour-blind can tell apart. Their yellow is too pale for a line: a brown for it.
STYLES = (
    Style("#0072B2", "-", "o", ""),
    Style("#D55E00", (0, (5, 1.5)), "s", "////"),
    Style("#009E73", (0, (6, 1.5, 1, 1.5)), "^", "...."),
    Style("#000000", (0, (1, 1.2)), "D", "xxxx"),
    Style("#CC79A7", (0, (10, 2)), "v", "----"),
    Style("#E69F00", (0, (4, 1.2, 1, 1.2, 1, 1.2)), "P", "++++"),
    Style("#56B4E9", (0, (2, 1)), "X", "oooo"),
    Style("#7A4A1E", (0, (8, 1.5, 2, 1.5)), "p", "OOOO"),
)


def look(number: int) -> Style:
    """The style of row `number` (from 0): when the colours are used up they return with other markers and hatches."""
    style, other = STYLES[number % len(STYLES)], STYLES[(number + number // len(STYLES)) % len(STYLES)]
    return style._replace(marker=other.marker, hatch=other.hatch)


BEHIND: dict[str, Any] = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
"""The ground of text over lines."""

SINGLE: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.4}
"""A line of a single run."""

MEAN: dict[str, Any] = {"linewidth": 2.2, "path_effects": [Stroke(linewidth=3.4, foreground="white"), Normal()]}
"""A line that is a mean over runs, set off from the runs behind it."""
