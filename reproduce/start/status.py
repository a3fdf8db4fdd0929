"""What is happening: states counted, and what is to know about runs that run or went wrong."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from fun.results import NEVER_BEGUN, Damaged, JobKnown, RunFolder, State, Status, run_folders
from reproduce.runs.logs import idle_logs, job_log, last_line
from reproduce.runs.store import checked
from reproduce.start.progress import Training

TROUBLE = (State.FAILED, State.DAMAGED, State.STALE)


def on_disk(root: Path, job_known: JobKnown | None) -> tuple[dict[str, Mapping[RunFolder, Status]], list[str]]:
    """`<task>/<model>` -> the runs with a folder there that were begun; and what cannot be looked into.

    `job_known` asks the scheduler.
    """
    paths, closed = run_folders(root)
    copies: dict[str, list[RunFolder]] = defaultdict(list)
    for path in paths:
        run_id = path.name.rpartition("-")[2]
        copies[run_id].append(RunFolder(path, run_id))
    groups: dict[str, dict[RunFolder, Status]] = {}
    for run in itertools.chain(*copies.values()):
        status = checked(copies[run.run_id], run.status(job_known=job_known))
        if status != NEVER_BEGUN:  # else there are withdrawn marks alone, of a submission that was refused
            groups.setdefault(f"{run.path.parent.parent.name}/{run.path.parent.name}", {})[run] = status
    return dict(sorted(groups.items())), [str(reason) for reason in closed]


def report(groups: Mapping[str, Mapping[RunFolder, Status]], root: Path) -> Group:
    """Counts by state and group; then, once each, the running runs and those in trouble."""
    runs = {run: status for group in groups.values() for run, status in group.items()}
    work = {run: _work(status) for run, status in runs.items()}
    running = [run for run in runs if work[run].state is State.RUNNING]
    trouble = [run for state in TROUBLE for run in runs if work[run].state is state]
    trouble += [run for run, status in runs.items() if status.state is State.MISSING and idle_logs(run, root)]
    parts: list[RichTable | Text] = [_counts(groups)]
    if running:
        parts.append(_running(running))
    parts += [Text(line) for run in trouble for line in _trouble(run, runs[run], root)]
    return Group(*parts)


def _work(status: Status) -> Status:
    """Where the work on a run stands: of a done run, that on its record where it goes on or failed."""
    later = status.later
    return later if later and later.state in (State.RUNNING, State.FAILED) else status


def _counts(groups: Mapping[str, Mapping[RunFolder, Status]]) -> RichTable:
    table = RichTable(box=None, pad_edge=False)
    table.add_column("runs")
    for state in State:
        table.add_column(state.value, justify="right")
    for name, runs in groups.items():
        counts = Counter(status.state for status in runs.values())
        table.add_row(Text(name), *(str(counts[state]) if counts[state] else "·" for state in State))
    return table


def _running(running: Iterable[RunFolder]) -> RichTable:
    table = RichTable(box=None, pad_edge=False, title="running", title_justify="left")
    for column in ("run", "job", "host", "update", "updates/s", "left", "open layers"):
        table.add_column(column)
    for run in running:
        claim, training = run.claim(), Training.of(run)
        assert claim is not None, "a running attempt has a claim"
        speed = f"{training.speed:.3g}" if training.speed else "?"
        job = claim.job or f"pid {claim.pid}"
        table.add_row(run.path.name, job, claim.host, training.counted, speed, training.left, training.open_layers)
    return table


def _trouble(run: RunFolder, status: Status, root: Path) -> list[str]:
    """The state and its reason; where a job made the attempt, its log and the last line there."""
    work = _work(status)
    state = work.state if work is status else f"done, its completion {work.state}"
    lines = [f"{state}: {run.path.name}: {' '.join(work.detail.split())}"]
    log = next(iter(idle_logs(run, root)), None)
    with suppress(Damaged):
        if log is None and (claim := run.claim()) and claim.job:
            log = job_log(root, claim.job)
    if log:
        lines += [f"    {last_line(log.read_text(encoding='utf-8', errors='replace'))}", f"    log: {log}"]
    return lines
