"""Submits the runs that targets lack: producers first, each run once, as few arrays as their dependencies allow."""

import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fun.results import JobKnown, Phase, Reservation, RunFolder, State
from reproduce.runs.plan import Entry, waves
from reproduce.start.job import Job
from reproduce.start.jobs import Jobs, job_of
from reproduce.start.profiles import ARRAY_SIZE, Profile

Item = TypeVar("Item")

PRODUCERS = "PRODUCERS"
"""Stands for the jobs that a dry run did not submit."""


@dataclass(frozen=True)
class Array:
    """Jobs to submit together: the runs of each, and the jobs that must end before."""

    profile: Profile
    parts: tuple[tuple[Entry, ...], ...]
    after: tuple[str, ...]

    @property
    def dependency(self) -> str | None:
        # afterany: whether a producer is done is asked of its folder. What it leaves missing is a gap, shown as one.
        return f"afterany:{':'.join(self.after)}" if self.after else None


@dataclass
class Submission:
    """Submits runs of a plan into the results folder `root`; afterwards it holds what came of it.

    A run gets its reservation before its job is submitted, so that two planners at one time submit it once.
    """

    root: Path
    profiles: Sequence[Profile]
    runs_per_job: int | None
    job_known: JobKnown = field(default_factory=Jobs)
    under_way: int = 0
    waiting: list[Entry] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where the jobs' scripts, pickles and logs go."""
        return self.root / "jobs" / time.strftime("%Y-%m-%d")

    def submit(self, entries: Sequence[Entry]) -> Iterator[tuple[Array, list[str]]]:
        """Submit what is wanted, and yield each array with the names of its jobs. Raises SchedulerError."""
        reservations = self._reserve(entries)
        try:
            for wave in waves([entry for entry in entries if entry.run in reservations]):
                for array in self._arrays(wave):
                    for reservation in reservations.values():
                        reservation.renew()
                    with _uninterrupted():
                        names = array.profile.submit(Job(self.root), array.parts, self.folder, array.dependency)
                        for part, name in zip(array.parts, names, strict=True):
                            for entry in part:
                                reservations.pop(entry.run).note(job=name)
                    self.names += names
                    yield array, names
        finally:
            for reservation in reservations.values():
                reservation.note(phase=Phase.OVER)

    def scripts(self, entries: Sequence[Entry]) -> Iterator[tuple[Array, str]]:
        """What `submit` would hand to sbatch; nothing is submitted or marked."""
        for wave in waves([entry for entry in entries if entry.startable]):
            for array in self._arrays(wave, look_only=True):
                yield array, array.profile.script(Job(self.root), array.parts, self.folder, array.dependency)

    def _reserve(self, entries: Sequence[Entry]) -> dict[RunFolder, Reservation]:
        """The reservations of those that nobody has in hand; the others are counted."""
        reservations = {entry.run: entry.run.reserve(self.job_known) for entry in entries if entry.wanted}
        self.under_way += list(reservations.values()).count(None)
        return {run: reservation for run, reservation in reservations.items() if reservation is not None}

    def _arrays(self, wave: Sequence[Entry], look_only: bool = False) -> Iterator[Array]:
        """The wave as arrays: one per set of producers and profile, in parts of `ARRAY_SIZE`."""
        for after, entries in self._by_jobs(wave, look_only).items():
            # On this machine all jobs start at once: unless another number is typed, one per core.
            per_job = -(-len(entries) // len(os.sched_getaffinity(0))) if self.profiles[0].local else 1
            jobs = list(_batched(entries, self.runs_per_job or per_job))
            for number, profile in enumerate(self.profiles):
                share = jobs[number :: len(self.profiles)]
                for parts in _batched(share, ARRAY_SIZE):
                    yield Array(profile, tuple(parts), after)

    def _by_jobs(self, wave: Sequence[Entry], look_only: bool) -> dict[tuple[str, ...], list[Entry]]:
        """Runs by the jobs that must end before; those that wait for a run without a job are left for later."""
        groups: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
        for entry in wave:
            makers = [run for run in entry.producers if run.status().state is not State.DONE]
            jobs = {PRODUCERS if look_only else job_of(run, self._job_known): None for run in makers}
            if None in jobs or (jobs and self.profiles[0].local):
                self.waiting.append(entry)
            else:
                groups[tuple(job for job in jobs if job is not None)].append(entry)
        return groups

    def _job_known(self, job: str) -> bool:
        return job in self.names or self.job_known(job)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Within, a request to end waits: jobs that were submitted and not noted would be submitted again.

    Ctrl-C is ignored, by sbatch too: the terminal sends it to both, and sbatch may not tell what it has submitted.
    """
    requests: list[int] = []
    previous = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda request, frame: requests.append(request)),
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if requests:
            signal.raise_signal(requests[0])


def summary(names: Sequence[str]) -> str:
    """Job names for people: 17_[0-11], 18."""
    counts = Counter(name.rpartition("_")[0] or name for name in names)
    return ", ".join(f"{array}_[0-{count - 1}]" if count > 1 else array for array, count in counts.items())


def _batched(items: Sequence[Item], size: int) -> Iterator[tuple[Item, ...]]:
    return (tuple(items[start : start + size]) for start in range(0, len(items), size))
