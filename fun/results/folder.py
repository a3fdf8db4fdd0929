"""A run's folder: what state it is in, its record, and beginning an attempt."""

import dataclasses
import itertools
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fun.results.attempt import ATTEMPTS, METRICS_LOG, QUEUE, RECORD, REDO, Attempt, read_log
from fun.results.claim import AttemptFiles, Claim, JobKnown, Mode, Phase, Reservation, State, Status, stale_seconds
from fun.results.errors import AlreadyDone, Busy, Damaged, FailedBefore, InvalidRecord, NotDone, Superseded, Unreadable
from fun.results.files import clock_of, create_exclusive, file_checksum, latest_number, names_in, read_object
from fun.results.record import WEIGHTS, Record


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
        """The run's state at `now` (seconds since the epoch). Without `job_known` no job is believed."""
        # The attempt before the record: one that finishes in between is then seen as done.
        try:
            latest = self.latest.status(time.time() if now is None else now, job_known)
        except Unreadable as damage:
            return Status(State.DAMAGED, str(damage), 0)
        try:
            record = self.record()
        except NotDone:
            return self._waiting(latest, job_known)
        except Damaged as damage:
            return latest if latest.state is State.RUNNING else Status(State.DAMAGED, str(damage), latest.attempt)
        if latest.attempt <= record.attempt:  # then nobody has begun to work on the record that there is
            latest = Status(State.MISSING, "never begun", latest.attempt)
        later = self._waiting(latest, job_known)
        detail = f"done by attempt {record.attempt}"
        return Status(State.DONE, detail, latest.attempt, later=None if later.state is State.MISSING else later)

    def _waiting(self, latest: Status, job_known: JobKnown | None) -> Status:
        """The state of a run's latest attempt, unless a job waits to begin the next."""
        if latest.state in (State.RUNNING, State.DAMAGED):
            return latest
        try:
            reservation = self.reservation()
        except Damaged as damage:
            return _with_note(latest, str(damage))
        if reservation is None or reservation.phase is Phase.OVER:
            return latest
        if (latest.state is State.MISSING or latest.failure == "method") and self._made_by(reservation, latest):
            return latest  # its job may have other runs to do, and tries again nothing that failed by its method
        if job_known is None:
            return _with_note(latest, f"{reservation} was submitted, but the scheduler was not asked about it")
        if reservation.stands(job_known, time.time()):
            return Status(State.QUEUED, f"{reservation} is to run it; {latest.detail}", latest.attempt)
        return _with_note(latest, f"the scheduler no longer knows {reservation}")

    def _made_by(self, reservation: Reservation, latest: Status) -> bool:
        """Whether the job of a reservation made the latest attempt."""
        if reservation.job is not None and latest.attempt:
            with suppress(Damaged):
                return Claim.read(AttemptFiles(self.path / ATTEMPTS, latest.attempt).claim).job == reservation.job
        return False

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
            raise _damaged(str(error)) from error
        except InvalidRecord as error:
            raise _damaged(f"{path}: {error}") from error
        if not record.run_id == self.run_id == self.path.name.rpartition("-")[2]:
            raise _damaged(f"{path}: found run_id {record.run_id} in a folder for {self.run_id}")
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
                raise _damaged(f"{path} is in the record and cannot be read: {error.strerror}") from error
            if found != expected:
                raise _damaged(f"{path} has {found}, expected {expected}")

    def metrics_log(self) -> list[dict[str, Any]]:
        """The lines of the step log, without a last one that was cut short. Raises Damaged."""
        return read_log(self.path / METRICS_LOG)

    def attempt_log(self) -> list[dict[str, Any]]:
        """The same of the latest attempt, which may work aside (`Attempt.folder`). Raises Damaged."""
        claim = self.claim()
        return read_log((self.path if claim is None or claim.mode == "run" else self.path / REDO) / METRICS_LOG)

    def reserve(self, job_known: JobKnown) -> Reservation | None:
        """Mark that this process, and no other, submits a job for it; None where another does, or has, or runs it."""
        number = latest_number(self.path / QUEUE)  # before the state: who submits after it takes the next number
        return None if self.under_way(job_known) else Reservation.create(self._mark(number + 1))

    def under_way(self, job_known: JobKnown | None) -> bool:
        """Whether it runs or is to run; for a done run: so as to be completed. `job_known` as for `status`."""
        status = self.status(job_known=job_known)
        return (status.later or status).state in (State.QUEUED, State.RUNNING)

    def reservation(self) -> Reservation | None:
        """Who is, or was, to run it. Raises Damaged."""
        number = latest_number(self.path / QUEUE)
        return Reservation.read(self._mark(number)) if number else None

    def note(self, phase: Phase) -> None:
        """Note in its reservation how far the job that this process is in came with the run; nothing without one."""
        with suppress(Damaged, OSError):  # it is a help and no more: on a full disk the job goes on without
            if (reservation := self.reservation()) and reservation.own:
                reservation.note(phase=phase)

    def idle_jobs(self) -> list[str]:
        """The jobs since the latest attempt began that ended before they could make one, latest first.

        Those that never came to it are left out: they were at other runs. One that was cancelled before it started
        is not told from one that could not start: its log says which, since only the latter has one.
        """
        jobs = []
        with suppress(Damaged):
            claim = self.claim()
            for number in range(latest_number(self.path / QUEUE), 0, -1):
                reservation = Reservation.read(self._mark(number))
                if claim and reservation.planner.started <= claim.started:
                    break
                jobs += [reservation.job] if reservation.job and reservation.phase is not Phase.STARTED else []
        return jobs

    def _mark(self, number: int) -> Path:
        return self.path / QUEUE / f"{number:04d}.json"

    @property
    def latest(self) -> AttemptFiles:
        """The latest attempt; its number says how many were begun. Raises Unreadable."""
        return AttemptFiles(self.path / ATTEMPTS, latest_number(self.path / ATTEMPTS))

    def claim(self) -> Claim | None:
        """Who made the latest attempt. Raises Damaged."""
        latest = self.latest
        return Claim.read(latest.claim) if latest.number else None

    def machine_failures(self) -> int:
        """How many attempts in a row, up to the latest, failed because of their machine.

        So did those that were killed before they could say where they go on from: out of memory, say, while the
        model was loaded. Those that were killed later are bounded by `Attempt.resume`.
        """
        latest = self.latest
        running = latest.status(time.time()).state is State.RUNNING
        over = (latest if running else latest.next()).earlier()
        return len(list(itertools.takewhile(AttemptFiles.failed_by_machine, over)))

    def begin(self, *, retry: bool = False, force: bool = False, extend: bool = False) -> Attempt:
        """Begin the next attempt, exclusively, or take over one that is stale or failed by its machine.

        `retry` also begins after a failure of the method. `force` runs anew whatever is there, and `extend`
        completes a done run: both work aside, and the old record with its files stays until the new one is
        final. Such an attempt, once interrupted, is continued by the next.
        Raises Busy, AlreadyDone, FailedBefore, Damaged, or NotDone (`extend` without a record).
        """
        mode: Mode = "force" if force else "extend" if extend else "run"
        latest = self.latest.status(time.time())
        if latest.state is State.STALE:  # by this machine's clock, which may be ahead
            latest = self.latest.status(clock_of(self.path / ATTEMPTS))
        self.to_replace(mode)
        if latest.state is State.RUNNING:
            raise Busy(
                f"{self} is being run: {latest.detail}. Wait for it, or end that process: "
                f"{stale_seconds():g} s after its last heartbeat another may take over"
            )
        if mode == "run" and latest.state is State.DAMAGED:
            raise _damaged(f"{self}: {latest.detail}")
        if mode == "run" and latest.failure == "method" and not retry:
            raise FailedBefore(f"{self}: {latest.detail}. To try it all the same: retry=true")
        files, claim = AttemptFiles(self.path / ATTEMPTS, latest.attempt + 1), Claim.of_this_process(mode)
        if not create_exclusive(files.claim, dataclasses.asdict(claim)):
            raise Busy(f"another process began {self} at the same moment ({Claim.read(files.claim)})")
        attempt = Attempt(self, files, claim)
        try:
            attempt.start(unfinished=latest.state is State.STALE or latest.failure == "machine")
        except BaseException as error:
            with suppress(Superseded, OSError):
                attempt.interrupt(f"it could not begin: {error}")
            raise
        return attempt

    def to_replace(self, mode: Mode) -> Record | None:
        """The valid record that an attempt of this mode would replace, if there is one.

        Raises AlreadyDone for one that is not to be replaced, NotDone where there is none to extend, and Damaged.
        """
        try:
            record = self.record()
        except NotDone as error:
            if mode == "extend":
                raise NotDone(f"{self} is not done: there is nothing to extend. Run it first") from error
            return None
        except Damaged:
            if mode != "force":
                raise
            return None
        if mode == "run":
            raise AlreadyDone(f"{self} is done (attempt {record.attempt}). To run it anew: force=true")
        return record


