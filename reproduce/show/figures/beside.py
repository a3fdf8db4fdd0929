"""Rows beside a reference: bars (FUN, Figure 2), over a field of the configuration (L2 paper, Figure 1), paired t
statistics (GradDrop, Figure 3), and differences by language (Figure 4)."""

from collections.abc import Sequence
from math import isfinite, nan
from statistics import fmean
from typing import Any, TypeVar

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reproduce.declare.figures import ByLanguage, Curve, Part, Referred, Relative, TStatistics
from reproduce.declare.parts import Dataset
from reproduce.declare.tables import AVERAGE
from reproduce.numbers.cells import Statistic, average
from reproduce.numbers.statistics import paired_t
from reproduce.runs.store import Results
from reproduce.show.figures import style
from reproduce.show.figures.drawing import DRAWINGS, Drawing, say, say_missing

T = TypeVar("T", bound=Referred)

COLOURED = 12.0
"""The t statistic at which colours end."""

WIDTH = 0.7
"""Of the markers of a language together, where languages stand 1 apart."""

BARS = 0.84
"""The width of a test set's bars together, where test sets stand 1 apart."""

ASIDE = 0.2
"""How far runs stand left, and published numbers right, of the middle of a bar, in its width."""

DOT: dict[str, Any] = {"marker": ".", "markersize": 6, "mfc": "black", "mec": "white", "mew": 0.5, "linestyle": ""}
"""A run before a bar."""

PALE_DOT: dict[str, Any] = {"marker": ".", "linestyle": "", "color": "0.5", "zorder": 1}
"""A run behind a curve."""

PUBLISHED: dict[str, Any] = {"marker": "D", "markersize": 5, "mfc": "white", "mec": "black", "linestyle": ""}

ZERO: dict[str, Any] = {"color": "black", "linewidth": 0.8}
"""The reference's line."""


class Beside(Drawing[T]):
    """Rows beside the row `reference`, each by the values of its declared runs."""

    partly = True

    def __init__(self, figure: T, results: Results) -> None:
        super().__init__(figure, results)
        self.looks = {row: style.look(number) for number, row in enumerate(figure.compared)}
        self.reference = figure.rows[figure.reference].label
        self.measured = "single runs" if figure.single else f"means over {figure.runs_of_a_mean}"

    def statistic(self, part: Part, row: str, dataset: Dataset, languages: Sequence[str]) -> Statistic:
        """The average over languages by the main metric: a value per declared run, None where it lacks one of them."""
        runs = map(self.serving, self.figure.runs(part, row, dataset))
        records = (None if run is None else dict.fromkeys(languages, run.record) for run in runs)
        reads, metric = dataset.reads, dataset.main_metric
        return Statistic(tuple(None if r is None else average(r, reads, languages, metric) for r in records))

    def means(self, part: Part, row: str, dataset: Dataset) -> list[float]:
        """In each language of a data set, over the declared runs; nan where one lacks it."""
        means = (self.statistic(part, row, dataset, [language]).mean for language in dataset.languages)
        return [nan if mean is None else mean for mean in means]


