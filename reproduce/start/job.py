"""What a submitted job does: its runs, one after the other, each in a process of its own."""

import logging
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import submitit

from fun.errors import RunError
from fun.machine import signals as survival
from fun.results import Phase, RunFolder, State
from reproduce.start.starting import Start

log = logging.getLogger("fun")

POLL_SECONDS = 5.0
PAUSE_SECONDS = 10.0
"""Before a run that could not even be begun is tried again."""


@dataclass(frozen=True)
class Job:
    """Brings runs to *done*, with `root` as results root. submitit pickles it, and calls it on the node.

    A process per run: one that is killed takes no other with it, and its peak memory is its own. What the runs
    left on disk decides, never an exit status. A run that failed because of its machine is tried again until it
    has failed so `failures` times in a row, in SLURM after a requeue and so perhaps on another node.
    """

    root: Path
    failures: int

    def __call__(self, runs: Sequence[Start]) -> None:
        """Raises RunError that names the runs that did not end done."""
        try:
            with survival.handling():
                self._work(runs)
        except survival.Stopped as stopped:
            survival.leave(stopped)

    def checkpoint(self, *arguments: Any) -> submitit.helpers.DelayedSubmission:
        """submitit asks before it requeues the job: the same again, since finished runs are not repeated."""
        return submitit.helpers.DelayedSubmission(self, *arguments)

    def _work(self, runs: Sequence[Start]) -> None:
        for start in runs:
            start.run.note(Phase.STARTED)
        again = [start for start in runs if not self._given_up(start)]
        left = [start for start in runs if start not in again]
        vain: Counter[RunFolder] = Counter()
        while again:
            before = {start.run: start.run.attempts() for start in again}
            failed = [start for start in again if not self._bring_to_done(start)]
            again = [start for start in failed if self._may_try_again(start.run, before[start.run], vain)]
            for start in failed:
                if start not in again:
                    start.run.note(Phase.OVER)
                    left.append(start)
            begun = [start for start in again if not vain[start.run]]
            if again and not begun:
                time.sleep(PAUSE_SECONDS)
            if begun and os.environ.get("SUBMITIT_EXECUTOR") == "slurm" and survival.requeue_slurm_job():
                # SLURM ends this job now. Should it only end the next minute, that is soon enough.
                time.sleep(60)
        if left:
            names = "; ".join(f"{start.run}: {start.run.status().detail}" for start in left)
            raise RunError(f"{len(left)} of {len(runs)} runs are not done: {names}")

    def _given_up(self, start: Start) -> bool:
        """Whether an earlier start of this job has: it is asked again for every run, done or not."""
        return start.run.machine_failures() >= self.failures and not start.asked_again

    def _bring_to_done(self, start: Start) -> bool:
        _wait_for_silent(start.run)
        start.run.note(Phase.BEGUN)
        command = [sys.executable, "-m", "fun.run", *start.typed]
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "FUN_RESULTS": str(self.root)}
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
        try:
            status = process.wait()
        except survival.Stopped as stopped:
            # SLURM signals every process of a step, but whoever asked may have told this one alone.
            process.send_signal(stopped.signal)
            process.wait()
            raise
        return status == 0 and start.run.status().state is State.DONE

    def _may_try_again(self, run: RunFolder, attempts: int, vain: Counter[RunFolder]) -> bool:
        """Whether the run was killed or failed because of its machine, less than too often.

        `vain` counts how often it left no attempt, which so tells no other job about it: a full disk, or what time
        does not cure. SLURM is not asked to start the job again for that: it would without end.
        """
        vain[run] = 0 if run.attempts() > attempts else vain[run] + 1
        status = run.status()
        halted = status.state in (State.MISSING, State.STALE) or status.failure == "machine"
        return halted and max(vain[run], run.machine_failures()) < self.failures


def _wait_for_silent(run: RunFolder) -> None:
    """Wait while an attempt whose node was lost still looks alive; one that gives signs of life is left to it."""
    sign = run.last_sign()
    while run.status().state is State.RUNNING and run.last_sign() == sign:
        time.sleep(POLL_SECONDS)
