"""A run's folder: what state it is in, its record, and beginning an attempt."""

import dataclasses
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fun.results.attempt import ATTEMPTS, METRICS_LOG, QUEUE, RECORD, REDO, Attempt
from fun.results.claim import (
    NEVER_BEGUN,
    AttemptFiles,
    Claim,
    State,
    Status,
    heartbeat_seconds,
    scheduler_job,
    stale_seconds,
)
from fun.results.errors import AlreadyDone, Busy, Damaged, FailedBefore, InvalidRecord, NotDone, Superseded, Unreadable
from fun.results.files import (
    clock_of,
    create_exclusive,
    file_checksum,
    latest_number,
    make_folder,
    names_in,
    read_object,
)
from fun.results.log import read_log
from fun.results.record import WEIGHTS, Record
from fun.results.reservation import JobKnown, Phase, Reservation


@dataclass(frozen=True)
class RunFolder:
    """The folder `path` of the run `run_id`, which may not exist yet. Reading it never writes."""

    path: Path
    run_id: str

    def __str__(self) -> str:
        return f"run {self.path.name}"

    def present(self) -> "RunFolder":
        """Where the run is to be looked for and continued: here, unless only folders of other labels bear its id."""
        names = [name for name in names_in(self.path.parent) if name.endswith(f"-{self.run_id}")]
        return RunFolder(in_order(map(self.path.with_name, names), self.path)[0], self.run_id)

    def status(self, *, now: float | None = None, job_known: JobKnown | None = None) -> Status:
        """The run's state at `now` (seconds since the epoch).

        `job_known` says whether the scheduler still knows a job, waiting or running; without it no job is
        believed.
        """
        # The attempt before the record: one that finishes in between is then seen as done.
        try:
            latest = self.latest.status(time.time() if now is None else now)
        except Unreadable as damage:
            return Status(State.DAMAGED, str(damage), 0)
        try:
            record = self.record()
        except NotDone:
            return self._waiting(latest, job_known)
        except Damaged as damage:
            running = latest.state is State.RUNNING
            return latest if running else Status(State.DAMAGED, str(damage), latest.attempt)
        later = self._later(latest, record, job_known)
        return Status(State.DONE, f"done by attempt {record.attempt}", latest.attempt, later=later)

    def record(self, *, verify_files: bool = False, without_weights: bool = False) -> Record:
        """The valid record, with `verify_files` after comparing every file it lists with its checksum.

        `without_weights`: weights that are not there are no damage (an archive leaves them out).

        Raises NotDone without a record, and Damaged for one that is not what was written here.
        """
        path = self.path / RECORD
        try:
            record = Record.from_json(read_object(path))
        except FileNotFoundError as error:
            raise NotDone(f"{self} is not done: it has no {RECORD}") from error
        except Unreadable:
            raise
        except Damaged as error:
            raise self._damaged(str(error)) from error
        except InvalidRecord as error:
            raise self._damaged(f"{path}: {error}") from error
        if not record.run_id == self.run_id == self.path.name.rpartition("-")[2]:
            raise self._damaged(f"{path}: found run_id {record.run_id} in a folder for {self.run_id}")
        if verify_files:
            self._verify(record, without_weights)
        return record

    def _verify(self, record: Record, without_weights: bool) -> None:
        for name, expected in record.files.items():
            path = self.path / name
            if without_weights and path.suffix == WEIGHTS and not path.exists():
                continue
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

    def attempt_log(self) -> list[dict[str, Any]]:
        """The same of the latest attempt, which may work aside (`Attempt.folder`). Raises Damaged."""
        claim = self.claim()
        return read_log((self.path if claim is None or claim.mode == "run" else self.path / REDO) / METRICS_LOG)

    def reserve(self, job_known: JobKnown) -> Reservation | None:
        """Mark that this process submits a job for this run; None where somebody else does, or has, or runs it.

        Exclusive: of several at once one gets the reservation. It then notes the job there, or withdraws it.
        """
        folder = self.path / QUEUE
        number = latest_number(folder)  # before the state: who submits after it takes the next number
        return None if self.under_way(job_known) else Reservation.create(folder, number + 1)

    def under_way(self, job_known: JobKnown | None) -> bool:
        """Whether it runs or is to run; for a done run: so as to be completed. `job_known` as for `status`."""
        status = self.status(job_known=job_known)
        return (status.later or status).state in (State.QUEUED, State.RUNNING)

    def reservation(self) -> Reservation | None:
        """Who is, or was, to run it. Raises Damaged."""
        return Reservation.latest(self.path / QUEUE)

    def note(self, phase: Phase) -> None:
        """Note in its reservation how far the job that this process is in came with the run; nothing without one.

        It is a help and no more: where it cannot be written, on a full disk, the job goes on without.
        """
        with suppress(Damaged, OSError):
            reservation = self.reservation()
            if reservation is not None and reservation.job is not None and reservation.job == scheduler_job():
                reservation.came_to(phase)

    def idle_jobs(self) -> list[str]:
        """The jobs since the latest attempt began that ended before they could make one, latest first.

        Those that never came to it are left out: they were at other runs. One that was cancelled before it started
        is not told from one that could not start: its log says which, since only the latter has one.
        """
        jobs = []
        with suppress(Damaged):
            claim = self.claim()
            for number in range(latest_number(self.path / QUEUE), 0, -1):
                reservation = Reservation.read(self.path / QUEUE, number)
                if claim and reservation.planner.started <= claim.started:
                    break
                jobs += [reservation.job] if reservation.job and reservation.phase is not Phase.STARTED else []
        return jobs

    @property
    def latest(self) -> AttemptFiles:
        """The latest attempt, number 0 where there is none; its number says how many were begun. Raises Unreadable."""
        return AttemptFiles.latest(self.path / ATTEMPTS)

    def claim(self) -> Claim | None:
        """Who made the latest attempt. Raises Damaged."""
        return Claim.read(self.latest.claim) if self.latest.number else None

    def machine_failures(self) -> int:
        """How many attempts in a row, up to the latest, failed because of their machine.

        So did those that were killed before they could say where they go on from: out of memory, say, while the
        model was loaded. Those that were killed later are bounded by `Attempt.resume`.
        """
        latest = self.latest
        number, failures = latest.number, 0
        if latest.status(time.time()).state is State.RUNNING:
            number -= 1
        while number and latest.other(number).failed_by_machine():
            number, failures = number - 1, failures + 1
        return failures

    def begin(self, *, retry: bool = False, force: bool = False, extend: bool = False) -> Attempt:
        """Begin the next attempt, exclusively, or take over one that is stale or failed by its machine.

        `retry` also begins after a failure of the method. `force` runs anew whatever is there, and `extend`
        completes a done run: both work aside, and the old record with its files stays until the new one is
        final. Such an attempt, once interrupted, is continued by the next.

        Raises Busy, AlreadyDone, FailedBefore, Damaged, or NotDone (`extend` without a record).
        """
        latest = self.latest.status(time.time())
        if latest.state is State.STALE:  # by this machine's clock, which may be ahead
            latest = self.latest.status(clock_of(self.path / ATTEMPTS))
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

    def _waiting(self, latest: Status, job_known: JobKnown | None) -> Status:
        """The state of a run without a record: its latest attempt's, unless a job waits to begin the next."""
        if latest.state is State.RUNNING and job_known is not None:
            return self._running(latest, job_known)
        if latest.state in (State.RUNNING, State.DAMAGED):
            return latest
        try:
            reservation = self.reservation()
        except Damaged as damage:
            return _with_note(latest, str(damage))
        if reservation is None or reservation.phase is Phase.OVER:
            return latest
        if latest.failure == "method" and reservation.job is not None and self._job_of(latest) == reservation.job:
            return latest  # what fails by its method no job tries again unasked
        if job_known is None:
            return _with_note(latest, f"{reservation} was submitted, but the scheduler was not asked about it")
        if reservation.stands(job_known, time.time()):
            return Status(State.QUEUED, f"{reservation} is to run it; {latest.detail}", latest.attempt)
        return _with_note(latest, f"the scheduler no longer knows {reservation}")

    def _later(self, latest: Status, record: Record, job_known: JobKnown | None) -> Status | None:
        """Where the work on a done run stands; the job that made its record may still have other runs to do."""
        if latest.attempt <= record.attempt:
            with suppress(Damaged):
                reservation = self.reservation()
                if reservation is None or (reservation.job is not None and reservation.job == self._job_of(latest)):
                    return None
            latest = NEVER_BEGUN
        status = self._waiting(latest, job_known)
        return None if status.state is State.MISSING else status

    def _running(self, latest: Status, job_known: JobKnown) -> Status:
        """Stale where the scheduler has ended the job of a silent attempt, before its silence alone says so."""
        job = self._job_of(latest)
        silence = time.time() - AttemptFiles(self.path / ATTEMPTS, latest.attempt).last_sign()
        if job is None or silence < 2 * heartbeat_seconds() or job_known(job):
            return latest
        return Status(State.STALE, f"{latest.detail}; the scheduler no longer knows job {job}", latest.attempt)

    def _job_of(self, latest: Status) -> str | None:
        if latest.attempt == 0:
            return None
        return Claim.read(AttemptFiles(self.path / ATTEMPTS, latest.attempt).claim).job


