"""The hyperparameter search as a target: its runs, and the selection from what they recorded (section 4.2)."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fun.config.search import DEFAULT, Search, Selection, Value, option, shown
from fun.errors import ConfigError
from fun.inputs import run_id, search
from fun.results import State
from fun.sweep import expand
from reproduce.declare.parts import Needed
from reproduce.runs.store import Absent, Done, Result, Results, configuration

RULE = (
    "highest mean validation metric over seeds; of equal ones the smallest value of the first searched field, then of "
    "the next; values with a run that failed by its method are never selected"
)

FAILED = -math.inf
"""The score of a run that failed by its method."""

Point = tuple[tuple[str, Value], ...]
"""(field, value) for each searched field, in the order of the grid."""


@dataclass(frozen=True)
class Searched:
    """The search for one configuration: what was typed for it, and its runs."""

    typed: tuple[str, ...]
    search: Search

    def runs(self) -> dict[Point, list[Needed]]:
        """Point of the grid -> its runs, one for each seed; they are tested in no language."""
        points = self.search.points()
        return {tuple(point.items()): [self._run(point, seed) for seed in self.search.seeds] for point in points}

    def needed(self) -> list[Needed]:
        """All of its runs, point by point."""
        return [run for runs in self.runs().values() for run in runs]

    @property
    def command(self) -> tuple[str, ...]:
        """What to type after `python -m fun.run` for runs with the selected values."""
        own = self.search.name != DEFAULT or any(override.startswith("sweep.") for override in self.typed)
        sweep = (f"+sweep={self.search.name}",) if own else ()
        return ("-m", *self.typed, *sweep, "hparams=selected", "seed=0,1,2,3")

    def _run(self, point: Mapping[str, Value], seed: int) -> Needed:
        values = (f"{field}={value}" for field, value in point.items())
        own = (override for override in self.typed if not override.startswith("sweep."))
        return Needed((*own, *values, f"seed={seed}", "evaluate.languages=[]"))


def searches(typed: Sequence[str]) -> list[Searched]:
    """The searches that `sweep=<name>` with further overrides describes, one for each configuration.

    Overrides with commas stand for several, as in a sweep; configurations without anything to search have none.
    Raises ConfigError, also where there is nothing to search in any of them.
    """
    names = [override for override in typed if override.startswith("sweep=")]
    if len(names) != 1:
        raise ConfigError(f"found {' '.join(typed)}; expected one sweep=…, such as sweep=lr_k model=mbert task=mnli")
    if any(override.startswith("seed=") for override in typed):
        raise ConfigError("a search has seeds of its own: type sweep.seeds=[100,101] in place of seed=…")
    if hparams := [override for override in typed if override.startswith("hparams=")]:
        raise ConfigError(
            f"found {hparams[0]} with {names[0]}, which is the search itself: leave it out, or type +{names[0]}, and "
            "seed=0,1,2,3, for runs with what was selected"
        )
    found = []
    for job in expand([override for override in typed if override not in names]):
        of_job, runs = search([*job, f"+{names[0]}"])
        if runs:
            found.append(Searched(tuple(job), of_job))
    if not found:
        raise ConfigError(
            f"found nothing to search in {' '.join(typed)}; expected a field of the grid that is neither typed nor "
            "kept, and that the choice has: leave out its value, or type 'sweep.keep={train.lr:[]}' to search a rate "
            "that is kept"
        )
    return found


def best_mean_validation(scores: Mapping[Point, Sequence[float]]) -> Point | None:
    """RULE: `scores` are the best validation metrics of a point's runs, one for each seed, or FAILED.

    None where every point has a run that failed.
    """
    candidates = (point for point in scores if FAILED not in scores[point])
    rank = {point: (-statistics.fmean(scores[point]), [value for _, value in point]) for point in candidates}
    return min(rank, key=rank.__getitem__, default=None)


def failure(result: Result) -> str:
    """Why a run failed by its method, in one line; empty where it did not."""
    if isinstance(result, Absent) and result.state is State.FAILED and not result.startable:
        return " ".join(result.reason.split())
    return ""


def scores(searched: Searched, results: Results) -> dict[Point, list[float]]:
    """The validation metric of each run at its selected checkpoint, or FAILED, by point.

    The search has to be complete: every run is found, or failed by its method.
    """
    return {point: [_score(results[run.overrides]) for run in runs] for point, runs in searched.runs().items()}


def failures(searched: Searched, results: Results) -> dict[Point, str]:
    """The points with a run that failed by its method -> why the first of these did."""
    reasons = {
        point: [reason for run in runs if (reason := failure(results[run.overrides]))]
        for point, runs in searched.runs().items()
    }
    return {point: found[0] for point, found in reasons.items() if found}


def select(searched: Searched, results: Results) -> Selection | None:
    """The selection from a complete search; None where every point has a run that failed by its method."""
    search = searched.search
    best = best_mean_validation(scores(searched, results))
    if best is None:
        return None
    runs = {
        run_id(configuration(run.overrides)): {"values": dict(point), "seed": seed, **_outcome(results[run.overrides])}
        for point, needed in searched.runs().items()
        for seed, run in zip(search.seeds, needed, strict=True)
    }
    return Selection(search.name, RULE, search.label, runs, dict(best), search.edges(dict(best)))


def nothing_left(searched: Searched, results: Results) -> str:
    """Why nothing can be selected where every point has a run that failed by its method."""
    failed = failures(searched, results)
    point, reason = next(iter(failed.items()))
    tried = " or ".join(map(option, searched.search.grid))
    return (
        f"all {len(failed)} points of the grid have a run that failed by its method, such as {shown(dict(point))} "
        f"({reason}); expected one without: search elsewhere with {tried}"
    )


def scored(selection: Selection, searched: Searched, results: Results) -> list[str]:
    """A line for each point of the grid: mean and spread over the seeds, or why it is never selected."""
    failed = failures(searched, results)
    lines = []
    for point, values in scores(searched, results).items():
        if point in failed:
            lines.append(f"    {shown(dict(point))}: never selected: {failed[point]}")
            continue
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        mark = "  <- selected" if dict(point) == selection.selected else ""
        lines.append(f"    {shown(dict(point))}: {statistics.fmean(values):.2f}{spread} (n={len(values)}){mark}")
    return lines


def warnings(selection: Selection, searched: Searched) -> list[str]:
    """A line for each value at the edge of its grid."""
    lines = []
    for field in selection.edges:
        tried = ",".join(map(str, searched.search.grid[field]))
        name = field.rpartition(".")[2]
        lines.append(
            f"warning: {field}={selection.selected[field]} lies at the edge of what was tried, and a better value may "
            f"lie beyond: search also there with 'sweep.{name}=[{tried},…]'"
        )
    return lines


def _outcome(result: Result) -> dict[str, Any]:
    """What the artifact says of a run: its score, or why it failed."""
    reason = failure(result)
    return {"failed": reason} if reason else {"score": _score(result)}


def _score(result: Result) -> float:
    if failure(result):
        return FAILED
    assert isinstance(result, Done), "a search is complete before anything is selected from it"
    assert result.record.selected is not None, "a search is over trainings"
    return result.record.selected["value"]
