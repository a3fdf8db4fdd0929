"""A run's folder: what state it is in, its record, and beginning an attempt."""

import dataclasses
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fun.results.attempt import ATTEMPTS, METRICS_LOG, QUEUED, RECORD, Attempt
from fun.results.claim import AttemptFiles, Claim, State, Status, attempt_status, stale_seconds
from fun.results.errors import AlreadyDone, Busy, Damaged, FailedBefore, InvalidRecord, NotDone, Superseded
from fun.results.files import create_exclusive, file_checksum, make_folder, pretty_json, read_object, replace
from fun.results.log import read_log
from fun.results.record import Record


@dataclass(frozen=True)
class RunFolder:
    """The folder `path` of the run `run_id`, which may not exist yet. Reading it never writes."""

    path: Path
    run_id: str

    def __str__(self) -> str:
        return f"run {self.path.name}"

    def status(self, *, now: float | None = None, job_known: Callable[[str], bool] | None = None) -> Status:
        """The run's state at `now` (seconds since the epoch).

        `job_known` says whether the scheduler still knows a job, waiting or running; without it no job is
        believed.
        """
        # The attempt before the record: one that finishes in between is then seen as done.
        latest = self._latest_attempt(time.time() if now is None else now)
        try:
            record = self.record()
        except NotDone:
            return self._waiting(latest, job_known)
        except Damaged as damage:
            running = latest.state is State.RUNNING
            return latest if running else Status(State.DAMAGED, str(damage), latest.attempt)
        rerun = f"; to replace it: {latest.detail}" if latest.attempt > record.attempt else ""
        return Status(State.DONE, f"done by attempt {record.attempt}{rerun}", latest.attempt)

    def record(self, *, verify_files: bool = False) -> Record:
        """The valid record, with `verify_files` after comparing every file it lists with its checksum.

        Raises NotDone without a record, and Damaged for one that is not what was written here.
        """
        path = self.path / RECORD
        try:
            record = Record.from_json(read_object(path))
        except FileNotFoundError as error:
            raise NotDone(f"{self} is not done: it has no {RECORD}") from error
        except Damaged as error:
            raise self._damaged(str(error)) from error
        except InvalidRecord as error:
            raise self._damaged(f"{path}: {error}") from error
        if not record.run_id == self.run_id == self.path.name.rpartition("-")[2]:
            raise self._damaged(f"{path}: found run_id {record.run_id} in a folder for {self.run_id}")
        if verify_files:
            self._verify(record)
        return record

    def _verify(self, record: Record) -> None:
        for name, expected in record.files.items():
            path = self.path / name
            try:
                found = file_checksum(path)
            except OSError as error:
                raise self._damaged(f"{path} is in the record and cannot be read: {error.strerror}") from error
            if found != expected:
                raise self._damaged(f"{path} has {found}, expected {expected}")

    def _damaged(self, what: str) -> Damaged:
        return Damaged(f"{what}. To run it anew: force=true")

    def metrics_log(self) -> list[dict[str, Any]]:
        """The lines of the step log, without a last one that was cut short. Raises Damaged."""
        return read_log(self.path / METRICS_LOG)

    def queue(self, job: str) -> None:
        """Note that the scheduler's `job` will run this run; for whoever submitted it."""
        make_folder(self.path)
        aside = self.path / f".{QUEUED}.{uuid.uuid4().hex}"
        aside.write_bytes(pretty_json({"job": job}))
        replace(aside, self.path / QUEUED)

    def begin(self, *, retry: bool = False, force: bool = False, extend: bool = False) -> Attempt:
        """Begin the next attempt, exclusively, or take over one that is stale or failed by its machine.

        `retry` also begins after a failure of the method. `force` runs anew whatever is there, and `extend`
        completes a done run: both work aside, and the old record with its files stays until the new one is
        final. Such an attempt, once interrupted, is continued by the next.

        Raises Busy, AlreadyDone, FailedBefore, Damaged, or NotDone (`extend` without a record).
        """
        latest = self._latest_attempt(time.time())
        self._refuse(latest, retry=retry, force=force, extend=extend)
        files = AttemptFiles(self.path / ATTEMPTS, latest.attempt + 1)
        claim = Claim.of_this_process("force" if force else "extend" if extend else "run")
        make_folder(files.folder)
        if not create_exclusive(files.claim, claim.to_bytes()):
            raise Busy(f"another process began {self} at the same moment ({Claim.read(files.claim)})")
        attempt = Attempt(self, files, claim)
        try:
            attempt.start(unfinished=latest.state is State.STALE or latest.failure == "machine")
        except BaseException as error:
            with suppress(Superseded, OSError):
                attempt.interrupt(f"it could not begin: {error}")
            raise
        return attempt

    def _refuse(self, latest: Status, *, retry: bool, force: bool, extend: bool) -> None:
        record = None
        if not force:
            with suppress(NotDone):
                record = self.record()
        if record is not None and not extend:
            raise AlreadyDone(f"{self} is done (attempt {record.attempt}). To run it anew: force=true")
        if latest.state is State.RUNNING:
            raise Busy(
                f"{self} is being run: {latest.detail}. Wait for it, or end that process: "
                f"{stale_seconds():g} s after its last heartbeat another may take over"
            )
        if force or record is not None:
            return
        if extend:
            raise NotDone(f"{self} is not done: there is nothing to extend. Run it first")
        if latest.state is State.DAMAGED:
            raise Damaged(f"{self}: {latest.detail}. To run it anew: force=true")
        if latest.failure == "method" and not retry:
            raise FailedBefore(f"{self}: {latest.detail}. To try it all the same: retry=true")

    def _latest_attempt(self, now: float) -> Status:
        files = AttemptFiles.latest(self.path / ATTEMPTS)
        if files.number == 0:
            return Status(State.MISSING, "never begun", 0)
        return attempt_status(files, now)

    def _waiting(self, latest: Status, job_known: Callable[[str], bool] | None) -> Status:
        """The state of a run without a record: its latest attempt's, unless a job waits to begin the next."""
        if latest.state in (State.RUNNING, State.DAMAGED):
            return latest
        try:
            job = str(read_object(self.path / QUEUED)["job"])
        except FileNotFoundError:
            return latest
        except (Damaged, KeyError):
            return _with_note(latest, f"{QUEUED} cannot be read")
        if latest.state is State.FAILED and self._job_of(latest) == job:
            return latest
        if job_known is None:
            return _with_note(latest, f"job {job} was submitted, but the scheduler was not asked about it")
        if job_known(job):
            return Status(State.QUEUED, f"job {job} waits to run it; {latest.detail}", latest.attempt)
        return _with_note(latest, f"the scheduler no longer knows job {job}")

    def _job_of(self, latest: Status) -> str | None:
        return Claim.read(AttemptFiles(self.path / ATTEMPTS, latest.attempt).claim).job


def _with_note(status: Status, note: str) -> Status:
    return dataclasses.replace(status, detail=f"{status.detail}; {note}")


def load_records(root: Path) -> Iterator[tuple[RunFolder, Record | Damaged]]:
    """Every record under the results root, in order of path; a damaged one comes as the reason.

    Folders of runs that are not done are left out.
    """
    for path in sorted((root / "runs").glob("*/*/*")):
        if not path.is_dir():
            continue
        run = RunFolder(path, path.name.rpartition("-")[2])
        try:
            yield run, run.record()
        except Damaged as damage:
            yield run, damage
        except NotDone:
            status = run.status()
            if status.state is State.DAMAGED:
                yield run, Damaged(f"{run}: {status.detail}")
