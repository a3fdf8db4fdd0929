"""Unfreezing orders (FUN, Figure 5)."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reproduce.declare.figures import Orders
from reproduce.declare.papers import Paper
from reproduce.numbers.curves import mean_order, order
from reproduce.runs.store import Results
from reproduce.show.figures import style
from reproduce.show.figures.rows import Row, rows_of


def draw(figure: Orders, paper: Paper, results: Results) -> Figure:
    """A part per model and task: the layer of each opening, thin per run, and marked the mean of a complete row."""
    sheet, axes = style.sheet(figure.title, [part.label for part in figure.parts.values()], [2.6])
    looks = {row: _line(number) for number, row in enumerate(figure.rows)}
    for (part,), declared in zip(axes, figure.parts.values(), strict=True):
        rows = rows_of(figure, declared, paper.datasets[declared.datasets[0]], results)
        for name, row in rows.items():
            _draw_row(part, row, looks[name])
        part.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=13))
        part.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=13))
        part.grid(axis="y", linewidth=0.3)
        part.set_xlabel("opening")
        style.say_missing(part, rows.values())
        style.blank_if_empty(part)
    style.label_left((part for (part,) in axes), "layer that opens\n(higher: nearer the output)")
    handles = [Line2D([], [], **looks[name], label=row.label) for name, row in figure.rows.items()]
    style.legend(sheet, handles, f"marked: mean over {figure.runs_of_a_mean}; thin: each run")
    return sheet


def _line(number: int) -> dict[str, Any]:
    """A row's mean. Its markers are open and smaller than those of the rows before, which it may coincide with."""
    look = style.look(number)
    return {**look.stroke, "marker": look.marker, "markersize": max(8 - 3 * number, 2), "markerfacecolor": "white"}


def _draw_row(part: Axes, row: Row, line: Mapping[str, Any]) -> None:
    orders = [order(run.record) for run in row.done]
    for layers in orders:
        part.plot(range(1, len(layers) + 1), layers, color=line["color"], linestyle=line["linestyle"], **style.SINGLE)
    if row.complete:
        means = mean_order(orders)
        part.plot(range(1, len(means) + 1), means, **line)
