"""Who holds a run's current attempt, and whether that process is still at it."""

import dataclasses
import json
import os
import socket
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from fun.results.errors import Damaged
from fun.results.files import latest_number, pretty_json, read_object

Failure = Literal["method", "machine"]
Mode = Literal["run", "force", "extend"]


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
    """A run's state and a sentence about it; `attempt` is the latest attempt, 0 if there is none.

    `later`: of a done run, where the work stands that completes or replaces its record; None where there is none.
    """

    state: State
    detail: str
    attempt: int
    failure: Failure | None = None
    later: "Status | None" = None


NEVER_BEGUN = Status(State.MISSING, "never begun", 0)
"""Nothing is there to tell more of."""


def heartbeat_seconds() -> float:
    """How often a running attempt says that it lives."""
    return float(os.environ.get("FUN_HEARTBEAT_SECONDS", 15))


def stale_seconds() -> float:
    """How long an attempt may be silent before another may take over."""
    return float(os.environ.get("FUN_STALE_SECONDS", 120))


@dataclass(frozen=True)
class AttemptFiles:
    """The files of attempt `number` in a run's `attempts` folder."""

    folder: Path
    number: int

    def _named(self, suffix: str) -> Path:
        return self.folder / f"{self.number:04d}{suffix}"

    @property
    def claim(self) -> Path:
        return self._named(".json")

    @property
    def heartbeat(self) -> Path:
        return self._named(".heartbeat")

    @property
    def end(self) -> Path:
        return self._named(".end.json")

    @property
    def staging(self) -> Path:
        return self._named(".staging")

    def other(self, number: int) -> "AttemptFiles":
        return AttemptFiles(self.folder, number)

    @classmethod
    def latest(cls, folder: Path) -> Self:
        """The attempt with the highest number; number 0, without files, where nobody has begun."""
        return cls(folder, latest_number(folder))

    def status(self, now: float) -> Status:
        """Where the attempt stands, were there no record: running, stale, failed, damaged, or never begun."""
        if self.number == 0:
            return NEVER_BEGUN
        try:
            claim, end = Claim.read(self.claim), self.ended()
        except Damaged as damage:
            return Status(State.DAMAGED, str(damage), self.number)
        if end:
            return _ended(self.number, end)
        attempt = f"attempt {self.number} ({claim})"
        silence = max(0.0, now - self.last_sign())  # the file server's clock may be ahead
        if silence > stale_seconds():
            return Status(State.STALE, f"{attempt} has been silent for {silence:.0f} s", self.number)
        if claim.process_gone() or claim.restarted():
            return Status(State.STALE, f"{attempt} was killed", self.number)
        return Status(State.RUNNING, f"{attempt}, last heartbeat {silence:.0f} s ago", self.number)

    def ended(self) -> dict[str, Any]:
        """How the attempt marked its end; empty where it did not. Raises Damaged."""
        try:
            return read_object(self.end)
        except FileNotFoundError:
            return {}

    def last_sign(self) -> float:
        """When the attempt last showed that it lives, in seconds since the epoch; 0 where there is none.

        Opens the files: NFS asks the server for a file's times when it is opened.
        """
        signs = []
        for path in (self.claim, self.heartbeat):
            try:
                with path.open("rb") as handle:
                    signs.append(os.fstat(handle.fileno()).st_mtime)
            except FileNotFoundError:  # killed, or not yet there, between the claim and the first heartbeat
                continue
        return max(signs, default=0.0)

    def pace(self) -> "Pace | None":
        """How far it is; None where it has not said so yet, or is saying it at this moment."""
        try:
            return Pace(**json.loads(self.heartbeat.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def failed_by_machine(self) -> bool:
        """Whether it ended because of its machine, or before it could say where it goes on from."""
        end = self.ended()
        return end.get("kind") == "machine" if end else self.pace() is None


@dataclass(frozen=True)
class Claim:
    """The process that began an attempt, and what for: to run, to run anew, or to extend a done run.

    `restart` counts how often the scheduler had started the job again by then.
    """

    host: str
    boot: str
    pid_namespace: str
    pid: int
    pid_start: int
    job: str | None
    started: str
    mode: Mode
    restart: int = 0

    @classmethod
    def of_this_process(cls, mode: Mode) -> Self:
        pid = os.getpid()
        return cls(
            *_this_machine(),
            pid=pid,
            pid_start=process_start(pid),
            job=scheduler_job(),
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            mode=mode,
            restart=_restart(),
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises Damaged."""
        fields = read_object(path)
        try:
            return cls(**fields)
        except TypeError as error:
            raise Damaged(f"{path} is not the claim of an attempt: {error}") from error

    def to_bytes(self) -> bytes:
        return pretty_json(dataclasses.asdict(self))

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


@dataclass(frozen=True)
class Pace:
    """How far an attempt is, told with its heartbeats: at `update` of `updates`, `seconds` after `resumed`."""

    resumed: int
    update: int
    updates: int
    seconds: float

    SIZE: ClassVar[int] = 128

    def to_bytes(self) -> bytes:
        """Always SIZE bytes, so that a full disk does not keep an attempt from saying that it lives."""
        return json.dumps(dataclasses.asdict(self)).encode().ljust(self.SIZE)


def _ended(number: int, end: dict[str, Any]) -> Status:
    match end:
        case {"outcome": "failed", "kind": "method" | "machine" as kind, "reason": str(reason)}:
            return Status(State.FAILED, f"attempt {number} failed ({kind}): {reason}", number, kind)
        case {"outcome": "interrupted", "reason": str(reason)}:
            return Status(State.STALE, f"attempt {number} was interrupted: {reason}", number)
        case {"outcome": "done"}:
            return Status(State.DAMAGED, f"attempt {number} finished, but record.json is gone", number)
    return Status(State.DAMAGED, f"the end of attempt {number} is {end}, which nothing writes", number)


def process_start(pid: int) -> int:
    """The process's start in clock ticks since boot; 0 for a process that has ended, or without /proc.

    With the pid it names a process for good: pids are used again.
    """
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
