"""How every figure looks: colours with line styles, markers and hatches; the sheet; what is missing; the files."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
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


def sheet(title: str, labels: Sequence[str], heights: Sequence[float]) -> tuple[Figure, list[list[Axes]]]:
    """An empty figure, and for each labelled part its axes from top to bottom, as high as `heights` in inches.

    At most three parts stand side by side.
    """
    lines = ceil(len(labels) / max(WIDTHS))
    columns = ceil(len(labels) / lines)
    levels = len(heights)
    figure = Figure(figsize=(WIDTHS[columns] * columns, lines * sum(heights) + 1.0), layout="constrained")
    grid = figure.add_gridspec(lines * levels, columns, height_ratios=list(heights) * lines)
    figure.suptitle(title, fontsize=TITLE)
    axes = []
    for part, label in enumerate(labels):
        line, column = divmod(part, columns)
        axes.append([figure.add_subplot(grid[line * levels + level, column]) for level in range(levels)])
        axes[-1][0].set_title(label)
    return figure, axes


def legend(figure: Figure, handles: Sequence[Artist], title: str) -> None:
    """One legend for all parts, below them, in one line or two; `title` says how to read them."""
    columns = len(handles) if len(handles) <= 4 else ceil(len(handles) / 2)
    place: dict[str, Any] = {"loc": "outside lower center", "ncols": max(columns, 1), "frameon": False}
    figure.legend(handles=handles, **place, title=title, title_fontsize=SMALL)


def say(part: Axes, text: str) -> None:
    """Small print between a part and its title: what is missing from it."""
    figure, place = part.get_figure(root=True), part.get_subplotspec()
    assert figure is not None
    assert place is not None
    lines = wrap(text, int(LETTERS * figure.get_figwidth() / place.get_gridspec().ncols))
    part.text(0.5, 1.02, "\n".join(lines), transform=part.transAxes, ha="center", va="bottom", fontsize=SMALL)
    part.set_title(part.get_title(), pad=(0.8 + 1.2 * len(lines)) * SMALL)


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write the figure as PNG and PDF, with the same bytes each time, and return the files."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix, undated in (("png", "Software"), ("pdf", "CreationDate")):
        path = stem.with_name(f"{stem.name}.{suffix}")
        figure.savefig(path, dpi=150, metadata={undated: None})
        written.append(path)
    return written
