"""Rows beside a reference: paired t statistics (GradDrop, Figure 3), and differences by language (Figure 4)."""

from collections.abc import Sequence
from math import isfinite, nan
from statistics import fmean
from typing import Any, TypeVar

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from reproduce.declare.figures import ByLanguage, Part, Referred, TStatistics
from reproduce.declare.parts import Dataset
from reproduce.numbers.cells import Statistic, record_of
from reproduce.numbers.statistics import paired_t
from reproduce.runs.store import value
from reproduce.show.figures import style
from reproduce.show.figures.drawing import DRAWINGS, Drawing

T = TypeVar("T", bound=Referred)

COLOURED = 12.0
"""The t statistic at which colours end."""

WIDTH = 0.7
"""Of the markers of a language together, where languages stand 1 apart."""


class Beside(Drawing[T]):
    """A row's means over its declared runs beside the reference's."""

    partly = True

    def __init__(self, figure: T, results: Any) -> None:
        super().__init__(figure, results)
        self.looks = {row: style.look(number) for number, row in enumerate(figure.compared)}
        self.reference = figure.rows[figure.reference].label
        self.measured = "single runs" if figure.single else f"means over {figure.runs_of_a_mean}"

    def means(self, part: Part, row: str, dataset: Dataset) -> list[float]:
        """In each language of a data set; nan where a run lacks it."""
        records = [record_of(self.results, run) for run in self.figure.runs(part, row, dataset)]
        means = []
        for language in dataset.languages:
            values = (None if r is None else value(r, dataset.reads, language, dataset.main_metric) for r in records)
            mean = Statistic(tuple(values)).mean
            means.append(nan if mean is None else mean)
        return means

    def pairs(self, part: Part, row: str, dataset: Dataset) -> tuple[list[float], list[float]]:
        """A row's means and the reference's."""
        return self.means(part, row, dataset), self.means(part, self.figure.reference, dataset)


@DRAWINGS.register("t statistics")
class TStatisticsDrawing(Beside[TStatistics]):
    """A matrix: a line per row, a column per test set and one over all averages; a dash where runs are missing."""

    axis = ""

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        (level,) = axes
        datasets = [self.paper.datasets[name] for name in part.datasets]
        matrix = [self.statistics(part, row, datasets) for row in self.figure.compared]
        level.imshow(matrix, cmap="PuOr", vmin=-COLOURED, vmax=COLOURED, aspect="auto")
        for y, line in enumerate(matrix):
            for x, t in enumerate(line):
                told: dict[str, Any] = {
                    "color": "white" if abs(t) > 0.7 * COLOURED else "black",
                    "fontsize": style.SMALL,
                }
                level.text(x, y, f"{t:.2f}" if isfinite(t) else "–", ha="center", va="center", **told)
        labels = [*(dataset.label for dataset in datasets), f"averages of {len(datasets)}"]
        aslant: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor", "fontsize": style.SMALL}
        level.set_xticks(range(len(labels)), labels, **aslant)
        level.set_yticks(range(len(matrix)), [self.figure.rows[row].label for row in self.figure.compared])
        level.axvline(len(datasets) - 0.5, color="white", linewidth=4)
        level.spines[:].set_visible(False)
        level.tick_params(length=0)

    def statistics(self, part: Part, row: str, datasets: Sequence[Dataset]) -> list[float]:
        """t over the languages of each data set, then over the averages of all."""
        pairs = [self.pairs(part, row, dataset) for dataset in datasets]
        averages = [(fmean(own), fmean(reference)) for own, reference in pairs]
        return [*(paired_t(*pair) for pair in pairs), paired_t(*zip(*averages, strict=True))]

    @property
    def reading(self) -> str:
        return (
            f"paired t of {self.measured}, above 0 where the row is better than {self.reference}: over the languages "
            "of\na test set, which are no independent samples, and over the averages of all"
        )


@DRAWINGS.register("by language")
class ByLanguageDrawing(Beside[ByLanguage]):
    """A part per test set: above the difference in points, below the ratio; a mark for each row and language."""

    heights = (2.4, 2.4)

    def draw_part(self, axes: Sequence[Axes], part: Part) -> None:
        dataset = self.paper.datasets[part.datasets[0]]
        axes[0].set_title(f"{part.label} ({dataset.metrics[dataset.main_metric]})")
        axes[1].set_ylabel(f"ratio to {self.reference}")
        for number, (row, look) in enumerate(self.looks.items()):
            own, reference = self.pairs(part, row, dataset)
            aside = WIDTH * ((number + 0.5) / len(self.looks) - 0.5)
            places = [place + aside for place in range(len(own))]
            marked: dict[str, Any] = {"color": look.color, "marker": look.marker, "markersize": 5, "linestyle": ""}
            for level, values in zip(axes, (_differences(own, reference), _ratios(own, reference)), strict=True):
                if any(map(isfinite, values)):
                    level.plot(places, values, **marked)
        if not axes[0].has_data():
            style.say(axes[0], f"no row has all its runs beside {self.reference}'s yet")
            return
        for level, zero in zip(axes, (0.0, 1.0), strict=True):
            level.axhline(zero, color="black", linewidth=0.8)
            level.set_xlim(-0.5, len(dataset.languages) - 0.5)
            for place in range(1, len(dataset.languages)):
                level.axvline(place - 0.5, color="0.9", linewidth=0.6, zorder=0)
        axes[1].set_xticks(range(len(dataset.languages)), dataset.languages)
        axes[0].set_xticks([])

    @property
    def axis(self) -> str:
        return f"difference to\n{self.reference} (points)"

    @property
    def reading(self) -> str:
        return f"{self.measured}; nothing where one is missing"

    def handles(self) -> list[Artist]:
        rows = self.figure.rows
        return [
            Line2D([], [], color=look.color, marker=look.marker, linestyle="", label=rows[row].label)
            for row, look in self.looks.items()
        ]


def _differences(own: Sequence[float], reference: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(own, reference, strict=True)]


def _ratios(own: Sequence[float], reference: Sequence[float]) -> list[float]:
    return [a / b if b else nan for a, b in zip(own, reference, strict=True)]
