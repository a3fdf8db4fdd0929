"""Who is at a run: the process that holds its current attempt, and the job that is to make the next one."""

import dataclasses
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

from fun.results.errors import Damaged
from fun.results.files import create_exclusive, pretty_json, read_object, replace, sync

Failure = Literal["method", "machine"]
Mode = Literal["run", "force", "extend"]

JobKnown = Callable[[str], bool]
"""Whether the scheduler still knows a job, waiting or running."""


class State(StrEnum):
    """Where a run stands (see `RunFolder.status`)."""

    MISSING = "missing"
    QUEUED = "queued"
    RUNNING = "running"
    STALE = "stale"
    FAILED = "failed"
    DAMAGED = "damaged"
    DONE = "done"


@dataclass(frozen=True)
class Status:
    """A run's state and a sentence about it; `attempt` is the latest attempt, 0 if there is none."""

    state: State
    detail: str
    attempt: int
    failure: Failure | None = None
    later: "Status | None" = None  # of a done run: where the work stands that completes or replaces its record


NEVER_BEGUN = Status(State.MISSING, "never begun", 0)


def heartbeat_seconds() -> float:
    """How often a running attempt says that it lives."""
    return float(os.environ.get("FUN_HEARTBEAT_SECONDS", 15))


def stale_seconds() -> float:
    """How long an attempt may be silent before another may take over."""
    return float(os.environ.get("FUN_STALE_SECONDS", 120))


class AttemptFiles:
    """The files of attempt `number` in a run's `attempts` folder; number 0, without files, where nobody has begun."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.number = number
        names = (".json", ".heartbeat", ".end.json", ".staging")
        self.claim, self.heartbeat, self.end, self.staging = (folder / f"{number:04d}{name}" for name in names)

    def next(self) -> "AttemptFiles":
        return AttemptFiles(self.folder, self.number + 1)

    def earlier(self) -> "Iterator[AttemptFiles]":
        """The attempts before this one, latest first."""
        return (AttemptFiles(self.folder, number) for number in range(self.number - 1, 0, -1))

    def status(self, now: float, job_known: JobKnown | None = None) -> Status:
        """Where the attempt stands at `now` (seconds since the epoch), were there no record.

        `job_known` may say of a silent attempt that its job has ended, before its silence alone says so.
        """
        if self.number == 0:
            return NEVER_BEGUN
        try:
            claim, end = Claim.read(self.claim), self.ended()
        except Damaged as damage:
            return Status(State.DAMAGED, str(damage), self.number)
        attempt = f"attempt {self.number}"
        match end:
            case {"outcome": "failed", "kind": "method" | "machine" as kind, "reason": str(reason)}:
                return Status(State.FAILED, f"{attempt} failed ({kind}): {reason}", self.number, kind)
            case {"outcome": "interrupted", "reason": str(reason)}:
                return Status(State.STALE, f"{attempt} was interrupted: {reason}", self.number)
            case {"outcome": "done"}:
                return Status(State.DAMAGED, f"{attempt} finished, but record.json is gone", self.number)
            case _ if end:
                return Status(State.DAMAGED, f"the end of {attempt} is {end}, which nothing writes", self.number)
        attempt += f" ({claim})"
        silence = max(0.0, now - self.last_sign())  # the file server's clock may be ahead
        if silence > stale_seconds():
            halted = f"has been silent for {silence:.0f} s"
        elif claim.process_gone() or claim.restarted():
            halted = "was killed"
        elif job_known and claim.job and silence >= 2 * heartbeat_seconds() and not job_known(claim.job):
            halted = f"has been silent for {silence:.0f} s, and its job has ended"
        else:
            return Status(State.RUNNING, f"{attempt}, last heartbeat {silence:.0f} s ago", self.number)
        return Status(State.STALE, f"{attempt} {halted}", self.number)

    def ended(self) -> dict[str, Any]:
        """How the attempt marked its end; empty where it did not. Raises Damaged."""
        with suppress(FileNotFoundError):
            return read_object(self.end)
        return {}

    def last_sign(self) -> float:
        """When the attempt last showed that it lives, in seconds since the epoch; 0 where it never did."""
        signs = [0.0]
        for path in (self.claim, self.heartbeat):
            # Opened, since NFS then asks the server for its times; not there between claim and first heartbeat.
            with suppress(FileNotFoundError), path.open("rb") as handle:
                signs.append(os.fstat(handle.fileno()).st_mtime)
        return max(signs)

    def pace(self) -> "Pace | None":
        """How far it is; None where it has not said so yet, or is saying it at this moment."""
        with suppress(FileNotFoundError, ValueError, TypeError):
            return Pace(**json.loads(self.heartbeat.read_bytes()))
        return None

    def failed_by_machine(self) -> bool:
        """Whether it ended because of its machine, or before it could say where it goes on from."""
        end = self.ended()
        return end.get("kind") == "machine" if end else self.pace() is None


@dataclass(frozen=True)
class Pace:
    """How far an attempt is, told with its heartbeats: at `update` of `updates`, `seconds` after `resumed`."""

    resumed: int
    update: int
    updates: int
    seconds: float

    def write(self, heartbeat: Path) -> None:
        """Always 128 bytes over those there, so that a full disk keeps no attempt from saying that it lives."""
        with heartbeat.open("r+b") as file:
            file.write(json.dumps(dataclasses.asdict(self)).encode().ljust(128))


@dataclass(frozen=True)
class Claim:
    """The process that began an attempt, and what for: to run, to run anew, or to extend a done run."""

    host: str
    boot: str
    pid_namespace: str
    pid: int
    pid_start: int
    job: str | None
    started: str
    mode: Mode
    restart: int = 0  # how often the scheduler had started the job again by then

    @classmethod
    def of_this_process(cls, mode: Mode) -> Self:
        pid, started = os.getpid(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return cls(*_this_machine(), pid, process_start(pid), scheduler_job(), started, mode, _restart())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises FileNotFoundError, and Damaged."""
        fields = read_object(path)
        try:
            return cls(**fields)
        except TypeError as error:
            raise Damaged(f"{path} is not the claim of an attempt: {error}") from error

    def __str__(self) -> str:
        job = f", job {self.job}" if self.job else ""
        return f"host {self.host}, pid {self.pid}{job}"

    @property
    def here(self) -> bool:
        """Whether the process is, or was, one of this machine, which alone can tell that it has ended."""
        return self.boot != "" and _this_machine() == (self.host, self.boot, self.pid_namespace)

    def process_gone(self) -> bool:
        """Whether the process has certainly ended."""
        return self.here and process_start(self.pid) != self.pid_start

    def restarted(self) -> bool:
        """Whether this process runs in the same job, started again: then its scheduler has ended the one before.

        On another node, and so without a sign that the process there has ended. Should it live on all the same,
        it is superseded like any other.
        """
        return self.job is not None and self.job == scheduler_job() and self.restart < _restart()