def _with_note(status: Status, note: str) -> Status:
    return dataclasses.replace(status, detail=f"{status.detail}; {note}")


def in_order(found: Iterable[Path], expected: Path) -> list[Path]:
    """The folders of one run, with a record first, and of those `expected`; that alone where there is none."""
    paths = sorted(found) or [expected]
    return sorted(paths, key=lambda path: (len(paths) > 1 and not (path / RECORD).exists(), path != expected))


def done_run(root: Path, run_id: str, task: str) -> RunFolder:
    """The folder of the done run `run_id`, whose files are those that its record lists.

    Raises NotDone if it is not done; Damaged if its files changed since, or if several folders hold other outcomes of
    it, as copying by hand leaves them.
    """
    records: dict[RunFolder, Record] = {}
    for run in (RunFolder(path, run_id) for path in folders_of(root, run_id, task)):
        with suppress(NotDone):
            records[run] = run.record(verify_files=True)
    if not records:
        raise NotDone(f"no task={task} run {run_id} is done under {root}")
    first, *others = records.values()
    if any(first.differences(other) for other in others):
        names = ", ".join(run.path.name for run in records)
        raise Damaged(f"several folders hold the run {run_id}, and not the same: {names}. Remove all but one")
    return next(iter(records))


def folders_of(root: Path, run_id: str, task: str | None = None) -> list[Path]:
    """The folders below a results root that bear `run_id`, whatever their label: labels are for people.

    Raises Unreadable where none of those that can be looked into does, and not all can.
    """
    paths, closed = run_folders(root)
    folders = [path for path in paths if path.name.endswith(f"-{run_id}") and task in (None, path.parts[-3])]
    if closed and not folders:
        raise closed[0]
    return folders


def run_folders(root: Path) -> tuple[list[Path], list[Unreadable]]:
    """The folders of runs below a results root, in order of path; and what there cannot be looked into."""
    folders, closed = [root / "runs"], []
    for _ in ("task", "model", "run"):
        below = []
        for folder in folders:
            try:
                below += [folder / name for name in sorted(names_in(folder))]
            except Unreadable as reason:
                closed.append(reason)
        folders = below
    return [path for path in folders if "-" in path.name], closed


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
