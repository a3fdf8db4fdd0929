"""tr(F) over training (FUN, Figure 3)."""

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from reproduce.declare.figures import Part, Traces
from reproduce.numbers.curves import moving_average
from reproduce.show.figures import style
from reproduce.show.figures.drawing import Drawing, draws
from reproduce.show.figures.rows import estimators, trace, trace_axis


@draws(Traces)
class TracesDrawing(Drawing[Traces]):
    """A part per model and task: a thin line per run, and thick the smoothed mean of a row that is complete."""

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        (level,) = axes
        rows = self.rows(part)
        self.estimators |= estimators(rows.values(), part.label)
        for name, row in rows.items():
            stroke = self.looks[name].stroke
            curves = [trace(run) for run in row.done]
            for curve in curves:
                level.plot(list(curve), list(curve.values()), **stroke, **style.SINGLE)
            if row.complete:
                means = moving_average(curves, self.figure.window, f"{part.label}, {row.label}")
                level.plot(*means, **stroke, **style.MEAN)
        level.set_yscale("log")
        level.set_xlabel("update")
        style.say_missing(level, rows.values())

    @property
    def axis(self) -> str:
        return trace_axis(self.estimators)

    @property
    def reading(self) -> str:
        smoothed = f"mean over {self.figure.runs_of_a_mean}, moving average over {self.figure.window} points"
        return f"thin: each run; thick: {smoothed}"

    def handles(self) -> list[Artist]:
        rows = self.figure.rows.items()
        return [Line2D([], [], **self.looks[name].stroke, **style.MEAN, label=row.label) for name, row in rows]
