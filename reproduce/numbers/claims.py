"""Whether a claim holds: on printed numbers or on runs, by the same rules. Never on a partial set of runs."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from reproduce.declare.claims import (
    Above,
    Case,
    Claim,
    Comparable,
    Compared,
    Gain,
    GapClosed,
    Pictured,
    Quantity,
    Scope,
    Statements,
)
from reproduce.numbers import quantities as values
from reproduce.numbers.cells import notes_on
from reproduce.numbers.quantities import Lacking, Lookup, Run, Value
from reproduce.numbers.statistics import (
    SIGNIFICANCE,
    Estimate,
    Summary,
    difference,
    differences,
    holm,
    paired,
    sign_flip,
    smallest_sign_flip,
    welch,
)
from reproduce.numbers.verdicts import FEWEST, Margin, margin_of
from reproduce.runs.store import Results

RULES = (
    "A claim about means is judged by the means, the printed ones and ours alike; intervals and p-values beside them "
    "say how sure a difference is. Only a claim of significance is judged by p.",
    "Ours are compared pairwise, seed by seed (paired t), where the runs share everything but the schedule, and as "
    "independent groups (Welch) where learning rate or epochs differ too.",
    "Paired runs also get the exact sign-flip p. With n seeds it cannot be smaller than 2/2ⁿ: 0.125 with four.",
    "p-values are two-sided and adjusted after Holm over the cases of their claim; shown intervals are not adjusted.",
)
"""How every claim is judged, to be printed with them."""

LAST_DIGIT = 0.005
"""Half a unit of the last decimal of a stated number."""


class Result(StrEnum):
    """What became of a claim; the value is the text that is shown."""

    holds = "holds"
    in_part = "holds in part"
    does_not_hold = "does not hold"
    incomplete = "incomplete"
    unjudged = "cannot be judged"


@dataclass(frozen=True)
class Comparison:
    """A difference of two means, in percent, and how sure it is.

    `estimate` holds the difference with its error where both spreads are known: of the paired differences (`test` is
    `paired t`) where the runs share everything but the schedule, replicate by replicate, else of independent groups
    (`Welch`). Paired runs also have the exact sign-flip p, which for n pairs is `smallest_p` at least.
    """

    row: Summary
    over: Summary
    difference: float
    estimate: Estimate | None = None
    test: str = ""
    exact_p: float | None = None
    smallest_p: float | None = None


@dataclass(frozen=True)
class Finding:
    """One case of a claim. `adjusted_p`: after Holm over the claim's cases, where every case has a p."""

    label: str
    comparison: Comparison
    margin: float
    adjusted_p: float | None = None
    holds: bool = False

    @property
    def significant(self) -> bool:
        return self.adjusted_p is not None and self.adjusted_p < SIGNIFICANCE

    @property
    def equivalent(self) -> bool:
        """Whether the difference is shown to be within the margin (TOST at 5 %, not adjusted)."""
        return self.comparison.estimate is not None and self.comparison.estimate.equivalent(self.margin)


@dataclass(frozen=True)
class Outcome:
    """A claim on one side. `missing`: the runs that it still needs; without them it has no findings.

    `reason`: why it cannot be judged, or what else belongs to the result: cases left out, what our runs mix, marks.
    """

    result: Result
    findings: tuple[Finding, ...] = ()
    missing: tuple[Run, ...] = ()
    reason: str = ""

    @property
    def holding(self) -> int:
        return sum(finding.holds for finding in self.findings)

    def __str__(self) -> str:
        """`holds in part (6 of 8)`, `incomplete: needs 12 more runs`, `cannot be judged: …`."""
        match self.result:
            case Result.incomplete:
                return f"{self.result}: needs {len(self.missing)} more run{'s' if len(self.missing) > 1 else ''}"
            case Result.unjudged:
                return f"{self.result}: {self.reason}"
            case _:
                return f"{self.result} ({self.holding} of {len(self.findings)})"


@dataclass(frozen=True)
class Checked:
    """A claim, what our runs say of it, and what the paper's own numbers say; None in a scope that has none."""

    claim: Claim
    ours: Outcome
    published: Outcome | None


def check(statements: Statements, scope: Scope, results: Results, margins: Mapping[str, Margin]) -> list[Checked]:
    """Every claim on both sides; `results` holds what was found for every run that `values.needed` names."""
    measured, published = values.measured(statements, results), values.published(statements)
    return [
        Checked(
            claim,
            evaluate(claim, statements, scope, measured, margins),
            evaluate(claim, statements, scope, published, margins) if scope.published else None,
        )
        for claim in statements.claims
    ]


def evaluate(
    claim: Claim, statements: Statements, scope: Scope, lookup: Lookup, margins: Mapping[str, Margin]
) -> Outcome:
    """Whether a claim holds in a scope by the numbers that `lookup` finds: the printed ones, or those of our runs."""
    if isinstance(claim, Pictured):
        return Outcome(Result.unjudged, reason=f"a statement about curves; see figure {claim.figure}")
    assert isinstance(claim, Compared)
    if reason := statements.foreign(claim, scope):
        return Outcome(Result.unjudged, reason=reason)
    cases = statements.cases(claim, scope)
    looked_up = {quantity: lookup(quantity) for case in cases for quantity in case.quantities}
    lacking = [found for found in looked_up.values() if isinstance(found, Lacking)]
    if reasons := [found.reason for found in lacking if found.reason]:
        return Outcome(Result.unjudged, reason=reasons[0])
    if lacking:
        return Outcome(Result.incomplete, missing=tuple(dict.fromkeys(run for found in lacking for run in found.runs)))
    known = {quantity: found for quantity, found in looked_up.items() if isinstance(found, Value)}
    return _judge(claim, cases, known, margins)


