"""Submits the runs that targets lack: producers first, each run once, as few arrays as their dependencies allow."""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from fun.config import RunConfig
from fun.results import JobKnown, Mark, RunFolder, State, folders_of
from reproduce.declarations import Needed, merged
from reproduce.job import Job, Planned
from reproduce.outlook import needed_by_both
from reproduce.plan import Found, Gap, Store, configuration, producers, read_languages
from reproduce.scheduler import ARRAY_SIZE, Jobs, Profile

Item = TypeVar("Item")

RETRIES = 3
"""After so many failures in a row because of the machine a run waits for `retry`."""

PRODUCERS = "PRODUCERS"
"""Stands for the jobs that a dry run did not submit."""


@dataclass(frozen=True)
class Wanted:
    """A run to submit, and the folders of the runs that it reads from and that are not done."""

    planned: Planned
    producers: tuple[RunFolder, ...] = ()


@dataclass
class Selection:
    """The runs to submit, producers first; those held back, each with the reason; and how many are done.

    `gaps`: those done runs that lack only languages whose language adapters are neither there nor on their way.
    """

    wanted: list[Wanted] = field(default_factory=list)
    held: dict[RunFolder, str] = field(default_factory=dict)
    gaps: dict[RunFolder, str] = field(default_factory=dict)
    done: int = 0


def select(needed: Iterable[Needed], store: Store, *, retry: bool = False) -> Selection:
    """The runs of `needed` that may be started, each once, behind the producers that they lack.

    With `retry` also those that failed because of their method, or too often because of their machine. Raises
    ConfigError.
    """
    runs: dict[str, Needed] = {}
    for run in merged(needed):
        run_id = configuration(run.overrides).run_id
        runs[run_id] = needed_by_both(runs[run_id], run) if run_id in runs else run
    selector = _Selector(store, retry)
    for run in runs.values():
        selector.add(run)
    return selector.chosen


class _Selector:
    """Fills a selection, run by run."""

    def __init__(self, store: Store, retry: bool) -> None:
        self.store = store
        self.retry = retry
        self.chosen = Selection()
        self._seen: set[RunFolder] = set()

    def add(self, needed: Needed) -> None:
        """Put a run into the selection, behind the producers that it lacks; or hold it back."""
        result = self.store(needed)
        if isinstance(result, Found) and not result.startable:
            self.chosen.done += 1
            return
        config = configuration(needed.overrides)
        folder = self._folder(config)
        if folder in self._seen:
            return
        self._seen.add(folder)
        if reason := self._reason_to_hold(folder, result):
            self._hold(folder, reason)
            return
        makers = self._add_producers(config)
        maker = makers.get(config.SOURCE_LANGUAGE)
        if maker in self.chosen.held:
            # Any other language is a gap of the run; without this one it cannot begin.
            self._hold(folder, f"its {config.SOURCE_LANGUAGE} language adapter cannot be made: {maker} is held back")
            return
        if isinstance(result, Found) and not self._can_be_completed(needed, config, makers):
            self.chosen.gaps[folder] = result.lacks
            self.chosen.done += 1
            return
        arguments = (*needed.arguments, "retry=true") if folder.status().failure == "method" else needed.arguments
        waits_for = tuple(maker for maker in makers.values() if maker not in self.chosen.held)
        self.chosen.wanted.append(Wanted(Planned(arguments, folder), waits_for))

    def _add_producers(self, config: RunConfig) -> dict[str, RunFolder]:
        """Language -> the run that makes its language adapter and is not done; now in the selection, or held back."""
        lacking = {
            language: made for language, made in producers(config).items() if not isinstance(self.store(made), Found)
        }
        for made in lacking.values():
            self.add(made)
        return {language: self._folder(configuration(made.overrides)) for language, made in lacking.items()}

    def _can_be_completed(self, needed: Needed, config: RunConfig, makers: Mapping[str, RunFolder]) -> bool:
        """Whether a done run lacks anything but languages that are gaps: starting it again would not fill those."""
        gaps = {language for language in read_languages(config) if self._is_gap(config, language, makers)}
        values = tuple(value for value in needed.values if value[1] not in gaps)
        without_gaps = self.store(replace(needed, values=values))
        return isinstance(without_gaps, Found) and without_gaps.startable

    def _is_gap(self, config: RunConfig, language: str, makers: Mapping[str, RunFolder]) -> bool:
        """Whether a language adapter is neither there nor made by a run that is selected or under way."""
        if language in makers:
            return makers[language] in self.chosen.held
        origin = config.language_adapters.get(language)
        return origin is None or (origin.startswith("run:") and not self._trained(origin.removeprefix("run:")))

    def _trained(self, run_id: str) -> bool:
        folders = folders_of(self.store.root, run_id, "mlm")
        return any(RunFolder(folder, run_id).status().state is State.DONE for folder in folders)

    def _reason_to_hold(self, folder: RunFolder, result: Found | Gap) -> str:
        """Why a run is not to be started unasked; empty where it may be."""
        failures = folder.machine_failures()
        if failures >= RETRIES and not self.retry:
            return f"failed {failures} times in a row: {folder.status().detail}"
        # Whether a run is queued or running is asked of the scheduler, when it is to be submitted.
        held = isinstance(result, Gap) and not result.startable and result.state is not State.RUNNING
        if isinstance(result, Gap) and held and not (self.retry and result.state is State.FAILED):
            return f"{result.state.value}: {result.reason}"
        return ""

    def _hold(self, folder: RunFolder, reason: str) -> None:
        self.chosen.held[folder] = reason

    def _folder(self, config: RunConfig) -> RunFolder:
        return RunFolder(config.folder(self.store.root), config.run_id)


