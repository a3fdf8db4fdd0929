"""The plan: every run that targets need, once, behind those that make what it reads; and which of them may start."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from fun.config import RunConfig
from fun.inputs import Input, evaluation_inputs, evaluations, run_id, training_inputs
from fun.results import NEVER_BEGUN, Damaged, JobKnown, NotDone, Record, RunFolder, State, Status, Unreadable
from fun.results.files import names_in
from reproduce.declare.parts import Needed, Run, merged
from reproduce.runs.store import Absent, Done, Result, Results, Store, checked, command, configuration, producers

FAILURES = 3
"""After so many failures in a row because of the machine a run waits for `retry`."""

Groups = Mapping[str, Iterable[Needed]]
"""Target -> the runs that it needs."""

UNDER_WAY = (State.QUEUED, State.RUNNING)

Shape = tuple[Any, ...]
"""What the time of a run depends on: its task, model, adapter, data size, marks, and the unit of its budget."""


@dataclass(frozen=True)
class Entry:
    """A run of a plan: what the store holds of it (`result`) and where it stands (`status`, as the scheduler knows).

    `targets` are those that need it, `producers` the runs that make what it reads and are still to be made. `held`
    is why it is not started unasked. `gap`: it is done but for languages whose language adapters are neither there
    nor on their way, so that starting it would change nothing. `failed` is the attempt after which it is tried once
    more all the same (`retry`), 0 for none. `hours` of one device is None where no run of its shape was measured.
    """

    needed: Needed
    run: RunFolder
    result: Result
    status: Status
    targets: tuple[str, ...] = ()
    producers: tuple[RunFolder, ...] = ()
    held: str = ""
    gap: bool = False
    failed: int = 0
    hours: float | None = None

    @property
    def under_way(self) -> bool:
        """Whether somebody runs it, or is to; a done run: for what it lacks."""
        return not self.result.complete and (self.status.later or self.status).state in UNDER_WAY

    @property
    def missing(self) -> bool:
        """Whether somebody has to start it."""
        return not self.result.complete and not self.under_way

    @property
    def wanted(self) -> bool:
        """Whether it is to be made, now or behind its producers, by whomever."""
        return not (self.result.complete or self.held or self.gap)

    @property
    def startable(self) -> bool:
        return self.wanted and not self.under_way

    @property
    def state(self) -> State:
        """Its state; of a done run that is being completed, that of the work on it."""
        return (self.status.later or self.status).state if self.under_way else self.status.state

    @property
    def reason(self) -> str:
        """Why it is in its state, or what its record lacks; empty where there is nothing to tell."""
        if isinstance(self.result, Done):
            later = self.status.later if self.result.lacks else None
            return f"{self.result.lacks}; {later.detail}" if later else self.result.lacks
        if self.result.state in (State.DONE, State.DAMAGED):
            return self.result.reason
        return "" if self.status == NEVER_BEGUN else self.status.detail

    @property
    def command(self) -> str:
        """What to type to start it, also where it is not started unasked."""
        return command((*self.needed.arguments, self.result.option))

    @property
    def asked_again(self) -> bool:
        """Whether it is still to be tried once more although it failed."""
        return self.failed > 0 and self.run.latest.number == self.failed

    @property
    def typed(self) -> tuple[str, ...]:
        """What to type now after `python -m fun.run`."""
        return (*self.needed.arguments, "retry=true") if self.asked_again else self.needed.arguments

    def not_yet(self, typed: str) -> str:
        """Why it cannot start now, and when the command `typed` is to be typed again."""
        makers = ", ".join(producer.path.name for producer in self.producers)
        return f"not yet: {self.run.path.name} reads what {makers} makes; {typed} again when that is done"


def plan(groups: Groups, store: Store, jobs: JobKnown | None = None, *, retry: bool = False) -> list[Entry]:
    """Every run that the groups need, producers first.

    `jobs` asks the scheduler; without it no job is believed. With `retry` also those runs may start that failed by
    their method, or `FAILURES` times in a row by their machine. Raises ConfigError.
    """
    planner = _Planner(store, jobs, retry)
    wanted: dict[str, list[Needed]] = defaultdict(list)
    targets: dict[str, set[str]] = defaultdict(set)
    for target, runs in groups.items():
        for needed in runs:
            wanted[planner.name(needed.overrides)].append(needed)
            targets[planner.name(needed.overrides)].add(target)
    for same in wanted.values():  # one run, with all that any group needs of it, and so in all languages if one does
        whole = (run for run in same if not any(each.startswith("evaluate.languages=") for each in run.overrides))
        overrides = next(whole, same[-1]).overrides
        planner.add(*merged(replace(run, overrides=overrides) for run in same))
    for name in reversed(planner.entries):  # what reads stands behind what it reads
        for maker in planner.makers[name]:
            targets[maker] |= targets[name]
    return [
        replace(entry, targets=tuple(target for target in groups if target in targets[name]))
        for name, entry in planner.entries.items()
    ]


def results(entries: Iterable[Entry], needed: Iterable[Needed]) -> Results:
    """What a plan tells of runs that are among those it was made for; what somebody has in hand nobody is to start."""
    by_id = {entry.run.run_id: entry for entry in entries}
    planned = {run.overrides: by_id[_run_id(run.overrides)] for run in needed}
    in_hand = {run for run, entry in planned.items() if isinstance(entry.result, Absent) and entry.under_way}
    return {
        run: Absent(entry.state, entry.reason, startable=False) if run in in_hand else entry.result
        for run, entry in planned.items()
    }


def _run_id(overrides: Run) -> str:
    return run_id(configuration(overrides))


class _Planner:
    """Makes the entries, by run_id; an entry's `makers` are all runs that make what it reads, done or not."""

    def __init__(self, store: Store, jobs: JobKnown | None, retry: bool) -> None:
        self.store, self.jobs, self.retry = store, jobs, retry
        self.entries: dict[str, Entry] = {}
        self.makers: dict[str, list[str]] = {}
        # Computed once in a plan; another may find other inputs, and more runs.
        self.name, self.finished = cache(_run_id), cache(_by_shape)

    def add(self, needed: Needed) -> Entry:
        """The entry of a run; the first time it is made, behind those of its producers."""
        config, name = configuration(needed.overrides), self.name(needed.overrides)
        if name in self.entries:
            return self.entries[name]
        copies = self.store.runs(config)
        result = self.store.find(copies, config, needed)
        entry = Entry(needed, copies[0], result, checked(copies, copies[0].status(job_known=self.jobs)), hours=0.0)
        # For a complete run nothing is made again: of its producers those count that are still there.
        made = [run for run in producers(config) if not result.complete or isinstance(self.store(run), Done)]
        makers = [self.add(run) for run in made]
        if not result.complete:
            hours = _expected(config, self.finished(entry.run.path.parent))
            entry = replace(self._settled(entry, config, makers), hours=hours)
        self.makers[name] = [maker.run.run_id for maker in makers]
        self.entries[name] = entry
        return entry

    def _settled(self, entry: Entry, config: RunConfig, makers: Sequence[Entry]) -> Entry:
        """The entry with what it waits for, or why it is not started."""
        entry = replace(entry, producers=tuple(maker.run for maker in makers if maker.wanted))
        if entry.under_way:
            return entry
        held = self._reason_to_hold(entry)
        if not held:  # without what its training reads it cannot begin; anything else is a gap of the run
            made = {each: self._maker(each) for each in training_inputs(config)}
            stuck = {each: maker.run for each, maker in made.items() if maker and maker.held}
            held = "; ".join(
                f"the {each} that it reads cannot be made: {run} is held back" for each, run in stuck.items()
            )
        gap = not held and isinstance(entry.result, Done) and not self._can_be_completed(entry.needed, config)
        failed = entry.run.latest.number if self.retry and entry.run.status().state is State.FAILED else 0
        return replace(entry, held=held, gap=gap, failed=failed)

    def _can_be_completed(self, needed: Needed, config: RunConfig) -> bool:
        """Whether a done run lacks anything but evaluations that are gaps: starting it again would not fill those."""
        values = tuple(
            (dataset, language, metric)
            for dataset, language, metric in needed.values
            if not any(map(self._is_gap, evaluation_inputs(config, dataset, language)))
        )
        without_gaps = self.store(replace(needed, values=values))
        return isinstance(without_gaps, Done) and without_gaps.startable

    def _is_gap(self, each: Input) -> bool:
        """Whether an input is neither there nor made by a run that is to run or under way."""
        if maker := self._maker(each):
            return bool(maker.held)
        try:
            return each.gap(self.store.root) is not None
        except Damaged:
            return True

    def _maker(self, each: Input) -> Entry | None:
        return self.entries.get(self.name(maker)) if (maker := each.producer()) else None

    def _reason_to_hold(self, entry: Entry) -> str:
        """Why a run is not to be started unasked; empty where it may be."""
        result, later = entry.result, entry.status.later
        if entry.state is State.DAMAGED:
            return f"{entry.state.value}: {entry.reason}"
        if not self.retry:
            if (failures := entry.run.machine_failures()) >= FAILURES:
                return f"failed {failures} times in a row: {(later or entry.status).detail}"
            if later and later.failure == "method":
                return f"done, but it could not be completed: {later.detail}"
            if len(logs := idle_logs(entry.run, self.store.root)) >= FAILURES:
                return f"{len(logs)} jobs in a row ended before they could begin it; the log of the last: {logs[0]}"
        # Whether a run is queued or running was asked of the scheduler.
        excused = (*UNDER_WAY, State.FAILED) if self.retry else UNDER_WAY
        if isinstance(result, Absent) and not result.startable and result.state not in excused:
            return f"{result.state.value}: {result.reason}"
        return ""


