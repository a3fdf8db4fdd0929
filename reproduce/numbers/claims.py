"""Whether a claim holds: on printed numbers or on runs, by the same rules. Never on a partial set of runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import product
from statistics import fmean
from typing import Any

from fun.results import Record
from reproduce.declare import claims as kinds
from reproduce.declare.claims import Case, Claim, Compared, Negative, Pictured, Scope, Statements, cases, places_of
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

METHODS = ("schedule", "mask", "regularizer", "fisher")  # tr(F) is scored only where a schedule asks for it


class Result(StrEnum):
    """What became of a claim; the value is the text that is shown."""

    holds = "holds"
    in_part = "holds in part"
    does_not_hold = "does not hold"
    incomplete = "incomplete"
    unjudged = "cannot be judged"


@dataclass(frozen=True)
class Value:
    """A number of the paper, or of a complete set of our runs, in percent; then with all records behind it.

    `values` and `settings` are one per replicate of ours; `settings` is all that its runs read but their methods.
    """

    summary: Summary
    values: tuple[float, ...] = ()
    settings: tuple[Any, ...] = ()
    records: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One case of a claim: two means in percent (or stds, or a correlation and 0), and how sure their difference is.

    `estimate`: the difference with its error, where both spreads are known. Paired runs also have the `exact_p` of sign
    flips. `other_p` is that of a test without an estimate; `adjusted_p` is after Holm, where every case has a p.
    """

    label: str
    row: Summary
    over: Summary
    margin: float
    estimate: Estimate | None = None
    exact_p: float | None = None
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