@dataclass(frozen=True)
class Array:
    """Jobs to submit together: the runs of each, and the jobs that must end before."""

    profile: Profile
    parts: tuple[tuple[Planned, ...], ...]
    after: tuple[str, ...]

    @property
    def dependency(self) -> str | None:
        # afterany: whether a producer is done is asked of its folder. What it leaves missing is a gap, shown as one.
        return f"afterany:{':'.join(self.after)}" if self.after else None


@dataclass
class Submission:
    """Submits a selection into the results folder `root`; `report` says what came of it.

    A run gets its mark before its job is submitted, so that two planners at one time submit it once.
    """

    root: Path
    profiles: Sequence[Profile]
    runs_per_job: int | None
    known: JobKnown = field(default_factory=Jobs)
    under_way: int = 0
    waiting: list[Wanted] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where the jobs' scripts, pickles and logs go."""
        return self.root / "jobs" / time.strftime("%Y-%m-%d")

    def submit(self, wanted: Sequence[Wanted]) -> Iterator[tuple[Array, list[str]]]:
        """Submit, and yield each array with the names of its jobs. Raises SchedulerError."""
        marks = self._reserve(wanted)
        try:
            for wave in self._waves([one for one in wanted if one.planned.run in marks]):
                for array in self._arrays(wave):
                    names = array.profile.submit(self._job, array.parts, self.folder, array.dependency)
                    for part, name in zip(array.parts, names, strict=True):
                        for planned in part:
                            marks.pop(planned.run).submitted(name)
                    self.names += names
                    yield array, names
        finally:
            for mark in marks.values():
                mark.withdraw()

    def scripts(self, wanted: Sequence[Wanted]) -> Iterator[tuple[Array, str]]:
        """What `submit` would hand to sbatch; nothing is submitted or marked."""
        for wave in self._waves([one for one in wanted if not one.planned.run.under_way(self.known)]):
            for array in self._arrays(wave, look_only=True):
                yield array, array.profile.script(self._job, array.parts, self.folder, array.dependency)

    @property
    def _job(self) -> Job:
        return Job(self.root, RETRIES)

    def _reserve(self, wanted: Sequence[Wanted]) -> dict[RunFolder, Mark]:
        marks = {}
        for one in wanted:
            mark = one.planned.run.reserve(self.known)
            if mark is None:
                self.under_way += 1
            else:
                marks[one.planned.run] = mark
        return marks

    def _waves(self, wanted: Sequence[Wanted]) -> list[list[Wanted]]:
        """Runs without producers that are still to be made, then the others."""
        first = [one for one in wanted if not one.producers]
        return [first, [one for one in wanted if one.producers]]

    def _arrays(self, wave: Sequence[Wanted], look_only: bool = False) -> Iterator[Array]:
        """The wave as arrays: one per set of producers and profile, in parts of `ARRAY_SIZE`."""
        groups: Mapping[tuple[str, ...], list[Planned]] = self._by_jobs(wave, look_only)
        for after, planned in groups.items():
            jobs = list(_batched(planned, self._per_job(len(planned))))
            for number, profile in enumerate(self.profiles):
                share = jobs[number :: len(self.profiles)]
                for parts in _batched(share, ARRAY_SIZE):
                    yield Array(profile, tuple(parts), after)

    def _per_job(self, runs: int) -> int:
        """As typed; on this machine, where all jobs start at once, so many that there is a job per core."""
        if self.runs_per_job is None and self.profiles[0].local:
            return -(-runs // len(os.sched_getaffinity(0)))
        return self.runs_per_job or 1

    def _by_jobs(self, wave: Sequence[Wanted], look_only: bool) -> dict[tuple[str, ...], list[Planned]]:
        """Runs by the jobs that must end before; those that wait for a run without a job are left for later."""
        groups: dict[tuple[str, ...], list[Planned]] = defaultdict(list)
        for one in wave:
            jobs = [self._job_of(run, look_only) for run in one.producers if run.status().state is not State.DONE]
            if None in jobs or (jobs and any(profile.local for profile in self.profiles)):
                self.waiting.append(one)
            else:
                groups[tuple(dict.fromkeys(job for job in jobs if job is not None))].append(one.planned)
        return groups

    def _job_of(self, run: RunFolder, look_only: bool) -> str | None:
        """The job that runs it, or is to."""
        if look_only and not run.under_way(self.known):
            return PRODUCERS
        return job_of(run, lambda job: job in self.names or self.known(job))


def job_of(run: RunFolder, known: JobKnown) -> str | None:
    """The job that runs a run, or is to; None where the scheduler knows none."""
    mark, claim = run.mark(), run.claim()
    jobs = (claim.job if claim else None, mark.job if mark else None)
    return next((job for job in jobs if job is not None and known(job)), None)


def folders(needed: Iterable[Needed], root: Path) -> list[RunFolder]:
    """The folders of runs and, before them, of their producers, each once. Raises ConfigError."""
    found: dict[RunFolder, None] = {}
    for run in merged(needed):
        config = configuration(run.overrides)
        for one in (*(configuration(made.overrides) for made in producers(config).values()), config):
            found[RunFolder(one.folder(root), one.run_id)] = None
    return list(found)


def summary(names: Sequence[str]) -> str:
    """Job names for people: 17_[0-11], 18."""
    counts = Counter(name.rpartition("_")[0] or name for name in names)
    return ", ".join(f"{array}_[0-{count - 1}]" if count > 1 else array for array, count in counts.items())


def _batched(items: Sequence[Item], size: int) -> Iterator[tuple[Item, ...]]:
    return (tuple(items[start : start + size]) for start in range(0, len(items), size))
