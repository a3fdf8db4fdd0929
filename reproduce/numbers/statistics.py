"""Intervals and tests for a handful of runs, two-sided and in the units of the metric (percent).

scipy computes; what scipy leaves undefined (no variance at all) is defined here.
"""

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

SIGNIFICANCE = 0.05


class Interval(NamedTuple):
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A mean or a difference of means, whose error over `error` follows Student's t with `degrees` of freedom.

    An error of 0 (runs without any variance) makes every interval the estimate alone, and p 1 for an estimate
    of exactly 0 and 0 for any other: the limits of vanishing variance.
    """

    value: float
    error: float
    degrees: float

    def interval(self, level: float = 0.95) -> Interval:
        """At 95 % unless said otherwise, and never adjusted for the number of intervals that are shown."""
        from scipy.special import stdtrit  # Student's t, as scipy.stats has it; that takes a second to import

        half = 0.0 if self.error == 0 else float(stdtrit(self.degrees, (1 + level) / 2)) * self.error
        return Interval(self.value - half, self.value + half)

    @property
    def p(self) -> float:
        """Two-sided, of the hypothesis that the true value is 0."""
        if self.error == 0:
            return 1.0 if self.value == 0 else 0.0
        from scipy.special import stdtr

        return float(2 * stdtr(self.degrees, -abs(self.value) / self.error))

    def equivalent(self, margin: float) -> bool:
        """Whether the true value is shown to lie within ±`margin`: both one-sided tests at 5 % reject (TOST)."""
        low, high = self.interval(1 - 2 * SIGNIFICANCE)
        return -margin <= low and high <= margin


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

    @property
    def estimate(self) -> Estimate | None:
        """The mean with its error; None where the spread, or how many runs there are, is unknown."""
        if self.std is None or self.n is None or self.n < 2:
            return None
        return Estimate(self.mean, self.std / math.sqrt(self.n), self.n - 1)


def difference(first: float, second: float) -> float:
    """first − second, without binary rounding: printed numbers have decimals that binary fractions lack."""
    return round(first - second, 9)


def welch(first: Summary, second: Summary) -> Estimate | None:
    """first − second of independent groups (Welch, Satterthwaite); None where a spread or number of runs is unknown."""
    if first.estimate is None or second.estimate is None:
        return None
    groups = (first.estimate, second.estimate)
    variance = sum(group.error**2 for group in groups)
    parts = sum(group.error**4 / group.degrees for group in groups)
    degrees = variance**2 / parts if variance else math.inf
    return Estimate(difference(first.mean, second.mean), math.sqrt(variance), degrees)


def spread_p(first: float, runs: int, second: float, others: int) -> float:
    """Two-sided p of two stds being equal, of independent groups of so many runs (F test)."""
    if first == second:
        return 1.0
    from scipy.special import fdtr

    below = float(fdtr(runs - 1, others - 1, (first / second) ** 2)) if second else 1.0
    return 2 * min(below, 1 - below)


def correlation_p(r: float, n: int) -> float:
    """Two-sided p of Pearson's r of n > 2 pairs, of the hypothesis that the true one is 0 (t test)."""
    return 0.0 if abs(r) == 1 else Estimate(r, math.sqrt((1 - r * r) / (n - 2)), n - 2).p


def paired_t(first: Sequence[float], second: Sequence[float]) -> float:
    """Student's t of the mean difference first − second; nan where a number is, for one pair, and without variance."""
    pairs = [difference(a, b) for a, b in zip(first, second, strict=True)]
    estimate = Summary.of(pairs).estimate if all(map(math.isfinite, pairs)) else None
    return estimate.value / estimate.error if estimate and estimate.error else math.nan


def sign_flip(pairs: Sequence[float]) -> float:
    """The exact p of n paired differences: the share of all 2ⁿ flips of signs with as large a mean; 2/2ⁿ at least."""
    sums = [abs(math.fsum(flipped)) for flipped in itertools.product(*((pair, -pair) for pair in pairs))]
    observed = abs(math.fsum(pairs)) - 1e-9  # sums this close differ by binary rounding only
    return sum(flipped >= observed for flipped in sums) / len(sums)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down adjustment: the i-th smallest of m times m − i + 1, never below a smaller one's, at most 1."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    steps = (min(1.0, (len(p_values) - rank) * p_values[index]) for rank, index in enumerate(order))
    return tuple(p for _, p in sorted(zip(order, itertools.accumulate(steps, max), strict=True)))
