"""What SLURM, or this machine, says about jobs that were submitted."""

import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from fun.errors import FunError
from fun.machine import slurm
from fun.results import JobKnown, RunFolder, State, local_job

LOCAL = "local"

Seen = TypeVar("Seen")


class SchedulerError(FunError):
    """The scheduler refuses, or does not answer."""


class Jobs:
    """The jobs that wait or run. Calling it is `JobKnown`. SLURM is asked only about what it did not tell yet."""

    def __init__(self) -> None:
        self._alive: frozenset[str] = frozenset()
        self._newest = -1  # jobs are numbered: an older one that is not among them has ended

    def __call__(self, job: str) -> bool:
        """Whether the job waits or runs. Raises SchedulerError."""
        if job.startswith(f"{LOCAL}:"):
            # Named when it had ended already, it has no start.
            return job == local_job(int(job.split(":")[2])) and not job.endswith(":0")
        number = int(job.partition("_")[0])
        if number > self._newest:
            self._alive = frozenset(_ask("squeue", "--noheader", "--array", "--format=%i").split())
            self._newest = max(number, *(int(name.partition("_")[0]) for name in self._alive), 0)
        return job in self._alive


def asking(look: Callable[[JobKnown | None], Seen]) -> Seen:
    """What `look` sees when it can ask about jobs; where the scheduler does not answer, without, and a line says so."""
    try:
        return look(Jobs())
    except SchedulerError as error:
        print(f"jobs are not known, only heartbeats: {error}", file=sys.stderr)
        return look(None)


def job_of(run: RunFolder, job_known: JobKnown) -> str | None:
    """The job that runs a run, or is to; None where the scheduler knows none."""
    status = run.status(job_known=job_known)
    claim = run.claim() if (status.later or status).state is State.RUNNING else None
    return claim.job if claim and claim.job and job_known(claim.job) else submitted_job(run, job_known)


def submitted_job(run: RunFolder, job_known: JobKnown) -> str | None:
    """The job that `submit` started and that runs a run, or is to; None where the scheduler knows none."""
    reservation = run.reservation()
    return reservation.job if reservation and reservation.job and reservation.stands(job_known, time.time()) else None


def cancel(jobs: Collection[str]) -> None:
    """End waiting and running jobs, which save what they can. Raises SchedulerError."""
    here = {job for job in jobs if job.startswith(f"{LOCAL}:")}
    if elsewhere := sorted(set(jobs) - here):
        _ask("scancel", *elsewhere)
    for shell in (job.split(":")[2] for job in here):  # below it submitit's controller passes the signal on to the job
        children = Path(f"/proc/{shell}/task/{shell}/children")
        for child in children.read_text().split() if children.exists() else ():
            subprocess.run(["kill", "-TERM", child], check=False)


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=slurm.environment())
    except FileNotFoundError as error:
        raise SchedulerError(f"{command[0]} is not installed here: type this where SLURM is") from error
    if done.returncode:
        raise SchedulerError(f"SLURM does not answer: {last_line(done.stderr)}")
    return done.stdout


def last_line(text: str) -> str:
    """The last line that says anything."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no output")


def told_by(log: Path) -> str:
    """What is shown of a job's or a run's output: its last line, and where the rest is."""
    return f"    {last_line(log.read_text(encoding='utf-8', errors='replace'))}\n    log: {log}"
