"""Submits the runs that targets lack: producers first, each run once, as few arrays as their dependencies allow."""

import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fun.results import JobKnown, State
from reproduce.runs.plan import Entry, waves
from reproduce.start.job import Job
from reproduce.start.jobs import Jobs, job_of
from reproduce.start.profiles import ARRAY_SIZE, Profile

PRODUCERS = "PRODUCERS"
"""Stands for the jobs that a dry run did not submit."""


@dataclass(frozen=True)
class Array:
    """Jobs to submit together: the runs of each, and the jobs that must end before."""

    profile: Profile
    parts: tuple[tuple[Entry, ...], ...]
    after: tuple[str, ...]

    def __str__(self) -> str:
        runs = counted(sum(map(len, self.parts)), "run")
        return f"{runs} in {counted(len(self.parts), 'job')} on {self.profile.name}"


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
        asked = {entry.run: entry.run.reserve(self.job_known) for entry in entries if entry.wanted}
        reservations = {run: reservation for run, reservation in asked.items() if reservation is not None}
        self.under_way = len(asked) - len(reservations)  # what somebody else has in hand
        try:
            for wave in waves([entry for entry in entries if entry.run in reservations]):
                for array in self._arrays(wave):
                    for reservation in reservations.values():
                        reservation.renew()
                    with _uninterrupted():
                        names = array.profile.submit(Job(self.root), array.parts, self.folder, array.after)
                        for part, name in zip(array.parts, names, strict=True):
                            for entry in part:
                                reservations.pop(entry.run).submitted(name)
                    self.names += names
                    yield array, names
        finally:
            for reservation in reservations.values():
                reservation.withdraw()

    def scripts(self, entries: Sequence[Entry]) -> Iterator[tuple[Array, str]]:
        """What `submit` would hand to sbatch; nothing is submitted or marked."""
        for wave in waves([entry for entry in entries if entry.startable]):
            for array in self._arrays(wave, look_only=True):
                yield array, array.profile.script(Job(self.root), array.parts, self.folder, array.after)

    def _arrays(self, wave: Sequence[Entry], look_only: bool = False) -> Iterator[Array]:
        """The wave as arrays: one per set of jobs that must end before and profile, in parts of `ARRAY_SIZE`.

        Runs that wait for a run without a job are left for later.
        """
        local = self.profiles[0].local

        def known(job: str) -> bool:
            return job in self.names or self.job_known(job)

        groups: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
        for entry in wave:
            makers = [run for run in entry.producers if run.status().state is not State.DONE]
            jobs = dict.fromkeys(PRODUCERS if look_only else job_of(run, known) for run in makers)
            if None in jobs or (jobs and local):
                self.waiting.append(entry)
            else:
                groups[tuple(job for job in jobs if job is not None)].append(entry)
        for after, entries in groups.items():
            # On this machine all jobs start at once: unless another number is typed, one per core.
            per_job = -(-len(entries) // len(os.sched_getaffinity(0))) if local else 1
            of_jobs = list(_batched(entries, self.runs_per_job or per_job))
            for number, profile in enumerate(self.profiles):
                for parts in _batched(of_jobs[number :: len(self.profiles)], ARRAY_SIZE):
                    yield Array(profile, parts, after)


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


def _batched(items: Sequence[Any], size: int) -> Iterator[tuple[Any, ...]]:
    return (tuple(items[start : start + size]) for start in range(0, len(items), size))


def summary(names: Sequence[str]) -> str:
    """Job names for people: 17_[0-11], 18."""
    counts = Counter(name.rpartition("_")[0] or name for name in names)
    return ", ".join(f"{array}_[0-{count - 1}]" if count > 1 else array for array, count in counts.items())


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
