"""Test scores by epoch (GradDrop, Figure 2)."""

from collections.abc import Sequence
from math import ceil
from statistics import fmean
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reproduce.declare.figures import Epochs, Part
from reproduce.declare.parts import Dataset
from reproduce.numbers.curves import moving_average
from reproduce.runs.store import Done
from reproduce.show.figures import style
from reproduce.show.figures.drawing import DRAWINGS, Drawing, say_missing


@DRAWINGS.register("epochs")
class EpochsDrawing(Drawing[Epochs]):
    """A part per test set: thin a line per run, and marked the mean of a complete row."""

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        (level,) = axes
        dataset, rows = self.paper.datasets[part.datasets[0]], self.rows(part)
        for name, row in rows.items():
            curves = [_scores(run, dataset) for run in row.done]
            for curve in curves if len(row.runs) > 1 else ():
                level.plot(list(curve), list(curve.values()), **self.looks[name].stroke, **style.SINGLE)
            if row.complete:
                level.plot(*moving_average(curves, 1, f"{part.label}, {row.label}"), **self._line(name))
        level.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
        level.set_xlabel("epoch")
        level.set_title(f"{part.label} ({dataset.metrics[dataset.main_metric]})")
        say_missing(level, rows)

    axis = "mean over all languages (%)"

    @property
    def reading(self) -> str:
        several = f"marked: mean over {self.figure.runs_of_a_mean}; thin: each run"
        drawn = "single runs" if self.figure.single else several
        return f"{drawn}; tables have the epoch that English validation selects"

    def handles(self) -> list[Artist]:
        return [Line2D([], [], **self._line(name), label=row.label) for name, row in self.figure.rows.items()]

    def _line(self, name: str) -> dict[str, Any]:
        look = self.looks[name]
        return {**look.stroke, "marker": look.marker, "markersize": 4, "markerfacecolor": "white", "linewidth": 1.4}


def _scores(run: Done, dataset: Dataset) -> dict[int, float]:
    """By epoch, from 1, the average over all languages of a data set by its main metric, in percent."""
    lines = (line for line in run.run.metrics_log() if line["kind"] == "test")
    return {
        ceil(line["epoch"]): fmean(
            line["scores"][reads][language][metric] for reads, language, metric in dataset.values(dataset.languages)
        )
        for line in lines
    }
