"""What was found of a figure's runs: for each row of a part, the runs that serve it, and how many there should be."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from fun.errors import FunError
from fun.results import State, file_checksum
from reproduce.declare.parts import Needed
from reproduce.runs.store import Absent, Done, Result, Results

STEP_LOG = "metrics.jsonl"


def look_up(needed: Iterable[Needed], look: Callable[[Needed], Result]) -> Results:
    """What `look` tells of each run. A run whose tr(F) is needed and was altered or lost is damaged."""
    return {run.overrides: _with_step_log(look(run)) if run.fisher_every else look(run) for run in needed}


def _with_step_log(result: Result) -> Result:
    if isinstance(result, Absent) or result.lacks:
        return result
    log, expected = result.run.path / STEP_LOG, result.record.files.get(STEP_LOG)
    if log.is_file() and file_checksum(log) == expected:
        return result
    reason = f"{log} is not the step log that its record lists"
    return Absent(State.DAMAGED, reason, startable=False, option="force=true")


@dataclass(frozen=True)
class Row:
    """A way of training in one part: for each declared replicate its run, None where none serves the figure.

    A mean over a row is drawn only where `complete`; what is there of an incomplete one is drawn run by run.
    """

    label: str
    runs: tuple[Done | None, ...]

    @property
    def done(self) -> tuple[Done, ...]:
        return tuple(run for run in self.runs if run is not None)

    @property
    def complete(self) -> bool:
        return None not in self.runs

    @property
    def count(self) -> str:
        """The runs that are there and those declared, `n/N`."""
        return f"{len(self.done)}/{len(self.runs)}"


def serving(runs: Iterable[tuple[str, ...]], results: Results) -> tuple[Done | None, ...]:
    """For each run, by its overrides, what was found where nothing is lacking."""
    looked_up = (results[run] for run in runs)
    return tuple(result if isinstance(result, Done) and not result.lacks else None for result in looked_up)


def trace(run: Done) -> dict[int, float]:
    """tr(F) by update, as the mean over the layers open then.

    There is none before the first layer opens (lpft), nor where tr(F) was not finite.
    """
    lines = (line for line in run.run.metrics_log() if line["kind"] == "fisher")
    return {line["update"]: line["mean_open"] for line in lines if line["mean_open"] is not None}


ESTIMATORS: Mapping[str, str] = {
    "exact": "exact, per example (Eq. 1)",
    "algorithm2": "Algorithm 2, batch-mean gradients",
    "official": "the authors' code, argmax labels",
}


def estimators(rows: Iterable[Row], where: str) -> set[str]:
    """What estimated a part's tr(F), in words; empty where nothing was tracked.

    Raises FunError where the part's runs differ in it: such values do not compare.
    """
    tracked = {run.run.path.name: run.record.tracking["fisher"] for row in rows for run in row.done}
    used = {json.dumps(fisher, sort_keys=True): name for name, fisher in tracked.items()}
    if len(used) > 1:
        runs = "; ".join(f"{fisher} in {name}" for fisher, name in sorted(used.items()))
        raise FunError(f"{where}: tr(F) was estimated in ways that do not compare: {runs}.")
    return {ESTIMATORS[fisher["name"]] for fisher in tracked.values()}


def trace_axis(used: Iterable[str]) -> str:
    """What an axis of tr(F) shows, by which estimators."""
    return f"mean tr(F) of the open layers\n({'; '.join(sorted(used)) or 'none tracked yet'})"
