"""What every kind of figure shares: a part per model or task side by side, what is missing, the legend, the files."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from textwrap import wrap
from typing import Any, ClassVar, Generic, TypeVar

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fun.errors import FunError
from fun.registry import Registry
from fun.results import Record
from reproduce.declare.figures import Figure as Declared
from reproduce.declare.figures import Part
from reproduce.declare.parts import Run
from reproduce.numbers.cells import notes_on
from reproduce.runs.store import Done, Results
from reproduce.show.figures import style

F = TypeVar("F", bound=Declared)

DRAWINGS = Registry("figures", by="kind")
"""How each kind of declared figure is drawn, by the kind's name."""


@dataclass(frozen=True)
class Row:
    """A way of training in one part: for each declared replicate its run, None where none serves the figure.

    A mean over a row is drawn only where `complete`; what is there of an incomplete one is drawn run by run.
    """

    label: str
    runs: tuple[Done | None, ...]

    @property
    def done(self) -> tuple[Done, ...]:
        return tuple(run for run in self.runs if run is not None)

    @property
    def complete(self) -> bool:
        return None not in self.runs


class Drawing(ABC, Generic[F]):
    """A figure of one kind, from what was found of its runs.

    What is complete is drawn and what is missing is named; there is no mean over a part of the declared runs.
    """

    heights: ClassVar[tuple[float, ...]] = (2.6,)
    """Inches of the axes of a part, from top to bottom."""

    partly: ClassVar[bool] = False
    """Whether a run that lacks something, as a language of one test set, is drawn all the same."""

    def __init__(self, figure: F, results: Results) -> None:
        self.figure, self.paper, self.results = figure, figure.paper, results
        self.looks = {row: style.look(number) for number, row in enumerate(self.figure.rows)}

    @abstractmethod
    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        """Draw a part into its axes, from top to bottom."""

    @property
    @abstractmethod
    def axis(self) -> str:
        """What the vertical axis shows; asked when all parts are drawn. `{name}` is an attribute, as in `reading`."""

    @property
    @abstractmethod
    def reading(self) -> str:
        """How to read the figure, above its legend."""

    def handles(self) -> list[Artist]:
        """The legend's entries."""
        return []

    def draw(self) -> Figure:
        """The figure; what it mixes, and marked records, are named in its title."""
        sheet, axes, columns = self._sheet()
        for levels, part in zip(axes, self.figure.parts.values(), strict=True):
            self.draw_part(levels, part)
            for level in levels:
                if not level.has_data():  # ticks would be made up
                    level.set(yscale="linear", xticks=[], yticks=[])
        for top, *_ in axes[::columns]:  # said once for each line of parts
            top.set_ylabel(self.axis.format(**vars(self)))
        handles = self.handles()
        in_line = len(handles) if len(handles) <= 4 else ceil(len(handles) / 2)
        place: dict[str, Any] = {"loc": "outside lower center", "ncols": max(in_line, 1), "frameon": False}
        sheet.legend(handles=handles, **place, title=self.reading.format(**vars(self)), title_fontsize=style.SMALL)
        if notes := notes_on(self.served):
            sheet.suptitle(f"{self.figure.title}\n({'; '.join(notes)})", fontsize=style.TITLE)
        return sheet

    def _sheet(self) -> tuple[Figure, list[list[Axes]], int]:
        """An empty figure, each part's axes from top to bottom, and how many parts, up to three, are side by side."""
        levels, lines = len(self.heights), ceil(len(self.figure.parts) / max(style.WIDTHS))
        columns = ceil(len(self.figure.parts) / lines)
        size = style.WIDTHS[columns] * columns, lines * sum(self.heights) + 1.0
        sheet = Figure(figsize=size, layout="constrained")
        grid = sheet.add_gridspec(lines * levels, columns, height_ratios=list(self.heights) * lines)
        sheet.suptitle(self.figure.title, fontsize=style.TITLE)
        axes = []
        for number, part in enumerate(self.figure.parts.values()):
            line, column = divmod(number, columns)
            axes.append([sheet.add_subplot(grid[line * levels + level, column]) for level in range(levels)])
            axes[-1][0].set_title(part.label)
        return sheet, axes, columns

    def serving(self, run: Run) -> Done | None:
        """A run if it is drawn."""
        result = self.results[run]
        return result if isinstance(result, Done) and (self.partly or not result.lacks) else None

    @property
    def served(self) -> list[Record]:
        """The records that are drawn."""
        return [run.record for run in map(self.serving, self.results) if run is not None]

    def rows(self, part: Part) -> dict[str, Row]:
        """The rows of a part whose runs are those of its first data set."""
        dataset = self.paper.datasets[part.datasets[0]]
        return {
            name: Row(row.label, tuple(map(self.serving, self.figure.runs(part, name, dataset))))
            for name, row in self.figure.rows.items()
        }


def say(part: Axes, text: str) -> None:
    """Small print between a part and its title: what is missing from it."""
    figure, place = part.get_figure(root=True), part.get_subplotspec()
    assert figure is not None
    assert place is not None
    lines = wrap(text, int(style.LETTERS * figure.get_figwidth() / place.get_gridspec().ncols))
    part.text(0.5, 1.02, "\n".join(lines), transform=part.transAxes, ha="center", va="bottom", fontsize=style.SMALL)
    part.set_title(part.get_title(), pad=(0.8 + 1.2 * len(lines)) * style.SMALL)


def say_missing(part: Axes, rows: Mapping[str, Row]) -> None:
    """Name the rows that lack runs in a part; nothing where all are complete."""
    lacking = [f"{row.label} {len(row.done)}/{len(row.runs)}" for row in rows.values() if not row.complete]
    if not any(row.done for row in rows.values()):
        say(part, f"none of {sum(len(row.runs) for row in rows.values())} runs yet")
    elif lacking:
        say(part, f"{', '.join(lacking)} runs: no mean")


def drawing(target: Declared, results: Results) -> Drawing[Any]:
    """How a figure is drawn from what was found of its runs."""
    drawn: Drawing[Any] = DRAWINGS[target.kind](target, results)
    return drawn


def write(target: Declared, results: Results, folder: Path) -> list[Path]:
    """Draw a target's figure into `folder` as PNG and PDF, with the same bytes each time; return the files written.

    Raises FunError where no run of the figure is there.
    """
    figure = drawing(target, results)
    if not figure.served:
        raise FunError(f"{target.name} has nothing to draw: none of its {len(results)} runs is there.")
    folder.mkdir(parents=True, exist_ok=True)
    undated = {folder / f"{target.stem}.png": "Software", folder / f"{target.stem}.pdf": "CreationDate"}
    with matplotlib.rc_context(style.LOOK):
        sheet = figure.draw()
        for file, field in undated.items():
            sheet.savefig(file, dpi=150, metadata={field: None})
    return list(undated)
