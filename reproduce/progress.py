"""What is happening: states counted, and what is to know about runs that run or went wrong."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from fun.results import JobKnown, RunFolder, State, Status
from fun.unfreezing.text import layers_text
from reproduce.jobs import last_line

TROUBLE = (State.FAILED, State.DAMAGED, State.STALE)


@dataclass(frozen=True)
class Standing:
    """A run and its state, as the scheduler and the folder told it."""

    run: RunFolder
    status: Status


def standings(runs: Iterable[RunFolder], known: JobKnown | None) -> list[Standing]:
    """Where each run stands; `known` asks the scheduler, without it no job is believed."""
    return [Standing(run, run.status(job_known=known)) for run in runs]


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
    running = [one for one in once.values() if one.status.state is State.RUNNING]
    trouble = [one for state in TROUBLE for one in once.values() if one.status.state is state]
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
        claim, pace, log = one.run.claim(), one.run.pace(), one.run.metrics_log()
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
            layers_text({layer for line in log if line["kind"] == "unfreezing" for layer in line["layers"]}),
        )
    return table


def _trouble(one: Standing, root: Path) -> list[str]:
    """The state and its reason; where a job made the attempt, its log and the last line there."""
    lines = [f"{one.status.state.value}: {one.run.path.name}: {' '.join(one.status.detail.split())}"]
    claim = one.run.claim()
    log = job_log(root, claim.job) if claim and claim.job else None
    if log:
        lines += [f"    {last_line(log.read_text(encoding='utf-8', errors='replace'))}", f"    log: {log}"]
    return lines


def job_log(root: Path, job: str) -> Path | None:
    """The standard error of a job that `submit` started; None where there is none."""
    name = job.split(":")[2] if job.startswith("local:") else job
    return max((root / "jobs").glob(f"*/{name}_0_log.err"), default=None)
