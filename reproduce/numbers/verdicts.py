"""Beside each number: does it reproduce the published one? One rule, `verdict`; `verdicts` applies it to a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from reproduce.declare.published import Number
from reproduce.declare.tables import Place
from reproduce.numbers.cells import Grid, Statistic
from reproduce.numbers.statistics import SIGNIFICANCE, Estimate, Summary, difference, holm, welch

FEWEST = 3
"""Runs on either side below which nothing is tested."""


class Conclusion(StrEnum):
    """What `verdict` concludes; the value is the text that is shown."""

    reproduced = "reproduced"
    different = "different"
    undecided = "undecided"
    not_enough_runs = "not enough runs"
    runs_unstated = "runs unstated"
    no_published_spread = "no published spread"
    another_language = "another language"
    incomplete = "incomplete"


@dataclass(frozen=True)
class Verdict:
    """A number of ours beside the published one, in percent.

    `adjusted_p` is the p of their difference after Holm, where it is tested for one.
    """

    conclusion: Conclusion
    ours: Statistic
    published: Summary
    margin: float
    adjusted_p: float | None = None

    @property
    def difference(self) -> float | None:
        """Ours − published; None where runs are missing, and for means of two languages."""
        if self.ours.summary is None or self.conclusion is Conclusion.another_language:
            return None
        return difference(self.ours.summary.mean, self.published.mean)

    @property
    def estimate(self) -> Estimate | None:
        """The difference with its Welch error, where both spreads are known."""
        return None if self.ours.summary is None else welch(self.ours.summary, self.published)

    def __str__(self) -> str:
        """The conclusion; with n/N where runs are missing."""
        incomplete = self.conclusion is Conclusion.incomplete
        return f"{self.conclusion} ({self.ours.n}/{self.ours.declared})" if incomplete else self.conclusion.value


def verdict(ours: Statistic, published: Summary, margin: float, adjusted_p: float | None = None) -> Verdict:
    """Whether our runs reproduce a published number. The first rule that applies decides:

    1. *incomplete*: a declared run has no value. There is no number then.
    2. *runs unstated*: the paper does not say over how many runs its number is, and no interval of it can be had. Our
       mean, its interval and the difference are all there is.
    3. *no published spread*: the paper prints no std. The same holds.
    4. *not enough runs*: fewer than 3 on either side.
    5. *reproduced*: the 90 % Welch interval of the difference lies within ±`margin` (TOST at 5 %: the difference
       is shown to be small, not merely not shown to be large).
    6. *different*: `adjusted_p` is below 0.05.
    7. *undecided*.

    `adjusted_p`: the two-sided Welch p of this number after Holm's adjustment within its family; None for a number
    outside every family, which is never *different*.
    """
    return Verdict(_conclusion(ours.summary, published, margin, adjusted_p), ours, published, margin, adjusted_p)


def _conclusion(ours: Summary | None, published: Summary, margin: float, adjusted_p: float | None) -> Conclusion:
    if ours is None:
        return Conclusion.incomplete
    if published.n is None:
        return Conclusion.runs_unstated
    if published.std is None:
        return Conclusion.no_published_spread
    estimate = welch(ours, published)
    if estimate is None or not (testable(ours.n) and testable(published.n)):
        return Conclusion.not_enough_runs
    if estimate.equivalent(margin):
        return Conclusion.reproduced
    if adjusted_p is not None and adjusted_p < SIGNIFICANCE:
        return Conclusion.different
    return Conclusion.undecided


def testable(runs: int | None) -> bool:
    """Whether so many runs can be tested; never a number that is unstated."""
    return runs is not None and runs >= FEWEST


def verdicts(grid: Grid) -> Mapping[Place, Verdict]:
    """The verdict on every number of ours that has a published one beside it.

    One family per table: its averages on their dataset's main metric that can be tested at all. Its size is that of
    the complete table from the beginning (a number whose runs are missing counts with p = 1), so further runs can turn
    *undecided* into *different*, and never back for want of the others.
    """
    compared = [place for place, cell in grid.cells.items() if cell.published is not None and not cell.quoted]
    first = {place: _judged(grid, place, None) for place in compared}
    family = {
        place: judged.estimate.p if judged.estimate else 1.0
        for place, judged in first.items()
        if _in_family(grid, place, judged)
    }
    adjusted = dict(zip(family, holm(list(family.values())), strict=True))
    tested = {place: p for place, p in adjusted.items() if first[place].ours.summary}
    return first | {place: _judged(grid, place, p) for place, p in tested.items()}


def summary_of(number: Number) -> Summary:
    """A printed number as a mean, a std where there is one, and the stated number of runs."""
    return Summary(float(number.mean), float(number.std) if number.std else None, number.runs)


def _judged(grid: Grid, place: Place, adjusted_p: float | None) -> Verdict:
    cell = grid.cells[place]
    assert cell.published is not None
    margin, published = grid.target.paper.margin(place.metric), summary_of(cell.published)
    # The lowest language is known only once the runs that name it are there.
    ours = cell.statistic or Statistic((None,) * len(grid.target.replicates_of(place.row, place.dataset)))
    if cell.language and cell.language != cell.published.language:
        return Verdict(Conclusion.another_language, ours, published, margin)
    return verdict(ours, published, margin, adjusted_p)


def _in_family(grid: Grid, place: Place, judged: Verdict) -> bool:
    """Whether a number is one of those that Holm adjusts for: also while our runs for it are missing."""
    main = place.metric == grid.target.datasets[place.dataset].main_metric
    tested = judged.published.std is not None and testable(judged.published.n) and testable(judged.ours.declared)
    return main and tested and grid.target.over(place.column).average
