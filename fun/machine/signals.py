"""Stopping in time: a process that is asked to end saves what it has, and its SLURM job comes back.

SLURM asks with SIGUSR2 before the time limit and at preemption (`#SBATCH --signal=USR2@180`, as submitit writes
it), and with SIGTERM before it kills. Training then checkpoints after its current update; everywhere else there
is nothing to save, because the last checkpoint holds all that is not lost anyway.
"""

import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, SimpleNamespace
from typing import NoReturn

log = logging.getLogger("fun")

REQUEUE = "FUN_REQUEUE"
"""`no` in the environment: the SLURM job that this process happens to be in is not its own, to be started again."""


class Stopped(BaseException):
    """The process was asked to end, by `signal`. Like KeyboardInterrupt no Exception: nothing handles it midway."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(f"asked to end by {self.signal.name}")


_stop = SimpleNamespace(request=None, deferring=False)
"""Of the process, as signals are: the one that asked to end, and whether that waits for `check`."""


@contextmanager
def handling() -> Iterator[None]:
    """Within, SIGUSR2 and SIGTERM raise Stopped: at once, or when `deferred` lets them."""
    previous = {number: signal.signal(number, _on_signal) for number in (signal.SIGUSR2, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        _stop.request = None  # answered: another run in this process was not asked to end


@contextmanager
def deferred() -> Iterator[None]:
    """Within, a request to end waits for `check`: for work that can be saved, but not at every moment."""
    _stop.deferring = True
    try:
        yield
        check()
    finally:
        _stop.deferring = False


def requested() -> bool:
    """Whether the process was asked to end."""
    return _stop.request is not None


def check() -> None:
    """Raise Stopped if the process was asked to end."""
    if _stop.request is not None:
        raise Stopped(_stop.request)


def _on_signal(number: int, frame: FrameType | None) -> None:
    # The first request counts: SLURM signals every process of a step, and whoever started this one may pass
    # the signal on too. A second Stopped would hit the clean-up after the first.
    if _stop.request is not None:
        return
    _stop.request = number
    log.info("asked to end by %s", signal.Signals(number).name)
    if not _stop.deferring:
        raise Stopped(number)


def leave(stopped: Stopped) -> NoReturn:
    """End the process, outside of `handling`; its SLURM job is started again unless somebody cancels it.

    Exit status 128 + signal, as if the signal had ended it.
    """
    executor, submitit = os.environ.get("SUBMITIT_EXECUTOR"), callable(signal.getsignal(signal.SIGUSR2))
    in_slurm = "SLURM_JOB_ID" in os.environ and executor in (None, "slurm")  # else in a session, as a local job
    if submitit and (stopped.signal == signal.SIGUSR2 or (in_slurm and slurm_job_state() == "RUNNING")):
        # submitit counts the time limits that a job ran into, requeues it, and exits.
        signal.raise_signal(signal.SIGUSR2)
    elif in_slurm and executor is None:  # else the process that submitit started does it
        requeue_slurm_job()
    sys.exit(128 + stopped.signal)


def requeue_slurm_job() -> bool:
    """Ask SLURM to run this job once more, which also ends it now; False where it was being ended already."""
    if os.environ.get(REQUEUE) == "no" or slurm_job_state() != "RUNNING":
        return False
    asked = _scontrol("requeue", _slurm_job())
    if asked.returncode:
        log.warning("SLURM does not requeue this job: %s", asked.stderr.strip())
    return asked.returncode == 0


def slurm_job_state() -> str:
    """What SLURM calls this job's state now; RUNNING unless it is being cancelled, requeued or timed out."""
    description = _scontrol("show", "job", "--oneliner", _slurm_job()).stdout
    state = re.search(r"\bJobState=(\w+)", description)
    return state[1] if state else "UNKNOWN"


def _slurm_job() -> str:
    """This job as scontrol takes it. One task of an array has the array's own SLURM_JOB_ID, which means all tasks."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def _scontrol(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["scontrol", *arguments], capture_output=True, text=True)
