"""One attempt at a run: the only hand that writes into the run's folder, until another takes over.

Every file reaches its place by a rename out of the attempt's own staging folder. Taking over removes that folder, so
that a superseded attempt can write nothing more, wherever it was stopped: its next rename finds nothing.
"""

import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from fun.errors import ConfigError, RunError
from fun.results.claim import AttemptFiles, Claim, Failure, Pace, heartbeat_seconds
from fun.results.errors import Damaged, InvalidRecord, NoProgress, ResultsError, Superseded
from fun.results.files import file_checksum, make_folder, pretty_json, replace, sync
from fun.results.record import SCHEMA, Record

if TYPE_CHECKING:
    from fun.results.folder import RunFolder

RECORD = "record.json"
QUEUE = "queue"
METRICS_LOG = "metrics.jsonl"
CHECKPOINT = "checkpoint"
ATTEMPTS = "attempts"
REDO = "redo"


class Attempt:
    """Attempt `number` at `run`, made by `RunFolder.begin` and used as a context manager.

    Leaving the context without `finish` marks how the attempt ended: RunError, ConfigError and InvalidRecord as
    failed:method, any other exception as failed:machine, an interrupt or nothing as interrupted. `previous` is the
    valid record that it will replace, if any. It works in `folder`: aside, until `finish`, with `force` or `extend`.
    """

    def __init__(self, run: "RunFolder", files: AttemptFiles, claim: Claim) -> None:
        self.run = run
        self.number = files.number
        self.previous: Record | None = None
        self._aside = claim.mode != "run"
        self.folder = run.path / REDO if self._aside else run.path
        self._files = files
        self._claim = claim
        self._outputs: set[str] = set()
        self._log: MetricsLog | None = None
        self._pace: Callable[[], Pace] | None = None
        self._over = threading.Event()

    def start(self, *, unfinished: bool) -> None:
        """Shut earlier attempts out and show signs of life; `RunFolder.begin` calls this once.

        `unfinished`: the attempt before this one left work to continue. Raises AlreadyDone where it finished meanwhile.
        """
        # Staging comes before the check: whoever takes over after it will find the folder and remove it.
        self._files.staging.mkdir()
        self.check_current()
        for earlier in self._files.earlier():
            _remove(earlier.staging)
        self.previous = self.run.to_replace(self._claim.mode)
        finished = self.previous is not None and self.previous.attempt == self.number - 1
        if self._aside and (
            finished or not unfinished or Claim.read(next(self._files.earlier()).claim).mode != self._claim.mode
        ):  # the attempt before had another aim, or nothing left to do
            self._discard(self.run.path / REDO)
        self._files.heartbeat.touch()
        threading.Thread(target=self._beat, args=(heartbeat_seconds(),), daemon=True).start()

    def _beat(self, seconds: float) -> None:
        """Touch the heartbeat file, and tell there how far it is, until the attempt ends or is taken over."""
        while not self._over.wait(seconds):
            with suppress(OSError):  # a file server that is away for a moment; silence tells the others
                if self._files.next().claim.exists():
                    return
                if self._pace is not None:
                    self._pace().write(self._files.heartbeat)
                os.utime(self._files.heartbeat)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._over.is_set():
            return
        try:
            match error:
                case Superseded():
                    pass
                case RunError() | ConfigError() | InvalidRecord():
                    self.fail("method", str(error))
                case Exception():
                    self.fail("machine", f"{type(error).__name__}: {error}")
                case None:
                    self.interrupt("it ended without a record")
                case _:
                    self.interrupt(str(error) or type(error).__name__)
        except (Superseded, OSError) as trouble:
            if error is None:
                raise
            error.add_note(f"This end of the attempt could not be marked: {trouble}")
        finally:
            self._close()

    def check_current(self) -> None:
        """Raises Superseded when a later attempt has taken this one over."""
        if self._over.is_set():
            raise RuntimeError(f"attempt {self.number} at {self.run} is over and can write nothing more")
        later = self._files.next()
        if later.claim.exists():
            claim = Claim.read(later.claim)
            raise Superseded(f"attempt {later.number} took over {self.run} ({claim}): attempt {self.number} ends here")

    def publish(self, relative: str, write: Callable[[Path], object]) -> None:
        """Make the file or folder `relative` to `folder`, whole or not at all (a folder: file by file).

        `write` is given a path with the same last name. Files under `checkpoint/` are working state, all others belong
        to the record.
        """
        self.check_current()
        working = relative.startswith(f"{CHECKPOINT}/")
        if working and self._log is not None:
            self._log.sync()  # else a power cut could keep a checkpoint and lose log lines before it
        placed = self._place(self.folder / relative, write)
        if not working:
            self._outputs |= {path.relative_to(self.folder).as_posix() for path in placed}

    def write_bytes(self, relative: str, data: bytes) -> None:
        """Publish a file with these bytes."""
        self.publish(relative, lambda path: path.write_bytes(data))

    def discard_checkpoint(self) -> None:
        """Remove the working state, to start afresh."""
        self.check_current()
        self._discard(self.folder / CHECKPOINT)

    def metrics_log(self, keep: int = 0) -> "MetricsLog":
        """Open metrics.jsonl, cut back to the lines up to update `keep`, the checkpoint's (0: a new log)."""
        lines = [line for line in read_log(self.folder / METRICS_LOG) if line["update"] <= keep]
        log = MetricsLog(self.check_current)
        self.publish(METRICS_LOG, partial(log.open, lines))
        self._log = log
        return log

    def resume(self, update: int, updates: int, restarts: int) -> None:
        """Say that this attempt goes on behind `update` of `updates`; heartbeats then tell how far it is.

        Raises NoProgress where `restarts` attempts before it went on from there too and were killed or stopped:
        a run that needs more time, or memory, than its job has would otherwise come back for ever.
        """
        self.check_current()
        started = time.monotonic()

        def pace() -> Pace:
            reached = update if self._log is None else self._log.update
            return Pace(update, reached, updates, round(time.monotonic() - started, 3))

        # The first word is on disk before anything can go wrong: see `AttemptFiles.failed_by_machine`.
        pace().write(self._files.heartbeat)
        sync(self._files.heartbeat)
        self._pace = pace
        if (fruitless := self._fruitless(update)) >= restarts:
            raise NoProgress(
                f"it came back to update {update} of {updates} after {fruitless} attempts that got no further "
                "(see the logs of their jobs): give a job more time or memory, or checkpoint more often "
                "(checkpoint.every)"
            )

    def _fruitless(self, update: int) -> int:
        """How many attempts just before this one went no further than `update`, and not because of a person."""
        for count, files in enumerate(self._files.earlier()):
            end, pace = files.ended(), files.pace()
            halted = not end or (end["outcome"] == "interrupted" and end["reason"] != KeyboardInterrupt.__name__)
            same = Claim.read(files.claim).mode == self._claim.mode and (pace is None or pace.resumed == update)
            if not (halted and same):
                return count
        return self.number - 1

    def finish(self, body: Mapping[str, Any], must_equal: Record | None = None, *, without: str = "") -> Record:
        """Publish the record, and with it make the run done; RunError where its outcome is not that of `must_equal`.

        `body` is as `Record.body` gives it. The record's files are those that this attempt published, after the earlier
        record's when it extends that one; their folder `without` is removed. Raises InvalidRecord and Superseded.
        """
        self.check_current()
        if self._log is not None:
            self._log.close()
        kept = self.previous.files if self.previous and self._claim.mode == "extend" else {}
        files = {name: digest for name, digest in kept.items() if name.partition("/")[0] != without}
        files |= {name: file_checksum(self.folder / name) for name in sorted(self._outputs)}
        own = {"schema": SCHEMA, "run_id": self.run.run_id, "attempt": self.number, "files": files}
        record = Record.sealed({**body, **own})
        if must_equal and (differing := must_equal.differences(record)):
            raise RunError(
                f"the repeated training differs from the recorded one in {', '.join(differing)} (another machine or "
                "version?); the old record stays. To replace it, type force=true"
            )
        if self._aside:
            # Copies: killed in between, the attempt can still be resumed from its own folder.
            for name in sorted(self._outputs):
                self._place(self.run.path / name, partial(shutil.copyfile, self.folder / name))
        self._place_json(self.run.path / RECORD, record.to_json())
        # From here on the run is done, whoever comes now.
        with suppress(Superseded):
            self._discard(self.run.path / CHECKPOINT)
            self._discard(self.run.path / REDO)
            if without:
                self._discard(self.run.path / without)
            self._place_json(self._files.end, {"outcome": "done"})
        self._close()
        return record

    def fail(self, kind: Failure, reason: str) -> None:
        """End as failed: `method` is deterministic (NaN), `machine` may be retried (out of memory)."""
        self._place_json(self._files.end, {"outcome": "failed", "kind": kind, "reason": reason})
        self._close()

    def interrupt(self, reason: str) -> None:
        """End unfinished, to be continued by whoever begins next."""
        self._place_json(self._files.end, {"outcome": "interrupted", "reason": reason})
        self._close()

    def _close(self) -> None:
        self._over.set()
        if self._log is not None:
            with suppress(OSError):  # `finish` has closed it; a superseded attempt's file may be gone
                self._log.close()
        shutil.rmtree(self._files.staging, ignore_errors=True)

    def _place_json(self, target: Path, value: Mapping[str, Any]) -> None:
        content = pretty_json(value)
        self._place(target, lambda path: path.write_bytes(content))

    def _place(self, target: Path, write: Callable[[Path], object]) -> list[Path]:
        """Let `write` make a file or folder in staging, and move each file to its place at `target`."""
        aside = self._files.staging / uuid.uuid4().hex / target.name
        try:
            aside.parent.mkdir()
            write(aside)
            placed = []
            for source in sorted(aside.rglob("*")) if aside.is_dir() else [aside]:
                if not source.is_dir():
                    place = target / source.relative_to(aside)
                    sync(source)
                    make_folder(place.parent)
                    self.check_current()
                    replace(source, place)
                    placed.append(place)
        except Exception as error:
            self._explain(error)
            raise
        finally:
            shutil.rmtree(aside.parent, ignore_errors=True)
        return placed

    def _discard(self, folder: Path) -> None:
        """Remove a folder of the run, through staging: never a successor's."""
        try:
            os.rename(folder, self._files.staging / uuid.uuid4().hex)
        except FileNotFoundError as error:
            self._explain(error)

    def _explain(self, error: Exception) -> None:
        """Raise Superseded from an error that came of having no staging folder any more."""
        if not isinstance(error, Superseded) and not self._files.staging.is_dir():
            self.check_current()
            raise Superseded(f"the folder of attempt {self.number} at {self.run} was removed") from error