def compare(row: Value, over: Value) -> Comparison:
    """Two numbers beside each other: paired where only the schedule differs, else as independent groups."""
    comparison = Comparison(row.summary, over.summary, difference(row.summary.mean, over.summary.mean))
    if row.values and row.settings == over.settings:
        estimate = paired(row.values, over.values)
        exact, smallest = sign_flip(differences(row.values, over.values)), smallest_sign_flip(len(row.values))
        return replace(
            comparison, estimate=estimate, test="paired t" if estimate else "", exact_p=exact, smallest_p=smallest
        )
    estimate = welch(row.summary, over.summary)
    return replace(comparison, estimate=estimate, test="Welch" if estimate else "")


def average(numbers: Sequence[Value]) -> Value:
    """The average of several numbers of one method: of its runs replicate by replicate, of printed ones their mean.

    Data sets can come from the same run, so the spread of an average is known only from its replicates.
    """
    if len(numbers) == 1:
        return numbers[0]
    if not all(number.values for number in numbers):
        return Value(
            Summary(statistics.fmean(n.summary.mean for n in numbers), None, min(n.summary.n for n in numbers))
        )
    means = tuple(statistics.fmean(replicate) for replicate in zip(*(n.values for n in numbers), strict=True))
    settings = tuple({"of": replicate} for replicate in zip(*(n.settings for n in numbers), strict=True))
    return Value(Summary.of(means), means, settings)


def _judge(
    claim: Compared, cases: Sequence[Case], numbers: Mapping[Quantity, Value], margins: Mapping[str, Margin]
) -> Outcome:
    with_gap = [case for case in cases if _has_gap(case, numbers)]
    findings = list(_findings(claim, with_gap, numbers, margins))
    if not findings:
        return Outcome(Result.unjudged, reason="there is no gap to close")
    if isinstance(claim, Above) and claim.significant and not all(_testable(finding) for finding in findings):
        return Outcome(Result.unjudged, reason=f"no test without a spread and {FEWEST} runs on either side")
    without = len(cases) - len(with_gap)
    reasons = [f"no gap to begin with in {without} of {len(cases)} cases"] if without else []
    reasons += notes_on(record for number in numbers.values() for record in number.records)
    return Outcome(_result(claim, findings), tuple(findings), reason="; ".join(reasons))


def _has_gap(case: Case, numbers: Mapping[Quantity, Value]) -> bool:
    return not case.standard or _mean(case.standard, numbers) < _mean(case.over, numbers)


def _mean(quantities: Sequence[Quantity], numbers: Mapping[Quantity, Value]) -> float:
    return average([numbers[quantity] for quantity in quantities]).summary.mean


def _findings(
    claim: Compared, cases: Sequence[Case], numbers: Mapping[Quantity, Value], margins: Mapping[str, Margin]
) -> Iterator[Finding]:
    compared = [
        compare(average([numbers[q] for q in case.row]), average([numbers[q] for q in case.over])) for case in cases
    ]
    tested = [comparison.estimate.p for comparison in compared if comparison.estimate]
    adjusted = holm(tested) if len(tested) == len(compared) else [None] * len(compared)
    for case, comparison, adjusted_p in zip(cases, compared, adjusted, strict=True):
        margin = statistics.fmean(margin_of(quantity.metric, margins) for quantity in case.row)
        printed = not all(numbers[quantity].values for quantity in case.quantities)
        finding = Finding(case.label, comparison, margin, adjusted_p)
        yield replace(finding, holds=_holds(claim, finding, printed))


def _holds(claim: Compared, finding: Finding, printed: bool) -> bool:
    found, margin = finding.comparison.difference, finding.margin
    match claim:
        case Above():
            return found > (margin if claim.clearly else 0) and (finding.significant or not claim.significant)
        case Comparable():
            return abs(found) <= margin
        case GapClosed():
            return found >= -margin
        case Gain(equals=float() as stated):
            return abs(found - stated) <= (LAST_DIGIT if printed else margin)
        case Gain(at_least=float() as stated):
            return found >= stated
    raise TypeError(f"no rule for a claim of kind {type(claim).__name__}")


def _testable(finding: Finding) -> bool:
    comparison = finding.comparison
    return comparison.estimate is not None and min(comparison.row.n, comparison.over.n) >= FEWEST


def _result(claim: Compared, findings: Sequence[Finding]) -> Result:
    holding, of = sum(finding.holds for finding in findings), len(findings)
    if isinstance(claim, Above) and claim.least is not None:
        return Result.holds if holding * claim.least.of >= claim.least.count * of else Result.does_not_hold
    if holding == of:
        return Result.holds
    return Result.in_part if holding else Result.does_not_hold
