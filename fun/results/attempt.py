"""One attempt at a run: the only hand that writes into the run's folder, until another takes over.

Every file reaches its place by a rename out of the attempt's own staging folder. Taking over removes that
folder, so that a superseded attempt can write nothing more, wherever it was stopped: its next rename finds
nothing.
"""

import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fun.errors import ConfigError, RunError
from fun.results.claim import AttemptFiles, Claim, Failure, Pace, heartbeat_seconds
from fun.results.errors import AlreadyDone, Damaged, InvalidRecord, NoProgress, NotDone, ResultsError, Superseded
from fun.results.files import file_checksum, make_folder, pretty_json, replace, sync
from fun.results.log import MetricsLog, read_log
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

    Leaving the context without `finish` marks how the attempt ended: RunError and InvalidRecord as
    failed:method, any other exception as failed:machine, an interrupt or nothing as interrupted. `previous`
    is the valid record that this attempt will replace, if there is one.
    """

    def __init__(self, run: "RunFolder", files: AttemptFiles, claim: Claim) -> None:
        self.run = run
        self.number = files.number
        self.previous: Record | None = None
        self._files = files
        self._claim = claim
        self._outputs: set[str] = set()
        self._log: MetricsLog | None = None
        self._heartbeat = _Heartbeat(files)
        self._over = False

    @property
    def folder(self) -> Path:
        """Where this attempt reads and writes: aside, until `finish`, with `force` or `extend`."""
        return self.run.path / REDO if self._aside else self.run.path

    @property
    def _aside(self) -> bool:
        return self._claim.mode != "run"

    def start(self, *, unfinished: bool) -> None:
        """Shut earlier attempts out and show signs of life; `RunFolder.begin` calls this once.

        `unfinished`: the attempt before this one left work to continue. Raises AlreadyDone where an earlier
        attempt finished meanwhile.
        """
        # Staging comes before the check: whoever takes over after it will find the folder and remove it.
        self._files.staging.mkdir()
        self.check_current()
        for number in range(1, self.number):
            _remove(self._files.other(number).staging)
        self.previous = self._record_to_replace()
        before = self.number - 1
        finished = self.previous is not None and self.previous.attempt == before
        if self._aside and (
            finished or not unfinished or Claim.read(self._files.other(before).claim).mode != self._claim.mode
        ):  # the attempt before had another aim, or nothing left to do
            self._discard(self.run.path / REDO)
        self._files.heartbeat.touch()
        self._heartbeat.start()

    def _record_to_replace(self) -> Record | None:
        try:
            record = self.run.record()
        except NotDone:
            if self._claim.mode == "extend":
                raise
            return None
        except Damaged:
            if self._claim.mode != "force":
                raise
            return None
        if self._claim.mode == "run":
            raise AlreadyDone(f"attempt {record.attempt} at {self.run} finished at this moment")
        return record

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._over:
            return
        try:
            match error:
                case Superseded():
                    self._close()
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
        if self._over:
            raise RuntimeError(f"attempt {self.number} at {self.run} is over and can write nothing more")
        later = self._files.other(self.number + 1).claim
        if later.exists():
            raise Superseded(
                f"attempt {self.number + 1} took over {self.run} ({Claim.read(later)}): attempt {self.number} ends here"
            )

    def publish(self, relative: str, write: Callable[[Path], object]) -> Path:
        """Make the file or folder `relative` to `folder`, whole or not at all (a folder: file by file).

        `write` is given a path to write to, with the same last name. Files under `checkpoint/` are working
        state; all others belong to the record.
        """
        self.check_current()
        working = relative.startswith(f"{CHECKPOINT}/")
        if working and self._log is not None:
            self._log.sync()  # else a power cut could keep a checkpoint and lose log lines before it
        placed = self._place(self.folder / relative, write)
        if not working:
            self._outputs |= {path.relative_to(self.folder).as_posix() for path in placed}
        return self.folder / relative

    def write_bytes(self, relative: str, data: bytes) -> Path:
        """Publish a file with these bytes."""
        return self.publish(relative, lambda path: path.write_bytes(data))

    def discard_checkpoint(self) -> None:
        """Remove the working state, to start afresh."""
        self.check_current()
        self._discard(self.folder / CHECKPOINT)

    def metrics_log(self, keep: int = 0) -> MetricsLog:
        """Open metrics.jsonl, cut back to the lines up to update `keep`, the checkpoint's (0: a new log)."""
        if self._log is not None:
            self._log.close()
        lines = [line for line in read_log(self.folder / METRICS_LOG) if line["update"] <= keep]
        log = MetricsLog(lines, self.check_current)
        self.publish(METRICS_LOG, log.open)
        self._log = log
        return log

    def resume(self, update: int, updates: int, restarts: int) -> None:
        """Say that this attempt goes on behind `update` of `updates`; heartbeats then tell how far it is.

        Raises NoProgress where `restarts` attempts before it went on from there too and were killed or stopped:
        a run that needs more time, or memory, than its job has would otherwise come back for ever.
        """
        self.check_current()
        self._heartbeat.begin(update, updates, lambda: self._log.update if self._log is not None else update)
        fruitless = self._fruitless(update)
        if fruitless >= restarts:
            raise NoProgress(
                f"it came back to update {update} of {updates} after {fruitless} attempts that got no further "
                "(see the logs of their jobs): give a job more time or memory, or checkpoint more often "
                "(checkpoint.every)"
            )

    def _fruitless(self, update: int) -> int:
        """How many attempts just before this one went no further than `update`, and not because of a person."""
        count = 0
        for number in range(self.number - 1, 0, -1):
            files = self._files.other(number)
            end, pace = files.ended(), files.pace()
            halted = not end or (end["outcome"] == "interrupted" and end["reason"] != KeyboardInterrupt.__name__)
            same = Claim.read(files.claim).mode == self._claim.mode and (pace is None or pace.resumed == update)
            if not (halted and same):
                break
            count += 1
        return count

    def finish(self, body: Mapping[str, Any], must_equal: Record | None = None, *, without: str = "") -> Record:
        """Publish the record, and with it make the run done; RunError where its outcome is not that of `must_equal`.

        `body` has the record's fields except those that the store knows: schema, run_id, attempt, files and
        checksum. The record's files are those that this attempt published, after the earlier record's when it
        extends that one; a folder of theirs to be left out, `without`, is removed. Raises InvalidRecord and Superseded.
        """
        self.check_current()
        if self._log is not None:
            self._log.close()
        record = Record.sealed(self._with_store_fields(body, without))
        if must_equal and (differing := must_equal.differences(record)):
            raise RunError(
                f"the repeated training differs from the recorded one in {', '.join(differing)} (another machine or "
                "version?); the old record stays. To replace it, type force=true"
            )
        if self._aside:
            # Copies: killed in between, the attempt can still be resumed from its own folder.
            for name in sorted(self._outputs):
                self._place(self.run.path / name, partial(shutil.copyfile, self.folder / name))
        content = pretty_json(record.to_json())
        self._place(self.run.path / RECORD, lambda path: path.write_bytes(content))
        # From here on the run is done, whoever comes now.
        with suppress(Superseded):
            self._discard(self.run.path / CHECKPOINT)
            self._discard(self.run.path / REDO)
            if without:
                self._discard(self.run.path / without)
            self._note_end({"outcome": "done"})
        self._close()
        return record

    def _with_store_fields(self, body: Mapping[str, Any], without: str) -> dict[str, Any]:
        kept = self.previous.files if self.previous and self._claim.mode == "extend" else {}
        files = {name: digest for name, digest in kept.items() if name.partition("/")[0] != without}
        files |= {name: file_checksum(self.folder / name) for name in sorted(self._outputs)}
        return {**body, "schema": SCHEMA, "run_id": self.run.run_id, "attempt": self.number, "files": files}

    def fail(self, kind: Failure, reason: str) -> None:
        """End as failed: `method` is deterministic (NaN), `machine` may be retried (out of memory)."""
        self._note_end({"outcome": "failed", "kind": kind, "reason": reason})
        self._close()

    def interrupt(self, reason: str) -> None:
        """End unfinished, to be continued by whoever begins next."""
        self._note_end({"outcome": "interrupted", "reason": reason})
        self._close()

    def _note_end(self, end: Mapping[str, str]) -> None:
        self._place(self._files.end, lambda path: path.write_bytes(pretty_json(end)))

    def _close(self) -> None:
        self._over = True
        self._heartbeat.end()
        if self._log is not None:
            with suppress(OSError):  # `finish` has closed it; a superseded attempt's file may be gone
                self._log.close()
        shutil.rmtree(self._files.staging, ignore_errors=True)

    def _place(self, target: Path, write: Callable[[Path], object]) -> list[Path]:
        """Let `write` make a file or folder in staging, and move each file to its place at `target`."""
        aside = self._files.staging / uuid.uuid4().hex / target.name
        try:
            aside.parent.mkdir()
            write(aside)
            placed = []
            for source in sorted(aside.rglob("*")) if aside.is_dir() else [aside]:
                if not source.is_dir():
                    placed.append(target / source.relative_to(aside))
                    self._move(source, placed[-1])
        except Exception as error:
            self._explain(error)
            raise
        finally:
            shutil.rmtree(aside.parent, ignore_errors=True)
        return placed

    def _move(self, source: Path, target: Path) -> None:
        sync(source)
        make_folder(target.parent)
        self.check_current()
        replace(source, target)

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


