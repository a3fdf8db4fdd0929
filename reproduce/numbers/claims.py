"""Whether a claim holds: on printed numbers or on runs, by the same rules. Never on a partial set of runs."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import product
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
    Negative,
    Pictured,
    Scope,
    Statements,
    Steadier,
    cases,
    places_of,
)
from reproduce.declare.parts import Run
from reproduce.declare.tables import Place
from reproduce.numbers import cells, correlation
from reproduce.numbers.statistics import (
    SIGNIFICANCE,
    Estimate,
    Summary,
    correlation_p,
    difference,
    holm,
    sign_flip,
    spread_p,
    welch,
)
from reproduce.numbers.verdicts import FEWEST, summary_of, testable
from reproduce.runs.store import Done, Results

RULES = (
    "A claim about means is judged by the means, the printed ones and ours alike; intervals and p-values beside them "
    "say how sure a difference is. Only a claim of significance is judged by p.",
    "Ours are compared pairwise, seed by seed (paired t), where the runs share everything but schedule, mask or "
    "regularizer, and as independent groups (Welch) where learning rate or epochs differ too.",
    "Paired runs also get the exact sign-flip p. With n seeds it cannot be smaller than 2/2ⁿ: 0.125 with four.",
    "A claim about spread is judged by the stds, beside the p of their ratio (F test); one about correlations by their "
    "signs, beside the p of Pearson's r.",
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
    its runs read but their methods: replicates that share it differ by nothing else. `records` are all behind it.
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


@dataclass(frozen=True)
class Finding:
    """One case of a claim: two means in percent (or stds, or a correlation and 0), and how sure their difference is.

    `estimate` is the difference with its error where both spreads are known: of the paired differences where the runs
    share everything but their methods, replicate by replicate, else of independent groups. Paired runs also have the
    `exact_p` of sign flips. `other_p` is that of a test without an estimate. `adjusted_p`: after Holm over the claim's
    cases, where every case has a p.
    """

    label: str
    row: Summary
    over: Summary
    margin: float
    estimate: Estimate | None
    exact_p: float | None
    other_p: float | None = None
    adjusted_p: float | None = None
    holds: bool = False

    @property
    def p(self) -> float | None:
        """Of the hypothesis that the true difference is 0."""
        return self.estimate.p if self.estimate else self.other_p

    @property
    def difference(self) -> float:
        return difference(self.row.mean, self.over.mean)

    @property
    def test(self) -> str:
        """What gave the estimate; empty without one."""
        return "" if self.estimate is None else "Welch" if self.exact_p is None else "paired t"

    @property
    def smallest_p(self) -> float | None:
        """What an exact p of so many pairs is at least."""
        return None if self.exact_p is None or self.row.n is None else 2.0 ** (1 - self.row.n)

    @property
    def significant(self) -> bool:
        return self.adjusted_p is not None and self.adjusted_p < SIGNIFICANCE

    @property
    def equivalent(self) -> bool:
        """Whether the difference is shown to be within the margin (TOST at 5 %, not adjusted)."""
        return self.estimate is not None and self.estimate.equivalent(self.margin)


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
    ours, theirs = partial(measured, scope, results), partial(printed, scope)
    checked = []
    for claim in statements.claims:
        if isinstance(claim, Negative):
            sides = correlated(claim, scope, results), correlated(claim, scope, None)
        else:
            sides = evaluate(claim, statements, scope, ours), evaluate(claim, statements, scope, theirs)
        checked.append(Checked(claim, sides[0], sides[1] if scope.published else None))
    return checked


def printed(scope: Scope, place: Place) -> Value | Lacking:
    """The number that the paper prints at a place."""
    number = scope.number(place)
    if number is None:
        row, panel, dataset = scope.rows[place.row], scope.panels[place.panel], scope.datasets[place.dataset]
        return Lacking(reason=f"the paper prints no number for {row.label} with {panel.label} on {dataset.label}")
    return Value(summary_of(number))


def measured(scope: Scope, results: Results, place: Place) -> Value | Lacking:
    """The number of our runs at a place; `results` holds what was found for every run that it needs."""
    dataset = scope.datasets[place.dataset]
    languages = cells.languages_at(scope, results, place)
    if not languages:
        deciding = cells.lacking(scope, results, scope.deciding(place), dataset.targets)
        return Lacking((*deciding, *cells.lacking(scope, results, place, dataset.targets)))
    if runs := cells.lacking(scope, results, place, languages):
        return Lacking(tuple(runs))
    number, sources = cells.statistic(scope, results, place, languages), cells.read(scope, results, place)
    assert number.summary is not None  # nothing is lacking
    read = [source if dataset.mean_of else {name: source[name] for name in languages} for source in sources]
    records = [[record for record in source.values() if record] for source in read]
    settings = tuple([_settings(record) for record in replicate] for replicate in records)
    return Value(number.summary, number.present, settings, tuple(r for replicate in records for r in replicate))


def evaluate(claim: Claim, statements: Statements, scope: Scope, number: Callable[[Place], Value | Lacking]) -> Outcome:
    """Whether a claim holds in a scope by the `number` at each place: the printed one, or that of our runs."""
    if isinstance(claim, Pictured):
        return Outcome(Result.unjudged, reason=f"a statement about curves; see figure {claim.figure}")
    assert isinstance(claim, Compared)
    if reason := statements.foreign(claim, scope):
        return Outcome(Result.unjudged, reason=reason)
    numbers = {place: number(place) for place in places_of(claim, scope)}
    values = {place: value for place, value in numbers.items() if isinstance(value, Value)}
    gaps = [gap for gap in numbers.values() if isinstance(gap, Lacking)]
    if reasons := [gap.reason for gap in gaps if gap.reason]:
        return Outcome(Result.unjudged, reason=reasons[0])
    if gaps:
        return Outcome(Result.incomplete, missing=tuple(dict.fromkeys(run for gap in gaps for run in gap.runs)))
    if isinstance(claim, Steadier) and any(value.summary.std is None for value in values.values()):
        return Outcome(Result.unjudged, reason="a number has no spread")
    every = cases(claim, scope)
    with_gap = [case for case in every if _has_gap(claim, case, values)]
    findings = tuple(_findings(claim, scope, with_gap, values))
    if not findings:
        return Outcome(Result.unjudged, reason="there is no gap to close")
    if isinstance(claim, Above) and claim.significant and not all(map(_testable, findings)):
        return Outcome(Result.unjudged, reason=f"no test without a spread and {FEWEST} runs on either side")
    without = len(every) - len(with_gap)
    reasons = [f"no gap to begin with in {without} of {len(every)} cases"] if without else []
    reasons += cells.notes_on(record for value in values.values() for record in value.records)
    return Outcome(_result(claim, findings), findings, reason="; ".join(reasons))


def compare(label: str, row: Value, over: Value, margin: float) -> Finding:
    """Two numbers beside each other: paired where only schedule or mask differ, else as independent groups."""
    if row.values and row.settings == over.settings:
        pairs = [difference(first, second) for first, second in zip(row.values, over.values, strict=True)]
        return Finding(label, row.summary, over.summary, margin, Summary.of(pairs).estimate, sign_flip(pairs))
    return Finding(label, row.summary, over.summary, margin, welch(row.summary, over.summary), None)


def compare_spreads(label: str, row: Value, over: Value, margin: float) -> Finding:
    """The stds of two numbers beside each other."""
    first, second = row.summary, over.summary
    assert first.std is not None
    assert second.std is not None
    tested = testable(first.n) and testable(second.n)
    p = spread_p(first.std, first.n or 0, second.std, second.n or 0) if tested else None
    stds = (Summary(first.std, None, first.n), Summary(second.std, None, second.n))
    return Finding(f"{label} (std)", *stds, margin, None, None, p)


def correlated(claim: Negative, scope: Scope, results: Results | None) -> Outcome:
    """Whether correlations are negative: those of our runs, or the printed ones where there are no `results`."""
    table, findings, nothing = scope.correlations(claim), [], Summary(0.0, None, None)
    if results is not None:
        runs = [run.overrides for run in table.needed()]
        done = {run: found for run in runs if isinstance(found := results[run], Done) and not found.lacks}
        if absent := tuple(run for run in runs if run not in done):
            return Outcome(Result.incomplete, missing=absent)
    for name, row in product(table.datasets, table.rows):
        label = f"{table.paper.datasets[name].label}, Fishers on {table.rows[row].label}: r"
        if results is None:
            number = table.number(row, name)
            if number is None:
                return Outcome(Result.unjudged, reason=f"the paper prints no number for {label}")
            r = float(number.mean)
        else:
            pairs = correlation.pairs(table, results, row, name)
            r, _ = pairs.pearson(pairs.squared)
        n = len(table.languages(row, name))
        findings.append(Finding(label, Summary(r, None, n), nothing, 0.0, None, None, correlation_p(r, n), holds=r < 0))
    adjusted = holm([correlation_p(finding.row.mean, finding.row.n or 0) for finding in findings])
    judged = [replace(finding, adjusted_p=p) for finding, p in zip(findings, adjusted, strict=True)]
    return Outcome(_result(claim, judged), tuple(judged))


def average(numbers: Sequence[Value]) -> Value:
    """The average of several numbers of one method: of its runs replicate by replicate, of printed ones their mean.

    Data sets can come from the same run, so the spread of an average is known only from its replicates.
    """
    if len(numbers) == 1:
        return numbers[0]
    if not all(number.values for number in numbers):
        runs = [number.summary.n for number in numbers]
        fewest = min((n for n in runs if n is not None), default=None) if None not in runs else None
        return Value(Summary(statistics.fmean(number.summary.mean for number in numbers), None, fewest))
    means = tuple(map(statistics.fmean, zip(*(n.values for n in numbers), strict=True)))
    return Value(Summary.of(means), means, tuple(zip(*(n.settings for n in numbers), strict=True)))


def _average(case: Case, row: str, numbers: Mapping[Place, Value]) -> Value:
    return average([numbers[place] for place in case.places(row)])


def _has_gap(claim: Compared, case: Case, numbers: Mapping[Place, Value]) -> bool:
    if not isinstance(claim, GapClosed):
        return True
    standard, over = (_average(case, row, numbers).summary.mean for row in (claim.standard, case.over))
    return standard < over


def _findings(
    claim: Compared, scope: Scope, compared: Sequence[Case], numbers: Mapping[Place, Value]
) -> Iterator[Finding]:
    findings = []
    for case in compared:
        margin = statistics.fmean(scope.paper.margin(metric) for _, metric in case.numbers)
        row, over = (_average(case, row, numbers) for row in (case.row, case.over))
        beside = compare_spreads if isinstance(claim, Steadier) else compare
        findings.append(beside(case.label(scope), row, over, margin))
    tested = [finding.p for finding in findings if finding.p is not None]
    adjusted = holm(tested) if len(tested) == len(findings) else [None] * len(findings)
    on_paper = not all(number.values for number in numbers.values())
    for finding, adjusted_p in zip(findings, adjusted, strict=True):
        judged = replace(finding, adjusted_p=adjusted_p)
        yield replace(judged, holds=_holds(claim, judged, on_paper))


def _holds(claim: Compared, finding: Finding, on_paper: bool) -> bool:
    gain, margin = finding.difference, finding.margin
    match claim:
        case Above():
            return gain > (margin if claim.clearly else 0) and (finding.significant or not claim.significant)
        case Comparable():
            return abs(gain) <= margin
        case GapClosed():
            return gain >= -margin
        case Steadier():
            return gain < 0
        case Gain(equals=float() as stated):
            return abs(gain - stated) <= (LAST_DIGIT if on_paper else margin)
        case Gain(at_least=float() as stated):
            return gain >= stated
    raise TypeError(f"no rule for a claim of kind {type(claim).__name__}")


def _testable(finding: Finding) -> bool:
    return finding.estimate is not None and testable(finding.row.n) and testable(finding.over.n)


METHODS = ("schedule", "mask", "regularizer", "fisher")  # tr(F) is scored only where a schedule asks for it


def _settings(record: Record) -> dict[str, Any]:
    config = {name: part for name, part in record.config.items() if name not in METHODS}
    inputs = {name: key for name, key in record.inputs.items() if not name.startswith("fisher.")}
    return {"config": config, "inputs": inputs, "semantics": record.semantics}


def _result(claim: Claim, findings: Sequence[Finding]) -> Result:
    holding, of = sum(finding.holds for finding in findings), len(findings)
    if isinstance(claim, Above) and claim.least is not None:
        return Result.holds if holding * claim.least.of >= claim.least.count * of else Result.does_not_hold
    if holding == of:
        return Result.holds
    return Result.in_part if holding else Result.does_not_hold
