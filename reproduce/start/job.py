"""What a submitted job does: its runs, one after the other, each in a process of its own."""

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
from reproduce.runs.plan import FAILURES, Entry

POLL_SECONDS = 5.0
PAUSE_SECONDS = 10.0
"""Before a run that could not even be begun is tried again."""


@dataclass(frozen=True)
class Job:
    """Brings runs to *done*, with `root` as results root. submitit pickles it, and calls it on the node.

    A process per run: one that is killed takes no other with it, and its peak memory is its own. What the runs
    left on disk decides, never an exit status. A run that failed because of its machine is tried again until it
    has failed so `FAILURES` times in a row, in SLURM after a requeue and so perhaps on another node.
    """

    root: Path

    def __call__(self, runs: Sequence[Entry]) -> None:
        """Raises RunError that names the runs that did not end done."""
        try:
            with survival.handling():
                self._work(runs)
        except survival.Stopped as stopped:
            survival.leave(stopped)

    def checkpoint(self, *arguments: Any) -> submitit.helpers.DelayedSubmission:
        """submitit asks before it requeues the job: the same again, since finished runs are not repeated."""
        return submitit.helpers.DelayedSubmission(self, *arguments)

    def _work(self, runs: Sequence[Entry]) -> None:
        for entry in runs:
            entry.run.note(Phase.STARTED)
        # What an earlier start of this job has given up: it is asked again for every run, done or not.
        left = [entry for entry in runs if entry.run.machine_failures() >= FAILURES and not entry.asked_again]
        again = [entry for entry in runs if entry not in left]
        vain: Counter[RunFolder] = Counter()
        while again:
            before = {entry.run: entry.run.latest.number for entry in again}
            failed = [entry for entry in again if not self._bring_to_done(entry)]
            again = [entry for entry in failed if self._may_try_again(entry.run, before[entry.run], vain)]
            over = [entry for entry in failed if entry not in again]
            for entry in over:
                entry.run.note(Phase.OVER)
            left += over
            begun = [entry for entry in again if not vain[entry.run]]
            if again and not begun:
                time.sleep(PAUSE_SECONDS)
            if begun and os.environ.get("SUBMITIT_EXECUTOR") == "slurm" and survival.requeue_slurm_job():
                # SLURM ends this job now. Should it only end the next minute, that is soon enough.
                time.sleep(60)
        if left:
            names = "; ".join(f"{entry.run}: {entry.run.status().detail}" for entry in left)
            raise RunError(f"{len(left)} of {len(runs)} runs are not done: {names}")

    def _bring_to_done(self, entry: Entry) -> bool:
        # An attempt whose node was lost still looks alive for a while; one that gives signs of life is left to it.
        sign = entry.run.latest.last_sign()
        while entry.run.status().state is State.RUNNING and entry.run.latest.last_sign() == sign:
            time.sleep(POLL_SECONDS)
        entry.run.note(Phase.BEGUN)
        command = [sys.executable, "-m", "fun.run", *entry.typed]
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "FUN_RESULTS": str(self.root)}
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
        try:
            status = process.wait()
        except survival.Stopped as stopped:
            # SLURM signals every process of a step, but whoever asked may have told this one alone.
            process.send_signal(stopped.signal)
            process.wait()
            raise
        return status == 0 and entry.run.status().state is State.DONE

    def _may_try_again(self, run: RunFolder, attempts: int, vain: Counter[RunFolder]) -> bool:
        """Whether the run was killed or failed because of its machine, less than too often.

        `vain` counts how often it left no attempt, which so tells no other job about it: a full disk, or what time
        does not cure. SLURM is not asked to start the job again for that: it would without end.
        """
        vain[run] = 0 if run.latest.number > attempts else vain[run] + 1
        status = run.status()
        halted = status.state in (State.MISSING, State.STALE) or status.failure == "machine"
        return halted and max(vain[run], run.machine_failures()) < FAILURES
