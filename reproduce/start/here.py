"""Runs what targets still need on this machine: a few processes side by side, a log for each."""

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fun.machine import signals as survival
from fun.results import JobKnown, RunFolder, State
from fun.results.files import make_folder
from reproduce.declare.parts import Needed
from reproduce.runs.store import Store, command
from reproduce.start.jobs import asking, last_line
from reproduce.start.selection import Planned, Selection, select, waves

POLL_SECONDS = 0.1
GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Child:
    """A command, and the file that its output goes to."""

    arguments: tuple[str, ...]
    log: Path


def run_missing(
    needed: Sequence[Needed], root: Path, workers: int, *, dry_run: bool = False, retry: bool = False
) -> int:
    """Run what is missing of `needed`, producers first, `workers` at a time; return how many are then not done.

    A run counts as done when its record is there, not when its process says so. Runs that must not be started
    unasked (`retry` asks), and those that other processes or jobs have, are listed and counted too. Raises
    ConfigError.
    """
    selection, elsewhere = asking(lambda jobs: _selected(needed, root, jobs, retry))
    waiting = [one for one in selection.wanted if not elsewhere.keys().isdisjoint(one.producers)]
    todo = [one for one in selection.wanted if one.planned.run not in elsewhere and one not in waiting]
    for line in selection.remarks():
        print(line)
    for run, detail in elsewhere.items():
        print(f"under way: {run.path.name}: {detail}")
    if selection.held:
        print("--retry also starts runs that failed")
    for one in waiting:
        print(one.not_yet("run"))
    count = selection.count
    left = count - selection.done - len(todo)
    if not todo:
        print(f"Nothing to run: {selection.done} of {count} runs are done.")
        return left
    if dry_run:
        print(*(command(one.planned.typed) for wave in waves(todo) for one in wave), sep="\n")
        return left
    logs = root / "logs"
    make_folder(logs)
    print(f"{len(todo)} of {count} runs to do, {workers} at a time; output in {logs}", flush=True)
    _run([[one.planned for one in wave] for wave in waves(todo)], root, logs, workers)
    after, _ = asking(lambda jobs: _selected(needed, root, jobs, retry=False))
    for line in after.gap_remarks():
        print(line)
    return len(after.wanted) + len(after.held)


def _selected(
    needed: Sequence[Needed], root: Path, jobs: JobKnown | None, retry: bool
) -> tuple[Selection, dict[RunFolder, str]]:
    """The runs to start, and those of them that somebody else has in hand, with who."""
    selection = select(needed, Store(root), jobs, retry=retry)
    runs = [one.planned.run for one in selection.wanted if one.planned.run.under_way(jobs)]
    return selection, {run: run.status(job_known=jobs).detail for run in runs}


def _run(planned: Sequence[Sequence[Planned]], root: Path, logs: Path, workers: int) -> None:
    """Wave by wave: what the runs of one make, those of the next read."""
    count = sum(map(len, planned))
    runs: dict[Child, RunFolder] = {}
    ended = 0

    def report(job: Child, status: int, seconds: float) -> None:
        nonlocal ended
        ended += 1
        done = status == 0 and runs[job].status().state is State.DONE
        outcome = f"done in {seconds:.0f} s" if done else f"FAILED (exit status {status})"
        print(f"[{ended}/{count}] {outcome}: {' '.join(job.arguments[3:])}", flush=True)
        if not done:
            print(f"    {last_line(_text(job.log))}\n    log: {job.log}", flush=True)

    # One thread each: two runs side by side beat one run on two threads, and threads beyond the cores stall.
    environment = {**os.environ, "FUN_RESULTS": str(root), "OMP_NUM_THREADS": "1", survival.REQUEUE: "no"}
    for wave in planned:
        jobs = {_job(one, logs): one.run for one in wave}
        runs |= jobs
        work(list(jobs), workers, environment, report)


def _job(planned: Planned, logs: Path) -> Child:
    return Child((sys.executable, "-m", "fun.run", *planned.typed), logs / f"{planned.run.path.name}.log")


def work(
    jobs: Sequence[Child], workers: int, environment: dict[str, str], ended: Callable[[Child, int, float], None]
) -> None:
    """Run the jobs, `workers` at a time, and tell each end with its exit status and seconds.

    However this is left, by an interrupt too, no child is left running.
    """
    waiting = deque(jobs)
    running: dict[subprocess.Popen[bytes], tuple[Child, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.popleft()
                running[_start(job, environment)] = (job, time.monotonic())
            for process in [process for process in running if process.poll() is not None]:
                job, started = running.pop(process)
                ended(job, process.returncode, time.monotonic() - started)
            time.sleep(POLL_SECONDS)
    finally:
        _stop(list(running))


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


def _start(job: Child, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with job.log.open("wb") as log:
        return subprocess.Popen(
            job.arguments, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )


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