@dataclass(frozen=True)
class Outcome:
    """What became of a claim. `missing`: the runs that it still needs; without them it has no findings.

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
        if self.result is Result.incomplete:
            return f"{self.result}: needs {len(self.missing)} more run{'s' if len(self.missing) > 1 else ''}"
        if self.result is Result.unjudged:
            return f"{self.result}: {self.reason}"
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


def printed(scope: Scope, place: Place) -> Value | Outcome:
    """The number that the paper prints at a place, or why no claim about it can be judged."""
    if number := scope.number(place):
        return Value(summary_of(number))
    row, panel, dataset = scope.rows[place.row], scope.panels[place.panel], scope.datasets[place.dataset]
    where = f"{row.label} with {panel.label} on {dataset.label}"
    return Outcome(Result.unjudged, reason=f"the paper prints no number for {where}")


def measured(scope: Scope, results: Results, place: Place) -> Value | Outcome:
    """The number of our runs at a place, or which of them it lacks."""
    languages = cells.languages_at(scope, results, place)
    places = [place] if languages else [scope.deciding(place), place]
    if runs := [run for each in places for run in cells.lacking(scope, results, each)]:
        return Outcome(Result.incomplete, missing=tuple(runs))
    number, mean_of = cells.statistic(scope, results, place, languages), scope.mean_of(place)
    assert number.summary is not None  # nothing is lacking
    records = [
        [record for name in (source if mean_of else languages) if (record := source[name])]
        for source in cells.read(scope, results, place)
    ]
    settings = tuple([_settings(record) for record in replicate] for replicate in records)
    return Value(number.summary, number.present, settings, tuple(r for replicate in records for r in replicate))


def evaluate(claim: Claim, statements: Statements, scope: Scope, number: Callable[[Place], Value | Outcome]) -> Outcome:
    """Whether a claim holds in a scope by the `number` at each place: the printed one, or that of our runs."""
    if isinstance(claim, Pictured):
        return Outcome(Result.unjudged, reason=f"a statement about curves; see figure {claim.figure}")
    assert isinstance(claim, Compared)
    if reason := statements.foreign(claim, scope):
        return Outcome(Result.unjudged, reason=reason)
    numbers = {place: number(place) for place in places_of(claim, scope)}
    values = {place: value for place, value in numbers.items() if isinstance(value, Value)}
    gaps = [gap for gap in numbers.values() if isinstance(gap, Outcome)]
    if unjudged := [gap for gap in gaps if gap.result is Result.unjudged]:
        return unjudged[0]
    if gaps:
        return Outcome(Result.incomplete, missing=tuple(dict.fromkeys(run for gap in gaps for run in gap.missing)))
    return _compared(claim, scope, values)


def _compared(claim: Compared, scope: Scope, values: Mapping[Place, Value]) -> Outcome:
    """The outcome of a claim of which no number is lacking."""

    def mean(case: Case, row: str) -> Value:
        return average([values[place] for place in case.places(row)])

    every = with_gap = cases(claim, scope)
    if isinstance(claim, kinds.Steadier) and any(value.summary.std is None for value in values.values()):
        return Outcome(Result.unjudged, reason="a number has no spread")
    if isinstance(claim, kinds.GapClosed):
        with_gap = [
            case for case in every if mean(case, claim.standard).summary.mean < mean(case, case.over).summary.mean
        ]
        if not with_gap:
            return Outcome(Result.unjudged, reason="there is no gap to close")
    beside, findings = compare_spreads if isinstance(claim, kinds.Steadier) else compare, []
    for case in with_gap:
        margin = fmean(scope.paper.margin(metric) for _, metric in case.numbers)
        findings.append(beside(case.label(scope), mean(case, case.row), mean(case, case.over), margin))
    tested = (finding.estimate and testable(finding.row.n) and testable(finding.over.n) for finding in findings)
    if isinstance(claim, kinds.Above) and claim.significant and not all(tested):
        return Outcome(Result.unjudged, reason=f"no test without a spread and {FEWEST} runs on either side")
    without = len(every) - len(with_gap)
    reasons = [f"no gap to begin with in {without} of {len(every)} cases"] if without else []
    reasons += cells.notes_on(record for value in values.values() for record in value.records)
    return _judged(claim, findings, not all(value.values for value in values.values()), "; ".join(reasons))


def compare(label: str, row: Value, over: Value, margin: float) -> Finding:
    """Two numbers beside each other: paired where only methods differ, else as independent groups."""
    if row.values and row.settings == over.settings:
        pairs = [difference(first, second) for first, second in zip(row.values, over.values, strict=True)]
        return Finding(label, row.summary, over.summary, margin, Summary.of(pairs).estimate, sign_flip(pairs))
    return Finding(label, row.summary, over.summary, margin, welch(row.summary, over.summary))


def compare_spreads(label: str, row: Value, over: Value, margin: float) -> Finding:
    """The stds of two numbers beside each other."""
    first, second = row.summary, over.summary
    assert first.std is not None
    assert second.std is not None
    tested = testable(first.n) and testable(second.n)
    p = spread_p(first.std, first.n or 0, second.std, second.n or 0) if tested else None
    stds = (Summary(first.std, None, first.n), Summary(second.std, None, second.n))
    return Finding(f"{label} (std)", *stds, margin, other_p=p)


def correlated(claim: Negative, scope: Scope, results: Results | None) -> Outcome:
    """Whether correlations are negative: those of our runs, or the printed ones where there are no `results`."""
    table, findings = scope.correlations(claim), []
    if results is not None:
        found = {run.overrides: results[run.overrides] for run in table.needed()}
        if absent := tuple(run for run, result in found.items() if not isinstance(result, Done) or result.lacks):
            return Outcome(Result.incomplete, missing=absent)
    for name, row in product(table.datasets, table.rows):
        label = f"{table.paper.datasets[name].label}, Fishers on {table.rows[row].label}: r"
        if results is not None:
            pairs = correlation.pairs(table, results, row, name)
            r, *_ = pairs.coefficients(pairs.squared)
        elif number := table.number(row, name):
            r = float(number.mean)
        else:
            return Outcome(Result.unjudged, reason=f"the paper prints no number for {label}")
        n = len(table.languages(row, name))
        findings.append(Finding(label, Summary(r, None, n), Summary(0.0, None, None), 0.0, other_p=correlation_p(r, n)))
    return _judged(claim, findings, on_paper=results is None)


def average(numbers: Sequence[Value]) -> Value:
    """The average of several numbers of one method: of its runs replicate by replicate, of printed ones their mean."""
    if len(numbers) == 1:
        return numbers[0]
    if not all(number.values for number in numbers):  # without a spread: the numbers are not independent
        stated = [number.summary.n for number in numbers if number.summary.n is not None]
        fewest = min(stated) if len(stated) == len(numbers) else None
        return Value(Summary(fmean(number.summary.mean for number in numbers), None, fewest))
    means = tuple(map(fmean, zip(*(n.values for n in numbers), strict=True)))
    return Value(Summary.of(means), means, tuple(zip(*(n.settings for n in numbers), strict=True)))


def _judged(claim: Claim, findings: Sequence[Finding], on_paper: bool, reason: str = "") -> Outcome:
    """By the rule of the claim's kind in each case, with p adjusted over all of them."""
    p_values = [finding.p for finding in findings if finding.p is not None]
    adjusted = holm(p_values) if len(p_values) == len(findings) else [None] * len(findings)
    judged = [replace(finding, adjusted_p=p) for finding, p in zip(findings, adjusted, strict=True)]
    judged = [replace(finding, holds=_holds(claim, finding, on_paper)) for finding in judged]
    holding, of = sum(finding.holds for finding in judged), len(judged)
    if isinstance(claim, kinds.Above) and claim.least is not None:
        result = Result.holds if holding * claim.least.of >= claim.least.count * of else Result.does_not_hold
    else:
        result = Result.holds if holding == of else Result.in_part if holding else Result.does_not_hold
    return Outcome(result, tuple(judged), reason=reason)


def _holds(claim: Claim, finding: Finding, on_paper: bool) -> bool:
    gain, margin = finding.difference, finding.margin
    match claim:
        case kinds.Above():
            return gain > (margin if claim.clearly else 0) and (finding.significant or not claim.significant)
        case kinds.Comparable():
            return abs(gain) <= margin
        case kinds.GapClosed():
            return gain >= -margin
        case kinds.Steadier() | Negative():
            return gain < 0
        case kinds.Gain(equals=float() as stated):
            return abs(gain - stated) <= (0.005 if on_paper else margin)  # half a unit of a printed last decimal
        case kinds.Gain(at_least=float() as stated):
            return gain >= stated
    raise TypeError(f"no rule for a claim of kind {type(claim).__name__}")


def _settings(record: Record) -> dict[str, Any]:
    config = {name: part for name, part in record.config.items() if name not in METHODS}
    inputs = {name: key for name, key in record.inputs.items() if not name.startswith("fisher.")}
    return {"config": config, "inputs": inputs, "semantics": record.semantics}
