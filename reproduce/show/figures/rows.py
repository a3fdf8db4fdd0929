"""What was found of a figure's runs: for each row of a part, the runs that serve it, and how many there should be."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from fun.errors import FunError
from fun.results import State, file_checksum
from reproduce.declare.figures import Drawn, Part
from reproduce.declare.parts import Dataset, Needed
from reproduce.runs.store import Found, Gap, Lookup, Results

STEP_LOG = "metrics.jsonl"


def look_up(needed: Iterable[Needed], lookup: Lookup) -> Results:
    """What `lookup` finds for a figure's runs. A run whose tr(F) is needed and was altered or lost is damaged."""
    return {run.overrides: _with_step_log(lookup(run)) if run.fisher_every else lookup(run) for run in needed}


def _with_step_log(result: Found | Gap) -> Found | Gap:
    if isinstance(result, Gap) or result.lacks:
        return result
    log, expected = result.run.path / STEP_LOG, result.record.files.get(STEP_LOG)
    if log.is_file() and file_checksum(log) == expected:
        return result
    reason = f"{log} is not the step log that its record lists"
    return Gap(State.DAMAGED, reason, startable=False, option="force=true")


@dataclass(frozen=True)
class Row:
    """A way of training in one part: for each declared replicate its run, None where none serves the figure.

    A mean over a row is drawn only where `complete`; what is there of an incomplete one is drawn run by run.
    """

    label: str
    runs: tuple[Found | None, ...]

    @property
    def done(self) -> tuple[Found, ...]:
        return tuple(run for run in self.runs if run is not None)

    @property
    def complete(self) -> bool:
        return None not in self.runs

    @property
    def count(self) -> str:
        """The runs that are there and those declared, `n/N`."""
        return f"{len(self.done)}/{len(self.runs)}"


def rows_of(figure: Drawn, part: Part, dataset: Dataset, results: Results) -> dict[str, Row]:
    """The rows of a part whose runs are those of `dataset`."""
    return {
        name: Row(row.label, _serving(figure.runs(part, name, dataset), results)) for name, row in figure.rows.items()
    }


def _serving(runs: Iterable[tuple[str, ...]], results: Results) -> tuple[Found | None, ...]:
    found = (results[run] for run in runs)
    return tuple(result if isinstance(result, Found) and not result.lacks else None for result in found)


def trace(run: Found) -> dict[int, float]:
    """tr(F) by update, as the mean over the layers open then.

    There is none before the first layer opens (lpft), nor where tr(F) was not finite.
    """
    lines = (line for line in run.run.metrics_log() if line["kind"] == "fisher")
    return {line["update"]: line["mean_open"] for line in lines if line["mean_open"] is not None}


def estimators(rows: Iterable[Row], where: str) -> set[str]:
    """The name of the estimator behind a part's tr(F); empty where nothing was tracked.

    Raises FunError where the part's runs differ in it: such values do not compare.
    """
    tracked = {run.run.path.name: run.record.tracking["fisher"] for row in rows for run in row.done}
    used = {json.dumps(fisher, sort_keys=True): name for name, fisher in tracked.items()}
    if len(used) > 1:
        runs = "; ".join(f"{fisher} in {name}" for fisher, name in sorted(used.items()))
        raise FunError(f"{where}: tr(F) was estimated in ways that do not compare: {runs}.")
    return {fisher["name"] for fisher in tracked.values()}
