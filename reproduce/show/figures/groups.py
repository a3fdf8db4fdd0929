"""tr(F) and validation of runs grouped by transfer (FUN, Figure 4)."""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from reproduce.declare.figures import Groups, Part
from reproduce.numbers.curves import grouped, moving_average, transfer
from reproduce.runs.store import Done
from reproduce.show.figures import style
from reproduce.show.figures.drawing import Drawing, draws
from reproduce.show.figures.rows import estimators, trace, trace_axis

UNGROUPED: dict[str, Any] = {"color": "0.3", "linestyle": "-", **style.SINGLE}

MARKED = 0.13
"""The distance between a line's markers, in widths of its part."""

BELOW: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "frameon": False}
"""Where the legend of a part stands."""

Graded = tuple[Done, float]
"""A run and its transfer in percent."""


@draws(Groups)
class GroupsDrawing(Drawing[Groups]):
    """A part per setting, tr(F) above validation: a line for the mean of each group of runs.

    Groups are of all runs of a setting: while one is missing there are none, and a thin line per run instead.
    """

    heights = (3.1, 3.2)

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        above, below = axes
        rows = self.rows(part)
        self.estimators |= estimators(rows.values(), part.label)
        runs = [run for row in rows.values() for run in row.runs]
        done = [run for run in runs if run is not None]
        if len(done) == len(runs):
            self._draw_groups(above, below, self._by_transfer(done, part), part.label)
        else:
            for run in done:
                for level, curve in ((above, trace(run)), (below, _validation(run))):
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
    def axis(self) -> str:
        return trace_axis(self.estimators)

    @property
    def reading(self) -> str:
        mean = f"mean of a group of runs, tr(F) as moving average over {self.figure.window} points"
        return f"marked: {mean}; thin: each run, while others are missing"

    def _by_transfer(self, runs: Sequence[Done], part: Part) -> list[list[Graded]]:
        """The runs with their transfer, in groups of similar transfer."""
        transfers = {index: self._transfer(run, part) for index, run in enumerate(runs)}
        return [[(runs[i], transfers[i]) for i in group] for group in grouped(transfers, self.figure.points)]

    def _transfer(self, run: Done, part: Part) -> float:
        """The average over the part's test sets of a run that was tested on all of them."""
        transfers = [transfer(run.record, self.paper.datasets[name]) for name in part.datasets]
        present = [value for value in transfers if value is not None]
        assert len(present) == len(transfers), f"{run.run} lacks a language, which makes it no run of a group"
        return fmean(present)

    def _draw_groups(self, above: Axes, below: Axes, groups: Iterable[Sequence[Graded]], where: str) -> None:
        for number, group in enumerate(groups):
            look = style.look(number)
            line = {**look.stroke, "marker": look.marker, "markerfacecolor": "white", "markevery": MARKED}
            above.plot(*moving_average([trace(run) for run, _ in group], self.figure.window, where), **line)
            validation = moving_average([_validation(run) for run, _ in group], 1, where)
            below.plot(*validation, **line, label=_label([value for _, value in group]))
        title = "groups by transfer: mean (lowest to highest)"
        below.legend(**BELOW, title=title, title_fontsize=style.SMALL)


def _label(transfers: Sequence[float]) -> str:
    if len(transfers) == 1:
        return f"{transfers[0]:.1f}, 1 run"
    return f"{fmean(transfers):.1f} ({min(transfers):.1f} to {max(transfers):.1f}), {len(transfers)} runs"


def _validation(run: Done) -> dict[int, float]:
    """English validation by update, in percent of the metric that selects the checkpoint."""
    return {point["update"]: point["metrics"][run.record.metric] for point in run.record.validation}
