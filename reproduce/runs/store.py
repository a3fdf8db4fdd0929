"""Which runs a target needs, which of them are done, and the commands for the rest. No model is loaded."""

import itertools
import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from fun.config import RunConfig
from fun.inputs import compose, evaluation_keys, inputs_of, run_folder
from fun.results import MARKS, Damaged, NotDone, Record, RunFolder, State, Status, Unreadable, file_checksum
from fun.results.attempt import METRICS_LOG
from fun.results.folder import in_order, run_folders
from reproduce.declare.parts import ANY, Needed, Run


@dataclass(frozen=True)
class Done:
    """A done run. `lacks` says what its record does not hold of what is needed; empty if nothing."""

    record: Record
    run: RunFolder
    lacks: str = ""
    option = ""

    @property
    def complete(self) -> bool:
        return not self.lacks

    @property
    def startable(self) -> bool:
        return not self.complete


@dataclass(frozen=True)
class Absent:
    """A run without a usable record: its state, and why in one line (empty where it was never started).

    `startable`: it may be started unasked. `option`: what else must be typed to start it where it may not.
    """

    state: State
    reason: str = ""
    startable: bool = True
    option: str = ""
    complete = False


Result = Done | Absent
"""What the store holds of a run that is needed."""

Results = Mapping[Run, Result]
"""The same for each needed run, by its overrides."""


def results_of(needed: Iterable[Needed], look_up: Callable[[Needed], Result]) -> Results:
    return {run.overrides: look_up(run) for run in needed}


def configuration(overrides: Sequence[str]) -> RunConfig:
    """The run that `python -m fun.run <overrides>` would be; the same as `compose`, sooner. Raises ConfigError.

    Runs that differ in the seed alone share one configuration: nothing is looked up or checked by the seed.
    """
    seeds = [override for override in overrides if re.fullmatch(r"seed=\d+", override)]
    if len(seeds) > 1:
        return compose(overrides)
    shared = _configuration(tuple(override for override in overrides if override not in seeds))
    return shared.model_copy(update={"seed": int(seeds[0].removeprefix("seed="))}) if seeds else shared


@cache
def _configuration(overrides: Run) -> RunConfig:
    return compose(overrides)


def producers(config: RunConfig) -> list[Needed]:
    """The runs that make what a run reads in training and in the evaluations that its command asks for."""
    return [Needed(maker) for each in inputs_of(config) if (maker := each.producer())]


def with_producers(needed: Iterable[Needed], results: Results | None = None) -> list[Needed]:
    """The runs that make what others read, and then those, each once; what is complete in `results` reads no more."""
    runs = {run.overrides: run for run in needed}
    reading = [run for run in runs if results is None or not results[run].complete]
    made = {maker.overrides: maker for run in reading for maker in producers(configuration(run))}
    return list({**made, **runs}.values())


@dataclass(frozen=True)
class Store:
    """The lookup in a results folder, as it is when this is made.

    A record's mark counts only where the run's own overrides ask for it (data.nonstandard=true), or all are allowed.
    """

    root: Path
    allow_marked: bool = False

    @cached_property
    def _folders(self) -> Mapping[str, list[Path]]:
        """run_id -> the folders that bear it, whatever their label: labels are for people."""
        folders: dict[str, list[Path]] = defaultdict(list)
        for path in run_folders(self.root)[0]:
            folders[path.name.rpartition("-")[2]].append(path)
        return folders

    def __call__(self, needed: Needed) -> Result:
        config = configuration(needed.overrides)
        return self.find(self.runs(config), config, needed)

    def find(self, runs: Sequence[RunFolder], config: RunConfig, needed: Needed) -> Result:
        """The same where the needed run's configuration is known, and its folders."""
        return look(runs, needed, MARKS if self.allow_marked else config.marks, config)

    def runs(self, config: RunConfig) -> list[RunFolder]:
        """The folders that bear its run_id (`in_order`)."""
        expected = run_folder(config, self.root)
        paths = self._folders.get(expected.run_id, ())
        return [RunFolder(path, expected.run_id) for path in in_order(paths, expected.path)]


def look(
    runs: Sequence[RunFolder], needed: Needed, allowed: Collection[str] = (), config: RunConfig | None = None
) -> Result:
    """What the folders of one run hold of what is needed of it: nothing to rely on unless all records say the same.

    A folder without a record says nothing against one that has it: a mark, or an attempt, from under an older label.
    """
    results = [examine(run, needed, allowed, config) for run in runs]
    told = [result for result in results if isinstance(result, Done) or result.state in (State.DONE, State.DAMAGED)]
    records = [result.record for result in told if isinstance(result, Done)]
    conflict = any(record.differences(other) for record, other in itertools.combinations(records, 2))
    if len(told) > 1 and (conflict or len(records) < len(told)):
        names = ", ".join(sorted(run.path.name for run in runs))
        reason = f"several folders have this run_id, and they do not hold the same: {names}. Remove all but one"
        return Absent(State.DAMAGED, reason, startable=False)
    return (told or results)[0]


