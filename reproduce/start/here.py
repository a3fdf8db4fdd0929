"""Runs what targets still need on this machine: a few processes side by side, a log for each."""

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import fmean

from fun.machine import signals as survival
from fun.results import Damaged, State
from fun.results.files import make_folder
from reproduce.runs.logs import last_line
from reproduce.runs.plan import Entry, Groups, plan, remarks, waves
from reproduce.runs.store import Store, command
from reproduce.start.jobs import asking
from reproduce.start.progress import Training

POLL_SECONDS = 0.1
TELL_SECONDS = 8.0
SELDOM_SECONDS = 60.0
"""How often it is told who runs: at the beginning, and behind twenty minutes."""

GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Child:
    """A command, and the file that its output goes to."""

    arguments: tuple[str, ...]
    log: Path


def run_missing(
    groups: Groups, root: Path, workers: int, at_most: int | None = None, *, dry_run: bool = False, retry: bool = False
) -> int:
    """Run what the groups lack, producers first, `workers` at a time; return how many are then not done.

    A run counts as done when its record is there, not when its process says so. Runs that must not be started
    unasked (`retry` asks), and those that other processes or jobs have, are listed and counted too; those beyond the
    first `at_most` are left for the next time, and are not. Raises ConfigError.
    """
    entries = asking(lambda jobs: plan(groups, Store(root), jobs, retry=retry))
    todo, waiting = _to_do(entries)
    told = [
        *remarks(entries),
        *(f"under way: {entry.run.path.name}: {entry.reason}" for entry in entries if entry.under_way),
        *(["--retry also starts runs that failed"] if any(entry.held for entry in entries) else []),
        *(entry.not_yet("run") for entry in waiting),
    ]
    print(*(f"{line}\n" for line in told), sep="", end="")
    done = sum(entry.complete or entry.gap for entry in entries)
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


def _to_do(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """What can be started here, and what reads from runs that others have in hand."""
    todo: list[Entry] = []
    waiting: list[Entry] = []
    for entry in entries:  # producers stand first
        if entry.startable:
            elsewhere = {other.run for other in entries if other.under_way} | {other.run for other in waiting}
            (todo if elsewhere.isdisjoint(entry.producers) else waiting).append(entry)
    return todo, waiting


def _run(waves: Sequence[Sequence[Entry]], root: Path, logs: Path, workers: int) -> None:
    """Wave by wave: what the runs of one make, those of the next read."""
    children = [
        {
            Child((sys.executable, "-m", "fun.run", *entry.typed), logs / f"{entry.run.path.name}.log"): entry
            for entry in wave
        }
        for wave in waves
    ]
    entries = {job: entry for wave in children for job, entry in wave.items()}
    took: dict[Child, float] = {}

    def report(job: Child, status: int, seconds: float) -> None:
        took[job] = seconds
        done = status == 0 and entries[job].run.status().state is State.DONE
        outcome = f"done in {seconds:.0f} s" if done else f"FAILED (exit status {status})"
        to_go = _left((entry for other, entry in entries.items() if other not in took), [*took.values()], workers)
        print(f"[{len(took)}/{len(entries)}] {outcome}{to_go}: {' '.join(job.arguments[3:])}", flush=True)
        if not done:
            print(
                f"    {last_line(job.log.read_text(encoding='utf-8', errors='replace'))}\n    log: {job.log}",
                flush=True,
            )

    def tell(running: Sequence[Child]) -> None:
        for job in running:
            run = entries[job].run
            with suppress(Damaged):  # told when the run has ended
                print(f"    {run.path.name.rpartition('-')[0]}: {Training.of(run)}", flush=True)

    # One thread each: two runs side by side beat one run on two threads, and threads beyond the cores stall.
    environment = {**os.environ, "FUN_RESULTS": str(root), "OMP_NUM_THREADS": "1", survival.REQUEUE: "no"}
    for wave in children:
        work(list(wave), workers, environment, report, tell)


def _left(entries: Iterable[Entry], took: Sequence[float], workers: int) -> str:
    """How long the runs that have not ended may take: as runs of their shape did, or those that ended (seconds)."""
    seconds = [fmean(took) if entry.hours is None else 3600 * entry.hours for entry in entries]
    if not seconds:
        return ""
    return f", about {timedelta(seconds=round(sum(seconds) / min(workers, len(seconds))))} left"


def work(
    jobs: Sequence[Child],
    workers: int,
    environment: dict[str, str],
    ended: Callable[[Child, int, float], None],
    tell: Callable[[Sequence[Child]], None] = lambda running: None,
) -> None:
    """Run the jobs, `workers` at a time; tell each end with its exit status and seconds, and now and then who runs.

    However this is left, by an interrupt too, no child is left running.
    """
    waiting = deque(jobs)
    running: dict[subprocess.Popen[bytes], tuple[Child, float]] = {}
    began = told = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.popleft()
                with job.log.open("wb") as log:
                    process = subprocess.Popen(
                        job.arguments, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
                    )
                running[process] = (job, time.monotonic())
            for process in [process for process in running if process.poll() is not None]:
                job, started = running.pop(process)
                ended(job, process.returncode, time.monotonic() - started)
            now = time.monotonic()
            if now - told > min(max(TELL_SECONDS, (now - began) / 20), SELDOM_SECONDS):
                tell([job for job, _ in running.values()])
                told = now
            time.sleep(POLL_SECONDS)
    finally:
        _stop(list(running))


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
