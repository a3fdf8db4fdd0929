"""What is missing and what to type for it, and the compute spent."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fun.results import Record, RunFolder, State
from reproduce.numbers.explain import below
from reproduce.runs.plan import Entry
from reproduce.runs.store import Absent, sweeps

PROCESSORS = ("x86_64", "amd64", "aarch64", "arm64")
"""What a machine without a GPU calls itself; any other device of a record is the name of a GPU."""

UNKNOWN = "unknown"

PRODUCERS = "what other runs read: these first"


def missing(entries: Iterable[Entry]) -> list[Entry]:
    """What has to be started, those first that others read."""
    absent = [entry for entry in entries if entry.missing]
    read = _read(absent)
    return sorted(absent, key=lambda entry: entry.run not in read)


def reasons(absent: Sequence[Entry], root: Path) -> Mapping[str, Sequence[str]]:
    """The commands of missing runs by what is wrong, empty where they were never started; paths from `root` on."""
    read, commands = _read(absent), defaultdict[str, list[str]](list)
    for entry in absent:
        reason = f"{entry.state.value}{', but' if entry.state is State.DONE else ':'} {' '.join(entry.reason.split())}"
        if entry.state is State.MISSING:
            reason = PRODUCERS if entry.run in read else ""
        commands[below(root, reason)].append(entry.command)
    return commands


def startable_sweeps(absent: Sequence[Entry]) -> list[str]:
    """The missing runs that may be started unasked, as few lines to paste."""
    read, startable = _read(absent), [entry for entry in absent if entry.startable]
    parts = ([entry for entry in startable if (entry.run in read) is first] for first in (True, False))
    return [line for part in parts for line in sweeps(entry.needed.arguments for entry in part)]


def _read(absent: Iterable[Entry]) -> set[RunFolder]:
    """The runs that make what others read."""
    return {run for entry in absent for run in entry.producers}


def states(entries: Iterable[Entry]) -> Counter[str]:
    """How many runs are in which state; under an empty text those that are done and have all that is needed."""
    return Counter(map(_state, entries))


def _state(entry: Entry) -> str:
    if entry.state is not State.DONE:
        return entry.state.value
    if isinstance(entry.result, Absent):
        return "done but marked" if entry.result.state is State.DONE else entry.result.state.value
    return "done but without all that is needed" if entry.reason else ""


def by_device(records: Iterable[Record]) -> list[tuple[str, str, list[Record]]]:
    """Each device of done runs, the unit of its time, and its records; `unknown` where they do not name it."""
    devices: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        devices[record.environment.get("device") or UNKNOWN].append(record)
    units = {UNKNOWN: UNKNOWN, **dict.fromkeys(PROCESSORS, "CPU-hours")}
    return [(device, units.get(device.lower(), "GPU-hours"), devices[device]) for device in sorted(devices)]
