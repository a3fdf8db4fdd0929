"""Claims as the page shows them: both sides, with the numbers."""

from dataclasses import dataclass

from reproduce.numbers.claims import Checked, Comparison, Finding, Outcome
from reproduce.runs.store import sweeps
from reproduce.show.page.wording import RESULTS, Reading, bounds, difference, number, probability


@dataclass(frozen=True)
class Case:
    """One comparison of a claim. `test` names how `interval` and `p` were computed; all three are empty without one."""

    label: str
    row: str
    over: str
    difference: str
    interval: str
    test: str
    p: str
    exact_p: str
    equivalent: bool
    holds: bool


@dataclass(frozen=True)
class Side:
    """What our runs, or the printed numbers, say of a claim; `missing` are the runs that it needs, as sweeps."""

    text: str
    reading: Reading
    reason: str
    missing: tuple[str, ...]
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class ClaimView:
    """A claim on both sides; `printed` is None where nothing is published."""

    id: str
    text: str
    source: str
    note: str
    ours: Side
    printed: Side | None


def claim_view(checked: Checked) -> ClaimView:
    """A claim with what was found on both sides."""
    claim = checked.claim
    printed = _side(checked.published) if checked.published else None
    return ClaimView(claim.id, claim.text, claim.source, claim.note, _side(checked.ours), printed)


def _side(outcome: Outcome) -> Side:
    return Side(
        text=str(outcome),
        reading=RESULTS[outcome.result],
        reason=outcome.reason if outcome.findings else "",
        missing=tuple(sweeps(outcome.missing)),
        cases=tuple(map(_case, outcome.findings)),
    )


def _case(finding: Finding) -> Case:
    found = finding.comparison
    return Case(
        label=finding.label,
        row=number(found.row.mean, found.row.std),
        over=number(found.over.mean, found.over.std),
        difference=difference(found.difference),
        interval=bounds(found.estimate.interval() if found.estimate else None),
        test=found.test,
        p=probability(finding.adjusted_p),
        exact_p=_exact(found),
        equivalent=finding.equivalent,
        holds=finding.holds,
    )


def _exact(found: Comparison) -> str:
    if found.exact_p is None or found.smallest_p is None:
        return ""
    return f"{probability(found.exact_p)} (at least {found.smallest_p:g})"