def waves(entries: Iterable[Entry]) -> list[list[Entry]]:
    """The entries in the order in which they may be made: those of a wave read from waves before it only."""
    depths: dict[RunFolder, int] = {}
    parts: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries:  # producers stand first
        depths[entry.run] = max((depths[run] + 1 for run in entry.producers if run in depths), default=0)
        parts[depths[entry.run]].append(entry)
    return [parts[depth] for depth in sorted(parts)]


def remarks(entries: Sequence[Entry]) -> list[str]:
    """What is not started and why, for people: gaps, a line for all runs that have the same, and held runs."""
    gaps = Counter(entry.reason for entry in entries if entry.gap)
    no_adapter = "no language adapter is there, or on its way"
    return [
        *(f"gap: {runs} done run{'s' * (runs > 1)} {lacks}: {no_adapter}" for lacks, runs in gaps.items()),
        *(f"held back: {entry.run.path.name}: {' '.join(entry.held.split())}" for entry in entries if entry.held),
    ]


def hours(entries: Iterable[Entry]) -> tuple[float, int]:
    """The hours of the missing ones that were measured, and of how many nothing was."""
    missing = [entry.hours for entry in entries if entry.missing]
    return sum(hours for hours in missing if hours is not None), missing.count(None)


def _by_shape(folder: Path) -> dict[Shape, list[Record]]:
    records: dict[Shape, list[Record]] = defaultdict(list)
    with suppress(Unreadable):
        for name in sorted(names_in(folder)):
            with suppress(NotDone, Damaged):
                record = RunFolder(folder / name, name.rpartition("-")[2]).record()
                records[_shape(record.config, record.marks)].append(record)
    return records


