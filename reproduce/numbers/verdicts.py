"""Beside each number: does it reproduce the published one? One rule, `verdict`; `verdicts` applies it to a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import Field, TypeAdapter

from fun.errors import ConfigError
from reproduce.declare.papers import AVERAGE, Place
from reproduce.declare.parts import Declaration, read
from reproduce.declare.published import Number
from reproduce.numbers.cells import Cell, Grid
from reproduce.numbers.statistics import (
    SIGNIFICANCE,
    Estimate,
    Interval,
    Summary,
    difference,
    holm,
    mean,
    welch,
)

MARGINS = Path(__file__).with_name("margins.yaml")

FEWEST = 3
"""Runs on either side below which nothing is tested."""

ASSUMPTIONS = (
    "A ± of the paper is taken for the sample standard deviation (n−1) over its runs; the paper does not say.",
    "The number of published runs is the one that the paper states (4; 2 for reverse unfreezing). XCOPA's printed "
    "values fit 5 runs only (an erratum); 4 is used there too, because it is what is stated and because fewer runs "
    "widen every interval.",
    "Intervals that are shown are 95 % Student intervals, each for itself: not adjusted for their number.",
    "Printed numbers are taken as exact; their rounding (half a hundredth) is far below every margin.",
)
"""What every verdict rests on, to be printed with them."""


class Conclusion(StrEnum):
    """What `verdict` concludes; the value is the text that is shown."""

    reproduced = "reproduced"
    different = "different"
    undecided = "undecided"
    not_enough_runs = "not enough runs"
    no_published_spread = "no published spread"
    another_language = "another language"
    incomplete = "incomplete"


class Margin(Declaration):
    """±`points` within which two means count as the same result, and why."""

    points: float = Field(gt=0)
    reason: str


@dataclass(frozen=True)
class Verdict:
    """A number of ours beside the published one, in percent.

    `n` of `declared` runs are there. `ours` and `interval` (95 %, of our mean) are None where runs are missing, and
    the interval also for a single run. `difference` is ours − published; it is None where one of them is. `estimate` is
    the same with its Welch error, where both spreads are known; `adjusted_p` its p after Holm, where it is tested
    for a difference.
    """

    conclusion: Conclusion
    n: int
    declared: int
    published: Summary
    margin: float
    ours: Summary | None = None
    interval: Interval | None = None
    difference: float | None = None
    estimate: Estimate | None = None
    adjusted_p: float | None = None

    def __str__(self) -> str:
        """The conclusion; with n/N where runs are missing."""
        if self.conclusion is Conclusion.incomplete:
            return f"{self.conclusion} ({self.n}/{self.declared})"
        return self.conclusion.value


def verdict(
    ours: Sequence[float | None], published: Summary, margin: float, adjusted_p: float | None = None
) -> Verdict:
    """Whether our runs reproduce a published number. The first rule that applies decides:

    1. *incomplete*: a declared run has no value. There is no number then.
    2. *no published spread*: the paper prints no std. Our mean, its interval and the difference are all there is.
    3. *not enough runs*: fewer than 3 on either side.
    4. *reproduced*: the 90 % Welch interval of the difference lies within ±`margin` (TOST at 5 %: the difference
       is shown to be small, not merely not shown to be large).
    5. *different*: `adjusted_p` is below 0.05.
    6. *undecided*.

    `ours`: a value in percent per declared run, None where it is missing; at least one. `adjusted_p`: the two-sided
    Welch p of this number after Holm's adjustment within its family; None for a number outside every family, which
    is never *different*.
    """
    present = [value for value in ours if value is not None]
    if len(present) < len(ours):
        return Verdict(Conclusion.incomplete, len(present), len(ours), published, margin)
    summary = Summary.of(present)
    own, estimate = mean(summary), welch(summary, published)
    return Verdict(
        conclusion=_conclusion(summary, published, estimate, margin, adjusted_p),
        n=summary.n,
        declared=len(ours),
        published=published,
        margin=margin,
        ours=summary,
        interval=own.interval() if own else None,
        difference=difference(summary.mean, published.mean),
        estimate=estimate,
        adjusted_p=adjusted_p,
    )


def _conclusion(
    ours: Summary, published: Summary, estimate: Estimate | None, margin: float, adjusted_p: float | None
) -> Conclusion:
    if published.std is None:
        return Conclusion.no_published_spread
    if estimate is None or min(ours.n, published.n) < FEWEST:
        return Conclusion.not_enough_runs
    if estimate.equivalent(margin):
        return Conclusion.reproduced
    if adjusted_p is not None and adjusted_p < SIGNIFICANCE:
        return Conclusion.different
    return Conclusion.undecided


def margins(path: Path = MARGINS) -> Mapping[str, Margin]:
    """The margin of each metric. Raises ConfigError that names the file and the key."""
    return read(path, TypeAdapter(dict[str, Margin]))


def margin_of(metric: str, declared: Mapping[str, Margin]) -> float:
    """The margin of a metric in points. Raises ConfigError where none is declared."""
    if metric not in declared:
        raise ConfigError(
            f"no margin is declared for the metric '{metric}': add it to {MARGINS.name}, with its reason."
        )
    return declared[metric].points


def verdicts(grid: Grid, declared: Mapping[str, Margin]) -> Mapping[Place, Verdict]:
    """The verdict on every number of a table that has a published one beside it.

    One family per table: its averages on their dataset's main metric that can be tested at all. Its size is that of
    the complete table from the beginning (a number whose runs are missing counts with p = 1), so further runs can turn
    *undecided* into *different*, and never back for want of the others.
    """
    compared = {place: cell for place, cell in grid.cells.items() if cell.published is not None}
    first = {place: _judged(grid, place, cell, declared, None) for place, cell in compared.items()}
    family = [place for place in compared if _in_family(grid, place, first[place])]
    adjusted = dict(zip(family, holm([_p(first[place]) for place in family]), strict=True))
    return {place: _judged(grid, place, cell, declared, adjusted.get(place)) for place, cell in compared.items()}


def summary_of(number: Number) -> Summary:
    """A printed number as a mean, a std where there is one, and the stated number of runs."""
    return Summary(float(number.mean), float(number.std) if number.std else None, number.runs)


def _judged(grid: Grid, place: Place, cell: Cell, declared: Mapping[str, Margin], adjusted_p: float | None) -> Verdict:
    assert cell.published is not None
    margin = margin_of(place.metric, declared)
    published = summary_of(cell.published)
    if cell.statistic is None:  # the lowest language is known only once the runs that name it are there
        return Verdict(Conclusion.incomplete, 0, len(_runs(grid, place)), published, margin)
    if cell.language and cell.language != cell.published.language:
        return Verdict(Conclusion.another_language, cell.statistic.n, cell.statistic.declared, published, margin)
    return verdict(cell.statistic.values, published, margin, adjusted_p)


def _runs(grid: Grid, place: Place) -> Sequence[tuple[str, ...]]:
    return grid.target.table.runs(place.panel, place.row, grid.target.datasets[place.dataset], place.column)


def _in_family(grid: Grid, place: Place, found: Verdict) -> bool:
    """Whether a number is one of those that Holm adjusts for: also while our runs for it are missing."""
    main = place.metric == grid.target.datasets[place.dataset].main_metric
    testable = found.published.std is not None and min(found.published.n, found.declared) >= FEWEST
    return main and testable and grid.target.table.over(place.column) == AVERAGE


def _p(found: Verdict) -> float:
    return 1.0 if found.estimate is None else found.estimate.p
