"""tr(F) over training (FUN, Figure 3), and beside validation for runs grouped by transfer (FUN, Figure 4)."""

import json
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, TypeVar

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fun.errors import FunError
from reproduce.declare.figures import Figure, Groups, Part, Traces
from reproduce.numbers.curves import grouped, moving_average, transfer
from reproduce.runs.store import Done, Results
from reproduce.show.figures import style
from reproduce.show.figures.drawing import DRAWINGS, Drawing, Row, say_missing

T = TypeVar("T", bound=Figure)

ESTIMATORS: Mapping[str, str] = {
    "exact": "exact, per example (Eq. 1)",
    "algorithm2": "Algorithm 2, batch-mean gradients",
    "official": "the authors' code, argmax labels",
}

UNGROUPED: dict[str, Any] = {"color": "0.3", "linestyle": "-", **style.SINGLE}

MARKED = 0.13
"""The distance between a line's markers, in widths of its part."""

BELOW: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "frameon": False}
"""Where the legend of a part stands."""


class Tracked(Drawing[T]):
    """A figure of tr(F), the mean over the layers open at each update."""

    def __init__(self, figure: T, results: Results) -> None:
        super().__init__(figure, results)
        self.estimators: set[str] = set()  # those of the tr(F) that was drawn

    def rows(self, part: Part) -> dict[str, Row]:
        """The rows of a part. Raises FunError where its runs differ in how tr(F) was estimated."""
        rows = super().rows(part)
        tracked = {run.run.path.name: run.record.tracking["fisher"] for row in rows.values() for run in row.done}
        used = {json.dumps(fisher, sort_keys=True): name for name, fisher in tracked.items()}
        if len(used) > 1:
            runs = "; ".join(f"{fisher} in {name}" for fisher, name in sorted(used.items()))
            raise FunError(f"{part.label}: tr(F) was estimated in ways that do not compare: {runs}.")
        self.estimators |= {ESTIMATORS[fisher["name"]] for fisher in tracked.values()}
        return rows

    @property
    def axis(self) -> str:
        return f"mean tr(F) of the open layers\n({'; '.join(sorted(self.estimators)) or 'none tracked yet'})"


@DRAWINGS.register("traces")
class TracesDrawing(Tracked[Traces]):
    """A part per model and task: a thin line per run, and thick the smoothed mean of a row that is complete."""

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        (level,) = axes
        rows = self.rows(part)
        for name, row in rows.items():
            stroke = self.looks[name].stroke
            curves = [_trace(run) for run in row.done]
            for curve in curves:
                level.plot(list(curve), list(curve.values()), **stroke, **style.SINGLE)
            if row.complete:
                means = moving_average(curves, self.figure.window, f"{part.label}, {row.label}")
                level.plot(*means, **stroke, **style.MEAN)
        level.set_yscale("log")
        level.set_xlabel("update")
        say_missing(level, rows)

    @property
    def reading(self) -> str:
        smoothed = f"mean over {self.figure.runs_of_a_mean}, moving average over {self.figure.window} points"
        return f"thin: each run; thick: {smoothed}"

    def handles(self) -> list[Artist]:
        rows = self.figure.rows.items()
        return [Line2D([], [], **self.looks[name].stroke, **style.MEAN, label=row.label) for name, row in rows]


@DRAWINGS.register("groups")
class GroupsDrawing(Tracked[Groups]):
    """A part per setting, tr(F) above validation: a line for the mean of each group of runs.

    Groups are of all runs of a setting: while one is missing there are none, and a thin line per run instead.
    """

    heights = (3.1, 3.2)

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        above, below = axes
        runs = [run for row in self.rows(part).values() for run in row.runs]
        done = [run for run in runs if run is not None]
        if len(done) == len(runs):
            self._draw_groups(above, below, done, part)
        else:
            for run in done:
                for level, curve in ((above, _trace(run)), (below, _validation(run))):
                    level.plot(list(curve), list(curve.values()), **UNGROUPED)
            style.say(above, f"{len(done)}/{len(runs)} runs: no groups")
        above.set_yscale("log")
        above.tick_params(labelbottom=False)
        below.sharex(above)
        below.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        first = self.paper.datasets[part.datasets[0]]
        below.set_ylabel(f"English validation\n({first.metrics[first.main_metric]}, %)")
        below.set_xlabel("update")

    @property
    def reading(self) -> str:
        mean = f"mean of a group of runs, tr(F) as moving average over {self.figure.window} points"
        return f"marked: {mean}; thin: each run, while others are missing"

    def _draw_groups(self, above: Axes, below: Axes, runs: Sequence[Done], part: Part) -> None:
        transfers = {index: self._transfer(run, part) for index, run in enumerate(runs)}
        for number, members in enumerate(grouped(transfers, self.figure.points)):
            group = [runs[index] for index in members]
            look = style.look(number)
            line = {**look.stroke, "marker": look.marker, "markerfacecolor": "white", "markevery": MARKED}
            above.plot(*moving_average([_trace(run) for run in group], self.figure.window, part.label), **line)
            validation = moving_average([_validation(run) for run in group], 1, part.label)
            below.plot(*validation, **line, label=_label([transfers[index] for index in members]))
        title = "groups by transfer: mean (lowest to highest)"
        below.legend(**BELOW, title=title, title_fontsize=style.SMALL)

    def _transfer(self, run: Done, part: Part) -> float:
        """The average over the part's test sets of a run that was tested on all of them."""
        transfers = [transfer(run.record, self.paper.datasets[name]) for name in part.datasets]
        present = [value for value in transfers if value is not None]
        assert len(present) == len(transfers), f"{run.run} lacks a language, which makes it no run of a group"
        return fmean(present)


def _label(transfers: Sequence[float]) -> str:
    if len(transfers) == 1:
        return f"{transfers[0]:.1f}, 1 run"
    return f"{fmean(transfers):.1f} ({min(transfers):.1f} to {max(transfers):.1f}), {len(transfers)} runs"


def _trace(run: Done) -> dict[int, float]:
    """tr(F) by update. There is none before the first layer opens (lpft), nor where it was not finite."""
    lines = (line for line in run.run.metrics_log() if line["kind"] == "fisher")
    return {line["update"]: line["mean_open"] for line in lines if line["mean_open"] is not None}


def _validation(run: Done) -> dict[int, float]:
    """English validation by update, in percent of the metric that selects the checkpoint."""
    return {point["update"]: point["metrics"][run.record.metric] for point in run.record.validation}
