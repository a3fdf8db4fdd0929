"""Transfer relative to full fine-tuning (FUN, Figure 2)."""

from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reproduce.declare.figures import Part, Relative
from reproduce.declare.papers import Paper
from reproduce.declare.parts import Dataset
from reproduce.declare.published import Published
from reproduce.numbers.cells import Statistic
from reproduce.numbers.curves import transfer
from reproduce.runs.store import Found, Gap, Results
from reproduce.show.figures import style
from reproduce.show.figures.style import Style

BARS = 0.84
"""The width of a test set's bars together, where test sets stand 1 apart."""

ASIDE = 0.2
"""How far runs stand left, and published numbers right, of the middle of a bar, in its width."""

RUN: dict[str, Any] = {"marker": ".", "markersize": 6, "mfc": "black", "mec": "white", "mew": 0.5, "linestyle": ""}

PUBLISHED: dict[str, Any] = {"marker": "D", "markersize": 5, "mfc": "white", "mec": "black", "linestyle": ""}


def draw(figure: Relative, paper: Paper, results: Results, published: Published) -> Figure:
    """A part per model, a group of bars per test set: a row's mean transfer minus the reference's, in points.

    Each run is a dot, the published difference a diamond, the reference's sample std a band about zero. Where
    a run of the row is missing there is no bar, where one of the reference is there is nothing to draw: `n/N`
    stands there instead.
    """
    sheet, axes = style.sheet(figure.title, [part.label for part in figure.parts.values()], [3.2])
    compared = [row for row in figure.rows if row != figure.reference]
    looks = {row: style.look(number) for number, row in enumerate(compared)}
    for (part,), declared in zip(axes, figure.parts.values(), strict=True):
        for place, dataset in enumerate(declared.datasets):
            tested = paper.datasets[dataset]
            values = {
                row: _transfers((results[run] for run in figure.runs(declared, row, tested)), dataset, tested)
                for row in figure.rows
            }
            printed = _printed(figure, declared, paper, dataset, published)
            _draw_dataset(part, place, values, printed, figure, looks)
        if not part.has_data():
            part.set(ylim=(-1, 1), yticks=[])  # zero in the middle
        part.margins(y=0.15)
        part.axhline(0, color="black", linewidth=0.8)
        part.set_xlim(-0.5, len(declared.datasets) - 0.5)
        part.set_xticks(range(len(declared.datasets)), [paper.datasets[name].label for name in declared.datasets])
        part.tick_params(axis="x", length=0)
    reference = figure.rows[figure.reference].label
    style.label_left((part for (part,) in axes), f"points above {reference}\n(average over target languages)")
    reading = f"bar: mean over all {figure.runs_of_a_mean}; n/N in place of one: runs are missing"
    style.legend(sheet, _handles(figure, looks), reading)
    return sheet


def _transfers(runs: Iterable[Found | Gap], name: str, dataset: Dataset) -> Statistic:
    """One value per run; a run without a language of this test set has none here, whatever it has of others."""
    return Statistic(tuple(transfer(run.record, name, dataset) if isinstance(run, Found) else None for run in runs))


def _printed(figure: Relative, part: Part, paper: Paper, dataset: str, published: Published) -> dict[str, float]:
    """The published averages of a test set by row, as far as they are printed."""
    if not figure.published:
        return {}
    metric = paper.datasets[dataset].main_metric
    numbers = {
        name: published.average({**figure.published, **part.published, **row.published}, dataset, metric)
        for name, row in figure.rows.items()
        if row.published
    }
    return {name: float(number.mean) for name, number in numbers.items() if number is not None}


def _draw_dataset(
    part: Axes,
    place: int,
    values: Mapping[str, Statistic],
    printed: Mapping[str, float],
    figure: Relative,
    looks: Mapping[str, Style],
) -> None:
    zero = values[figure.reference]
    if zero.mean is None:
        lacking = f"{figure.rows[figure.reference].label}\n{zero.n}/{zero.declared}"
        top: dict[str, Any] = {"transform": part.get_xaxis_transform(), "ha": "center", "va": "top"}
        part.text(place, 0.98, lacking, **top, fontsize=style.SMALL, bbox=style.BEHIND)
    elif zero.std is not None:
        part.bar(place, 2 * zero.std, BARS, bottom=-zero.std, color="0.87", zorder=0)
    width = BARS / len(looks)
    for index, (row, look) in enumerate(looks.items()):
        middle = place - BARS / 2 + (index + 0.5) * width
        _draw_row(part, middle, width, values[row], zero.mean, look)
        if row in printed and figure.reference in printed:
            part.plot(middle + ASIDE * width, printed[row] - printed[figure.reference], **PUBLISHED, zorder=4)


def _draw_row(part: Axes, middle: float, width: float, values: Statistic, zero: float | None, look: Style) -> None:
    mean = values.mean
    if mean is None:
        lacking: dict[str, Any] = {"rotation": 90, "ha": "center", "va": "center"}
        part.text(middle, 0, f"{values.n}/{values.declared}", **lacking, fontsize=style.SMALL, bbox=style.BEHIND)
    if zero is None:
        return
    if mean is not None:
        part.bar(middle, mean - zero, width, **_fill(look))
    part.plot([middle - ASIDE * width] * values.n, [value - zero for value in values.present], **RUN, zorder=3)


def _handles(figure: Relative, looks: Mapping[str, Style]) -> list[Artist]:
    reference = figure.rows[figure.reference].label
    bars = [Patch(**_fill(look), label=figure.rows[row].label) for row, look in looks.items()]
    run = Line2D([], [], **RUN, label="one run")
    spread = Patch(color="0.87", label=f"± sample std of {reference}")
    published = [Line2D([], [], **PUBLISHED, label="published")] if figure.published else []
    return [*bars, run, spread, *published]


def _fill(look: Style) -> dict[str, Any]:
    return {"facecolor": look.color, "hatch": look.hatch, "edgecolor": "white", "linewidth": 0}
