"""Intervals and tests for a handful of runs: Welch, paired, exact sign flips, Holm. Pure functions of numbers.

Everything is two-sided and in the units of the metric (percent). scipy computes; what scipy leaves undefined
(no variance at all) is defined here.
"""

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from scipy import stats

SHOWN = 0.95
"""The level of every interval that is shown; none is adjusted for the number of intervals."""
SIGNIFICANCE = 0.05
EQUIVALENCE = 1 - 2 * SIGNIFICANCE
"""Two one-sided tests at 5 % reject together where the 90 % interval lies within the margin (TOST)."""

TIE = 1e-9
"""Sums this close are equal: they differ by binary rounding only."""


@dataclass(frozen=True)
class Summary:
    """What is known of `n` runs: their mean, and their sample std (n−1). None stands for what is not stated."""

    mean: float
    std: float | None
    n: int | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of at least one value; one value has no std."""
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


@dataclass(frozen=True)
class Interval:
    low: float
    high: float

    def within(self, margin: float) -> bool:
        """Whether no value of it is further than `margin` from 0."""
        return -margin <= self.low and self.high <= margin


@dataclass(frozen=True)
class Estimate:
    """A mean or a difference of means, whose error over `error` follows Student's t with `degrees` of freedom.

    An error of 0 (runs without any variance) makes every interval the estimate alone, and p 1 for an estimate
    of exactly 0 and 0 for any other: the limits of vanishing variance.
    """

    value: float
    error: float
    degrees: float

    def interval(self, level: float = SHOWN) -> Interval:
        half = 0.0 if self.error == 0 else float(stats.t.ppf((1 + level) / 2, self.degrees)) * self.error
        return Interval(self.value - half, self.value + half)

    @property
    def p(self) -> float:
        """Two-sided, of the hypothesis that the true value is 0."""
        if self.error == 0:
            return 1.0 if self.value == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.value) / self.error, self.degrees))

    def equivalent(self, margin: float) -> bool:
        """Whether the true value is shown to lie within ±`margin` (TOST at 5 %)."""
        return self.interval(EQUIVALENCE).within(margin)


def mean(summary: Summary) -> Estimate | None:
    """The mean of a group of runs; None where its spread, or how many there are, is unknown."""
    if summary.std is None or summary.n is None or summary.n < 2:
        return None
    return Estimate(summary.mean, summary.std / math.sqrt(summary.n), summary.n - 1)


def difference(first: float, second: float) -> float:
    """first − second, without binary rounding: printed numbers have decimals that binary fractions lack."""
    return round(first - second, 9)


def welch(first: Summary, second: Summary) -> Estimate | None:
    """The difference first − second of independent groups, degrees of freedom after Welch and Satterthwaite.

    None where a spread or a number of runs is unknown.
    """
    groups = [group for group in (mean(first), mean(second)) if group is not None]
    if len(groups) < 2:
        return None
    variances = [group.error**2 for group in groups]
    error = math.sqrt(sum(variances))
    if error == 0:
        return Estimate(difference(first.mean, second.mean), 0.0, math.inf)
    parts = (variance**2 / group.degrees for variance, group in zip(variances, groups, strict=True))
    return Estimate(difference(first.mean, second.mean), error, sum(variances) ** 2 / sum(parts))


def paired(first: Sequence[float], second: Sequence[float]) -> Estimate | None:
    """The mean of the differences first − second of pairs (paired t); None for a single pair."""
    return mean(Summary.of(differences(first, second)))


def differences(first: Sequence[float], second: Sequence[float]) -> list[float]:
    return [difference(a, b) for a, b in zip(first, second, strict=True)]


def sign_flip(pairs: Sequence[float]) -> float:
    """The exact p of paired differences: the share of all 2ⁿ flips of their signs with as large a mean."""
    sums = [abs(math.fsum(flipped)) for flipped in itertools.product(*((pair, -pair) for pair in pairs))]
    observed = abs(math.fsum(pairs)) - TIE
    return sum(flipped >= observed for flipped in sums) / len(sums)


def smallest_sign_flip(n: int) -> float:
    """The smallest p that `sign_flip` can give for n pairs: 2/2ⁿ, 0.125 for four."""
    return 2.0 ** (1 - n)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down adjustment: the i-th smallest of m times m − i + 1, never below a smaller one's, at most 1."""
    adjusted = [0.0] * len(p_values)
    reached = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = reached
    return tuple(adjusted)