def _expected(config: RunConfig, finished: Mapping[Shape, Sequence[Record]]) -> float | None:
    """What a run may take from its beginning, in hours of one device; None where none of its shape is finished."""
    records = finished.get(_shape(config.active(), config.marks), [])
    tested = [record for record in records if _tests(record.evaluations) or record.kind == "artifact"]
    if not tested:
        return None
    training = fmean(
        (record.timing["train_seconds"] + record.timing["fisher_seconds"]) / _budget(record.config)
        for record in records
    )
    testing = fmean(record.timing["evaluate_seconds"] / max(1, _tests(record.evaluations)) for record in tested)
    return (training * _budget(config.active()) + testing * _tests(evaluations(config))) / 3600


def _shape(config: Mapping[str, Any], marks: Iterable[str]) -> Shape:
    names = tuple(config[section]["name"] for section in ("task", "model", "adapter"))
    return (*names, config.get("data_size", {}).get("examples"), "updates" in config.get("train", {}), *marks)


def _budget(config: Mapping[str, Any]) -> int:
    """In updates, or in epochs; of what makes none, in blocks."""
    train = config.get("train", config["task"])
    budget: int = next(train[unit] for unit in ("updates", "epochs", "blocks") if unit in train)
    return budget


def _tests(evaluations: Mapping[str, Collection[str]]) -> int:
    """In how many languages of test sets."""
    return sum(map(len, evaluations.values()))


def job_log(root: Path, job: str) -> Path | None:
    """The standard error of a job that `submit` started, in a folder per day of `jobs/`; None where there is none."""
    name = job.split(":")[2] if job.startswith("local:") else job
    return max((root / "jobs").glob(f"*/{name}_0_log.err"), default=None)


def idle_logs(run: RunFolder, root: Path) -> list[Path]:
    """The logs of the jobs that were last to run it and could not begin it (`RunFolder.idle_jobs`); latest first."""
    return [log for job in run.idle_jobs() if (log := job_log(root, job))]