class _Heartbeat(threading.Thread):
    """Touches the attempt's heartbeat file until the attempt ends or is taken over."""

    def __init__(self, files: AttemptFiles) -> None:
        super().__init__(name=f"heartbeat of attempt {files.number}", daemon=True)
        self._file = files.heartbeat
        self._later = files.other(files.number + 1).claim
        self._seconds = heartbeat_seconds()
        self._ended = threading.Event()
        self._pace: Callable[[], Pace] | None = None

    def begin(self, resumed: int, updates: int, update: Callable[[], int]) -> None:
        """Tell from now on how far the attempt is. The first word, where it began, is on disk when this returns."""
        started = time.monotonic()
        self._pace = lambda: Pace(resumed, update(), updates, round(time.monotonic() - started, 3))
        self._file.write_bytes(self._pace().to_bytes())
        sync(self._file)

    def run(self) -> None:
        while not self._ended.wait(self._seconds):
            with suppress(OSError):  # a file server that is away for a moment; silence tells the others
                if self._later.exists():
                    return
                if self._pace is not None:
                    with self._file.open("r+b") as file:
                        file.write(self._pace().to_bytes())
                os.utime(self._file)

    def end(self) -> None:
        self._ended.set()


def _remove(staging: Path) -> None:
    """Remove an earlier attempt's staging folder, which that attempt may still be writing to."""
    for _ in range(100):
        try:
            shutil.rmtree(staging)
        except FileNotFoundError:
            if not staging.exists():
                return
        except OSError:  # a file appeared meanwhile
            continue
    raise ResultsError(f"{staging} cannot be removed: end the process that writes there and start again")
