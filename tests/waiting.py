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


def _work() -> frozenset[tuple[int, int]]:
    """The processes that this test started, each with its processor time. Without /proc there are none, and time alone
    counts.

    They descend from this one, as forked commands do, or inherited the variable in which pytest names the test, as
    SLURM's jobs did.
    """
    test = b"PYTEST_CURRENT_TEST=" + os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0].encode()
    processes = {int(folder.name): stat for folder in Path("/proc").glob("[0-9]*") if (stat := _stat(folder))}
    return frozenset(
        (pid, ticks) for pid, (_, ticks) in processes.items() if _is_below(pid, processes) or test in _environment(pid)
    )


def _stat(process: Path) -> tuple[int, int] | None:
    """Its parent, and its processor time in units of half a second."""
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return None
    return int(fields[1]), (int(fields[11]) + int(fields[12])) // TICKS


def _is_below(pid: int, processes: Mapping[int, tuple[int, int]]) -> bool:
    """Whether this process is its parent, or a parent's parent."""
    while pid in processes:
        pid = processes[pid][0]
        if pid == os.getpid():
            return True
    return False


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it has ended, or is somebody else's
        return b""
