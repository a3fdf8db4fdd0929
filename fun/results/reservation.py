"""Who is to run a run: reservations, numbered like attempts, of which the latest counts.

A reservation is created exclusively, before the job is submitted, so that of two planners one submits the run.
"""

import dataclasses
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from fun.results.claim import Claim, stale_seconds
from fun.results.errors import Damaged
from fun.results.files import create_exclusive, latest_number, make_folder, pretty_json, read_object, replace, sync

JobKnown = Callable[[str], bool]
"""Whether the scheduler still knows a job, waiting or running."""


class Phase(StrEnum):
    """How far the job came with the run."""

    SUBMITTED = "submitted"  # or is being submitted
    STARTED = "started"  # the job is up; it may have other runs to do first
    BEGUN = "begun"  # it started the run's process
    OVER = "over"  # it is through with the run, or was never submitted


@dataclass(frozen=True)
class Reservation:
    """Mark `number` in a run's `queue` folder: the job that is to run it, None while it is being submitted."""

    folder: Path
    number: int
    planner: Claim
    job: str | None = None
    phase: Phase = Phase.SUBMITTED

    @property
    def path(self) -> Path:
        return self.folder / f"{self.number:04d}.json"

    @classmethod
    def latest(cls, folder: Path) -> Self | None:
        """The reservation that counts. Raises Damaged."""
        number = latest_number(folder)
        return cls.read(folder, number) if number else None

    @classmethod
    def read(cls, folder: Path, number: int) -> Self:
        """Mark `number`. Raises Damaged."""
        path = folder / f"{number:04d}.json"
        try:
            fields = read_object(path)
            return cls(folder, number, Claim(**fields["planner"]), fields["job"], Phase(fields["phase"]))
        except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
            raise Damaged(f"{path} is not a job's reservation: remove it") from error

    @classmethod
    def create(cls, folder: Path, number: int) -> Self | None:
        """Create reservation `number` for this process; None where another process has."""
        reservation = cls(folder, number, Claim.of_this_process("run"))
        make_folder(folder)
        return reservation if create_exclusive(reservation.path, pretty_json(reservation._content())) else None

    def submitted(self, job: str) -> None:
        """Note the job that was submitted."""
        self._write(job=job)

    def came_to(self, phase: Phase) -> None:
        """Note how far the job came."""
        self._write(phase=phase)

    def withdraw(self) -> None:
        """Take the reservation back: nothing was submitted. It stays, so that its number is not given again."""
        self._write(phase=Phase.OVER)

    def renew(self) -> None:
        """Say that its planner is still at it."""
        os.utime(self.path)

    def stands(self, job_known: JobKnown, now: float) -> bool:
        """Whether its job waits or runs and has the run still to do, or its planner is still submitting it."""
        if self.phase is Phase.OVER:
            return False
        if self.job is not None:
            return job_known(self.job)
        if self.planner.here:
            return not self.planner.process_gone()
        return now - self.path.stat().st_mtime < stale_seconds()

    def __str__(self) -> str:
        return f"job {self.job}" if self.job else f"the job that {self.planner} is submitting"

    def _write(self, **changes: Any) -> None:
        aside = self.folder / f".{self.number:04d}.{socket.gethostname()}.{os.getpid()}"
        aside.write_bytes(pretty_json(dataclasses.replace(self, **changes)._content()))
        sync(aside)
        replace(aside, self.path)

    def _content(self) -> dict[str, Any]:
        return {"job": self.job, "planner": dataclasses.asdict(self.planner), "phase": self.phase}
