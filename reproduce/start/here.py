"""Runs what targets still need on this machine: a few processes side by side, a log for each."""

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from statistics import fmean

from fun.machine import signals as survival
from fun.results import Damaged, State
from fun.results.files import make_folder
from reproduce.runs.plan import Entry, Groups, plan, remarks, waves
from reproduce.runs.store import Store, command
from reproduce.start.jobs import asking, told_by
from reproduce.start.status import Training

POLL_SECONDS = 0.1
TELL_SECONDS, SELDOM_SECONDS = 8.0, 60.0
"""How often it is told who runs: at the beginning, and behind twenty minutes."""

GRACE_SECONDS = 10.0


def run_missing(
    groups: Groups, root: Path, workers: int, at_most: int | None = None, *, dry_run: bool = False, retry: bool = False
) -> int:
    """Run what the groups lack, producers first, `workers` at a time; return how many are then not done.

    A run counts as done when its record is there, not when its process says so. Runs that must not be started
    unasked (`retry` asks), and those that other processes or jobs have, are listed and counted too; those beyond the
    first `at_most` are left for the next time, and are not. Raises ConfigError.
    """
    entries = asking(lambda jobs: plan(groups, Store(root), jobs, retry=retry))
    elsewhere = {entry.run for entry in entries if entry.under_way}
    for entry in entries:  # producers stand first: what reads from what others make is to wait, and so on
        if not elsewhere.isdisjoint(entry.producers):
            elsewhere.add(entry.run)
    todo = [entry for entry in entries if entry.startable and entry.run not in elsewhere]
    told = [
        *remarks(entries),
        *(f"under way: {entry.run.path.name}: {entry.reason}" for entry in entries if entry.under_way),
        *(["--retry also starts runs that failed"] if any(entry.held for entry in entries) else []),
        *(entry.not_yet("run") for entry in entries if entry.startable and entry.run in elsewhere),
    ]
    print(*(f"{line}\n" for line in told), sep="", end="")
    done = sum(entry.result.complete or entry.gap for entry in entries)
    left = len(entries) - done - len(todo)
    todo, later = todo[:at_most], todo[at_most:] if at_most else []
    if not todo:
        print(f"Nothing to run: {done} of {len(entries)} runs are done.")
        return left
    if dry_run:
        print(*(command(entry.typed) for wave in waves(todo) for entry in wave), sep="\n")
        return left
    logs = root / "logs"
    make_folder(logs)
    left_over = f", {len(later)} for the next time" if later else ""
    print(f"{len(todo)} of {len(entries)} runs to do{left_over}, {workers} at a time; output in {logs}", flush=True)
    _run(waves(todo), root, logs, workers)
    entries = asking(lambda jobs: plan(groups, Store(root), jobs))
    print(*(f"{line}\n" for line in remarks(entries)), sep="", end="")
    runs_later = {entry.run for entry in later}
    return sum(bool(entry.wanted or entry.held) and entry.run not in runs_later for entry in entries)


def _run(waves: Sequence[Sequence[Entry]], root: Path, logs: Path, workers: int) -> None:
    """Wave by wave: what the runs of one make, those of the next read."""
    named = [{logs / f"{entry.run.path.name}.log": entry for entry in wave} for wave in waves]
    entries = {log: entry for wave in named for log, entry in wave.items()}
    typed = {log: entry.typed for log, entry in entries.items()}
    took: dict[Path, float] = {}

    def report(log: Path, status: int, seconds: float) -> None:
        took[log] = seconds
        done = status == 0 and entries[log].run.status().state is State.DONE
        outcome = f"done in {seconds:.0f} s" if done else f"FAILED (exit status {status})"
        to_go = _left((entry for other, entry in entries.items() if other not in took), [*took.values()], workers)
        print(f"[{len(took)}/{len(entries)}] {outcome}{to_go}: {' '.join(typed[log])}", flush=True)
        if not done:
            print(told_by(log), flush=True)

    def tell(running: Sequence[Path]) -> None:
        for log in running:
            run = entries[log].run
            with suppress(Damaged):  # told when the run has ended
                print(f"    {run.path.name.rpartition('-')[0]}: {Training.of(run)}", flush=True)

    # One thread each: two runs side by side beat one run on two threads, and threads beyond the cores stall.
    environment = {**os.environ, "FUN_RESULTS": str(root), "OMP_NUM_THREADS": "1", survival.REQUEUE: "no"}
    for wave in named:
        jobs = {log: (sys.executable, "-m", "fun.run", *typed[log]) for log in wave}
        work(jobs, workers, environment, report, tell)


def _left(entries: Iterable[Entry], took: Sequence[float], workers: int) -> str:
    """How long the runs that have not ended may take: as runs of their shape did, or those that ended (seconds)."""
    seconds = [fmean(took) if entry.hours is None else 3600 * entry.hours for entry in entries]
    if not seconds:
        return ""
    return f", about {timedelta(seconds=round(sum(seconds) / min(workers, len(seconds))))} left"


def work(
    jobs: Mapping[Path, Sequence[str]],
    workers: int,
    environment: dict[str, str],
    ended: Callable[[Path, int, float], None],
    tell: Callable[[Sequence[Path]], None] = lambda running: None,
) -> None:
    """Run the jobs (log -> command), `workers` at a time; tell each end (exit status, seconds), and at times who runs.

    However this is left, by an interrupt too, no child is left running.
    """
    waiting = deque(jobs)
    running: dict[subprocess.Popen[bytes], tuple[Path, float]] = {}
    began = told = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                log = waiting.popleft()
                with log.open("wb") as output:
                    process = subprocess.Popen(
                        jobs[log], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
                    )
                running[process] = (log, time.monotonic())
            for process in [process for process in running if process.poll() is not None]:
                log, started = running.pop(process)
                ended(log, process.returncode, time.monotonic() - started)
            now = time.monotonic()
            if now - told > min(max(TELL_SECONDS, (now - began) / 20), SELDOM_SECONDS):
                tell([log for log, _ in running.values()])
                told = now
            time.sleep(POLL_SECONDS)
    finally:
        for process in running:
            process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