def _damaged(what: str) -> Damaged:
    return Damaged(f"{what}. To run it anew: force=true")


def _with_note(status: Status, note: str) -> Status:
    return dataclasses.replace(status, detail=f"{status.detail}; {note}")


def in_order(found: Iterable[Path], expected: Path) -> list[Path]:
    """The folders of one run, with a record first, and of those `expected`; that alone where there is none."""
    paths = sorted(found) or [expected]
    return sorted(paths, key=lambda path: (len(paths) > 1 and not (path / RECORD).exists(), path != expected))


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


def done_run(root: Path, run_id: str, task: str) -> RunFolder:
    """The folder of the done run `run_id`, whatever its label, whose files are those that its record lists.

    Raises NotDone if it is not done; Damaged if its files changed since, or if several folders hold other outcomes of
    it, as copying by hand leaves them; Unreadable if none is found, and not all could be looked into.
    """
    paths, closed = run_folders(root)
    runs = [RunFolder(path, run_id) for path in paths if path.name.endswith(f"-{run_id}") and path.parts[-3] == task]
    if closed and not runs:
        raise closed[0]
    records: dict[RunFolder, Record] = {}
    for run in runs:
        with suppress(NotDone):
            records[run] = run.record(verify_files=True)
    if not records:
        raise NotDone(f"no task={task} run {run_id} is done under {root}")
    first, *others = records.values()
    if any(first.differences(other) for other in others):
        names = ", ".join(run.path.name for run in records)
        raise Damaged(f"several folders hold the run {run_id}, and not the same: {names}. Remove all but one")
    return next(iter(records))