@DRAWINGS.register("relative")
class RelativeDrawing(Beside[Relative]):
    """A part per model, a group of bars per test set: a row's mean transfer minus the reference's, in points.

    Each run is a dot, the published difference a diamond, the reference's sample std a band about zero. Where
    a run of the row is missing there is no bar, where one of the reference is there is nothing to draw: `n/N`
    stands there instead.
    """

    heights = (3.2,)
    axis = "points above {reference}\n(average over target languages)"
    reading = "bar: mean over all {figure.runs_of_a_mean}; n/N in place of one: runs are missing"

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        (level,) = axes
        for place, name in enumerate(part.datasets):
            self._draw_dataset(level, place, part, self.paper.datasets[name])
        if not level.has_data():
            level.set(ylim=(-1, 1), yticks=[])  # zero in the middle
        level.margins(y=0.15)
        level.axhline(0, **ZERO)
        level.set_xlim(-0.5, len(part.datasets) - 0.5)
        level.set_xticks(range(len(part.datasets)), [self.paper.datasets[name].label for name in part.datasets])
        level.tick_params(axis="x", length=0)

    def handles(self) -> list[Artist]:
        bars = [Patch(**self._fill(row), label=self.figure.rows[row].label) for row in self.looks]
        run = Line2D([], [], **DOT, label="one run")
        spread = Patch(color="0.87", label=f"± sample std of {self.reference}")
        published = [Line2D([], [], **PUBLISHED, label="published")] if self.figure.published else []
        return [*bars, run, spread, *published]

    def _printed(self, part: Part, dataset: Dataset) -> dict[str, float]:
        """The published averages of a test set by row, as far as they are printed."""
        measured = {**dataset.printed(dataset.main_metric), "language": AVERAGE.printed(dataset)}
        numbers = {
            name: self.paper.published.number({**self.figure.published, **part.published, **row.published, **measured})
            for name, row in self.figure.rows.items()
        }
        return {name: float(number.mean) for name, number in numbers.items() if number is not None}

    def _draw_dataset(self, level: Axes, place: int, part: Part, dataset: Dataset) -> None:
        values = {row: self.statistic(part, row, dataset, dataset.targets) for row in self.figure.rows}
        reference, printed = self.figure.reference, self._printed(part, dataset)
        zero = values[reference]
        lacking: dict[str, Any] = {"ha": "center", "fontsize": style.SMALL, "bbox": style.BEHIND}
        if zero.mean is None:
            text = f"{self.reference}\n{zero.n}/{zero.declared}"
            level.text(place, 0.98, text, va="top", transform=level.get_xaxis_transform(), **lacking)
        elif zero.std is not None:
            level.bar(place, 2 * zero.std, BARS, bottom=-zero.std, color="0.87", zorder=0)
        width = BARS / len(self.looks)
        for index, row in enumerate(self.looks):
            own, middle = values[row], place - BARS / 2 + (index + 0.5) * width
            if own.mean is None:
                level.text(middle, 0, f"{own.n}/{own.declared}", va="center", rotation=90, **lacking)
            elif zero.mean is not None:
                level.bar(middle, own.mean - zero.mean, width, **self._fill(row))
            if zero.mean is not None:
                runs = [value - zero.mean for value in own.present]
                level.plot([middle - ASIDE * width] * own.n, runs, **DOT, zorder=3)
            if row in printed and reference in printed:
                level.plot(middle + ASIDE * width, printed[row] - printed[reference], **PUBLISHED, zorder=4)

    def _fill(self, row: str) -> dict[str, Any]:
        look = self.looks[row]
        return {"facecolor": look.color, "hatch": look.hatch, "edgecolor": "white", "linewidth": 0}


@DRAWINGS.register("curve")
class CurveDrawing(Beside[Curve]):
    """A part per model and test set: above, transfer relative to the reference's, below, the source language's score.

    Each run is a dot, the mean over all declared runs a mark with the sample std; there is none of an incomplete row.
    """

    heights = (2.6, 2.0)
    partly = False
    axis = "transfer relative to\n{reference} (percent)"
    reading = "marked: mean ± sample std over {figure.runs_of_a_mean}, each relative to the one of its seed"

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        dataset = self.paper.datasets[part.datasets[0]]
        reference, source = self.figure.reference, [dataset.source]
        zero = self.statistic(part, reference, dataset, dataset.targets)
        gains = {row: _relative(self.statistic(part, row, dataset, dataset.targets), zero) for row in self.figure.at}
        self._draw(axes[0], gains)
        self._draw(axes[1], {row: self.statistic(part, row, dataset, source) for row in self.figure.at})
        for level, mean in zip(axes, (0.0, self.statistic(part, reference, dataset, source).mean), strict=True):
            if level.has_data() and mean is not None:
                level.axhline(mean, **ZERO, linestyle="--")
        axes[1].set_xlabel(self.figure.label or self.figure.field)
        axes[1].set_ylabel(f"{dataset.source.title()}, {next(iter(dataset.metrics.values()))}")
        say_missing(axes[0], self.rows(part))

    def handles(self) -> list[Artist]:
        return [
            Line2D([], [], **style.look(0).stroke, marker="o", label="mean"),
            Line2D([], [], **PALE_DOT, label="one run"),
            Line2D([], [], **ZERO, linestyle="--", label=self.reference),
        ]

    def _draw(self, level: Axes, values: dict[str, Statistic]) -> None:
        places = [self.figure.at[row] for row in values]
        for place, statistic in zip(places, values.values(), strict=True):
            level.plot([place] * statistic.n, statistic.present, **PALE_DOT)
        means = [nan if statistic.mean is None else statistic.mean for statistic in values.values()]  # a gap
        if any(map(isfinite, means)):
            stds = [statistic.std or 0.0 for statistic in values.values()]
            level.errorbar(places, means, stds, **style.look(0).stroke, marker="o", capsize=3)
        if level.has_data():
            level.set_xscale("log")


