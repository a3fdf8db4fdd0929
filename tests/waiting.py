"""Waiting for what is to happen, however busy the machine is: time counts only while nothing of the test works."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.forks import Process

PATIENCE = 300.0
"""Seconds for which no process of the test may begin, end or use the processor."""

TICKS = 50
"""Half a second of processor time: less is what an idle process uses to look around."""


def until(condition: Callable[[], Any], what: str | Callable[[], str]) -> Any:
    """Wait until a condition holds, and return its value."""
    watch = _Watch()
    while not (value := condition()):
        watch.check(what)
        time.sleep(0.02)
    return value


def ended(process: Process, said: str | None = None) -> tuple[str, str]:
    """Tell a process `said`, wait until it has ended, and return what it printed on both of its streams."""
    watch = _Watch()
    while True:
        try:
            return process.communicate(said, timeout=1)
        except subprocess.TimeoutExpired:
            said = None
            watch.check(f"{process.args} ended")


def run(command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str] | None = None, said: str = "") -> Any:
    """A command that is to end by itself, with status and output as `subprocess.run` gives them."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    out, err = ended(process, said)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class _Watch:
    """Since when nothing works."""

    def __init__(self) -> None:
        self.work: object = None
        self.since = self.looked = time.monotonic()

    def check(self, what: str | Callable[[], str]) -> None:
        """Raises AssertionError where nothing has worked for too long."""
        now = time.monotonic()
        if now - self.looked < 1:
            return
        self.looked = now
        if (work := _work()) != self.work:
            self.work, self.since = work, now
        if now - self.since > PATIENCE:
            raise AssertionError(
                f"nothing moved for {PATIENCE:g} s: waited until {what if isinstance(what, str) else what()}"
            )


def _work() -> frozenset[tuple[str, int]]:
    """The processes that this test started, in SLURM's jobs too, each with its processor time.

    They inherit the variable in which pytest names the test. Without /proc there are none, and time alone counts.
    """
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0].encode()
    return frozenset(
        (folder.name, ticks)
        for folder in Path("/proc").glob("[0-9]*")
        if (ticks := _ticks(folder, b"PYTEST_CURRENT_TEST=" + test)) is not None
    )


def _ticks(process: Path, variable: bytes) -> int | None:
    try:
        if variable not in (process / "environ").read_bytes():
            return None
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended, or is somebody else's
        return None
    return (int(fields[11]) + int(fields[12])) // TICKS
