"""What targets still need: every run once, producers first, with its state and the hours that it may take."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fun.config import RunConfig, producer
from fun.inputs.keys import test_sets
from fun.results import NEVER_BEGUN, Damaged, JobKnown, NotDone, Record, RunFolder, State
from reproduce.declare.parts import Needed
from reproduce.runs.store import Found, Gap, Store, command, configuration, producers

SAMPLE = 20
"""So many finished runs of a shape are read to say how long one takes."""


@dataclass(frozen=True)
class Entry:
    """A run of a plan. `reason` is why it is in its state, or what its record lacks; `targets` are those that need it.

    `producers` are the runs before it whose language adapters it reads. `hours` of one device is None where no run
    of its shape was measured; it is 0 for a run that is done.
    """

    needed: Needed
    run: RunFolder
    targets: tuple[str, ...]
    producers: tuple[RunFolder, ...]
    state: State
    reason: str
    option: str
    hours: float | None

    @property
    def missing(self) -> bool:
        """Whether somebody has to start it: it is neither done with all that is needed of it, nor under way."""
        incomplete = self.state is State.DONE and self.reason != ""
        return incomplete or self.state not in (State.DONE, State.QUEUED, State.RUNNING)

    @property
    def command(self) -> str:
        """What to type to start it."""
        return command((*self.needed.arguments, self.option) if self.option else self.needed.arguments)


def outlook(groups: Mapping[str, Iterable[Needed]], store: Store, jobs: JobKnown | None) -> list[Entry]:
    """Every run that the groups need, once, behind the runs that make what it reads.

    `jobs` asks the scheduler; without it no job is believed. Raises ConfigError.
    """
    planner = _Planner(store)
    for group, needed in groups.items():
        for run in needed:
            planner.add(run, configuration(run.overrides), group)
    costs = _Costs(store.root)
    return [_entry(one, costs, jobs) for one in planner.runs.values()]


@dataclass
class _Run:
    """A run while the plan is being made."""

    needed: Needed
    config: RunConfig
    folder: RunFolder
    result: Found | Gap
    producers: tuple[RunFolder, ...]
    targets: tuple[str, ...]


class _Planner:
    """Collects runs by their run_id."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.runs: dict[str, _Run] = {}

    def add(self, needed: Needed, config: RunConfig, group: str) -> _Run:
        known = self.runs.get(config.run_id)
        both = needed_by_both(known.needed, needed) if known else needed
        result = known.result if known and known.needed == both else self.store.find(config, both)
        # What a done run was made from is not needed any more.
        made = {} if isinstance(result, Found) and not result.lacks else producers(config)
        before = tuple(self.add(run, producer(config.model, language), group).folder for language, run in made.items())
        if before:  # it comes behind them; what has producers is no producer itself
            self.runs.pop(config.run_id, None)
        folder = self.store.runs(config)[0]
        targets = tuple(dict.fromkeys((*(known.targets if known else ()), group)))
        run = _Run(both, config, folder, result, before, targets)
        self.runs[config.run_id] = run
        return run


def needed_by_both(one: Needed, other: Needed) -> Needed:
    """One run that two groups need, with all that either needs of it."""
    restricted = any(override.startswith("evaluate.languages=") for override in one.overrides)
    values = tuple(dict.fromkeys((*one.values, *other.values)))
    return Needed((other if restricted else one).overrides, values, one.fisher_every or other.fisher_every)


def _entry(one: _Run, costs: "_Costs", jobs: JobKnown | None) -> Entry:
    state, reason, option = State.DONE, "", ""
    match one.result:
        case Found(lacks=lacks):
            later = one.folder.status(job_known=jobs).later if lacks else None
            if later and later.state in (State.QUEUED, State.RUNNING):
                state = later.state
            reason = f"{lacks}; {later.detail}" if later else lacks
        case Gap(state=State.DONE | State.DAMAGED as state, reason=reason, option=option):
            pass
        case Gap(option=option):
            status = one.folder.status(job_known=jobs)
            state, reason = status.state, "" if status == NEVER_BEGUN else status.detail
    done = isinstance(one.result, Found) and not one.result.lacks
    hours = 0.0 if done else costs.hours(one.config)
    return Entry(one.needed, one.folder, one.targets, one.producers, state, reason, option, hours)


class _Costs:
    """Hours from finished runs of the same shape: task, model, adapter, data size, and budget in updates or epochs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._measured: dict[tuple[Any, ...], tuple[float, float] | None] = {}

    def hours(self, config: RunConfig) -> float | None:
        """What it may take from its beginning; None where no run of its shape was measured."""
        shape = _shape(config.active())
        if shape not in self._measured:
            self._measured[shape] = self._measure(config, shape)
        measured = self._measured[shape]
        if measured is None:
            return None
        training, testing = measured
        languages = config.evaluate.languages
        tests = sum(languages is None or name in languages for names in test_sets(config).values() for name in names)
        return (training * _budget(config.active()) + testing * tests) / 3600

    def _measure(self, config: RunConfig, shape: tuple[Any, ...]) -> tuple[float, float] | None:
        """Mean seconds per update or epoch, and per test set and language."""
        records = [record for record in self._records(config) if _shape(record.config) == shape]
        tested = [record for record in records if _tests(record)]
        if not tested:
            return None
        training = [_training_seconds(record) / _budget(record.config) for record in records]
        testing = [record.timing["evaluate_seconds"] / _tests(record) for record in tested]
        return statistics.fmean(training), statistics.fmean(testing)

    def _records(self, config: RunConfig) -> list[Record]:
        """Records of about the same label, spread over all of them: reading every one would take long."""
        folder = config.folder(self.root)
        alike = sorted(path for path in folder.parent.glob("*-*") if _kind(path.name) == _kind(folder.name))
        step = -(-len(alike) // SAMPLE) or 1
        found = []
        for path in alike[::step]:
            try:
                record = RunFolder(path, path.name.rpartition("-")[2]).record()
            except (NotDone, Damaged):
                continue
            found += [] if record.marks else [record]
        return found


def _kind(folder: str) -> tuple[str, ...]:
    """Adapter and data size of a label (`RunConfig.label`); nothing for a language adapter's."""
    parts = folder.split("-")
    return (parts[0], parts[-3]) if len(parts) > 3 else ()


def _shape(config: Mapping[str, Any]) -> tuple[Any, ...]:
    names = tuple(config[section]["name"] for section in ("task", "model", "adapter"))
    return (*names, config.get("data_size", {}).get("examples"), "updates" in config["train"])


def _budget(config: Mapping[str, Any]) -> int:
    train = config["train"]
    budget: int = train["updates"] if "updates" in train else train["epochs"]
    return budget


def _tests(record: Record) -> int:
    """How many test sets and languages a run was tested in."""
    return sum(map(len, record.tracking["languages"].values()))


def _training_seconds(record: Record) -> float:
    return record.timing["train_seconds"] + record.timing["fisher_seconds"]


def hours(entries: Sequence[Entry]) -> tuple[float, int]:
    """The hours of those that were measured, and how many of the missing ones were not."""
    missing = [entry.hours for entry in entries if entry.missing]
    return sum(one for one in missing if one is not None), missing.count(None)


def counts(entries: Iterable[Entry]) -> Counter[State]:
    """How many are in each state."""
    return Counter(entry.state for entry in entries)