def _relative(values: Statistic, zero: Statistic) -> Statistic:
    """The difference from the reference run of the same replicate, in percent of that."""
    together = zip(values.values, zero.values, strict=True)
    return Statistic(tuple(None if a is None or not b else 100 * (a - b) / b for a, b in together))


@DRAWINGS.register("t statistics")
class TStatisticsDrawing(Beside[TStatistics]):
    """A matrix: a line per row, a column per test set and one over all averages; a dash where runs are missing."""

    axis = ""
    reading = (
        "paired t of {measured}, above 0 where the row is better than {reference}: over the languages of\n"
        "a test set, which are no independent samples, and over the averages of all"
    )

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        (level,) = axes
        datasets = [self.paper.datasets[name] for name in part.datasets]
        matrix = [self._statistics(part, row, datasets) for row in self.looks]
        level.imshow(matrix, cmap="PuOr", vmin=-COLOURED, vmax=COLOURED, aspect="auto")
        for y, line in enumerate(matrix):
            for x, t in enumerate(line):
                color = "white" if abs(t) > 0.7 * COLOURED else "black"
                text = f"{t:.2f}" if isfinite(t) else "–"
                level.text(x, y, text, ha="center", va="center", color=color, fontsize=style.SMALL)
        labels = [*(dataset.label for dataset in datasets), f"averages of {len(datasets)}"]
        aslant: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor", "fontsize": style.SMALL}
        level.set_xticks(range(len(labels)), labels, **aslant)
        level.set_yticks(range(len(matrix)), [self.figure.rows[row].label for row in self.looks])
        level.axvline(len(datasets) - 0.5, color="white", linewidth=4)
        level.spines[:].set_visible(False)
        level.tick_params(length=0)

    def _statistics(self, part: Part, row: str, datasets: Sequence[Dataset]) -> list[float]:
        """t over the languages of each data set, then over the averages of all."""
        reference = self.figure.reference
        pairs = [(self.means(part, row, dataset), self.means(part, reference, dataset)) for dataset in datasets]
        averages = [(fmean(own), fmean(other)) for own, other in pairs]
        return [*(paired_t(*pair) for pair in pairs), paired_t(*zip(*averages, strict=True))]


@DRAWINGS.register("by language")
class ByLanguageDrawing(Beside[ByLanguage]):
    """A part per test set: above the difference in points, below the ratio; a mark for each row and language."""

    heights = (2.4, 2.4)
    axis = "difference to\n{reference} (points)"
    reading = "{measured}; nothing where one is missing"

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        dataset = self.paper.datasets[part.datasets[0]]
        axes[0].set_title(f"{part.label} ({dataset.metrics[dataset.main_metric]})")
        axes[1].set_ylabel(f"ratio to {self.reference}")
        for number, row in enumerate(self.looks):
            own, reference = (self.means(part, name, dataset) for name in (row, self.figure.reference))
            pairs = list(zip(own, reference, strict=True))
            aside = WIDTH * ((number + 0.5) / len(self.looks) - 0.5)
            places = [place + aside for place in range(len(pairs))]
            differences, ratios = [a - b for a, b in pairs], [a / b if b else nan for a, b in pairs]
            for level, values in zip(axes, (differences, ratios), strict=True):
                if any(map(isfinite, values)):
                    level.plot(places, values, **self._mark(row), markersize=5)
        if not axes[0].has_data():
            say(axes[0], f"no row has all its runs beside {self.reference}'s yet")
            return
        for level, zero in zip(axes, (0.0, 1.0), strict=True):
            level.axhline(zero, **ZERO)
            level.set_xlim(-0.5, len(dataset.languages) - 0.5)
            for place in range(1, len(dataset.languages)):
                level.axvline(place - 0.5, color="0.9", linewidth=0.6, zorder=0)
        axes[1].set_xticks(range(len(dataset.languages)), dataset.languages)
        axes[0].set_xticks([])

    def handles(self) -> list[Artist]:
        return [Line2D([], [], **self._mark(row), label=self.figure.rows[row].label) for row in self.looks]

    def _mark(self, row: str) -> dict[str, Any]:
        return {"color": self.looks[row].color, "marker": self.looks[row].marker, "linestyle": ""}
