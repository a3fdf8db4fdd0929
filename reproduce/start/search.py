"""The hyperparameter search as a target: its runs, and the selection from what they recorded (section 4.2)."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fun.config.search import DEFAULT, Search, Selection, Value, option, typed_point
from fun.errors import ConfigError, RunError
from fun.inputs import run_id, search
from fun.results import State
from fun.sweep import expand
from reproduce.declare.parts import Needed
from reproduce.runs.store import Absent, Done, Result, Results, command, configuration

RULE = (
    "highest mean validation metric over seeds; of equal ones the smallest value of the first searched field, then of "
    "the next; values with a run that failed by its method are never selected"
)

LARGEST = (
    "the largest value of the first searched field, then of the next, with a mean validation metric over seeds within "
    "{} of the highest; values with a run that failed by its method are never selected"
)
"""The rule of a search with `within`, in points."""

FAILED = -math.inf
"""The score of a run that failed by its method."""

Point = tuple[tuple[str, Value], ...]
"""(field, value) for each searched field, in the order of the grid."""


def _of_search(override: str) -> bool:
    """Whether it changes the search itself; `+` adds a field to the grid."""
    return override.lstrip("+").startswith("sweep.")


@dataclass(frozen=True)
class Searched:
    """The search for one configuration: what was typed for it, and its runs."""

    typed: tuple[str, ...]
    search: Search

    @cached_property
    def runs(self) -> dict[Point, list[Needed]]:
        """Point of the grid -> its runs, one for each seed; they are tested in no language."""
        own = [override for override in self.typed if not _of_search(override)]
        runs: dict[Point, list[Needed]] = {}
        for point in self.search.points():
            values = [f"{field}={value}" for field, value in point.items()]
            runs[tuple(point.items())] = [
                Needed((*own, *values, f"seed={seed}", "evaluate.languages=[]")) for seed in self.search.seeds
            ]
        return runs

    def needed(self) -> list[Needed]:
        return [run for runs in self.runs.values() for run in runs]

    @property
    def command(self) -> str:
        """What to type for runs with the selected values."""
        own = self.search.name != DEFAULT or any(map(_of_search, self.typed))
        sweep = (f"+sweep={self.search.name}",) if own else ()
        return command(("-m", *self.typed, *sweep, "hparams=selected", "seed=0,1,2,3"))


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
    jobs = expand([override for override in typed if override not in names])
    described = [Searched(tuple(job), search([*job, f"+{names[0]}"])[0]) for job in jobs]
    found = [searched for searched in described if searched.runs]
    if not found:
        raise ConfigError(
            f"found nothing to search in {' '.join(typed)}; expected a field of the grid that is neither typed nor "
            "kept, and that the choice has: leave out its value, or type 'sweep.keep={train.lr:[]}' to search a rate "
            "that is kept"
        )
    return found


def best_mean_validation(scores: Mapping[Point, Sequence[float]], within: float = 0.0) -> Point | None:
    """RULE, or LARGEST: `scores` are the best validation metrics of a point's runs, one for each seed, or FAILED.

    None where every point has a run that failed.
    """
    means = {point: statistics.fmean(values) for point, values in scores.items() if FAILED not in values}
    if within:
        return max((point for point, mean in means.items() if mean >= max(means.values()) - within), default=None)
    return min(means, key=lambda point: (-means[point], point), default=None)


def failure(result: Result) -> str:
    """Why a run failed by its method, in one line; empty where it did not."""
    if isinstance(result, Absent) and result.state is State.FAILED and not result.startable:
        return " ".join(result.reason.split())
    return ""


def select(searched: Searched, results: Results) -> tuple[Selection, list[str]]:
    """What is selected from a complete search, whose every run is done or failed by its method; and lines for people.

    Raises RunError where every point has a run that failed by its method.
    """
    search = searched.search
    told = {point: [_told(results[run.overrides]) for run in runs] for point, runs in searched.runs.items()}
    scores = {point: [run.get("score", FAILED) for run in runs] for point, runs in told.items()}
    failed = {point: [run["failed"] for run in runs if "failed" in run] for point, runs in told.items()}
    best = best_mean_validation(scores, search.within)
    if best is None:
        point, reasons = next(iter(failed.items()))
        raise RunError(
            f"all {len(failed)} points of the grid have a run that failed by its method, such as "
            f"{typed_point(dict(point))} ({reasons[0]}); expected one without: search elsewhere with "
            f"{' or '.join(map(option, search.grid))}"
        )
    runs = {
        run_id(configuration(run.overrides)): {"values": dict(point), "seed": seed, **of_run}
        for point, needed in searched.runs.items()
        for seed, run, of_run in zip(search.seeds, needed, told[point], strict=True)
    }
    rule = LARGEST.format(f"{search.within} points") if search.within else RULE
    selection = Selection(search.name, rule, search.label, runs, dict(best), search.edges(dict(best)))
    lines = []
    for point, values in scores.items():
        if failed[point]:
            outcome = f"never selected: {failed[point][0]}"
        else:
            spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            mark = "  <- selected" if point == best else ""
            outcome = f"{statistics.fmean(values):.2f}{spread} (n={len(values)}){mark}"
        lines.append(f"    {typed_point(dict(point))}: {outcome}")
    for field in selection.edges:
        tried = ",".join(map(str, search.grid[field]))
        lines.append(
            f"warning: {field}={selection.selected[field]} lies at the edge of what was tried, and a better value "
            f"may lie beyond: search also there with 'sweep.grid={{{field}:[{tried},…]}}'"
        )
    return selection, lines


def _told(result: Result) -> dict[str, Any]:
    """What the selection says of a run: its score at the selected checkpoint, or why it failed."""
    if reason := failure(result):
        return {"failed": reason}
    assert isinstance(result, Done), "a search is complete before anything is selected from it"
    assert result.record.selected is not None, "a search is over trainings"
    return {"score": result.record.selected["value"]}
