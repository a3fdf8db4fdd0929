"""Unfreezing orders (FUN, Figure 5)."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reproduce.declare.figures import Orders, Part
from reproduce.numbers.curves import order
from reproduce.show.figures import style
from reproduce.show.figures.drawing import DRAWINGS, Drawing, say_missing


@DRAWINGS.register("orders")
class OrdersDrawing(Drawing[Orders]):
    """A part per model and task: the layer of each opening, thin per run, and marked the mean of a complete row."""

    axis = "layer that opens\n(higher: nearer the output)"

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        (level,) = axes
        rows = self.rows(part)
        for name, row in rows.items():
            orders = [order(run.record) for run in row.done]
            for layers in orders:
                level.plot(range(1, len(layers) + 1), layers, **self.looks[name].stroke, **style.SINGLE)
            if row.complete:
                means = [fmean(layers) for layers in zip(*orders, strict=True)]
                level.plot(range(1, len(means) + 1), means, **self._line(name))
        level.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=13))
        level.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=13))
        level.grid(axis="y", linewidth=0.3)
        level.set_xlabel("opening")
        say_missing(level, rows)

    @property
    def reading(self) -> str:
        return f"marked: mean over {self.figure.runs_of_a_mean}; thin: each run"

    def handles(self) -> list[Artist]:
        return [Line2D([], [], **self._line(name), label=row.label) for name, row in self.figure.rows.items()]

    def _line(self, name: str) -> dict[str, Any]:
        """A row's mean. Its markers are open and smaller than those of the rows before, which it may coincide with."""
        look, number = self.looks[name], list(self.looks).index(name)
        return {**look.stroke, "marker": look.marker, "markersize": max(8 - 3 * number, 2), "markerfacecolor": "white"}
