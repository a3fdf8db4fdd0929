"""What is missing and what to type for it, the compute spent, and which hyperparameter values are ours."""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fun.config import ours
from fun.inputs import flat
from fun.results import Record, RunFolder, State
from reproduce.numbers.explain import below
from reproduce.runs.plan import Entry
from reproduce.runs.store import configuration, sweeps

PROCESSORS = ("x86_64", "amd64", "aarch64", "arm64")
"""What a machine without a GPU calls itself; any other device of a record is the name of a GPU."""

UNKNOWN = "unknown"

PRODUCERS = "what other runs read: these first"


@dataclass(frozen=True)
class Missing:
    """What has to be started: each run's command by its reason (empty where it was never started), and as `sweeps` what
    may be started unasked.

    `hours` is what runs of a measured shape may take on one device; for `unknown` of them nothing was measured.
    """

    count: int
    startable: int
    reasons: Mapping[str, Sequence[str]]
    sweeps: Sequence[str]
    hours: float
    unknown: int


def missing(entries: Iterable[Entry], root: Path) -> Missing:
    """The runs without what is needed of them, those first that others read. Paths are told from `root` on."""
    absent = [entry for entry in entries if entry.missing]
    read = {run for entry in absent for run in entry.producers}
    absent.sort(key=lambda entry: entry.run not in read)
    reasons: dict[str, list[str]] = defaultdict(list)
    for entry in absent:
        reasons[below(root, _reason(entry, read))].append(entry.command)
    startable = [entry for entry in absent if entry.startable]
    parts = ([entry for entry in startable if (entry.run in read) is first] for first in (True, False))
    hours = [entry.hours for entry in absent if entry.hours is not None]
    return Missing(
        count=len(absent),
        startable=len(startable),
        reasons=reasons,
        sweeps=[line for part in parts for line in sweeps(entry.needed.arguments for entry in part)],
        hours=sum(hours),
        unknown=len(absent) - len(hours),
    )


def states(entries: Iterable[Entry]) -> Counter[str]:
    """How many runs are in which state; under an empty text those that are done and have all that is needed."""
    return Counter(map(_state, entries))


def _state(entry: Entry) -> str:
    if entry.state is not State.DONE:
        return entry.state.value
    return ("done but marked" if entry.option else "done but without all that is needed") if entry.reason else ""


def _reason(entry: Entry, read: Container[RunFolder]) -> str:
    reason = " ".join(entry.reason.split())
    if entry.state is State.MISSING:
        return PRODUCERS if entry.run in read else ""
    return f"{entry.state.value}{', but' if entry.state is State.DONE else ':'} {reason}"


@dataclass(frozen=True)
class Spent:
    """Hours that the runs of a device took, and the most memory; `unknown` where a record does not name its device."""

    device: str
    unit: str
    runs: int
    train: float
    fisher: float
    evaluate: float
    gib: float


def spent(records: Iterable[Record]) -> list[Spent]:
    """The time in the records of done runs, by device. What was interrupted or failed is not in them."""
    devices: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        devices[record.environment.get("device") or UNKNOWN].append(record)
    return [_spent(device, devices[device]) for device in sorted(devices)]


def _spent(device: str, records: Sequence[Record]) -> Spent:
    train = sum(record.timing["train_seconds"] for record in records) / 3600
    fisher = sum(record.timing["fisher_seconds"] for record in records) / 3600
    evaluate = sum(record.timing["evaluate_seconds"] for record in records) / 3600
    unit = UNKNOWN if device == UNKNOWN else "CPU-hours" if device.lower() in PROCESSORS else "GPU-hours"
    gib = max(record.peak_memory_bytes for record in records) / 2**30
    return Spent(device, unit, len(records), train, fisher, evaluate, gib)


@dataclass(frozen=True)
class OwnValue:
    """A hyperparameter's value that no source gives, why it is what it is, and which runs get it."""

    field: str
    value: str
    reason: str
    where: str


def own_values(entries: Iterable[Entry]) -> list[OwnValue]:
    """Every value of our own among the runs' looked-up ones."""
    runs: dict[tuple[str, str, str], dict[str, dict[str, None]]] = {}
    for overrides in dict.fromkeys(_unseeded(entry.needed.overrides) for entry in entries):
        config = configuration((*overrides, "seed=0"))
        values = flat(config.active())
        for field, reason in ours(config).items():
            where = runs.setdefault((field, _text(values[field]), reason), {})
            for override in sorted(overrides):
                name, _, value = override.partition("=")
                where.setdefault(name, {})[value] = None
    return [
        OwnValue(field, value, reason, "; ".join(f"{name} {', '.join(values)}" for name, values in where.items()))
        for (field, value, reason), where in sorted(runs.items())
    ]


def _unseeded(overrides: Sequence[str]) -> tuple[str, ...]:
    return tuple(override for override in overrides if not override.startswith("seed="))


def _text(value: object) -> str:
    """Numbers in their shortest spelling."""
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
