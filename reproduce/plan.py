"""Which runs a target needs, which of them are done, and the commands for the rest. No model is loaded."""

import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fun.config import compose
from fun.errors import NotBuilt
from fun.results import Damaged, NotDone, Record, RunFolder, State, Status
from reproduce.papers import Target


@dataclass(frozen=True)
class Needed:
    """A run that a target needs, and what it needs of it.

    `values` are the (dataset, language, metric) that its record must hold; `fisher_every` is the interval
    in updates at which tr(F) must be tracked, 0 for not at all. Neither is part of the run's identity.
    """

    overrides: tuple[str, ...]
    values: tuple[tuple[str, str, str], ...] = ()
    fisher_every: int = 0

    @property
    def arguments(self) -> tuple[str, ...]:
        """What to type after `python -m fun.run`."""
        tracking = (f"track.fisher_every={self.fisher_every}",) if self.fisher_every else ()
        return (*self.overrides, *tracking)


@dataclass(frozen=True)
class Found:
    """A done run. `lacks` says what its record does not hold of what is needed; empty if nothing."""

    record: Record
    run: RunFolder
    lacks: str = ""

    @property
    def startable(self) -> bool:
        return bool(self.lacks)


@dataclass(frozen=True)
class Gap:
    """A run without a usable record: its state, and why in one line (empty where it was never started).

    `startable`: the run may be started unasked. `option` is what must be typed beyond the run's overrides
    to start it anew where that needs to be asked for.
    """

    state: State
    reason: str = ""
    startable: bool = True
    option: str = ""


class Lookup(Protocol):
    """Finds what is on disk for a needed run."""

    def __call__(self, needed: Needed) -> Found | Gap: ...


Results = Mapping[tuple[str, ...], Found | Gap]
"""What was found for each needed run, by the run's overrides."""


def needed_runs(target: Target) -> list[Needed]:
    """Every run of the target once, in the order of its table."""
    table, trace = target.table, target.table.figures.trace
    values: dict[tuple[str, ...], list[tuple[str, str, str]]] = defaultdict(list)
    tracked: dict[tuple[str, ...], int] = {}
    for panel in table.panels:
        for name, dataset in target.datasets.items():
            held = [(name, language, metric) for language in dataset.languages for metric in dataset.metrics]
            for row in table.rows:
                for overrides in replicates(target, panel, row, name):
                    values[overrides] += held
                    tracked[overrides] = trace.fisher_every if trace and row in trace.rows else 0
    return [Needed(overrides, tuple(held), tracked[overrides]) for overrides, held in values.items()]


def found(needed: Iterable[Needed], lookup: Lookup) -> Results:
    """What `lookup` finds for each needed run."""
    return {run.overrides: lookup(run) for run in needed}


def replicates(target: Target, panel: str, row: str, dataset: str) -> list[tuple[str, ...]]:
    """The overrides of the runs behind a cell, one for each declared replicate."""
    shared = target.table.overrides_of(panel, row, target.datasets[dataset])
    return [(*shared, *shlex.split(replicate)) for replicate in target.table.replicates]


@dataclass(frozen=True)
class Store:
    """The lookup in a results folder. Records with a mark count only where `allow_marked` is set."""

    root: Path
    allow_marked: bool = False

    def __call__(self, needed: Needed) -> Found | Gap:
        try:
            config = compose(needed.overrides)
        except NotBuilt as error:
            return Gap(State.MISSING, str(error), startable=False)
        return examine(RunFolder(config.folder(self.root), config.run_id), needed, self.allow_marked)


def examine(run: RunFolder, needed: Needed, allow_marked: bool) -> Found | Gap:
    """What a run's folder holds of what is needed of it."""
    try:
        record = run.record()
    except NotDone:
        return _unfinished(run.status())
    except Damaged as error:
        return Gap(State.DAMAGED, str(error), startable=False, option="force=true")
    if record.marks and not allow_marked:
        reason = f"its record is marked {', '.join(record.marks)} and never enters a table"
        return Gap(State.DONE, reason, startable=False, option="force=true")
    return Found(record, run, _lacks(record, needed))


def value(record: Record, dataset: str, language: str, metric: str) -> float | None:
    """A record's metric in percent; None where it was not evaluated."""
    languages = record.metrics.get(dataset, {})
    return languages.get(language, {}).get(metric)


def sweeps(runs: Iterable[tuple[str, ...]]) -> list[str]:
    """The same runs as few lines to paste: those that differ in one override only become a sweep over it."""
    merged = list(runs)
    for position in reversed(range(max(map(len, merged), default=0))):
        values: dict[tuple[str, ...], list[str]] = {}
        for run in merged:
            name, equals, value = run[position].partition("=") if position < len(run) else ("", "", "")
            values.setdefault((*run[:position], name + equals, *run[position + 1 :]), []).append(value)
        merged = [_swept(run, position, swept) for run, swept in values.items()]
    return [command(run, *(["-m"] if any("," in override for override in run) else [])) for run in merged]


def _swept(run: tuple[str, ...], position: int, values: Sequence[str]) -> tuple[str, ...]:
    if not run[position]:  # this run has fewer overrides than others
        return run[:position]
    return (*run[:position], run[position] + ",".join(values), *run[position + 1 :])


def missing(needed: Iterable[Needed], results: Results) -> list[str]:
    """The runs that a target still needs as lines to paste, under comments that say why where it is known.

    One command per line, in the table's order within each reason.
    """
    commands: dict[str, list[str]] = defaultdict(list)
    for run in needed:
        result = results[run.overrides]
        if isinstance(result, Gap):
            why = f"{result.state.value}: {result.reason}" if result.reason else ""
            commands[why].append(command((*run.arguments, result.option) if result.option else run.arguments))
        elif result.lacks:
            commands[f"done, but {result.lacks}"].append(command(run.arguments))
    # A reason of several lines must stay one comment.
    return [line for why, lines in commands.items() for line in ([f"# {' '.join(why.split())}"] if why else []) + lines]


def command(arguments: Sequence[str], *options: str) -> str:
    """A run as a line to paste."""
    return shlex.join(("python", "-m", "fun.run", *options, *arguments))


def _unfinished(status: Status) -> Gap:
    match status.state:
        case State.MISSING:
            return Gap(State.MISSING)
        case State.FAILED if status.failure == "method":
            return Gap(State.FAILED, status.detail, startable=False, option="retry=true")
        case State.QUEUED | State.RUNNING:
            return Gap(status.state, status.detail, startable=False)
        case _:
            return Gap(status.state, status.detail)


def _lacks(record: Record, needed: Needed) -> str:
    absent: dict[str, set[str]] = defaultdict(set)
    for dataset, language, metric in needed.values:
        if value(record, dataset, language, metric) is None:
            absent[dataset].add(language)
    parts = [f"without {name} in {', '.join(sorted(languages))}" for name, languages in absent.items()]
    if needed.fisher_every and record.tracking["fisher_every"] != needed.fisher_every:
        parts.append("without tr(F) along training")
    return " and ".join(parts)
