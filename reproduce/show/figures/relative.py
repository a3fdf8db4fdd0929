"""Transfer relative to full fine-tuning (FUN, Figure 2)."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reproduce.declare.figures import Part, Relative
from reproduce.declare.parts import Dataset
from reproduce.declare.tables import AVERAGE
from reproduce.numbers.cells import Statistic, record_of
from reproduce.numbers.curves import transfer
from reproduce.runs.store import Results
from reproduce.show.figures import style
from reproduce.show.figures.drawing import DRAWINGS, Drawing
from reproduce.show.figures.style import Style

BARS = 0.84
"""The width of a test set's bars together, where test sets stand 1 apart."""

ASIDE = 0.2
"""How far runs stand left, and published numbers right, of the middle of a bar, in its width."""

RUN: dict[str, Any] = {"marker": ".", "markersize": 6, "mfc": "black", "mec": "white", "mew": 0.5, "linestyle": ""}

PUBLISHED: dict[str, Any] = {"marker": "D", "markersize": 5, "mfc": "white", "mec": "black", "linestyle": ""}


@DRAWINGS.register("relative")
class RelativeDrawing(Drawing[Relative]):
    """A part per model, a group of bars per test set: a row's mean transfer minus the reference's, in points.

    Each run is a dot, the published difference a diamond, the reference's sample std a band about zero. Where
    a run of the row is missing there is no bar, where one of the reference is there is nothing to draw: `n/N`
    stands there instead.
    """

    heights = (3.2,)
    partly = True

    def __init__(self, figure: Relative, results: Results) -> None:
        super().__init__(figure, results)
        compared = [row for row in self.figure.rows if row != self.figure.reference]
        self.looks = {row: style.look(number) for number, row in enumerate(compared)}
        self.reference = self.figure.rows[self.figure.reference].label

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        (level,) = axes
        for place, name in enumerate(part.datasets):
            dataset = self.paper.datasets[name]
            values = {row: self._transfers(part, row, dataset) for row in self.figure.rows}
            self._draw_dataset(level, place, values, self._printed(part, dataset))
        if not level.has_data():
            level.set(ylim=(-1, 1), yticks=[])  # zero in the middle
        level.margins(y=0.15)
        level.axhline(0, color="black", linewidth=0.8)
        level.set_xlim(-0.5, len(part.datasets) - 0.5)
        level.set_xticks(range(len(part.datasets)), [self.paper.datasets[name].label for name in part.datasets])
        level.tick_params(axis="x", length=0)

    @property
    def axis(self) -> str:
        return f"points above {self.reference}\n(average over target languages)"

    @property
    def reading(self) -> str:
        return f"bar: mean over all {self.figure.runs_of_a_mean}; n/N in place of one: runs are missing"

    def handles(self) -> list[Artist]:
        bars = [Patch(**_fill(look), label=self.figure.rows[row].label) for row, look in self.looks.items()]
        run = Line2D([], [], **RUN, label="one run")
        spread = Patch(color="0.87", label=f"± sample std of {self.reference}")
        published = [Line2D([], [], **PUBLISHED, label="published")] if self.figure.published else []
        return [*bars, run, spread, *published]

    def _transfers(self, part: Part, row: str, dataset: Dataset) -> Statistic:
        """One value per run; a run without a language of this test set has none here, whatever it has of others."""
        records = (record_of(self.results, run) for run in self.figure.runs(part, row, dataset))
        return Statistic(tuple(None if record is None else transfer(record, dataset) for record in records))

    def _printed(self, part: Part, dataset: Dataset) -> dict[str, float]:
        """The published averages of a test set by row, as far as they are printed."""
        measured = {**dataset.printed(dataset.main_metric), "language": AVERAGE.printed(dataset)}
        numbers = {
            name: self.paper.published.number({**self.figure.published, **part.published, **row.published, **measured})
            for name, row in self.figure.rows.items()
        }
        return {name: float(number.mean) for name, number in numbers.items() if number is not None}

    def _draw_dataset(
        self, level: Axes, place: int, values: Mapping[str, Statistic], printed: Mapping[str, float]
    ) -> None:
        reference = self.figure.reference
        zero = values[reference]
        if zero.mean is None:
            top: dict[str, Any] = {"transform": level.get_xaxis_transform(), "ha": "center", "va": "top"}
            text = f"{self.reference}\n{zero.n}/{zero.declared}"
            level.text(place, 0.98, text, **top, fontsize=style.SMALL, bbox=style.BEHIND)
        elif zero.std is not None:
            level.bar(place, 2 * zero.std, BARS, bottom=-zero.std, color="0.87", zorder=0)
        width = BARS / len(self.looks)
        for index, (row, look) in enumerate(self.looks.items()):
            middle = place - BARS / 2 + (index + 0.5) * width
            _draw_row(level, middle, width, values[row], zero.mean, look)
            if row in printed and reference in printed:
                level.plot(middle + ASIDE * width, printed[row] - printed[reference], **PUBLISHED, zorder=4)


def _draw_row(level: Axes, middle: float, width: float, values: Statistic, zero: float | None, look: Style) -> None:
    mean = values.mean
    if mean is None:
        lacking: dict[str, Any] = {"rotation": 90, "ha": "center", "va": "center"}
        level.text(middle, 0, f"{values.n}/{values.declared}", **lacking, fontsize=style.SMALL, bbox=style.BEHIND)
    if zero is None:
        return
    if mean is not None:
        level.bar(middle, mean - zero, width, **_fill(look))
    level.plot([middle - ASIDE * width] * values.n, [value - zero for value in values.present], **RUN, zorder=3)


def _fill(look: Style) -> dict[str, Any]:
    return {"facecolor": look.color, "hatch": look.hatch, "edgecolor": "white", "linewidth": 0}
