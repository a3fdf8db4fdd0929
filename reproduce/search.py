"""The hyperparameter search as a target: its runs, and the selection from what they recorded (section 4.2)."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fun.config import search
from fun.config.search import Search, Selection
from fun.config.sweep import expand
from fun.errors import ConfigError
from fun.results import Record
from reproduce.declarations import Needed
from reproduce.plan import Found, Results

RULE = "highest mean validation metric over seeds; of equal ones the smallest learning rate, then the smallest k"

Point = tuple[tuple[str, float], ...]
"""(field, value) for each searched field, the learning rate first."""


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
        """What to type after `python -m fun.run` for a run with the selected values."""
        own_grid = any(override.startswith("sweep.") for override in self.typed)
        return (*self.typed, *([f"+sweep={self.search.name}"] if own_grid else []), "hparams=selected")

    def _run(self, point: Mapping[str, float], seed: int) -> Needed:
        values = (f"{field}={value}" for field, value in point.items())
        own = (override for override in self.typed if not override.startswith("sweep."))
        return Needed((*own, *values, f"seed={seed}", "evaluate.languages=[]"))


def searches(typed: Sequence[str]) -> list[Searched]:
    """The searches that `sweep=<name>` with further overrides describes, one for each configuration.

    Overrides with commas stand for several, as in a sweep; configurations without anything to search have none.
    Raises ConfigError.
    """
    names = [override for override in typed if override.startswith("sweep=")]
    if len(names) != 1:
        raise ConfigError(f"found {' '.join(typed)}; expected one sweep=…, such as sweep=lr_k model=mbert task=mnli")
    if any(override.startswith("seed=") for override in typed):
        raise ConfigError("a search has seeds of its own: type sweep.seeds=[100,101] in place of seed=…")
    found = []
    for job in expand([override for override in typed if override not in names]):
        of_job, runs = search([*job, f"+{names[0]}"])
        if runs:
            found.append(Searched(tuple(job), of_job))
    return found


def best_mean_validation(scores: Mapping[Point, Sequence[float]]) -> Point:
    """RULE: `scores` are the best validation metrics of a point's runs, one for each seed."""
    return min(scores, key=lambda point: (-statistics.fmean(scores[point]), [value for _, value in point]))


def scores(searched: Searched, results: Results) -> dict[Point, list[float]]:
    """The validation metric of each run at its selected checkpoint, by point. Every run has to be found."""
    return {point: [_record(run, results).selected["value"] for run in runs] for point, runs in searched.runs().items()}


def select(searched: Searched, results: Results) -> Selection:
    """The selection from a complete search."""
    search = searched.search
    best = dict(best_mean_validation(scores(searched, results)))
    runs = {}
    for point, needed in searched.runs().items():
        for seed, run in zip(search.seeds, needed, strict=True):
            record = _record(run, results)
            runs[record.run_id] = {"values": dict(point), "seed": seed, "score": record.selected["value"]}
    return Selection(search.name, RULE, search.label, runs, best, search.edges(best))


def _record(run: Needed, results: Results) -> Record:
    result = results[run.overrides]
    assert isinstance(result, Found), "a search is complete before anything is selected from it"
    return result.record
