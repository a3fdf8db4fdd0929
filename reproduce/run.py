"""Runs what a target still needs on this machine: a few processes side by side, a log for each."""

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reproduce.declarations import Needed
from reproduce.papers import Target
from reproduce.plan import Found, Gap, Lookup, command, found, missing, needed_runs

POLL_SECONDS = 0.1
GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Job:
    """A command, and the file that its output goes to."""

    arguments: tuple[str, ...]
    log: Path


def run_missing(target: Target, lookup: Lookup, root: Path, workers: int, dry_run: bool) -> int:
    """Run the target's missing runs, `workers` at a time; return the number that did not end done.

    A run counts as done when its record is there, not when its process says so. Runs that must not be
    started unasked (running elsewhere, failed by their method, damaged, …) are listed and counted too.
    """
    needed = needed_runs(target)
    results = found(needed, lookup)
    todo = [run for run in needed if results[run.overrides].startable]
    held = [run for run in needed if isinstance(results[run.overrides], Gap) and run not in todo]
    if held:
        print(f"{len(held)} of {len(needed)} runs of {target.name} are not started unasked:")
        print("\n".join(missing(held, results)))
    if not todo:
        print(f"Nothing to run for {target.name}: {len(needed) - len(held)} of {len(needed)} runs are done.")
        return len(held)
    if dry_run:
        print("\n".join(command(run.arguments) for run in todo))
        return len(held)
    logs = root / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    print(f"{len(todo)} of {len(needed)} runs of {target.name} to do, {workers} at a time; output in {logs}")
    return len(held) + len(_run(todo, lookup, root, logs, workers))


def _run(todo: Sequence[Needed], lookup: Lookup, root: Path, logs: Path, workers: int) -> list[Needed]:
    jobs = {Job((sys.executable, "-m", "fun.run", *run.arguments), logs / f"{_name(run)}.log"): run for run in todo}
    failed: list[Needed] = []
    ended = 0

    def report(job: Job, status: int, seconds: float) -> None:
        nonlocal ended
        ended += 1
        run = jobs[job]
        result = lookup(run)
        done = isinstance(result, Found) and not result.lacks
        outcome = f"done in {seconds:.0f} s" if done else f"FAILED (exit status {status})"
        print(f"[{ended}/{len(todo)}] {outcome}: {' '.join(run.overrides)}", flush=True)
        if not done:
            failed.append(run)
            print(f"    {last_line(job.log)}\n    log: {job.log}", flush=True)

    # One thread each: two runs side by side beat one run on two threads, and threads beyond the cores stall.
    environment = {**os.environ, "FUN_RESULTS": str(root), "OMP_NUM_THREADS": "1"}
    work(list(jobs), workers, environment, report)
    return failed


def work(
    jobs: Sequence[Job], workers: int, environment: dict[str, str], ended: Callable[[Job, int, float], None]
) -> None:
    """Run the jobs, `workers` at a time, and tell each end with its exit status and seconds.

    However this is left, by an interrupt too, no child is left running.
    """
    waiting = deque(jobs)
    running: dict[subprocess.Popen[bytes], tuple[Job, float]] = {}
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


def last_line(log: Path) -> str:
    """The last line of a log that says anything."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "no output")


def _start(job: Job, environment: dict[str, str]) -> subprocess.Popen[bytes]:
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


def _name(run: Needed) -> str:
    return "-".join(override.partition("=")[2] for override in run.overrides)
