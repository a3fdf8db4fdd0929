"""What is happening: states counted, how far running runs are, and what is to know about those that went wrong."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from fun.results import NEVER_BEGUN, Damaged, JobKnown, RunFolder, State, Status, run_folders
from fun.unfreezing import layers_text
from reproduce.runs.plan import idle_logs, job_log
from reproduce.runs.store import checked
from reproduce.start.jobs import told_by


class Training(NamedTuple):
    """Where the latest attempt at a run stands: as here before it trains.

    `update` is 5/36, `speed` in updates per second since it began, `left` the time to the last update as h:mm:ss.
    """

    update: str = "starting"
    speed: str = "?"
    left: str = "?"
    open_layers: str = ""
    loss: str = ""

    @classmethod
    def of(cls, run: RunFolder) -> "Training":
        """As its heartbeat and its step log tell. Raises Damaged."""
        pace, log = run.latest.pace(), run.attempt_log()
        if pace is None or not pace.updates:
            return cls()
        # The step log is newer than the last heartbeat; the speed is what the heartbeat told.
        update = max(log[-1]["update"] if log else 0, pace.update)
        opened = next((set(line["open"]) for line in reversed(log) if line["kind"] == "stage"), set())
        loss = next((f", loss {line['loss']:.3f}" for line in reversed(log) if line["kind"] == "train"), "")
        speed = (pace.update - pace.resumed) / pace.seconds if pace.seconds else 0.0
        left = str(timedelta(seconds=round((pace.updates - update) / speed))) if speed else "?"
        return cls(f"{update}/{pace.updates}", f"{speed:.3g}" if speed else "?", left, layers_text(opened), loss)

    def __str__(self) -> str:
        if self == Training():
            return self.update
        return f"update {self.update}{self.loss}, open layers {self.open_layers}, {self.left} to the last update"


def on_disk(root: Path, job_known: JobKnown | None) -> tuple[dict[str, Mapping[RunFolder, Status]], list[str]]:
    """`<task>/<model>` -> the runs with a folder there that were begun; and what cannot be looked into."""
    paths, closed = run_folders(root)
    copies: dict[str, list[RunFolder]] = defaultdict(list)
    for path in paths:
        run_id = path.name.rpartition("-")[2]
        copies[run_id].append(RunFolder(path, run_id))
    groups: dict[str, dict[RunFolder, Status]] = defaultdict(dict)
    for run in itertools.chain(*copies.values()):
        status = checked(copies[run.run_id], run.status(job_known=job_known))
        if status != NEVER_BEGUN:  # else there are withdrawn marks alone, of a submission that was refused
            groups[f"{run.path.parent.parent.name}/{run.path.parent.name}"][run] = status
    return dict(sorted(groups.items())), [str(reason) for reason in closed]


def report(groups: Mapping[str, Mapping[RunFolder, Status]], root: Path) -> Group:
    """Counts by state and group; then, once each, the running runs and those in trouble."""
    runs = {run: status for group in groups.values() for run, status in group.items()}
    work = {run: _work(status) for run, status in runs.items()}
    running = [run for run in runs if work[run].state is State.RUNNING]
    trouble = [run for state in (State.FAILED, State.DAMAGED, State.STALE) for run in runs if work[run].state is state]
    trouble += [run for run, status in runs.items() if status.state is State.MISSING and idle_logs(run, root)]
    counts = RichTable("runs", box=None, pad_edge=False)
    for state in State:
        counts.add_column(state.value, justify="right")
    for name, group in groups.items():
        states = Counter(status.state for status in group.values())
        counts.add_row(Text(name), *(str(states[state] or "·") for state in State))
    lines = [Text(_trouble(run, runs[run], root)) for run in trouble]
    return Group(counts, *([_running(running)] if running else []), *lines)


def _work(status: Status) -> Status:
    """Where the work on a run stands: of a done run, that on its record where it goes on or failed."""
    later = status.later
    return later if later and later.state in (State.RUNNING, State.FAILED) else status


def _running(running: Iterable[RunFolder]) -> RichTable:
    columns = ("run", "job", "host", "update", "updates/s", "left", "open layers")
    table = RichTable(*columns, box=None, pad_edge=False, title="running", title_justify="left")
    for run in running:
        claim, training = run.claim(), Training.of(run)
        assert claim is not None, "a running attempt has a claim"
        told = (training.update, training.speed, training.left, training.open_layers)
        table.add_row(run.path.name, claim.job or f"pid {claim.pid}", claim.host, *told)
    return table


def _trouble(run: RunFolder, status: Status, root: Path) -> str:
    """The state and its reason; where a job made the attempt, its log and the last line there."""
    work = _work(status)
    state = work.state if work is status else f"done, its completion {work.state}"
    log = next(iter(idle_logs(run, root)), None)
    with suppress(Damaged):
        if log is None and (claim := run.claim()) and claim.job:
            log = job_log(root, claim.job)
    return f"{state}: {run.path.name}: {' '.join(work.detail.split())}" + (f"\n{told_by(log)}" if log else "")
