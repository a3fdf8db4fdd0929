"""Transfer over a field of the configuration (L2 paper, Figure 1)."""

from collections.abc import Sequence
from math import nan
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fun.results import Record
from reproduce.declare.figures import Curve, Part
from reproduce.declare.parts import Dataset
from reproduce.numbers.cells import Statistic
from reproduce.numbers.curves import transfer
from reproduce.runs.store import value
from reproduce.show.figures import style
from reproduce.show.figures.drawing import DRAWINGS, Drawing, Row, say_missing

RUN: dict[str, Any] = {"marker": ".", "linestyle": "", "color": "0.5", "zorder": 1}


@DRAWINGS.register("curve")
class CurveDrawing(Drawing[Curve]):
    """A part per model and test set: above, transfer relative to the reference's, below, the source language's score.

    Each run is a dot, the mean over all declared runs a mark with the sample std; there is none of an incomplete row.
    """

    heights = (2.6, 2.0)

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        dataset = self.paper.datasets[part.datasets[0]]
        rows = self.rows(part)
        reference = rows[self.figure.reference]
        zero, source = _transfers(reference, dataset), _sources(reference, dataset)
        gains = {name: _relative(_transfers(rows[name], dataset), zero) for name in self.figure.at}
        self._draw(axes[0], gains)
        self._draw(axes[1], {name: _sources(rows[name], dataset) for name in self.figure.at})
        for level, mean in zip(axes, (0.0, source.mean), strict=True):
            if level.has_data() and mean is not None:
                level.axhline(mean, color="black", linewidth=0.8, linestyle="--")
        axes[1].set_xlabel(self.figure.label or self.figure.field)
        axes[1].set_ylabel(f"{dataset.source.title()}, {next(iter(dataset.metrics.values()))}")
        say_missing(axes[0], rows)

    @property
    def axis(self) -> str:
        return f"transfer relative to\n{self.figure.rows[self.figure.reference].label} (percent)"

    @property
    def reading(self) -> str:
        return f"marked: mean ± sample std over {self.figure.runs_of_a_mean}, each relative to the one of its seed"

    def handles(self) -> list[Artist]:
        reference = self.figure.rows[self.figure.reference].label
        return [
            Line2D([], [], **style.look(0).stroke, marker="o", label="mean"),
            Line2D([], [], **RUN, label="one run"),
            Line2D([], [], color="black", linewidth=0.8, linestyle="--", label=reference),
        ]

    def _draw(self, level: Axes, values: dict[str, Statistic]) -> None:
        for name, statistic in values.items():
            level.plot([self.figure.at[name]] * statistic.n, statistic.present, **RUN)
        if any(statistic.mean is not None for statistic in values.values()):
            means = [nan if statistic.mean is None else statistic.mean for statistic in values.values()]  # a gap
            stds = [statistic.std or 0.0 for statistic in values.values()]
            places = [self.figure.at[name] for name in values]
            level.errorbar(places, means, stds, **style.look(0).stroke, marker="o", capsize=3)
        if level.has_data():
            level.set_xscale("log")


def _transfers(row: Row, dataset: Dataset) -> Statistic:
    return Statistic(tuple(None if run is None else transfer(run.record, dataset) for run in row.runs))


def _sources(row: Row, dataset: Dataset) -> Statistic:
    return Statistic(tuple(None if run is None else _source(run.record, dataset) for run in row.runs))


def _source(record: Record, dataset: Dataset) -> float | None:
    return value(record, dataset.reads, dataset.source, dataset.main_metric)


def _relative(values: Statistic, zero: Statistic) -> Statistic:
    """The difference from the reference run of the same replicate, in percent of that."""
    together = zip(values.values, zero.values, strict=True)
    return Statistic(tuple(None if a is None or not b else 100 * (a - b) / b for a, b in together))