def checked(copies: Sequence[RunFolder], status: Status) -> Status:
    """The status of a run, damaged where several folders bear its run_id and do not hold the same: none counts."""
    together = look(copies, Needed(())) if len(copies) > 1 else None
    if isinstance(together, Absent) and together.state is State.DAMAGED:
        return Status(State.DAMAGED, together.reason, status.attempt)
    return status


def examine(run: RunFolder, needed: Needed, allowed: Collection[str], config: RunConfig | None = None) -> Result:
    """What a run's folder holds of what is needed of it; an evaluation counts that read what `config` does today.

    `allowed`: the marks that a record may have.
    """
    try:
        record = run.record()
    except NotDone:
        status = run.status()
        by_method, under_way = status.failure == "method", status.state in (State.QUEUED, State.RUNNING)
        reason = "" if status.state is State.MISSING else status.detail
        return Absent(status.state, reason, not (by_method or under_way), "retry=true" if by_method else "")
    except Damaged as error:
        option = "" if isinstance(error, Unreadable) else "force=true"
        return Absent(State.DAMAGED, str(error), startable=False, option=option)
    if marks := [mark for mark in record.marks if mark not in allowed]:
        reason = f"its record is marked {', '.join(marks)} and never enters a table"
        return Absent(State.DONE, reason, startable=False, option="force=true")
    lacks = _lacks(record, needed, config)
    if (needed.fisher_every or needed.tests_every) and not lacks:  # what is tracked is read from the step log
        log = run.path / METRICS_LOG
        if not log.is_file() or file_checksum(log) != record.files.get(METRICS_LOG):
            reason = f"{log} is not the step log that its record lists"
            return Absent(State.DAMAGED, reason, startable=False, option="force=true")
    return Done(record, run, lacks)


def _lacks(record: Record, needed: Needed, config: RunConfig | None) -> str:
    absent: dict[str, set[str]] = defaultdict(set)
    for dataset, language, metric in needed.values:
        evaluation = record.evaluations.get(dataset, {}).get(language)
        if (
            evaluation is None
            or not (evaluation["metrics"] if metric == ANY else metric in evaluation["metrics"])
            or (config is not None and evaluation["keys"] != evaluation_keys(config, dataset, language))
        ):
            absent[dataset].add(language)
    parts = [f"without {name} in {', '.join(sorted(languages))}" for name, languages in absent.items()]
    if needed.fisher_every and record.tracking["fisher_every"] != needed.fisher_every:
        parts.append("without tr(F) along training")
    if needed.tests_every:
        followed = record.tracking.get("tests", {})
        every = str(record.tracking.get("tests_every")) == needed.tests_every
        if not every or any(language not in followed.get(dataset, ()) for dataset, language, _ in needed.values):
            parts.append("without test scores along training")
    return " and ".join(parts)


def value(record: Record, dataset: str, language: str, metric: str) -> float | None:
    """A record's metric in percent; None where it was not evaluated."""
    return record.metrics.get(dataset, {}).get(language, {}).get(metric)


def sweeps(runs: Iterable[Run]) -> list[str]:
    """The same runs as few lines to paste: those that differ in one override only become a sweep over it."""
    merged = list(runs)
    single = set(merged)
    for position in reversed(range(max(map(len, merged), default=0))):
        values: dict[Run, list[str]] = {}
        for run in merged:
            if position < len(run):
                name, equals, value = run[position].partition("=")
                values.setdefault((*run[:position], name + equals, *run[position + 1 :]), []).append(value)
            else:  # this run has fewer overrides than others
                values[run] = []
        merged = [
            (*run[:position], run[position] + ",".join(swept), *run[position + 1 :]) if swept else run
            for run, swept in values.items()
        ]
    return [command(run if run in single else ("-m", *run)) for run in merged]


def missing(needed: Iterable[Needed], results: Results) -> list[str]:
    """The runs that a target still needs as lines to paste, under comments that say why where it is known.

    Runs of which nothing is known to say come first, so that none stands under another's reason.
    """
    commands: dict[str, list[str]] = defaultdict(list, {"": []})
    for run in needed:
        result = results[run.overrides]
        if isinstance(result, Done):
            why = f"done, but {result.lacks}"
        else:
            why = f"{result.state.value}: {result.reason}" if result.reason else ""
        if not result.complete:
            commands[why].append(command((*run.arguments, result.option)))
    # A reason of several lines must stay one comment.
    return [line for why, lines in commands.items() for line in ([f"# {' '.join(why.split())}"] if why else []) + lines]


def command(arguments: Iterable[str]) -> str:
    """A run as a line to paste; an empty argument is none."""
    return shlex.join(("python", "-m", "fun.run", *filter(None, arguments)))
