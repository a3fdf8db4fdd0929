"""Who is to run a run: marks, numbered like attempts, of which the latest counts.

A mark is created exclusively, before the job is submitted, so that of two planners one submits the run.
"""

import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from fun.results.claim import Claim, stale_seconds
from fun.results.errors import Damaged
from fun.results.files import create_exclusive, make_folder, pretty_json, read_object, replace

JobKnown = Callable[[str], bool]
"""Whether the scheduler still knows a job, waiting or running."""

_MARK = re.compile(r"(\d{4,})\.json")


@dataclass(frozen=True)
class Mark:
    """Mark `number` in a run's `queue` folder: the job that is to run it, None while it is being submitted."""

    folder: Path
    number: int
    planner: Claim
    job: str | None = None

    @property
    def path(self) -> Path:
        return self.folder / f"{self.number:04d}.json"

    @classmethod
    def latest_number(cls, folder: Path) -> int:
        """The number of the mark that counts; 0 where there is none."""
        names = os.listdir(folder) if folder.is_dir() else []
        return max((int(found[1]) for name in names if (found := _MARK.fullmatch(name))), default=0)

    @classmethod
    def latest(cls, folder: Path) -> Self | None:
        """The mark that counts. Raises Damaged."""
        number = cls.latest_number(folder)
        if number == 0:
            return None
        try:
            return cls.read(folder, number)
        except FileNotFoundError:  # withdrawn at this moment
            return cls.latest(folder)

    @classmethod
    def read(cls, folder: Path, number: int) -> Self:
        """Mark `number`. Raises Damaged, or FileNotFoundError where it was withdrawn."""
        path = folder / f"{number:04d}.json"
        match read_object(path):
            case {"job": str() | None as job, "planner": dict() as planner}:
                return cls(folder, number, Claim(**planner), job)
        raise Damaged(f"{path} is not the mark of a job")

    @classmethod
    def create(cls, folder: Path, number: int, job: str | None = None) -> Self | None:
        """Create mark `number` for this process; None where another process has."""
        mark = cls(folder, number, Claim.of_this_process("run"), job)
        make_folder(folder)
        return mark if create_exclusive(mark.path, pretty_json(mark._content())) else None

    def submitted(self, job: str) -> None:
        """Note the job that was submitted."""
        mark = type(self)(self.folder, self.number, self.planner, job)
        aside = self.folder / f".{self.number:04d}.{os.getpid()}"
        aside.write_bytes(pretty_json(mark._content()))
        replace(aside, self.path)

    def renew(self) -> None:
        """Say that its planner is still at it."""
        os.utime(self.path)

    def withdraw(self) -> None:
        """Take the mark back: nothing was submitted."""
        self.path.unlink(missing_ok=True)

    def stands(self, job_known: JobKnown, now: float) -> bool:
        """Whether its job waits or runs, or its planner is still submitting it."""
        if self.job is not None:
            return job_known(self.job)
        if self.planner.here:
            return not self.planner.process_gone()
        try:
            return now - self.path.stat().st_mtime < stale_seconds()
        except FileNotFoundError:  # withdrawn at this moment
            return False

    def __str__(self) -> str:
        return f"job {self.job}" if self.job else f"the job that {self.planner} is submitting"

    def _content(self) -> dict[str, Any]:
        return {"job": self.job, "planner": asdict(self.planner)}
