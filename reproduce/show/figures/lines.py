"""Lines over training: tr(F) (FUN, Figures 3 and 4), unfreezing orders (Figure 5), test scores (GradDrop, Figure 2)."""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import ceil
from statistics import fmean
from typing import Any, ClassVar, TypeVar

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fun.errors import FunError
from reproduce.declare.figures import Epochs, Figure, Groups, Orders, Part, Traces
from reproduce.numbers.cells import Statistic
from reproduce.numbers.curves import grouped, moving_average, order, transfer
from reproduce.runs.store import Done, Results
from reproduce.show.figures import style
from reproduce.show.figures.drawing import DRAWINGS, Drawing, Row, say, say_missing

T = TypeVar("T", bound=Figure)
OfFisher = TypeVar("OfFisher", bound=Traces | Groups)

ESTIMATORS: Mapping[str, str] = {
    "exact": "exact, per example (Eq. 1)",
    "algorithm2": "Algorithm 2, batch-mean gradients",
    "official": "the authors' code, argmax labels",
}

MARKED = 0.13
"""The distance between a line's markers, in widths of its part."""


class Lines(Drawing[T]):
    """A part per model and task, or per test set: a thin line per run, and the mean of a row that is complete."""

    over: ClassVar[str]
    """What the horizontal axis shows."""

    window = 1
    """Over how many neighbouring points a mean is smoothed."""

    @abstractmethod
    def curve(self, run: Done, part: Part) -> dict[int, float]:
        """What a run's line goes through."""

    def mean(self, name: str) -> dict[str, Any]:
        """How a row's mean is drawn, as arguments of `Axes.plot`."""
        return {**self.looks[name].stroke, **style.MEAN}

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        (level,) = axes
        rows = self.rows(part)
        for name, row in rows.items():
            curves = [self.curve(run, part) for run in row.done]
            alone = len(row.runs) == 1 and self.window == 1  # it is its own mean
            for curve in [] if alone else curves:
                level.plot(list(curve), list(curve.values()), **self.looks[name].stroke, **style.SINGLE)
            if row.complete:
                level.plot(*moving_average(curves, self.window, f"{part.label}, {row.label}"), **self.mean(name))
        level.set_xlabel(self.over)
        say_missing(level, rows)

    def handles(self) -> list[Artist]:
        return [Line2D([], [], **self.mean(name), label=row.label) for name, row in self.figure.rows.items()]


@DRAWINGS.register("orders")
class OrdersDrawing(Lines[Orders]):
    """The layer of each opening."""

    axis, over = "layer that opens\n(higher: nearer the output)", "opening"
    reading = "marked: mean over {figure.runs_of_a_mean}; thin: each run"

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        super().draw_part(axes, part)
        for axis in (axes[0].xaxis, axes[0].yaxis):
            axis.set_major_locator(MaxNLocator(integer=True, nbins=13))
        axes[0].grid(axis="y", linewidth=0.3)

    def curve(self, run: Done, part: Part) -> dict[int, float]:
        return dict(enumerate(order(run.record), 1))

    def mean(self, name: str) -> dict[str, Any]:
        """Its markers are open and smaller than those of the rows before, which it may coincide with."""
        look, number = self.looks[name], list(self.looks).index(name)
        return {**look.stroke, "marker": look.marker, "markersize": max(8 - 3 * number, 2), "markerfacecolor": "white"}


@DRAWINGS.register("epochs")
class EpochsDrawing(Lines[Epochs]):
    """Test scores by epoch."""

    axis, over = "mean over all languages (%)", "epoch"

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        dataset = self.paper.datasets[part.datasets[0]]
        axes[0].set_title(f"{part.label} ({dataset.metrics[dataset.main_metric]})")
        super().draw_part(axes, part)
        axes[0].xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))

    def curve(self, run: Done, part: Part) -> dict[int, float]:
        """By epoch, from 1, the average over all languages of the test set by its main metric, in percent."""
        dataset = self.paper.datasets[part.datasets[0]]
        values = dataset.values(dataset.languages)
        return {
            ceil(line["epoch"]): fmean(line["scores"][reads][language][metric] for reads, language, metric in values)
            for line in run.run.metrics_log()
            if line["kind"] == "test"
        }

    def mean(self, name: str) -> dict[str, Any]:
        look = self.looks[name]
        return {**look.stroke, "marker": look.marker, "markersize": 4, "markerfacecolor": "white", "linewidth": 1.4}

    @property
    def reading(self) -> str:
        several = "marked: mean over {figure.runs_of_a_mean}; thin: each run"
        drawn = "single runs" if self.figure.single else several
        return f"{drawn}; tables have the epoch that English validation selects"


