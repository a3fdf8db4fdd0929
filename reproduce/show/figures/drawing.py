"""What every kind of figure shares: a part per model or task side by side, what is missing, the legend, the files."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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
        """What the vertical axis shows; asked when all parts are drawn."""

    @property
    @abstractmethod
    def reading(self) -> str:
        """How to read the figure, above its legend."""

    def handles(self) -> list[Artist]:
        """The legend's entries."""
        return []

    def draw(self) -> Figure:
        """The figure; what it mixes, and marked records, are named in its title."""
        parts = self.figure.parts.values()
        sheet, axes = style.sheet(self.figure.title, [part.label for part in parts], self.heights)
        for levels, part in zip(axes, parts, strict=True):
            self.draw_part(levels, part)
            for level in levels:
                if not level.has_data():  # ticks would be made up
                    level.set(yscale="linear", xticks=[], yticks=[])
        for top, *_ in axes:
            place = top.get_subplotspec()
            if place is not None and place.is_first_col():  # said once for each line of parts
                top.set_ylabel(self.axis)
        style.legend(sheet, self.handles(), self.reading)
        if notes := notes_on(self.served):
            sheet.suptitle(f"{self.figure.title}\n({'; '.join(notes)})", fontsize=style.TITLE)
        return sheet

    @property
    def served(self) -> list[Record]:
        """The records that are drawn."""
        done = (result for result in self.results.values() if isinstance(result, Done))
        return [run.record for run in done if self.partly or not run.lacks]

    def rows(self, part: Part) -> dict[str, Row]:
        """The rows of a part whose runs are those of its first data set."""
        dataset, rows = self.paper.datasets[part.datasets[0]], {}
        for name, row in self.figure.rows.items():
            results = (self.results[run] for run in self.figure.runs(part, name, dataset))
            serving = (result if isinstance(result, Done) and not result.lacks else None for result in results)
            rows[name] = Row(row.label, tuple(serving))
        return rows


def say_missing(part: Axes, rows: Mapping[str, Row]) -> None:
    """Name the rows that lack runs in a part; nothing where all are complete."""
    lacking = [f"{row.label} {len(row.done)}/{len(row.runs)}" for row in rows.values() if not row.complete]
    if not any(row.done for row in rows.values()):
        style.say(part, f"none of {sum(len(row.runs) for row in rows.values())} runs yet")
    elif lacking:
        style.say(part, f"{', '.join(lacking)} runs: no mean")


def drawing(target: Declared, results: Results) -> Drawing[Any]:
    """How a figure is drawn from what was found of its runs."""
    drawn: Drawing[Any] = DRAWINGS[target.kind](target, results)
    return drawn


def write(target: Declared, results: Results, folder: Path) -> list[Path]:
    """Draw a target's figure into `folder`, with the same bytes each time; return the files written.

    Raises FunError where no run of the figure is there.
    """
    figure = drawing(target, results)
    if not figure.served:
        raise FunError(f"{target.name} has nothing to draw: none of its {len(results)} runs is there.")
    with matplotlib.rc_context(style.LOOK):
        return style.save(figure.draw(), folder / target.stem)
