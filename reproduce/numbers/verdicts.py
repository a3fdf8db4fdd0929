"""Beside each number: does it reproduce the published one? One rule; `verdicts` applies it to a table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from reproduce.declare.published import Number
from reproduce.declare.tables import Place
from reproduce.numbers.cells import Grid, Statistic
from reproduce.numbers.statistics import SIGNIFICANCE, Estimate, Summary, difference, holm, welch

FEWEST = 3
"""Runs on either side below which nothing is tested."""


class Conclusion(StrEnum):
    """What a verdict concludes; the value is the text that is shown."""

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
    """A number of ours beside the published one, in percent; `comparable` unless our lowest language is another one.

    `adjusted_p`: the two-sided Welch p of this number after Holm's adjustment within its family; None for a number
    outside every family, which is never *different*.
    """

    ours: Statistic
    published: Summary
    margin: float
    adjusted_p: float | None = None
    comparable: bool = True

    @cached_property
    def conclusion(self) -> Conclusion:
        """Whether our runs reproduce the published number: the first rule that applies decides."""
        ours, published, estimate = self.ours.summary, self.published, self.estimate
        if not self.comparable:
            return Conclusion.another_language
        if ours is None:
            return Conclusion.incomplete
        if published.n is None:  # no interval can be had: our mean, its interval and the difference are all there is
            return Conclusion.runs_unstated
        if published.std is None:  # the same holds
            return Conclusion.no_published_spread
        if estimate is None or not (testable(ours.n) and testable(published.n)):
            return Conclusion.not_enough_runs
        if estimate.equivalent(self.margin):  # shown to be small (TOST), not merely not shown to be large
            return Conclusion.reproduced
        if self.adjusted_p is not None and self.adjusted_p < SIGNIFICANCE:
            return Conclusion.different
        return Conclusion.undecided

    @property
    def difference(self) -> float | None:
        """Ours − published; None where runs are missing, and for means of two languages."""
        if self.ours.summary is None or not self.comparable:
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


def testable(runs: int | None) -> bool:
    """Whether so many runs can be tested; never a number that is unstated."""
    return runs is not None and runs >= FEWEST


def verdicts(grid: Grid) -> Mapping[Place, Verdict]:
    """The verdict on every number of ours that has a published one beside it.

    One family per table: its averages on their dataset's main metric that can be tested at all. Its size is that of
    the complete table from the beginning (a number whose runs are missing counts with p = 1), so further runs can turn
    *undecided* into *different*, and never back for want of the others.
    """
    first, family, table = dict[Place, Verdict](), dict[Place, float](), grid.target
    for place, cell in grid.cells.items():
        if cell.published is None or cell.quoted:
            continue
        # The lowest language is known only once the runs that name it are there.
        ours = cell.statistic or Statistic((None,) * len(table.replicates_of(place.row, place.dataset)))
        published, margin = summary_of(cell.published), table.paper.margin(place.metric)
        comparable = not cell.language or cell.language == cell.published.language
        first[place] = verdict = Verdict(ours, published, margin, comparable=comparable)
        main_average = place.metric == table.datasets[place.dataset].main_metric and table.over(place.column).average
        if main_average and published.std is not None and testable(published.n) and testable(ours.declared):
            family[place] = verdict.estimate.p if verdict.estimate else 1.0
    adjusted = zip(family, holm(list(family.values())), strict=True)
    return first | {place: replace(first[place], adjusted_p=p) for place, p in adjusted if first[place].ours.summary}


def summary_of(number: Number) -> Summary:
    """A printed number as a mean, a std where there is one, and the stated number of runs."""
    return Summary(float(number.mean), float(number.std) if number.std else None, number.runs)