class Tracked(Drawing[OfFisher]):
    """A figure of tr(F), the mean over the layers open at each update."""

    def __init__(self, figure: OfFisher, results: Results) -> None:
        super().__init__(figure, results)
        self.window = figure.window
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

    def curve(self, run: Done, part: Part) -> dict[int, float]:
        """tr(F) by update. There is none before the first layer opens (lpft), nor where it was not finite."""
        lines = (line for line in run.run.metrics_log() if line["kind"] == "fisher")
        return {line["update"]: line["mean_open"] for line in lines if line["mean_open"] is not None}

    @property
    def axis(self) -> str:
        return f"mean tr(F) of the open layers\n({'; '.join(sorted(self.estimators)) or 'none tracked yet'})"


@DRAWINGS.register("traces")
class TracesDrawing(Tracked[Traces], Lines[Traces]):
    """tr(F) over training, each row's mean smoothed."""

    over = "update"
    reading = "thin: each run; thick: mean over {figure.runs_of_a_mean}, moving average over {window} points"

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        super().draw_part(axes, part)
        axes[0].set_yscale("log")


@DRAWINGS.register("groups")
class GroupsDrawing(Tracked[Groups]):
    """A part per setting, tr(F) above validation: a line for the mean of each group of runs.

    Groups are of all runs of a setting: while one is missing there are none, and a thin line per run instead.
    """

    heights = (3.1, 3.2)
    reading = (
        "marked: mean of a group of runs, tr(F) as moving average over {window} points; "
        "thin: each run, while others are missing"
    )

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        above, below = axes
        runs = [run for row in self.rows(part).values() for run in row.runs]
        done = [run for run in runs if run is not None]
        if len(done) == len(runs):
            self._draw_groups(above, below, done, part)
        else:
            for run in done:
                for level, curve in ((above, self.curve(run, part)), (below, _validation(run))):
                    level.plot(list(curve), list(curve.values()), color="0.3", linestyle="-", **style.SINGLE)
            say(above, f"{len(done)}/{len(runs)} runs: no groups")
        above.set_yscale("log")
        above.tick_params(labelbottom=False)
        below.sharex(above)
        below.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        first = self.paper.datasets[part.datasets[0]]
        below.set_ylabel(f"English validation\n({first.metrics[first.main_metric]}, %)")
        below.set_xlabel("update")

    def _draw_groups(self, above: Axes, below: Axes, runs: Sequence[Done], part: Part) -> None:
        transfers = {index: self._transfer(run, part) for index, run in enumerate(runs)}
        for number, members in enumerate(grouped(transfers, self.figure.points)):
            group = [runs[index] for index in members]
            look = style.look(number)
            line = {**look.stroke, "marker": look.marker, "markerfacecolor": "white", "markevery": MARKED}
            traces = [self.curve(run, part) for run in group]
            above.plot(*moving_average(traces, self.window, part.label), **line)
            validation = moving_average([_validation(run) for run in group], 1, part.label)
            below.plot(*validation, **line, label=_label([transfers[index] for index in members]))
        place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "frameon": False}
        below.legend(**place, title="groups by transfer: mean (lowest to highest)", title_fontsize=style.SMALL)

    def _transfer(self, run: Done, part: Part) -> float:
        """The average over the part's test sets of a run that was tested on all of them."""
        mean = Statistic(tuple(transfer(run.record, self.paper.datasets[name]) for name in part.datasets)).mean
        assert mean is not None, f"{run.run} lacks a language, which makes it no run of a group"
        return mean


def _label(transfers: Sequence[float]) -> str:
    if len(transfers) == 1:
        return f"{transfers[0]:.1f}, 1 run"
    return f"{fmean(transfers):.1f} ({min(transfers):.1f} to {max(transfers):.1f}), {len(transfers)} runs"


def _validation(run: Done) -> dict[int, float]:
    """English validation by update, in percent of the metric that selects the checkpoint."""
    return {point["update"]: point["metrics"][run.record.metric] for point in run.record.validation}