class Phase(StrEnum):
    """How far a job came with a run."""

    SUBMITTED = "submitted"  # or is being submitted
    STARTED = "started"  # the job is up; it may have other runs to do first
    BEGUN = "begun"  # it started the run's process
    OVER = "over"  # it is through with the run, or was never submitted


@dataclass(frozen=True)
class Reservation:
    """A mark in a run's `queue` folder: the job that is to run it, None while `planner` is submitting it.

    Numbered like attempts, and of several the latest counts. It is created exclusively, before the job is submitted,
    so that of two planners one submits the run; it is never removed, so that its number is not given again.
    """

    path: Path
    planner: Claim
    job: str | None = None
    phase: Phase = Phase.SUBMITTED

    @property
    def own(self) -> bool:
        """Whether its job is the one that this process is in."""
        return self.job is not None and self.job == scheduler_job()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises Damaged."""
        try:
            fields = read_object(path)
            return cls(path, Claim(**fields["planner"]), fields["job"], Phase(fields["phase"]))
        except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
            raise Damaged(f"{path} is not a job's reservation: remove it") from error

    @classmethod
    def create(cls, path: Path) -> Self | None:
        """Create it for this process; None where another process has."""
        reservation = cls(path, Claim.of_this_process("run"))
        return reservation if create_exclusive(path, reservation._content()) else None

    def note(self, **changes: Any) -> None:
        """Note the `job` that was submitted, or the `phase` that it came to: OVER where none was."""
        aside = self.path.with_name(f".{self.path.name}.{socket.gethostname()}.{os.getpid()}")
        aside.write_bytes(pretty_json(dataclasses.replace(self, **changes)._content()))
        sync(aside)
        replace(aside, self.path)

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

    def _content(self) -> dict[str, Any]:
        return {"job": self.job, "planner": dataclasses.asdict(self.planner), "phase": self.phase}

    def __str__(self) -> str:
        return f"job {self.job}" if self.job else f"the job that {self.planner} is submitting"


def process_start(pid: int) -> int:
    """Its start in clock ticks since boot, for pids are used again; 0 where it has ended, or there is no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


def _this_machine() -> tuple[str, str, str]:
    """Host, boot and pid namespace: where pids can be compared. No boot without /proc: heartbeats must do."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot = namespace = ""
    return socket.gethostname(), boot, namespace


def local_job(pid: int) -> str:
    """The name of a job that submitit started on this machine without a scheduler, as process `pid`."""
    return f"local:{socket.gethostname()}:{pid}:{process_start(pid)}"


def scheduler_job() -> str | None:
    """The job's name as Slurm's own tools print it, or as `local_job` does."""
    if pid := os.environ.get("SUBMITIT_LOCAL_JOB_ID"):
        return local_job(int(pid))
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def _restart() -> int:
    """How often Slurm has started this job again."""
    return int(os.environ.get("SLURM_RESTART_COUNT", 0))