def _remove(staging: Path) -> None:
    """Remove an earlier attempt's staging folder, which that attempt may still be writing to."""
    for _ in range(100):
        shutil.rmtree(staging, ignore_errors=True)
        if not staging.exists():
            return
    raise ResultsError(f"{staging} cannot be removed: end the process that writes there and start again")


class MetricsLog:
    """The step log, a JSON object per line, open behind the lines it begins with; `update` is that of the last line."""

    def __init__(self, check_current: Callable[[], None]) -> None:
        self.update = 0
        self._check_current = check_current
        self._handle: BinaryIO

    def open(self, lines: list[dict[str, Any]], path: Path) -> None:
        """Write the lines to `path` and stay open there: `append` writes to that file once it is renamed into place.

        So an attempt that was taken over still holds its own file, which is no longer the run's.
        """
        self._handle = path.open("xb")
        self._handle.writelines(map(_line, lines))
        self._handle.flush()
        self.update = max((line["update"] for line in lines), default=0)

    def append(self, line: Mapping[str, Any]) -> None:
        """Write a line with an integer `update` and finite numbers. Raises Superseded, ValueError."""
        if not isinstance(line.get("update"), int):
            raise ValueError(f"found a step log line {dict(line)}, expected one with an integer 'update'")
        self._check_current()
        self._handle.write(_line(line))
        self._handle.flush()
        self.update = line["update"]

    def sync(self) -> None:
        """Bring the lines to disk; a closed log has done so."""
        if not self._handle.closed:
            os.fsync(self._handle.fileno())

    def close(self) -> None:
        """Bring the lines to disk and close the file; closing again does nothing."""
        self.sync()
        self._handle.close()


def _line(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a step log, without a last one that was cut short. Raises Damaged for other odd lines."""
    try:
        whole, _, _ = path.read_bytes().rpartition(b"\n")
    except FileNotFoundError:
        return []
    lines = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            value = json.loads(line)
        except ValueError as error:
            raise Damaged(f"{path}, line {number} is not JSON ({error}). Run it again with force=true") from error
        if not isinstance(value, dict) or not isinstance(value.get("update"), int):
            raise Damaged(f"{path}, line {number} is {value!r}, expected an object with an integer 'update'")
        lines.append(value)
    return lines
