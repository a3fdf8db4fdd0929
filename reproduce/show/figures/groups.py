"""tr(F) and validation of runs grouped by transfer (FUN, Figure 4)."""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reproduce.declare.figures import Groups, TrackedPart
from reproduce.declare.papers import Paper
from reproduce.numbers.curves import grouped, moving_average, transfer
from reproduce.runs.store import Found, Results
from reproduce.show.figures import style
from reproduce.show.figures.rows import estimators, rows_of, trace
from reproduce.show.figures.traces import axis_label

UNGROUPED: dict[str, Any] = {"color": "0.3", "linestyle": "-", **style.SINGLE}

MARKED = 0.13
"""The distance between a line's markers, in widths of its part."""

Graded = tuple[Found, float]
"""A run and its transfer in percent."""


def draw(figure: Groups, paper: Paper, results: Results) -> Figure:
    """A part per setting, tr(F) above validation: a line for the mean of each group of runs.

    Groups are of all runs of a setting: while one is missing there are none, and a thin line per run instead.
    """
    sheet, axes = style.sheet(figure.title, [part.label for part in figure.parts.values()], [3.1, 3.2])
    used: set[str] = set()
    for (above, below), declared in zip(axes, figure.parts.values(), strict=True):
        first = paper.datasets[declared.datasets[0]]
        rows = rows_of(figure, declared, first, results)
        used |= estimators(rows.values(), declared.label)
        runs = [run for row in rows.values() for run in row.runs]
        done = [run for run in runs if run is not None]
        if len(done) == len(runs):
            by_transfer = _by_transfer(done, declared, paper, figure.points)
            _draw_groups(above, below, by_transfer, figure.window, declared.label)
        else:
            _draw_runs(above, below, done)
            style.say(above, f"{len(done)}/{len(runs)} runs: no groups")
        above.set_yscale("log")
        above.tick_params(labelbottom=False)
        below.sharex(above)
        below.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        below.set_ylabel(f"English validation\n({first.metrics[first.main_metric]}, %)")
        below.set_xlabel("update")
        style.blank_if_empty(above)
        style.blank_if_empty(below)
    style.label_left((above for above, _ in axes), axis_label(used))
    reading = f"marked: mean of a group of runs, tr(F) as moving average over {figure.window} points"
    style.legend(sheet, [], f"{reading}; thin: each run, while others are missing")
    return sheet


def _by_transfer(runs: Iterable[Found], part: TrackedPart, paper: Paper, points: float) -> list[list[Graded]]:
    """The runs with their transfer, in groups of similar transfer."""
    graded = [(run, _transfer(run, part, paper)) for run in runs]
    groups = grouped({index: value for index, (_, value) in enumerate(graded)}, points)
    return [[graded[index] for index in group] for group in groups]


def _transfer(run: Found, part: TrackedPart, paper: Paper) -> float:
    """The average over the part's test sets of a run that was tested on all of them."""
    transfers = [transfer(run.record, name, paper.datasets[name]) for name in part.datasets]
    present = [value for value in transfers if value is not None]
    assert len(present) == len(transfers), f"{run.run} lacks a language, which makes it no run of a group"
    return fmean(present)


def _draw_groups(above: Axes, below: Axes, groups: Iterable[Sequence[Graded]], window: int, where: str) -> None:
    for number, group in enumerate(groups):
        curves = moving_average([trace(run) for run, _ in group], window, where)
        validation = moving_average([_validation(run) for run, _ in group], 1, where)
        look = style.look(number)
        line = {**look.stroke, "marker": look.marker, "markerfacecolor": "white", "markevery": MARKED}
        above.plot(*curves, **line)
        below.plot(*validation, **line, label=_label([value for _, value in group]))
    below.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.2),
        frameon=False,
        title="groups by transfer: mean (lowest to highest)",
        title_fontsize=style.SMALL,
    )


def _label(transfers: Sequence[float]) -> str:
    if len(transfers) == 1:
        return f"{transfers[0]:.1f}, 1 run"
    return f"{fmean(transfers):.1f} ({min(transfers):.1f} to {max(transfers):.1f}), {len(transfers)} runs"


def _draw_runs(above: Axes, below: Axes, runs: Iterable[Found]) -> None:
    for run in runs:
        for axes, curve in ((above, trace(run)), (below, _validation(run))):
            axes.plot(list(curve), list(curve.values()), **UNGROUPED)


def _validation(run: Found) -> dict[int, float]:
    """English validation by update, in percent of the metric that selects the checkpoint."""
    metric = run.record.selected["metric"]
    return {point["update"]: point["metrics"][metric] for point in run.record.validation}
