"""What is happening: states counted, and what is to know about runs that run or went wrong."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from fun.results import Damaged, JobKnown, RunFolder, State, Status
from fun.unfreezing.text import layers_text
from reproduce.declare.parts import Needed
from reproduce.runs.store import Gap, look
from reproduce.start.jobs import idle_logs, job_log, last_line

TROUBLE = (State.FAILED, State.DAMAGED, State.STALE)


@dataclass(frozen=True)
class Standing:
    """A run and its state, as the scheduler and the folder told it."""

    run: RunFolder
    status: Status

    @property
    def work(self) -> Status:
        """Where the work on it stands: of a done run, that on its record where it goes on or failed."""
        later = self.status.later
        return later if later and later.state in (State.RUNNING, State.FAILED) else self.status


def standings(runs: Iterable[RunFolder], known: JobKnown | None) -> list[Standing]:
    """Where each run stands; `known` asks the scheduler, without it no job is believed."""
    found = [Standing(run, run.status(job_known=known)) for run in runs]
    copies: dict[str, list[RunFolder]] = defaultdict(list)
    for one in found:
        copies[one.run.run_id].append(one.run)
    return [_as_one_of(copies[one.run.run_id], one) for one in found]


def _as_one_of(copies: Sequence[RunFolder], one: Standing) -> Standing:
    """Damaged where several folders bear its run_id and do not hold the same: no table counts any of them."""
    together = look(copies, Needed(())) if len(copies) > 1 else None
    if isinstance(together, Gap) and together.state is State.DAMAGED:
        return Standing(one.run, Status(State.DAMAGED, together.reason, one.status.attempt))
    return one


def runs_on_disk(root: Path) -> dict[str, list[RunFolder]]:
    """`<task>/<model>` -> the runs with a folder there."""
    found: dict[str, list[RunFolder]] = {}
    for path in sorted((root / "runs").glob("*/*/*-*")):
        group = f"{path.parent.parent.name}/{path.parent.name}"
        found.setdefault(group, []).append(RunFolder(path, path.name.rpartition("-")[2]))
    return found


def report(groups: Mapping[str, list[Standing]], root: Path) -> Group:
    """Counts by state and group; then, once each, the running runs and those in trouble."""
    once = {one.run: one for standing in groups.values() for one in standing}
    running = [one for one in once.values() if one.work.state is State.RUNNING]
    trouble = [one for state in TROUBLE for one in once.values() if one.work.state is state]
    trouble += [one for one in once.values() if one.status.state is State.MISSING and idle_logs(one.run, root)]
    parts: list[RichTable | Text] = [_counts(groups)]
    if running:
        parts.append(_running(running))
    parts += [Text(line) for one in trouble for line in _trouble(one, root)]
    return Group(*parts)


def _counts(groups: Mapping[str, list[Standing]]) -> RichTable:
    table = RichTable(box=None, pad_edge=False)
    table.add_column("runs")
    for state in State:
        table.add_column(state.value, justify="right")
    for name, standing in groups.items():
        counts = Counter(one.status.state for one in standing)
        table.add_row(Text(name), *(str(counts[state]) if counts[state] else "·" for state in State))
    return table


def _running(running: Iterable[Standing]) -> RichTable:
    table = RichTable(box=None, pad_edge=False, title="running", title_justify="left")
    for column in ("run", "job", "host", "update", "updates/s", "left", "open layers"):
        table.add_column(column)
    for one in running:
        claim, pace, log = one.run.claim(), one.run.pace(), one.run.attempt_log()
        assert claim is not None, "a running attempt has a claim"
        # The step log is newer than the last heartbeat; the speed is what the heartbeat told.
        update = max(log[-1]["update"] if log else 0, pace.update) if pace else 0
        speed = (pace.update - pace.resumed) / pace.seconds if pace and pace.seconds else 0.0
        left = str(timedelta(seconds=round((pace.updates - update) / speed))) if pace and speed else "?"
        table.add_row(
            one.run.path.name,
            claim.job or f"pid {claim.pid}",
            claim.host,
            f"{update}/{pace.updates}" if pace else "starting",
            f"{speed:.3g}" if speed else "?",
            left,
            layers_text(next((set(line["open"]) for line in reversed(log) if line["kind"] == "stage"), set())),
        )
    return table


def _trouble(one: Standing, root: Path) -> list[str]:
    """The state and its reason; where a job made the attempt, its log and the last line there."""
    kind = one.work.state if one.work is one.status else f"done, its completion {one.work.state}"
    lines = [f"{kind}: {one.run.path.name}: {' '.join(one.work.detail.split())}"]
    log = next(iter(idle_logs(one.run, root)), None) or _log_of_attempt(one.run, root)
    if log:
        lines += [f"    {last_line(log.read_text(encoding='utf-8', errors='replace'))}", f"    log: {log}"]
    return lines


def _log_of_attempt(run: RunFolder, root: Path) -> Path | None:
    with suppress(Damaged):
        claim = run.claim()
        return job_log(root, claim.job) if claim and claim.job else None
    return None
