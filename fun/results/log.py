"""The step log: metrics.jsonl, one JSON object per line, each with its `update`."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from fun.results.errors import Damaged


class MetricsLog:
    """A step log open for appending, behind the `lines` it begins with; `Attempt.metrics_log` makes it.

    `update` is that of its last line.
    """

    def __init__(self, lines: list[dict[str, Any]], check_current: Callable[[], None]) -> None:
        self.update = max((line["update"] for line in lines), default=0)
        self._lines = lines
        self._check_current = check_current
        self._handle: BinaryIO | None = None

    def open(self, path: Path) -> None:
        """Write the kept lines to `path` and stay open there.

        The file that is then renamed into place is the one that `append` writes to: an attempt that was taken
        over still holds its own file, which is no longer the run's.
        """
        self._handle = path.open("xb")
        self._handle.writelines(map(_line, self._lines))
        self._handle.flush()

    def append(self, line: Mapping[str, Any]) -> None:
        """Write a line with an integer `update` and finite numbers. Raises Superseded, ValueError."""
        if not isinstance(line.get("update"), int):
            raise ValueError(f"found a step log line {dict(line)}, expected one with an integer 'update'")
        self._check_current()
        assert self._handle is not None, "the step log is opened by Attempt.metrics_log"
        self._handle.write(_line(line))
        self._handle.flush()
        self.update = line["update"]

    def sync(self) -> None:
        """Bring the lines to disk; a closed log has done so."""
        if self._handle is not None and not self._handle.closed:
            os.fsync(self._handle.fileno())

    def close(self) -> None:
        """Bring the lines to disk and close the file; closing again does nothing."""
        self.sync()
        if self._handle is not None:
            self._handle.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a step log, without a last one that was cut short. Raises Damaged for other odd lines."""
    try:
        whole, _, _ = path.read_bytes().rpartition(b"\n")
    except FileNotFoundError:
        return []
    return [_parse(line, f"{path}, line {number}") for number, line in enumerate(whole.splitlines(), 1)]


def _parse(line: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise Damaged(f"{where} is not JSON ({error}). Run it again with force=true") from error
    if not isinstance(value, dict) or not isinstance(value.get("update"), int):
        raise Damaged(f"{where} is {value!r}, expected an object with an integer 'update'")
    return value


def _line(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n").encode()
