"""Whether a claim holds: on printed numbers or on runs, by the same rules. Never on a partial set of runs."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from fun.results import Record
from reproduce.declare.claims import (
    Above,
    Case,
    Claim,
    Comparable,
    Compared,
    Gain,
    GapClosed,
    Pictured,
    Scope,
    Statements,
)
from reproduce.declare.parts import Run
from reproduce.declare.tables import Place
from reproduce.numbers import cells
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
from reproduce.numbers.verdicts import FEWEST, summary_of, testable
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
class Value:
    """A number of the paper, or of a complete set of our runs, in percent.

    `values` and `settings`, one per replicate of ours, are empty for a printed number. `settings` is everything that
    its runs read but their schedule: replicates that share it differ by nothing else. `records` are all behind it.
    """

    summary: Summary
    values: tuple[float, ...] = ()
    settings: tuple[Any, ...] = ()
    records: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Lacking:
    """Why there is no number: the runs that it needs, or a reason that no run can change."""

    runs: tuple[Run, ...] = ()
    reason: str = ""


Lookup = Callable[[Place], Value | Lacking]
"""Finds the number at a place of a scope."""


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


def check(statements: Statements, scope: Scope, results: Results) -> list[Checked]:
    """Every claim on both sides; `results` holds what was found for every run that the statements need."""
    return [
        Checked(
            claim,
            evaluate(claim, statements, scope, measured(scope, results)),
            evaluate(claim, statements, scope, printed(scope)) if scope.published else None,
        )
        for claim in statements.claims
    ]


def printed(scope: Scope) -> Lookup:
    """The printed numbers of the paper."""

    def look_up(place: Place) -> Value | Lacking:
        number = scope.number(place)
        if number is None:
            names = (scope.rows[place.row], scope.panels[place.panel], scope.datasets[place.dataset])
            row, panel, dataset = (part.label for part in names)
            return Lacking(reason=f"the paper prints no number for {row} with {panel} on {dataset}")
        return Value(summary_of(number))

    return look_up


def measured(scope: Scope, results: Results) -> Lookup:
    """The numbers of our runs; `results` holds what was found for every run that they need."""

    def look_up(place: Place) -> Value | Lacking:
        dataset = scope.datasets[place.dataset]
        languages = cells.languages_at(scope, results, place)
        if not languages:
            deciding = cells.lacking(scope, results, scope.deciding(place), dataset.targets)
            return Lacking((*deciding, *cells.lacking(scope, results, place, dataset.targets)))
        if runs := cells.lacking(scope, results, place, languages):
            return Lacking(tuple(runs))
        sources = cells.read(scope, results, place)
        number = cells.statistic(sources, place.metric, languages, dataset.reads)
        read = [[replicate[language] for language in languages] for replicate in sources]
        records = [list({id(r): r for r in replicate if r is not None}.values()) for replicate in read]
        settings = tuple([_settings(record) for record in replicate] for replicate in records)
        behind = tuple(record for replicate in records for record in replicate)
        return Value(Summary.of(number.present), number.present, settings, behind)

    return look_up


def evaluate(claim: Claim, statements: Statements, scope: Scope, lookup: Lookup) -> Outcome:
    """Whether a claim holds in a scope by the numbers that `lookup` finds: the printed ones, or those of our runs."""
    if isinstance(claim, Pictured):
        return Outcome(Result.unjudged, reason=f"a statement about curves; see figure {claim.figure}")
    assert isinstance(claim, Compared)
    if reason := statements.foreign(claim, scope):
        return Outcome(Result.unjudged, reason=reason)
    cases = statements.cases(claim, scope)
    numbers = {place: lookup(place) for case in cases for place in case.places}
    gaps = [number for number in numbers.values() if isinstance(number, Lacking)]
    if reasons := [gap.reason for gap in gaps if gap.reason]:
        return Outcome(Result.unjudged, reason=reasons[0])
    if gaps:
        return Outcome(Result.incomplete, missing=tuple(dict.fromkeys(run for gap in gaps for run in gap.runs)))
    return _judge(
        claim, scope, cases, {place: number for place, number in numbers.items() if isinstance(number, Value)}
    )


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
            Summary(statistics.fmean(n.summary.mean for n in numbers), None, _fewest(n.summary.n for n in numbers))
        )
    means = tuple(statistics.fmean(replicate) for replicate in zip(*(n.values for n in numbers), strict=True))
    settings = tuple({"of": replicate} for replicate in zip(*(n.settings for n in numbers), strict=True))
    return Value(Summary.of(means), means, settings)


def _fewest(runs: Iterable[int | None]) -> int | None:
    """The smallest number of runs; None where one is unstated."""
    stated = list(runs)
    return None if None in stated else min(n for n in stated if n is not None)


def _judge(claim: Compared, scope: Scope, cases: Sequence[Case], numbers: Mapping[Place, Value]) -> Outcome:
    with_gap = [case for case in cases if _has_gap(case, numbers)]
    findings = list(_findings(claim, scope, with_gap, numbers))
    if not findings:
        return Outcome(Result.unjudged, reason="there is no gap to close")
    if isinstance(claim, Above) and claim.significant and not all(_testable(finding) for finding in findings):
        return Outcome(Result.unjudged, reason=f"no test without a spread and {FEWEST} runs on either side")
    without = len(cases) - len(with_gap)
    reasons = [f"no gap to begin with in {without} of {len(cases)} cases"] if without else []
    reasons += cells.notes_on(record for number in numbers.values() for record in number.records)
    return Outcome(_result(claim, findings), tuple(findings), reason="; ".join(reasons))


def _has_gap(case: Case, numbers: Mapping[Place, Value]) -> bool:
    return (
        not case.standard or _average(case.standard, numbers).summary.mean < _average(case.over, numbers).summary.mean
    )


def _average(places: Sequence[Place], numbers: Mapping[Place, Value]) -> Value:
    return average([numbers[place] for place in places])


def _findings(
    claim: Compared, scope: Scope, cases: Sequence[Case], numbers: Mapping[Place, Value]
) -> Iterator[Finding]:
    compared = [compare(_average(case.row, numbers), _average(case.over, numbers)) for case in cases]
    tested = [comparison.estimate.p for comparison in compared if comparison.estimate]
    adjusted = holm(tested) if len(tested) == len(compared) else [None] * len(compared)
    for case, comparison, adjusted_p in zip(cases, compared, adjusted, strict=True):
        margin = statistics.fmean(scope.paper.margin(place.metric) for place in case.row)
        finding = Finding(case.label, comparison, margin, adjusted_p)
        on_paper = not all(numbers[place].values for place in case.places)
        yield replace(finding, holds=_holds(claim, finding, on_paper))


def _holds(claim: Compared, finding: Finding, on_paper: bool) -> bool:
    gain, margin = finding.comparison.difference, finding.margin
    match claim:
        case Above():
            return gain > (margin if claim.clearly else 0) and (finding.significant or not claim.significant)
        case Comparable():
            return abs(gain) <= margin
        case GapClosed():
            return gain >= -margin
        case Gain(equals=float() as stated):
            return abs(gain - stated) <= (LAST_DIGIT if on_paper else margin)
        case Gain(at_least=float() as stated):
            return gain >= stated
    raise TypeError(f"no rule for a claim of kind {type(claim).__name__}")


def _testable(finding: Finding) -> bool:
    comparison = finding.comparison
    return comparison.estimate is not None and testable(comparison.row.n) and testable(comparison.over.n)


def _settings(record: Record) -> dict[str, Any]:
    # tr(F) is scored only where the schedule asks for it, so its fields are the schedule's.
    config = {name: part for name, part in record.config.items() if name not in ("schedule", "fisher")}
    return {"config": config, "inputs": record.inputs, "semantics": record.semantics}


def _result(claim: Compared, findings: Sequence[Finding]) -> Result:
    holding, of = sum(finding.holds for finding in findings), len(findings)
    if isinstance(claim, Above) and claim.least is not None:
        return Result.holds if holding * claim.least.of >= claim.least.count * of else Result.does_not_hold
    if holding == of:
        return Result.holds
    return Result.in_part if holding else Result.does_not_hold
