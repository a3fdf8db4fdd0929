"""tr(F) over training (FUN, Figure 3)."""

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reproduce.declare.figures import Traces
from reproduce.declare.papers import Paper
from reproduce.numbers.curves import moving_average
from reproduce.runs.store import Results
from reproduce.show.figures import style
from reproduce.show.figures.rows import Row, estimators, rows_of, trace
from reproduce.show.figures.style import Style

ESTIMATORS = {
    "exact": "exact, per example (Eq. 1)",
    "algorithm2": "Algorithm 2, batch-mean gradients",
    "official": "the authors' code, argmax labels",
}


def draw(figure: Traces, paper: Paper, results: Results) -> Figure:
    """A part per model and task: a thin line per run, and thick the smoothed mean of a row that is complete."""
    sheet, axes = style.sheet(figure.title, [part.label for part in figure.parts.values()], [2.6])
    looks = {row: style.look(number) for number, row in enumerate(figure.rows)}
    used: set[str] = set()
    for (part,), declared in zip(axes, figure.parts.values(), strict=True):
        rows = rows_of(figure, declared, paper.datasets[declared.datasets[0]], results)
        used |= estimators(rows.values(), declared.label)
        for name, row in rows.items():
            _draw_row(part, row, looks[name], figure.window, declared.label)
        part.set_yscale("log")
        part.set_xlabel("update")
        style.say_missing(part, rows.values())
        style.blank_if_empty(part)
    style.label_left((part for (part,) in axes), axis_label(used))
    handles = [Line2D([], [], **looks[name].stroke, **style.MEAN, label=row.label) for name, row in figure.rows.items()]
    reading = f"thin: each run; thick: mean over {figure.runs_of_a_mean}, moving average over {figure.window} points"
    style.legend(sheet, handles, reading)
    return sheet


def axis_label(used: Iterable[str]) -> str:
    """What is drawn, by which estimator."""
    names = "; ".join(ESTIMATORS[name] for name in sorted(used))
    return f"mean tr(F) of the open layers\n({names or 'none tracked yet'})"


def _draw_row(part: Axes, row: Row, look: Style, window: int, where: str) -> None:
    curves = [trace(run) for run in row.done]
    for curve in curves:
        part.plot(list(curve), list(curve.values()), **look.stroke, **style.SINGLE)
    if row.complete:
        part.plot(*moving_average(curves, window, f"{where}, {row.label}"), **look.stroke, **style.MEAN)
